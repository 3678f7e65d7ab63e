//! State of payments: what of them was undone. Their money is in the ledger.

use ledger::{Cause, Posting, PostingId, Undone};

use crate::record::Record;
use crate::state::must_be;
use crate::{PaymentEvent, State};

impl State {
    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_payment(&mut self, number: u64, event: &PaymentEvent) {
        match event {
            PaymentEvent::Posted { posting, .. } => {
                let id = PostingId::new(number).expect("events are numbered from 1");
                match posting.cause() {
                    Cause::Capture { hold, .. } => self.change_hold(hold, |ledger| ledger.apply_posting(id, posting)),
                    Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => {
                        self.ledger.apply_posting(id, posting);
                    }
                }
            }
            PaymentEvent::PaidAll { .. } => {}
        }
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_payment(&self, event: &PaymentEvent) -> Result<(), String> {
        match event {
            PaymentEvent::Posted { posting, released_minor, .. } => {
                self.ledger.check_posting(posting)?;
                self.check_released(posting, released_minor.as_deref().copied())
            }
            // To apply these breaks nothing, whatever they name.
            PaymentEvent::PaidAll { .. } => Ok(()),
        }
    }
}

impl State {
    /// Says in words why what a posting says of the rest of a hold is not so.
    fn check_released(&self, posting: &Posting, released_minor: Option<i64>) -> Result<(), String> {
        let Some(released) = released_minor else { return Ok(()) };
        let rest = match posting.cause() {
            Cause::Capture { hold, last: true } => self.ledger.hold(hold).and_then(|held| {
                let mut minors = posting.legs().iter().map(|booked| booked.leg.amount.minor);
                minors.try_fold(held.remaining_minor, i64::checked_sub)
            }),
            Cause::Capture { last: false, .. } | Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => None,
        };
        must_be(rest == Some(released), || format!("it lets {released} of a hold go, and {rest:?} is left of it"))
    }
}

pub(crate) fn undone_record((id, undone): (&PostingId, &Undone)) -> Record {
    let refunded = match undone {
        Undone::Reversed => None,
        Undone::Refunded(legs) => Some(legs.iter().map(|(leg, minor)| (*leg, *minor)).collect()),
    };
    Record::Undone { id: *id, refunded }
}
