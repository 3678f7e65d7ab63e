//! The layer around every request: its admission, its time, its count in the metrics, the headers that every answer
//! carries, and an answer even when a handler panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::admission::{self, Admitted};
use crate::app::App;
use crate::caching::Asked;
use crate::deprecation::{self, DEPRECATED};
use crate::problem::{Kind, Problem};

/// On every answer, where the handler says nothing else.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// On every answer under a name. A year of HTTPS only is what browsers' lists ask for. Said of `localhost`, it would keep
/// browsers from all else that is served on this machine, so it is not, and for an address it would mean nothing.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Runs a request within its time, if it may come in.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let asked = Asked::of(&request);
    let has_name = admission::host_name(&request).is_some();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = match admission::admit(&app, &mut request, started) {
        Ok(Admitted(standing)) => {
            let mut response = run(&app, request, next).await;
            if let Some(asked) = asked {
                response = asked.answer(response).await;
            }
            if let Some(standing) = standing {
                admission::tell(&standing, response.headers_mut());
            }
            response
        }
        Err(problem) => problem.into_response(),
    };
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.note_request(&method, route, response.status(), started.elapsed());
    deprecation::mark(DEPRECATED, method.as_str(), route, response.headers_mut());
    add_headers(response.headers_mut());
    if has_name {
        response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert(HTTPS_ONLY);
    }
    response
}

async fn run(app: &App, request: Request, next: Next) -> Response {
    match timeout(app.limits.request, caught(next.run(request))).await {
        Ok(Some(response)) => response,
        Ok(None) => Problem::failed(&"a handler panicked").into_response(),
        Err(_) => Problem::of(Kind::TimedOut).into_response(),
    }
}

fn add_headers(headers: &mut HeaderMap) {
    headers.reserve(HEADERS.len());
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// A handler's answer; none if it panicked. What it had in hand is dropped, and the locks that a panic could leave in
/// disorder are the engine's, which watches them.
async fn caught(answer: impl Future<Output = Response>) -> Option<Response> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught() {
        assert!(caught(async { panic!("on purpose") }).await.is_none());
        assert!(caught(async { ().into_response() }).await.is_some());
    }
}
