//! One account: what it is, what it holds, and what it will allow.

use crate::{Currency, Money, PostingId, Refusal, Timestamp};

/// Side of the trial balance that an account stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Property and claims of the bank: cash, claims on other banks, loans. Grows by debits.
    Asset,
    /// Obligations of the bank: its customers' deposits. Grows by credits.
    Liability,
    /// Claims of the bank's owners, and the other side of balances brought in from another system. Grows by credits.
    Equity,
    /// Earnings of the bank: fees, interest received. Grows by credits.
    Income,
    /// Expenses of the bank: interest paid. Grows by debits.
    Expense,
}

impl Kind {
    /// All kinds, in the order in which a trial balance lists them.
    pub const ALL: [Self; 5] = [Self::Asset, Self::Liability, Self::Equity, Self::Income, Self::Expense];
}

/// Restriction on the movements of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Debits and credits are allowed.
    Open,
    /// Money may come in, none may go out.
    FrozenForDebits,
    /// Nothing moves.
    Frozen,
    /// Nothing moves, for ever. Only an account at zero and without holds can be closed.
    Closed,
}

/// Limit of an account's available balance below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overdraft {
    /// To minus this many minor units; 0 is the ordinary account.
    Limited(u64),
    /// Without end: the bank's own accounts, whose balance is the other side of its customers'.
    Unlimited,
}

/// An account's state. Balances count credits as positive whatever the kind, here and in every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The one currency it is kept in.
    pub currency: Currency,
    /// Its side of the trial balance.
    pub kind: Kind,
    /// Restriction on its movements.
    pub status: Status,
    /// Limit of its available balance below zero.
    pub overdraft: Overdraft,
    /// Time of its opening.
    pub opened_at: Timestamp,
    /// Credits less debits, in minor units.
    pub posted_minor: i64,
    /// The sum of its open holds, in minor units; never negative.
    pub held_minor: i64,
    /// Number of its entries, which are numbered from 1.
    pub entries: u64,
    /// The posting that made its last entry.
    pub last_posting: Option<PostingId>,
    /// The booking time of its last entry.
    pub last_booked_at: Timestamp,
}

impl Account {
    /// A new account at zero.
    #[must_use]
    pub fn new(currency: Currency, kind: Kind, overdraft: Overdraft, opened_at: Timestamp) -> Self {
        Self {
            currency,
            kind,
            status: Status::Open,
            overdraft,
            opened_at,
            posted_minor: 0,
            held_minor: 0,
            entries: 0,
            last_posting: None,
            last_booked_at: Timestamp::MIN,
        }
    }

    /// Returns the amount that may be spent without an overdraft: posted less held, in minor units.
    #[must_use]
    pub fn available_minor(&self) -> i64 {
        // Held only grows while available stays in range, so this is exact; saturation is for a reader of damaged data.
        self.posted_minor.saturating_sub(self.held_minor)
    }

    /// An amount in this account's currency.
    #[must_use]
    pub fn money(&self, minor: i64) -> Money {
        Money { minor, currency: self.currency }
    }

    /// Returns `true` if `available_minor` would keep the law of the overdraft.
    pub(crate) fn allows_available(&self, available_minor: i64) -> bool {
        match self.overdraft {
            Overdraft::Unlimited => true,
            Overdraft::Limited(limit) => available_minor >= 0 || available_minor.unsigned_abs() <= limit,
        }
    }

    pub(crate) fn may_debit(&self) -> Result<(), Refusal> {
        match self.status {
            Status::Open => Ok(()),
            Status::FrozenForDebits | Status::Frozen => Err(Refusal::AccountFrozen),
            Status::Closed => Err(Refusal::AccountClosed),
        }
    }

    pub(crate) fn may_credit(&self) -> Result<(), Refusal> {
        match self.status {
            Status::Open | Status::FrozenForDebits => Ok(()),
            Status::Frozen => Err(Refusal::AccountFrozen),
            Status::Closed => Err(Refusal::AccountClosed),
        }
    }

    /// The available balance after `minor` more are spent or held.
    pub(crate) fn available_after(&self, minor: i64) -> Result<i64, Refusal> {
        let after = self.available_minor().checked_sub(minor);
        // An amount below all that can be told is below any overdraft that can be drawn, too.
        if !self.allows_available(after.unwrap_or(i64::MIN)) {
            return Err(Refusal::InsufficientFunds { available: self.money(self.available_minor()) });
        }
        after.ok_or(Refusal::BalanceOutOfRange)
    }
}
