//! Refusals by the edge itself. An application turns each into an answer of its own form.

use std::time::Duration;

use crate::host::UnclearHost;
use crate::rates::Quota;

/// Reason the edge refuses a request, or has no answer to it.
#[derive(Debug)]
pub enum Refused {
    /// The address, query included, is too long.
    AddressTooLong {
        /// Number of bytes that it may have.
        most_bytes: usize,
    },
    /// The request has too many header fields.
    TooManyHeaders {
        /// Number of fields that it may have.
        most: usize,
    },
    /// The request does not clearly name one host.
    UnclearHost(UnclearHost),
    /// Requests come too fast, and this is the quota of whoever sent it.
    TooFast(Quota),
    /// The body is too large.
    BodyTooLarge {
        /// Number of bytes that it may have.
        most_bytes: usize,
    },
    /// The body did not arrive in its time.
    BodyTooSlow {
        /// Time that it has.
        most: Duration,
    },
    /// The body did not arrive whole.
    BodyUnreadable,
    /// The answer took longer than a request may.
    TimedOut,
    /// The handler panicked: a bug, which the panic's own message tells.
    Panicked,
}

impl From<UnclearHost> for Refused {
    fn from(why: UnclearHost) -> Self {
        Self::UnclearHost(why)
    }
}
