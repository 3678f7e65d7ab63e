//! One account's history: the balance it begins with, where the source's own balances break off, and how far below zero
//! it goes.
//!
//! The source's balances say what an account held before its first row, and how far it was ever overdrawn; and they show
//! where rows are missing, or say something else than was booked. Only what they show is a limit that somebody granted.
//! The sum of rows alone is no such limit: a window of rows without the ones before it goes as far below zero as one
//! likes.
//!
//! A balance may itself be wrong. So no single one is believed against the others: an account begins with what most of
//! its balances tell, and an overdraft counts as far as the balance and the books both show it.
//!
//! Amounts are in minor units, credits positive, in 128 bits, so that nothing here overflows; what doesn't fit the
//! books is found before anything is booked.

use ledger::{Account, Overdraft};

/// A row of an account, in the source's order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its place among the plan's postings.
    pub(super) posting: usize,
    /// Its line in its file.
    pub(super) line: u64,
    pub(super) change: i128,
    /// The source's balance after it.
    pub(super) balance: Option<i128>,
    pub(super) state: RowState,
    /// `true` if this import books it, or did before it was broken off.
    pub(super) is_of_this_import: bool,
}

/// State of a row: what there is to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    /// It was booked in an earlier run, and this was the account's balance after it.
    Booked(i128),
    /// It is to be booked as of its own date.
    New,
    /// It is to be booked now: the account has younger entries.
    Late,
}

/// Amounts that the books hold of an account that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// `true` if its history has begun.
    pub(super) has_entries: bool,
    pub(super) posted: i128,
    /// The sum of its open holds.
    pub(super) on_hold: i128,
}

/// A row whose balance is not what the balance before it and its amount make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) line: u64,
    pub(super) expected: i128,
    pub(super) found: i128,
}

/// The furthest below zero that the source and the books both show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Low {
    /// Balance that both show: below zero.
    pub(super) balance: i128,
    /// Balance that the source shows there: the same, or less.
    pub(super) source: i128,
    /// Line of the row that shows it; none for the balance before the first row.
    pub(super) line: Option<u64>,
}

/// An account's rows as they are to be booked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct History {
    /// The balance with which it begins, if that is to be booked: not zero.
    pub(super) opening: Option<i128>,
    /// The rows to be booked, by their place in `rows`, each with the posted balance after it.
    pub(super) entries: Vec<(usize, i128)>,
    pub(super) breaks: Vec<Break>,
    /// The posted balance when all is booked.
    pub(super) closing: i128,
    /// Closing balance by the source; none if it gives no balances.
    pub(super) source_closing: Option<i128>,
    /// Lowest available balance on the way.
    pub(super) lowest: i128,
    /// Lowest balance there has been, by the source and by the books.
    pub(super) low: Option<Low>,
}

impl History {
    /// `held` is none for an account that is yet to be opened. `opened` is the balance that this import booked as the account's
    /// first before it was broken off, and `said` the one that the map says it began with.
    pub(super) fn of(rows: &[Row], held: Option<Held>, opened: Option<i128>, said: Option<i128>) -> Self {
        let began = held.filter(|held| held.has_entries);
        let opening = if began.is_none() { said.unwrap_or_else(|| opening(rows)) } else { 0 };
        let start = began.map_or(opening, |held| held.posted);
        let known = known_difference(rows);
        let late_last = booking_order(rows, &[RowState::New, RowState::Late]);
        let in_place: Vec<usize> = (0..rows.len()).filter(|place| rows[*place].is_to_be_booked()).collect();
        let breaks = breaks(rows, &late_last, start, known);
        let breaks_in_place = breaks_with_late_in_place(rows, &in_place, start, known);
        // A late row's balance may be the one on its own day, or the one after all others: whichever agrees.
        let late_is_in_place = breaks_in_place.len() < breaks.len();
        let source_order = if late_is_in_place { (0..rows.len()).collect() } else { source_order(rows) };
        let mut balance = start;
        let entries = late_last.iter().map(|place| {
            balance += rows[*place].change;
            (*place, balance)
        });
        let entries: Vec<(usize, i128)> = entries.collect();
        let on_hold = held.map_or(0, |held| held.on_hold);
        let debited = entries.iter().filter(|(place, _)| rows[*place].change < 0).map(|(_, balance)| *balance);
        let (closing, source_closing) = (balance_after(&entries, start), source_closing(rows, &source_order));
        let surplus = source_closing.map_or(0, |source| (closing - source).max(0));
        Self {
            opening: Some(opening).filter(|opening| *opening != 0),
            breaks: if late_is_in_place { breaks_in_place } else { breaks },
            closing,
            source_closing,
            lowest: debited.chain([start]).map(|posted| posted - on_hold).fold(0, i128::min),
            // What only the map says is shown by no balance.
            low: low(rows, if said.is_some() { 0 } else { opened.unwrap_or(opening) }, &entries, surplus),
            entries,
        }
    }

