//! Notation of a column's dates, as far as they tell.

use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::fmt::strtime;

/// Days, as strptime. Of two that fit, the first isn't better: see [`Dates::formats`].
const DAYS: [&str; 29] = [
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%-d.%-m.%Y",
    "%-d/%-m/%Y",
    "%-m/%-d/%Y",
    "%Y/%-m/%-d",
    "%-d/%-m/%y",
    "%-m/%-d/%y",
    "%Y%m%d",
    "%Y.%m.%d",
    "%Y.%m.%d.",
    "%Y. %m. %d.",
    "%d.%m.%Y.",
    "%Y:%m:%d",
    "%Y %m %d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %y",
    "%b %d, %Y",
    "%Y年%-m月%-d日",
];

/// Times of day after a day, as strptime; none is the first.
const TIMES: [&str; 13] = [
    "",
    " %H:%M:%S",
    " %H:%M",
    "T%H:%M:%S",
    "T%H:%M:%SZ",
    "T%H:%M:%S%:z",
    "T%H:%M:%S.%3fZ",
    "T%H:%M:%S.%6fZ",
    " %H:%M:%S %z",
    " %H:%M:%S%:z",
    " %H:%M:%S.%6f",
    ", %H:%M",
    " %I:%M %p",
];

/// All days with all times of day. They are asked for with each field.
static FORMATS: LazyLock<Vec<String>> =
    LazyLock::new(|| DAYS.iter().flat_map(|day| TIMES.iter().map(move |time| format!("{day}{time}"))).collect());

/// The most letters that a date has: a month's three, and those of AM; or T and Z.
const DATE_LETTERS_MAX: usize = 5;

/// The fewest digits that a date has, as in 1.2.24.
const DATE_DIGITS_MIN: usize = 4;

/// Returns `true` if a field may be a date.
pub(super) fn is_like_a_date(field: &str) -> bool {
    FORMATS.iter().any(|format| read(format, field).is_some())
}

/// A date in some of the ways that are known, to be told where there is none.
pub(super) fn examples() -> String {
    let date = jiff::civil::date(2024, 12, 31);
    let days = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d-%b-%y", "%Y%m%d", "%Y.%m.%d."];
    days.map(|day| strtime::format(day, date).unwrap_or_default()).join(", ")
}

/// The date in a field written exactly as the format says.
pub(super) fn read(format: &str, field: &str) -> Option<Date> {
    // Nearly all fields are no dates at all, and parsing is slow.
    let begins_well =
        field.starts_with(|c: char| c.is_ascii_digit()) || field.starts_with(|c: char| c.is_ascii_uppercase());
    if !begins_well
        || field.len() > 40
        || field.chars().filter(char::is_ascii_digit).count() < DATE_DIGITS_MIN
        || field.chars().filter(|c| c.is_alphabetic()).count() > DATE_LETTERS_MAX
    {
        return None;
    }
    let time = strtime::parse(format, field).ok()?;
    let written = time.to_string(format).ok()?;
    let date = time.to_date().ok()?;
    (written.eq_ignore_ascii_case(field) && (1970..2070).contains(&date.year())).then_some(date)
}

/// Facts known of a column's dates.
#[derive(Debug)]
pub(super) struct Dates {
    /// All formats that fit the fields which are dates.
    pub(super) formats: Vec<String>,
    /// Number of fields that are dates.
    pub(super) count: usize,
}

impl Dates {
    /// Looks at the fields that aren't empty. None if most aren't dates.
    pub(super) fn of<'f>(fields: impl Iterator<Item = &'f str>) -> Option<Self> {
        let mut formats = FORMATS.clone();
        let (mut count, mut others) = (0, 0);
        for field in fields.filter(|field| !field.is_empty()) {
            let fitting: Vec<String> = formats.iter().filter(|format| read(format, field).is_some()).cloned().collect();
            if fitting.is_empty() {
                others += 1;
                if others > 20 + count {
                    return None;
                }
                continue;
            }
            count += 1;
            formats = fitting;
        }
        (count > 0 && others <= count).then_some(Self { formats: without_variants(formats), count })
    }
}

/// Leaves out formats that differ from another only in writing 7 for 07, as long as both fit.
fn without_variants(formats: Vec<String>) -> Vec<String> {
    let padded = |format: &str| format.replace("%-", "%");
    let is_variant = |format: &String| format.contains("%-") && formats.contains(&padded(format));
    formats.iter().filter(|format| !is_variant(format)).cloned().collect()
}

/// Returns `true` if dates run one way: never back, or never forth, and not all one day.
pub(super) fn runs_one_way(dates: &[Date]) -> bool {
    let rises = dates.windows(2).all(|pair| pair[0] <= pair[1]);
    let falls = dates.windows(2).all(|pair| pair[0] >= pair[1]);
    (rises || falls) && dates.first() != dates.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_that_fit_all() {
        for (fields, expected) in [
            (&["2024-02-03"][..], &["%Y-%m-%d"][..]),
            (&["03/02/2024", "13/02/2024"], &["%d/%m/%Y"]),
            (&["02/03/2024", "02/13/2024"], &["%m/%d/%Y"]),
            (&["02/03/2024", "", "04/03/2024"], &["%d/%m/%Y", "%m/%d/%Y"]),
            (&["2/3/2024", "2/13/2024"], &["%-m/%-d/%Y"]),
            (&["03.02.24"], &["%d.%m.%y"]),
            (&["03-FEB-2024"], &["%d-%b-%Y"]),
            (&["20240203"], &["%Y%m%d"]),
            (&["2024-02-03T10:11:12.123Z"], &["%Y-%m-%dT%H:%M:%S.%3fZ"]),
            (&["2024-02-03 10:11:12"], &["%Y-%m-%d %H:%M:%S"]),
            (&["2024年2月3日"], &["%Y年%-m月%-d日"]),
            (&["2024.02.03."], &["%Y.%m.%d."]),
            (&["2024.02.03"], &["%Y.%m.%d"]),
            (&["2024:02:03"], &["%Y:%m:%d"]),
            (&["03.02.2024."], &["%d.%m.%Y."]),
            (&["03 Feb 2024 10:11 AM"], &["%d %b %Y %I:%M %p"]),
        ] {
            let dates = Dates::of(fields.iter().copied()).unwrap_or_else(|| panic!("{fields:?}"));
            assert_eq!(dates.formats, expected, "{fields:?}");
        }
        for bad in ["", "x", "1234567", "12.50", "99999999", "2024-02-30"] {
            assert!(Dates::of([bad].into_iter()).is_none(), "{bad}");
        }
    }
}
