//! The settings of the edge, and the limits of everything that clients can make grow before an application looks at it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::proxies::Proxies;

/// Settings for serving. Plain data: the program fills it from its configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// The file with the certificate and those that lead to its root, in PEM, the server's own first.
    pub certificate: PathBuf,
    /// The file with the certificate's private key, in PEM.
    pub private_key: PathBuf,
    /// Limits that nobody may exceed.
    pub limits: Limits,
}

/// Limits that nobody may exceed. The defaults suit a machine with two cores and a gigabyte of memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once; further ones are closed when they come. With TLS each takes some 40 KiB over HTTP/2, 30
    /// over HTTP/1.1, and 14 where it carries a stream of events only, as most do where there are so many: below 500 MiB
    /// in all. What was sent and not taken yet, up to 80 KiB each, comes on top; that takes many addresses at once.
    pub connections: usize,
    /// Connections open at once from one IPv4 address or IPv6 network of 64 bits, so that one client can't take all. An
    /// office behind one address has room. A trusted proxy may take all: behind it are many clients.
    pub connections_per_address: usize,
    /// Proxies that are believed about whose request it is, for all that is counted by address.
    pub proxies: Proxies,
    /// Time that a client may take for the TLS handshake. A second suffices on bad lines; more is an attack.
    pub handshake: Duration,
    /// Time that a client may take to send a request's header. For HTTP/1.1 it is also how long a connection is kept
    /// without a request, because hyper counts both as one.
    pub header_read: Duration,
    /// Time that an HTTP/2 connection is kept without a request, or any connection with an answer that its client
    /// doesn't take. Counted in steps: it may last up to twice this long.
    pub idle: Duration,
    /// Time that one request may take, its body's arrival included. What takes longer has met a failure.
    pub request: Duration,
    /// The largest body of a request. The largest that makes sense, a payment of a hundred movements with as much
    /// metadata as may be, has some 40 KiB; an ordinary one has less than 1 KiB.
    pub body_bytes: usize,
    /// The largest header of a request. Tokens and keys have less than 1 KiB.
    pub header_bytes: u32,
    /// Requests at once in one HTTP/2 connection; a client queues further ones. Each may hold a body in memory, so
    /// this is less than the 100 that RFC 9113 advises for sites of many small files.
    pub streams: u32,
    /// Time that a stopping server lets requests in flight finish.
    pub stop: Duration,
    /// Time that the body of a request may take to arrive, from the moment it is wanted. The largest takes a second on
    /// the slowest telephone line; more is an attack.
    pub body_read: Duration,
    /// The longest address of a request, query included. The longest that makes sense, a search for a text with all
    /// else that can be asked, has less than 3 KiB.
    pub address_bytes: usize,
    /// Header fields of a request. Browsers send some twenty, and proxies add a few. Of HTTP/1.1, more than 100 are
    /// not even read.
    pub headers: usize,
    /// Streams of an HTTP/2 connection that the client took back before the server looked at them. With as many as may
    /// be open at once, a client that thinks better of all its requests is borne; more is the attack of CVE-2023-44487.
    pub streams_taken_back: usize,
    /// Streams that the server had to reset for the client's mistakes, in the life of an HTTP/2 connection. Those beyond
    /// `streams` count, and some clients open a hundred before they have read how many they may; twice that is borne.
    pub streams_in_error: usize,
    /// Requests of one user. An integration that sends hundreds a second, and twice that for a moment, has room; one
    /// that runs wild leaves the most of the server to others.
    pub requests_of_user: Rate,
    /// Requests from one IPv4 address or IPv6 network of 64 bits, whoever sends them: an office, or a partner's system
    /// with several users. A quarter of what all may send.
    pub requests_of_address: Rate,
    /// Requests of all together. Some half of what two cores can answer, so that there are always the means to refuse
    /// the rest, and to commit what was taken on. Requests of nobody who is signed in get three quarters of it, so that
    /// strangers, from however many addresses, leave some to those who are.
    pub requests: Rate,
    /// Sign-ins from one address. An office of a hundred may come at nine o'clock; who guesses has one a second.
    pub sign_ins_of_address: Rate,
    /// Sign-ins under one name, whether or not anybody has it: so many from each address from which its user signed in
    /// before, at most eight, and so many from all others together. Ten for who searches their memory; then one each
    /// twelve seconds, which is 2.6 million guesses in a year against passwords of twelve characters.
    pub sign_ins_of_name: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 12_000,
            connections_per_address: 512,
            proxies: Proxies::default(),
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            request: Duration::from_secs(30),
            body_bytes: 64 * 1024,
            header_bytes: 16 * 1024,
            streams: 32,
            stop: Duration::from_secs(20),
            body_read: Duration::from_secs(10),
            address_bytes: 4 * 1024,
            headers: 64,
            streams_taken_back: 32,
            streams_in_error: 256,
            requests_of_user: Rate::per_second(1_000, 2_000),
            requests_of_address: Rate::per_second(5_000, 10_000),
            requests: Rate::per_second(20_000, 20_000),
            sign_ins_of_address: Rate::per_minute(60, 100),
            sign_ins_of_name: Rate::per_minute(5, 10),
        }
    }
}

/// Limit on requests: so many in a time at a steady pace, and so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Number of requests in the time. 0 stands for no limit.
    pub requests: u32,
    /// The time, in seconds.
    pub seconds: u32,
    /// Number of requests at once. 0 counts as 1, since a rate that lets nobody through serves nobody.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { requests: 0, seconds: 1, burst: 0 };

    /// So many a second, and so many at once.
    #[must_use]
    pub const fn per_second(requests: u32, burst: u32) -> Self {
        Self { requests, seconds: 1, burst }
    }

    /// So many a minute, and so many at once.
    #[must_use]
    pub const fn per_minute(requests: u32, burst: u32) -> Self {
        Self { requests, seconds: 60, burst }
    }

    /// Three quarters of it, rounded up. Of no limit it is none.
    pub(crate) const fn three_quarters(self) -> Self {
        let Self { requests, seconds, burst } = self;
        Self { requests: requests - requests / 4, seconds, burst: burst - burst / 4 }
    }
}

/// Reason serving can't begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate can't be used.
    #[error("the certificate {path} can't be used: {reason}")]
    Certificate {
        /// Its file.
        path: PathBuf,
        /// Reason it can't.
        reason: String,
    },
    /// The private key can't be used.
    #[error("the private key {path} can't be used: {reason}")]
    PrivateKey {
        /// Its file.
        path: PathBuf,
        /// Reason it can't.
        reason: String,
    },
    /// The address can't be taken.
    #[error("can't listen on {address}: {source}; choose another address with the setting `listen`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Reason it can't.
        source: std::io::Error,
    },
    /// The cryptographic library does not work on this machine.
    #[error("cryptography does not work on this machine: {0}")]
    Cryptography(String),
}
