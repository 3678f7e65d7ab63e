//! Admission of requests. A request that can be refused from its head alone is refused here, before its handler runs or
//! its body is read: for what the edge refuses, for a parameter that its address doesn't know, and for the rate of its
//! user, whom its token tells.

use std::collections::HashMap;
use std::time::Instant;

use axum::extract::{MatchedPath, Query, Request};
use axum::http::Method;
use bank::UserId;
use edge::{Quota, Refused};
use engine::Unavailable;
use serde_json::Value;

use crate::app::App;
use crate::extract::{Brought, Token};
use crate::problem::{Kind, Problem};

/// The addresses for whoever watches the server: they must answer also when it has too much to do.
pub(crate) const FOR_WATCHERS: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

/// Quota of whoever was let in, against the limits on rates: by their user, or by their address where no user is
/// known. None where nothing limits.
pub(crate) struct Admitted(pub(crate) Option<Quota>);

/// Lets a request in, and hands its token on in its extensions. What costs the least to look at comes first; the rate of
/// all comes last, so that who is refused takes nothing from the others.
pub(crate) fn admit(app: &App, request: &mut Request, now: Instant) -> Result<Admitted, Problem> {
    let of_address = app.guard.admit(request, now).map_err(|refusal| refused(app, refusal))?;
    check_parameters(app, request)?;
    if FOR_WATCHERS.contains(&request.uri().path()) {
        return Ok(Admitted(of_address));
    }
    let user = Token::of(request.headers(), app.engine()).and_then(|token| {
        let user = user_of(app, token);
        request.extensions_mut().insert(Brought { token, is_worthless: matches!(user, Ok(None)) });
        user.ok().flatten()
    });
    let number = user.map(|UserId(number)| number.into());
    let of_user = app.guard.count(number, now).map_err(|refusal| refused(app, refusal))?;
    Ok(Admitted(of_user.or(of_address)))
}

/// Finds the user whose session has a token. Where the engine can't answer, the handler will say so.
fn user_of(app: &App, Token(token): Token) -> Result<Option<UserId>, Unavailable> {
    let now = app.engine().now();
    app.engine().peek(|state| state.session(token, now).map(|session| session.user))
}

/// The problem with what the edge refused. Refusals by a rate are counted.
pub(crate) fn refused(app: &App, refusal: Refused) -> Problem {
    if let Refused::TooFast(quota) = &refusal {
        app.metrics.note_refused_by_rate(quota.which.name());
    }
    refusal.into()
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
