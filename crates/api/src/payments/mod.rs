//! Payments: making them singly and in batches, at the desk and for the bank, giving them back, and looking them up.

pub(crate) mod batches;
pub(crate) mod bookings;
pub(crate) mod cash;
pub(crate) mod list;
pub(crate) mod metadata;
pub(crate) mod payment;
pub(crate) mod undo;
