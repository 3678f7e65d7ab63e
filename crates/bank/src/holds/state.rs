//! State of holds, which is in the ledger.

use ledger::{Hold, HoldId, Ledger, Timestamp};

use crate::due::Due;
use crate::state::must_be;
use crate::{HoldEvent, State};

impl State {
    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_hold(&mut self, number: u64, event: &HoldEvent) {
        match event {
            HoldEvent::HoldPlaced { hold, .. } => {
                self.put_hold(HoldId::new(number).expect("events are numbered from 1"), *hold);
            }
            HoldEvent::HoldReleased { hold, .. } => {
                self.change_hold(*hold, |ledger| ledger.apply_release(*hold));
            }
            HoldEvent::HoldExtended { hold, expires_at } => {
                self.change_hold(*hold, |ledger| ledger.apply_extension(*hold, *expires_at));
            }
        }
    }

    /// Places a hold, and notes when it is over.
    pub(crate) fn put_hold(&mut self, id: HoldId, hold: Hold) {
        self.change_hold(id, |ledger| ledger.apply_hold(id, hold));
    }

    /// Has the ledger change something that may end a hold or move its end, and keeps the due queue in step.
    pub(crate) fn change_hold(&mut self, id: HoldId, change: impl FnOnce(&mut Ledger)) {
        let end = |ledger: &Ledger| ledger.hold(id).map(|hold| hold.expires_at);
        let before = end(&self.ledger);
        change(&mut self.ledger);
        self.due.set(Due::Hold(id), before, end(&self.ledger));
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_hold(&self, event: &HoldEvent) -> Result<(), String> {
        match event {
            HoldEvent::HoldReleased { hold, released_minor, .. } => {
                let number = hold.event();
                let held = self.ledger.hold(*hold);
                let left = held.ok_or_else(|| format!("hold {number} is released and was not open"))?.remaining_minor;
                must_be(released_minor.is_none_or(|released| released == left), || {
                    format!("hold {number} is released with {released_minor:?}, and {left} is left of it")
                })
            }
            HoldEvent::HoldPlaced { hold, .. } => self.ledger.check_hold(hold),
            HoldEvent::HoldExtended { hold, expires_at } => {
                self.ledger.extend(*hold, *expires_at, Timestamp::MIN).map_err(|refusal| refusal.to_string())
            }
        }
    }
}
