//! Customers: the persons and firms that have rights on accounts.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::{AccessCommand, AccessEvent, Body, CustomerId, NameIndex, Refusal, Sealed, State as Bank, What};
use engine::{Field, NewSubject};
use ledger::AccountId;
use serde::{Deserialize, Serialize};
use service::{Fault, account_of, text, unexpected};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, created};
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token, cursor, digits, numbered};
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
    let looked = app.prepare_write(token, &key, "POST /v1/customers", &sent, |_, _| text("name", &sent.name));
    let (write, name) = looked?;
    let body = name.map(|name| {
        let subject = NewSubject::generate();
        (Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, name) }), Some(subject))
    });
    let receipt = app.service.submit_with(&write, body, None).await?;
    let What::Access(AccessEvent::CustomerAdded { id, name }) = &receipt.what else {
        return Err(unexpected(&receipt).into());
    };
    let customer = Customer { id: id.0, name: app.service.open(Field::CustomerName, name)? };
    Ok(created(&receipt, &format!("/v1/customers/{}", id.0), customer))
}

/// The most names that are opened for one page of a search. Each is under a key of its own, and takes some 20 µs where
/// that must be read: so a page takes a twentieth of a second at most.
const MAX_NAMES_OPENED: usize = 2_000;

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
    let user = user.as_deref().map(|user| text("user", user)).transpose()?.map(|user| app.engine.name_index(user));
    let most = if part.is_some() { MAX_NAMES_OPENED } else { limit };
    let (sealed, next) = app
        .read(token, |state, who| {
            who.must_see_all()?;
            let held =
                iban.as_deref().map(|iban| account_of(state, iban).map_err(|it| it.in_field("iban"))).transpose()?;
            let ids: Vec<_> = candidates(state, held, user, first).take(most + 1).collect();
            let next = ids.get(most).map(|id| id.0 as usize - 1);
            let named = |id: &CustomerId| state.customer(*id).map(|customer| (*id, customer.name.clone()));
            Ok((ids.iter().take(most).filter_map(named).collect::<Vec<_>>(), next))
        })
        .await?;
    // Keys may have to be read from the disk, and others wait for this thread.
    let searching = app.clone();
    let found = spawn_blocking(move || search(&searching, sealed, part.as_deref(), limit)).await;
    let (customers, stopped) = found.map_err(|error| Problem::failed(&error))??;
    let next = stopped.or(next).map(|next| next.to_string());
    Ok(Json(Customers { customers, next_cursor: next }))
}

/// Those of the customers after so many who have a right on an account, and for whom a user acts, in the order of their
/// numbers.
fn candidates(
    state: &Bank,
    held: Option<AccountId>,
    user: Option<NameIndex>,
    first: usize,
) -> Box<dyn Iterator<Item = CustomerId> + '_> {
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let comes_later = move |id: &CustomerId| id.0 > first;
    match (user, held) {
        (Some(user), held) => {
            let customer = state.user_named(user).and_then(|id| state.user(id)?.customer).filter(comes_later);
            let fits = move |id: &CustomerId| held.is_none_or(|account| state.right(*id, account).is_some());
            Box::new(customer.filter(fits).into_iter())
        }
        (None, Some(account)) => {
            let rights = state.account_info(account).map(|info| info.rights.as_slice()).unwrap_or_default();
            let mut ids: Vec<_> = rights.iter().map(|(customer, _)| *customer).filter(comes_later).collect();
            ids.sort_unstable();
            Box::new(ids.into_iter())
        }
        (None, None) => {
            let count = u32::try_from(state.customers().len()).unwrap_or(u32::MAX);
            Box::new((first.saturating_add(1)..=count).map(CustomerId))
        }
    }
}

/// Opens names, one after the other, until so many are found that have the part. Gives the place of the first that was not
/// looked at, where some are left.
fn search(
    app: &App,
    sealed: Vec<(CustomerId, Sealed)>,
    part: Option<&str>,
    limit: usize,
) -> Result<(Vec<Customer>, Option<usize>), Fault> {
    let mut customers = Vec::new();
    for (id, name) in sealed {
        if customers.len() == limit {
            return Ok((customers, Some(id.0 as usize - 1)));
        }
        let name = app.service.open(Field::CustomerName, &name)?;
        if part.is_none_or(|part| name.as_ref().is_some_and(|name| name.to_lowercase().contains(part))) {
            customers.push(Customer { id: id.0, name });
        }
    }
    Ok((customers, None))
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
    Ok(Json(Customer { id: id.0, name: app.service.open(Field::CustomerName, &name)? }))
}
