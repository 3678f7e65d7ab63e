//! The trial balance: that debits equal credits, by currency and kind of account.

use axum::Json;
use axum::extract::State;
use ledger::{Currency, Kind, TrialRow};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::account::KindName;
use crate::amounts::decimal;
use crate::app::App;
use crate::description::strings;
use crate::extract::Token;
use crate::problem::Problem;
use crate::times::moment;

/// A trial balance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialBalance {
    /// Moment of which it is the trial balance.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// Parts of the currencies.
    currencies: Vec<CurrencyRows>,
}

/// The part of one currency. Its debits equal its credits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrencyRows {
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Parts of the kinds of account.
    kinds: Vec<KindRow>,
    /// The sum of all debit balances.
    #[schema(value_type = strings::Decimal)]
    debits: String,
    /// The sum of all credit balances.
    #[schema(value_type = strings::Decimal)]
    credits: String,
}

/// The part of one kind of account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindRow {
    /// The kind.
    kind: KindName,
    /// Number of its accounts, closed ones included.
    #[schema(minimum = 0, example = 3)]
    accounts: u64,
    /// The sum of its balances that are debits.
    #[schema(value_type = strings::Decimal)]
    debits: String,
    /// The sum of its balances that are credits.
    #[schema(value_type = strings::Decimal)]
    credits: String,
}

/// Tells the trial balance.
///
/// For operators and auditors. In each currency all debits equal all credits.
#[utoipa::path(
    operation_id = "show_trial_balance",
    get, path = "/v1/trial-balance", tag = "Operation",
    responses((status = 200, description = "The trial balance", body = TrialBalance)),
    extensions(("x-refusals" = json!(["not-allowed"]))),
)]
pub(crate) async fn trial_balance(State(app): State<App>, token: Token) -> Result<Json<TrialBalance>, Problem> {
    let (at, balance) = app.service.trial_balance(token.0).await?;
    let currencies = balance.iter().map(|(currency, rows)| {
        let rows: Vec<_> = rows.iter().collect();
        CurrencyRows {
            currency: currency.code().to_owned(),
            debits: decimal(rows.iter().map(|(_, row)| row.debit_minor).sum(), *currency),
            credits: decimal(rows.iter().map(|(_, row)| row.credit_minor).sum(), *currency),
            kinds: rows.into_iter().map(|(kind, row)| kind_row(*kind, row, *currency)).collect(),
        }
    });
    Ok(Json(TrialBalance { at: moment(at), currencies: currencies.collect() }))
}

fn kind_row(kind: Kind, row: &TrialRow, currency: Currency) -> KindRow {
    KindRow {
        kind: kind.into(),
        accounts: row.accounts,
        debits: decimal(row.debit_minor, currency),
        credits: decimal(row.credit_minor, currency),
    }
}
