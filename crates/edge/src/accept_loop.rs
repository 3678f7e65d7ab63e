//! The accept loop: it gives each connection that comes its place, and a worker to be served on for its whole life, until
//! the server stops. It serves any router.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connection::Shared;
use crate::counts::{ConnectionSlot, Counts};
use crate::peer::Peer;
use crate::settings::Limits;
use crate::tls::Certificate;

/// Time that accepting rests when the system has no more sockets to give; trying at once would only take a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `stop` resolves. Then nothing more is accepted, requests in flight have
/// [`Limits::stop`] to finish, and what is left is cut. Each connection is served on one of the `workers` for its whole
/// life; on the caller's runtime where there are none.
pub(crate) async fn serve(
    listener: TcpListener,
    certificate: Certificate,
    router: Router,
    limits: &Limits,
    counts: &Arc<Counts>,
    workers: &[Handle],
    stop: impl Future<Output = ()>,
) {
    let shared = Arc::new(Shared::new(certificate, router, limits));
    let mut workers: Vec<Worker> = workers.iter().cloned().map(Worker::new).collect();
    if workers.is_empty() {
        workers.push(Worker::new(Handle::current()));
    }
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let least_busy = workers.iter().min_by_key(|worker| worker.connections());
                    if let (Some(worker), Some(place)) = (least_busy, counts.admit(peer.ip(), limits)) {
                        let connection = worker.connection(Arc::clone(&shared), stream, Peer(peer.ip()), place, counts);
                        connections.spawn_on(connection, &worker.runtime);
                    }
                }
                Err(error) if of_one_connection(&error) => tracing::debug!(%error, "a connection was gone at once"),
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for a moment");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    counts.stop();
    let finished = timeout(limits.stop, async { while connections.join_next().await.is_some() {} });
    if finished.await.is_err() {
        tracing::warn!(connections = connections.len(), "connections that did not finish in time are cut");
    }
    connections.shutdown().await;
}

/// Returns `true` if an error of accepting concerns the one connection only, and not the system's ability to accept.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A runtime that serves connections, each for its whole life: so that what a connection needs stays in the cache of one
/// processor.
struct Worker {
    runtime: Handle,
    /// Each of its connections holds it.
    busy: Arc<()>,
}

impl Worker {
    fn new(runtime: Handle) -> Self {
        Self { runtime, busy: Arc::new(()) }
    }

    fn connections(&self) -> usize {
        Arc::strong_count(&self.busy) - 1
    }

    /// One connection, to be served on this worker, from handshake to end.
    fn connection(
        &self,
        shared: Arc<Shared>,
        stream: TcpStream,
        peer: Peer,
        place: ConnectionSlot,
        counts: &Counts,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (stream, stopped, busy) = (stream.into_std(), counts.stops(), Arc::clone(&self.busy));
        async move {
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => shared.connection(stream, peer, stopped).await,
                Err(error) => tracing::warn!(%error, "a connection could not be given to a worker"),
            }
            // Before its place is free for another, so that this one finds the worker as it is.
            drop(busy);
            drop(place);
        }
    }
}
