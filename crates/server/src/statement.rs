//! An account's statement over some days, as JSON or as CSV (RFC 4180).

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use engine::{HistoryEntry, Period};
use ledger::ValueDate;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::amounts::{balance, decimal};
use crate::app::App;
use crate::caching::Unchanging;
use crate::entries::{Entry, Subject, shown, subject};
use crate::extract::{Path, Query, Token};
use crate::problem::{Kind, Problem};
use crate::strings;
use crate::times::{day, parse_day};

/// Which days a statement tells of.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Days {
    /// The first day, in UTC.
    #[param(value_type = strings::Day)]
    from: String,
    /// The last day, in UTC.
    #[param(value_type = strings::Day)]
    to: String,
    /// How it is written; where it is not given, the header Accept says.
    format: Option<Format>,
}

/// How a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// `application/json`.
    Json,
    /// `text/csv`.
    Csv,
}

/// A statement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Statement {
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// The account's currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// The first day.
    #[schema(value_type = strings::Day)]
    from: String,
    /// The last day.
    #[schema(value_type = strings::Day)]
    to: String,
    /// The balance before the first day.
    #[schema(value_type = strings::SignedDecimal)]
    opening_balance: String,
    /// The sum of all debits in these days.
    #[schema(value_type = strings::Decimal)]
    total_debits: String,
    /// The sum of all credits in these days.
    #[schema(value_type = strings::Decimal)]
    total_credits: String,
    /// The balance after the last day.
    #[schema(value_type = strings::SignedDecimal)]
    closing_balance: String,
    /// The oldest first, by booking time.
    entries: Vec<Entry>,
}

/// Tells an account's entries over some days, both inclusive, with the balances before and after them.
///
/// As CSV each line is of one kind, named in its first column: `opening`, then `entry` for each, then `debits`,
/// `credits` and `closing`. A text that a spreadsheet would take for a formula has an apostrophe before it.
#[utoipa::path(
    operation_id = "show_statement",
    get, path = "/v1/accounts/{iban}/statement", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), Days),
    responses((
        status = 200, description = "The statement",
        headers(
            ("Vary" = String, description = "`Accept`: what is answered depends on it."),
            ("Content-Disposition" = String, description = "With CSV: under which name to keep the file."),
        ),
        content((Statement = "application/json"), (strings::PlainText = "text/csv")),
    )),
    extensions(("x-refusals" = json!(["no-right", "period-too-long", "period-backwards"]))),
)]
pub(crate) async fn statement(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(days): Query<Days>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (from, to) = (parse_day("from", &days.from)?, parse_day("to", &days.to)?);
    if to < from {
        return Err(Problem::of(Kind::PeriodBackwards).in_field("to"));
    }
    let Subject { id, iban, account } = subject(&app, token, &iban).await?;
    let until = ValueDate(to.0.saturating_add(1)).start();
    // Nothing is booked back into a day that is over.
    let closed = until <= app.engine.now();
    let Period { opening_minor, entries, closing_minor } = app.engine.period(id, from.start(), until).await?;
    let (debits, credits) = totals(&entries);
    let statement = Statement {
        iban,
        currency: account.currency.code().to_owned(),
        from: day(from),
        to: day(to),
        opening_balance: balance(opening_minor, account.currency),
        total_debits: decimal(debits, account.currency),
        total_credits: decimal(credits, account.currency),
        closing_balance: balance(closing_minor, account.currency),
        entries: shown(&app, account, entries).await?,
    };
    let format = days.format.unwrap_or(if prefers_csv(&headers) { Format::Csv } else { Format::Json });
    // A hundred thousand entries take a while to write, so it is done beside the other requests.
    let written = spawn_blocking(move || match format {
        Format::Json => Ok(axum::Json(statement).into_response()),
        Format::Csv => csv_response(&statement),
    });
    let mut response = written.await.map_err(|error| Problem::failed(&error))??;
    if closed {
        response.extensions_mut().insert(Unchanging);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// The sums of debits and of credits.
fn totals(entries: &[HistoryEntry]) -> (i128, i128) {
    entries.iter().map(|entry| i128::from(entry.amount_minor)).fold((0, 0), |(debits, credits), minor| {
        if minor < 0 { (debits - minor, credits) } else { (debits, credits + minor) }
    })
}

/// Whether a client would rather have CSV (RFC 9110, section 12.5.1). One that likes both as much, as browsers do, gets
/// JSON; so does one that wants neither, because that is more use to it than a refusal.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepted = accepted.join(",");
    weight(&accepted, "text", "csv") > weight(&accepted, "application", "json")
}

/// How much a type is wanted, in thousandths: what the most exact of the ranges that match it says.
fn weight(accepted: &str, kind: &str, subtype: &str) -> u16 {
    let ranges = accepted.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) = parts.next()?.split_once('/')?;
        let exactness = match (range_kind, range_subtype) {
            ("*", "*") => 0,
            (named, "*") if named.eq_ignore_ascii_case(kind) => 1,
            (named, sub) if named.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((exactness, weight.map_or(Some(1_000), thousandths)?))
    });
    ranges.max().map_or(0, |(_, weight)| weight)
}

