//! The auditor: keeps its own simple books from commands, answers and events, and says in words what doesn't agree.
//!
//! It shares no logic with `bank` or `ledger`: it reads their plain data and does its own sums, in 128 bits, in maps.
//! Three things are asked of each answer. Does it answer the question? Do its events fit the books? And if it was refused
//! for a reason of money, is that reason true?

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Command, Decision, Event, HoldCommand,
    HoldEvent, Origin, Pay, PaymentCommand, PaymentEvent, Purpose, Refusal, Request, Right, Role, State, SystemCommand,
    SystemEvent, What,
};
use ledger::{Cause, Currency, Hold, Kind, Leg, Overdraft, Posting, ReleaseReason, Status, Timestamp};
use smallvec::{SmallVec, smallvec};

use crate::Observed;
use crate::mix::Mix;

/// A point on which the books and the bank don't agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The number of the last event that agreed.
    pub after_event: u64,
    /// The rule that does not hold, the same for every breach of it.
    pub rule: &'static str,
    /// In words.
    pub what: String,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "after event {}: {}", self.after_event, self.what)
    }
}

impl std::error::Error for Disagreement {}

/// A rule that does not hold, and how.
struct Breach {
    rule: &'static str,
    what: String,
}

type Agreed<T = ()> = Result<T, Breach>;

/// The breach of a rule, told in words. The words before anything is filled in name the rule.
macro_rules! breach {
    ($rule:literal $($filled:tt)*) => {
        Breach { rule: $rule, what: format!($rule $($filled)*) }
    };
}

/// Fails with the words unless the condition holds.
macro_rules! agree {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(breach!($($words)+));
        }
    };
}

/// A map that is only looked up, never walked through in its own order.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// The auditor and its books.
#[derive(Debug, Clone, Default)]
pub struct Auditor {
    founded: bool,
    events: u64,
    now: Option<Timestamp>,
    accounts: Vec<Account>,
    cash: Map<u16, u32>,
    holds: Map<u64, Held>,
    /// Payment of each event, the first event first; `None` for those that are no payments.
    payments: Vec<Option<Payment>>,
    /// Legs after the first, of the few payments with several.
    further_legs: Map<u64, Vec<Paid>>,
    keys: Map<[u8; 16], u64>,
    customers: u32,
    /// User 1 comes first.
    users: Vec<Who>,
    sessions: Map<[u8; 16], Session>,
    rights: Map<(u32, u32), Right>,
    /// Number of customers with a right to move an account's money.
    movers: Map<u32, u32>,
}

#[derive(Debug, Clone)]
struct Account {
    currency: u16,
    kind: Kind,
    balance: i128,
    held: i128,
    /// `None` where there is no end to it.
    overdraft: Option<i128>,
    status: Status,
    entries: u64,
    last_posting: Option<u64>,
    /// The posting before that.
    posting_before: Option<u64>,
    last_booked_at: Timestamp,
}

#[derive(Debug, Clone)]
struct Held {
    debit: u32,
    credit: u32,
    remaining: i128,
    expires_at: Timestamp,
}

/// One leg of a payment. Its currency is that of its accounts.
#[derive(Debug, Clone, Copy)]
struct Paid {
    debit: u32,
    credit: u32,
    minor: i64,
    refunded: i64,
}

#[derive(Debug, Clone)]
struct Payment {
    first: Paid,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Made,
    Refunded,
    Reversed,
    /// It is itself a refund or a reversal.
    Undoing,
}

#[derive(Debug, Clone)]
struct Session {
    user: u32,
    expires_at: Timestamp,
}

/// The one who asks, as far as was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    System,
    Operator,
    Auditor,
    Customer(u32),
}

/// Reason a customer may not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Objection {
    NoRight,
    ReadOnly,
    AboveLimit(i64),
    NotOwner,
    NotAPayee,
}

type Objections = SmallVec<[Objection; 2]>;

/// An amount moved from one account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moved {
    debit: u32,
    credit: u32,
    minor: i128,
    currency: u16,
}

type Moves = SmallVec<[Moved; 1]>;

impl Moved {
    fn of(leg: &Leg) -> Self {
        Self {
            debit: leg.debit.0,
            credit: leg.credit.0,
            minor: i128::from(leg.amount.minor),
            currency: leg.amount.currency.numeric(),
        }
    }

    fn back(self) -> Self {
        Self { debit: self.credit, credit: self.debit, ..self }
    }
}

impl Paid {
    fn left(&self) -> i64 {
        self.minor - self.refunded
    }
}

impl Account {
    fn available(&self) -> i128 {
        self.balance - self.held
    }

    fn may_have(&self, available: i128) -> bool {
        self.overdraft.is_none_or(|limit| available >= -limit)
    }
}

impl Auditor {
    /// Looks at the next command and its answer.
    ///
    /// # Errors
    ///
    /// Tells the first thing that doesn't agree.
    pub fn observe(&mut self, observed: &Observed) -> Result<(), Disagreement> {
        let after_event = self.events;
        self.look_at(observed).map_err(|Breach { rule, what }| Disagreement {
            after_event,
            rule,
            what: format!("{what} ({observed:?})"),
        })
    }

    /// Looks at the event with which a program begins that takes the bank over: it answers no command.
    pub fn observe_start(&mut self) {
        self.events += 1;
        self.payments.push(None);
    }

    /// Compares the books with the bank's state, account by account and hold by hold.
    ///
    /// # Errors
    ///
    /// Tells the first difference.
    pub fn compare(&self, state: &State) -> Result<(), Disagreement> {
        let told = |Breach { rule, what }| Disagreement { after_event: self.events, rule, what };
        self.compare_with(state).map_err(told)
    }

    /// Returns the number of accounts seen to be opened.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// Returns the number of events seen.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Counts the open holds that were over before `at`.
    #[must_use]
    pub fn holds_over_at(&self, at: Timestamp) -> usize {
        self.holds.values().filter(|held| held.expires_at <= at).count()
    }

    fn look_at(&mut self, observed: &Observed) -> Agreed {
        agree!(self.now.is_none_or(|now| now <= observed.at), "time ran backwards");
        agree!(
            observed.first_event == self.events + 1,
            "event {} is missing or came twice: the next is {}",
            self.events + 1,
            observed.first_event
        );
        self.now = Some(observed.at);
        let request = observed.command.request;
        let first = request.and_then(|request| self.keys.get(&request.key).copied());
        match (&observed.decision, first) {
            (Decision::Repeated(event), Some(first)) if *event == first => Ok(()),
            (Decision::Repeated(event), _) => Err(breach!("event {event} was not the first outcome of this key")),
            (_, Some(first)) => Err(breach!("the key was used before, for event {first}")),
            (Decision::Accepted(events), None) => self.accepted(observed, events),
            (Decision::Refused(refusal, event), None) => self.refused(observed, *refusal, event.as_ref()),
        }
    }

