//! Decisions on customers, users, sessions and rights. Each function is a flat run of guards.

use ledger::{AccountId, Timestamp};
use smallvec::smallvec;

use super::{
    AccessCommand, AccessEvent, CustomerId, MAX_ACCOUNTS_PER_CUSTOMER, MAX_RIGHTS_PER_ACCOUNT, MAX_SESSIONS_PER_USER,
    Right, Role, TokenHash, UserId, must_suit_a_customer,
};
use crate::decide::{Decided, accepted};
use crate::permission::{Action, Scope, Standing};
use crate::{Caller, Facts, Refusal, Sealed, State, What};

/// Decides a command of the subject.
pub(crate) fn decide(
    standing: Standing,
    state: &State,
    command: &AccessCommand,
    caller: &Caller,
    facts: &Facts<'_>,
) -> Decided {
    match command {
        AccessCommand::AddCustomer { name } => add_customer(standing, state, name),
        AccessCommand::AddUser { .. } => add_user(standing, state, command),
        AccessCommand::SetPassword { user, password } => set_password(standing, state, *user, password),
        AccessCommand::SignIn { .. } => sign_in(standing, state, command, facts),
        AccessCommand::SignOut { token } => sign_out(standing, state, caller, *token),
        AccessCommand::SignInFailed { user } => sign_in_failed(standing, state, *user, facts),
        AccessCommand::Grant { customer, account, right } => grant(standing, state, *customer, *account, *right),
        AccessCommand::Revoke { customer, account } => revoke(standing, state, *customer, *account),
    }
}

fn add_customer(standing: Standing, state: &State, name: &Sealed) -> Decided {
    standing.may(state, Action::AddPeople, Scope::Bank)?;
    let id = CustomerId(next_number(state.customers().len())?);
    accepted(What::Access(AccessEvent::CustomerAdded { id, name: name.clone() }))
}

fn add_user(standing: Standing, state: &State, command: &AccessCommand) -> Decided {
    let AccessCommand::AddUser { name_index, name, password, role, customer } = command else {
        return Err(Refusal::NotAllowed.into());
    };
    standing.may(state, Action::AddPeople, Scope::Bank)?;
    if let Some(customer) = customer {
        state.customer(*customer).ok_or(Refusal::UnknownCustomer)?;
    }
    if state.user_named(*name_index).is_some() {
        return Err(Refusal::NameTaken.into());
    }
    if (*role == Role::Customer) != customer.is_some() {
        return Err(Refusal::RoleAndCustomerDisagree.into());
    }
    let id = UserId(next_number(state.users().len())?);
    accepted(What::Access(AccessEvent::UserAdded {
        id,
        name_index: *name_index,
        name: name.clone(),
        password: password.clone(),
        role: *role,
        customer: *customer,
    }))
}

/// Sets a user's password and closes the user's sessions, the oldest first: whoever opened one may have known the old.
fn set_password(standing: Standing, state: &State, user: UserId, password: &Sealed) -> Decided {
    standing.may(state, Action::SetPassword, Scope::Bank)?;
    let known = state.user(user).ok_or(Refusal::UnknownUser)?;
    let mut whats: Vec<What> = vec![What::Access(AccessEvent::PasswordSet { user, password: password.clone() })];
    whats.extend(known.sessions.iter().map(|token| What::Access(AccessEvent::SessionClosed { token: *token })));
    Ok(whats.into())
}

fn grant(standing: Standing, state: &State, customer: CustomerId, account: AccountId, right: Right) -> Decided {
    standing.may(state, Action::SetRights, Scope::Bank)?;
    let known = state.customer(customer).ok_or(Refusal::UnknownCustomer)?;
    let info = state.account_info(account).ok_or(ledger::Refusal::UnknownAccount)?;
    if right.moves_money() {
        let known = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?;
        must_suit_a_customer(known.kind, state.is_cash(account), known.overdraft)?;
    }
    let new = state.right(customer, account).is_none();
    if new && (info.rights.len() >= MAX_RIGHTS_PER_ACCOUNT || known.accounts.len() >= MAX_ACCOUNTS_PER_CUSTOMER) {
        return Err(Refusal::TooManyRights.into());
    }
    if let Right::Signatory { limit_minor: Some(limit) } = right
        && limit <= 0
    {
        return Err(ledger::Refusal::AmountNotPositive.into());
    }
    accepted(What::Access(AccessEvent::RightGranted { customer, account, right }))
}

fn revoke(standing: Standing, state: &State, customer: CustomerId, account: AccountId) -> Decided {
    standing.may(state, Action::SetRights, Scope::Bank)?;
    state.customer(customer).ok_or(Refusal::UnknownCustomer)?;
    state.account_info(account).ok_or(ledger::Refusal::UnknownAccount)?;
    state.right(customer, account).ok_or(Refusal::NoRight)?;
    accepted(What::Access(AccessEvent::RightRevoked { customer, account }))
}

/// Opens a session. Those of the user that are over are cleared away, and the oldest makes room where needed.
fn sign_in(standing: Standing, state: &State, command: &AccessCommand, facts: &Facts<'_>) -> Decided {
    let AccessCommand::SignIn { user, token, expires_at, from } = *command else {
        return Err(Refusal::NotAllowed.into());
    };
    standing.may(state, Action::LetIn, Scope::Bank)?;
    let known = state.user(user).ok_or(Refusal::UnknownUser)?;
    if expires_at <= facts.now || state.session(token, Timestamp::MIN).is_some() {
        return Err(Refusal::NotSignedIn.into());
    }
    let (over, open): (Vec<TokenHash>, Vec<TokenHash>) =
        known.sessions.iter().partition(|token| state.session(**token, facts.now).is_none());
    let surplus = open.len().saturating_add(1).saturating_sub(MAX_SESSIONS_PER_USER);
    let closed = over.into_iter().chain(open.into_iter().take(surplus));
    let mut whats: Vec<What> = vec![What::Access(AccessEvent::SessionOpened { user, token, expires_at, from })];
    whats.extend(closed.map(|token| What::Access(AccessEvent::SessionClosed { token })));
    Ok(whats.into())
}

fn sign_out(standing: Standing, state: &State, caller: &Caller, token: TokenHash) -> Decided {
    let own = state.session(token, Timestamp::MIN).is_some_and(|session| session.user == caller.user);
    if !own {
        let may = standing.may(state, Action::CloseOthersSession, Scope::Bank);
        may.map_err(|_| Refusal::NotSignedIn)?;
    }
    accepted(What::Access(AccessEvent::SessionClosed { token }))
}

/// Remembers a failed sign-in: one event per user and minute, so that an attacker can't make the journal grow.
fn sign_in_failed(standing: Standing, state: &State, user: UserId, facts: &Facts<'_>) -> Decided {
    standing.may(state, Action::LetIn, Scope::Bank)?;
    let known = state.user(user).ok_or(Refusal::UnknownUser)?;
    let same_minute = known.failed_at.is_some_and(|at| minute(at) == minute(facts.now));
    if same_minute { Ok(smallvec![]) } else { accepted(What::Access(AccessEvent::SignInFailed { user })) }
}

fn minute(at: Timestamp) -> i64 {
    at.0.div_euclid(60_000)
}

/// Customers and users are numbered from 1.
fn next_number(count: usize) -> Result<u32, Refusal> {
    u32::try_from(count).ok().and_then(|count| count.checked_add(1)).ok_or(Refusal::NumbersExhausted)
}
