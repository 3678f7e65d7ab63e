//! The HTTPS interface: REST under `/v1`, its OpenAPI description, health, metrics, and a page for people who come by.
//!
//! A request goes in three hops: the accept loop ([`listen`]) hands it to the route's handler; the handler checks what
//! was sent, finds out who asks, seals what is personal and submits one command to the engine; the engine decides.
//! Every refusal is a problem document (RFC 9457), and every limit is named in [`Limits`].
//!
//! A file per subject holds its routes, what they take and what they answer. No business rule is decided here.

mod accept;
mod accounts;
mod admission;
mod amounts;
mod app;
mod balances;
mod batches;
mod bookings;
mod caching;
mod cash;
mod clock;
mod customer_accounts;
mod customers;
mod deprecation;
mod description;
mod docs;
mod endless;
mod entries;
mod events;
mod extract;
mod guard;
mod health;
mod holds;
pub mod listen;
mod metadata;
mod metrics;
mod openapi;
mod pages;
mod payment_list;
mod payments;
mod problem;
mod proxies;
mod rates;
mod rights;
mod said;
mod settings;
mod sign_in;
mod statement;
mod strings;
mod times;
mod trial_balance;
mod undo;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use engine::Engine;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

pub use endless::Endless;
pub use openapi::openapi;
pub use problem::slugs;
pub use service::{is_control, password};
pub use settings::{ForwardedField, Limits, Network, NetworkError, Proxies, Rate, ServeError, Settings};

use app::App;
use listen::{Certificate, Counts};

/// A server that has its address and certificate, and has not begun to serve.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Certificate,
    router: Router,
    limits: Limits,
    counts: Arc<Counts>,
}

impl Server {
    /// Reads the certificate and takes the address, so that what is wrong is told before anything is served.
    pub async fn bind(settings: Settings, engine: Engine) -> Result<Self, ServeError> {
        Self::bind_with(settings, engine, Router::new()).await
    }

    /// Does as [`Server::bind`], with further routes behind the same limits: those of a benchmark, which compares them
    /// with ours.
    pub async fn bind_with(settings: Settings, engine: Engine, more: Router) -> Result<Self, ServeError> {
        let tls = Arc::new(listen::tls(&settings.certificate, &settings.private_key)?);
        let certificate = Certificate::from(tls);
        let counts = Arc::new(Counts::default());
        let router = router(&settings, engine, &counts, more)?;
        let taken = |source| ServeError::Bind { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        Ok(Self { listener, address, certificate, router, limits: settings.limits, counts })
    }

    /// The address that was taken: the one asked for, with the port that the system chose where 0 was asked.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that it serves with, to be replaced while it does.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }

    /// Serves until `stop` resolves; then accepts nothing more, lets requests in flight finish for
    /// [`Limits::stop`], and closes.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.run_on(&[], stop).await;
    }

    /// Does as [`Server::run`], with each connection on one of the runtimes of `workers` for its whole life, so that
    /// what it needs stays in the cache of one processor.
    pub async fn run_on(self, workers: &[Handle], stop: impl Future<Output = ()>) {
        tracing::info!(address = %self.address, "serving HTTPS");
        listen::serve(self.listener, self.certificate, self.router, &self.limits, &self.counts, workers, stop).await;
    }
}

/// All routes over an engine, and `more`, for [`listen::serve`] or for a test without a network. `counts` are those of
/// the accept loop, for the metrics.
pub fn router(settings: &Settings, engine: Engine, counts: &Arc<Counts>, more: Router) -> Result<Router, ServeError> {
    let (routes, description) = openapi::routes();
    let app = App::new(settings, engine, Arc::clone(counts), &description)?;
    Ok(routes
        .merge(more.with_state(()))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(settings.limits.body_bytes))
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app))
}
