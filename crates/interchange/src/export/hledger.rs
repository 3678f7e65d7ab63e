//! A journal for hledger (plain-text accounting): a directive for each currency, a transaction for each posting with all
//! its legs, and after each entry the balance, which hledger checks. The directives of the accounts come last, with the
//! names that they have by then; to hledger it makes no difference where they stand.
//!
//! hledger counts debits as positive, so liabilities and income are negative while they have credit balances. A
//! transaction's date is the bank's day of booking, its secondary date the value date where that is another, its code
//! the number of the posting's event. Holds move no money and are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use bank::{AccessEvent, AccountEvent, HoldEvent, Purpose, Said, Sealed, State, SystemEvent, What};
use engine::{Calendar, Field, OpenError, Recorded, Spoken};
use ledger::{AccountId, Cause, Currency, Entry, Kind, Posting, ValueDate};

use super::holds::{Acted, Holds};
use super::{Ended, Form, Personal, day, decimal, iban, kind_and_currency, purpose_name};

pub(super) struct Hledger<'a> {
    out: &'a mut dyn Write,
    personal: &'a Personal,
    /// The currencies declared so far.
    currencies: BTreeSet<Currency>,
    accounts: BTreeMap<AccountId, Declared>,
    /// The bank's days, in the time zones that it had at the last posting.
    calendar: Option<Calendar>,
    holds: Holds,
}

/// An account that the journal is to declare.
struct Declared {
    account: String,
    letter: char,
    name: Option<Sealed>,
}

impl<'a> Hledger<'a> {
    pub(super) fn begin(out: &'a mut dyn Write, personal: &'a Personal, last_event: u64) -> Result<Self, Ended> {
        writeln!(out, "; Exported by Kassa {}, up to event {last_event}.", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "decimal-mark .")?;
        Ok(Self {
            out,
            personal,
            currencies: BTreeSet::new(),
            accounts: BTreeMap::new(),
            calendar: None,
            holds: Holds::default(),
        })
    }

    /// The day of a posting, in the bank's time zone.
    fn booked_on(&mut self, state: &State, posting: &Posting) -> Result<ValueDate, Ended> {
        if !self.calendar.as_ref().is_some_and(|calendar| calendar.is_of(state)) {
            self.calendar = Some(Calendar::new(state.time_zones()).map_err(OpenError::from)?);
        }
        let calendar = self.calendar.as_ref();
        Ok(calendar.map_or(posting.value_date(), |calendar| calendar.day_of(posting.booked_at())))
    }

    fn account(&mut self, state: &State, id: AccountId, cash: bool, name: Option<&Sealed>) -> Result<(), Ended> {
        let (kind, currency) = kind_and_currency(state, id)?;
        if self.currencies.insert(currency) {
            // The decimal point must be there, even if there are no decimals.
            let places = usize::try_from(currency.decimals()).unwrap_or(0);
            writeln!(self.out, "\ncommodity 1000.{:0<places$} {currency}", "")?;
        }
        let letter = match kind {
            Kind::Asset if cash => 'C',
            Kind::Asset => 'A',
            Kind::Liability => 'L',
            Kind::Equity => 'E',
            Kind::Income => 'R',
            Kind::Expense => 'X',
        };
        let declared = Declared { account: account_name(kind, &iban(state, id)?), letter, name: name.cloned() };
        self.accounts.insert(id, declared);
        Ok(())
    }

    /// Declares the accounts, in the order in which they were opened.
    fn declare(&mut self) -> Result<(), Ended> {
        for Declared { account, letter, name } in self.accounts.values() {
            writeln!(self.out, "\naccount {account}  ; type:{letter}")?;
            if let Some(Some(name)) = self.personal.open(Field::AccountName, name.as_ref())? {
                writeln!(self.out, "    ; {}", without_tags(&name))?;
            }
        }
        Ok(())
    }

