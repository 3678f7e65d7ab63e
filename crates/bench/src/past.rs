//! Measures how long it takes to look into an account's past.

use std::time::Instant;

use engine::Engine;
use ledger::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use super::meter::Waits;
use super::{mix, unexpected};
use crate::failure::Failure;

/// Number of pages that are read, and of balances.
const LOOKS: u64 = 200;

/// Number of entries of a page.
const PAGE: u64 = 50;

/// The measures.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Past {
    /// Number of entries of the account.
    account_entries: u64,
    pub(super) page_ms_p50: f64,
    pub(super) page_ms_p99: f64,
    pub(super) page_ms_max: f64,
    pub(super) balance_at_ms_p50: f64,
    pub(super) balance_at_ms_p99: f64,
    pub(super) balance_at_ms_max: f64,
}

/// Reads pages that end at random entries of an account, and its balance at random times, in a bank that was just
/// opened: the engine's caches are cold, the system's only where they were dropped before.
pub(super) async fn measure(engine: &Engine, account: AccountId) -> Result<Past, Failure> {
    let entries = engine.read(|state| state.ledger().account(account).map_or(0, |account| account.entries)).await?;
    let length = entries.min(PAGE);
    let mut pages = Waits::new();
    for look in 0..LOOKS {
        let before = length + 1 + mix(look) % (entries - length + 1);
        let asked = Instant::now();
        let page = engine.entries(account, Some(before), usize::try_from(PAGE).unwrap_or(0)).await?;
        pages.note(asked.elapsed());
        // The newest is the one before, and none is left out.
        let right = page.iter().map(|entry| entry.ordinal).eq((before - length..before).rev());
        right.then_some(()).ok_or_else(unexpected)?;
    }
    let first = engine.entries(account, Some(2), 1).await?.pop().ok_or_else(unexpected)?;
    let last = engine.entries(account, None, 1).await?.pop().ok_or_else(unexpected)?;
    let span_ms = last.booked_at.0.abs_diff(first.booked_at.0) + 1;
    let mut balances = Waits::new();
    for look in 0..LOOKS {
        let into_ms = i64::try_from(mix(look) % span_ms).map_err(|_| unexpected())?;
        let asked = Instant::now();
        engine.balance_at(account, Timestamp(first.booked_at.0 + into_ms)).await?;
        balances.note(asked.elapsed());
    }
    Ok(Past {
        account_entries: entries,
        page_ms_p50: pages.percentile_ms(50),
        page_ms_p99: pages.percentile_ms(99),
        page_ms_max: pages.longest_ms(),
        balance_at_ms_p50: balances.percentile_ms(50),
        balance_at_ms_p99: balances.percentile_ms(99),
        balance_at_ms_max: balances.longest_ms(),
    })
}
