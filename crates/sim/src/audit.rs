//! The auditor: keeps its own simple books from commands, answers and events, and says in words what doesn't agree.
//!
//! It shares no logic with `bank` or `ledger`: it reads their plain data and does its own sums, in 128 bits, in maps.
//! Three things are asked of each answer. Does it answer the question? Do its events fit the books? And if it was refused,
//! is the reason true? What is not looked for is not so: an event that no command names as its answer is none, and a reason
//! that a command gives no ground for is not true. The few reasons that are taken on trust say why.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Command, Decision, Event, HoldCommand,
    HoldEvent, Origin, Pay, PaymentCommand, PaymentEvent, Purpose, Refusal, Request, Right, Role, State, SystemCommand,
    SystemEvent, What,
};
use ledger::{
    Cause, Currency, Hold, HoldId, Kind, Ledger, Leg, Money, Overdraft, Posting, ReleaseReason, Status, Timestamp,
};
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
    /// Names that users have, as their blind indexes.
    names: Map<[u8; 16], u32>,
    sessions: Map<[u8; 16], Session>,
    rights: Map<(u32, u32), Right>,
    /// Number of customers with a right to move an account's money.
    movers: Map<u32, u32>,
    on_trust: BTreeMap<&'static str, &'static str>,
}

/// A refused command: from whom and when, and what it names and would move.
struct Asked<'a> {
    body: &'a Body,
    caller: &'a Caller,
    who: Who,
    at: Timestamp,
    moves: Moves,
    named: Named,
}

/// What a command names that there may not be, or may not be so.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    customer: Option<u32>,
    user: Option<u32>,
    /// The account that it would change beside its balance.
    changed: Option<u32>,
    /// The customer's account of cash at the desk.
    at_desk: Option<u32>,
    payment: Option<u64>,
    hold: Option<u64>,
    /// The limit of a right.
    limit_minor: Option<i64>,
}

