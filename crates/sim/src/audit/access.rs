//! Who asks, and with what right: customers, users, sessions and the rights on accounts, as the auditor saw them come.

use bank::{AccessCommand, AccessEvent, AccountCommand, Body, Caller, Event, HoldCommand, Right, Role, What};
use ledger::{Kind, Overdraft, Timestamp};
use smallvec::SmallVec;

use super::{Agreed, Asked, Auditor, Breach, Named, only};

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) user: u32,
    pub(super) expires_at: Timestamp,
}

/// The one who asks, as far as was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    System,
    Operator,
    Auditor,
    Customer(u32),
}

/// Reason a customer may not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objection {
    NoRight,
    ReadOnly,
    AboveLimit(i64),
    NotOwner,
    NotAPayee,
    /// Of money of the bank's that was held.
    BanksHold,
}

pub(super) type Objections = SmallVec<[Objection; 2]>;

impl Auditor {
    /// Finds the one who asks, by a session that is not over.
    pub(super) fn who(&self, caller: &Caller, at: Timestamp) -> Agreed<Who> {
        let Some(token) = caller.session else {
            agree!(caller.user.0 == 0, "user {} has no session", caller.user.0);
            return Ok(Who::System);
        };
        let session = self.sessions.get(&token.0);
        let open = session.is_some_and(|session| session.user == caller.user.0 && session.expires_at > at);
        agree!(open, "the session is not user {}'s, or over", caller.user.0);
        self.user(caller.user.0).ok_or_else(|| breach!("there is no user {}", caller.user.0))
    }

    pub(super) fn user(&self, id: u32) -> Option<Who> {
        self.users.get(usize::try_from(id.checked_sub(1)?).ok()?).copied()
    }

    /// Returns what speaks against a customer's moving so much out of an account.
    pub(super) fn objection_to(&self, customer: u32, account: u32, minor: i128, currency: u16) -> Option<Objection> {
        match self.rights.get(&(customer, account)) {
            Some(Right::Owner | Right::Signatory { limit_minor: None }) => None,
            Some(Right::Signatory { limit_minor: Some(limit) }) => {
                let in_its_currency = self.known(account).is_some_and(|account| account.currency == currency);
                (in_its_currency && minor > i128::from(*limit)).then_some(Objection::AboveLimit(*limit))
            }
            Some(Right::ReadOnly) => Some(Objection::ReadOnly),
            None => Some(Objection::NoRight),
        }
    }

    // ---- Does the answer answer the question? ----

    pub(super) fn is_access_answered(&self, command: &AccessCommand, events: &[Event]) -> bool {
        use AccessEvent as E;
        let one = |is: &dyn Fn(&E) -> bool| matches!(only(events), Some(What::Access(event)) if is(event));
        match command {
            AccessCommand::AddCustomer { .. } => one(&|event| matches!(event, E::CustomerAdded { .. })),
            AccessCommand::AddUser { role, customer, .. } => one(
                &|event| matches!(event, E::UserAdded { role: r, customer: c, .. } if (r, c) == (role, customer)),
            ),
            AccessCommand::SetPassword { user, password } => events.split_first().is_some_and(|(set, closed)| {
                matches!(&set.what, What::Access(E::PasswordSet { user: u, password: p }) if u == user && p == password)
                    && self.are_all_sessions_of(user.0, closed)
            }),
            AccessCommand::SignIn { user, token, .. } => events.split_first().is_some_and(|(opened, closed)| {
                matches!(&opened.what, What::Access(E::SessionOpened { user: u, token: t, .. }) if u == user && t == token)
                    && closed.iter().all(|event| matches!(event.what, What::Access(E::SessionClosed { .. })))
            }),
            AccessCommand::SignOut { token } => {
                one(&|event| matches!(event, E::SessionClosed { token: t } if t == token))
            }
            // One of several within a minute is enough.
            AccessCommand::SignInFailed { user } => {
                events.is_empty() || one(&|event| matches!(event, E::SignInFailed { user: u } if u == user))
            }
            AccessCommand::Grant { customer, account, right } => one(&|event| {
                matches!(event, E::RightGranted { customer: c, account: a, right: r }
                    if (c, a, r) == (customer, account, right))
            }),
            AccessCommand::Revoke { customer, account } => one(&|event| {
                matches!(event, E::RightRevoked { customer: c, account: a } if (c, a) == (customer, account))
            }),
        }
    }

    /// Returns `true` if these events end each of a user's sessions, once.
    fn are_all_sessions_of(&self, user: u32, closed: &[Event]) -> bool {
        let own = |token: &[u8; 16]| self.sessions.get(token).is_some_and(|session| session.user == user);
        let mut tokens: Vec<[u8; 16]> = Vec::with_capacity(closed.len());
        for event in closed {
            let What::Access(AccessEvent::SessionClosed { token }) = &event.what else { return false };
            if !own(&token.0) || tokens.contains(&token.0) {
                return false;
            }
            tokens.push(token.0);
        }
        tokens.len() == self.sessions.values().filter(|session| session.user == user).count()
    }

    // ---- Do the events fit the books? ----

