//! The metrics that a monitor reads at `/metrics`: the requests, connections and sign-ins counted here, and what the
//! engine counts. In the text format of Prometheus, version 0.0.4, which all monitors read, or as OpenMetrics 1.0 for
//! those that would rather have that. Times are in seconds, sizes in bytes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use edge::{Counts, accepted, weight};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service::Service;

use crate::app::App;
use crate::description::strings;
use crate::problem::Problem;

/// The bounds of the time of a request, in seconds: from a read in memory to a sign-in in a queue.
const SECONDS: [f64; 11] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];

/// Labels that tell requests apart. The route is the template, not the address, so that there are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// Outcome of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignInLabels {
    result: &'static str,
}

/// Label of the rate by which a request was refused.
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
    pub(crate) fn new(service: Service, counts: Arc<Counts>) -> Self {
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
        registry.register_collector(Box::new(Elsewhere { service, counts }));
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

/// Figures that are counted elsewhere, and asked for when a monitor reads.
struct Elsewhere {
    service: Service,
    counts: Arc<Counts>,
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
        metric("event_streams", "Streams of events open", &gauge(self.service.events().open() as u64))?;
        metric("events_sent", "Events sent on all streams", &ConstCounter::new(self.service.events().sent()))?;
        let measures = self.service.engine().measures();
        metric("up", "1 while the engine serves", &gauge(u64::from(measures.is_ok())))?;
        let Ok(measures) = measures else { return Ok(()) };
        metric("last_event", "The number of the last durable event", &gauge(measures.last_event))?;
        metric("commands", "Commands decided", &ConstCounter::new(measures.commands))?;
        metric("refusals", "Commands refused", &ConstCounter::new(measures.refusals))?;
        metric("runs", "Runs made durable", &ConstCounter::new(measures.runs))?;
        metric("busy", "Commands turned away because the queue was full", &ConstCounter::new(measures.busy))?;
        let append = ConstCounter::new(Duration::from_micros(measures.append_us).as_secs_f64());
        metric("append_seconds", "Time spent making runs durable, in seconds", &append)?;
        metric("journal_log_bytes", "Size of the journal's write-ahead log, in bytes", &gauge(measures.log_bytes))?;
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

/// Media types of the two formats.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Tells what the server and the bank count.
///
/// In the text format of Prometheus; as OpenMetrics for whoever prefers that by the header field `Accept`. Times are in
/// seconds, sizes in bytes.
#[utoipa::path(
    get, path = "/metrics", tag = "Operation", security(()),
    responses((
        status = 200, description = "The counts",
        headers(("Vary" = String, description = "`Accept`: the format depends on it.")),
        content((strings::PlainText = "text/plain"), (strings::PlainText = "application/openmetrics-text")),
    )),
)]
pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut counts = String::new();
    text::encode(&mut counts, &app.metrics.registry).map_err(|error| Problem::failed(&error))?;
    let (content_type, counts) =
        if prefers_open_metrics(&headers) { (OPEN_METRICS, counts) } else { (TEXT, as_text(&counts)) };
    Ok(([(CONTENT_TYPE, content_type), (VARY, "Accept")], counts).into_response())
}

/// Returns `true` if a client would rather have OpenMetrics. One that likes both as much, or says nothing, gets the
/// older format.
fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = accepted(headers);
    weight(&accepted, "application", "openmetrics-text") > weight(&accepted, "text", "plain")
}

/// OpenMetrics as the text format 0.0.4. There a counter's help and type stand under the name of its samples, which ends
/// with `_total`; a unit and an end are not told.
fn as_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), told) => help = Some(told.unwrap_or_default()),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
                if let Some(help) = help.take() {
                    text.push_str(&format!("# HELP {name} {help}\n"));
                }
                text.push_str(&format!("# TYPE {name} {kind}\n"));
            }
            (Some("#"), Some("UNIT" | "EOF"), ..) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;

    use super::*;

    #[test]
    fn which_format_is_sent() {
        // The second is what Prometheus 2.42 asks for, the third what it asks for when OpenMetrics is turned off.
        for (accept, expected) in [
            ("", false),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                true,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", false),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text; q=0.4, text/plain; q=0.5", false),
            ("application/openmetrics-text;q=0, */*", false),
            ("application/openmetrics-text, text/plain", false),
            ("application/*", true),
            ("application/json", false),
            ("text/html, */*;q=0.8", false),
            ("*/*", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_open_metrics(&headers), expected, "{accept}");
        }
        assert!(!prefers_open_metrics(&HeaderMap::new()));
    }

    #[test]
    fn the_older_format() {
        let open_metrics = "# HELP kassa_busy Commands turned away.\n# TYPE kassa_busy counter\nkassa_busy_total 7\n\
            # HELP kassa_http_request_seconds Requests.\n# TYPE kassa_http_request_seconds histogram\n\
            # UNIT kassa_http_request_seconds seconds\n\
            kassa_http_request_seconds_bucket{le=\"0.5\",route=\"/a b\"} 1\n# EOF\n";
        let text = "# HELP kassa_busy_total Commands turned away.\n# TYPE kassa_busy_total counter\nkassa_busy_total 7\n\
            # HELP kassa_http_request_seconds Requests.\n# TYPE kassa_http_request_seconds histogram\n\
            kassa_http_request_seconds_bucket{le=\"0.5\",route=\"/a b\"} 1\n";
        assert_eq!(as_text(open_metrics), text);
    }
}
