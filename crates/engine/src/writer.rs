//! Group commit, and the two threads that carry a command: the writer decides and applies, and makes a small run
//! durable itself; a large one is made durable by the committer, while the writer decides the next.

use std::error::Error;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bank::{Decision, Event, Events, Facts, Refusal, State, What, decide};
use journal::{AppendError, Journal, PlainFrame, SubjectKey};
use ledger::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::calendar::{Calendar, Today};
use crate::clock::Timekeeper;
use crate::handle::{Books, Chain, Outcome, Receipt, Shared, Submission, Unavailable};
use crate::history::Earlier;
use crate::keeper::{Chore, Keeper};
use crate::recovery::rebuilt;
use crate::{OpenError, memory};

/// The most pieces of work (single commands or batches) that wait to be decided. At ten thousand the wait is well below
/// a second; who comes later is told at once to try again (backpressure).
pub const MAX_QUEUED: usize = 10_000;

/// The most commands that wait in all, those of batches counted each: eight full batches, and some tens of megabytes.
pub const MAX_QUEUED_COMMANDS: usize = 65_536;

/// The most commands in one batch.
pub const MAX_BATCH: usize = 8_190;

/// The run is closed when it holds this many commands, so that those first in it don't wait for all that come after.
pub const MAX_RUN_COMMANDS: usize = 8_190;

/// A run of this many commands is worth a sync of its own, and waits for nobody.
const LARGE_RUN_COMMANDS: usize = 1_024;

/// A run of so many commands is handed to the committer. To decide the next beside a smaller one gains less than it
/// costs to wake another thread, and to be woken by it.
const HANDED_OVER_COMMANDS: usize = 256;

/// However long an append takes, nobody waits longer than this for company.
const MAX_COMPANY_WAIT: Duration = Duration::from_millis(2);

/// Part of the time that company is worth: when nobody has come after so small a part of the time that company is
/// worth, nobody is waited for any more.
const FIRST_PART: u32 = 8;

/// After waiting was in vain again and again, so many runs go without before it is tried once more.
const MAX_REST: u32 = 256;

/// A frame is closed when its body has reached this size, in bytes. Small enough to be decrypted for one event, large
/// enough that header and tag weigh little.
const FRAME_BYTES: usize = 16 * 1024;

/// Size of an event in a frame, about, in bytes: a payment without text has 85 bytes.
const EVENT_BYTES: usize = 128;

/// Interval at which the writer looks at the time when nothing comes in.
const TICK: Duration = Duration::from_millis(250);

/// The most of what is due that is done in one run, so that payments don't wait for a flood of it.
const MAX_DUE_PER_RUN: usize = 1_000;

/// A checkpoint is written when there are so many events since the last. A start reads them in a second or two.
const EVENTS_PER_CHECKPOINT: u64 = 1 << 21;

/// Something for the writer to do.
#[allow(clippy::large_enum_variant, reason = "one command is the ordinary case, and is moved once")]
pub(crate) enum Work {
    One(Submission, Earlier, Asker<Verdict>),
    Batch(Vec<Submission>, Earlier, Option<Chain>, Asker<Vec<Verdict>>),
    ConfirmClock(oneshot::Sender<()>),
    Stop,
}

impl Work {
    pub(crate) fn commands(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Batch(batch, ..) => batch.len(),
            Self::ConfirmClock(_) | Self::Stop => 0,
        }
    }
}

/// The writer's verdict on one command.
pub(crate) enum Verdict {
    Outcome(Outcome),
    /// The key was used before; this event is its first outcome.
    Repeated(u64),
    Unavailable(Unavailable),
}

/// One who waits for an answer, and the runtime they wait on; on none where a thread waits.
pub(crate) struct Asker<T> {
    answer: oneshot::Sender<T>,
    runtime: Option<Handle>,
}