    fn accepted(&mut self, observed: &Observed, events: &[Event]) -> Agreed {
        let body = &observed.command.body;
        let who = self.who(&observed.command.caller, observed.at)?;
        agree!(!is_forbidden(who, body), "{who:?} may not ask for this");
        let moves = self.movement(body).unwrap_or_default();
        if let Who::Customer(customer) = who {
            let objections = self.objections(customer, body, &moves);
            agree!(objections.is_empty(), "customer {customer} had no right to this: {objections:?}");
        }
        let objection = self.objection_to_booking(body);
        agree!(objection.is_none(), "the bank may not book this: {objection:?}");
        self.was_asked_for(body, &moves, events)?;
        let mut request = observed.command.request;
        for event in events {
            self.was_said_by(event, &observed.command, request.take())?;
            self.book(event, observed.at)?;
        }
        Ok(())
    }

    fn refused(&mut self, observed: &Observed, refusal: Refusal, event: Option<&Event>) -> Agreed {
        agree!(self.is_true(observed, refusal), "the refusal is not true: {refusal}");
        let request = observed.command.request.filter(|_| refusal != Refusal::NotSignedIn);
        agree!(request.is_some() == event.is_some(), "a refusal is remembered under its key, and only then");
        let Some(event) = event else { return Ok(()) };
        let same = matches!(event.what, What::System(SystemEvent::Refused { refusal: remembered, .. }) if remembered == refusal);
        agree!(same, "the refusal remembered is another than that given");
        self.was_said_by(event, &observed.command, request)?;
        self.book(event, observed.at)
    }

    fn was_said_by(&mut self, event: &Event, command: &Command, request: Option<Request>) -> Agreed {
        agree!(event.by == command.caller.user, "the event is said to be by user {}", event.by.0);
        let said = event.origin.unwrap_or_default();
        let session = said.session.map(|tag| tag.0.to_be_bytes().to_vec());
        agree!(
            session == command.caller.session.map(|token| token.0[..8].to_vec()),
            "the event is said to be of another session"
        );
        let rest = Origin { session: None, ..said };
        agree!(rest == command.origin, "the event is said to come from elsewhere than its command");
        agree!(event.request == request, "the event has another key than its command");
        if let Some(request) = event.request {
            self.keys.insert(request.key, self.events + 1);
        }
        Ok(())
    }

    // ---- Does the answer answer the question? ----

    fn was_asked_for(&self, body: &Body, moves: &[Moved], events: &[Event]) -> Agreed {
        let answers = match (body, events) {
            (
                Body::Access(AccessCommand::SignInFailed { user: asked }),
                [Event { what: What::Access(AccessEvent::SignInFailed { user }), .. }],
            ) => asked == user,
            (Body::Access(AccessCommand::SignInFailed { .. }), []) => true,
            (Body::Access(AccessCommand::SignIn { user, token, .. }), [opened, closed @ ..]) => {
                matches!(&opened.what, What::Access(AccessEvent::SessionOpened { user: u, token: t, .. }) if u == user && t == token)
                    && closed.iter().all(|event| matches!(event.what, What::Access(AccessEvent::SessionClosed { .. })))
            }
            (Body::Access(AccessCommand::SetPassword { user, password }), [set, closed @ ..]) => {
                matches!(&set.what, What::Access(AccessEvent::PasswordSet { user: u, password: p }) if u == user && p == password)
                    && self.are_all_sessions_of(user.0, closed)
            }
            (
                Body::Payments(PaymentCommand::PayAll(asked)),
                [Event { what: What::Payments(PaymentEvent::PaidAll { payments }), .. }, made @ ..],
            ) => {
                let mut each = asked.iter().zip(made);
                asked.len() == made.len()
                    && u32::try_from(made.len()) == Ok(*payments)
                    && each.all(|(pay, event)| posts(&movement_of(pay), Some(Cause::Order), &event.what))
            }
            (body, [event]) => answers(body, moves, &event.what),
            _ => false,
        };
        agree!(answers, "the answer is not what was asked for");
        Ok(())
    }

    /// Returns `true` if these events end each of a user's sessions, once.
    fn are_all_sessions_of(&self, user: u32, closed: &[Event]) -> bool {
        let own = |token: &[u8; 16]| self.sessions.get(token).is_some_and(|session| session.user == user);
        let mut tokens: Vec<[u8; 16]> = Vec::with_capacity(closed.len());
        for event in closed {
            match event.what {
                What::Access(AccessEvent::SessionClosed { token }) if own(&token.0) && !tokens.contains(&token.0) => {
                    tokens.push(token.0)
                }
                _ => return false,
            }
        }
        tokens.len() == self.sessions.values().filter(|session| session.user == user).count()
    }

    /// Returns the movement of money that a command would make; none where it moves nothing, or names what there is
    /// not.
    fn movement(&self, body: &Body) -> Option<Moves> {
        match body {
            Body::Payments(PaymentCommand::Pay(pay)) => Some(movement_of(pay)),
            Body::Payments(PaymentCommand::PayAll(payments)) => {
                Some(payments.iter().flat_map(|pay| &pay.legs).map(Moved::of).collect())
            }
            Body::Payments(PaymentCommand::Deposit { account, amount, .. })
            | Body::Payments(PaymentCommand::Withdraw { account, amount, .. }) => {
                let currency = amount.currency.numeric();
                let debit = *self.cash.get(&currency)?;
                let deposit = Moved { debit, credit: account.0, minor: i128::from(amount.minor), currency };
                Some(smallvec![if matches!(body, Body::Payments(PaymentCommand::Deposit { .. })) {
                    deposit
                } else {
                    deposit.back()
                }])
            }
            Body::Holds(HoldCommand::PlaceHold { leg, .. }) | Body::Payments(PaymentCommand::Book { leg, .. }) => {
                Some(smallvec![Moved::of(leg)])
            }
            Body::Holds(HoldCommand::Capture { hold, amount, .. }) => {
                let held = self.holds.get(&hold.event())?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(smallvec![Moved { debit: held.debit, credit: held.credit, minor, currency }])
            }
            Body::Payments(PaymentCommand::Refund { of, leg, amount, .. }) => {
                let paid = self.paid(of.event(), *leg)?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(smallvec![Moved { debit: paid.credit, credit: paid.debit, minor, currency }])
            }
            Body::Payments(PaymentCommand::Reverse { of, .. }) => {
                let first = self.payment(of.event())?.first;
                let further = self.further_legs.get(&of.event()).map_or(&[][..], Vec::as_slice);
                let legs = std::iter::once(&first).chain(further).rev();
                legs.map(|paid| self.moved(paid).map(Moved::back)).collect()
            }
            _ => None,
        }
    }

    fn moved(&self, paid: &Paid) -> Option<Moved> {
        let currency = self.known(paid.debit)?.currency;
        Some(Moved { debit: paid.debit, credit: paid.credit, minor: i128::from(paid.minor), currency })
    }

    fn payment(&self, event: u64) -> Option<&Payment> {
        self.payments.get(usize::try_from(event.checked_sub(1)?).ok()?)?.as_ref()
    }

