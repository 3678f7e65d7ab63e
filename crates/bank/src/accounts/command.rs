//! Commands about accounts, beside their money.

use ledger::{AccountId, Currency, Kind, Overdraft, Status, Timestamp};

use crate::{CustomerId, Sealed};

/// Commands about accounts, beside their money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountCommand {
    /// A new account.
    OpenAccount(OpenAccount),
    /// Another name for an account.
    Rename {
        /// The account.
        account: AccountId,
        /// The name; none takes it away.
        name: Option<Sealed>,
    },
    /// Another status for an account.
    SetStatus {
        /// The account.
        account: AccountId,
        /// The status.
        status: Status,
    },
    /// Another overdraft for an account.
    SetOverdraft {
        /// The account.
        account: AccountId,
        /// The overdraft.
        overdraft: Overdraft,
    },
}

/// Properties of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAccount {
    /// Its number within the bank; the next free one where none is given.
    pub number: Option<u64>,
    /// Its currency.
    pub currency: Currency,
    /// Its side of the trial balance.
    pub kind: Kind,
    /// Limit of its available balance below zero.
    pub overdraft: Overdraft,
    /// Its name.
    pub name: Option<Sealed>,
    /// Customer who gets the right of an owner.
    pub owner: Option<CustomerId>,
    /// `true` if deposits and withdrawals at the desk in its currency are booked against it. One account per currency.
    pub cash: bool,
    /// Time of its opening in another system; none where it is opened now. Only Kassa itself may say.
    pub opened_at: Option<Timestamp>,
}
