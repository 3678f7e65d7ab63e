//! The simulation runs, comes to the same for the same seed however often it is restarted, and its auditor notices when
//! what it is told isn't what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use bank::{
    AccessCommand, AccountCommand, AccountEvent, Body, Caller, Channel, Command, CustomerId, Decision, Due, Event,
    HoldCommand, HoldEvent, NameIndex, Numbering, OpenAccount, Origin, Pay, PaymentCommand, PaymentEvent, Purpose,
    Refusal, Right, Role, Sealed, SessionTag, State, SubjectId, SystemCommand, SystemEvent, UserId, What,
};
use ledger::{
    Account, AccountId, BookedLeg, Cause, Entry, Hold, HoldId, Kind, Leg, Money, Overdraft, Posting, ReleaseReason,
    Timestamp,
};
use sim::{Auditor, Disagreement, Failure, Observed, Plan, Random, Restart, Simulation, Summary, Watched, run};

const SEEDS: u64 = 20;
const STEPS: u64 = 20_000;

fn checked(summary: Result<Summary, Failure>) -> Summary {
    summary.unwrap_or_else(|failure| panic!("{failure}"))
}

fn unrestarted(seed: u64, steps: u64) -> Plan {
    Plan { restarts: false, ..Plan::new(seed, steps) }
}

/// And everything that can happen does, so that agreement means something.
#[test]
fn bank_and_auditor_agree() {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        for (outcome, count) in checked(run(seed, STEPS)).outcomes {
            *outcomes.entry(outcome).or_insert(0) += count;
        }
    }
    for (outcome, at_least) in [
        ("posted", 50_000),
        ("captured", 5_000),
        ("refunded", 5_000),
        ("reversed", 1_000),
        ("hold placed", 10_000),
        ("hold voided", 1_000),
        ("hold expired", 1_000),
        ("status set", 1_000),
        ("overdraft set", 500),
        ("account opened", 500),
        ("right granted", 500),
        ("right revoked", 10),
        ("session opened", 1_000),
        ("session closed", 100),
        ("password set", 100),
        ("repeated", 10_000),
        ("refused insufficient-funds", 1_000),
        ("refused capture-exceeds-hold", 100),
        ("refused refund-exceeds-payment", 100),
        ("refused hold-not-open", 100),
        ("refused hold-expired", 100),
        ("refused hold-not-expired", 100),
        ("refused not-undoable", 100),
        ("refused already-reversed", 100),
        ("refused already-refunded", 100),
        ("refused account-frozen", 100),
        ("refused account-closed", 100),
        ("refused account-not-empty", 100),
        ("refused unknown-account", 100),
        ("refused unknown-user", 10),
        ("refused not-signed-in", 100),
        ("refused not-allowed", 100),
        ("refused no-right", 100),
        ("refused above-signatory-limit", 1_000),
        ("refused read-only-right", 1_000),
        ("refused not-a-payee", 1_000),
        ("refused between-customers", 50),
        ("refused not-income-or-expense", 1),
        ("refused amount-not-positive", 1_000),
        ("refused currency-mismatch", 1_000),
        ("refused no-such-leg", 100),
        ("refused overdraft-in-use", 10),
        ("refused not-a-customers-account", 100),
        ("refused overdraft-without-limit", 100),
        ("time zone set", 20),
        ("refused day-has-begun", 5),
        ("refused unknown-time-zone", 5),
        ("refused same-time-zone", 1),
    ] {
        let count = outcomes.get(outcome).copied().unwrap_or(0);
        assert!(count >= at_least, "{outcome}: {count} times only, of {outcomes:#?}");
    }
}

#[test]
fn the_same_seed_comes_to_the_same() {
    for seed in 0..3 {
        assert_eq!(run(seed, 5_000), run(seed, 5_000));
    }
    assert_ne!(checked(run(1, 5_000)).digest, checked(run(2, 5_000)).digest);
}

