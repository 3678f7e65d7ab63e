//! The entries of an account, the newest first, in pages.

use axum::Json;
use axum::extract::State;
use engine::Search;
use ledger::Currency;
use serde::{Deserialize, Serialize};
use service::{EntriesPage, EntryView, Fault, FaultKind, SaidView, text};
use utoipa::{IntoParams, ToSchema};

use crate::amounts::{self, positive};
use crate::app::App;
use crate::description::strings;
use crate::extract::{Page, Path, Query, Token, cursor, digits};
use crate::payments::payment::{PaymentStateName, PurposeName};
use crate::problem::Problem;
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
    /// State of the payment by now. Left out on a statement, which never changes once its days are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub(crate) state: Option<PaymentStateName>,
    /// The id of the hold that it captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::HoldId>, required = false, nullable = false)]
    pub(crate) hold: Option<String>,
    /// The id of the payment that it gives back or undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::PaymentId>)]
    pub(crate) undoes: Option<String>,
    /// The text that went with it, of a capture the hold's; null where there is none, or the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    pub(crate) text: Option<String>,
    /// The payer's own id of the payment, where one was given and the person has not been erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::EndToEndId>, required = false, nullable = false)]
    pub(crate) end_to_end_id: Option<String>,
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
    /// Booked on this day or later, in the bank's time zone.
    #[param(value_type = Option<strings::Day>)]
    from: Option<String>,
    /// Booked on this day or earlier, in the bank's time zone.
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
        let counterparty = self.counterparty.as_ref().map(|iban| app.service.counterparty(iban));
        let calendar = app.service.calendar()?;
        let search = Search {
            before,
            from: from.map(|from| calendar.start_of(from)),
            until: to.map(|to| calendar.end_of(to)),
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
    let page = app.service.entries(token.0, &iban, |currency| wanted.search(&app, currency)).await?;
    let EntriesPage { iban, currency, entries, next } = page;
    let entries = entries.into_iter().map(Entry::from).collect();
    let currency = currency.code().to_owned();
    Ok(Json(Entries { iban, currency, entries, next_cursor: next.map(|next| next.to_string()) }))
}

impl From<EntryView> for Entry {
    fn from(entry: EntryView) -> Self {
        let EntryView { payment, number, amount_minor, balance_minor, currency, booked_at, value_date, .. } = entry;
        let EntryView { counterparty, purpose, state, hold, undoes, said, .. } = entry;
        let SaidView { text, end_to_end_id } = said;
        Self {
            payment,
            number,
            amount: amounts::balance(amount_minor, currency),
            balance: amounts::balance(balance_minor, currency),
            booked_at: moment(booked_at),
            value_date: day(value_date),
            counterparty,
            purpose: purpose.into(),
            state: state.map(PaymentStateName::from),
            hold,
            undoes,
            text,
            end_to_end_id,
        }
    }
}
