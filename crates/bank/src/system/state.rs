//! State of the bank itself.

use std::sync::Arc;

use ledger::ValueDate;

use crate::{ModulusRule, Numbering, NumberingError, State, SystemEvent};

/// Name and numbering that the bank was founded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// Its name.
    pub name: String,
    /// Scheme of its account numbers.
    pub numbering: Numbering,
}

/// A time zone of the bank, and the day from which on its days are those of the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFrom {
    /// The first day; [`ZoneFrom::EVER`] for the zone of the founding.
    pub from: ValueDate,
    /// Name of the zone (IANA).
    pub name: String,
}

impl ZoneFrom {
    /// Before every day.
    pub const EVER: ValueDate = ValueDate(i32::MIN);

    /// The zone of a bank that was given none.
    pub const UTC: &'static str = "UTC";
}

/// The time zones of a bank that gets another from a day on: those that begin before it, and the new one, if it is
/// another than they end with.
pub(super) fn with_zone(zones: &[ZoneFrom], from: ValueDate, name: &str) -> Arc<[ZoneFrom]> {
    let before = zones.iter().take_while(|zone| zone.from < from);
    let last = before.clone().last().map_or(ZoneFrom::UTC, |zone| &zone.name);
    let new = (last != name).then(|| ZoneFrom { from, name: name.to_owned() });
    before.cloned().chain(new).collect()
}

impl State {
    /// The bank's time zones in order; none where all its days are UTC's. A change gives another list: one that is the
    /// same in memory ([`Arc::ptr_eq`]) is the same.
    #[must_use]
    pub fn time_zones(&self) -> &Arc<[ZoneFrom]> {
        &self.time_zones
    }

    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_system(&mut self, event: &SystemEvent) {
        match event {
            SystemEvent::Founded { name, country, bank_code, scheme, time_zone, digits, modulus } => {
                let numbering = recorded(country, bank_code, *scheme, *digits, modulus.as_ref());
                let numbering = numbering.expect("a founded bank's numbering was tried");
                self.founding = Some(Founding { name: name.clone(), numbering });
                let zone = time_zone.iter().map(|name| ZoneFrom { from: ZoneFrom::EVER, name: name.clone() });
                self.time_zones = zone.collect();
            }
            SystemEvent::TimeZoneSet { from, time_zone } => {
                self.time_zones = with_zone(&self.time_zones, *from, time_zone);
            }
            SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. } => {}
        }
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_system(&self, event: &SystemEvent) -> Result<(), String> {
        match event {
            SystemEvent::Founded { country, bank_code, scheme, digits, modulus, .. } => {
                let numbering = recorded(country, bank_code, *scheme, *digits, modulus.as_ref());
                numbering.map(|_| ()).map_err(|error| error.to_string())
            }
            // To apply these breaks nothing, whatever they name.
            SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. } | SystemEvent::TimeZoneSet { .. } => Ok(()),
        }
    }
}

/// The numbering that a founding tells.
pub(crate) fn recorded(
    country: &str,
    bank_code: &str,
    scheme: Option<u8>,
    digits: Option<u8>,
    modulus: Option<&Vec<ModulusRule>>,
) -> Result<Numbering, NumberingError> {
    let numbering = Numbering::recorded(country, bank_code, scheme, digits)?;
    match modulus {
        Some(rules) => numbering.with_modulus(rules.clone()),
        None => Ok(numbering),
    }
}
