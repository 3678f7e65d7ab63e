//! Comparison of what was posted with what the source itself says.
//!
//! A source's order within a day is often unknown, and sources round. So a day of an account is compared by its end,
//! and with whichever of the source's own balances of that day is nearest; the result says how many days agree how
//! closely, and names those that don't.

use jiff::civil::Date;

use super::plan::Plan;

/// The differences up to which days are counted as agreeing, in hundredths of the currency's unit: exactly, 0.10, 0.20,
/// 0.50, 1.00 and 100.00. Rounding to tenths stays within the first few; what lies beyond the last is no rounding.
pub(crate) const THRESHOLDS_HUNDREDTHS: [u64; 6] = [0, 10, 20, 50, 100, 10_000];

/// A day is a break if it differs by more than this, in hundredths of the currency's unit: more than rounding explains.
pub(crate) const BREAK_HUNDREDTHS: u64 = 100;

/// Agreement of posted balances with the source's own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    /// Days of accounts for which the source gives a balance.
    pub(crate) account_days: usize,
    /// Number of them that differ by no more than each of [`THRESHOLDS_HUNDREDTHS`].
    pub(crate) agreeing: [usize; THRESHOLDS_HUNDREDTHS.len()],
    /// Largest difference, in minor units.
    pub(crate) largest_difference_minor: u64,
    /// The days that differ by more than [`BREAK_HUNDREDTHS`], the largest difference first.
    pub(crate) breaks: Vec<Break>,
}

/// A day on which an account's posted balance is not what the source says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// Index into the plan's accounts.
    pub(crate) account: usize,
    /// The day.
    pub(crate) date: Date,
    /// The balance posted by the day's end.
    pub(crate) posted_minor: i64,
    /// The source's nearest balance of that day.
    pub(crate) source_minor: i64,
}

/// Compares each account's posted balances with the source's, day by day.
///
/// `posted` gives the end-of-day balances of an account, by its index, in order of date; a day that isn't there has the
/// balance of the day before, and before the first it is zero. It is asked once for each account that has postings with
/// a balance of the source's. An error of it ends the comparison.
pub(crate) fn reconcile<E>(
    plan: &Plan,
    mut posted: impl FnMut(usize) -> Result<Vec<(Date, i64)>, E>,
) -> Result<Reconciliation, E> {
    let mut result = Reconciliation::default();
    let mut asked: Option<(usize, Vec<(Date, i64)>)> = None;
    let balances = source_balances(plan);
    for day in balances.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        let (account, date, _) = day[0];
        let ends_of_days = match asked.take() {
            Some((of, ends_of_days)) if of == account => ends_of_days,
            _ => posted(account)?,
        };
        let days_so_far = ends_of_days.partition_point(|(day, _)| *day <= date);
        let posted_minor = days_so_far.checked_sub(1).map_or(0, |last| ends_of_days[last].1);
        let nearest =
            day.iter().map(|(_, _, balance_minor)| *balance_minor).min_by_key(|minor| minor.abs_diff(posted_minor));
        let source_minor = nearest.expect("a chunk is never empty");
        result.add(Break { account, date, posted_minor, source_minor }, plan.decimals_of(account));
        asked = Some((account, ends_of_days));
    }
    result.breaks.sort_by_key(|day| std::cmp::Reverse(day.difference_minor()));
    Ok(result)
}

/// The source's own balances by account and date.
fn source_balances(plan: &Plan) -> Vec<(usize, Date, i64)> {
    let balances =
        plan.postings.iter().filter_map(|posting| Some((posting.account, posting.date, posting.source_balance_minor?)));
    let mut balances: Vec<_> = balances.collect();
    balances.sort_unstable();
    balances
}

impl Break {
    /// Returns the difference of the day, in minor units.
    pub(crate) fn difference_minor(&self) -> u64 {
        self.posted_minor.abs_diff(self.source_minor)
    }
}

impl Reconciliation {
    fn add(&mut self, day: Break, decimals: u32) {
        let difference_minor = day.difference_minor();
        self.account_days += 1;
        for (count, threshold) in self.agreeing.iter_mut().zip(THRESHOLDS_HUNDREDTHS) {
            *count += usize::from(difference_minor <= minor(threshold, decimals));
        }
        self.largest_difference_minor = self.largest_difference_minor.max(difference_minor);
        if difference_minor > minor(BREAK_HUNDREDTHS, decimals) {
            self.breaks.push(day);
        }
    }
}

