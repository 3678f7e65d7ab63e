//! Batches: payments as lines in an order, each a request of its own under the batch's key and the line's number, its
//! place. So the same batch sent again is carried out once, and what became of a batch can be asked for by its key alone.
//!
//! The key stands for all lines in their order. After a line that is another than its place stands for, nothing that is
//! new is carried out: what looks new may be a line that was moved down, and was paid before. So places are looked up
//! before their lines are decided, and one sending of a key is worked on at a time.
//!
//! How lines arrive and how outcomes are told is a front's.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bank::{
    Action, Body, Caller, Cause, Command, MAX_PAYMENTS_AT_ONCE, Origin, Pay, PaymentCommand, PaymentEvent, Readers,
    Refusal, Request, State, SystemCommand, SystemEvent, TokenHash, UserId, What,
};
use engine::{Batch as Submitted, Chain, Outcome, Recorded, Rivals, Submission, Unavailable};
use ledger::Leg;
use smallvec::smallvec;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::orders::{MovementOrder, Words};
use crate::access::SignedIn;
use crate::fault::{Fault, FaultKind};
use crate::meaning::{AllForm, Meaning};
use crate::names::leg_of;
use crate::service::{Service, Settings};
use crate::writes::{is_key, place};

/// The most lines of a batch: a large firm's payday, and half a second's work.
pub const MAX_LINES: usize = 100_000;

/// The most lines decided at once. Single payments that come meanwhile wait for a millisecond, not more.
pub const CHUNK_LINES: usize = 512;

/// Number of chunks of all batches in the engine's hands, or waiting to be told, at once: far below what its queue holds,
/// so that batches never make it refuse single payments.
const CHUNKS_AT_ONCE: usize = 16;

/// Time that a sending waits for an earlier one of the same key: longer than it takes to notice that a client is gone
/// whose connection was closed.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// Backoff after a full queue, before it is tried again.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// The batches that are being worked on, and how much of them.
pub(crate) struct Batches {
    open: Mutex<HashMap<UserId, usize>>,
    most: usize,
    most_per_user: usize,
    chunks: Arc<Semaphore>,
    /// The keys that are being worked on. Two sendings of one at once could each take the other's lines for new.
    keys: Mutex<HashSet<(UserId, String)>>,
    freed: Notify,
}

/// A batch's slot among those allowed.
struct BatchSlot {
    service: Service,
    user: UserId,
}

impl Batches {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            open: Mutex::default(),
            most: settings.batches,
            most_per_user: settings.batches_per_user,
            chunks: Arc::new(Semaphore::new(CHUNKS_AT_ONCE)),
            keys: Mutex::default(),
            freed: Notify::new(),
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<(UserId, String)>> {
        self.keys.lock().expect("no thread panics while it holds the keys")
    }

    fn by_user(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.open.lock().expect("no thread panics while it counts batches")
    }

    fn give_up(&self, key: &(UserId, String)) {
        self.keys().remove(key);
        self.freed.notify_waiters();
    }
}

impl BatchSlot {
    fn take(service: &Service, user: UserId) -> Result<Self, Fault> {
        let batches = service.batches();
        let mut open = batches.by_user();
        let all: usize = open.values().sum();
        let own = open.entry(user).or_default();
        if all >= batches.most || *own >= batches.most_per_user {
            return Err(Fault::of(FaultKind::TooManyBatches));
        }
        *own += 1;
        Ok(Self { service: service.clone(), user })
    }
}

impl Drop for BatchSlot {
    fn drop(&mut self) {
        let mut open = self.service.batches().by_user();
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
    service: Service,
    key: (UserId, String),
    /// `true` if all is decided that this sending has put into the queue.
    settled: AtomicBool,
}

impl Turn {
    /// Waits until an earlier sending is done with the key, but not for long: it may have a client that is there still.
    async fn wait(service: &Service, user: UserId, key: &str) -> Result<Self, Fault> {
        let key = (user, key.to_owned());
        let until = Instant::now() + TURN_WAIT;
        loop {
            let freed = service.batches().freed.notified();
            if service.batches().keys().insert(key.clone()) {
                return Ok(Self { service: service.clone(), key, settled: AtomicBool::new(false) });
            }
            timeout_at(until, freed).await.map_err(|_| Fault::of(FaultKind::TooManyBatches))?;
        }
    }

    fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.settled.load(Ordering::Relaxed) {
            return self.service.batches().give_up(&self.key);
        }
        let (service, key) = (self.service.clone(), self.key.clone());
        let give_up = async move {
            // The lines that this sending has in the queue are decided first: the queue is in order, and this changes
            // nothing.
            let nothing = || Command {
                caller: Caller::SYSTEM,
                origin: Origin::default(),
                request: None,
                body: Body::System(SystemCommand::Unresolved(Refusal::InvalidRequest)),
            };
            while let Err(Unavailable::Busy) = service.engine().submit(nothing()).await {
                sleep(BUSY_WAIT).await;
            }
            service.batches().give_up(&key);
        };
        // Without a runtime the server is at its end.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(give_up);
        }
    }
}

/// A line of a batch, as a front read it.
pub struct Line<'a> {
    /// As it was sent.
    pub sent: &'a [u8],
    /// Meaning that its place has from now on.
    pub meaning: Meaning<'a>,
    /// The payment that it orders, or what is wrong with it.
    pub order: Result<LineOrder<'a>, Fault>,
}

/// A payment that a line orders.
pub struct LineOrder<'a> {
    /// Its movement.
    pub movement: MovementOrder<'a>,
    /// Words that go with it.
    pub words: Words<'a>,
}

/// Outcome of one line.
#[derive(Debug, Clone)]
pub struct LineOutcome {
    /// Number of the line, from 1.
    pub line: usize,
    /// The id of the payment, or why it was not made.
    pub made: Result<String, Fault>,
    /// `true` if this is its outcome from before, under the same key.
    pub is_repeated: bool,
}

/// Progress of a batch whose lines are carried out one by one.
#[derive(Default)]
pub struct BatchProgress {
    /// `true` if a line was another than its place stands for.
    changed: bool,
    /// Where a line is left undecided nothing after it may be paid, since the lines may come again as others.
    chain: Chain,
}

/// Some of a batch's lines, looked up, of which those that are new have their place in the engine's queue.
pub struct Begun {
    first: usize,
    steps: Vec<Step>,
    submitted: Option<Submitted>,
    too_long: bool,
    _place: OwnedSemaphorePermit,
}

impl Begun {
    /// Returns the number of lines.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.steps.len()
    }
}

/// Outcomes of some lines, in their order.
pub struct ChunkOutcomes {
    /// The outcomes, as far as there are any.
    pub told: Vec<LineOutcome>,
    /// The line at which the batch breaks off, and why; none where it goes on.
    pub broken: Option<(usize, Fault)>,
}

/// Next step for a line.
enum Step {
    /// It was decided, under this key before or just now.
    Known(LineOutcome),
    /// It is the next of the commands in the engine's hands, with what was found wrong with it before.
    New(Option<Fault>),
}

/// A line that was read.
struct Read<'a> {
    number: usize,
    /// Key and fingerprint under which it is remembered.
    request: Request,
    line: Line<'a>,
}

/// A line that was looked up.
struct Found<'a> {
    number: usize,
    request: Request,
    sent: &'a [u8],
    meaning: Meaning<'a>,
    ordered: Result<Ordered<'a>, Fault>,
}

/// A line with its accounts found.
struct Ordered<'a> {
    order: LineOrder<'a>,
    leg: Leg,
    readers: Readers,
}

