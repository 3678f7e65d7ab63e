//! Callers: who is asking, found by the token of their session, and what they may see.

use bank::{Caller, CustomerId, Refusal, Role, State, TokenHash};
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
        Ok(Self { caller, role: user.role, customer: user.customer })
    }

    /// Returns `true` if the caller sees everything: operators and auditors do.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        match self.role {
            Role::Operator | Role::Auditor => true,
            Role::Customer => false,
        }
    }

    /// Lets only those pass who see everything.
    ///
    /// # Errors
    ///
    /// Refuses others with [`Refusal::NotAllowed`].
    pub fn must_see_all(&self) -> Result<(), Refusal> {
        if self.sees_all() { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Lets only operators pass.
    ///
    /// # Errors
    ///
    /// Refuses others with [`Refusal::NotAllowed`].
    pub fn must_run_the_bank(&self) -> Result<(), Refusal> {
        if self.role == Role::Operator { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Lets only those pass who see everything, or whose customer has a right on the account.
    ///
    /// # Errors
    ///
    /// Refuses others with [`Refusal::NoRight`].
    pub fn must_see(&self, state: &State, account: AccountId) -> Result<(), Refusal> {
        let right = self.customer.and_then(|customer| state.right(customer, account));
        if self.sees_all() || right.is_some() { Ok(()) } else { Err(Refusal::NoRight) }
    }
}