impl<T> Asker<T> {
    pub(crate) fn new(runtime: Option<Handle>) -> (Self, oneshot::Receiver<T>) {
        let (answer, receiver) = oneshot::channel();
        (Self { answer, runtime }, receiver)
    }

    /// Returns `true` if nobody waits any more.
    pub(crate) fn has_gone(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Receivers of the answers of a run once it is durable.
enum Reply {
    One(Verdict, Asker<Verdict>),
    Batch(Vec<Verdict>, Asker<Vec<Verdict>>),
    /// To somebody who has read what is durable now.
    Read(Asker<()>),
}

/// One group commit: the commands that are made durable in one transaction, and those who are told then.
#[derive(Default)]
pub(crate) struct Run {
    /// The time of all its events: looked at once, when the run begins. None while the clock is not to be trusted.
    at: Option<Timestamp>,
    last_event: u64,
    /// Epoch of the state on which it was decided; see [`crate::handle::Durable`].
    epoch: u32,
    commands: usize,
    draft: Draft,
    replies: Vec<Reply>,
    /// Chores for the keeper once it is durable.
    chores: Vec<Chore>,
    /// `true` if the writer was told to stop after it.
    stop: bool,
}

/// The thread that decides, and makes small runs durable.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Work>,
    committer: Arc<Committer>,
    /// The runs that the committer's own thread makes durable.
    large_runs: SyncSender<Run>,
    timekeeper: Timekeeper,
    /// The bank's day.
    today: Today,
    watch: memory::Watch,
    patience: Patience,
    /// The event after which all keys are in memory, which only this thread moves.
    remembered_after: u64,
    /// The last event of the last checkpoint that was asked for.
    checkpointed: u64,
}

/// The events of the run that is being made, encoded in frames of about [`FRAME_BYTES`], and the keys that go with them.
#[derive(Default)]
pub(crate) struct Draft {
    /// Size of the events to come in all, in bytes, as far as can be guessed.
    body_bytes: usize,
    pub(crate) frames: Vec<PlainFrame>,
    subject_keys: Vec<SubjectKey>,
    refusals: u64,
}

/// Makes runs durable and lets their answers go: on the writer's thread, or on its own.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// None when an append has failed, and at the end.
    home: Mutex<Option<Home>>,
}

struct Home {
    journal: Journal,
    keeper: Keeper,
}

/// Pace at which the two threads keep step, and the callers with them.
///
/// Callers who have just been answered often come back at once. A run waits for as many as that, though no longer than
/// the last append took, so that nobody waits more than twice as long as they had to. So all go with one sync. Otherwise
/// they would fall into two halves of which each always waits through the other's sync, and get half the work done. Who
/// was alone in the last run never waits: a single caller is as many as were answered. Where those who were answered
/// take longer to come back than an append takes, nobody waits either; see [`Patience`].
pub(crate) struct Pace {
    state: Mutex<Paced>,
    idle: Condvar,
    /// Number of callers in the queue.
    queued: AtomicUsize,
    /// Number of callers that the writer still waits for, while it does.
    awaited: AtomicIsize,
    /// The writer, to be woken when all have come: not by each, which would cost more than it gains.
    writer: OnceLock<Thread>,
}

/// Exponential backoff of waiting for company, learned by trying. After waiting was in vain the next runs don't wait:
/// one, then two, then four, and so on.
#[derive(Debug, Default)]
struct Patience {
    /// Number of runs that didn't wait after waiting was in vain last.
    rest: u32,
    /// Number of runs that are still not to wait.
    resting: u32,
}

impl Patience {
    /// Returns `true` if this run is to wait.
    fn waits(&mut self) -> bool {
        let waits = self.resting == 0;
        self.resting = self.resting.saturating_sub(1);
        waits
    }

    /// A run has waited for so many, of whom so many came.
    fn learn(&mut self, awaited: usize, came: usize) {
        let in_vain = came < awaited.div_ceil(2);
        self.rest = if in_vain { (self.rest * 2).clamp(1, MAX_REST) } else { 0 };
        self.resting = self.rest;
    }
}

