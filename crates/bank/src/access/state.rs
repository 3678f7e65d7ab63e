//! State of customers, users, sessions and rights: what their events change, and how it is stored.

use ledger::{AccountId, Timestamp};

use super::{AddressHash, MAX_KNOWN_ADDRESSES, NameIndex};
use crate::record::Record;
use crate::state::{must_be, place};
use crate::{AccessEvent, CustomerId, Right, Role, Sealed, State, SubjectId, TokenHash, UserId};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The name.
    pub name: Sealed,
    /// The accounts on which the customer has a right, in the order in which the rights were granted.
    pub accounts: Vec<AccountId>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The blind index of the name to sign in with.
    pub name_index: NameIndex,
    /// The name to sign in with.
    pub name: Sealed,
    /// The password's hash, in the PHC string format.
    pub password: Sealed,
    /// Role of the user at the bank.
    pub role: Role,
    /// Customer for whom the user acts.
    pub customer: Option<CustomerId>,
    /// The sessions not yet closed, the oldest first; some may be over.
    pub sessions: Vec<TokenHash>,
    /// Time at which a wrong password was last noted.
    pub failed_at: Option<Timestamp>,
    /// Hashed addresses from which the user signed in before, the longest ago first; at most [`MAX_KNOWN_ADDRESSES`].
    pub known_addresses: Vec<AddressHash>,
}

impl User {
    fn note_address(&mut self, from: AddressHash) {
        self.known_addresses.retain(|known| *known != from);
        if self.known_addresses.len() >= MAX_KNOWN_ADDRESSES {
            self.known_addresses.remove(0);
        }
        self.known_addresses.push(from);
    }
}

/// A session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// User whose it is.
    pub user: UserId,
    /// Time of its expiry.
    pub expires_at: Timestamp,
}

impl State {
    /// Applies an event of the subject; see [`State::apply`].
    pub(crate) fn apply_access(&mut self, at: Timestamp, event: &AccessEvent) {
        match event {
            AccessEvent::CustomerAdded { name, .. } => {
                self.customers.push(Customer { name: name.clone(), accounts: Vec::new() });
            }
            AccessEvent::UserAdded { id, name_index, name, password, role, customer } => {
                self.user_names.insert(*name_index, *id);
                self.users.push(User {
                    name_index: *name_index,
                    name: name.clone(),
                    password: password.clone(),
                    role: *role,
                    customer: *customer,
                    sessions: Vec::new(),
                    failed_at: None,
                    known_addresses: Vec::new(),
                });
            }
            AccessEvent::PasswordSet { user, password } => {
                // The known addresses stay: an owner who is let in again must not be kept out by strangers' guesses, and
                // a known address may guess no oftener than they.
                if let Some(user) = self.user_mut(*user) {
                    user.password = password.clone();
                }
            }
            AccessEvent::SessionOpened { user, token, expires_at, from } => {
                self.sessions.insert(*token, Session { user: *user, expires_at: *expires_at });
                if let Some(user) = self.user_mut(*user) {
                    user.sessions.push(*token);
                    from.iter().for_each(|from| user.note_address(*from));
                }
            }
            AccessEvent::SessionClosed { token } => {
                let session = self.sessions.remove(token);
                if let Some(user) = session.and_then(|session| self.user_mut(session.user)) {
                    user.sessions.retain(|open| open != token);
                }
            }
            AccessEvent::SignInFailed { user } => {
                if let Some(user) = self.user_mut(*user) {
                    user.failed_at = Some(at);
                }
            }
            // The state keeps what is sealed, whether it can be opened or not.
            AccessEvent::KeyDestroyed { .. } => {}
            AccessEvent::RightGranted { customer, account, right } => self.set_right(*customer, *account, *right),
            AccessEvent::RightRevoked { customer, account } => {
                if let Some(info) = usize::try_from(account.0).ok().and_then(|place| self.infos.get_mut(place)) {
                    info.rights.retain(|(holder, _)| holder != customer);
                }
                if let Some(customer) = place(customer.0).and_then(|place| self.customers.get_mut(place)) {
                    customer.accounts.retain(|held| held != account);
                }
            }
        }
    }

    /// Says in words why an event of the subject doesn't fit; see [`State::check`].
    pub(crate) fn check_access(&self, event: &AccessEvent) -> Result<(), String> {
        match event {
            AccessEvent::PasswordSet { user, .. } => {
                must_be(self.user(*user).is_some(), || format!("user {} gets a password and was not added", user.0))
            }
            AccessEvent::KeyDestroyed { subject, .. } => {
                must_be(*subject != SubjectId::BANK, || "the bank's own key is destroyed, which is in no table".into())
            }
            // To apply these breaks nothing, whatever they name.
            AccessEvent::CustomerAdded { .. }
            | AccessEvent::UserAdded { .. }
            | AccessEvent::SessionOpened { .. }
            | AccessEvent::SessionClosed { .. }
            | AccessEvent::SignInFailed { .. }
            | AccessEvent::RightGranted { .. }
            | AccessEvent::RightRevoked { .. } => Ok(()),
        }
    }

    pub(crate) fn set_right(&mut self, customer: CustomerId, account: AccountId, right: Right) {
        let Some(info) = usize::try_from(account.0).ok().and_then(|place| self.infos.get_mut(place)) else { return };
        match info.rights.iter_mut().find(|(holder, _)| *holder == customer) {
            Some((_, held)) => *held = right,
            None => {
                info.rights.push((customer, right));
                if let Some(customer) = place(customer.0).and_then(|place| self.customers.get_mut(place)) {
                    customer.accounts.push(account);
                }
            }
        }
    }

    pub(crate) fn user_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.users.get_mut(place(id.0)?)
    }
}

pub(crate) fn customer_record(customer: &Customer) -> Record {
    let accounts = customer.accounts.iter().map(|account| account.0).collect();
    Record::Customer { name: customer.name.clone(), accounts }
}

pub(crate) fn user_record(user: &User) -> Record {
    Record::User {
        name_index: user.name_index,
        name: user.name.clone(),
        password: user.password.clone(),
        role: user.role,
        customer: user.customer,
        sessions: user.sessions.clone(),
        failed_at_ms: user.failed_at.map(|at| at.0),
        known_addresses: (!user.known_addresses.is_empty()).then(|| user.known_addresses.clone()),
    }
}

pub(crate) fn session_record((token, session): (&TokenHash, &Session)) -> Record {
    Record::Session { token: *token, user: session.user, expires_at: session.expires_at }
}
