//! Holds: money reserved for a payee, then taken in parts or whole, or let go.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use service::meaning::{Said, Transfer};
use service::{ChangedHold, Fault, Held, HoldOrder, HoldTermsView, HoldView, Meaning};
use utoipa::ToSchema;

use crate::amounts::{money, some_money};
use crate::app::{App, changed, created, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token};
use crate::payments::metadata::{self, Metadata};
use crate::payments::payment::{Payment, PaymentDryRun, booked};
use crate::problem::Problem;
use crate::times::{meant_moment, moment, parse_moment};

/// Money to be reserved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    /// The number of the account that will pay.
    #[schema(value_type = strings::IbanTyped)]
    from: String,
    /// The number of the account that will be paid.
    #[schema(value_type = strings::IbanTyped)]
    to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Expiry: what is not captured by then is let go.
    #[schema(value_type = strings::MomentToCome)]
    expires_at: String,
    /// The text that goes with it, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    text: Option<String>,
    /// The payer's own notes, which the payee doesn't see: at most 20 pairs, each of a key of at most 40 letters, digits,
    /// `_`, `-` and `.`, and a value of at most 200 characters.
    #[schema(value_type = Option<strings::Notes>)]
    metadata: Option<Metadata>,
}

/// Reserved money.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hold {
    /// Its id, for ever.
    #[schema(value_type = strings::HoldId)]
    id: String,
    #[serde(flatten)]
    terms: HoldTerms,
}

/// A hold as it would be placed now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldDryRun {
    /// Always `true`: nothing was reserved.
    #[schema(example = true)]
    dry_run: bool,
    #[serde(flatten)]
    terms: HoldTerms,
}

/// Hold without its id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldTerms {
    /// Status of the hold: whether money is still reserved.
    status: HoldStatus,
    /// The number of the account that pays.
    #[schema(value_type = strings::Iban)]
    from: String,
    /// The number of the account that is paid.
    #[schema(value_type = strings::Iban)]
    to: String,
    /// Amount that was reserved.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// Amount of it that still is reserved.
    #[schema(value_type = strings::Decimal)]
    remaining: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Expiry: the time until which it is reserved; of a hold that is closed, the one with which it was placed.
    #[schema(value_type = strings::Moment)]
    expires_at: String,
    /// The text that goes with it; null where there is none, or the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    text: Option<String>,
    /// The payer's own notes, for those with a right on the account that pays, operators and auditors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::ShownNotes>, required = false, nullable = false)]
    metadata: Option<Metadata>,
}

/// More time for a hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extension {
    /// Expiry from now on: the time until which the money is reserved; later than before.
    #[schema(value_type = strings::MomentToCome)]
    expires_at: String,
}

/// Status of the hold: whether money is still reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HoldStatus {
    /// Some of it is.
    Open,
    /// It was taken, voided, or its time is over.
    Closed,
}

/// Capture of a hold, to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    /// Amount; all that is left where it is not given.
    #[schema(value_type = Option<strings::Decimal>)]
    amount: Option<String>,
    /// The hold's currency (ISO 4217); given with the amount.
    #[schema(value_type = Option<strings::Currency>)]
    currency: Option<String>,
    /// `true` if the rest is to be let go. It is not, where this is not given, so that more can be captured later.
    #[serde(default)]
    #[schema(required = false, example = true)]
    last: bool,
}

/// A page of holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Holds {
    /// The oldest first.
    holds: Vec<Hold>,
    /// Cursor of the next page; null where there is none.
    #[schema(value_type = Option<strings::Cursor>, required)]
    next_cursor: Option<String>,
}

impl HoldTerms {
    fn of(terms: HoldTermsView) -> Result<Self, Fault> {
        Ok(Self {
            status: if terms.remaining.minor > 0 { HoldStatus::Open } else { HoldStatus::Closed },
            from: terms.from,
            to: terms.to,
            amount: terms.amount.to_string(),
            remaining: terms.remaining.to_string(),
            currency: terms.amount.currency.code().to_owned(),
            expires_at: moment(terms.expires_at),
            text: terms.text,
            metadata: metadata::read(terms.metadata.as_deref())?,
        })
    }
}

