//! Customers: the persons and firms that have rights on accounts.

use bank::{
    AccessCommand, AccessEvent, Action, Body, CustomerId, NameIndex, Refusal, Scope, Sealed, State, TokenHash, What,
};
use engine::{Field, NewSubject};
use ledger::AccountId;
use tokio::task::spawn_blocking;

use crate::fault::Fault;
use crate::names::account_of;
use crate::service::Service;
use crate::texts::text;
use crate::writes::{Keyed, unexpected};

/// The most names that are opened for one page of a search. Each is under a key of its own, and takes some 20 µs where
/// that must be read: so a page takes a twentieth of a second at most.
const MAX_NAMES_OPENED: usize = 2_000;

/// A customer.
#[derive(Debug, Clone)]
pub struct CustomerView {
    /// The customer's number.
    pub id: CustomerId,
    /// The name; none where the person has been erased.
    pub name: Option<String>,
}

/// A customer that was added.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// The customer.
    pub customer: CustomerView,
    /// `true` if it was added under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

/// Conditions on customers; those are found for whom all holds that is given.
#[derive(Debug, Clone, Default)]
pub struct CustomerSearch<'a> {
    /// A part of the name, in small letters.
    pub name_part: Option<String>,
    /// The IBAN of an account on which the customer has a right.
    pub iban: Option<&'a str>,
    /// The whole name with which a user of the customer signs in.
    pub user: Option<&'a str>,
}

/// A page of customers.
#[derive(Debug, Clone)]
pub struct CustomerPage {
    /// In the order of their numbers.
    pub customers: Vec<CustomerView>,
    /// Place at which the next page begins; none where there is none.
    pub next: Option<usize>,
}

impl Service {
    /// Adds a customer. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn add_customer(&self, asked: &Keyed<'_>, name: &str) -> Result<NewCustomer, Fault> {
        let (write, name) = self.prepare_write(asked, |_, _| text("name", name))?;
        let body = name.map(|name| {
            let subject = NewSubject::generate();
            (Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, name) }), Some(subject))
        });
        let receipt = self.submit_with(&write, body, None).await?;
        let What::Access(AccessEvent::CustomerAdded { id, name }) = &receipt.what else {
            return Err(unexpected(&receipt));
        };
        let customer = CustomerView { id: *id, name: self.open(Field::CustomerName, name)? };
        Ok(NewCustomer { customer, is_repeated: receipt.repeated })
    }

    /// Lists the customers, or finds some, from the place `first` on. For operators and auditors.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not see them, if the account is not there, and if the engine can't answer.
    pub async fn customers(
        &self,
        token: TokenHash,
        search: CustomerSearch<'_>,
        first: usize,
        limit: usize,
    ) -> Result<CustomerPage, Fault> {
        let CustomerSearch { name_part, iban, user } = search;
        let user = user.map(|user| self.engine().name_index(user));
        let most = if name_part.is_some() { MAX_NAMES_OPENED } else { limit };
        let (sealed, next) = self
            .read(token, |state, who| {
                who.may_ever(Action::SeeAll)?;
                let held = iban.map(|iban| account_of(state, iban).map_err(|it| it.in_field("iban"))).transpose()?;
                let ids: Vec<_> = candidates(state, held, user, first).take(most + 1).collect();
                let next = ids.get(most).map(|id| id.0 as usize - 1);
                let named = |id: &CustomerId| state.customer(*id).map(|customer| (*id, customer.name.clone()));
                Ok((ids.iter().take(most).filter_map(named).collect::<Vec<_>>(), next))
            })
            .await?;
        // Keys may have to be read from the disk, and others wait for this thread.
        let service = self.clone();
        let found = spawn_blocking(move || service.open_names(sealed, name_part.as_deref(), limit)).await;
        let (customers, stopped) = found.map_err(|error| Fault::failed(&error))??;
        Ok(CustomerPage { customers, next: stopped.or(next) })
    }

    /// Opens names, one after the other, until so many are found that have the part. Gives the place of the first that
    /// was not looked at, where some are left.
    fn open_names(
        &self,
        sealed: Vec<(CustomerId, Sealed)>,
        part: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<CustomerView>, Option<usize>), Fault> {
        let mut customers = Vec::new();
        for (id, name) in sealed {
            if customers.len() == limit {
                return Ok((customers, Some(id.0 as usize - 1)));
            }
            let name = self.open(Field::CustomerName, &name)?;
            if part.is_none_or(|part| name.as_ref().is_some_and(|name| name.to_lowercase().contains(part))) {
                customers.push(CustomerView { id, name });
            }
        }
        Ok((customers, None))
    }

    /// Shows a customer by a number that was sent, if it is one, to operators and auditors, and to the customer's users.
    ///
    /// # Errors
    ///
    /// Fails if there is no such customer, or the caller may not see them.
    pub async fn customer(&self, token: TokenHash, id: Option<CustomerId>) -> Result<CustomerView, Fault> {
        let (id, name) = self
            .read(token, |state, who| {
                who.may(state, Action::SeeCustomer, id.map_or(Scope::Bank, Scope::Customer))?;
                let id = id.ok_or(Refusal::UnknownCustomer)?;
                let customer = state.customer(id).ok_or(Refusal::UnknownCustomer)?;
                Ok((id, customer.name.clone()))
            })
            .await?;
        Ok(CustomerView { id, name: self.open(Field::CustomerName, &name)? })
    }
}

/// Those of the customers after so many who have a right on an account, and for whom a user acts, in the order of their
/// numbers.
fn candidates(
    state: &State,
    held: Option<AccountId>,
    user: Option<NameIndex>,
    first: usize,
) -> Box<dyn Iterator<Item = CustomerId> + '_> {
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let comes_later = move |id: &CustomerId| id.0 > first;
    match (user, held) {
        (Some(user), held) => {
            let customer = state.user_named(user).and_then(|id| state.user(id)?.customer).filter(comes_later);
            let fits = move |id: &CustomerId| held.is_none_or(|account| state.right(*id, account).is_some());
            Box::new(customer.filter(fits).into_iter())
        }
        (None, Some(account)) => {
            let rights = state.account_info(account).map(|info| info.rights.as_slice()).unwrap_or_default();
            let mut ids: Vec<_> = rights.iter().map(|(customer, _)| *customer).filter(comes_later).collect();
            ids.sort_unstable();
            Box::new(ids.into_iter())
        }
        (None, None) => {
            let count = u32::try_from(state.customers().len()).unwrap_or(u32::MAX);
            Box::new((first.saturating_add(1)..=count).map(CustomerId))
        }
    }
}
