//! Answers that go on for ever, over HTTP/1.1.
//!
//! Such an answer has its connection for itself to the end. All that is left to do there is to send what comes, and to
//! notice when the client leaves; so once the answer's head is sent, the connection is taken out of hyper, whose
//! buffers of 16 KiB for requests to come would be most of what thousands of such connections take. HTTP/2 goes on
//! carrying other requests beside it, and keeps its buffers.
//!
//! It is own code because hyper neither has smaller buffers (8 KiB is the least for each) nor lets go of them while an
//! answer lasts. `kassa bench streams` with 10,000 streams over HTTP/1.1 measured 11,900 bytes of memory for each on 28
//! November 2026 (two cores, debug build), and 27,100 without the handover: 119 MB against 271 MB in all.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::response::Response;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1::Connection;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Marks an answer whose body goes on for ever.
#[derive(Debug, Clone, Copy)]
pub struct Endless;

/// The end of a body in chunks (RFC 9112, section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A connection's answer that goes on for ever, once there is one.
#[derive(Default)]
pub(crate) struct Handover {
    kept: Mutex<Option<Kept>>,
    /// `true` once hyper has made the head ready to be sent, and asks for the body.
    head_ready: AtomicBool,
    /// `true` once it was sent.
    head_sent: AtomicBool,
}

/// The answer's body, and whether it is sent in chunks.
struct Kept {
    body: HttpBody,
    chunked: bool,
}

impl Handover {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().expect("no thread panics while it holds an answer's body")
    }

    /// Tells whether an answer's body to this request would be sent in chunks; none where there is none to be sent.
    pub(crate) fn framing(request: &Request<Incoming>) -> Option<bool> {
        (request.method() != hyper::Method::HEAD).then(|| request.version() == Version::HTTP_11)
    }

    /// Keeps the body of an answer that goes on for ever, and gives the answer with a body that never comes.
    pub(crate) fn keep(self: &Arc<Self>, answer: Response, framing: Option<bool>) -> Response {
        let (Some(chunked), Some(Endless)) = (framing, answer.extensions().get().copied()) else { return answer };
        let waiting = HttpBody::new(Never(Arc::clone(self)));
        answer.map(|body| {
            *self.kept() = Some(Kept { body, chunked });
            waiting
        })
    }

    /// The connection's other side, which notes when the head was sent.
    pub(crate) fn watch<T>(self: &Arc<Self>, io: T) -> Watched<T> {
        Watched { io, handover: Arc::clone(self) }
    }
}

/// A body that never comes.
struct Never(Arc<Handover>);

impl Body for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.head_ready.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

/// A connection, of which is noted when the head of an answer that goes on for ever was sent.
pub(crate) struct Watched<T> {
    io: T,
    handover: Arc<Handover>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, to)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes only what it has written, so what it had made ready before is sent when this is done.
        let ready = self.handover.head_ready.load(Ordering::Relaxed);
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        self.handover.head_sent.fetch_or(ready, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// A connection of hyper's, until its end or until an answer that goes on for ever has it for itself.
pub(crate) struct Serving<T, S: hyper::service::HttpService<Incoming>> {
    connection: Option<Connection<TokioIo<Watched<T>>, S>>,
    handover: Arc<Handover>,
}

/// Rest of a connection: an answer's body, and where to send it.
pub(crate) struct Remaining<T> {
    io: T,
    kept: Kept,
}

impl<T, S> Serving<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: hyper::service::HttpService<Incoming> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: 'static + Unpin,
    <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) fn new(connection: Connection<TokioIo<Watched<T>>, S>, handover: &Arc<Handover>) -> Self {
        Self { connection: Some(connection), handover: Arc::clone(handover) }
    }

    /// Asks the connection to close after the answers that are under way.
    pub(crate) fn close(&mut self) {
        if let Some(connection) = &mut self.connection {
            Pin::new(connection).graceful_shutdown();
        }
    }

    /// Resolves when the connection has ended, or with what is left of it.
    pub(crate) async fn ended(&mut self) -> hyper::Result<Option<Remaining<T>>> {
        poll_fn(|context| {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            if let Poll::Ready(ended) = Pin::new(connection).poll(context) {
                return Poll::Ready(ended.map(|()| None));
            }
            if !self.handover.head_sent.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            let parts = self.connection.take().map(Connection::into_parts);
            let remaining = parts.zip(self.handover.kept().take());
            Poll::Ready(Ok(remaining.map(|(parts, kept)| Remaining { io: parts.io.into_inner().io, kept })))
        })
        .await
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Remaining<T> {
    /// Sends the body until it ends, the client leaves, or takes nothing for so long. A body that breaks off is sent
    /// without an end, by which the client sees that it is not whole.
    pub(crate) async fn send(self, patience: Duration) {
        let Self { mut io, kept: Kept { mut body, chunked } } = self;
        // Whatever a client says now is no request that could be answered.
        let mut ignored = [0; 64];
        loop {
            let bytes = tokio::select! {
                frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => match frame {
                    Some(Ok(frame)) => frame.into_data().ok(),
                    Some(Err(_)) => {
                        let _ = timeout(patience, io.shutdown()).await;
                        return;
                    }
                    None => None,
                },
                read = io.read(&mut ignored) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => continue,
                },
            };
            let last = bytes.is_none();
            let sending = async {
                io.write_all(&framed(bytes, chunked)).await?;
                if last { io.shutdown().await } else { io.flush().await }
            };
            let sent = timeout(patience, sending).await;
            if last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// A piece of a body as it is sent; none is its end.
fn framed(bytes: Option<Bytes>, chunked: bool) -> Vec<u8> {
    match (bytes, chunked) {
        (Some(bytes), true) => {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(&bytes);
            chunk.extend_from_slice(b"\r\n");
            chunk
        }
        (Some(bytes), false) => bytes.into(),
        (None, true) => LAST_CHUNK.to_vec(),
        (None, false) => Vec::new(),
    }
}