/// A weight such as `0.8`: at most 1, with at most three decimals.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

fn csv_response(statement: &Statement) -> Result<Response, Problem> {
    let csv = csv(statement).map_err(|error| Problem::failed(&error))?;
    let mut response = csv.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    let name = format!("attachment; filename=\"{}_{}_{}.csv\"", statement.iban, statement.from, statement.to);
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The columns of the CSV.
const COLUMNS: [&str; 11] = [
    "line",
    "number",
    "booked_at",
    "value_date",
    "amount",
    "balance",
    "currency",
    "counterparty",
    "purpose",
    "text",
    "payment",
];

fn csv(statement: &Statement) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let currency = statement.currency.as_str();
    let line = |name, day, amount, balance| [name, "", day, "", amount, balance, currency, "", "", "", ""];
    writer.write_record(line("opening", &statement.from, "", &statement.opening_balance))?;
    for entry in &statement.entries {
        let text = entry.text.as_deref().map(harmless).unwrap_or_default();
        writer.write_record([
            "entry",
            &entry.number.to_string(),
            &entry.booked_at,
            &entry.value_date,
            &entry.amount,
            &entry.balance,
            currency,
            &entry.counterparty,
            entry.purpose.name(),
            &text,
            &entry.payment,
        ])?;
    }
    writer.write_record(line("debits", &statement.to, &statement.total_debits, ""))?;
    writer.write_record(line("credits", &statement.to, &statement.total_credits, ""))?;
    writer.write_record(line("closing", &statement.to, "", &statement.closing_balance))?;
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

/// A text that no spreadsheet takes for a formula: whoever pays somebody writes into their spreadsheet.
fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "'-2"),
            ("+43 1", "'+43 1"),
            ("rent = due", "rent = due"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), expected);
        }
    }

    #[test]
    fn who_asks_for_csv() {
        for (accept, expected) in [
            ("text/csv", true),
            ("application/json;q=0.5, text/CSV;q=0.9", true),
            ("application/json; q=0.9, text/csv; q=0.5", false),
            ("text/csv;q=0", false),
            ("text/csv;q=0, */*", false),
            ("application/json;q=0, */*;q=0.1", true),
            ("text/*;q=0.8, */*;q=0.5", true),
            ("text/html, text/csv;q=0.3, */*;q=0.2", true),
            ("text/csv;q=0.001, application/json;q=0", true),
            ("text/csv, application/json", false),
            ("text/csv;q=2, */*", false),
            ("text/csv;header=present;q=0.7, application/json;q=0.6", true),
            ("image/png", false),
            ("*/*", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_csv(&headers), expected, "{accept}");
        }
        assert!(!prefers_csv(&HeaderMap::new()));
    }
}