    /// A leg of a payment.
    fn paid(&self, event: u64, leg: u32) -> Option<&Paid> {
        match leg.checked_sub(1) {
            None => self.payment(event).map(|payment| &payment.first),
            Some(further) => self.further_legs.get(&event)?.get(usize::try_from(further).ok()?),
        }
    }

    // ---- Was the caller entitled to it? ----

    /// Finds the one who asks, by a session that is not over.
    fn who(&self, caller: &Caller, at: Timestamp) -> Agreed<Who> {
        let Some(token) = caller.session else {
            agree!(caller.user.0 == 0, "user {} has no session", caller.user.0);
            return Ok(Who::System);
        };
        let session = self.sessions.get(&token.0);
        let open = session.is_some_and(|session| session.user == caller.user.0 && session.expires_at > at);
        agree!(open, "the session is not user {}'s, or over", caller.user.0);
        self.user(caller.user.0).ok_or_else(|| breach!("there is no user {}", caller.user.0))
    }

    fn user(&self, id: u32) -> Option<Who> {
        self.users.get(usize::try_from(id.checked_sub(1)?).ok()?).copied()
    }

    /// All that speaks against a customer's doing something.
    fn objections(&self, customer: u32, body: &Body, moves: &[Moved]) -> Objections {
        let mut objections = Objections::new();
        match body {
            // The payer agreed to what is held; the payee takes it, or lets it go.
            Body::Holds(HoldCommand::Capture { hold, .. }) | Body::Holds(HoldCommand::Void { hold }) => {
                if let Some(held) = self.holds.get(&hold.event()) {
                    objections.extend(self.objection_to(customer, held.credit, 0, 0));
                }
            }
            // More time is the payer's to give, who can move what is still held.
            Body::Holds(HoldCommand::Extend { hold, .. }) => {
                if let Some(held) = self.holds.get(&hold.event()) {
                    let currency = self.known(held.debit).map_or(0, |account| account.currency);
                    objections.extend(self.objection_to(customer, held.debit, held.remaining, currency));
                }
            }
            Body::Accounts(AccountCommand::Rename { account, .. }) => match self.rights.get(&(customer, account.0)) {
                Some(Right::Owner) => {}
                Some(_) => objections.push(Objection::NotOwner),
                None => objections.push(Objection::NoRight),
            },
            Body::Payments(PaymentCommand::PayAll(payments)) => {
                payments
                    .iter()
                    .for_each(|pay| objections.extend(self.objections_to_payment(customer, &movement_of(pay))));
            }
            Body::Payments(PaymentCommand::Pay(_))
            | Body::Holds(HoldCommand::PlaceHold { .. })
            | Body::Payments(PaymentCommand::Refund { .. }) => {
                objections.extend(self.objections_to_payment(customer, moves));
            }
            _ => {}
        }
        objections
    }

    fn objections_to_payment(&self, customer: u32, moves: &[Moved]) -> Objections {
        let mut objections = Objections::new();
        for moved in moves {
            // The limit is for the whole payment, not for each leg of it.
            let of_this_account = moves.iter().filter(|other| other.debit == moved.debit);
            let minor = of_this_account.map(|other| other.minor).sum();
            objections.extend(self.objection_to(customer, moved.debit, minor, moved.currency));
        }
        let banks_own = |id: u32| match self.known(id).map(|account| account.kind) {
            Some(Kind::Equity | Kind::Expense) => true,
            Some(Kind::Asset) => !self.is_a_customers(id),
            Some(Kind::Liability | Kind::Income) | None => false,
        };
        if moves.iter().any(|moved| banks_own(moved.credit)) {
            objections.push(Objection::NotAPayee);
        }
        objections
    }

    /// Returns what speaks against the bank's booking something itself.
    fn objection_to_booking(&self, body: &Body) -> Option<Refusal> {
        let Body::Payments(PaymentCommand::Book { leg, .. }) = body else { return None };
        let customers =
            |account: u32| self.can_be_a_customers(account) && self.rights.keys().any(|(_, held)| *held == account);
        let result = |id: u32| self.known(id).is_some_and(|it| matches!(it.kind, Kind::Income | Kind::Expense));
        match (customers(leg.debit.0), customers(leg.credit.0)) {
            (true, true) => Some(Refusal::BetweenCustomers),
            (true, false) if !result(leg.credit.0) => Some(Refusal::NotIncomeOrExpense),
            (false, true) if !result(leg.debit.0) => Some(Refusal::NotIncomeOrExpense),
            _ => None,
        }
    }