/// Hundredths of the currency's unit as minor units; what is less than one minor unit counts as none.
pub(super) fn minor(hundredths: u64, decimals: u32) -> u64 {
    hundredths.saturating_mul(10_u64.saturating_pow(decimals)) / 100
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::import::plan::{ContraKind, Direction, PlanFiles, PlannedPosting, Right, Surroundings};
    use crate::import::{plan as planned, read_map};

    /// The data set's folder, or none after saying loudly that the test is skipped.
    fn berka() -> Option<PathBuf> {
        let beside_the_workspace = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/berka");
        let folder = std::env::var_os("KASSA_BERKA").map_or_else(beside_the_workspace, PathBuf::from);
        if folder.join("trans.asc").exists() {
            return Some(folder);
        }
        // Past the test runner's capturing, so that nobody takes this for a pass.
        let words = format!("SKIPPED: no Berka data set in {}; set KASSA_BERKA to its folder", folder.display());
        std::io::Write::write_all(&mut std::io::stderr(), format!("{words}\n").as_bytes()).unwrap();
        None
    }

    fn plan(folder: &Path) -> Plan {
        let map_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/berka/map.toml");
        let map = read_map(&map_file, &|code| (code == "CZK").then_some(2));
        let surroundings = Surroundings { today: Date::constant(2026, 1, 1), largest_number: u64::MAX, customers: &[] };
        let plan = map.and_then(|map| planned(&map, folder, &surroundings));
        plan.unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// The simplest of books: end-of-day balances by account, posted in the order of the plan.
    fn post(plan: &Plan) -> Vec<Vec<(Date, i64)>> {
        let mut ends_of_days: Vec<Vec<(Date, i64)>> = vec![Vec::new(); plan.accounts.len()];
        for posting in &plan.postings {
            let days = &mut ends_of_days[posting.account];
            let balance_minor = days.last().map_or(0, |day| day.1) + posting.change_minor();
            days.pop_if(|day| day.0 == posting.date);
            days.push((posting.date, balance_minor));
        }
        ends_of_days
    }

    #[test]
    fn berka_reconciles_to_the_independent_figures() {
        let Some(folder) = berka() else { return };
        let plan = plan(&folder);

        assert_eq!((plan.customers.len(), plan.accounts.len(), plan.postings.len()), (5_369, 4_500, 49_102));
        assert_eq!(plan.rights.iter().filter(|right| right.right == Right::Owner).count(), 4_500);
        let disponent = Right::Signatory { limit_minor: None };
        assert_eq!(plan.rights.iter().filter(|right| right.right == disponent).count(), 869);
        assert_eq!(plan.contras.len(), 18, "{:?}", plan.contras);

        let books = post(&plan);
        let balances: Vec<i64> = books.iter().filter_map(|days| days.last()).map(|day| day.1).collect();
        assert_eq!((balances.len(), balances.iter().sum::<i64>()), (1_229, 3_924_614_280));
        let overdrawn_days = books.iter().flatten().filter(|day| day.1 < 0).count();
        assert_eq!(overdrawn_days, 52);

        let result = reconcile(&plan, |account| Ok::<_, Infallible>(books[account].clone())).unwrap();
        assert_eq!(result.account_days, 39_960);
        assert_eq!(result.agreeing, [23_634, 37_313, 39_569, 39_911, 39_932, 39_936]);
        assert_eq!(result.largest_difference_minor, 33_220);
        assert_eq!(result.breaks.len(), 28);
        assert_eq!(result.breaks[0].difference_minor(), 33_220);
    }

    #[test]
    fn berka_goes_against_sensible_contra_accounts() {
        let Some(folder) = berka() else { return };
        let plan = plan(&folder);

        let mut counts = BTreeMap::new();
        for posting in &plan.postings {
            let contra = &plan.contras[posting.contra];
            let name = if contra.name.starts_with("Bank ") { "Bank" } else { &contra.name };
            *counts.entry((name, contra.kind == ContraKind::Asset)).or_insert(0) += 1;
        }
        let expected = [
            (("Bank", true), 10_115),
            (("Card settlement", false), 12),
            (("Cash", true), 24_003),
            (("Fee income", false), 5_445),
            (("Interest expense", false), 9_463),
            (("Penalty interest income", false), 64),
        ];
        assert_eq!(counts, BTreeMap::from(expected));
        let text =
            |key: &str| plan.postings.iter().find(|posting| &*posting.key == key).and_then(|p| p.text.as_deref());
        assert_eq!(text("postings:637742"), Some("Pension Transfer from 62457513 at bank YZ"));
    }

    fn plan_of(source_balances: &[(i8, Option<i64>)]) -> Plan {
        let postings = source_balances.iter().map(|(day, source_balance_minor)| PlannedPosting {
            key: "".into(),
            line: 1,
            account: 0,
            contra: 0,
            direction: Direction::Credit,
            amount_minor: 1,
            date: Date::constant(1993, 1, *day),
            source_balance_minor: *source_balance_minor,
            text: None,
            text_rest: Vec::new(),
            end_to_end_id: None,
        });
        Plan {
            source_name: String::new(),
            currency: "EUR".to_owned(),
            decimals: 2,
            bank: None,
            files: PlanFiles {
                customers: String::new(),
                accounts: String::new(),
                rights: String::new(),
                postings: String::new(),
            },
            customers: Vec::new(),
            accounts: Vec::new(),
            rights: Vec::new(),
            contras: Vec::new(),
            postings: postings.collect(),
            skipped: BTreeMap::new(),
            opening_account: String::new(),
            late_is_booked_now: false,
        }
    }

    #[test]
    fn a_day_is_compared_with_the_nearest_of_the_sources_balances() {
        let plan = plan_of(&[(1, Some(100)), (1, Some(190)), (2, None), (3, Some(300)), (4, Some(-50))]);
        let day = |day| Date::constant(1993, 1, day);
        let posted = vec![(day(1), 200), (day(3), 300)];
        let result = reconcile(&plan, |_| Ok::<_, Infallible>(posted.clone())).unwrap();
        assert_eq!(result.account_days, 3);
        assert_eq!(result.agreeing, [1, 2, 2, 2, 2, 3]);
        assert_eq!(result.largest_difference_minor, 350);
        assert_eq!(result.breaks, [Break { account: 0, date: day(4), posted_minor: 300, source_minor: -50 }]);
        assert_eq!(reconcile(&plan, |_| Err("gone")), Err("gone"));
    }

    #[test]
    fn thresholds_are_in_the_currencys_unit() {
        assert_eq!(THRESHOLDS_HUNDREDTHS.map(|hundredths| minor(hundredths, 2)), [0, 10, 20, 50, 100, 10_000]);
        assert_eq!(THRESHOLDS_HUNDREDTHS.map(|hundredths| minor(hundredths, 3)), [0, 100, 200, 500, 1_000, 100_000]);
        assert_eq!(THRESHOLDS_HUNDREDTHS.map(|hundredths| minor(hundredths, 0)), [0, 0, 0, 0, 1, 100]);
    }
}
