//! The thread that keeps what is derived: it writes checkpoints, flushes the memtables that the writer set aside to the
//! index of the past, and merges its sorted runs (compaction). Nobody but a bank that stops waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bank::{Cut, Outcomes};
use journal::Head;

use crate::checkpoint::Checkpoints;
use crate::handle::{Books, Shared};
use crate::history::{Aside, RECORDS_BETWEEN_PAUSES, is_damage};

/// After something could not be written it is tried again, this much later.
const RETRY: Duration = Duration::from_secs(5);

/// Time that compaction waits for something to be written before it goes on without: at a few per cent of a processor.
const LEISURE: Duration = Duration::from_millis(100);

/// At an orderly stop what is newest is written to the index if it is of more than this many events; fewer are read
/// again from the journal in a moment.
const EVENTS_WORTH_A_RUN: u64 = 10_000;

/// Something for the keeper to do.
pub(crate) enum Chore {
    /// Write this to the index. It is durable in the journal.
    Write(Arc<Aside>),
    /// Write this checkpoint. It is durable in the journal.
    Checkpoint(Box<Cut>),
    /// Free this memory, which takes a while.
    Free((Arc<Aside>, Option<Arc<Outcomes>>)),
}

/// Handle of the keeper's thread.
pub(crate) struct Keeper {
    chores: Sender<Chore>,
    thread: JoinHandle<Checkpoints>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>, checkpoints: Checkpoints) -> io::Result<Self> {
        let (chores, asked) = channel();
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || {
            let (waiting, credit) = (Vec::new(), 0);
            let mut work = Work { shared: &shared, asked: &asked, checkpoints, waiting, credit };
            work.run();
            work.checkpoints
        })?;
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
        if let Err(error) = write_rest(shared) {
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

/// Writes what is in memory alone, if it is much.
fn write_rest(shared: &Shared) -> io::Result<()> {
    let aside = {
        let mut books = shared.books.write().map_err(|_| io::Error::other("the state is not to be trusted"))?;
        let Books { state, recent } = &mut *books;
        drop(recent.let_go(state, shared.index.runs().covered()));
        // A memtable that an earlier failure left aside must be written before a newer one.
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

/// The thread's work.
struct Work<'a> {
    shared: &'a Shared,
    asked: &'a Receiver<Chore>,
    checkpoints: Checkpoints,
    /// Chores that could not be done yet.
    waiting: Vec<Chore>,
    /// Number of records that may be merged until more are written: compaction is throttled. So it goes along with what
    /// it is for, and never takes a processor for seconds.
    credit: u64,
}

impl Work<'_> {
    /// Does what is asked until nobody can ask any more.
    fn run(&mut self) {
        loop {
            let done = self.wait(RETRY).and_then(|()| self.merge(0));
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
                Err(error) if is_damage(&error) => self.shared.index.distrust(&error),
                Err(error) => tracing::warn!(%error, "the index of the past could not be written; trying again"),
                Ok(()) => {}
            }
        }
    }

    /// Merges what is worth it of the runs that tell of events after this one.
    fn merge(&mut self, after: u64) -> io::Result<()> {
        // A bank that can't write leaves what room there is on its disk.
        if self.shared.failure().is_some() {
            return Ok(());
        }
        let index = &self.shared.index;
        index.merge(after, &mut |to| self.pause(to))
    }

    /// Amid a merge of what goes up to the event `to`: does what is asked, merges what is newer, and waits until there
    /// is credit for more.
    fn pause(&mut self, to: u64) -> io::Result<()> {
        self.credit = self.credit.saturating_sub(RECORDS_BETWEEN_PAUSES);
        self.wait(Duration::ZERO)?;
        self.merge(to)?;
        while self.credit == 0 {
            self.wait(LEISURE)?;
            self.merge(to)?;
            // While nothing is written, compaction goes on by and by.
            self.credit = self.credit.max(RECORDS_BETWEEN_PAUSES);
        }
        Ok(())
    }

    /// Does what is asked, or waits so long for something. Interrupted when nobody can ask any more, once all was tried.
    fn wait(&mut self, time: Duration) -> io::Result<()> {
        let mut over = false;
        match self.asked.recv_timeout(time) {
            Ok(chore) => self.waiting.push(chore),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => over = true,
        }
        self.waiting.extend(self.asked.try_iter());
        let mut failed = Ok(());
        for chore in std::mem::take(&mut self.waiting) {
            match chore {
                Chore::Write(aside) => match write(self.shared, &aside) {
                    Ok(()) => self.credit += aside.records() * self.shared.index.merges_per_record(),
                    Err(error) => {
                        self.waiting.push(Chore::Write(aside));
                        failed = Err(error);
                    }
                },
                Chore::Checkpoint(cut) => write_checkpoint(self.shared, &mut self.checkpoints, &cut),
                Chore::Free(memory) => drop(memory),
            }
        }
        if over { Err(io::ErrorKind::Interrupted.into()) } else { failed }
    }
}
