//! Events of customers, users, sessions and rights.

use minicbor::{Decode, Encode};

use ledger::{AccountId, Timestamp};

use super::{AddressHash, CustomerId, NameIndex, Right, Role, TokenHash, UserId};
use crate::{Category, Sealed, SubjectId, codec};

/// Events of customers, users, sessions and rights.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum AccessEvent {
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
    /// A person's key was destroyed: what was sealed under it is erased.
    #[n(21)]
    KeyDestroyed {
        /// The person.
        #[n(0)]
        subject: SubjectId,
        /// Category whose key it was; none where all of the person's keys were destroyed.
        #[n(1)]
        category: Option<Category>,
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
}

impl AccessEvent {
    /// Returns `true` if the subject has the event of a number.
    pub(crate) fn has(number: u32) -> bool {
        matches!(number, 2 | 3 | 4 | 5 | 6 | 8 | 9 | 19 | 21)
    }
}
