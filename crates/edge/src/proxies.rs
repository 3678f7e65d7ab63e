//! The client behind a request. A proxy in front says who it is in a header field, which anybody can send: so it is
//! believed of those proxies alone that the operator named, and read from its end, where the last of them wrote. What
//! stands before the first address that is none of theirs was written by nobody who is trusted, and is not looked at.
//!
//! One field is read, the one that the proxies are known to write. A proxy that writes the one hands the other on as it
//! came, from whoever sent it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::peer::network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most proxies in a row whose word is followed: two data centres' worth, with room.
const MAX_HOPS: usize = 16;

/// The client whose request it is: an IPv4 address, or an IPv6 network of 64 bits. Admission puts it into the request's
/// extensions for whoever counts by address.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub IpAddr);

/// The proxies that are trusted, and how they tell whose request they hand on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their addresses. Where there are none, nobody is believed.
    pub trusted: Vec<Network>,
    /// The header field that all of them write.
    pub field: ForwardedField,
}

/// Header field in which a proxy tells whose request it hands on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// `X-Forwarded-For`: addresses, the last written by the last proxy.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl FromStr for ForwardedField {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(()),
        }
    }
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits,
            _ => false,
        }
    }
}

/// Reason a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is neither an address nor a network.
    #[error("must be an address such as 10.0.0.7, or a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Malformed,
    /// Bits after those that count are not zero: it is not clear what was meant.
    #[error("must be a network whose bits after the first {0} are zero")]
    HostBits(u32),
    /// Everybody would be trusted, and could say that they are anybody.
    #[error("must not be every address there is")]
    Everybody,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        let (most, address_bits) = match address {
            IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => (128, address.to_bits()),
        };
        let digits = |bits: &&str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) => {
                Some(bits).filter(digits).and_then(|bits| bits.parse().ok()).ok_or(NetworkError::Malformed)?
            }
        };
        if bits > most || address.to_canonical() != address {
            return Err(NetworkError::Malformed);
        }
        if bits == 0 {
            return Err(NetworkError::Everybody);
        }
        if address_bits.checked_shl(bits).unwrap_or(0) != 0 {
            return Err(NetworkError::HostBits(bits));
        }
        Ok(Self { address, bits })
    }
}

impl Proxies {
    /// Returns `true` if an address is a trusted proxy's.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The address of the client whose request came from `peer`: the last in the field that is no trusted proxy's. Where
    /// one can't be read, it is the address of the proxy that wrote it.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trust(client) {
            return client;
        }
        for hop in self.hops(headers).into_iter().take(MAX_HOPS) {
            let Some(address) = hop else { return client };
            client = address;
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    /// Finds the client whose request it is that came from `peer`.
    pub(crate) fn whose(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        Client(network(self.client(peer, headers)))
    }

    /// The addresses in the field, the last first; none in the place of one that can't be read.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        match self.field {
            ForwardedField::XForwardedFor => {
                let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
                lines.flat_map(listed).take(MAX_HOPS).collect()
            }
            ForwardedField::Forwarded => {
                let lines = headers.get_all(FORWARDED).iter().rev();
                lines.flat_map(|line| elements(line).into_iter().rev()).take(MAX_HOPS).collect()
            }
        }
    }
}

/// The addresses of a line of `X-Forwarded-For`, the last first.
fn listed(line: &HeaderValue) -> impl Iterator<Item = Option<IpAddr>> {
    let text = line.to_str().unwrap_or("not an address");
    text.rsplit(',').map(|part| part.trim_matches([' ', '\t'])).filter(|part| !part.is_empty()).map(node)
}

