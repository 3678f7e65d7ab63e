//! Payments: making one, and looking one up.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bank::Purpose;
use serde::{Deserialize, Serialize};
use service::meaning::{Said, Transfer};
use service::{
    Booked, BookingView, Fault, Meaning, MovementOrder, MovementView, PAYMENT_REFUSALS, PaymentOrder, PaymentState,
    PaymentView, SaidView, Words,
};
use utoipa::ToSchema;

use crate::amounts::money;
use crate::app::{App, created, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Path, Token};
use crate::payments::metadata::{self, Metadata};
use crate::problem::Problem;
use crate::times::{day, moment};

/// A payment to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayment {
    /// The number of the account that pays.
    #[schema(value_type = strings::IbanTyped)]
    pub(crate) from: String,
    /// The number of the account that is paid.
    #[schema(value_type = strings::IbanTyped)]
    pub(crate) to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    pub(crate) amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(value_type = strings::Currency)]
    pub(crate) currency: String,
    /// The text on both statements, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    pub(crate) text: Option<String>,
    /// Further movements with it, all or nothing, in this order: a split, or a fee. At most 99 movements. The caller
    /// needs a right to move the money of each account that pays.
    #[serde(default)]
    #[schema(required = false, max_items = 99)]
    pub(crate) more: Vec<NewMovement>,
    /// The payer's own notes, which the payee doesn't see: at most 20 pairs, each of a key of at most 40 letters, digits,
    /// `_`, `-` and `.`, and a value of at most 200 characters.
    #[schema(value_type = Option<strings::Notes>)]
    pub(crate) metadata: Option<Metadata>,
    /// The payer's own id of the payment, which both sides see, of at most 35 characters (ISO 20022, `EndToEndId`).
    #[schema(value_type = Option<strings::EndToEndId>)]
    pub(crate) end_to_end_id: Option<String>,
}

/// A further movement of a payment to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMovement {
    /// The number of the account that pays.
    #[schema(value_type = strings::IbanTyped)]
    from: String,
    /// The number of the account that is paid.
    #[schema(value_type = strings::IbanTyped)]
    to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
}

/// A payment as booked: whatever moved money, a deposit or a reversal as well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    /// Its id, for ever.
    #[schema(value_type = strings::PaymentId)]
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) booking: Booking,
}

/// A payment as it would be booked now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentDryRun {
    /// Always `true`: nothing was booked.
    #[schema(example = true)]
    dry_run: bool,
    #[serde(flatten)]
    booking: Booking,
}

/// Payment without its id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Booking {
    /// The number of the account that was debited.
    #[schema(value_type = strings::Iban)]
    from: String,
    /// The number of the account that was credited.
    #[schema(value_type = strings::Iban)]
    to: String,
    /// Amount.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Purpose of the payment.
    purpose: PurposeName,
    /// State of the payment: whether it stands, or was given back or undone since.
    state: PaymentStateName,
    /// Amount that was given back of it; of a payment of several movements, of the first.
    #[schema(value_type = strings::Decimal)]
    refunded: String,
    /// The id of the hold that it captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::HoldId>, required = false, nullable = false)]
    hold: Option<String>,
    /// The id of the payment that it gives back (`refund`) or undoes (`reversal`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::PaymentId>, required = false, nullable = false)]
    undoes: Option<String>,
    /// The ids of its refunds, the oldest first, or of its reversal: the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<strings::PaymentId>, required = false)]
    undone_by: Vec<String>,
    /// The text on the statement, of a capture the hold's; null where there is none, or the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    text: Option<String>,
    /// Booking time.
    #[schema(value_type = strings::Moment)]
    booked_at: String,
    /// Value date: the day from which it counts for interest.
    #[schema(value_type = strings::Day)]
    value_date: String,
    /// Further movements that were booked with it, all or nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    more: Vec<Movement>,
    /// The payer's own notes, for those with a right on the account that pays, operators and auditors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::ShownNotes>, required = false, nullable = false)]
    metadata: Option<Metadata>,
    /// The payer's own id of the payment, where one was given and the person has not been erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::EndToEndId>, required = false, nullable = false)]
    end_to_end_id: Option<String>,
}

/// A further movement of the same payment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Movement {
    /// The number of the account that was debited.
    #[schema(value_type = strings::Iban)]
    from: String,
    /// The number of the account that was credited.
    #[schema(value_type = strings::Iban)]
    to: String,
    /// Amount.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Amount that was given back of it.
    #[schema(value_type = strings::Decimal)]
    refunded: String,
}

