//! Holds: money reserved for a payee, then taken in parts or whole, or let go.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bank::{Body, HoldCommand, HoldEvent, Refusal, Sealed, What};
use engine::Field;
use ledger::{AccountId, HoldId, Money, Timestamp};
use serde::{Deserialize, Serialize};
use service::{Fault, is_dry, leg_of, seen_account, subject_of, unexpected};
use utoipa::ToSchema;

use crate::amounts::{money, some_money};
use crate::app::{App, changed, created};
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token};
use crate::metadata::{self, Metadata};
use crate::payments::{Parties, Payment, PaymentDryRun, booked, sealed_text};
use crate::problem::Problem;
use crate::strings;
use crate::times::{moment, parse_moment};

/// Money to be reserved.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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

/// A hold as its event has it, and as the state has it now.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) placed: ledger::Hold,
    remaining_minor: i64,
    expires_at: Timestamp,
    text: Option<Sealed>,
    metadata: Option<Sealed>,
}

impl Known {
    /// The hold that an event placed, as it was then.
    pub(crate) fn placed(what: &What) -> Option<Self> {
        let What::Holds(HoldEvent::HoldPlaced { hold, text, metadata }) = what else { return None };
        Some(Self {
            placed: *hold,
            remaining_minor: hold.remaining_minor,
            expires_at: hold.expires_at,
            text: text.clone(),
            metadata: metadata.clone(),
        })
    }

    /// Returns the hold as it is now: a hold that is not open has nothing left.
    pub(crate) fn now(mut self, open: Option<&ledger::Hold>) -> Self {
        self.remaining_minor = open.map_or(0, |hold| hold.remaining_minor);
        self.expires_at = open.map_or(self.expires_at, |hold| hold.expires_at);
        self
    }

    pub(crate) fn ids(&self) -> [AccountId; 2] {
        [self.placed.debit, self.placed.credit]
    }
}

impl HoldTerms {
    fn of(app: &App, known: &Known, parties: &Parties) -> Result<Self, Fault> {
        let Known { placed, remaining_minor, expires_at, text, metadata } = known;
        let remaining = Money { minor: *remaining_minor, ..placed.amount };
        Ok(Self {
            status: if remaining.minor > 0 { HoldStatus::Open } else { HoldStatus::Closed },
            from: parties.iban(placed.debit),
            to: parties.iban(placed.credit),
            amount: placed.amount.to_string(),
            remaining: remaining.to_string(),
            currency: placed.amount.currency.code().to_owned(),
            expires_at: moment(*expires_at),
            text: app.service.open_some(Field::Text, text.as_ref())?,
            metadata: metadata::opened(app, metadata.as_ref().filter(|_| parties.payer))?,
        })
    }
}

