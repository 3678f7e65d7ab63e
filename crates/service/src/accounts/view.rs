//! Accounts as they are shown.

use bank::{AccountEvent, AccountInfo, Action, CustomerId, Refusal, Right, Scope, Sealed, State, TokenHash, What};
use engine::Field;
use ledger::{Account, AccountId, Currency, Kind, Timestamp, TrialRow};
use std::collections::BTreeMap;

use crate::access::SignedIn;
use crate::fault::Fault;
use crate::names::seen_account;
use crate::service::Service;

/// An account.
#[derive(Debug, Clone)]
pub struct AccountView {
    /// Its IBAN, or where the bank has none, its number in the form that takes its place.
    pub iban: String,
    /// The parts of its number as its country's people name them; see [`bank::Numbering::parts`].
    pub number_parts: Vec<(&'static str, String)>,
    /// The account in the ledger: its currency, kind, status, overdraft and balances (credits less debits).
    pub account: Account,
    /// Name; none where it has none, or its owner has been erased.
    pub name: Option<String>,
    /// The right that a customer has on it: the caller's, or the one whose accounts are listed.
    pub right: Option<Right>,
}

/// A page of accounts, in the order in which they were opened.
#[derive(Debug, Clone)]
pub struct AccountPage {
    /// The accounts.
    pub accounts: Vec<AccountView>,
    /// The account with which the next page begins; none where there is none.
    pub next: Option<AccountId>,
}

/// An account as the state has it, its name sealed.
struct Found {
    iban: String,
    number_parts: Vec<(&'static str, String)>,
    account: Account,
    name: Option<Sealed>,
    right: Option<Right>,
}

impl Found {
    /// Up to `limit` of a customer's accounts, from `first` on, and the one after them.
    fn page_of(
        state: &State,
        customer: Option<CustomerId>,
        ids: &[AccountId],
        first: u32,
        limit: usize,
    ) -> (Vec<Self>, Option<AccountId>) {
        let mut ids: Vec<_> = ids.iter().copied().filter(|id| id.0 >= first).collect();
        ids.sort_unstable();
        let next = ids.get(limit).copied();
        ids.truncate(limit);
        (ids.into_iter().filter_map(|id| Self::with_right_of(state, customer, id)).collect(), next)
    }

    fn with_right_of(state: &State, customer: Option<CustomerId>, id: AccountId) -> Option<Self> {
        let AccountInfo { name, number, .. } = state.account_info(id)?;
        let numbering = &state.founding()?.numbering;
        Some(Self {
            iban: numbering.iban(*number),
            number_parts: numbering.parts(*number),
            account: *state.ledger().account(id)?,
            name: name.clone(),
            right: customer.and_then(|customer| state.right(customer, id)),
        })
    }

    fn view(self, service: &Service) -> Result<AccountView, Fault> {
        let Self { iban, number_parts, account, name, right } = self;
        let name = service.open_some(Field::AccountName, name.as_ref())?;
        Ok(AccountView { iban, number_parts, account, name, right })
    }
}

impl Service {
    /// An account as it was at its opening, so that a retry gets the same answer; none if the event is not one.
    pub(crate) fn opened_account(&self, what: &What, right: Option<Right>) -> Result<Option<AccountView>, Fault> {
        let What::Accounts(AccountEvent::AccountOpened { number, currency, kind, overdraft, opened_at, name, .. }) =
            what
        else {
            return Ok(None);
        };
        let account = Account::new(*currency, *kind, *overdraft, *opened_at);
        let numbered = self.engine().peek(|state| {
            let numbering = &state.founding()?.numbering;
            Some((numbering.iban(*number), numbering.parts(*number)))
        })?;
        let (iban, number_parts) = numbered.ok_or(Refusal::NotFounded)?;
        Found { iban, number_parts, account, name: name.clone(), right }.view(self).map(Some)
    }

    fn account_page(&self, (found, next): (Vec<Found>, Option<AccountId>)) -> Result<AccountPage, Fault> {
        let accounts = found.into_iter().map(|found| found.view(self)).collect::<Result<_, _>>()?;
        Ok(AccountPage { accounts, next })
    }

    /// Lists accounts, of one kind where it is given, from `first` on. A customer's users see those on which the customer
    /// has a right, others see all.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, and if the engine can't answer.
    pub async fn accounts(
        &self,
        token: TokenHash,
        kind: Option<Kind>,
        first: u32,
        limit: usize,
    ) -> Result<AccountPage, Fault> {
        let found = self
            .read(token, |state, who| {
                let is_asked_for = |id: &AccountId| {
                    kind.is_none_or(|kind| state.ledger().account(*id).is_some_and(|account| account.kind == kind))
                };
                let ids: Vec<_> = if who.sees_all() {
                    let all = (first..state.ledger().next_account().0).map(AccountId);
                    // One more than asked for, to know whether there is a next page.
                    all.filter(is_asked_for).take(limit + 1).collect()
                } else {
                    let customer = who.customer.and_then(|customer| state.customer(customer));
                    let own = customer.map(|customer| customer.accounts.as_slice()).unwrap_or_default();
                    own.iter().copied().filter(is_asked_for).collect()
                };
                Ok(Found::page_of(state, who.customer, &ids, first, limit))
            })
            .await?;
        self.account_page(found)
    }

    /// Lists the accounts of a customer, by a number that was sent, if it is one, from `first` on, with the right that
    /// the customer has on each. For operators and auditors, and the customer's users.
    ///
    /// # Errors
    ///
    /// Fails if there is no such customer, or the caller may not see them.
    pub async fn accounts_of_customer(
        &self,
        token: TokenHash,
        id: Option<CustomerId>,
        first: u32,
        limit: usize,
    ) -> Result<AccountPage, Fault> {
        let found = self
            .read(token, |state, who| {
                who.may(state, Action::SeeCustomer, id.map_or(Scope::Bank, Scope::Customer))?;
                let id = id.ok_or(Refusal::UnknownCustomer)?;
                let customer = state.customer(id).ok_or(Refusal::UnknownCustomer)?;
                Ok(Found::page_of(state, Some(id), &customer.accounts, first, limit))
            })
            .await?;
        self.account_page(found)
    }

    /// Shows an account, by its number, to those with a right on it, operators and auditors.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see it.
    pub async fn account(&self, token: TokenHash, iban: &str) -> Result<AccountView, Fault> {
        let look = |state: &State, who: &SignedIn| {
            let id = seen_account(state, who, iban)?;
            Ok(Found::with_right_of(state, who.customer, id).ok_or(ledger::Refusal::UnknownAccount)?)
        };
        self.read(token, look).await?.view(self)
    }

    /// Tells the trial balance by currency and kind of account, and the moment of which it is. For operators and
    /// auditors. In each currency all debits equal all credits.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not see it, and if the engine can't answer.
    pub async fn trial_balance(
        &self,
        token: TokenHash,
    ) -> Result<(Timestamp, BTreeMap<Currency, BTreeMap<Kind, TrialRow>>), Fault> {
        let at = self.engine().now();
        let balance = self
            .read(token, |state, who| {
                who.may_ever(Action::SeeAll)?;
                Ok(state.ledger().trial_balance())
            })
            .await?;
        Ok((at, balance))
    }
}
