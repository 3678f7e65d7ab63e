//! Later course of a hold or a payment: the events that take, let go, give back or undo something of it.
//!
//! Nothing of it is in the state once a hold is closed. The index keeps each such event by what it acts on.

use super::index::Recent;
use crate::handle::Shared;
use crate::{Engine, Unavailable};

/// The most events of which the numbers are given. More captures of one hold, or refunds of one payment, are told by their
/// number and their last.
pub const MAX_DEEDS: usize = 100;

/// The events that act on another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deeds {
    /// The first [`MAX_DEEDS`] of them, in order.
    pub first: Vec<u64>,
    /// The last of them.
    pub last: Option<u64>,
    /// Number of them all.
    pub count: u64,
}

impl Deeds {
    /// Returns `true` if [`Deeds::first`] has them all.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        self.count == self.first.len() as u64
    }

    /// Adds one, unless it is known or later than `until`. They come in order, from the disk and then from memory.
    fn add(&mut self, event: u64, until: u64) {
        if event > until || self.last.is_some_and(|last| event <= last) {
            return;
        }
        self.last = Some(event);
        self.count += 1;
        if self.first.len() < MAX_DEEDS {
            self.first.push(event);
        }
    }
}

impl Engine {
    /// Finds the events up to `until` that act on an event ([`bank::What::acts_on`]). For a thread that may wait for the
    /// disk.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the index can't be read, or if the engine has failed.
    pub fn deeds_on(&self, of: u64, until: u64) -> Result<Deeds, Unavailable> {
        let (newest, _) = self.shared.look(|books| in_memory(&books.recent, of))?;
        let mut deeds = Deeds::default();
        // Looked for on disk afterwards: what has left memory meanwhile is there.
        self.shared.on_disk(of, |event| deeds.add(event, until))?;
        newest.into_iter().for_each(|event| deeds.add(event, until));
        Ok(deeds)
    }
}

fn in_memory(recent: &Recent, of: u64) -> Vec<u64> {
    let mut newest = Vec::new();
    recent.deeds_on(of, |event| newest.push(event));
    newest
}

impl Shared {
    fn on_disk(&self, of: u64, take: impl FnMut(u64)) -> Result<(), Unavailable> {
        let (key, runs) = (self.index.deed_key(of), self.index.runs());
        runs.events_of(&key, take).map_err(|error| self.damaged(&error))
    }
}