    pub(super) fn book_access(&mut self, event: &AccessEvent) -> Agreed {
        match event {
            AccessEvent::CustomerAdded { id, .. } => {
                self.customers += 1;
                agree!(id.0 == self.customers, "customer {} was added, and {} is the next", id.0, self.customers);
            }
            AccessEvent::UserAdded { id, name_index, role, customer, .. } => {
                let who = match role {
                    Role::Operator => customer.is_none().then_some(Who::Operator),
                    Role::Auditor => customer.is_none().then_some(Who::Auditor),
                    Role::Customer => customer.map(|customer| Who::Customer(customer.0)),
                };
                let Some(who) = who else {
                    return Err(breach!("user {} has a role and a customer that disagree", id.0));
                };
                self.users.push(who);
                agree!(
                    id.0 as usize == self.users.len(),
                    "user {} was added, and {} are there",
                    id.0,
                    self.users.len()
                );
                let other = self.names.insert(name_index.0, id.0);
                agree!(other.is_none(), "user {} has the name of {other:?}", id.0);
            }
            AccessEvent::PasswordSet { user, .. } => {
                agree!(self.user(user.0).is_some(), "user {} got a password, and was not added", user.0);
            }
            // What can be opened is none of the books' business.
            AccessEvent::KeyDestroyed { subject, .. } => {
                agree!(subject.0 != 0, "the bank's own key was destroyed");
            }
            AccessEvent::SessionOpened { user, token, expires_at, .. } => {
                let session = Session { user: user.0, expires_at: *expires_at };
                agree!(self.sessions.insert(token.0, session).is_none(), "a session was opened twice");
            }
            AccessEvent::SessionClosed { token } => {
                self.sessions.remove(&token.0);
            }
            // Nothing in these books depends on it.
            AccessEvent::SignInFailed { .. } => {}
            AccessEvent::RightGranted { customer, account, right } => {
                self.account(account.0)?;
                self.give_right(customer.0, account.0, *right)?;
            }
            AccessEvent::RightRevoked { customer, account } => {
                let right = self.rights.remove(&(customer.0, account.0));
                agree!(right.is_some(), "a right was revoked that there was not");
                self.count_mover(account.0, right, None);
            }
        }
        Ok(())
    }

    /// Gives a customer a right. There is an end to what a customer may draw: of the bank's own accounts, nothing.
    pub(super) fn give_right(&mut self, customer: u32, id: u32, right: Right) -> Agreed {
        let account = self.account(id)?;
        let suits = right == Right::ReadOnly || (self.can_be_a_customers(id) && account.overdraft.is_some());
        agree!(suits, "account {id} is not one whose money a customer may move");
        let before = self.rights.insert((customer, id), right);
        self.count_mover(id, before, Some(right));
        Ok(())
    }

    fn count_mover(&mut self, account: u32, before: Option<Right>, after: Option<Right>) {
        let moves = |right: Option<Right>| u32::from(right.is_some_and(|right| right != Right::ReadOnly));
        let movers = self.movers.entry(account).or_insert(0);
        *movers = *movers + moves(after) - moves(before);
    }

    pub(super) fn is_a_customers(&self, account: u32) -> bool {
        self.movers.get(&account).is_some_and(|movers| *movers > 0)
    }

    /// Deposits and loans are customers'; the desk's cash is nobody's.
    pub(super) fn can_be_a_customers(&self, id: u32) -> bool {
        let of_a_kind = self.known(id).is_some_and(|account| matches!(account.kind, Kind::Liability | Kind::Asset));
        of_a_kind && self.cash.values().all(|cash| *cash != id)
    }

    // ---- Is the reason of a refusal true? ----

    pub(super) fn is_objected(&self, asked: &Asked<'_>, objection: Objection) -> bool {
        match asked.who {
            Who::Customer(customer) => self.objections(customer, asked.body, &asked.moves).contains(&objection),
            Who::System | Who::Operator | Who::Auditor => false,
        }
    }

    /// A session can't begin that is over or known already, nor end that isn't one's own.
    pub(super) fn is_no_session(&self, asked: &Asked<'_>) -> bool {
        let Body::Access(command) = asked.body else { return false };
        match command {
            AccessCommand::SignIn { token, expires_at, .. } => {
                *expires_at <= asked.at || self.sessions.contains_key(&token.0)
            }
            AccessCommand::SignOut { token } => {
                let own = self.sessions.get(&token.0).is_some_and(|session| session.user == asked.caller.user.0);
                asked.caller.session.is_some() && !own
            }
            AccessCommand::AddCustomer { .. }
            | AccessCommand::AddUser { .. }
            | AccessCommand::SetPassword { .. }
            | AccessCommand::SignInFailed { .. }
            | AccessCommand::Grant { .. }
            | AccessCommand::Revoke { .. } => false,
        }
    }

    pub(super) fn is_name_taken(&self, body: &Body) -> bool {
        let Body::Access(AccessCommand::AddUser { name_index, .. }) = body else { return false };
        self.names.contains_key(&name_index.0)
    }

