//! The handle that everybody holds: submitting commands, reading, and the keyed hashes of the bank.
//!
//! Handle, writer, keeper, recovery and history name each other: they are one engine, whose threads share `Shared`, and the
//! cut between them is by task, not by layer.

use std::hash::Hasher;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::thread::JoinHandle;

use aws_lc_rs::{digest, hmac};
use bank::{
    AddressHash, Command, Decision, Facts, NameIndex, PastPosting, Refusal, Request, State, TokenHash, UserId, What,
    decide,
};
use journal::{ReadError, Reader};
use ledger::Timestamp;
use siphasher::sip128::{Hasher128, SipHasher24};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::calendar::{Calendar, LastCalendar};
use crate::clock::Clock;
use crate::history::{FrameCache, Index, Recent};
use crate::memory::Ceiling;
use crate::personal::{Keyring, NewSubject, random};
use crate::subscription::Recorded;
use crate::writer::{Asker, MAX_BATCH, MAX_QUEUED_COMMANDS, Pace, Verdict, Work};

/// A bank that is open for business. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: SyncSender<Work>,
    pub(crate) threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// State shared by all threads.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) books: RwLock<Books>,
    pub(crate) durable: watch::Sender<Durable>,
    /// Readers who wait until what they have read is durable, by the event. Beside `durable`, so that they are told
    /// together with those whose commands became durable.
    pub(crate) readers_waiting: Mutex<Vec<(u64, Asker<()>)>>,
    /// `true` once nobody is answered any more. Beside `durable`, so that whoever waits for the end is not woken by
    /// each run.
    pub(crate) closed: watch::Sender<bool>,
    /// Reason the engine has stopped, or takes nothing more.
    pub(crate) failure: Mutex<Option<Unavailable>>,
    pub(crate) counters: Counters,
    pub(crate) pace: Pace,
    pub(crate) keyring: Keyring,
    pub(crate) frames: FrameCache,
    /// Summary of what was read to open it, in words.
    pub(crate) opening: String,
    pub(crate) index: Index,
    pub(crate) ceiling: Ceiling,
    pub(crate) clock: Arc<dyn Clock>,
    /// The bank's days, for those who read; the writer has its own.
    pub(crate) calendar: LastCalendar,
    /// The journal's time, as the writer last looked.
    pub(crate) now_ms: AtomicI64,
    /// `true` while a checkpoint is being written.
    pub(crate) checkpointing: AtomicBool,
    /// Number of commands that wait to be decided.
    pub(crate) queued: AtomicUsize,
    pub(crate) secrets: Secrets,
    /// A reader not in use. Each takes a file handle, so a few are kept and used by turns.
    pub(crate) readers: Mutex<Vec<Reader>>,
    /// Places for those who look into the past, as many as there are readers: more at once would only take turns at the
    /// processors, and open readers to throw away.
    pub(crate) lookers: Semaphore,
    pub(crate) open_reader: Box<dyn Fn() -> Result<Reader, journal::OpenError> + Send + Sync>,
}

/// End of the durable part of the journal, which decides who may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Durable {
    /// The last durable event.
    pub(crate) last_event: u64,
    /// `true` while anybody is answered still.
    pub(crate) open: bool,
    /// Number of times the state in memory was thrown away, because it told of events that never came to be. What was
    /// read from an earlier one is not let go.
    pub(crate) epoch: u32,
}

/// Event that must become durable before something that was read may be let go, and the epoch of the state that it was
/// read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    last_event: u64,
    epoch: u32,
}

/// The state, and the memtable of the index of the past.
pub(crate) struct Books {
    pub(crate) state: State,
    pub(crate) recent: Recent,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commands: AtomicU64,
    pub(crate) refusals: AtomicU64,
    pub(crate) runs: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) append_us: AtomicU64,
}

/// Counters of the engine, for a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measures {
    /// The last durable event.
    pub last_event: u64,
    /// Commands decided since the start.
    pub commands: u64,
    /// Those refused.
    pub refusals: u64,
    /// Runs made durable since the start.
    pub runs: u64,
    /// Commands turned away because the queue was full.
    pub busy: u64,
    /// The size of the journal's write-ahead log, in bytes.
    pub log_bytes: u64,
    /// The time spent appending since the start, in microseconds.
    pub append_us: u64,
    /// Accounts open or closed.
    pub accounts: u64,
    /// Holds open.
    pub holds: u64,
    /// Sessions not closed.
    pub sessions: u64,
}

