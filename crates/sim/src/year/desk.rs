//! The desk at which everything is asked: the engine, commands gathered into batches, several batches on their way at
//! once, and the auditor to whom each answer is shown.
//!
//! Batches are sent one after the other from one thread, so the order in which commands were given is the order in which
//! they are decided. What the engine does unasked, letting go expired holds and announcing itself after a start, is read
//! back from the journal when its number is next.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bank::{
    AccessCommand, AccessEvent, Body, Caller, Command, Decision, Due, Event, HoldEvent, Origin, PastPosting,
    PaymentEvent, Refusal, Request, SystemEvent, What,
};
use engine::{Clock, Engine, NewSubject, Options, Outcome, Submission, Unavailable};
use journal::MasterKey;
use ledger::{Cause, PostingId, ReleaseReason, Timestamp};
use tokio::runtime::Runtime;

use super::calendar::eve;
use super::{Stopped, people};
use crate::{Auditor, Observed};

/// Number of commands sent together: few, so that the engine is soon at work while more are made. It takes what has
/// queued up in one run anyway.
const BATCH: usize = 1_024;

/// Number of batches on their way before the oldest is waited for: enough for a run being made durable and another
/// being decided.
const BATCHES_IN_FLIGHT: usize = 12;

/// A clock that stands until it is set. Its monotonic time goes with it, so no step of it is a jump.
#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn wall_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic_ms(&self) -> i64 {
        self.wall_ms()
    }
}

/// Something to be asked.
pub(super) struct Question {
    pub(super) command: Command,
    pub(super) expected: Expected,
    /// Use that the answer is to be kept for.
    pub(super) lesson: Option<Lesson>,
    pub(super) subject: Option<Box<NewSubject>>,
    pub(super) past: Option<Box<PastPosting>>,
}

impl Question {
    pub(super) fn new(caller: Caller, request: Option<Request>, body: Body) -> Self {
        let command = Command { origin: Origin::default(), caller, request, body };
        Self { command, expected: Expected::Fresh, lesson: None, subject: None, past: None }
    }

    /// Makes a question of Kassa itself.
    pub(super) fn of_system(body: Body) -> Self {
        Self::new(Caller::SYSTEM, None, body)
    }
}

/// Expected answer.
pub(super) enum Expected {
    /// Any that the auditor agrees with.
    Fresh,
    /// The answer to the question before it, which has the same key.
    SameAsBefore,
    /// This first outcome of the same key.
    Again(Box<Observed>),
    /// A refusal, because the key was used for something else.
    KeyReused,
}

/// Use that an answer is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lesson {
    /// A hold that will be captured, voided or left.
    Card,
    /// A payment of which something will be given back.
    GiveBack,
    /// A payment that will be undone.
    Undo,
    /// A command that will be sent again.
    SendAgain,
}

/// Number of times each thing was had.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Commands sent, retries included.
    pub commands: u64,
    /// Postings booked.
    pub postings: u64,
    /// Holds placed.
    pub holds: u64,
    /// Postings that took held money.
    pub captures: u64,
    /// Holds voided.
    pub voided: u64,
    /// Holds that Kassa let go because their time was over.
    pub expired: u64,
    /// Refunds booked.
    pub refunds: u64,
    /// Reversals booked.
    pub reversals: u64,
    /// Sessions begun.
    pub sign_ins: u64,
    /// First refusals, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Commands sent again under their key.
    pub retries: u64,
    /// Keys sent again with something else, and refused.
    pub keys_reused: u64,
    /// Number of times all balances were compared.
    pub comparisons: u64,
}

impl Counts {
    fn count_payment(&mut self, event: &PaymentEvent) {
        let PaymentEvent::Posted { posting, .. } = event else { return };
        self.postings += 1;
        match posting.cause() {
            Cause::Order => {}
            Cause::Capture { .. } => self.captures += 1,
            Cause::Refund { .. } => self.refunds += 1,
            Cause::Reversal { .. } => self.reversals += 1,
        }
    }

