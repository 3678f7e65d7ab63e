//! Events of holds.

use minicbor::{Decode, Encode};

use ledger::{Hold, HoldId, ReleaseReason, Timestamp};

use crate::{Copies, Sealed, codec};

/// Events of holds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum HoldEvent {
    /// Money was reserved.
    #[n(13)]
    HoldPlaced {
        /// The hold as placed.
        #[cbor(n(0), with = "codec::hold")]
        hold: Hold,
        /// The text on the statement.
        #[n(1)]
        text: Option<Sealed>,
        /// The payer's own notes, a JSON object.
        #[n(2)]
        metadata: Option<Sealed>,
        /// The text for the other people who read it.
        #[n(3)]
        copies: Option<Box<Copies>>,
    },
    /// Reserved money was let go.
    #[n(14)]
    HoldReleased {
        /// The hold.
        #[cbor(n(0), with = "codec::hold_id")]
        hold: HoldId,
        /// Reason for the release.
        #[cbor(n(1), with = "codec::release_reason")]
        reason: ReleaseReason,
        /// Amount that was let go, in minor units; what the hold was of beyond it had been captured. None of a time before
        /// this was told.
        #[n(2)]
        released_minor: Option<i64>,
    },
    /// Reserved money got more time.
    #[n(16)]
    HoldExtended {
        /// The hold.
        #[cbor(n(0), with = "codec::hold_id")]
        hold: HoldId,
        /// Expiry from now on: the time until which it is reserved.
        #[cbor(n(1), with = "codec::timestamp")]
        expires_at: Timestamp,
    },
}

impl HoldEvent {
    /// Returns `true` if the subject has the event of a number.
    pub(crate) fn has(number: u32) -> bool {
        matches!(number, 13 | 14 | 16)
    }
}