/// The bank's secrets that are used often.
pub(crate) struct Secrets {
    pub(crate) all: journal::Secrets,
    hashes: KeyedHashes,
    tokens: hmac::Key,
    addresses: hmac::Key,
}

impl Secrets {
    pub(crate) fn new(all: journal::Secrets) -> Self {
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, &all.derive(label));
        let (tokens, addresses) = (key("session tokens"), key("addresses of sign-ins"));
        Self { hashes: KeyedHashes::new(&all), tokens, addresses, all }
    }
}

/// The keyed hashes under which a bank keeps idempotency keys and sign-in names, for whoever looks something up by them.
#[derive(Clone)]
pub struct KeyedHashes {
    request: [u8; 32],
    names: hmac::Key,
}

impl KeyedHashes {
    pub(crate) fn new(all: &journal::Secrets) -> Self {
        let names = hmac::Key::new(hmac::HMAC_SHA256, &all.derive("sign-in names"));
        Self { request: all.derive("idempotency keys"), names }
    }

    /// Hashes an idempotency key and the request under it to the form in which they are kept.
    #[must_use]
    pub fn request(&self, caller: UserId, key: &[u8], body: &[u8]) -> Request {
        let [.., secret] = self.request.as_chunks::<16>().0 else { unreachable!("32 bytes") };
        let hash = |parts: [&[u8]; 2]| {
            let mut hasher = SipHasher24::new_with_key(secret);
            hasher.write_u32(caller.0);
            parts.iter().for_each(|part| hasher.write(part));
            hasher.finish128()
        };
        Request { key: hash([b"key", key]).as_bytes(), fingerprint: hash([b"body", body]).h1 }
    }

    /// The blind index of a name to sign in with. Capital and small letters are the same.
    #[must_use]
    pub fn name_index(&self, name: &str) -> NameIndex {
        NameIndex(first_16(&hmac::sign(&self.names, name.trim().to_lowercase().as_bytes())))
    }
}

/// A command on its way to the writer, with what it needs.
#[derive(Clone)]
pub struct Submission {
    /// The command.
    pub command: Command,
    /// The new person whom its sealed fields tell of.
    pub subject: Option<NewSubject>,
    /// The past posting it names; see [`Engine::past_posting`].
    pub past: Option<Box<PastPosting>>,
    /// Other keys that its own excludes: where anything was asked for under one of them, and nothing under its own, it is
    /// refused as [`Refusal::KeyReused`].
    pub rivals: Option<Box<Rivals>>,
}

/// Keys of requests; see [`Submission::rivals`].
pub type Rivals = [[u8; 16]; 2];

impl From<Command> for Submission {
    fn from(command: Command) -> Self {
        Self { command, subject: None, past: None, rivals: None }
    }
}

/// Batches of which none may be decided where one before it was not: once a command of one is left undecided, all later
/// ones are. Cloning gives another handle on the same.
#[derive(Debug, Clone, Default)]
pub struct Chain(Arc<AtomicBool>);

impl Chain {
    pub(crate) fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn break_off(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Commands that have their place in the queue.
pub struct Batch {
    engine: Engine,
    fingerprints: Vec<Option<u64>>,
    answers: oneshot::Receiver<Vec<Verdict>>,
}

impl Batch {
    /// Waits for the outcome of each of them, in order.
    ///
    /// # Errors
    ///
    /// Fails if the engine stopped or failed before they were decided.
    pub async fn outcomes(self) -> Result<Vec<Result<Outcome, Unavailable>>, Unavailable> {
        let Self { engine, fingerprints, answers } = self;
        let answers = answers.await.map_err(|_| engine.shared.why_unavailable())?;
        let mut outcomes = Vec::with_capacity(answers.len());
        for (answer, fingerprint) in answers.into_iter().zip(fingerprints) {
            outcomes.push(engine.settle(answer, fingerprint).await);
        }
        Ok(outcomes)
    }
}

/// Outcome of a command. It is durable when it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "accepted is the ordinary case, and is moved once")]
pub enum Outcome {
    /// Done, now or under the same key before.
    Accepted(Receipt),
    /// Refused, now or under the same key before.
    Refused {
        /// Reason for the refusal.
        refusal: Refusal,
        /// Index of the payment that was refused, from 0, where several were to be made all or none.
        place: Option<u32>,
        /// `true` if it was refused under the same key before, and this is the first outcome given again.
        repeated: bool,
    },
    /// Nothing was to be changed.
    Unchanged,
}

impl Outcome {
    /// Returns `true` if the key stands for something else.
    #[must_use]
    pub fn is_key_reused(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::KeyReused, .. })
    }
}

