//! Moving money: payments, cash at the desk, holds, refunds and reversals. Each function is a flat run of guards, of
//! the caller first, then of the ledger.

use ledger::{AccountId, Hold, HoldId, Kind, Leg, Money, Overdraft, Posting, PostingId, ReleaseReason, Timestamp};
use smallvec::smallvec;

use crate::access::{self, Standing};
use crate::decide::{Decided, Refused, Whats, accepted};
use crate::{Facts, MAX_PAYMENTS_AT_ONCE, PastPosting, Pay, Purpose, Refusal, Sealed, State, What};

pub(crate) fn pay(standing: Standing, state: &State, pay: &Pay, facts: &Facts<'_>) -> Decided {
    may_pay(standing, state, pay)?;
    let booked_at = pay.booked_at.unwrap_or(facts.now);
    if booked_at > facts.now {
        return Err(Refusal::BookedAhead);
    }
    let value_date = pay.value_date.unwrap_or(booked_at.day());
    let posting = state.ledger().post(&pay.legs, booked_at, value_date)?;
    must_be_covered(state, &posting)?;
    accepted(posted(posting, pay))
}

/// Several payments, all or none.
pub(crate) fn pay_all(
    standing: Standing,
    state: &State,
    payments: &[Pay],
    facts: &Facts<'_>,
) -> Result<Whats, Refused> {
    standing.must_be_able_to_pay()?;
    if payments.is_empty() {
        return Err(Refusal::from(ledger::Refusal::NoLegs).into());
    }
    if payments.len() > MAX_PAYMENTS_AT_ONCE {
        return Err(Refusal::TooManyPayments.into());
    }
    let at = |place: usize, refusal| Refused { refusal, place: u32::try_from(place).ok() };
    for (place, pay) in payments.iter().enumerate() {
        // Their time and their day are the batch's.
        if pay.booked_at.is_some() || pay.value_date.is_some() {
            return Err(at(place, Refusal::NotAllowed));
        }
        may_pay(standing, state, pay).map_err(|refusal| at(place, refusal))?;
    }
    let count = u32::try_from(payments.len()).map_err(|_| Refusal::TooManyPayments)?;
    // The event that counts them comes first.
    let first = state.last_event().checked_add(2).and_then(PostingId::new).ok_or(Refusal::NumbersExhausted)?;
    let legs = payments.iter().map(|pay| pay.legs.as_slice());
    let postings = state.ledger().post_all(legs, first, facts.now, facts.now.day());
    let postings = postings.map_err(|(place, refusal)| at(place, refusal.into()))?;
    for (place, posting) in postings.iter().enumerate() {
        must_be_covered(state, posting).map_err(|refusal| at(place, refusal))?;
    }
    let mut whats: Whats = smallvec![What::PaidAll { payments: count }];
    whats.extend(postings.into_iter().zip(payments).map(|(posting, pay)| posted(posting, pay)));
    Ok(whats)
}

/// Checks that a caller may make a payment, whatever the money.
fn may_pay(standing: Standing, state: &State, pay: &Pay) -> Result<(), Refusal> {
    standing.must_be_able_to_pay()?;
    if pay.booked_at.is_some() || pay.value_date.is_some() || pay.purpose != Purpose::Payment {
        standing.must_be_system()?;
    }
    if pay.legs.len() > ledger::MAX_LEGS {
        return Err(ledger::Refusal::TooManyLegs.into());
    }
    for leg in &pay.legs {
        let debited = debited_by(leg.debit, &pay.legs);
        let amount = Money { minor: debited, ..leg.amount };
        must_exist(state, leg.debit)?;
        standing.may_debit(state, leg.debit, amount)?;
        may_be_paid(standing, state, leg.credit)?;
    }
    Ok(())
}

fn posted(posting: Posting, pay: &Pay) -> What {
    What::Posted { posting, purpose: pay.purpose, text: pay.text.clone(), metadata: pay.metadata.clone() }
}

/// Cash at the desk: `into_account` for a deposit, out of it for a withdrawal.
pub(crate) fn cash(
    standing: Standing,
    state: &State,
    account: AccountId,
    amount: Money,
    into_account: bool,
    text: Option<&Sealed>,
    facts: &Facts<'_>,
) -> Decided {
    standing.must_run_the_bank()?;
    must_exist(state, account)?;
    let cash = state.cash_account(amount.currency).ok_or(Refusal::NoCashAccount)?;
    let deposit = Leg { debit: cash, credit: account, amount };
    let (leg, purpose) =
        if into_account { (deposit, Purpose::Deposit) } else { (deposit.reversed(), Purpose::Withdrawal) };
    let posting = state.ledger().post(&[leg], facts.now, facts.now.day())?;
    must_be_covered(state, &posting)?;
    accepted(What::Posted { posting, purpose, text: text.cloned(), metadata: None })
}

