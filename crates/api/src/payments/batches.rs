//! Batches: payments as a stream of JSON lines, and what became of each as another such stream.
//!
//! A batch of single payments is read as it comes: some lines at a time are decided, and told as soon as they are
//! durable, while the next are read and looked up. Outcomes that the client does not take hold the reading back
//! (backpressure). Each line is a request of its own under the batch's key and the line's number, its place, so that
//! the same batch sent again is carried out once, and what became of a batch can be asked for by its key alone.
//!
//! The key stands for all lines in their order. After a line that is another than its place stands for, nothing that is
//! new is carried out: what looks new may be a line that was moved down, and was paid before. So places are looked up
//! before their lines are decided, and one sending of a key is worked on at a time.
//!
//! With `atomic=true` all payments of a batch are made, or none.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bank::{
    Body, Caller, Command, MAX_PAYMENTS_AT_ONCE, Origin, Pay, PaymentCommand, PaymentEvent, Refusal, Request,
    SystemCommand, SystemEvent, UserId, What,
};
use engine::{Batch, Chain, Outcome, Recorded, Rivals, Submission, Unavailable};
use hyper::body::{Body as _, Frame};
use ledger::Leg;
use serde::{Deserialize, Serialize};
use service::{Fault, SignedIn, is_key, leg_of, place, subject_of};
use smallvec::smallvec;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use utoipa::{IntoParams, ToSchema};

use crate::Limits;
use crate::amounts::money;
use crate::app::App;
use crate::description::strings;
use crate::extract::{IdempotencyKey, Path, Query, Token};
use crate::payments::metadata::{self, Metadata};
use crate::problem::{Document, Kind, Problem};

/// The most lines of a batch: a large firm's payday, and half a second's work.
pub(crate) const MAX_LINES: usize = 100_000;

/// The most bytes of a line: a payment with as much metadata as may be, in any writing of its letters.
pub(crate) const MAX_LINE_BYTES: usize = 32 * 1024;

/// The most lines decided at once. Single payments that come meanwhile wait for a millisecond, not more.
const CHUNK_LINES: usize = 512;

/// The most bytes of the lines that are decided at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Number of chunks of all batches in the engine's hands, or waiting to be told, at once: far below what its queue holds, so that batches never
/// make it refuse single payments.
const CHUNKS_AT_ONCE: usize = 16;

/// Number of chunks of one batch that wait to be decided. With one in the reader's and one in the engine's hands no one
/// is idle.
const CHUNKS_AHEAD: usize = 2;

/// Time that a sending waits for an earlier one of the same key: longer than it takes to notice that a client is gone
/// whose connection was closed.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// Backoff after a full queue, before it is tried again.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// Media type of a batch.
const LINES: &str = "application/x-ndjson";

/// One payment of a batch.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchLine<'a> {
    /// The number of the account that pays.
    #[serde(borrow)]
    #[schema(value_type = strings::IbanTyped)]
    from: Cow<'a, str>,
    /// The number of the account that is paid.
    #[serde(borrow)]
    #[schema(value_type = strings::IbanTyped)]
    to: Cow<'a, str>,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[serde(borrow)]
    #[schema(value_type = strings::Decimal)]
    amount: Cow<'a, str>,
    /// The currency of both accounts (ISO 4217).
    #[serde(borrow)]
    #[schema(value_type = strings::Currency)]
    currency: Cow<'a, str>,
    /// The text on both statements, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    text: Option<String>,
    /// The payer's own notes, as for a single payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::Notes>)]
    metadata: Option<Metadata>,
}

/// Outcome of one line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineOutcome {
    /// Number of the line, from 1. Empty lines are not counted.
    #[schema(value_type = strings::LineNumber)]
    line: usize,
    /// The HTTP status that the payment would have been answered with by itself.
    status: u16,
    /// The id of the payment, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::PaymentId>, required = false, nullable = false)]
    payment: Option<String>,
    /// Reason why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    problem: Option<Document>,
    /// `true` if this is its outcome from before, under the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replayed: bool,
}

/// The last line of an answer. An answer without it broke off: send the batch again under its key.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct BatchEnd {
    /// Number of lines.
    #[schema(value_type = strings::LineNumber)]
    lines: usize,
    /// Number of payments made.
    #[schema(value_type = strings::LineNumber)]
    accepted: usize,
    /// Number of payments not made.
    #[schema(value_type = strings::LineNumber)]
    refused: usize,
}

/// Query of a batch: the mode in which it is carried out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Mode {
    /// With `true` all payments are made, or none; at most 1,000.
    #[param(example = false)]
    atomic: Option<bool>,
}

