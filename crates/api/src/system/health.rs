//! Liveness and readiness of the server: for whoever restarts it or sends it work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bank::Refusal;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::{Kind, Problem};

/// Time that a read may take before the server is not called ready: a disk that syncs slower serves nobody.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Answer of a health check where all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `live` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Tells whether the program runs.
///
/// It asks nothing of the bank.
#[utoipa::path(
    get, path = "/health/live", tag = "Operation", security(()),
    responses((status = 200, description = "It runs", body = Health)),
)]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "live" })
}

/// Tells whether the bank can serve.
///
/// A 503 says why not.
#[utoipa::path(
    get, path = "/health/ready", tag = "Operation", security(()),
    responses((status = 200, description = "It can serve", body = Health)),
    extensions(("x-refusals" = json!([
        "stopping", "unavailable", "not-founded", "disk-full", "disk-read-only", "memory-full", "clock-jumped",
        "busy",
    ]))),
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Health>, Problem> {
    let read = timeout(READY_WITHIN, app.engine().read(|state| state.founding().is_some())).await;
    let founded = read.map_err(|_| Problem::saying(Kind::Unavailable, "the journal is slower than it may be"))??;
    app.engine().writable()?;
    if founded { Ok(Json(Health { status: "ready" })) } else { Err(Refusal::NotFounded.into()) }
}
