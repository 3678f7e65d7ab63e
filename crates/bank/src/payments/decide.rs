//! Decisions on payments. Each function is a flat run of guards, of the caller first, then of the ledger.

use ledger::{AccountId, Kind, Leg, Money, Overdraft, Posting, PostingId};
use smallvec::smallvec;

use super::{MAX_PAYMENTS_AT_ONCE, Pay, PaymentCommand, PaymentEvent, Purpose};
use crate::access;
use crate::decide::{Decided, Refused, Whats, accepted};
use crate::permission::{Action, Scope, Standing};
use crate::{Facts, PastPosting, Refusal, SharedText, State, What};

/// Decides a command of the subject.
pub(crate) fn decide(standing: Standing, state: &State, command: &PaymentCommand, facts: &Facts<'_>) -> Decided {
    match command {
        PaymentCommand::PayAll(payments) => pay_all(standing, state, payments, facts),
        PaymentCommand::Pay(order) => pay(standing, state, order, facts),
        PaymentCommand::Deposit { account, amount, text } => {
            cash(standing, state, *account, *amount, true, text.as_ref(), facts)
        }
        PaymentCommand::Withdraw { account, amount, text } => {
            cash(standing, state, *account, *amount, false, text.as_ref(), facts)
        }
        PaymentCommand::Book { leg, reason } => book(standing, state, *leg, reason, facts),
        PaymentCommand::Refund { of, leg, amount, text } => {
            refund(standing, state, *of, *leg, *amount, text.as_ref(), facts)
        }
        PaymentCommand::Reverse { of, text } => reverse(standing, state, *of, text.as_ref(), facts),
    }
}

fn pay(standing: Standing, state: &State, pay: &Pay, facts: &Facts<'_>) -> Decided {
    may_pay(standing, state, pay)?;
    let booked_at = pay.booked_at.unwrap_or(facts.now);
    if booked_at > facts.now {
        return Err(Refusal::BookedAhead.into());
    }
    let value_date = pay.value_date.unwrap_or(facts.today);
    let posting = state.ledger().post(&pay.legs, booked_at, value_date)?;
    must_be_covered(state, &posting)?;
    accepted(posted(posting, pay))
}

/// Several payments, all or none.
fn pay_all(standing: Standing, state: &State, payments: &[Pay], facts: &Facts<'_>) -> Decided {
    standing.may_ever(Action::Pay)?;
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
    let postings = state.ledger().post_all(legs, first, facts.now, facts.today);
    let postings = postings.map_err(|(place, refusal)| at(place, refusal.into()))?;
    for (place, posting) in postings.iter().enumerate() {
        must_be_covered(state, posting).map_err(|refusal| at(place, refusal))?;
    }
    let mut whats: Whats = smallvec![What::Payments(PaymentEvent::PaidAll { payments: count })];
    whats.extend(postings.into_iter().zip(payments).map(|(posting, pay)| posted(posting, pay)));
    Ok(whats)
}

/// Checks that a caller may make a payment, whatever the money.
fn may_pay(standing: Standing, state: &State, pay: &Pay) -> Result<(), Refusal> {
    standing.may_ever(Action::Pay)?;
    if pay.booked_at.is_some() || pay.value_date.is_some() || pay.purpose != Purpose::Payment {
        standing.may(state, Action::BookPast, Scope::Bank)?;
    }
    if pay.legs.len() > ledger::MAX_LEGS {
        return Err(ledger::Refusal::TooManyLegs.into());
    }
    for leg in &pay.legs {
        let debited = debited_by(leg.debit, &pay.legs);
        let amount = Money { minor: debited, ..leg.amount };
        must_exist(state, leg.debit)?;
        standing.may(state, Action::Pay, Scope::Money(leg.debit, amount))?;
        may_be_paid(standing, state, leg.credit)?;
    }
    Ok(())
}

fn posted(posting: Posting, pay: &Pay) -> What {
    What::Payments(PaymentEvent::Posted {
        posting,
        purpose: pay.purpose,
        text: pay.text.clone().map(Box::new),
        metadata: pay.metadata.clone(),
        end_to_end_id: pay.end_to_end_id.clone(),
        copies: pay.copies.clone(),
        released_minor: None,
    })
}

