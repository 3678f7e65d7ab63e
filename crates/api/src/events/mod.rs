//! `GET /v1/events`: what concerns the caller, as it happens, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream reads the past in the journal, from its position to where the desk ([`service::Desk`]) begins to bring what
//! happens, and then waits there. Each event is told once, in the journal's order; its `id` is the position to resume from. Who
//! may see it is looked at when it is told. Nothing is made ready before the client takes what came before. The
//! stream's words about itself ([`life`]) are events, too.

pub(crate) mod life;
pub(crate) mod news;

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use edge::Endless;
use hyper::body::{Body, Frame};
use serde::Deserialize;
use service::{Brought, EndReason, News, StreamSlot, Turn};
use tokio::time::{Sleep, sleep, timeout};
use utoipa::IntoParams;

use crate::app::App;
use crate::description::strings;
use crate::extract::{Query, Token};
use crate::problem::{Kind, Problem};
use crate::times::moment;

use life::{Heartbeat, StreamClosed, StreamOpened};
use news::Data;

/// Time after its last event at which a stream is cut whose client had better come back. What HTTP/2 has not sent by
/// then is thrown away.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Header that asks a proxy such as nginx not to hold the events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The header with the position, by the name that it has in refusals.
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// The position before the bank's first event, by its name.
const BEGINNING: &str = "beginning";

/// Query of a stream: where it begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// The `id` after which to go on, for clients that can't send headers; or `beginning`. The header goes before it.
    #[param(value_type = Option<strings::Position>)]
    after: Option<String>,
}

/// Sends what concerns the caller, as it happens.
///
/// As server-sent events, without end. Customers' users are told what happens on
/// accounts on which their customer has a right, and of their customer's rights; operators and auditors are told all.
///
/// Each event has a name in its field `event`, an `id` and, as JSON, `data`; nothing else is sent. Connect anew with the
/// last `id` in the header Last-Event-ID, as browsers do by themselves, and the stream goes on after it: nothing is left
/// out and nothing comes twice. Without a position it begins now; `?after=beginning` begins with all that ever happened.
///
/// Three events tell of the stream itself. `stream.opened` is the first, and says whether the stream goes on after a
/// position or begins now. `heartbeat` comes when nothing else did for a while, and tells how far the stream has come.
/// `stream.closed` is the last where the server ends it, and says why. Whether one may see an event is looked at when it
/// is sent.
///
/// A user may have so many streams. Whoever opens one more ends the user's oldest, with `replaced`; a client that comes
/// back by itself waits a minute before it does, and takes up where it was. Where those that were ended don't leave, there
/// are no more for a while (too-many-streams). There is a limit on all streams of the server, too (streams-full).
#[utoipa::path(
    get, path = "/v1/events", tag = "Events",
    params(
        After,
        (
            "Last-Event-ID" = Option<strings::Positions>, Header,
            description = "The `id` after which to go on; it goes before `after`. Empty is the same as absent: who sends \
                           it was never told an id, so that nothing can be lost that `stream.opened` promised, and \
                           `after` counts. Of several, or of a list with commas, the last counts: a client that was \
                           given one to begin with adds those that it was told.",
        ),
    ),
    responses((
        status = 200, description = "The events, as they happen",
        headers(
            ("X-Accel-Buffering" = String, description = "`no`: proxies such as nginx don't hold events back."),
            ("Vary" = String, description = "`Authorization`: what is told depends on it."),
        ),
        body = strings::EventStream, content_type = "text/event-stream",
    )),
    extensions(("x-refusals" = json!(["unknown-position", "too-many-streams", "streams-full"]))),
)]
pub(crate) async fn events(
    State(app): State<App>,
    token: Token,
    headers: HeaderMap,
    Query(After { after }): Query<After>,
) -> Result<Response, Problem> {
    let who = app.read(token, |_, who| Ok(*who)).await?;
    let position = match (last_position(&app, &headers)?, after.as_deref()) {
        (None, Some(after)) if !after.is_empty() => {
            Some(position(&app, after).map_err(|problem| problem.in_field("after"))?)
        }
        (last, _) => last,
    };
    let stopping = {
        let counts = Arc::clone(app.guard.counts());
        async move { counts.stopping().await }
    };
    let (place, brought_after) = app.service.join_stream(who, token.0, stopping)?;
    let stream = Stream {
        position: position.unwrap_or(brought_after),
        past_until: brought_after,
        resumed: position.is_some(),
        begun: false,
        told_at: Instant::now(),
        heartbeat: app.limits.heartbeat,
        place,
        token,
        app,
    };
    let headers = [(CONTENT_TYPE, "text/event-stream"), (UNBUFFERED, "no")];
    Ok((headers, Extension(Endless), HttpBody::new(Chunks::Resting(Some(stream)))).into_response())
}

