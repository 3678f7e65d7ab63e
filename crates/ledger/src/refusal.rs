//! Reasons for which the ledger refuses, in order of precedence.

use crate::Money;

/// Reason for not booking something. The variants stand in order of precedence: where several apply, the first is
/// given. Of several legs, the first that is refused speaks; balances are looked at when all else is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The hold was never placed, or is already used up, voided or expired.
    #[error("there is no such open hold")]
    HoldNotOpen,
    /// The hold's time is over, although it has not been released yet; or a new hold would be over before it began.
    #[error("the hold's time is over")]
    HoldExpired,
    /// The hold's time is not over, so that it can't be released for that reason.
    #[error("the hold's time is not over yet")]
    HoldNotExpired,
    /// A hold is extended to a time that is no later than it has.
    #[error("a hold can only be extended to a later time")]
    HoldNotLonger,
    /// A refund or a reversal can't itself be undone; make a new payment instead.
    #[error("a refund or a reversal can't be undone")]
    NotUndoable,
    /// The posting was reversed before.
    #[error("this has already been reversed")]
    AlreadyReversed,
    /// A part of the posting was refunded, so that undoing it exactly is no longer possible.
    #[error("the posting has been refunded in part, and can't be reversed")]
    AlreadyRefunded,
    /// The posting has no leg of that number.
    #[error("the posting has no such leg")]
    NoSuchLeg,
    /// A posting has at least one leg.
    #[error("a posting needs at least one leg")]
    NoLegs,
    /// More legs than [`crate::MAX_LEGS`].
    #[error("a posting has at most {} legs", crate::MAX_LEGS)]
    TooManyLegs,
    /// The amount is zero or negative.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// An account does not exist.
    #[error("there is no such account")]
    UnknownAccount,
    /// Both sides of a leg are the same account.
    #[error("the two accounts are the same")]
    SameAccount,
    /// An account is kept in another currency than the amount.
    #[error("the account is kept in another currency")]
    CurrencyMismatch,
    /// An account is closed.
    #[error("the account is closed")]
    AccountClosed,
    /// An account is frozen in the direction of the movement.
    #[error("the account is frozen")]
    AccountFrozen,
    /// A capture of more than is still held.
    #[error("no more than what is still held ({remaining}) can be captured")]
    CaptureExceedsHold {
        /// Amount still held.
        remaining: Money,
    },
    /// Refunds of more than was paid, together with those before.
    #[error("no more than what has not been refunded yet ({remaining}) can be refunded")]
    RefundExceedsPayment {
        /// Amount not refunded yet.
        remaining: Money,
    },
    /// The booking time lies before that of an account's last entry.
    #[error("the booking time lies before that of the account's last entry")]
    BookedBackwards,
    /// The debited account would fall below zero minus its overdraft.
    #[error("the available balance does not suffice")]
    InsufficientFunds {
        /// Available balance before, overdraft not counted.
        available: Money,
    },
    /// A balance would be larger than can be held.
    #[error("a balance would be larger than can be held")]
    BalanceOutOfRange,
    /// The account has a balance, so that it can't be closed.
    #[error("only an account at zero can be closed")]
    AccountNotEmpty,
    /// The account has open holds, so that it can't be closed.
    #[error("the account has open holds")]
    HoldsOpen,
    /// The overdraft is used further than the new limit.
    #[error("the overdraft is used further than the new limit")]
    OverdraftInUse,
}