#[test]
fn restarts_change_nothing() {
    for seed in 0..4 {
        let expected = checked(unrestarted(seed, 4_000).run());
        assert_eq!(checked(run(seed, 4_000)), expected, "the run's own restarts");
        for times in [2_000, 300, 40] {
            let mut chance = Random::new(seed + times);
            let mut simulation = Simulation::new(unrestarted(seed, 4_000));
            for _ in 0..4_000 {
                simulation.step().unwrap();
                match chance.below(times) {
                    0 => simulation.restart(Restart::FromRecords).unwrap(),
                    1 => simulation.restart(Restart::FromJournal).unwrap(),
                    _ => {}
                }
            }
            assert_eq!(checked(simulation.finish()), expected, "a restart about every {times} steps");
        }
    }
}

// ---- The auditor is lied to ----

/// A way in which what an auditor is told can differ from what happened.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The event's amount is another.
    Amount,
    /// The event's amount and the command's are another, so that the answer still fits the question.
    AmountAndCommand,
    /// And the balances it tells fit, too.
    AmountCommandAndBalances,
    /// The answer has no event.
    NoEvent,
    /// The answer has its event twice.
    TwoEvents,
    /// The command is never seen.
    Unseen,
    /// The command is never seen, and the events after it are numbered as if it had not been.
    UnseenAndClosedUp,
    /// The command is seen twice.
    SeenTwice,
    /// An accepted command is told as refused for want of money.
    Refused,
    /// A refusal for want of money tells another balance.
    OtherBalance,
    /// The event is said to be of another session.
    OtherSession,
    /// The event is said to come from elsewhere than its command.
    Elsewhere,
    /// The answer's event is one that answers no command.
    NoAnswer,
}

const FAULTS: [Fault; 13] = [
    Fault::Amount,
    Fault::AmountAndCommand,
    Fault::AmountCommandAndBalances,
    Fault::NoEvent,
    Fault::TwoEvents,
    Fault::Unseen,
    Fault::UnseenAndClosedUp,
    Fault::SeenTwice,
    Fault::Refused,
    Fault::OtherBalance,
    Fault::OtherSession,
    Fault::Elsewhere,
    Fault::NoAnswer,
];

impl Fault {
    /// Returns the rule that is broken, where it can be but one.
    fn rule(self) -> Option<&'static str> {
        match self {
            Self::NoEvent | Self::TwoEvents | Self::Amount | Self::NoAnswer => {
                Some("the answer is not what was asked for")
            }
            Self::OtherSession => Some("the event is said to be of another session"),
            Self::Elsewhere => Some("the event is said to come from elsewhere than its command"),
            Self::AmountAndCommand
            | Self::AmountCommandAndBalances
            | Self::Unseen
            | Self::UnseenAndClosedUp
            | Self::SeenTwice
            | Self::Refused
            | Self::OtherBalance => None,
        }
    }
}

/// The one posting of a payment, deposit or withdrawal.
fn posting_of(observed: &Observed) -> Option<&Posting> {
    let cash_or_pay = matches!(
        observed.command.body,
        Body::Payments(PaymentCommand::Pay(_))
            | Body::Payments(PaymentCommand::Deposit { .. })
            | Body::Payments(PaymentCommand::Withdraw { .. })
    );
    match observed.events() {
        [Event { what: What::Payments(PaymentEvent::Posted { posting, .. }), .. }] if cash_or_pay => Some(posting),
        _ => None,
    }
}

fn is_shortage(observed: &Observed) -> bool {
    let Decision::Refused(refusal, _) = &observed.decision else { return false };
    refusal.slug() == "insufficient-funds"
}

fn with_events(observed: &Observed, events: Vec<Event>) -> Observed {
    Observed { decision: Decision::Accepted(events.into()), ..observed.clone() }
}

/// The same answer with a cent more in the first leg of its posting.
fn with_another_amount(observed: &Observed, balances_fit: bool) -> Observed {
    let mut event = observed.events()[0].clone();
    let What::Payments(PaymentEvent::Posted { posting, .. }) = &mut event.what else { panic!("not a posting") };
    let mut legs: Vec<BookedLeg> = posting.legs().to_vec();
    legs[0].leg.amount.minor += 1;
    if balances_fit {
        let (debit, credit) = (legs[0].leg.debit, legs[0].leg.credit);
        for booked in &mut legs {
            for (id, entry) in [(booked.leg.debit, &mut booked.debit), (booked.leg.credit, &mut booked.credit)] {
                entry.balance_minor += i64::from(id == credit) - i64::from(id == debit);
            }
        }
    }
    *posting = Posting::recorded(legs.into(), posting.booked_at(), posting.value_date(), posting.cause());
    with_events(observed, vec![event])
}

