//! Access control: users with roles, sessions, and the rights of customers on accounts.

use minicbor::{Decode, Encode};

mod command;
mod decide;
mod event;
mod state;
mod suits;

pub use command::AccessCommand;
pub(crate) use decide::decide;
pub use event::AccessEvent;
pub use state::{Customer, Session, User};
pub(crate) use state::{customer_record, session_record, user_record};
pub(crate) use suits::{can_be_a_customers, must_suit_a_customer};

/// The most sessions one user can have open. A person has a few devices; when one more is opened, the oldest is closed.
pub const MAX_SESSIONS_PER_USER: usize = 10;

/// The most customers that can have a right on one account: a large firm's signatories, with room.
pub const MAX_RIGHTS_PER_ACCOUNT: usize = 100;

/// The most accounts on which one customer can have a right.
pub const MAX_ACCOUNTS_PER_CUSTOMER: usize = 1_000;

/// The most addresses of a user that are known: home, work, a telephone's networks, and some that changed. Where one more
/// is used, the one that was not used for the longest is forgotten.
pub const MAX_KNOWN_ADDRESSES: usize = 8;

/// A customer: a person or firm that has rights on accounts. Numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CustomerId(#[n(0)] pub u32);

/// A user: somebody who can sign in. Numbered from 1; 0 is Kassa itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct UserId(#[n(0)] pub u32);

impl UserId {
    /// Kassa itself: timers, imports, and the first steps of a new bank.
    pub const SYSTEM: Self = Self(0);
}

/// The keyed hash of a session's token. The token itself is known to its bearer only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct TokenHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A keyed hash of the name that a user signs in with: finds the user without telling the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct NameIndex(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A keyed hash of a user and the address from which they signed in: an IPv4 address, or an IPv6 network of 64 bits. It
/// tells neither the address nor, of two users, whether they share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct AddressHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// Role of a user at the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Acts for one customer, within that customer's rights.
    #[n(0)]
    Customer,
    /// Runs the bank: customers, users, accounts, rights, cash, corrections.
    #[n(1)]
    Operator,
    /// Sees all, changes nothing.
    #[n(2)]
    Auditor,
}

/// A customer's right on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Right {
    /// May see it and move its money.
    #[n(0)]
    Owner,
    /// May see it and move its money, at most `limit_minor` in one payment where there is a limit.
    #[n(1)]
    Signatory {
        /// In minor units of the account's currency.
        #[n(0)]
        limit_minor: Option<i64>,
    },
    /// May see it.
    #[n(2)]
    ReadOnly,
}

impl Right {
    /// Returns `true` if it is a right to move the account's money.
    #[must_use]
    pub fn moves_money(self) -> bool {
        match self {
            Self::Owner | Self::Signatory { .. } => true,
            Self::ReadOnly => false,
        }
    }
}
