//! An account's statement over some days, as JSON or as CSV (RFC 4180).

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use ledger::ValueDate;
use serde::{Deserialize, Serialize};
use service::StatementView;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::accounts::entries::Entry;
use crate::amounts::{balance, decimal};
use crate::app::App;
use crate::caching::Unchanging;
use crate::description::strings;
use crate::extract::{Path, Query, Token};
use crate::problem::Problem;
use crate::times::{day, parse_day};

/// Query of a statement: its days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Days {
    /// The first day, in the bank's time zone.
    #[param(value_type = strings::Day)]
    from: String,
    /// The last day, in the bank's time zone.
    #[param(value_type = strings::Day)]
    to: String,
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
/// For those with a right on the account, operators and auditors.
#[utoipa::path(
    operation_id = "show_statement",
    get, path = "/v1/accounts/{iban}/statement", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), Days),
    responses((status = 200, description = "The statement", body = Statement)),
    extensions(("x-refusals" = json!(["no-right", "period-too-long", "period-backwards"]))),
)]
pub(crate) async fn statement(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(days): Query<Days>,
) -> Result<Response, Problem> {
    answer(&app, token, &iban, &days, |statement| Ok(axum::Json(statement).into_response())).await
}

/// Tells the same as CSV (RFC 4180).
///
/// Each line is of one kind, named in its first column: `opening`, then `entry` for each, then `debits`, `credits` and
/// `closing`. A text that a spreadsheet would take for a formula has an apostrophe before it.
#[utoipa::path(
    operation_id = "show_statement_csv",
    get, path = "/v1/accounts/{iban}/statement.csv", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), Days),
    responses((
        status = 200, description = "The statement", body = strings::PlainText, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "The name under which to keep the file.")),
    )),
    extensions(("x-refusals" = json!(["no-right", "period-too-long", "period-backwards"]))),
)]
pub(crate) async fn statement_csv(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(days): Query<Days>,
) -> Result<Response, Problem> {
    answer(&app, token, &iban, &days, |statement| csv_response(&statement)).await
}

async fn answer(
    app: &App,
    token: Token,
    iban: &str,
    days: &Days,
    write: impl FnOnce(Statement) -> Result<Response, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let (from, to) = (parse_day("from", &days.from)?, parse_day("to", &days.to)?);
    let statement = app.service.statement(token.0, iban, from, to).await?;
    let is_final = statement.is_final;
    // A hundred thousand entries take a while to write, so it is done beside the other requests.
    let written = spawn_blocking(move || write(Statement::of(statement, (from, to))));
    let mut response = written.await.map_err(|error| Problem::failed(&error))??;
    if is_final {
        response.extensions_mut().insert(Unchanging);
    }
    Ok(response)
}

impl Statement {
    fn of(statement: StatementView, days: (ValueDate, ValueDate)) -> Self {
        let currency = statement.currency;
        Self {
            iban: statement.iban,
            currency: currency.code().to_owned(),
            from: day(days.0),
            to: day(days.1),
            opening_balance: balance(statement.opening_minor, currency),
            total_debits: decimal(statement.debits_minor, currency),
            total_credits: decimal(statement.credits_minor, currency),
            closing_balance: balance(statement.closing_minor, currency),
            entries: statement.entries.into_iter().map(Entry::from).collect(),
        }
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
const COLUMNS: [&str; 14] = [
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
    "end_to_end_id",
    "hold",
    "undoes",
];

fn csv(statement: &Statement) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let currency = statement.currency.as_str();
    let line = |name, day, amount, balance| [name, "", day, "", amount, balance, currency, "", "", "", "", "", "", ""];
    writer.write_record(line("opening", &statement.from, "", &statement.opening_balance))?;
    for entry in &statement.entries {
        // Each field has its column; a statement tells no state.
        let Entry { payment, number, amount, balance, booked_at, value_date, counterparty, .. } = entry;
        let Entry { purpose, state: _, hold, undoes, text, end_to_end_id, .. } = entry;
        let [text, end_to_end_id] = [text, end_to_end_id].map(|said| said.as_deref().map(harmless).unwrap_or_default());
        let number = number.to_string();
        writer.write_record([
            "entry",
            &number,
            booked_at,
            value_date,
            amount,
            balance,
            currency,
            counterparty,
            purpose.name(),
            &text,
            payment,
            &end_to_end_id,
            hold.as_deref().unwrap_or_default(),
            undoes.as_deref().unwrap_or_default(),
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
}
