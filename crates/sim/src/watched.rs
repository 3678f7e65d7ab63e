//! A bank in memory with its journal and its auditor: what is asked of it is decided by the real core, written down,
//! read again, applied and audited.

use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bank::{Body, Command, Decision, Due, Event, Facts, PastPosting, PaymentCommand, PaymentEvent, State, What};
use engine::Calendar;
use ledger::{PostingId, Timestamp, ValueDate};

use crate::mix::Mix;
use crate::{Auditor, Observed};

/// The core that decides. Handed in, so that a test can give a wrong one.
pub type Decide = fn(&State, &Command, &Facts<'_>) -> Decision;

/// Way in which a bank begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// From its state's own records, as from a checkpoint.
    FromRecords,
    /// From the journal's first event on.
    FromJournal,
}

/// Something that a bank under watch did and must not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Kind of the fault: the same words for each of its kind.
    pub rule: String,
    /// Description of what happened, in words.
    pub what: String,
}

/// A bank, its journal and its auditor.
#[derive(Debug)]
pub struct Watched {
    decide: Decide,
    state: State,
    journal: Journal,
    auditor: Auditor,
    calendar: Option<Calendar>,
}

impl Watched {
    /// A bank before its first command.
    #[must_use]
    pub fn new(decide: Decide) -> Self {
        Self {
            decide,
            state: State::default(),
            journal: Journal::default(),
            auditor: Auditor::default(),
            calendar: None,
        }
    }

    /// One command, from its decision to its audit.
    ///
    /// # Errors
    ///
    /// Tells what the auditor doesn't agree with, or what the bank said when it stopped.
    pub fn ask(&mut self, at: Timestamp, command: Command) -> Result<Observed, Fault> {
        // After a panic nothing here is used again but to tell of it.
        catch_unwind(AssertUnwindSafe(|| self.carry_out(at, command))).unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    fn carry_out(&mut self, at: Timestamp, command: Command) -> Result<Observed, Fault> {
        let past = self.past(&command);
        let facts = Facts {
            now: at,
            today: self.day_of(at),
            zone_begins: Calendar::begins(&command),
            past: past.as_ref(),
            earlier: None,
        };
        let decision = (self.decide)(&self.state, &command, &facts);
        let observed = Observed { at, command, decision, first_event: self.state.last_event() + 1 };
        for event in observed.events() {
            let written = self.journal.append(at, event);
            self.state.apply(self.state.last_event() + 1, at, &written);
        }
        self.auditor.observe(&observed)?;
        Ok(observed)
    }

    /// The bank's day, as the engine finds it.
    fn day_of(&mut self, at: Timestamp) -> ValueDate {
        if !self.calendar.as_ref().is_some_and(|calendar| calendar.is_of(&self.state)) {
            self.calendar = Some(Calendar::new(self.state.time_zones()).expect("no other time zone is ever accepted"));
        }
        self.calendar.as_ref().map_or(at.day(), |calendar| calendar.day_of(at))
    }

    /// Compares all of the state with the auditor's books.
    ///
    /// # Errors
    ///
    /// Tells what the auditor doesn't agree with.
    pub fn compare(&self) -> Result<(), Fault> {
        Ok(self.auditor.compare(&self.state)?)
    }

    /// Begins again.
    ///
    /// # Errors
    ///
    /// Tells why it can't, or that the bank isn't the same afterwards.
    pub fn restart(&mut self, how: Restart) -> Result<(), Fault> {
        let again = catch_unwind(AssertUnwindSafe(|| match how {
            Restart::FromRecords => self.read_records(),
            Restart::FromJournal => Ok(self.read_journal()),
        }));
        let state = again.unwrap_or_else(|panic| Err(panicked(&*panic)))?;
        if digest_of(&state) != digest_of(&self.state) {
            return Err(Fault::of_rule(
                "a restart changes nothing",
                format!("begun again {how:?}, it is another bank"),
            ));
        }
        self.state = state;
        Ok(())
    }

    fn read_records(&self) -> Result<State, Fault> {
        let mut state = State::default();
        let read: Result<(), bank::RestoreError> = self.state.write_records(|record| state.restore_bytes(record));
        read.map_err(|error| Fault::of_rule("a state's own records can be read back", error.to_string()))?;
        for (key, event) in self.state.outcomes() {
            state.restore_outcome(*key, *event);
        }
        Ok(state)
    }

    fn read_journal(&self) -> State {
        let mut state = State::default();
        for (number, (at, event)) in (1..).zip(self.journal.events()) {
            state.apply(number, at, &event);
        }
        state
    }

    /// The bank's state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the number of accounts.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.auditor.accounts()
    }

    /// The first of what Kassa itself would do now.
    #[must_use]
    pub fn first_due(&self, now: Timestamp) -> Option<Due> {
        self.state.first_due(now)
    }

    /// A digest of all events as they were written and of the state that they made.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = Mix::default();
        digest.write(&self.journal.bytes);
        digest.write_u64(digest_of(&self.state));
        digest.value()
    }

    /// The past posting that a command names, looked up in the journal as the engine does.
    fn past(&self, command: &Command) -> Option<PastPosting> {
        match &command.body {
            Body::Payments(command) => match command {
                PaymentCommand::Refund { of, .. } | PaymentCommand::Reverse { of, .. } => self.journal.posting(*of),
                PaymentCommand::Pay(_)
                | PaymentCommand::PayAll(_)
                | PaymentCommand::Deposit { .. }
                | PaymentCommand::Withdraw { .. }
                | PaymentCommand::Book { .. } => None,
            },
            Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Holds(_) => None,
        }
    }
}

impl Fault {
    fn of_rule(rule: &str, what: String) -> Self {
        Self { rule: rule.to_owned(), what }
    }
}

impl From<crate::Disagreement> for Fault {
    fn from(disagreement: crate::Disagreement) -> Self {
        Self { rule: disagreement.rule.to_owned(), what: disagreement.to_string() }
    }
}

/// Makes a fault of what a panic said. Figures are left out of the rule, so that the same law broken by another amount
/// is the same.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Fault {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something without words");
    let rule = words.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    Fault { rule, what: format!("the bank stopped, saying: {words}") }
}

fn digest_of(state: &State) -> u64 {
    let mut digest = Mix::default();
    let Ok(()) = state.write_records(|record| {
        digest.write(record);
        Ok::<(), std::convert::Infallible>(())
    });
    digest.value()
}

/// Events as they were written, one after the other.
#[derive(Debug, Default)]
struct Journal {
    bytes: Vec<u8>,
    places: Vec<(usize, Timestamp)>,
}

impl Journal {
    /// Writes an event and gives it as it is read again.
    fn append(&mut self, at: Timestamp, event: &Event) -> Event {
        let start = self.bytes.len();
        self.places.push((start, at));
        event.encode_to(&mut self.bytes);
        Event::decode_nth(&self.bytes[start..], 0).expect("what was written can be read")
    }

    fn events(&self) -> impl Iterator<Item = (Timestamp, Event)> + '_ {
        let events = Event::decode_all(&self.bytes).map(|event| event.expect("what was written can be read"));
        self.places.iter().map(|(_, at)| *at).zip(events)
    }

    fn posting(&self, id: PostingId) -> Option<PastPosting> {
        let place = usize::try_from(id.event()).ok()?.checked_sub(1)?;
        let (start, _) = self.places.get(place)?;
        let event = Event::decode_nth(&self.bytes[*start..], 0).ok()?;
        let What::Payments(PaymentEvent::Posted { posting, .. }) = event.what else { return None };
        Some(PastPosting { id, posting })
    }
}
