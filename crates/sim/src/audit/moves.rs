//! Movements of money from one account to another, which payments and holds ask for and postings make: what may move,
//! and why something can't.

use bank::{Body, Event, HoldCommand, PaymentEvent, Purpose, What};
use ledger::{Cause, Kind, Leg, Status};
use smallvec::SmallVec;

use super::access::{Objection, Objections};
use super::{Agreed, Auditor, Breach, only};

/// An amount moved from one account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) debit: u32,
    pub(super) credit: u32,
    pub(super) minor: i128,
    pub(super) currency: u16,
}

pub(super) type Moves = SmallVec<[Moved; 1]>;

impl Moved {
    pub(super) fn of(leg: &Leg) -> Self {
        Self {
            debit: leg.debit.0,
            credit: leg.credit.0,
            minor: i128::from(leg.amount.minor),
            currency: leg.amount.currency.numeric(),
        }
    }

    pub(super) fn back(self) -> Self {
        Self { debit: self.credit, credit: self.debit, ..self }
    }
}

impl Auditor {
    pub(super) fn may_move(&self, debit: u32, credit: u32, currency: u16) -> Agreed {
        agree!(debit != credit, "account {debit} paid itself");
        let (payer, payee) = (self.account(debit)?, self.account(credit)?);
        agree!(payer.currency == currency && payee.currency == currency, "accounts of other currencies");
        agree!(payer.status == Status::Open, "account {debit} is {:?}, and paid", payer.status);
        let may_get = matches!(payee.status, Status::Open | Status::FrozenForDebits);
        agree!(may_get, "account {credit} is {:?}, and was paid", payee.status);
        Ok(())
    }

    /// All that speaks against a customer's moving this.
    pub(super) fn objections_to_moves(&self, customer: u32, moves: &[Moved]) -> Objections {
        let mut objections = Objections::new();
        for moved in moves {
            // The limit is for the whole payment, not for each leg of it.
            let of_this_account = moves.iter().filter(|other| other.debit == moved.debit);
            let minor = of_this_account.map(|other| other.minor).sum();
            objections.extend(self.objection_to(customer, moved.debit, minor, moved.currency));
        }
        let banks_own = |id: u32| match self.known(id).map(|account| account.kind) {
            Some(Kind::Equity | Kind::Expense) => true,
            Some(Kind::Asset) => !self.is_a_customers(id),
            Some(Kind::Liability | Kind::Income) | None => false,
        };
        if moves.iter().any(|moved| banks_own(moved.credit)) {
            objections.push(Objection::NotAPayee);
        }
        objections
    }

    /// Returns what was available at the first leg that the payer can't cover.
    pub(super) fn first_shortage(&self, body: &Body, moves: &[Moved]) -> Option<i128> {
        if matches!(body, Body::Holds(HoldCommand::Capture { .. })) {
            return None;
        }
        for (place, moved) in moves.iter().enumerate() {
            let payer = self.known(moved.debit)?;
            let available = payer.available() + change(moved.debit, &moves[..place]);
            if !payer.may_have(available - moved.minor) {
                return Some(available);
            }
        }
        None
    }

    /// Returns `true` if a balance would not fit in 64 bits.
    pub(super) fn is_out_of_range(&self, body: &Body, moves: &[Moved]) -> bool {
        let fits = |minor: i128| i64::try_from(minor).is_ok();
        moves.iter().enumerate().any(|(place, moved)| {
            let (Some(payer), Some(payee)) = (self.known(moved.debit), self.known(moved.credit)) else { return false };
            let paid = change(moved.debit, &moves[..place]) - moved.minor;
            let got = change(moved.credit, &moves[..place]) + moved.minor;
            let hold = matches!(body, Body::Holds(HoldCommand::PlaceHold { .. }));
            let held = if hold { fits(payer.held + moved.minor) } else { fits(payee.balance + got) };
            !(fits(payer.available() + paid) && (hold || fits(payer.balance + paid)) && held)
        })
    }
}

/// Returns `true` if this is a posting of these moves and this cause.
pub(super) fn posts(moves: &[Moved], cause: Cause, what: &What) -> bool {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = what else { return false };
    let moved = posting.legs().iter().map(|booked| Moved::of(&booked.leg));
    moved.eq(moves.iter().copied()) && cause == posting.cause()
}

/// Returns `true` if this is one posting of these moves and this cause, and not said to be the bank's own booking.
pub(super) fn is_paid(moves: &[Moved], cause: Cause, events: &[Event]) -> bool {
    only(events).is_some_and(|what| {
        let own = matches!(what, What::Payments(PaymentEvent::Posted { purpose: Purpose::Booking, .. }));
        !own && posts(moves, cause, what)
    })
}

/// Sums what some moves change about one account.
pub(super) fn change(account: u32, moves: &[Moved]) -> i128 {
    let changes = moves.iter().map(|moved| {
        i128::from(moved.credit == account) * moved.minor - i128::from(moved.debit == account) * moved.minor
    });
    changes.sum()
}