impl Hold {
    pub(crate) fn of(app: &App, id: HoldId, known: &Known, parties: &Parties) -> Result<Self, Fault> {
        Ok(Self { id: app.service.hold_ids().id(id.event()), terms: HoldTerms::of(app, known, parties)? })
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
    let looked = app.prepare_movement(token, &key, "POST /v1/holds", &sent, |state, _| {
        let amount = money(&sent.amount, &sent.currency)?;
        let expires_at = parse_moment("expires_at", &sent.expires_at)?;
        let leg = leg_of(state, &sent.from, &sent.to, amount)?;
        Ok((leg, expires_at, subject_of(state, leg.debit)))
    });
    let (write, found) = looked?;
    let body = found.and_then(|(leg, expires_at, subject)| {
        let text = sealed_text(&app, subject, sent.text.as_deref())?;
        let metadata = metadata::sealed(&app, subject, sent.metadata.as_ref())?;
        Ok(Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text, metadata }))
    });
    let receipt = app.service.submit(&write, body).await?;
    // As it was placed, for a retry as well.
    let known = Known::placed(&receipt.what).ok_or_else(|| unexpected(&receipt))?;
    let parties = app.engine.peek(|state| Parties::payers(state, &known.ids()))?;
    if is_dry(&receipt) {
        let terms = HoldTerms::of(&app, &known, &parties)?;
        return Ok(Json(HoldDryRun { dry_run: true, terms }).into_response());
    }
    let id = HoldId::new(receipt.event).ok_or_else(|| unexpected(&receipt))?;
    let hold = Hold::of(&app, id, &known, &parties)?;
    Ok(created(&receipt, &format!("/v1/holds/{}", hold.id), hold))
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
    // The caller is found out first, and with what they may see in the same look at the state below.
    app.prepare(token, |_, _| Ok(()))?;
    let id = hold_id(&app, &id)?;
    let known = placed(&app, id).await?;
    let (known, parties) = app
        .read(token, |state, who| {
            let parties = Parties::seen(state, who, &known.ids())?;
            Ok((known.now(state.ledger().hold(id)), parties))
        })
        .await?;
    Ok(Json(Hold::of(&app, id, &known, &parties)?))
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
    let after = after.unwrap_or(0);
    let (found, parties) = app
        .read(token, |state, who| {
            let account = seen_account(state, who, &iban)?;
            let on_account = |(id, hold): &(HoldId, &ledger::Hold)| hold.debit == account && id.event() > after;
            let found = state.ledger().holds().filter(on_account).take(limit.saturating_add(1));
            let found: Vec<_> = found.map(|(id, hold)| (id, *hold)).collect();
            let ids: Vec<AccountId> = found.iter().map(|(_, hold)| hold.credit).chain([account]).collect();
            Ok((found, Parties::payers(state, &ids)))
        })
        .await?;
    let next = (found.len() > limit).then(|| found[limit.saturating_sub(1)].0.event().to_string());
    let mut holds = Vec::new();
    for (id, open) in found.into_iter().take(limit) {
        holds.push(Hold::of(&app, id, &placed(&app, id).await?.now(Some(&open)), &parties)?);
    }
    Ok(Json(Holds { holds, next_cursor: next }))
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
    let route = format!("POST /v1/holds/{id}/captures");
    let looked = app.prepare_movement(token, &key, &route, &sent, |state, _| {
        let amount = some_money(sent.amount.as_deref(), sent.currency.as_deref())?;
        let hold = hold_id(&app, &id)?;
        let open = state.ledger().hold(hold);
        // All that is left; of a hold that is not open any more the decision tells what became of the key.
        let rest = open.map(|open| Money { minor: open.remaining_minor, ..open.amount });
        Ok((hold, amount.or(rest)))
    });
    let (write, found) = looked?;
    let found = match found {
        Ok((hold, None)) => placed(&app, hold).await.map(|known| (hold, known.placed.amount)),
        Ok((hold, Some(amount))) => Ok((hold, amount)),
        Err(problem) => Err(problem),
    };
    let body = found.map(|(hold, amount)| Body::Holds(HoldCommand::Capture { hold, amount, last: sent.last }));
    booked(&app, &app.service.submit(&write, body).await?)
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
    let route = format!("POST /v1/holds/{id}/void");
    let (write, hold) = app.prepare_write(token, &key, &route, &(), |_, _| hold_id(&app, &id))?;
    let receipt = app.service.submit(&write, hold.map(|hold| Body::Holds(HoldCommand::Void { hold }))).await?;
    let What::Holds(HoldEvent::HoldReleased { hold, .. }) = receipt.what else {
        return Err(unexpected(&receipt).into());
    };
    let known = placed(&app, hold).await?;
    let (known, parties) = app.engine.peek(|state| {
        let parties = Parties::of(state, &write.who, &known.ids());
        (known.now(None), parties)
    })?;
    Ok(changed(&receipt, Hold::of(&app, hold, &known, &parties)?))
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
    let route = format!("POST /v1/holds/{id}/extension");
    let looked = app.prepare_write(token, &key, &route, &sent, |_, _| {
        let expires_at = parse_moment("expires_at", &sent.expires_at)?;
        Ok((hold_id(&app, &id)?, expires_at))
    });
    let (write, found) = looked?;
    let body = found.map(|(hold, expires_at)| Body::Holds(HoldCommand::Extend { hold, expires_at }));
    let receipt = app.service.submit(&write, body).await?;
    let What::Holds(HoldEvent::HoldExtended { hold, expires_at }) = receipt.what else {
        return Err(unexpected(&receipt).into());
    };
    let known = placed(&app, hold).await?;
    let (known, parties) = app.engine.peek(|state| {
        let parties = Parties::of(state, &write.who, &known.ids());
        (known.now(state.ledger().hold(hold)), parties)
    })?;
    Ok(changed(&receipt, Hold::of(&app, hold, &Known { expires_at, ..known }, &parties)?))
}

fn hold_id(app: &App, id: &str) -> Result<HoldId, Fault> {
    let hold = app.service.hold_ids().event(id).and_then(HoldId::new);
    Ok(hold.ok_or(Refusal::from(ledger::Refusal::HoldNotOpen))?)
}

/// A hold as it was placed.
async fn placed(app: &App, id: HoldId) -> Result<Known, Fault> {
    let found = app.engine.find_event(id.event()).await?;
    let known = found.and_then(|recorded| Known::placed(&recorded.event.what));
    known.ok_or_else(|| Refusal::from(ledger::Refusal::HoldNotOpen).into())
}
