//! An account's balance over time, as a series for charts.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::{Span, ToSpan};
use ledger::{Timestamp, ValueDate};
use serde::{Deserialize, Serialize};
use service::{Fault, FaultKind};
use utoipa::{IntoParams, ToSchema};

use crate::amounts;
use crate::app::App;
use crate::entries::{Subject, subject};
use crate::extract::{Path, Query, Token};
use crate::problem::{Kind, Problem};
use crate::strings;
use crate::times::{date, day, parse_day, value_date};

/// The most points of a series: a year of days, or thirty years of months. More than a chart can show.
pub(crate) const MAX_POINTS: usize = 366;

/// Query of a series of balances.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Points {
    /// The first day, in UTC.
    #[param(value_type = strings::Day)]
    from: String,
    /// The last day, in UTC; today at the latest.
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

/// A balance at the end of a day, in UTC and by booking time.
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
    if to < from {
        return Err(Problem::of(Kind::PeriodBackwards).in_field("to"));
    }
    let Subject { id, iban, account } = subject(&app, token, &iban).await?;
    if to > app.engine.now().day() {
        return Err(Problem::of(Kind::PeriodAhead).in_field("to"));
    }
    let days = days(from, to, points.every.unwrap_or_default())?;
    let mut balances = Vec::with_capacity(days.len());
    for at in days {
        let minor = app.engine.balance_at(id, end(at)).await?;
        balances.push(DayBalance { day: day(at), balance: amounts::balance(minor, account.currency) });
    }
    Ok(Json(Balances { iban, currency: account.currency.code().to_owned(), balances }))
}

/// The days of a series.
fn days(from: ValueDate, to: ValueDate, every: Step) -> Result<Vec<ValueDate>, Fault> {
    let (first, last) = (date(from), date(to));
    let ends: Box<dyn Iterator<Item = Date>> = match every {
        Step::Day => Box::new(first.series(Span::new().days(1))),
        Step::Month => Box::new(first.first_of_month().series(1.month()).map(Date::last_of_month)),
    };
    let mut days: Vec<ValueDate> =
        ends.take_while(|day| *day < last).take(MAX_POINTS.saturating_add(1)).map(value_date).collect();
    days.push(to);
    if days.len() > MAX_POINTS {
        return Err(Fault::of(FaultKind::TooManyPoints).in_field("to"));
    }
    Ok(days)
}

/// The last moment of a day.
fn end(day: ValueDate) -> Timestamp {
    Timestamp(ValueDate(day.0.saturating_add(1)).start().0.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_a_series() {
        let parse = |text| parse_day("day", text).unwrap();
        for (from, to, every, expected) in [
            ("2026-11-21", "2026-11-21", Step::Day, "2026-11-21"),
            ("2026-02-27", "2026-03-02", Step::Day, "2026-02-27 2026-02-28 2026-03-01 2026-03-02"),
            ("2026-01-31", "2026-04-10", Step::Month, "2026-01-31 2026-02-28 2026-03-31 2026-04-10"),
            ("2026-01-01", "2026-02-28", Step::Month, "2026-01-31 2026-02-28"),
            ("2026-03-05", "2026-03-06", Step::Month, "2026-03-06"),
        ] {
            let told: Vec<String> = days(parse(from), parse(to), every).unwrap().into_iter().map(day).collect();
            assert_eq!(told.join(" "), expected, "{from} {to}");
        }
        let count = |from, to, every| days(parse(from), parse(to), every).map(|days| days.len()).ok();
        assert_eq!(count("2024-01-01", "2024-12-31", Step::Day), Some(MAX_POINTS));
        assert_eq!(count("2024-01-01", "2025-01-01", Step::Day), None);
        assert_eq!(count("1996-06-15", "2026-11-21", Step::Month), Some(MAX_POINTS));
        assert_eq!(count("1996-05-31", "2026-11-21", Step::Month), None);
    }
}