    fn transaction(
        &mut self,
        state: &State,
        number: u64,
        (posting, purpose, own): (&Posting, Purpose, Said),
        acted: Option<&Acted>,
    ) -> Result<(), Ended> {
        let (booked, valued) = (self.booked_on(state, posting)?, posting.value_date());
        write!(self.out, "\n{}", day(booked))?;
        if valued != booked {
            write!(self.out, "={}", day(valued))?;
        }
        write!(self.out, " ({number}) {}", purpose_name(purpose))?;
        // A capture says what was said with its hold.
        let said = acted.map_or(&own, |acted| &acted.said);
        let Spoken { text, end_to_end_id } = self.personal.said(said, &[])?.unwrap_or_default();
        if let Some(text) = text {
            write!(self.out, ": {}", description(&text))?;
        }
        match posting.cause() {
            Cause::Order => writeln!(self.out)?,
            Cause::Capture { hold, .. } => {
                write!(self.out, "  ; capture-of:{}", hold.event())?;
                if let Some(Acted { state, .. }) = acted {
                    write!(self.out, ", hold-state:{state}")?;
                }
                writeln!(self.out)?;
            }
            Cause::Refund { of, .. } => writeln!(self.out, "  ; refund-of:{}", of.event())?,
            Cause::Reversal { of } => writeln!(self.out, "  ; reversal-of:{}", of.event())?,
        }
        if let Some(id) = end_to_end_id {
            // A comma would end the tag's value.
            writeln!(self.out, "    ; end-to-end-id:{}", one_line(&id).replace(',', " "))?;
        }
        for booked in posting.legs() {
            let minor = i128::from(booked.leg.amount.minor);
            self.entry(state, booked.leg.debit, minor, booked.debit)?;
            self.entry(state, booked.leg.credit, -minor, booked.credit)?;
        }
        Ok(())
    }

    /// An entry, with the amount as hledger counts it: debits positive.
    fn entry(&mut self, state: &State, id: AccountId, minor: i128, entry: Entry) -> Result<(), Ended> {
        let (kind, currency) = kind_and_currency(state, id)?;
        let (amount, balance) = (decimal(minor, currency), decimal(-i128::from(entry.balance_minor), currency));
        let account = account_name(kind, &iban(state, id)?);
        Ok(writeln!(self.out, "    {account}  {amount} {currency} = {balance} {currency}")?)
    }
}

impl Form for Hledger<'_> {
    fn event(&mut self, state: &State, recorded: &Recorded) -> Result<(), Ended> {
        let acted = self.holds.follow(state, recorded);
        match &recorded.event.what {
            What::System(SystemEvent::Founded { name, .. }) => {
                Ok(writeln!(self.out, "; The books of {}.", one_line(name))?)
            }
            What::Accounts(AccountEvent::AccountOpened { id, name, cash, .. }) => {
                self.account(state, *id, *cash, name.as_ref())
            }
            What::Payments(event) => match event.as_posting() {
                Some(booked) => self.transaction(state, recorded.number, booked, acted.as_ref()),
                // Its payments follow.
                None => Ok(()),
            },
            What::Accounts(AccountEvent::AccountRenamed { account, name }) => {
                if let Some(declared) = self.accounts.get_mut(account) {
                    declared.name.clone_from(name);
                }
                Ok(())
            }
            // These neither move money nor bring an account.
            What::System(SystemEvent::LeaderStarted { .. })
            | What::Access(AccessEvent::CustomerAdded { .. })
            | What::Access(AccessEvent::UserAdded { .. })
            | What::Access(AccessEvent::PasswordSet { .. })
            | What::Access(AccessEvent::KeyDestroyed { .. })
            | What::Access(AccessEvent::SessionOpened { .. })
            | What::Access(AccessEvent::SessionClosed { .. })
            | What::Access(AccessEvent::SignInFailed { .. })
            | What::Access(AccessEvent::RightGranted { .. })
            | What::Access(AccessEvent::RightRevoked { .. })
            | What::Accounts(AccountEvent::StatusSet { .. })
            | What::Accounts(AccountEvent::OverdraftSet { .. })
            | What::Holds(HoldEvent::HoldPlaced { .. })
            | What::Holds(HoldEvent::HoldReleased { .. })
            | What::Holds(HoldEvent::HoldExtended { .. })
            | What::System(SystemEvent::TimeZoneSet { .. })
            | What::System(SystemEvent::Refused { .. }) => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Ended> {
        self.declare()?;
        Ok(self.out.flush()?)
    }
}

fn account_name(kind: Kind, iban: &str) -> String {
    let side = match kind {
        Kind::Asset => "assets",
        Kind::Liability => "liabilities",
        Kind::Equity => "equity",
        Kind::Income => "income",
        Kind::Expense => "expenses",
    };
    format!("{side}:{iban}")
}

/// A text on one line: whatever some program takes for a line's end, or can't show, becomes a space.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.replace(breaks, " ").trim().to_owned()
}

/// A text as part of a description: a semicolon would begin a comment there, and a bar part payee and note.
fn description(text: &str) -> String {
    one_line(text).replace(';', ",").replace('|', "/")
}

/// A text as a comment: a word before a colon would be a tag there, and some tags have a meaning to hledger.
fn without_tags(text: &str) -> String {
    one_line(text).replace(':', " :")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_nothing_to_hledger() {
        assert_eq!(description(" a\r\n2020-01-01 b ; type:X | c\u{2028}"), "a  2020-01-01 b , type:X / c");
        assert_eq!(without_tags("type:X, date:1\t:a:b"), "type :X, date :1  :a :b");
    }
}