/// The lines of a batch that is all or none.
pub struct AllLines {
    lines: usize,
    /// Form in which they are remembered.
    form: AllForm,
    /// Form in which versions before 0.2 remembered them, where the batch may be one of theirs.
    older_form: Option<Vec<u8>>,
    payments: Vec<Pay>,
    /// What is wrong with the first that is not as it must be.
    wrong: Option<Fault>,
}

/// A batch being worked on.
pub struct Batch {
    service: Service,
    who: SignedIn,
    key: String,
    /// Where its lines come from: the front, and the batch itself.
    origin: Origin,
    /// `true` if its first place was used before this sending.
    is_known: bool,
    /// Turn of the batch, where its lines are carried out.
    turn: Option<Turn>,
    _place: BatchSlot,
}

impl Service {
    /// Finds out who asks to send a batch. A refusal that every line would meet is told at once.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, or may not pay.
    pub fn may_send_batches(&self, token: TokenHash) -> Result<SignedIn, Fault> {
        let look = |_: &State, who: &SignedIn| Ok(who.may_ever(Action::Pay)?);
        self.prepare(token, look).map(|(who, ())| who)
    }

    /// Begins to work on a batch under a key, when its turn comes; all its payments are to be made or none, or each by
    /// itself.
    ///
    /// # Errors
    ///
    /// Fails if too many batches are being worked on, an earlier sending of it is not done, or the key is not the
    /// batch's alone.
    pub async fn begin_batch(&self, who: SignedIn, key: String, all_or_none: bool) -> Result<Batch, Fault> {
        let place = BatchSlot::take(self, who.caller.user)?;
        let turn = Turn::wait(self, who.caller.user, &key).await?;
        let mut batch = Batch {
            service: self.clone(),
            who,
            origin: self.origin_of_batch(&who, &key),
            key,
            is_known: false,
            turn: Some(turn),
            _place: place,
        };
        batch.is_known = batch.is_known_by_its_key(all_or_none).await?;
        Ok(batch)
    }

    /// Finds a batch of the caller's own by its key, to tell what became of it.
    ///
    /// # Errors
    ///
    /// Fails if the key can't be a batch's, or too many batches are being worked on.
    pub fn find_batch(&self, token: TokenHash, key: String) -> Result<Batch, Fault> {
        let (who, ()) = self.prepare(token, |_, _| Ok(()))?;
        if !is_key(key.as_bytes()) {
            return Err(Fault::of(FaultKind::UnknownBatch));
        }
        let place = BatchSlot::take(self, who.caller.user)?;
        Ok(Batch {
            service: self.clone(),
            who,
            origin: self.origin_of_batch(&who, &key),
            key,
            is_known: true,
            turn: None,
            _place: place,
        })
    }
}

impl Service {
    fn origin_of_batch(&self, who: &SignedIn, key: &str) -> Origin {
        let key = self.engine().request(who.caller.user, key.as_bytes(), b"").key;
        Origin { cause: Some(Cause::of_batch(key)), ..self.origin() }
    }
}

impl Batch {
    // ---- Each by itself ----

    /// Looks some lines up, the first of them with the number `first`, and has those that are new put into the engine's
    /// queue.
    ///
    /// # Errors
    ///
    /// Fails if the batch has more lines than it may before the first, and if the engine can't answer.
    pub async fn begin(
        &self,
        first: usize,
        mut lines: Vec<Line<'_>>,
        progress: &mut BatchProgress,
    ) -> Result<Begun, Fault> {
        let within = lines.len().min((MAX_LINES + 1).saturating_sub(first));
        if within == 0 && !lines.is_empty() {
            return Err(Fault::of(FaultKind::BatchTooLong));
        }
        let too_long = within < lines.len();
        lines.truncate(within);
        let (steps, submissions) = self.steps(first, lines, &mut progress.changed).await?;
        let place = Arc::clone(&self.service.batches().chunks).acquire_owned().await;
        let _place = place.map_err(|_| Fault::of(FaultKind::Stopping))?;
        let submitted = match submissions.is_empty() {
            true => None,
            false => Some(self.service.engine().begin_batch(submissions, &progress.chain).await?),
        };
        Ok(Begun { first, steps, submitted, too_long, _place })
    }

