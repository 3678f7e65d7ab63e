//! What of the journal is told to those whom it concerns: which events, to whom, and in the same words and shapes as
//! REST has for them. What REST shows to nobody (sessions, wrong passwords, refusals) is not told either.

use bank::{CustomerId, Right, Sealed, State, What};
use engine::{Engine, Field, Recorded, Unavailable};
use ledger::{AccountId, Cause, Currency, Hold as Placed, HoldId, ReleaseReason, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::{AccountView, StatusName};
use crate::amounts::overdraft_text;
use crate::app::{App, SignedIn};
use crate::customers::Customer;
use crate::holds::{Hold, Known};
use crate::payments::{Payment, accounts_of, ibans_of};
use crate::problem::Problem;
use crate::rights::{RightName, RightView};
use crate::times::moment;
use crate::users::UserView;

/// What an event on the stream says: its `data`, by the name in its `event` field.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Data {
    /// `payment.booked`: money was moved, for whatever purpose; a hold's capture is one, too.
    PaymentBooked(Box<PaymentBooked>),
    /// `hold.placed`: money was reserved.
    HoldPlaced(HoldPlaced),
    /// `hold.released`: what was still reserved is let go, without a capture.
    HoldReleased(HoldReleased),
    /// `account.opened`: an account, as it was at its opening.
    AccountOpened(AccountOpened),
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
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// The id of the hold that it captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    /// Of a capture: whether what remained of the hold was let go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<bool>,
    /// The id of the payment that it gives back or undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<String>,
    #[serde(flatten)]
    payment: Payment,
}

/// A hold was placed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldPlaced {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    hold: Hold,
}

/// A hold was let go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldReleased {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// Why.
    reason: ReasonName,
    #[serde(flatten)]
    hold: Hold,
}

/// Why a hold was let go.
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
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    account: AccountView,
}

/// An account's status was set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusSet {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// The account's number.
    iban: String,
    /// Its status from then on.
    status: StatusName,
}

/// An account's overdraft was set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverdraftSet {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// The account's number.
    iban: String,
    /// How far below zero it may go from then on: an amount, or `unlimited`.
    overdraft: String,
    /// The account's currency (ISO 4217).
    currency: String,
}

/// A right was granted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RightGranted {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// The account's number.
    iban: String,
    /// The number of the customer who has it. Left out, as is the limit, where it is another's: only those who run or
    /// audit the bank see the rights of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<u32>,
    /// What it allows.
    right: RightName,
    /// For a signatory: the most in one payment; left out where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
}

/// A right was taken away.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RightRevoked {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// The account's number.
    iban: String,
    /// The number of the customer who had it. Left out where it was another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<u32>,
}

/// A customer came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerAdded {
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    customer: Customer,
}

/// A user came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserAdded {
    /// When it happened.
    #[schema(format = DateTime)]
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
    /// Of a hold that is let go: how it was placed.
    placed: Option<(Placed, Option<Sealed>)>,
}

/// What the state says about an event to somebody who may see it.
pub(crate) struct Seen {
    ibans: Vec<(AccountId, String)>,
    currency: Option<Currency>,
    /// The right that one's customer has on the account.
    right: Option<Right>,
    /// Whether the rights of others may be seen, too.
    sees_all: bool,
    customer: Option<CustomerId>,
}

impl News {
    /// An event as news; none where it is told to nobody. For a thread that may wait for the disk.
    pub(crate) fn of(engine: &Engine, recorded: Recorded) -> Result<Option<Self>, Unavailable> {
        let Recorded { number, at, event } = recorded;
        let mut placed = None;
        let accounts = match &event.what {
            What::Posted { posting, .. } => accounts_of(posting),
            What::HoldPlaced { hold, .. } => vec![hold.debit, hold.credit],
            What::HoldReleased { hold, .. } => {
                let (hold, text) = as_placed(engine, *hold)?;
                let accounts = vec![hold.debit, hold.credit];
                placed = Some((hold, text));
                accounts
            }
            What::AccountOpened { id, .. } => vec![*id],
            What::StatusSet { account, .. }
            | What::OverdraftSet { account, .. }
            | What::RightGranted { account, .. }
            | What::RightRevoked { account, .. } => vec![*account],
            What::CustomerAdded { .. } | What::UserAdded { .. } => Vec::new(),
            What::Founded { .. }
            | What::LeaderStarted { .. }
            | What::SessionOpened { .. }
            | What::SessionClosed { .. }
            | What::SignInFailed { .. }
            | What::Refused { .. } => return Ok(None),
        };
        Ok(Some(Self { number, at, what: event.what, accounts, placed }))
    }

    /// The customer whose own right it is about, who is told of it even when the right is gone.
    pub(crate) fn holder(&self) -> Option<CustomerId> {
        match self.what {
            What::RightGranted { customer, .. } | What::RightRevoked { customer, .. } => Some(customer),
            _ => None,
        }
    }

