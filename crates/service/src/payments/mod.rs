//! Payments: making them, giving them back, and looking them up, singly and in lists.

mod list;
mod orders;
mod undo;
mod view;

pub use list::{PaymentFilter, PaymentPage, PaymentSearch};
pub use orders::{Booked, BookingOrder, CashOrder, MovementOrder, PaymentOrder};
pub use undo::RefundOrder;
pub use view::{BookingView, MovementView, PAYMENT_REFUSALS, PaymentView};
pub(crate) use view::{Parties, accounts_of};
