//! The past of an account: its balances, its entries in pages, and statements over some days.

use std::collections::BTreeMap;

use bank::{PaymentEvent, Purpose, State, SubjectId, TokenHash, What};
use engine::{Found, HistoryEntry, Period, Search};
use jiff::civil::{self, Date};
use jiff::{Span, ToSpan};
use ledger::{Account, AccountId, Cause, Currency, PostingId, Timestamp, ValueDate};
use tokio::task::spawn_blocking;

use crate::access::SignedIn;
use crate::fault::{Fault, FaultKind};
use crate::names::{account_of, seen_account};
use crate::payments::{PaymentState, SaidView, Undoing};
use crate::service::Service;

/// The most points of a series: a year of days, or thirty years of months. More than a chart can show.
pub const MAX_POINTS: usize = 366;

/// The day from which days are counted.
const EPOCH: Date = civil::date(1970, 1, 1);

/// A balance of an account.
#[derive(Debug, Clone)]
pub struct BalanceView {
    /// The account's IBAN.
    pub iban: String,
    /// The account's id.
    pub id: AccountId,
    /// The account as it is now.
    pub account: Account,
    /// Posted balance at the moment that was asked for, in minor units.
    pub posted_minor: i64,
    /// Time of the look.
    pub now: Timestamp,
}

/// Interval between the points of a series of balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceStep {
    /// A point for each day.
    Day,
    /// A point for the last day of each month, and one for the last day of all.
    Month,
}

/// A balance over time.
#[derive(Debug, Clone)]
pub struct SeriesView {
    /// The account's IBAN.
    pub iban: String,
    /// The account's currency.
    pub currency: Currency,
    /// Days and the balance at their ends, in minor units; the oldest first.
    pub balances: Vec<(ValueDate, i64)>,
}

/// An entry: what one payment did to one account.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// The id of the payment that made it.
    pub payment: String,
    /// Its number within the account, from 1.
    pub number: u64,
    /// Change of the balance, in minor units; negative where it took away.
    pub amount_minor: i64,
    /// The balance after it, in minor units.
    pub balance_minor: i64,
    /// The account's currency.
    pub currency: Currency,
    /// Booking time.
    pub booked_at: Timestamp,
    /// Value date: the day from which it counts for interest.
    pub value_date: ValueDate,
    /// The IBAN of the account on the other side.
    pub counterparty: String,
    /// Purpose of the payment.
    pub purpose: Purpose,
    /// State of the payment; none on a statement, which never changes once its days are over.
    pub state: Option<PaymentState>,
    /// The id of the hold that it captures.
    pub hold: Option<String>,
    /// The id of the payment that it gives back or undoes.
    pub undoes: Option<String>,
    /// What went with it.
    pub said: SaidView,
}

/// A page of entries, the newest first.
#[derive(Debug, Clone)]
pub struct EntriesPage {
    /// The account's IBAN.
    pub iban: String,
    /// The account's currency.
    pub currency: Currency,
    /// The entries.
    pub entries: Vec<EntryView>,
    /// Cursor of the next page; none where there is none.
    pub next: Option<u64>,
}

/// A statement over some days.
#[derive(Debug, Clone)]
pub struct StatementView {
    /// The account's IBAN.
    pub iban: String,
    /// The account's currency.
    pub currency: Currency,
    /// The balance before the first day, in minor units.
    pub opening_minor: i64,
    /// The sum of all debits in these days, in minor units.
    pub debits_minor: i128,
    /// The sum of all credits in these days, in minor units.
    pub credits_minor: i128,
    /// The balance after the last day, in minor units.
    pub closing_minor: i64,
    /// The oldest first, by booking time.
    pub entries: Vec<EntryView>,
    /// `true` if the days are over, so that it can't change any more.
    pub is_final: bool,
}

/// The account whose past is asked for.
struct Subject {
    id: AccountId,
    iban: String,
    account: Account,
}

impl Service {
    /// The account of an IBAN, if the caller may see it.
    async fn subject(&self, token: TokenHash, iban: &str) -> Result<Subject, Fault> {
        let look = |state: &State, who: &SignedIn| {
            let id = seen_account(state, who, iban)?;
            let account = *state.ledger().account(id).ok_or(ledger::Refusal::UnknownAccount)?;
            Ok(Subject { id, iban: state.iban(id).unwrap_or_default(), account })
        };
        self.read(token, look).await
    }

    /// Tells the balance of an account, by its IBAN, now or as of a moment, by booking time.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see it.
    pub async fn balance(&self, token: TokenHash, iban: &str, at: Option<Timestamp>) -> Result<BalanceView, Fault> {
        let now = self.engine().now();
        let Subject { id, iban, account } = self.subject(token, iban).await?;
        let posted_minor = match at {
            Some(at) => self.engine().balance_at(id, at).await?,
            None => account.posted_minor,
        };
        Ok(BalanceView { iban, id, account, posted_minor, now })
    }

