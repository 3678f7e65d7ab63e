//! Access control: users with roles, sessions, and the rights of customers on accounts.

use minicbor::{Decode, Encode};
use smallvec::smallvec;

use crate::decide::{Decided, accepted};
use crate::{Body, Caller, Facts, Refusal, Sealed, State, What};
use ledger::{AccountId, Kind, Money, Overdraft, Timestamp};

/// The most sessions one user can have open. A person has a few devices; when one more is opened, the oldest is closed.
pub const MAX_SESSIONS_PER_USER: usize = 10;

/// The most customers that can have a right on one account: a large firm's signatories, with room.
pub const MAX_RIGHTS_PER_ACCOUNT: usize = 100;

/// The most accounts on which one customer can have a right.
pub const MAX_ACCOUNTS_PER_CUSTOMER: usize = 1_000;

/// The most addresses of a user that are known: home, work, a telephone's networks, and some that changed. Where one more
/// is used, the one that was not used for the longest is forgotten.
pub const MAX_KNOWN_ADDRESSES: usize = 8;

/// A customer: a person or firm that has rights on accounts. Numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CustomerId(#[n(0)] pub u32);

/// A user: somebody who can sign in. Numbered from 1; 0 is Kassa itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct UserId(#[n(0)] pub u32);

impl UserId {
    /// Kassa itself: timers, imports, and the first steps of a new bank.
    pub const SYSTEM: Self = Self(0);
}

/// The keyed hash of a session's token. The token itself is known to its bearer only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct TokenHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A keyed hash of the name that a user signs in with: finds the user without telling the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct NameIndex(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A keyed hash of a user and the address from which they signed in: an IPv4 address, or an IPv6 network of 64 bits. It
/// tells neither the address nor, of two users, whether they share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct AddressHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// Role of a user at the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Acts for one customer, within that customer's rights.
    #[n(0)]
    Customer,
    /// Runs the bank: customers, users, accounts, rights, cash, corrections.
    #[n(1)]
    Operator,
    /// Sees all, changes nothing.
    #[n(2)]
    Auditor,
}

/// A customer's right on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Right {
    /// May see it and move its money.
    #[n(0)]
    Owner,
    /// May see it and move its money, at most `limit_minor` in one payment where there is a limit.
    #[n(1)]
    Signatory {
        /// In minor units of the account's currency.
        #[n(0)]
        limit_minor: Option<i64>,
    },
    /// May see it.
    #[n(2)]
    ReadOnly,
}

impl Right {
    /// Returns `true` if it is a right to move the account's money.
    #[must_use]
    pub fn moves_money(self) -> bool {
        match self {
            Self::Owner | Self::Signatory { .. } => true,
            Self::ReadOnly => false,
        }
    }
}

/// Role in which a command is decided, found by looking at its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    System,
    Operator,
    Auditor,
    Customer(CustomerId),
}

/// Finds the role of the caller, if the session it came with is still open.
pub(crate) fn standing(state: &State, caller: &Caller, now: Timestamp) -> Result<Standing, Refusal> {
    let Some(token) = caller.session else {
        return if caller.user == UserId::SYSTEM { Ok(Standing::System) } else { Err(Refusal::NotSignedIn) };
    };
    let session = state.session(token, now).filter(|session| session.user == caller.user);
    let user = session.and_then(|session| state.user(session.user)).ok_or(Refusal::NotSignedIn)?;
    match (user.role, user.customer) {
        (Role::Operator, _) => Ok(Standing::Operator),
        (Role::Auditor, _) => Ok(Standing::Auditor),
        (Role::Customer, Some(customer)) => Ok(Standing::Customer(customer)),
        (Role::Customer, None) => Err(Refusal::NotAllowed),
    }
}

impl Standing {
    /// Only those who run the bank.
    pub(crate) fn must_run_the_bank(self) -> Result<(), Refusal> {
        match self {
            Self::System | Self::Operator => Ok(()),
            Self::Auditor | Self::Customer(_) => Err(Refusal::NotAllowed),
        }
    }

