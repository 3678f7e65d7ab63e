//! The bank itself: its founding, the time zone of its days, who writes its journal, and refusals under idempotency keys.

mod command;
mod decide;
mod event;
mod state;

pub use command::SystemCommand;
pub(crate) use decide::decide;
pub use event::SystemEvent;
pub(crate) use state::recorded;
pub use state::{Founding, ZoneFrom};

/// The most time zones that a bank has had and plans to have: a bank moves once in a generation, and each is in every
/// checkpoint.
pub const MAX_TIME_ZONES: usize = 64;
