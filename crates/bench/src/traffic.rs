//! The transfers, and the two ways in which they are sent: in batches, or one at a time by many callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bank::{Body, Caller, Command, Origin, Pay, PaymentCommand};
use engine::Engine;
use indicatif::ProgressBar;
use ledger::{AccountId, Leg, Money};
use tokio::task::JoinSet;

use super::meter::Meter;
use super::{accepted, all_accepted, euro, mix, own_bank};
use crate::failure::Failure;

/// Number of accounts that belong to one of the bench's customers.
pub(super) const ACCOUNTS_PER_CUSTOMER: u32 = 1_000;

/// Number of batches on their way at once: one being made durable, one being decided, and one waiting.
const BATCHES_IN_FLIGHT: usize = 3;

/// Source of the transfers.
pub(super) struct Traffic {
    pub(super) engine: Engine,
    callers: Vec<Caller>,
    accounts: u32,
    hot: bool,
}

impl Traffic {
    /// Transfers among so many accounts, whose customers are signed in. If it is to be hot, account 0 pays them all.
    pub(super) fn new(engine: Engine, accounts: u32, hot: bool) -> Result<Self, Failure> {
        let customers = 0..accounts.div_ceil(ACCOUNTS_PER_CUSTOMER);
        let callers = customers.map(|customer| own_bank::caller(&engine, customer)).collect::<Result<_, _>>()?;
        Ok(Self { engine, callers, accounts, hot })
    }

    /// The transfer of a number: between two accounts drawn by it, for an amount drawn by it, under a key of its own.
    fn transfer(&self, number: u64) -> Command {
        let drawn = mix(number);
        let from = if self.hot { 0 } else { below(drawn, self.accounts) };
        let to = (from + 1 + below(mix(drawn), self.accounts - 1)) % self.accounts;
        let minor = 1 + i64::from(below(mix(mix(drawn)), 10_000));
        let amount = Money { minor, currency: euro() };
        let leg = Leg { debit: AccountId(from), credit: AccountId(to), amount };
        let caller = self.callers[(from / ACCOUNTS_PER_CUSTOMER) as usize];
        let key = number.to_be_bytes();
        let mut content = [0; 16];
        content[..4].copy_from_slice(&from.to_be_bytes());
        content[4..8].copy_from_slice(&to.to_be_bytes());
        content[8..].copy_from_slice(&minor.to_be_bytes());
        let request = self.engine.request(caller.user, &key, &content);
        let pay = Pay::of([leg].into());
        Command {
            origin: Origin::default(),
            caller,
            request: Some(request),
            body: Body::Payments(PaymentCommand::Pay(pay)),
        }
    }
}

/// Makes the transfers numbered from `first` to before `end`, in batches of so many.
pub(super) async fn in_batches(
    traffic: &Arc<Traffic>,
    (first, end): (u64, u64),
    batch: u64,
    meter: &Meter,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut flying: JoinSet<Result<_, Failure>> = JoinSet::new();
    let mut next = first;
    while next < end || !flying.is_empty() {
        if next < end && flying.len() < BATCHES_IN_FLIGHT {
            let numbers = next..end.min(next + batch);
            next = numbers.end;
            let traffic = Arc::clone(traffic);
            flying.spawn(async move {
                let transfers = numbers.end - numbers.start;
                let commands = numbers.map(|number| traffic.transfer(number).into()).collect();
                let sent = Instant::now();
                all_accepted(&traffic.engine, commands).await?;
                Ok((transfers, sent.elapsed()))
            });
        } else if let Some(landed) = flying.join_next().await {
            let (transfers, wait) = landed.map_err(|error| Failure::new(error.to_string()))??;
            meter.answered(transfers, wait)?;
            bar.inc(transfers);
        }
    }
    Ok(())
}

/// Makes so many transfers, by so many callers of whom each waits for its answer before it sends its next.
pub(super) async fn one_at_a_time(
    traffic: &Arc<Traffic>,
    transfers: u64,
    callers: u32,
    meter: &Arc<Meter>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    for _ in 0..callers {
        let (traffic, next, meter, bar) = (Arc::clone(traffic), Arc::clone(&next), Arc::clone(meter), bar.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= transfers {
                    return Ok(());
                }
                let command = traffic.transfer(number);
                let sent = Instant::now();
                accepted(&traffic.engine, command).await?;
                meter.answered(1, sent.elapsed())?;
                if number.is_multiple_of(1024) {
                    bar.set_position(number);
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Failure::new(error.to_string()))??;
    }
    Ok(())
}

/// A number below `limit`, drawn by a random one.
fn below(random: u64, limit: u32) -> u32 {
    u32::try_from(((random >> 32) * u64::from(limit)) >> 32).expect("less than a 32-bit limit")
}
