//! Cash at the desk: deposits and withdrawals, booked against the cash account of their currency.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use service::{CashOrder, Fault, Meaning, meaning};
use utoipa::ToSchema;

use crate::amounts::money;
use crate::app::{App, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Token};
use crate::payments::payment::{Payment, PaymentDryRun, booked};
use crate::problem::Problem;

/// Cash brought or taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cash {
    /// The account's number.
    #[schema(value_type = strings::IbanTyped)]
    account: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The account's currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// The text on the statement, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    text: Option<String>,
}

/// Books cash that was brought.
///
/// For operators. It is booked against the cash account of its currency.
#[utoipa::path(
    post, path = "/v1/deposits", tag = "Payments", params(IdempotencyKey), request_body = Cash,
    responses((status = 201, description = "The deposit, booked", body = Payment)),
    extensions(("x-refusals" = json!([
        "no-cash-account", "amount-not-positive", "same-account", "currency-mismatch", "account-closed",
        "account-frozen", "insufficient-funds", "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn deposit(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<Cash>,
) -> Result<Response, Problem> {
    book(&app, token, &key, &sent, true).await
}

/// Tells what would become of a deposit, and books nothing.
///
/// For operators. As it would be decided now: the deposit, or the refusal.
#[utoipa::path(
    post, path = "/v1/deposits/dry-run", tag = "Payments", request_body = Cash,
    responses((status = 200, description = "The deposit as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn deposit_dry_run(app: State<App>, token: Token, sent: Sent<Cash>) -> Result<Response, Problem> {
    deposit(app, token, IdempotencyKey::of_dry_run(), sent).await
}

/// Books cash that is taken.
///
/// For operators. It is booked against the cash account of its currency.
#[utoipa::path(
    post, path = "/v1/withdrawals", tag = "Payments", params(IdempotencyKey), request_body = Cash,
    responses((status = 201, description = "The withdrawal, booked", body = Payment)),
    extensions(("x-refusals" = json!([
        "no-cash-account", "amount-not-positive", "same-account", "currency-mismatch", "account-closed",
        "account-frozen", "insufficient-funds", "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn withdraw(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<Cash>,
) -> Result<Response, Problem> {
    book(&app, token, &key, &sent, false).await
}

/// Tells what would become of a withdrawal, and books nothing.
///
/// For operators. As it would be decided now: the withdrawal, or the refusal.
#[utoipa::path(
    post, path = "/v1/withdrawals/dry-run", tag = "Payments", request_body = Cash,
    responses((status = 200, description = "The withdrawal as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn withdraw_dry_run(app: State<App>, token: Token, sent: Sent<Cash>) -> Result<Response, Problem> {
    withdraw(app, token, IdempotencyKey::of_dry_run(), sent).await
}

async fn book(app: &App, token: Token, key: &IdempotencyKey, sent: &Cash, brought: bool) -> Result<Response, Problem> {
    let Cash { account, amount, currency, text } = sent;
    let cash = meaning::Cash { account, amount, currency, text: text.as_deref() };
    let asked = keyed(token, key, if brought { Meaning::Deposit(cash) } else { Meaning::Withdraw(cash) });
    let order = money(&sent.amount, &sent.currency).map(|amount| CashOrder {
        account: &sent.account,
        amount,
        text: sent.text.as_deref(),
        is_brought: brought,
    });
    booked(app.service.book_cash(&asked, order).await.map_err(Fault::named_in_body)?)
}
