//! The rights of customers on accounts.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::{CustomerId, Refusal, Right};
use ledger::{Currency, Money};
use serde::{Deserialize, Serialize};
use service::meaning::RightKind;
use service::{Fault, Meaning};
use utoipa::ToSchema;

use crate::amounts;
use crate::app::{App, changed, keyed, removed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Path, Token, numbered};
use crate::problem::Problem;

/// Kind of a right, by what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Right)]
pub(crate) enum RightName {
    /// To see the account and to move its money.
    Owner,
    /// To see it and to move its money, up to a limit in one payment where there is one.
    Signatory,
    /// To see it.
    ReadOnly,
}

impl From<RightName> for RightKind {
    fn from(right: RightName) -> Self {
        match right {
            RightName::Owner => Self::Owner,
            RightName::Signatory => Self::Signatory,
            RightName::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<Right> for RightName {
    fn from(right: Right) -> Self {
        match right {
            Right::Owner => Self::Owner,
            Right::Signatory { .. } => Self::Signatory,
            Right::ReadOnly => Self::ReadOnly,
        }
    }
}

/// A right to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "right": "signatory", "limit": "500.00" }))]
pub(crate) struct NewRight {
    /// Kind of the right, by what it allows.
    right: RightName,
    /// For a signatory: the most in one payment, in the account's currency; without end where none is given.
    #[schema(value_type = Option<strings::Decimal>)]
    limit: Option<String>,
}

impl NewRight {
    fn right(&self, currency: Currency) -> Result<Right, Fault> {
        Ok(match (self.right, &self.limit) {
            (RightName::Owner, None) => Right::Owner,
            (RightName::ReadOnly, None) => Right::ReadOnly,
            (RightName::Signatory, None) => Right::Signatory { limit_minor: None },
            (RightName::Signatory, Some(limit)) => {
                Right::Signatory { limit_minor: Some(amounts::limit(limit, currency)?) }
            }
            (RightName::Owner | RightName::ReadOnly, Some(_)) => {
                return Err(Fault::from(Refusal::LimitNeedsSignatory).in_field("limit"));
            }
        })
    }
}

/// A right.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountRight)]
pub(crate) struct RightView {
    /// The customer's number.
    #[schema(value_type = strings::Number)]
    pub(crate) customer: u32,
    /// Kind of the right, by what it allows.
    pub(crate) right: RightName,
    /// For a signatory: the most in one payment; null where there is no limit.
    #[schema(value_type = Option<strings::Decimal>, required)]
    pub(crate) limit: Option<String>,
}

impl From<service::RightView> for RightView {
    fn from(service::RightView { customer, right, currency }: service::RightView) -> Self {
        let limit = match right {
            Right::Signatory { limit_minor } => limit_minor,
            Right::Owner | Right::ReadOnly => None,
        };
        let limit = limit.map(|minor| Money { minor, currency }.to_string());
        Self { customer: customer.0, right: right.into(), limit }
    }
}

/// The rights on an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rights {
    /// In the order in which they were granted; an account has at most 100.
    rights: Vec<RightView>,
}

/// Gives a customer a right on an account.
///
/// For operators. It takes the place of the right that there was. A right to move money is had on a customer's account: a
/// liability, or for a loan an asset, whose overdraft has a limit; on any other, a right to read.
#[utoipa::path(
    operation_id = "grant_right",
    put, path = "/v1/accounts/{iban}/rights/{customer}", tag = "Accounts",
    params(
        ("iban" = strings::IbanTyped, Path, description = "The account's number"),
        ("customer" = strings::Number, Path, description = "The customer's number"),
        IdempotencyKey,
    ),
    request_body = NewRight,
    responses((status = 200, description = "The right", body = RightView)),
    extensions(("x-refusals" = json!([
        "unknown-customer", "not-a-customers-account", "overdraft-without-limit", "too-many-rights", "amount-not-positive", "limit-needs-signatory",
    ]))),
)]
pub(crate) async fn grant(
    State(app): State<App>,
    token: Token,
    Path((iban, customer)): Path<(String, String)>,
    key: IdempotencyKey,
    Sent(sent): Sent<NewRight>,
) -> Result<Response, Problem> {
    let (right, limit) = (sent.right.into(), sent.limit.as_deref());
    let meaning = Meaning::Grant { account: &iban, customer: &customer, right, limit };
    let asked = keyed(token, &key, meaning);
    let customer = numbered(&customer).map(CustomerId);
    let granted = app.service.grant(&asked, &iban, customer, |currency| sent.right(currency)).await?;
    Ok(changed(granted.is_repeated, RightView::from(granted.right)))
}

/// Takes a customer's right on an account away.
///
/// For operators.
#[utoipa::path(
    operation_id = "revoke_right",
    delete, path = "/v1/accounts/{iban}/rights/{customer}", tag = "Accounts",
    params(
        ("iban" = strings::IbanTyped, Path, description = "The account's number"),
        ("customer" = strings::Number, Path, description = "The customer's number"),
        IdempotencyKey,
    ),
    responses((status = 204, description = "The right is no more")),
    extensions(("x-refusals" = json!(["unknown-customer", "no-right"]))),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    token: Token,
    Path((iban, customer)): Path<(String, String)>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, Meaning::Revoke { account: &iban, customer: &customer });
    Ok(removed(app.service.revoke(&asked, &iban, numbered(&customer).map(CustomerId)).await?))
}

/// Lists the rights on an account.
///
/// For its owners, operators and auditors.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/rights", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number")),
    responses((status = 200, description = "The rights", body = Rights)),
    extensions(("x-refusals" = json!(["no-right", "owners-only"]))),
)]
pub(crate) async fn list_rights(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
) -> Result<Json<Rights>, Problem> {
    let rights = app.service.rights(token.0, &iban).await?;
    Ok(Json(Rights { rights: rights.into_iter().map(RightView::from).collect() }))
}
