//! Report of what an import did, or would do: its counts, what is to be looked at, and how the books compare with the
//! source.

use std::collections::BTreeMap;
use std::fmt::Display;

use bank::Numbering;
use ledger::{Currency, Money};
use serde::Serialize;

use super::MISTAKES_SHOWN_MAX;
use super::booking::Booking;
use super::plan::Plan;
use super::reconcile::Reconciliation;

/// Results of an import, and how they compare with the source.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `true` if nothing was written.
    dry_run: bool,
    customers: usize,
    accounts: usize,
    rights: usize,
    contra_accounts: usize,
    /// Rows of the source.
    postings: usize,
    users: usize,
    /// Number of all these that were there from an earlier run.
    already_there: usize,
    /// Number of the postings that were booked by this run.
    postings_booked: usize,
    /// Postings booked by this run as of now because their account had younger entries.
    late: Vec<ReportedLate>,
    opening_balances: Vec<ReportedOpening>,
    /// Account against which the opening balances are booked.
    opening_account: String,
    accepted_breaks: Vec<ReportedBalance>,
    /// Accounts that got another overdraft limit.
    overdrafts: Vec<ReportedOverdraft>,
    /// Number of accounts that could go further below zero while their history was booked.
    overdrafts_meanwhile: usize,
    currency: String,
    /// Counts of what was passed over in the postings' file, by reason.
    skipped: BTreeMap<String, u64>,
    /// Comparison of what was booked; not for a dry run.
    #[serde(flatten)]
    comparison: Option<Comparison>,
    /// Postings that would be made; for a dry run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    bookings: Option<Vec<ReportedBooking>>,
}

/// The books against the source, day by day.
#[derive(Debug, Serialize)]
struct Comparison {
    account_days: usize,
    agree_exact: usize,
    agree_within_0_10: usize,
    agree_within_0_20: usize,
    agree_within_0_50: usize,
    agree_within_1_00: usize,
    agree_within_100_00: usize,
    largest_difference: String,
    breaks: Vec<ReportedBreak>,
}

/// A day on which the books and the source differ.
#[derive(Debug, Serialize)]
struct ReportedBreak {
    account: String,
    date: String,
    posted: String,
    source: String,
}

/// A row whose balance doesn't follow from what is before it.
#[derive(Debug, Serialize)]
struct ReportedBalance {
    account: String,
    line: u64,
    expected: String,
    source: String,
}

/// A row that is booked as of now.
#[derive(Debug, Serialize)]
struct ReportedLate {
    account: String,
    line: u64,
    value_date: String,
}

/// A balance with which an account begins.
#[derive(Debug, Serialize)]
struct ReportedOpening {
    account: String,
    date: String,
    amount: String,
}

/// An account that got an overdraft limit.
#[derive(Debug, Serialize)]
struct ReportedOverdraft {
    account: String,
    limit: String,
    reason: String,
}

/// A posting that would be made.
#[derive(Debug, Serialize)]
struct ReportedBooking {
    line: u64,
    account: String,
    /// The day it is booked on; none where that is the day of the import.
    booked_on: Option<String>,
    value_date: String,
    amount: String,
    balance: String,
    contra: String,
    is_opening_balance: bool,
    text: Option<String>,
}

