//! Opening a bank: the checkpoint, the events after it, and the two threads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;

use bank::{Event, State, SystemEvent, UserId, What};
use journal::{Head, Inspected, Journal, MasterKey, ReadError, Reader};
use ledger::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::calendar::{Calendar, LastCalendar, UnknownTimeZone};
use crate::checkpoint::{self, Checkpoint, Checkpoints};
use crate::clock::{Clock, Timekeeper};
use crate::handle::{Books, Counters, Durable, MAX_IDLE_READERS, Secrets, Shared};
use crate::history::{FrameCache, Index, Recent};
use crate::keeper::{Chore, Keeper};
use crate::memory::Ceiling;
use crate::personal::Keyring;
use crate::replay::{events_of, for_each_frame};
use crate::writer::{Committer, Draft, MAX_QUEUED, Pace, Writer};
use crate::{Engine, Recorded};

/// After reading this many events at start, a checkpoint is written so that the next start is quick.
const EVENTS_WORTH_A_CHECKPOINT: u64 = 200_000;

/// Options for opening a bank.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Open it even if its journal ends before what is known to have been durable.
    pub accept_loss: bool,
    /// Write nothing while the process has this much memory in use, in bytes.
    pub memory_ceiling: Option<u64>,
}

/// Progress of opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last event read.
    pub event: u64,
    /// The last event there is.
    pub of: u64,
}

/// Reason a bank can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// The journal can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event can't be understood.
    #[error("event {number} can't be understood ({reason}): it is damaged, or of a later version of Kassa")]
    Event {
        /// Its number.
        number: u64,
        /// The fault found in it.
        reason: String,
    },
    /// The journal ends before what was made from it.
    #[error(
        "the {witness} tells of an event {known} that is not in the journal, which ends at {journal}: events have \
         been lost. Put back the newest copy of the journal, or start once with --accept-loss to go on without them"
    )]
    LostTail {
        /// The file that tells of lost events.
        witness: &'static str,
        /// Its last event.
        known: u64,
        /// The journal's last event.
        journal: u64,
    },
    /// A time zone of the bank is not known.
    #[error(transparent)]
    TimeZone(#[from] UnknownTimeZone),
    /// The index of the past can't be opened.
    #[error("the index of the past can't be opened: {0}")]
    History(std::io::Error),
    /// The first event could not be written.
    #[error("the journal can't be written: {0}")]
    Append(#[from] journal::AppendError),
    /// The checkpoint of lost events can't be left aside.
    #[error("the checkpoint can't be renamed: {0}")]
    Checkpoint(std::io::Error),
    /// The machine would not start a thread.
    #[error("a thread can't be started: {0}")]
    Thread(std::io::Error),
}

impl Engine {
    /// Opens the bank in `folder`, bringing its state up to the journal's end, and begins to serve it.
    ///
    /// # Errors
    ///
    /// Fails with [`OpenError`], among others, if another process has the bank open, if the journal, the checkpoint or
    /// the index tells of lost events and `options` don't accept the loss, or if an event can't be understood.
    pub fn open(
        folder: &Path,
        master: &MasterKey,
        options: Options,
        clock: Arc<dyn Clock>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, OpenError> {
        let inspected = Inspected::new(folder, master, options.accept_loss)?;
        if options.accept_loss {
            must_be_readable(folder, &inspected)?;
        }
        let mut reader = inspected.reader()?;
        let index = Index::open(folder, &mut reader, options.accept_loss)?;
        let (state, written) = stored(folder, &mut reader, options.accept_loss)?;
        let end = inspected.head().last_event;
        let (checkpointed, indexed) = (state.last_event(), index.runs().covered());
        let books = caught_up(&mut reader, state, &index, true, progress, end)?;
        Calendar::new(books.state.time_zones())?;
        // Only now: what can't be opened still tells of what it lost.
        let journal = inspected.take_over()?;
        let read = Read { reader, index, books, written, checkpointed, indexed };
        Self::start(folder, master, journal, read, options, clock)
    }

    /// Makes a new, empty bank in `folder`, and begins to serve it.
    ///
    /// # Errors
    ///
    /// Fails with [`OpenError`] if there is a journal in `folder`, or if it can't be written.
    pub fn create(folder: &Path, master: &MasterKey, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let journal = Journal::create(folder, master)?;
        let mut reader = journal.reader()?;
        let index = Index::open(folder, &mut reader, false)?;
        let books = caught_up(&mut reader, State::default(), &index, true, &mut |_| {}, 0)?;
        let read = Read { reader, index, books, written: None, checkpointed: 0, indexed: 0 };
        Self::start(folder, master, journal, read, Options::default(), clock)
    }

    fn start(
        folder: &Path,
        master: &MasterKey,
        mut journal: Journal,
        read: Read,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let Read { reader, index, mut books, written, checkpointed, indexed } = read;
        let end = journal.head().last_event;
        let opening = what_was_read(checkpointed, indexed, end);

        let mut timekeeper = Timekeeper::new(&*clock, books.state.time().unwrap_or(Timestamp(0)));
        announce(&mut journal, &mut books, &mut timekeeper, &*clock)?;

        let mut chores: Vec<Chore> = books.recent.aside().map(Chore::Write).into_iter().collect();
        if end - checkpointed >= EVENTS_WORTH_A_CHECKPOINT {
            chores.push(Chore::Checkpoint(Box::new(books.state.cut())));
        }
        let checkpoints = Checkpoints::new(folder, journal.secrets(), written);
        let now_ms = books.state.time().map_or(0, |at| at.0);
        let (durable, _) = watch::channel(Durable { last_event: books.state.last_event(), open: true, epoch: 0 });
        let open_reader = {
            let (folder, master) = (folder.to_owned(), master.clone());
            Box::new(move || Reader::open(&folder, &master))
        };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            books: RwLock::new(books),
            durable,
            closed: watch::channel(false).0,
            readers_waiting: Mutex::default(),
            lookers: Semaphore::new(MAX_IDLE_READERS),
            failure: Mutex::new(None),
            counters: Counters::default(),
            pace: Pace::new(),
            now_ms: AtomicI64::new(now_ms),
            queued: AtomicUsize::new(0),
            checkpointing: AtomicBool::new(false),
            keyring: Keyring::default(),
            frames: FrameCache::default(),
            opening,
            index,
            ceiling: Ceiling::new(options.memory_ceiling),
            clock,
            calendar: LastCalendar::default(),
            secrets: Secrets::new(journal.secrets()),
            readers: Mutex::new(vec![reader]),
            open_reader,
        });
        Self::spawn(shared, journal, timekeeper, checkpoints, chores).map_err(OpenError::Thread)
    }

    fn spawn(
        shared: Arc<Shared>,
        journal: Journal,
        timekeeper: Timekeeper,
        checkpoints: Checkpoints,
        chores: Vec<Chore>,
    ) -> Result<Self, std::io::Error> {
        let (queue, works) = sync_channel(MAX_QUEUED);
        // No large run waits between the two threads: while one is being made durable, the next grows.
        let (large_runs, handed_over) = sync_channel(0);
        let keeper = Keeper::start(Arc::clone(&shared), checkpoints)?;
        chores.into_iter().for_each(|chore| keeper.ask(chore));
        let committer = Arc::new(Committer::new(Arc::clone(&shared), journal, keeper));
        let writer = Writer::new(Arc::clone(&shared), works, Arc::clone(&committer), large_runs, timekeeper);
        let writing = thread::Builder::new().name("writer".into()).spawn(move || writer.run())?;
        let committing = thread::Builder::new().name("committer".into()).spawn(move || committer.run(&handed_over))?;
        Ok(Self { shared, queue, threads: Arc::new(Mutex::new(vec![writing, committing])) })
    }
}