    /// The least limit with which the account can be left, and the one that was granted, as the source and the books show.
    pub(super) fn limits(&self, held: Option<Held>) -> (i128, i128) {
        let least = (held.map_or(0, |held| held.on_hold) - self.closing).max(0);
        (least, self.low.map_or(0, |low| -low.balance))
    }

    /// Returns how much further below zero the books end than the source says; none if it gives no balances.
    pub(super) fn beyond_source(&self) -> Option<i128> {
        let below_zero = |balance: i128| (-balance).max(0);
        self.source_closing.map(|source| (below_zero(self.closing) - below_zero(source)).max(0))
    }
}

impl Row {
    fn is_to_be_booked(&self) -> bool {
        matches!(self.state, RowState::New | RowState::Late)
    }
}

/// The balance before the first row; zero where there are no balances.
///
/// Each balance tells one, which is another where a balance doesn't follow from the rows before it. The median counts, of
/// two the smaller, so that a wrong figure in the first balance is neither lent nor given to anybody, and sources that
/// round are off by no more than that. Of what the first balance tells and the median, the smaller counts; of two debts
/// the median; and nothing where they are on different sides of zero: nobody knows then, and nothing is lent or given.
fn opening(rows: &[Row]) -> i128 {
    let mut moved = 0;
    let told = rows.iter().filter_map(|row| {
        moved += row.change;
        Some(row.balance? - moved)
    });
    let mut told: Vec<i128> = told.collect();
    let Some(first) = told.first().copied() else { return 0 };
    told.sort_unstable();
    let middle = [told[(told.len() - 1) / 2], told[told.len() / 2]];
    let median = middle.into_iter().min_by_key(|opening| opening.abs()).unwrap_or(first);
    match (first.signum(), median.signum()) {
        (1, -1) | (-1, 1) => 0,
        (-1, -1) => median,
        _ if median.abs() < first.abs() => median,
        _ => first,
    }
}

/// Returns by how much the books were ahead of the source after the last row that was booked: known since it was.
fn known_difference(rows: &[Row]) -> i128 {
    let booked = rows.iter().rev().find_map(|row| match (row.state, row.balance) {
        (RowState::Booked(posted), Some(balance)) => Some(posted - balance),
        _ => None,
    });
    booked.unwrap_or(0)
}

/// The places of the rows in these states, those of the first state first.
fn booking_order(rows: &[Row], states: &[RowState]) -> Vec<usize> {
    let in_state = |state| (0..rows.len()).filter(move |place| rows[*place].state == state);
    states.iter().flat_map(|state| in_state(*state)).collect()
}

/// All rows as they come to be booked.
fn source_order(rows: &[Row]) -> Vec<usize> {
    let (late, in_time): (Vec<usize>, Vec<usize>) =
        (0..rows.len()).partition(|place| rows[*place].state == RowState::Late);
    in_time.into_iter().chain(late).collect()
}

fn balance_after(entries: &[(usize, i128)], start: i128) -> i128 {
    entries.last().map_or(start, |(_, balance)| *balance)
}

/// The rows in `order` whose balance differs from the books by something else than before. A difference that is told is
/// not told again by the rows after it.
fn breaks(rows: &[Row], order: &[usize], start: i128, known: i128) -> Vec<Break> {
    let (mut balance, mut difference) = (start, known);
    let mut breaks = Vec::new();
    for row in order.iter().map(|place| &rows[*place]) {
        balance += row.change;
        let Some(found) = row.balance else { continue };
        if balance != found && balance - difference != found {
            breaks.push(Break { line: row.line, expected: balance - difference, found });
        }
        difference = balance - found;
    }
    breaks
}