/// Proof that something was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event's number.
    pub event: u64,
    /// Time of the event.
    pub at: Timestamp,
    /// Content of the first event that the command made.
    pub what: What,
    /// `true` if it happened under the same key before, and this is the first outcome given again.
    pub repeated: bool,
}

/// Reason the engine can't answer now. Asking again under the command's key tells whether it was carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The queue is full: the engine pushes back at once rather than let callers wait (backpressure).
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// A command before it in the same chain was left undecided.
    #[error("what came before it was left undecided")]
    AfterUndecided,
    /// More commands at once than a batch may hold.
    #[error("a batch holds at most {MAX_BATCH} commands")]
    BatchTooLarge,
    /// The clock jumped forward.
    #[error("the clock jumped forward by {by_ms} ms, so writing has stopped until an operator confirms it")]
    ClockJumped {
        /// Length of the jump, in milliseconds.
        by_ms: i64,
    },
    /// Nothing can be written until there is room on the disk and the server was started again. What is there can be
    /// read.
    #[error("the disk is full, so nothing can be written: make room on it, and start the server again")]
    DiskFull,
    /// As [`Unavailable::DiskFull`], because the disk takes no writes: it is read-only, or failing.
    #[error("the disk can't be written: see to it, and start the server again")]
    DiskReadOnly,
    /// Nothing is written while the process has this much memory in use. What is there can be read.
    #[error("the ceiling of memory, {} MiB, is reached, so nothing is written", ceiling_bytes >> 20)]
    MemoryFull {
        /// Limit of the memory in use, in bytes.
        ceiling_bytes: u64,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The journal could not be written or read.
    #[error("the journal failed: {0}")]
    Failed(String),
}

