//! The parts of the journal that are told to those whom they concern: which events, to whom, and what they say. What is
//! shown to nobody (sessions, wrong passwords, refusals) is not told either.

use bank::{AccessEvent, AccountEvent, Audience, CustomerId, HoldEvent, PaymentEvent, Right, State, SystemEvent, What};
use engine::{Engine, Field, Recorded, Unavailable};
use ledger::{AccountId, Cause, Currency, HoldId, Money, Overdraft, ReleaseReason, Status, Timestamp};

use crate::access::{CustomerView, RightView, SignedIn, UserView};
use crate::accounts::AccountView;
use crate::fault::Fault;
use crate::holds::{HoldView, Known};
use crate::payments::{Parties, PaymentView, Undoing};
use crate::service::Service;
use crate::system::ZoneView;

/// An event as it is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event's number.
    pub number: u64,
    /// Time of the event.
    pub at: Timestamp,
    /// Content.
    pub story: Story,
}

/// Content of an event as it is told.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a few are made at a time, and each is told at once")]
pub enum Story {
    /// Money was moved, for whatever purpose; a hold's capture is one, too.
    PaymentBooked {
        /// For a capture: `true` if what remained of the hold was let go with it.
        last: Option<bool>,
        /// The payment.
        payment: Box<PaymentView>,
    },
    /// Money was reserved.
    HoldPlaced(HoldView),
    /// Reserved money has more time.
    HoldExtended {
        /// The hold's id.
        id: String,
        /// The IBAN of the account that pays.
        from: String,
        /// The IBAN of the account that is paid.
        to: String,
        /// Amount that was reserved when it was placed.
        amount: Money,
        /// Expiry from then on: the time until which it is reserved.
        expires_at: Timestamp,
    },
    /// What was still reserved is let go, without a capture.
    HoldReleased {
        /// Reason.
        reason: ReleaseReason,
        /// The hold.
        hold: HoldView,
    },
    /// An account, as it was at its opening.
    AccountOpened(AccountView),
    /// An account has another name, or none.
    AccountRenamed {
        /// The account's IBAN.
        iban: String,
        /// Name from then on; none where it has none, or its owner has been erased.
        name: Option<String>,
    },
    /// An account has another status.
    StatusSet {
        /// The account's IBAN.
        iban: String,
        /// Its status from then on.
        status: Status,
    },
    /// An account has another overdraft.
    OverdraftSet {
        /// The account's IBAN.
        iban: String,
        /// Overdraft from then on.
        overdraft: Overdraft,
        /// The account's currency.
        currency: Currency,
    },
    /// A customer has a right on an account, in place of the one there was.
    RightGranted {
        /// The account's IBAN.
        iban: String,
        /// The right.
        right: RightView,
        /// `true` if the customer and the limit must not be told, because it is another's: only those who run or audit
        /// the bank see the rights of others.
        is_anothers: bool,
    },
    /// A customer has no right on an account any more.
    RightRevoked {
        /// The account's IBAN.
        iban: String,
        /// The customer who had it; none where it was another's.
        customer: Option<CustomerId>,
    },
    /// A customer came. For operators and auditors.
    CustomerAdded(CustomerView),
    /// A user came. For operators and auditors.
    UserAdded(UserView),
    /// The bank has another time zone from a day on. For operators and auditors.
    TimeZoneSet(ZoneView),
}

/// An event that may be told, sealed as the journal has it.
#[derive(Debug)]
pub struct News {
    /// The event's number.
    pub number: u64,
    at: Timestamp,
    what: What,
    /// The accounts that it concerns.
    pub(crate) accounts: Vec<AccountId>,
    /// The customer whose own right it is about, who is told of it even when the right is gone.
    pub(crate) holder: Option<CustomerId>,
    /// The hold as it was placed, where it is let go or gets more time.
    placed: Option<Box<Known>>,
}

/// Facts from the state about an event to somebody who may see it.
pub(crate) struct Seen {
    parties: Parties,
    currency: Option<Currency>,
    /// The right that one's customer has on the account.
    right: Option<Right>,
    /// `true` if the rights of others may be seen, too.
    sees_all: bool,
    customer: Option<CustomerId>,
}

/// Accounts whose holders an event concerns, and the customer.
type Concerned = (Vec<AccountId>, Option<CustomerId>);

impl News {
    /// An event as news; none where it is told to nobody. For a thread that may wait for the disk.
    pub(crate) fn of(engine: &Engine, recorded: Recorded) -> Result<Option<Self>, Unavailable> {
        let Recorded { number, at, event } = recorded;
        let Some((accounts, holder)) = Self::concerned(engine, &event.what)? else { return Ok(None) };
        let mut placed = None;
        if let Audience::OfHold(hold) = event.what.audience() {
            let known = as_placed(engine, hold)?;
            let is_released = matches!(event.what, What::Holds(HoldEvent::HoldReleased { .. }));
            let known = if is_released { known.after(engine, hold, None, number)? } else { known };
            placed = Some(Box::new(known));
        } else if let Some(hold) = captured_by(&event.what) {
            // Said with the capture, too: from here on its frame is at hand.
            engine.said_with(hold)?;
        }
        Ok(Some(Self { number, at, what: event.what, accounts, holder, placed }))
    }

    /// Finds whom an event concerns: the accounts whose holders it is told to, and the customer; none where it is told to
    /// nobody. Reads no more than that needs.
    pub(crate) fn concerned(engine: &Engine, what: &What) -> Result<Option<Concerned>, Unavailable> {
        Ok(match what.audience() {
            Audience::Accounts(accounts) => Some((accounts.into_vec(), None)),
            Audience::OfHold(hold) => Some((as_placed(engine, hold)?.ids().to_vec(), None)),
            Audience::Holder(account, customer) => Some((vec![account], Some(customer))),
            Audience::Watchers => Some((Vec::new(), None)),
            Audience::User(_) | Audience::Nobody => None,
        })
    }