impl Report {
    /// Makes the report of what is booked, or to be.
    pub(super) fn of(plan: &Plan, booking: &Booking, numbering: &Numbering) -> Self {
        let currency = |account: usize| plan.accounts[account].known_currency();
        let iban = |account: usize| numbering.iban(plan.accounts[account].number);
        let wide = |account, minor: i128| amount(currency(account), i64::try_from(minor).unwrap_or(i64::MAX));
        let rows = || booking.entries.iter().filter(|entry| entry.posting.is_some());
        let late = rows().filter(|entry| entry.late).map(|entry| ReportedLate {
            account: iban(entry.account),
            line: entry.line,
            value_date: entry.date.to_string(),
        });
        let openings = booking.entries.iter().filter(|entry| entry.posting.is_none());
        let openings = openings.map(|entry| ReportedOpening {
            account: iban(entry.account),
            date: entry.date.to_string(),
            amount: amount(currency(entry.account), entry.change_minor),
        });
        let breaks = booking.breaks.iter().map(|one| ReportedBalance {
            account: iban(one.account),
            line: one.found.line,
            expected: wide(one.account, one.found.expected),
            source: wide(one.account, one.found.found),
        });
        let overdrafts = booking.rooms.iter().filter_map(|needed| {
            let (account, limit) = (iban(needed.account), wide(needed.account, needed.room.after.into()));
            let mut reason = needed.reason.clone()?;
            if needed.room.is_owed {
                reason.push_str(
                    "; it stays until a later import of the account's rows ends higher, or until it is set by ",
                );
                reason.push_str(&format!("PUT /v1/accounts/{account}/overdraft"));
            }
            Some(ReportedOverdraft { account, limit, reason })
        });
        Self {
            dry_run: false,
            customers: plan.customers.len(),
            accounts: plan.accounts.len(),
            rights: plan.rights.len(),
            contra_accounts: plan.contras.len(),
            postings: plan.postings.len(),
            users: booking.users.len(),
            already_there: booking.already_there(plan),
            postings_booked: rows().count(),
            late: late.collect(),
            opening_balances: openings.collect(),
            opening_account: plan.opening_account.clone(),
            accepted_breaks: breaks.collect(),
            overdrafts: overdrafts.collect(),
            overdrafts_meanwhile: booking.rooms.iter().filter(|needed| needed.room.meanwhile.is_some()).count(),
            currency: plan.currency.clone(),
            skipped: plan.skipped.clone(),
            comparison: None,
            bookings: None,
        }
    }

    /// Adds what the books and the source say after it.
    pub(super) fn compared(mut self, found: &Reconciliation, plan: &Plan, numbering: &Numbering) -> Self {
        let currency = plan.known_currency();
        let [agree_exact, within_0_10, within_0_20, within_0_50, within_1_00, within_100_00] = found.agreeing;
        let breaks = found.breaks.iter().map(|one| ReportedBreak {
            account: numbering.iban(plan.accounts[one.account].number),
            date: one.date.to_string(),
            posted: amount(plan.accounts[one.account].known_currency(), one.posted_minor),
            source: amount(plan.accounts[one.account].known_currency(), one.source_minor),
        });
        self.comparison = Some(Comparison {
            account_days: found.account_days,
            agree_exact,
            agree_within_0_10: within_0_10,
            agree_within_0_20: within_0_20,
            agree_within_0_50: within_0_50,
            agree_within_1_00: within_1_00,
            agree_within_100_00: within_100_00,
            largest_difference: amount(currency, i64::try_from(found.largest_difference_minor).unwrap_or(i64::MAX)),
            breaks: breaks.collect(),
        });
        self
    }

    /// Adds the postings that would be made, and makes it the report of a dry run.
    pub(super) fn rehearsed(mut self, plan: &Plan, booking: &Booking, numbering: &Numbering) -> Self {
        let currency = |account: usize| plan.accounts[account].known_currency();
        let bookings = booking.entries.iter().map(|entry| ReportedBooking {
            line: entry.line,
            account: numbering.iban(plan.accounts[entry.account].number),
            booked_on: (!entry.late).then(|| entry.date.to_string()),
            value_date: entry.date.to_string(),
            amount: amount(currency(entry.account), entry.change_minor),
            balance: amount(currency(entry.account), entry.balance_minor),
            contra: booking.contras[entry.contra].name.clone(),
            is_opening_balance: entry.posting.is_none(),
            text: entry.posting.and_then(|place| plan.postings[place].text.as_deref().map(str::to_owned)),
        });
        self.bookings = Some(bookings.collect());
        self.dry_run = true;
        self
    }

