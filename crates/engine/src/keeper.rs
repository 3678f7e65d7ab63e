//! The thread that keeps what is derived: it writes checkpoints, writes to the index of the past what the writer set
//! aside, and merges its runs. Nobody waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bank::{Cut, Outcomes};
use journal::Head;

use crate::checkpoint::Checkpoints;
use crate::handle::{Books, Shared};
use crate::history::Aside;

/// After something could not be written it is tried again, this much later.
const RETRY: Duration = Duration::from_secs(5);

/// At an orderly stop what is newest is written to the index if it is of more than this many events; fewer are read
/// again from the journal in a moment.
const EVENTS_WORTH_A_RUN: u64 = 10_000;

/// Something for the keeper to do.
pub(crate) enum Chore {
    /// Write this to the index. It is durable in the journal.
    Write(Arc<Aside>),
    /// Write this checkpoint. It is durable in the journal.
    Checkpoint(Cut),
    /// Free this memory, which takes a while.
    Free((Arc<Aside>, Option<Arc<Outcomes>>)),
}

/// Whom to ask.
pub(crate) struct Keeper {
    chores: Sender<Chore>,
    thread: JoinHandle<Checkpoints>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>, checkpoints: Checkpoints) -> io::Result<Self> {
        let (chores, asked) = channel();
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || keep(&shared, &asked, checkpoints))?;
        Ok(Self { chores, thread })
    }

    pub(crate) fn ask(&self, chore: Chore) {
        // A keeper that is gone has panicked and said so. The index it kept is made again at the next start.
        let _ = self.chores.send(chore);
    }

    /// Ends the thread, and writes what makes the next start quick.
    pub(crate) fn finish(self, shared: &Shared) {
        drop(self.chores);
        let Ok(mut checkpoints) = self.thread.join() else {
            tracing::error!("a bug stopped the thread that writes checkpoints; see what it said before");
            return;
        };
        // A bank that could not write has nothing new, and its disk has no room.
        if shared.failure().is_some() {
            return;
        }
        if let Err(error) = write_newest(shared) {
            tracing::warn!(%error, "the newest of the past was not written; the next start reads it from the journal");
        }
        let Ok(cut) = shared.books.write().map(|mut books| books.state.cut()) else { return };
        write_checkpoint(shared, &mut checkpoints, &cut);
    }
}

fn write_checkpoint(shared: &Shared, checkpoints: &mut Checkpoints, cut: &Cut) {
    let written =
        head_at(shared, cut.last_event()).and_then(|head| checkpoints.write(cut, head).map_err(io::Error::other));
    if let Err(error) = written {
        tracing::warn!(%error, "no checkpoint was written; the next start reads the journal instead");
    }
    shared.checkpointing.store(false, Ordering::Release);
}

/// The head as it was when an event was the last.
fn head_at(shared: &Shared, event: u64) -> io::Result<Head> {
    let frame = shared.with_reader(|reader| reader.frame_with(event)).map_err(io::Error::other)?;
    let frame = frame.ok_or_else(|| io::Error::other(format!("event {event} is missing")))?;
    Ok(Head { seq: frame.seq, last_event: event, hash: frame.hash })
}

fn write_newest(shared: &Shared) -> io::Result<()> {
    let aside = {
        let mut books = shared.books.write().map_err(|_| io::Error::other("the state is not to be trusted"))?;
        let Books { state, recent } = &mut *books;
        drop(recent.let_go(state, shared.index.runs().covered()));
        // What an earlier failure left aside must be written before what is newer.
        let last = state.last_event();
        if recent.aside().is_some() || last - recent.after() < EVENTS_WORTH_A_RUN {
            return Ok(());
        }
        recent.set_aside(state, last)
    };
    write(shared, &aside)
}

fn write(shared: &Shared, aside: &Aside) -> io::Result<()> {
    shared.index.write(aside, head_at(shared, aside.to)?.hash)
}

/// Does what is asked until nobody can ask any more.
fn keep(shared: &Shared, asked: &Receiver<Chore>, mut checkpoints: Checkpoints) -> Checkpoints {
    let mut waiting = VecDeque::new();
    loop {
        match asked.recv_timeout(RETRY) {
            Ok(chore) => waiting.push_back(chore),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return checkpoints,
        }
        let mut pause = || do_all(shared, asked, &mut waiting, &mut checkpoints);
        let done = pause().and_then(|()| shared.index.merge(&mut pause));
        match done {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return checkpoints,
            Err(error) => tracing::warn!(%error, "the index of the past could not be written; trying again"),
            Ok(()) => {}
        }
    }
}

/// Does what waits. Interrupted when nobody can ask any more.
fn do_all(
    shared: &Shared,
    asked: &Receiver<Chore>,
    waiting: &mut VecDeque<Chore>,
    checkpoints: &mut Checkpoints,
) -> io::Result<()> {
    loop {
        match asked.try_recv() {
            Ok(chore) => waiting.push_back(chore),
            Err(TryRecvError::Empty) => break,
            Err(TryRecvError::Disconnected) if waiting.is_empty() => return Err(io::ErrorKind::Interrupted.into()),
            Err(TryRecvError::Disconnected) => break,
        }
    }
    while let Some(chore) = waiting.pop_front() {
        match chore {
            Chore::Write(aside) => {
                if let Err(error) = write(shared, &aside) {
                    waiting.push_front(Chore::Write(aside));
                    return Err(error);
                }
            }
            Chore::Checkpoint(cut) => write_checkpoint(shared, checkpoints, &cut),
            Chore::Free(memory) => drop(memory),
        }
    }
    Ok(())
}