/// A booking of the bank's own.
pub(crate) fn book(standing: Standing, state: &State, leg: Leg, reason: &Sealed, facts: &Facts<'_>) -> Decided {
    standing.must_run_the_bank()?;
    must_exist(state, leg.debit)?;
    must_exist(state, leg.credit)?;
    may_be_booked(state, leg)?;
    let posting = state.ledger().post(&[leg], facts.now, facts.now.day())?;
    must_be_covered(state, &posting)?;
    accepted(What::Posted { posting, purpose: Purpose::Booking, text: Some(reason.clone()), metadata: None })
}

/// Nobody but customers orders payments from their accounts to others. What the bank takes from a customer's account or
/// gives to it without an order shows in its own income or expenses, and never in its cash or in what it owes others.
fn may_be_booked(state: &State, leg: Leg) -> Result<(), Refusal> {
    let banks_side = match (is_customers(state, leg.debit), is_customers(state, leg.credit)) {
        (false, false) => return Ok(()),
        (true, true) => return Err(Refusal::BetweenCustomers),
        (true, false) => leg.credit,
        (false, true) => leg.debit,
    };
    match state.ledger().account(banks_side).map(|account| account.kind) {
        Some(Kind::Income | Kind::Expense) => Ok(()),
        Some(Kind::Asset | Kind::Liability | Kind::Equity) | None => Err(Refusal::NotIncomeOrExpense),
    }
}

/// Returns `true` if an account is a customer's: one of a kind that customers have, on which any has a right. The
/// others are the bank's own, whoever may read them.
fn is_customers(state: &State, account: AccountId) -> bool {
    let info = state.account_info(account);
    info.is_some_and(|info| !info.rights.is_empty()) && access::can_be_a_customers(state, account)
}

/// The hold that a caller may place.
pub(crate) fn may_hold(
    standing: Standing,
    state: &State,
    leg: Leg,
    expires_at: Timestamp,
    facts: &Facts<'_>,
) -> Result<Hold, Refusal> {
    standing.must_be_able_to_pay()?;
    must_exist(state, leg.debit)?;
    standing.may_debit(state, leg.debit, leg.amount)?;
    may_be_paid(standing, state, leg.credit)?;
    let hold = state.ledger().place_hold(leg, facts.now, expires_at)?;
    must_leave(state, leg.debit, |available| available.saturating_sub(leg.amount.minor))?;
    Ok(hold)
}

/// More time for a hold, by whoever could place it, or the bank: it is the payer's money that stays reserved.
pub(crate) fn extend(
    standing: Standing,
    state: &State,
    hold: HoldId,
    expires_at: Timestamp,
    facts: &Facts<'_>,
) -> Decided {
    if standing.must_run_the_bank().is_err() {
        let held = state.ledger().hold(hold).ok_or(ledger::Refusal::HoldNotOpen)?;
        standing.may_debit(state, held.debit, Money { minor: held.remaining_minor, ..held.amount })?;
    }
    state.ledger().extend(hold, expires_at, facts.now)?;
    accepted(What::HoldExtended { hold, expires_at })
}

/// A capture, by the payee or the bank.
pub(crate) fn capture(
    standing: Standing,
    state: &State,
    hold: HoldId,
    amount: Money,
    last: bool,
    facts: &Facts<'_>,
) -> Decided {
    must_be_payee(standing, state, hold)?;
    must_be_payers_to_give(standing, state, hold)?;
    let posting = state.ledger().capture(hold, amount, last, facts.now, facts.now.day())?;
    for booked in posting.legs() {
        // Captured money was held, and so not available.
        must_leave(state, booked.leg.debit, |available| available)?;
    }
    accepted(What::Posted { posting, purpose: Purpose::Capture, text: None, metadata: None })
}

/// A hold of a time in which a customer could place it on an account of the bank's is for the bank to capture.
fn must_be_payers_to_give(standing: Standing, state: &State, hold: HoldId) -> Result<(), Refusal> {
    let is_banks = state.ledger().hold(hold).is_some_and(|held| !access::can_be_a_customers(state, held.debit));
    if is_banks && standing.must_run_the_bank().is_err() { Err(Refusal::NotACustomersAccount) } else { Ok(()) }
}

/// The payee or the bank lets a hold go.
pub(crate) fn void(standing: Standing, state: &State, hold: HoldId) -> Decided {
    must_be_payee(standing, state, hold)?;
    state.ledger().void(hold)?;
    accepted(What::HoldReleased { hold, reason: ReleaseReason::Voided })
}

/// Kassa itself lets a hold go when its time is over.
pub(crate) fn expire(standing: Standing, state: &State, hold: HoldId, facts: &Facts<'_>) -> Decided {
    standing.must_be_system()?;
    state.ledger().expire(hold, facts.now)?;
    accepted(What::HoldReleased { hold, reason: ReleaseReason::Expired })
}

