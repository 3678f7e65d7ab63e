//! A bank on disk inside another program: founded, paid into, read, stopped, and opened again.
//!
//! Run it with `cargo run -p engine --example embed`.

#![allow(clippy::print_stdout, reason = "it is an example, and tells what it does")]

use std::sync::Arc;

use bank::{
    AccountCommand, Body, Caller, Command, Numbering, OpenAccount, Origin, PaymentCommand, SystemCommand, UserId,
};
use engine::{Engine, Options, Outcome, SystemClock};
use journal::MasterKey;
use ledger::{AccountId, Currency, Kind, Money, Overdraft};

/// Asks for something under an idempotency key, and tells the number of its first event and whether it was done before.
fn ask(engine: &Engine, key: &str, body: Body) -> Result<(u64, bool), Box<dyn std::error::Error>> {
    let request = engine.request(UserId::SYSTEM, key.as_bytes(), format!("{body:?}").as_bytes());
    let command = Command { caller: Caller::SYSTEM, origin: Origin::default(), request: Some(request), body };
    match engine.submit_blocking(command)? {
        Outcome::Accepted(receipt) => Ok((receipt.event, receipt.repeated)),
        Outcome::Refused { refusal, .. } => Err(refusal.into()),
        Outcome::Unchanged => Err("nothing was changed".into()),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("bank");
    let master = MasterKey::generate();
    let currency = Currency::from_code("EUR").ok_or("EUR is a currency")?;
    let account = AccountId(1);
    let deposit =
        Body::Payments(PaymentCommand::Deposit { account, amount: Money { minor: 2_500, currency }, text: None });

    let engine = Engine::create(&data, &master, Arc::new(SystemClock))?;
    let numbering = Numbering::new("AT", "19043")?;
    ask(
        &engine,
        "founding",
        Body::System(SystemCommand::Found { name: "Example Bank".into(), numbering, time_zone: None }),
    )?;
    for (key, kind, cash, overdraft) in
        [("cash", Kind::Asset, true, Overdraft::Unlimited), ("account", Kind::Liability, false, Overdraft::Limited(0))]
    {
        let (number, name, owner, opened_at) = (None, None, None, None);
        let open = OpenAccount { number, currency, kind, overdraft, name, owner, cash, opened_at };
        ask(&engine, key, Body::Accounts(AccountCommand::OpenAccount(open)))?;
    }
    let (event, repeated) = ask(&engine, "deposit", deposit.clone())?;
    assert!(!repeated);
    engine.stop();

    // Whatever was answered is there, and the same key gives the first outcome again.
    let engine = Engine::open(&data, &master, Options::default(), Arc::new(SystemClock), &mut |_| {})?;
    assert_eq!(ask(&engine, "deposit", deposit)?, (event, true));
    let balance = engine.peek(|state| state.ledger().account(account).map(|account| account.posted_minor))?;
    assert_eq!(balance, Some(2_500));
    println!("event {event}: the account has 25.00 EUR, once");
    engine.stop();
    Ok(())
}
