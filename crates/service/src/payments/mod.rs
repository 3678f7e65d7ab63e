//! Payments: making them singly and in batches, giving them back, and looking them up, singly and in lists.

mod batches;
mod list;
mod orders;
mod undo;
mod view;

pub(crate) use batches::Batches;
pub use batches::{
    AllLines, Batch, BatchProgress, Begun, CHUNK_LINES, ChunkOutcomes, Line, LineOrder, LineOutcome, MAX_LINES,
};
pub use list::{PaymentFilter, PaymentPage, PaymentSearch};
pub use orders::{Booked, BookingOrder, CashOrder, MovementOrder, PaymentOrder, Words};
pub use undo::RefundOrder;
pub use view::{BookingView, MovementView, PAYMENT_REFUSALS, PaymentState, PaymentView, SaidView};
pub(crate) use view::{Parties, Undoing};
