//! Every committed event in order, from any point on: the one stream that followers, notices, exports and indexes
//! consume, each remembering its own position.

use bank::Event;
use journal::Frame;
use ledger::Timestamp;

use crate::replay::events_of;
use crate::{Engine, Unavailable};

/// An event as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub number: u64,
    /// Its time.
    pub at: Timestamp,
    /// The event itself.
    pub event: Event,
}

/// A place in the stream of committed events.
pub struct Subscription {
    engine: Engine,
    next: u64,
}

/// Number of frames read at a time.
const FRAMES_AT_A_TIME: usize = 16;

impl Subscription {
    /// Returns the next events, at least one; waits for them where there are none yet.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the engine is stopping or has failed, and if the journal doesn't give the events,
    /// so that nobody asks for ever.
    pub async fn next(&mut self) -> Result<Vec<Recorded>, Unavailable> {
        self.engine.shared.until_event(self.next).await?;
        let frames = self.engine.shared.with_reader(|reader| reader.frames_from(self.next, FRAMES_AT_A_TIME))?;
        let mut events = Vec::new();
        for frame in &frames {
            events.extend(all_of(frame)?.into_iter().filter(|recorded| recorded.number >= self.next));
        }
        if events.first().is_none_or(|first| first.number != self.next) {
            return Err(Unavailable::Failed(format!("event {}: the journal doesn't give it", self.next)));
        }
        self.next = events.last().map_or(self.next, |last| last.number + 1);
        Ok(events)
    }
}

impl Engine {
    /// Every committed event from number `from` on, in order.
    #[must_use]
    pub fn subscribe(&self, from: u64) -> Subscription {
        Subscription { engine: self.clone(), next: from.max(1) }
    }

    /// The number of the last durable event.
    #[must_use]
    pub fn last_durable(&self) -> u64 {
        self.shared.durable.borrow().last_event
    }

    /// Waits until an event is durable.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the engine stops or fails before that.
    pub async fn until_durable(&self, event: u64) -> Result<(), Unavailable> {
        self.shared.until_event(event).await
    }

    /// Reads all events of the frame that holds an event, in order; none where no frame does. For a thread that may
    /// wait for the disk. A frame may hold events that are not yet told to be durable.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the journal can't be read, or an event can't be understood.
    pub fn written_with(&self, event: u64) -> Result<Vec<Recorded>, Unavailable> {
        let Some(frame) = self.shared.with_reader(|reader| reader.frame_with(event))? else { return Ok(Vec::new()) };
        all_of(&frame)
    }
}

/// The events of a frame, as many as it says.
pub(crate) fn all_of(frame: &Frame) -> Result<Vec<Recorded>, Unavailable> {
    let understood = events_of(frame).map(|recorded| {
        recorded.map_err(|misfit| Unavailable::Failed(format!("event {}: {}", misfit.number, misfit.reason)))
    });
    understood.collect()
}
