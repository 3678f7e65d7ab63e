//! The due queue: everything that falls due, whatever its subject, in the order of its time.

use std::collections::BTreeSet;

use ledger::{HoldId, Timestamp};

use crate::holds::HoldCommand;
use crate::{Body, Caller, Command, Origin, State};

/// Something that falls due. At the same time, what stands first here comes first, and of a kind the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// An open hold, whose time is over.
    Hold(HoldId),
}

impl Due {
    /// Returns the command with which Kassa itself does what is due. Once it is accepted, this is in the queue no more, or at
    /// a later time.
    #[must_use]
    pub fn command(self) -> Command {
        let body = match self {
            Self::Hold(hold) => Body::Holds(HoldCommand::Expire { hold }),
        };
        Command { caller: Caller::SYSTEM, origin: Origin::default(), request: None, body }
    }
}

/// What falls due, in order. Derived from the state of the subjects, and left out of a snapshot (cut).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DueQueue(BTreeSet<(Timestamp, Due)>);

impl DueQueue {
    /// Moves something from one time to another; from nowhere where it is new, to nowhere where it is done.
    pub(crate) fn set(&mut self, due: Due, from: Option<Timestamp>, to: Option<Timestamp>) {
        if from != to {
            from.map(|from| self.0.remove(&(from, due)));
            to.map(|to| self.0.insert((to, due)));
        }
    }
}

impl State {
    /// Returns what is due at `now` and should be done first, if anything is.
    #[must_use]
    pub fn first_due(&self, now: Timestamp) -> Option<Due> {
        self.due.0.first().filter(|(at, _)| *at <= now).map(|(_, due)| *due)
    }
}
