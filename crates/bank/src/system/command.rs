//! Commands about the bank itself and its journal.

use crate::{Numbering, Refusal};

/// Commands about the bank itself and its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemCommand {
    /// The bank itself, once, as its first event.
    Found {
        /// Its name.
        name: String,
        /// Scheme of its account numbers.
        numbering: Numbering,
    },
    /// A request that names something that does not exist, or the caller may not name: found out before the rest could
    /// be made a command. It is refused with that reason, so that it is remembered like any other refusal.
    Unresolved(Refusal),
}
