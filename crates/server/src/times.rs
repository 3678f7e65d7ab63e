//! Times and days on the wire: RFC 3339 in UTC with milliseconds, and ISO 8601 days.

use jiff::ToSpan;
use jiff::civil::{self, Date};
use ledger::{Timestamp, ValueDate};

use crate::problem::Problem;

/// The day from which days are counted.
const EPOCH: Date = civil::date(1970, 1, 1);

/// A moment as it is shown: `2026-11-21T20:54:13.123Z`.
pub(crate) fn moment(at: Timestamp) -> String {
    let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    format!("{:.3}", jiff::Timestamp::from_millisecond(at.0).unwrap_or(end))
}

/// A moment that was sent.
pub(crate) fn parse_moment(field: &str, text: &str) -> Result<Timestamp, Problem> {
    let moment: Result<jiff::Timestamp, _> = text.parse();
    let wrong = |_| Problem::field(field, "a moment is written as in RFC 3339, like 2026-11-21T20:54:13Z");
    moment.map(|moment| Timestamp(moment.as_millisecond())).map_err(wrong)
}

/// A day as it is shown: `2026-11-21`.
pub(crate) fn day(day: ValueDate) -> String {
    date(day).to_string()
}

/// A day as the calendar has it, held at the calendar's ends.
pub(crate) fn date(day: ValueDate) -> Date {
    let end = if day.0 < 0 { Date::MIN } else { Date::MAX };
    EPOCH.checked_add(i64::from(day.0).days()).unwrap_or(end)
}

/// A day of the calendar.
pub(crate) fn value_date(date: Date) -> ValueDate {
    ValueDate(date.since(EPOCH).map_or(0, |since| since.get_days()))
}

/// A day that was sent.
pub(crate) fn parse_day(field: &str, text: &str) -> Result<ValueDate, Problem> {
    let wrong = || Problem::field(field, "a day is written as year, month and day, like 2026-11-21");
    // The library reads a day out of longer forms too, such as a moment; ours is the one form.
    let date: Date = text.parse().ok().filter(|_| text.len() == 10).ok_or_else(wrong)?;
    let days = date.since(EPOCH).map_err(|_| wrong())?.get_days();
    Ok(ValueDate(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_and_read_back() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_294_453_120, "2026-11-21T20:54:13.120Z"),
        ] {
            assert_eq!(moment(Timestamp(ms)), text);
            assert_eq!(parse_moment("at", text).unwrap(), Timestamp(ms));
            assert_eq!(parse_day("from", &text[..10]).unwrap(), Timestamp(ms).day());
            assert_eq!(day(Timestamp(ms).day()), &text[..10]);
        }
        assert!(moment(Timestamp(i64::MAX)).starts_with("9999-"));
        assert_eq!(parse_moment("at", "2026-11-21T21:54:13.120+01:00").unwrap(), Timestamp(1_795_294_453_120));
    }

    #[test]
    fn not_a_day_or_moment() {
        for text in ["", "2026-02-30", "2026-11-21T10:00:00Z", "21.11.2026", "20261121"] {
            assert!(parse_day("from", text).is_err(), "{text}");
        }
        for text in ["", "2026-11-21", "2026-11-21T10:00:00", "now"] {
            assert!(parse_moment("at", text).is_err(), "{text}");
        }
    }
}
