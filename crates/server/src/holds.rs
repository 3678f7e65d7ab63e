//! Holds: money reserved for a payee, then taken in parts or whole, or let go.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::{Body, Refusal, Sealed, What};
use engine::Field;
use ledger::{AccountId, HoldId, Leg, Money};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::amounts::{money, some_money};
use crate::app::{App, account_of, changed, created, seen_account, subject_of, unexpected};
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token};
use crate::payments::{Payment, booked, ibans_of, sealed_text};
use crate::problem::Problem;
use crate::times::{moment, parse_moment};

/// Money to be reserved.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    /// The number of the account that will pay.
    from: String,
    /// The number of the account that will be paid.
    to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(example = "80.00")]
    amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(example = "EUR")]
    currency: String,
    /// Until when: what is not taken by then is let go.
    #[schema(format = DateTime, example = "2026-12-01T12:00:00Z")]
    expires_at: String,
    /// The text that goes with it, of at most 140 characters.
    text: Option<String>,
}

/// Reserved money.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hold {
    /// Its id, for ever.
    id: String,
    /// Whether money is still reserved.
    status: HoldStatus,
    /// The number of the account that pays.
    from: String,
    /// The number of the account that is paid.
    to: String,
    /// How much was reserved.
    #[schema(example = "80.00")]
    amount: String,
    /// How much of it still is.
    #[schema(example = "30.00")]
    remaining: String,
    /// The currency (ISO 4217).
    #[schema(example = "EUR")]
    currency: String,
    /// Until when.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The text that goes with it; null where there is none, or the person has been erased.
    text: Option<String>,
}

/// Whether money is still reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HoldStatus {
    /// Some of it is.
    Open,
    /// It was taken, voided, or its time is over.
    Closed,
}

/// What is to be taken of a hold.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    /// How much; all that is left where it is not given.
    #[schema(example = "50.00")]
    amount: Option<String>,
    /// The hold's currency (ISO 4217); given with the amount.
    #[schema(example = "EUR")]
    currency: Option<String>,
    /// Whether the rest is let go. It is not, where this is not given, so that more can be taken later.
    #[serde(default)]
    #[schema(required = false, default = false)]
    last: bool,
}

/// A page of holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Holds {
    /// The oldest first.
    holds: Vec<Hold>,
    /// Where the next page begins; null where there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A hold as the state and its event have it.
pub(crate) struct Known {
    pub(crate) id: HoldId,
    pub(crate) placed: ledger::Hold,
    pub(crate) remaining_minor: i64,
    pub(crate) text: Option<Sealed>,
}

impl Hold {
    pub(crate) fn of(app: &App, known: &Known, ibans: &[(AccountId, String)]) -> Result<Self, Problem> {
        let iban = |id| ibans.iter().find(|(known, _)| *known == id).map(|(_, iban)| iban.clone()).unwrap_or_default();
        let Known { id, placed, remaining_minor, text } = known;
        let remaining = Money { minor: *remaining_minor, ..placed.amount };
        Ok(Self {
            id: app.hold_ids.id(id.event()),
            status: if remaining.minor > 0 { HoldStatus::Open } else { HoldStatus::Closed },
            from: iban(placed.debit),
            to: iban(placed.credit),
            amount: placed.amount.to_string(),
            remaining: remaining.to_string(),
            currency: placed.amount.currency.code().to_owned(),
            expires_at: moment(placed.expires_at),
            text: app.open_some(Field::Text, text.as_ref())?,
        })
    }
}

/// Reserves money for a payee. For users of a customer with a right to move the paying account's money.
///
/// Reserved money is not available to its account, and can be captured by whoever may move the payee's money.
#[utoipa::path(
    post, path = "/v1/holds", tag = "Holds", params(IdempotencyKey), request_body = NewHold,
    responses((status = 201, description = "The hold", body = Hold)),
)]
pub(crate) async fn place_hold(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewHold>,
) -> Result<Response, Problem> {
    let amount = money(&sent.amount, &sent.currency)?;
    let expires_at = parse_moment("expires_at", &sent.expires_at)?;
    let looked = app.prepare_write(token, &key, "POST /v1/holds", &sent, |state, _| {
        let debit = account_of(state, &sent.from).map_err(|problem| problem.in_field("from"))?;
        let credit = account_of(state, &sent.to).map_err(|problem| problem.in_field("to"))?;
        Ok((debit, credit, ibans_of(state, &[debit, credit]), subject_of(state, debit)))
    });
    let (who, request, (debit, credit, ibans, subject)) = looked.await?;
    let text = sealed_text(&app, subject, sent.text.as_deref())?;
    let body = Body::PlaceHold { leg: Leg { debit, credit, amount }, expires_at, text };
    let receipt = app.submit(&who, request, body, None).await?;
    let What::HoldPlaced { hold, text } = &receipt.what else { return Err(unexpected(&receipt)) };
    let id = HoldId::new(receipt.event).ok_or_else(|| unexpected(&receipt))?;
    // As it was placed, for a retry as well.
    let known = Known { id, placed: *hold, remaining_minor: hold.remaining_minor, text: text.clone() };
    let hold = Hold::of(&app, &known, &ibans)?;
    Ok(created(&receipt, &format!("/v1/holds/{}", hold.id), hold))
}

