//! `GET /v1/events`: what concerns the caller, as it happens, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream reads the past in the journal, from its position to where the desk ([`desk`]) begins to bring what
//! happens, and then waits there. Each event is told once, in the journal's order; its `id` is the position to resume
//! from. Who may see it is looked at when it is told. Nothing is made ready before the client takes what came before.

mod desk;
pub(crate) mod news;
mod past;

use std::fmt::Write;
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
use hyper::body::{Body, Frame};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::app::{App, SignedIn};
use crate::endless::Endless;
use crate::extract::{Query, Token};
use crate::problem::{Kind, Problem};
use crate::strings;

pub(crate) use desk::Desk;
use desk::{Found, Place};
use news::News;
use past::Wanted;

/// How long a client waits before it connects anew: this, and up to as much more as [`RETRY_STEPS`] give, so that when
/// the server starts again not all come back at once.
const RETRY: Duration = Duration::from_secs(1);

/// Into how many groups, a [`RETRY_STEP`] apart, the clients are shared out.
const RETRY_STEPS: u64 = 64;

/// See [`RETRY_STEPS`].
const RETRY_STEP: Duration = Duration::from_millis(125);

/// What asks a proxy such as nginx not to hold the events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The position before the bank's first event, by its name.
const BEGINNING: &str = "beginning";

