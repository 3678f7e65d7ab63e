//! Holds: money reserved for a payee, captured, let go or given more time.

mod command;
mod decide;
mod event;
mod state;

pub use command::HoldCommand;
pub(crate) use decide::decide;
pub use event::HoldEvent;
