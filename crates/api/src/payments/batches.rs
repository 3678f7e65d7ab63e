//! Batches: payments as a stream of JSON lines, and what became of each as another such stream.
//!
//! A batch of single payments is read as it comes: some lines at a time are decided, and told as soon as they are
//! durable, while the next are read and looked up. Outcomes that the client does not take hold the reading back
//! (backpressure). What lines are carried out, and as what they are remembered, is the service's ([`service::Batch`]).
//!
//! With `atomic=true` all payments of a batch are made, or none.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use hyper::body::{Body as _, Frame};
use serde::{Deserialize, Serialize};
use service::meaning::{Said, Transfer};
use service::{
    Batch, BatchProgress, Begun, CHUNK_LINES, Fault, FaultKind, Line, LineOrder, LineOutcome as Outcome, Meaning,
    MovementOrder, Words,
};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::amounts::money;
use crate::app::App;
use crate::description::strings;
use crate::extract::{IdempotencyKey, Path, Query, Token};
use crate::payments::metadata::{self, Metadata};
use crate::problem::{Document, Kind, Problem};
use crate::version_0::form_of_version_0;

/// The most bytes of a line: a payment with as much metadata as may be, in any writing of its letters.
pub(crate) const MAX_LINE_BYTES: usize = 32 * 1024;

/// The most bytes of the lines that are decided at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Number of chunks of one batch that wait to be decided. With one in the reader's and one in the engine's hands no one
/// is idle.
const CHUNKS_AHEAD: usize = 2;

/// Media type of a batch.
const LINES: &str = "application/x-ndjson";

