//! Commands about the bank itself and its journal.

use ledger::ValueDate;

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
        /// Time zone of its days, by its canonical name (IANA); UTC where none is given.
        time_zone: Option<String>,
    },
    /// Another time zone from a day on, in place of all that was planned from that day on. The moment at which the day
    /// begins in it comes with the facts.
    SetTimeZone {
        /// The first day of the new zone.
        from: ValueDate,
        /// Canonical name of the zone (IANA).
        time_zone: String,
    },
    /// A request that names something that does not exist, or the caller may not name: found out before the rest could
    /// be made a command. It is refused with that reason, so that it is remembered like any other refusal.
    Unresolved(Refusal),
}
