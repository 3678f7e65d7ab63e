//! Customers: the persons and firms that have rights on accounts.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::CustomerId;
use serde::{Deserialize, Serialize};
use service::{CustomerSearch, CustomerView, Meaning, NewCustomer as NewCustomerView, text};
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, created, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token, cursor, digits, numbered};
use crate::problem::Problem;

/// A customer to be.
#[derive(Debug, Deserialize, ToSchema)]
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
    /// Cursor of the next page; null where there is none.
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
    let asked = keyed(token, &key, Meaning::AddCustomer { name: &sent.name });
    let NewCustomerView { customer, is_repeated } = app.service.add_customer(&asked, &sent.name).await?;
    let customer = Customer::from(customer);
    Ok(created(is_repeated, &format!("/v1/customers/{}", customer.id), customer))
}

impl From<CustomerView> for Customer {
    fn from(CustomerView { id, name }: CustomerView) -> Self {
        Self { id: id.0, name }
    }
}

/// Query of a list of customers; those are listed for whom all holds that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CustomersAsked {
    /// A part of the name. Capital and small letters are the same. Names are under seal, so that some thousand are looked
    /// through for one page: a page may be short, or empty, and yet have a next one.
    #[param(value_type = Option<strings::Text>)]
    name: Option<String>,
    /// The number of an account on which the customer has a right.
    #[param(value_type = Option<strings::IbanTyped>)]
    iban: Option<String>,
    /// The whole name with which a user of the customer signs in.
    #[param(value_type = Option<strings::Text>)]
    user: Option<String>,
    /// The `next_cursor` of the page before; without it the list begins.
    #[param(value_type = Option<strings::Cursor>)]
    #[serde(default, deserialize_with = "cursor")]
    cursor: Option<u64>,
    /// Maximum number of customers per page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    #[serde(default, deserialize_with = "digits")]
    limit: Option<u16>,
}

/// Lists the customers, or finds some.
///
/// For operators and auditors.
#[utoipa::path(
    get, path = "/v1/customers", tag = "Customers", params(CustomersAsked),
    responses((status = 200, description = "A page of customers", body = Customers)),
    extensions(("x-refusals" = json!(["not-allowed"]))),
)]
pub(crate) async fn list_customers(
    State(app): State<App>,
    token: Token,
    Query(asked): Query<CustomersAsked>,
) -> Result<Json<Customers>, Problem> {
    let CustomersAsked { name, iban, user, cursor, limit } = asked;
    let (first, limit) = Page { cursor, limit }.places()?;
    let part = name.as_deref().map(|name| text("name", name)).transpose()?.map(str::to_lowercase);
    let user = user.as_deref().map(|user| text("user", user)).transpose()?;
    let search = CustomerSearch { name_part: part, iban: iban.as_deref(), user };
    let page = app.service.customers(token.0, search, first, limit).await?;
    let customers = page.customers.into_iter().map(Customer::from).collect();
    Ok(Json(Customers { customers, next_cursor: page.next.map(|next| next.to_string()) }))
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
    Ok(Json(app.service.customer(token.0, numbered(&id).map(CustomerId)).await?.into()))
}