impl From<ReadError> for Unavailable {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The most readers kept open between uses.
pub(crate) const MAX_IDLE_READERS: usize = 8;

impl Shared {
    /// Uses a reader of the journal.
    pub(crate) fn with_reader<T>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, ReadError>,
    ) -> Result<T, Unavailable> {
        let idle = self.readers.lock().expect("no thread panics while it holds the readers").pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => (self.open_reader)().map_err(|error| Unavailable::Failed(error.to_string()))?,
        };
        let read = read(&mut reader)?;
        let mut readers = self.readers.lock().expect("no thread panics while it holds the readers");
        if readers.len() < MAX_IDLE_READERS {
            readers.push(reader);
        }
        Ok(read)
    }

    /// Looks into the past where it may wait for the disk, when it is one's turn.
    pub(crate) async fn look_into_the_past<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let _place = self.lookers.acquire().await.map_err(|_| Unavailable::Stopping)?;
        tokio::task::spawn_blocking(look).await.map_err(|_| Unavailable::Stopping)
    }

    pub(crate) fn why_unavailable(&self) -> Unavailable {
        self.failure().clone().unwrap_or(Unavailable::Stopping)
    }

    /// Returns the reason that nothing is written, where that is want of memory.
    pub(crate) fn memory_full(&self) -> Option<Unavailable> {
        self.ceiling.reached().map(|ceiling_bytes| Unavailable::MemoryFull { ceiling_bytes })
    }

    pub(crate) fn failure(&self) -> MutexGuard<'_, Option<Unavailable>> {
        self.failure.lock().expect("no thread panics while it holds the failure")
    }

    /// Looks at the books as they are, durable or not, and tells what must become durable before it may be told.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> Result<(T, Stamp), Unavailable> {
        if !self.durable.borrow().open {
            return Err(self.why_unavailable());
        }
        // A poisoned lock means that a law was found broken: nothing in memory can be trusted.
        let books = self.books.read().map_err(|_| Unavailable::Failed("a law of the ledger was broken".into()))?;
        // The books are thrown away under the same lock, so the epoch is theirs.
        let stamp = Stamp { last_event: books.state.last_event(), epoch: self.durable.borrow().epoch };
        Ok((look(&books), stamp))
    }

    /// Waits until what was read may be told.
    pub(crate) async fn until_durable(&self, stamp: Stamp) -> Result<(), Unavailable> {
        let may_be_told = || {
            let durable = *self.durable.borrow();
            let gone = !durable.open || durable.epoch != stamp.epoch;
            if gone { Some(false) } else { (durable.last_event >= stamp.last_event).then_some(true) }
        };
        if may_be_told().is_none()
            && let Some(told) = self.wait_to_be_told(stamp.last_event, || may_be_told().is_none())
        {
            // An error means that nobody is told any more.
            let _ = told.await;
        }
        if may_be_told() == Some(true) { Ok(()) } else { Err(self.why_unavailable()) }
    }

    /// Has a reader told when an event is durable, unless it has become so before they could be counted among those who
    /// wait: these are looked for after it was said.
    fn wait_to_be_told(&self, event: u64, is_needed: impl FnOnce() -> bool) -> Option<oneshot::Receiver<()>> {
        let mut waiting = self.readers_waiting();
        if !is_needed() {
            return None;
        }
        if waiting.len() == waiting.capacity() {
            waiting.retain(|(_, asker)| !asker.has_gone());
        }
        let (asker, told) = Asker::new(Handle::try_current().ok());
        waiting.push((event, asker));
        Some(told)
    }

    fn readers_waiting(&self) -> MutexGuard<'_, Vec<(u64, Asker<()>)>> {
        self.readers_waiting.lock().expect("no thread panics while it holds those who wait")
    }

    /// Those who have read nothing after the last durable event.
    pub(crate) fn readers_to_tell(&self) -> Vec<Asker<()>> {
        let last_event = self.durable.borrow().last_event;
        self.readers_waiting().extract_if(.., |(event, _)| *event <= last_event).map(|(_, asker)| asker).collect()
    }

    /// Waits until an event is durable.
    pub(crate) async fn until_event(&self, event: u64) -> Result<(), Unavailable> {
        let settled = |durable: &Durable| !durable.open || durable.last_event >= event;
        let waited = self.durable.subscribe().wait_for(settled).await.map(|durable| *durable);
        if waited.is_ok_and(|durable| durable.open) { Ok(()) } else { Err(self.why_unavailable()) }
    }

    /// Tells how far the journal is durable now.
    pub(crate) fn advance(&self, last_event: u64) {
        self.durable.send_modify(|durable| durable.last_event = last_event);
    }

    /// Throws away what was read and waits to be told: it may never have come to be.
    pub(crate) fn begin_epoch(&self) {
        self.durable.send_modify(|durable| durable.epoch += 1);
        self.readers_waiting().clear();
    }

    /// Answers nobody any more.
    pub(crate) fn close(&self) {
        self.durable.send_modify(|durable| durable.open = false);
        self.readers_waiting().clear();
        self.closed.send_replace(true);
    }
}

impl Engine {
    /// Has one command decided and made durable, and returns its outcome.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the queue is full, if nothing can be written, or if the engine is stopping or has
    /// failed. Asking again under the command's key tells whether it was carried out.
    pub async fn submit(&self, submission: impl Into<Submission>) -> Result<Outcome, Unavailable> {
        let submission = submission.into();
        let fingerprint = submission.command.request.map(|request| request.fingerprint);
        let earlier = self.look_back(std::slice::from_ref(&submission)).await?;
        let (asker, answer) = Asker::new(Handle::try_current().ok());
        self.enqueue(Work::One(submission, earlier, asker))?;
        let answer = answer.await.map_err(|_| self.shared.why_unavailable())?;
        self.settle(answer, fingerprint).await
    }

    /// Does as [`Engine::submit`], for a thread that may wait. Not for use within an async runtime.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::submit`] does.
    pub fn submit_blocking(&self, submission: impl Into<Submission>) -> Result<Outcome, Unavailable> {
        let submission = submission.into();
        let fingerprint = submission.command.request.map(|request| request.fingerprint);
        let earlier = self.shared.look_back(std::slice::from_ref(&submission))?;
        let (asker, answer) = Asker::new(None);
        self.enqueue(Work::One(submission, earlier, asker))?;
        let answer = answer.blocking_recv().map_err(|_| self.shared.why_unavailable())?;
        answer.outcome().unwrap_or_else(|first| first_outcome(first, self.event(first)?, fingerprint))
    }

