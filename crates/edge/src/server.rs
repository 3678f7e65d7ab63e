//! A server: its address, its certificate, its guard, and a router to serve.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::accept_loop;
use crate::guard::Guard;
use crate::settings::{ServeError, Settings};
use crate::tls::Certificate;

/// A server that has its address and certificate, and has not begun to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Certificate,
    guard: Arc<Guard>,
}

impl Server {
    /// Reads the certificate and takes the address, so that what is wrong is told before anything is served.
    ///
    /// # Errors
    ///
    /// Fails if the certificate or its key can't be used, or the address can't be taken.
    pub async fn bind(settings: Settings) -> Result<Self, ServeError> {
        let certificate = Certificate::read(&settings.certificate, &settings.private_key)?;
        let taken = |source| ServeError::Bind { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        Ok(Self { listener, address, certificate, guard: Arc::new(Guard::new(settings.limits)) })
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

    /// The guard for the routes that it will serve.
    #[must_use]
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Serves a router until `stop` resolves; then accepts nothing more, lets requests in flight finish for
    /// [`Limits::stop`](crate::Limits::stop), and closes.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) {
        self.run_on(router, &[], stop).await;
    }

    /// Does as [`Server::run`], with each connection on one of the runtimes of `workers` for its whole life, so that
    /// what it needs stays in the cache of one processor.
    pub async fn run_on(self, router: Router, workers: &[Handle], stop: impl Future<Output = ()>) {
        tracing::info!(address = %self.address, "serving HTTPS");
        let (limits, counts) = (self.guard.limits(), self.guard.counts());
        accept_loop::serve(self.listener, self.certificate, router, limits, counts, workers, stop).await;
    }
}