/// A refund, by the one who was paid or the bank.
pub(crate) fn refund(
    standing: Standing,
    state: &State,
    of: PostingId,
    leg: u32,
    amount: Money,
    text: Option<&Sealed>,
    facts: &Facts<'_>,
) -> Decided {
    let past = past(of, facts)?;
    let paid = usize::try_from(leg).ok().and_then(|leg| past.posting.legs().get(leg));
    let paid = paid.ok_or(ledger::Refusal::NoSuchLeg)?.leg;
    if standing.must_run_the_bank().is_err() {
        standing.may_debit(state, paid.credit, amount)?;
        // Cash that was deposited is handed out at the desk, not given back from afar.
        may_be_paid(standing, state, paid.debit)?;
    }
    let posting = state.ledger().refund(of, &past.posting, leg, amount, facts.now, facts.now.day())?;
    must_be_covered(state, &posting)?;
    accepted(What::Posted { posting, purpose: Purpose::Refund, text: text.cloned(), metadata: None })
}

/// A reversal, by the bank.
pub(crate) fn reverse(
    standing: Standing,
    state: &State,
    of: PostingId,
    text: Option<&Sealed>,
    facts: &Facts<'_>,
) -> Decided {
    standing.must_run_the_bank()?;
    let past = past(of, facts)?;
    let posting = state.ledger().reverse(of, &past.posting, facts.now, facts.now.day())?;
    must_be_covered(state, &posting)?;
    accepted(What::Posted { posting, purpose: Purpose::Reversal, text: text.cloned(), metadata: None })
}

/// All that the legs take from one account, so that a signatory's limit can't be passed by splitting.
fn debited_by(account: AccountId, legs: &[Leg]) -> i64 {
    let minors = legs.iter().filter(|leg| leg.debit == account).map(|leg| leg.amount.minor);
    minors.fold(0, i64::saturating_add)
}

fn past<'a>(of: PostingId, facts: &Facts<'a>) -> Result<&'a PastPosting, Refusal> {
    facts.past.filter(|past| past.id == of).ok_or(Refusal::UnknownPayment)
}

fn must_exist(state: &State, account: AccountId) -> Result<(), Refusal> {
    state.ledger().account(account).map(|_| ()).ok_or(ledger::Refusal::UnknownAccount.into())
}

/// Customers pay to customers' accounts, their loans among them, and for the bank's services; not to its cash desk.
fn may_be_paid(standing: Standing, state: &State, account: AccountId) -> Result<(), Refusal> {
    let kind = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?.kind;
    let is_payee = match kind {
        Kind::Liability | Kind::Income => true,
        Kind::Asset => state.is_a_customers(account) && !state.is_cash(account),
        Kind::Equity | Kind::Expense => false,
    };
    match standing {
        Standing::Customer(_) if !is_payee => Err(Refusal::NotAPayee),
        Standing::Customer(_) | Standing::System | Standing::Operator | Standing::Auditor => Ok(()),
    }
}

/// A customer's account without a limit, of a time in which that could be had, counts as one that may go to zero:
/// nobody said how much was lent. An operator can set a limit at any time.
fn must_be_covered(state: &State, posting: &Posting) -> Result<(), Refusal> {
    for booked in posting.legs() {
        let (account, after) = (booked.leg.debit, booked.debit.balance_minor);
        let held = state.ledger().account(account).map_or(0, |account| account.held_minor);
        let left = after.saturating_sub(held);
        if left < 0 && lacks_its_limit(state, account) {
            let available = Money { minor: left.saturating_add(booked.leg.amount.minor), ..booked.leg.amount };
            return Err(ledger::Refusal::InsufficientFunds { available }.into());
        }
    }
    Ok(())
}

/// Checks that a customer's account without a limit stays at zero or above, where nothing is booked on it: `left` gives
/// what would be available, from what is.
fn must_leave(state: &State, account: AccountId, left: impl Fn(i64) -> i64) -> Result<(), Refusal> {
    let known = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?;
    if left(known.available_minor()) < 0 && lacks_its_limit(state, account) {
        return Err(ledger::Refusal::InsufficientFunds { available: known.money(known.available_minor()) }.into());
    }
    Ok(())
}

/// Returns `true` if an account has no limit and should have one. The bank's own need none, whatever right was had on
/// them.
fn lacks_its_limit(state: &State, account: AccountId) -> bool {
    let is_unlimited = |account: &ledger::Account| account.overdraft == Overdraft::Unlimited;
    state.ledger().account(account).is_some_and(is_unlimited)
        && state.is_a_customers(account)
        && access::can_be_a_customers(state, account)
}

fn must_be_payee(standing: Standing, state: &State, hold: HoldId) -> Result<(), Refusal> {
    if standing.must_run_the_bank().is_ok() {
        return Ok(());
    }
    let held = state.ledger().hold(hold).ok_or(ledger::Refusal::HoldNotOpen)?;
    standing.may_debit(state, held.credit, Money { minor: 0, ..held.amount })
}
