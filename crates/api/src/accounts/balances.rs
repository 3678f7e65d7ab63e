//! An account's balance over time, as a series for charts.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use service::{BalanceStep, SeriesView};
use utoipa::{IntoParams, ToSchema};

use crate::amounts;
use crate::app::App;
use crate::description::strings;
use crate::extract::{Path, Query, Token};
use crate::problem::Problem;
use crate::times::{day, parse_day};

/// Query of a series of balances.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Points {
    /// The first day, in the bank's time zone.
    #[param(value_type = strings::Day)]
    from: String,
    /// The last day, in the bank's time zone; today at the latest.
    #[param(value_type = strings::Day)]
    to: String,
    /// Interval between the points; a day where it is not given.
    every: Option<Step>,
}

/// Interval between the points of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = BalanceStep)]
pub(crate) enum Step {
    /// A point for each day.
    #[default]
    Day,
    /// A point for the last day of each month, and one for the last day of all.
    Month,
}

/// A balance over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balances {
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// The account's currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// The oldest first.
    balances: Vec<DayBalance>,
}

/// A balance at the end of a day of the bank's, by booking time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayBalance {
    /// The day.
    #[schema(value_type = strings::Day)]
    day: String,
    /// Posted balance at its end; of today, the one now.
    #[schema(value_type = strings::SignedDecimal)]
    balance: String,
}

/// Tells an account's balance over time.
///
/// At the end of each day or month, by booking time, for charts. For those with a right on the account, operators and
/// auditors.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}/balances", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), Points),
    responses((status = 200, description = "The balances", body = Balances)),
    extensions(("x-refusals" = json!(["no-right", "period-backwards", "period-ahead", "too-many-points"]))),
)]
pub(crate) async fn balances(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(points): Query<Points>,
) -> Result<Json<Balances>, Problem> {
    let (from, to) = (parse_day("from", &points.from)?, parse_day("to", &points.to)?);
    let step = points.every.unwrap_or_default().into();
    let SeriesView { iban, currency, balances } = app.service.balances(token.0, &iban, from, to, step).await?;
    let balances =
        balances.into_iter().map(|(at, minor)| DayBalance { day: day(at), balance: amounts::balance(minor, currency) });
    Ok(Json(Balances { iban, currency: currency.code().to_owned(), balances: balances.collect() }))
}

impl From<Step> for BalanceStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Day => Self::Day,
            Step::Month => Self::Month,
        }
    }
}