    /// Takes from the state what a caller may know about it; none where the caller may not see it.
    pub(crate) fn seen_by(&self, state: &State, who: &SignedIn) -> Option<Seen> {
        let own = who.customer.is_some() && self.holder == who.customer;
        let seen = |account: &AccountId| who.must_see(state, *account).is_ok();
        if !who.sees_all() && !own && !self.accounts.iter().any(seen) {
            return None;
        }
        let first = self.accounts.first().copied();
        Some(Seen {
            parties: Parties::of(state, who, &self.accounts),
            currency: first.and_then(|id| state.ledger().account(id)).map(|account| account.currency),
            right: first.zip(who.customer).and_then(|(id, customer)| state.right(customer, id)),
            sees_all: who.sees_all(),
            customer: who.customer,
        })
    }

    /// Makes its content, its texts opened. None is told of an event that is not as it must be.
    pub(crate) fn told(&self, service: &Service, seen: &Seen) -> Result<Option<Told>, Fault> {
        let Self { number, what, placed, .. } = self;
        let parties = &seen.parties;
        let iban = || self.accounts.first().map(|account| parties.iban(*account)).unwrap_or_default();
        let theirs = |customer: &CustomerId| seen.sees_all || seen.customer == Some(*customer);
        let story = match what {
            What::Payments(PaymentEvent::Posted { posting, .. }) => {
                let last = match posting.cause() {
                    Cause::Capture { last, .. } => Some(last),
                    Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => None,
                };
                let payment = service.payment_view(*number, what, parties, &Undoing::default())?;
                payment.map(|payment| Story::PaymentBooked { last, payment: Box::new(payment) })
            }
            What::Holds(HoldEvent::HoldPlaced { .. }) => {
                let (Some(id), Some(known)) = (HoldId::new(*number), Known::placed(what, self.at)) else {
                    return Ok(None);
                };
                Some(Story::HoldPlaced(service.hold_view(id, &known, parties)?))
            }
            What::Holds(HoldEvent::HoldExtended { hold: id, expires_at }) => placed.as_ref().map(|known| {
                let ledger::Hold { debit, credit, amount, .. } = known.placed;
                Story::HoldExtended {
                    id: service.hold_ids().id(id.event()),
                    from: parties.iban(debit),
                    to: parties.iban(credit),
                    amount,
                    expires_at: *expires_at,
                }
            }),
            What::Holds(HoldEvent::HoldReleased { hold: id, reason, .. }) => {
                let Some(known) = placed else { return Ok(None) };
                Some(Story::HoldReleased { reason: *reason, hold: service.hold_view(*id, known, parties)? })
            }
            What::Accounts(AccountEvent::AccountOpened { .. }) => {
                service.opened_account(what, seen.right)?.map(Story::AccountOpened)
            }
            What::Accounts(AccountEvent::AccountRenamed { name, .. }) => {
                let name = service.open_some(Field::AccountName, name.as_ref())?;
                Some(Story::AccountRenamed { iban: iban(), name })
            }
            What::Accounts(AccountEvent::StatusSet { status, .. }) => {
                Some(Story::StatusSet { iban: iban(), status: *status })
            }
            What::Accounts(AccountEvent::OverdraftSet { overdraft, .. }) => {
                let told = |currency| Story::OverdraftSet { iban: iban(), overdraft: *overdraft, currency };
                seen.currency.map(told)
            }
            What::Access(AccessEvent::RightGranted { customer, right, .. }) => seen.currency.map(|currency| {
                let right = RightView { customer: *customer, right: *right, currency };
                Story::RightGranted { iban: iban(), right, is_anothers: !theirs(customer) }
            }),
            What::Access(AccessEvent::RightRevoked { customer, .. }) => {
                Some(Story::RightRevoked { iban: iban(), customer: theirs(customer).then_some(*customer) })
            }
            What::Access(AccessEvent::CustomerAdded { id, name }) => {
                let name = service.open(Field::CustomerName, name)?;
                Some(Story::CustomerAdded(CustomerView { id: *id, name }))
            }
            What::Access(AccessEvent::UserAdded { id, name, role, customer, .. }) => {
                let name = service.open(Field::UserName, name)?;
                Some(Story::UserAdded(UserView { id: *id, name, role: *role, customer: *customer }))
            }
            What::System(SystemEvent::TimeZoneSet { from, time_zone }) => {
                Some(Story::TimeZoneSet(ZoneView { from: Some(*from), time_zone: time_zone.clone() }))
            }
            What::System(
                SystemEvent::Founded { .. } | SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. },
            )
            | What::Access(
                AccessEvent::PasswordSet { .. }
                // Told once there is a command for it.
                | AccessEvent::KeyDestroyed { .. }
                | AccessEvent::SessionOpened { .. }
                | AccessEvent::SessionClosed { .. }
                | AccessEvent::SignInFailed { .. },
            )
            | What::Payments(PaymentEvent::PaidAll { .. }) => None,
        };
        Ok(story.map(|story| Told { number: *number, at: self.at, story }))
    }
}

/// The hold that an event captures.
fn captured_by(what: &What) -> Option<HoldId> {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = what else { return None };
    match posting.cause() {
        Cause::Capture { hold, .. } => Some(hold),
        Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => None,
    }
}

/// A hold as it was placed.
fn as_placed(engine: &Engine, id: HoldId) -> Result<Known, Unavailable> {
    let placed = engine.event(id.event())?.and_then(|recorded| Known::placed(&recorded.event.what, recorded.at));
    placed.ok_or_else(|| Unavailable::Failed(format!("event {} is named as a hold and is none", id.event())))
}