impl Hold {
    pub(crate) fn of(hold: HoldView) -> Result<Self, Fault> {
        Ok(Self { id: hold.id, terms: HoldTerms::of(hold.terms)? })
    }
}

impl NewHold {
    fn meaning(&self) -> Meaning<'_> {
        let Self { from, to, amount, currency, expires_at, text, metadata } = self;
        let said = Said { text: text.as_deref(), metadata: metadata.as_ref(), end_to_end_id: None };
        let movement = Transfer { from, to, amount, currency };
        Meaning::PlaceHold { movement, expires_at: meant_moment(expires_at), said }
    }

    /// The order to reserve, with its amount and its time read.
    fn order(&self) -> Result<HoldOrder<'_>, Fault> {
        Ok(HoldOrder {
            from: &self.from,
            to: &self.to,
            amount: money(&self.amount, &self.currency)?,
            expires_at: parse_moment("expires_at", &self.expires_at)?,
            text: self.text.as_deref(),
            metadata: metadata::written(self.metadata.as_ref())?,
        })
    }
}

/// Reserves money for a payee.
///
/// For users of a customer with a right to move the paying account's money. Reserved money is not available to its
/// account, and can be captured by whoever may move the payee's money.
#[utoipa::path(
    post, path = "/v1/holds", tag = "Holds", params(IdempotencyKey), request_body = NewHold,
    responses((status = 201, description = "The hold", body = Hold)),
    extensions(("x-refusals" = json!([
        "not-a-customers-account", "no-right", "read-only-right", "above-signatory-limit", "not-a-payee", "hold-expired",
        "amount-not-positive", "same-account", "currency-mismatch", "account-closed", "account-frozen",
        "insufficient-funds", "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn place_hold(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewHold>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, sent.meaning());
    let Held { id, terms, is_repeated } = app.service.place_hold(&asked, sent.order()).await?;
    let terms = HoldTerms::of(terms)?;
    let Some(id) = id else {
        return Ok(Json(HoldDryRun { dry_run: true, terms }).into_response());
    };
    let hold = Hold { id, terms };
    Ok(created(is_repeated, &format!("/v1/holds/{}", hold.id), hold))
}

/// Tells what would become of a hold, and reserves nothing.
///
/// As it would be decided now: the hold, or the refusal. For those who may place it.
#[utoipa::path(
    post, path = "/v1/holds/dry-run", tag = "Holds", request_body = NewHold,
    responses((status = 200, description = "The hold as it would be placed", body = HoldDryRun)),
)]
pub(crate) async fn place_hold_dry_run(
    app: State<App>,
    token: Token,
    sent: Sent<NewHold>,
) -> Result<Response, Problem> {
    place_hold(app, token, IdempotencyKey::of_dry_run(), sent).await
}

/// Shows a hold.
///
/// For those with a right on one of its accounts, operators and auditors.
#[utoipa::path(
    get, path = "/v1/holds/{id}", tag = "Holds", params(("id" = strings::HoldId, Path, description = "The hold's id")),
    responses((status = 200, description = "The hold", body = Hold)),
    extensions(("x-refusals" = json!(["hold-not-open", "no-right"]))),
)]
pub(crate) async fn show_hold(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<Json<Hold>, Problem> {
    Ok(Json(Hold::of(app.service.hold(token.0, &id).await?)?))
}

/// Lists the open holds on an account.
///
/// The oldest first. For those with a right on the account, operators and auditors.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/holds", tag = "Holds",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), Page),
    responses((status = 200, description = "A page of holds", body = Holds)),
    extensions(("x-refusals" = json!(["no-right", "hold-not-open"]))),
)]
pub(crate) async fn list_holds(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Holds>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.service.holds(token.0, &iban, after.unwrap_or(0), limit).await?;
    let holds = page.holds.into_iter().map(Hold::of).collect::<Result<_, _>>()?;
    Ok(Json(Holds { holds, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// Takes reserved money to its payee, in part or whole.
///
/// For users with a right to move the payee's money, and operators.
#[utoipa::path(
    operation_id = "capture_hold",
    post, path = "/v1/holds/{id}/captures", tag = "Holds", request_body = Capture,
    params(("id" = strings::HoldId, Path, description = "The hold's id"), IdempotencyKey),
    responses((status = 201, description = "The payment, booked", body = Payment)),
    extensions(("x-refusals" = json!([
        "hold-not-open", "hold-expired", "not-a-customers-account", "no-right", "read-only-right",
        "above-signatory-limit", "amount-incomplete", "amount-not-positive", "currency-mismatch", "account-closed", "account-frozen",
        "capture-exceeds-hold", "insufficient-funds", "balance-out-of-range",
    ]))),
)]
pub(crate) async fn capture(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Sent(sent): Sent<Capture>,
) -> Result<Response, Problem> {
    let Capture { amount, currency, last } = &sent;
    let (amount, currency) = (amount.as_deref(), currency.as_deref());
    let asked = keyed(token, &key, Meaning::Capture { hold: &id, amount, currency, last: *last });
    let amount = some_money(amount, currency);
    booked(app.service.capture(&asked, &id, amount, sent.last).await?)
}

/// Tells what would become of a capture, and takes nothing.
///
/// As it would be decided now: the payment, or the refusal. For those who may capture.
#[utoipa::path(
    post, path = "/v1/holds/{id}/captures/dry-run", tag = "Holds", params(("id" = strings::HoldId, Path, description = "The hold's id")), request_body = Capture,
    responses((status = 200, description = "The payment as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn capture_hold_dry_run(
    app: State<App>,
    token: Token,
    id: Path<String>,
    sent: Sent<Capture>,
) -> Result<Response, Problem> {
    capture(app, token, IdempotencyKey::of_dry_run(), id, sent).await
}

/// Lets reserved money go.
///
/// For users with a right to move the payee's money, and operators.
#[utoipa::path(
    operation_id = "void_hold",
    post, path = "/v1/holds/{id}/void", tag = "Holds",
    params(("id" = strings::HoldId, Path, description = "The hold's id"), IdempotencyKey),
    responses((status = 200, description = "The hold, closed", body = Hold)),
    extensions(("x-refusals" = json!(["hold-not-open", "not-a-customers-account", "no-right", "read-only-right"]))),
)]
pub(crate) async fn void(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, Meaning::Void { hold: &id });
    let ChangedHold { hold, is_repeated } = app.service.void(&asked, &id).await?;
    Ok(changed(is_repeated, Hold::of(hold)?))
}

/// Gives a hold more time.
///
/// For users with a right to move the payer's money, up to what is still reserved, and operators.
#[utoipa::path(
    operation_id = "extend_hold",
    post, path = "/v1/holds/{id}/extension", tag = "Holds", request_body = Extension,
    params(("id" = strings::HoldId, Path, description = "The hold's id"), IdempotencyKey),
    responses((status = 200, description = "The hold, with its new time", body = Hold)),
    extensions(("x-refusals" = json!([
        "hold-not-open", "hold-expired", "hold-not-longer", "not-a-customers-account", "no-right", "read-only-right",
        "above-signatory-limit",
    ]))),
)]
pub(crate) async fn extend(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Sent(sent): Sent<Extension>,
) -> Result<Response, Problem> {
    let expires_at = meant_moment(&sent.expires_at);
    let asked = keyed(token, &key, Meaning::ExtendHold { hold: &id, expires_at });
    let expires_at = parse_moment("expires_at", &sent.expires_at);
    let ChangedHold { hold, is_repeated } = app.service.extend_hold(&asked, &id, expires_at).await?;
    Ok(changed(is_repeated, Hold::of(hold)?))
}
