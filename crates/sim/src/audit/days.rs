//! Days in the auditor's books: which one a moment lies on, in the zones that it knows, counted by itself.

use ledger::Timestamp;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// Time zones of the bank: the first day and the name of each, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Days(Vec<(i32, String)>);

/// Way in which a zone counts.
enum Rule {
    /// So many minutes ahead of UTC, always.
    Fixed(i64),
    /// An hour ahead of UTC, and two from the last Sunday of March to that of October (the European Union's since 1996).
    European,
}

fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        "UTC" => Rule::Fixed(0),
        "Europe/Vienna" => Rule::European,
        "Asia/Kolkata" => Rule::Fixed(330),
        "Pacific/Kiritimati" => Rule::Fixed(14 * 60),
        "Etc/GMT+12" => Rule::Fixed(-12 * 60),
        _ => return None,
    })
}

/// The moment at which a day begins in a zone; none where the zone is none.
pub(super) fn start_in(name: &str, day: i32) -> Option<i64> {
    let ahead = match rule(name)? {
        Rule::Fixed(minutes) => minutes,
        Rule::European => 60 + if is_summer(day) { 60 } else { 0 },
    };
    Some(i64::from(day) * DAY_MS - ahead * MINUTE_MS)
}

/// Returns `true` if a day begins in the summer time of the European Union.
fn is_summer(day: i32) -> bool {
    let year = year_of(day);
    // The clocks change in the small hours of these Sundays, after the day has begun.
    last_sunday_before(first_of(year, 4)) < day && day <= last_sunday_before(first_of(year, 11))
}

/// The first of January 1970 was a Thursday, three days before the first Sunday.
fn last_sunday_before(day: i32) -> i32 {
    day - 1 - (day - 1 - 3).rem_euclid(7)
}

fn year_of(day: i32) -> i32 {
    let guess = 1970 + day.div_euclid(366);
    (guess..).find(|year| first_of(year + 1, 1) > day).unwrap_or(guess)
}

fn first_of(year: i32, month: usize) -> i32 {
    const BEFORE: [i32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = year - 1;
    let leaps = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    (year - 1970) * 365 + leaps + BEFORE[month - 1] + i32::from(is_leap && month > 2)
}

impl Days {
    pub(super) fn founded(time_zone: Option<&String>) -> Self {
        Self(time_zone.map(|name| (i32::MIN, name.clone())).into_iter().collect())
    }

    /// Returns the days with another zone from a day on, in place of all that was planned from then on.
    pub(super) fn with(&self, from: i32, name: &str) -> Self {
        let mut zones: Vec<_> = self.0.iter().filter(|(first, _)| *first < from).cloned().collect();
        if zones.last().map_or("UTC", |(_, last)| last) != name {
            zones.push((from, name.to_owned()));
        }
        Self(zones)
    }

    pub(super) fn zones(&self) -> &[(i32, String)] {
        &self.0
    }

    /// A day begins when it does in its zone, or with the first day of a later one where that comes sooner.
    fn start(&self, day: i32) -> i64 {
        let own = self.0.iter().rfind(|(from, _)| *from <= day).map_or("UTC", |(_, name)| name);
        let later = self.0.iter().filter(|(from, _)| *from > day).filter_map(|(from, name)| start_in(name, *from));
        later.chain(start_in(own, day)).min().unwrap_or(i64::MAX)
    }

    /// Returns the last day that has begun.
    pub(super) fn day(&self, at: Timestamp) -> i32 {
        let near = i32::try_from(at.0.div_euclid(DAY_MS)).unwrap_or(0);
        (near - 3..near + 3).rfind(|day| self.start(*day) <= at.0).unwrap_or(near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_auditor_knows_its_calendar() {
        for (year, month, day) in
            [(1970, 1, 0), (1971, 1, 365), (2000, 3, 11_017), (2026, 11, 20_758), (2100, 3, 47_541)]
        {
            assert_eq!(first_of(year, month), day);
            assert_eq!(year_of(day), year);
        }
        assert_eq!(last_sunday_before(first_of(2026, 11)), 20_751, "25 October");
        let vienna = Days::founded(Some(&"Europe/Vienna".to_owned()));
        // 2026-11-01T00:30+01:00, 2026-10-25T00:30+02:00, 2026-10-25T23:30+01:00.
        for (ms, day) in [(1_793_489_400_000, 20_758), (1_792_881_000_000, 20_751), (1_792_967_400_000, 20_751)] {
            assert_eq!(vienna.day(Timestamp(ms)), day, "{ms}");
        }
    }
}