/// The event after which to go on by the header, if it names any.
fn last_position(app: &App, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut last = None;
    for ids in headers.get_all(LAST_EVENT_ID) {
        for id in ids.to_str().unwrap_or("?").split(',').map(str::trim).filter(|id| !id.is_empty()) {
            last = Some(position(app, id).map_err(|problem| problem.in_field(LAST_EVENT_ID))?);
        }
    }
    Ok(last)
}

/// The event after which to go on.
fn position(app: &App, id: &str) -> Result<u64, Problem> {
    if id == BEGINNING {
        return Ok(0);
    }
    let known = app.service.event_ids().event(id).filter(|event| *event <= app.engine().last_durable());
    known.ok_or_else(|| Problem::of(Kind::UnknownPosition))
}

/// One client's stream.
struct Stream {
    app: App,
    place: StreamSlot,
    token: Token,
    /// All events up to this were told, as far as they concern the client.
    position: u64,
    /// Up to this event it reads the journal; what comes after is brought by the desk.
    past_until: u64,
    /// `true` if it goes on after a position that the client sent.
    resumed: bool,
    /// `true` once anything was sent.
    begun: bool,
    /// Time at which something was sent last.
    told_at: Instant,
    heartbeat: Duration,
}

impl Stream {
    /// Returns what is sent next; waits for it.
    async fn next(&mut self) -> Result<Bytes, EndReason> {
        if !mem::replace(&mut self.begun, true) {
            return self.first();
        }
        loop {
            self.place.still_open()?;
            if self.position < self.past_until {
                let Some(turn) = self.turn().await? else { return self.here() };
                let news = Box::pin(self.read_past(turn)).await?;
                let text = Box::pin(self.tell(&news)).await?;
                if !text.is_empty() {
                    return Ok(text);
                }
                if self.told_at.elapsed() >= self.heartbeat {
                    return self.here();
                }
                continue;
            }
            match self.place.look(self.position) {
                Brought::Over(reason) => return Err(reason),
                Brought::Behind => self.past_until = self.place.start_again(),
                Brought::News(mut news) => {
                    let position = self.position;
                    news.retain(|news| news.number > position);
                    let text = Box::pin(self.tell(&news)).await?;
                    self.position = news.last().map_or(self.position, |last| last.number);
                    if !text.is_empty() {
                        return Ok(text);
                    }
                }
                Brought::Nothing(position) => {
                    self.position = self.position.max(position);
                    let wait = self.until_heartbeat()?;
                    if timeout(wait, self.place.rung()).await.is_err() && self.told_at.elapsed() >= self.heartbeat {
                        return self.here();
                    }
                }
            }
        }
    }

    /// Returns the time to wait for something to tell: until a sign of life is due, or the session is over.
    fn until_heartbeat(&self) -> Result<Duration, EndReason> {
        let left = self.app.service.session_left(self.token.0)?;
        Ok(left.min(self.heartbeat.saturating_sub(self.told_at.elapsed())))
    }

