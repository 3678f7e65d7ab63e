//! State of payments: what of them was undone. Their money is in the ledger.

use ledger::{Cause, PostingId, Undone};

use crate::record::Record;
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
            PaymentEvent::Posted { posting, .. } => self.ledger.check_posting(posting),
            // To apply these breaks nothing, whatever they name.
            PaymentEvent::PaidAll { .. } => Ok(()),
        }
    }
}

pub(crate) fn undone_record((id, undone): (&PostingId, &Undone)) -> Record {
    let refunded = match undone {
        Undone::Reversed => None,
        Undone::Refunded(legs) => Some(legs.iter().map(|(leg, minor)| (*leg, *minor)).collect()),
    };
    Record::Undone { id: *id, refunded }
}