fn with_another_command(observed: &Observed) -> Observed {
    let mut changed = observed.clone();
    match &mut changed.command.body {
        Body::Payments(PaymentCommand::Pay(pay)) => pay.legs[0].amount.minor += 1,
        Body::Payments(PaymentCommand::Deposit { amount, .. })
        | Body::Payments(PaymentCommand::Withdraw { amount, .. }) => amount.minor += 1,
        _ => panic!("not a payment"),
    }
    changed
}

fn with_another_origin(observed: &Observed, change: impl FnOnce(&mut Origin)) -> Observed {
    let mut event = observed.events()[0].clone();
    let mut origin = event.origin.unwrap_or_default();
    change(&mut origin);
    event.origin = Some(origin);
    with_events(observed, vec![event])
}

/// A start of the program as the answer.
fn with_no_answer(observed: &Observed) -> Observed {
    let what = What::System(SystemEvent::LeaderStarted { version: "0.1.0".to_owned() });
    with_events(observed, vec![Event { what, ..observed.events()[0].clone() }])
}

fn with_another_balance(observed: &Observed) -> Observed {
    let Decision::Refused(refusal, event) = &observed.decision else { panic!("not a refusal") };
    let mut amount = refusal.amount().unwrap();
    amount.minor -= 1;
    let refusal = Refusal::from_slug(refusal.slug(), Some(amount)).unwrap();
    let event =
        event.clone().map(|event| Event { what: What::System(SystemEvent::Refused { refusal, place: None }), ..event });
    Observed { decision: Decision::Refused(refusal, event), ..observed.clone() }
}

fn refused(observed: &Observed) -> Observed {
    let available = posting_of(observed).unwrap().legs()[0].leg.amount;
    let refusal = ledger::Refusal::InsufficientFunds { available }.into();
    let event = observed.events()[0].clone();
    let event = observed
        .command
        .request
        .map(|_| Event { what: What::System(SystemEvent::Refused { refusal, place: None }), ..event });
    Observed { decision: Decision::Refused(refusal, event), ..observed.clone() }
}

/// The history as it is told with a fault at `place`.
fn told(history: &[Observed], place: usize, fault: Fault) -> Vec<Observed> {
    let mut told = history.to_vec();
    let true_one = &history[place];
    match fault {
        Fault::Amount => told[place] = with_another_amount(true_one, false),
        Fault::AmountAndCommand => told[place] = with_another_command(&with_another_amount(true_one, false)),
        Fault::AmountCommandAndBalances => told[place] = with_another_command(&with_another_amount(true_one, true)),
        Fault::NoEvent => told[place] = with_events(true_one, vec![]),
        Fault::TwoEvents => told[place] = with_events(true_one, [true_one.events(), true_one.events()].concat()),
        Fault::Unseen => {
            told.remove(place);
        }
        Fault::UnseenAndClosedUp => {
            told.remove(place);
            told[place..].iter_mut().for_each(|observed| observed.first_event -= 1);
        }
        Fault::SeenTwice => told.insert(place, true_one.clone()),
        Fault::Refused => told[place] = refused(true_one),
        Fault::OtherBalance => told[place] = with_another_balance(true_one),
        Fault::OtherSession => {
            told[place] = with_another_origin(true_one, |origin| {
                // One session for another, one that there was not, or none.
                origin.session = match origin.session {
                    Some(SessionTag(tag)) if place.is_multiple_of(2) => {
                        Some(SessionTag(tag | 1)).filter(|other| other.0 != tag)
                    }
                    Some(_) => None,
                    None => Some(SessionTag(NonZeroU32::MIN)),
                };
            });
        }
        Fault::Elsewhere => {
            told[place] = with_another_origin(true_one, |origin| {
                origin.channel = if origin.channel == Some(Channel::Api) { None } else { Some(Channel::Api) };
            });
        }
        Fault::NoAnswer => told[place] = with_no_answer(true_one),
    }
    told
}

