//! Events: the records that the journal keeps for ever, so their encoding can only grow: fields and variants are
//! numbered (CBOR, RFC 8949), a new field is optional, and a number is never used again for something else.

use minicbor::{Decode, Encode};
use smallvec::SmallVec;

use ledger::{AccountId, Currency, Hold, HoldId, Kind, Overdraft, Posting, ReleaseReason, Status, Timestamp};

use crate::access::{AddressHash, NameIndex};
use crate::codec;
use crate::{CustomerId, Refusal, Right, Role, Sealed, TokenHash, UserId};

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

/// Purpose of a payment, as a statement shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    /// From one account to another by its holder's will.
    #[n(0)]
    Payment,
    /// Cash brought to the desk.
    #[n(1)]
    Deposit,
    /// Cash taken from the desk.
    #[n(2)]
    Withdrawal,
    /// History of another system.
    #[n(3)]
    Imported,
    /// A hold's money taken.
    #[n(4)]
    Capture,
    /// A payment given back.
    #[n(5)]
    Refund,
    /// A posting undone.
    #[n(6)]
    Reversal,
    /// Booked by the bank itself, for the reason that the text tells: a fee, a correction, or between its own accounts.
    #[n(7)]
    Booking,
}

/// Content of an event, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum What {
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
    },
    /// A node took over the journal.
    #[n(1)]
    LeaderStarted {
        /// The version of its program.
        #[n(0)]
        version: String,
    },
    /// A customer came.
    #[n(2)]
    CustomerAdded {
        /// The customer's number.
        #[n(0)]
        id: CustomerId,
        /// The customer's name.
        #[n(1)]
        name: Sealed,
    },
    /// A user came.
    #[n(3)]
    UserAdded {
        /// The user's number.
        #[n(0)]
        id: UserId,
        /// The blind index of the name to sign in with.
        #[n(1)]
        name_index: NameIndex,
        /// The name to sign in with.
        #[n(2)]
        name: Sealed,
        /// The password's hash.
        #[n(3)]
        password: Sealed,
        /// Role of the user at the bank.
        #[n(4)]
        role: Role,
        /// Customer for whom the user acts.
        #[n(5)]
        customer: Option<CustomerId>,
    },
    /// A session began.
    #[n(4)]
    SessionOpened {
        /// The user.
        #[n(0)]
        user: UserId,
        /// The hash of its token.
        #[n(1)]
        token: TokenHash,
        /// Time of its expiry.
        #[cbor(n(2), with = "codec::timestamp")]
        expires_at: Timestamp,
        /// Address that the sign-in came from, where that was known: the user's sign-ins from there are counted apart
        /// from now on.
        #[n(3)]
        from: Option<AddressHash>,
    },
    /// A session ended.
    #[n(5)]
    SessionClosed {
        /// The hash of its token.
        #[n(0)]
        token: TokenHash,
    },
    /// Wrong passwords were given for a user within a minute.
    #[n(6)]
    SignInFailed {
        /// The user.
        #[n(0)]
        user: UserId,
    },
    /// An account was opened.
    #[n(7)]
    AccountOpened {
        /// Its place in the ledger.
        #[cbor(n(0), with = "codec::account_id")]
        id: AccountId,
        /// Its number within the bank.
        #[n(1)]
        number: u64,
        /// Its currency.
        #[cbor(n(2), with = "codec::currency")]
        currency: Currency,
        /// Its side of the trial balance.
        #[cbor(n(3), with = "codec::kind")]
        kind: Kind,
        /// Limit of its available balance below zero.
        #[cbor(n(4), with = "codec::overdraft")]
        overdraft: Overdraft,
        /// Time of its opening.
        #[cbor(n(5), with = "codec::timestamp")]
        opened_at: Timestamp,
        /// Its name.
        #[n(6)]
        name: Option<Sealed>,
        /// Customer who got the right of an owner.
        #[n(7)]
        owner: Option<CustomerId>,
        /// `true` if it is the cash account of its currency.
        #[n(8)]
        cash: bool,
    },
    /// A customer got a right on an account.
    #[n(8)]
    RightGranted {
        /// The customer.
        #[n(0)]
        customer: CustomerId,
        /// The account.
        #[cbor(n(1), with = "codec::account_id")]
        account: AccountId,
        /// The right.
        #[n(2)]
        right: Right,
    },
    /// A customer lost the right on an account.
    #[n(9)]
    RightRevoked {
        /// The customer.
        #[n(0)]
        customer: CustomerId,
        /// The account.
        #[cbor(n(1), with = "codec::account_id")]
        account: AccountId,
    },
    /// An account's status changed.
    #[n(10)]
    StatusSet {
        /// The account.
        #[cbor(n(0), with = "codec::account_id")]
        account: AccountId,
        /// Its status from now on.
        #[cbor(n(1), with = "codec::status")]
        status: Status,
    },
    /// An account's overdraft changed.
    #[n(11)]
    OverdraftSet {
        /// The account.
        #[cbor(n(0), with = "codec::account_id")]
        account: AccountId,
        /// Its overdraft from now on.
        #[cbor(n(1), with = "codec::overdraft")]
        overdraft: Overdraft,
    },
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
    /// Several payments were made, all or none: the next so many events.
    #[n(18)]
    PaidAll {
        /// Number of payments.
        #[n(0)]
        payments: u32,
    },
    /// An account got another name.
    #[n(17)]
    AccountRenamed {
        /// The account.
        #[cbor(n(0), with = "codec::account_id")]
        account: AccountId,
        /// Its name from now on.
        #[n(1)]
        name: Option<Sealed>,
    },
    /// A user got another password. The sessions that were open end with the events after it.
    #[n(19)]
    PasswordSet {
        /// The user.
        #[n(0)]
        user: UserId,
        /// The new password's hash.
        #[n(1)]
        password: Sealed,
    },
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
