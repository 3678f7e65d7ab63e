//! The bank itself in the auditor's books: its founding, and what can't be made a command.

use bank::{Body, Event, Refusal, SystemCommand, SystemEvent, What};

use super::access::{Objections, Who};
use super::{Agreed, Auditor, Breach, Named, only};

impl Auditor {
    pub(super) fn book_system(&mut self, event: &SystemEvent) -> Agreed {
        match event {
            SystemEvent::Founded { digits, .. } => {
                agree!(!self.founded, "the bank was founded twice");
                self.founded = true;
                self.digits = *digits;
                Ok(())
            }
            SystemEvent::LeaderStarted { .. } => Err(breach!("a program began in answer to a command")),
            // Its reason was judged before.
            SystemEvent::Refused { .. } => Ok(()),
        }
    }
}

pub(super) fn is_system_forbidden(who: Who, command: &SystemCommand) -> bool {
    match command {
        SystemCommand::Found { .. } => who != Who::System,
        SystemCommand::Unresolved(_) => false,
    }
}

/// Nothing here depends on a customer's rights on accounts.
pub(super) fn objections_to_system(command: &SystemCommand) -> Objections {
    match command {
        SystemCommand::Found { .. } | SystemCommand::Unresolved(_) => Objections::new(),
    }
}

pub(super) fn is_system_answered(command: &SystemCommand, events: &[Event]) -> bool {
    match command {
        SystemCommand::Found { .. } => matches!(only(events), Some(What::System(SystemEvent::Founded { .. }))),
        // It can only be refused.
        SystemCommand::Unresolved(_) => false,
    }
}

pub(super) fn named_by_system(command: &SystemCommand) -> Named {
    match command {
        SystemCommand::Found { .. } | SystemCommand::Unresolved(_) => Named::default(),
    }
}

pub(super) fn is_founding(body: &Body) -> bool {
    matches!(body, Body::System(SystemCommand::Found { .. }))
}

/// Returns `true` if a request could not be made a command, for this reason.
pub(super) fn is_unresolved(body: &Body, refusal: Refusal) -> bool {
    matches!(body, Body::System(SystemCommand::Unresolved(reason)) if *reason == refusal)
}
