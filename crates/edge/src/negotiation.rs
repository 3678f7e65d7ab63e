//! Content negotiation: the form of an answer that a client would rather have (RFC 9110, section 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// All that a client says it accepts: its fields `Accept` in one.
#[must_use]
pub fn accepted(headers: &HeaderMap) -> String {
    let accepted: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    accepted.join(",")
}

/// Returns how much a type is wanted, in thousandths: as the most exact of the ranges that match it says.
#[must_use]
pub fn weight(accepted: &str, kind: &str, subtype: &str) -> u16 {
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
