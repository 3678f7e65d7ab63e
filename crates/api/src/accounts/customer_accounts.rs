//! The accounts on which a customer has a right, for whoever has the customer before them.

use axum::Json;
use axum::extract::State;
use bank::CustomerId;

use crate::accounts::account::Accounts;
use crate::app::App;
use crate::description::strings;
use crate::extract::{Page, Path, Query, Token, numbered};
use crate::problem::Problem;

/// Lists a customer's accounts.
///
/// For operators and auditors; a customer's users see their own. Each with the right that the customer has on it.
#[utoipa::path(
    get, path = "/v1/customers/{id}/accounts", tag = "Customers",
    params(("id" = strings::Number, Path, description = "The customer's number"), Page),
    responses((status = 200, description = "A page of the customer's accounts", body = Accounts)),
    extensions(("x-refusals" = json!(["not-allowed", "unknown-customer"]))),
)]
pub(crate) async fn list_accounts_of_customer(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Accounts>, Problem> {
    let (first, limit) = page.places()?;
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let id = numbered(&id).map(CustomerId);
    Ok(Json(Accounts::of(app.service.accounts_of_customer(token.0, id, first, limit).await?)))
}