#[test]
fn the_auditor_notices_what_is_not_so() {
    for seed in 0..6 {
        let mut simulation = Simulation::new(unrestarted(seed, 1_500));
        let history: Vec<Observed> = (0..1_500).map(|_| simulation.step().unwrap()).collect();
        assert_eq!(audit(&history), Ok(()), "nothing is made up where all is true");
        let postings: Vec<usize> = (0..1_000).filter(|place| posting_of(&history[*place]).is_some()).collect();
        let shortages: Vec<usize> = (0..1_000).filter(|place| is_shortage(&history[*place])).collect();
        let mut chance = Random::new(seed);
        for fault in FAULTS {
            for _ in 0..8 {
                let places = if matches!(fault, Fault::OtherBalance) { &shortages } else { &postings };
                let place = chance.pick(places).unwrap();
                let Err(noticed) = audit(&told(&history, place, fault)) else {
                    panic!("seed {seed}: {fault:?} at {place} went unnoticed: {:?}", history[place]);
                };
                assert!(fault.rule().is_none_or(|rule| noticed.rule == rule), "{fault:?}: {noticed}");
            }
        }
    }
}

/// Kassa itself lets a hold go when its time has come, and no earlier.
#[test]
fn the_auditor_notices_a_hold_that_is_let_go_too_early() {
    let mut tried = 0;
    let mut simulation = Simulation::new(unrestarted(1, 2_000));
    let mut auditor = Auditor::default();
    for _ in 0..2_000 {
        let observed = simulation.step().unwrap();
        auditor.observe(&observed).unwrap();
        let [Event { what: What::Holds(HoldEvent::HoldPlaced { hold, .. }), .. }] = observed.events() else { continue };
        let id = HoldId::new(observed.first_event).unwrap();
        let let_go = |at: Timestamp, told: i64| {
            let (reason, released_minor) = (ReleaseReason::Expired, Some(told));
            let what = What::Holds(HoldEvent::HoldReleased { hold: id, reason, released_minor });
            let event = Event { by: UserId::SYSTEM, what, request: None, origin: None };
            let (command, decision) = (Due::Hold(id).command(), Decision::Accepted([event].into()));
            auditor.clone().observe(&Observed { at, command, decision, first_event: observed.first_event + 1 })
        };
        let early = let_go(hold.expires_at.plus_ms(-1), hold.amount.minor).unwrap_err();
        assert!(early.rule.ends_with("expired before its time"), "{early}");
        assert_eq!(let_go(hold.expires_at, hold.amount.minor), Ok(()));
        let other = let_go(hold.expires_at, hold.amount.minor - 1).unwrap_err();
        assert!(other.rule.contains("is told to let"), "{other}");
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

/// A password is lost because somebody else may know it: whoever is signed in by then must not stay.
#[test]
fn the_auditor_notices_a_session_that_outlives_its_password() {
    let mut tried = 0;
    for seed in 0..6 {
        let mut simulation = Simulation::new(unrestarted(seed, 4_000));
        let history: Vec<Observed> = (0..4_000).map(|_| simulation.step().unwrap()).collect();
        let ends_sessions = |observed: &Observed| {
            matches!(observed.command.body, Body::Access(AccessCommand::SetPassword { .. }))
                && observed.events().len() > 1
        };
        let Some(place) = history.iter().position(ends_sessions) else { continue };
        let events = history[place].events();
        for events in [events[..events.len() - 1].to_vec(), [&events[..1], &events[2..], &events[1..2]].concat()] {
            let mut told = history[..=place].to_vec();
            let whole = events.len() == history[place].events().len();
            told[place] = with_events(&history[place], events);
            assert_eq!(audit(&told).is_ok(), whole, "{:?}", told[place]);
        }
        tried += 1;
    }
    assert!(tried > 2, "{tried}");
}

/// Reasons that the auditor takes on trust.
const TAKEN_ON_TRUST: [&str; 1] = ["number-taken"];

/// Whatever was done could have been refused for no reason at all: each is told as the answer, and none is believed that
/// can be judged.
#[test]
fn the_auditor_believes_no_refusal_of_what_was_right() {
    let amount = Money { minor: 1, currency: ledger::Currency::from_code("EUR").unwrap() };
    let refusals: Vec<Refusal> =
        Refusal::names().map(|(slug, _)| Refusal::from_slug(slug, Some(amount)).unwrap()).collect();
    let mut simulation = Simulation::new(unrestarted(3, 2_000));
    let mut auditor = Auditor::default();
    let mut on_trust = BTreeSet::new();
    for _ in 0..2_000 {
        let observed = simulation.step().unwrap();
        if let Decision::Accepted(events) = &observed.decision
            && let Some(event) = events.first()
        {
            for refusal in &refusals {
                let event = Event {
                    what: What::System(SystemEvent::Refused { refusal: *refusal, place: None }),
                    ..event.clone()
                };
                let event = observed.command.request.map(|_| event).filter(|_| *refusal != Refusal::NotSignedIn);
                let told = Observed { decision: Decision::Refused(*refusal, event), ..observed.clone() };
                let mut auditor = auditor.clone();
                if auditor.observe(&told).is_ok() {
                    let why = auditor.on_trust().get(refusal.slug());
                    assert!(why.is_some(), "{refusal:?} was believed of {:?}", observed.command);
                    on_trust.insert(refusal.slug());
                }
            }
        }
        auditor.observe(&observed).unwrap();
    }
    assert!(on_trust.iter().eq(&TAKEN_ON_TRUST), "{on_trust:?}");
    assert!(auditor.on_trust().keys().all(|slug| TAKEN_ON_TRUST.contains(slug)), "{:?}", auditor.on_trust());
}

/// Reasons that no seed brings about: the bank gives each, and the auditor judges it to be true.
#[test]
fn the_auditor_agrees_to_reasons_that_are_seldom_had() {
    let euro = ledger::Currency::from_code("EUR").unwrap();
    let sealed = || Sealed { subject: SubjectId(1), bytes: [1].into(), category: None };
    let mut bank = Watched::new(bank::decide);
    let mut ask = |body: Body| {
        let command = Command { caller: Caller::SYSTEM, origin: Origin::default(), request: None, body };
        match bank.ask(Timestamp(1), command).unwrap_or_else(|fault| panic!("{fault:?}")).decision {
            Decision::Refused(refusal, _) => Some(refusal.slug()),
            Decision::Accepted(_) | Decision::Repeated(_) => None,
        }
    };
    let user = |name: u8, role, customer: Option<u32>| {
        Body::Access(AccessCommand::AddUser {
            name_index: NameIndex([name; 16]),
            name: sealed(),
            password: sealed(),
            role,
            customer: customer.map(CustomerId),
        })
    };
    let account = |kind, cash, owner: Option<u32>| {
        Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
            number: None,
            currency: euro,
            kind,
            overdraft: Overdraft::Limited(0),
            name: None,
            owner: owner.map(CustomerId),
            cash,
            opened_at: None,
        }))
    };
    let right = |customer, account| {
        let (customer, account) = (CustomerId(customer), AccountId(account));
        Body::Access(AccessCommand::Grant { customer, account, right: Right::ReadOnly })
    };

    let numbering = Numbering::new("AT", "99999").unwrap();
    assert_eq!(ask(Body::System(SystemCommand::Found { name: "Rare".to_owned(), numbering, time_zone: None })), None);
    for _ in 0..102 {
        assert_eq!(ask(Body::Access(AccessCommand::AddCustomer { name: sealed() })), None);
    }
    assert_eq!(ask(user(1, Role::Operator, None)), None);
    assert_eq!(ask(user(1, Role::Auditor, None)), Some("name-taken"));
    assert_eq!(ask(user(2, Role::Customer, None)), Some("role-and-customer-disagree"));
    assert_eq!(ask(user(2, Role::Operator, Some(1))), Some("role-and-customer-disagree"));

    assert_eq!(ask(account(Kind::Liability, true, None)), Some("cash-account-taken"));
    assert_eq!(ask(account(Kind::Asset, true, None)), None);
    assert_eq!(ask(account(Kind::Asset, true, None)), Some("cash-account-taken"));

    for _ in 0..1_000 {
        assert_eq!(ask(account(Kind::Liability, false, Some(1))), None);
    }
    assert_eq!(ask(account(Kind::Liability, false, Some(1))), Some("too-many-rights"));
    assert_eq!(ask(right(1, 0)), Some("too-many-rights"));
    assert_eq!(ask(right(1, 1)), None, "another in place of the one there was");
    for customer in 2..=100 {
        assert_eq!(ask(right(customer, 1)), None);
    }
    assert_eq!(ask(right(101, 1)), Some("too-many-rights"));
    assert_eq!(ask(right(100, 1)), None, "another in place of the one there was");

    let leg = Leg { debit: AccountId(1), credit: AccountId(2), amount: Money { minor: 1, currency: euro } };
    let ahead = Pay {
        legs: [leg].into(),
        purpose: Purpose::Payment,
        text: None,
        metadata: None,
        value_date: None,
        booked_at: Some(Timestamp(2)),
        end_to_end_id: None,
        copies: None,
    };
    assert_eq!(ask(Body::Payments(PaymentCommand::Pay(ahead))), Some("booked-ahead"));
    let unresolved = Body::System(SystemCommand::Unresolved(ledger::Refusal::UnknownAccount.into()));
    assert_eq!(ask(unresolved), Some("unknown-account"));
}

