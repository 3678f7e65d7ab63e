//! The entries of an account, the newest first, in pages.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use engine::{Field, Found, HistoryEntry, Search};
use ledger::{Account, AccountId, Cause, Currency, ValueDate};
use serde::{Deserialize, Serialize};
use service::{Fault, FaultKind, account_of, seen_account, text};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::amounts::{self, positive};
use crate::app::App;
use crate::extract::{Page, Path, Query, Token, cursor, digits};
use crate::payments::PurposeName;
use crate::problem::Problem;
use crate::strings;
use crate::times::{day, moment, parse_day};

/// An entry: what one payment did to one account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// The id of the payment that made it.
    #[schema(value_type = strings::PaymentId)]
    pub(crate) payment: String,
    /// Its number within the account, from 1.
    #[schema(minimum = 1, example = 7)]
    pub(crate) number: u64,
    /// Change of the balance; negative where it took away.
    #[schema(value_type = strings::SignedDecimal)]
    pub(crate) amount: String,
    /// The balance after it.
    #[schema(value_type = strings::SignedDecimal)]
    pub(crate) balance: String,
    /// Booking time.
    #[schema(value_type = strings::Moment)]
    pub(crate) booked_at: String,
    /// Value date: the day from which it counts for interest.
    #[schema(value_type = strings::Day)]
    pub(crate) value_date: String,
    /// The number of the account on the other side.
    #[schema(value_type = strings::Iban)]
    pub(crate) counterparty: String,
    /// Purpose of the payment.
    pub(crate) purpose: PurposeName,
    /// The id of the payment that it gives back or undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::PaymentId>)]
    pub(crate) undoes: Option<String>,
    /// The text that went with it; null where there is none, or the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    pub(crate) text: Option<String>,
}

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entries {
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// The account's currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// The newest first.
    entries: Vec<Entry>,
    /// Cursor of the next page; null where there is none.
    #[schema(value_type = Option<strings::Cursor>, required)]
    next_cursor: Option<String>,
}

/// Query of a list of entries. All that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The `next_cursor` of the page before; without it the list begins.
    #[param(value_type = Option<strings::Cursor>)]
    #[serde(default, deserialize_with = "cursor")]
    cursor: Option<u64>,
    /// Maximum number of entries per page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    #[serde(default, deserialize_with = "digits")]
    limit: Option<u16>,
    /// Booked on this day or later, in UTC.
    #[param(value_type = Option<strings::Day>)]
    from: Option<String>,
    /// Booked on this day or earlier, in UTC.
    #[param(value_type = Option<strings::Day>)]
    to: Option<String>,
    /// Minimum amount, in or out.
    #[param(value_type = Option<strings::Decimal>)]
    min_amount: Option<String>,
    /// Maximum amount, in or out.
    #[param(value_type = Option<strings::Decimal>)]
    max_amount: Option<String>,
    /// Number of the account on the other side.
    #[param(value_type = Option<strings::IbanTyped>)]
    counterparty: Option<String>,
    /// Part of the text; capital and small letters are the same.
    #[param(value_type = Option<strings::Text>)]
    text: Option<String>,
}

impl Wanted {
    fn search(&self, app: &App, currency: Currency) -> Result<(Search, usize), Fault> {
        let (before, limit) = Page { cursor: self.cursor, limit: self.limit }.read()?;
        let from = self.from.as_ref().map(|day| parse_day("from", day)).transpose()?;
        let to = self.to.as_ref().map(|day| parse_day("to", day)).transpose()?;
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err(Fault::of(FaultKind::PeriodBackwards).in_field("to"));
        }
        let amount =
            |field: &str, text: &Option<String>| text.as_ref().map(|text| positive(field, text, currency)).transpose();
        let counterparty = self.counterparty.as_ref().map(|iban| {
            match app.engine.peek(|state| account_of(state, iban))? {
                // No entry has an account on its other side that isn't there.
                Err(fault) if fault.refusal() == Some(ledger::Refusal::UnknownAccount.into()) => {
                    Ok(AccountId(u32::MAX))
                }
                found => found,
            }
        });
        let search = Search {
            before,
            from: from.map(ValueDate::start),
            until: to.map(|to| ValueDate(to.0.saturating_add(1)).start()),
            min_minor: amount("min_amount", &self.min_amount)?,
            max_minor: amount("max_amount", &self.max_amount)?,
            counterparty: counterparty.transpose()?,
            text: self.text.as_ref().map(|wanted| text("text", wanted).map(str::to_owned)).transpose()?,
        };
        Ok((search, limit))
    }
}

/// Lists an account's entries, the newest first.
///
/// A page may hold fewer entries than asked for, even none, and still have a `next_cursor`: where few entries are what
/// is asked for, each page looks at a bounded number of them. The list has ended when there is no cursor.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/entries", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), Wanted),
    responses((status = 200, description = "A page of entries", body = Entries)),
    extensions(("x-refusals" = json!(["no-right", "period-backwards"]))),
)]
pub(crate) async fn list_entries(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Entries>, Problem> {
    let Subject { id, iban, account } = subject(&app, token, &iban).await?;
    let (search, limit) = wanted.search(&app, account.currency)?;
    let Found { entries, next } = app.engine.search(id, search, limit).await?;
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
pub(crate) async fn subject(app: &App, token: Token, iban: &str) -> Result<Subject, Fault> {
    app.read(token, |state, who| {
        let id = seen_account(state, who, iban)?;
        let account = *state.ledger().account(id).ok_or(ledger::Refusal::UnknownAccount)?;
        Ok(Subject { id, iban: state.iban(id).unwrap_or_default(), account })
    })
    .await
}

/// Entries as they are shown. Opening their texts may read many keys, so it is done beside the other requests.
pub(crate) async fn shown(app: &App, account: Account, entries: Vec<HistoryEntry>) -> Result<Vec<Entry>, Fault> {
    let app = app.clone();
    let ibans: BTreeMap<AccountId, String> = app.engine.peek(|state| {
        let others = entries.iter().map(|entry| entry.counterparty);
        others.map(|id| (id, state.iban(id).unwrap_or_default())).collect()
    })?;
    let shown = spawn_blocking(move || {
        entries.iter().map(|entry| show(&app, &account, &ibans, entry)).collect::<Result<Vec<_>, _>>()
    });
    shown.await.map_err(|error| Fault::failed(&error))?
}

fn show(
    app: &App,
    account: &Account,
    ibans: &BTreeMap<AccountId, String>,
    entry: &HistoryEntry,
) -> Result<Entry, Fault> {
    let undoes = match entry.cause {
        Cause::Refund { of, .. } | Cause::Reversal { of } => Some(app.service.payment_ids().id(of.event())),
        Cause::Order | Cause::Capture { .. } => None,
    };
    Ok(Entry {
        payment: app.service.payment_ids().id(entry.posting.event()),
        number: entry.ordinal,
        amount: amounts::balance(entry.amount_minor, account.currency),
        balance: amounts::balance(entry.balance_minor, account.currency),
        booked_at: moment(entry.booked_at),
        value_date: day(entry.value_date),
        counterparty: ibans.get(&entry.counterparty).cloned().unwrap_or_default(),
        purpose: entry.purpose.into(),
        undoes,
        text: app.service.open_some(Field::Text, entry.text.as_ref())?,
    })
}
