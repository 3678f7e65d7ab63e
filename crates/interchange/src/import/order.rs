//! The order of postings: by date, and within a day as the source's own balances tell.
//!
//! A row with a balance says what the account held before it and after it. So the rows of an account's day are the
//! edges of a graph whose nodes are balances, and their order is a trail that uses each edge once. Where the rows as
//! listed are such a trail they stay so; else they are tried the other way round, and then a trail is searched for
//! (Hierholzer's algorithm, in the time it takes to look at each row). Where the balances don't tell, the rows stay as
//! listed: the newest first if the map says so, or if the dates of all of the account's rows do.

use std::collections::{HashMap, VecDeque};

use super::plan::PlannedPosting;

/// Direction in which a source lists the rows of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// The newest row comes last.
    OldestFirst,
    /// The newest row comes first.
    NewestFirst,
}

/// Number of balances a first day's trail is tried from, where several could have been the one before it: a day of more
/// rows than that which ends where it began is left as listed.
const STARTS_TRIED_MAX: usize = 16;

/// A row as far as its order depends on it.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Its place among the postings.
    posting: usize,
    change: i128,
    after: Option<i128>,
}

impl Step {
    fn before(&self) -> Option<i128> {
        self.after.map(|after| after - self.change)
    }
}

/// Puts postings in the order in which they are to be booked. They come in the order of their file; `listing` is what
/// the map says of that. Rows of different accounts keep their places of a day.
pub(super) fn sort(postings: &mut Vec<PlannedPosting>, listing: Option<Listing>) {
    let mut by_account: HashMap<usize, Vec<usize>> = HashMap::new();
    for (place, posting) in postings.iter().enumerate() {
        by_account.entry(posting.account).or_default().push(place);
    }
    let ordered = by_account.into_iter().map(|(account, rows)| (account, account_order(postings, rows, listing)));
    let mut ordered: HashMap<usize, VecDeque<usize>> = ordered.collect();
    let mut slots: Vec<usize> = (0..postings.len()).collect();
    slots.sort_by_key(|place| postings[*place].date);
    let mut rows: Vec<Option<PlannedPosting>> = std::mem::take(postings).into_iter().map(Some).collect();
    let accounts: Vec<usize> = rows.iter().flatten().map(|posting| posting.account).collect();
    for slot in slots {
        let next = ordered.get_mut(&accounts[slot]).and_then(VecDeque::pop_front);
        postings.extend(next.and_then(|place| rows[place].take()));
    }
}

/// One account's rows, day by day.
fn account_order(postings: &[PlannedPosting], mut rows: Vec<usize>, listing: Option<Listing>) -> VecDeque<usize> {
    if listing.unwrap_or_else(|| listing_by_dates(postings, &rows)) == Listing::NewestFirst {
        rows.reverse();
    }
    rows.sort_by_key(|place| postings[*place].date);
    let steps: Vec<Step> = rows.iter().map(|place| step(*place, &postings[*place])).collect();
    let days: Vec<&[Step]> =
        steps.chunk_by(|one, other| postings[one.posting].date == postings[other.posting].date).collect();
    let mut ordered = VecDeque::with_capacity(steps.len());
    let mut balance = None;
    for (place, day) in days.iter().enumerate() {
        let day = day_order(day, balance, days.get(place + 1).copied().unwrap_or_default());
        balance = walk(&day, balance).1;
        ordered.extend(day.iter().map(|step| step.posting));
    }
    ordered
}

fn step(place: usize, posting: &PlannedPosting) -> Step {
    Step { posting: place, change: posting.change_minor().into(), after: posting.source_balance_minor.map(i128::from) }
}

/// The newest first if the dates only ever fall, and do.
fn listing_by_dates(postings: &[PlannedPosting], rows: &[usize]) -> Listing {
    let dates = || rows.iter().map(|place| postings[*place].date);
    let falls = dates().zip(dates().skip(1)).all(|(one, next)| next <= one);
    if falls && dates().next() != dates().next_back() { Listing::NewestFirst } else { Listing::OldestFirst }
}

