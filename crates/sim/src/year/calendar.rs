//! The days of 2025, and how busy each part of them is.

use ledger::Timestamp;

/// A day is lived in so many steps, all that is asked within one at the same time. Between two steps everything that was
/// asked is answered, so that what comes of it does not depend on how fast the machine is.
pub(super) const STEPS_PER_DAY: u32 = 8;

const DAY_MS: i64 = 86_400_000;
const STEP_MS: i64 = DAY_MS / STEPS_PER_DAY as i64;

/// 2025-01-01T00:00:00Z.
const NEW_YEAR: Timestamp = Timestamp(1_735_689_600_000);

const MONTH_DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Weight of each part of a day, from midnight on.
const PART_WEIGHTS: [u64; STEPS_PER_DAY as usize] = [1, 1, 3, 12, 16, 15, 13, 5];

/// Weight of each day of the week, from Monday on: people shop on Fridays and Saturdays, and shops rest on Sundays.
const WEEKDAY_WEIGHTS: [u64; 7] = [10, 10, 10, 11, 13, 14, 6];

/// The days of the year.
pub(super) struct Calendar {
    days: Vec<Day>,
    /// Weight of the whole year.
    weight: u64,
}

/// A day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    /// From 0 on.
    pub(super) of_year: u32,
    /// From 1 on.
    pub(super) month: u32,
    /// From 1 on.
    pub(super) of_month: u32,
    /// `true` if it is its month's last.
    pub(super) ends_month: bool,
    /// Weight of the year before it.
    weight_before: u64,
    /// Weight of the day: to be multiplied by those of its parts.
    weight: u64,
}

impl Calendar {
    pub(super) fn new() -> Self {
        let (mut days, mut weight_before) = (Vec::new(), 0);
        let all = (1..).zip(MONTH_DAYS).flat_map(|(month, days)| (1..=days).map(move |day| (month, day, days)));
        for (of_year, (month, of_month, days_of_month)) in (0..).zip(all) {
            // The first of January 2025 was a Wednesday.
            let weekday = WEEKDAY_WEIGHTS[(of_year as usize + 2) % 7];
            let weight = if month == 12 { weekday * 13 } else { weekday * 10 };
            let ends_month = of_month == days_of_month;
            days.push(Day { of_year, month, of_month, ends_month, weight_before, weight });
            weight_before += weight * PART_WEIGHTS.iter().sum::<u64>();
        }
        Self { days, weight: weight_before }
    }

    pub(super) fn days(&self) -> impl Iterator<Item = &Day> {
        self.days.iter()
    }

    /// Returns the number of a year's payments made by the end of a part of a day.
    pub(super) fn made_by(&self, payments: u64, day: &Day, part: u32) -> u64 {
        let parts: u64 = PART_WEIGHTS.iter().take(part as usize + 1).sum();
        let made = u128::from(payments) * u128::from(day.weight_before + day.weight * parts) / u128::from(self.weight);
        u64::try_from(made).unwrap_or(payments)
    }
}

impl Day {
    /// Returns the time at which a part of it begins.
    pub(super) fn at(&self, part: u32) -> Timestamp {
        NEW_YEAR.plus_ms(i64::from(self.of_year) * DAY_MS + i64::from(part) * STEP_MS)
    }

    pub(super) fn name(&self) -> String {
        format!("2025-{:02}-{:02}", self.month, self.of_month)
    }
}

/// The evening before, when the bank is made.
pub(super) fn eve() -> Timestamp {
    NEW_YEAR.plus_ms(-STEP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_has_its_days_and_all_its_payments() {
        let calendar = Calendar::new();
        assert_eq!(calendar.days().count(), 365);
        let last = calendar.days().last().unwrap();
        assert_eq!((last.name(), last.ends_month), ("2025-12-31".into(), true));
        assert_eq!(last.at(0).day().start(), last.at(0));
        assert_eq!(calendar.made_by(12_345, last, STEPS_PER_DAY - 1), 12_345);
    }
}
