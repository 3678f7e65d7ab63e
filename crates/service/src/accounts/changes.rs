//! Opening accounts, and changing them.

use bank::{AccountCommand, AccountEvent, Action, Body, CustomerId, OpenAccount, SubjectId, What};
use engine::Field;
use ledger::{Currency, Overdraft, Status};

use super::view::AccountView;
use crate::fault::Fault;
use crate::names::{account_of, currency_of, subject_of};
use crate::service::Service;
use crate::texts::text;
use crate::writes::{Keyed, unexpected};

/// An account to be.
#[derive(Debug, Clone)]
pub struct AccountOrder<'a> {
    /// Terms of the account; its name is in `name`.
    pub terms: OpenAccount,
    /// Its name.
    pub name: Option<&'a str>,
}

/// Outcome of a change.
#[derive(Debug, Clone)]
pub struct Changed<T> {
    /// What there is now.
    pub now: T,
    /// `true` if it was changed under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

impl Service {
    /// Opens an account for a customer, or for the bank where there is none. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn open_account(
        &self,
        asked: &Keyed<'_>,
        owner: Option<CustomerId>,
        order: Result<AccountOrder<'_>, Fault>,
    ) -> Result<Changed<AccountView>, Fault> {
        let (write, found) = self.prepare_write(asked, |state, _| {
            let owner = owner.and_then(|owner| state.customer(owner));
            Ok((order?, owner.map_or(SubjectId::BANK, |owner| owner.name.subject)))
        })?;
        let body = found.and_then(|(AccountOrder { terms, name }, subject)| {
            let name = name.map(|name| self.seal(subject, Field::AccountName, name)).transpose()?;
            Ok(Body::Accounts(AccountCommand::OpenAccount(OpenAccount { name, ..terms })))
        });
        let receipt = self.submit(&write, body).await?;
        let now = self.opened_account(&receipt.what, None)?.ok_or_else(|| unexpected(&receipt))?;
        Ok(Changed { now, is_repeated: receipt.repeated })
    }

    /// Names an account, by its IBAN, or takes its name away. For its owners, and operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn rename_account(
        &self,
        asked: &Keyed<'_>,
        iban: &str,
        name: Option<&str>,
    ) -> Result<Changed<Option<String>>, Fault> {
        let (write, found) = self.prepare_write(asked, |state, _| {
            let name = name.map(|name| text("name", name)).transpose()?;
            let account = account_of(state, iban)?;
            Ok((name, account, subject_of(state, account)))
        })?;
        let body = found.and_then(|(name, account, subject)| {
            let name = name.map(|name| self.seal(subject, Field::AccountName, name)).transpose()?;
            Ok(Body::Accounts(AccountCommand::Rename { account, name }))
        });
        let receipt = self.submit(&write, body).await?;
        let What::Accounts(AccountEvent::AccountRenamed { name, .. }) = &receipt.what else {
            return Err(unexpected(&receipt));
        };
        let now = self.open_some(Field::AccountName, name.as_ref())?;
        Ok(Changed { now, is_repeated: receipt.repeated })
    }

    /// Sets the status of an account, by its IBAN. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn set_status(&self, asked: &Keyed<'_>, iban: &str, status: Status) -> Result<Changed<Status>, Fault> {
        let (write, account) = self.prepare_write(asked, |state, _| account_of(state, iban))?;
        let body = account.map(|account| Body::Accounts(AccountCommand::SetStatus { account, status }));
        let receipt = self.submit(&write, body).await?;
        let What::Accounts(AccountEvent::StatusSet { status, .. }) = receipt.what else {
            return Err(unexpected(&receipt));
        };
        Ok(Changed { now: status, is_repeated: receipt.repeated })
    }

    /// Sets how far below zero an account, by its IBAN, may go. `overdraft` makes it, given the account's currency. For
    /// operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn set_overdraft(
        &self,
        asked: &Keyed<'_>,
        iban: &str,
        overdraft: impl FnOnce(Currency) -> Result<Overdraft, Fault>,
    ) -> Result<Changed<(Overdraft, Currency)>, Fault> {
        let (write, body) = self.prepare_write(asked, |state, who| {
            who.may_ever(Action::SetAccount)?;
            let account = account_of(state, iban)?;
            let overdraft = overdraft(currency_of(state, account)?)?;
            Ok(Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }))
        })?;
        let receipt = self.submit(&write, body).await?;
        let What::Accounts(AccountEvent::OverdraftSet { account, overdraft }) = receipt.what else {
            return Err(unexpected(&receipt));
        };
        let currency = self.engine().peek(|state| currency_of(state, account))??;
        Ok(Changed { now: (overdraft, currency), is_repeated: receipt.repeated })
    }
}