struct Paced {
    /// `true` while a run is being made durable.
    busy: bool,
    /// Number of callers that were answered by the last run, or were in the queue by then.
    expected: usize,
    /// Time that the last run's append took, if it had one.
    append: Duration,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(Paced { busy: false, expected: 0, append: Duration::ZERO }),
            idle: Condvar::new(),
            queued: AtomicUsize::new(0),
            awaited: AtomicIsize::new(0),
            writer: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Paced> {
        self.state.lock().expect("no thread panics while it keeps pace")
    }

    fn begin(&self) {
        self.state().busy = true;
    }

    /// A run is durable, and lets so many answers go.
    fn end(&self, released: usize, append: Duration) {
        let expected = released + self.queued.load(Ordering::Relaxed);
        *self.state() = Paced { busy: false, expected, append };
        self.idle.notify_one();
    }

    /// A caller is about to enter the queue. Said before, so that none is taken out who was not counted.
    pub(crate) fn comes(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// So many callers have left the queue, or found no place in it.
    pub(crate) fn left(&self, callers: usize) {
        self.queued.fetch_sub(callers, Ordering::Relaxed);
    }

    /// A caller has come. The last of those whom the writer waits for wakes it.
    pub(crate) fn came(&self) {
        if self.awaited.load(Ordering::Relaxed) > 0
            && self.awaited.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Waits for so many callers, those in the queue included, for so long at most, and tells how many came.
    fn wait_for(&self, callers: usize, longest: Duration) -> usize {
        self.writer.get_or_init(thread::current);
        let began = Instant::now();
        let longest = longest.min(MAX_COMPANY_WAIT);
        let here = self.queued.load(Ordering::Relaxed);
        let awaited = callers.saturating_sub(here).cast_signed();
        self.awaited.store(awaited, Ordering::Relaxed);
        let mut missing = awaited;
        while missing > 0 {
            // Once they have begun to come, looking after them now and then would cost more than waiting for the last.
            let until = if missing == awaited { longest / FIRST_PART } else { longest };
            let left = until.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
            missing = self.awaited.load(Ordering::Relaxed);
        }
        self.awaited.store(0, Ordering::Relaxed);
        here + (awaited - missing).unsigned_abs()
    }

    /// Waits until no run is being made durable. Gives how many callers may be expected in the next run, of which
    /// `here` are in it already, and how long they are worth waiting for.
    fn until_idle(&self, here: usize) -> (usize, Duration) {
        let mut state = self.state();
        let was_busy = state.busy;
        while state.busy {
            state = self.idle.wait(state).expect("no thread panics while it keeps pace");
        }
        // Whoever was taken into this run while the last was made durable is beside those whom that one answered.
        // Whoever was taken after its end is one of those expected.
        (if was_busy { here + state.expected } else { state.expected }, state.append)
    }
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        queue: Receiver<Work>,
        committer: Arc<Committer>,
        large_runs: SyncSender<Run>,
        timekeeper: Timekeeper,
    ) -> Self {
        let checkpointed = shared.durable.borrow().last_event;
        let watch = memory::Watch::new();
        let today = Today::new(&shared.books.read().expect("nobody else has the books yet").state);
        // Nothing can have been looked for before the beginning, so the first look is always late enough.
        Self {
            shared,
            queue,
            committer,
            large_runs,
            timekeeper,
            today,
            watch,
            patience: Patience::default(),
            remembered_after: 0,
            checkpointed,
        }
    }

    /// Decides what comes until told to stop, or until nothing can be made durable any more.
    pub(crate) fn run(mut self) {
        while let Some(run) = self.next_run() {
            let stop = run.stop;
            if run.is_worth_committing() && !self.commit(run) || stop {
                return;
            }
        }
    }

    /// Has a run made durable, here if it is small. False when an append has failed.
    fn commit(&self, run: Run) -> bool {
        self.shared.pace.begin();
        if run.commands < HANDED_OVER_COMMANDS { self.committer.commit(run) } else { self.large_runs.send(run).is_ok() }
    }

    /// Decides the next run: whatever queues up while the run before is being made durable. None when nobody can ask
    /// any more, or when the state is not to be trusted.
    fn next_run(&mut self) -> Option<Run> {
        let mut run = Run { epoch: self.shared.durable.borrow().epoch, ..Run::default() };
        let first = match self.queue.recv_timeout(TICK) {
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        self.decide(&mut run, first)?;
        if !run.is_worth_committing() {
            return Some(run);
        }
        let (company, longest) = self.shared.pace.until_idle(run.replies.len());
        self.decide(&mut run, None)?;
        let missing = company.saturating_sub(run.replies.len());
        if missing > 0 && !longest.is_zero() && !run.stop && run.commands < LARGE_RUN_COMMANDS && self.patience.waits()
        {
            let came = self.shared.pace.wait_for(missing, longest);
            self.patience.learn(missing, came);
            self.decide(&mut run, None)?;
        }
        self.find_chores(&mut run)?;
        Some(run)
    }

    /// Decides `first` and what has queued up behind it, as far as the run has room. None when a law was found broken.
    fn decide(&mut self, run: &mut Run, first: Option<Work>) -> Option<()> {
        let mut works: Vec<Work> = first.into_iter().collect();
        let mut commands: usize = works.iter().map(Work::commands).sum();
        while run.commands + commands < MAX_RUN_COMMANDS
            && let Ok(work) = self.queue.try_recv()
        {
            commands += work.commands();
            works.push(work);
        }
        run.commands += commands;
        run.draft.body_bytes = commands * EVENT_BYTES;
        self.shared.queued.fetch_sub(commands, Ordering::Relaxed);
        self.shared.pace.left(works.iter().filter(|work| !matches!(work, Work::Stop)).count());
        let now = run.at.map_or_else(|| self.timekeeper.now(&*self.shared.clock), Ok);
        if let Ok(now) = now {
            self.shared.now_ms.store(now.0, Ordering::Relaxed);
        }
        self.watch.look(&self.shared.ceiling);
        // The disk is asked before the books are taken, so that nobody who reads waits for it.
        let works: Vec<Work> = works.into_iter().filter_map(|work| self.look_again(work)).collect();
        // A poisoned lock means that a law was found broken: nothing may be decided on such a state.
        let mut books = self.shared.books.write().ok()?;
        let epoch = self.shared.durable.borrow().epoch;
        let now = match now {
            _ if epoch != run.epoch || self.shared.failure().is_some() => Err(self.shared.why_unavailable()),
            now => now.map_err(|by_ms| Unavailable::ClockJumped { by_ms }),
        };
        if let (None, Ok(now)) = (run.at, &now) {
            run.at = Some(*now);
            do_what_is_due(&mut books, &mut self.today, &mut run.draft, *now);
        }
        for work in works {
            match work {
                Work::One(submission, earlier, asker) => {
                    let facts = self.facts(&now, earlier);
                    let answer = answer(&mut books, &mut self.today, &mut run.draft, 0, submission, &facts);
                    run.replies.push(Reply::One(answer, asker));
                }
                Work::Batch(batch, earlier, chain, asker) => {
                    let facts = self.facts(&now, earlier);
                    let answer = |(place, one)| {
                        if chain.as_ref().is_some_and(Chain::is_broken) {
                            return Verdict::Unavailable(Unavailable::AfterUndecided);
                        }
                        let answer = answer(&mut books, &mut self.today, &mut run.draft, place, one, &facts);
                        chain.iter().filter(|_| answer.leaves_undecided()).for_each(Chain::break_off);
                        answer
                    };
                    let answers = batch.into_iter().enumerate().map(answer).collect();
                    run.replies.push(Reply::Batch(answers, asker));
                }
                Work::ConfirmClock(reply) => {
                    self.timekeeper.confirm();
                    // A caller who has gone away needs no answer.
                    let _ = reply.send(());
                }
                Work::Stop => run.stop = true,
            }
        }
        run.last_event = books.state.last_event();
        Some(())
    }

    /// Looks for the keys of some commands again where they have left memory for the disk since they were looked for.
    /// The caller is told where that fails.
    fn look_again(&self, work: Work) -> Option<Work> {
        let stale = |earlier: &Earlier| earlier.covered < self.remembered_after;
        match work {
            Work::One(one, earlier, asker) if stale(&earlier) => {
                match self.shared.look_back(std::slice::from_ref(&one)) {
                    Ok(earlier) => Some(Work::One(one, earlier, asker)),
                    Err(unavailable) => {
                        Reply::One(Verdict::Unavailable(unavailable), asker).let_go();
                        None
                    }
                }
            }
            Work::Batch(batch, earlier, chain, asker) if stale(&earlier) => match self.shared.look_back(&batch) {
                Ok(earlier) => Some(Work::Batch(batch, earlier, chain, asker)),
                Err(unavailable) => {
                    chain.iter().for_each(Chain::break_off);
                    let answers = batch.iter().map(|_| Verdict::Unavailable(unavailable.clone())).collect();
                    Reply::Batch(answers, asker).let_go();
                    None
                }
            },
            Work::One(..) | Work::Batch(..) | Work::ConfirmClock(_) | Work::Stop => Some(work),
        }
    }

    /// Returns what is known of the time and of some keys, or why nothing may be written.
    fn facts(
        &self,
        now: &Result<Timestamp, Unavailable>,
        earlier: Earlier,
    ) -> Result<(Timestamp, Earlier), Unavailable> {
        let now = now.clone()?;
        self.shared.memory_full().map_or(Ok((now, earlier)), Err)
    }

    /// Sets aside what is newest when there is much of it, lets go what has been written meanwhile, and has a checkpoint
    /// written when the last one is long ago.
    fn find_chores(&mut self, run: &mut Run) -> Option<()> {
        let mut books = self.shared.books.write().ok()?;
        let Books { state, recent } = &mut *books;
        run.chores.extend(recent.let_go(state, self.shared.index.runs().covered()).map(Chore::Free));
        self.remembered_after = recent.after();
        if run.draft.frames.is_empty() {
            return Some(());
        }
        if recent.is_full(state, run.last_event) {
            run.chores.push(Chore::Write(recent.set_aside(state, run.last_event)));
        }
        if run.last_event.saturating_sub(self.checkpointed) >= EVENTS_PER_CHECKPOINT
            && !self.shared.checkpointing.swap(true, Ordering::AcqRel)
        {
            self.checkpointed = run.last_event;
            run.chores.push(Chore::Checkpoint(Box::new(state.cut())));
        }
        Some(())
    }
}

impl Run {
    fn is_worth_committing(&self) -> bool {
        !self.replies.is_empty() || !self.draft.frames.is_empty()
    }
}

/// Does what is due, in the order of its time.
fn do_what_is_due(books: &mut Books, today: &mut Today, draft: &mut Draft, now: Timestamp) {
    let facts = Facts { now, today: today.at(&books.state, now), zone_begins: None, past: None, earlier: None };
    for _ in 0..MAX_DUE_PER_RUN {
        let Some(due) = books.state.first_due(now) else { return };
        match decide(&books.state, &due.command(), &facts) {
            Decision::Accepted(events) => draft.record_all(books, now, events),
            // What is refused would be first again and again, and nothing after it would be done.
            Decision::Refused(refusal, _) => unreachable!("{due:?} is due and refused: {refusal}"),
            Decision::Repeated(_) => unreachable!("{due:?} has no idempotency key"),
        };
    }
}

impl Verdict {
    /// Returns `true` if nothing is kept of the command, so that the same key can still get another outcome.
    fn leaves_undecided(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Outcome(Outcome::Refused { refusal, .. }) => {
                matches!(refusal, Refusal::NotSignedIn | Refusal::KeyReused)
            }
            Self::Outcome(Outcome::Accepted(_) | Outcome::Unchanged) | Self::Repeated(_) => false,
        }
    }
}

/// Decides one command, and applies what it changes. `place` is where it is among those that the facts are about.
fn answer(
    books: &mut Books,
    today: &mut Today,
    draft: &mut Draft,
    place: usize,
    submission: Submission,
    facts: &Result<(Timestamp, Earlier), Unavailable>,
) -> Verdict {
    let (now, earlier) = match facts {
        Ok((now, earlier)) => (*now, earlier),
        Err(unavailable) => return Verdict::Unavailable(unavailable.clone()),
    };
    if is_excluded(&books.state, &submission, earlier, place) {
        return Verdict::Outcome(Outcome::Refused { refusal: Refusal::KeyReused, place: None, repeated: false });
    }
    let earlier = earlier.outcome(place);
    let facts = Facts {
        now,
        today: today.at(&books.state, now),
        zone_begins: Calendar::begins(&submission.command),
        past: submission.past.as_deref(),
        earlier,
    };
    match decide(&books.state, &submission.command, &facts) {
        Decision::Repeated(first) => Verdict::Repeated(first),
        Decision::Refused(refusal, event) => {
            draft.refusals += 1;
            let recorded = draft.record_all(books, now, event.into_iter().collect());
            let place = recorded.and_then(|what| what.refused()?.1);
            Verdict::Outcome(Outcome::Refused { refusal, place, repeated: false })
        }
        Decision::Accepted(events) => {
            let event = books.state.last_event() + 1;
            let Some(what) = draft.record_all(books, now, events) else { return Verdict::Outcome(Outcome::Unchanged) };
            draft.subject_keys.extend(submission.subject.into_iter().flat_map(|subject| *subject.keys));
            Verdict::Outcome(Outcome::Accepted(Receipt { event, at: now, what, repeated: false }))
        }
    }
}

/// Returns `true` if something was asked for under a key that the command's own excludes, and nothing under its own.
fn is_excluded(state: &State, submission: &Submission, earlier: &Earlier, place: usize) -> bool {
    let Some(request) = submission.command.request else { return false };
    let is_known = |key: &[u8; 16]| state.outcome_of(key).is_some();
    let has_rival = earlier.knows_rival(place) || submission.rivals.iter().flat_map(|keys| keys.iter()).any(is_known);
    has_rival && earlier.outcome(place).is_none() && !is_known(&request.key)
}

impl Draft {
    /// Applies an event and writes it into the run.
    pub(crate) fn record(&mut self, books: &mut Books, at: Timestamp, event: &Event) {
        let number = books.state.last_event() + 1;
        books.state.apply(number, at, event);
        books.recent.note(number, event);
        if self.frames.last().is_none_or(|frame| frame.body.len() >= FRAME_BYTES) {
            let body = Vec::with_capacity(self.body_bytes.min(FRAME_BYTES + EVENT_BYTES));
            self.frames.push(PlainFrame { first_event: number, count: 0, body });
        }
        if let Some(frame) = self.frames.last_mut() {
            event.encode_to(&mut frame.body);
            frame.count += 1;
        }
    }

