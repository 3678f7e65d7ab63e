//! `kassa bench memory`: what an account and a customer take in memory, by the difference that many of them make.
//!
//! Each step happens in a fresh process, which tells how much memory it has in use after opening the bank and after
//! its step. The next process opens what the step before left, so the lasting size, without what the step itself
//! needed for a while, is the difference between two starts.

use std::path::PathBuf;
use std::sync::Arc;

use engine::{Engine, SystemClock};
use serde::Serialize;
use tokio::runtime::Handle;

use super::fresh::{Fresh, Order, Task};
use super::own_bank::{self, OwnFolder};
use super::table::Table;
use super::until_interrupted;
use crate::failure::Failure;
use crate::program::Program;

/// `kassa bench memory`
#[derive(Debug, Clone, clap::Args)]
pub struct MemoryBench {
    /// A folder for the bench's own bank; made anew, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "kassa-bench")]
    data: PathBuf,
    /// Number of accounts to open, shared out among the customers.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    accounts: u32,
    /// Number of customers to add, each with one user.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// The figures.
#[derive(Debug, Serialize)]
struct Figures {
    accounts: u32,
    customers: u32,
    /// Growth of the process's memory in use by adding them.
    bytes_per_customer: f64,
    bytes_per_account: f64,
    /// Difference between the memory in use of a process that has just opened the bank with them and of one that has
    /// just opened it without.
    bytes_per_customer_after_start: f64,
    bytes_per_account_after_start: f64,
    /// The memory in use after opening the bank when it was empty, with the customers, and with the accounts, too.
    rss_bytes_empty: u64,
    rss_bytes_with_customers: u64,
    rss_bytes_with_accounts: u64,
    /// Time that the last of these starts took.
    start_s: f64,
}

pub(super) fn run(bench: &MemoryBench, program: &Program) -> Result<(), Failure> {
    let folder = OwnFolder::make(&bench.data)?;
    let asked = bench.clone();
    let figures = until_interrupted(program, move |runtime| measure(&asked, runtime))?;
    drop(folder);
    if bench.json { program.json(&figures) } else { print(&figures, program) }
}

fn measure(bench: &MemoryBench, runtime: &Handle) -> Result<Figures, Failure> {
    let master_key = own_bank::new_key()?;
    let engine = Engine::create(&bench.data, &own_bank::master_key(&master_key)?, Arc::new(SystemClock))?;
    runtime.block_on(own_bank::found(&engine))?;
    engine.stop();

    let step = |task| {
        let order = Order { folder: bench.data.clone(), master_key: master_key.clone(), task };
        let mut fresh = Fresh::start(&order)?;
        let (opened, done) = (fresh.opened, fresh.done()?);
        fresh.stop()?;
        Ok::<_, Failure>((opened, done.rss_bytes))
    };
    let (MemoryBench { accounts, customers, .. }, per_customer) = (bench, bench.accounts.div_ceil(bench.customers));
    let (empty, customers_added) = step(Task::AddCustomers { customers: *customers })?;
    let (with_customers, accounts_opened) = step(Task::OpenAccounts { accounts: *accounts, per_customer })?;
    let (with_accounts, _) = step(Task::Nothing)?;

    let each = |after: u64, before: u64, count: u32| (after as f64 - before as f64) / f64::from(count);
    Ok(Figures {
        accounts: *accounts,
        customers: *customers,
        bytes_per_customer: each(customers_added, empty.rss_bytes, *customers),
        bytes_per_account: each(accounts_opened, with_customers.rss_bytes, *accounts),
        bytes_per_customer_after_start: each(with_customers.rss_bytes, empty.rss_bytes, *customers),
        bytes_per_account_after_start: each(with_accounts.rss_bytes, with_customers.rss_bytes, *accounts),
        rss_bytes_empty: empty.rss_bytes,
        rss_bytes_with_customers: with_customers.rss_bytes,
        rss_bytes_with_accounts: with_accounts.rss_bytes,
        start_s: with_accounts.seconds,
    })
}

fn print(figures: &Figures, program: &Program) -> Result<(), Failure> {
    let mut table = Table::default();
    table.add("customers, each with one user", f64::from(figures.customers), 0, "");
    table.add("  a customer, after adding them", figures.bytes_per_customer, 0, "bytes");
    table.add("  a customer, after a start", figures.bytes_per_customer_after_start, 0, "bytes");
    table.add("accounts", f64::from(figures.accounts), 0, "");
    table.add("  an account, after opening them", figures.bytes_per_account, 0, "bytes");
    table.add("  an account, after a start", figures.bytes_per_account_after_start, 0, "bytes");
    table.add("memory after a start with all of them", figures.rss_bytes_with_accounts as f64 / 1_048_576.0, 1, "MiB");
    table.add("that start", figures.start_s, 2, "s");
    table.print(program)
}