/// Parts of a bank that were read before its journal was taken over.
struct Read {
    reader: Reader,
    index: Index,
    books: Books,
    /// The epoch and last event of the cut that the checkpoint holds.
    written: Option<(u32, u64)>,
    /// The last event of the checkpoint, and of the index.
    checkpointed: u64,
    indexed: u64,
}

/// Reads what opening will read, changing nothing: a bank of which the operator accepts a loss either opens as a whole, or
/// stays as it is and goes on to tell of its loss.
fn must_be_readable(folder: &Path, inspected: &Inspected) -> Result<(), OpenError> {
    let mut reader = inspected.reader()?;
    let covered = Index::would_cover(folder, &mut reader)?;
    let mut state = match checkpoint::read(folder, &reader) {
        Ok(Some(found)) if is_there(&mut reader, found.head)? => found.state,
        // One that is damaged, or of lost events, is not used.
        Ok(_) | Err(_) => State::default(),
    };
    // Nothing is decided on it.
    state.remember_outcomes_after(u64::MAX);
    let from = state.last_event().min(covered);
    for_each_frame(&mut reader, from, inspected.head().last_event, |frame| {
        for recorded in events_of(frame) {
            let recorded = recorded?;
            if recorded.number > state.last_event() {
                recorded.check(&state)?;
                state.apply(recorded.number, recorded.at, &recorded.event);
            }
        }
        Ok::<_, OpenError>(())
    })
}

/// Returns `true` if the journal holds the frame that a head names.
fn is_there(reader: &mut Reader, head: Head) -> Result<bool, OpenError> {
    Ok(reader.frame_with(head.last_event)?.is_some_and(|frame| frame.hash == head.hash))
}

