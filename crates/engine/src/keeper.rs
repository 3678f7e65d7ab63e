//! The thread that keeps what is derived: it writes to the index of the past what the writer set aside, and merges its
//! runs. Nobody waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bank::Outcomes;
use journal::Journal;

use crate::checkpoint;
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
    /// Free this memory, which takes a while.
    Free((Arc<Aside>, Option<Arc<Outcomes>>)),
}

/// Whom to ask.
pub(crate) struct Keeper {
    chores: Sender<Chore>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (chores, asked) = channel();
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || keep(&shared, &asked))?;
        Ok(Self { chores, thread })
    }

    pub(crate) fn ask(&self, chore: Chore) {
        // A keeper that is gone has panicked and said so. The index it kept is made again at the next start.
        let _ = self.chores.send(chore);
    }

    /// Ends the thread, and writes what makes the next start quick.
    pub(crate) fn finish(self, shared: &Shared, journal: &Journal) {
        drop(self.chores);
        // One that panicked has said so.
        let _ = self.thread.join();
        if let Err(error) = write_newest(shared) {
            tracing::warn!(%error, "the newest of the past was not written; the next start reads it from the journal");
        }
        if let Err(error) = checkpoint::write(shared, journal) {
            tracing::warn!(%error, "no checkpoint was written; the next start reads the journal instead");
        }
    }
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
    let frame = shared.with_reader(|reader| reader.frame_with(aside.to)).map_err(io::Error::other)?;
    let frame = frame.ok_or_else(|| io::Error::other(format!("event {} is missing", aside.to)))?;
    shared.index.write(aside, frame.hash)
}

/// Does what is asked until nobody can ask any more.
fn keep(shared: &Shared, asked: &Receiver<Chore>) {
    let mut waiting = VecDeque::new();
    loop {
        match asked.recv_timeout(RETRY) {
            Ok(chore) => waiting.push_back(chore),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let done = do_all(shared, asked, &mut waiting)
            .and_then(|()| shared.index.merge(&mut || do_all(shared, asked, &mut waiting)));
        match done {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => tracing::warn!(%error, "the index of the past could not be written; trying again"),
            Ok(()) => {}
        }
    }
}

/// Does what waits. Interrupted when nobody can ask any more.
fn do_all(shared: &Shared, asked: &Receiver<Chore>, waiting: &mut VecDeque<Chore>) -> io::Result<()> {
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
            Chore::Free(memory) => drop(memory),
        }
    }
    Ok(())
}