    /// Tells the balance of an account, by its IBAN, at the ends of the bank's days, by booking time.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see it; if the days are backwards or ahead, or too many.
    pub async fn balances(
        &self,
        token: TokenHash,
        iban: &str,
        from: ValueDate,
        to: ValueDate,
        every: BalanceStep,
    ) -> Result<SeriesView, Fault> {
        must_be_forwards(from, to)?;
        let Subject { id, iban, account } = self.subject(token, iban).await?;
        let calendar = self.calendar()?;
        if to > calendar.day_of(self.engine().now()) {
            return Err(Fault::of(FaultKind::PeriodAhead).in_field("to"));
        }
        let days = days(from, to, every)?;
        let mut balances = Vec::with_capacity(days.len());
        for day in days {
            let last_moment = calendar.end_of(day).plus_ms(-1);
            balances.push((day, self.engine().balance_at(id, last_moment).await?));
        }
        Ok(SeriesView { iban, currency: account.currency, balances })
    }

    /// Lists the entries of an account, by its IBAN, the newest first. `search` says which, and how many, given the
    /// account's currency. A page may hold fewer than asked for and still have a next one, since each looks at a bounded
    /// number of them.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, the caller may not see it, or `search` fails.
    pub async fn entries(
        &self,
        token: TokenHash,
        iban: &str,
        search: impl FnOnce(Currency) -> Result<(Search, usize), Fault>,
    ) -> Result<EntriesPage, Fault> {
        let Subject { id, iban, account } = self.subject(token, iban).await?;
        let (search, limit) = search(account.currency)?;
        let Found { entries, next } = self.engine().search(id, search, limit).await?;
        let (ids, entries) =
            (entries.iter().map(|entry| entry.posting).collect(), self.entry_views(id, account, entries).await?);
        let entries = self.with_states(token, ids, entries).await?;
        Ok(EntriesPage { iban, currency: account.currency, entries, next })
    }

    /// Finds the account on the other side that a search asks for, by its IBAN; one that has no entries where there is
    /// none.
    ///
    /// # Errors
    ///
    /// Fails if the IBAN is not one, or is another bank's.
    pub fn counterparty(&self, iban: &str) -> Result<AccountId, Fault> {
        match self.engine().peek(|state| account_of(state, iban))? {
            // No entry has an account on its other side that isn't there.
            Err(fault) if fault.refusal() == Some(ledger::Refusal::UnknownAccount.into()) => Ok(AccountId(u32::MAX)),
            found => found,
        }
    }

    /// Tells the entries of an account, by its IBAN, over some of the bank's days, both inclusive, with the balances before
    /// and after them.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see it; if the days are backwards or have too many
    /// entries.
    pub async fn statement(
        &self,
        token: TokenHash,
        iban: &str,
        from: ValueDate,
        to: ValueDate,
    ) -> Result<StatementView, Fault> {
        must_be_forwards(from, to)?;
        let Subject { id, iban, account } = self.subject(token, iban).await?;
        let calendar = self.calendar()?;
        let (since, until) = (calendar.start_of(from), calendar.end_of(to));
        // Nothing is booked back into a day that is over.
        let is_final = until <= self.engine().now();
        let period = self.engine().period(id, since, until).await?;
        let Period { opening_minor, entries, closing_minor } = period;
        let (debits_minor, credits_minor) = totals(&entries);
        Ok(StatementView {
            iban,
            currency: account.currency,
            opening_minor,
            debits_minor,
            credits_minor,
            closing_minor,
            entries: self.entry_views(id, account, entries).await?,
            is_final,
        })
    }

    /// Entries as they are shown. Opening their texts may read many keys, so it is done beside the other requests.
    async fn entry_views(
        &self,
        id: AccountId,
        account: Account,
        entries: Vec<HistoryEntry>,
    ) -> Result<Vec<EntryView>, Fault> {
        let service = self.clone();
        let (ibans, owners) = self.engine().peek(|state| {
            let others = entries.iter().map(|entry| entry.counterparty);
            let ibans: BTreeMap<AccountId, String> =
                others.map(|id| (id, state.iban(id).unwrap_or_default())).collect();
            (ibans, state.owners(id).collect::<Vec<SubjectId>>())
        })?;
        let shown = spawn_blocking(move || {
            let views = entries.iter().map(|entry| service.entry_view(&account, &owners, &ibans, entry));
            views.collect::<Result<Vec<_>, _>>()
        });
        shown.await.map_err(|error| Fault::failed(&error))?
    }

    /// Adds to entries the states of the payments that made them, whose postings are given in the same order.
    async fn with_states(
        &self,
        token: TokenHash,
        ids: Vec<PostingId>,
        mut entries: Vec<EntryView>,
    ) -> Result<Vec<EntryView>, Fault> {
        let undoing = |state: &State, id: &PostingId| (*id, Undoing::of(state, id.event()));
        let undoing =
            self.read(token, |state, _| Ok(ids.iter().map(|id| undoing(state, id)).collect::<Vec<_>>())).await?;
        for (entry, (id, undoing)) in entries.iter_mut().zip(undoing) {
            entry.state = Some(match undoing.is_nothing() {
                true => PaymentState::Booked,
                false => self.state_of(id, &undoing).await?,
            });
        }
        Ok(entries)
    }