/// A day's rows in the order that its balances tell, beginning with the `balance` before it where that is known.
fn day_order(listed: &[Step], balance: Option<i128>, next_day: &[Step]) -> Vec<Step> {
    let mut tried = vec![listed.to_vec()];
    if listed.len() < 2 || listed.iter().all(|step| step.after.is_none()) {
        return tried.remove(0);
    }
    tried.push(listed.iter().rev().copied().collect());
    let agrees = |day: &Vec<Step>| walk(day, balance).0 == 0;
    let goes_on = |day: &Vec<Step>| next_day.iter().any(|next| next.before() == walk(day, balance).1);
    let ends_in_itself = |day: &[Step]| balance.is_none() && day.iter().map(|step| step.change).sum::<i128>() == 0;
    if !tried.iter().any(agrees) || ends_in_itself(listed) {
        tried.extend(starts(listed, balance).into_iter().filter_map(|start| trail(listed, start)));
    }
    let found = tried.iter().position(|day| agrees(day) && goes_on(day)).or_else(|| tried.iter().position(agrees));
    let found = found.unwrap_or_else(|| {
        tried.push(greedy(listed, balance));
        (0..tried.len()).min_by_key(|place| walk(&tried[*place], balance).0).unwrap_or(0)
    });
    tried.swap_remove(found)
}

/// Counts the rows whose balance isn't the sum of the balance before and their amount, and returns the balance at the
/// end, too.
fn walk(day: &[Step], mut balance: Option<i128>) -> (usize, Option<i128>) {
    let mut breaks = 0;
    for step in day {
        let expected = balance.map(|before| before + step.change);
        breaks += usize::from(expected.is_some_and(|expected| step.after.is_some_and(|after| after != expected)));
        balance = step.after.or(expected);
    }
    (breaks, balance)
}

/// The balances that can have been before the day.
fn starts(day: &[Step], balance: Option<i128>) -> Vec<i128> {
    let mut starts: Vec<i128> = Vec::new();
    for before in balance.map_or_else(|| day.iter().filter_map(Step::before).collect(), |before| vec![before]) {
        if !starts.contains(&before) && starts.len() < STARTS_TRIED_MAX {
            starts.push(before);
        }
    }
    starts
}

/// The rows in an order in which each begins with the balance at which the one before it ends, if there is one.
fn trail(day: &[Step], start: i128) -> Option<Vec<Step>> {
    let mut leaving: HashMap<i128, VecDeque<Step>> = HashMap::new();
    for step in day {
        leaving.entry(step.before()?).or_default().push_back(*step);
    }
    let mut backwards = Vec::with_capacity(day.len());
    let mut way: Vec<(i128, Option<Step>)> = vec![(start, None)];
    while let Some((node, by)) = way.last().copied() {
        if let Some(next) = leaving.get_mut(&node).and_then(VecDeque::pop_front) {
            way.push((next.after?, Some(next)));
        } else {
            way.pop();
            backwards.extend(by);
        }
    }
    backwards.reverse();
    (backwards.len() == day.len() && walk(&backwards, Some(start)).0 == 0).then_some(backwards)
}