    /// Records all events of a command, and gives what the first of them is.
    fn record_all(&mut self, books: &mut Books, at: Timestamp, events: Events) -> Option<What> {
        // One is the ordinary case, and is moved without a loop.
        let events = match events.into_inner() {
            Ok([event]) => {
                self.record(books, at, &event);
                return Some(event.what);
            }
            Err(events) => events,
        };
        let mut events = events.into_iter();
        let first = events.next()?;
        self.record(books, at, &first);
        events.for_each(|event| self.record(books, at, &event));
        Some(first.what)
    }
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal, keeper: Keeper) -> Self {
        Self { shared, home: Mutex::new(Some(Home { journal, keeper })) }
    }

    /// The committer's own thread: makes the large runs durable. Ends when the writer has ended, with a checkpoint, or
    /// when an append fails.
    pub(crate) fn run(&self, large_runs: &Receiver<Run>) {
        while let Ok(run) = large_runs.recv() {
            if !self.commit(run) {
                return;
            }
        }
        self.finish();
    }

    /// Makes a run durable, and lets its answers go. False when an append has failed, now or before.
    fn commit(&self, run: Run) -> bool {
        let _watch = Watch(&self.shared);
        // A poisoned lock means that an append has panicked.
        let Ok(mut home) = self.home.lock() else { return false };
        let done = home.as_mut().is_some_and(|home| home.commit(&self.shared, run));
        if !done {
            *home = None;
        }
        done
    }