/// Judgement of the reason that a refusal gives.
enum Judged {
    /// It is true, or isn't.
    Is(bool),
    /// It is taken on trust, because the books can't tell.
    OnTrust(&'static str),
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

    /// Returns the names of the refusals that were taken on trust so far, each with the reason why.
    #[must_use]
    pub fn on_trust(&self) -> &BTreeMap<&'static str, &'static str> {
        &self.on_trust
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
        agree!(self.is_answered(body, &moves, events), "the answer is not what was asked for");
        let mut request = observed.command.request;
        for event in events {
            self.was_said_by(event, &observed.command, request.take())?;
            self.book(event, observed.at)?;
        }
        Ok(())
    }

    fn refused(&mut self, observed: &Observed, refusal: Refusal, event: Option<&Event>) -> Agreed {
        match self.judge(observed, refusal) {
            Judged::Is(is_true) => agree!(is_true, "the refusal is not true: {refusal}"),
            Judged::OnTrust(why) => {
                self.on_trust.insert(refusal.slug(), why);
            }
        }
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

    /// Returns `true` if these events answer the command. An event is no answer unless its command says so.
    fn is_answered(&self, body: &Body, moves: &[Moved], events: &[Event]) -> bool {
        match body {
            Body::System(command) => is_system_answered(command, events),
            Body::Access(command) => self.is_access_answered(command, events),
            Body::Accounts(command) => is_account_answered(command, events),
            Body::Payments(command) => is_payment_answered(command, moves, events),
            Body::Holds(command) => is_hold_answered(command, moves, events),
        }
    }

    /// Returns the movement of money that a command would make; none where it moves nothing, or names what there is
    /// not.
    fn movement(&self, body: &Body) -> Option<Moves> {
        match body {
            Body::Payments(command) => self.payment_movement(command),
            Body::Holds(command) => self.hold_movement(command),
            Body::System(_) | Body::Access(_) | Body::Accounts(_) => None,
        }
    }

    /// All that speaks against a customer's doing something.
    fn objections(&self, customer: u32, body: &Body, moves: &[Moved]) -> Objections {
        match body {
            Body::System(command) => objections_to_system(command),
            Body::Access(command) => objections_to_access(command),
            Body::Accounts(command) => self.objections_to_account(customer, command),
            Body::Payments(command) => self.objections_to_payment(customer, command, moves),
            Body::Holds(command) => self.objections_to_hold(customer, command, moves),
        }
    }

    /// Enters an event in the books, if it fits.
    fn book(&mut self, event: &Event, at: Timestamp) -> Agreed {
        self.events += 1;
        self.payments.push(None);
        match &event.what {
            What::System(event) => self.book_system(event),
            What::Access(event) => self.book_access(event),
            What::Accounts(event) => self.book_account(event),
            What::Payments(event) => self.book_payment(event, at),
            What::Holds(event) => self.book_hold(event, at),
        }
    }

    // ---- Is the reason of a refusal true? ----

    fn judge(&self, observed: &Observed, refusal: Refusal) -> Judged {
        let (caller, body, at) = (&observed.command.caller, &observed.command.body, observed.at);
        let Ok(who) = self.who(caller, at) else { return Judged::Is(refusal == Refusal::NotSignedIn) };
        if is_unresolved(body, refusal) {
            return Judged::OnTrust("the name was looked up before there was a command");
        }
        let (moves, named) = (self.movement(body).unwrap_or_default(), named_by(body));
        let asked = Asked { body, caller, who, at, moves, named };
        Judged::Is(match refusal {
            Refusal::NotSignedIn => self.is_no_session(&asked),
            Refusal::NotAllowed => is_forbidden(who, body),
            // Told of a key that was used before, of which a first answer is none.
            Refusal::KeyReused => false,
            Refusal::AlreadyFounded => self.founded && is_founding(body),
            Refusal::NotFounded => !self.founded && !is_founding(body),
            Refusal::UnknownCustomer => named.customer.is_some_and(|id| id == 0 || id > self.customers),
            Refusal::UnknownUser => named.user.is_some_and(|id| self.user(id).is_none()),
            Refusal::UnknownPayment => named.payment.is_some_and(|of| self.payment(of).is_none()),
            Refusal::NameTaken => self.is_name_taken(body),
            Refusal::RoleAndCustomerDisagree => do_role_and_customer_disagree(body),
            Refusal::NumberTaken => return judge_number_taken(body),
            Refusal::CashAccountTaken => self.is_cash_account_taken(body),
            Refusal::NumbersExhausted => self.are_numbers_exhausted(body),
            Refusal::TooManyRights => self.are_rights_too_many(body),
            Refusal::NoCashAccount => self.has_no_cash_account(body),
            Refusal::NoRight => self.has_no_right(&asked),
            Refusal::ReadOnlyRight => self.is_objected(&asked, Objection::ReadOnly),
            Refusal::OwnersOnly => self.is_objected(&asked, Objection::NotOwner),
            Refusal::AboveSignatoryLimit { limit } => self.is_objected(&asked, Objection::AboveLimit(limit.minor)),
            Refusal::NotAPayee => self.is_objected(&asked, Objection::NotAPayee),
            Refusal::NotACustomersAccount => self.is_no_customers_account(body),
            Refusal::OverdraftWithoutLimit => self.has_no_limit(body),
            Refusal::BetweenCustomers | Refusal::NotIncomeOrExpense => self.objection_to_booking(body) == Some(refusal),
            Refusal::BookedAhead => booked_at(body).is_some_and(|booked_at| booked_at > at),
            Refusal::TooManyPayments => {
                matches!(body, Body::Payments(PaymentCommand::PayAll(payments)) if payments.len() > 1_000)
            }
            Refusal::CurrencyNotInUse => {
                matches!(body, Body::Accounts(AccountCommand::OpenAccount(open)) if !open.currency.is_in_use())
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
            Refusal::Ledger(refusal) => self.is_true_of_money(&asked, refusal),
        })
    }

    fn is_true_of_money(&self, asked: &Asked<'_>, refusal: ledger::Refusal) -> bool {
        use ledger::Refusal as L;
        let Asked { body, at, moves, named, .. } = asked;
        let held = named.hold.and_then(|hold| self.holds.get(&hold));
        let stage = named.payment.and_then(|of| self.payment(of)).map(|payment| payment.stage);
        let changed = named.changed.and_then(|id| self.known(id));
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
            L::HoldNotOpen => named.hold.is_some() && held.is_none(),
            L::HoldExpired => self.is_over(body, *at),
            L::HoldNotLonger => self.is_not_longer(body),
            L::HoldNotExpired => {
                matches!(body, Body::Holds(HoldCommand::Expire { .. }))
                    && held.is_some_and(|held| held.expires_at > *at)
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
            L::NoLegs => is_of_no_legs(body),
            L::TooManyLegs => is_of_too_many_legs(body),
            L::AmountNotPositive => named.limit_minor.is_some_and(|limit| limit <= 0) || any(&|moved| moved.minor <= 0),
            L::UnknownAccount => {
                let named = named.changed.into_iter().chain(named.at_desk);
                let mut named = named.chain(moves.iter().flat_map(|moved| [moved.debit, moved.credit]));
                named.any(|id| self.known(id).is_none())
            }
            L::SameAccount => any(&|moved| moved.debit == moved.credit),
            L::CurrencyMismatch => any(&|moved| {
                let other = |id| self.known(id).is_some_and(|account| account.currency != moved.currency);
                other(moved.debit) || other(moved.credit)
            }),
            L::AccountClosed => self.is_closed(body, moves),
            L::AccountFrozen => any(&|moved| self.is(moved.debit, &FROZEN) || self.is(moved.credit, &FROZEN[1..])),
            L::BookedBackwards => {
                let booked_at = booked_at(body).unwrap_or(*at);
                let later = |id| self.known(id).is_some_and(|account| account.last_booked_at > booked_at);
                any(&|moved| later(moved.debit) || later(moved.credit))
            }
            L::BalanceOutOfRange => self.is_out_of_range(body, moves),
            L::AccountNotEmpty => closing && changed.is_some_and(|account| account.balance != 0),
            L::HoldsOpen => closing && changed.is_some_and(|account| account.held != 0),
            L::OverdraftInUse => self.is_overdraft_in_use(body),
        }
    }

    /// Returns `true` if no customer, user, account or event can be numbered any more.
    fn are_numbers_exhausted(&self, body: &Body) -> bool {
        let full = |count: usize| u32::try_from(count).is_ok_and(|count| count == u32::MAX);
        match body {
            Body::Access(command) => match command {
                AccessCommand::AddCustomer { .. } => self.customers == u32::MAX,
                AccessCommand::AddUser { .. } => full(self.users.len()),
                AccessCommand::SetPassword { .. }
                | AccessCommand::SignIn { .. }
                | AccessCommand::SignOut { .. }
                | AccessCommand::SignInFailed { .. }
                | AccessCommand::Grant { .. }
                | AccessCommand::Revoke { .. } => false,
            },
            Body::Accounts(command) => match command {
                AccountCommand::OpenAccount(_) => full(self.accounts.len()),
                AccountCommand::Rename { .. }
                | AccountCommand::SetStatus { .. }
                | AccountCommand::SetOverdraft { .. } => false,
            },
            Body::System(_) | Body::Payments(_) | Body::Holds(_) => self.events >= u64::MAX - 1,
        }
    }

    // ---- Do the books agree with the bank's? ----

    fn compare_with(&self, state: &State) -> Agreed {
        agree!(state.last_event() == self.events, "the bank has seen {} events", state.last_event());
        self.compare_accounts(state.ledger())?;
        self.compare_holds(state.ledger())?;
        agree!(state.session_count() == self.sessions.len(), "the bank has other sessions");
        state.ledger().check_laws().map_err(|law| breach!("a law is broken: {law}"))
    }
}

/// Returns what a command names.
fn named_by(body: &Body) -> Named {
    match body {
        Body::System(command) => named_by_system(command),
        Body::Access(command) => named_by_access(command),
        Body::Accounts(command) => named_by_account(command),
        Body::Payments(command) => named_by_payment(command),
        Body::Holds(command) => named_by_hold(command),
    }
}

/// Returns `true` if something is not for such a caller, whatever the rights on accounts.
fn is_forbidden(who: Who, body: &Body) -> bool {
    match body {
        Body::System(command) => is_system_forbidden(who, command),
        Body::Access(command) => is_access_forbidden(who, command),
        Body::Accounts(command) => is_account_forbidden(who, command),
        Body::Payments(command) => is_payment_forbidden(who, command),
        Body::Holds(command) => is_hold_forbidden(who, command),
    }
}

/// Returns the event of an answer that has one.
fn only(events: &[Event]) -> Option<&What> {
    match events {
        [event] => Some(&event.what),
        [] | [_, _, ..] => None,
    }
}

// ==== The bank itself ====

impl Auditor {
    fn book_system(&mut self, event: &SystemEvent) -> Agreed {
        match event {
            SystemEvent::Founded { .. } => {
                agree!(!self.founded, "the bank was founded twice");
                self.founded = true;
                Ok(())
            }
            SystemEvent::LeaderStarted { .. } => Err(breach!("a program began in answer to a command")),
            // Its reason was judged before.
            SystemEvent::Refused { .. } => Ok(()),
        }
    }
}

fn is_system_forbidden(who: Who, command: &SystemCommand) -> bool {
    match command {
        SystemCommand::Found { .. } => who != Who::System,
        SystemCommand::Unresolved(_) => false,
    }
}

/// Nothing here depends on a customer's rights on accounts.
fn objections_to_system(command: &SystemCommand) -> Objections {
    match command {
        SystemCommand::Found { .. } | SystemCommand::Unresolved(_) => Objections::new(),
    }
}

fn is_system_answered(command: &SystemCommand, events: &[Event]) -> bool {
    match command {
        SystemCommand::Found { .. } => matches!(only(events), Some(What::System(SystemEvent::Founded { .. }))),
        // It can only be refused.
        SystemCommand::Unresolved(_) => false,
    }
}

fn named_by_system(command: &SystemCommand) -> Named {
    match command {
        SystemCommand::Found { .. } | SystemCommand::Unresolved(_) => Named::default(),
    }
}

fn is_founding(body: &Body) -> bool {
    matches!(body, Body::System(SystemCommand::Found { .. }))
}

/// Returns `true` if a request could not be made a command, for this reason.
fn is_unresolved(body: &Body, refusal: Refusal) -> bool {
    matches!(body, Body::System(SystemCommand::Unresolved(reason)) if *reason == refusal)
}

// ==== Customers, users, sessions and rights ====

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

impl Auditor {
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

    // ---- Does the answer answer the question? ----

    fn is_access_answered(&self, command: &AccessCommand, events: &[Event]) -> bool {
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

    fn book_access(&mut self, event: &AccessEvent) -> Agreed {
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

    // ---- Is the reason of a refusal true? ----

    fn is_objected(&self, asked: &Asked<'_>, objection: Objection) -> bool {
        match asked.who {
            Who::Customer(customer) => self.objections(customer, asked.body, &asked.moves).contains(&objection),
            Who::System | Who::Operator | Who::Auditor => false,
        }
    }

    /// A session can't begin that is over or known already, nor end that isn't one's own.
    fn is_no_session(&self, asked: &Asked<'_>) -> bool {
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

    fn is_name_taken(&self, body: &Body) -> bool {
        let Body::Access(AccessCommand::AddUser { name_index, .. }) = body else { return false };
        self.names.contains_key(&name_index.0)
    }

    /// There are 100 rights on an account at most, and a customer has 1,000.
    fn are_rights_too_many(&self, body: &Body) -> bool {
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
    fn has_no_right(&self, asked: &Asked<'_>) -> bool {
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
    fn is_no_customers_account(&self, body: &Body) -> bool {
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
    fn has_no_limit(&self, body: &Body) -> bool {
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

fn is_access_forbidden(who: Who, command: &AccessCommand) -> bool {
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
fn objections_to_access(command: &AccessCommand) -> Objections {
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

fn named_by_access(command: &AccessCommand) -> Named {
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

fn do_role_and_customer_disagree(body: &Body) -> bool {
    let Body::Access(AccessCommand::AddUser { role, customer, .. }) = body else { return false };
    match role {
        Role::Customer => customer.is_none(),
        Role::Operator | Role::Auditor => customer.is_some(),
    }
}

// ==== Accounts ====

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

const FROZEN: [Status; 2] = [Status::FrozenForDebits, Status::Frozen];
const CLOSED: [Status; 1] = [Status::Closed];

impl Account {
    fn available(&self) -> i128 {
        self.balance - self.held
    }

    fn may_have(&self, available: i128) -> bool {
        self.overdraft.is_none_or(|limit| available >= -limit)
    }
}

impl Auditor {
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

    fn is(&self, account: u32, any_of: &[Status]) -> bool {
        self.known(account).is_some_and(|account| any_of.contains(&account.status))
    }

    /// All that speaks against a customer's changing an account.
    fn objections_to_account(&self, customer: u32, command: &AccountCommand) -> Objections {
        match command {
            AccountCommand::Rename { account, .. } => match self.rights.get(&(customer, account.0)) {
                Some(Right::Owner) => Objections::new(),
                Some(Right::Signatory { .. } | Right::ReadOnly) => smallvec![Objection::NotOwner],
                None => smallvec![Objection::NoRight],
            },
            // Forbidden to them all.
            AccountCommand::OpenAccount(_) | AccountCommand::SetStatus { .. } | AccountCommand::SetOverdraft { .. } => {
                Objections::new()
            }
        }
    }

    // ---- Do the events fit the books? ----

    fn book_account(&mut self, event: &AccountEvent) -> Agreed {
        match event {
            AccountEvent::AccountOpened { id, currency, kind, overdraft, owner, cash, .. } => {
                let next = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
                agree!(id.0 == next, "account {} was opened, and {next} is the next", id.0);
                self.accounts.push(new_account(*currency, *kind, *overdraft));
                let taken = *cash && self.cash.insert(currency.numeric(), id.0).is_some();
                agree!(!taken, "{currency} has two cash accounts");
                owner.map_or(Ok(()), |owner| self.give_right(owner.0, id.0, Right::Owner))
            }
            AccountEvent::AccountRenamed { account, .. } => self.account_mut(account.0).map(|_| ()),
            AccountEvent::StatusSet { account, status } => self.book_status(account.0, *status),
            AccountEvent::OverdraftSet { account, overdraft } => {
                let has_a_limit = *overdraft != Overdraft::Unlimited || !self.is_a_customers(account.0);
                agree!(has_a_limit, "account {} is a customer's, and lost its limit", account.0);
                let account = self.account_mut(account.0)?;
                account.overdraft = limit(*overdraft);
                agree!(account.may_have(account.available()), "the overdraft was in use");
                agree!(account.status != Status::Closed, "a closed account was changed");
                Ok(())
            }
        }
    }

    fn book_status(&mut self, id: u32, status: Status) -> Agreed {
        let account = self.account_mut(id)?;
        agree!(account.status != Status::Closed, "account {id} was closed, and changed");
        let empty = account.balance == 0 && account.held == 0;
        agree!(status != Status::Closed || empty, "account {id} was closed with money in it");
        account.status = status;
        Ok(())
    }

    // ---- Is the reason of a refusal true? ----

    fn is_cash_account_taken(&self, body: &Body) -> bool {
        let Body::Accounts(AccountCommand::OpenAccount(open)) = body else { return false };
        open.cash && (open.kind != Kind::Asset || self.cash.contains_key(&open.currency.numeric()))
    }

    fn is_closed(&self, body: &Body, moves: &[Moved]) -> bool {
        match body {
            Body::Accounts(command) => match command {
                AccountCommand::SetStatus { account, .. } | AccountCommand::SetOverdraft { account, .. } => {
                    self.is(account.0, &CLOSED)
                }
                AccountCommand::OpenAccount(_) | AccountCommand::Rename { .. } => false,
            },
            Body::System(_) | Body::Access(_) | Body::Payments(_) | Body::Holds(_) => {
                moves.iter().any(|moved| self.is(moved.debit, &CLOSED) || self.is(moved.credit, &CLOSED))
            }
        }
    }

    fn is_overdraft_in_use(&self, body: &Body) -> bool {
        let Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }) = body else { return false };
        let Some(account) = self.known(account.0) else { return false };
        limit(*overdraft).is_some_and(|limit| account.available() < -limit)
    }

    // ---- Do the books agree with the bank's? ----

    fn compare_accounts(&self, theirs: &Ledger) -> Agreed {
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
        Ok(())
    }
}

fn is_account_forbidden(who: Who, command: &AccountCommand) -> bool {
    match command {
        AccountCommand::OpenAccount(open) if open.opened_at.is_some() => who != Who::System,
        AccountCommand::OpenAccount(_) | AccountCommand::SetStatus { .. } | AccountCommand::SetOverdraft { .. } => {
            matches!(who, Who::Auditor | Who::Customer(_))
        }
        AccountCommand::Rename { .. } => who == Who::Auditor,
    }
}

fn is_account_answered(command: &AccountCommand, events: &[Event]) -> bool {
    use AccountEvent as E;
    let Some(What::Accounts(event)) = only(events) else { return false };
    match command {
        AccountCommand::OpenAccount(open) => {
            let E::AccountOpened { currency, kind, overdraft, owner, cash, .. } = event else { return false };
            (open.currency, open.kind, open.overdraft, open.owner, open.cash)
                == (*currency, *kind, *overdraft, *owner, *cash)
        }
        AccountCommand::Rename { account, name } => {
            matches!(event, E::AccountRenamed { account: a, name: n } if (a, n) == (account, name))
        }
        AccountCommand::SetStatus { account, status } => {
            matches!(event, E::StatusSet { account: a, status: s } if (a, s) == (account, status))
        }
        AccountCommand::SetOverdraft { account, overdraft } => {
            matches!(event, E::OverdraftSet { account: a, overdraft: o } if (a, o) == (account, overdraft))
        }
    }
}

fn named_by_account(command: &AccountCommand) -> Named {
    match command {
        AccountCommand::OpenAccount(open) => Named { customer: open.owner.map(|owner| owner.0), ..Named::default() },
        AccountCommand::Rename { account, .. }
        | AccountCommand::SetStatus { account, .. }
        | AccountCommand::SetOverdraft { account, .. } => Named { changed: Some(account.0), ..Named::default() },
    }
}

fn judge_number_taken(body: &Body) -> Judged {
    match body {
        Body::Accounts(AccountCommand::OpenAccount(_)) => {
            Judged::OnTrust("the bank chooses numbers, and its country's scheme says which is the largest")
        }
        Body::System(_) | Body::Access(_) | Body::Accounts(_) | Body::Payments(_) | Body::Holds(_) => Judged::Is(false),
    }
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

// ==== Movements of money ====

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

impl Auditor {
    fn may_move(&self, debit: u32, credit: u32, currency: u16) -> Agreed {
        agree!(debit != credit, "account {debit} paid itself");
        let (payer, payee) = (self.account(debit)?, self.account(credit)?);
        agree!(payer.currency == currency && payee.currency == currency, "accounts of other currencies");
        agree!(payer.status == Status::Open, "account {debit} is {:?}, and paid", payer.status);
        let may_get = matches!(payee.status, Status::Open | Status::FrozenForDebits);
        agree!(may_get, "account {credit} is {:?}, and was paid", payee.status);
        Ok(())
    }

    /// All that speaks against a customer's moving this.
    fn objections_to_moves(&self, customer: u32, moves: &[Moved]) -> Objections {
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
}

/// Returns `true` if this is a posting of these moves and this cause.
fn posts(moves: &[Moved], cause: Cause, what: &What) -> bool {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = what else { return false };
    let moved = posting.legs().iter().map(|booked| Moved::of(&booked.leg));
    moved.eq(moves.iter().copied()) && cause == posting.cause()
}

/// Returns `true` if this is one posting of these moves and this cause, and not said to be the bank's own booking.
fn is_paid(moves: &[Moved], cause: Cause, events: &[Event]) -> bool {
    only(events).is_some_and(|what| {
        let own = matches!(what, What::Payments(PaymentEvent::Posted { purpose: Purpose::Booking, .. }));
        !own && posts(moves, cause, what)
    })
}

/// Sums what some moves change about one account.
fn change(account: u32, moves: &[Moved]) -> i128 {
    let changes = moves.iter().map(|moved| {
        i128::from(moved.credit == account) * moved.minor - i128::from(moved.debit == account) * moved.minor
    });
    changes.sum()
}

// ==== Payments ====

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

impl Paid {
    fn left(&self) -> i64 {
        self.minor - self.refunded
    }
}

impl Auditor {
    fn payment_movement(&self, command: &PaymentCommand) -> Option<Moves> {
        match command {
            PaymentCommand::Pay(pay) => Some(movement_of(pay)),
            PaymentCommand::PayAll(payments) => {
                Some(payments.iter().flat_map(|pay| &pay.legs).map(Moved::of).collect())
            }
            PaymentCommand::Deposit { account, amount, .. } => Some(smallvec![self.deposit(account.0, *amount)?]),
            PaymentCommand::Withdraw { account, amount, .. } => {
                Some(smallvec![self.deposit(account.0, *amount)?.back()])
            }
            PaymentCommand::Book { leg, .. } => Some(smallvec![Moved::of(leg)]),
            PaymentCommand::Refund { of, leg, amount, .. } => {
                let paid = self.paid(of.event(), *leg)?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(smallvec![Moved { debit: paid.credit, credit: paid.debit, minor, currency }])
            }
            PaymentCommand::Reverse { of, .. } => self.mirror(of.event()),
        }
    }

    /// Moves cash from the desk to an account.
    fn deposit(&self, account: u32, amount: Money) -> Option<Moved> {
        let currency = amount.currency.numeric();
        let debit = *self.cash.get(&currency)?;
        Some(Moved { debit, credit: account, minor: i128::from(amount.minor), currency })
    }

    /// Returns what undoes a payment.
    fn mirror(&self, of: u64) -> Option<Moves> {
        let first = self.payment(of)?.first;
        let further = self.further_legs.get(&of).map_or(&[][..], Vec::as_slice);
        let legs = std::iter::once(&first).chain(further).rev();
        legs.map(|paid| self.moved(paid).map(Moved::back)).collect()
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

    /// All that speaks against a customer's moving money.
    fn objections_to_payment(&self, customer: u32, command: &PaymentCommand, moves: &[Moved]) -> Objections {
        match command {
            PaymentCommand::Pay(_) | PaymentCommand::Refund { .. } => self.objections_to_moves(customer, moves),
            PaymentCommand::PayAll(payments) => {
                payments.iter().flat_map(|pay| self.objections_to_moves(customer, &movement_of(pay))).collect()
            }
            // Forbidden to them all.
            PaymentCommand::Deposit { .. }
            | PaymentCommand::Withdraw { .. }
            | PaymentCommand::Book { .. }
            | PaymentCommand::Reverse { .. } => Objections::new(),
        }
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
            (true | false, true | false) => None,
        }
    }

    // ---- Do the events fit the books? ----

    fn book_payment(&mut self, event: &PaymentEvent, at: Timestamp) -> Agreed {
        match event {
            PaymentEvent::Posted { posting, .. } => self.book_posting(posting, at),
            // The payments that it counts are events of their own.
            PaymentEvent::PaidAll { .. } => Ok(()),
        }
    }

    fn book_posting(&mut self, posting: &Posting, at: Timestamp) -> Agreed {
        let number = self.events;
        let moves: Moves = posting.legs().iter().map(|booked| Moved::of(&booked.leg)).collect();
        agree!(!moves.is_empty(), "a posting moved nothing");
        agree!(posting.booked_at() <= at, "a posting was booked ahead");
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
        agree!(self.mirror(of).as_deref() == Some(moves), "the reversal is not the payment's mirror");
        if let Some(payment) = self.payments[usize::try_from(of - 1).unwrap_or(usize::MAX)].as_mut() {
            payment.stage = Stage::Reversed;
        }
        Ok(())
    }

    // ---- Is the reason of a refusal true? ----

    fn has_no_cash_account(&self, body: &Body) -> bool {
        let Body::Payments(command) = body else { return false };
        match command {
            PaymentCommand::Deposit { amount, .. } | PaymentCommand::Withdraw { amount, .. } => {
                !self.cash.contains_key(&amount.currency.numeric())
            }
            PaymentCommand::Pay(_)
            | PaymentCommand::PayAll(_)
            | PaymentCommand::Book { .. }
            | PaymentCommand::Refund { .. }
            | PaymentCommand::Reverse { .. } => false,
        }
    }

    fn refundable(&self, body: &Body) -> Option<i64> {
        let Body::Payments(PaymentCommand::Refund { of, leg, .. }) = body else { return None };
        self.paid(of.event(), *leg).map(Paid::left)
    }
}

fn is_payment_forbidden(who: Who, command: &PaymentCommand) -> bool {
    match command {
        PaymentCommand::Pay(pay) => {
            matches!(who, Who::Operator | Who::Auditor) || (!is_ordinary(pay) && who != Who::System)
        }
        PaymentCommand::PayAll(payments) => {
            matches!(who, Who::Operator | Who::Auditor) || payments.iter().any(|pay| !is_ordinary(pay))
        }
        PaymentCommand::Deposit { .. }
        | PaymentCommand::Withdraw { .. }
        | PaymentCommand::Book { .. }
        | PaymentCommand::Reverse { .. } => matches!(who, Who::Auditor | Who::Customer(_)),
        PaymentCommand::Refund { .. } => who == Who::Auditor,
    }
}

fn is_payment_answered(command: &PaymentCommand, moves: &[Moved], events: &[Event]) -> bool {
    match command {
        PaymentCommand::Pay(_) | PaymentCommand::Deposit { .. } | PaymentCommand::Withdraw { .. } => {
            is_paid(moves, Cause::Order, events)
        }
        PaymentCommand::PayAll(asked) => {
            let [Event { what: What::Payments(PaymentEvent::PaidAll { payments }), .. }, made @ ..] = events else {
                return false;
            };
            let mut each = asked.iter().zip(made);
            asked.len() == made.len()
                && u32::try_from(made.len()) == Ok(*payments)
                && each.all(|(pay, event)| posts(&movement_of(pay), Cause::Order, &event.what))
        }
        PaymentCommand::Book { reason, .. } => only(events).is_some_and(|what| {
            let What::Payments(PaymentEvent::Posted { purpose, text, .. }) = what else { return false };
            (*purpose, text.as_ref()) == (Purpose::Booking, Some(reason)) && posts(moves, Cause::Order, what)
        }),
        PaymentCommand::Refund { of, leg, .. } => is_paid(moves, Cause::Refund { of: *of, leg: *leg }, events),
        PaymentCommand::Reverse { of, .. } => is_paid(moves, Cause::Reversal { of: *of }, events),
    }
}

fn named_by_payment(command: &PaymentCommand) -> Named {
    match command {
        PaymentCommand::Deposit { account, .. } | PaymentCommand::Withdraw { account, .. } => {
            Named { at_desk: Some(account.0), ..Named::default() }
        }
        PaymentCommand::Refund { of, .. } | PaymentCommand::Reverse { of, .. } => {
            Named { payment: Some(of.event()), ..Named::default() }
        }
        // Their accounts are those that they move money between.
        PaymentCommand::Pay(_) | PaymentCommand::PayAll(_) | PaymentCommand::Book { .. } => Named::default(),
    }
}

/// Returns the payments that a command orders.
fn orders(body: &Body) -> &[Pay] {
    let Body::Payments(command) = body else { return &[] };
    match command {
        PaymentCommand::Pay(pay) => std::slice::from_ref(pay),
        PaymentCommand::PayAll(payments) => payments,
        PaymentCommand::Deposit { .. }
        | PaymentCommand::Withdraw { .. }
        | PaymentCommand::Book { .. }
        | PaymentCommand::Refund { .. }
        | PaymentCommand::Reverse { .. } => &[],
    }
}

fn is_of_no_legs(body: &Body) -> bool {
    let none_at_all = matches!(body, Body::Payments(PaymentCommand::PayAll(payments)) if payments.is_empty());
    none_at_all || orders(body).iter().any(|pay| pay.legs.is_empty())
}

fn is_of_too_many_legs(body: &Body) -> bool {
    orders(body).iter().any(|pay| pay.legs.len() > 100)
}

/// Returns the booking time that a payment asks for.
fn booked_at(body: &Body) -> Option<Timestamp> {
    let Body::Payments(PaymentCommand::Pay(pay)) = body else { return None };
    pay.booked_at
}

/// Returns the movements of a payment.
fn movement_of(pay: &Pay) -> Moves {
    pay.legs.iter().map(Moved::of).collect()
}

/// Returns `true` if a payment is booked now, and for what payments are for.
fn is_ordinary(pay: &Pay) -> bool {
    pay.booked_at.is_none() && pay.value_date.is_none() && pay.purpose == Purpose::Payment
}

// ==== Holds ====

#[derive(Debug, Clone)]
struct Held {
    debit: u32,
    credit: u32,
    remaining: i128,
    expires_at: Timestamp,
}

impl Auditor {
    fn hold_movement(&self, command: &HoldCommand) -> Option<Moves> {
        match command {
            HoldCommand::PlaceHold { leg, .. } => Some(smallvec![Moved::of(leg)]),
            HoldCommand::Capture { hold, amount, .. } => {
                let held = self.holds.get(&hold.event())?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(smallvec![Moved { debit: held.debit, credit: held.credit, minor, currency }])
            }
            HoldCommand::Extend { .. } | HoldCommand::Void { .. } | HoldCommand::Expire { .. } => None,
        }
    }

    /// All that speaks against a customer's holding money, or having to do with what is held.
    fn objections_to_hold(&self, customer: u32, command: &HoldCommand, moves: &[Moved]) -> Objections {
        let objection = match command {
            HoldCommand::PlaceHold { .. } => return self.objections_to_moves(customer, moves),
            // The payer agreed to what is held; the payee takes it, or lets it go.
            HoldCommand::Capture { hold, .. } | HoldCommand::Void { hold } => {
                self.holds.get(&hold.event()).and_then(|held| self.objection_to(customer, held.credit, 0, 0))
            }
            // More time is the payer's to give, who can move what is still held.
            HoldCommand::Extend { hold, .. } => self.holds.get(&hold.event()).and_then(|held| {
                let currency = self.known(held.debit).map_or(0, |account| account.currency);
                self.objection_to(customer, held.debit, held.remaining, currency)
            }),
            // Forbidden to them all.
            HoldCommand::Expire { .. } => None,
        };
        objection.into_iter().collect()
    }

    // ---- Do the events fit the books? ----

    fn book_hold(&mut self, event: &HoldEvent, at: Timestamp) -> Agreed {
        match event {
            HoldEvent::HoldPlaced { hold, .. } => self.book_placed(hold, at),
            HoldEvent::HoldReleased { hold, reason } => self.book_release(hold.event(), *reason, at),
            HoldEvent::HoldExtended { hold, expires_at } => self.book_extension(hold.event(), *expires_at, at),
        }
    }

    fn book_placed(&mut self, hold: &Hold, at: Timestamp) -> Agreed {
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

    // ---- Is the reason of a refusal true? ----

    /// Returns `true` if a hold is over before it begins, or before something was asked of it.
    fn is_over(&self, body: &Body, at: Timestamp) -> bool {
        let Body::Holds(command) = body else { return false };
        match command {
            HoldCommand::PlaceHold { expires_at, .. } => *expires_at <= at,
            HoldCommand::Capture { hold, .. } | HoldCommand::Extend { hold, .. } => {
                self.holds.get(&hold.event()).is_some_and(|held| held.expires_at <= at)
            }
            HoldCommand::Void { .. } | HoldCommand::Expire { .. } => false,
        }
    }

    fn is_not_longer(&self, body: &Body) -> bool {
        let Body::Holds(HoldCommand::Extend { hold, expires_at }) = body else { return false };
        self.holds.get(&hold.event()).is_some_and(|held| held.expires_at >= *expires_at)
    }

    // ---- Do the books agree with the bank's? ----

    fn compare_holds(&self, theirs: &Ledger) -> Agreed {
        agree!(theirs.hold_pages().len() == self.holds.len(), "the bank has other holds open");
        for (id, hold) in theirs.holds() {
            let ours = self.holds.get(&id.event()).map(|held| held.remaining);
            let theirs = i128::from(hold.remaining_minor);
            agree!(ours == Some(theirs), "hold {} is of {theirs}, should be of {ours:?}", id.event());
            let ours = self.holds.get(&id.event()).map(|held| held.expires_at);
            agree!(ours == Some(hold.expires_at), "hold {} lasts until {:?}", id.event(), hold.expires_at);
        }
        Ok(())
    }
}

fn is_hold_forbidden(who: Who, command: &HoldCommand) -> bool {
    match command {
        HoldCommand::PlaceHold { .. } => matches!(who, Who::Operator | Who::Auditor),
        HoldCommand::Capture { .. } | HoldCommand::Void { .. } | HoldCommand::Extend { .. } => who == Who::Auditor,
        HoldCommand::Expire { .. } => who != Who::System,
    }
}

fn is_hold_answered(command: &HoldCommand, moves: &[Moved], events: &[Event]) -> bool {
    use HoldEvent as E;
    let one = |is: &dyn Fn(&E) -> bool| matches!(only(events), Some(What::Holds(event)) if is(event));
    let is_released = |hold: &HoldId, why: ReleaseReason| {
        one(&|event| matches!(event, E::HoldReleased { hold: h, reason } if (h, *reason) == (hold, why)))
    };
    match command {
        HoldCommand::PlaceHold { leg, expires_at, .. } => one(&|event| {
            let E::HoldPlaced { hold, .. } = event else { return false };
            let Hold { debit, credit, amount, .. } = *hold;
            *leg == Leg { debit, credit, amount } && hold.expires_at == *expires_at
        }),
        HoldCommand::Capture { hold, last, .. } => is_paid(moves, Cause::Capture { hold: *hold, last: *last }, events),
        HoldCommand::Void { hold } => is_released(hold, ReleaseReason::Voided),
        HoldCommand::Expire { hold } => is_released(hold, ReleaseReason::Expired),
        HoldCommand::Extend { hold, expires_at } => {
            one(&|event| matches!(event, E::HoldExtended { hold: h, expires_at: e } if (h, e) == (hold, expires_at)))
        }
    }
}

fn named_by_hold(command: &HoldCommand) -> Named {
    match command {
        HoldCommand::Capture { hold, .. }
        | HoldCommand::Void { hold }
        | HoldCommand::Expire { hold }
        | HoldCommand::Extend { hold, .. } => Named { hold: Some(hold.event()), ..Named::default() },
        // Its accounts are those that it moves money between.
        HoldCommand::PlaceHold { .. } => Named::default(),
    }
}