/// One payment of a batch.
#[derive(Debug, Deserialize, ToSchema)]
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
    #[schema(value_type = Option<strings::Notes>)]
    metadata: Option<Metadata>,
    /// The payer's own id of the payment, which both sides see, of at most 35 characters (ISO 20022, `EndToEndId`).
    #[schema(value_type = Option<strings::EndToEndId>)]
    end_to_end_id: Option<String>,
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
        "unknown-account in body", "invalid-amount", "amount-too-precise", "unknown-currency", "too-many-payments", "no-legs",
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
    let who = app.service.may_send_batches(token.0)?;
    if !is_lines(request.headers()) {
        return Err(Problem::saying(Kind::UnsupportedMediaType, format!("a batch must be {LINES}")));
    }
    let all_or_none = mode.atomic == Some(true);
    let batch = app.service.begin_batch(who, key.key, all_or_none).await?;
    let patience = app.guard.limits().request;
    let (work, lines) = (Work { batch, patience }, Lines::new(request.into_body(), patience));
    if all_or_none {
        return work.pay_all(lines).await;
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(work.pay_each(lines, sender));
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
        "unknown-batch", "too-many-batches", "not-allowed", "unknown-account in body", "too-many-payments", "no-legs",
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
    let batch = app.service.find_batch(token.0, key)?;
    if let Some(all) = batch.known_all().await? {
        return Ok(told_all(all));
    }
    let known = batch.known(1).await.map_err(Fault::named_in_body)?;
    if known.is_empty() {
        return Err(Problem::of(Kind::UnknownBatch));
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(Work { batch, patience: app.guard.limits().request }.tell_again(known, sender));
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
    batch: Batch,
    /// Time that a client may take to send something, or to take something.
    patience: Duration,
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
        let (mut first, mut progress) = (1, BatchProgress::default());
        loop {
            let ahead = match self.next_chunk(&mut lines, first, &mut progress).await {
                Ok(Some(chunk)) => Ahead::Begun(chunk),
                Ok(None) => Ahead::End { lines: first - 1 },
                Err(problem) => Ahead::Broken { line: first, problem },
            };
            let more = match &ahead {
                Ahead::Begun(chunk) => Some(chunk.lines()),
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
        progress: &mut BatchProgress,
    ) -> Result<Option<Begun>, Problem> {
        let Some(chunk) = lines.next().await? else { return Ok(None) };
        let read: Vec<_> = chunk.lines().map(ReadLine::new).collect();
        let lines = read.iter().map(ReadLine::line).collect();
        Ok(Some(self.batch.begin(first, lines, progress).await?))
    }

    /// Tells the outcomes of lines, in their order.
    async fn tell(&self, mut begun: Receiver<Ahead>, told: &Sender<Bytes>) {
        let mut end = BatchEnd::default();
        while let Some(ahead) = begun.recv().await {
            let chunk = match ahead {
                Ahead::Begun(chunk) => chunk,
                Ahead::End { lines } => {
                    end.lines = lines;
                    self.batch.settle();
                    self.send(told, written(&end)).await;
                    return;
                }
                Ahead::Broken { line, problem } => {
                    self.send(told, written(&LineOutcome::refused(line, problem))).await;
                    return;
                }
            };
            let outcomes = self.batch.outcomes(chunk).await;
            let mut out = Vec::with_capacity(outcomes.told.len() * 80);
            outcomes.told.into_iter().for_each(|outcome| end.count(outcome, &mut out));
            let is_broken = outcomes.broken.is_some();
            if let Some((line, fault)) = outcomes.broken {
                // The rest waits for the batch to be sent again.
                write(&LineOutcome::refused(line, fault.into()), &mut out);
            }
            if !self.send(told, out.into()).await || is_broken {
                return;
            }
        }
    }

    // ---- All or none ----

    /// Reads all lines, and makes all payments or none.
    async fn pay_all(self, mut lines: Lines) -> Result<Response, Problem> {
        let mut all = self.batch.all_lines();
        while let Some(chunk) = lines.next().await? {
            let read: Vec<_> = chunk.lines().map(ReadLine::new).collect();
            let lines = read.iter().map(ReadLine::line).collect();
            if !self.batch.read_all(&mut all, lines)? {
                break;
            }
        }
        Ok(told_all(self.batch.pay_all(all).await.map_err(Fault::named_in_body)?))
    }

    // ---- Asked for again ----

    async fn tell_again(self, mut known: Vec<Outcome>, told: Sender<Bytes>) {
        let mut end = BatchEnd::default();
        loop {
            let (lines, mut out) = (known.len(), Vec::with_capacity(known.len() * 80));
            known.into_iter().for_each(|outcome| end.count(outcome, &mut out));
            end.lines += lines;
            let whole = lines < CHUNK_LINES;
            if whole {
                write(&end, &mut out);
            }
            if !self.send(&told, out.into()).await || whole {
                return;
            }
            known = match self.batch.known(end.lines + 1).await {
                Ok(known) => known,
                Err(fault) => {
                    self.send(&told, written(&LineOutcome::refused(end.lines + 1, fault.into()))).await;
                    return;
                }
            };
        }
    }

    /// Gives the client some lines, unless it is gone or takes too long.
    async fn send(&self, told: &Sender<Bytes>, lines: Bytes) -> bool {
        matches!(timeout(self.patience, told.send(lines)).await, Ok(Ok(())))
    }
}

/// Tells the outcome of payments all or none.
fn told_all(all: Vec<Outcome>) -> Response {
    let (mut end, mut out) = (BatchEnd { lines: all.len(), ..BatchEnd::default() }, Vec::new());
    all.into_iter().for_each(|outcome| end.count(outcome, &mut out));
    write(&end, &mut out);
    answer(HttpBody::from(out))
}

impl LineOutcome {
    fn refused(line: usize, problem: Problem) -> Self {
        let document = problem.document();
        Self { line, status: document.status, payment: None, problem: Some(document), replayed: false }
    }
}

impl From<Outcome> for LineOutcome {
    fn from(Outcome { line, made, is_repeated: replayed }: Outcome) -> Self {
        match made {
            Ok(payment) => Self { line, status: 201, payment: Some(payment), problem: None, replayed },
            Err(fault) => Self { replayed, ..Self::refused(line, fault.named_in_body().into()) },
        }
    }
}

impl BatchEnd {
    /// Counts an outcome, and writes it.
    fn count(&mut self, outcome: Outcome, out: &mut Vec<u8>) {
        if outcome.made.is_ok() {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
        write(&LineOutcome::from(outcome), out);
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
struct ReadLine<'a> {
    sent: &'a [u8],
    line: Result<BatchLine<'a>, Fault>,
}

impl<'a> ReadLine<'a> {
    fn new(sent: &'a [u8]) -> Self {
        if sent.len() > MAX_LINE_BYTES {
            let detail = format!("the line has more than {MAX_LINE_BYTES} bytes");
            return Self { sent, line: Err(Fault::saying(FaultKind::InvalidRequest, detail)) };
        }
        Self { sent, line: crate::extract::line(sent) }
    }

    /// The line for the service, with what its place stands for.
    fn line(&self) -> Line<'_> {
        let (meaning, order) = match &self.line {
            Ok(line) => (line.meaning(), line.order()),
            Err(fault) => (Meaning::UnreadLine(self.sent), Err(fault.clone())),
        };
        Line { sent: self.sent, meaning, order }
    }
}

/// Reads one line of a batch, without its line break, and returns the form in which it is remembered, which is the same
/// for lines that mean the same; of one that can't be read, that form as well.
#[must_use]
pub fn line_form(sent: &[u8]) -> Vec<u8> {
    ReadLine::new(sent).line().meaning.form()
}

/// Reads one line of a batch, without its line break, and returns the form in which versions before 0.2 remembered it,
/// which is the same for lines that differ in spacing and escapes only, and is such a line itself; and what is wrong with
/// the payment that it orders, if anything is.
///
/// # Errors
///
/// Says what is wrong with a line that is not one JSON object of the fields described, or has more than 32 KiB.
pub fn read_line(sent: &[u8]) -> Result<(Vec<u8>, Option<Fault>), Fault> {
    let read = ReadLine::new(sent);
    let line = read.line.as_ref().map_err(Fault::clone)?;
    let form = form_of_version_0(&line.meaning()).ok_or_else(|| Fault::of(FaultKind::Malformed))?;
    Ok((form, line.order().err()))
}

impl BatchLine<'_> {
    fn meaning(&self) -> Meaning<'_> {
        let Self { from, to, amount, currency, text, metadata, end_to_end_id } = self;
        let (text, end_to_end_id) = (text.as_deref(), end_to_end_id.as_deref());
        let said = Said { text, metadata: metadata.as_ref(), end_to_end_id };
        Meaning::Line { movement: Transfer { from, to, amount, currency }, said }
    }

    fn order(&self) -> Result<LineOrder<'_>, Fault> {
        let movement = MovementOrder { from: &self.from, to: &self.to, amount: money(&self.amount, &self.currency)? };
        let metadata = metadata::written(self.metadata.as_ref())?;
        let (text, end_to_end_id) = (self.text.as_deref(), self.end_to_end_id.as_deref());
        Ok(LineOrder { movement, words: Words { text, metadata, end_to_end_id } })
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
