//! The auditor: keeps its own simple books from commands, answers and events, and says in words what doesn't agree.
//!
//! It shares no logic with `bank` or `ledger`: it reads their plain data and does its own sums, in 128 bits, in maps.
//! Three things are asked of each answer. Does it answer the question? Do its events fit the books? And if it was refused,
//! is the reason true? What is not looked for is not so: an event that no command names as its answer is none, and a reason
//! that a command gives no ground for is not true. The few reasons that are taken on trust say why.
//!
//! Here is the frame: the books, each command with its answer, and which subject is asked about what. A file per
//! subject, named as in `bank`, says what it books of an event, what answers a command, who may not ask, and which
//! reasons are true; `moves` is of payments and holds alike. The books are one, so the files reach one another's through
//! the [`Auditor`].

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use bank::{
    AccessCommand, AccountCommand, Body, Caller, Command, Decision, Event, HoldCommand, Origin, PaymentCommand,
    Refusal, Request, Right, State, SystemEvent, What,
};
use ledger::{Status, Timestamp};

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

mod access;
mod accounts;
mod days;
mod holds;
mod moves;
mod payments;
mod system;

use access::{
    Objection, Objections, Session, Who, do_role_and_customer_disagree, is_access_forbidden, named_by_access,
    objections_to_access,
};
use accounts::{Account, FROZEN, is_account_answered, is_account_forbidden, judge_number_taken, named_by_account};
use days::Days;
use holds::{Held, is_hold_answered, is_hold_forbidden, named_by_hold};
use moves::{Moved, Moves};
use payments::{
    Paid, Payment, Stage, booked_at, is_of_no_legs, is_of_too_many_legs, is_payment_answered, is_payment_forbidden,
    named_by_payment,
};
use system::{
    is_founding, is_system_answered, is_system_forbidden, is_unknown_zone, is_unresolved, named_by_system,
    objections_to_system,
};

/// A map that is only looked up, never walked through in its own order.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// The auditor and its books.
#[derive(Debug, Clone, Default)]
pub struct Auditor {
    founded: bool,
    days: Days,
    events: u64,
    now: Option<Timestamp>,
    /// Number of digits of an account's number, where the founding says it.
    digits: Option<u8>,
    accounts: Vec<Account>,
    /// The account of each number.
    numbers: Map<u64, u32>,
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
        self.are_of_their_days(body, observed.at, events)?;
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
        // Of what comes by no known way, nothing is kept.
        let known = command.origin.channel.is_some();
        let said = event.origin.unwrap_or_default();
        let session = command.caller.session.filter(|_| known).map(|token| token.0[..4].to_vec());
        agree!(
            said.session.map(|tag| tag.0.get().to_be_bytes().to_vec()) == session,
            "the event is said to be of another session"
        );
        let rest = Origin { session: None, ..said };
        let expected = if known { command.origin } else { Origin::default() };
        agree!(rest == expected, "the event is said to come from elsewhere than its command");
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
            What::System(event) => self.book_system(event, at),
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
            Refusal::UnknownTimeZone => is_unknown_zone(body),
            Refusal::DayHasBegun => self.has_day_begun(body, at),
            Refusal::SameTimeZone => self.is_same_zone(body),
            Refusal::TooManyTimeZones => self.are_zones_too_many(body),
            Refusal::TooManyPayments => {
                matches!(body, Body::Payments(PaymentCommand::PayAll(payments)) if payments.len() > 1_000)
            }
            Refusal::CurrencyNotInUse => {
                matches!(body, Body::Accounts(AccountCommand::OpenAccount(open)) if !open.currency.is_in_use())
            }
            // Found out before there is a command.
            Refusal::UnknownHold
            | Refusal::HoldTooLong
            | Refusal::InvalidLine
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
        self.compare_numbers(state)?;
        self.compare_holds(state.ledger())?;
        let zones = state.time_zones().iter().map(|zone| (zone.from.0, zone.name.clone()));
        agree!(zones.eq(self.days.zones().iter().cloned()), "the bank has other time zones");
        self.compare_undone(state.ledger())?;
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
