//! What a monitor reads: the requests, connections and sign-ins counted here, and what the engine counts. In the
//! OpenMetrics text format, at `/metrics`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;
use crate::events::Desk;
use crate::listen::Counts;
use crate::problem::Problem;
use crate::strings;

/// The bounds of the time of a request, in seconds: from a read in memory to a sign-in in a queue.
const SECONDS: [f64; 11] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];

/// How requests are told apart. The route is the template, not the address, so that there are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// What became of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignInLabels {
    result: &'static str,
}

/// By which rate a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RateLabels {
    rate: &'static str,
}

/// The counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    sign_ins: Family<SignInLabels, Counter>,
    refused_by_rate: Family<RateLabels, Counter>,
}

impl Metrics {
    pub(crate) fn new(engine: Engine, counts: Arc<Counts>, events: Arc<Desk>) -> Self {
        let mut registry = Registry::with_prefix("kassa");
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let requests = Family::new_with_constructor(histogram);
        let help = "HTTP requests, by method, route and status, and the time they took";
        registry.register_with_unit("http_request", help, Unit::Seconds, requests.clone());
        let sign_ins = Family::default();
        registry.register("sign_ins", "Sign-ins, by result", sign_ins.clone());
        let refused_by_rate = Family::default();
        let help = "Requests refused because too many came, by which rate";
        registry.register("refused_by_rate", help, refused_by_rate.clone());
        registry.register_collector(Box::new(Elsewhere { engine, counts, events }));
        Self { registry, requests, sign_ins, refused_by_rate }
    }

    /// Notes a request that was answered.
    pub(crate) fn note_request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = RequestLabels { method: known(method), route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Notes a sign-in.
    pub(crate) fn note_sign_in(&self, result: &'static str) {
        self.sign_ins.get_or_create(&SignInLabels { result }).inc();
    }

    /// Notes a request that was refused because too many came.
    pub(crate) fn note_refused_by_rate(&self, rate: &'static str) {
        self.refused_by_rate.get_or_create(&RateLabels { rate }).inc();
    }
}

/// A client can make up methods; those that no route has are one.
fn known(method: &Method) -> &'static str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS];
    let names = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
    known.iter().position(|known| known == method).map_or("other", |place| names[place])
}

/// What is counted elsewhere, and asked for when a monitor reads.
struct Elsewhere {
    engine: Engine,
    counts: Arc<Counts>,
    events: Arc<Desk>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Elsewhere").finish_non_exhaustive()
    }
}

impl Collector for Elsewhere {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = |name, help, metric: &dyn Encode| metric.encode_as(&mut encoder, name, help);
        let gauge = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        metric("connections", "Connections open", &gauge(self.counts.open() as u64))?;
        metric("connections_accepted", "Connections accepted", &ConstCounter::new(self.counts.accepted()))?;
        let refused = ConstCounter::new(self.counts.turned_away());
        metric("connections_turned_away", "Connections closed at once because there were too many", &refused)?;
        metric("event_streams", "Streams of events open", &gauge(self.events.open() as u64))?;
        metric("events_sent", "Events sent on all streams", &ConstCounter::new(self.events.sent()))?;
        let measures = self.engine.measures();
        metric("up", "1 while the engine serves", &gauge(u64::from(measures.is_ok())))?;
        let Ok(measures) = measures else { return Ok(()) };
        metric("last_event", "The number of the last durable event", &gauge(measures.last_event))?;
        metric("commands", "Commands decided", &ConstCounter::new(measures.commands))?;
        metric("refusals", "Commands refused", &ConstCounter::new(measures.refusals))?;
        metric("runs", "Runs made durable", &ConstCounter::new(measures.runs))?;
        metric("busy", "Commands turned away because the queue was full", &ConstCounter::new(measures.busy))?;
        metric("append_microseconds", "Time spent making runs durable", &ConstCounter::new(measures.append_us))?;
        metric("journal_log_bytes", "Size of the journal's write-ahead log", &gauge(measures.log_bytes))?;
        metric("accounts", "Accounts, open or closed", &gauge(measures.accounts))?;
        metric("holds", "Holds open", &gauge(measures.holds))?;
        metric("sessions", "Sessions not closed", &gauge(measures.sessions))
    }
}

/// A metric of either type, written under a name.
trait Encode {
    fn encode_as(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
}

impl<M: EncodeMetric> Encode for M {
    fn encode_as(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

/// Tells what the server and the bank count.
///
/// In the OpenMetrics text format, for Prometheus and others.
#[utoipa::path(
    get, path = "/metrics", tag = "Operation", security(()),
    responses((status = 200, description = "The counts", body = strings::PlainText, content_type = "application/openmetrics-text")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let mut counts = String::new();
    text::encode(&mut counts, &app.metrics.registry).map_err(|error| Problem::failed(&error))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], counts).into_response())
}
