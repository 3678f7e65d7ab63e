//! Payments: orders, cash at the desk, the bank's own bookings, refunds and reversals.

mod command;
mod decide;
mod event;
mod state;

use minicbor::{Decode, Encode};

pub use command::{MAX_PAYMENTS_AT_ONCE, Pay, PaymentCommand};
pub(crate) use decide::{decide, may_be_paid, must_exist, must_leave};
pub use event::PaymentEvent;
pub(crate) use state::undone_record;

/// Purpose of a payment, as a statement shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    /// From one account to another by its holder's will.
    #[n(0)]
    Payment,
    /// Cash brought to the desk.
    #[n(1)]
    Deposit,
    /// Cash taken from the desk.
    #[n(2)]
    Withdrawal,
    /// History of another system.
    #[n(3)]
    Imported,
    /// A hold's money taken.
    #[n(4)]
    Capture,
    /// A payment given back.
    #[n(5)]
    Refund,
    /// A posting undone.
    #[n(6)]
    Reversal,
    /// Booked by the bank itself, for the reason that the text tells: a fee, a correction, or between its own accounts.
    #[n(7)]
    Booking,
}
