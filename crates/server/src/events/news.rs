//! The parts of the journal that are told to those whom they concern: which events, to whom, and in the same words and
//! shapes as REST has for them. What REST shows to nobody (sessions, wrong passwords, refusals) is not told either.

use bank::{AccessEvent, AccountEvent, CustomerId, HoldEvent, PaymentEvent, Right, State, SystemEvent, What};
use engine::{Engine, Field, Recorded, Unavailable};
use ledger::{AccountId, Cause, Currency, HoldId, ReleaseReason, Timestamp};
use serde::Serialize;
use service::{Fault, SignedIn};
use utoipa::ToSchema;

use crate::accounts::{AccountView, StatusName};
use crate::amounts::overdraft_text;
use crate::app::App;
use crate::customers::Customer;
use crate::holds::{Hold, Known};
use crate::payments::{Parties, Payment, accounts_of};
use crate::rights::{RightName, RightView};
use crate::strings;
use crate::times::moment;
use crate::users::UserView;

/// Content of an event on the stream: its `data`, by the name in its `event` field. `strings.rs` describes which name
/// has which.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Data {
    /// `payment.booked`: money was moved, for whatever purpose; a hold's capture is one, too.
    PaymentBooked(Box<PaymentBooked>),
    /// `hold.placed`: money was reserved.
    HoldPlaced(HoldPlaced),
    /// `hold.extended`: reserved money has more time.
    HoldExtended(HoldExtended),
    /// `hold.released`: what was still reserved is let go, without a capture.
    HoldReleased(HoldReleased),
    /// `account.opened`: an account, as it was at its opening.
    AccountOpened(AccountOpened),
    /// `account.renamed`: an account has another name, or none.
    AccountRenamed(AccountRenamed),
    /// `account.status-set`: an account has another status.
    StatusSet(StatusSet),
    /// `account.overdraft-set`: an account has another overdraft.
    OverdraftSet(OverdraftSet),
    /// `right.granted`: a customer has a right on an account, in place of the one there was.
    RightGranted(RightGranted),
    /// `right.revoked`: a customer has no right on an account any more.
    RightRevoked(RightRevoked),
    /// `customer.added`: a customer came. For operators and auditors.
    CustomerAdded(CustomerAdded),
    /// `user.added`: a user came. For operators and auditors.
    UserAdded(UserAdded),
}

/// A payment was booked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentBooked {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The id of the hold that it captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::HoldId>, required = false, nullable = false)]
    hold: Option<String>,
    /// For a capture: `true` if what remained of the hold was let go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<bool>,
    /// The id of the payment that it gives back or undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::PaymentId>, required = false, nullable = false)]
    undoes: Option<String>,
    #[serde(flatten)]
    payment: Payment,
}

/// A hold was placed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldPlaced {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    #[serde(flatten)]
    hold: Hold,
}

/// A hold was given more time. What remained of it is told by its captures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldExtended {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The hold's id.
    #[schema(value_type = strings::HoldId)]
    id: String,
    /// The number of the account that pays.
    #[schema(value_type = strings::Iban)]
    from: String,
    /// The number of the account that is paid.
    #[schema(value_type = strings::Iban)]
    to: String,
    /// Amount that was reserved when it was placed.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Expiry from then on: the time until which it is reserved.
    #[schema(value_type = strings::Moment)]
    expires_at: String,
}

/// A hold was let go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldReleased {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// Reason.
    reason: ReasonName,
    #[serde(flatten)]
    hold: Hold,
}

/// Reason for which a hold was let go.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ReleaseReason)]
pub(crate) enum ReasonName {
    /// Somebody entitled to it said so.
    Voided,
    /// Its time was over.
    Expired,
}

/// An account was opened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountOpened {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    #[serde(flatten)]
    account: AccountView,
}

/// An account got another name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountRenamed {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// Name from then on; null where it has none, or its owner has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    name: Option<String>,
}

/// An account's status was set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusSet {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// Its status from then on.
    status: StatusName,
}

/// An account's overdraft was set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverdraftSet {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// Overdraft from then on, the limit below zero: an amount, or `unlimited`.
    #[schema(value_type = strings::Overdraft)]
    overdraft: String,
    /// The account's currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
}

/// A right was granted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RightGranted {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// The number of the customer who has it. Left out, as is the limit, where it is another's: only those who run or
    /// audit the bank see the rights of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::Number>, required = false, nullable = false)]
    customer: Option<u32>,
    /// Kind of the right, by what it allows.
    right: RightName,
    /// For a signatory: the most in one payment; left out where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::Decimal>, required = false, nullable = false)]
    limit: Option<String>,
}