/// Says in words what a start did.
fn what_was_read(checkpointed: u64, indexed: u64, end: u64) -> String {
    if end == 0 {
        return "the bank is new".to_owned();
    }
    let state = match (checkpointed, end - checkpointed) {
        (0, _) => "the state was made from the whole journal".to_owned(),
        (_, 0) => "the state is that of the checkpoint".to_owned(),
        (_, later) => format!("the state is that of the checkpoint and of {later} later events"),
    };
    match end - indexed {
        0 => format!("{state}; the index of the past is whole"),
        _ if indexed == 0 => format!("{state}; the past was indexed from the first event on"),
        later => format!("{state}; the last {later} events were indexed again"),
    }
}

/// The books as the journal has them, for when those in memory tell of events that never came to be.
pub(crate) fn rebuilt(shared: &Shared, journal: &Journal) -> Result<Books, OpenError> {
    let mut reader = journal.reader()?;
    let (state, _) = stored(&shared.folder, &mut reader, false)?;
    // The index is the keeper's to write; what is not in it stays in memory.
    caught_up(&mut reader, state, &shared.index, false, &mut |_| {}, journal.head().last_event)
}

/// A state, and the epoch and last event of the cut that it was read from.
type Stored = (State, Option<(u32, u64)>);

/// The state of the checkpoint, or an empty one.
fn stored(folder: &Path, reader: &mut Reader, accept_loss: bool) -> Result<Stored, OpenError> {
    let nothing = (State::default(), None);
    let Checkpoint { head: at, mut state, .. } = match checkpoint::read(folder, reader) {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => return Ok(nothing),
        Err(error) => {
            tracing::warn!(%error, "the checkpoint can't be used, and the whole journal is read");
            return Ok(nothing);
        }
    };
    if is_there(reader, at)? {
        // A change from here on is not in the checkpoint.
        let written = state.cut().epoch();
        return Ok((state, Some((written, at.last_event))));
    }
    if !accept_loss {
        let journal = reader.head()?.last_event;
        return Err(OpenError::LostTail { witness: "checkpoint", known: at.last_event, journal });
    }
    let aside = checkpoint::leave_aside(folder).map_err(OpenError::Checkpoint)?;
    tracing::warn!(event = at.last_event, aside = %aside.display(), "the checkpoint is of lost events; it is left aside");
    Ok(nothing)
}

/// The books at the journal's end: the state with what the journal has after it, and what the index doesn't tell of,
/// which is written to it where it is much.
fn caught_up(
    reader: &mut Reader,
    mut state: State,
    index: &Index,
    write: bool,
    progress: &mut dyn FnMut(Progress),
    end: u64,
) -> Result<Books, OpenError> {
    let covered = index.runs().covered();
    state.remember_outcomes_after(covered);
    state.reserve_outcomes();
    let from = state.last_event().min(covered);
    let mut books = Books { state, recent: Recent::new(covered) };
    for_each_frame(reader, from, end, |frame| {
        let mut last = from;
        for recorded in events_of(frame) {
            let Recorded { number, at, event } = recorded?;
            if number > books.state.last_event() {
                books.state.apply(number, at, &event);
            } else if let Some(request) = &event.request {
                books.state.restore_outcome(request.key, number);
            }
            if number > covered {
                books.recent.note(number, &event);
            }
            last = number;
        }
        if write && books.recent.is_full(&books.state, last) {
            write_newest(&mut books, index, last, frame.hash);
        }
        progress(Progress { event: last, of: end });
        Ok::<_, OpenError>(())
    })?;
    Ok(books)
}

/// Writes what is newest to the index, up to an event that ends a frame of this hash. Where that fails it stays in
/// memory, and is tried again later.
fn write_newest(books: &mut Books, index: &Index, last: u64, hash: [u8; 32]) {
    let Books { state, recent } = books;
    let aside = recent.set_aside(state, last);
    let written = index.write(&aside, hash);
    drop(recent.let_go(state, index.runs().covered()));
    match written.and_then(|()| index.merge(0, &mut |_| Ok(()))) {
        Ok(()) => {}
        Err(error) => tracing::warn!(%error, "the index of the past could not be written; trying again later"),
    }
}

/// Writes down that this program took over the journal, as its first event.
fn announce(
    journal: &mut Journal,
    books: &mut Books,
    timekeeper: &mut Timekeeper,
    clock: &dyn Clock,
) -> Result<(), OpenError> {
    // Right after the timekeeper was made no jump can have been seen; the journal's last time is always right.
    let at = timekeeper.now(clock).ok().or(books.state.time()).unwrap_or(Timestamp(clock.wall_ms()));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let event = Event {
        by: UserId::SYSTEM,
        what: What::System(SystemEvent::LeaderStarted { version }),
        request: None,
        origin: None,
    };
    let mut draft = Draft::default();
    draft.record(books, at, &event);
    let run = journal.seal(at.0, draft.frames, Vec::new());
    journal.append(&run)?;
    Ok(())
}