    fn count_hold(&mut self, event: &HoldEvent) {
        match event {
            HoldEvent::HoldPlaced { .. } => self.holds += 1,
            HoldEvent::HoldReleased { .. } => self.voided += 1,
            HoldEvent::HoldExtended { .. } => {}
        }
    }
}

type Answers = Vec<Result<Outcome, Unavailable>>;
type Coming = Pin<Box<dyn Future<Output = Result<Answers, Unavailable>> + Send>>;

/// A batch on its way.
struct Flight {
    at: Timestamp,
    questions: Vec<Question>,
    answers: Poll<Answers>,
    coming: Coming,
}

pub(super) struct Desk {
    folder: PathBuf,
    master: MasterKey,
    clock: Arc<Hands>,
    engine: Engine,
    runtime: Runtime,
    auditor: Auditor,
    batch: Vec<Question>,
    flying: VecDeque<Flight>,
    lessons: Vec<(Lesson, Observed)>,
    /// The answer before the next one, where nothing was to be learned from it.
    before: Option<Observed>,
    counts: Counts,
    /// Number of times the engine was started and has not been seen to say so.
    starts: u32,
}

impl Desk {
    /// A new bank in a folder, its master key beside it.
    pub(super) fn open_new(folder: &Path) -> Result<Self, Stopped> {
        let master = MasterKey::generate();
        master.write_new_file(&key_file(folder)?)?;
        let clock = Arc::new(Hands(AtomicI64::new(eve().0)));
        let engine = Engine::create(folder, &master, Arc::clone(&clock) as Arc<dyn Clock>)?;
        Ok(Self {
            folder: folder.to_owned(),
            master,
            clock,
            engine,
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
            auditor: Auditor::default(),
            batch: Vec::with_capacity(BATCH),
            flying: VecDeque::new(),
            lessons: Vec::new(),
            before: None,
            counts: Counts::default(),
            starts: 1,
        })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The last event that was audited.
    pub(super) fn events(&self) -> u64 {
        self.auditor.events()
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.clock.wall_ms())
    }

    /// Sets the clock once all that was asked before is answered and audited.
    pub(super) fn set_clock(&mut self, at: Timestamp) -> Result<(), Stopped> {
        self.finish()?;
        self.clock.0.store(at.0, Ordering::Relaxed);
        Ok(())
    }

    /// Asks, as soon as a batch is full.
    pub(super) fn ask(&mut self, question: Question) -> Result<(), Stopped> {
        self.batch.push(question);
        if self.batch.len() >= BATCH { self.send() } else { Ok(()) }
    }

    /// Takes what was learned since it was asked last.
    pub(super) fn take_lessons(&mut self) -> Vec<(Lesson, Observed)> {
        std::mem::take(&mut self.lessons)
    }

    /// The posting that a refund or reversal names.
    pub(super) fn past(&self, of: PostingId) -> Result<Option<Box<PastPosting>>, Stopped> {
        Ok(self.engine.past_posting(of)?.map(Box::new))
    }

    /// Sends the batch. With many on their way, the oldest is audited while the engine is at work on the others.
    fn send(&mut self) -> Result<(), Stopped> {
        let mut questions = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let submissions = questions.iter_mut().map(|question| Submission {
            command: question.command.clone(),
            subject: question.subject.take().map(|subject| *subject),
            past: question.past.take(),
            rivals: None,
        });
        let (engine, submissions) = (self.engine.clone(), submissions.collect());
        let mut coming: Coming = Box::pin(async move { engine.submit_batch(submissions).await });
        // Polled once, it is in the engine's queue; a small one may be answered before that returns.
        let answers = coming.as_mut().poll(&mut Context::from_waker(Waker::noop()))?;
        self.flying.push_back(Flight { at: self.now(), questions, answers, coming });
        if self.flying.len() > BATCHES_IN_FLIGHT { self.land() } else { Ok(()) }
    }

