//! The host that a request is for, which it must name clearly.

use std::net::Ipv4Addr;

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::HOST;
use axum::http::uri::Authority;

/// Reason it isn't clear which host a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnclearHost {
    /// It has several Host headers.
    #[error("there is more than one Host header")]
    Several,
    /// It has none.
    #[error("the Host header is missing")]
    Missing,
    /// It names something that is no host.
    #[error("the Host header is not a host")]
    Malformed,
    /// It names another host than its address.
    #[error("the Host header is not the host of the address")]
    OtherThanTarget,
}

/// A request names one host, once or twice the same: in its target, in Host, or in both (RFC 9112, 3.2; RFC 9113,
/// 8.3.1). Where two servers in a row understand different ones, one can be used to attack the other. Only HTTP/1.0 knew
/// requests without.
pub(crate) fn check_host(request: &Request) -> Result<(), UnclearHost> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(UnclearHost::Several);
    }
    let target = request.uri().authority();
    let Some(host) = host else {
        let needed = request.version() == Version::HTTP_11 || target.is_none();
        return if needed && request.version() > Version::HTTP_10 { Err(UnclearHost::Missing) } else { Ok(()) };
    };
    let Some(host) = Authority::try_from(host.as_bytes()).ok().filter(is_host) else {
        return Err(UnclearHost::Malformed);
    };
    if target.is_some_and(|target| *target != host) {
        return Err(UnclearHost::OtherThanTarget);
    }
    Ok(())
}

/// The name of the host that a request is for, without its port, where it has a name: an address of the network is none,
/// and `localhost` is everybody's own.
#[must_use]
pub fn host_name(request: &Request) -> Option<String> {
    let sent = || Authority::try_from(request.headers().get(HOST)?.as_bytes()).ok();
    let authority = request.uri().authority().cloned().or_else(sent)?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    (!host.is_empty() && !is_local && !is_address).then_some(host)
}

/// Returns `true` if it is a host with or without a port, and nothing else.
fn is_host(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    port.is_some_and(|port| port.is_empty() || port[1..].parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(version: Version, target: &str, hosts: &[&str]) -> Request {
        let request = Request::get(target).version(version);
        let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn a_request_names_one_host() {
        use UnclearHost::{Malformed, Missing, OtherThanTarget, Several};
        for (version, target, hosts, expected) in [
            (Version::HTTP_11, "/", &["a.example"][..], Ok(())),
            (Version::HTTP_11, "/", &["a.example:8443"], Ok(())),
            (Version::HTTP_11, "/", &[], Err(Missing)),
            (Version::HTTP_10, "/", &[], Ok(())),
            (Version::HTTP_2, "https://a.example/", &[], Ok(())),
            (Version::HTTP_2, "/", &[], Err(Missing)),
            (Version::HTTP_2, "https://a.example/", &["a.example"], Ok(())),
            (Version::HTTP_2, "https://a.example/", &["b.example"], Err(OtherThanTarget)),
            (Version::HTTP_11, "https://a.example/", &[], Err(Missing)),
            (Version::HTTP_11, "/", &["a.example", "a.example"], Err(Several)),
            (Version::HTTP_11, "/", &[""], Err(Malformed)),
            (Version::HTTP_11, "/", &["user@a.example"], Err(Malformed)),
            (Version::HTTP_11, "/", &["a.example:70000"], Err(Malformed)),
        ] {
            assert_eq!(check_host(&request(version, target, hosts)), expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn only_a_name_of_ones_own_is_one() {
        for (host, expected) in [
            ("A.example.:8443", Some("a.example")),
            ("localhost:8443", None),
            ("a.localhost", None),
            ("192.0.2.1", None),
            ("[2001:db8::1]:8443", None),
        ] {
            assert_eq!(host_name(&request(Version::HTTP_11, "/", &[host])).as_deref(), expected, "{host}");
        }
    }
}
