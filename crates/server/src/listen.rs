//! The accept loop: TCP, TLS, HTTP/1.1 and HTTP/2, and the limits that keep a slow or greedy client from harming
//! others. It serves any router, and knows nothing of the bank.
//!
//! A client that is too slow is cut in each of its ways: the handshake and the header have their time; a body arrives
//! within its own time and that of its request (which the router keeps); a connection without requests, or with an
//! answer that is not taken, is asked to close and then closed. An answer that goes on for ever, as a stream of events
//! does, is no reason to close as long as the client takes what there is of it.
//!
//! Streams keep thousands of connections open that have nothing to say, so what a connection needs for a while only
//! (to shake hands, or in the other version of HTTP) is in a box that is thrown away, or never made.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::http::header::EXPECT;
use axum::response::Response;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use crate::endless::{Handover, Remaining, Serving};
use crate::{Limits, ServeError};

/// Time that accepting rests when the system has no more sockets to give; trying at once would only take a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that a stream, and all streams of a connection together, may send before they are read: HTTP/2's own default.
/// Bodies are small and read at once, so more would only let a client fill the memory.
const WINDOW_BYTES: u32 = 65_535;

/// Bytes that may wait in TLS to be sent before no more of an answer is taken: one record of TLS. rustls's own limit of
/// 64 KiB would let each client that reads nothing keep as much.
const UNSENT_BYTES: usize = 16 * 1024;

/// TLS 1.3 and 1.2 with a certificate and its key, offering HTTP/2 and HTTP/1.1.
pub fn tls(certificate: &Path, private_key: &Path) -> Result<ServerConfig, ServeError> {
    let bad_certificate = |reason: String| ServeError::Certificate { path: certificate.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_certificate(pem_said(&error)))?;
    if chain.is_empty() {
        return Err(bad_certificate(pem_said(&pem::Error::NoItemsFound)));
    }
    let bad_key = |reason: String| ServeError::PrivateKey { path: private_key.to_owned(), reason };
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| bad_key(pem_said(&error)))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| ServeError::Cryptography(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad_key(pair_said(&error)))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Says why a PEM file (RFC 7468) can't be used.
fn pem_said(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in the file, which must be PEM".into(),
        _ => "the file is no whole PEM: it may be cut off, or changed".into(),
    }
}

/// Says why a key and a certificate can't be used together.
fn pair_said(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "it is the key of another certificate".into(),
        rustls::Error::InvalidCertificate(_) => "the certificate is damaged".into(),
        _ => "it is none of RSA, ECDSA (P-256, P-384, P-521) or Ed25519 that can be read".into(),
    }
}

/// The certificate that new connections are met with. Cloning gives another handle on the same.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<RwLock<Arc<ServerConfig>>>);

impl From<Arc<ServerConfig>> for Certificate {
    fn from(tls: Arc<ServerConfig>) -> Self {
        Self(Arc::new(RwLock::new(tls)))
    }
}

