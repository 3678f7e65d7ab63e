//! Bookings of the bank's own: between its own accounts, fees, and corrections. Each has a reason, which is the text on the
//! statement. Money of one customer never goes to another this way.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use service::meaning::Transfer;
use service::{BookingOrder, Fault, Meaning};
use utoipa::ToSchema;

use crate::amounts::money;
use crate::app::{App, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Token};
use crate::payments::payment::{Payment, PaymentDryRun, booked};
use crate::problem::Problem;

/// Booking to be made by the bank.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "from": "AT049999900000000001", "to": "AT479999999999999998", "amount": "25.00", "currency": "EUR",
    "reason": "Account fee",
}))]
pub(crate) struct NewBooking {
    /// The number of the account that is debited.
    #[schema(value_type = strings::IbanTyped)]
    from: String,
    /// The number of the account that is credited.
    #[schema(value_type = strings::IbanTyped)]
    to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Reason for which it is booked, in at most 140 characters: the text on both statements.
    #[schema(value_type = strings::Text)]
    reason: String,
}

/// Books something of the bank's own.
///
/// For operators, with a reason that the statements show: between the bank's own accounts, or between a customer's account
/// and one of the bank's of kind `income` or `expense`, such as a fee, or interest. The customer's account is debited as far
/// as its balance, its overdraft and its status allow. From one customer's account to another's nothing can be booked: that
/// is a payment, which the customer orders, or a reversal. An account is a customer's as long as anybody has a right on it;
/// one of kind `income` or `expense` never is.
#[utoipa::path(
    post, path = "/v1/bookings", tag = "Payments", params(IdempotencyKey), request_body = NewBooking,
    responses((status = 201, description = "The booking", body = Payment)),
    extensions(("x-refusals" = json!([
        "between-customers", "not-income-or-expense", "amount-not-positive", "same-account", "currency-mismatch",
        "account-closed", "account-frozen", "insufficient-funds", "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn book(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewBooking>,
) -> Result<Response, Problem> {
    let NewBooking { from, to, amount, currency, reason } = &sent;
    let meaning = Meaning::Book { movement: Transfer { from, to, amount, currency }, reason };
    let asked = keyed(token, &key, meaning);
    let order = BookingOrder { from: &sent.from, to: &sent.to, reason: &sent.reason };
    let done = app.service.book(&asked, order, money(&sent.amount, &sent.currency)).await;
    booked(done.map_err(Fault::named_in_body)?)
}

/// Tells what would become of a booking, and books nothing.
///
/// As it would be decided now: the booking, or the refusal. For operators.
#[utoipa::path(
    post, path = "/v1/bookings/dry-run", tag = "Payments", request_body = NewBooking,
    responses((status = 200, description = "The booking as it would be made", body = PaymentDryRun)),
)]
pub(crate) async fn book_dry_run(app: State<App>, token: Token, sent: Sent<NewBooking>) -> Result<Response, Problem> {
    book(app, token, IdempotencyKey::of_dry_run(), sent).await
}