/// The batches that are being worked on, and how much of them.
pub(crate) struct Batches {
    open: Mutex<HashMap<UserId, usize>>,
    most: usize,
    most_per_user: usize,
    chunks: Arc<Semaphore>,
    /// The keys that are being worked on. Two sendings of one at once could each take the other's lines for new.
    keys: Mutex<HashSet<(UserId, String)>>,
    freed: Notify,
    /// Time that a client may take to send something, or to take something.
    patience: Duration,
}

/// A batch's place among those allowed.
struct Place {
    app: App,
    user: UserId,
}

impl Batches {
    pub(crate) fn new(limits: &Limits, patience: Duration) -> Self {
        Self {
            open: Mutex::default(),
            most: limits.batches,
            most_per_user: limits.batches_per_user,
            chunks: Arc::new(Semaphore::new(CHUNKS_AT_ONCE)),
            keys: Mutex::default(),
            freed: Notify::new(),
            patience,
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<(UserId, String)>> {
        self.keys.lock().expect("no thread panics while it holds the keys")
    }

    fn by_user(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.open.lock().expect("no thread panics while it counts batches")
    }
}

impl Place {
    fn take(app: &App, user: UserId) -> Result<Self, Problem> {
        let mut open = app.batches.by_user();
        let all: usize = open.values().sum();
        let own = open.entry(user).or_default();
        if all >= app.batches.most || *own >= app.batches.most_per_user {
            return Err(Problem::of(Kind::TooManyBatches));
        }
        *own += 1;
        Ok(Self { app: app.clone(), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.app.batches.by_user();
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}

/// Turn of one sending of a batch, during which nobody else works on the batch's key.
struct Turn {
    app: App,
    key: (UserId, String),
    /// `true` if all is decided that this sending has put into the queue.
    settled: AtomicBool,
}

impl Turn {
    /// Waits until an earlier sending is done with the key, but not for long: it may have a client that is there still.
    async fn wait(app: &App, user: UserId, key: &str) -> Result<Self, Problem> {
        let key = (user, key.to_owned());
        let until = Instant::now() + TURN_WAIT;
        loop {
            let freed = app.batches.freed.notified();
            if app.batches.keys().insert(key.clone()) {
                return Ok(Self { app: app.clone(), key, settled: AtomicBool::new(false) });
            }
            timeout_at(until, freed).await.map_err(|_| Problem::of(Kind::TooManyBatches))?;
        }
    }

    fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }
}

impl Batches {
    fn give_up(&self, key: &(UserId, String)) {
        self.keys().remove(key);
        self.freed.notify_waiters();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.settled.load(Ordering::Relaxed) {
            return self.app.batches.give_up(&self.key);
        }
        let (app, key) = (self.app.clone(), self.key.clone());
        let give_up = async move {
            // The lines that this sending has in the queue are decided first: the queue is in order, and this changes
            // nothing.
            let nothing = || Command {
                origin: Origin::default(),
                caller: Caller::SYSTEM,
                request: None,
                body: Body::System(SystemCommand::Unresolved(Refusal::InvalidRequest)),
            };
            while let Err(Unavailable::Busy) = app.engine.submit(nothing()).await {
                sleep(BUSY_WAIT).await;
            }
            app.batches.give_up(&key);
        };
        // Without a runtime the server is at its end.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(give_up);
        }
    }
}

/// Makes many payments.
///
/// For users of a customer with a right to move the paying accounts' money. The body is a payment a line, at most
/// 100,000; the answer is what became of it a line, in order, and begins while the body is still being sent. A line that
/// can't be read is refused, and the others are carried out. The last line of the answer counts them all; where it is
/// missing, send the batch again under its key.
///
/// The key stands for all lines in their order: what was carried out at a place is told again, and is never done twice; what
/// comes after the last place that was used is carried out, so that a batch that broke off goes on, and lines can be added
/// at the end. A line that is another than the one sent at its place before is refused (`key-reused`), and after it
/// nothing new is carried out (`batch-changed`): a batch sent again with a line put in, left out or moved pays nobody twice.
/// A sending waits for an earlier one of its key that is not done, and after 5 seconds is refused (`too-many-batches`). The
/// key is the batch's alone: a single request under it is refused, as is a batch under the key of one. What comes after
/// the 100,000th line is not carried out: a line with the problem `batch-too-long` ends the answer.
#[utoipa::path(
    post, path = "/v1/batches", tag = "Batches", params(IdempotencyKey, Mode),
    request_body(content = strings::SentLines, content_type = "application/x-ndjson"),
    responses((
        status = 200, description = "A line for each payment, of LineOutcome, and a last one, of BatchEnd",
        body = strings::Lines, content_type = "application/x-ndjson",
    )),
    extensions(("x-refusals" = json!([
        "too-many-batches", "invalid-line", "batch-changed", "batch-too-long", "invalid-iban", "other-bank",
        "unknown-account", "invalid-amount", "amount-too-precise", "unknown-currency", "too-many-payments", "no-legs",
        "not-a-customers-account", "no-right", "read-only-right", "above-signatory-limit", "not-a-payee", "too-many-legs", "amount-not-positive",
        "same-account", "currency-mismatch", "account-closed", "account-frozen", "insufficient-funds",
        "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn pay_batch(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Query(mode): Query<Mode>,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let (who, ()) = app.prepare(token, |_, who| {
        // A refusal that every line would meet is told at once.
        if who.sees_all() { Err(Refusal::NotAllowed.into()) } else { Ok(()) }
    })?;
    if !is_lines(request.headers()) {
        return Err(Problem::saying(Kind::UnsupportedMediaType, format!("a batch must be {LINES}")));
    }
    let place = Place::take(&app, who.caller.user)?;
    let turn = Turn::wait(&app, who.caller.user, &key.key).await?;
    let lines = Lines::new(request.into_body(), app.batches.patience);
    let batch = Work { app: app.clone(), who, key: key.key, turn: Some(turn), _place: place };
    let all_or_none = mode.atomic == Some(true);
    batch.must_be_its_own_key(all_or_none).await?;
    if all_or_none {
        return batch.pay_all(lines).await;
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(batch.pay_each(lines, sender));
    Ok(answer(HttpBody::new(Told(receiver))))
}

/// Tells what became of a batch.
///
/// The outcomes of its lines, as far as they were carried out; the caller's own batches only. A batch that is all or
/// none and was refused gives that refusal again.
#[utoipa::path(
    get, path = "/v1/batches/{key}", tag = "Batches",
    params(("key" = strings::Key, Path, description = "The batch's idempotency key")),
    responses((
        status = 200, description = "A line for each payment, of LineOutcome, and a last one, of BatchEnd",
        body = strings::Lines, content_type = "application/x-ndjson",
    )),
    extensions(("x-refusals" = json!([
        "unknown-batch", "too-many-batches", "not-allowed", "unknown-account", "too-many-payments", "no-legs",
        "invalid-iban", "other-bank", "invalid-amount", "amount-too-precise", "unknown-currency",
        "not-a-customers-account", "no-right", "read-only-right", "above-signatory-limit", "not-a-payee", "too-many-legs", "amount-not-positive",
        "same-account", "currency-mismatch", "account-closed", "account-frozen", "insufficient-funds",
        "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn show_batch(
    State(app): State<App>,
    token: Token,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let (who, ()) = app.prepare(token, |_, _| Ok(()))?;
    if !is_key(key.as_bytes()) {
        return Err(Problem::of(Kind::UnknownBatch));
    }
    let place = Place::take(&app, who.caller.user)?;
    let batch = Work { app: app.clone(), who, key, turn: None, _place: place };
    if let Some(all) = app.engine.outcome_of(batch.request(None, b"")).await? {
        return batch.told_all(all.number, all.event.what, true);
    }
    let known = batch.known(1).await?;
    if known.is_empty() {
        return Err(Problem::of(Kind::UnknownBatch));
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(batch.tell_again(known, sender));
    Ok(answer(HttpBody::new(Told(receiver))))
}

fn answer(body: HttpBody) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

fn is_lines(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    [LINES, "application/jsonl", "application/json-lines"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// A batch being worked on.
struct Work {
    app: App,
    who: SignedIn,
    key: String,
    /// Turn of the batch, where its lines are carried out.
    turn: Option<Turn>,
    _place: Place,
}

/// Next step for a line.
enum Step {
    /// It was decided, under this key before or just now.
    Known(LineOutcome),
    /// It is the next of the commands in the engine's hands, with what was found wrong with it before.
    New(Option<Problem>),
}

/// Some of a batch's lines, looked up, of which those that are new have their place in the engine's queue.
struct Begun {
    first: usize,
    steps: Vec<Step>,
    batch: Option<Batch>,
    _place: OwnedSemaphorePermit,
    /// `true` if more lines came with these than a batch may have.
    too_long: bool,
}

/// Lines read ahead of those that are decided, or the end of them.
enum Ahead {
    Begun(Begun),
    /// All lines were read; this many.
    End {
        lines: usize,
    },
    /// A line could not be had.
    Broken {
        line: usize,
        problem: Problem,
    },
}

impl Work {
    // ---- Each by itself ----

    /// Carries the lines out as they come, and tells of each.
    async fn pay_each(self, lines: Lines, told: Sender<Bytes>) {
        let (begun, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (mut read, mut tell) = (pin!(self.read_ahead(lines, begun)), pin!(self.tell(chunks, &told)));
        tokio::select! {
            () = &mut read => tell.await,
            // Nobody takes the answer any more, or it has come to its end.
            () = &mut tell => {}
        }
    }

    /// Begins the lines as they come, while those before them are decided.
    async fn read_ahead(&self, mut lines: Lines, begun: Sender<Ahead>) {
        let (mut first, mut changed) = (1, false);
        // Where a line is left undecided nothing after it may be paid, since the lines may come again as others.
        let chain = Chain::default();
        loop {
            let ahead = match self.next_chunk(&mut lines, first, &mut changed, &chain).await {
                Ok(Some(chunk)) => Ahead::Begun(chunk),
                Ok(None) => Ahead::End { lines: first - 1 },
                Err(problem) => Ahead::Broken { line: first, problem },
            };
            let more = match &ahead {
                Ahead::Begun(chunk) => Some(chunk.steps.len()),
                Ahead::End { .. } | Ahead::Broken { .. } => None,
            };
            let nobody_takes_it = begun.send(ahead).await.is_err();
            let Some(lines) = more.filter(|_| !nobody_takes_it) else { return };
            first += lines;
        }
    }

    /// The lines that came next, looked up; none at the end.
    async fn next_chunk(
        &self,
        lines: &mut Lines,
        first: usize,
        changed: &mut bool,
        chain: &Chain,
    ) -> Result<Option<Begun>, Problem> {
        let Some(chunk) = lines.next().await? else { return Ok(None) };
        let read: Vec<&[u8]> = chunk.lines().collect();
        let within = read.len().min((MAX_LINES + 1).saturating_sub(first));
        if within == 0 && !read.is_empty() {
            return Err(Problem::of(Kind::BatchTooLong));
        }
        let (steps, submissions) = self.steps(first, &read[..within], changed).await?;
        let place = Arc::clone(&self.app.batches.chunks).acquire_owned().await;
        let _place = place.map_err(|_| Problem::of(Kind::Stopping))?;
        let batch = match submissions.is_empty() {
            true => None,
            false => Some(self.app.engine.begin_batch(submissions, chain).await?),
        };
        Ok(Some(Begun { first, steps, batch, too_long: within < read.len(), _place }))
    }

    /// Tells the outcomes of lines, in their order.
    async fn tell(&self, mut begun: Receiver<Ahead>, told: &Sender<Bytes>) {
        let mut end = BatchEnd::default();
        while let Some(ahead) = begun.recv().await {
            let chunk = match ahead {
                Ahead::Begun(chunk) => chunk,
                Ahead::End { lines } => {
                    end.lines = lines;
                    self.settle();
                    self.send(told, written(&end)).await;
                    return;
                }
                Ahead::Broken { line, problem } => {
                    self.send(told, written(&LineOutcome::refused(line, problem))).await;
                    return;
                }
            };
            let (after, too_long) = (chunk.first + chunk.steps.len(), chunk.too_long);
            let mut out = Vec::with_capacity(chunk.steps.len() * 80);
            let mut broken = self.tell_chunk(chunk, &mut end, &mut out).await.err();
            if broken.is_none() && too_long {
                broken = Some((after, Problem::of(Kind::BatchTooLong)));
            }
            let is_broken = broken.is_some();
            if let Some((line, problem)) = broken {
                // The rest waits for the batch to be sent again.
                write(&LineOutcome::refused(line, problem), &mut out);
            }
            if !self.send(told, out.into()).await || is_broken {
                return;
            }
        }
    }

    /// Tells the outcomes of a chunk's lines. An error names the line that has none.
    async fn tell_chunk(&self, chunk: Begun, end: &mut BatchEnd, out: &mut Vec<u8>) -> Result<(), (usize, Problem)> {
        let Begun { first, steps, batch, .. } = chunk;
        let decided = match batch {
            Some(batch) => batch.outcomes().await.map_err(|error| (first, error.into()))?,
            None => Vec::new(),
        };
        let mut decided = decided.into_iter();
        for (line, step) in (first..).zip(steps) {
            let outcome = match step {
                Step::Known(outcome) => Ok(outcome),
                Step::New(problem) => match decided.next() {
                    Some(Ok(outcome)) => self.outcome(line, problem, outcome),
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Problem::failed(&"a line has no outcome")),
                },
            };
            end.count(&outcome.map_err(|problem| (line, problem))?, out);
        }
        Ok(())
    }

    /// Names a line's outcome; an error where it has none yet.
    fn outcome(&self, line: usize, problem: Option<Problem>, outcome: Outcome) -> Result<LineOutcome, Problem> {
        match outcome {
            Outcome::Accepted(receipt) => Ok(self.paid(line, receipt.event, receipt.repeated)),
            // The key was taken for something else meanwhile.
            Outcome::Refused { refusal: refusal @ (Refusal::NotSignedIn | Refusal::KeyReused), .. } => {
                Err(refusal.into())
            }
            Outcome::Refused { refusal, repeated, .. } => {
                let told = problem.filter(|problem| problem.refusal() == Some(refusal));
                let replayed = repeated;
                let problem = told.unwrap_or_else(|| refusal.into());
                Ok(LineOutcome { replayed, ..LineOutcome::refused(line, problem) })
            }
            Outcome::Unchanged => Err(Problem::failed(&"a payment changed nothing")),
        }
    }

    fn paid(&self, line: usize, event: u64, replayed: bool) -> LineOutcome {
        let payment = Some(self.app.service.payment_ids().id(event));
        LineOutcome { line, status: 201, payment, problem: None, replayed }
    }

    /// Finds the next steps for some lines, and makes the commands of those that are new. `changed` tells whether a
    /// line was another than its place stands for, here or before.
    async fn steps(
        &self,
        first: usize,
        lines: &[&[u8]],
        changed: &mut bool,
    ) -> Result<(Vec<Step>, Vec<Submission>), Problem> {
        let read: Vec<_> =
            (first..).zip(lines).map(|(number, line)| self.read(number, line)).collect::<Result<_, _>>()?;
        let before = self.done_before(&read).await?;
        // Once its first line is decided, the key is the batch's.
        let is_new = first == 1 && before.first().is_some_and(Option::is_none);
        let rivals = is_new.then(|| Box::new(self.rivals(false)));
        let ordered = self.app.engine.peek(|state| {
            let each = read.into_iter();
            each.map(|Read { number, request, sent, line }| (number, request, sent, order(line, state)))
                .collect::<Vec<_>>()
        })?;
        let (mut steps, mut submissions) = (Vec::with_capacity(ordered.len()), Vec::with_capacity(ordered.len()));
        for ((number, request, sent, ordered), before) in ordered.into_iter().zip(before) {
            let same = |recorded: &Recorded| {
                let fingerprint = recorded.event.request.map(|request| request.fingerprint);
                // Versions before 0.2 remembered a line that was refused before its decision as it was sent.
                fingerprint == Some(request.fingerprint)
                    || fingerprint == Some(self.request(Some(number), sent).fingerprint)
            };
            steps.push(match before {
                Some(before) if same(&before) => Step::Known(self.again(number, before, ordered.err())),
                Some(_) => {
                    *changed = true;
                    Step::Known(LineOutcome::refused(number, Refusal::KeyReused.into()))
                }
                None if *changed => Step::Known(LineOutcome::refused(number, Problem::of(Kind::BatchChanged))),
                None => {
                    let (problem, submission) = self.submission(request, ordered);
                    submissions.push(Submission { rivals: rivals.clone(), ..submission });
                    Step::New(problem)
                }
            });
        }
        Ok((steps, submissions))
    }

    /// A line as it was understood, with what it is remembered as.
    fn read<'a>(&self, number: usize, line: &'a [u8]) -> Result<Read<'a>, Problem> {
        let read = read_line(line);
        let request = match &read {
            Ok(line) => self.request(Some(number), &canonical(line)?),
            Err(_) => self.request(Some(number), line),
        };
        Ok(Read { number, request, sent: line, line: read })
    }

    /// Finds the earlier outcomes of lines at their places. Hardly anything is asked for where all are new.
    async fn done_before(&self, read: &[Read<'_>]) -> Result<Vec<Option<Recorded>>, Problem> {
        let requests: Vec<Request> = read.iter().map(|line| line.request).collect();
        let keys: Vec<_> = requests.iter().map(|request| request.key).collect();
        let known = self.app.engine.known(&keys).await?;
        if !known.contains(&true) {
            return Ok(known.into_iter().map(|_| None).collect());
        }
        Ok(self.app.engine.outcomes_of(requests).await?)
    }

    /// The outcome that a line had before; `problem` is what is found wrong with it today.
    fn again(&self, line: usize, before: Recorded, problem: Option<Problem>) -> LineOutcome {
        match before.event.what {
            What::System(SystemEvent::Refused { refusal, .. }) => {
                let told = problem.map(into_line_problem).filter(|problem| problem.refusal() == Some(refusal));
                LineOutcome { replayed: true, ..LineOutcome::refused(line, told.unwrap_or_else(|| refusal.into())) }
            }
            what => self.told_again(line, before.number, &what),
        }
    }

    /// Tells what an earlier event made of a line: a payment. A line's command makes nothing else.
    fn told_again(&self, line: usize, event: u64, what: &What) -> LineOutcome {
        if let What::Payments(PaymentEvent::Posted { .. }) = what {
            return self.paid(line, event, true);
        }
        LineOutcome::refused(line, Problem::failed(&format_args!("event {event} is not what a line makes")))
    }

    /// The command of a line, with what is wrong with it. What can't be read is a command, too, so that it is remembered
    /// that it was refused.
    fn submission(&self, request: Request, ordered: Result<Ordered<'_>, Problem>) -> (Option<Problem>, Submission) {
        let (problem, body) = match ordered.and_then(|ordered| Ok(ordered.pay(&self.app)?)) {
            Ok(pay) => (None, Body::Payments(PaymentCommand::Pay(pay))),
            Err(problem) => {
                let problem = into_line_problem(problem);
                let refusal = problem.refusal().unwrap_or(Refusal::InvalidLine);
                (Some(problem), Body::System(SystemCommand::Unresolved(refusal)))
            }
        };
        (problem, Command { origin: Origin::default(), caller: self.who.caller, request: Some(request), body }.into())
    }

    /// Refuses a key that was used for a batch of the other sort, or for something else that was written, and not for this
    /// sort of batch before.
    async fn must_be_its_own_key(&self, all_or_none: bool) -> Result<(), Problem> {
        let own = self.first_place(all_or_none).key;
        if self.app.engine.knows_any(&self.rivals(all_or_none)).await? && !self.app.engine.knows_any(&[own]).await? {
            return Err(Refusal::KeyReused.into());
        }
        Ok(())
    }

    /// The keys that exclude the batch's: those of the other sort of batch, and of what is no batch.
    fn rivals(&self, all_or_none: bool) -> Rivals {
        let else_written = self.app.engine.request(self.who.caller.user, self.key.as_bytes(), b"");
        [self.first_place(!all_or_none), else_written].map(|request| request.key)
    }

    fn first_place(&self, all_or_none: bool) -> Request {
        self.request((!all_or_none).then_some(1), b"")
    }

    fn settle(&self) {
        self.turn.iter().for_each(Turn::settle);
    }

    fn request(&self, line: Option<usize>, content: &[u8]) -> Request {
        place(&self.app.engine, self.who.caller.user, &self.key, line, content)
    }

    // ---- All or none ----

    /// Reads all lines, and makes all payments or none.
    async fn pay_all(self, mut lines: Lines) -> Result<Response, Problem> {
        let mut all = All::default();
        while let Some(chunk) = lines.next().await? {
            let read: Vec<&[u8]> = chunk.lines().collect();
            // The form in which all lines are remembered must not hang on how they arrived.
            let room = (MAX_PAYMENTS_AT_ONCE + 1).saturating_sub(all.lines);
            all.read(&self.app, &read[..read.len().min(room)])?;
            if all.lines > MAX_PAYMENTS_AT_ONCE {
                all.wrong = Some(Refusal::TooManyPayments.into());
                break;
            }
        }
        let All { canonical, payments, wrong, .. } = all;
        let refusal = wrong.as_ref().map(|wrong| wrong.remembered_as().ok_or_else(|| wrong.clone())).transpose()?;
        let body = refusal
            .map_or(Body::Payments(PaymentCommand::PayAll(payments)), |it| Body::System(SystemCommand::Unresolved(it)));
        let request = self.request(None, &canonical);
        let command = Command { origin: Origin::default(), caller: self.who.caller, request: Some(request), body };
        let rivals = Some(Box::new(self.rivals(true)));
        let outcome = self.app.engine.submit(Submission { rivals, ..command.into() }).await?;
        self.settle();
        match outcome {
            Outcome::Accepted(receipt) => self.told_all(receipt.event, receipt.what, receipt.repeated),
            Outcome::Refused { refusal, place, repeated } => Err(match wrong {
                Some(wrong) if wrong.remembered_as() == Some(refusal) => wrong.told_before(repeated),
                _ => all_refused(refusal, place, repeated),
            }),
            Outcome::Unchanged => Err(Problem::failed(&"payments were accepted and changed nothing")),
        }
    }

    /// Tells the outcome of payments all or none: the event that counts them comes before theirs.
    fn told_all(&self, event: u64, what: What, replayed: bool) -> Result<Response, Problem> {
        let payments = match what {
            What::Payments(PaymentEvent::PaidAll { payments }) => payments,
            What::System(SystemEvent::Refused { refusal, place }) => return Err(all_refused(refusal, place, true)),
            _ => return Err(Problem::of(Kind::UnknownBatch)),
        };
        let (mut end, mut out) = (BatchEnd { lines: payments as usize, ..BatchEnd::default() }, Vec::new());
        for (line, event) in (1..=end.lines).zip(event.saturating_add(1)..) {
            end.count(&self.paid(line, event, replayed), &mut out);
        }
        write(&end, &mut out);
        Ok(answer(HttpBody::from(out)))
    }

    // ---- Asked for again ----

    /// Finds the outcomes of the lines from one on, at most of a chunk of them. It ends where one was not carried out.
    async fn known(&self, first: usize) -> Result<Vec<LineOutcome>, Problem> {
        let lines = first..(first + CHUNK_LINES).min(MAX_LINES + 1);
        let requests = lines.clone().map(|line| self.request(Some(line), b"")).collect();
        let outcomes = self.app.engine.outcomes_of(requests).await?;
        let known = lines.zip(outcomes).map_while(|(line, outcome)| outcome.map(|outcome| (line, outcome)));
        let told = known.map(|(line, outcome)| match outcome.event.what {
            What::System(SystemEvent::Refused { refusal, .. }) => {
                LineOutcome { replayed: true, ..LineOutcome::refused(line, refusal.into()) }
            }
            what => self.told_again(line, outcome.number, &what),
        });
        Ok(told.collect())
    }

    async fn tell_again(self, mut known: Vec<LineOutcome>, told: Sender<Bytes>) {
        let mut end = BatchEnd::default();
        loop {
            let mut out = Vec::with_capacity(known.len() * 80);
            known.iter().for_each(|outcome| end.count(outcome, &mut out));
            end.lines += known.len();
            let whole = known.len() < CHUNK_LINES;
            if whole {
                write(&end, &mut out);
            }
            if !self.send(&told, out.into()).await || whole {
                return;
            }
            known = match self.known(end.lines + 1).await {
                Ok(known) => known,
                Err(problem) => {
                    self.send(&told, written(&LineOutcome::refused(end.lines + 1, problem))).await;
                    return;
                }
            };
        }
    }

    /// Gives the client some lines, unless it is gone or takes too long.
    async fn send(&self, told: &Sender<Bytes>, lines: Bytes) -> bool {
        matches!(timeout(self.app.batches.patience, told.send(lines)).await, Ok(Ok(())))
    }
}

/// The problem of payments of which one was refused.
fn all_refused(refusal: Refusal, place: Option<u32>, repeated: bool) -> Problem {
    let problem = Problem::refused(refusal, repeated);
    match place {
        Some(place) => problem.in_field(&format!("line {}", u64::from(place) + 1)),
        None => problem,
    }
}

impl LineOutcome {
    fn refused(line: usize, problem: Problem) -> Self {
        let document = problem.document();
        Self { line, status: document.status, payment: None, problem: Some(document), replayed: false }
    }
}

impl BatchEnd {
    /// Counts an outcome, and writes it.
    fn count(&mut self, outcome: &LineOutcome, out: &mut Vec<u8>) {
        if outcome.payment.is_some() {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
        write(outcome, out);
    }
}

fn write(line: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, line).expect("plain data can be written into memory");
    out.push(b'\n');
}

fn written(line: &impl Serialize) -> Bytes {
    let mut out = Vec::new();
    write(line, &mut out);
    out.into()
}

/// A line that was read.
struct Read<'a> {
    number: usize,
    /// Key and fingerprint under which it is remembered.
    request: Request,
    /// As it was sent.
    sent: &'a [u8],
    line: Result<BatchLine<'a>, Problem>,
}

/// A line with its accounts found.
struct Ordered<'a> {
    line: BatchLine<'a>,
    leg: Leg,
    subject: bank::SubjectId,
}

/// The lines of a batch that is all or none.
#[derive(Default)]
struct All {
    lines: usize,
    /// Form in which they are remembered.
    canonical: Vec<u8>,
    payments: Vec<Pay>,
    /// Problem of the first that is not as it must be.
    wrong: Option<Problem>,
}

impl All {
    fn read(&mut self, app: &App, lines: &[&[u8]]) -> Result<(), Problem> {
        let read: Vec<_> = lines.iter().map(|line| read_line(line)).collect();
        for (line, sent) in read.iter().zip(lines) {
            match line {
                Ok(line) => self.canonical.extend(canonical(line)?),
                Err(_) => self.canonical.extend_from_slice(sent),
            }
        }
        let ordered = app.engine.peek(|state| read.into_iter().map(|line| order(line, state)).collect::<Vec<_>>())?;
        for ordered in ordered {
            self.lines += 1;
            if self.wrong.is_none() {
                match ordered.and_then(|ordered| Ok(ordered.pay(app)?)) {
                    Ok(pay) => self.payments.push(pay),
                    Err(problem) => self.wrong = Some(problem.within(&format!("line {}", self.lines))),
                }
            }
        }
        Ok(())
    }
}

fn read_line(line: &[u8]) -> Result<BatchLine<'_>, Problem> {
    if line.len() > MAX_LINE_BYTES {
        let detail = format!("the line has more than {MAX_LINE_BYTES} bytes");
        return Err(Problem::saying(Kind::InvalidRequest, detail));
    }
    crate::extract::line(line)
}

/// A line as it was understood, so that a retry may be spaced differently.
fn canonical(line: &BatchLine<'_>) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(line).map_err(|error| Problem::failed(&error))
}

fn order<'a>(line: Result<BatchLine<'a>, Problem>, state: &bank::State) -> Result<Ordered<'a>, Problem> {
    let line = line?;
    let amount = money(&line.amount, &line.currency)?;
    let leg = leg_of(state, &line.from, &line.to, amount)?;
    // Only who writes something needs a key to seal it under.
    let sealed = line.text.is_some() || line.metadata.is_some();
    let subject = if sealed { subject_of(state, leg.debit) } else { bank::SubjectId::BANK };
    Ok(Ordered { line, leg, subject })
}

/// A problem as a line's: one that is of no payment alone is told of the line.
fn into_line_problem(problem: Problem) -> Problem {
    if problem.refusal().is_some() { problem } else { problem.into_invalid_line() }
}

impl Ordered<'_> {
    fn pay(&self, app: &App) -> Result<Pay, Fault> {
        let metadata = metadata::written(self.line.metadata.as_ref())?;
        app.service.pay_command(smallvec![self.leg], self.subject, self.line.text.as_deref(), metadata.as_ref())
    }
}

/// The lines of a body as they arrive.
struct Lines {
    body: HttpBody,
    /// Bytes that have arrived and were not given yet.
    arrived: Vec<u8>,
    ended: bool,
    patience: Duration,
}

/// Some whole lines.
struct Chunk(Vec<u8>);

impl Chunk {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    }
}

impl Lines {
    fn new(body: HttpBody, patience: Duration) -> Self {
        Self { body, arrived: Vec::new(), ended: false, patience }
    }

    /// The next lines: those that have arrived, as far as they fit into a chunk, and at least one. None at the end.
    async fn next(&mut self) -> Result<Option<Chunk>, Problem> {
        loop {
            if let Some(chunk) = self.chunk() {
                return Ok(Some(chunk));
            }
            if self.ended {
                return Ok(None);
            }
            if self.arrived.len() > MAX_LINE_BYTES.max(CHUNK_BYTES) {
                let detail = format!("a line has more than {MAX_LINE_BYTES} bytes");
                return Err(Problem::saying(Kind::BodyTooLarge, detail));
            }
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let frame = timeout(self.patience, frame).await.map_err(|_| Problem::of(Kind::BodyUnreadable))?;
            match frame {
                Some(Ok(frame)) => self.arrived.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(_)) => return Err(Problem::of(Kind::BodyUnreadable)),
                None => self.ended = true,
            }
        }
    }

    /// Takes the whole lines of what has arrived, as many as fit.
    fn chunk(&mut self) -> Option<Chunk> {
        let (mut whole, mut lines) = (0, 0);
        for (place, _) in self.arrived.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            if lines == CHUNK_LINES || (lines > 0 && place >= CHUNK_BYTES) {
                break;
            }
            (whole, lines) = (place + 1, lines + 1);
        }
        if whole == 0 && self.ended {
            // The last line may have no end.
            whole = self.arrived.len();
        }
        if whole == 0 {
            return None;
        }
        let rest = self.arrived.split_off(whole);
        Some(Chunk(std::mem::replace(&mut self.arrived, rest)))
    }
}

/// The answer's body: what is told, as it is told.
struct Told(Receiver<Bytes>);

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|lines| lines.map(|lines| Ok(Frame::data(lines))))
    }
}