impl Certificate {
    /// Puts another certificate and its key in the place of this one, for connections that come from now on. Sessions
    /// of TLS that began with the old one are not resumed.
    ///
    /// # Errors
    ///
    /// Fails if either can't be used, or the key is another certificate's: then the old one stays.
    pub fn replace(&self, certificate: &Path, private_key: &Path) -> Result<(), ServeError> {
        let fresh = Arc::new(tls(certificate, private_key)?);
        // A pointer is put there whole or not at all, so a panic meanwhile has broken nothing.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes of a body that are still taken though a handler did not want them, and the time given to it: a client that is
/// refused while it sends an ordinary request gets to send it, and so reads the refusal. Else it may see nothing but a
/// broken stream.
const UNWANTED_BYTES: u64 = 1 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(1);

/// Serves `router` on `listener` until `stop` resolves. Then nothing more is accepted, requests in flight have
/// [`Limits::stop`] to finish, and what is left is cut. Each connection is served on one of the `workers` for its whole
/// life; on the caller's runtime where there are none.
pub async fn serve(
    listener: TcpListener,
    certificate: impl Into<Certificate>,
    router: Router,
    limits: &Limits,
    counts: &Arc<Counts>,
    workers: &[Handle],
    stop: impl Future<Output = ()>,
) {
    let shared = Arc::new(Shared {
        certificate: certificate.into(),
        http1: http1(limits),
        http2: http2(limits),
        router,
        limits: limits.clone(),
    });
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
                        let connection = Arc::clone(&shared).move_to(worker, stream, Peer(peer.ip()), place, counts);
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
    counts.stopping.send_replace(true);
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

fn http1(limits: &Limits) -> http1::Builder {
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        // hyper's least is 8 KiB.
        .max_buf_size(header_bytes.max(8 * 1024));
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
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
}

/// State that every connection uses.
struct Shared {
    certificate: Certificate,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    router: Router,
    limits: Limits,
}

impl Shared {
    /// One connection, to be served on a worker, from handshake to end.
    fn move_to(
        self: Arc<Self>,
        worker: &Worker,
        stream: TcpStream,
        peer: Peer,
        place: Place,
        counts: &Counts,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (stream, stopped, busy) = (stream.into_std(), counts.stopping.subscribe(), Arc::clone(&worker.busy));
        async move {
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => self.connection(stream, peer, stopped).await,
                Err(error) => tracing::warn!(%error, "a connection could not be given to a worker"),
            }
            // Before its place is free for another, so that this one finds the worker as it is.
            drop(busy);
            drop(place);
        }
    }

    /// One connection from handshake to end.
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: Peer, mut stopped: watch::Receiver<bool>) {
        // Without it the system may hold a small answer back, waiting for more to send; nothing breaks if it can't be.
        let _ = stream.set_nodelay(true);
        // If sent bytes are not confirmed for so long, the client is gone without a word, as a telephone is that lost
        // its network. The system itself would wait for a quarter of an hour, and the client's streams with it.
        let unconfirmed_ms = u32::try_from(self.limits.idle.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, unconfirmed_ms);
        let Some(mut stream) = Box::pin(self.handshake(stream, &mut stopped)).await else { return };
        let tls = stream.get_mut().1;
        tls.set_buffer_limit(Some(UNSENT_BYTES));
        if tls.alpn_protocol() == Some(b"h2") {
            Box::pin(self.http2(stream, peer, stopped)).await;
        } else if let Some(remaining) = Box::pin(self.http1(stream, peer, stopped)).await {
            remaining.send(self.limits.idle).await;
        }
    }

    /// The requests of a connection over HTTP/1.1. Gives what is left of it when an answer goes on for ever.
    async fn http1(
        &self,
        stream: TlsStream<TcpStream>,
        peer: Peer,
        mut stopped: watch::Receiver<bool>,
    ) -> Option<Remaining<TlsStream<TcpStream>>> {
        let (activity, handover) = (Arc::new(Activity::default()), Arc::new(Handover::default()));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (framing, handover) = (Handover::framing(&request), Arc::clone(&handover));
            self.answer(request, peer, &activity, move |answer| handover.keep(answer, framing))
        });
        let io = TokioIo::new(handover.watch(stream));
        let mut serving = Serving::new(self.http1.serve_connection(io, service), &handover);
        tokio::select! {
            ended = serving.ended() => return logged(ended),
            () = told(&mut stopped) => {}
            () = activity.none_for(self.limits.idle, self.limits.header_read) => {}
        }
        serving.close();
        let ended = timeout(self.close_time(), serving.ended()).await;
        ended.map_or_else(|_| cut(), logged)
    }

    /// The requests of a connection over HTTP/2.
    async fn http2(&self, stream: TlsStream<TcpStream>, peer: Peer, mut stopped: watch::Receiver<bool>) {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|request| self.answer(request, peer, &activity, |answer| answer));
        let mut serving = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = serving.as_mut() => return logged(ended),
            () = told(&mut stopped) => {}
            () = activity.none_for(self.limits.idle, self.limits.header_read) => {}
        }
        serving.as_mut().graceful_shutdown();
        let ended = timeout(self.close_time(), serving).await;
        ended.map_or_else(|_| cut(), logged)
    }

    /// The answer to a request, whose connection is busy meanwhile, once `look` has had a look at it.
    fn answer(
        &self,
        mut request: hyper::Request<Incoming>,
        peer: Peer,
        activity: &Arc<Activity>,
        look: impl FnOnce(Response) -> Response + Send + 'static,
    ) -> impl Future<Output = Result<hyper::Response<Answer>, Infallible>> + Send + 'static {
        request.extensions_mut().insert(peer);
        let busy = Busy::begin(activity);
        let held_back = request.headers().contains_key(EXPECT);
        let answer = self.router.clone().call(request.map(|body| Sent { body: Some(body), held_back }));
        let activity = Arc::clone(activity);
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            drop(busy);
            answer.map(|answer| look(answer).map(|body| Answer { body, busy: None, activity }))
        }
    }

    /// Returns the time that a connection may take to close once it was asked to.
    fn close_time(&self) -> Duration {
        self.limits.idle.max(self.limits.request)
    }

    async fn handshake(&self, stream: TcpStream, stopped: &mut watch::Receiver<bool>) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.certificate.now());
        let handshake = timeout(self.limits.handshake, acceptor.accept(stream));
        tokio::select! {
            handshake = handshake => match handshake {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
            () = told(stopped) => {}
        }
        None
    }
}