/// Goes on with the first row that fits, or else with the first that follows none that is left.
fn greedy(day: &[Step], mut balance: Option<i128>) -> Vec<Step> {
    let mut left = day.to_vec();
    let mut ordered = Vec::with_capacity(day.len());
    while !left.is_empty() {
        let fits = left.iter().position(|step| balance.is_some() && step.before() == balance);
        let follows = |step: &Step| left.iter().any(|other| other.after.is_some() && other.after == step.before());
        let next = fits.or_else(|| left.iter().position(|step| !follows(step)));
        let step = left.remove(next.unwrap_or(0));
        balance = step.after.or_else(|| balance.map(|before| before + step.change));
        ordered.push(step);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::plan::Direction;
    use super::*;

    /// Rows as (day, amount, balance), in the order of the file, all of one account.
    type Rows<'a> = &'a [(i8, i64, Option<i64>)];

    fn posting(line: u64, (day, amount, balance): (i8, i64, Option<i64>)) -> PlannedPosting {
        PlannedPosting {
            key: "".into(),
            line,
            account: 0,
            contra: 0,
            direction: if amount < 0 { Direction::Debit } else { Direction::Credit },
            amount_minor: amount.unsigned_abs(),
            date: date(2024, 3, day),
            source_balance_minor: balance,
            text: None,
            text_rest: Vec::new(),
            end_to_end_id: None,
        }
    }

    /// Sorts rows, whose lines count from 1, and compares the lines.
    fn check(rows: Rows<'_>, listing: Option<Listing>, lines: &[u64]) {
        let mut postings: Vec<_> = (1..).zip(rows).map(|(line, row)| posting(line, *row)).collect();
        sort(&mut postings, listing);
        let found: Vec<u64> = postings.iter().map(|posting| posting.line).collect();
        assert_eq!(found, lines, "{rows:?}");
    }

    #[test]
    fn the_balances_tell_the_order_within_a_day() {
        // As listed, the other way round, and neither.
        check(&[(4, 1400, Some(1400)), (4, -900, Some(500))], None, &[1, 2]);
        check(&[(4, -900, Some(500)), (4, 1400, Some(1400))], None, &[2, 1]);
        check(&[(4, 5, Some(15)), (4, 10, Some(10)), (4, 7, Some(22))], None, &[2, 1, 3]);
        // The balance of the day before decides.
        check(&[(3, 1, Some(1)), (4, -1, Some(1)), (4, 1, Some(2))], None, &[1, 3, 2]);
        // Whatever the map says: it was the balances that told it wrong.
        check(&[(4, 1400, Some(1400)), (4, -900, Some(500))], Some(Listing::NewestFirst), &[1, 2]);
    }

    #[test]
    fn a_first_day_that_ends_where_it_began_is_told_by_the_next() {
        let day = [(4, 50, Some(150)), (4, -50, Some(100))];
        check(&[day[0], day[1], (5, 1, Some(101))], None, &[1, 2, 3]);
        check(&[day[0], day[1], (5, 1, Some(151))], None, &[2, 1, 3]);
        check(&day, None, &[1, 2]);
        // Three balances, none of the first two orders.
        let day = [(4, 10, Some(10)), (4, -30, Some(0)), (4, 20, Some(30))];
        check(&[day[0], day[1], day[2], (5, 1, Some(31))], None, &[2, 1, 3, 4]);
    }

    #[test]
    fn many_rows_of_a_day_are_no_search() {
        // A hundred times up and down again, listed by amount: the number of orders has 150 digits.
        let up = (0..100).map(|_| (4, 100, Some(100)));
        let down = (0..100).map(|_| (4, -100, Some(0)));
        let rows: Vec<_> = [(3, 5, Some(0))].into_iter().chain(up).chain(down).collect();
        let mut postings: Vec<_> = (1..).zip(&rows).map(|(line, row)| posting(line, *row)).collect();
        sort(&mut postings, None);
        let balances: Vec<_> = postings.iter().filter_map(|posting| posting.source_balance_minor).collect();
        assert!(balances.chunks(2).all(|pair| pair[0] == 0 && pair.get(1).is_none_or(|next| *next == 100)));
    }

    #[test]
    fn without_balances_the_map_or_the_dates_tell() {
        let rows = [(4, 1, None), (4, 2, None), (5, 3, None), (5, 4, None)];
        check(&rows, None, &[1, 2, 3, 4]);
        check(&rows, Some(Listing::OldestFirst), &[1, 2, 3, 4]);
        check(&rows, Some(Listing::NewestFirst), &[2, 1, 4, 3]);
        let rows = [(5, 1, None), (5, 2, None), (4, 3, None), (4, 4, None)];
        check(&rows, None, &[4, 3, 2, 1]);
        check(&rows, Some(Listing::OldestFirst), &[3, 4, 1, 2]);
        check(&[(5, 1, None), (4, 2, None), (5, 3, None)], None, &[2, 1, 3]);
        check(&[(5, 1, None), (5, 2, None)], None, &[1, 2]);
    }

    #[test]
    fn a_break_leaves_as_much_order_as_there_is() {
        // 7 is missing before the second; the third begins where the second ends.
        check(&[(4, 5, Some(27)), (4, 10, Some(10)), (4, 5, Some(22))], None, &[2, 3, 1]);
        check(&[(4, 1, Some(50)), (4, 1, Some(70))], None, &[1, 2]);
        // A row without a balance stays where it is.
        check(&[(4, 5, None), (4, 5, Some(10)), (5, 1, Some(11))], None, &[1, 2, 3]);
        check(&[(4, 5, Some(10)), (4, 5, None), (5, 1, Some(11))], None, &[2, 1, 3]);
    }

    #[test]
    fn accounts_keep_their_places_of_a_day() {
        let mut postings: Vec<_> = [(4, -1, Some(1)), (4, 9, None), (4, 2, Some(2))]
            .into_iter()
            .zip(1..)
            .map(|(row, line)| posting(line, row))
            .collect();
        postings[1].account = 1;
        sort(&mut postings, None);
        assert_eq!(postings.iter().map(|posting| posting.line).collect::<Vec<_>>(), [3, 2, 1]);
    }
}