/// A right was taken away.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RightRevoked {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// The number of the customer who had it. Left out where it was another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::Number>, required = false, nullable = false)]
    customer: Option<u32>,
}

/// A customer came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerAdded {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    #[serde(flatten)]
    customer: Customer,
}

/// A user came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserAdded {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    #[serde(flatten)]
    user: UserView,
}

/// An event that may be told, sealed as the journal has it.
#[derive(Debug)]
pub(crate) struct News {
    /// The event's number.
    pub(crate) number: u64,
    at: Timestamp,
    what: What,
    /// The accounts that it concerns.
    pub(crate) accounts: Vec<AccountId>,
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

impl News {
    /// An event as news; none where it is told to nobody. For a thread that may wait for the disk.
    pub(crate) fn of(engine: &Engine, recorded: Recorded) -> Result<Option<Self>, Unavailable> {
        let Recorded { number, at, event } = recorded;
        let mut placed = None;
        let accounts = match &event.what {
            What::Payments(PaymentEvent::Posted { posting, .. }) => accounts_of(posting),
            What::Holds(HoldEvent::HoldPlaced { hold, .. }) => vec![hold.debit, hold.credit],
            What::Holds(HoldEvent::HoldReleased { hold, .. }) | What::Holds(HoldEvent::HoldExtended { hold, .. }) => {
                let known = as_placed(engine, *hold)?;
                let accounts = known.ids().to_vec();
                placed = Some(Box::new(known));
                accounts
            }
            What::Accounts(AccountEvent::AccountOpened { id, .. }) => vec![*id],
            What::Accounts(AccountEvent::AccountRenamed { account, .. })
            | What::Accounts(AccountEvent::StatusSet { account, .. })
            | What::Accounts(AccountEvent::OverdraftSet { account, .. })
            | What::Access(AccessEvent::RightGranted { account, .. })
            | What::Access(AccessEvent::RightRevoked { account, .. }) => vec![*account],
            What::Access(AccessEvent::CustomerAdded { .. }) | What::Access(AccessEvent::UserAdded { .. }) => Vec::new(),
            What::System(SystemEvent::Founded { .. })
            | What::System(SystemEvent::LeaderStarted { .. })
            | What::Access(AccessEvent::PasswordSet { .. })
            | What::Access(AccessEvent::SessionOpened { .. })
            | What::Access(AccessEvent::SessionClosed { .. })
            | What::Access(AccessEvent::SignInFailed { .. })
            // Each of the payments is an event of its own.
            | What::Payments(PaymentEvent::PaidAll { .. })
            | What::System(SystemEvent::Refused { .. }) => return Ok(None),
        };
        Ok(Some(Self { number, at, what: event.what, accounts, placed }))
    }

    /// The customer whose own right it is about, who is told of it even when the right is gone.
    pub(crate) fn holder(&self) -> Option<CustomerId> {
        match self.what {
            What::Access(AccessEvent::RightGranted { customer, .. })
            | What::Access(AccessEvent::RightRevoked { customer, .. }) => Some(customer),
            _ => None,
        }
    }

    /// Takes from the state what a caller may know about it; none where the caller may not see it.
    pub(crate) fn seen_by(&self, state: &State, who: &SignedIn) -> Option<Seen> {
        let own = who.customer.is_some() && self.holder() == who.customer;
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

    /// Its name, which is for ever.
    pub(crate) fn name(&self) -> &'static str {
        match self.what {
            What::Payments(PaymentEvent::Posted { .. }) => "payment.booked",
            What::Holds(HoldEvent::HoldPlaced { .. }) => "hold.placed",
            What::Holds(HoldEvent::HoldExtended { .. }) => "hold.extended",
            What::Holds(HoldEvent::HoldReleased { .. }) => "hold.released",
            What::Accounts(AccountEvent::AccountOpened { .. }) => "account.opened",
            What::Accounts(AccountEvent::AccountRenamed { .. }) => "account.renamed",
            What::Accounts(AccountEvent::StatusSet { .. }) => "account.status-set",
            What::Accounts(AccountEvent::OverdraftSet { .. }) => "account.overdraft-set",
            What::Access(AccessEvent::RightGranted { .. }) => "right.granted",
            What::Access(AccessEvent::RightRevoked { .. }) => "right.revoked",
            What::Access(AccessEvent::CustomerAdded { .. }) => "customer.added",
            What::Access(AccessEvent::UserAdded { .. }) => "user.added",
            _ => "",
        }
    }

