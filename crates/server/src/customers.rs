//! Customers: the persons and firms that have rights on accounts.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::{Body, CustomerId, Refusal, What};
use engine::{Field, NewSubject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, created, unexpected};
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token, numbered, text};
use crate::problem::Problem;
use crate::strings;

/// A customer to be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCustomer {
    /// The name, of at most 140 characters.
    #[schema(value_type = strings::Text)]
    name: String,
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Customer {
    /// The customer's number.
    #[schema(value_type = strings::Number)]
    pub(crate) id: u32,
    /// The name; null where the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    pub(crate) name: Option<String>,
}

/// A page of customers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Customers {
    /// In the order of their numbers.
    customers: Vec<Customer>,
    /// Where the next page begins; null where there is none.
    #[schema(value_type = Option<strings::Cursor>, required)]
    next_cursor: Option<String>,
}

/// Adds a customer.
///
/// For operators. A customer is a person or firm that has rights on accounts.
#[utoipa::path(
    post, path = "/v1/customers", tag = "Customers", params(IdempotencyKey), request_body = NewCustomer,
    responses((status = 201, description = "The new customer", body = Customer)),
    extensions(("x-refusals" = json!(["numbers-exhausted"]))),
)]
pub(crate) async fn add_customer(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewCustomer>,
) -> Result<Response, Problem> {
    let looked = app.prepare_write(token, &key, "POST /v1/customers", &sent, |_, _| text("name", &sent.name));
    let (write, name) = looked.await?;
    let subject = NewSubject::generate();
    let body = Body::AddCustomer { name: subject.seal(Field::CustomerName, name) };
    let receipt = app.submit(&write, body, Some(subject)).await?;
    let What::CustomerAdded { id, name } = &receipt.what else { return Err(unexpected(&receipt)) };
    let customer = Customer { id: id.0, name: app.open(Field::CustomerName, name)? };
    Ok(created(&receipt, &format!("/v1/customers/{}", id.0), customer))
}

/// Lists the customers.
///
/// For operators and auditors.
#[utoipa::path(
    get, path = "/v1/customers", tag = "Customers", params(Page),
    responses((status = 200, description = "A page of customers", body = Customers)),
    extensions(("x-refusals" = json!(["not-allowed"]))),
)]
pub(crate) async fn list_customers(
    State(app): State<App>,
    token: Token,
    Query(page): Query<Page>,
) -> Result<Json<Customers>, Problem> {
    let (first, limit) = page.places()?;
    let (names, count) = app
        .read(token, |state, who| {
            who.must_see_all()?;
            let customers = state.customers();
            let names: Vec<_> =
                customers.iter().skip(first).take(limit).map(|customer| customer.name.clone()).collect();
            Ok((names, customers.len()))
        })
        .await?;
    let next = first.saturating_add(names.len());
    let named = names.iter().zip((first..).skip(1)).map(|(name, number)| {
        let id = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Customer { id, name: app.open(Field::CustomerName, name)? })
    });
    let customers = named.collect::<Result<_, Problem>>()?;
    Ok(Json(Customers { customers, next_cursor: (next < count).then(|| next.to_string()) }))
}

/// Shows a customer.
///
/// For operators and auditors; a customer's users see their own.
#[utoipa::path(
    get, path = "/v1/customers/{id}", tag = "Customers", params(("id" = strings::Number, Path, description = "The customer's number")),
    responses((status = 200, description = "The customer", body = Customer)),
    extensions(("x-refusals" = json!(["not-allowed", "unknown-customer"]))),
)]
pub(crate) async fn show_customer(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<Json<Customer>, Problem> {
    let id = numbered(&id).map(CustomerId);
    let (id, name) = app
        .read(token, |state, who| {
            if !who.sees_all() && id != who.customer {
                return Err(Refusal::NotAllowed.into());
            }
            let id = id.ok_or(Refusal::UnknownCustomer)?;
            let customer = state.customer(id).ok_or(Refusal::UnknownCustomer)?;
            Ok((id, customer.name.clone()))
        })
        .await?;
    Ok(Json(Customer { id: id.0, name: app.open(Field::CustomerName, &name)? }))
}
