//! Commands about customers, users, sessions and rights.

use ledger::{AccountId, Timestamp};

use super::{AddressHash, CustomerId, NameIndex, Right, Role, TokenHash, UserId};
use crate::Sealed;

/// Commands about customers, users, sessions and rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessCommand {
    /// A new customer.
    AddCustomer {
        /// The customer's name, sealed under the customer's new key.
        name: Sealed,
    },
    /// A new user.
    AddUser {
        /// The blind index of the name to sign in with.
        name_index: NameIndex,
        /// The name to sign in with.
        name: Sealed,
        /// The password's hash, in the PHC string format.
        password: Sealed,
        /// Role of the user at the bank.
        role: Role,
        /// Customer for whom the user acts; with the role of a customer, and only then.
        customer: Option<CustomerId>,
    },
    /// Another password for a user, whose sessions end. Only Kassa itself may ask: whoever does holds the master key.
    SetPassword {
        /// The user.
        user: UserId,
        /// The password's hash, in the PHC string format.
        password: Sealed,
    },
    /// A session for a user whose password was right.
    SignIn {
        /// The user.
        user: UserId,
        /// The hash of the new token.
        token: TokenHash,
        /// Time of its expiry.
        expires_at: Timestamp,
        /// Address that the sign-in came from, where that is known.
        from: Option<AddressHash>,
    },
    /// The end of a session.
    SignOut {
        /// The hash of its token.
        token: TokenHash,
    },
    /// A wrong password.
    SignInFailed {
        /// The user who was named.
        user: UserId,
    },
    /// A right for a customer on an account, in place of the one there was.
    Grant {
        /// The customer.
        customer: CustomerId,
        /// The account.
        account: AccountId,
        /// The right.
        right: Right,
    },
    /// The end of a customer's right on an account.
    Revoke {
        /// The customer.
        customer: CustomerId,
        /// The account.
        account: AccountId,
    },
}
