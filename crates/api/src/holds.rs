//! Holds: money reserved for a payee, then taken in parts or whole, or let go.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use service::meaning::{Said, Transfer};
use service::{ChangedHold, Fault, Held, HoldOrder, HoldRole, HoldSearch, HoldState, HoldTermsView, HoldView, Meaning};
use utoipa::{IntoParams, ToSchema};

use crate::amounts::{money, some_money};
use crate::app::{App, changed, created, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token, cursor, digits};
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
    /// Expiry: what is not captured by then is let go. Within the days that the bank allows, 400 where it sets no others.
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
    /// In a list of an account's holds: whether that account pays or is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    role: Option<RoleName>,
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
    /// State of the hold: how far it was taken, and how it ended.
    state: HoldStateName,
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
    /// Amount of it that was captured; null where the books, of an older version, don't tell.
    #[schema(value_type = Option<strings::Decimal>, required)]
    captured: Option<String>,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Expiry: the time until which it is reserved; of a hold that is closed, the one with which it was placed.
    #[schema(value_type = strings::Moment)]
    expires_at: String,
    /// Time at which it was placed.
    #[schema(value_type = strings::Moment)]
    placed_at: String,
    /// Time at which it was closed: captured for the last time, voided or expired; null while it is open.
    #[schema(value_type = Option<strings::Moment>, required)]
    closed_at: Option<String>,
    /// The ids of its captures, which are payments, the oldest first: the first 100.
    #[schema(value_type = Vec<strings::PaymentId>)]
    captures: Vec<String>,
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
    /// Expiry from now on: the time until which the money is reserved; later than before, and within the days from now that
    /// the bank allows, 400 where it sets no others.
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

/// State of the hold: how far it was taken, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = HoldState)]
pub(crate) enum HoldStateName {
    /// Nothing of it was captured yet.
    Authorised,
    /// Some of it was captured, and more can be.
    PartlyCaptured,
    /// It was captured for the last time.
    Captured,
    /// Closed because somebody entitled to it let go what remained.
    Voided,
    /// Closed because its time was over; the rest was let go.
    Expired,
}

/// Side of a hold on which an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = HoldRole)]
pub(crate) enum RoleName {
    /// The account pays: the money is reserved on it.
    Payer,
    /// The account is paid.
    Payee,
}

/// Side of the holds that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WantedRole {
    /// Holds on the account.
    #[default]
    Payer,
    /// Holds towards the account.
    Payee,
    /// Both.
    Any,
}

/// State of the open holds that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OpenState {
    /// Nothing of it was captured yet.
    Authorised,
    /// Some of it was captured.
    PartlyCaptured,
}

/// Query of a list of holds. All that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WantedHolds {
    /// The `next_cursor` of the page before; without it the list begins.
    #[param(value_type = Option<strings::Cursor>)]
    #[serde(default, deserialize_with = "cursor")]
    cursor: Option<u64>,
    /// Maximum number of holds per page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    #[serde(default, deserialize_with = "digits")]
    limit: Option<u16>,
    /// Holds on the account (`payer`), as without it; towards the account (`payee`); or both (`any`).
    role: Option<WantedRole>,
    /// In this state.
    state: Option<OpenState>,
}

impl WantedHolds {
    fn search(&self) -> Result<HoldSearch, Fault> {
        let (after, limit) = Page { cursor: self.cursor, limit: self.limit }.read()?;
        let role = match self.role.unwrap_or_default() {
            WantedRole::Payer => Some(HoldRole::Payer),
            WantedRole::Payee => Some(HoldRole::Payee),
            WantedRole::Any => None,
        };
        let state = self.state.map(|state| match state {
            OpenState::Authorised => HoldState::Authorised,
            OpenState::PartlyCaptured => HoldState::PartlyCaptured,
        });
        Ok(HoldSearch { after: after.unwrap_or(0), limit, role, state })
    }
}

impl From<HoldState> for HoldStateName {
    fn from(state: HoldState) -> Self {
        match state {
            HoldState::Authorised => Self::Authorised,
            HoldState::PartlyCaptured => Self::PartlyCaptured,
            HoldState::Captured => Self::Captured,
            HoldState::Voided => Self::Voided,
            HoldState::Expired => Self::Expired,
        }
    }
}

impl From<HoldRole> for RoleName {
    fn from(role: HoldRole) -> Self {
        match role {
            HoldRole::Payer => Self::Payer,
            HoldRole::Payee => Self::Payee,
        }
    }
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
            state: terms.state.into(),
            from: terms.from,
            to: terms.to,
            amount: terms.amount.to_string(),
            remaining: terms.remaining.to_string(),
            captured: terms.captured.map(|captured| captured.to_string()),
            currency: terms.amount.currency.code().to_owned(),
            expires_at: moment(terms.expires_at),
            placed_at: moment(terms.placed_at),
            closed_at: terms.closed_at.map(moment),
            captures: terms.captures,
            text: terms.text,
            metadata: metadata::read(terms.metadata.as_deref())?,
        })
    }
}

impl Hold {
    pub(crate) fn of(hold: HoldView) -> Result<Self, Fault> {
        Ok(Self { id: hold.id, role: hold.role.map(RoleName::from), terms: HoldTerms::of(hold.terms)? })
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
        "not-a-customers-account", "no-right", "read-only-right", "above-signatory-limit", "not-a-payee", "hold-too-long", "hold-expired",
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
    let Held { id, terms, is_repeated } =
        app.service.place_hold(&asked, sent.order()).await.map_err(Fault::named_in_body)?;
    let terms = HoldTerms::of(terms)?;
    let Some(id) = id else {
        return Ok(Json(HoldDryRun { dry_run: true, terms }).into_response());
    };
    let hold = Hold { id, role: None, terms };
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
    extensions(("x-refusals" = json!(["unknown-hold", "no-right"]))),
)]
pub(crate) async fn show_hold(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<Json<Hold>, Problem> {
    Ok(Json(Hold::of(app.service.hold(token.0, &id).await?)?))
}

/// Lists the open holds on an account, or towards it.
///
/// The oldest first: those on the account, unless `role` asks for those towards it, of which the payer's own notes are not
/// shown. For those with a right on the account, operators and auditors.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/holds", tag = "Holds",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), WantedHolds),
    responses((status = 200, description = "A page of holds", body = Holds)),
    extensions(("x-refusals" = json!(["no-right"]))),
)]
pub(crate) async fn list_holds(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(wanted): Query<WantedHolds>,
) -> Result<Json<Holds>, Problem> {
    let page = app.service.holds(token.0, &iban, wanted.search()?).await?;
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
        "unknown-hold", "hold-not-open", "hold-expired", "not-a-customers-account", "no-right", "read-only-right",
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
    extensions(("x-refusals" = json!(["unknown-hold", "hold-not-open", "not-a-customers-account", "no-right", "read-only-right"]))),
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
        "unknown-hold", "hold-not-open", "hold-too-long", "hold-expired", "hold-not-longer", "not-a-customers-account", "no-right", "read-only-right",
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
