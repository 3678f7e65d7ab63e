//! Events of payments.

use minicbor::{Decode, Encode};

use ledger::Posting;

use super::Purpose;
use crate::{Sealed, codec};

/// Events of payments.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum PaymentEvent {
    /// Money was moved.
    #[n(12)]
    Posted {
        /// The posting as booked.
        #[cbor(n(0), with = "codec::posting")]
        posting: Posting,
        /// Its purpose.
        #[n(1)]
        purpose: Purpose,
        /// The text on the statement.
        #[n(2)]
        text: Option<Sealed>,
        /// The payer's own notes, a JSON object.
        #[n(3)]
        metadata: Option<Sealed>,
    },
    /// Several payments were made, all or none: the next so many events.
    #[n(18)]
    PaidAll {
        /// Number of payments.
        #[n(0)]
        payments: u32,
    },
}

impl PaymentEvent {
    /// Returns `true` if the subject has the event of a number.
    pub(crate) fn has(number: u32) -> bool {
        matches!(number, 12 | 18)
    }
}