    /// Finds the first outcome of a request under its key, and does nothing. It is refused as [`Refusal::KeyReused`] where
    /// the key stands for another, or for none.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::outcome_of`] does.
    pub async fn repeat(&self, request: Request) -> Result<Outcome, Unavailable> {
        match self.outcome_of(request).await? {
            Some(first) => first_outcome(first.number, Some(first), Some(request.fingerprint)),
            None => Ok(Outcome::Refused { refusal: Refusal::KeyReused, place: None, repeated: false }),
        }
    }

    /// Does as [`Engine::submit`] for up to [`MAX_BATCH`] commands in order. Each is decided by itself, seeing what
    /// those before it did.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable::BatchTooLarge`] if there are more commands, and as [`Engine::submit`] does, for the
    /// whole batch or within it for one of its commands.
    pub async fn submit_batch(&self, batch: Vec<Submission>) -> Result<Vec<Result<Outcome, Unavailable>>, Unavailable> {
        self.enqueue_batch(batch, None).await?.outcomes().await
    }

    /// Puts commands into the queue behind those of the same chain. Their outcomes are waited for apart, so that the next
    /// can follow meanwhile.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable::BatchTooLarge`] if there are more than [`MAX_BATCH`], and if the queue is full or the
    /// engine is stopping or has failed.
    pub async fn begin_batch(&self, batch: Vec<Submission>, chain: &Chain) -> Result<Batch, Unavailable> {
        self.enqueue_batch(batch, Some(chain.clone())).await
    }

    async fn enqueue_batch(&self, batch: Vec<Submission>, chain: Option<Chain>) -> Result<Batch, Unavailable> {
        if batch.len() > MAX_BATCH {
            return Err(Unavailable::BatchTooLarge);
        }
        let fingerprints: Vec<_> =
            batch.iter().map(|one| one.command.request.map(|request| request.fingerprint)).collect();
        let earlier = self.look_back(&batch).await?;
        let (asker, answers) = Asker::new(Handle::try_current().ok());
        self.enqueue(Work::Batch(batch, earlier, chain, asker))?;
        Ok(Batch { engine: self.clone(), fingerprints, answers })
    }

    /// Makes a dry run of a command: decides it on the state as it is now, and does nothing. The number of an event
    /// that would be made is 0.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if nothing can be written, or if the engine is stopping or has failed.
    pub async fn rehearse(&self, submission: impl Into<Submission>) -> Result<Outcome, Unavailable> {
        let submission = submission.into();
        self.writable()?;
        let fingerprint = submission.command.request.map(|request| request.fingerprint);
        let earlier = self.look_back(std::slice::from_ref(&submission)).await?;
        let now = self.now();
        let (decision, stamp) = self.shared.look(|books| {
            let facts = Facts {
                now,
                today: self.shared.calendar.of(&books.state).day_of(now),
                zone_begins: Calendar::begins(&submission.command),
                past: submission.past.as_deref(),
                earlier: earlier.outcome(0),
            };
            decide(&books.state, &submission.command, &facts)
        })?;
        self.shared.until_durable(stamp).await?;
        let answer = match decision {
            Decision::Repeated(first) => Verdict::Repeated(first),
            Decision::Refused(refusal, event) => {
                let place = event.and_then(|event| event.what.refused()?.1);
                Verdict::Outcome(Outcome::Refused { refusal, place, repeated: false })
            }
            Decision::Accepted(events) => {
                Verdict::Outcome(events.into_iter().next().map_or(Outcome::Unchanged, |first| {
                    Outcome::Accepted(Receipt { event: 0, at: now, what: first.what, repeated: false })
                }))
            }
        };
        self.settle(answer, fingerprint).await
    }

    fn enqueue(&self, work: Work) -> Result<(), Unavailable> {
        let commands = work.commands();
        let turned_away = || {
            self.shared.queued.fetch_sub(commands, Ordering::Relaxed);
        };
        let busy = || {
            self.shared.counters.busy.fetch_add(1, Ordering::Relaxed);
            Unavailable::Busy
        };
        // Counted before it is sent, so that the writer never takes off more than was put on.
        if self.shared.queued.fetch_add(commands, Ordering::Relaxed) + commands > MAX_QUEUED_COMMANDS {
            turned_away();
            return Err(busy());
        }
        self.shared.pace.comes();
        self.queue.try_send(work).map_err(|error| {
            turned_away();
            self.shared.pace.left(1);
            match error {
                TrySendError::Full(_) => busy(),
                TrySendError::Disconnected(_) => self.shared.why_unavailable(),
            }
        })?;
        self.shared.pace.came();
        Ok(())
    }