    /// Returns the report in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut lines = vec![self.counts()];
        self.say_bookings(&mut lines);
        self.say_openings(&mut lines);
        self.say_late(&mut lines);
        self.say_accepted(&mut lines);
        self.say_overdrafts(&mut lines);
        self.say_comparison(&mut lines);
        self.say_skipped(&mut lines);
        lines.join("\n")
    }

    fn counts(&self) -> String {
        let rows = format!(
            "{} customers, {} accounts, {} rights and {} postings against {} contra accounts; {} of these were there \
             before",
            self.customers, self.accounts, self.rights, self.postings, self.contra_accounts, self.already_there
        );
        match self.dry_run {
            true => format!(
                "Nothing was written. The source has {rows}; {} postings would be booked.",
                self.postings_booked
            ),
            false => format!("Imported {rows}; {} postings were booked.", self.postings_booked),
        }
    }

    fn say_bookings(&self, lines: &mut Vec<String>) {
        list(lines, self.bookings.iter().flatten(), |one| {
            let what = if one.is_opening_balance { "opening balance" } else { one.text.as_deref().unwrap_or("") };
            let day = one.booked_on.as_deref().unwrap_or("today");
            let row = format!("line {}: {} on {day}: {}, then {}", one.line, one.account, one.amount, one.balance);
            format!("{row}, against {} {what}", one.contra).trim_end().to_owned()
        });
    }

    fn say_openings(&self, lines: &mut Vec<String>) {
        if self.opening_balances.is_empty() {
            return;
        }
        lines.push(format!(
            "{} accounts begin with a balance, booked against {:?}:",
            self.opening_balances.len(),
            self.opening_account
        ));
        list(lines, self.opening_balances.iter(), |one| format!("{} on {}: {}", one.account, one.date, one.amount));
    }

    fn say_late(&self, lines: &mut Vec<String>) {
        if self.late.is_empty() {
            return;
        }
        lines.push(format!("{} late rows are booked as of today, with their own date as value date:", self.late.len()));
        list(lines, self.late.iter(), |one| format!("line {}: {} of {}", one.line, one.account, one.value_date));
    }

    fn say_accepted(&self, lines: &mut Vec<String>) {
        if self.accepted_breaks.is_empty() {
            return;
        }
        lines.push(format!(
            "{} balances of the source don't follow from the rows before them, which was accepted:",
            self.accepted_breaks.len()
        ));
        list(lines, self.accepted_breaks.iter(), |one| {
            format!(
                "line {}: {}: the rows make {}, the source says {}",
                one.line, one.account, one.expected, one.source
            )
        });
    }

    fn say_overdrafts(&self, lines: &mut Vec<String>) {
        if !self.overdrafts.is_empty() {
            lines.push(format!("{} accounts got another overdraft limit:", self.overdrafts.len()));
            list(lines, self.overdrafts.iter(), |one| {
                format!("{}: {}, because {}", one.account, one.limit, one.reason)
            });
        }
        if self.overdrafts_meanwhile > 0 {
            lines.push(format!(
                "The history of {} accounts goes further below zero than the source justifies: they had the room for it \
                 while it was booked, and not after.",
                self.overdrafts_meanwhile
            ));
        }
    }

    fn say_skipped(&self, lines: &mut Vec<String>) {
        if !self.skipped.is_empty() {
            lines.push("Passed over in the postings' file:".to_owned());
        }
        list(lines, self.skipped.iter(), |(reason, count)| format!("{count} {reason}"));
    }

    fn say_comparison(&self, lines: &mut Vec<String>) {
        let Some(found) = &self.comparison else { return };
        if found.account_days == 0 {
            lines.push("The source gives no balances to compare with.".to_owned());
            return;
        }
        lines.push(format!(
            "Of {} account-days, {} agree exactly with the source's balances, {} within 0.10, {} within 0.20, {} within \
             0.50, {} within 1.00, {} within 100.00; the largest difference is {} {}.",
            found.account_days,
            found.agree_exact,
            found.agree_within_0_10,
            found.agree_within_0_20,
            found.agree_within_0_50,
            found.agree_within_1_00,
            found.agree_within_100_00,
            found.largest_difference,
            self.currency
        ));
        list(lines, found.breaks.iter(), |one| {
            format!("{} on {}: posted {}, the source says {}", one.account, one.date, one.posted, one.source)
        });
    }
}

/// Adds a line for each item, up to a screenful, and counts the rest.
fn list<T, W: Display>(lines: &mut Vec<String>, items: impl Iterator<Item = T>, words: impl Fn(T) -> W) {
    let mut left = 0_usize;
    for (place, item) in items.enumerate() {
        if place < MISTAKES_SHOWN_MAX {
            lines.push(format!("  {}", words(item)));
        } else {
            left += 1;
        }
    }
    if left > 0 {
        lines.push(format!("  and {left} more; --json lists them all"));
    }
}

fn amount(currency: Currency, minor: i64) -> String {
    Money { minor, currency }.to_string()
}
