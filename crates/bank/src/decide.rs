//! The one decision: what a command would change, or why not.

use smallvec::SmallVec;

use crate::permission::Standing;
use crate::system::{SystemCommand, SystemEvent};
use crate::{Body, Command, Event, Events, Facts, Refusal, State, What, access, accounts, holds, payments, system};

/// Contents of events whose author is not named yet.
pub(crate) type Whats = SmallVec<[What; 1]>;

/// Answer of a guard function: the contents of the events, all of them or none, or the refusal.
pub(crate) type Decided = Result<Whats, Refused>;

pub(crate) fn accepted(what: What) -> Decided {
    Ok(Whats::from_buf([what]))
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "accepted is the ordinary case, and is moved once")]
pub enum Decision {
    /// These events are to be made durable and applied, in order, all or none. None means that nothing changes.
    Accepted(Events),
    /// Refused. Under an idempotency key the refusal itself is an event, so that a retry gets the same answer.
    Refused(Refusal, Option<Event>),
    /// The key was used before; the event of this number is the first outcome. Whether it was the same request shows
    /// its fingerprint.
    Repeated(u64),
}

/// Decides a command. Pure: the same state, command and facts give the same decision.
#[must_use]
pub fn decide(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    if let Some(request) = &command.request
        && let Some(first) = state.outcome_of(&request.key).or(facts.earlier)
    {
        return Decision::Repeated(first);
    }
    match judge(state, command, facts) {
        Ok(whats) => {
            let mut request = command.request;
            let (by, origin) = (command.caller.user, command.origin.of_caller(&command.caller));
            let mut event = |what| Event { by, what, request: request.take(), origin };
            // One is the ordinary case, and is moved without a loop.
            Decision::Accepted(match whats.into_inner() {
                Ok([what]) => Events::from_buf([event(what)]),
                Err(whats) => whats.into_iter().map(event).collect(),
            })
        }
        // Whoever is not signed in writes nothing, not even refusals.
        Err(Refused { refusal: refusal @ Refusal::NotSignedIn, .. }) => Decision::Refused(refusal, None),
        Err(Refused { refusal, place }) => {
            let event = command.request.map(|request| Event {
                by: command.caller.user,
                what: What::System(SystemEvent::Refused { refusal, place }),
                request: Some(request),
                origin: command.origin.of_caller(&command.caller),
            });
            Decision::Refused(refusal, event)
        }
    }
}

/// Reason for refusing a command, and the place of the part concerned where it has several.
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) place: Option<u32>,
}

impl From<ledger::Refusal> for Refused {
    fn from(refusal: ledger::Refusal) -> Self {
        Refusal::from(refusal).into()
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, place: None }
    }
}

fn judge(state: &State, command: &Command, facts: &Facts<'_>) -> Decided {
    let Command { caller, body, .. } = command;
    let standing = Standing::of(state, caller, facts.now)?;
    if state.founding().is_none() && !matches!(body, Body::System(SystemCommand::Found { .. })) {
        return Err(Refusal::NotFounded.into());
    }
    match body {
        Body::System(command) => system::decide(standing, state, command, facts),
        Body::Access(command) => access::decide(standing, state, command, caller, facts),
        Body::Accounts(command) => accounts::decide(standing, state, command, facts),
        Body::Payments(command) => payments::decide(standing, state, command, facts),
        Body::Holds(command) => holds::decide(standing, state, command, facts),
    }
}
