//! Events of accounts, beside their money.

use minicbor::{Decode, Encode};

use ledger::{AccountId, Currency, Kind, Overdraft, Status, Timestamp};

use crate::{CustomerId, Sealed, codec};

/// Events of accounts, beside their money.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum AccountEvent {
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
}

impl AccountEvent {
    /// Returns `true` if the subject has the event of a number.
    pub(crate) fn has(number: u32) -> bool {
        matches!(number, 7 | 10 | 11 | 17)
    }
}