/// Cash at the desk: `into_account` for a deposit, out of it for a withdrawal.
fn cash(
    standing: Standing,
    state: &State,
    account: AccountId,
    amount: Money,
    into_account: bool,
    text: Option<&SharedText>,
    facts: &Facts<'_>,
) -> Decided {
    standing.may(state, Action::HandleCash, Scope::Bank)?;
    must_exist(state, account)?;
    let cash = state.cash_account(amount.currency).ok_or(Refusal::NoCashAccount)?;
    let deposit = Leg { debit: cash, credit: account, amount };
    let (leg, purpose) =
        if into_account { (deposit, Purpose::Deposit) } else { (deposit.reversed(), Purpose::Withdrawal) };
    let posting = state.ledger().post(&[leg], facts.now, facts.today)?;
    must_be_covered(state, &posting)?;
    accepted(What::Payments(PaymentEvent::posted(posting, purpose, text)))
}

/// A booking of the bank's own.
fn book(standing: Standing, state: &State, leg: Leg, reason: &SharedText, facts: &Facts<'_>) -> Decided {
    standing.may(state, Action::Book, Scope::Bank)?;
    must_exist(state, leg.debit)?;
    must_exist(state, leg.credit)?;
    may_be_booked(state, leg)?;
    let posting = state.ledger().post(&[leg], facts.now, facts.today)?;
    must_be_covered(state, &posting)?;
    accepted(What::Payments(PaymentEvent::posted(posting, Purpose::Booking, Some(reason))))
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

/// A refund, by the one who was paid or the bank.
fn refund(
    standing: Standing,
    state: &State,
    of: PostingId,
    leg: u32,
    amount: Money,
    text: Option<&SharedText>,
    facts: &Facts<'_>,
) -> Decided {
    let past = past(of, facts)?;
    let paid = usize::try_from(leg).ok().and_then(|leg| past.posting.legs().get(leg));
    let paid = paid.ok_or(ledger::Refusal::NoSuchLeg)?.leg;
    standing.may(state, Action::Refund, Scope::Money(paid.credit, amount))?;
    // Cash that was deposited is handed out at the desk, not given back from afar.
    may_be_paid(standing, state, paid.debit)?;
    let posting = state.ledger().refund(of, &past.posting, leg, amount, facts.now, facts.today)?;
    must_be_covered(state, &posting)?;
    accepted(What::Payments(PaymentEvent::posted(posting, Purpose::Refund, text)))
}

/// A reversal, by the bank.
fn reverse(standing: Standing, state: &State, of: PostingId, text: Option<&SharedText>, facts: &Facts<'_>) -> Decided {
    standing.may(state, Action::Reverse, Scope::Bank)?;
    let past = past(of, facts)?;
    let posting = state.ledger().reverse(of, &past.posting, facts.now, facts.today)?;
    must_be_covered(state, &posting)?;
    accepted(What::Payments(PaymentEvent::posted(posting, Purpose::Reversal, text)))
}

/// All that the legs take from one account, so that a signatory's limit can't be passed by splitting.
fn debited_by(account: AccountId, legs: &[Leg]) -> i64 {
    let minors = legs.iter().filter(|leg| leg.debit == account).map(|leg| leg.amount.minor);
    minors.fold(0, i64::saturating_add)
}

fn past<'a>(of: PostingId, facts: &Facts<'a>) -> Result<&'a PastPosting, Refusal> {
    facts.past.filter(|past| past.id == of).ok_or(Refusal::UnknownPayment)
}

pub(crate) fn must_exist(state: &State, account: AccountId) -> Result<(), Refusal> {
    state.ledger().account(account).map(|_| ()).ok_or(ledger::Refusal::UnknownAccount.into())
}

/// Customers pay to customers' accounts, their loans among them, and for the bank's services; not to its cash desk.
pub(crate) fn may_be_paid(standing: Standing, state: &State, account: AccountId) -> Result<(), Refusal> {
    let kind = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?.kind;
    let is_payee = match kind {
        Kind::Liability | Kind::Income => true,
        Kind::Asset => state.is_a_customers(account) && !state.is_cash(account),
        Kind::Equity | Kind::Expense => false,
    };
    if is_payee {
        return Ok(());
    }
    standing.may(state, Action::PayAnyAccount, Scope::Bank).map_err(|_| Refusal::NotAPayee)
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
pub(crate) fn must_leave(state: &State, account: AccountId, left: impl Fn(i64) -> i64) -> Result<(), Refusal> {
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
