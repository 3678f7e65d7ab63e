//! Commands about holds.

use ledger::{HoldId, Leg, Money, Timestamp};

use crate::{Sealed, SharedText};

/// Commands about holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldCommand {
    /// Money reserved.
    PlaceHold {
        /// From whom, to whom, how much.
        leg: Leg,
        /// Time until which it is reserved.
        expires_at: Timestamp,
        /// The text on the statement.
        text: Option<SharedText>,
        /// The payer's own notes, which the payee doesn't see.
        metadata: Option<Sealed>,
    },
    /// More time for reserved money.
    Extend {
        /// The hold.
        hold: HoldId,
        /// New time until which it is reserved.
        expires_at: Timestamp,
    },
    /// Reserved money taken.
    Capture {
        /// The hold.
        hold: HoldId,
        /// Amount to capture.
        amount: Money,
        /// `true` if the rest is let go.
        last: bool,
    },
    /// Reserved money let go.
    Void {
        /// The hold.
        hold: HoldId,
    },
    /// Reserved money let go because its time is over.
    Expire {
        /// The hold.
        hold: HoldId,
    },
}
