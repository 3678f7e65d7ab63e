//! Names to ids: what an account number that was sent means, and under whose key an account's name is sealed.

use bank::{State, SubjectId};
use ledger::{AccountId, Currency, Leg, Money};

use crate::access::SignedIn;
use crate::fault::Fault;

/// Finds the account of an account number that was sent: an IBAN (ISO 13616), or where the bank has none, a number of its
/// form.
///
/// # Errors
///
/// Fails if the number is not one, or is another bank's, or no account has it.
pub(crate) fn account_of(state: &State, iban: &str) -> Result<AccountId, Fault> {
    // One space or hyphen between two characters is how people group them; more is no way of writing a number.
    let is_apart = |byte: u8| matches!(byte, b' ' | b'-');
    let bytes = iban.as_bytes();
    let is_strange = bytes.first().is_some_and(|first| is_apart(*first))
        || bytes.windows(2).any(|pair| pair.iter().all(|byte| is_apart(*byte)));
    let iban = if is_strange { "" } else { iban };
    Ok(state.account_of_iban(iban)?.ok_or(ledger::Refusal::UnknownAccount)?)
}

/// Finds the movement of an amount between two accounts whose numbers were sent, as `from` and `to`.
///
/// # Errors
///
/// Fails as [`account_of`] does, in the field `from` or `to`.
pub(crate) fn leg_of(state: &State, from: &str, to: &str, amount: Money) -> Result<Leg, Fault> {
    let found = |field: &str, iban: &str| account_of(state, iban).map_err(|fault| fault.in_field(field));
    Ok(Leg { debit: found("from", from)?, credit: found("to", to)?, amount })
}

/// Returns the currency of an account.
///
/// # Errors
///
/// Fails if there is no such account.
pub(crate) fn currency_of(state: &State, account: AccountId) -> Result<Currency, Fault> {
    let account = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?;
    Ok(account.currency)
}

/// Finds the account of a number that was sent, if the caller may see it.
///
/// # Errors
///
/// Fails as [`account_of`] does, and if the caller may not see the account.
pub(crate) fn seen_account(state: &State, who: &SignedIn, iban: &str) -> Result<AccountId, Fault> {
    let account = account_of(state, iban)?;
    who.must_see(state, account)?;
    Ok(account)
}

/// Returns under whose key an account's name is sealed: its first owner's, or the bank's where it has none.
pub(crate) fn subject_of(state: &State, account: AccountId) -> SubjectId {
    state.owners(account).next().unwrap_or(SubjectId::BANK)
}
