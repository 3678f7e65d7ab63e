//! The rights of customers on accounts.

use bank::{AccessCommand, AccessEvent, Action, Body, CustomerId, Refusal, Right, Scope, State, TokenHash, What};
use ledger::{AccountId, Currency};

use super::caller::SignedIn;
use crate::fault::Fault;
use crate::names::{account_of, currency_of};
use crate::service::Service;
use crate::writes::{Keyed, unexpected};

/// A right on an account.
#[derive(Debug, Clone, Copy)]
pub struct RightView {
    /// The customer who has it.
    pub customer: CustomerId,
    /// Right, with its limit in minor units of `currency`.
    pub right: Right,
    /// The account's currency.
    pub currency: Currency,
}

/// A right that was granted.
#[derive(Debug, Clone, Copy)]
pub struct ChangedRight {
    /// The right.
    pub right: RightView,
    /// `true` if it was granted under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

/// The account and the customer of an address, for those who run the bank.
fn named(
    state: &State,
    who: &SignedIn,
    iban: &str,
    customer: Option<CustomerId>,
) -> Result<(AccountId, CustomerId), Fault> {
    who.may_ever(Action::SetRights)?;
    let account = account_of(state, iban)?;
    Ok((account, customer.ok_or(Refusal::UnknownCustomer)?))
}

impl Service {
    /// Gives a customer, by a number that was sent, if it is one, a right on an account. `right` makes it, given the
    /// account's currency. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn grant(
        &self,
        asked: &Keyed<'_>,
        iban: &str,
        customer: Option<CustomerId>,
        right: impl FnOnce(Currency) -> Result<Right, Fault>,
    ) -> Result<ChangedRight, Fault> {
        let (write, found) = self.prepare_write(asked, |state, who| {
            let (account, customer) = named(state, who, iban, customer)?;
            Ok((account, customer, right(currency_of(state, account)?)?))
        })?;
        let body =
            found.map(|(account, customer, right)| Body::Access(AccessCommand::Grant { customer, account, right }));
        let receipt = self.submit(&write, body).await?;
        let What::Access(AccessEvent::RightGranted { customer, account, right }) = receipt.what else {
            return Err(unexpected(&receipt));
        };
        let currency = self.engine().peek(|state| currency_of(state, account))??;
        Ok(ChangedRight { right: RightView { customer, right, currency }, is_repeated: receipt.repeated })
    }

    /// Takes a customer's right on an account away, and tells whether it was taken away under the same key before. For
    /// operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn revoke(&self, asked: &Keyed<'_>, iban: &str, customer: Option<CustomerId>) -> Result<bool, Fault> {
        let (write, found) = self.prepare_write(asked, |state, who| named(state, who, iban, customer))?;
        let body = found.map(|(account, customer)| Body::Access(AccessCommand::Revoke { customer, account }));
        Ok(self.submit(&write, body).await?.repeated)
    }

    /// Lists the rights on an account, in the order in which they were granted. For its owners, operators and auditors.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see its rights.
    pub async fn rights(&self, token: TokenHash, iban: &str) -> Result<Vec<RightView>, Fault> {
        let rights = self.read(token, |state, who| {
            let id = account_of(state, iban)?;
            who.may(state, Action::SeeRights, Scope::Account(id))?;
            let currency = currency_of(state, id)?;
            let rights = state.account_info(id).map(|info| info.rights.as_slice()).unwrap_or_default();
            let view =
                |(customer, right): &(CustomerId, Right)| RightView { customer: *customer, right: *right, currency };
            Ok(rights.iter().map(view).collect())
        });
        rights.await
    }
}