    /// Turns the writer's answer into an outcome; for a repeated key the first outcome is read from the journal.
    async fn settle(&self, answer: Verdict, fingerprint: Option<u64>) -> Result<Outcome, Unavailable> {
        match answer.outcome() {
            Ok(outcome) => outcome,
            // In a box of its own, since it is seldom needed and would make every caller's future larger.
            Err(first) => first_outcome(first, Box::pin(self.find_event(first)).await?, fingerprint),
        }
    }

    /// Reads the state. What was read is let go when all it saw is durable.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the engine is stopping or has failed, or if what was read never became durable.
    pub async fn read<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, Unavailable> {
        let (value, stamp) = self.shared.look(|books| read(&books.state))?;
        self.shared.until_durable(stamp).await?;
        Ok(value)
    }

    /// Looks at the state without waiting: for what only prepares a command, whose answer waits by itself.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the engine is stopping or has failed.
    pub fn peek<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Unavailable> {
        Ok(self.shared.look(|books| look(&books.state))?.0)
    }

    /// The journal's time, as the writer last looked: at most a quarter of a second ago, or since what is being made
    /// durable was decided; and before a jump of the clock that nobody has confirmed.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.shared.now_ms.load(Ordering::Relaxed))
    }

    /// Returns the bank's days, in the time zones that it has now.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the engine is stopping or has failed.
    pub fn calendar(&self) -> Result<Arc<Calendar>, Unavailable> {
        self.peek(|state| self.shared.calendar.of(state))
    }

    /// Confirms the clock after it jumped: an operator has looked at it, and says it is right.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the queue is full, or if the engine is stopping or has failed.
    pub async fn confirm_clock(&self) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Work::ConfirmClock(reply))?;
        answer.await.map_err(|_| self.shared.why_unavailable())
    }

    /// The keyed hashes of this bank.
    #[must_use]
    pub fn hashes(&self) -> &KeyedHashes {
        &self.shared.secrets.hashes
    }

    /// Hashes an idempotency key and the request under it to the form in which they are kept.
    #[must_use]
    pub fn request(&self, caller: UserId, key: &[u8], body: &[u8]) -> Request {
        self.hashes().request(caller, key, body)
    }

    /// The blind index of a name to sign in with. Capital and small letters are the same.
    #[must_use]
    pub fn name_index(&self, name: &str) -> NameIndex {
        self.hashes().name_index(name)
    }

    /// Hashes an address from which somebody signs in under a name to the form in which it is kept. Of an IPv6 address
    /// its network of 64 bits counts. Two names at the same address have nothing in common.
    #[must_use]
    pub fn address_hash(&self, NameIndex(name): NameIndex, address: IpAddr) -> AddressHash {
        let (v4, v6);
        let address: &[u8] = match address.to_canonical() {
            IpAddr::V4(address) => {
                v4 = address.octets();
                &v4
            }
            IpAddr::V6(address) => {
                v6 = address.octets();
                &v6[..8]
            }
        };
        AddressHash(first_16(&hmac::sign(&self.shared.secrets.addresses, &[&name, address].concat())))
    }

    /// A new session token for its bearer, 256 random bits in hexadecimal.
    #[must_use]
    pub fn new_token(&self) -> String {
        random::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Hashes a session token to the form in which it is kept.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> TokenHash {
        TokenHash(first_16(&hmac::sign(&self.shared.secrets.tokens, token.as_bytes())))
    }

    /// A secret of this bank for one use, named by `label`; the same for ever.
    #[must_use]
    pub fn secret(&self, label: &str) -> [u8; 32] {
        self.shared.secrets.all.derive(label)
    }

    /// Returns the counters of the engine.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the engine is stopping or has failed.
    pub fn measures(&self) -> Result<Measures, Unavailable> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        let length = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let (accounts, holds, sessions) = self.peek(|state| {
            (state.ledger().accounts().len(), state.ledger().hold_pages().len(), state.session_count())
        })?;
        Ok(Measures {
            last_event: self.shared.durable.borrow().last_event,
            commands: count(&counters.commands),
            refusals: count(&counters.refusals),
            runs: count(&counters.runs),
            busy: count(&counters.busy),
            log_bytes: count(&counters.log_bytes),
            append_us: count(&counters.append_us),
            accounts: length(accounts),
            holds: length(holds),
            sessions: length(sessions),
        })
    }

    /// Computes SHA-256 over the canonical records of the state: two banks with the same digest are the same.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::read`] does.
    pub async fn digest(&self) -> Result<[u8; 32], Unavailable> {
        self.read(digest_of).await
    }

    /// Returns a summary of what was read to open the bank, in words for its operator.
    #[must_use]
    pub fn opening(&self) -> &str {
        &self.shared.opening
    }

    /// Checks that anything can be written, as far as is known; reading may go on where it can't.
    ///
    /// # Errors
    ///
    /// Fails with the reason that nothing can be written: the disk, the memory, or that the engine has stopped.
    pub fn writable(&self) -> Result<(), Unavailable> {
        let failure = self.shared.failure().clone();
        failure.or_else(|| self.shared.memory_full()).map_or(Ok(()), Err)
    }

    /// Resolves when the engine has failed, and says why. It never resolves while the bank is in order.
    pub async fn failed(&self) -> Unavailable {
        // The sender lives as long as this handle, so an error is not possible.
        let _ = self.shared.closed.subscribe().wait_for(|closed| *closed).await;
        self.shared.why_unavailable()
    }

    /// Stops: what is queued is still decided and made durable, a checkpoint is written, and the folder is let go.
    /// Later submissions are answered with [`Unavailable::Stopping`].
    pub fn stop(&self) {
        // Waiting for a place in the queue is right here: everything before it is still to be done.
        let _ = self.queue.send(Work::Stop);
        // Held while waiting, so that whoever else says stop returns no sooner.
        let mut threads = self.threads.lock().expect("no thread panics while it holds the threads");
        for thread in threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Verdict {
    /// The outcome; for a repeated key the event that was its first.
    fn outcome(self) -> Result<Result<Outcome, Unavailable>, u64> {
        match self {
            Self::Outcome(outcome) => Ok(Ok(outcome)),
            Self::Unavailable(unavailable) => Ok(Err(unavailable)),
            Self::Repeated(first) => Err(first),
        }
    }
}

/// The first outcome under a key, for whoever asks under it again.
fn first_outcome(first: u64, recorded: Option<Recorded>, fingerprint: Option<u64>) -> Result<Outcome, Unavailable> {
    let recorded = recorded.ok_or_else(|| Unavailable::Failed(format!("event {first} is missing")))?;
    if recorded.event.request.map(|request| request.fingerprint) != fingerprint {
        return Ok(Outcome::Refused { refusal: Refusal::KeyReused, place: None, repeated: false });
    }
    let what = recorded.event.what;
    Ok(match what.refused() {
        Some((refusal, place)) => Outcome::Refused { refusal, place, repeated: true },
        None => Outcome::Accepted(Receipt { event: first, at: recorded.at, what, repeated: true }),
    })
}

/// The digest of a state.
pub(crate) fn digest_of(state: &State) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let Ok(()) = state.write_records(|bytes| {
        context.update(bytes);
        Ok::<(), std::convert::Infallible>(())
    });
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn first_16(tag: &hmac::Tag) -> [u8; 16] {
    *tag.as_ref().first_chunk().expect("an HMAC-SHA256 tag has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use journal::MasterKey;

    use crate::{Engine, SystemClock};

    #[test]
    fn only_readers_who_need_it_wait_and_none_who_have_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("bank");
        let engine = Engine::create(&data, &MasterKey::generate(), Arc::new(SystemClock)).expect("made");
        // The event that a reader saw has become durable just before they could be told so.
        assert!(engine.shared.wait_to_be_told(1, || false).is_none());
        let told = engine.shared.wait_to_be_told(u64::MAX, || true);
        for _ in 0..1_000 {
            drop(engine.shared.wait_to_be_told(u64::MAX, || true));
        }
        assert!(engine.shared.readers_waiting().len() < 10);
        engine.stop();
        assert!(told.expect("waits").blocking_recv().is_err(), "nobody is told any more");
    }
}
