//! The server itself: its clock, its health and its metrics.

pub(crate) mod clock;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod time_zone;
