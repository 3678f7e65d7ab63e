//! State of the bank itself.

use crate::{ModulusRule, Numbering, NumberingError, State, SystemEvent};

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
            SystemEvent::Founded { name, country, bank_code, scheme, digits, modulus } => {
                let numbering = recorded(country, bank_code, *scheme, *digits, modulus.as_ref());
                let numbering = numbering.expect("a founded bank's numbering was tried");
                self.founding = Some(Founding { name: name.clone(), numbering });
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
            SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. } => Ok(()),
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
