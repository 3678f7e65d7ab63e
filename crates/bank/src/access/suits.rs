//! Which accounts suit customers.

use ledger::{AccountId, Kind, Overdraft};

use crate::{Refusal, State};

/// Checks that customers may have a right to move an account's money: a deposit's, or a loan's, to an end that the bank
/// set. Otherwise documented calls would give them money that nobody lent.
pub(crate) fn must_suit_a_customer(kind: Kind, is_cash: bool, overdraft: Overdraft) -> Result<(), Refusal> {
    match (kind, is_cash) {
        (Kind::Liability | Kind::Asset, false) => {}
        (Kind::Liability | Kind::Asset, true) | (Kind::Equity | Kind::Income | Kind::Expense, _) => {
            return Err(Refusal::NotACustomersAccount);
        }
    }
    match overdraft {
        Overdraft::Limited(_) => Ok(()),
        Overdraft::Unlimited => Err(Refusal::OverdraftWithoutLimit),
    }
}

/// Returns `true` if an account can be a customer's, its overdraft aside.
pub(crate) fn can_be_a_customers(state: &State, account: AccountId) -> bool {
    let suits =
        |it: &ledger::Account| must_suit_a_customer(it.kind, state.is_cash(account), Overdraft::Limited(0)).is_ok();
    state.ledger().account(account).is_none_or(suits)
}
