//! State shared by all handlers: the service, what HTTP needs beside it, and the answers to writes.
//!
//! It holds the metrics, the documents and the known parameters, whose handlers take it as their state; and `problem.rs`
//! speaks in the forms of `amounts.rs` and `description/strings.rs`, which have problems of their own. Such circles between files
//! are here on purpose: each part is read by itself.

use std::ops::Deref;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bank::{Channel, State};
use edge::Guard;
use engine::Engine;
use serde::Serialize;
use serde_json::Value;
use service::{Fault, Keyed, Meaning, Service, SignedIn};

use crate::admission::Parameters;
use crate::description::docs::Docs;
use crate::extract::{IdempotencyKey, Token};
use crate::problem::{Problem, REPLAYED};
use crate::system::metrics::Metrics;
use crate::version_0::form_of_version_0;
use crate::{Limits, ServeError, Settings};

/// Room for an ordinary answer in JSON, in bytes, so that it is not moved while it grows.
const ORDINARY_BYTES: usize = 512;

/// Room for the header fields that an answer gets on its way.
const HEADER_FIELDS: usize = 12;

/// State shared by all handlers. Cloning gives another handle on the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) service: Service,
    pub(crate) metrics: Metrics,
    /// The description of the interface, as it is served.
    pub(crate) description: Bytes,
    pub(crate) docs: Docs,
    pub(crate) parameters: Parameters,
    pub(crate) guard: Arc<Guard>,
    pub(crate) limits: Limits,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    pub(crate) fn new(
        settings: &Settings,
        engine: Engine,
        guard: Arc<Guard>,
        description: &Value,
    ) -> Result<Self, ServeError> {
        let (docs, parameters) = (Docs::new(description), Parameters::of(description));
        let description = description.to_string();
        let limits = &settings.limits;
        let service = service::Settings {
            session_ms: i64::from(settings.session_minutes) * 60_000,
            password_workers: limits.password_workers,
            passwords_waiting: limits.passwords_waiting,
            passwords_expected: limits.passwords_expected,
            event_streams: limits.event_streams,
            event_streams_per_user: limits.event_streams_per_user,
            event_readers: limits.event_readers,
            batches: limits.batches,
            batches_per_user: limits.batches_per_user,
            hold_days: limits.hold_days,
        };
        let service = Service::new(engine, service, Channel::Api, form_of_version_0);
        let service = service.map_err(|error| ServeError::Cryptography(error.to_string()))?;
        Ok(Self(Arc::new(Parts {
            metrics: Metrics::new(service.clone(), Arc::clone(guard.counts())),
            description: description.into(),
            docs,
            parameters,
            guard,
            limits: settings.limits.clone(),
            service,
        })))
    }

    /// The engine under the service.
    pub(crate) fn engine(&self) -> &Engine {
        self.service.engine()
    }

    /// Reads what a caller asks to see. It is durable when it is given.
    pub(crate) async fn read<T>(
        &self,
        Token(token): Token,
        read: impl FnOnce(&State, &SignedIn) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.service.read(token, read).await
    }

    /// Finds out who asks, and looks up what a command needs, without waiting.
    pub(crate) fn prepare<T>(
        &self,
        Token(token): Token,
        look: impl FnOnce(&State, &SignedIn) -> Result<T, Fault>,
    ) -> Result<(SignedIn, T), Fault> {
        self.service.prepare(token, look)
    }
}

/// A write as it was asked for: what it means is what its key stands for.
pub(crate) fn keyed<'a>(Token(token): Token, key: &'a IdempotencyKey, meaning: Meaning<'a>) -> Keyed<'a> {
    Keyed { token, key: &key.key, meaning, dry_run: key.dry_run }
}

/// The answer to a write that made something, with its address.
pub(crate) fn created(is_repeated: bool, location: &str, body: impl Serialize) -> Response {
    let mut text = Vec::with_capacity(ORDINARY_BYTES);
    if let Err(error) = serde_json::to_writer(&mut text, &body) {
        return Problem::failed(&error).into_response();
    }
    let mut response = Response::new(text.into());
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.reserve(HEADER_FIELDS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(LOCATION, location);
    }
    marked(is_repeated, response)
}

/// The answer to a write that changed something.
pub(crate) fn changed(is_repeated: bool, body: impl Serialize) -> Response {
    marked(is_repeated, Json(body).into_response())
}

/// The answer to a write after which there is nothing to show.
pub(crate) fn removed(is_repeated: bool) -> Response {
    marked(is_repeated, StatusCode::NO_CONTENT.into_response())
}

/// Marks an answer that was given before under the same key.
fn marked(is_repeated: bool, mut response: Response) -> Response {
    if is_repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