    /// What the state says about it to a caller; none where the caller may not see it.
    pub(crate) fn seen_by(&self, state: &State, who: &SignedIn) -> Option<Seen> {
        let own = who.customer.is_some() && self.holder() == who.customer;
        let seen = |account: &AccountId| who.must_see(state, *account).is_ok();
        if !who.sees_all() && !own && !self.accounts.iter().any(seen) {
            return None;
        }
        let first = self.accounts.first().copied();
        Some(Seen {
            ibans: ibans_of(state, &self.accounts),
            currency: first.and_then(|id| state.ledger().account(id)).map(|account| account.currency),
            right: first.zip(who.customer).and_then(|(id, customer)| state.right(customer, id)),
            sees_all: who.sees_all(),
            customer: who.customer,
        })
    }

    /// Its name, which is for ever.
    pub(crate) fn name(&self) -> &'static str {
        match self.what {
            What::Posted { .. } => "payment.booked",
            What::HoldPlaced { .. } => "hold.placed",
            What::HoldReleased { .. } => "hold.released",
            What::AccountOpened { .. } => "account.opened",
            What::StatusSet { .. } => "account.status-set",
            What::OverdraftSet { .. } => "account.overdraft-set",
            What::RightGranted { .. } => "right.granted",
            What::RightRevoked { .. } => "right.revoked",
            What::CustomerAdded { .. } => "customer.added",
            What::UserAdded { .. } => "user.added",
            _ => "",
        }
    }

    /// What it says, its texts opened. None is told of an event that is not as it must be.
    pub(crate) fn data(&self, app: &App, seen: &Seen) -> Result<Option<Data>, Problem> {
        let Self { number, what, placed, .. } = self;
        let (at, ibans) = (moment(self.at), &seen.ibans);
        let iban = || ibans.first().map(|(_, iban)| iban.clone()).unwrap_or_default();
        let theirs = |customer: &CustomerId| seen.sees_all || seen.customer == Some(*customer);
        let hold = |id: Option<HoldId>, placed: Placed, remaining_minor: i64, text: &Option<Sealed>| {
            let known = id.map(|id| Known { id, placed, remaining_minor, text: text.clone() });
            known.map(|known| Hold::of(app, &known, ibans)).transpose()
        };
        Ok(match what {
            What::Posted { posting, .. } => {
                let (hold, last, undoes) = match posting.cause() {
                    Cause::Order => (None, None, None),
                    Cause::Capture { hold, last } => (Some(app.hold_ids.id(hold.event())), Some(last), None),
                    Cause::Refund { of, .. } | Cause::Reversal { of } => {
                        (None, None, Some(app.payment_ids.id(of.event())))
                    }
                };
                Payment::of(app, *number, what, ibans)?
                    .map(|payment| Data::PaymentBooked(Box::new(PaymentBooked { at, hold, last, undoes, payment })))
            }
            What::HoldPlaced { hold: placed, text } => {
                hold(HoldId::new(*number), *placed, placed.remaining_minor, text)?
                    .map(|hold| Data::HoldPlaced(HoldPlaced { at, hold }))
            }
            What::HoldReleased { hold: id, reason } => {
                let reason = match reason {
                    ReleaseReason::Voided => ReasonName::Voided,
                    ReleaseReason::Expired => ReasonName::Expired,
                };
                let Some((placed, text)) = placed else { return Ok(None) };
                hold(Some(*id), *placed, 0, text)?.map(|hold| Data::HoldReleased(HoldReleased { at, reason, hold }))
            }
            What::AccountOpened { .. } => AccountView::opened(app, what, iban(), seen.right)?
                .map(|account| Data::AccountOpened(AccountOpened { at, account })),
            What::StatusSet { status, .. } => {
                Some(Data::StatusSet(StatusSet { at, iban: iban(), status: (*status).into() }))
            }
            What::OverdraftSet { overdraft, .. } => seen.currency.map(|currency| {
                let (overdraft, currency) = (overdraft_text(*overdraft, currency), currency.code().to_owned());
                Data::OverdraftSet(OverdraftSet { at, iban: iban(), overdraft, currency })
            }),
            What::RightGranted { customer, right, .. } => seen.currency.map(|currency| {
                let RightView { customer: number, right, limit } = RightView::new(*customer, *right, currency);
                let (customer, limit) = if theirs(customer) { (Some(number), limit) } else { (None, None) };
                Data::RightGranted(RightGranted { at, iban: iban(), customer, right, limit })
            }),
            What::RightRevoked { customer, .. } => {
                let customer = theirs(customer).then_some(customer.0);
                Some(Data::RightRevoked(RightRevoked { at, iban: iban(), customer }))
            }
            What::CustomerAdded { id, name } => {
                let customer = Customer { id: id.0, name: app.open(Field::CustomerName, name)? };
                Some(Data::CustomerAdded(CustomerAdded { at, customer }))
            }
            What::UserAdded { id, name, role, customer, .. } => {
                let name = app.open(Field::UserName, name)?;
                let customer = customer.map(|customer| customer.0);
                let user = UserView { id: id.0, name, role: (*role).into(), customer };
                Some(Data::UserAdded(UserAdded { at, user }))
            }
            _ => None,
        })
    }
}

/// A hold as it was placed, and its text.
fn as_placed(engine: &Engine, id: HoldId) -> Result<(Placed, Option<Sealed>), Unavailable> {
    match engine.event(id.event())?.map(|recorded| recorded.event.what) {
        Some(What::HoldPlaced { hold, text }) => Ok((hold, text)),
        _ => Err(Unavailable::Failed(format!("event {} is named as a hold and is none", id.event()))),
    }
}
