//! Where a command came from: kept with each of its events, for whoever audits it later. It decides nothing.

use std::num::{NonZero, NonZeroU32, NonZeroU64};

use minicbor::{Decode, Encode};

use crate::{Caller, TokenHash};

/// Where a command came from, as far as is known. Every field is optional and numbered: what nobody knew is absent, as are all
/// of them in journals of version 0.1.0. It goes with each command and each event, so it is kept small: 24 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Origin {
    /// The way it came in.
    #[n(0)]
    pub channel: Option<Channel>,
    /// The session in which it was asked for. The bank fills it in from the caller, where the way is known.
    #[n(1)]
    pub session: Option<SessionTag>,
    /// The number of the user's device, where devices are known.
    #[n(2)]
    pub device: Option<NonZeroU32>,
    /// Kind of address that it came from.
    #[n(3)]
    pub address: Option<AddressClass>,
    /// The number of the second user, who approved it, where one had to.
    #[n(4)]
    pub approver: Option<NonZeroU32>,
    /// Whatever led to it, other than its caller.
    #[n(5)]
    pub cause: Option<Cause>,
}

impl Origin {
    /// An origin of which only the way is known.
    #[must_use]
    pub fn of(channel: Channel) -> Self {
        Self { channel: Some(channel), ..Self::default() }
    }

    /// Returns what an event says of where its command came from, the session of its caller filled in. None where no way
    /// is known, so that the event is as short as before there were origins.
    #[must_use]
    pub fn of_caller(self, caller: &Caller) -> Option<Self> {
        self.channel?;
        Some(Self { session: caller.session.map(SessionTag::from), ..self })
    }
}

/// Way by which a command comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Channel {
    /// A request to the REST interface.
    #[n(0)]
    Api,
    /// A command of the operator at the terminal: founding a bank, its demo, a new password.
    #[n(1)]
    Terminal,
    /// The import of another bank's files.
    #[n(2)]
    Import,
}

/// A session, told apart from others of the same user: the first four bytes of its [`TokenHash`], of which the event that
/// opened it has all. All zeros count as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct SessionTag(#[n(0)] pub NonZeroU32);

impl From<TokenHash> for SessionTag {
    fn from(TokenHash(hash): TokenHash) -> Self {
        let [a, b, c, d, ..] = hash;
        Self(NonZero::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZero::<u32>::MIN))
    }
}

/// Kind of network address, as far as the user is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum AddressClass {
    /// The user signed in from it before.
    #[n(0)]
    Known,
    /// The user never signed in from it, or so long ago that it is forgotten.
    #[n(1)]
    New,
}

/// Whatever led to a command, other than its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Cause {
    /// A batch. All of its lines have the same tag: the first eight bytes of the keyed hash of its idempotency key.
    #[n(0)]
    Batch(#[n(0)] NonZeroU64),
}

impl Cause {
    /// The batch whose idempotency key has this keyed hash.
    #[must_use]
    pub fn of_batch(key: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = key;
        Self::Batch(NonZero::new(u64::from_be_bytes([a, b, c, d, e, f, g, h])).unwrap_or(NonZero::<u64>::MIN))
    }
}