    /// Waits for the oldest batch, and audits it.
    fn land(&mut self) -> Result<(), Stopped> {
        let Some(Flight { at, questions, answers, coming }) = self.flying.pop_front() else { return Ok(()) };
        let answers = match answers {
            Poll::Ready(answers) => answers,
            Poll::Pending => self.runtime.block_on(coming)?,
        };
        self.audit_unasked()?;
        for (question, answer) in questions.into_iter().zip(answers) {
            self.counts.commands += 1;
            let before = self.before.take();
            self.before = self.audit(at, question, answer?, before)?;
        }
        Ok(())
    }

    /// Waits for all that was asked, and audits it.
    fn finish(&mut self) -> Result<(), Stopped> {
        if !self.batch.is_empty() {
            self.send()?;
        }
        while !self.flying.is_empty() {
            self.land()?;
        }
        Ok(())
    }

    /// Compares all accounts and holds with the bank's.
    pub(super) fn compare(&mut self) -> Result<(), Stopped> {
        // Somebody mistypes a password. So the engine looks at the time, and lets go every hold that is over.
        self.ask(Question::of_system(Body::Access(AccessCommand::SignInFailed { user: people::OPERATOR })))?;
        self.finish()?;
        let overdue = self.auditor.holds_over_at(self.now());
        if overdue > 0 {
            return Err(format!("{overdue} holds are still open, and their time is over").into());
        }
        self.engine.peek(|state| self.auditor.compare(state))??;
        self.counts.comparisons += 1;
        Ok(())
    }

    /// Closes the bank and opens it again. Gives how long the opening took.
    pub(super) fn restart(&mut self) -> Result<Duration, Stopped> {
        self.finish()?;
        self.engine.stop();
        let started = Instant::now();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.engine = Engine::open(&self.folder, &self.master, Options::default(), clock, &mut |_| {})?;
        self.starts += 1;
        Ok(started.elapsed())
    }

    /// Closes the bank for good.
    pub(super) fn close(self) -> MasterKey {
        self.engine.stop();
        self.master
    }

    // ---- The audit ----

    /// Looks at what the engine did by itself before the next answer.
    fn audit_unasked(&mut self) -> Result<(), Stopped> {
        while let Some(recorded) = self.engine.event(self.auditor.events() + 1)? {
            let due = match &recorded.event.what {
                What::System(event) => match event {
                    SystemEvent::LeaderStarted { .. } if self.starts > 0 => None,
                    SystemEvent::LeaderStarted { .. }
                    | SystemEvent::Founded { .. }
                    | SystemEvent::TimeZoneSet { .. }
                    | SystemEvent::Refused { .. } => break,
                },
                What::Holds(event) => match event {
                    HoldEvent::HoldReleased { hold, reason: ReleaseReason::Expired, .. } => Some(Due::Hold(*hold)),
                    HoldEvent::HoldReleased { reason: ReleaseReason::Voided, .. }
                    | HoldEvent::HoldPlaced { .. }
                    | HoldEvent::HoldExtended { .. } => break,
                },
                // Nothing of these falls due.
                What::Access(_) | What::Accounts(_) | What::Payments(_) => break,
            };
            let Some(due) = due else {
                self.starts -= 1;
                self.auditor.observe_start();
                continue;
            };
            let (at, first_event) = (recorded.at, recorded.number);
            let decision = Decision::Accepted([recorded.event].into());
            self.auditor.observe(&Observed { at, command: due.command(), decision, first_event })?;
            self.counts.expired += match due {
                Due::Hold(_) => 1,
            };
        }
        Ok(())
    }