/// Does as [`breaks`] where a late row's balance is the one on its own day: it is compared with the row before it in
/// the source, booked or not.
fn breaks_with_late_in_place(rows: &[Row], order: &[usize], start: i128, known: i128) -> Vec<Break> {
    let without_late: Vec<Row> =
        rows.iter().map(|row| Row { balance: row.balance.filter(|_| row.state != RowState::Late), ..*row }).collect();
    let mut all = breaks(&without_late, order, start, known);
    let mut before: Option<i128> = None;
    for row in rows {
        let expected = before.map(|before| before + row.change);
        if let (RowState::Late, Some(expected), Some(found)) = (row.state, expected, row.balance)
            && expected != found
        {
            all.push(Break { line: row.line, expected, found });
        }
        before = row.balance.or(expected);
    }
    all.sort_by_key(|found| found.line);
    all
}

fn source_closing(rows: &[Row], order: &[usize]) -> Option<i128> {
    let rows = order.iter().map(|place| &rows[*place]);
    rows.fold(None, |closing: Option<i128>, row| row.balance.or(closing.map(|before| before + row.change)))
}

/// The lowest balance that the source and the books both show.
///
/// The books end by `surplus` above the source. What the source shows counts for less by as much: nobody can spend more
/// than its own figures allowed.
fn low(rows: &[Row], opening: i128, entries: &[(usize, i128)], surplus: i128) -> Option<Low> {
    let both = |source: i128, posted: i128, line| Low { balance: (source + surplus).max(posted), source, line };
    let first = both(opening, opening, None);
    let booked = rows.iter().filter(|row| row.is_of_this_import).filter_map(|row| match row.state {
        RowState::Booked(posted) => Some((row, posted)),
        RowState::New | RowState::Late => None,
    });
    let new = entries.iter().map(|(place, posted)| (&rows[*place], *posted));
    let shown = booked.chain(new).filter_map(|(row, posted)| Some(both(row.balance?, posted, Some(row.line))));
    std::iter::once(first).chain(shown).filter(|low| low.balance < 0).min_by_key(|low| low.balance)
}

/// An account's overdraft as an import finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Overdraft before this import.
    pub(super) before: Overdraft,
    /// Overdraft before this import, without what an earlier import gave only because the account ended below zero.
    pub(super) lasting: Overdraft,
    /// Overdraft now: wider than before if this import was broken off.
    pub(super) now: Overdraft,
}

/// Change to an account's overdraft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Overdraft kept at first: the one it had, or what is to last of the limit that it is left with.
    pub(super) before: Overdraft,
    /// Limit while the rows are booked, if its history goes lower than the limit it is left with, or that is wider than
    /// before.
    pub(super) meanwhile: Option<u64>,
    /// Limit in the end.
    pub(super) after: u64,
    /// `true` if that is wider than what lasts, because the account ends below zero.
    pub(super) is_owed: bool,
}

/// The overdraft of an account that is there, as the bank lets it be used. A customer's account without a limit is one
/// from before each had to have one: it goes no further below zero than it is.
pub(super) fn limit_that_counts(account: &Account, is_a_customers: bool) -> Overdraft {
    match account.overdraft {
        Overdraft::Unlimited if is_a_customers => Overdraft::Limited(account.available_minor().min(0).unsigned_abs()),
        kept @ (Overdraft::Unlimited | Overdraft::Limited(_)) => kept,
    }
}

