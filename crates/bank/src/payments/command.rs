//! Commands about payments.

use ledger::{AccountId, Leg, Money, PostingId, Timestamp, ValueDate};
use smallvec::SmallVec;

use super::Purpose;
use crate::{Copies, Sealed, SharedText};

/// The most payments made all or none: a firm's payday, and a millisecond of the one thread that decides.
pub const MAX_PAYMENTS_AT_ONCE: usize = 1_000;

/// Commands about payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentCommand {
    /// A payment.
    Pay(Pay),
    /// Several payments, at most [`MAX_PAYMENTS_AT_ONCE`], each seeing what those before it do: all or none.
    PayAll(Vec<Pay>),
    /// Cash brought to the desk.
    Deposit {
        /// The account credited.
        account: AccountId,
        /// Amount paid in.
        amount: Money,
        /// The text on the statement.
        text: Option<SharedText>,
    },
    /// Cash taken from the desk.
    Withdraw {
        /// The account debited.
        account: AccountId,
        /// Amount paid out.
        amount: Money,
        /// The text on the statement.
        text: Option<SharedText>,
    },
    /// A booking of the bank's own, for a reason: between its own accounts, or between a customer's account and the
    /// bank's income or expenses.
    Book {
        /// Account debited, account credited, and amount.
        leg: Leg,
        /// The reason, which is the text on the statement.
        reason: SharedText,
    },
    /// A payment given back, in part or whole. The posting comes with the facts.
    Refund {
        /// The posting.
        of: PostingId,
        /// Index of the leg, from 0.
        leg: u32,
        /// Amount to refund.
        amount: Money,
        /// The text on the statement.
        text: Option<SharedText>,
    },
    /// A posting undone exactly. The posting comes with the facts.
    Reverse {
        /// The posting.
        of: PostingId,
        /// The text on the statement.
        text: Option<SharedText>,
    },
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pay {
    /// The legs, taking effect in order, all or none.
    pub legs: SmallVec<[Leg; 1]>,
    /// Its purpose.
    pub purpose: Purpose,
    /// The text on the statement.
    pub text: Option<Sealed>,
    /// The payer's own notes, which the payee doesn't see.
    pub metadata: Option<Box<Sealed>>,
    /// The payer's own id of the payment, which both sides see (ISO 20022, `EndToEndId`).
    pub end_to_end_id: Option<Box<Sealed>>,
    /// Text and end-to-end id for the other people who read them.
    pub copies: Option<Box<Copies>>,
    /// Day from which it counts for interest; the bank's day now where none is given.
    pub value_date: Option<ValueDate>,
    /// Time of its booking in another system; none where it is booked now. Only Kassa itself may say, and gives the value
    /// date as well: which day of the bank's it was is not decided here.
    pub booked_at: Option<Timestamp>,
}

impl Pay {
    /// An ordinary payment, booked now, that says nothing.
    #[must_use]
    pub fn of(legs: SmallVec<[Leg; 1]>) -> Self {
        Self {
            legs,
            purpose: Purpose::Payment,
            text: None,
            metadata: None,
            end_to_end_id: None,
            copies: None,
            value_date: None,
            booked_at: None,
        }
    }
}