/// A customer's account that loses its limit, and a right on what can't be a customer's: neither is agreed to.
#[test]
fn the_auditor_agrees_to_no_credit_without_end() {
    let mut simulation = Simulation::new(unrestarted(5, 4_000));
    let mut auditor = Auditor::default();
    let (mut overdrafts, mut opened) = (0, 0);
    for _ in 0..4_000 {
        let observed = simulation.step().unwrap();
        let (mut told, unlimited) = (observed.clone(), Overdraft::Unlimited);
        let changed = match (&mut told.command.body, &mut told.decision) {
            (Body::Accounts(AccountCommand::SetOverdraft { overdraft, account }), Decision::Accepted(events))
                if account.0 > 3 =>
            {
                *overdraft = unlimited;
                events[0].what = What::Accounts(AccountEvent::OverdraftSet { account: *account, overdraft: unlimited });
                overdrafts += 1;
                simulation.state().is_a_customers(*account)
            }
            (Body::Accounts(AccountCommand::OpenAccount(open)), Decision::Accepted(events)) if open.owner.is_some() => {
                open.overdraft = unlimited;
                if let What::Accounts(AccountEvent::AccountOpened { overdraft, .. }) = &mut events[0].what {
                    *overdraft = unlimited;
                }
                opened += 1;
                true
            }
            _ => false,
        };
        assert!(!changed || auditor.clone().observe(&told).is_err(), "{told:?} was agreed to");
        auditor.observe(&observed).unwrap();
    }
    assert!(overdrafts > 5 && opened > 5, "{overdrafts} {opened}");
}

