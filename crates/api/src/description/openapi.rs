//! The routes, and their description as OpenAPI 3.1, made from the same handlers.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{customers, rights, sign_in, users};
use crate::accounts::{account, balances, customer_accounts, entries, statement, trial_balance};
use crate::app::App;
use crate::description::{complete, docs, pages, strings};
use crate::events::{life, news};
use crate::payments::{batches, bookings, cash, list, payment, undo};
use crate::problem::{Document, FieldError};
use crate::system::{clock, health, metrics, time_zone};
use crate::{events, holds};

/// Introduction: what there is to know before the first request.
const INTRODUCTION: &str = "\
The interface of a bank's transaction server.

* **Amounts** are decimal strings with their currency, **times** are RFC 3339 in UTC, and **days** are the bank's, in \
its time zone, which `/v1/time-zones` tells.
* **Every write** takes an `Idempotency-Key` of your own. Repeated with the same request it gives the first answer again, \
a refusal too; keys never expire.
* **A dry run** tells what would happen, and does nothing: send the same request, without a key, to the same address with \
`/dry-run` at its end.
* **What an operation doesn't know**, a field or a parameter, it refuses.
* **Every refusal** is a problem document (RFC 9457) whose `type` is the address of a page that explains it. Each operation \
lists those that it can give. Beyond them, an address that is not there gives 404 `not-found`, and a method that an \
address does not take gives 405 `method-not-allowed` with the header `Allow`.
* **Rates**: `RateLimit` and `RateLimit-Policy` say how many requests are left; what comes faster gets a 429 with \
`Retry-After`.
* **Lists** come in pages: send `next_cursor` back as `cursor` until there is none.
* **Every answer** carries `Content-Security-Policy`, `Referrer-Policy` and `X-Content-Type-Options`, and where the \
server is asked under a name, `Strict-Transport-Security`. Clients tolerate fields, headers and kinds of problem that they don't know.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Kassa",
        description = INTRODUCTION,
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(
        Document,
        FieldError,
        balances::Step,
        holds::WantedRole,
        holds::OpenState,
        batches::BatchLine<'_>,
        batches::LineOutcome,
        batches::BatchEnd,
        news::PaymentBooked,
        news::HoldPlaced,
        news::HoldExtended,
        news::HoldReleased,
        news::AccountOpened,
        news::AccountRenamed,
        news::StatusSet,
        news::OverdraftSet,
        news::RightGranted,
        news::RightRevoked,
        news::CustomerAdded,
        news::UserAdded,
        news::TimeZoneSet,
        life::StreamOpened,
        life::Heartbeat,
        life::StreamClosed
    ))
)]
struct Base;

/// The description of the interface.
#[must_use]
pub fn openapi() -> Value {
    routes().1
}

/// All routes with their description.
pub(crate) fn routes() -> (axum::Router<App>, Value) {
    let (router, description) = OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(pages::home))
        .routes(routes!(pages::style))
        .routes(routes!(pages::explain))
        .routes(routes!(docs::index))
        .routes(routes!(docs::show))
        .routes(routes!(describe))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(sign_in::me))
        .routes(routes!(customers::add_customer, customers::list_customers))
        .routes(routes!(customers::show_customer))
        .routes(routes!(customer_accounts::list_accounts_of_customer))
        .routes(routes!(users::add_user, users::list_users))
        .routes(routes!(account::open_account, account::list_accounts))
        .routes(routes!(account::show_account))
        .routes(routes!(account::balance))
        .routes(routes!(balances::balances))
        .routes(routes!(account::rename))
        .routes(routes!(account::set_status))
        .routes(routes!(account::set_overdraft))
        .routes(routes!(entries::list_entries))
        .routes(routes!(statement::statement))
        .routes(routes!(statement::statement_csv))
        .routes(routes!(rights::grant, rights::revoke))
        .routes(routes!(rights::list_rights))
        .routes(routes!(payment::pay, list::list_payments))
        .routes(routes!(payment::pay_dry_run))
        .routes(routes!(payment::show_payment))
        .routes(routes!(payment::show_payment_by_key))
        .routes(routes!(batches::pay_batch))
        .routes(routes!(batches::show_batch))
        .routes(routes!(undo::refund))
        .routes(routes!(undo::refund_payment_dry_run))
        .routes(routes!(undo::reverse))
        .routes(routes!(undo::reverse_payment_dry_run))
        .routes(routes!(holds::place_hold))
        .routes(routes!(holds::place_hold_dry_run))
        .routes(routes!(holds::show_hold))
        .routes(routes!(holds::list_holds))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::capture_hold_dry_run))
        .routes(routes!(holds::void))
        .routes(routes!(holds::extend))
        .routes(routes!(events::events))
        .routes(routes!(cash::deposit))
        .routes(routes!(cash::deposit_dry_run))
        .routes(routes!(cash::withdraw))
        .routes(routes!(cash::withdraw_dry_run))
        .routes(routes!(bookings::book))
        .routes(routes!(bookings::book_dry_run))
        .routes(routes!(trial_balance::trial_balance))
        .routes(routes!(clock::confirm_clock))
        .routes(routes!(time_zone::show_time_zones, time_zone::set_time_zone))
        .split_for_parts();
    let description = serde_json::to_value(description).expect("the description is plain data, and can be written");
    (router, complete::complete(description))
}

/// Describes the interface, as OpenAPI 3.1.
///
/// Made from the code that serves it, so that it is always the server's own.
#[utoipa::path(
    get, path = "/openapi.json", tag = "Pages", security(()),
    responses((
        status = 200, description = "The description", body = strings::OpenApi, content_type = "application/json",
    )),
)]
async fn describe(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.description.clone()).into_response()
}
