//! A wrong core is found, its failure is the same every time, and shrinks to a handful of commands.

use bank::{
    Body, Caller, Command, Decision, Event, Facts, HoldCommand, HoldEvent, Origin, PaymentCommand, Refusal, State,
    What, decide,
};
use ledger::{Hold, Leg};
use sim::run::Act;
use sim::{Decide, Plan, shrink};

/// More than any of the faults here needs: what they need is the bank, somebody signed in, and an account or two.
const MOST_COMMANDS: usize = 25;

/// What is asked again as Kassa itself, without anybody's rights being looked at.
fn as_system(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    match decide(
        state,
        &Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body: command.body.clone() },
        facts,
    ) {
        Decision::Accepted(mut events) => {
            events[0].by = command.caller.user;
            events[0].request = command.request;
            events[0].origin = origin(command);
            Decision::Accepted(events)
        }
        _ => decide(state, command, facts),
    }
}

fn origin(command: &Command) -> Option<Origin> {
    command.origin.of_caller(&command.caller)
}

/// Lets a hold through that isn't covered, for one amount in fifty: the state's own laws notice.
fn overdrawing(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    let decision = decide(state, command, facts);
    let (
        Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text: None, metadata: None }),
        Decision::Refused(refusal, _),
    ) = (&command.body, &decision)
    else {
        return decision;
    };
    let Leg { debit, credit, amount } = *leg;
    if refusal.slug() != "insufficient-funds" || amount.minor % 50 != 7 {
        return decision;
    }
    let hold = Hold { debit, credit, amount, remaining_minor: amount.minor, expires_at: *expires_at };
    let what = What::Holds(HoldEvent::HoldPlaced { hold, text: None, metadata: None, copies: None });
    Decision::Accepted(
        [Event { by: command.caller.user, what, request: command.request, origin: origin(command) }].into(),
    )
}

/// Lets somebody pay who may only read, where the amount is an odd one.
fn readers_pay(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    match (decide(state, command, facts), &command.body) {
        (Decision::Refused(Refusal::ReadOnlyRight, _), Body::Payments(PaymentCommand::Pay(pay)))
            if pay.legs[0].amount.minor % 2 == 1 =>
        {
            as_system(state, command, facts)
        }
        (decision, _) => decision,
    }
}

/// Looks at each leg alone, so that a signatory may split what is above the limit.
fn splitting(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    match (decide(state, command, facts), &command.body) {
        (Decision::Refused(Refusal::AboveSignatoryLimit { limit }, _), Body::Payments(PaymentCommand::Pay(pay)))
            if pay.legs.iter().all(|leg| leg.amount.minor <= limit.minor) =>
        {
            as_system(state, command, facts)
        }
        (decision, _) => decision,
    }
}

/// Refuses a reversal that nothing speaks against, once in a while.
fn forgetful(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    let wrong = matches!(command.body, Body::Payments(PaymentCommand::Reverse { .. })) && facts.now.0 % 7 == 3;
    let decision = decide(state, command, facts);
    match decision {
        Decision::Accepted(_) if wrong && command.request.is_none() => {
            Decision::Refused(ledger::Refusal::AlreadyReversed.into(), None)
        }
        _ => decision,
    }
}

fn check(wrong: Decide, rule: &str) {
    let plans = (1..200).map(|seed| Plan { decide: wrong, ..Plan::new(seed, 20_000) });
    let (plan, failure) = plans
        .map(|plan| (plan, plan.run().err()))
        // A wrong core may break another law first, by chance.
        .find_map(|(plan, failure)| Some((plan, failure.filter(|failure| failure.fault.rule.contains(rule))?)))
        .expect("a wrong core is found");
    assert_eq!(plan.run().unwrap_err(), failure, "it is the same every time");

    let shrunk = shrink::shrink(plan).expect("it fails again");
    assert_eq!(shrunk.replayed, failure, "the failure that is shrunk is the one that was found");
    assert_eq!(shrunk.fault.rule, failure.fault.rule, "and what is left is of its kind");
    assert!(shrunk.few.len() <= MOST_COMMANDS, "{} commands are left: {shrunk}", shrunk.few.len());
    assert!(shrunk.few.iter().all(|act| matches!(act, Act::Ask(..))), "no restart was needed: {shrunk}");
    assert_eq!(shrink::shrink(plan), Some(shrunk), "shrinking, too, is the same every time");
}

#[test]
fn an_overdraft_let_through() {
    check(overdrawing, "law: available stays within the overdraft");
}

#[test]
fn a_payment_without_a_right() {
    check(readers_pay, "had no right to this");
}

#[test]
fn a_split_above_the_limit() {
    check(splitting, "had no right to this");
}

#[test]
fn a_refusal_without_a_reason() {
    check(forgetful, "the refusal is not true");
}

#[test]
fn a_right_core_has_nothing_to_shrink() {
    assert_eq!(shrink::shrink(Plan::new(1, 2_000)), None);
}
