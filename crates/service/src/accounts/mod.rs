//! Accounts: opening, showing and changing them, and their past.

mod changes;
mod past;
mod view;

pub use changes::{AccountOrder, Changed};
pub use past::{BalanceStep, BalanceView, EntriesPage, EntryView, MAX_POINTS, SeriesView, StatementView};
pub use view::{AccountPage, AccountView};