/// The legs that a command asks for, and what for.
fn asked(body: &Body, state: &State, postings: &BTreeMap<u64, Posting>) -> Option<(Vec<Leg>, Cause)> {
    let at_the_desk = |account: AccountId, amount: Money| {
        state.cash_account(amount.currency).map(|debit| Leg { debit, credit: account, amount })
    };
    Some(match body {
        Body::Payments(PaymentCommand::Pay(pay)) => (pay.legs.to_vec(), Cause::Order),
        Body::Payments(PaymentCommand::Book { leg, .. }) => (vec![*leg], Cause::Order),
        Body::Payments(PaymentCommand::Deposit { account, amount, .. }) => {
            (vec![at_the_desk(*account, *amount)?], Cause::Order)
        }
        Body::Payments(PaymentCommand::Withdraw { account, amount, .. }) => {
            (vec![at_the_desk(*account, *amount)?.reversed()], Cause::Order)
        }
        Body::Holds(HoldCommand::Capture { hold, amount, last }) => {
            let held = state.ledger().hold(*hold)?;
            let leg = Leg { debit: held.debit, credit: held.credit, amount: *amount };
            (vec![leg], Cause::Capture { hold: *hold, last: *last })
        }
        Body::Payments(PaymentCommand::Refund { of, leg, amount, .. }) => {
            let paid = postings.get(&of.event())?.legs().get(usize::try_from(*leg).unwrap())?.leg;
            (vec![Leg { amount: *amount, ..paid.reversed() }], Cause::Refund { of: *of, leg: *leg })
        }
        Body::Payments(PaymentCommand::Reverse { of, .. }) => {
            let legs = postings.get(&of.event())?.legs().iter().rev().map(|booked| booked.leg.reversed());
            (legs.collect(), Cause::Reversal { of: *of })
        }
        _ => return None,
    })
}

