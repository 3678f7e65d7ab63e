//! Events: the records that the journal keeps for ever, so their encoding can only grow: fields and variants are
//! numbered (CBOR, RFC 8949), a new field is optional, and a number is never used again for something else.

use ledger::Cause;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use smallvec::SmallVec;

use crate::access::AccessEvent;
use crate::accounts::AccountEvent;
use crate::holds::HoldEvent;
use crate::payments::PaymentEvent;
use crate::system::SystemEvent;
use crate::{Origin, Refusal, UserId};

/// The events of one command. Nearly every command makes one.
pub type Events = SmallVec<[Event; 1]>;

/// Something that happened, and by whose will.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Event {
    /// The user who asked for it; 0 is Kassa itself.
    #[n(0)]
    pub by: UserId,
    /// Its content.
    #[n(1)]
    pub what: What,
    /// The idempotency key it was asked for under. Only a command's first event has it.
    #[n(2)]
    pub request: Option<Request>,
    /// Where it came from, as far as that is known.
    #[n(3)]
    pub origin: Option<Origin>,
}

/// An idempotency key as it is kept, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Request {
    /// A keyed hash of the caller and the key that was sent.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub key: [u8; 16],
    /// A keyed hash of what was asked under it, to tell a retry from another request with a used key.
    #[n(1)]
    pub fingerprint: u64,
}

/// What happened, by subject.
///
/// The encoding tells no subject: each event has one number among all, and keeps it for ever. A new subject gets one number
/// for all of its events, which are numbered within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something about the bank itself and its journal.
    System(SystemEvent),
    /// Something about customers, users, sessions and rights.
    Access(AccessEvent),
    /// Something about accounts, beside their money.
    Accounts(AccountEvent),
    /// Something about payments.
    Payments(PaymentEvent),
    /// Something about holds.
    Holds(HoldEvent),
}

impl What {
    /// Returns the event that placed the hold or booked the payment of which this event takes, lets go, gives back or undoes
    /// something. What became of either is told by those that name it.
    #[must_use]
    pub fn acts_on(&self) -> Option<u64> {
        match self {
            Self::Payments(PaymentEvent::Posted { posting, .. }) => match posting.cause() {
                Cause::Order => None,
                Cause::Capture { hold, .. } => Some(hold.event()),
                Cause::Refund { of, .. } | Cause::Reversal { of } => Some(of.event()),
            },
            Self::Holds(HoldEvent::HoldReleased { hold, .. }) => Some(hold.event()),
            Self::Holds(HoldEvent::HoldPlaced { .. } | HoldEvent::HoldExtended { .. })
            | Self::Payments(PaymentEvent::PaidAll { .. })
            | Self::System(_)
            | Self::Access(_)
            | Self::Accounts(_) => None,
        }
    }
}

impl<C> Encode<C> for What {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, context: &mut C) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::System(event) => event.encode(encoder, context),
            Self::Access(event) => event.encode(encoder, context),
            Self::Accounts(event) => event.encode(encoder, context),
            Self::Payments(event) => event.encode(encoder, context),
            Self::Holds(event) => event.encode(encoder, context),
        }
    }
}

impl<'b, C> Decode<'b, C> for What {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, decode::Error> {
        let start = decoder.position();
        decoder.array()?;
        let number = decoder.u32()?;
        decoder.set_position(start);
        match number {
            _ if SystemEvent::has(number) => Ok(Self::System(decoder.decode_with(context)?)),
            _ if AccessEvent::has(number) => Ok(Self::Access(decoder.decode_with(context)?)),
            _ if AccountEvent::has(number) => Ok(Self::Accounts(decoder.decode_with(context)?)),
            _ if PaymentEvent::has(number) => Ok(Self::Payments(decoder.decode_with(context)?)),
            _ if HoldEvent::has(number) => Ok(Self::Holds(decoder.decode_with(context)?)),
            _ => Err(decode::Error::unknown_variant(number.into()).at(start)),
        }
    }
}

impl What {
    /// Returns the refusal that the event remembers, and where several things were to be done all or none the number of
    /// the refused one, from 0.
    #[must_use]
    pub fn refused(&self) -> Option<(Refusal, Option<u32>)> {
        match self {
            Self::System(SystemEvent::Refused { refusal, place }) => Some((*refusal, *place)),
            Self::System(_) | Self::Access(_) | Self::Accounts(_) | Self::Payments(_) | Self::Holds(_) => None,
        }
    }
}

impl Event {
    /// Appends the event's encoding to `out`.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        // Writing to memory can't fail, and every type here can be written.
        minicbor::encode(self, out).expect("an event can be encoded into memory");
    }

    /// Decodes all events of a frame's body, in order.
    ///
    /// # Errors
    ///
    /// Each item says in words what is wrong where its bytes are not an event of a version that this program knows;
    /// nothing follows it.
    pub fn decode_all(body: &[u8]) -> impl Iterator<Item = Result<Self, String>> + '_ {
        let mut decoder = minicbor::Decoder::new(body);
        let mut broken = false;
        std::iter::from_fn(move || {
            if broken || decoder.position() >= body.len() {
                return None;
            }
            let event = decoder.decode::<Self>().map_err(|error| error.to_string());
            broken = event.is_err();
            Some(event)
        })
    }

    /// Decodes the event at place `index` of a frame's body, without reading those before it more than needed.
    ///
    /// # Errors
    ///
    /// Says in words what is wrong if the bytes are not events of a version that this program knows, or end before that
    /// place.
    pub fn decode_nth(body: &[u8], index: u64) -> Result<Self, String> {
        let mut decoder = minicbor::Decoder::new(body);
        for _ in 0..index {
            decoder.skip().map_err(|error| error.to_string())?;
        }
        decoder.decode().map_err(|error| error.to_string())
    }
}
