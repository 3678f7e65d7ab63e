//! The bank itself: its founding, who writes its journal, and refusals under idempotency keys.

mod command;
mod decide;
mod event;
mod state;

pub use command::SystemCommand;
pub(crate) use decide::decide;
pub use event::SystemEvent;
pub use state::Founding;
pub(crate) use state::recorded;
