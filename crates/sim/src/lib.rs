//! A bank under seeded, mixed use, watched by an auditor. Never shipped.
//!
//! [`workload`] makes commands as a bank's day brings them, good and bad. [`Simulation`] has the real `bank` decide them
//! and keeps its events as a journal does. [`audit`] keeps its own simple books from what it is told, shares no logic
//! with what it watches, and says in words what doesn't agree. Everything follows from the seed, so that any failure can
//! be had again.

#![deny(missing_docs, unreachable_pub)]

pub mod audit;
mod random;
pub mod workload;

use std::collections::BTreeMap;

use bank::{Body, Command, Decision, Event, Facts, PastPosting, State, What, decide};
use ledger::{PostingId, Timestamp};

pub use audit::{Auditor, Disagreement};
pub use random::Random;
pub use workload::Workload;

/// One command and its answer, as an onlooker sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// When it was decided.
    pub at: Timestamp,
    /// What was asked.
    pub command: Command,
    /// The answer.
    pub decision: Decision,
    /// The number of the answer's first event, or of the next event where it has none.
    pub first_event: u64,
}

impl Observed {
    /// The events that the answer brought.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        match &self.decision {
            Decision::Accepted(events) => events,
            Decision::Refused(_, event) => event.as_slice(),
            Decision::Repeated(_) => &[],
        }
    }
}

/// How often the auditor compares its books with the whole state: often enough to find the step, seldom enough to be
/// quick.
const STEPS_BETWEEN_COMPARISONS: u64 = 1_000;

/// What a run came to. Equal for equal seeds and steps, however often it was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many events were made.
    pub events: u64,
    /// A digest of all events as they were written and of the state they made.
    pub digest: u64,
    /// How often each outcome was had: `posted`, `refused insufficient-funds`, `repeated`, ….
    pub outcomes: BTreeMap<String, u64>,
}

/// Runs a bank for `steps` commands. The same seed and steps give the same summary.
///
/// # Errors
///
/// Tells the first thing that the bank and its auditor don't agree on.
pub fn run(seed: u64, steps: u64) -> Result<Summary, Disagreement> {
    let mut simulation = Simulation::new(seed);
    for _ in 0..steps {
        simulation.step()?;
    }
    simulation.finish()
}

/// A bank, what it is asked, its journal and its auditor.
#[derive(Debug)]
pub struct Simulation {
    workload: Workload,
    auditor: Auditor,
    state: State,
    journal: Journal,
    outcomes: BTreeMap<String, u64>,
    steps: u64,
}

impl Simulation {
    /// A bank before its first command.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            workload: Workload::new(seed),
            auditor: Auditor::default(),
            state: State::default(),
            journal: Journal::default(),
            outcomes: BTreeMap::new(),
            steps: 0,
        }
    }

    /// One command, from its making to its audit.
    ///
    /// # Errors
    ///
    /// Tells what the auditor doesn't agree with.
    pub fn step(&mut self) -> Result<Observed, Disagreement> {
        let (at, command) = self.workload.next_command();
        let past = self.past(&command);
        let decision = decide(&self.state, &command, &Facts { now: at, past: past.as_ref(), earlier: None });
        let observed = Observed { at, command, decision, first_event: self.state.last_event() + 1 };
        for event in observed.events() {
            let written = self.journal.append(at, event);
            self.state.apply(self.state.last_event() + 1, at, &written);
        }
        self.auditor.observe(&observed)?;
        self.workload.learn(&observed);
        self.steps += 1;
        *self.outcomes.entry(outcome(&observed)).or_insert(0) += 1;
        if self.steps.is_multiple_of(STEPS_BETWEEN_COMPARISONS) {
            self.auditor.compare(&self.state)?;
        }
        Ok(observed)
    }

    /// Goes on from a state that was read back from its own records.
    pub fn restart_from_records(&mut self) {
        let mut state = State::default();
        let read: Result<(), bank::RestoreError> = self.state.write_records(|record| state.restore_bytes(record));
        read.expect("a state's own records can be read back");
        for (key, event) in self.state.outcomes() {
            state.restore_outcome(*key, *event);
        }
        self.state = state;
    }

    /// Goes on from a state that was made again from the journal's first event on.
    pub fn restart_from_journal(&mut self) {
        let mut state = State::default();
        for (number, (at, event)) in (1..).zip(self.journal.events()) {
            state.apply(number, at, &event);
        }
        self.state = state;
    }

    /// Closes the books.
    ///
    /// # Errors
    ///
    /// Tells what the auditor doesn't agree with.
    pub fn finish(self) -> Result<Summary, Disagreement> {
        self.auditor.compare(&self.state)?;
        let mut digest = Fnv::default();
        digest.write(&self.journal.bytes);
        let written: Result<(), Disagreement> = self.state.write_records(|record| {
            digest.write(record);
            Ok(())
        });
        written?;
        Ok(Summary { events: self.state.last_event(), digest: digest.0, outcomes: self.outcomes })
    }

    /// The past posting that a command names, looked up in the journal as the engine does.
    fn past(&self, command: &Command) -> Option<PastPosting> {
        let (Body::Refund { of, .. } | Body::Reverse { of, .. }) = &command.body else { return None };
        self.journal.posting(*of)
    }
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
        match Event::decode_nth(&self.bytes[*start..], 0).ok()?.what {
            What::Posted { posting, .. } => Some(PastPosting { id, posting }),
            _ => None,
        }
    }
}

/// FNV-1a in 64 bits: enough to tell two runs apart, and nothing to depend on.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// What became of a command, in a few words.
fn outcome(observed: &Observed) -> String {
    match &observed.decision {
        Decision::Repeated(_) => "repeated".to_owned(),
        Decision::Refused(refusal, _) => format!("refused {}", refusal.slug()),
        Decision::Accepted(events) => events.first().map_or("nothing", |event| kind(&event.what)).to_owned(),
    }
}

fn kind(what: &What) -> &'static str {
    use ledger::{Cause, ReleaseReason};
    match what {
        What::Founded { .. } => "founded",
        What::LeaderStarted { .. } => "leader started",
        What::CustomerAdded { .. } => "customer added",
        What::UserAdded { .. } => "user added",
        What::SessionOpened { .. } => "session opened",
        What::SessionClosed { .. } => "session closed",
        What::SignInFailed { .. } => "sign-in failed",
        What::AccountOpened { .. } => "account opened",
        What::RightGranted { .. } => "right granted",
        What::RightRevoked { .. } => "right revoked",
        What::StatusSet { .. } => "status set",
        What::OverdraftSet { .. } => "overdraft set",
        What::Posted { posting, .. } => match posting.cause() {
            Cause::Order => "posted",
            Cause::Capture { .. } => "captured",
            Cause::Refund { .. } => "refunded",
            Cause::Reversal { .. } => "reversed",
        },
        What::HoldPlaced { .. } => "hold placed",
        What::HoldReleased { reason: ReleaseReason::Voided, .. } => "hold voided",
        What::HoldReleased { reason: ReleaseReason::Expired, .. } => "hold expired",
        What::Refused { .. } => "refused",
    }
}