/// State of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = PaymentState)]
pub(crate) enum PaymentStateName {
    /// It stands as it was booked.
    Booked,
    /// Some of it was given back.
    PartlyRefunded,
    /// All of it was given back.
    Refunded,
    /// It was undone exactly, once.
    Reversed,
}

impl From<PaymentState> for PaymentStateName {
    fn from(state: PaymentState) -> Self {
        match state {
            PaymentState::Booked => Self::Booked,
            PaymentState::PartlyRefunded => Self::PartlyRefunded,
            PaymentState::Refunded => Self::Refunded,
            PaymentState::Reversed => Self::Reversed,
        }
    }
}

impl From<PaymentStateName> for PaymentState {
    fn from(name: PaymentStateName) -> Self {
        match name {
            PaymentStateName::Booked => Self::Booked,
            PaymentStateName::PartlyRefunded => Self::PartlyRefunded,
            PaymentStateName::Refunded => Self::Refunded,
            PaymentStateName::Reversed => Self::Reversed,
        }
    }
}

/// Purpose of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Purpose)]
pub(crate) enum PurposeName {
    /// From one account to another by its holder's will.
    Payment,
    /// Cash brought to the desk.
    Deposit,
    /// Cash taken from the desk.
    Withdrawal,
    /// History of another system.
    Imported,
    /// A hold's money taken.
    Capture,
    /// A payment given back.
    Refund,
    /// A posting undone.
    Reversal,
    /// Booked by the bank itself, for the reason that the text tells: a fee, a correction, or between its own accounts.
    Booking,
}

impl PurposeName {
    /// The name as it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Imported => "imported",
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Reversal => "reversal",
            Self::Booking => "booking",
        }
    }
}

impl From<PurposeName> for Purpose {
    fn from(name: PurposeName) -> Self {
        match name {
            PurposeName::Payment => Self::Payment,
            PurposeName::Deposit => Self::Deposit,
            PurposeName::Withdrawal => Self::Withdrawal,
            PurposeName::Imported => Self::Imported,
            PurposeName::Capture => Self::Capture,
            PurposeName::Refund => Self::Refund,
            PurposeName::Reversal => Self::Reversal,
            PurposeName::Booking => Self::Booking,
        }
    }
}

impl From<Purpose> for PurposeName {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Payment => Self::Payment,
            Purpose::Deposit => Self::Deposit,
            Purpose::Withdrawal => Self::Withdrawal,
            Purpose::Imported => Self::Imported,
            Purpose::Capture => Self::Capture,
            Purpose::Refund => Self::Refund,
            Purpose::Reversal => Self::Reversal,
            Purpose::Booking => Self::Booking,
        }
    }
}

impl Payment {
    pub(crate) fn of(payment: PaymentView) -> Result<Self, Fault> {
        Ok(Self { id: payment.id, booking: Booking::of(payment.booking)? })
    }
}

impl Booking {
    fn of(booking: BookingView) -> Result<Self, Fault> {
        let Movement { from, to, amount, currency, refunded } = booking.movement.into();
        let SaidView { text, end_to_end_id } = booking.said;
        Ok(Self {
            from,
            to,
            amount,
            currency,
            purpose: booking.purpose.into(),
            state: booking.state.into(),
            refunded,
            hold: booking.hold,
            undoes: booking.undoes,
            undone_by: booking.undone_by,
            text,
            booked_at: moment(booking.booked_at),
            value_date: day(booking.value_date),
            more: booking.more.into_iter().map(Movement::from).collect(),
            metadata: metadata::read(booking.metadata.as_deref())?,
            end_to_end_id,
        })
    }
}

impl From<MovementView> for Movement {
    fn from(MovementView { from, to, amount, refunded }: MovementView) -> Self {
        let (currency, refunded) = (amount.currency.code().to_owned(), refunded.to_string());
        Self { from, to, amount: amount.to_string(), currency, refunded }
    }
}

impl NewMovement {
    fn meaning(&self) -> Transfer<'_> {
        let Self { from, to, amount, currency } = self;
        Transfer { from, to, amount, currency }
    }
}

