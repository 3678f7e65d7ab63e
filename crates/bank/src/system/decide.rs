//! Decisions on the bank itself.

use ledger::ValueDate;

use super::state::with_zone;
use crate::decide::{Decided, accepted};
use crate::permission::{Action, Scope, Standing};
use crate::{Facts, MAX_TIME_ZONES, Refusal, State, SystemCommand, SystemEvent, What};

/// Decides a command of the subject.
pub(crate) fn decide(standing: Standing, state: &State, command: &SystemCommand, facts: &Facts<'_>) -> Decided {
    match command {
        SystemCommand::Found { name, numbering, time_zone } => {
            standing.may(state, Action::Found, Scope::Bank)?;
            if state.founding().is_some() {
                return Err(Refusal::AlreadyFounded.into());
            }
            if time_zone.is_some() {
                facts.zone_begins.ok_or(Refusal::UnknownTimeZone)?;
            }
            let (country, bank_code) = (numbering.country().to_owned(), numbering.bank_code().to_owned());
            let (scheme, digits) = (numbering.scheme(), numbering.own_digits());
            let modulus = numbering.modulus().map(<[_]>::to_vec);
            let (name, time_zone) = (name.clone(), time_zone.clone());
            let founded = SystemEvent::Founded { name, country, bank_code, scheme, time_zone, digits, modulus };
            accepted(What::System(founded))
        }
        SystemCommand::SetTimeZone { from, time_zone } => set_time_zone(standing, state, *from, time_zone, facts),
        SystemCommand::Unresolved(refusal) => Err((*refusal).into()),
    }
}

/// Another time zone from a day on. What is over stays as it was: neither the day itself nor, in the new zone, its first
/// moment may have come.
fn set_time_zone(standing: Standing, state: &State, from: ValueDate, name: &str, facts: &Facts<'_>) -> Decided {
    standing.may(state, Action::SetTimeZone, Scope::Bank)?;
    let begins = facts.zone_begins.ok_or(Refusal::UnknownTimeZone)?;
    if from <= facts.today || begins <= facts.now {
        return Err(Refusal::DayHasBegun.into());
    }
    let zones = with_zone(state.time_zones(), from, name);
    if zones == *state.time_zones() {
        return Err(Refusal::SameTimeZone.into());
    }
    if zones.len() > MAX_TIME_ZONES {
        return Err(Refusal::TooManyTimeZones.into());
    }
    accepted(What::System(SystemEvent::TimeZoneSet { from, time_zone: name.to_owned() }))
}