/// Shows a hold, to those with a right on one of its accounts, operators and auditors.
#[utoipa::path(
    get, path = "/v1/holds/{id}", tag = "Holds", params(("id" = String, Path, description = "The hold's id")),
    responses((status = 200, description = "The hold", body = Hold)),
)]
pub(crate) async fn show_hold(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<Json<Hold>, Problem> {
    // Who asks is found out first, and with what they may see in the same look at the state below.
    app.prepare(token, |_, _| Ok(()))?;
    let id = hold_id(&app, &id)?;
    let (placed, text) = placed(&app, id).await?;
    let (remaining_minor, ibans) = app
        .read(token, |state, who| {
            let ids = [placed.debit, placed.credit];
            let seen = ids.iter().any(|id| who.must_see(state, *id).is_ok());
            let remaining = state.ledger().hold(id).map_or(0, |hold| hold.remaining_minor);
            if seen { Ok((remaining, ibans_of(state, &ids))) } else { Err(Refusal::NoRight.into()) }
        })
        .await?;
    Ok(Json(Hold::of(&app, &Known { id, placed, remaining_minor, text }, &ibans)?))
}

/// Lists the open holds on an account, the oldest first.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/holds", tag = "Holds",
    params(("iban" = String, Path, description = "The account's number"), Page),
    responses((status = 200, description = "A page of holds", body = Holds)),
)]
pub(crate) async fn list_holds(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Holds>, Problem> {
    let (after, limit) = page.read()?;
    let after = after.unwrap_or(0);
    let (found, ibans) = app
        .read(token, |state, who| {
            let account = seen_account(state, who, &iban)?;
            let on_account = |(id, hold): &(HoldId, &ledger::Hold)| hold.debit == account && id.event() > after;
            let found = state.ledger().holds().filter(on_account).take(limit.saturating_add(1));
            let found: Vec<_> = found.map(|(id, hold)| (id, hold.remaining_minor, hold.credit)).collect();
            let ids: Vec<AccountId> = found.iter().map(|(_, _, credit)| *credit).chain([account]).collect();
            Ok((found, ibans_of(state, &ids)))
        })
        .await?;
    let next = (found.len() > limit).then(|| found[limit.saturating_sub(1)].0.event().to_string());
    let mut holds = Vec::new();
    for (id, remaining_minor, _) in found.into_iter().take(limit) {
        let (placed, text) = placed(&app, id).await?;
        holds.push(Hold::of(&app, &Known { id, placed, remaining_minor, text }, &ibans)?);
    }
    Ok(Json(Holds { holds, next_cursor: next }))
}

/// Takes reserved money to its payee, in part or whole. For users with a right to move the payee's money, and operators.
#[utoipa::path(
    post, path = "/v1/holds/{id}/captures", tag = "Holds", request_body = Capture,
    params(("id" = String, Path, description = "The hold's id"), IdempotencyKey),
    responses((status = 201, description = "The payment, booked", body = Payment)),
)]
pub(crate) async fn capture(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
    Sent(sent): Sent<Capture>,
) -> Result<Response, Problem> {
    let amount = some_money(sent.amount.as_deref(), sent.currency.as_deref())?;
    let route = format!("POST /v1/holds/{id}/captures");
    let looked = app.prepare_write(token, &key, &route, &sent, |state, _| {
        let hold = hold_id(&app, &id)?;
        let open = state.ledger().hold(hold);
        // All that is left; of a hold that is not open any more the decision tells what became of the key.
        let rest = open.map(|open| Money { minor: open.remaining_minor, ..open.amount });
        Ok((hold, amount.or(rest)))
    });
    let (who, request, (hold, amount)) = looked.await?;
    let (placed, _) = placed(&app, hold).await?;
    let amount = amount.unwrap_or(placed.amount);
    booked(&app, &app.submit(&who, request, Body::Capture { hold, amount, last: sent.last }, None).await?)
}

/// Lets reserved money go. For users with a right to move the payee's money, and operators.
#[utoipa::path(
    post, path = "/v1/holds/{id}/void", tag = "Holds",
    params(("id" = String, Path, description = "The hold's id"), IdempotencyKey),
    responses((status = 200, description = "The hold, closed", body = Hold)),
)]
pub(crate) async fn void(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let route = format!("POST /v1/holds/{id}/void");
    let (who, request, hold) = app.prepare_write(token, &key, &route, &(), |_, _| hold_id(&app, &id)).await?;
    let (placed, text) = placed(&app, hold).await?;
    let receipt = app.submit(&who, request, Body::Void { hold }, None).await?;
    let ibans = app.engine.peek(|state| ibans_of(state, &[placed.debit, placed.credit]))?;
    Ok(changed(&receipt, Hold::of(&app, &Known { id: hold, placed, remaining_minor: 0, text }, &ibans)?))
}

fn hold_id(app: &App, id: &str) -> Result<HoldId, Problem> {
    let hold = app.hold_ids.event(id).and_then(HoldId::new);
    Ok(hold.ok_or(Refusal::from(ledger::Refusal::HoldNotOpen))?)
}

/// A hold as it was placed, and its text.
async fn placed(app: &App, id: HoldId) -> Result<(ledger::Hold, Option<Sealed>), Problem> {
    let engine = app.engine.clone();
    let found = spawn_blocking(move || engine.event(id.event())).await.map_err(|error| Problem::failed(&error))??;
    match found.map(|recorded| recorded.event.what) {
        Some(What::HoldPlaced { hold, text }) => Ok((hold, text)),
        _ => Err(Refusal::from(ledger::Refusal::HoldNotOpen).into()),
    }
}
