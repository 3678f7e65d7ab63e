//! The bodies of requests and of answers: how long one is waited for, what becomes of one that nobody wants, and whether
//! a client takes what it is sent.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::activity::{Activity, Busy};
use crate::refused::Refused;
use crate::settings::Limits;

/// Bytes of a body that are still taken though a handler did not want them, and the time given to it: a client that is
/// refused while it sends an ordinary request gets to send it, and so reads the refusal. Else it may see nothing but a
/// broken stream.
const UNWANTED_BYTES: u64 = 1 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(1);

/// Takes the whole body of a request that [`Guard::admit`](crate::Guard::admit) let in, in the time and of the size that
/// bodies may have.
///
/// # Errors
///
/// Fails with [`Refused::BodyTooLarge`], [`Refused::BodyTooSlow`] and, where it broke off,
/// [`Refused::BodyUnreadable`].
pub async fn whole_body(request: Request, limits: &Limits) -> Result<Bytes, Refused> {
    let Limits { body_bytes, body_read, .. } = *limits;
    let too_large = Refused::BodyTooLarge { most_bytes: body_bytes };
    // Known before any of it is taken, so that a client that asks whether to send it need not.
    if request.body().size_hint().lower() > body_bytes as u64 {
        return Err(too_large);
    }
    let arrived = timeout(body_read, Bytes::from_request(request, &())).await;
    let arrived = arrived.map_err(|_| Refused::BodyTooSlow { most: body_read })?;
    arrived.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large,
        _ => Refused::BodyUnreadable,
    })
}

/// A request's body, whose rest is taken where the handler leaves it, within [`UNWANTED_BYTES`] and [`UNWANTED_TIME`].
pub(crate) struct Sent {
    /// None once it has ended.
    body: Option<Incoming>,
    /// `true` if the client waits to be asked for it.
    held_back: bool,
}

impl Sent {
    /// Takes a request's body; `held_back` is `true` if the client waits to be asked for it.
    pub(crate) fn new(body: Incoming, held_back: bool) -> Self {
        Self { body: Some(body), held_back }
    }
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
pub(crate) struct TrackedBody {
    body: HttpBody,
    busy: Option<Busy>,
    activity: Arc<Activity>,
}

impl TrackedBody {
    /// Makes a handler's answer one that keeps its connection busy.
    pub(crate) fn new(body: HttpBody, activity: Arc<Activity>) -> Self {
        Self { body, busy: None, activity }
    }
}

impl Body for TrackedBody {
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