/// A posting of legs as a ledger books them that looks at nothing.
fn booked(legs: &[Leg], cause: Cause, at: Timestamp, state: &State) -> Option<Posting> {
    let mut accounts: BTreeMap<AccountId, Account> = BTreeMap::new();
    let mut entry = |id: AccountId, change: i64| {
        let account = accounts.entry(id).or_insert(*state.ledger().account(id)?);
        account.posted_minor = account.posted_minor.wrapping_add(change);
        account.entries += 1;
        Some(Entry { balance_minor: account.posted_minor, ordinal: account.entries, previous: account.last_posting })
    };
    let mut booked = Vec::new();
    for leg in legs {
        let (debit, credit) =
            (entry(leg.debit, leg.amount.minor.wrapping_neg())?, entry(leg.credit, leg.amount.minor)?);
        booked.push(BookedLeg { leg: *leg, debit, credit });
    }
    let today = engine::Calendar::new(state.time_zones()).expect("known").day_of(at);
    Some(Posting::recorded(booked.into(), at, today, cause))
}

/// What would have happened had a refused command been carried out; none for commands that move or change no money.
fn carried_out(observed: &Observed, state: &State, postings: &BTreeMap<u64, Posting>) -> Option<What> {
    let body = &observed.command.body;
    Some(match body {
        Body::Holds(HoldCommand::PlaceHold { leg: Leg { debit, credit, amount }, expires_at, .. }) => {
            let (debit, credit, amount) = (*debit, *credit, *amount);
            let hold = Hold { debit, credit, amount, remaining_minor: amount.minor, expires_at: *expires_at };
            What::Holds(HoldEvent::HoldPlaced { hold, text: None, metadata: None, copies: None })
        }
        Body::Holds(HoldCommand::Void { hold }) => {
            let released_minor = state.ledger().hold(*hold).map(|held| held.remaining_minor);
            What::Holds(HoldEvent::HoldReleased { hold: *hold, reason: ReleaseReason::Voided, released_minor })
        }
        Body::Holds(HoldCommand::Expire { hold }) => {
            let released_minor = state.ledger().hold(*hold).map(|held| held.remaining_minor);
            What::Holds(HoldEvent::HoldReleased { hold: *hold, reason: ReleaseReason::Expired, released_minor })
        }
        Body::Holds(HoldCommand::Extend { hold, expires_at }) => {
            What::Holds(HoldEvent::HoldExtended { hold: *hold, expires_at: *expires_at })
        }
        Body::Accounts(AccountCommand::Rename { account, name }) => {
            What::Accounts(AccountEvent::AccountRenamed { account: *account, name: name.clone() })
        }
        Body::Accounts(AccountCommand::SetStatus { account, status }) => {
            What::Accounts(AccountEvent::StatusSet { account: *account, status: *status })
        }
        Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }) => {
            What::Accounts(AccountEvent::OverdraftSet { account: *account, overdraft: *overdraft })
        }
        _ => {
            let (legs, cause) = asked(body, state, postings)?;
            let posting = booked(&legs, cause, observed.at, state)?;
            let (purpose, text) = match body {
                Body::Payments(PaymentCommand::Book { reason, .. }) => {
                    (Purpose::Booking, Some(Box::new(reason.own.clone())))
                }
                _ => (Purpose::Payment, None),
            };
            let released_minor = match body {
                Body::Holds(HoldCommand::Capture { hold, amount, last: true }) => {
                    state.ledger().hold(*hold).map(|held| Box::new(held.remaining_minor.wrapping_sub(amount.minor)))
                }
                _ => None,
            };
            let (metadata, end_to_end_id, copies) = (None, None, None);
            What::Payments(PaymentEvent::Posted {
                posting,
                purpose,
                text,
                metadata,
                end_to_end_id,
                copies,
                released_minor,
            })
        }
    })
}