    /// Writes that the stream is open.
    fn first(&self) -> Result<Bytes, EndReason> {
        let heartbeat_ms = u64::try_from(self.heartbeat.as_millis()).unwrap_or(u64::MAX);
        let opened = StreamOpened { at: moment(self.app.engine().now()), resumed: self.resumed, heartbeat_ms };
        let mut text = String::new();
        life::write_retry(&mut text, self.place.serial, None);
        life::write_event(&mut text, "stream.opened", &opened, &self.id(self.position))?;
        Ok(text.into())
    }

    /// A sign of life, and how far the stream has come.
    fn here(&mut self) -> Result<Bytes, EndReason> {
        self.told_at = Instant::now();
        let mut text = String::new();
        life::write_event(
            &mut text,
            "heartbeat",
            &Heartbeat { at: moment(self.app.engine().now()) },
            &self.id(self.position),
        )?;
        Ok(text.into())
    }

    /// Writes that the stream ends, and why.
    fn last(&self, reason: EndReason) -> Bytes {
        let closed = StreamClosed { at: moment(self.app.engine().now()), reason: reason.into() };
        let mut text = String::new();
        if let Some(wait) = life::retry(reason) {
            life::write_retry(&mut text, self.place.serial, Some(wait));
        }
        // An event that can't be written is logged, and the stream ends all the same.
        let _ = life::write_event(&mut text, "stream.closed", &closed, &self.id(self.position));
        text.into()
    }

    fn id(&self, position: u64) -> String {
        self.app.service.event_ids().id(position)
    }

    /// Waits for a turn at reading the past; none when a sign of life is due first.
    async fn turn(&self) -> Result<Option<Turn>, EndReason> {
        self.app.service.turn(self.until_heartbeat()?).await
    }

    /// Reads a step of the past in its turn, and gives what may concern the client.
    async fn read_past(&mut self, turn: Turn) -> Result<Vec<Arc<News>>, EndReason> {
        let service = &self.app.service;
        let (news, last) = service.read_past(self.token.0, turn, self.position, self.past_until).await?;
        self.position = last;
        Ok(news)
    }

    /// Events in the words of the stream: of those which the client may see, as the bank is now.
    async fn tell(&mut self, news: &[Arc<News>]) -> Result<Bytes, EndReason> {
        let (mut text, mut count) = (String::new(), 0);
        for told in self.app.service.told(self.token.0, news).await? {
            let (number, data) = (told.number, Data::of(told)?);
            life::write_event(&mut text, data.name(), &data, &self.id(number))?;
            count += 1;
        }
        if count > 0 {
            self.told_at = Instant::now();
            self.app.service.events().note_sent(count);
        }
        Ok(text.into())
    }
}

/// A stream, and what it sends next.
type Made = (Stream, Result<Bytes, EndReason>);

/// A stream as the body of an answer. What comes next is made when it is asked for.
enum Chunks {
    Resting(Option<Stream>),
    Making(Pin<Box<dyn Future<Output = Made> + Send>>),
    /// The last was sent, and the client is to come back.
    Cutting(Pin<Box<Sleep>>),
}

impl Chunks {
    /// Returns what comes after the last, where the stream ends for a reason.
    fn ending(reason: EndReason) -> Self {
        if life::is_whole(reason) { Self::Resting(None) } else { Self::Cutting(Box::pin(sleep(LAST_WORD))) }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Self::Resting(stream) = &mut *self {
            let Some(mut stream) = stream.take() else { return Poll::Ready(None) };
            *self = Self::Making(Box::pin(async move {
                let made = stream.next().await;
                (stream, made)
            }));
        }
        match &mut *self {
            Self::Resting(_) => Poll::Ready(None),
            Self::Making(making) => {
                let (stream, made) = ready!(making.as_mut().poll(context));
                let bytes = made.as_ref().map_or_else(|reason| stream.last(*reason), Bytes::clone);
                *self = made.map_or_else(Self::ending, |_| Self::Resting(Some(stream)));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Cutting(rest) => {
                ready!(rest.as_mut().poll(context));
                *self = Self::Resting(None);
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
            }
        }
    }
}
