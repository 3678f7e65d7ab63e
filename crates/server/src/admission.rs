//! Admission of requests. A request that can be refused from its head alone is refused here, before its handler runs or
//! its body is read: a host that isn't clear, an address or a header without end, and requests that come too fast.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use axum::extract::{MatchedPath, Query, Request};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, Version};
use bank::UserId;
use engine::Unavailable;
use serde_json::Value;

use crate::app::App;
use crate::extract::{Brought, Token};
use crate::listen::Peer;
use crate::problem::{Kind, Problem};
use crate::proxies::Client;
use crate::rates::Standing;

/// Headers that tell how many requests are allowed, and how many are left (draft-ietf-httpapi-ratelimit-headers-11).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// The addresses for whoever watches the server: they must answer also when it has too much to do.
pub(crate) const FOR_WATCHERS: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

/// Standing of whoever was let in, against the limits on rates: by their user, or by their address where no user is
/// known. None where nothing limits.
pub(crate) struct Admitted(pub(crate) Option<Standing>);

/// Lets a request in, and hands its token on in its extensions. What costs the least to look at comes first; the rate of
/// all comes last, so that who is refused takes nothing from the others.
pub(crate) fn admit(app: &App, request: &mut Request, now: Instant) -> Result<Admitted, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let client = peer.map(|Peer(peer)| app.limits.proxies.whose(peer, request.headers()));
    let of_address = within(app, client.and_then(|Client(address)| app.rates.of_address(address, now)))?;
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    check_size(app, request)?;
    check_host(request)?;
    check_parameters(app, request)?;
    if FOR_WATCHERS.contains(&request.uri().path()) {
        return Ok(Admitted(of_address));
    }
    let user = Token::of(request.headers(), &app.engine).and_then(|token| {
        let user = user_of(app, token);
        request.extensions_mut().insert(Brought { token, is_worthless: matches!(user, Ok(None)) });
        user.ok().flatten()
    });
    let of_user = within(app, user.and_then(|user| app.rates.of_user(user, now)))?;
    if user.is_none() {
        within(app, app.rates.of_strangers(now))?;
    }
    within(app, app.rates.of_all(now))?;
    Ok(Admitted(of_user.or(of_address)))
}

/// Finds the user whose session has a token. Where the engine can't answer, the handler will say so.
fn user_of(app: &App, Token(token): Token) -> Result<Option<UserId>, Unavailable> {
    let now = app.engine.now();
    app.engine.peek(|state| state.session(token, now).map(|session| session.user))
}

/// Checks that somebody kept to a rate; a refusal is counted.
pub(crate) fn within(app: &App, standing: Option<Standing>) -> Result<Option<Standing>, Problem> {
    match standing {
        Some(standing) if standing.refused => {
            app.metrics.note_refused_by_rate(standing.which.name());
            Err(Problem::too_fast(standing))
        }
        standing => Ok(standing),
    }
}

/// Tells how somebody stands, where nothing else was told already.
pub(crate) fn tell(standing: &Standing, headers: &mut HeaderMap) {
    if !headers.contains_key(&LEFT) {
        headers.insert(POLICY, standing.policy.clone());
        headers.insert(LEFT, standing.field());
    }
}

fn check_size(app: &App, request: &Request) -> Result<(), Problem> {
    let (most_bytes, most_headers) = (app.limits.address_bytes, app.limits.headers);
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if address > most_bytes {
        return Err(Problem::too_much(Kind::AddressTooLong, most_bytes, "bytes"));
    }
    if request.headers().len() > most_headers {
        return Err(Problem::too_much(Kind::TooManyHeaders, most_headers, "header fields"));
    }
    Ok(())
}

/// A request names one host, once or twice the same: in its target, in Host, or in both (RFC 9112, 3.2; RFC 9113,
/// 8.3.1). Where two servers in a row understand different ones, one can be used to attack the other. Only HTTP/1.0 knew
/// requests without.
fn check_host(request: &Request) -> Result<(), Problem> {
    let invalid = |detail: &str| Err(Problem::saying(Kind::InvalidHost, detail));
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return invalid("there is more than one Host header");
    }
    let target = request.uri().authority();
    let Some(host) = host else {
        let needed = request.version() == Version::HTTP_11 || target.is_none();
        return if needed && request.version() > Version::HTTP_10 {
            invalid("the Host header is missing")
        } else {
            Ok(())
        };
    };
    let Some(host) = Authority::try_from(host.as_bytes()).ok().filter(is_host) else {
        return invalid("the Host header is not a host");
    };
    if target.is_some_and(|target| *target != host) {
        return invalid("the Host header is not the host of the address");
    }
    Ok(())
}

/// The parameter that asked for a dry run in version 0.1.0: told apart, so that who still sends it learns the new address.
const DRY_RUN: &str = "dry_run";

/// A parameter that an address does not know is a mistake, and may be a costly one: `?dryrun=true` would pay.
fn check_parameters(app: &App, request: &Request) -> Result<(), Problem> {
    let Some(route) = request.extensions().get::<MatchedPath>().filter(|_| request.uri().query().is_some()) else {
        return Ok(());
    };
    // The handler will say so where a parameter can't be read.
    let Ok(Query(sent)) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()) else { return Ok(()) };
    let Some(unknown) = app.parameters.unknown(request.method(), route.as_str(), &sent) else { return Ok(()) };
    if unknown == DRY_RUN && request.method() != Method::GET {
        return Err(Problem::of(Kind::NoDryRun).in_field(DRY_RUN));
    }
    Err(Problem::field(unknown, "this address knows no such parameter"))
}

/// The query parameters of every operation, as they are described.
pub(crate) struct Parameters(HashMap<String, Vec<String>>);

impl Parameters {
    /// Those of a description.
    pub(crate) fn of(description: &Value) -> Self {
        let paths = description["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, item)| {
            let each = item.as_object().into_iter().flatten();
            each.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        });
        let in_query = |operation: &Value| {
            let all = operation["parameters"].as_array().into_iter().flatten();
            let query = all.filter(|parameter| parameter["in"] == "query");
            query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
        };
        Self(operations.map(|(name, operation)| (name, in_query(operation))).collect())
    }

    /// The first of those sent that an operation doesn't know. Pages know none and mind none.
    fn unknown<'a>(&self, method: &Method, route: &str, sent: &'a [(String, String)]) -> Option<&'a str> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let known = self.0.get(&format!("{method} {route}")).filter(|_| route.starts_with("/v1/"))?;
        sent.iter().map(|(name, _)| name.as_str()).find(|name| !known.iter().any(|known| known == name))
    }
}

/// The name of the host that a request is for, without its port, where it has a name: an address of the network is none,
/// and `localhost` is everybody's own.
pub(crate) fn host_name(request: &Request) -> Option<String> {
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
