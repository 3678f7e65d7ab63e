//! A bank opened in a fresh process, the bench's own program started once more: what a start takes is measured as in
//! service, and a bank can be killed.
//!
//! The two speak in lines of JSON: the bench sends an [`Order`], the fresh process tells [`Opened`] once the bank is
//! open and [`Done`] once its task is, all of it durable. Then it waits, for its input to end, upon which it stops the
//! bank in order, or to be killed. When the bench ends before, for whatever reason, the input ends, too, and so does the fresh process.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use engine::{Engine, Options, SystemClock};
use indicatif::ProgressBar;
use ledger::AccountId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use super::meter::Meter;
use super::own_bank;
use super::past::{self, Past};
use super::process;
use super::traffic::{Traffic, in_batches};
use crate::failure::Failure;
use crate::program::Program;

/// Order to a fresh process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The bank's folder.
    pub(super) folder: PathBuf,
    /// Its master key, in hexadecimal.
    pub(super) master_key: String,
    pub(super) task: Task,
}

/// Task to be done once the bank is open.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Task {
    Nothing,
    /// Looks into the past of the account that takes part in every transfer.
    ReadPast,
    /// Makes the transfers numbered from `first` to before `end`.
    Transfer {
        first: u64,
        end: u64,
        batch: u64,
        accounts: u32,
        hot: bool,
    },
    AddCustomers {
        customers: u32,
    },
    OpenAccounts {
        accounts: u32,
        per_customer: u32,
    },
}

/// A bank just opened.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) seconds: f64,
    pub(super) rss_bytes: u64,
    /// The last event of its journal.
    pub(super) last_event: u64,
}

/// A task just done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) rss_bytes: u64,
    /// The last durable event.
    pub(super) last_event: u64,
    pub(super) past: Option<Past>,
}

/// A process with the bank open. It is killed when this is dropped.
pub(super) struct Fresh {
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
    pub(super) opened: Opened,
}

impl Fresh {
    /// Starts a process, and waits until it has opened the bank.
    pub(super) fn start(order: &Order) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut child =
            Command::new(program).args(["bench", "part"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = child.stdout.take().expect("its output is piped");
        let opened = Opened { seconds: 0.0, rss_bytes: 0, last_event: 0 };
        let mut fresh = Self { child, told: BufReader::new(told).lines(), opened };
        // One that has ended already has said why, and `next` notices.
        let _ = writeln!(fresh.child.stdin.as_mut().expect("its input is piped"), "{}", serde_json::to_string(order)?);
        fresh.opened = fresh.next()?;
        Ok(fresh)
    }

    /// Waits until the task is done.
    pub(super) fn done(&mut self) -> Result<Done, Failure> {
        self.next()
    }

    /// Has the bank stopped in order, and waits for it.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        if self.child.wait()?.success() { Ok(()) } else { Err(ended_early()) }
    }

    /// Kills the process, as a crash would.
    pub(super) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn next<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let line = self.told.next().ok_or_else(ended_early)??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // One that has ended already can't be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended_early() -> Failure {
    Failure::new("the process that opened the bank once more ended too early; what it said is above".to_owned())
}

/// The fresh process itself.
pub(super) fn run(program: &Program) -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line).map_err(|_| {
        Failure::new("this is a part of a bench, which `kassa bench ledger` and `kassa bench memory` start".to_owned())
    })?;
    let is_done = Arc::new(AtomicBool::new(false));
    let end_of_input = thread::spawn({
        let is_done = Arc::clone(&is_done);
        move || wait_for_end(&is_done)
    });
    let master = own_bank::master_key(&order.master_key)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;

    let began = Instant::now();
    let engine = Engine::open(&order.folder, &master, Options::default(), Arc::new(SystemClock), &mut |_| {})?;
    let seconds = began.elapsed().as_secs_f64();
    let last_event = engine.measures()?.last_event;
    tell(program, &Opened { seconds, rss_bytes: process::rss_bytes()?, last_event })?;

    let past = runtime.block_on(perform(&engine, &order, program))?;
    let last_event = engine.measures()?.last_event;
    is_done.store(true, Ordering::Relaxed);
    tell(program, &Done { rss_bytes: process::rss_bytes()?, last_event, past })?;

    // The thread can't panic, and if it did it would be time to stop all the same.
    let _ = end_of_input.join();
    engine.stop();
    Ok(())
}

/// Waits until the input ends. If that is before the task is done, the bench has gone, and nobody wants the rest.
fn wait_for_end(is_done: &AtomicBool) {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    if !is_done.load(Ordering::Relaxed) {
        std::process::exit(1);
    }
}

fn tell(program: &Program, what: &impl Serialize) -> Result<(), Failure> {
    program.line(serde_json::to_string(what)?)
}

async fn perform(engine: &Engine, order: &Order, program: &Program) -> Result<Option<Past>, Failure> {
    let unseen = ProgressBar::hidden();
    match order.task {
        Task::Nothing => {}
        Task::ReadPast => return past::measure(engine, AccountId(0)).await.map(Some),
        Task::Transfer { first, end, batch, accounts, hot } => {
            let traffic = Arc::new(Traffic::new(engine.clone(), accounts, hot)?);
            // Nobody looks at its points.
            let meter = Meter::begin(order.folder.clone(), u64::MAX)?;
            in_batches(&traffic, (first, end), batch, &meter, &unseen).await?;
        }
        Task::AddCustomers { customers } => own_bank::add_customers(engine, customers, program, &unseen).await?,
        Task::OpenAccounts { accounts, per_customer } => {
            own_bank::open_accounts(engine, accounts, per_customer, &unseen).await?;
        }
    }
    Ok(None)
}
