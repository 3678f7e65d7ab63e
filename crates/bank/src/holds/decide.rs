//! Decisions on holds. Each function is a flat run of guards, of the caller first, then of the ledger.

use ledger::{Hold, HoldId, Leg, Money, ReleaseReason, Timestamp};

use super::{HoldCommand, HoldEvent};
use crate::access;
use crate::decide::{Decided, accepted};
use crate::payments::{PaymentEvent, Purpose};
use crate::payments::{may_be_paid, must_exist, must_leave};
use crate::permission::{Action, Scope, Standing};
use crate::{Facts, Refusal, State, What};

/// Decides a command of the subject.
pub(crate) fn decide(standing: Standing, state: &State, command: &HoldCommand, facts: &Facts<'_>) -> Decided {
    match command {
        HoldCommand::PlaceHold { leg, expires_at, text, metadata } => {
            let hold = may_hold(standing, state, *leg, *expires_at, facts)?;
            let (text, copies) = text.as_ref().map(|text| (text.own.clone(), text.copies.clone())).unzip();
            let (metadata, copies) = (metadata.clone(), copies.flatten());
            accepted(What::Holds(HoldEvent::HoldPlaced { hold, text, metadata, copies }))
        }
        HoldCommand::Extend { hold, expires_at } => extend(standing, state, *hold, *expires_at, facts),
        HoldCommand::Capture { hold, amount, last } => capture(standing, state, *hold, *amount, *last, facts),
        HoldCommand::Void { hold } => void(standing, state, *hold),
        HoldCommand::Expire { hold } => expire(standing, state, *hold, facts),
    }
}

/// The hold that a caller may place.
fn may_hold(
    standing: Standing,
    state: &State,
    leg: Leg,
    expires_at: Timestamp,
    facts: &Facts<'_>,
) -> Result<Hold, Refusal> {
    standing.may_ever(Action::PlaceHold)?;
    must_exist(state, leg.debit)?;
    standing.may(state, Action::PlaceHold, Scope::Money(leg.debit, leg.amount))?;
    may_be_paid(standing, state, leg.credit)?;
    let hold = state.ledger().place_hold(leg, facts.now, expires_at)?;
    must_leave(state, leg.debit, |available| available.saturating_sub(leg.amount.minor))?;
    Ok(hold)
}

/// More time for a hold, by whoever could place it, or the bank: it is the payer's money that stays reserved.
fn extend(standing: Standing, state: &State, hold: HoldId, expires_at: Timestamp, facts: &Facts<'_>) -> Decided {
    let held = state.ledger().hold(hold).ok_or(ledger::Refusal::HoldNotOpen)?;
    let remaining = Money { minor: held.remaining_minor, ..held.amount };
    standing.may(state, Action::ExtendHold, Scope::Money(held.debit, remaining))?;
    state.ledger().extend(hold, expires_at, facts.now)?;
    accepted(What::Holds(HoldEvent::HoldExtended { hold, expires_at }))
}

/// A capture, by the payee or the bank.
fn capture(standing: Standing, state: &State, hold: HoldId, amount: Money, last: bool, facts: &Facts<'_>) -> Decided {
    let held = must_be_payee(standing, state, hold)?;
    must_be_payers_to_give(standing, state, hold)?;
    let posting = state.ledger().capture(hold, amount, last, facts.now, facts.today)?;
    for booked in posting.legs() {
        // Captured money was held, and so not available.
        must_leave(state, booked.leg.debit, |available| available)?;
    }
    let released_minor = last.then(|| Box::new(held.remaining_minor.saturating_sub(amount.minor)));
    accepted(What::Payments(PaymentEvent::Posted {
        posting,
        purpose: Purpose::Capture,
        text: None,
        metadata: None,
        end_to_end_id: None,
        copies: None,
        released_minor,
    }))
}

/// A hold of a time in which a customer could place it on an account of the bank's is for the bank to capture.
fn must_be_payers_to_give(standing: Standing, state: &State, hold: HoldId) -> Result<(), Refusal> {
    let is_banks = state.ledger().hold(hold).is_some_and(|held| !access::can_be_a_customers(state, held.debit));
    if is_banks {
        let may = standing.may(state, Action::CaptureBanksHold, Scope::Bank);
        return may.map_err(|_| Refusal::NotACustomersAccount);
    }
    Ok(())
}

/// The payee or the bank lets a hold go.
fn void(standing: Standing, state: &State, hold: HoldId) -> Decided {
    let held = must_be_payee(standing, state, hold)?;
    state.ledger().void(hold)?;
    released(hold, held, ReleaseReason::Voided)
}

/// Kassa itself lets a hold go when its time is over.
fn expire(standing: Standing, state: &State, hold: HoldId, facts: &Facts<'_>) -> Decided {
    standing.may(state, Action::ExpireHold, Scope::Bank)?;
    state.ledger().expire(hold, facts.now)?;
    let held = state.ledger().hold(hold).ok_or(ledger::Refusal::HoldNotOpen)?;
    released(hold, held, ReleaseReason::Expired)
}

/// All that is left of a hold is let go.
fn released(hold: HoldId, held: &Hold, reason: ReleaseReason) -> Decided {
    let released_minor = Some(held.remaining_minor);
    accepted(What::Holds(HoldEvent::HoldReleased { hold, reason, released_minor }))
}

fn must_be_payee(standing: Standing, state: &State, hold: HoldId) -> Result<&Hold, Refusal> {
    let held = state.ledger().hold(hold).ok_or(ledger::Refusal::HoldNotOpen)?;
    standing.may(state, Action::CaptureHold, Scope::Money(held.credit, Money { minor: 0, ..held.amount }))?;
    Ok(held)
}
