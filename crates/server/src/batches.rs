//! Batches: payments as a stream of JSON lines, and what became of each as another such stream.
//!
//! A batch of single payments is read as it comes: some lines at a time are decided, and told as soon as they are
//! durable, while the next are read. What is not taken by the client holds the reading back. Each line is a request of its
//! own under the batch's key and the line's number, so that the same batch sent again is carried out once, and what
//! became of a batch can be asked for by its key alone.
//!
//! With `atomic=true` all payments of a batch are made, or none.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bank::{Body, Command, MAX_PAYMENTS_AT_ONCE, Pay, Purpose, Refusal, Request, UserId, What};
use engine::{Batch, Outcome, Submission};
use hyper::body::{Body as _, Frame};
use ledger::{Leg, Money};
use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::Limits;
use crate::amounts::money;
use crate::app::{App, SignedIn, account_of, subject_of};
use crate::extract::{IdempotencyKey, Path, Query, Token};
use crate::metadata::{self, Metadata};
use crate::payments::sealed_text;
use crate::problem::{Document, Kind, Problem};
use crate::strings;

/// The most lines of a batch: a large firm's payday, and half a second's work.
pub(crate) const MAX_LINES: usize = 100_000;

/// The most bytes of a line: a payment with as much metadata as may be, in any writing of its letters.
pub(crate) const MAX_LINE_BYTES: usize = 32 * 1024;

/// The most lines decided at once. Single payments that come meanwhile wait for a millisecond, not more.
const CHUNK_LINES: usize = 512;

/// The most bytes of the lines that are decided at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// How many chunks of all batches are in the engine's hands at once: far below what its queue holds, so that batches never
/// make it refuse single payments.
const CHUNKS_AT_ONCE: usize = 16;

/// How many chunks of one batch wait to be told. With one in the reader's and one in the engine's hands no one is idle.
const CHUNKS_AHEAD: usize = 2;

/// What a batch's media type is.
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

/// What became of one line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineOutcome {
    /// Which line, from 1. Empty lines are not counted.
    #[schema(value_type = strings::LineNumber)]
    line: usize,
    /// The HTTP status that the payment would have been answered with by itself.
    status: u16,
    /// The id of the payment, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::PaymentId>, required = false, nullable = false)]
    payment: Option<String>,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    problem: Option<Document>,
    /// Whether this became of it before, under the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replayed: bool,
}

/// The last line of an answer. An answer without it broke off: send the batch again under its key.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct BatchEnd {
    /// How many lines there were.
    #[schema(value_type = strings::LineNumber)]
    lines: usize,
    /// How many payments were made.
    #[schema(value_type = strings::LineNumber)]
    accepted: usize,
    /// How many were not.
    #[schema(value_type = strings::LineNumber)]
    refused: usize,
}

/// How a batch is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Mode {
    /// With `true` all payments are made, or none; at most 1,000.
    #[param(example = false)]
    atomic: Option<bool>,
}

/// Which batches are being worked on, and how much of them.
pub(crate) struct Batches {
    open: Mutex<HashMap<UserId, usize>>,
    most: usize,
    most_per_user: usize,
    chunks: Arc<Semaphore>,
    /// How long a client may take to send something, or to take something.
    patience: Duration,
}

/// A batch's place among those allowed.
struct Place {
    app: App,
    user: UserId,
}

impl Batches {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            open: Mutex::default(),
            most: limits.batches,
            most_per_user: limits.batches_per_user,
            chunks: Arc::new(Semaphore::new(CHUNKS_AT_ONCE)),
            patience: limits.request,
        }
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