/// Logs how a connection ended, and gives what is left of it.
fn logged<T: Default>(ended: hyper::Result<T>) -> T {
    ended.unwrap_or_else(|error| {
        tracing::debug!(%error, "a connection ended in an error");
        T::default()
    })
}

fn cut<T: Default>() -> T {
    tracing::debug!("a connection that would not close was cut");
    T::default()
}

/// Resolves when the server is stopping.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that the accept loop is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Activity of a connection: the requests begun and ended.
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

/// A request's body, whose rest is taken where the handler leaves it, within [`UNWANTED_BYTES`] and [`UNWANTED_TIME`].
struct Sent {
    /// None once it has ended.
    body: Option<Incoming>,
    /// `true` if the client waits to be asked for it.
    held_back: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let coming = |body: &Incoming| !self.held_back && !body.is_end_stream();
        let unwanted = |body: &Incoming| coming(body) && body.size_hint().lower() <= UNWANTED_BYTES;
        let body = self.body.take();
        if let (Some(body), Ok(runtime)) = (body.filter(unwanted), Handle::try_current()) {
            runtime.spawn(timeout(UNWANTED_TIME, take_rest(body)));
        }
    }
}

/// Takes the rest of a body, as far as anybody has patience for.
async fn take_rest(mut body: Incoming) {
    let mut left = UNWANTED_BYTES;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(less) = left.checked_sub(bytes) else { return };
        left = less;
    }
}

/// An answer's body. While more of it is being made the connection is busy. When some of it was handed over and no more
/// is asked for, the client does not take what there is, and then the connection is not.
struct Answer {
    body: HttpBody,
    busy: Option<Busy>,
    activity: Arc<Activity>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Pending if this.busy.is_none() => this.busy = Some(Busy::begin(&this.activity)),
            Poll::Pending => {}
            Poll::Ready(_) => this.busy = None,
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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

/// Number of connections, in all and by address, and of those turned away, and whether the server is stopping.
#[derive(Debug, Default)]
pub struct Counts {
    stopping: watch::Sender<bool>,
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

    /// Resolves when the server is stopping.
    pub(crate) async fn stopping(&self) {
        told(&mut self.stopping.subscribe()).await;
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().expect("no thread panics while it counts connections")
    }

    fn admit(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let most_here = if limits.proxies.trust(address) { limits.connections } else { limits.connections_per_address };
        let address = network(address);
        let mut by_address = self.by_address();
        let open: usize = by_address.values().sum();
        let here = by_address.get(&address).copied().unwrap_or(0);
        if open >= limits.connections || here >= most_here {
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

/// Address that a request's connection came from: a client's, or a proxy's. It is put into the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Returns what counts as one client's address: an IPv6 client has 64 bits to choose from.
pub(crate) fn network(address: IpAddr) -> IpAddr {
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
