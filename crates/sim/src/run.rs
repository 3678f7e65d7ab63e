//! A seed's run: the workload's commands, asked one after the other, with the holds let go whose time is over and the
//! bank restarted now and then, and what it came to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::BuildHasherDefault;

use bank::{
    AccessEvent, AccountEvent, Command, Decision, Due, HoldEvent, PaymentEvent, State, SystemEvent, What, decide,
};
use ledger::Timestamp;

use crate::mix::Mix;
use crate::watched::Fault;
use crate::{Decide, Observed, Random, Restart, Watched, Workload};

/// Number of steps after which the auditor compares its books with the whole state: often enough to find the step,
/// seldom enough to be quick. With many accounts it is once in as many steps as there are accounts, times
/// [`STEPS_PER_ACCOUNT_COMPARED`].
const STEPS_BETWEEN_COMPARISONS: u64 = 1_000;

/// See [`STEPS_BETWEEN_COMPARISONS`].
const STEPS_PER_ACCOUNT_COMPARED: u64 = 16;

/// Kassa itself lets expired holds go before about one command in so many. The engine does before each run of commands;
/// here it is seldom enough that some holds are captured too late, as they are when a clock leaps.
const COMMANDS_BETWEEN_EXPIRIES: u64 = 16;

/// Plan of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seed that everything follows from.
    pub seed: u64,
    /// Number of commands.
    pub steps: u64,
    /// `true` if the bank is restarted at steps drawn from the seed. It must change nothing.
    pub restarts: bool,
    /// The core: [`bank::decide`], but where a test gives a wrong one.
    pub decide: Decide,
}

impl Plan {
    /// A run of the real core, with restarts.
    #[must_use]
    pub fn new(seed: u64, steps: u64) -> Self {
        Self { seed, steps, restarts: true, decide }
    }

    /// Runs it. The same plan comes to the same.
    ///
    /// # Errors
    ///
    /// Tells the first thing that the bank and its auditor don't agree on.
    pub fn run(&self) -> Result<Summary, Failure> {
        let mut simulation = Simulation::new(*self);
        for _ in 0..self.steps {
            simulation.step()?;
        }
        simulation.finish()
    }
}

/// Runs a bank for `steps` commands, with restarts. The same seed and steps give the same summary.
///
/// # Errors
///
/// Tells the first thing that the bank and its auditor don't agree on.
pub fn run(seed: u64, steps: u64) -> Result<Summary, Failure> {
    Plan::new(seed, steps).run()
}

/// Result of a run. Equal for equal seeds and steps, however often the bank was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Number of events made.
    pub events: u64,
    /// A digest of all events as they were written and of the state they made.
    pub digest: u64,
    /// Number of times each outcome was had: `posted`, `refused insufficient-funds`, `repeated`, ….
    pub outcomes: BTreeMap<String, u64>,
}

/// A run that ended early: its place, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The step, the first being 1.
    pub step: u64,
    /// The fault of the bank.
    pub fault: Fault,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "seed {}, step {}: {}", self.seed, self.step, self.fault.what)
    }
}

impl std::error::Error for Failure {}

/// One thing that happens to a bank under watch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly all are of the largest kind")]
pub enum Act {
    /// It is asked something.
    Ask(Timestamp, Command),
    /// It begins again.
    Restart(Restart),
    /// All of its state is looked at.
    Compare,
}

/// A run under way.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    workload: Workload,
    bank: Watched,
    expiries: Random,
    /// `true` while the holds whose time is over are being let go, one after the other.
    letting_go: bool,
    restarts: Option<Restarts>,
    outcomes: HashMap<Outcome, u64, BuildHasherDefault<Mix>>,
    steps: u64,
    next_comparison: u64,
    recorded: Option<Vec<Act>>,
}

/// Outcome of a command, in two words.
type Outcome = (&'static str, &'static str);