    /// The state of a payment of which something was undone.
    async fn state_of(&self, id: PostingId, undoing: &Undoing) -> Result<PaymentState, Fault> {
        let recorded = self.engine().find_event(id.event()).await?;
        match recorded.map(|recorded| recorded.event.what) {
            Some(What::Payments(PaymentEvent::Posted { posting, .. })) => Ok(undoing.state(&posting)),
            _ => Err(Fault::failed(&format_args!("event {} is named as a posting and is none", id.event()))),
        }
    }

    fn entry_view(
        &self,
        account: &Account,
        owners: &[SubjectId],
        ibans: &BTreeMap<AccountId, String>,
        entry: &HistoryEntry,
    ) -> Result<EntryView, Fault> {
        let (hold, undoes) = match entry.cause {
            Cause::Refund { of, .. } | Cause::Reversal { of } => (None, Some(self.payment_ids().id(of.event()))),
            Cause::Capture { hold, .. } => (Some(self.hold_ids().id(hold.event())), None),
            Cause::Order => (None, None),
        };
        Ok(EntryView {
            payment: self.payment_ids().id(entry.posting.event()),
            number: entry.ordinal,
            amount_minor: entry.amount_minor,
            balance_minor: entry.balance_minor,
            currency: account.currency,
            booked_at: entry.booked_at,
            value_date: entry.value_date,
            counterparty: ibans.get(&entry.counterparty).cloned().unwrap_or_default(),
            purpose: entry.purpose,
            state: None,
            hold,
            undoes,
            said: self.said_view(&entry.said, owners)?,
        })
    }
}

fn must_be_forwards(from: ValueDate, to: ValueDate) -> Result<(), Fault> {
    if to < from { Err(Fault::of(FaultKind::PeriodBackwards).in_field("to")) } else { Ok(()) }
}

/// The sums of debits and of credits.
fn totals(entries: &[HistoryEntry]) -> (i128, i128) {
    entries.iter().map(|entry| i128::from(entry.amount_minor)).fold((0, 0), |(debits, credits), minor| {
        if minor < 0 { (debits - minor, credits) } else { (debits, credits + minor) }
    })
}

/// The days of a series.
fn days(from: ValueDate, to: ValueDate, every: BalanceStep) -> Result<Vec<ValueDate>, Fault> {
    let (first, last) = (date(from), date(to));
    let ends: Box<dyn Iterator<Item = Date>> = match every {
        BalanceStep::Day => Box::new(first.series(Span::new().days(1))),
        BalanceStep::Month => Box::new(first.first_of_month().series(1.month()).map(Date::last_of_month)),
    };
    let mut days: Vec<ValueDate> =
        ends.take_while(|day| *day < last).take(MAX_POINTS.saturating_add(1)).map(value_date).collect();
    days.push(to);
    if days.len() > MAX_POINTS {
        return Err(Fault::of(FaultKind::TooManyPoints).in_field("to"));
    }
    Ok(days)
}

/// A day as the calendar has it, held at the calendar's ends.
fn date(day: ValueDate) -> Date {
    let end = if day.0 < 0 { Date::MIN } else { Date::MAX };
    EPOCH.checked_add(i64::from(day.0).days()).unwrap_or(end)
}

/// A day of the calendar.
fn value_date(date: Date) -> ValueDate {
    ValueDate(date.since(EPOCH).map_or(0, |since| since.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_a_series() {
        let parse = |text: &str| value_date(text.parse().unwrap());
        for (from, to, every, expected) in [
            ("2026-11-21", "2026-11-21", BalanceStep::Day, "2026-11-21"),
            ("2026-02-27", "2026-03-02", BalanceStep::Day, "2026-02-27 2026-02-28 2026-03-01 2026-03-02"),
            ("2026-01-31", "2026-04-10", BalanceStep::Month, "2026-01-31 2026-02-28 2026-03-31 2026-04-10"),
            ("2026-01-01", "2026-02-28", BalanceStep::Month, "2026-01-31 2026-02-28"),
            ("2026-03-05", "2026-03-06", BalanceStep::Month, "2026-03-06"),
        ] {
            let days = days(parse(from), parse(to), every).unwrap();
            let told: Vec<String> = days.into_iter().map(|day| date(day).to_string()).collect();
            assert_eq!(told.join(" "), expected, "{from} {to}");
        }
        let count = |from, to, every| days(parse(from), parse(to), every).map(|days| days.len()).ok();
        assert_eq!(count("2024-01-01", "2024-12-31", BalanceStep::Day), Some(MAX_POINTS));
        assert_eq!(count("2024-01-01", "2025-01-01", BalanceStep::Day), None);
        assert_eq!(count("1996-06-15", "2026-11-21", BalanceStep::Month), Some(MAX_POINTS));
        assert_eq!(count("1996-05-31", "2026-11-21", BalanceStep::Month), None);
    }
}