/// The addresses of a line of `Forwarded`, in order. The whole line is read strictly from its start, as only so it is known
/// which commas stand in quotes: a proxy may write the name of the host that a client asked for into it.
fn elements(line: &HeaderValue) -> Vec<Option<IpAddr>> {
    let read = || {
        let (mut rest, mut found, mut here) = (line.to_str().ok()?, Vec::new(), None);
        loop {
            let (name, value, after) = pair(rest)?;
            if name.eq_ignore_ascii_case("for") && here.replace(node(&value)).is_some() {
                return None;
            }
            let after = after.trim_start_matches([' ', '\t']);
            rest = after.get(1..).unwrap_or_default();
            match after.bytes().next() {
                Some(b';') => continue,
                Some(b',') => found.push(here.take().flatten()),
                None => {
                    found.push(here.flatten());
                    return Some(found);
                }
                Some(_) => return None,
            }
        }
    };
    read().unwrap_or_else(|| vec![None])
}

/// A name, its value without quotes, and what comes after.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = token(text.trim_start_matches([' ', '\t']))?;
    let rest = rest.strip_prefix('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        return token(rest).map(|(value, rest)| (name, value.to_owned(), rest));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

/// A token (RFC 9110, 5.6.2), and what comes after.
fn token(text: &str) -> Option<(&str, &str)> {
    let in_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    let end = text.find(|letter| !in_token(letter)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// An address with or without a port, an IPv6 address with one in brackets (RFC 7239, 6).
fn node(text: &str) -> Option<IpAddr> {
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        port_fits.then_some(address)?.parse::<Ipv6Addr>().ok()?.into()
    } else if let Some((address, port)) = text.split_once(':').filter(|(_, port)| !port.contains(':')) {
        is_port(port).then_some(address)?.parse::<Ipv4Addr>().ok()?.into()
    } else {
        text.parse::<IpAddr>().ok()?
    };
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn proxies(trusted: &[&str], field: ForwardedField) -> Proxies {
        Proxies { trusted: trusted.iter().map(|network| network.parse().unwrap()).collect(), field }
    }

    #[test]
    fn networks_are_what_they_say() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse::<IpAddr>().unwrap())
        };
        for (network, within, without) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.128/25", "10.0.0.255", "10.0.0.127"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("128.0.0.0/1", "255.0.0.1", "127.0.0.1"),
        ] {
            assert!(contains(network, within) && !contains(network, without), "{network}");
        }
        assert!(!contains("10.0.0.0/8", "::1"));
        for (text, error) in [
            ("", NetworkError::Malformed),
            ("proxy.example", NetworkError::Malformed),
            ("10.0.0.0/", NetworkError::Malformed),
            ("10.0.0.0/33", NetworkError::Malformed),
            ("10.0.0.0/+8", NetworkError::Malformed),
            ("::/129", NetworkError::Malformed),
            ("::ffff:10.0.0.1", NetworkError::Malformed),
            ("10.0.0.1/8", NetworkError::HostBits(8)),
            ("2001:db8::1/64", NetworkError::HostBits(64)),
            ("0.0.0.0/0", NetworkError::Everybody),
            ("::/0", NetworkError::Everybody),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_last_that_no_trusted_proxy_wrote_of_itself_is_the_client() {
        let proxies = proxies(&["10.0.0.0/8", "2001:db8::7"], ForwardedField::XForwardedFor);
        for (peer, sent, expected) in [
            // A peer that is not trusted is the client, whatever it says.
            ("192.0.2.1", &["198.51.100.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("::ffff:10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("2001:db8::7", &["198.51.100.9"], "198.51.100.9"),
            ("2001:db8::8", &["198.51.100.9"], "2001:db8::8"),
            // The client's own words come before.
            ("10.0.0.1", &["203.0.113.5, 198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["10.0.0.2, 198.51.100.9"], "198.51.100.9"),
            // Several proxies in a row, in one line or several.
            ("10.0.0.1", &["203.0.113.5,198.51.100.9 ,\t10.0.0.3, 10.0.0.2"], "198.51.100.9"),
            ("10.0.0.1", &["203.0.113.5, 198.51.100.9", "10.0.0.2"], "198.51.100.9"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Ports, brackets and empty members.
            ("10.0.0.1", &["198.51.100.9:4711"], "198.51.100.9"),
            ("10.0.0.1", &["2001:db8:1::5"], "2001:db8:1::5"),
            ("10.0.0.1", &["[2001:db8:1::5]"], "2001:db8:1::5"),
            ("10.0.0.1", &["[2001:db8:1::5]:65535"], "2001:db8:1::5"),
            ("10.0.0.1", &["::ffff:198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &[",198.51.100.9,, "], "198.51.100.9"),
            // An entry that can't be read counts as its writer's.
            ("10.0.0.1", &["198.51.100.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.9, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.9:port"], "10.0.0.1"),
            ("10.0.0.1", &["[198.51.100.9]"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db8::1"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", &["é"], "10.0.0.1"),
        ] {
            let fields: Vec<_> = sent.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let client = proxies.client(peer.parse().unwrap(), &headers(&fields));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{sent:?} by {peer}");
        }
        // The other field is nobody's word.
        let other = headers(&[("forwarded", "for=198.51.100.9")]);
        assert_eq!(proxies.client("10.0.0.1".parse().unwrap(), &other), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        let proxies = proxies(&["10.0.0.0/8"], ForwardedField::Forwarded);
        for (sent, expected) in [
            (&["for=198.51.100.9"][..], "198.51.100.9"),
            (&["For=198.51.100.9;proto=https;by=10.0.0.1"], "198.51.100.9"),
            (&["proto=https;for=\"198.51.100.9:4711\""], "198.51.100.9"),
            (&["for=\"[2001:db8:1::5]:47011\""], "2001:db8:1::5"),
            (&["for=203.0.113.5, for=198.51.100.9, for=10.0.0.2"], "198.51.100.9"),
            (&["for=203.0.113.5, for=198.51.100.9", "for=10.0.0.2"], "198.51.100.9"),
            (&["for=\"198.51.\\100.9\""], "198.51.100.9"),
            // A host that a client asked for can't pass for an address.
            (&["for=198.51.100.9;host=\"a, for=203.0.113.5\""], "198.51.100.9"),
            (&["for=198.51.100.9;host=\"a\\\", for=203.0.113.5\""], "198.51.100.9"),
            // Quotes that the client left open spoil what follows, and gain nothing.
            (&["for=203.0.113.5;x=\", for=198.51.100.9"], "10.0.0.1"),
            (&["for=203.0.113.5;x=\", for=198.51.100.9;host=\"h\""], "10.0.0.1"),
            (&["for=203.0.113.5;x=\"", "for=198.51.100.9"], "198.51.100.9"),
            (&["for=198.51.100.9;for=203.0.113.5"], "10.0.0.1"),
            (&["for=unknown"], "10.0.0.1"),
            (&["for=_hidden"], "10.0.0.1"),
            (&["for=198.51.100.9, proto=https"], "10.0.0.1"),
            (&["198.51.100.9"], "10.0.0.1"),
            (&["for=198.51.100.9;"], "10.0.0.1"),
            (&["for="], "10.0.0.1"),
        ] {
            let fields: Vec<_> = sent.iter().map(|line| ("forwarded", *line)).collect();
            let client = proxies.client("10.0.0.1".parse().unwrap(), &headers(&fields));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{sent:?}");
        }
    }

    #[test]
    fn so_many_proxies_in_a_row_are_followed_and_no_more() {
        let proxies = proxies(&["10.0.0.0/8"], ForwardedField::XForwardedFor);
        for (hops, expected) in [(MAX_HOPS - 1, "198.51.100.9"), (MAX_HOPS, "10.0.0.2")] {
            let sent = format!("198.51.100.9{}", ", 10.0.0.2".repeat(hops));
            let client = proxies.client("10.0.0.1".parse().unwrap(), &headers(&[("x-forwarded-for", &sent)]));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{hops}");
        }
        // The longest field that is taken has no end that matters.
        let long = format!("198.51.100.9{}", ",".repeat(16_000));
        let client = proxies.client("10.0.0.1".parse().unwrap(), &headers(&[("x-forwarded-for", &long)]));
        assert_eq!(client, "198.51.100.9".parse::<IpAddr>().unwrap());
    }
}
