//! Signing in and out.
//!
//! A session is a random token that only its bearer knows; the bank keeps its hash. A wrong name and a wrong password
//! are told apart neither by the outcome nor by its time. It goes in steps, so that a front can put its limits on rates
//! between them: an [`Attempt`] under a name, the check of the password, and the session of whoever is [`Proven`].

use std::net::IpAddr;

use bank::{
    AccessCommand, AddressClass, AddressHash, Body, Caller, Command, CustomerId, NameIndex, Origin, Refusal, Role,
    Sealed, TokenHash, User, UserId,
};
use engine::{Field, Outcome};
use ledger::Timestamp;
use zeroize::Zeroizing;

use super::customers::CustomerView;
use super::password::MAX_CHARACTERS;
use crate::fault::Fault;
use crate::service::Service;

/// A try to sign in under a name.
#[derive(Debug)]
pub struct Attempt {
    /// The name's blind index.
    pub name: NameIndex,
    /// The address from which it comes, under the name, where the name's user signed in from it before.
    pub known_address: Option<AddressHash>,
    from: Option<AddressHash>,
    user: Option<(UserId, Role, Option<CustomerId>, Sealed)>,
}

/// Outcome of the check of a password.
#[derive(Debug)]
pub enum Checked {
    /// It is the one of the name's user.
    Right(Proven),
    /// The name or the password is wrong. The failure is being noted.
    Wrong,
}

/// A user who has proven to be the one of a name.
#[derive(Debug)]
pub struct Proven {
    user: UserId,
    role: Role,
    customer: Option<CustomerId>,
    from: Option<AddressHash>,
    origin: Origin,
}

/// A session that was opened.
#[derive(Debug)]
pub struct NewSession {
    /// Token of the session, for its bearer alone.
    pub token: String,
    /// Time at which it is over.
    pub expires_at: Timestamp,
    /// User who signed in.
    pub user: UserId,
    /// Role of the user.
    pub role: Role,
    /// The customer for whom the user acts.
    pub customer: Option<CustomerId>,
}

/// User who is signed in.
#[derive(Debug, Clone)]
pub struct MeView {
    /// The user's number.
    pub id: UserId,
    /// The name to sign in with.
    pub name: Option<String>,
    /// Role of the user.
    pub role: Role,
    /// The customer for whom the user acts.
    pub customer: Option<CustomerView>,
}

impl Service {
    /// Begins to sign in under a name, from an address where it is known.
    ///
    /// # Errors
    ///
    /// Fails if the engine can't answer.
    pub fn attempt(&self, name: &str, address: Option<IpAddr>) -> Result<Attempt, Fault> {
        let index = self.engine().name_index(name);
        // Made for a name that nobody has as well, which takes the same time.
        let from = address.map(|address| self.engine().address_hash(index, address));
        let (user, is_expected) = self.engine().peek(|state| {
            let Some((id, user)) = state.user_named(index).and_then(|id| Some((id, state.user(id)?))) else {
                return (None, false);
            };
            let is_expected = from.is_some_and(|from| user.known_addresses.contains(&from));
            (Some((id, user.role, user.customer, user.password.clone())), is_expected)
        })?;
        Ok(Attempt { name: index, known_address: from.filter(|_| is_expected), from, user })
    }

    /// Checks the password of an attempt, in the same time whether or not anybody has the name.
    ///
    /// # Errors
    ///
    /// Fails with [`FaultKind::Busy`](crate::FaultKind::Busy) if as many passwords wait as may, and if the engine can't
    /// answer.
    pub async fn check(&self, attempt: Attempt, password: Zeroizing<String>) -> Result<Checked, Fault> {
        let Attempt { known_address, from, user, .. } = attempt;
        let hash = self.open_some(Field::Password, user.as_ref().map(|(.., password)| password))?;
        // No password is as long; hashing a prefix of it takes the time of any other.
        let fits = password.chars().count() <= MAX_CHARACTERS;
        let password = Zeroizing::new(password.chars().take(MAX_CHARACTERS).collect::<String>());
        let origin = Origin { address: address_class(from, known_address), ..self.origin() };
        let right = self.passwords().verify(password, hash, known_address.is_some()).await? && fits;
        match user {
            Some((user, role, customer, _)) if right => {
                Ok(Checked::Right(Proven { user, role, customer, from, origin }))
            }
            known => {
                self.note_failure(known.map(|(user, ..)| user), origin);
                Ok(Checked::Wrong)
            }
        }
    }

    /// Has a failure noted, without waiting: the time of the answer must not tell whether the name is known.
    fn note_failure(&self, user: Option<UserId>, origin: Origin) {
        let Some(user) = user else { return };
        let engine = self.engine().clone();
        tokio::spawn(async move {
            let body = Body::Access(AccessCommand::SignInFailed { user });
            if let Err(error) = engine.submit(Command { caller: Caller::SYSTEM, origin, request: None, body }).await {
                tracing::warn!(user = user.0, %error, "a failed sign-in could not be noted");
            }
        });
    }

    /// Opens a session. Where a user has as many as allowed, the oldest is closed.
    ///
    /// # Errors
    ///
    /// Fails if the engine can't answer.
    pub async fn open_session(&self, proven: Proven) -> Result<NewSession, Fault> {
        let Proven { user, role, customer, from, origin } = proven;
        let token = self.engine().new_token();
        let expires_at = self.engine().now().plus_ms(self.settings().session_ms);
        let token_hash = self.token_hash(&token);
        let body = Body::Access(AccessCommand::SignIn { user, token: token_hash, expires_at, from });
        match self.engine().submit(Command { caller: Caller::SYSTEM, origin, request: None, body }).await? {
            Outcome::Accepted(_) => Ok(NewSession { token, expires_at, user, role, customer }),
            Outcome::Refused { refusal, .. } => Err(Fault::failed(&refusal)),
            Outcome::Unchanged => Err(Fault::failed(&"a sign-in changed nothing")),
        }
    }

    /// Ends the session of a token.
    ///
    /// # Errors
    ///
    /// Fails if no session has the token, and if the engine can't answer.
    pub async fn sign_out(&self, token: TokenHash) -> Result<(), Fault> {
        let (who, ()) = self.prepare(token, |_, _| Ok(()))?;
        let body = Body::Access(AccessCommand::SignOut { token });
        let refusal =
            self.submit_without_key(Command { caller: who.caller, origin: self.origin(), request: None, body }).await?;
        refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// Tells who one is.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, and if the engine can't answer.
    pub async fn me(&self, token: TokenHash) -> Result<MeView, Fault> {
        let (who, user, customer) = self
            .read(token, |state, who| {
                let user: User = state.user(who.caller.user).cloned().ok_or(Refusal::NotSignedIn)?;
                let customer: Option<(CustomerId, Sealed)> =
                    who.customer.and_then(|id| state.customer(id).map(|customer| (id, customer.name.clone())));
                Ok((*who, user, customer))
            })
            .await?;
        let customer = match customer {
            Some((id, name)) => Some(CustomerView { id, name: self.open(Field::CustomerName, &name)? }),
            None => None,
        };
        let name = self.open(Field::UserName, &user.name)?;
        Ok(MeView { id: who.caller.user, name, role: user.role, customer })
    }

    /// Hashes a session token to the form in which it is kept.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> TokenHash {
        self.engine().token_hash(token)
    }
}

/// Kind of address from which somebody tries to sign in, where one is known.
fn address_class(from: Option<AddressHash>, known: Option<AddressHash>) -> Option<AddressClass> {
    from.map(|_| if known.is_some() { AddressClass::Known } else { AddressClass::New })
}
