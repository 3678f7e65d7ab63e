//! The layer around every request: its admission, its time, its count in the metrics, the headers that every answer
//! carries, and an answer even when a handler panics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::admission::{self, Admitted};
use crate::app::App;
use crate::caching::Asked;
use crate::description::deprecation::{self, DEPRECATED};
use crate::problem::Problem;

/// Runs a request within its time, if it may come in.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let asked = Asked::of(&request);
    let has_name = edge::host_name(&request).is_some();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = match admission::admit(&app, &mut request, started) {
        Ok(Admitted(quota)) => {
            let answered = app.guard.run(next.run(request)).await;
            let mut response = answered.unwrap_or_else(|refusal| Problem::from(refusal).into_response());
            if let Some(asked) = asked {
                response = asked.answer(response).await;
            }
            if let Some(quota) = quota {
                quota.tell(response.headers_mut());
            }
            response
        }
        Err(problem) => problem.into_response(),
    };
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.note_request(&method, route, response.status(), started.elapsed());
    deprecation::mark(DEPRECATED, method.as_str(), route, response.headers_mut());
    edge::protect(response.headers_mut(), has_name);
    response
}
