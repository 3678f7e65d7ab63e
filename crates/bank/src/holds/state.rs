//! State of holds, which is in the ledger.

use ledger::{HoldId, Timestamp};

use crate::state::must_be;
use crate::{HoldEvent, State};

impl State {
    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_hold(&mut self, number: u64, event: &HoldEvent) {
        match event {
            HoldEvent::HoldPlaced { hold, .. } => {
                self.ledger.apply_hold(HoldId::new(number).expect("events are numbered from 1"), *hold);
            }
            HoldEvent::HoldReleased { hold, .. } => self.ledger.apply_release(*hold),
            HoldEvent::HoldExtended { hold, expires_at } => self.ledger.apply_extension(*hold, *expires_at),
        }
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_hold(&self, event: &HoldEvent) -> Result<(), String> {
        match event {
            HoldEvent::HoldReleased { hold, .. } => must_be(self.ledger.hold(*hold).is_some(), || {
                format!("hold {} is released and was not open", hold.event())
            }),
            HoldEvent::HoldPlaced { hold, .. } => self.ledger.check_hold(hold),
            HoldEvent::HoldExtended { hold, expires_at } => {
                self.ledger.extend(*hold, *expires_at, Timestamp::MIN).map_err(|refusal| refusal.to_string())
            }
        }
    }
}