    /// Waits for the outcomes of some lines.
    pub async fn outcomes(&self, begun: Begun) -> ChunkOutcomes {
        let Begun { first, steps, submitted, too_long, .. } = begun;
        let after = first + steps.len();
        let decided = match submitted {
            Some(submitted) => match submitted.outcomes().await {
                Ok(decided) => decided,
                Err(error) => return ChunkOutcomes { told: Vec::new(), broken: Some((first, error.into())) },
            },
            None => Vec::new(),
        };
        let (mut decided, mut told) = (decided.into_iter(), Vec::with_capacity(steps.len()));
        for (line, step) in (first..).zip(steps) {
            let outcome = match step {
                Step::Known(outcome) => Ok(outcome),
                Step::New(fault) => match decided.next() {
                    Some(Ok(outcome)) => self.outcome(line, fault, outcome),
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Fault::failed(&"a line has no outcome")),
                },
            };
            match outcome {
                Ok(outcome) => told.push(outcome),
                Err(fault) => return ChunkOutcomes { told, broken: Some((line, fault)) },
            }
        }
        ChunkOutcomes { told, broken: too_long.then(|| (after, Fault::of(FaultKind::BatchTooLong))) }
    }

    /// Notes that all is decided that was put into the queue.
    pub fn settle(&self) {
        self.turn.iter().for_each(Turn::settle);
    }

    /// Names a line's outcome; an error where it has none yet.
    fn outcome(&self, line: usize, fault: Option<Fault>, outcome: Outcome) -> Result<LineOutcome, Fault> {
        match outcome {
            Outcome::Accepted(receipt) => Ok(self.paid(line, receipt.event, receipt.repeated)),
            // The key was taken for something else meanwhile.
            Outcome::Refused { refusal: refusal @ (Refusal::NotSignedIn | Refusal::KeyReused), .. } => {
                Err(refusal.into())
            }
            Outcome::Refused { refusal, repeated, .. } => {
                let told = fault.filter(|fault| fault.refusal() == Some(refusal));
                let made = Err(told.unwrap_or_else(|| refusal.into()));
                Ok(LineOutcome { line, made, is_repeated: repeated })
            }
            Outcome::Unchanged => Err(Fault::failed(&"a payment changed nothing")),
        }
    }

    fn paid(&self, line: usize, event: u64, is_repeated: bool) -> LineOutcome {
        LineOutcome { line, made: Ok(self.service.payment_ids().id(event)), is_repeated }
    }

    /// Finds the next steps for some lines, and makes the commands of those that are new. `changed` tells whether a
    /// line was another than its place stands for, here or before.
    async fn steps(
        &self,
        first: usize,
        lines: Vec<Line<'_>>,
        changed: &mut bool,
    ) -> Result<(Vec<Step>, Vec<Submission>), Fault> {
        let read: Vec<_> = (first..).zip(lines).map(|(number, line)| self.read(number, line)).collect();
        let before = self.done_before(&read).await?;
        // Once its first line is decided, the key is the batch's.
        let is_new = first == 1 && before.first().is_some_and(Option::is_none);
        let rivals = is_new.then(|| Box::new(self.rivals(false)));
        let ordered = self.service.engine().peek(|state| {
            let each = read.into_iter();
            let found = |Read { number, request, line: Line { sent, meaning, order } }| Found {
                number,
                request,
                sent,
                meaning,
                ordered: find(order, state),
            };
            each.map(found).collect::<Vec<_>>()
        })?;
        let (mut steps, mut submissions) = (Vec::with_capacity(ordered.len()), Vec::with_capacity(ordered.len()));
        for (found, before) in ordered.into_iter().zip(before) {
            let is_same = before.as_ref().is_some_and(|before| self.is_same(&found, before));
            let Found { number, request, ordered, .. } = found;
            steps.push(match before {
                Some(before) if is_same => Step::Known(self.again(number, before, ordered.err())),
                Some(_) => {
                    *changed = true;
                    Step::Known(LineOutcome::refused(number, Refusal::KeyReused.into()))
                }
                None if *changed => Step::Known(LineOutcome::refused(number, Fault::of(FaultKind::BatchChanged))),
                None => {
                    let (fault, submission) = self.submission(request, ordered);
                    submissions.push(Submission { rivals: rivals.clone(), ..submission });
                    Step::New(fault)
                }
            });
        }
        Ok((steps, submissions))
    }

    /// A line with what it is remembered as.
    fn read<'a>(&self, number: usize, line: Line<'a>) -> Read<'a> {
        let request = self.request(Some(number), &line.meaning.form());
        Read { number, request, line }
    }

    /// Returns `true` if a line is the one that was sent at its place before.
    fn is_same(&self, line: &Found<'_>, before: &Recorded) -> bool {
        let Some(fingerprint) = before.event.request.map(|request| request.fingerprint) else { return false };
        let is = |form: &[u8]| self.request(Some(line.number), form).fingerprint == fingerprint;
        fingerprint == line.request.fingerprint
            || self.service.older_form(&line.meaning).is_some_and(|form| is(&form))
            // Versions before 0.2 remembered a line that was refused before its decision as it was sent.
            || is(line.sent)
    }

    /// Finds the earlier outcomes of lines at their places. Hardly anything is asked for where all are new.
    async fn done_before(&self, read: &[Read<'_>]) -> Result<Vec<Option<Recorded>>, Fault> {
        let requests: Vec<Request> = read.iter().map(|line| line.request).collect();
        let keys: Vec<_> = requests.iter().map(|request| request.key).collect();
        let known = self.service.engine().known(&keys).await?;
        if !known.contains(&true) {
            return Ok(known.into_iter().map(|_| None).collect());
        }
        Ok(self.service.engine().outcomes_of(requests).await?)
    }

    /// The outcome that a line had before; `fault` is what is found wrong with it today.
    fn again(&self, line: usize, before: Recorded, fault: Option<Fault>) -> LineOutcome {
        if let What::System(SystemEvent::Refused { refusal, .. }) = before.event.what {
            let told = fault.map(of_line).filter(|fault| fault.refusal() == Some(refusal));
            let made = Err(told.unwrap_or_else(|| refusal.into()));
            return LineOutcome { line, made, is_repeated: true };
        }
        self.told_again(line, before.number, &before.event.what)
    }

    /// Tells what an earlier event made of a line: a payment. A line's command makes nothing else.
    fn told_again(&self, line: usize, event: u64, what: &What) -> LineOutcome {
        if let What::Payments(PaymentEvent::Posted { .. }) = what {
            return self.paid(line, event, true);
        }
        LineOutcome::refused(line, Fault::failed(&format_args!("event {event} is not what a line makes")))
    }

    /// The command of a line, with what is wrong with it. What can't be read is a command, too, so that it is remembered
    /// that it was refused.
    fn submission(&self, request: Request, ordered: Result<Ordered<'_>, Fault>) -> (Option<Fault>, Submission) {
        let (fault, body) = match ordered.and_then(|ordered| ordered.pay(&self.service)) {
            Ok(pay) => (None, Body::Payments(PaymentCommand::Pay(pay))),
            Err(fault) => {
                let fault = of_line(fault);
                let refusal = fault.refusal().unwrap_or(Refusal::InvalidLine);
                (Some(fault), Body::System(SystemCommand::Unresolved(refusal)))
            }
        };
        (fault, Command { caller: self.who.caller, origin: self.origin, request: Some(request), body }.into())
    }

    /// Refuses a key that was used for a batch of the other sort, or for something else that was written, and not for this
    /// sort of batch before; else tells whether it was used for this sort.
    async fn is_known_by_its_key(&self, all_or_none: bool) -> Result<bool, Fault> {
        let own = self.first_place(all_or_none).key;
        let engine = self.service.engine();
        let is_known = engine.knows_any(&[own]).await?;
        if !is_known && engine.knows_any(&self.rivals(all_or_none)).await? {
            return Err(Refusal::KeyReused.into());
        }
        Ok(is_known)
    }

    /// The keys that exclude the batch's: those of the other sort of batch, and of what is no batch.
    fn rivals(&self, all_or_none: bool) -> Rivals {
        let else_written = self.service.engine().request(self.who.caller.user, self.key.as_bytes(), b"");
        [self.first_place(!all_or_none), else_written].map(|request| request.key)
    }

    fn first_place(&self, all_or_none: bool) -> Request {
        self.request((!all_or_none).then_some(1), b"")
    }

    fn request(&self, line: Option<usize>, content: &[u8]) -> Request {
        place(self.service.engine(), self.who.caller.user, &self.key, line, content)
    }

    // ---- All or none ----

    /// Makes room for the lines of a batch that is all or none.
    #[must_use]
    pub fn all_lines(&self) -> AllLines {
        let older_form = self.is_known.then(Vec::new);
        AllLines { lines: 0, form: AllForm::new(), older_form, payments: Vec::new(), wrong: None }
    }

    /// Takes further lines of a batch that is all or none, and tells whether it takes more: what comes after one too many
    /// is not read.
    ///
    /// # Errors
    ///
    /// Fails if the engine can't answer.
    pub fn read_all(&self, all: &mut AllLines, mut lines: Vec<Line<'_>>) -> Result<bool, Fault> {
        // The form in which all lines are remembered must not hang on how they arrived.
        lines.truncate((MAX_PAYMENTS_AT_ONCE + 1).saturating_sub(all.lines));
        for line in &lines {
            all.form.push(&line.meaning);
            if let Some(older) = &mut all.older_form {
                older.extend(self.service.older_form(&line.meaning).as_deref().unwrap_or(line.sent));
            }
        }
        let ordered = self
            .service
            .engine()
            .peek(|state| lines.into_iter().map(|line| find(line.order, state)).collect::<Vec<_>>())?;
        for ordered in ordered {
            all.lines += 1;
            if all.wrong.is_none() {
                match ordered.and_then(|ordered| ordered.pay(&self.service)) {
                    Ok(pay) => all.payments.push(pay),
                    Err(fault) => all.wrong = Some(fault.within(&format!("line {}", all.lines))),
                }
            }
        }
        if all.lines > MAX_PAYMENTS_AT_ONCE {
            all.wrong = Some(Refusal::TooManyPayments.into());
            return Ok(false);
        }
        Ok(true)
    }

    /// Makes all payments or none, and tells the outcome of each.
    ///
    /// # Errors
    ///
    /// Fails if one of them is refused, now or under the key before, and if the engine can't answer.
    pub async fn pay_all(&self, all: AllLines) -> Result<Vec<LineOutcome>, Fault> {
        let AllLines { form, older_form, payments, wrong, .. } = all;
        let refusal = wrong.as_ref().map(|wrong| wrong.remembered_as().ok_or_else(|| wrong.clone())).transpose()?;
        let body = refusal
            .map_or(Body::Payments(PaymentCommand::PayAll(payments)), |it| Body::System(SystemCommand::Unresolved(it)));
        let request = self.request(None, &form.bytes());
        let command = Command { caller: self.who.caller, origin: self.origin, request: Some(request), body };
        let rivals = Some(Box::new(self.rivals(true)));
        let mut outcome = self.service.engine().submit(Submission { rivals, ..command.into() }).await?;
        self.settle();
        if let Some(older_form) = older_form.filter(|_| outcome.is_key_reused()) {
            outcome = self.service.engine().repeat(self.request(None, &older_form)).await?;
        }
        match outcome {
            Outcome::Accepted(receipt) => self.all_paid(receipt.event, &receipt.what, receipt.repeated),
            Outcome::Refused { refusal, place, repeated } => Err(match wrong {
                Some(wrong) if wrong.remembered_as() == Some(refusal) => wrong.told_before(repeated),
                Some(_) | None => all_refused(refusal, place, repeated),
            }),
            Outcome::Unchanged => Err(Fault::failed(&"payments were accepted and changed nothing")),
        }
    }

    /// The outcomes of payments all or none: the event that counts them comes before theirs.
    fn all_paid(&self, event: u64, what: &What, is_repeated: bool) -> Result<Vec<LineOutcome>, Fault> {
        if let What::System(SystemEvent::Refused { refusal, place }) = what {
            return Err(all_refused(*refusal, *place, true));
        }
        let What::Payments(PaymentEvent::PaidAll { payments }) = what else {
            return Err(Fault::of(FaultKind::UnknownBatch));
        };
        let each = (1..=*payments as usize).zip(event.saturating_add(1)..);
        Ok(each.map(|(line, event)| self.paid(line, event, is_repeated)).collect())
    }

    // ---- Asked for again ----

    /// Tells what became of a batch that is all or none; none where it is no such batch.
    ///
    /// # Errors
    ///
    /// Refuses again where it was refused; fails if the engine can't answer.
    pub async fn known_all(&self) -> Result<Option<Vec<LineOutcome>>, Fault> {
        let all = self.service.engine().outcome_of(self.request(None, b"")).await?;
        all.map(|all| self.all_paid(all.number, &all.event.what, true)).transpose()
    }

    /// Finds the outcomes of the lines from one on, at most of [`CHUNK_LINES`]. It ends where one was not carried out.
    ///
    /// # Errors
    ///
    /// Fails if the engine can't answer.
    pub async fn known(&self, first: usize) -> Result<Vec<LineOutcome>, Fault> {
        let lines = first..(first + CHUNK_LINES).min(MAX_LINES + 1);
        let requests = lines.clone().map(|line| self.request(Some(line), b"")).collect();
        let outcomes = self.service.engine().outcomes_of(requests).await?;
        let known = lines.zip(outcomes).map_while(|(line, outcome)| outcome.map(|outcome| (line, outcome)));
        Ok(known.map(|(line, outcome)| self.again(line, outcome, None)).collect())
    }
}

