//! Giving payments back: refunds in part or whole, and reversals.

use axum::extract::State;
use axum::response::Response;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use service::{Meaning, RefundOrder};
use utoipa::ToSchema;

use crate::amounts::some_money;
use crate::app::{App, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Path, Token, integer};
use crate::payments::payment::{Payment, PaymentDryRun, booked};
use crate::problem::Problem;

/// Refund to be made of a payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRefund {
    /// Amount; all that was not given back before where it is not given.
    #[schema(value_type = Option<strings::Decimal>)]
    amount: Option<String>,
    /// The payment's currency (ISO 4217); given with the amount.
    #[schema(value_type = Option<strings::Currency>)]
    currency: Option<String>,
    /// Number of the movement of the payment that is given back: 0 is the payment itself, 1 the first of `more`.
    #[serde(default, deserialize_with = "movement")]
    #[schema(value_type = strings::MovementNumber, required = false)]
    movement: u32,
    /// The text on both statements, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    text: Option<String>,
}

impl NewRefund {
    fn meaning<'a>(&'a self, payment: &'a str) -> Meaning<'a> {
        let Self { amount, currency, movement, text } = self;
        let (amount, currency, text) = (amount.as_deref(), currency.as_deref(), text.as_deref());
        Meaning::Refund { payment, amount, currency, movement: *movement, text }
    }
}

/// The number of a movement.
fn movement<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    integer(from)?.ok_or_else(|| D::Error::custom("it must be a whole number"))
}

/// Reason for which a payment is undone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReversal {
    /// The text on both statements, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    text: Option<String>,
}

/// Gives a payment back, in part or whole.
///
/// For users with a right to move the money of the one who was paid, and operators. All refunds of a payment together
/// never exceed it.
#[utoipa::path(
    operation_id = "refund_payment",
    post, path = "/v1/payments/{id}/refunds", tag = "Payments", request_body = NewRefund,
    params(("id" = strings::PaymentId, Path, description = "The payment's id"), IdempotencyKey),
    responses((status = 201, description = "The refund, booked: a payment the other way", body = Payment)),
    extensions(("x-refusals" = json!([
        "unknown-payment", "no-such-leg", "not-a-customers-account", "no-right", "read-only-right",
        "above-signatory-limit", "not-a-payee",
        "not-undoable", "already-reversed", "amount-incomplete", "amount-not-positive", "currency-mismatch",
        "account-closed", "account-frozen", "refund-exceeds-payment", "insufficient-funds", "balance-out-of-range",
        "person-erased",
    ]))),
)]
pub(crate) async fn refund(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Sent(sent): Sent<NewRefund>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, sent.meaning(&id));
    let amount = some_money(sent.amount.as_deref(), sent.currency.as_deref());
    let order = RefundOrder { payment: &id, movement: sent.movement, text: sent.text.as_deref() };
    booked(app.service.refund(&asked, order, amount).await?)
}

/// Tells what would become of a refund, and gives nothing back.
///
/// As it would be decided now: the refund, or the refusal. For those who may refund.
#[utoipa::path(
    post, path = "/v1/payments/{id}/refunds/dry-run", tag = "Payments", params(("id" = strings::PaymentId, Path, description = "The payment's id")), request_body = NewRefund,
    responses((status = 200, description = "The refund as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn refund_payment_dry_run(
    app: State<App>,
    token: Token,
    id: Path<String>,
    sent: Sent<NewRefund>,
) -> Result<Response, Problem> {
    refund(app, token, IdempotencyKey::of_dry_run(), id, sent).await
}

/// Undoes a payment exactly.
///
/// For operators; once, and not after a refund. All its movements are undone in one.
#[utoipa::path(
    operation_id = "reverse_payment",
    post, path = "/v1/payments/{id}/reversal", tag = "Payments", request_body = NewReversal,
    params(("id" = strings::PaymentId, Path, description = "The payment's id"), IdempotencyKey),
    responses((status = 201, description = "The reversal, booked: the payment's movements the other way", body = Payment)),
    extensions(("x-refusals" = json!([
        "unknown-payment", "not-undoable", "already-reversed", "already-refunded", "account-closed",
        "account-frozen", "insufficient-funds", "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn reverse(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Sent(sent): Sent<NewReversal>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, Meaning::Reverse { payment: &id, text: sent.text.as_deref() });
    booked(app.service.reverse(&asked, &id, sent.text.as_deref()).await?)
}

/// Tells what would become of a reversal, and undoes nothing.
///
/// For operators. As it would be decided now: the reversal, or the refusal.
#[utoipa::path(
    post, path = "/v1/payments/{id}/reversal/dry-run", tag = "Payments", params(("id" = strings::PaymentId, Path, description = "The payment's id")), request_body = NewReversal,
    responses((status = 200, description = "The reversal as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn reverse_payment_dry_run(
    app: State<App>,
    token: Token,
    id: Path<String>,
    sent: Sent<NewReversal>,
) -> Result<Response, Problem> {
    reverse(app, token, IdempotencyKey::of_dry_run(), id, sent).await
}
