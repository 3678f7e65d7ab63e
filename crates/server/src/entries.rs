//! The entries of an account, the newest first, in pages.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use engine::{Field, HistoryEntry};
use ledger::{Account, AccountId, Cause};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::amounts::natural;
use crate::app::{App, seen_account};
use crate::extract::{Page, Path, Query, Token};
use crate::payments::PurposeName;
use crate::problem::Problem;
use crate::times::{day, moment};

/// An entry: what one payment did to one account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// The id of the payment that made it.
    pub(crate) payment: String,
    /// Its number within the account, from 1.
    pub(crate) number: u64,
    /// What it added to the balance; negative where it took away.
    #[schema(example = "-25.00")]
    pub(crate) amount: String,
    /// The balance after it.
    pub(crate) balance: String,
    /// When it was booked.
    #[schema(format = DateTime)]
    pub(crate) booked_at: String,
    /// From which day on it counts for interest.
    #[schema(format = Date)]
    pub(crate) value_date: String,
    /// The number of the account on the other side.
    pub(crate) counterparty: String,
    /// What it is for.
    pub(crate) purpose: PurposeName,
    /// The id of the payment that it gives back or undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
    /// The text that went with it; null where there is none, or the person has been erased.
    pub(crate) text: Option<String>,
}

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entries {
    /// The account's number.
    iban: String,
    /// The account's currency (ISO 4217).
    currency: String,
    /// The newest first.
    entries: Vec<Entry>,
    /// Where the next page begins; null where there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Lists an account's entries, the newest first.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/entries", tag = "Accounts",
    params(("iban" = String, Path, description = "The account's number"), Page),
    responses((status = 200, description = "A page of entries", body = Entries)),
)]
pub(crate) async fn list_entries(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Entries>, Problem> {
    let (before, limit) = page.read()?;
    let Subject { id, iban, account } = subject(&app, token, &iban).await?;
    let entries = app.engine.entries(id, before, limit).await?;
    let next = entries.last().map(|entry| entry.ordinal).filter(|ordinal| *ordinal > 1);
    let entries = shown(&app, account, entries).await?;
    let currency = account.currency.code().to_owned();
    Ok(Json(Entries { iban, currency, entries, next_cursor: next.map(|next| next.to_string()) }))
}

/// The account whose past is asked for.
pub(crate) struct Subject {
    pub(crate) id: AccountId,
    pub(crate) iban: String,
    pub(crate) account: Account,
}

/// The account of an IBAN, if the caller may see it.
pub(crate) async fn subject(app: &App, token: Token, iban: &str) -> Result<Subject, Problem> {
    app.read(token, |state, who| {
        let id = seen_account(state, who, iban)?;
        let account = *state.ledger().account(id).ok_or(ledger::Refusal::UnknownAccount)?;
        Ok(Subject { id, iban: state.iban(id).unwrap_or_default(), account })
    })
    .await
}

/// Entries as they are shown. Opening their texts may read many keys, so it is done beside the other requests.
pub(crate) async fn shown(app: &App, account: Account, entries: Vec<HistoryEntry>) -> Result<Vec<Entry>, Problem> {
    let app = app.clone();
    let ibans: BTreeMap<AccountId, String> = app.engine.peek(|state| {
        let others = entries.iter().map(|entry| entry.counterparty);
        others.map(|id| (id, state.iban(id).unwrap_or_default())).collect()
    })?;
    let shown = spawn_blocking(move || {
        entries.iter().map(|entry| show(&app, &account, &ibans, entry)).collect::<Result<Vec<_>, _>>()
    });
    shown.await.map_err(|error| Problem::failed(&error))?
}

fn show(
    app: &App,
    account: &Account,
    ibans: &BTreeMap<AccountId, String>,
    entry: &HistoryEntry,
) -> Result<Entry, Problem> {
    let undoes = match entry.cause {
        Cause::Refund { of, .. } | Cause::Reversal { of } => Some(app.payment_ids.id(of.event())),
        Cause::Order | Cause::Capture { .. } => None,
    };
    Ok(Entry {
        payment: app.payment_ids.id(entry.posting.event()),
        number: entry.ordinal,
        amount: natural(account.kind, entry.amount_minor, account.currency),
        balance: natural(account.kind, entry.balance_minor, account.currency),
        booked_at: moment(entry.booked_at),
        value_date: day(entry.value_date),
        counterparty: ibans.get(&entry.counterparty).cloned().unwrap_or_default(),
        purpose: entry.purpose.into(),
        undoes,
        text: app.open_some(Field::Text, entry.text.as_ref())?,
    })
}
