//! Times and days on the wire: RFC 3339 in UTC with milliseconds, and ISO 8601 days.

use jiff::civil::{self, Date, DateTime};
use jiff::{SignedDuration, ToSpan};
use ledger::{Timestamp, ValueDate};
use service::Fault;
use service::meaning::Moment;

/// The day from which days are counted.
const EPOCH: Date = civil::date(1970, 1, 1);

/// The first and the last moment that RFC 3339 can write in UTC.
const FIRST: DateTime = civil::date(0, 1, 1).at(0, 0, 0, 0);
const LAST: DateTime = civil::date(9999, 12, 31).at(23, 59, 59, 999_999_999);

/// A moment as it is shown: `2026-11-21T20:54:13.123Z`. Years have four digits (RFC 3339).
pub(crate) fn moment(at: Timestamp) -> String {
    let moment = EPOCH.to_datetime(civil::Time::midnight()).checked_add(SignedDuration::from_millis(at.0));
    let moment = moment.unwrap_or(if at.0 < 0 { FIRST } else { LAST }).clamp(FIRST, LAST);
    format!("{moment:.3}Z")
}

/// A moment that was sent: exactly the `date-time` of RFC 3339, section 5.6. What is finer than milliseconds is left
/// out.
pub(crate) fn parse_moment(field: &str, text: &str) -> Result<Timestamp, Fault> {
    let moment = read_moment(text.as_bytes());
    moment.ok_or_else(|| Fault::field(field, "a moment is written as in RFC 3339, like 2026-11-21T20:54:13Z"))
}

/// A moment that was sent, for what a key stands for.
pub(crate) fn meant_moment(text: &str) -> Moment<'_> {
    Moment { text, at: read_moment(text.as_bytes()) }
}

fn read_moment(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = i64::from(read_day(date)?.0);
    let (t, rest) = rest.split_first()?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [h0, h1, b':', m0, m1, b':', s0, s1] = *time else { return None };
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[m0, m1])?, number(&[s0, s1])?);
    let (fraction_ms, offset) = match rest.split_first()? {
        (b'.', rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, offset) = rest.split_at(digits);
            let ms: Vec<u8> = fraction.iter().copied().chain(*b"00").take(3).collect();
            (if digits == 0 { None } else { number(&ms) }?, offset)
        }
        _ => (0, rest),
    };
    let offset_minutes = match *offset {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (number(&[h0, h1])?, number(&[m0, m1])?);
            let offset = (hours <= 23 && minutes <= 59).then_some(hours * 60 + minutes)?;
            if sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    if !t.eq_ignore_ascii_case(&b'T') || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let start_ms = (((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second) * 1_000;
    // The second 60 is there at the end of a month in UTC alone, where it is the moment at which the next one begins.
    let begins_a_month = || moment(Timestamp(start_ms)).ends_with("-01T00:00:00.000Z");
    (second < 60 || begins_a_month()).then_some(Timestamp(start_ms + fraction_ms))
}

/// The number that ASCII digits write.
fn number(digits: &[u8]) -> Option<i64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// A day as it is shown: `2026-11-21`.
pub(crate) fn day(day: ValueDate) -> String {
    date(day).to_string()
}

/// A day as the calendar has it, held at the calendar's ends.
fn date(day: ValueDate) -> Date {
    let end = if day.0 < 0 { Date::MIN } else { Date::MAX };
    EPOCH.checked_add(i64::from(day.0).days()).unwrap_or(end)
}

/// A day that was sent: exactly the `full-date` of RFC 3339.
pub(crate) fn parse_day(field: &str, text: &str) -> Result<ValueDate, Fault> {
    let day = read_day(text.as_bytes());
    day.ok_or_else(|| Fault::field(field, "a day is written as year, month and day, like 2026-11-21"))
}

fn read_day(text: &[u8]) -> Option<ValueDate> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *text else { return None };
    let (year, month, day) = (number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?);
    let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    Some(ValueDate(date.since(EPOCH).ok()?.get_days()))
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
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(moment(Timestamp(ms)), text);
            assert_eq!(parse_moment("at", text).unwrap(), Timestamp(ms));
            assert_eq!(parse_day("from", &text[..10]).unwrap(), Timestamp(ms).day());
            assert_eq!(day(Timestamp(ms).day()), &text[..10]);
        }
        assert_eq!(moment(Timestamp(i64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(moment(Timestamp(i64::MIN)), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_form_of_the_standard_is_taken() {
        for (text, ms) in [
            ("2026-11-21T20:54:13Z", 1_795_294_453_000),
            ("2026-11-21t20:54:13z", 1_795_294_453_000),
            ("2026-11-21T21:54:13.120+01:00", 1_795_294_453_120),
            ("2026-11-21T18:24:13.1-02:30", 1_795_294_453_100),
            ("2026-11-21T20:54:13.12099999999999999999Z", 1_795_294_453_120),
            ("2026-11-21T20:54:13-00:00", 1_795_294_453_000),
            // The examples of section 5.8.
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000),
            ("1990-12-31T23:59:60Z", 662_688_000_000),
            ("1990-12-31T15:59:60-08:00", 662_688_000_000),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130),
            // Beyond what can be shown, in UTC.
            ("9999-12-31T23:59:59-23:59", 253_402_387_139_000),
        ] {
            assert_eq!(parse_moment("at", text).unwrap(), Timestamp(ms), "{text}");
        }
    }

    #[test]
    fn not_a_day_or_moment() {
        for text in [
            "",
            "2026-02-30",
            "2026-11-21T10:00:00Z",
            "21.11.2026",
            "20261121",
            "2026-W47-6",
            "+002026-11",
            "2026-1-021",
            "2026-11-2１",
        ] {
            assert!(parse_day("from", text).is_err(), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11-21",
            "2026-11-21T10:00:00",
            "2026-11-21 10:00:00Z",
            "2026-11-21T10:00Z",
            "2026-11-21T10:00:00.Z",
            "2026-11-21T10:00:00,5Z",
            "2026-11-21T10:00:00+0100",
            "2026-11-21T10:00:00+01",
            "2026-11-21T10:00:00+24:00",
            "2026-11-21T10:00:00+01:60",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10:60:00Z",
            "2026-11-21T10:00:60Z",
            "2026-11-21T23:59:60Z",
            "2026-11-30T23:59:61Z",
            "2026-11-21T10:00:00Z[Europe/Vienna]",
            " 2026-11-21T10:00:00Z",
            "2026-11-21T10:00:00Z ",
            "2026-02-29T10:00:00Z",
        ] {
            assert!(parse_moment("at", text).is_err(), "{text}");
        }
    }
}