/// Whatever was rightly refused is told as done, with all balances as they would be, and is not believed.
#[test]
fn the_auditor_believes_nothing_that_had_to_be_refused() {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..4 {
        let mut simulation = Simulation::new(unrestarted(seed, 4_000));
        let (mut auditor, mut postings) = (Auditor::default(), BTreeMap::new());
        for _ in 0..4_000 {
            let observed = simulation.step().unwrap();
            if let Decision::Refused(refusal, _) = &observed.decision
                && let Some(what) = carried_out(&observed, simulation.state(), &postings)
            {
                let (by, request) = (observed.command.caller.user, observed.command.request);
                let origin = observed.command.origin.of_caller(&observed.command.caller);
                let told = with_events(&observed, vec![Event { by, what, request, origin }]);
                let Err(told_apart) = auditor.clone().observe(&told) else {
                    panic!("what had to be refused ({refusal}) was believed: {told:?}");
                };
                assert!(!told_apart.rule.contains("is said to"), "disbelieved for the wrong reason: {told_apart}");
                *reasons.entry(refusal.slug()).or_insert(0) += 1;
            }
            if let [Event { what: What::Payments(PaymentEvent::Posted { posting, .. }), .. }] = observed.events() {
                postings.insert(observed.first_event, posting.clone());
            }
            auditor.observe(&observed).unwrap();
        }
    }
    for reason in [
        "insufficient-funds",
        "capture-exceeds-hold",
        "refund-exceeds-payment",
        "hold-not-open",
        "hold-expired",
        "hold-not-expired",
        "hold-not-longer",
        "owners-only",
        "not-undoable",
        "already-reversed",
        "already-refunded",
        "account-frozen",
        "account-closed",
        "account-not-empty",
        "currency-mismatch",
        "same-account",
        "amount-not-positive",
        "no-right",
        "read-only-right",
        "above-signatory-limit",
        "not-a-payee",
        "not-allowed",
        "not-signed-in",
    ] {
        assert!(reasons.contains_key(reason), "{reason} was never the reason: {reasons:?}");
    }
}

fn audit(history: &[Observed]) -> Result<(), Disagreement> {
    let mut auditor = Auditor::default();
    history.iter().try_for_each(|observed| auditor.observe(observed))
}

/// A state that isn't the one the books were kept of is told apart, however like it is.
#[test]
fn the_books_fit_one_state_only() {
    let mut simulation = Simulation::new(unrestarted(1, 1_000));
    let mut auditor = Auditor::default();
    let mut state = bank::State::default();
    for _ in 0..1_000 {
        let observed = simulation.step().unwrap();
        auditor.observe(&observed).unwrap();
        for event in observed.events() {
            state.apply(state.last_event() + 1, observed.at, event);
        }
    }
    assert_eq!(auditor.compare(&state), Ok(()));
    let (hold, held) = state.ledger().holds().next().expect("something is held");
    let released_minor = Some(held.remaining_minor);
    let by = bank::UserId::SYSTEM;
    let event = Event {
        by,
        what: What::Holds(HoldEvent::HoldReleased { hold, reason: ledger::ReleaseReason::Voided, released_minor }),
        request: None,
        origin: None,
    };
    state.apply(state.last_event() + 1, state.time().unwrap(), &event);
    let told = auditor.compare(&state).unwrap_err();
    assert!(told.to_string().contains("the bank has seen"), "{told}");
}
