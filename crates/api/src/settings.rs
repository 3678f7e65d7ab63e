//! The settings of the interface, and the limits of what its callers can make grow. Those of connections, requests and
//! rates are the edge's.

use std::time::Duration;

/// Settings of the interface. Plain data: the program fills it from its configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Duration of a session, in minutes.
    pub session_minutes: u32,
    /// Limits that nobody may exceed.
    pub limits: Limits,
}

/// Limits that nobody may exceed. The defaults suit a machine with two cores and a gigabyte of memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Passwords checked at once. Each takes a core for some 20 ms and 19 MiB, so fewer than there are cores, so that
    /// payments go on during a flood of sign-ins.
    pub password_workers: usize,
    /// Passwords waiting to be checked. At 50 a second and worker the last waits about a second; who comes later is
    /// told to try again.
    pub passwords_waiting: usize,
    /// Passwords waiting beside these, of users at an address from which they signed in before, and of new users: so that
    /// strangers, however many, never take all places. As many as one address may send in ten seconds.
    pub passwords_expected: usize,
    /// Batches worked on at once. Each holds some hundred kilobytes of lines, so they stay below 10 MiB.
    pub batches: usize,
    /// Batches worked on at once for one user, so that one can't take all.
    pub batches_per_user: usize,
    /// Streams of events open at once. Each takes a connection as well, or a part of one over HTTP/2; so many leave a
    /// sixth of the connections to other requests.
    pub event_streams: usize,
    /// Streams of events open at once for one user: a few devices with a few windows each, or a partner's servers. One
    /// more ends the oldest. At least one.
    pub event_streams_per_user: usize,
    /// Clients who read the past of the events at once. Each takes a core while it does, for a few milliseconds at a
    /// time, by turns; so fewer than there are cores.
    pub event_readers: usize,
    /// Days from now within which a hold ends. Authorisations by card live 7 to 31 days; a deposit for a year's contract is
    /// the longest that is kept, with a month to settle it, and what ends later was mistyped.
    pub hold_days: u32,
    /// Time that a stream of events is silent: proxies close what is silent for a minute, and some for half a minute.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            password_workers: 1,
            passwords_waiting: 50,
            passwords_expected: 10,
            batches: 32,
            batches_per_user: 4,
            event_streams: 10_000,
            event_streams_per_user: 20,
            event_readers: 1,
            hold_days: 400,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// Reason the interface can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The cryptographic library does not work on this machine.
    #[error("cryptography does not work on this machine: {0}")]
    Cryptography(String),
}
