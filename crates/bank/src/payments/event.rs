//! Events of payments.

use minicbor::{Decode, Encode};

use ledger::Posting;

use super::Purpose;
use crate::{Copies, Said, Sealed, SharedText, codec};

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
        /// The text on the statement. As what follows kept elsewhere: an event is moved often.
        #[n(2)]
        text: Option<Box<Sealed>>,
        /// The payer's own notes, a JSON object.
        #[n(3)]
        metadata: Option<Box<Sealed>>,
        /// The payer's own id of the payment, for both sides (ISO 20022, `EndToEndId`).
        #[n(4)]
        end_to_end_id: Option<Box<Sealed>>,
        /// Text and end-to-end id for the other people who read them.
        #[n(5)]
        copies: Option<Box<Copies>>,
        /// For a hold's last capture: what of the hold remained, and was let go with it, in minor units. None of a time
        /// before this was told.
        #[n(6)]
        released_minor: Option<Box<i64>>,
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
    /// A posting with nothing but a text, if that.
    pub(crate) fn posted(posting: Posting, purpose: Purpose, text: Option<&SharedText>) -> Self {
        let (text, copies) = text.map(|text| (Box::new(text.own.clone()), text.copies.clone())).unzip();
        let (metadata, end_to_end_id, copies) = (None, None, copies.flatten());
        Self::Posted { posting, purpose, text, metadata, end_to_end_id, copies, released_minor: None }
    }

    /// Returns the payer's own notes.
    #[must_use]
    pub fn metadata(&self) -> Option<&Sealed> {
        match self {
            Self::Posted { metadata, .. } => metadata.as_deref(),
            Self::PaidAll { .. } => None,
        }
    }

    /// Returns the posting, its purpose and what it says, where money was moved.
    #[must_use]
    pub fn as_posting(&self) -> Option<(&Posting, Purpose, Said)> {
        match self {
            Self::Posted { posting, purpose, text, metadata: _, end_to_end_id, copies, released_minor: _ } => {
                let (text, end_to_end_id) = (text.as_deref().cloned(), end_to_end_id.as_deref().cloned());
                Some((posting, *purpose, Said { text, end_to_end_id, copies: copies.clone() }))
            }
            Self::PaidAll { .. } => None,
        }
    }

    /// Returns `true` if the subject has the event of a number.
    pub(crate) fn has(number: u32) -> bool {
        matches!(number, 12 | 18)
    }
}
