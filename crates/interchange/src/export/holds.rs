//! Holds as an export follows them: what was said with each, and what was captured of it, until it is closed.

use std::collections::BTreeMap;

use bank::{HoldEvent, PaymentEvent, Said, State, What};
use engine::Recorded;
use ledger::{Cause, HoldId, Money, Posting, ReleaseReason};

/// The open holds.
#[derive(Default)]
pub(super) struct Holds(BTreeMap<HoldId, Followed>);

/// A hold that is followed.
#[derive(Clone)]
struct Followed {
    said: Said,
    amount: Money,
    captured_minor: i64,
}

/// A hold of which an event took or let go something, as it is after it.
pub(super) struct Acted {
    /// Words that went with it.
    pub(super) said: Said,
    /// State of the hold, as the REST interface calls it.
    pub(super) state: &'static str,
    /// Amount that was captured of it in all.
    pub(super) captured: Money,
    /// Amount of it that was let go.
    pub(super) released: Money,
}

impl Holds {
    /// Follows an event, after which the state is this one. Gives the hold of which it took or let go something.
    pub(super) fn follow(&mut self, state: &State, recorded: &Recorded) -> Option<Acted> {
        match &recorded.event.what {
            What::Holds(HoldEvent::HoldPlaced { hold, text, copies, .. }) => {
                let said = Said { text: text.clone(), end_to_end_id: None, copies: copies.clone() };
                let followed = Followed { said, amount: hold.amount, captured_minor: 0 };
                self.0.insert(HoldId::new(recorded.number)?, followed);
                None
            }
            What::Holds(HoldEvent::HoldReleased { hold, reason, .. }) => {
                let name = match reason {
                    ReleaseReason::Voided => "voided",
                    ReleaseReason::Expired => "expired",
                };
                Some(self.0.remove(hold)?.acted(name, true))
            }
            What::Payments(PaymentEvent::Posted { posting, .. }) => match posting.cause() {
                Cause::Capture { hold, .. } => self.capture(state, hold, posting),
                Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => None,
            },
            What::Holds(HoldEvent::HoldExtended { .. })
            | What::Payments(PaymentEvent::PaidAll { .. })
            | What::System(_)
            | What::Access(_)
            | What::Accounts(_) => None,
        }
    }

    fn capture(&mut self, state: &State, id: HoldId, posting: &Posting) -> Option<Acted> {
        let hold = self.0.get_mut(&id)?;
        for booked in posting.legs() {
            hold.captured_minor = hold.captured_minor.saturating_add(booked.leg.amount.minor);
        }
        if state.ledger().hold(id).is_some() {
            return Some(hold.clone().acted("partly-captured", false));
        }
        Some(self.0.remove(&id)?.acted("captured", true))
    }
}

impl Followed {
    fn acted(self, state: &'static str, is_closed: bool) -> Acted {
        let Self { said, amount, captured_minor } = self;
        let rest = if is_closed { amount.minor.saturating_sub(captured_minor) } else { 0 };
        let money = |minor| Money { minor, ..amount };
        Acted { said, state, captured: money(captured_minor), released: money(rest) }
    }
}