    /// Makes its content, its texts opened. None is told of an event that is not as it must be.
    pub(crate) fn data(&self, app: &App, seen: &Seen) -> Result<Option<Data>, Fault> {
        let Self { number, what, placed, .. } = self;
        let (at, parties) = (moment(self.at), &seen.parties);
        let iban = || self.accounts.first().map(|account| parties.iban(*account)).unwrap_or_default();
        let theirs = |customer: &CustomerId| seen.sees_all || seen.customer == Some(*customer);
        Ok(match what {
            What::Payments(PaymentEvent::Posted { posting, .. }) => {
                let (hold, last, undoes) = match posting.cause() {
                    Cause::Order => (None, None, None),
                    Cause::Capture { hold, last } => (Some(app.service.hold_ids().id(hold.event())), Some(last), None),
                    Cause::Refund { of, .. } | Cause::Reversal { of } => {
                        (None, None, Some(app.service.payment_ids().id(of.event())))
                    }
                };
                Payment::of(app, *number, what, parties)?
                    .map(|payment| Data::PaymentBooked(Box::new(PaymentBooked { at, hold, last, undoes, payment })))
            }
            What::Holds(HoldEvent::HoldPlaced { .. }) => {
                let (Some(id), Some(known)) = (HoldId::new(*number), Known::placed(what)) else { return Ok(None) };
                Some(Data::HoldPlaced(HoldPlaced { at, hold: Hold::of(app, id, &known, parties)? }))
            }
            What::Holds(HoldEvent::HoldExtended { hold: id, expires_at }) => placed.as_ref().map(|known| {
                let (id, expires_at) = (app.service.hold_ids().id(id.event()), moment(*expires_at));
                let ledger::Hold { debit, credit, amount, .. } = known.placed;
                let (from, to) = (parties.iban(debit), parties.iban(credit));
                let (currency, amount) = (amount.currency.code().to_owned(), amount.to_string());
                Data::HoldExtended(HoldExtended { at, id, from, to, amount, currency, expires_at })
            }),
            What::Holds(HoldEvent::HoldReleased { hold: id, reason }) => {
                let reason = match reason {
                    ReleaseReason::Voided => ReasonName::Voided,
                    ReleaseReason::Expired => ReasonName::Expired,
                };
                let Some(known) = placed else { return Ok(None) };
                let hold = Hold::of(app, *id, known, parties)?;
                Some(Data::HoldReleased(HoldReleased { at, reason, hold }))
            }
            What::Accounts(AccountEvent::AccountOpened { .. }) => AccountView::opened(app, what, iban(), seen.right)?
                .map(|account| Data::AccountOpened(AccountOpened { at, account })),
            What::Accounts(AccountEvent::AccountRenamed { name, .. }) => {
                let name = app.service.open_some(Field::AccountName, name.as_ref())?;
                Some(Data::AccountRenamed(AccountRenamed { at, iban: iban(), name }))
            }
            What::Accounts(AccountEvent::StatusSet { status, .. }) => {
                Some(Data::StatusSet(StatusSet { at, iban: iban(), status: (*status).into() }))
            }
            What::Accounts(AccountEvent::OverdraftSet { overdraft, .. }) => seen.currency.map(|currency| {
                let (overdraft, currency) = (overdraft_text(*overdraft, currency), currency.code().to_owned());
                Data::OverdraftSet(OverdraftSet { at, iban: iban(), overdraft, currency })
            }),
            What::Access(AccessEvent::RightGranted { customer, right, .. }) => seen.currency.map(|currency| {
                let RightView { customer: number, right, limit } = RightView::new(*customer, *right, currency);
                let (customer, limit) = if theirs(customer) { (Some(number), limit) } else { (None, None) };
                Data::RightGranted(RightGranted { at, iban: iban(), customer, right, limit })
            }),
            What::Access(AccessEvent::RightRevoked { customer, .. }) => {
                let customer = theirs(customer).then_some(customer.0);
                Some(Data::RightRevoked(RightRevoked { at, iban: iban(), customer }))
            }
            What::Access(AccessEvent::CustomerAdded { id, name }) => {
                let customer = Customer { id: id.0, name: app.service.open(Field::CustomerName, name)? };
                Some(Data::CustomerAdded(CustomerAdded { at, customer }))
            }
            What::Access(AccessEvent::UserAdded { id, name, role, customer, .. }) => {
                let name = app.service.open(Field::UserName, name)?;
                let customer = customer.map(|customer| customer.0);
                let user = UserView { id: id.0, name, role: (*role).into(), customer };
                Some(Data::UserAdded(UserAdded { at, user }))
            }
            _ => None,
        })
    }
}

/// A hold as it was placed, with nothing of it left.
fn as_placed(engine: &Engine, id: HoldId) -> Result<Known, Unavailable> {
    let placed = engine.event(id.event())?.and_then(|recorded| Known::placed(&recorded.event.what));
    let known = placed.map(|known| known.now(None));
    known.ok_or_else(|| Unavailable::Failed(format!("event {} is named as a hold and is none", id.event())))
}
