//! The audience of an event: who is concerned by it. Streams go by it, as will notices and audits.

use ledger::{AccountId, HoldId, Posting};
use smallvec::{SmallVec, smallvec};

use crate::{AccessEvent, AccountEvent, CustomerId, HoldEvent, PaymentEvent, SystemEvent, UserId, What};

/// Who is concerned by an event, beside those who see all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Those with a right on one of these accounts, in order; the first is the one that pays. In pages and streams it is
    /// told in the words of its subject.
    Accounts(SmallVec<[AccountId; 2]>),
    /// Those with a right on one of the two accounts of a hold, which the event that placed it names.
    OfHold(HoldId),
    /// Those with a right on an account, and a customer whose own right it is about: told of it even when it is gone.
    Holder(AccountId, CustomerId),
    /// Nobody else: those who see all are told.
    Watchers,
    /// One user, of whose access it is a record; told in no stream.
    User(UserId),
    /// Nobody: it is a record of the bank's own working.
    Nobody,
}

impl What {
    /// Returns who is concerned by the event.
    #[must_use]
    pub fn audience(&self) -> Audience {
        match self {
            Self::System(event) => match event {
                // The payments that follow it are told one by one; a refusal was told to who asked.
                SystemEvent::Founded { .. } | SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. } => {
                    Audience::Nobody
                }
                SystemEvent::TimeZoneSet { .. } => Audience::Watchers,
            },
            Self::Access(event) => match event {
                AccessEvent::CustomerAdded { .. }
                | AccessEvent::UserAdded { .. }
                | AccessEvent::KeyDestroyed { .. } => Audience::Watchers,
                AccessEvent::RightGranted { customer, account, .. }
                | AccessEvent::RightRevoked { customer, account } => Audience::Holder(*account, *customer),
                AccessEvent::SessionOpened { user, .. }
                | AccessEvent::SignInFailed { user }
                | AccessEvent::PasswordSet { user, .. } => Audience::User(*user),
                // It names the session, and not whose it was.
                AccessEvent::SessionClosed { .. } => Audience::Nobody,
            },
            Self::Accounts(event) => Audience::Accounts(smallvec![match event {
                AccountEvent::AccountOpened { id, .. } => *id,
                AccountEvent::AccountRenamed { account, .. }
                | AccountEvent::StatusSet { account, .. }
                | AccountEvent::OverdraftSet { account, .. } => *account,
            }]),
            Self::Payments(event) => match event {
                PaymentEvent::Posted { posting, .. } => Audience::Accounts(accounts_of(posting)),
                PaymentEvent::PaidAll { .. } => Audience::Nobody,
            },
            Self::Holds(event) => match event {
                HoldEvent::HoldPlaced { hold, .. } => Audience::Accounts(smallvec![hold.debit, hold.credit]),
                HoldEvent::HoldReleased { hold, .. } | HoldEvent::HoldExtended { hold, .. } => Audience::OfHold(*hold),
            },
        }
    }
}

/// The accounts of a posting, each once, in the order of its legs.
#[must_use]
pub fn accounts_of(posting: &Posting) -> SmallVec<[AccountId; 2]> {
    let mut accounts: SmallVec<[AccountId; 2]> = SmallVec::new();
    for booked in posting.legs() {
        for account in [booked.leg.debit, booked.leg.credit] {
            if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
    }
    accounts
}
