//! The HTTPS interface: REST under `/v1`, its OpenAPI description, health, metrics, and a page for people who come by.
//!
//! A request goes in a few hops: the accept loop (of [`edge`]) hands it to the route's handler; the handler checks the form
//! of what was sent and asks the [`service`], which finds out who asks, seals what is personal and submits one command to the
//! engine; the engine decides.
//! Every refusal is a problem document (RFC 9457), and every limit is named in [`Limits`] or in
//! [`edge::Limits`].
//!
//! A folder or file per subject holds its routes, what they take and what they answer; what they do is the
//! [`service`]'s. No business rule is decided here.

// A new event, refusal or fault must be looked at wherever they are told apart.
#![deny(clippy::wildcard_enum_match_arm)]

mod access;
mod accounts;
mod admission;
mod amounts;
mod app;
mod caching;
mod description;
mod events;
mod extract;
mod guard;
mod holds;
mod payments;
mod problem;
mod said;
mod section;
mod settings;
mod system;
mod times;
mod version_0;

use std::sync::Arc;

use axum::Router;
use edge::Guard;
use engine::Engine;

pub use description::openapi::openapi;
pub use payments::batches::{line_form, read_line};
pub use problem::slugs;
pub use section::SETTINGS;
pub use settings::{Limits, ServeError, Settings};
pub use version_0::form_of_version_0;

use app::App;

/// All routes over an engine, and `more`, for an [`edge::Server`] whose guard it is, or for a test without a network.
/// `more` are behind the same limits: those of a benchmark, which compares them with ours.
///
/// # Errors
///
/// Fails if cryptography does not work on this machine.
pub fn router(settings: &Settings, engine: Engine, guard: &Arc<Guard>, more: Router) -> Result<Router, ServeError> {
    let (routes, description) = description::openapi::routes();
    let app = App::new(settings, engine, Arc::clone(guard), &description)?;
    Ok(routes
        .merge(more.with_state(()))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app))
}
