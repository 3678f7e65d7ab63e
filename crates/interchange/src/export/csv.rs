//! A CSV line (RFC 4180) for each entry, two for each leg of a posting, in the order of booking. Amounts and balances are
//! those of a statement: credits less debits, whatever the account's kind. So the last line of an account has its balance,
//! and what a line adds to the balance is its amount.

use std::io::{self, Write};

use bank::{Said, State, SubjectId, What};
use engine::{Recorded, Spoken};
use ledger::{AccountId, Cause, Entry, Posting};

use super::holds::Holds;
use super::{Ended, Form, Personal, day, decimal, iban, kind_and_currency, kind_name, moment, purpose_name};

/// The columns; the last two are left out with the personal fields.
const COLUMNS: [&str; 15] = [
    "event",
    "booked_at",
    "value_date",
    "account",
    "kind",
    "number",
    "counterparty",
    "amount",
    "balance",
    "currency",
    "purpose",
    "cause",
    "hold_state",
    "text",
    "end_to_end_id",
];

/// Number of columns at the end that are there only where personal fields are opened.
const PERSONAL: usize = 2;

pub(super) struct Csv<'a> {
    out: ::csv::Writer<&'a mut dyn Write>,
    personal: &'a Personal,
    holds: Holds,
}

impl From<::csv::Error> for Ended {
    fn from(error: ::csv::Error) -> Self {
        let kind = error.into_kind();
        if let ::csv::ErrorKind::Io(error) = kind {
            return error.into();
        }
        io::Error::other(format!("{kind:?}")).into()
    }
}

impl<'a> Csv<'a> {
    pub(super) fn begin(out: &'a mut dyn Write, personal: &'a Personal) -> Result<Self, Ended> {
        let mut out = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
        let columns = if personal.0.is_some() { &COLUMNS[..] } else { &COLUMNS[..COLUMNS.len() - PERSONAL] };
        out.write_record(columns)?;
        Ok(Self { out, personal, holds: Holds::default() })
    }
}

impl Form for Csv<'_> {
    fn event(&mut self, state: &State, recorded: &Recorded) -> Result<(), Ended> {
        let acted = self.holds.follow(state, recorded);
        let What::Payments(event) = &recorded.event.what else { return Ok(()) };
        let Some((posting, purpose, own)) = event.as_posting() else { return Ok(()) };
        // A capture says what was said with its hold.
        let (hold_state, said) = acted.map_or(("", own), |acted| (acted.state, acted.said));
        let whole = Whole {
            number: recorded.number.to_string(),
            booked_at: moment(posting.booked_at()),
            value_date: day(posting.value_date()),
            purpose: purpose_name(purpose),
            cause: cause(posting),
            hold_state,
            said,
        };
        for booked in posting.legs() {
            let (debit, credit, minor) = (booked.leg.debit, booked.leg.credit, i128::from(booked.leg.amount.minor));
            self.entry(state, &whole, [debit, credit], -minor, booked.debit)?;
            self.entry(state, &whole, [credit, debit], minor, booked.credit)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Ended> {
        Ok(self.out.flush()?)
    }
}

/// Cells that all entries of a posting have in common.
struct Whole {
    number: String,
    booked_at: String,
    value_date: String,
    purpose: &'static str,
    cause: String,
    /// State of the hold that it captures, after it.
    hold_state: &'static str,
    said: Said,
}

impl Csv<'_> {
    /// The entry of the first of two accounts; `minor` is what it adds there, credits positive.
    fn entry(
        &mut self,
        state: &State,
        whole: &Whole,
        [account, other]: [AccountId; 2],
        minor: i128,
        entry: Entry,
    ) -> Result<(), Ended> {
        let (kind, currency) = kind_and_currency(state, account)?;
        let owners: Vec<SubjectId> = state.owners(account).collect();
        let said = text_cells(self.personal, &whole.said, &owners)?;
        let cells = [
            &whole.number,
            &whole.booked_at,
            &whole.value_date,
            &iban(state, account)?,
            kind_name(kind),
            &entry.ordinal.to_string(),
            &iban(state, other)?,
            &decimal(minor, currency),
            &decimal(i128::from(entry.balance_minor), currency),
            currency.code(),
            whole.purpose,
            &whole.cause,
            whole.hold_state,
        ];
        Ok(self.out.write_record(cells.into_iter().chain(said.iter().flatten().map(String::as_str)))?)
    }
}

/// Names what a posting was made for, where that is another event: `refund-of 12`.
fn cause(posting: &Posting) -> String {
    match posting.cause() {
        Cause::Order => String::new(),
        Cause::Capture { hold, .. } => format!("capture-of {}", hold.event()),
        Cause::Refund { of, .. } => format!("refund-of {}", of.event()),
        Cause::Reversal { of } => format!("reversal-of {}", of.event()),
    }
}

/// Words of a posting, as cells; none where personal fields are left out.
fn text_cells(personal: &Personal, said: &Said, owners: &[SubjectId]) -> Result<Option<[String; PERSONAL]>, Ended> {
    let spoken = personal.said(said, owners)?;
    let cell = |text: Option<String>| text.map(|text| harmless(&text)).unwrap_or_default();
    Ok(spoken.map(|Spoken { text, end_to_end_id }| [text, end_to_end_id].map(cell)))
}

/// A text that no spreadsheet takes for a formula: whoever pays somebody writes into their spreadsheet. As on a statement,
/// an apostrophe before it keeps it a text.
fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text() {
        for (text, expected) in [("=1+1", "'=1+1"), ("-2", "'-2"), ("\t=1", "'\t=1"), ("rent = due", "rent = due")] {
            assert_eq!(harmless(text), expected);
        }
    }
}
