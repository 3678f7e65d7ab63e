//! Who stands behind a command, and what that allows.

use ledger::{AccountId, Kind, Money, Overdraft, Timestamp};

use super::{CustomerId, Right, Role, UserId};
use crate::{Caller, Refusal, State};

/// Role in which a command is decided, found by looking at its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    System,
    Operator,
    Auditor,
    Customer(CustomerId),
}

/// Finds the role of the caller, if the session it came with is still open.
pub(crate) fn standing(state: &State, caller: &Caller, now: Timestamp) -> Result<Standing, Refusal> {
    let Some(token) = caller.session else {
        return if caller.user == UserId::SYSTEM { Ok(Standing::System) } else { Err(Refusal::NotSignedIn) };
    };
    let session = state.session(token, now).filter(|session| session.user == caller.user);
    let user = session.and_then(|session| state.user(session.user)).ok_or(Refusal::NotSignedIn)?;
    match (user.role, user.customer) {
        (Role::Operator, _) => Ok(Standing::Operator),
        (Role::Auditor, _) => Ok(Standing::Auditor),
        (Role::Customer, Some(customer)) => Ok(Standing::Customer(customer)),
        (Role::Customer, None) => Err(Refusal::NotAllowed),
    }
}

impl Standing {
    /// Only those who run the bank.
    pub(crate) fn must_run_the_bank(self) -> Result<(), Refusal> {
        match self {
            Self::System | Self::Operator => Ok(()),
            Self::Auditor | Self::Customer(_) => Err(Refusal::NotAllowed),
        }
    }

    /// Only Kassa itself.
    pub(crate) fn must_be_system(self) -> Result<(), Refusal> {
        if self == Self::System { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Only those who can have money of their own to move: customers, and Kassa itself.
    pub(crate) fn must_be_able_to_pay(self) -> Result<(), Refusal> {
        match self {
            Self::System | Self::Customer(_) => Ok(()),
            Self::Operator | Self::Auditor => Err(Refusal::NotAllowed),
        }
    }

    /// Only an account's owners, and those who run the bank.
    pub(crate) fn must_own(self, state: &State, account: AccountId) -> Result<(), Refusal> {
        match self {
            Self::System | Self::Operator => Ok(()),
            Self::Auditor => Err(Refusal::NotAllowed),
            Self::Customer(customer) => match state.right(customer, account) {
                Some(Right::Owner) => Ok(()),
                Some(Right::Signatory { .. } | Right::ReadOnly) => Err(Refusal::OwnersOnly),
                None => Err(Refusal::NoRight),
            },
        }
    }

    /// Checks that this caller may take `amount` out of an account. An amount in another currency than the account's is
    /// left to the ledger to refuse.
    pub(crate) fn may_debit(self, state: &State, account: AccountId, amount: Money) -> Result<(), Refusal> {
        let customer = match self {
            Self::System => return Ok(()),
            Self::Operator | Self::Auditor => return Err(Refusal::NotAllowed),
            Self::Customer(customer) => customer,
        };
        let right = state.right(customer, account);
        // Of a time in which such a right could be had.
        if right.is_some_and(Right::moves_money) && !can_be_a_customers(state, account) {
            return Err(Refusal::NotACustomersAccount);
        }
        match right {
            Some(Right::Owner | Right::Signatory { limit_minor: None }) => Ok(()),
            Some(Right::Signatory { limit_minor: Some(limit) })
                if amount.minor <= limit
                    || state.ledger().account(account).map(|it| it.currency) != Some(amount.currency) =>
            {
                Ok(())
            }
            Some(Right::Signatory { limit_minor: Some(limit) }) => {
                Err(Refusal::AboveSignatoryLimit { limit: Money { minor: limit, ..amount } })
            }
            Some(Right::ReadOnly) => Err(Refusal::ReadOnlyRight),
            None => Err(Refusal::NoRight),
        }
    }
}

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
