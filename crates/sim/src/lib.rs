//! A bank under seeded, mixed use, watched by an auditor. Never shipped.
//!
//! [`workload`] makes commands as a bank's day brings them, good and bad. [`Watched`] has the real `bank` decide them
//! and keeps its events as a journal does. [`audit`] keeps its own simple books from what it is told, shares no logic
//! with what it watches, and says in words what doesn't agree. [`mod@run`] brings the three together, restarting the bank
//! now and then; everything follows from the seed, so that any failure can be had again, and [`shrink`] looks for the
//! few commands that bring it about. [`year`] does the same on a larger scale with the whole engine and a journal on
//! disk.

#![deny(missing_docs, unreachable_pub)]
// A new event, command or refusal must be looked at wherever they are told apart.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod audit;
mod mix;
mod random;
pub mod run;
pub mod shrink;
mod watched;
pub mod workload;
pub mod year;

use bank::{Command, Decision, Event};
use ledger::Timestamp;

pub use audit::{Auditor, Disagreement};
pub use random::Random;
pub use run::{Failure, Plan, Simulation, Summary, run};
pub use watched::{Decide, Fault, Restart, Watched};
pub use workload::Workload;

/// One command and its answer, as an onlooker sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Time at which it was decided.
    pub at: Timestamp,
    /// The command.
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