/// The fault of payments of which one was refused.
fn all_refused(refusal: Refusal, place: Option<u32>, repeated: bool) -> Fault {
    let fault = Fault::refused(refusal, repeated);
    match place {
        Some(place) => fault.in_field(&format!("line {}", u64::from(place) + 1)),
        None => fault,
    }
}

impl LineOutcome {
    fn refused(line: usize, fault: Fault) -> Self {
        Self { line, made: Err(fault), is_repeated: false }
    }
}

fn find<'a>(order: Result<LineOrder<'a>, Fault>, state: &State) -> Result<Ordered<'a>, Fault> {
    let order = order?;
    let MovementOrder { from, to, amount } = order.movement;
    let leg = leg_of(state, from, to, amount)?;
    // Only who writes something needs a key to seal it under.
    let readers = match order.words.is_empty() {
        true => Readers::default(),
        false => state.readers(leg.debit, [leg.credit]),
    };
    Ok(Ordered { order, leg, readers })
}

/// A fault as a line's: one that is of no payment alone is told of the line.
fn of_line(fault: Fault) -> Fault {
    if fault.refusal().is_some() { fault } else { fault.into_invalid_line() }
}

impl Ordered<'_> {
    fn pay(&self, service: &Service) -> Result<Pay, Fault> {
        service.pay_command(smallvec![self.leg], &self.readers, &self.order.words)
    }
}
