//! Signing in and out, and who one is.
//!
//! A session is a random token that only its bearer knows; the bank keeps its hash. A wrong name and a wrong password
//! are told apart neither by the answer nor by its time, nor by how often one may try from an address that is not known.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bank::Role;
use edge::Client;
use serde::{Deserialize, Deserializer, Serialize};
use service::{Checked, MeView, NewSession};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::admission;
use crate::app::App;
use crate::description::strings;
use crate::extract::{Json as Sent, Token};
use crate::problem::{Kind, Problem};
use crate::times::moment;

/// A password on its way in: never shown, and wiped from memory.
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("…")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A name and its password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The user's name. Capital and small letters are the same.
    #[schema(value_type = strings::Text)]
    name: String,
    /// The password.
    #[schema(value_type = strings::GivenPassword)]
    password: Password,
}

/// A new session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Send it as `Authorization: Bearer …`. It is told once.
    #[schema(value_type = strings::SessionToken)]
    token: String,
    /// Time at which the session is over.
    #[schema(value_type = strings::Moment)]
    expires_at: String,
    /// User who signed in.
    user: SessionUser,
}

/// User who signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionUser {
    /// The user's number.
    #[schema(value_type = strings::Number)]
    id: u32,
    /// Role of the user.
    role: RoleName,
    /// The number of the customer for whom the user acts.
    #[schema(value_type = Option<strings::Number>, required)]
    customer: Option<u32>,
}

/// Role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Role)]
pub(crate) enum RoleName {
    /// Acts for one customer, within that customer's rights.
    Customer,
    /// Runs the bank.
    Operator,
    /// Sees all, changes nothing.
    Auditor,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Customer => Self::Customer,
            Role::Operator => Self::Operator,
            Role::Auditor => Self::Auditor,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Customer => Self::Customer,
            RoleName::Operator => Self::Operator,
            RoleName::Auditor => Self::Auditor,
        }
    }
}

/// Proof that not too many sign-ins came from the address, which is given. Looked at before the body is read.
pub(crate) struct SeldomEnough(Option<IpAddr>);

impl FromRequestParts<App> for SeldomEnough {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let address = parts.extensions.get().map(|Client(address)| *address);
        let counted = address.map(|address| app.guard.sign_in_of_address(address, Instant::now()));
        counted.transpose().map_err(|refusal| admission::refused(app, refusal))?;
        Ok(Self(address))
    }
}

/// Opens a session.
///
/// Its token goes with each request that follows. Where a user has as many sessions as allowed, the oldest is closed.
/// A wrong name and a wrong password are told apart neither by the answer nor by its time.
#[utoipa::path(
    post, path = "/v1/sign-in", tag = "Sign in", request_body = SignIn, security(()),
    responses((status = 200, description = "A session is open", body = Session)),
    extensions(("x-refusals" = json!(["wrong-credentials"]))),
)]
pub(crate) async fn sign_in(
    State(app): State<App>,
    SeldomEnough(address): SeldomEnough,
    Sent(sent): Sent<SignIn>,
) -> Result<Json<Session>, Problem> {
    let attempt = app.service.attempt(&sent.name, address)?;
    // Those who guess elsewhere take nothing from where the user signed in before.
    let counted = match attempt.known_address {
        Some(from) => app.guard.sign_in_from_known(from.0, Instant::now()),
        None => app.guard.sign_in_of_name(attempt.name.0, Instant::now()),
    };
    counted.map_err(|refusal| admission::refused(&app, refusal))?;
    let Password(password) = sent.password;
    let proven = match app.service.check(attempt, password).await {
        Ok(Checked::Right(proven)) => proven,
        Ok(Checked::Wrong) => {
            app.metrics.note_sign_in("wrong");
            return Err(Problem::of(Kind::WrongCredentials));
        }
        Err(fault) => {
            app.metrics.note_sign_in("busy");
            return Err(fault.into());
        }
    };
    let NewSession { token, expires_at, user, role, customer } = app.service.open_session(proven).await?;
    app.metrics.note_sign_in("accepted");
    let user = SessionUser { id: user.0, role: role.into(), customer: customer.map(|customer| customer.0) };
    Ok(Json(Session { token, expires_at: moment(expires_at), user }))
}

/// Ends the session.
///
/// Its token is worth nothing any more.
#[utoipa::path(
    post, path = "/v1/sign-out", tag = "Sign in",
    responses((status = 204, description = "The session is over")),
)]
pub(crate) async fn sign_out(State(app): State<App>, token: Token) -> Result<StatusCode, Problem> {
    app.service.sign_out(token.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// User who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The user's number.
    #[schema(value_type = strings::Number)]
    id: u32,
    /// The name to sign in with.
    #[schema(value_type = Option<strings::AnyText>, required)]
    name: Option<String>,
    /// Role of the user.
    role: RoleName,
    /// The customer for whom the user acts.
    #[schema(required)]
    customer: Option<MyCustomer>,
}

/// The customer for whom one acts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyCustomer {
    /// The customer's number.
    #[schema(value_type = strings::Number)]
    id: u32,
    /// The customer's name.
    #[schema(value_type = Option<strings::AnyText>, required)]
    name: Option<String>,
}

/// Tells who one is.
///
/// The user of the session, and the customer for whom the user acts.
#[utoipa::path(
    get, path = "/v1/me", tag = "Sign in",
    responses((status = 200, description = "The user who is signed in", body = Me)),
)]
pub(crate) async fn me(State(app): State<App>, token: Token) -> Result<Json<Me>, Problem> {
    let MeView { id, name, role, customer } = app.service.me(token.0).await?;
    let customer = customer.map(|customer| MyCustomer { id: customer.id.0, name: customer.name });
    Ok(Json(Me { id: id.0, name, role: role.into(), customer }))
}