/// The room an account needs, if what it has is not right already.
///
/// The limit that it had lasts, and so does the one that the source shows. A debt beyond them is a limit only as long
/// as it is owed: the next import takes it back as far as the account ends higher.
pub(super) fn room(history: &History, held: Option<Held>, found: Found) -> Option<Room> {
    let (Overdraft::Limited(limit), Overdraft::Limited(lasting)) = (found.before, found.lasting) else { return None };
    let (least, granted) = history.limits(held);
    let wide = |amount: i128| u64::try_from(amount).unwrap_or(u64::MAX);
    let kept = lasting.min(limit).max(wide(granted));
    let after = kept.max(wide(least));
    let deepest = wide(-history.lowest);
    // A wider limit is marked as the room of its rows until these are booked, so that a break leaves none that they don't
    // show.
    let rises = Overdraft::Limited(after) > found.before && !history.entries.is_empty();
    let meanwhile = Some(deepest.max(after)).filter(|deepest| rises || *deepest > after);
    let is_owed = after > kept;
    // A limit that was owed and is shown now is to last.
    let comes_to_last = lasting < limit && !is_owed;
    let changes = meanwhile.is_some() || Overdraft::Limited(after) != found.now || comes_to_last;
    let owed_now = held.map_or(0, |held| wide((held.on_hold - held.posted).max(0)));
    let before = if is_owed && kept >= owed_now { Overdraft::Limited(kept) } else { found.before };
    changes.then_some(Room { before, meanwhile, after, is_owed })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as (state, change, balance); their lines count from 1.
    fn rows(rows: &[(RowState, i128, Option<i128>)]) -> Vec<Row> {
        let row = |(place, (state, change, balance)): (usize, &(RowState, i128, Option<i128>))| Row {
            posting: place,
            line: place as u64 + 1,
            change: *change,
            balance: *balance,
            state: *state,
            is_of_this_import: !matches!(state, RowState::Booked(_)),
        };
        rows.iter().enumerate().map(row).collect()
    }

    /// Rows of an import that was broken off, booked or not.
    fn of_this_import(given: &[(RowState, i128, Option<i128>)]) -> Vec<Row> {
        rows(given).into_iter().map(|row| Row { is_of_this_import: true, ..row }).collect()
    }

    fn new(given: &[(i128, Option<i128>)]) -> History {
        let given: Vec<_> = given.iter().map(|(change, balance)| (RowState::New, *change, *balance)).collect();
        History::of(&rows(&given), None, None, None)
    }

    fn limit(history: &History, held: Option<Held>) -> Option<Room> {
        room(history, held, found_as(0, 0, 0))
    }

    const fn found_as(before: u64, lasting: u64, now: u64) -> Found {
        let [before, lasting, now] = [Overdraft::Limited(before), Overdraft::Limited(lasting), Overdraft::Limited(now)];
        Found { before, lasting, now }
    }

    /// A limit that lasts, of an account that had none. Without a wider one it is the one of the meantime, too.
    const fn room_of(meanwhile: Option<u64>, after: u64) -> Option<Room> {
        let meanwhile = Some(if let Some(wider) = meanwhile { wider } else { after });
        Some(Room { before: Overdraft::Limited(0), meanwhile, after, is_owed: false })
    }

    /// A limit that is there only as long as the account is below zero.
    const fn owed(meanwhile: Option<u64>, after: u64) -> Option<Room> {
        let meanwhile = Some(if let Some(wider) = meanwhile { wider } else { after });
        Some(Room { before: Overdraft::Limited(0), meanwhile, after, is_owed: true })
    }

    fn found(line: u64, expected: i128, found: i128) -> Break {
        Break { line, expected, found }
    }

    #[test]
    fn a_statement_begins_with_the_balance_that_its_first_row_tells() {
        let history = new(&[(-900, Some(500)), (-200, Some(300))]);
        assert_eq!((history.opening, history.closing), (Some(1_400), 300));
        assert_eq!(history.entries, [(0, 500), (1, 300)]);
        assert_eq!((&history.breaks[..], history.lowest), (&[][..], 0));
        assert_eq!(limit(&history, None), None);
        // The first balance may come later, and there may be none at all.
        assert_eq!(new(&[(-1, None), (5, Some(14))]).opening, Some(10));
        assert_eq!(new(&[(10, Some(10))]).opening, None);
        assert_eq!(new(&[(-10, None)]).opening, None);
        // It may be below zero, which is then what the source shows.
        let history = new(&[(500, Some(200))]);
        assert_eq!((history.opening, history.lowest), (Some(-300), -300));
        assert_eq!(history.low, Some(Low { balance: -300, source: -300, line: None }));
        assert_eq!(limit(&history, None), room_of(None, 300));
    }

    #[test]
    fn only_an_overdraft_that_the_source_shows_is_granted() {
        let history = new(&[(100, Some(100)), (-130, Some(-30)), (40, Some(10))]);
        assert_eq!(history.low, Some(Low { balance: -30, source: -30, line: Some(2) }));
        assert_eq!(limit(&history, None), room_of(None, 30));
        // Without balances the history has its way, and then nothing more can be spent.
        assert_eq!(limit(&new(&[(-70, None), (50, None)]), None), owed(Some(70), 20));
        assert_eq!(limit(&new(&[(-70, None), (90, None)]), None), room_of(Some(70), 0));
        // Lower between two balances than either: nobody shows it.
        assert_eq!(limit(&new(&[(10, Some(10)), (-70, None), (80, Some(20))]), None), room_of(Some(60), 0));
    }

    #[test]
    fn a_break_is_told_once_and_grants_nothing() {
        let history = new(&[(100, Some(100)), (-80, Some(70)), (-30, Some(40)), (-1, Some(38))]);
        assert_eq!(history.breaks, [found(2, 20, 70), found(4, 39, 38)]);
        assert_eq!((history.closing, history.source_closing), (-11, Some(38)));
        // The books end below zero, and the source says that they don't.
        assert_eq!((limit(&history, None), history.beyond_source()), (owed(None, 11), Some(11)));
        // They go below zero on the way only.
        let history = new(&[(100, Some(100)), (-180, Some(20)), (90, Some(110))]);
        assert_eq!(limit(&history, None), room_of(Some(80), 0));
        // They end with more than the source, which shows an overdraft: that is smaller by as much.
        let history = new(&[(-50, Some(-50)), (100, Some(30))]);
        assert_eq!((history.closing, history.source_closing), (50, Some(30)));
        assert_eq!(limit(&history, None), room_of(Some(50), 30));
        assert_eq!(limit(&new(&[(-50, Some(-50)), (200, Some(30))]), None), room_of(Some(50), 0));
    }

    #[test]
    fn a_wrong_balance_that_heals_grants_nothing() {
        let limit_of = |given: &[(i128, i128)]| {
            let given: Vec<_> = given.iter().map(|(change, balance)| (*change, Some(*balance))).collect();
            limit(&new(&given), None)
        };
        assert_eq!(limit_of(&[(100, 100), (-80, -70_000), (-30, -10)]), room_of(None, 10));
        // It may go on for several rows, or never heal.
        assert_eq!(limit_of(&[(100, 100), (-80, -70_000), (-1, -70_001), (-1, 18)]), None);
        assert_eq!(limit_of(&[(100, 100), (-80, -70_000), (-30, -70_030)]), room_of(None, 10));
        assert_eq!(limit_of(&[(100, 100), (-80, -70_000), (-5, -70_005)]), None);
        // The limit that the rows bear out is left, and a wrong balance above the books takes nothing of it once it
        // healed.
        assert_eq!(limit_of(&[(100, 100), (-130, -3_000), (40, 10)]), room_of(None, 30));
        assert_eq!(limit_of(&[(100, 100), (-130, -30), (40, 70_000), (1, 11)]), room_of(None, 30));
        // The limit that both showed before is left where the books end with less than the source.
        assert_eq!(limit_of(&[(-50, -50), (100, 50), (-10, 60)]), room_of(None, 50));
        // Balances that are given on some rows only.
        let some = [(100, None), (-80, Some(-70_000)), (-30, None), (1, Some(-9))];
        assert_eq!(limit(&new(&some), None), room_of(Some(10), 9));
    }

    #[test]
    fn an_account_begins_with_what_most_balances_tell() {
        let opening_and_limit = |given: &[(i128, i128)]| {
            let given: Vec<_> = given.iter().map(|(change, balance)| (*change, Some(*balance))).collect();
            let history = new(&given);
            (history.opening, limit(&history, None), history.breaks)
        };
        let wrong_first = |balance| [(100, balance), (-50, 50), (10, 60)];
        let of = |balance| opening_and_limit(&wrong_first(balance));
        assert_eq!(of(-70_000), (None, None, vec![found(1, 100, -70_000)]));
        assert_eq!(of(70_000), (None, None, vec![found(1, 100, 70_000)]));
        // One against one: the smaller counts, and never more than the first tells.
        assert_eq!(opening_and_limit(&[(100, -70_000), (-50, 50)]).0, None);
        assert_eq!(opening_and_limit(&[(100, 50), (-50, -70_000)]).0, Some(-50));
        assert_eq!(opening_and_limit(&[(100, 100), (-50, 90), (-50, 40)]).0, None);
        // Where they are on different sides of zero, nothing is given and nothing lent; of debts most tell the right one.
        assert_eq!(opening_and_limit(&[(100, 400), (-50, -10), (-50, -60)]).0, None);
        assert_eq!(opening_and_limit(&[(100, 70_000), (-50, -10), (-50, -60)]).0, None);
        assert_eq!(opening_and_limit(&[(600, 590), (-5, 95), (-5, 90), (-5, 85)]).0, Some(-500));
        assert_eq!(opening_and_limit(&[(100, -70_000), (-50, 100), (-50, 50)]).0, None);
        assert_eq!(opening_and_limit(&[(10, -490), (-5, -54), (2_000, 1_946)]).0, Some(-59));
        // A wrong one later changes nothing of an overdraft that the others agree on.
        let later = [(100, -200), (-50, -250), (10, 70_000), (10, -230)];
        assert_eq!(opening_and_limit(&later), (Some(-300), room_of(None, 300), vec![found(3, -240, 70_000)]));
        // Several may be wrong, and a source that rounds tells as many openings as it has rows.
        let several = [(100, -70_000), (-50, -70_050), (10, 60), (-5, 55), (100, 155)];
        assert_eq!((opening_and_limit(&several).0, opening_and_limit(&several).1), (None, None));
        let rounded = [(100, -200), (10, -191), (10, -179), (10, 70_000), (10, -162)];
        assert_eq!(opening_and_limit(&rounded).0, Some(-300));
        // Two to one, the account did begin below zero; a credit is missing after that.
        let few = [(100, -700), (-50, -750), (10, 60)];
        assert_eq!((opening_and_limit(&few).0, opening_and_limit(&few).1), (Some(-800), room_of(None, 800)));
    }

    #[test]
    fn a_limit_is_as_large_as_booked_rows_and_the_source_show() {
        // The books are 70 above the source since an earlier run.
        let given = [(RowState::Booked(80), -20, Some(10)), (RowState::New, -110, Some(-100))];
        let held = Some(Held { has_entries: true, posted: 80, on_hold: 0 });
        assert_eq!(limit(&History::of(&rows(&given), held, None, None), held), room_of(None, 30));
        // A booked row whose balance was wrong, seen again after a run that was broken off.
        let given = [
            (RowState::Booked(20), -80, Some(-70_000)),
            (RowState::Booked(-10), -30, Some(-10)),
            (RowState::New, 5, Some(-5)),
        ];
        let held = Some(Held { has_entries: true, posted: -10, on_hold: 0 });
        assert_eq!(limit(&History::of(&of_this_import(&given), held, None, None), held), room_of(None, 10));
        // A late row's balance counts no further than what is there when it is booked.
        let late = [(RowState::Late, -9, Some(-70_000)), (RowState::New, -1, Some(74))];
        let held = Some(Held { has_entries: true, posted: 75, on_hold: 0 });
        assert_eq!(limit(&History::of(&rows(&late), held, None, None), held), None);
    }

    #[test]
    fn a_window_that_moved_on_counts_from_what_is_booked() {
        let held = Some(Held { has_entries: true, posted: 75, on_hold: 0 });
        let given = [
            (RowState::Booked(80), -20, Some(80)),
            (RowState::Booked(75), -5, Some(75)),
            (RowState::New, -1, Some(74)),
        ];
        let history = History::of(&rows(&given), held, None, None);
        assert_eq!((history.opening, &history.entries[..]), (None, &[(2, 74)][..]));
        assert_eq!((&history.breaks[..], limit(&history, held)), (&[][..], None));
        // A row between was left out, or there was a payment in the books.
        assert_eq!(History::of(&rows(&given[2..]), held, None, None).breaks, []);
        let held = Some(Held { has_entries: true, posted: 60, on_hold: 0 });
        assert_eq!(History::of(&rows(&given[2..]), held, None, None).breaks, [found(1, 59, 74)]);
        assert_eq!(History::of(&rows(&given), held, None, None).breaks, [found(3, 59, 74)]);
        // A difference that is known since the earlier run is not told again.
        let given = [(RowState::Booked(75), -5, Some(70)), (RowState::New, -1, Some(69))];
        let held = Some(Held { has_entries: true, posted: 75, on_hold: 0 });
        assert_eq!(History::of(&rows(&given), held, None, None).breaks, []);
    }

    #[test]
    fn what_is_on_hold_is_not_there_to_be_spent() {
        let held = Some(Held { has_entries: true, posted: 75, on_hold: 75 });
        let history = History::of(&rows(&[(RowState::New, -1, Some(74))]), held, None, None);
        assert_eq!((limit(&history, held), history.beyond_source()), (owed(None, 1), Some(0)));
        // It may be there before the history.
        let held = Some(Held { has_entries: false, posted: 0, on_hold: 50 });
        let history = History::of(&rows(&[(RowState::New, -60, Some(40))]), held, None, None);
        assert_eq!((history.opening, history.lowest, limit(&history, held)), (Some(100), -10, owed(None, 10)));
    }

    #[test]
    fn a_late_rows_balance_is_that_of_its_day_or_the_last() {
        let held = Some(Held { has_entries: true, posted: 75, on_hold: 0 });
        let of = |given: &[(RowState, i128, Option<i128>)]| History::of(&rows(given), held, None, None);
        let last = [(RowState::Late, -9, Some(65)), (RowState::New, -1, Some(74))];
        assert_eq!((&of(&last).breaks[..], &of(&last).entries[..]), (&[][..], &[(1, 74), (0, 65)][..]));
        assert_eq!(of(&last).source_closing, Some(65));
        let in_place = [
            (RowState::Booked(100), 100, Some(100)),
            (RowState::Late, -9, Some(91)),
            (RowState::Booked(80), -20, Some(71)),
            (RowState::Booked(75), -5, Some(66)),
            (RowState::New, -1, Some(65)),
        ];
        assert_eq!((&of(&in_place).breaks[..], of(&in_place).source_closing), (&[][..], Some(65)));
        assert_eq!(of(&in_place).entries, [(4, 74), (1, 65)]);
        let wrong = [(RowState::Late, -9, Some(60)), (RowState::New, -1, Some(74))];
        assert_eq!(of(&wrong).breaks, [found(1, 65, 60)]);
        let without = [(RowState::Late, -9, None)];
        assert_eq!((&of(&without).breaks[..], of(&without).closing), (&[][..], 66));
    }

    #[test]
    fn a_customers_account_without_a_limit_goes_no_further_than_it_is() {
        let check = |posted: i64, change: i64, balance: i64| {
            let currency = ledger::Currency::from_code("EUR").expect("euro");
            let opened_at = ledger::Timestamp(0);
            let account = Account::new(currency, ledger::Kind::Liability, Overdraft::Unlimited, opened_at);
            let now = limit_that_counts(&Account { posted_minor: posted, ..account }, true);
            let held = Some(Held { has_entries: true, posted: posted.into(), on_hold: 0 });
            let given = [(RowState::New, change.into(), Some(balance.into())), (RowState::New, 100, None)];
            room(&History::of(&rows(&given), held, None, None), held, Found { before: now, lasting: now, now })
        };
        let room = |before, meanwhile, after| {
            Some(Room { before: Overdraft::Limited(before), meanwhile, after, is_owed: false })
        };
        assert_eq!(check(10, -40, -30), room(0, Some(30), 30));
        assert_eq!(check(10, -40, 0), room(0, Some(30), 0));
        assert_eq!(check(-50, -40, -90), room(50, Some(90), 90));
        // Nothing is done where nothing more is needed.
        assert_eq!(check(10, -10, 0), None);
        assert_eq!(check(-50, 40, -10), None);
        // The bank's own needs no room.
        let own = Account::new(
            ledger::Currency::from_code("EUR").expect("euro"),
            ledger::Kind::Liability,
            Overdraft::Unlimited,
            ledger::Timestamp(0),
        );
        assert_eq!(limit_that_counts(&own, false), Overdraft::Unlimited);
    }

    #[test]
    fn an_import_that_was_broken_off_ends_with_the_limit_it_would_have_had() {
        let given = [(RowState::Booked(-30), -30, Some(-30)), (RowState::New, 40, Some(10))];
        let held = Some(Held { has_entries: true, posted: -30, on_hold: 0 });
        let history = History::of(&of_this_import(&given), held, None, None);
        assert_eq!(room(&history, held, found_as(0, 0, 70)), room_of(None, 30));
        let unlimited = Overdraft::Unlimited;
        assert_eq!(room(&history, held, Found { before: unlimited, lasting: unlimited, now: unlimited }), None);
        // Nothing is left to be booked, and the room of the meantime is still there.
        let held = Some(Held { has_entries: true, posted: 10, on_hold: 0 });
        let booked = [(RowState::Booked(-30), -30, Some(-30)), (RowState::Booked(10), 40, Some(10))];
        let history = History::of(&of_this_import(&booked), held, None, None);
        let at_once = Room { before: Overdraft::Limited(0), meanwhile: None, after: 30, is_owed: false };
        assert_eq!(room(&history, held, found_as(0, 0, 70)), Some(at_once));
        // The limit that an operator granted is left.
        assert_eq!(room(&history, held, found_as(50, 50, 50)), None);
    }

    #[test]
    fn what_was_lent_because_an_account_ended_below_zero_is_taken_back() {
        let after = |posted: i128, change: i128, found| {
            let held = Some(Held { has_entries: true, posted, on_hold: 0 });
            room(&History::of(&rows(&[(RowState::New, change, None)]), held, None, None), held, found)
        };
        let room = |before, meanwhile, after, is_owed| {
            Some(Room { before: Overdraft::Limited(before), meanwhile, after, is_owed })
        };
        // It ends above zero, higher, as before, and lower.
        assert_eq!(after(-80, 100, found_as(80, 0, 80)), room(80, Some(80), 0, false));
        assert_eq!(after(-80, 50, found_as(80, 0, 80)), room(80, Some(80), 30, true));
        assert_eq!(after(-80, -10, found_as(80, 0, 80)), room(80, Some(90), 90, true));
        assert_eq!(after(-70, -10, found_as(80, 0, 80)), None);
        // A limit that lasts is left: an operator's, or one that the source showed.
        assert_eq!(after(-80, 100, found_as(80, 20, 80)), room(80, Some(80), 20, false));
        assert_eq!(after(-80, 100, found_as(80, 80, 80)), None);
        // It was paid back before, so that what lasts can be kept at once.
        assert_eq!(after(10, -40, found_as(80, 20, 80)), room(20, None, 30, true));
        // A limit that the source shows now lasts from now on.
        let held = Some(Held { has_entries: true, posted: -70, on_hold: 0 });
        let history = History::of(&rows(&[(RowState::New, -10, Some(-80))]), held, None, None);
        assert_eq!(super::room(&history, held, found_as(80, 0, 80)), room(80, None, 80, false));
        assert_eq!(super::room(&history, held, found_as(80, 80, 80)), None);
    }

    #[test]
    fn the_map_may_say_what_an_account_begins_with() {
        let said = |said, given: &[(i128, Option<i128>)]| {
            let given: Vec<_> = given.iter().map(|(change, balance)| (RowState::New, *change, *balance)).collect();
            History::of(&rows(&given), None, None, Some(said))
        };
        let history = said(500, &[(-200, None), (-100, None)]);
        assert_eq!((history.opening, history.closing, history.beyond_source()), (Some(500), 200, None));
        assert_eq!(limit(&history, None), None);
        assert_eq!(limit(&said(0, &[(-200, None)]), None), owed(None, 200));
        // What it began with was lent to it, by the map's word alone: no more of it can be spent.
        assert_eq!(limit(&said(-300, &[(100, None)]), None), owed(Some(300), 200));
        assert_eq!(limit(&said(-300, &[(500, None)]), None), room_of(Some(300), 0));
        assert_eq!(limit(&said(-300, &[(500, Some(500)), (-5, Some(495))]), None), room_of(Some(300), 0));
        // Balances that tell something else break.
        assert_eq!(said(500, &[(-200, Some(100))]).breaks, [found(1, 300, 100)]);
        // Of an account that has begun it says nothing new.
        let held = Some(Held { has_entries: true, posted: 75, on_hold: 0 });
        assert_eq!(History::of(&rows(&[(RowState::New, -1, None)]), held, None, Some(500)).opening, None);
    }
}
