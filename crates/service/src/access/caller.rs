//! Callers: who is asking, found by the token of their session, and what they may see.

use bank::{Action, Caller, CustomerId, Refusal, Role, Scope, Standing, State, TokenHash};
use ledger::{AccountId, Timestamp};

/// A caller whose session is open, and what it makes of them.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn {
    /// The user and their session.
    pub caller: Caller,
    /// Role of the user.
    pub role: Role,
    /// The customer for whom the user acts.
    pub customer: Option<CustomerId>,
    standing: Standing,
}

impl SignedIn {
    /// Finds the caller who has a token, at a time.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::NotSignedIn`] if no session has the token, or it is over.
    pub fn find(state: &State, token: TokenHash, now: Timestamp) -> Result<Self, Refusal> {
        let session = state.session(token, now).ok_or(Refusal::NotSignedIn)?;
        let user = state.user(session.user).ok_or(Refusal::NotSignedIn)?;
        let caller = Caller { user: session.user, session: Some(token) };
        let standing = Standing::of_user(user.role, user.customer)?;
        Ok(Self { caller, role: user.role, customer: user.customer, standing })
    }

    /// Returns `true` if the caller sees everything: operators and auditors do.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.may_ever(Action::SeeAll).is_ok()
    }

    /// Checks what can be said before it is known what an action is about; see [`Standing::may_ever`].
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::NotAllowed`] where the caller's role may not.
    pub fn may_ever(&self, action: Action) -> Result<(), Refusal> {
        self.standing.may_ever(action)
    }

    /// Checks that the caller may do or see something; see [`Standing::may`].
    ///
    /// # Errors
    ///
    /// Refuses where the role may not, or a right is missing.
    pub fn may(&self, state: &State, action: Action, about: Scope) -> Result<(), Refusal> {
        self.standing.may(state, action, about)
    }

    /// Checks that the caller may see an account.
    ///
    /// # Errors
    ///
    /// Refuses others with [`Refusal::NoRight`].
    pub fn must_see(&self, state: &State, account: AccountId) -> Result<(), Refusal> {
        self.may(state, Action::SeeAccount, Scope::Account(account))
    }
}
