//! The bank read from its first event on, without being opened: for a program that only reads, beside a running server
//! too. Recovery and `verify` take their events from here as well.

use std::path::Path;

use bank::{Event, State};
use journal::{Frame, MasterKey, Reader};
use ledger::Timestamp;

use crate::{KeyedHashes, OpenError, Options, Recorded};

/// Number of frames read in one transaction: about a megabyte, so that no read holds up the writer's log.
const FRAMES_AT_A_TIME: usize = 64;

/// A bank about to be read, as far as it was durable when this was made.
pub struct Replay {
    reader: Reader,
    end: u64,
}

impl Replay {
    /// Begins to read the bank in `folder`.
    ///
    /// # Errors
    ///
    /// Refuses a journal that ends before what is known to have been durable, unless the options accept the loss; fails
    /// if it can't be read.
    pub fn open(folder: &Path, master: &MasterKey, options: Options) -> Result<Self, OpenError> {
        let reader = Reader::open(folder, master)?;
        let head = if options.accept_loss { reader.head()? } else { reader.whole_head(folder)? };
        Ok(Self { reader, end: head.last_event })
    }

    /// The last event that will be read.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.end
    }

    /// The keyed hashes of the bank, to know its idempotency keys and names by.
    #[must_use]
    pub fn hashes(&self) -> KeyedHashes {
        KeyedHashes::new(&self.reader.secrets())
    }

    /// Shows `visit` every event in order, each with the state after it, and gives the state after the last. Ends early
    /// when `visit` fails.
    ///
    /// # Errors
    ///
    /// Fails with what `visit` fails with, and with [`OpenError`] if the journal can't be read or an event can't be
    /// understood.
    pub fn run<E: From<OpenError>>(
        mut self,
        visit: &mut dyn FnMut(&State, &Recorded) -> Result<(), E>,
    ) -> Result<State, E> {
        let mut state = State::default();
        // Nothing is decided on it, so it need not know which keys were used.
        state.remember_outcomes_after(u64::MAX);
        for_each_frame(&mut self.reader, 0, self.end, |frame| {
            for recorded in events_of(frame) {
                let recorded = recorded.map_err(OpenError::from)?;
                // Asked first, because applying what doesn't fit would stop the process.
                recorded.check(&state).map_err(OpenError::from)?;
                state.apply(recorded.number, recorded.at, &recorded.event);
                visit(&state, &recorded)?;
            }
            Ok::<_, E>(())
        })?;
        Ok(state)
    }
}

/// An event that can't be understood, or doesn't follow from those before it.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) number: u64,
    pub(crate) reason: String,
}

impl From<Misfit> for OpenError {
    fn from(misfit: Misfit) -> Self {
        Self::Event { number: misfit.number, reason: misfit.reason }
    }
}

impl Recorded {
    /// Checks that it fits the state before it.
    pub(crate) fn check(&self, state: &State) -> Result<(), Misfit> {
        let Self { number, event, .. } = self;
        state.check(*number, event).map_err(|reason| Misfit { number: *number, reason })
    }
}

/// Gives `take` the frames after the event `last`, up to the one that ends with the event `end`.
pub(crate) fn for_each_frame<E: From<OpenError>>(
    reader: &mut Reader,
    mut last: u64,
    end: u64,
    mut take: impl FnMut(&Frame) -> Result<(), E>,
) -> Result<(), E> {
    while last < end {
        let frames = reader.frames_from(last + 1, FRAMES_AT_A_TIME).map_err(OpenError::from)?;
        let before = last;
        for frame in frames.iter().take_while(|frame| frame.first_event <= end) {
            take(frame)?;
            last = frame.first_event + u64::from(frame.count) - 1;
        }
        if last <= before {
            // A head that was read is never taken back but by putting another journal in its place, or where pages of the
            // database are of different times.
            let number = before + 1;
            return Err(OpenError::Event { number, reason: "the journal ends before it".into() }.into());
        }
    }
    Ok(())
}

/// The events of a frame: as many as it says, or an error where one can't be understood or is missing.
pub(crate) fn events_of(frame: &Frame) -> impl Iterator<Item = Result<Recorded, Misfit>> + '_ {
    let missing = std::iter::repeat_with(|| Err("the frame ends before it".to_owned()));
    let events = Event::decode_all(&frame.body).chain(missing).take(frame.count as usize);
    (frame.first_event..).zip(events).map(|(number, event)| {
        let event = event.map_err(|reason| Misfit { number, reason })?;
        Ok(Recorded { number, at: Timestamp(frame.time_ms), event })
    })
}
