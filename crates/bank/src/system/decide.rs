//! Decisions on the bank itself.

use crate::decide::{Decided, accepted};
use crate::permission::{Action, Scope, Standing};
use crate::{Refusal, State, SystemCommand, SystemEvent, What};

/// Decides a command of the subject.
pub(crate) fn decide(standing: Standing, state: &State, command: &SystemCommand) -> Decided {
    match command {
        SystemCommand::Found { name, numbering } => {
            standing.may(state, Action::Found, Scope::Bank)?;
            if state.founding().is_some() {
                return Err(Refusal::AlreadyFounded.into());
            }
            let (country, bank_code) = (numbering.country().to_owned(), numbering.bank_code().to_owned());
            let (scheme, digits) = (numbering.scheme(), numbering.own_digits());
            let (name, modulus) = (name.clone(), numbering.modulus().map(<[_]>::to_vec));
            accepted(What::System(SystemEvent::Founded { name, country, bank_code, scheme, digits, modulus }))
        }
        SystemCommand::Unresolved(refusal) => Err((*refusal).into()),
    }
}