    /// The writer has ended: writes a checkpoint and closes the journal, if all is in order.
    fn finish(&self) {
        let shared = &self.shared;
        // One that is poisoned has told why.
        let Ok(mut home) = self.home.lock() else { return };
        let Some(Home { journal, keeper }) = home.take() else { return };
        if shared.books.is_poisoned() {
            return fail(shared, "a law of the ledger was found broken; see the log, and run `kassa verify`");
        }
        shared.close();
        keeper.finish(shared);
        if let Err(error) = journal.close() {
            tracing::error!(%error, "the journal could not be closed in order");
        }
    }
}

impl Home {
    fn commit(&mut self, shared: &Shared, run: Run) -> bool {
        let Run { at, last_event, epoch, commands, draft, mut replies, chores, .. } = run;
        shared.counters.commands.fetch_add(commands as u64, Ordering::Relaxed);
        shared.counters.refusals.fetch_add(draft.refusals, Ordering::Relaxed);
        let appended = match at {
            // Decided on a state that was thrown away meanwhile.
            _ if epoch != shared.durable.borrow().epoch => Err(AppendError::Full),
            Some(at) if !draft.frames.is_empty() => append(shared, &mut self.journal, at, draft, last_event),
            _ => Ok(Duration::ZERO),
        };
        let took = appended.as_ref().copied().unwrap_or_default();
        match appended {
            Ok(_) => chores.into_iter().for_each(|chore| self.keeper.ask(chore)),
            Err(error @ (AppendError::Full | AppendError::Unwritable)) => {
                let why =
                    if matches!(error, AppendError::Full) { Unavailable::DiskFull } else { Unavailable::DiskReadOnly };
                let read = only_read(shared, &self.journal, why);
                replies.iter_mut().for_each(|reply| reply.withdraw(&shared.why_unavailable()));
                if let Err(error) = read {
                    return failed(shared, &error);
                }
            }
            Err(error) => return failed(shared, &error),
        }
        shared.pace.end(replies.len(), took);
        replies.extend(shared.readers_to_tell().into_iter().map(Reply::Read));
        let_go(replies);
        true
    }
}

