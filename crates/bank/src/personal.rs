//! Personal fields. What tells something about a person is sealed under that person's own key before it enters a
//! command, and stays sealed in events, state and checkpoints. The engine alone opens it, for those who show it. Destroying
//! the key erases the person everywhere, and leaves the ledger whole.

use minicbor::{Decode, Encode};

/// Subject under whose key a personal field is sealed. Drawn at random outside; 0 is the bank itself, for the names
/// of its own accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct SubjectId(#[n(0)] pub u64);

impl SubjectId {
    /// The bank itself.
    pub const BANK: Self = Self(0);
}

/// A personal field under seal. Equal plain texts have different seals.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Sealed {
    /// Subject whose key opens it.
    #[n(0)]
    pub subject: SubjectId,
    /// The sealed bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Box<[u8]>,
}
