//! The bank as a state machine: commands are decided, their events are encoded, read again and applied.
//!
//! Run it with `cargo run -p bank --example state_machine`.

#![allow(clippy::print_stdout, reason = "it is an example, and tells what it does")]

use bank::{
    AccountCommand, Body, Caller, Command, Decision, Event, Facts, Numbering, OpenAccount, Origin, PaymentCommand,
    Refusal, State, SystemCommand, decide,
};
use ledger::{AccountId, Currency, Kind, Money, Overdraft, Timestamp};

/// Asks the bank as Kassa itself. The events of what is accepted go through their encoding, as in a journal.
fn ask(state: &mut State, body: Body) -> Result<(), Refusal> {
    let now = Timestamp(1_750_000_000_000);
    let command = Command { caller: Caller::SYSTEM, origin: Origin::default(), request: None, body };
    match decide(state, &command, &Facts { now, today: now.day(), zone_begins: None, past: None, earlier: None }) {
        Decision::Accepted(events) => {
            for event in events {
                let mut journal = Vec::new();
                event.encode_to(&mut journal);
                let read = Event::decode_nth(&journal, 0).expect("what was written can be read");
                state.apply(state.last_event() + 1, now, &read);
                println!("event {}, {} bytes: {:?}", state.last_event(), journal.len(), read.what);
            }
            Ok(())
        }
        Decision::Refused(refusal, _) => Err(refusal),
        Decision::Repeated(first) => unreachable!("event {first} has no key"),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let currency = Currency::from_code("EUR").ok_or("EUR is a currency")?;
    let mut state = State::default();
    let numbering = Numbering::new("AT", "19043")?;
    ask(&mut state, Body::System(SystemCommand::Found { name: "Example Bank".into(), numbering, time_zone: None }))?;
    for (kind, cash, overdraft) in
        [(Kind::Asset, true, Overdraft::Unlimited), (Kind::Liability, false, Overdraft::Limited(0))]
    {
        let (number, name, owner, opened_at) = (None, None, None, None);
        let open = OpenAccount { number, currency, kind, overdraft, name, owner, cash, opened_at };
        ask(&mut state, Body::Accounts(AccountCommand::OpenAccount(open)))?;
    }
    let account = AccountId(1);
    let amount = Money { minor: 2_500, currency };
    ask(&mut state, Body::Payments(PaymentCommand::Deposit { account, amount, text: None }))?;
    let too_much = Money { minor: 2_501, currency };
    let refused = ask(&mut state, Body::Payments(PaymentCommand::Withdraw { account, amount: too_much, text: None }));
    let refusal = refused.expect_err("there is not so much");
    println!("refused ({}): {refusal}", refusal.slug());
    assert_eq!(refusal.slug(), "insufficient-funds");
    Ok(())
}