/// Makes a run durable, tells so, and gives how long it took.
fn append(
    shared: &Shared,
    journal: &mut Journal,
    at: Timestamp,
    draft: Draft,
    last_event: u64,
) -> Result<Duration, AppendError> {
    let started = Instant::now();
    let keys = draft.subject_keys.clone();
    let sealed = journal.seal(at.0, draft.frames, draft.subject_keys);
    journal.append(&sealed)?;
    keys.into_iter().for_each(|key| shared.keyring.keep(key));
    let took = started.elapsed();
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    shared.counters.append_us.fetch_add(micros, Ordering::Relaxed);
    shared.counters.runs.fetch_add(1, Ordering::Relaxed);
    shared.counters.log_bytes.store(journal.log_bytes(), Ordering::Relaxed);
    shared.advance(last_event);
    Ok(took)
}

/// Lets the answers go. Tasks that wait are woken by a thread of their own runtime, all of them by one task, which costs
/// a tenth of waking each from here.
fn let_go(replies: Vec<Reply>) {
    let mut by_runtime: Vec<(Handle, Vec<Reply>)> = Vec::new();
    for mut reply in replies {
        let Some(runtime) = reply.take_runtime() else {
            reply.let_go();
            continue;
        };
        match by_runtime.iter_mut().find(|(known, _)| known.id() == runtime.id()) {
            Some((_, together)) => together.push(reply),
            None => by_runtime.push((runtime, vec![reply])),
        }
    }
    for (runtime, together) in by_runtime {
        if together.len() == 1 {
            together.into_iter().for_each(Reply::let_go);
        } else {
            runtime.spawn(async move { together.into_iter().for_each(Reply::let_go) });
        }
    }
}

