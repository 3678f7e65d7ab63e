//! The edge's section of the settings: the address and the certificate, and the limits.
//!
//! A section is plain data, a row for each setting, and a function that takes a setting's text. So whoever owns it need
//! not know where the texts come from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Limits, Network, NetworkError, Settings};

/// The place at which it serves. Each row is a setting: its name, the text of its default, and what it is for. A relative
/// path is taken from the data folder.
pub const PLACE: [[&str; 3]; 3] = [
    [
        "listen",
        "127.0.0.1:8443",
        "The address and port on which to serve HTTPS. Use 0.0.0.0:8443 or [::]:8443 to be reached from outside.",
    ],
    [
        "certificate",
        "tls/server.pem",
        "The server's certificate chain (PEM). A relative path is taken from the data folder. A running server reads\n\
         it and its key again at SIGHUP.",
    ],
    ["private_key", "tls/server.key", "The certificate's private key (PEM)."],
];

/// Its limits, in the same form.
pub const LIMITS: [[&str; 3]; 19] = [
    ["connections", "12000", "Maximum number of open connections; further ones are closed when they come."],
    [
        "connections_per_address",
        "512",
        "Maximum number of them from one IPv4 address, or one IPv6 network of 64 bits. Trusted proxies may have all.",
    ],
    [
        "trusted_proxies",
        "",
        "The proxies in front of the server, as addresses and networks with commas between them: 10.0.0.7, 10.1.0.0/16.\n\
         Of a request that one of them hands on, they are believed whose it is; without this, all clients behind a\n\
         proxy share one address's limits. Name no address from which anybody else can connect: who is believed\n\
         can say that they are anybody.",
    ],
    [
        "forwarded_field",
        "x-forwarded-for",
        "The header field in which these proxies write it: x-forwarded-for, or forwarded (RFC 7239). The other is not\n\
         looked at, since a proxy hands it on as its client sent it.",
    ],
    ["request_seconds", "30", "Time for one request, the arrival of its body included."],
    [
        "header_seconds",
        "15",
        "Time for a client to send the header of a request; for HTTP/1.1 also the time for which a connection is kept\n\
         without a request.",
    ],
    ["body_seconds", "10", "Time for the body of a request to arrive."],
    [
        "idle_seconds",
        "60",
        "Time for which an HTTP/2 connection is kept without a request, or any connection with an answer that its client\n\
         doesn't take.",
    ],
    ["stop_seconds", "20", "Time for which a stopping server lets requests under way finish."],
    ["user_requests_per_second", "1000", "Requests a second by one user. 0 stands for no limit."],
    ["user_burst", "2000", "Maximum number of them at once, after a rest."],
    [
        "address_requests_per_second",
        "5000",
        "Requests a second from one IPv4 address, or one IPv6 network of 64 bits. 0 stands for no\n\
         limit.",
    ],
    ["address_burst", "10000", "Maximum number of them at once, after a rest."],
    ["requests_per_second", "20000", "Requests a second in all; 20,000 suit two cores. 0 stands for no limit."],
    ["burst", "20000", "Maximum number of them at once, after a rest."],
    ["address_sign_ins_per_minute", "60", "Sign-ins a minute from one address. 0 stands for no limit."],
    ["address_sign_ins_burst", "100", "Maximum number of them at once, after a rest."],
    [
        "name_sign_ins_per_minute",
        "5",
        "Sign-ins a minute under one name: so many from each address from which its user signed\n\
         in before, at most eight, and so many from all others together. 0 stands for no limit: then nothing but\n\
         their length protects passwords from being guessed.",
    ],
    ["name_sign_ins_burst", "10", "Maximum number of them at once, after a rest."],
];

/// Takes the text of the setting of this name, which must be one of the section's.
///
/// # Errors
///
/// What the text must be, in words that go on after the setting's name.
pub fn take(settings: &mut Settings, folder: &Path, name: &str, text: &str) -> Result<(), String> {
    let limits = &mut settings.limits;
    match name {
        "listen" => {
            parsed(&mut settings.listen, text.parse::<SocketAddr>(), "an address and port, such as 127.0.0.1:8443")
        }
        "certificate" => path(&mut settings.certificate, folder, text),
        "private_key" => path(&mut settings.private_key, folder, text),
        "connections" => whole(&mut limits.connections, text, 1..=1_000_000),
        "connections_per_address" => whole(&mut limits.connections_per_address, text, 1..=1_000_000),
        "trusted_proxies" => networks(&mut limits.proxies.trusted, text),
        "forwarded_field" => parsed(&mut limits.proxies.field, text.parse(), "x-forwarded-for or forwarded"),
        "request_seconds" => seconds(&mut limits.request, text),
        "header_seconds" => seconds(&mut limits.header_read, text),
        "body_seconds" => seconds(&mut limits.body_read, text),
        "idle_seconds" => seconds(&mut limits.idle, text),
        "stop_seconds" => seconds(&mut limits.stop, text),
        "user_requests_per_second" => whole(&mut limits.requests_of_user.requests, text, 0..=1_000_000),
        "user_burst" => whole(&mut limits.requests_of_user.burst, text, 1..=1_000_000),
        "address_requests_per_second" => whole(&mut limits.requests_of_address.requests, text, 0..=1_000_000),
        "address_burst" => whole(&mut limits.requests_of_address.burst, text, 1..=1_000_000),
        "requests_per_second" => whole(&mut limits.requests.requests, text, 0..=1_000_000),
        "burst" => whole(&mut limits.requests.burst, text, 1..=1_000_000),
        "address_sign_ins_per_minute" => whole(&mut limits.sign_ins_of_address.requests, text, 0..=1_000_000),
        "address_sign_ins_burst" => whole(&mut limits.sign_ins_of_address.burst, text, 1..=1_000_000),
        "name_sign_ins_per_minute" => whole(&mut limits.sign_ins_of_name.requests, text, 0..=1_000_000),
        "name_sign_ins_burst" => whole(&mut limits.sign_ins_of_name.burst, text, 1..=1_000_000),
        _ => Err("is no setting of the edge".into()),
    }
}

/// The settings before any is taken: each of them has a default above.
#[must_use]
pub fn unset() -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
        certificate: PathBuf::new(),
        private_key: PathBuf::new(),
        limits: Limits::default(),
    }
}

fn parsed<T, E>(place: &mut T, parsed: Result<T, E>, form: &str) -> Result<(), String> {
    *place = parsed.map_err(|_| format!("must be {form}"))?;
    Ok(())
}

fn networks(place: &mut Vec<Network>, text: &str) -> Result<(), String> {
    let each = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    *place =
        each.map(|part| part.parse().map_err(|mistake: NetworkError| mistake.to_string())).collect::<Result<_, _>>()?;
    Ok(())
}

fn path(place: &mut PathBuf, folder: &Path, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must be a path".into());
    }
    *place = folder.join(text);
    Ok(())
}

/// Takes a whole number within a range.
///
/// # Errors
///
/// What the text must be, in words that go on after the setting's name.
pub fn whole<T>(place: &mut T, text: &str, range: std::ops::RangeInclusive<T>) -> Result<(), String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let within = text.parse().ok().filter(|number| range.contains(number));
    *place = within.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))?;
    Ok(())
}

fn seconds(place: &mut Duration, text: &str) -> Result<(), String> {
    let mut seconds = 0;
    whole(&mut seconds, text, 1..=3_600)?;
    *place = Duration::from_secs(seconds);
    Ok(())
}