    /// Returns what speaks against a customer's moving so much out of an account.
    fn objection_to(&self, customer: u32, account: u32, minor: i128, currency: u16) -> Option<Objection> {
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

    // ---- Do the events fit the books? ----

    fn book(&mut self, event: &Event, at: Timestamp) -> Agreed {
        self.events += 1;
        self.payments.push(None);
        match &event.what {
            What::Payments(PaymentEvent::Posted { posting, .. }) => self.book_posting(posting, at),
            What::Holds(HoldEvent::HoldPlaced { hold, .. }) => self.book_hold(hold, at),
            What::Holds(HoldEvent::HoldReleased { hold, reason }) => self.book_release(hold.event(), *reason, at),
            What::Holds(HoldEvent::HoldExtended { hold, expires_at }) => {
                self.book_extension(hold.event(), *expires_at, at)
            }
            What::Accounts(AccountEvent::AccountRenamed { account, .. }) => self.account_mut(account.0).map(|_| ()),
            What::Accounts(AccountEvent::AccountOpened { id, currency, kind, overdraft, owner, cash, .. }) => {
                let next = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
                agree!(id.0 == next, "account {} was opened, and {next} is the next", id.0);
                self.accounts.push(new_account(*currency, *kind, *overdraft));
                let taken = *cash && self.cash.insert(currency.numeric(), id.0).is_some();
                agree!(!taken, "{currency} has two cash accounts");
                owner.map_or(Ok(()), |owner| self.give_right(owner.0, id.0, Right::Owner))
            }
            What::Accounts(AccountEvent::StatusSet { account, status }) => self.book_status(account.0, *status),
            What::Accounts(AccountEvent::OverdraftSet { account, overdraft }) => {
                let has_a_limit = *overdraft != Overdraft::Unlimited || !self.is_a_customers(account.0);
                agree!(has_a_limit, "account {} is a customer's, and lost its limit", account.0);
                let account = self.account_mut(account.0)?;
                account.overdraft = limit(*overdraft);
                agree!(account.may_have(account.available()), "the overdraft was in use");
                agree!(account.status != Status::Closed, "a closed account was changed");
                Ok(())
            }
            What::Access(AccessEvent::CustomerAdded { id, .. }) => {
                self.customers += 1;
                agree!(id.0 == self.customers, "customer {} was added, and {} is the next", id.0, self.customers);
                Ok(())
            }
            _ => self.book_access(&event.what),
        }
    }

    fn book_access(&mut self, what: &What) -> Agreed {
        match what {
            What::System(SystemEvent::Founded { .. }) => {
                agree!(!self.founded, "the bank was founded twice");
                self.founded = true;
            }
            What::Access(AccessEvent::UserAdded { id, role, customer, .. }) => {
                let who = match (role, customer) {
                    (Role::Operator, None) => Who::Operator,
                    (Role::Auditor, None) => Who::Auditor,
                    (Role::Customer, Some(customer)) => Who::Customer(customer.0),
                    _ => return Err(breach!("user {} has a role and a customer that disagree", id.0)),
                };
                self.users.push(who);
                agree!(
                    id.0 as usize == self.users.len(),
                    "user {} was added, and {} are there",
                    id.0,
                    self.users.len()
                );
            }
            What::Access(AccessEvent::PasswordSet { user, .. }) => {
                agree!(self.user(user.0).is_some(), "user {} got a password, and was not added", user.0);
            }
            What::Access(AccessEvent::SessionOpened { user, token, expires_at, .. }) => {
                let session = Session { user: user.0, expires_at: *expires_at };
                agree!(self.sessions.insert(token.0, session).is_none(), "a session was opened twice");
            }
            What::Access(AccessEvent::SessionClosed { token }) => {
                self.sessions.remove(&token.0);
            }
            What::Access(AccessEvent::RightGranted { customer, account, right }) => {
                self.account(account.0)?;
                self.give_right(customer.0, account.0, *right)?;
            }
            What::Access(AccessEvent::RightRevoked { customer, account }) => {
                let right = self.rights.remove(&(customer.0, account.0));
                agree!(right.is_some(), "a right was revoked that there was not");
                self.count_mover(account.0, right, None);
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives a customer a right. There is an end to what a customer may draw: of the bank's own accounts, nothing.
    fn give_right(&mut self, customer: u32, id: u32, right: Right) -> Agreed {
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

    fn is_a_customers(&self, account: u32) -> bool {
        self.movers.get(&account).is_some_and(|movers| *movers > 0)
    }

    /// Deposits and loans are customers'; the desk's cash is nobody's.
    fn can_be_a_customers(&self, id: u32) -> bool {
        let of_a_kind = self.known(id).is_some_and(|account| matches!(account.kind, Kind::Liability | Kind::Asset));
        of_a_kind && self.cash.values().all(|cash| *cash != id)
    }

    fn book_status(&mut self, id: u32, status: Status) -> Agreed {
        let account = self.account_mut(id)?;
        agree!(account.status != Status::Closed, "account {id} was closed, and changed");
        let empty = account.balance == 0 && account.held == 0;
        agree!(status != Status::Closed || empty, "account {id} was closed with money in it");
        account.status = status;
        Ok(())
    }

    fn book_hold(&mut self, hold: &Hold, at: Timestamp) -> Agreed {
        let minor = i128::from(hold.amount.minor);
        agree!(minor > 0 && i128::from(hold.remaining_minor) == minor, "a hold is of more than nothing, and whole");
        agree!(hold.expires_at > at, "the hold was over before it began");
        self.may_move(hold.debit.0, hold.credit.0, hold.amount.currency.numeric())?;
        let account = self.account_mut(hold.debit.0)?;
        account.held += minor;
        agree!(account.may_have(account.available()), "the hold was not covered");
        let held = Held { debit: hold.debit.0, credit: hold.credit.0, remaining: minor, expires_at: hold.expires_at };
        self.holds.insert(self.events, held);
        Ok(())
    }

    fn book_release(&mut self, id: u64, reason: ReleaseReason, at: Timestamp) -> Agreed {
        let Some(held) = self.holds.remove(&id) else { return Err(breach!("hold {id} was not open")) };
        agree!(reason != ReleaseReason::Expired || held.expires_at <= at, "hold {id} expired before its time");
        self.account_mut(held.debit)?.held -= held.remaining;
        Ok(())
    }

    fn book_extension(&mut self, id: u64, expires_at: Timestamp, at: Timestamp) -> Agreed {
        let Some(held) = self.holds.get_mut(&id) else { return Err(breach!("hold {id} was not open")) };
        agree!(held.expires_at > at, "hold {id} was over before it was extended");
        agree!(held.expires_at < expires_at, "hold {id} was extended to an earlier time");
        held.expires_at = expires_at;
        Ok(())
    }

    fn book_posting(&mut self, posting: &Posting, at: Timestamp) -> Agreed {
        let number = self.events;
        let moves: Moves = posting.legs().iter().map(|booked| Moved::of(&booked.leg)).collect();
        agree!(!moves.is_empty(), "a posting moved nothing");
        let undoes = self.book_cause(posting.cause(), &moves, at)?;
        for (moved, booked) in moves.iter().zip(posting.legs()) {
            agree!(moved.minor > 0, "a leg moved nothing, or backwards");
            self.may_move(moved.debit, moved.credit, moved.currency)?;
            for (id, change, entry) in
                [(moved.debit, -moved.minor, booked.debit), (moved.credit, moved.minor, booked.credit)]
            {
                let account = self.account_mut(id)?;
                account.balance += change;
                account.entries += 1;
                let balance = account.balance;
                agree!(i128::from(entry.balance_minor) == balance, "account {id} has {balance} after entry {entry:?}");
                agree!(entry.ordinal == account.entries, "account {id} has {} entries", account.entries);
                if account.last_posting != Some(number) {
                    account.posting_before = account.last_posting.replace(number);
                }
                let previous = entry.previous.map(ledger::PostingId::event);
                agree!(account.posting_before == previous, "account {id}'s last posting was not {previous:?}");
                agree!(account.last_booked_at <= posting.booked_at(), "account {id} was booked backwards");
                account.last_booked_at = posting.booked_at();
            }
            let payer = self.account(moved.debit)?;
            agree!(payer.may_have(payer.available()), "account {} was drawn below its overdraft", moved.debit);
        }
        self.keep_payment(posting, if undoes { Stage::Undoing } else { Stage::Made });
        Ok(())
    }

    /// Keeps a payment, in case that it is given back.
    fn keep_payment(&mut self, posting: &Posting, stage: Stage) {
        let paid = |leg: &Leg| Paid { debit: leg.debit.0, credit: leg.credit.0, minor: leg.amount.minor, refunded: 0 };
        let mut legs = posting.legs().iter().map(|booked| paid(&booked.leg));
        let kept = self.payments.last_mut().zip(legs.next());
        if let Some((place, first)) = kept {
            *place = Some(Payment { first, stage });
        }
        if legs.len() > 0 {
            self.further_legs.insert(self.events, legs.collect());
        }
    }

    /// Takes what a posting was made for off the hold or payment it goes back to. Tells whether it undoes another.
    fn book_cause(&mut self, cause: Cause, moves: &[Moved], at: Timestamp) -> Agreed<bool> {
        match cause {
            Cause::Order => Ok(false),
            Cause::Capture { hold, last } => self.book_capture(hold.event(), last, moves, at).map(|()| false),
            Cause::Refund { of, leg } => self.book_refund(of.event(), leg, moves).map(|()| true),
            Cause::Reversal { of } => self.book_reversal(of.event(), moves).map(|()| true),
        }
    }

    fn book_refund(&mut self, of: u64, leg: u32, moves: &[Moved]) -> Agreed {
        let stage = self.payment(of).map(|payment| payment.stage);
        agree!(matches!(stage, Some(Stage::Made | Stage::Refunded)), "payment {of} can't be refunded: it is {stage:?}");
        let Some(paid) = self.paid(of, leg).copied() else { return Err(breach!("payment {of} has no leg {leg}")) };
        let [moved] = moves else { return Err(breach!("a refund has one leg")) };
        let back = self.moved(&paid).map(Moved::back);
        let another_way = back != Some(Moved { minor: i128::from(paid.minor), ..*moved });
        agree!(!another_way, "the refund goes another way than the payment");
        agree!(moved.minor <= i128::from(paid.left()), "more was refunded than paid");
        let refunded = paid.refunded + i64::try_from(moved.minor).unwrap_or(0);
        let place = usize::try_from(of - 1).unwrap_or(usize::MAX);
        if let Some(payment) = self.payments[place].as_mut() {
            payment.stage = Stage::Refunded;
            if leg == 0 {
                payment.first.refunded = refunded;
            }
        }
        if let (Some(legs), Some(further)) = (self.further_legs.get_mut(&of), leg.checked_sub(1)) {
            legs[usize::try_from(further).unwrap_or(usize::MAX)].refunded = refunded;
        }
        Ok(())
    }

    fn book_reversal(&mut self, of: u64, moves: &[Moved]) -> Agreed {
        let stage = self.payment(of).map(|payment| payment.stage);
        agree!(stage == Some(Stage::Made), "payment {of} can't be reversed: it is {stage:?}");
        let id = ledger::PostingId::new(of);
        let mirror = id.and_then(|of| self.movement(&Body::Payments(PaymentCommand::Reverse { of, text: None })));
        agree!(mirror.as_deref() == Some(moves), "the reversal is not the payment's mirror");
        if let Some(payment) = self.payments[usize::try_from(of - 1).unwrap_or(usize::MAX)].as_mut() {
            payment.stage = Stage::Reversed;
        }
        Ok(())
    }

    fn book_capture(&mut self, id: u64, last: bool, moves: &[Moved], at: Timestamp) -> Agreed {
        let Some(held) = self.holds.get_mut(&id) else { return Err(breach!("hold {id} was not open")) };
        agree!(held.expires_at > at, "hold {id} was captured after its time");
        let captured: i128 = moves.iter().map(|moved| moved.minor).sum();
        let its_own = moves.iter().all(|moved| (moved.debit, moved.credit) == (held.debit, held.credit));
        agree!(its_own, "the capture goes another way than hold {id}");
        agree!(captured <= held.remaining, "more was captured than held");
        held.remaining -= captured;
        let (debit, left) = (held.debit, held.remaining);
        let freed = if last { captured + left } else { captured };
        if last || left == 0 {
            self.holds.remove(&id);
        }
        self.account_mut(debit)?.held -= freed;
        Ok(())
    }

    fn may_move(&self, debit: u32, credit: u32, currency: u16) -> Agreed {
        agree!(debit != credit, "account {debit} paid itself");
        let (payer, payee) = (self.account(debit)?, self.account(credit)?);
        agree!(payer.currency == currency && payee.currency == currency, "accounts of other currencies");
        agree!(payer.status == Status::Open, "account {debit} is {:?}, and paid", payer.status);
        let may_get = matches!(payee.status, Status::Open | Status::FrozenForDebits);
        agree!(may_get, "account {credit} is {:?}, and was paid", payee.status);
        Ok(())
    }

    fn known(&self, id: u32) -> Option<&Account> {
        self.accounts.get(usize::try_from(id).ok()?)
    }

    fn account(&self, id: u32) -> Agreed<&Account> {
        self.known(id).ok_or_else(|| breach!("there is no account {id}"))
    }

    fn account_mut(&mut self, id: u32) -> Agreed<&mut Account> {
        let place = usize::try_from(id).ok();
        place.and_then(|place| self.accounts.get_mut(place)).ok_or_else(|| breach!("there is no account {id}"))
    }

    // ---- Is the reason of a refusal true? ----

    fn is_true(&self, observed: &Observed, refusal: Refusal) -> bool {
        let (caller, body) = (&observed.command.caller, &observed.command.body);
        let Ok(who) = self.who(caller, observed.at) else { return refusal == Refusal::NotSignedIn };
        let moves = self.movement(body).unwrap_or_default();
        let objected = |objection: Objection| match who {
            Who::Customer(customer) => self.objections(customer, body, &moves).contains(&objection),
            _ => false,
        };
        match refusal {
            Refusal::NotSignedIn => self.is_no_session(body, caller, observed.at),
            Refusal::NotAllowed => is_forbidden(who, body),
            Refusal::KeyReused => false,
            Refusal::AlreadyFounded => self.founded && matches!(body, Body::System(SystemCommand::Found { .. })),
            Refusal::NotFounded => !self.founded && !matches!(body, Body::System(SystemCommand::Found { .. })),
            Refusal::UnknownCustomer => named_customer(body).is_some_and(|id| id == 0 || id > self.customers),
            Refusal::UnknownUser => named_user(body).is_some_and(|id| self.user(id).is_none()),
            Refusal::UnknownPayment => named_payment(body).is_some_and(|of| self.payment(of).is_none()),
            Refusal::NoCashAccount => match body {
                Body::Payments(PaymentCommand::Deposit { amount, .. })
                | Body::Payments(PaymentCommand::Withdraw { amount, .. }) => {
                    !self.cash.contains_key(&amount.currency.numeric())
                }
                _ => false,
            },
            Refusal::NoRight => match body {
                Body::Access(AccessCommand::Revoke { customer, account }) => {
                    !self.rights.contains_key(&(customer.0, account.0))
                }
                _ => objected(Objection::NoRight),
            },
            Refusal::ReadOnlyRight => objected(Objection::ReadOnly),
            Refusal::NotACustomersAccount => match body {
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
                _ => false,
            },
            Refusal::OverdraftWithoutLimit => match body {
                Body::Accounts(AccountCommand::OpenAccount(open)) => {
                    open.owner.is_some() && open.overdraft == Overdraft::Unlimited
                }
                Body::Access(AccessCommand::Grant { account, right, .. }) => {
                    *right != Right::ReadOnly && self.known(account.0).is_some_and(|it| it.overdraft.is_none())
                }
                Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }) => {
                    *overdraft == Overdraft::Unlimited && self.is_a_customers(account.0)
                }
                _ => false,
            },
            Refusal::TooManyPayments => {
                matches!(body, Body::Payments(PaymentCommand::PayAll(payments)) if payments.len() > 1_000)
            }
            // Found out before there is a command.
            Refusal::InvalidLine
            | Refusal::InvalidRequest
            | Refusal::InvalidIban
            | Refusal::OtherBank
            | Refusal::InvalidAmount
            | Refusal::AmountTooPrecise
            | Refusal::UnknownCurrency
            | Refusal::AmountIncomplete
            | Refusal::LimitNeedsSignatory
            | Refusal::PersonErased => false,
            Refusal::OwnersOnly => objected(Objection::NotOwner),
            Refusal::AboveSignatoryLimit { limit } => objected(Objection::AboveLimit(limit.minor)),
            Refusal::NotAPayee => objected(Objection::NotAPayee),
            Refusal::BetweenCustomers | Refusal::NotIncomeOrExpense => self.objection_to_booking(body) == Some(refusal),
            Refusal::Ledger(refusal) => self.is_true_of_money(body, &moves, observed.at, refusal),
            // Reasons that are not of money, and need the whole of the bank's rules to judge.
            Refusal::NameTaken
            | Refusal::RoleAndCustomerDisagree
            | Refusal::NumberTaken
            | Refusal::CashAccountTaken
            | Refusal::NumbersExhausted
            | Refusal::TooManyRights
            | Refusal::BookedAhead => true,
            Refusal::CurrencyNotInUse => {
                matches!(body, Body::Accounts(AccountCommand::OpenAccount(open)) if !open.currency.is_in_use())
            }
        }
    }

    /// A session can't begin that is over or known already, nor end that isn't one's own.
    fn is_no_session(&self, body: &Body, caller: &Caller, at: Timestamp) -> bool {
        match body {
            Body::Access(AccessCommand::SignIn { token, expires_at, .. }) => {
                *expires_at <= at || self.sessions.contains_key(&token.0)
            }
            Body::Access(AccessCommand::SignOut { token }) => {
                let own = self.sessions.get(&token.0).is_some_and(|session| session.user == caller.user.0);
                caller.session.is_some() && !own
            }
            _ => false,
        }
    }

    fn is_true_of_money(&self, body: &Body, moves: &[Moved], at: Timestamp, refusal: ledger::Refusal) -> bool {
        use ledger::Refusal as L;
        let held = named_hold(body).and_then(|hold| self.holds.get(&hold));
        let stage = named_payment(body).and_then(|of| self.payment(of)).map(|payment| payment.stage);
        let account = changed_account(body).and_then(|id| self.known(id));
        let closing = matches!(body, Body::Accounts(AccountCommand::SetStatus { status: Status::Closed, .. }));
        let any = |is: &dyn Fn(&Moved) -> bool| moves.iter().any(is);
        match refusal {
            L::InsufficientFunds { available } => self.first_shortage(body, moves) == Some(i128::from(available.minor)),
            L::CaptureExceedsHold { remaining } => held.is_some_and(|held| {
                held.remaining == i128::from(remaining.minor) && any(&|moved| moved.minor > held.remaining)
            }),
            L::RefundExceedsPayment { remaining } => {
                self.refundable(body) == Some(remaining.minor)
                    && any(&|moved| moved.minor > i128::from(remaining.minor))
            }
            L::HoldNotOpen => named_hold(body).is_some() && held.is_none(),
            L::HoldExpired => match body {
                Body::Holds(HoldCommand::PlaceHold { expires_at, .. }) => *expires_at <= at,
                Body::Holds(HoldCommand::Capture { .. }) | Body::Holds(HoldCommand::Extend { .. }) => {
                    held.is_some_and(|held| held.expires_at <= at)
                }
                _ => false,
            },
            L::HoldNotLonger => match body {
                Body::Holds(HoldCommand::Extend { expires_at, .. }) => {
                    held.is_some_and(|held| held.expires_at >= *expires_at)
                }
                _ => false,
            },
            L::HoldNotExpired => {
                matches!(body, Body::Holds(HoldCommand::Expire { .. })) && held.is_some_and(|held| held.expires_at > at)
            }
            L::NotUndoable => stage == Some(Stage::Undoing),
            L::AlreadyReversed => stage == Some(Stage::Reversed),
            L::AlreadyRefunded => {
                matches!(body, Body::Payments(PaymentCommand::Reverse { .. })) && stage == Some(Stage::Refunded)
            }
            L::NoSuchLeg => {
                matches!(body, Body::Payments(PaymentCommand::Refund { .. }))
                    && stage.is_some()
                    && self.refundable(body).is_none()
            }
            L::NoLegs => match body {
                Body::Payments(PaymentCommand::Pay(pay)) => pay.legs.is_empty(),
                Body::Payments(PaymentCommand::PayAll(payments)) => {
                    payments.is_empty() || payments.iter().any(|pay| pay.legs.is_empty())
                }
                _ => false,
            },
            L::TooManyLegs => match body {
                Body::Payments(PaymentCommand::Pay(pay)) => pay.legs.len() > 100,
                Body::Payments(PaymentCommand::PayAll(payments)) => payments.iter().any(|pay| pay.legs.len() > 100),
                _ => false,
            },
            L::AmountNotPositive => match body {
                Body::Access(AccessCommand::Grant { right: Right::Signatory { limit_minor: Some(limit) }, .. }) => {
                    *limit <= 0
                }
                _ => any(&|moved| moved.minor <= 0),
            },
            L::UnknownAccount => {
                let named = changed_account(body).into_iter().chain(desk_account(body));
                let mut named = named.chain(moves.iter().flat_map(|moved| [moved.debit, moved.credit]));
                named.any(|id| self.known(id).is_none())
            }
            L::SameAccount => any(&|moved| moved.debit == moved.credit),
            L::CurrencyMismatch => any(&|moved| {
                let other = |id| self.known(id).is_some_and(|account| account.currency != moved.currency);
                other(moved.debit) || other(moved.credit)
            }),
            L::AccountClosed => match body {
                Body::Accounts(AccountCommand::SetStatus { account, .. })
                | Body::Accounts(AccountCommand::SetOverdraft { account, .. }) => self.is(account.0, &CLOSED),
                _ => any(&|moved| self.is(moved.debit, &CLOSED) || self.is(moved.credit, &CLOSED)),
            },
            L::AccountFrozen => any(&|moved| self.is(moved.debit, &FROZEN) || self.is(moved.credit, &FROZEN[1..])),
            L::BookedBackwards => {
                let booked_at =
                    if let Body::Payments(PaymentCommand::Pay(pay)) = body { pay.booked_at.unwrap_or(at) } else { at };
                let later = |id| self.known(id).is_some_and(|account| account.last_booked_at > booked_at);
                any(&|moved| later(moved.debit) || later(moved.credit))
            }
            L::BalanceOutOfRange => self.is_out_of_range(body, moves),
            L::AccountNotEmpty => closing && account.is_some_and(|account| account.balance != 0),
            L::HoldsOpen => closing && account.is_some_and(|account| account.held != 0),
            L::OverdraftInUse => match (body, account) {
                (Body::Accounts(AccountCommand::SetOverdraft { overdraft, .. }), Some(account)) => {
                    limit(*overdraft).is_some_and(|limit| account.available() < -limit)
                }
                _ => false,
            },
        }
    }

    /// Returns what was available at the first leg that the payer can't cover.
    fn first_shortage(&self, body: &Body, moves: &[Moved]) -> Option<i128> {
        if matches!(body, Body::Holds(HoldCommand::Capture { .. })) {
            return None;
        }
        for (place, moved) in moves.iter().enumerate() {
            let payer = self.known(moved.debit)?;
            let available = payer.available() + change(moved.debit, &moves[..place]);
            if !payer.may_have(available - moved.minor) {
                return Some(available);
            }
        }
        None
    }

    /// Returns `true` if a balance would not fit in 64 bits.
    fn is_out_of_range(&self, body: &Body, moves: &[Moved]) -> bool {
        let fits = |minor: i128| i64::try_from(minor).is_ok();
        moves.iter().enumerate().any(|(place, moved)| {
            let (Some(payer), Some(payee)) = (self.known(moved.debit), self.known(moved.credit)) else { return false };
            let paid = change(moved.debit, &moves[..place]) - moved.minor;
            let got = change(moved.credit, &moves[..place]) + moved.minor;
            let hold = matches!(body, Body::Holds(HoldCommand::PlaceHold { .. }));
            let held = if hold { fits(payer.held + moved.minor) } else { fits(payee.balance + got) };
            !(fits(payer.available() + paid) && (hold || fits(payer.balance + paid)) && held)
        })
    }

    fn refundable(&self, body: &Body) -> Option<i64> {
        let Body::Payments(PaymentCommand::Refund { of, leg, .. }) = body else { return None };
        self.paid(of.event(), *leg).map(Paid::left)
    }

    fn is(&self, account: u32, any_of: &[Status]) -> bool {
        self.known(account).is_some_and(|account| any_of.contains(&account.status))
    }

    // ---- Do the books agree with the bank's? ----

    fn compare_with(&self, state: &State) -> Agreed {
        agree!(state.last_event() == self.events, "the bank has seen {} events", state.last_event());
        let theirs = state.ledger();
        agree!(theirs.accounts().len() == self.accounts.len(), "the bank has other accounts");
        let mut sums: Map<u16, i128> = Map::default();
        for ((id, account), own) in theirs.accounts().zip(&self.accounts) {
            let theirs = (i128::from(account.posted_minor), i128::from(account.held_minor), account.entries);
            let ours = (own.balance, own.held, own.entries);
            agree!(theirs == ours, "account {}: balance, held and entries are {theirs:?}, should be {ours:?}", id.0);
            agree!(account.status == own.status, "account {} is {:?}", id.0, account.status);
            agree!(limit(account.overdraft) == own.overdraft, "account {} may go to {:?}", id.0, account.overdraft);
            *sums.entry(own.currency).or_insert(0) += own.balance;
        }
        for (currency, sum) in sums {
            agree!(sum == 0, "currency {currency} sums to {sum}");
        }
        agree!(theirs.hold_pages().len() == self.holds.len(), "the bank has other holds open");
        for (id, hold) in theirs.holds() {
            let ours = self.holds.get(&id.event()).map(|held| held.remaining);
            let theirs = i128::from(hold.remaining_minor);
            agree!(ours == Some(theirs), "hold {} is of {theirs}, should be of {ours:?}", id.event());
            let ours = self.holds.get(&id.event()).map(|held| held.expires_at);
            agree!(ours == Some(hold.expires_at), "hold {} lasts until {:?}", id.event(), hold.expires_at);
        }
        agree!(state.session_count() == self.sessions.len(), "the bank has other sessions");
        theirs.check_laws().map_err(|law| breach!("a law is broken: {law}"))
    }
}

const FROZEN: [Status; 2] = [Status::FrozenForDebits, Status::Frozen];
const CLOSED: [Status; 1] = [Status::Closed];

/// Returns `true` if this is a posting of these moves and this cause.
fn posts(moves: &[Moved], cause: Option<Cause>, what: &What) -> bool {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = what else { return false };
    let moved = posting.legs().iter().map(|booked| Moved::of(&booked.leg));
    moved.eq(moves.iter().copied()) && cause == Some(posting.cause())
}

/// Returns the movements of a payment.
fn movement_of(pay: &Pay) -> Moves {
    pay.legs.iter().map(Moved::of).collect()
}

/// Returns `true` if a command answered by this event was asked for with these words.
fn answers(body: &Body, moves: &[Moved], what: &What) -> bool {
    match (body, what) {
        (
            Body::Payments(PaymentCommand::Book { reason, .. }),
            What::Payments(PaymentEvent::Posted { purpose, text, .. }),
        ) => (*purpose, text.as_ref()) == (Purpose::Booking, Some(reason)) && posts(moves, cause(body), what),
        (_, What::Payments(PaymentEvent::Posted { purpose, .. })) => {
            *purpose != Purpose::Booking && posts(moves, cause(body), what)
        }
        (
            Body::Holds(HoldCommand::PlaceHold { leg, expires_at, .. }),
            What::Holds(HoldEvent::HoldPlaced { hold, .. }),
        ) => {
            let Hold { debit, credit, amount, .. } = *hold;
            *leg == Leg { debit, credit, amount } && hold.expires_at == *expires_at
        }
        (
            Body::Holds(HoldCommand::Void { hold }),
            What::Holds(HoldEvent::HoldReleased { hold: released, reason: ReleaseReason::Voided }),
        )
        | (
            Body::Holds(HoldCommand::Expire { hold }),
            What::Holds(HoldEvent::HoldReleased { hold: released, reason: ReleaseReason::Expired }),
        ) => hold == released,
        (
            Body::Holds(HoldCommand::Extend { hold, expires_at }),
            What::Holds(HoldEvent::HoldExtended { hold: h, expires_at: e }),
        ) => (hold, expires_at) == (h, e),
        (
            Body::Accounts(AccountCommand::Rename { account, name }),
            What::Accounts(AccountEvent::AccountRenamed { account: a, name: n }),
        ) => (account, name) == (a, n),
        (
            Body::Accounts(AccountCommand::SetStatus { account, status }),
            What::Accounts(AccountEvent::StatusSet { account: a, status: s }),
        ) => (account, status) == (a, s),
        (
            Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }),
            What::Accounts(AccountEvent::OverdraftSet { account: a, overdraft: o }),
        ) => (account, overdraft) == (a, o),
        (
            Body::Accounts(AccountCommand::OpenAccount(open)),
            What::Accounts(AccountEvent::AccountOpened { currency, kind, overdraft, owner, cash, .. }),
        ) => {
            (open.currency, open.kind, open.overdraft, open.owner, open.cash)
                == (*currency, *kind, *overdraft, *owner, *cash)
        }
        (
            Body::Access(AccessCommand::Grant { customer, account, right }),
            What::Access(AccessEvent::RightGranted { customer: c, account: a, right: r }),
        ) => (customer, account, right) == (c, a, r),
        (
            Body::Access(AccessCommand::Revoke { customer, account }),
            What::Access(AccessEvent::RightRevoked { customer: c, account: a }),
        ) => (customer, account) == (c, a),
        (Body::Access(AccessCommand::SignOut { token }), What::Access(AccessEvent::SessionClosed { token: t })) => {
            token == t
        }
        (
            Body::Access(AccessCommand::AddUser { role, customer, .. }),
            What::Access(AccessEvent::UserAdded { role: r, customer: c, .. }),
        ) => (role, customer) == (r, c),
        (Body::System(SystemCommand::Found { .. }), What::System(SystemEvent::Founded { .. }))
        | (Body::Access(AccessCommand::AddCustomer { .. }), What::Access(AccessEvent::CustomerAdded { .. })) => true,
        _ => false,
    }
}

/// Returns `true` if something is not for such a caller, whatever the rights on accounts.
fn is_forbidden(who: Who, body: &Body) -> bool {
    match body {
        Body::System(SystemCommand::Unresolved(_)) => false,
        Body::System(SystemCommand::Found { .. })
        | Body::Access(AccessCommand::SetPassword { .. })
        | Body::Access(AccessCommand::SignIn { .. })
        | Body::Access(AccessCommand::SignInFailed { .. })
        | Body::Holds(HoldCommand::Expire { .. }) => who != Who::System,
        Body::Accounts(AccountCommand::OpenAccount(open)) if open.opened_at.is_some() => who != Who::System,
        Body::Access(AccessCommand::AddCustomer { .. })
        | Body::Access(AccessCommand::AddUser { .. })
        | Body::Accounts(AccountCommand::OpenAccount(_))
        | Body::Access(AccessCommand::Grant { .. })
        | Body::Access(AccessCommand::Revoke { .. })
        | Body::Accounts(AccountCommand::SetStatus { .. })
        | Body::Accounts(AccountCommand::SetOverdraft { .. })
        | Body::Payments(PaymentCommand::Deposit { .. })
        | Body::Payments(PaymentCommand::Withdraw { .. })
        | Body::Payments(PaymentCommand::Book { .. })
        | Body::Payments(PaymentCommand::Reverse { .. }) => matches!(who, Who::Auditor | Who::Customer(_)),
        Body::Payments(PaymentCommand::Pay(pay)) => {
            matches!(who, Who::Operator | Who::Auditor) || (!is_ordinary(pay) && who != Who::System)
        }
        Body::Payments(PaymentCommand::PayAll(payments)) => {
            matches!(who, Who::Operator | Who::Auditor) || payments.iter().any(|pay| !is_ordinary(pay))
        }
        Body::Holds(HoldCommand::PlaceHold { .. }) => matches!(who, Who::Operator | Who::Auditor),
        Body::Holds(HoldCommand::Capture { .. })
        | Body::Holds(HoldCommand::Void { .. })
        | Body::Holds(HoldCommand::Extend { .. })
        | Body::Payments(PaymentCommand::Refund { .. })
        | Body::Accounts(AccountCommand::Rename { .. }) => who == Who::Auditor,
        Body::Access(AccessCommand::SignOut { .. }) => false,
    }
}

/// Returns `true` if a payment is booked now, and for what payments are for.
fn is_ordinary(pay: &Pay) -> bool {
    pay.booked_at.is_none() && pay.value_date.is_none() && pay.purpose == Purpose::Payment
}

/// Sums what some moves change about one account.
fn change(account: u32, moves: &[Moved]) -> i128 {
    let changes = moves.iter().map(|moved| {
        i128::from(moved.credit == account) * moved.minor - i128::from(moved.debit == account) * moved.minor
    });
    changes.sum()
}

fn new_account(currency: Currency, kind: Kind, overdraft: Overdraft) -> Account {
    Account {
        currency: currency.numeric(),
        kind,
        balance: 0,
        held: 0,
        overdraft: limit(overdraft),
        status: Status::Open,
        entries: 0,
        last_posting: None,
        posting_before: None,
        last_booked_at: Timestamp(i64::MIN),
    }
}

fn limit(overdraft: Overdraft) -> Option<i128> {
    match overdraft {
        Overdraft::Limited(limit) => Some(i128::from(limit)),
        Overdraft::Unlimited => None,
    }
}

/// Returns the cause that a posting must have to answer a command.
fn cause(body: &Body) -> Option<Cause> {
    match body {
        Body::Payments(PaymentCommand::Pay(_))
        | Body::Payments(PaymentCommand::Deposit { .. })
        | Body::Payments(PaymentCommand::Withdraw { .. })
        | Body::Payments(PaymentCommand::Book { .. }) => Some(Cause::Order),
        Body::Holds(HoldCommand::Capture { hold, last, .. }) => Some(Cause::Capture { hold: *hold, last: *last }),
        Body::Payments(PaymentCommand::Refund { of, leg, .. }) => Some(Cause::Refund { of: *of, leg: *leg }),
        Body::Payments(PaymentCommand::Reverse { of, .. }) => Some(Cause::Reversal { of: *of }),
        _ => None,
    }
}

fn named_hold(body: &Body) -> Option<u64> {
    match body {
        Body::Holds(HoldCommand::Capture { hold, .. })
        | Body::Holds(HoldCommand::Void { hold })
        | Body::Holds(HoldCommand::Expire { hold })
        | Body::Holds(HoldCommand::Extend { hold, .. }) => Some(hold.event()),
        _ => None,
    }
}

fn named_payment(body: &Body) -> Option<u64> {
    match body {
        Body::Payments(PaymentCommand::Refund { of, .. }) | Body::Payments(PaymentCommand::Reverse { of, .. }) => {
            Some(of.event())
        }
        _ => None,
    }
}

fn named_customer(body: &Body) -> Option<u32> {
    match body {
        Body::Access(AccessCommand::Grant { customer, .. }) | Body::Access(AccessCommand::Revoke { customer, .. }) => {
            Some(customer.0)
        }
        Body::Accounts(AccountCommand::OpenAccount(open)) => open.owner.map(|owner| owner.0),
        Body::Access(AccessCommand::AddUser { customer, .. }) => customer.map(|customer| customer.0),
        _ => None,
    }
}

fn named_user(body: &Body) -> Option<u32> {
    match body {
        Body::Access(AccessCommand::SetPassword { user, .. })
        | Body::Access(AccessCommand::SignIn { user, .. })
        | Body::Access(AccessCommand::SignInFailed { user }) => Some(user.0),
        _ => None,
    }
}

/// The account that a command would change beside its balance.
fn changed_account(body: &Body) -> Option<u32> {
    match body {
        Body::Accounts(AccountCommand::SetStatus { account, .. })
        | Body::Accounts(AccountCommand::SetOverdraft { account, .. })
        | Body::Accounts(AccountCommand::Rename { account, .. })
        | Body::Access(AccessCommand::Grant { account, .. })
        | Body::Access(AccessCommand::Revoke { account, .. }) => Some(account.0),
        _ => None,
    }
}

/// The customer's account of cash at the desk.
fn desk_account(body: &Body) -> Option<u32> {
    match body {
        Body::Payments(PaymentCommand::Deposit { account, .. })
        | Body::Payments(PaymentCommand::Withdraw { account, .. }) => Some(account.0),
        _ => None,
    }
}
