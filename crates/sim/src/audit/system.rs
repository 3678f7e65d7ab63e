//! The bank itself in the auditor's books: its founding, its time zones, and what can't be made a command.

use bank::{Body, Event, Refusal, SystemCommand, SystemEvent, What};
use ledger::Timestamp;

use super::access::{Objections, Who};
use super::days::{Days, start_in};
use super::{Agreed, Auditor, Breach, Named, only};

impl Auditor {
    pub(super) fn book_system(&mut self, event: &SystemEvent, at: Timestamp) -> Agreed {
        match event {
            SystemEvent::Founded { time_zone, digits, .. } => {
                agree!(!self.founded, "the bank was founded twice");
                let is_known = time_zone.as_ref().is_none_or(|name| start_in(name, 0).is_some());
                agree!(is_known, "the bank was founded in a time zone that is none");
                self.founded = true;
                self.digits = *digits;
                self.days = Days::founded(time_zone.as_ref());
                Ok(())
            }
            SystemEvent::TimeZoneSet { from, time_zone } => {
                let begins = start_in(time_zone, from.0);
                agree!(begins.is_some_and(|begins| begins > at.0), "a time zone is none, or its first day has begun");
                agree!(from.0 > self.days.day(at), "a time zone was set too late");
                let days = self.days.with(from.0, time_zone);
                agree!(days != self.days && days.zones().len() <= 64, "nothing was set, or too much");
                self.days = days;
                Ok(())
            }
            SystemEvent::LeaderStarted { .. } => Err(breach!("a program began in answer to a command")),
            // Its reason was judged before.
            SystemEvent::Refused { .. } => Ok(()),
        }
    }

    pub(super) fn has_day_begun(&self, body: &Body, at: Timestamp) -> bool {
        set(body).is_some_and(|(from, name)| {
            from <= self.days.day(at) || start_in(name, from).is_some_and(|begins| begins <= at.0)
        })
    }

    pub(super) fn is_same_zone(&self, body: &Body) -> bool {
        set(body).is_some_and(|(from, name)| self.days.with(from, name) == self.days)
    }

    pub(super) fn are_zones_too_many(&self, body: &Body) -> bool {
        set(body).is_some_and(|(from, name)| self.days.with(from, name).zones().len() > 64)
    }
}

/// The first day and the name of a time zone that is to be set.
fn set(body: &Body) -> Option<(i32, &str)> {
    let Body::System(SystemCommand::SetTimeZone { from, time_zone }) = body else { return None };
    Some((from.0, time_zone))
}

pub(super) fn is_unknown_zone(body: &Body) -> bool {
    let founded = match body {
        Body::System(SystemCommand::Found { time_zone, .. }) => time_zone.as_deref(),
        Body::System(SystemCommand::SetTimeZone { .. } | SystemCommand::Unresolved(_))
        | Body::Access(_)
        | Body::Accounts(_)
        | Body::Payments(_)
        | Body::Holds(_) => None,
    };
    set(body).map(|(_, name)| name).or(founded).is_some_and(|name| start_in(name, 0).is_none())
}

pub(super) fn is_system_forbidden(who: Who, command: &SystemCommand) -> bool {
    match command {
        SystemCommand::Found { .. } => who != Who::System,
        SystemCommand::SetTimeZone { .. } => !matches!(who, Who::System | Who::Operator),
        SystemCommand::Unresolved(_) => false,
    }
}

/// Nothing here depends on a customer's rights on accounts.
pub(super) fn objections_to_system(command: &SystemCommand) -> Objections {
    match command {
        SystemCommand::Found { .. } | SystemCommand::SetTimeZone { .. } | SystemCommand::Unresolved(_) => {
            Objections::new()
        }
    }
}

pub(super) fn is_system_answered(command: &SystemCommand, events: &[Event]) -> bool {
    match command {
        SystemCommand::Found { time_zone, .. } => {
            matches!(only(events), Some(What::System(SystemEvent::Founded { time_zone: zone, .. })) if zone == time_zone)
        }
        SystemCommand::SetTimeZone { from, time_zone } => {
            let set = SystemEvent::TimeZoneSet { from: *from, time_zone: time_zone.clone() };
            only(events) == Some(&What::System(set))
        }
        // It can only be refused.
        SystemCommand::Unresolved(_) => false,
    }
}

pub(super) fn named_by_system(command: &SystemCommand) -> Named {
    match command {
        SystemCommand::Found { .. } | SystemCommand::SetTimeZone { .. } | SystemCommand::Unresolved(_) => {
            Named::default()
        }
    }
}

pub(super) fn is_founding(body: &Body) -> bool {
    matches!(body, Body::System(SystemCommand::Found { .. }))
}

/// Returns `true` if a request could not be made a command, for this reason.
pub(super) fn is_unresolved(body: &Body, refusal: Refusal) -> bool {
    matches!(body, Body::System(SystemCommand::Unresolved(reason)) if *reason == refusal)
}