/// The disk takes no writes: nothing of the run was written, and nothing more will be. The state in memory, which tells
/// of it, is thrown away for what the journal has, and what is there can be read. Done once; later calls change nothing.
fn only_read(shared: &Shared, journal: &Journal, why: Unavailable) -> Result<(), OpenError> {
    if shared.failure().is_some() {
        return Ok(());
    }
    tracing::error!(%why, "what is there can be read");
    // Reading waits meanwhile. A poisoned lock is for the caller, who looks at it when the runs end.
    let Ok(mut books) = shared.books.write() else { return Ok(()) };
    *shared.failure() = Some(why);
    *books = rebuilt(shared, journal)?;
    shared.begin_epoch();
    Ok(())
}

impl Reply {
    /// Takes back what was answered, because it never came to be.
    fn withdraw(&mut self, unavailable: &Unavailable) {
        let withdraw = |answer: &mut Verdict| *answer = Verdict::Unavailable(unavailable.clone());
        match self {
            Self::One(answer, _) => withdraw(answer),
            Self::Batch(answers, _) => answers.iter_mut().for_each(withdraw),
            Self::Read(_) => {}
        }
    }

    /// The runtime on which it is waited for.
    fn take_runtime(&mut self) -> Option<Handle> {
        match self {
            Self::One(_, asker) => asker.runtime.take(),
            Self::Batch(_, asker) => asker.runtime.take(),
            Self::Read(asker) => asker.runtime.take(),
        }
    }

