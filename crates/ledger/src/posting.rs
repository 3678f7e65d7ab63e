//! A posting: one or more legs, booked all or not at all.

use crate::{AccountId, HoldId, Legs, Money, PostingId, Timestamp, ValueDate};

/// An amount moved from one account to another of the same currency. A posting made of legs is balanced by
/// construction: what one account loses the other gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// The account that is debited.
    pub debit: AccountId,
    /// The account that is credited.
    pub credit: AccountId,
    /// Amount moved; more than zero.
    pub amount: Money,
}

impl Leg {
    /// Returns the leg with its accounts exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { debit: self.credit, credit: self.debit, amount: self.amount }
    }
}

/// Effect of one leg on one of its accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account's posted balance after it, credits positive, in minor units.
    pub balance_minor: i64,
    /// Its number within the account, from 1.
    pub ordinal: u64,
    /// The posting that made the account's last entry before this posting; following these visits the whole account.
    pub previous: Option<PostingId>,
}

/// A leg as booked, with its two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookedLeg {
    /// The movement itself.
    pub leg: Leg,
    /// The debited account's entry.
    pub debit: Entry,
    /// The credited account's entry.
    pub credit: Entry,
}

/// Reason for a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// By itself: a payment, a deposit, a fee.
    Order,
    /// A capture of a hold; `last` lets go what remains of it.
    Capture {
        /// The hold.
        hold: HoldId,
        /// `true` if the rest of the hold is released.
        last: bool,
    },
    /// Part or all of one leg of an earlier posting, given back.
    Refund {
        /// The earlier posting.
        of: PostingId,
        /// Index of its leg, from 0.
        leg: u32,
    },
    /// An earlier posting undone exactly.
    Reversal {
        /// The earlier posting.
        of: PostingId,
    },
}

/// A posting that the ledger has agreed to, or has booked. Only a ledger makes one; [`Posting::recorded`] gives back
/// one that was written down before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub(crate) legs: Legs,
    pub(crate) booked_at: Timestamp,
    pub(crate) value_date: ValueDate,
    pub(crate) cause: Cause,
}

impl Posting {
    /// The posting that a record describes. Applying one that the ledger did not agree to at that point stops the
    /// process, as any broken law does; [`crate::Ledger::check_posting`] asks first.
    #[must_use]
    pub fn recorded(legs: Legs, booked_at: Timestamp, value_date: ValueDate, cause: Cause) -> Self {
        Self { legs, booked_at, value_date, cause }
    }

    /// The legs, in the order in which they took effect.
    #[must_use]
    pub fn legs(&self) -> &[BookedLeg] {
        &self.legs
    }

    /// Returns its booking time.
    #[must_use]
    pub fn booked_at(&self) -> Timestamp {
        self.booked_at
    }

    /// Returns its value date: the day from which it counts for interest.
    #[must_use]
    pub fn value_date(&self) -> ValueDate {
        self.value_date
    }

    /// Returns the reason it was made for.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// This posting's entries of one account, oldest first, each with its leg; `true` where the account is credited.
    pub fn entries_of(&self, account: AccountId) -> impl DoubleEndedIterator<Item = (&BookedLeg, Entry, bool)> {
        self.legs.iter().filter_map(move |booked| {
            if booked.leg.debit == account {
                Some((booked, booked.debit, false))
            } else if booked.leg.credit == account {
                Some((booked, booked.credit, true))
            } else {
                None
            }
        })
    }
}