    /// There are 100 rights on an account at most, and a customer has 1,000.
    pub(super) fn are_rights_too_many(&self, body: &Body) -> bool {
        let count = |is: &dyn Fn(&(u32, u32)) -> bool| self.rights.keys().filter(|right| is(right)).count();
        let has_all = |customer: u32| count(&|(other, _)| *other == customer) >= 1_000;
        match body {
            Body::Access(AccessCommand::Grant { customer, account, .. }) => {
                let new = !self.rights.contains_key(&(customer.0, account.0));
                new && (has_all(customer.0) || count(&|(_, other)| *other == account.0) >= 100)
            }
            Body::Accounts(AccountCommand::OpenAccount(open)) => open.owner.is_some_and(|owner| has_all(owner.0)),
            Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Payments(_) | Body::Holds(_) => false,
        }
    }

    /// Nobody can lose a right that isn't there, nor use it.
    pub(super) fn has_no_right(&self, asked: &Asked<'_>) -> bool {
        match asked.body {
            Body::Access(AccessCommand::Revoke { customer, account }) => {
                !self.rights.contains_key(&(customer.0, account.0))
            }
            Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Payments(_) | Body::Holds(_) => {
                self.is_objected(asked, Objection::NoRight)
            }
        }
    }

    /// The bank's own accounts are given to nobody, and nobody captures what is held on one.
    pub(super) fn is_no_customers_account(&self, body: &Body) -> bool {
        match body {
            Body::Accounts(AccountCommand::OpenAccount(open)) => {
                let of_a_kind = matches!(open.kind, Kind::Liability | Kind::Asset);
                open.owner.is_some() && (open.cash || !of_a_kind)
            }
            Body::Access(AccessCommand::Grant { account, right, .. }) => {
                *right != Right::ReadOnly && !self.can_be_a_customers(account.0)
            }
            Body::Holds(HoldCommand::Capture { hold, .. }) => {
                self.holds.get(&hold.event()).is_some_and(|held| !self.can_be_a_customers(held.debit))
            }
            Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Payments(_) | Body::Holds(_) => false,
        }
    }

    /// What a customer may draw without end is no customer's.
    pub(super) fn has_no_limit(&self, body: &Body) -> bool {
        match body {
            Body::Accounts(AccountCommand::OpenAccount(open)) => {
                open.owner.is_some() && open.overdraft == Overdraft::Unlimited
            }
            Body::Access(AccessCommand::Grant { account, right, .. }) => {
                *right != Right::ReadOnly && self.known(account.0).is_some_and(|it| it.overdraft.is_none())
            }
            Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }) => {
                *overdraft == Overdraft::Unlimited && self.is_a_customers(account.0)
            }
            Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Payments(_) | Body::Holds(_) => false,
        }
    }
}

pub(super) fn is_access_forbidden(who: Who, command: &AccessCommand) -> bool {
    match command {
        AccessCommand::SetPassword { .. } | AccessCommand::SignIn { .. } | AccessCommand::SignInFailed { .. } => {
            who != Who::System
        }
        AccessCommand::AddCustomer { .. }
        | AccessCommand::AddUser { .. }
        | AccessCommand::Grant { .. }
        | AccessCommand::Revoke { .. } => matches!(who, Who::Auditor | Who::Customer(_)),
        AccessCommand::SignOut { .. } => false,
    }
}

/// Nothing here depends on a customer's rights on accounts: it is forbidden to them all, or about their session.
pub(super) fn objections_to_access(command: &AccessCommand) -> Objections {
    match command {
        AccessCommand::AddCustomer { .. }
        | AccessCommand::AddUser { .. }
        | AccessCommand::SetPassword { .. }
        | AccessCommand::SignIn { .. }
        | AccessCommand::SignOut { .. }
        | AccessCommand::SignInFailed { .. }
        | AccessCommand::Grant { .. }
        | AccessCommand::Revoke { .. } => Objections::new(),
    }
}

pub(super) fn named_by_access(command: &AccessCommand) -> Named {
    match command {
        AccessCommand::AddUser { customer, .. } => {
            Named { customer: customer.map(|customer| customer.0), ..Named::default() }
        }
        AccessCommand::SetPassword { user, .. }
        | AccessCommand::SignIn { user, .. }
        | AccessCommand::SignInFailed { user } => Named { user: Some(user.0), ..Named::default() },
        AccessCommand::Grant { customer, account, right } => {
            let limit_minor = match right {
                Right::Signatory { limit_minor } => *limit_minor,
                Right::Owner | Right::ReadOnly => None,
            };
            Named { customer: Some(customer.0), changed: Some(account.0), limit_minor, ..Named::default() }
        }
        AccessCommand::Revoke { customer, account } => {
            Named { customer: Some(customer.0), changed: Some(account.0), ..Named::default() }
        }
        AccessCommand::AddCustomer { .. } | AccessCommand::SignOut { .. } => Named::default(),
    }
}

pub(super) fn do_role_and_customer_disagree(body: &Body) -> bool {
    let Body::Access(AccessCommand::AddUser { role, customer, .. }) = body else { return false };
    match role {
        Role::Customer => customer.is_none(),
        Role::Operator | Role::Auditor => customer.is_some(),
    }
}