/// Where a stream begins.
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
/// Each event has a name in its field `event`, an `id` and, as JSON, `data`. Connect anew with the last `id` in the
/// header Last-Event-ID, as browsers do by themselves, and the stream goes on after it: nothing is left out and nothing
/// comes twice. Without a position it begins now; `?after=beginning` begins with all that ever happened. Blocks with an
/// `id` and no `data` tell how far the stream has come, at the beginning and now and then, and keep the connection open.
///
/// Whether one may see an event is looked at when it is sent. The stream ends when the session does, and when the
/// server stops. There is a limit on one user's streams (too-many-streams), and on all (streams-full).
#[utoipa::path(
    get, path = "/v1/events", tag = "Events",
    params(
        After,
        (
            "Last-Event-ID" = Option<strings::Position>, Header,
            description = "The `id` after which to go on; it goes before `after`.",
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
    let header = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    let after = header.map(|id| ("Last-Event-ID", id)).or(after.as_deref().map(|id| ("after", id)));
    // Before anything was sent, a browser's last id is empty.
    let after = after.filter(|(_, id)| !id.is_empty());
    let position =
        after.map(|(field, id)| position(&app, id).map_err(|problem| problem.in_field(field))).transpose()?;
    let (place, brought_after) = Desk::admit(&app, who, token.0)?;
    let stream = Stream {
        position: position.unwrap_or(brought_after),
        past_until: brought_after,
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

/// The event after which to go on.
fn position(app: &App, id: &str) -> Result<u64, Problem> {
    if id == BEGINNING {
        return Ok(0);
    }
    let known = app.event_ids.event(id).filter(|event| *event <= app.engine.last_durable());
    known.ok_or_else(|| Problem::of(Kind::UnknownPosition))
}

/// One client's stream.
struct Stream {
    app: App,
    place: Place,
    token: Token,
    /// All events up to this were told, as far as they concern the client.
    position: u64,
    /// Up to this event it reads the journal; what comes after is brought by the desk.
    past_until: u64,
    /// Whether anything was sent.
    begun: bool,
    /// When something was sent last.
    told_at: Instant,
    heartbeat: Duration,
}

/// Why a stream has ended is of no interest to it: the client connects anew, and is told then.
struct Over;

impl From<Problem> for Over {
    fn from(_: Problem) -> Self {
        Self
    }
}

impl From<engine::Unavailable> for Over {
    fn from(_: engine::Unavailable) -> Self {
        Self
    }
}

impl Stream {
    /// What is sent next; waits for it.
    async fn next(&mut self) -> Result<Bytes, Over> {
        if !mem::replace(&mut self.begun, true) {
            let steps = u32::try_from(self.place.serial % RETRY_STEPS).unwrap_or(0);
            let retry = RETRY + RETRY_STEP * steps;
            return Ok(format!("retry: {}\nid: {}\n\n", retry.as_millis(), self.id(self.position)).into());
        }
        loop {
            if self.position < self.past_until {
                let Some(turn) = self.turn().await? else { return Ok(self.here()) };
                let news = Box::pin(self.read_past(turn)).await?;
                let text = Box::pin(self.tell(&news)).await?;
                if !text.is_empty() {
                    return Ok(text);
                }
                if self.told_at.elapsed() >= self.heartbeat {
                    return Ok(self.here());
                }
                continue;
            }
            match self.place.look(self.position) {
                Found::Over => return Err(Over),
                Found::Behind => self.past_until = self.place.start_again(),
                Found::News(mut news) => {
                    let position = self.position;
                    news.retain(|news| news.number > position);
                    let text = Box::pin(self.tell(&news)).await?;
                    self.position = news.last().map_or(self.position, |last| last.number);
                    if !text.is_empty() {
                        return Ok(text);
                    }
                }
                Found::Nothing(position) => {
                    self.position = self.position.max(position);
                    let wait = self.until_heartbeat()?;
                    if timeout(wait, self.place.rung()).await.is_err() && self.told_at.elapsed() >= self.heartbeat {
                        return Ok(self.here());
                    }
                }
            }
        }
    }

    /// How long to wait for something to tell: until a sign of life is due, or the session is over.
    fn until_heartbeat(&self) -> Result<Duration, Over> {
        let now = self.app.engine.now();
        let expires_at = self.app.engine.peek(|state| state.session(self.token.0, now).map(|it| it.expires_at))?;
        let left = expires_at.ok_or(Over)?.0.saturating_sub(now.0);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0).max(1));
        Ok(left.min(self.heartbeat.saturating_sub(self.told_at.elapsed())))
    }

    /// A sign of life, and how far the stream has come.
    fn here(&mut self) -> Bytes {
        self.told_at = Instant::now();
        format!(":\nid: {}\n\n", self.id(self.position)).into()
    }

    fn id(&self, position: u64) -> String {
        self.app.event_ids.id(position)
    }

    /// Waits for a turn at reading the past; none when a sign of life is due first. Then it waits anew, as the last: a
    /// turn must not come to a client that does not take what it was sent, and hold up all others.
    async fn turn(&self) -> Result<Option<OwnedSemaphorePermit>, Over> {
        let turn = Arc::clone(&self.app.events.past.turns).acquire_owned();
        match timeout(self.until_heartbeat()?, turn).await {
            Ok(turn) => turn.map(Some).map_err(|_| Over),
            Err(_) => Ok(None),
        }
    }

    /// Reads a step of the past in its turn, and gives what may concern the client.
    async fn read_past(&mut self, turn: OwnedSemaphorePermit) -> Result<Vec<Arc<News>>, Over> {
        let now = self.app.engine.now();
        let token = self.token;
        let wanted = self.app.engine.peek(|state| SignedIn::find(state, token, now).map(|who| wanted(state, &who)))?;
        let wanted = wanted.map_err(|_| Over)?;
        let (app, position, end) = (self.app.clone(), self.position, self.past_until);
        let reading = spawn_blocking(move || {
            let step = app.events.past.step(&app.engine, &wanted, position, end);
            drop(turn);
            step
        });
        let (news, last) = reading.await.map_err(|_| Over)??;
        if last <= self.position {
            // What is durable can be read. If it can't, the client had better ask anew.
            return Err(Over);
        }
        self.position = last;
        Ok(news)
    }

    /// Events in the words of the stream: of those which the client may see, as the bank is now.
    async fn tell(&mut self, news: &[Arc<News>]) -> Result<Bytes, Over> {
        if news.is_empty() {
            return Ok(Bytes::new());
        }
        let look = |state: &bank::State, who: &SignedIn| news.iter().map(|news| news.seen_by(state, who)).collect();
        let seen: Vec<_> = self.app.read(self.token, |state, who| Ok(look(state, who))).await?;
        let (mut text, mut told) = (String::new(), 0);
        for (news, seen) in news.iter().zip(&seen) {
            let Some(seen) = seen else { continue };
            let Some(data) = news.data(&self.app, seen)? else { continue };
            let data = serde_json::to_string(&data).map_err(|error| Problem::failed(&error))?;
            // Writing to a String can't fail.
            let _ = write!(text, "event: {}\nid: {}\ndata: {data}\n\n", news.name(), self.id(news.number));
            told += 1;
        }
        if told > 0 {
            self.told_at = Instant::now();
            self.app.events.note_sent(told);
        }
        Ok(text.into())
    }
}

fn wanted(state: &bank::State, who: &SignedIn) -> Wanted {
    if who.sees_all() {
        return Wanted::All;
    }
    let customer = who.customer.and_then(|customer| state.customer(customer));
    let mut accounts = customer.map(|customer| customer.accounts.clone()).unwrap_or_default();
    accounts.sort_unstable();
    Wanted::Of(who.customer, accounts)
}

/// A stream, and what it sends next.
type Made = (Stream, Result<Bytes, Over>);

/// A stream as the body of an answer. What comes next is made when it is asked for.
enum Chunks {
    Resting(Option<Stream>),
    Making(Pin<Box<dyn Future<Output = Made> + Send>>),
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

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
        let Self::Making(making) = &mut *self else { return Poll::Ready(None) };
        let (stream, made) = ready!(making.as_mut().poll(context));
        let stream = made.is_ok().then_some(stream);
        *self = Self::Resting(stream);
        Poll::Ready(made.ok().map(|bytes| Ok(Frame::data(bytes))))
    }
}
