//! The accept loop: TCP, TLS, HTTP/1.1 and HTTP/2, and the limits that keep a slow or greedy client from harming
//! others. It serves any router, and knows nothing of the bank.
//!
//! A client that is too slow is cut in each of its ways: the handshake and the header have their time; a body arrives
//! within its own time and that of its request (which the router keeps); a connection without requests, or with an
//! answer that is not taken, is asked to close and then closed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use crate::{Limits, ServeError};

/// How long accepting rests when the system has no more sockets to give; trying at once would only take a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a stream, and all streams of a connection together, may send before it is read: HTTP/2's own default. Bodies
/// are small and read at once, so more would only let a client fill the memory.
const WINDOW_BYTES: u32 = 65_535;

/// TLS 1.3 and 1.2 with a certificate and its key, offering HTTP/2 and HTTP/1.1.
pub fn tls(certificate: &Path, private_key: &Path) -> Result<ServerConfig, ServeError> {
    let bad_certificate = |reason: String| ServeError::Certificate { path: certificate.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(bad_certificate("there is none in the file".into()));
    }
    let bad_key = |reason: String| ServeError::PrivateKey { path: private_key.to_owned(), reason };
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| bad_key(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| ServeError::Cryptography(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad_key(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves `router` on `listener` until `stop` resolves. Then nothing more is accepted, requests in flight have
/// [`Limits::stop`] to finish, and what is left is cut.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: &Limits,
    counts: &Arc<Counts>,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        acceptor: TlsAcceptor::from(tls),
        http1: builder(limits).http1_only(),
        http2: builder(limits).http2_only(),
        router,
        limits: limits.clone(),
    });
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(place) = counts.admit(peer.ip(), limits) {
                        connections.spawn(Arc::clone(&shared).connection(stream, place, stopped.clone()));
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
    stopping.send_replace(true);
    let finished = timeout(limits.stop, async { while connections.join_next().await.is_some() {} });
    if finished.await.is_err() {
        tracing::warn!(connections = connections.len(), "connections that did not finish in time are cut");
    }
    connections.shutdown().await;
}

/// Whether an error of accepting concerns the one connection only, and not the system's ability to accept.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        // hyper's least is 8 KiB.
        .max_buf_size(header_bytes.max(8 * 1024))
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.header_read)
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.streams_taken_back)
        .max_local_error_reset_streams(limits.streams_in_error)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(limits.header_bytes);
    builder
}

/// What every connection uses.
struct Shared {
    acceptor: TlsAcceptor,
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
    router: Router,
    limits: Limits,
}

impl Shared {
    /// One connection from handshake to end.
    async fn connection(self: Arc<Self>, stream: TcpStream, place: Place, mut stopped: watch::Receiver<bool>) {
        // Without it the system may hold a small answer back, waiting for more to send; nothing breaks if it can't be.
        let _ = stream.set_nodelay(true);
        let handshake = timeout(self.limits.handshake, self.acceptor.accept(stream));
        let stream = tokio::select! {
            handshake = handshake => match handshake {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => return tracing::debug!("a TLS handshake took too long"),
            },
            () = told(&mut stopped) => return,
        };
        self.requests(stream, Peer(place.address), stopped).await;
        drop(place);
    }

    /// The requests of a connection.
    async fn requests(&self, stream: TlsStream<TcpStream>, peer: Peer, mut stopped: watch::Receiver<bool>) {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let builder = if http2 { &self.http2 } else { &self.http1 };
        let activity = Arc::new(Activity::default());
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let busy = Busy::begin(&activity);
            let answer = self.router.clone().call(request);
            async move {
                let answer: Result<axum::response::Response, Infallible> = answer.await;
                drop(busy);
                answer
            }
        });
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = serving.as_mut() => return log_end(ended),
            () = told(&mut stopped) => {}
            () = activity.none_for(self.limits.idle, self.limits.header_read) => {}
        }
        serving.as_mut().graceful_shutdown();
        match timeout(self.limits.idle.max(self.limits.request), serving).await {
            Ok(ended) => log_end(ended),
            Err(_) => tracing::debug!("a connection that would not close was cut"),
        }
    }
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended in an error");
    }
}

/// Resolves when the server is stopping.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that the accept loop is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Whether requests come.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request being answered.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// Resolves when no request was begun or being answered for at least `idle`, or when the first does not come
    /// within `first`.
    async fn none_for(&self, idle: Duration, first: Duration) {
        sleep(first).await;
        let mut begun = self.begun.load(Ordering::Relaxed);
        if begun == 0 {
            return;
        }
        loop {
            sleep(idle).await;
            let now = self.begun.load(Ordering::Relaxed);
            if now == begun && self.ended.load(Ordering::Relaxed) == now {
                return;
            }
            begun = now;
        }
    }
}

/// How many connections there are, in all and by address, and how many were turned away.
#[derive(Debug, Default)]
pub struct Counts {
    open: Mutex<HashMap<IpAddr, usize>>,
    accepted: AtomicU64,
    turned_away: AtomicU64,
}

/// A connection's place among those allowed; dropping it makes room.
struct Place {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Counts {
    /// The connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.by_address().values().sum()
    }

    /// The connections accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The connections closed at once because there were too many.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().expect("no thread panics while it counts connections")
    }

    fn admit(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let address = network(address);
        let mut by_address = self.by_address();
        let open: usize = by_address.values().sum();
        let here = by_address.get(&address).copied().unwrap_or(0);
        if open >= limits.connections || here >= limits.connections_per_address {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(open, "a connection was turned away: there are too many");
            return None;
        }
        by_address.insert(address, here + 1);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Place { counts: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.counts.by_address();
        match by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            _ => {
                by_address.remove(&self.address);
            }
        }
    }
}

/// From which address a request came, an IPv6 client's being its network: put into the request's extensions for
/// whoever counts by address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What counts as one client's address: an IPv6 client has 64 bits to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_as_one_client() {
        let same = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
    }
}