    /// Looks at one answer; gives it back where nothing is to be learned from it, for the next question may be the same.
    fn audit(
        &mut self,
        at: Timestamp,
        question: Question,
        outcome: Outcome,
        before: Option<Observed>,
    ) -> Result<Option<Observed>, Stopped> {
        let first = match &question.expected {
            Expected::Fresh => None,
            Expected::SameAsBefore => before.as_ref(),
            Expected::Again(first) => Some(&**first),
            Expected::KeyReused => {
                self.counts.keys_reused += 1;
                let told = outcome == Outcome::Refused { refusal: Refusal::KeyReused, place: None, repeated: false };
                return if told { Ok(before) } else { Err(surprised(&question.command, &outcome)) };
            }
        };
        if let Some(first) = first {
            self.counts.retries += 1;
            let same = is_first_again(first, &outcome);
            return if same { Ok(before) } else { Err(surprised(&question.command, &outcome)) };
        }
        let next = self.auditor.events() + 1;
        let Some(observed) = observed(at, next, question.command, outcome) else {
            return Err("a command was said to have been sent before, and was not".into());
        };
        self.auditor.observe(&observed)?;
        self.count(&observed);
        match question.lesson {
            Some(Lesson::SendAgain) => self.lessons.push((Lesson::SendAgain, observed.clone())),
            Some(lesson) => {
                self.lessons.push((lesson, observed));
                return Ok(None);
            }
            None => {}
        }
        Ok(Some(observed))
    }

    fn count(&mut self, observed: &Observed) {
        let counts = &mut self.counts;
        if let Decision::Refused(refusal, _) = &observed.decision {
            *counts.refusals.entry(refusal.slug()).or_insert(0) += 1;
        }
        for event in observed.events() {
            match &event.what {
                What::Payments(event) => counts.count_payment(event),
                What::Holds(event) => counts.count_hold(event),
                What::Access(event) => counts.sign_ins += u64::from(matches!(event, AccessEvent::SessionOpened { .. })),
                What::System(_) | What::Accounts(_) => {}
            }
        }
    }
}

/// The master key's file: beside the folder, as `kassa` looks for it.
fn key_file(folder: &Path) -> Result<PathBuf, Stopped> {
    let mut name = OsString::from(folder.file_name().ok_or("the folder needs a name")?);
    name.push(".key");
    Ok(folder.with_file_name(name))
}

/// A first answer as the auditor looks at it; none where it is said to be another's.
fn observed(at: Timestamp, next_event: u64, command: Command, outcome: Outcome) -> Option<Observed> {
    let origin = command.origin.of_caller(&command.caller);
    let event = |what| Event { by: command.caller.user, what, request: command.request, origin };
    let (at, decision, first_event) = match outcome {
        Outcome::Accepted(receipt) if !receipt.repeated => {
            (receipt.at, Decision::Accepted([event(receipt.what)].into()), receipt.event)
        }
        Outcome::Refused { refusal, place, repeated: false } => {
            let remembered = command.request.is_some() && refusal != Refusal::NotSignedIn;
            let refused = remembered.then(|| event(What::System(SystemEvent::Refused { refusal, place })));
            (at, Decision::Refused(refusal, refused), next_event)
        }
        Outcome::Unchanged => (at, Decision::Accepted([].into_iter().collect()), next_event),
        Outcome::Accepted(_) | Outcome::Refused { .. } => return None,
    };
    Some(Observed { at, command, decision, first_event })
}

/// Returns `true` if an outcome is the first outcome of its key, given again.
fn is_first_again(first: &Observed, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted(receipt) => {
            let Decision::Accepted(events) = &first.decision else { return false };
            let same = events.first().is_some_and(|event| event.what == receipt.what);
            receipt.repeated && (receipt.event, receipt.at) == (first.first_event, first.at) && same
        }
        Outcome::Refused { refusal, repeated, .. } => {
            *repeated && matches!(&first.decision, Decision::Refused(refused, _) if refused == refusal)
        }
        // What is remembered under a key is an event.
        Outcome::Unchanged => false,
    }
}

fn surprised(command: &Command, outcome: &Outcome) -> Stopped {
    format!("{command:?} was sent again, and got another answer: {outcome:?}").into()
}
