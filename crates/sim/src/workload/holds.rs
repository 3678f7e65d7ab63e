//! Holds placed, extended, captured, voided and let go, and what is learned of them.

use bank::{Body, Caller, HoldCommand, HoldEvent};
use ledger::{Hold, HoldId, Money};

use super::{HOUR_MS, MINUTE_MS, Workload, remember};

impl Workload {
    pub(super) fn learn_hold(&mut self, number: u64, event: &HoldEvent) {
        match event {
            HoldEvent::HoldPlaced { hold, .. } => {
                let id = HoldId::new(number).expect("events are numbered from 1");
                remember(&mut self.random, &mut self.holds, (id, *hold));
            }
            HoldEvent::HoldExtended { hold, expires_at } => {
                if let Some((_, known)) = self.holds.iter_mut().find(|(known, _)| known == hold) {
                    known.expires_at = *expires_at;
                }
            }
            // Some holds are not forgotten when they are let go, and are asked for again, in vain.
            HoldEvent::HoldReleased { hold, .. } => {
                if !self.random.once_in(12) {
                    self.holds.retain(|(known, _)| known != hold);
                }
            }
        }
    }

    pub(super) fn place_hold(&mut self) -> (Caller, Body) {
        let leg = self.leg();
        let ms = match self.random.below(10) {
            0 => 0,
            1..=6 => self.random.amount(10 * MINUTE_MS),
            _ => self.random.amount(24 * HOUR_MS),
        };
        let caller = self.holder(leg.debit);
        (
            caller,
            Body::Holds(HoldCommand::PlaceHold { leg, expires_at: self.now.plus_ms(ms), text: None, metadata: None }),
        )
    }

    pub(super) fn use_hold(&mut self) -> (Caller, Body) {
        // Mostly a recent one, which is open; an old one is asked for in vain.
        let old = if self.random.once_in(5) { 0 } else { self.holds.len().saturating_sub(6) };
        let Some((hold, placed)) = self.random.pick(&self.holds[old..]) else { return self.pay() };
        match self.random.below(20) {
            0 | 1 => (Caller::SYSTEM, Body::Holds(HoldCommand::Expire { hold })),
            2..=4 => {
                (Caller::SYSTEM, Body::Holds(HoldCommand::Expire { hold: self.one_that_is_over().unwrap_or(hold) }))
            }
            5 | 6 => {
                let expires_at = placed.expires_at.plus_ms(self.random.amount(24 * HOUR_MS) - HOUR_MS);
                (self.holder(placed.debit), Body::Holds(HoldCommand::Extend { hold, expires_at }))
            }
            7..=9 => (self.holder(placed.credit), Body::Holds(HoldCommand::Void { hold })),
            _ => {
                let part = 1 + self.random.amount(placed.amount.minor);
                let minor = if self.random.once_in(10) { placed.amount.minor.saturating_add(1) } else { part };
                let amount = Money { minor, ..placed.amount };
                (
                    self.holder(placed.credit),
                    Body::Holds(HoldCommand::Capture { hold, amount, last: self.random.once_in(3) }),
                )
            }
        }
    }

    /// One of the holds whose time is over, if there is one after a random place in the list.
    fn one_that_is_over(&mut self) -> Option<HoldId> {
        let start = self.random.place(self.holds.len().max(1));
        let over = |(_, hold): &&(HoldId, Hold)| hold.expires_at <= self.now;
        self.holds.get(start..)?.iter().find(over).map(|(id, _)| *id)
    }
}
