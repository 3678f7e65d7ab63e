//! A hold: money reserved for a payee, to be captured, voided or let go when its time is over.

use crate::{AccountId, Money, Timestamp};

/// An open hold. A hold that is used up, voided or expired is no longer in the ledger; the journal remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Account whose money is reserved.
    pub debit: AccountId,
    /// Account that captures are credited to.
    pub credit: AccountId,
    /// Amount reserved at first.
    pub amount: Money,
    /// Amount still reserved, in minor units; more than 0 and at most `amount`.
    pub remaining_minor: i64,
    /// Time of its expiry: from this moment on it can't be captured, and is released.
    pub expires_at: Timestamp,
}

/// Reason for a hold's release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReleaseReason {
    /// Somebody entitled to it said so.
    Voided,
    /// Its time was over.
    Expired,
}
