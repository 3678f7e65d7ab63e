//! The bank's time zone, by which its days are counted.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use service::{DaysView, Meaning, ZoneView};
use utoipa::ToSchema;

use crate::app::{App, changed, keyed};
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Token};
use crate::problem::Problem;
use crate::times::{day, parse_day};

/// The bank's days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Days {
    /// Today, in the bank's time zone.
    #[schema(value_type = strings::Day)]
    today: String,
    /// Name of today's time zone (IANA).
    #[schema(value_type = strings::TimeZone)]
    time_zone: String,
    /// All that the bank has had, has and is to have, the first one first.
    zones: Vec<Zone>,
}

/// A time zone of the bank.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Zone {
    /// The first day of the zone; null for the one that the bank began with.
    #[schema(value_type = Option<strings::Day>, required)]
    from: Option<String>,
    /// Name of the zone (IANA).
    #[schema(value_type = strings::TimeZone)]
    time_zone: String,
}

/// A time zone to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "2099-01-01", "time_zone": "Europe/Vienna" }))]
pub(crate) struct NewZone {
    /// The first day of the zone: one that is to come.
    #[schema(value_type = strings::Day)]
    from: String,
    /// Name of the zone (IANA).
    #[schema(value_type = strings::TimeZone)]
    time_zone: String,
}

impl From<ZoneView> for Zone {
    fn from(ZoneView { from, time_zone }: ZoneView) -> Self {
        Self { from: from.map(day), time_zone }
    }
}

/// Tells the bank's time zone, and which day it is.
///
/// Value dates, statements, balances over time and all that is asked for by day go by it; moments are in UTC. For
/// everybody who is signed in.
#[utoipa::path(
    get, path = "/v1/time-zones", tag = "Operation",
    responses((status = 200, description = "The time zones", body = Days)),
)]
pub(crate) async fn show_time_zones(State(app): State<App>, token: Token) -> Result<Json<Days>, Problem> {
    let DaysView { today, time_zone, zones } = app.service.time_zones(token.0).await?;
    Ok(Json(Days { today: day(today), time_zone, zones: zones.into_iter().map(Zone::from).collect() }))
}

/// Sets the bank's time zone from a day on.
///
/// For operators. The day is to come, in the bank's time zone and in the new one: what is over stays as it is. It takes the
/// place of all that was planned from that day on. The day begins when it does in the new zone; the day before ends then.
#[utoipa::path(
    post, path = "/v1/time-zones", tag = "Operation",
    params(IdempotencyKey),
    request_body = NewZone,
    responses((status = 200, description = "The time zone and its first day", body = Zone)),
    extensions(("x-refusals" = json!([
        "not-allowed", "unknown-time-zone", "day-has-begun", "same-time-zone", "too-many-time-zones",
    ]))),
)]
pub(crate) async fn set_time_zone(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewZone>,
) -> Result<Response, Problem> {
    let NewZone { from, time_zone } = &sent;
    let day = parse_day("from", from);
    let meaning = Meaning::SetTimeZone { from, day: day.as_ref().ok().copied(), time_zone };
    let set = app.service.set_time_zone(&keyed(token, &key, meaning), day, time_zone).await?;
    Ok(changed(set.is_repeated, Zone::from(set.now)))
}