impl NewPayment {
    fn meaning(&self) -> Meaning<'_> {
        let Self { from, to, amount, currency, text, more, metadata, end_to_end_id } = self;
        let movement = Transfer { from, to, amount, currency };
        let more = more.iter().map(NewMovement::meaning).collect();
        let (text, end_to_end_id) = (text.as_deref(), end_to_end_id.as_deref());
        let said = Said { text, metadata: metadata.as_ref(), end_to_end_id };
        Meaning::Pay { movement, more, said }
    }

    /// The order to pay, with its amounts read.
    fn order(&self) -> Result<PaymentOrder<'_>, Fault> {
        let first = MovementOrder { from: &self.from, to: &self.to, amount: money(&self.amount, &self.currency)? };
        let more = self.more.iter().enumerate().map(|(place, NewMovement { from, to, amount, currency })| {
            let amount = money(amount, currency).map_err(|fault| fault.within(&format!("more[{place}]")))?;
            Ok(MovementOrder { from, to, amount })
        });
        let movements = std::iter::once(Ok(first)).chain(more).collect::<Result<_, Fault>>()?;
        let metadata = metadata::written(self.metadata.as_ref())?;
        let (text, end_to_end_id) = (self.text.as_deref(), self.end_to_end_id.as_deref());
        let words = Words { text, metadata, end_to_end_id };
        Ok(PaymentOrder { movements, words })
    }
}

/// Pays from one account to another.
///
/// For users of a customer with a right to move the paying account's money. The answer comes when the payment is
/// booked on both accounts, and durable.
#[utoipa::path(
    post, path = "/v1/payments", tag = "Payments", params(IdempotencyKey), request_body = NewPayment,
    responses((status = 201, description = "The payment, booked", body = Payment)),
    extensions(("x-refusals" = json!([
        "not-a-customers-account", "no-right", "read-only-right", "above-signatory-limit", "not-a-payee",
        "too-many-legs", "amount-not-positive",
        "same-account", "currency-mismatch", "account-closed", "account-frozen", "insufficient-funds",
        "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn pay(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewPayment>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, sent.meaning());
    booked(app.service.pay(&asked, sent.order()).await.map_err(Fault::named_in_body)?)
}

/// Tells what would become of a payment, and pays nothing.
///
/// As it would be decided now: the payment, or the refusal. For those who may pay.
#[utoipa::path(
    post, path = "/v1/payments/dry-run", tag = "Payments", request_body = NewPayment,
    responses((status = 200, description = "The payment as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn pay_dry_run(app: State<App>, token: Token, sent: Sent<NewPayment>) -> Result<Response, Problem> {
    pay(app, token, IdempotencyKey::of_dry_run(), sent).await
}

/// Shows a payment.
///
/// For those with a right on one of its accounts, operators and auditors.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "Payments", params(("id" = strings::PaymentId, Path, description = "The payment's id")),
    responses((status = 200, description = "The payment", body = Payment)),
    extensions(("x-refusals" = json!(["unknown-payment", "no-right"]))),
)]
pub(crate) async fn show_payment(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<Json<Payment>, Problem> {
    Ok(Json(Payment::of(app.service.payment(token.0, &id).await?)?))
}

/// Shows what became of a payment, by its idempotency key.
///
/// The payment that the caller asked for under the key; or, where it was refused, that refusal again.
#[utoipa::path(
    get, path = "/v1/payments/by-key/{key}", tag = "Payments",
    params(("key" = strings::Key, Path, description = "The idempotency key under which the payment was asked for")),
    responses((status = 200, description = "The payment", body = Payment)),
    extensions(("x-refusals" = json!(refusals_by_key()))),
)]
pub(crate) async fn show_payment_by_key(
    State(app): State<App>,
    token: Token,
    Path(key): Path<String>,
) -> Result<Json<Payment>, Problem> {
    Ok(Json(Payment::of(app.service.payment_by_key(token.0, &key).await?)?))
}

/// Refusals that are told by key; the accounts were named in the body.
fn refusals_by_key() -> Vec<&'static str> {
    let told = |slug: &&'static str| if *slug == "unknown-account" { "unknown-account in body" } else { *slug };
    PAYMENT_REFUSALS.iter().map(told).collect()
}

/// The answer to a write that booked a payment of whatever purpose.
pub(crate) fn booked(Booked { id, booking, is_repeated }: Booked) -> Result<Response, Problem> {
    let booking = Booking::of(booking)?;
    let Some(id) = id else {
        return Ok(Json(PaymentDryRun { dry_run: true, booking }).into_response());
    };
    let payment = Payment { id, booking };
    Ok(created(is_repeated, &format!("/v1/payments/{}", payment.id), payment))
}
