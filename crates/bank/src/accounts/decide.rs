//! Decisions on accounts. Each function is a flat run of guards.

use ledger::{AccountId, Kind, Overdraft, Status};

use super::{AccountCommand, AccountEvent, OpenAccount};
use crate::access;
use crate::decide::{Decided, accepted};
use crate::permission::{Action, Scope, Standing};
use crate::{Facts, Refusal, Sealed, State, What};

/// Decides a command of the subject.
pub(crate) fn decide(standing: Standing, state: &State, command: &AccountCommand, facts: &Facts<'_>) -> Decided {
    match command {
        AccountCommand::OpenAccount(account) => open(standing, state, account, facts),
        AccountCommand::Rename { account, name } => rename(standing, state, *account, name.as_ref()),
        AccountCommand::SetStatus { account, status } => set_status(standing, state, *account, *status),
        AccountCommand::SetOverdraft { account, overdraft } => set_overdraft(standing, state, *account, *overdraft),
    }
}

fn open(standing: Standing, state: &State, open: &OpenAccount, facts: &Facts<'_>) -> Decided {
    standing.may(state, Action::OpenAccount, Scope::Bank)?;
    let founding = state.founding().ok_or(Refusal::NotFounded)?;
    if open.opened_at.is_some() {
        standing.may(state, Action::BookPast, Scope::Bank)?;
    }
    let owner = open.owner.map(|owner| state.customer(owner).ok_or(Refusal::UnknownCustomer)).transpose()?;
    let number = open.number.unwrap_or_else(|| state.next_number(open.kind));
    if !founding.numbering.has(number) || state.account_numbered(number).is_some() {
        return Err(Refusal::NumberTaken.into());
    }
    if open.cash && (open.kind != Kind::Asset || state.cash_account(open.currency).is_some()) {
        return Err(Refusal::CashAccountTaken.into());
    }
    if owner.is_some() {
        access::must_suit_a_customer(open.kind, open.cash, open.overdraft)?;
    }
    if state.ledger().next_account().0 == u32::MAX {
        return Err(Refusal::NumbersExhausted.into());
    }
    if owner.is_some_and(|owner| owner.accounts.len() >= access::MAX_ACCOUNTS_PER_CUSTOMER) {
        return Err(Refusal::TooManyRights.into());
    }
    // The history of another bank is imported as it was.
    if open.opened_at.is_none() && !open.currency.is_in_use() {
        return Err(Refusal::CurrencyNotInUse.into());
    }
    accepted(What::Accounts(AccountEvent::AccountOpened {
        id: state.ledger().next_account(),
        number,
        currency: open.currency,
        kind: open.kind,
        overdraft: open.overdraft,
        opened_at: open.opened_at.unwrap_or(facts.now),
        name: open.name.clone(),
        owner: open.owner,
        cash: open.cash,
    }))
}

/// Another name, by an owner or the bank.
fn rename(standing: Standing, state: &State, account: AccountId, name: Option<&Sealed>) -> Decided {
    state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?;
    standing.may(state, Action::RenameAccount, Scope::Account(account))?;
    accepted(What::Accounts(AccountEvent::AccountRenamed { account, name: name.cloned() }))
}

fn set_status(standing: Standing, state: &State, account: AccountId, status: Status) -> Decided {
    standing.may(state, Action::SetAccount, Scope::Bank)?;
    state.ledger().set_status(account, status)?;
    accepted(What::Accounts(AccountEvent::StatusSet { account, status }))
}

fn set_overdraft(standing: Standing, state: &State, account: AccountId, overdraft: Overdraft) -> Decided {
    standing.may(state, Action::SetAccount, Scope::Bank)?;
    if overdraft == Overdraft::Unlimited && state.is_a_customers(account) && access::can_be_a_customers(state, account)
    {
        return Err(Refusal::OverdraftWithoutLimit.into());
    }
    state.ledger().set_overdraft(account, overdraft)?;
    accepted(What::Accounts(AccountEvent::OverdraftSet { account, overdraft }))
}