    /// Gives the answer to whoever waits for it. A caller who has gone away needs none: asking again under the same
    /// key gives it.
    fn let_go(self) {
        match self {
            Self::One(answer, asker) => drop(asker.answer.send(answer)),
            Self::Batch(answers, asker) => drop(asker.answer.send(answers)),
            Self::Read(asker) => drop(asker.answer.send(())),
        }
    }
}

/// Sees to it that nobody waits for an append that has panicked.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            fail(self.0, "a bug stopped the thread that writes the journal; see what it said before");
        }
    }
}

/// Fails, before anybody who waits for this run is let go.
fn failed(shared: &Shared, error: &impl Error) -> bool {
    fail(shared, &error.to_string());
    false
}

/// From here on nothing is answered: what is in memory may tell of things that never came to be.
fn fail(shared: &Shared, why: &str) {
    shared.pace.end(0, Duration::ZERO);
    tracing::error!(error = why, "the journal could not be written; stop, see to the disk, and start again");
    *shared.failure() = Some(Unavailable::Failed(why.to_owned()));
    shared.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waited_in_vain_rests_longer_each_time() {
        let mut patience = Patience::default();
        for rest in [1, 2, 4, 8, 16, 32, 64, 128, 256, 256] {
            assert!(patience.waits());
            patience.learn(7, 3);
            assert_eq!((0..rest).filter(|_| patience.waits()).count(), 0);
        }
        assert!(patience.waits());
        patience.learn(7, 4);
        assert!(patience.waits());
        patience.learn(1, 0);
        assert!(!patience.waits() && patience.waits());
    }
}