    /// Only Kassa itself.
    pub(crate) fn must_be_system(self) -> Result<(), Refusal> {
        if self == Self::System { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Only those who can have money of their own to move: customers, and Kassa itself.
    pub(crate) fn must_be_able_to_pay(self) -> Result<(), Refusal> {
        match self {
            Self::System | Self::Customer(_) => Ok(()),
            Self::Operator | Self::Auditor => Err(Refusal::NotAllowed),
        }
    }

    /// Only an account's owners, and those who run the bank.
    pub(crate) fn must_own(self, state: &State, account: AccountId) -> Result<(), Refusal> {
        match self {
            Self::System | Self::Operator => Ok(()),
            Self::Auditor => Err(Refusal::NotAllowed),
            Self::Customer(customer) => match state.right(customer, account) {
                Some(Right::Owner) => Ok(()),
                Some(Right::Signatory { .. } | Right::ReadOnly) => Err(Refusal::OwnersOnly),
                None => Err(Refusal::NoRight),
            },
        }
    }

    /// Checks that this caller may take `amount` out of an account. An amount in another currency than the account's is
    /// left to the ledger to refuse.
    pub(crate) fn may_debit(self, state: &State, account: AccountId, amount: Money) -> Result<(), Refusal> {
        let customer = match self {
            Self::System => return Ok(()),
            Self::Operator | Self::Auditor => return Err(Refusal::NotAllowed),
            Self::Customer(customer) => customer,
        };
        let right = state.right(customer, account);
        // Of a time in which such a right could be had.
        if right.is_some_and(Right::moves_money) && !can_be_a_customers(state, account) {
            return Err(Refusal::NotACustomersAccount);
        }
        match right {
            Some(Right::Owner | Right::Signatory { limit_minor: None }) => Ok(()),
            Some(Right::Signatory { limit_minor: Some(limit) })
                if amount.minor <= limit
                    || state.ledger().account(account).map(|it| it.currency) != Some(amount.currency) =>
            {
                Ok(())
            }
            Some(Right::Signatory { limit_minor: Some(limit) }) => {
                Err(Refusal::AboveSignatoryLimit { limit: Money { minor: limit, ..amount } })
            }
            Some(Right::ReadOnly) => Err(Refusal::ReadOnlyRight),
            None => Err(Refusal::NoRight),
        }
    }
}

/// Checks that customers may have a right to move an account's money: a deposit's, or a loan's, to an end that the bank
/// set. Otherwise documented calls would give them money that nobody lent.
pub(crate) fn must_suit_a_customer(kind: Kind, is_cash: bool, overdraft: Overdraft) -> Result<(), Refusal> {
    match (kind, is_cash) {
        (Kind::Liability | Kind::Asset, false) => {}
        (Kind::Liability | Kind::Asset, true) | (Kind::Equity | Kind::Income | Kind::Expense, _) => {
            return Err(Refusal::NotACustomersAccount);
        }
    }
    match overdraft {
        Overdraft::Limited(_) => Ok(()),
        Overdraft::Unlimited => Err(Refusal::OverdraftWithoutLimit),
    }
}

/// Returns `true` if an account can be a customer's, its overdraft aside.
pub(crate) fn can_be_a_customers(state: &State, account: AccountId) -> bool {
    let suits =
        |it: &ledger::Account| must_suit_a_customer(it.kind, state.is_cash(account), Overdraft::Limited(0)).is_ok();
    state.ledger().account(account).is_none_or(suits)
}

pub(crate) fn add_customer(standing: Standing, state: &State, name: &Sealed) -> Decided {
    standing.must_run_the_bank()?;
    let id = CustomerId(next_number(state.customers().len())?);
    accepted(What::CustomerAdded { id, name: name.clone() })
}

pub(crate) fn add_user(standing: Standing, state: &State, body: &Body) -> Decided {
    let Body::AddUser { name_index, name, password, role, customer } = body else { return Err(Refusal::NotAllowed) };
    standing.must_run_the_bank()?;
    if let Some(customer) = customer {
        state.customer(*customer).ok_or(Refusal::UnknownCustomer)?;
    }
    if state.user_named(*name_index).is_some() {
        return Err(Refusal::NameTaken);
    }
    if (*role == Role::Customer) != customer.is_some() {
        return Err(Refusal::RoleAndCustomerDisagree);
    }
    let id = UserId(next_number(state.users().len())?);
    accepted(What::UserAdded {
        id,
        name_index: *name_index,
        name: name.clone(),
        password: password.clone(),
        role: *role,
        customer: *customer,
    })
}

/// Sets a user's password and closes the user's sessions, the oldest first: whoever opened one may have known the old.
pub(crate) fn set_password(standing: Standing, state: &State, user: UserId, password: &Sealed) -> Decided {
    standing.must_be_system()?;
    let known = state.user(user).ok_or(Refusal::UnknownUser)?;
    let mut whats: Vec<What> = vec![What::PasswordSet { user, password: password.clone() }];
    whats.extend(known.sessions.iter().map(|token| What::SessionClosed { token: *token }));
    Ok(whats.into())
}

pub(crate) fn grant(
    standing: Standing,
    state: &State,
    customer: CustomerId,
    account: AccountId,
    right: Right,
) -> Decided {
    standing.must_run_the_bank()?;
    let known = state.customer(customer).ok_or(Refusal::UnknownCustomer)?;
    let info = state.account_info(account).ok_or(ledger::Refusal::UnknownAccount)?;
    if right.moves_money() {
        let known = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?;
        must_suit_a_customer(known.kind, state.is_cash(account), known.overdraft)?;
    }
    let new = state.right(customer, account).is_none();
    if new && (info.rights.len() >= MAX_RIGHTS_PER_ACCOUNT || known.accounts.len() >= MAX_ACCOUNTS_PER_CUSTOMER) {
        return Err(Refusal::TooManyRights);
    }
    if let Right::Signatory { limit_minor: Some(limit) } = right
        && limit <= 0
    {
        return Err(ledger::Refusal::AmountNotPositive.into());
    }
    accepted(What::RightGranted { customer, account, right })
}

pub(crate) fn revoke(standing: Standing, state: &State, customer: CustomerId, account: AccountId) -> Decided {
    standing.must_run_the_bank()?;
    state.customer(customer).ok_or(Refusal::UnknownCustomer)?;
    state.account_info(account).ok_or(ledger::Refusal::UnknownAccount)?;
    state.right(customer, account).ok_or(Refusal::NoRight)?;
    accepted(What::RightRevoked { customer, account })
}

/// Opens a session. Those of the user that are over are cleared away, and the oldest makes room where needed.
pub(crate) fn sign_in(standing: Standing, state: &State, body: &Body, facts: &Facts<'_>) -> Decided {
    let Body::SignIn { user, token, expires_at, from } = *body else { return Err(Refusal::NotAllowed) };
    standing.must_be_system()?;
    let known = state.user(user).ok_or(Refusal::UnknownUser)?;
    if expires_at <= facts.now || state.session(token, Timestamp::MIN).is_some() {
        return Err(Refusal::NotSignedIn);
    }
    let (over, open): (Vec<TokenHash>, Vec<TokenHash>) =
        known.sessions.iter().partition(|token| state.session(**token, facts.now).is_none());
    let surplus = open.len().saturating_add(1).saturating_sub(MAX_SESSIONS_PER_USER);
    let closed = over.into_iter().chain(open.into_iter().take(surplus));
    let mut whats: Vec<What> = vec![What::SessionOpened { user, token, expires_at, from }];
    whats.extend(closed.map(|token| What::SessionClosed { token }));
    Ok(whats.into())
}

pub(crate) fn sign_out(standing: Standing, state: &State, caller: &Caller, token: TokenHash) -> Decided {
    let own = state.session(token, Timestamp::MIN).is_some_and(|session| session.user == caller.user);
    if !own && standing != Standing::System {
        return Err(Refusal::NotSignedIn);
    }
    accepted(What::SessionClosed { token })
}

/// Remembers a failed sign-in: one event per user and minute, so that an attacker can't make the journal grow.
pub(crate) fn sign_in_failed(standing: Standing, state: &State, user: UserId, facts: &Facts<'_>) -> Decided {
    standing.must_be_system()?;
    let known = state.user(user).ok_or(Refusal::UnknownUser)?;
    let same_minute = known.failed_at.is_some_and(|at| minute(at) == minute(facts.now));
    if same_minute { Ok(smallvec![]) } else { accepted(What::SignInFailed { user }) }
}

fn minute(at: Timestamp) -> i64 {
    at.0.div_euclid(60_000)
}

/// Customers and users are numbered from 1.
fn next_number(count: usize) -> Result<u32, Refusal> {
    u32::try_from(count).ok().and_then(|count| count.checked_add(1)).ok_or(Refusal::NumbersExhausted)
}
