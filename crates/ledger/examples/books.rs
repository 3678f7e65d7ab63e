//! Books of three accounts: a payment, one that is refused, and a hold that is captured in part.
//!
//! Run it with `cargo run -p ledger --example books`.

#![allow(clippy::print_stdout, reason = "it is an example, and tells what it does")]

use ledger::{
    Account, AccountId, Currency, HoldId, Kind, Ledger, Leg, Money, Overdraft, PostingId, Refusal, Status, Timestamp,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let currency = Currency::from_code("EUR").ok_or("EUR is a currency")?;
    let euros = |minor| Money { minor, currency };
    let now = Timestamp(1_750_000_000_000);
    let mut ledger = Ledger::default();

    // The bank's cash may go below zero: its balance is what the bank has in hand, as a debit.
    let (cash, anna, ben) = (AccountId(0), AccountId(1), AccountId(2));
    ledger.apply_account(Account::new(currency, Kind::Asset, Overdraft::Unlimited, now));
    ledger.apply_account(Account::new(currency, Kind::Liability, Overdraft::Limited(0), now));
    ledger.apply_account(Account::new(currency, Kind::Liability, Overdraft::Limited(0), now));

    // A question changes nothing; its answer, a posting, is applied under the number of its event.
    let deposit = ledger.post(&[Leg { debit: cash, credit: anna, amount: euros(10_000) }], now, now.day())?;
    ledger.apply_posting(PostingId::new(1).ok_or("events are numbered from 1")?, &deposit);

    let too_much = ledger.post(&[Leg { debit: anna, credit: ben, amount: euros(10_001) }], now, now.day());
    assert_eq!(too_much, Err(Refusal::InsufficientFunds { available: euros(10_000) }));

    let leg = Leg { debit: anna, credit: ben, amount: euros(4_000) };
    let id = HoldId::new(2).ok_or("events are numbered from 1")?;
    let hold = ledger.place_hold(leg, now, now.plus_ms(60_000))?;
    ledger.apply_hold(id, hold);
    let capture = ledger.capture(id, euros(2_500), true, now, now.day())?;
    ledger.apply_posting(PostingId::new(3).ok_or("events are numbered from 1")?, &capture);

    for (name, id) in [("cash", cash), ("Anna", anna), ("Ben", ben)] {
        let account: &Account = ledger.account(id).ok_or("it was opened")?;
        assert_eq!(account.status, Status::Open);
        println!(
            "{name:<5} {:>9}, available {:>9}",
            account.money(account.posted_minor),
            account.money(account.available_minor())
        );
    }
    // Each currency sums to zero, or this panics.
    println!("{:?}", ledger.trial_balance());
    Ok(())
}
