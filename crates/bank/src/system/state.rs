//! State of the bank itself.

use crate::{Numbering, State, SystemEvent};

/// Name and numbering that the bank was founded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// Its name.
    pub name: String,
    /// Scheme of its account numbers.
    pub numbering: Numbering,
}

impl State {
    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_system(&mut self, event: &SystemEvent) {
        match event {
            SystemEvent::Founded { name, country, bank_code, scheme } => {
                let numbering = Numbering::recorded(country, bank_code, *scheme);
                let numbering = numbering.expect("a founded bank's numbering was tried");
                self.founding = Some(Founding { name: name.clone(), numbering });
            }
            SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. } => {}
        }
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_system(&self, event: &SystemEvent) -> Result<(), String> {
        match event {
            SystemEvent::Founded { country, bank_code, scheme, .. } => {
                Numbering::recorded(country, bank_code, *scheme).map(|_| ()).map_err(|error| error.to_string())
            }
            // To apply these breaks nothing, whatever they name.
            SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. } => Ok(()),
        }
    }
}
