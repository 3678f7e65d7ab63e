//! Users: those who can sign in.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::{AccessCommand, AccessEvent, Body, CustomerId, Refusal, SubjectId, What};
use engine::{Field, NewSubject};
use serde::{Deserialize, Serialize, Serializer};
use service::password::{MAX_CHARACTERS, MIN_CHARACTERS};
use service::{Fault, text, unexpected};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::app::{App, created};
use crate::extract::{IdempotencyKey, Json as Sent, Page, Query, Token, integer};
use crate::problem::Problem;
use crate::sign_in::{Password, RoleName};
use crate::strings;

/// A user to be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// The name to sign in with, of at most 140 characters. Capital and small letters are the same.
    #[schema(value_type = strings::Text)]
    name: String,
    /// The password, of 12 to 200 characters. It takes no part in telling a retry from another request, so that the
    /// journal holds nothing from which it could be guessed quickly; only whether its length is allowed does.
    #[serde(serialize_with = "nothing")]
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
    /// The command, under the key of the customer's `subject`, or for one of the bank's under a new one.
    fn sealed(
        &self,
        app: &App,
        name: &str,
        hash: &str,
        subject: Option<SubjectId>,
    ) -> Result<(Body, Option<NewSubject>), Fault> {
        let (name, password, new) = match subject {
            Some(subject) => (
                app.service.seal(subject, Field::UserName, name)?,
                app.service.seal(subject, Field::Password, hash)?,
                None,
            ),
            None => {
                let new = NewSubject::generate();
                (new.seal(Field::UserName, name), new.seal(Field::Password, hash), Some(new))
            }
        };
        let (role, customer) = (self.role.into(), self.customer.map(CustomerId));
        Ok((
            Body::Access(AccessCommand::AddUser {
                name_index: app.engine.name_index(&self.name),
                name,
                password,
                role,
                customer,
            }),
            new,
        ))
    }
}

/// Writes what a password is remembered as with a request: nothing; of one that is refused for its length, that it is,
/// so that the same request with a better one is another.
fn nothing<S: Serializer>(password: &Password, to: S) -> Result<S::Ok, S::Error> {
    if has_its_length(password) { to.serialize_unit() } else { to.serialize_bool(false) }
}

fn has_its_length(password: &Password) -> bool {
    (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&password.reveal().chars().count())
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
        "unknown-customer", "name-taken", "role-and-customer-disagree", "numbers-exhausted", "person-erased",
    ]))),
)]
pub(crate) async fn add_user(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewUser>,
) -> Result<Response, Problem> {
    // The caller's role and the customer are looked at before the work of hashing, and decided on after it.
    let looked = app.prepare_write(token, &key, "POST /v1/users", &sent, |state, who| {
        let name = text("name", &sent.name)?;
        if !has_its_length(&sent.password) {
            let detail = format!("a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters");
            return Err(Fault::field("password", detail));
        }
        who.must_run_the_bank()?;
        let subject = |id| state.customer(id).map(|customer| customer.name.subject).ok_or(Refusal::UnknownCustomer);
        Ok((name, sent.customer.map(CustomerId).map(subject).transpose()?))
    });
    let (write, found) = looked?;
    let body = match found {
        Ok((name, known)) => {
            let hash = app.service.hash_password(Zeroizing::new(sent.password.reveal().to_owned())).await?;
            sent.sealed(&app, name, &hash, known)
        }
        Err(problem) => Err(problem),
    };
    let receipt = app.service.submit_with(&write, body, None).await?;
    let What::Access(AccessEvent::UserAdded { id, name, role, customer, .. }) = &receipt.what else {
        return Err(unexpected(&receipt).into());
    };
    let user = UserView {
        id: id.0,
        name: app.service.open(Field::UserName, name)?,
        role: (*role).into(),
        customer: customer.map(|customer| customer.0),
    };
    Ok(created(&receipt, "/v1/users", user))
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
    let (found, count) = app
        .read(token, |state, who| {
            who.must_see_all()?;
            let users = state.users().iter().skip(first).take(limit);
            let found: Vec<_> = users.map(|user| (user.name.clone(), user.role, user.customer)).collect();
            Ok((found, state.users().len()))
        })
        .await?;
    let next = first.saturating_add(found.len());
    let users = found.iter().zip((first..).skip(1)).map(|((name, role, customer), number)| {
        Ok(UserView {
            id: u32::try_from(number).unwrap_or(u32::MAX),
            name: app.service.open(Field::UserName, name)?,
            role: (*role).into(),
            customer: customer.map(|customer| customer.0),
        })
    });
    let users = users.collect::<Result<_, Fault>>()?;
    Ok(Json(Users { users, next_cursor: (next < count).then(|| next.to_string()) }))
}
