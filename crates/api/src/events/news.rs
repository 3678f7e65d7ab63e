//! What is told of the bank on the stream, in the same words and shapes as REST has for it.

use ledger::ReleaseReason;
use serde::Serialize;
use service::{Fault, Story, Told};
use utoipa::ToSchema;

use crate::access::customers::Customer;
use crate::access::rights::{RightName, RightView};
use crate::access::users::UserView;
use crate::accounts::account::{AccountView, StatusName};
use crate::amounts::overdraft_text;
use crate::description::strings;
use crate::holds::Hold;
use crate::payments::payment::Payment;
use crate::system::time_zone::Zone;
use crate::times::moment;

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
    /// `time-zone.set`: the bank has another time zone from a day on. For operators and auditors.
    TimeZoneSet(TimeZoneSet),
}

/// A payment was booked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentBooked {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// For a capture: `true` if what remained of the hold was let go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<bool>,
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

/// The bank's time zone was set from a day on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimeZoneSet {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    at: String,
    #[serde(flatten)]
    zone: Zone,
}

impl Data {
    /// Its name, which is for ever.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::PaymentBooked(_) => "payment.booked",
            Self::HoldPlaced(_) => "hold.placed",
            Self::HoldExtended(_) => "hold.extended",
            Self::HoldReleased(_) => "hold.released",
            Self::AccountOpened(_) => "account.opened",
            Self::AccountRenamed(_) => "account.renamed",
            Self::StatusSet(_) => "account.status-set",
            Self::OverdraftSet(_) => "account.overdraft-set",
            Self::RightGranted(_) => "right.granted",
            Self::RightRevoked(_) => "right.revoked",
            Self::CustomerAdded(_) => "customer.added",
            Self::UserAdded(_) => "user.added",
            Self::TimeZoneSet(_) => "time-zone.set",
        }
    }

    /// Makes the content of an event.
    pub(crate) fn of(told: Told) -> Result<Self, Fault> {
        let at = moment(told.at);
        Ok(match told.story {
            Story::PaymentBooked { last, payment } => {
                let payment = Payment::of(*payment)?;
                Self::PaymentBooked(Box::new(PaymentBooked { at, last, payment }))
            }
            Story::HoldPlaced(hold) => Self::HoldPlaced(HoldPlaced { at, hold: Hold::of(hold)? }),
            Story::HoldExtended { id, from, to, amount, expires_at } => {
                let (currency, amount) = (amount.currency.code().to_owned(), amount.to_string());
                Self::HoldExtended(HoldExtended { at, id, from, to, amount, currency, expires_at: moment(expires_at) })
            }
            Story::HoldReleased { reason, hold } => {
                let reason = match reason {
                    ReleaseReason::Voided => ReasonName::Voided,
                    ReleaseReason::Expired => ReasonName::Expired,
                };
                Self::HoldReleased(HoldReleased { at, reason, hold: Hold::of(hold)? })
            }
            Story::AccountOpened(account) => Self::AccountOpened(AccountOpened { at, account: account.into() }),
            Story::AccountRenamed { iban, name } => Self::AccountRenamed(AccountRenamed { at, iban, name }),
            Story::StatusSet { iban, status } => Self::StatusSet(StatusSet { at, iban, status: status.into() }),
            Story::OverdraftSet { iban, overdraft, currency } => {
                let (overdraft, currency) = (overdraft_text(overdraft, currency), currency.code().to_owned());
                Self::OverdraftSet(OverdraftSet { at, iban, overdraft, currency })
            }
            Story::RightGranted { iban, right, is_anothers } => {
                let RightView { customer, right, limit } = right.into();
                let (customer, limit) = if is_anothers { (None, None) } else { (Some(customer), limit) };
                Self::RightGranted(RightGranted { at, iban, customer, right, limit })
            }
            Story::RightRevoked { iban, customer } => {
                Self::RightRevoked(RightRevoked { at, iban, customer: customer.map(|customer| customer.0) })
            }
            Story::CustomerAdded(customer) => Self::CustomerAdded(CustomerAdded { at, customer: customer.into() }),
            Story::UserAdded(user) => Self::UserAdded(UserAdded { at, user: user.into() }),
            Story::TimeZoneSet(zone) => Self::TimeZoneSet(TimeZoneSet { at, zone: zone.into() }),
        })
    }
}
