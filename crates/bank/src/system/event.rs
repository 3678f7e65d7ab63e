//! Events of the bank itself and its journal.

use ledger::ValueDate;
use minicbor::{Decode, Encode};

use crate::{ModulusRule, Refusal, codec};

/// Events of the bank itself and its journal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum SystemEvent {
    /// The bank was founded.
    #[n(0)]
    Founded {
        /// Its name.
        #[n(0)]
        name: String,
        /// Its country's two letters (ISO 3166-1).
        #[n(1)]
        country: String,
        /// Its code within the country's account numbers.
        #[n(2)]
        bank_code: String,
        /// Scheme of its account numbers; see [`crate::Numbering::scheme`].
        #[n(3)]
        scheme: Option<u8>,
        /// Time zone of its days (IANA); UTC where none is given.
        #[n(4)]
        time_zone: Option<String>,
        /// Number of digits of its accounts; see [`crate::Numbering::own_digits`].
        #[n(5)]
        digits: Option<u8>,
        /// Rules by which its account numbers are checked; see [`crate::Numbering::modulus`].
        #[n(6)]
        modulus: Option<Vec<ModulusRule>>,
    },
    /// A node took over the journal.
    #[n(1)]
    LeaderStarted {
        /// The version of its program.
        #[n(0)]
        version: String,
    },
    /// A request under an idempotency key was refused; a retry gets the same answer.
    #[n(15)]
    Refused {
        /// Reason for the refusal.
        #[cbor(n(0), with = "codec::refusal")]
        refusal: Refusal,
        /// Number of the refused payment among several that are all or none, from 0.
        #[n(1)]
        place: Option<u32>,
    },
    /// From a day on the bank's days are those of another time zone. What was planned from that day on is no more.
    #[n(20)]
    TimeZoneSet {
        /// The first day of the new zone.
        #[cbor(n(0), with = "codec::value_date")]
        from: ValueDate,
        /// Name of the zone (IANA).
        #[n(1)]
        time_zone: String,
    },
}

impl SystemEvent {
    /// Returns `true` if the subject has the event of a number.
    pub(crate) fn has(number: u32) -> bool {
        matches!(number, 0 | 1 | 15 | 20)
    }
}