/// Makes many payments.
///
/// For users of a customer with a right to move the paying accounts' money. The body is a payment a line, at most
/// 100,000; the answer is what became of it a line, in order, and begins while the body is still being sent. A line that
/// can't be read is refused, and the others are carried out. The last line of the answer counts them all; where it is
/// missing, send the batch again under its key: what was carried out is told again, and the rest is carried out. So are
/// lines that were added at the end. What comes after the 100,000th line is not carried out: a line with the problem
/// `batch-too-long` ends the answer.
#[utoipa::path(
    post, path = "/v1/batches", tag = "Batches", params(IdempotencyKey, Mode),
    request_body(content = strings::SentLines, content_type = "application/x-ndjson"),
    responses((
        status = 200, description = "A line for each payment, of LineOutcome, and a last one, of BatchEnd",
        body = strings::Lines, content_type = "application/x-ndjson",
    )),
    extensions(("x-refusals" = json!([
        "too-many-batches", "invalid-line", "batch-too-long", "invalid-iban", "other-bank", "unknown-account", "invalid-amount",
        "amount-too-precise", "unknown-currency", "too-many-payments", "no-legs",
        "no-right", "read-only-right", "above-signatory-limit", "not-a-payee", "too-many-legs", "amount-not-positive",
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
        // What every line would be refused for is told at once.
        if who.sees_all() { Err(Refusal::NotAllowed.into()) } else { Ok(()) }
    })?;
    if !is_lines(request.headers()) {
        return Err(Problem::saying(Kind::UnsupportedMediaType, format!("a batch must be {LINES}")));
    }
    let place = Place::take(&app, who.caller.user)?;
    let lines = Lines::new(request.into_body(), app.batches.patience);
    let batch = Work { app: app.clone(), who, key: key.key, _place: place };
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
/// Of its lines, as far as they were carried out; the caller's own batches only. A batch that is all or none and was
/// refused gives that refusal again.
#[utoipa::path(
    get, path = "/v1/batches/{key}", tag = "Batches",
    params(("key" = strings::Key, Path, description = "The batch's idempotency key")),
    responses((
        status = 200, description = "A line for each payment, of LineOutcome, and a last one, of BatchEnd",
        body = strings::Lines, content_type = "application/x-ndjson",
    )),
    extensions(("x-refusals" = json!([
        "unknown-batch", "too-many-batches", "not-allowed", "unknown-account", "too-many-payments", "no-legs",
        "no-right", "read-only-right", "above-signatory-limit", "not-a-payee", "too-many-legs", "amount-not-positive",
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
    let place = Place::take(&app, who.caller.user)?;
    let batch = Work { app: app.clone(), who, key, _place: place };
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
    _place: Place,
}

/// Lines that have their place in the engine's queue.
struct Begun {
    first: usize,
    /// What is wrong with a line, where that was found before it was decided.
    problems: Vec<Option<Problem>>,
    batch: Batch,
    _permit: OwnedSemaphorePermit,
}

impl Work {
    // ---- Each by itself ----

    /// Carries the lines out as they come, and tells of each.
    async fn pay_each(self, lines: Lines, told: Sender<Bytes>) {
        let (begun, pending) = mpsc::channel(CHUNKS_AHEAD);
        let (read, ()) = tokio::join!(self.begin(lines, begun), self.tell(pending, &told));
        if let Err((line, problem)) = read {
            self.send(&told, written(&LineOutcome::refused(line, problem))).await;
        }
    }

    /// Has the lines decided as they come. An error ends the batch at a line.
    async fn begin(&self, mut lines: Lines, begun: Sender<Result<Begun, usize>>) -> Result<(), (usize, Problem)> {
        let mut first = 1;
        while let Some(chunk) = lines.next().await.map_err(|problem| (first, problem))? {
            let read: Vec<&[u8]> = chunk.lines().collect();
            let within = read.len().min((MAX_LINES + 1).saturating_sub(first));
            let (problems, submissions): (Vec<_>, Vec<_>) =
                self.submissions(first, &read[..within]).map_err(|problem| (first, problem))?.into_iter().unzip();
            let permit = Arc::clone(&self.app.batches.chunks).acquire_owned().await;
            let _permit = permit.map_err(|_| (first, Problem::of(Kind::Stopping)))?;
            let batch = self.app.engine.begin_batch(submissions).await.map_err(|error| (first, error.into()))?;
            if begun.send(Ok(Begun { first, problems, batch, _permit })).await.is_err() {
                // Nobody takes the answer any more.
                return Ok(());
            }
            first += within;
            if within < read.len() {
                return Err((first, Problem::of(Kind::BatchTooLong)));
            }
        }
        // An answer without the last line tells that something was missing.
        let _ = begun.send(Err(first - 1)).await;
        Ok(())
    }

    /// Tells what became of lines, in their order.
    async fn tell(&self, mut pending: Receiver<Result<Begun, usize>>, told: &Sender<Bytes>) {
        let mut end = BatchEnd::default();
        while let Some(begun) = pending.recv().await {
            let Begun { first, problems, batch, .. } = match begun {
                Ok(begun) => begun,
                Err(lines) => {
                    end.lines = lines;
                    self.send(told, written(&end)).await;
                    return;
                }
            };
            let mut out = Vec::with_capacity(problems.len() * 80);
            let outcomes = match batch.outcomes().await {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    self.send(told, written(&LineOutcome::refused(first, error.into()))).await;
                    return;
                }
            };
            for ((line, problem), outcome) in (first..).zip(problems).zip(outcomes) {
                let outcome = match outcome {
                    Ok(outcome) => self.outcome(line, problem, outcome),
                    Err(error) => Err(error.into()),
                };
                match outcome {
                    Ok(outcome) => end.count(&outcome, &mut out),
                    Err(problem) => {
                        // The rest waits for the batch to be sent again.
                        write(&LineOutcome::refused(line, problem), &mut out);
                        self.send(told, out.into()).await;
                        return;
                    }
                }
            }
            if !self.send(told, out.into()).await {
                return;
            }
        }
    }

    /// What a line's outcome is called; an error where it has none yet.
    fn outcome(&self, line: usize, problem: Option<Problem>, outcome: Outcome) -> Result<LineOutcome, Problem> {
        match outcome {
            Outcome::Accepted(receipt) => Ok(self.paid(line, receipt.event, receipt.repeated)),
            Outcome::Refused { refusal: Refusal::NotSignedIn, .. } => Err(Refusal::NotSignedIn.into()),
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
        let payment = Some(self.app.payment_ids.id(event));
        LineOutcome { line, status: 201, payment, problem: None, replayed }
    }

    /// The commands of some lines, each with what is wrong with it. What can't be read is a command, too, so that it is
    /// remembered that it was refused.
    fn submissions(&self, first: usize, lines: &[&[u8]]) -> Result<Vec<(Option<Problem>, Submission)>, Problem> {
        let parsed: Vec<Result<Parsed<'_>, Problem>> = lines.iter().map(|line| Parsed::new(line)).collect();
        let ordered =
            self.app.engine.peek(|state| parsed.into_iter().map(|parsed| parsed?.order(state)).collect::<Vec<_>>())?;
        let each = (first..).zip(lines).zip(ordered);
        Ok(each.map(|((number, line), ordered)| self.submission(number, line, ordered)).collect())
    }

    fn submission(
        &self,
        number: usize,
        line: &[u8],
        ordered: Result<Ordered<'_>, Problem>,
    ) -> (Option<Problem>, Submission) {
        let request = |content: &[u8]| Some(self.request(Some(number), content));
        let pay = ordered.and_then(|ordered| Ok((request(&ordered.canonical()?), ordered.pay(&self.app)?)));
        let (problem, request, body) = match pay {
            Ok((request, pay)) => (None, request, Body::Pay(pay)),
            Err(problem) => {
                let problem = if problem.refusal().is_some() { problem } else { problem.into_invalid_line() };
                let refusal = problem.refusal().unwrap_or(Refusal::InvalidLine);
                (Some(problem), request(line), Body::Unresolved(refusal))
            }
        };
        (problem, Command { caller: self.who.caller, request, body }.into())
    }

    /// Refuses a key that was used for a batch of the other sort, or for something else that was written.
    async fn must_be_its_own_key(&self, all_or_none: bool) -> Result<(), Problem> {
        let other_sort = self.request(all_or_none.then_some(1), b"");
        let else_written = self.app.engine.request(self.who.caller.user, self.key.as_bytes(), b"");
        for other in [other_sort, else_written] {
            if self.app.engine.outcome_of(other).await?.is_some() {
                return Err(Refusal::KeyReused.into());
            }
        }
        Ok(())
    }

    /// What a line, or all of them, and the batch's key are remembered as. No key that is sent holds the character between
    /// the two.
    fn request(&self, line: Option<usize>, content: &[u8]) -> Request {
        let place = line.map_or_else(|| "all".to_owned(), |line| line.to_string());
        let key = [self.key.as_bytes(), b"\0", place.as_bytes()].concat();
        self.app.engine.request(self.who.caller.user, &key, content)
    }

    // ---- All or none ----

    /// Reads all lines, and makes all payments or none.
    async fn pay_all(self, mut lines: Lines) -> Result<Response, Problem> {
        let (mut payments, mut canonical) = (Vec::new(), Vec::new());
        while let Some(chunk) = lines.next().await? {
            let read: Vec<&[u8]> = chunk.lines().collect();
            if payments.len() + read.len() > MAX_PAYMENTS_AT_ONCE {
                return Err(Refusal::TooManyPayments.into());
            }
            let first = payments.len() + 1;
            let in_line = |place: usize, problem: Problem| problem.within(&format!("line {}", first + place));
            let mut orders = Vec::with_capacity(read.len());
            for (place, line) in read.iter().enumerate() {
                orders.push(Parsed::new(line).map_err(|problem| in_line(place, problem))?);
            }
            let ordered = self.app.engine.peek(|state| {
                let each = orders.into_iter().enumerate();
                each.map(|(place, order)| order.order(state).map_err(|it| in_line(place, it)))
                    .collect::<Result<Vec<_>, _>>()
            })??;
            for (place, order) in ordered.iter().enumerate() {
                canonical.extend(order.canonical()?);
                payments.push(order.pay(&self.app).map_err(|problem| in_line(place, problem))?);
            }
        }
        let request = self.request(None, &canonical);
        let command = Command { caller: self.who.caller, request: Some(request), body: Body::PayAll(payments) };
        match self.app.engine.submit(command).await? {
            Outcome::Accepted(receipt) => self.told_all(receipt.event, receipt.what, receipt.repeated),
            Outcome::Refused { refusal, place, repeated } => Err(all_refused(refusal, place, repeated)),
            Outcome::Unchanged => Err(Problem::failed(&"payments were accepted and changed nothing")),
        }
    }

    /// What became of payments all or none: the event that counts them comes before theirs.
    fn told_all(&self, event: u64, what: What, replayed: bool) -> Result<Response, Problem> {
        let payments = match what {
            What::PaidAll { payments } => payments,
            What::Refused { refusal, place } => return Err(all_refused(refusal, place, true)),
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

    /// What became of the lines from one on, at most of a chunk of them. It ends where one was not carried out.
    async fn known(&self, first: usize) -> Result<Vec<LineOutcome>, Problem> {
        let lines = first..(first + CHUNK_LINES).min(MAX_LINES + 1);
        let requests = lines.clone().map(|line| self.request(Some(line), b"")).collect();
        let outcomes = self.app.engine.outcomes_of(requests).await?;
        let known = lines.zip(outcomes).map_while(|(line, outcome)| outcome.map(|outcome| (line, outcome)));
        let told = known.map(|(line, outcome)| match outcome.event.what {
            What::Refused { refusal, .. } => {
                LineOutcome { replayed: true, ..LineOutcome::refused(line, refusal.into()) }
            }
            _ => self.paid(line, outcome.number, true),
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
struct Parsed<'a> {
    line: BatchLine<'a>,
    amount: Money,
}

/// The same with its accounts found.
struct Ordered<'a> {
    line: BatchLine<'a>,
    leg: Leg,
    subject: bank::SubjectId,
}

impl<'a> Parsed<'a> {
    fn new(line: &'a [u8]) -> Result<Self, Problem> {
        if line.len() > MAX_LINE_BYTES {
            let detail = format!("the line has more than {MAX_LINE_BYTES} bytes");
            return Err(Problem::saying(Kind::InvalidRequest, detail));
        }
        let line: BatchLine<'a> = crate::extract::line(line)?;
        let amount = money(&line.amount, &line.currency)?;
        Ok(Self { line, amount })
    }

    fn order(self, state: &bank::State) -> Result<Ordered<'a>, Problem> {
        let Self { line, amount } = self;
        let debit = account_of(state, &line.from).map_err(|problem| problem.in_field("from"))?;
        let credit = account_of(state, &line.to).map_err(|problem| problem.in_field("to"))?;
        // Only who writes something needs a key to seal it under.
        let sealed = line.text.is_some() || line.metadata.is_some();
        let subject = if sealed { subject_of(state, debit) } else { bank::SubjectId::BANK };
        Ok(Ordered { line, leg: Leg { debit, credit, amount }, subject })
    }
}

impl Ordered<'_> {
    /// What it is remembered as: the line as it was understood.
    fn canonical(&self) -> Result<Vec<u8>, Problem> {
        serde_json::to_vec(&self.line).map_err(|error| Problem::failed(&error))
    }

    fn pay(&self, app: &App) -> Result<Pay, Problem> {
        Ok(Pay {
            legs: smallvec![self.leg],
            purpose: Purpose::Payment,
            text: sealed_text(app, self.subject, self.line.text.as_deref())?,
            metadata: metadata::sealed(app, self.subject, self.line.metadata.as_ref())?,
            value_date: None,
            booked_at: None,
        })
    }
}

/// The lines of a body as they arrive.
struct Lines {
    body: HttpBody,
    /// What has arrived and was not given yet.
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

    /// What of what has arrived is whole, as much as fits.
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
