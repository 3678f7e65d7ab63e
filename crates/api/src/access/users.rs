//! Users: those who can sign in.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::CustomerId;
use serde::{Deserialize, Serialize};
use service::password::has_its_length;
use service::{Fault, Meaning, UserOrder};
use utoipa::ToSchema;

use crate::access::sign_in::{Password, RoleName};
use crate::app::{App, created, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Page, Query, Token, integer};
use crate::problem::Problem;

/// A user to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// The name to sign in with, of at most 140 characters. Capital and small letters are the same.
    #[schema(value_type = strings::Text)]
    name: String,
    /// The password, of 12 to 200 characters. It takes no part in telling a retry from another request, so that the
    /// journal holds nothing from which it could be guessed quickly; only whether its length is allowed does.
    #[schema(value_type = strings::NewPassword)]
    password: Password,
    /// Role of the user.
    role: RoleName,
    /// The number of the customer for whom the user acts; with the role customer, and only then.
    #[schema(value_type = Option<strings::Number>)]
    #[serde(default, deserialize_with = "integer")]
    customer: Option<u32>,
}

impl NewUser {
    /// Of a password only this: whether it is refused for its length, so that the same request with a better one is
    /// another.
    fn meaning(&self) -> Meaning<'_> {
        let Self { name, password, role, customer } = self;
        let password_fits = has_its_length(password.reveal());
        Meaning::AddUser { name, password_fits, role: (*role).into(), customer: *customer }
    }
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView {
    /// The user's number.
    #[schema(value_type = strings::Number)]
    pub(crate) id: u32,
    /// The name to sign in with; null where the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    pub(crate) name: Option<String>,
    /// Role of the user.
    pub(crate) role: RoleName,
    /// The number of the customer for whom the user acts.
    #[schema(value_type = Option<strings::Number>, required)]
    pub(crate) customer: Option<u32>,
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    /// In the order of their numbers.
    users: Vec<UserView>,
    /// Cursor of the next page; null where there is none.
    #[schema(value_type = Option<strings::Cursor>, required)]
    next_cursor: Option<String>,
}

/// Adds a user.
///
/// For operators. A user signs in, and acts for a customer or for the bank.
#[utoipa::path(
    post, path = "/v1/users", tag = "Users", params(IdempotencyKey), request_body = NewUser,
    responses((status = 201, description = "The new user", body = UserView)),
    extensions(("x-refusals" = json!([
        "unknown-customer in body", "name-taken", "role-and-customer-disagree", "numbers-exhausted", "person-erased",
    ]))),
)]
pub(crate) async fn add_user(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewUser>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, sent.meaning());
    let order = UserOrder {
        name: &sent.name,
        password: sent.password.reveal(),
        role: sent.role.into(),
        customer: sent.customer.map(CustomerId),
    };
    let added = app.service.add_user(&asked, order).await.map_err(Fault::named_in_body)?;
    Ok(created(added.is_repeated, "/v1/users", UserView::from(added.user)))
}

impl From<service::UserView> for UserView {
    fn from(user: service::UserView) -> Self {
        let (id, customer) = (user.id.0, user.customer.map(|customer| customer.0));
        Self { id, name: user.name, role: user.role.into(), customer }
    }
}

/// Lists the users.
///
/// For operators and auditors.
#[utoipa::path(
    get, path = "/v1/users", tag = "Users", params(Page),
    responses((status = 200, description = "A page of users", body = Users)),
    extensions(("x-refusals" = json!(["not-allowed"]))),
)]
pub(crate) async fn list_users(
    State(app): State<App>,
    token: Token,
    Query(page): Query<Page>,
) -> Result<Json<Users>, Problem> {
    let (first, limit) = page.places()?;
    let page = app.service.users(token.0, first, limit).await?;
    let users = page.users.into_iter().map(UserView::from).collect();
    Ok(Json(Users { users, next_cursor: page.next.map(|next| next.to_string()) }))
}