impl Simulation {
    /// A bank before its first command.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            seed: plan.seed,
            workload: Workload::new(plan.seed),
            bank: Watched::new(plan.decide),
            expiries: Random::new(!plan.seed),
            letting_go: false,
            restarts: plan.restarts.then(|| Restarts::new(plan.seed)),
            outcomes: HashMap::default(),
            steps: 0,
            next_comparison: STEPS_BETWEEN_COMPARISONS,
            recorded: None,
        }
    }

    /// Begins a run that remembers all that happens.
    #[must_use]
    pub fn recording(plan: Plan) -> Self {
        Self { recorded: Some(Vec::new()), ..Self::new(plan) }
    }

    /// The bank's state.
    #[must_use]
    pub fn state(&self) -> &State {
        self.bank.state()
    }

    /// Returns what happened so far, where it was to be remembered.
    #[must_use]
    pub fn into_recorded(self) -> Vec<Act> {
        self.recorded.unwrap_or_default()
    }

    /// One command, from its making to its audit, and before it a restart when it is time. Now and then the commands are
    /// Kassa's own, which let go the holds whose time is over.
    ///
    /// # Errors
    ///
    /// Tells what the auditor doesn't agree with.
    pub fn step(&mut self) -> Result<Observed, Failure> {
        self.steps += 1;
        if let Some(how) = self.restarts.as_mut().and_then(|restarts| restarts.before(self.steps)) {
            self.restart(how)?;
        }
        let at = self.workload.pass_time();
        self.letting_go |= self.expiries.once_in(COMMANDS_BETWEEN_EXPIRIES);
        let due = if self.letting_go { self.bank.first_due(at) } else { None };
        self.letting_go = due.is_some();
        let command = due.map_or_else(|| self.workload.next_command(), Due::command);
        let observed = self.ask(at, command)?;
        if self.steps >= self.next_comparison {
            self.compare()?;
        }
        Ok(observed)
    }

    /// Begins again from the state's records or the journal.
    ///
    /// # Errors
    ///
    /// Tells why it can't, or that the bank isn't the same afterwards.
    pub fn restart(&mut self, how: Restart) -> Result<(), Failure> {
        self.record(|| Act::Restart(how));
        let restarted = self.bank.restart(how);
        restarted.map_err(|fault| self.failure(fault))
    }

    /// Closes the books.
    ///
    /// # Errors
    ///
    /// Tells what the auditor doesn't agree with.
    pub fn finish(mut self) -> Result<Summary, Failure> {
        self.compare()?;
        let outcomes = self.outcomes.iter().map(|((first, second), count)| {
            let name = if second.is_empty() { (*first).to_owned() } else { format!("{first} {second}") };
            (name, *count)
        });
        let (events, digest) = (self.bank.state().last_event(), self.bank.digest());
        Ok(Summary { events, digest, outcomes: outcomes.collect() })
    }

    fn ask(&mut self, at: Timestamp, command: Command) -> Result<Observed, Failure> {
        self.record(|| Act::Ask(at, command.clone()));
        let observed = self.bank.ask(at, command).map_err(|fault| self.failure(fault))?;
        self.workload.learn(&observed);
        *self.outcomes.entry(outcome(&observed)).or_insert(0) += 1;
        Ok(observed)
    }

    /// Has the auditor compare all of the state with its books.
    pub(crate) fn compare(&mut self) -> Result<(), Failure> {
        let accounts = u64::try_from(self.bank.accounts()).unwrap_or(u64::MAX);
        self.next_comparison = self.steps + STEPS_BETWEEN_COMPARISONS.max(STEPS_PER_ACCOUNT_COMPARED * accounts);
        self.record(|| Act::Compare);
        self.bank.compare().map_err(|fault| self.failure(fault))
    }

    fn record(&mut self, act: impl FnOnce() -> Act) {
        if let Some(recorded) = &mut self.recorded {
            recorded.push(act());
        }
    }

    fn failure(&self, fault: Fault) -> Failure {
        Failure { seed: self.seed, step: self.steps, fault }
    }
}

/// Schedule of the bank's restarts: at ever longer intervals, so that reading the journal again costs no more than a
/// part of the run, and a short run has restarts as well as a long one.
#[derive(Debug)]
struct Restarts {
    random: Random,
    next: u64,
}

impl Restarts {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5245_5354_4152_5453);
        let next = 1 + random.below(100);
        Self { random, next }
    }

    fn before(&mut self, step: u64) -> Option<Restart> {
        if step < self.next {
            return None;
        }
        self.next = step + 1 + self.random.below(8 * step);
        Some(if self.random.once_in(2) { Restart::FromRecords } else { Restart::FromJournal })
    }
}

fn outcome(observed: &Observed) -> Outcome {
    match &observed.decision {
        Decision::Repeated(_) => ("repeated", ""),
        Decision::Refused(refusal, _) => ("refused", refusal.slug()),
        Decision::Accepted(events) => (events.first().map_or("nothing", |event| kind(&event.what)), ""),
    }
}

fn kind(what: &What) -> &'static str {
    use ledger::{Cause, ReleaseReason};
    match what {
        What::System(SystemEvent::Founded { .. }) => "founded",
        What::System(SystemEvent::LeaderStarted { .. }) => "leader started",
        What::System(SystemEvent::TimeZoneSet { .. }) => "time zone set",
        What::Access(AccessEvent::CustomerAdded { .. }) => "customer added",
        What::Access(AccessEvent::UserAdded { .. }) => "user added",
        What::Access(AccessEvent::PasswordSet { .. }) => "password set",
        What::Access(AccessEvent::KeyDestroyed { .. }) => "key destroyed",
        What::Access(AccessEvent::SessionOpened { .. }) => "session opened",
        What::Access(AccessEvent::SessionClosed { .. }) => "session closed",
        What::Access(AccessEvent::SignInFailed { .. }) => "sign-in failed",
        What::Accounts(AccountEvent::AccountOpened { .. }) => "account opened",
        What::Access(AccessEvent::RightGranted { .. }) => "right granted",
        What::Access(AccessEvent::RightRevoked { .. }) => "right revoked",
        What::Accounts(AccountEvent::StatusSet { .. }) => "status set",
        What::Accounts(AccountEvent::OverdraftSet { .. }) => "overdraft set",
        What::Payments(PaymentEvent::Posted { posting, .. }) => match posting.cause() {
            Cause::Order => "posted",
            Cause::Capture { .. } => "captured",
            Cause::Refund { .. } => "refunded",
            Cause::Reversal { .. } => "reversed",
        },
        What::Holds(HoldEvent::HoldPlaced { .. }) => "hold placed",
        What::Holds(HoldEvent::HoldReleased { reason: ReleaseReason::Voided, .. }) => "hold voided",
        What::Holds(HoldEvent::HoldReleased { reason: ReleaseReason::Expired, .. }) => "hold expired",
        What::Holds(HoldEvent::HoldExtended { .. }) => "hold extended",
        What::Accounts(AccountEvent::AccountRenamed { .. }) => "account renamed",
        What::Payments(PaymentEvent::PaidAll { .. }) => "paid all",
        What::System(SystemEvent::Refused { .. }) => "refused",
    }
}
