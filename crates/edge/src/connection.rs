//! A connection: TCP, TLS, HTTP/1.1 and HTTP/2, and the limits that keep a slow or greedy client from harming others.
//!
//! A client that is too slow is cut in each of its ways: the handshake and the header have their time; a body arrives
//! within its own time and that of its request (which the guard keeps); a connection without requests, or with an
//! answer that is not taken, is asked to close and then closed. An answer that goes on for ever, as a stream of events
//! does, is no reason to close as long as the client takes what there is of it.
//!
//! Streams keep thousands of connections open that have nothing to say, so what a connection needs for a while only
//! (to shake hands, or in the other version of HTTP) is in a box that is thrown away, or never made.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::EXPECT;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use crate::activity::{Activity, Busy};
use crate::bodies::{Sent, TrackedBody};
use crate::counts::told;
use crate::endless::{Handover, Remaining, Serving};
use crate::peer::Peer;
use crate::settings::Limits;
use crate::tls::Certificate;

/// Bytes that a stream, and all streams of a connection together, may send before they are read: HTTP/2's own default.
/// Bodies are small and read at once, so more would only let a client fill the memory.
const WINDOW_BYTES: u32 = 65_535;

/// Bytes that may wait in TLS to be sent before no more of an answer is taken: one record of TLS. rustls's own limit of
/// 64 KiB would let each client that reads nothing keep as much.
const UNSENT_BYTES: usize = 16 * 1024;

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

/// State that every connection uses.
pub(crate) struct Shared {
    certificate: Certificate,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    router: Router,
    limits: Limits,
}

impl Shared {
    /// Makes it once for all connections that a server will have.
    pub(crate) fn new(certificate: Certificate, router: Router, limits: &Limits) -> Self {
        Self { certificate, http1: http1(limits), http2: http2(limits), router, limits: limits.clone() }
    }

    /// One connection from handshake to end.
    pub(crate) async fn connection(self: Arc<Self>, stream: TcpStream, peer: Peer, mut stopped: watch::Receiver<bool>) {
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
    ) -> impl Future<Output = Result<hyper::Response<TrackedBody>, Infallible>> + Send + 'static {
        request.extensions_mut().insert(peer);
        let busy = Busy::begin(activity);
        let held_back = request.headers().contains_key(EXPECT);
        let answer = self.router.clone().call(request.map(|body| Sent::new(body, held_back)));
        let activity = Arc::clone(activity);
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            drop(busy);
            answer.map(|answer| look(answer).map(|body| TrackedBody::new(body, activity)))
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
