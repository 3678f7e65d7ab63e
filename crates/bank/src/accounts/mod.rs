//! Accounts: opening them, and changing what they allow.

mod command;
mod decide;
mod event;
mod state;

pub use command::{AccountCommand, OpenAccount};
pub(crate) use decide::decide;
pub use event::AccountEvent;
pub use state::AccountInfo;
pub(crate) use state::account_record;
