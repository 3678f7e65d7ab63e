//! `kassa bench http`: payments and reads over HTTPS, against a real server in a process of its own, beside a floor.
//!
//! The floor is what this server can do at all behind the same accept loop, limits and router: it parses a payment and
//! answers as many words, and that is all it does. The same client asks both, in short rounds by turns, so that a
//! machine that is busy with other things now and then is so for both; the medians of the rounds are compared.
//!
//! In the end the server is killed, and the bank is opened once more: it must hold every payment that was answered, and
//! none more.

mod batch;
mod client;
mod load;
mod requests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bank::{Body, Command, Origin, Pay, PaymentCommand};
use clap::ValueEnum;
use engine::{Engine, Options, SystemClock};
use ledger::{AccountId, Leg, Money};
use serde::Serialize;
use tokio::runtime::Handle;

use self::client::Target;
use self::load::{Counted, Load, Times};
use self::requests::{Accounts, Ask, Asker};
use super::meter::Waits;
use super::own_bank::{self, OwnFolder};
use super::served::{Order, Served};
use super::table::Table;
use super::{all_accepted, euro, process, until_interrupted};
use crate::failure::Failure;
use crate::program::Program;

/// `kassa bench http`
#[derive(Debug, Clone, clap::Args)]
pub struct HttpBench {
    /// A folder for the bench's own bank; made anew, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "kassa-bench")]
    data: PathBuf,
    /// Number of connections, each of a customer of its own who is signed in.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    connections: u32,
    /// Number of accounts of each of the customers.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    accounts: u32,
    /// Time for which each of the parts is measured, in seconds.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Number of rounds in which the floor and the payments are measured by turns.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Number of lines of a batch.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    batch_lines: u64,
    /// Measure this part only; may be given several times. The process id of the server is told on standard error, for a
    /// profiler.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// Part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Floor,
    Payments,
    /// At half the rate of the payments, which must be measured, too.
    HalfLoad,
    Balance,
    Entries,
    Batches,
}

impl HttpBench {
    fn measures(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Number of payments that each account makes before anything is measured. Each is paid by another as often, so that it
/// has more entries than a page shows.
const PAYMENTS_BEFORE: u32 = 26;

/// Time that a load goes on before it is measured, as a share of that: connections, caches and the pace of the journal
/// have settled by then.
const WARM_UP_SHARE: u32 = 5;

/// The figures.
#[derive(Debug, Default, Serialize)]
struct Figures {
    connections: u32,
    accounts: usize,
    /// Time that each part was measured, in seconds.
    seconds: u32,
    rounds: u32,
    /// The processors, which the servers and the client share.
    cores: usize,
    /// Writing one page into a file and syncing it, the median.
    sync_us: f64,
    /// The medians of the rounds, which are listed, too.
    floor_per_s: Option<f64>,
    payments_per_s: Option<f64>,
    ratio: Option<f64>,
    floor_rounds_per_s: Vec<f64>,
    payments_rounds_per_s: Vec<f64>,
    /// The processor time of both processes for each answer, over all rounds.
    server_cpu_us_per_echo: Option<f64>,
    client_cpu_us_per_echo: Option<f64>,
    server_cpu_us_per_payment: Option<f64>,
    client_cpu_us_per_payment: Option<f64>,
    /// From sending a request until its answer, with all connections busy.
    floor_latency_ms_p50: Option<f64>,
    floor_latency_ms_p99: Option<f64>,
    latency_ms_p50: Option<f64>,
    latency_ms_p99: Option<f64>,
    /// Number of payments made durable together (group commit), and the time that took, on average.
    payments_per_run: Option<f64>,
    append_ms_mean: Option<f64>,
    /// At half the rate, from when a payment was due until its answer.
    half_load_per_s: Option<f64>,
    half_load_latency_ms_p50: Option<f64>,
    half_load_latency_ms_p99: Option<f64>,
    balance_per_s: Option<f64>,
    server_cpu_us_per_balance: Option<f64>,
    entries_per_s: Option<f64>,
    server_cpu_us_per_entries: Option<f64>,
    batch_lines_per_s: Option<f64>,
    server_cpu_us_per_batch_line: Option<f64>,
    /// Answers that were not the right ones.
    errors: u64,
    /// The first of the wrong answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_wrong: Option<String>,
    /// The payments and lines of batches that were answered, and what the bank holds of them.
    payments_answered: u64,
    payments_booked: u64,
}

pub(super) fn run(bench: &HttpBench, program: &Program) -> Result<(), Failure> {
    if bench.measures(Part::HalfLoad) && !bench.measures(Part::Payments) {
        return Err(Failure::new("half the load of what? Add --only payments".to_owned()));
    }
    let folder = OwnFolder::make(&bench.data)?;
    let (asked, own_program) = (bench.clone(), *program);
    let measured = until_interrupted(program, move |runtime| measure(&asked, runtime, &own_program));
    drop(folder);
    let figures = measured?;
    if bench.json { program.json(&figures) } else { print(&figures, program) }
}

fn measure(bench: &HttpBench, runtime: &Handle, program: &Program) -> Result<Figures, Failure> {
    let folder = &*bench.data;
    let master_key = own_bank::new_key()?;
    let (accounts, postings_before) = make_bank(bench, &master_key, runtime, program)?;
    let mut syncs = Waits::new();
    process::note_syncs(folder, &mut syncs)?;

    let order = Order {
        folder: folder.to_owned(),
        master_key: master_key.clone(),
        settings: vec!["connections_per_address=4096".to_owned()],
    };
    let server = Served::start(&order, program)?;
    if !bench.only.is_empty() {
        eprintln!("the server is process {}", server.pid());
    }
    let accounts = Arc::new(accounts);
    let mut measuring = Measuring {
        bench,
        accounts: Arc::clone(&accounts),
        target: Target::new(server.address, &server.authority)?,
        server: &server,
        lines: 0,
        figures: Figures {
            connections: bench.connections,
            accounts: accounts.len(),
            seconds: bench.seconds,
            rounds: bench.rounds,
            cores: std::thread::available_parallelism()?.get(),
            sync_us: syncs.percentile_ms(50) * 1_000.0,
            ..Figures::default()
        },
    };
    measuring.floor_and_payments()?;
    measuring.half_load()?;
    measuring.reads()?;
    measuring.batches()?;
    let mut figures = measuring.figures;

    // Killed, so that the bank has nothing but what was durable when it was answered.
    drop(server);
    let engine = open(bench, &master_key)?;
    figures.payments_booked = postings(&engine)? - postings_before;
    engine.stop();
    if figures.payments_booked != figures.payments_answered {
        return Err(Failure::new(format!(
            "{} payments were answered, and the bank holds {}",
            figures.payments_answered, figures.payments_booked
        )));
    }
    Ok(figures)
}

/// Makes the bank, with its customers signed in, and gives the accounts and how many postings there are.
fn make_bank(
    bench: &HttpBench,
    master_key: &str,
    runtime: &Handle,
    program: &Program,
) -> Result<(Accounts, u64), Failure> {
    let HttpBench { connections: customers, accounts: per_customer, .. } = *bench;
    let engine = Engine::create(&bench.data, &own_bank::master_key(master_key)?, Arc::new(SystemClock))?;
    let unseen = indicatif::ProgressBar::hidden();
    runtime.block_on(async {
        own_bank::found(&engine).await?;
        own_bank::add_customers(&engine, customers, program, &unseen).await?;
        own_bank::sign_in(&engine, customers).await?;
        own_bank::open_accounts(&engine, customers * per_customer, per_customer, &unseen).await?;
        pay_around(&engine, customers, per_customer).await
    })?;
    let accounts = Accounts::of(&engine, per_customer)?;
    let postings = postings(&engine)?;
    engine.stop();
    Ok((accounts, postings))
}

/// Has each account pay the next, so that all have more entries than a page shows.
async fn pay_around(engine: &Engine, customers: u32, per_customer: u32) -> Result<(), Failure> {
    let accounts = customers * per_customer;
    for customer in 0..customers {
        let caller = own_bank::caller(engine, customer)?;
        let payments = (0..per_customer * PAYMENTS_BEFORE).map(|number| {
            let from = customer * per_customer + number % per_customer;
            let (debit, credit) = (AccountId(from), AccountId((from + 1) % accounts));
            let leg = Leg { debit, credit, amount: Money { minor: 100, currency: euro() } };
            let pay = Pay::of([leg].into());
            Command { origin: Origin::default(), caller, request: None, body: Body::Payments(PaymentCommand::Pay(pay)) }
                .into()
        });
        let payments: Vec<_> = payments.collect();
        for some in payments.chunks(engine::MAX_BATCH) {
            all_accepted(engine, some.to_vec()).await?;
        }
    }
    Ok(())
}

fn open(bench: &HttpBench, master_key: &str) -> Result<Engine, Failure> {
    let master = own_bank::master_key(master_key)?;
    Ok(Engine::open(&bench.data, &master, Options::default(), Arc::new(SystemClock), &mut |_| {})?)
}

/// Counts the postings that the bank holds: each is an entry of two accounts.
fn postings(engine: &Engine) -> Result<u64, Failure> {
    let entries: u64 = engine.peek(|state| state.ledger().accounts().map(|(_, account)| account.entries).sum())?;
    Ok(entries / 2)
}

/// The measurements, one after the other.
struct Measuring<'a> {
    bench: &'a HttpBench,
    accounts: Arc<Accounts>,
    server: &'a Served,
    target: Target,
    /// Number of connections there were, so that each has a number of its own.
    lines: u32,
    figures: Figures,
}

impl Measuring<'_> {
    /// Connects all connections anew. Each has its handshake behind it before the load begins.
    fn load(&mut self, ask: Ask) -> Result<Load, Failure> {
        let first = self.lines;
        self.lines += self.bench.connections;
        let lines = (0..self.bench.connections).map(|customer| {
            let asker = Asker::new(ask, &self.accounts, customer, first + customer, self.server.address);
            Ok((self.target.connect()?, asker))
        });
        Load::new(lines.collect::<Result<_, Failure>>()?, self.server.pid())
    }

    /// The times of one of so many rounds.
    fn times(&self, rounds: u32) -> Times {
        let measured = Duration::from_secs(self.bench.seconds.into()) / rounds;
        Times { warm_up: measured / WARM_UP_SHARE, measured }
    }

    fn floor_and_payments(&mut self) -> Result<(), Failure> {
        let times = self.times(self.bench.rounds);
        let (mut floor, mut payments) = (Rounds::new(), Rounds::new());
        let (mut runs, mut append_s) = (0.0, 0.0);
        for _ in 0..self.bench.rounds {
            if self.bench.measures(Part::Floor) {
                let counted = self.load(Ask::Echo)?.closed(times, &mut floor.waits)?;
                self.note_wrong(&counted);
                floor.add(&counted);
            }
            if self.bench.measures(Part::Payments) {
                let before = self.engine_counts()?;
                let counted = self.load(Ask::Payment)?.closed(times, &mut payments.waits)?;
                let after = self.engine_counts()?;
                runs += after.0 - before.0;
                append_s += after.1 - before.1;
                self.note_wrong(&counted);
                self.figures.payments_answered += counted.right;
                payments.add(&counted);
            }
        }
        let figures = &mut self.figures;
        figures.floor_per_s = floor.median_per_s();
        figures.payments_per_s = payments.median_per_s();
        figures.ratio = figures.payments_per_s.zip(figures.floor_per_s).map(|(payments, floor)| payments / floor);
        figures.server_cpu_us_per_echo = floor.each_us(floor.server_cpu_s);
        figures.client_cpu_us_per_echo = floor.each_us(floor.client_cpu_s);
        figures.server_cpu_us_per_payment = payments.each_us(payments.server_cpu_s);
        figures.client_cpu_us_per_payment = payments.each_us(payments.client_cpu_s);
        figures.floor_latency_ms_p50 = floor.latency_ms(50);
        figures.floor_latency_ms_p99 = floor.latency_ms(99);
        figures.latency_ms_p50 = payments.latency_ms(50);
        figures.latency_ms_p99 = payments.latency_ms(99);
        if runs > 0.0 {
            figures.payments_per_run = Some(figures.payments_answered as f64 / runs);
            figures.append_ms_mean = Some(append_s / runs * 1_000.0);
        }
        (figures.floor_rounds_per_s, figures.payments_rounds_per_s) = (floor.per_s, payments.per_s);
        Ok(())
    }

    fn half_load(&mut self) -> Result<(), Failure> {
        let Some(full_per_s) = self.figures.payments_per_s.filter(|_| self.bench.measures(Part::HalfLoad)) else {
            return Ok(());
        };
        let mut waits = Waits::new();
        let load = self.load(Ask::Payment)?;
        // A server that answers nothing is asked once a second.
        let counted = load.open((full_per_s / 2.0).max(1.0), self.times(1), &mut waits)?;
        self.note_wrong(&counted);
        let figures = &mut self.figures;
        figures.payments_answered += counted.right;
        figures.half_load_per_s = Some(counted.per_s());
        figures.half_load_latency_ms_p50 = Some(waits.percentile_ms(50));
        figures.half_load_latency_ms_p99 = Some(waits.percentile_ms(99));
        Ok(())
    }

    fn reads(&mut self) -> Result<(), Failure> {
        let times = self.times(1);
        for (part, ask) in [(Part::Balance, Ask::Balance), (Part::Entries, Ask::Entries)] {
            if !self.bench.measures(part) {
                continue;
            }
            let mut rounds = Rounds::new();
            let counted = self.load(ask)?.closed(times, &mut rounds.waits)?;
            self.note_wrong(&counted);
            rounds.add(&counted);
            let (per_s, each_us) = (rounds.median_per_s(), rounds.each_us(rounds.server_cpu_s));
            let figures = &mut self.figures;
            let places = match ask {
                Ask::Entries => (&mut figures.entries_per_s, &mut figures.server_cpu_us_per_entries),
                Ask::Balance | Ask::Payment | Ask::Echo => {
                    (&mut figures.balance_per_s, &mut figures.server_cpu_us_per_balance)
                }
            };
            (*places.0, *places.1) = (per_s, each_us);
        }
        Ok(())
    }

    fn batches(&mut self) -> Result<(), Failure> {
        if !self.bench.measures(Part::Batches) {
            return Ok(());
        }
        let Served { address, .. } = self.server;
        let (time, cpu_before) = (self.times(1).measured, process::cpu_s_of(self.server.pid())?);
        let mut line = self.target.connect()?;
        let batches = batch::measure(&mut line, *address, &self.accounts, self.bench.batch_lines, time)?;
        let cpu_s = process::cpu_s_of(self.server.pid())? - cpu_before;
        self.figures.payments_answered += batches.answered;
        self.figures.batch_lines_per_s = Some(batches.lines as f64 / batches.seconds);
        self.figures.server_cpu_us_per_batch_line = Some(cpu_s * 1e6 / batches.lines as f64);
        Ok(())
    }

    /// Notes the wrong answers, and tells of the first.
    fn note_wrong(&mut self, counted: &Counted) {
        if let Some(told) = counted.first_wrong.as_ref().filter(|_| self.figures.errors == 0) {
            eprintln!("the first answer that is wrong: {told}");
            self.figures.first_wrong = Some(told.clone());
        }
        self.figures.errors += counted.wrong;
    }

    /// Reads how many runs the engine has made durable, and how many seconds that took, as a monitor reads it.
    fn engine_counts(&self) -> Result<(f64, f64), Failure> {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", self.server.address);
        let (_, text) = self.target.connect()?.ask(request.as_bytes())?;
        let text = String::from_utf8_lossy(&text);
        let count = |name: &str| {
            let count = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            count.ok_or_else(|| Failure::new(format!("the server's metrics have no {name}")))
        };
        Ok((count("kassa_runs_total ")?, count("kassa_append_seconds_total ")?))
    }
}

/// The rounds of one kind together.
struct Rounds {
    per_s: Vec<f64>,
    answers: u64,
    server_cpu_s: f64,
    client_cpu_s: f64,
    waits: Waits,
}

impl Rounds {
    fn new() -> Self {
        Self { per_s: Vec::new(), answers: 0, server_cpu_s: 0.0, client_cpu_s: 0.0, waits: Waits::new() }
    }

    fn add(&mut self, counted: &Counted) {
        self.per_s.push(counted.per_s());
        self.answers += counted.answers;
        self.server_cpu_s += counted.server_cpu_s;
        self.client_cpu_s += counted.client_cpu_s;
    }

    fn median_per_s(&self) -> Option<f64> {
        let mut sorted = self.per_s.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    /// Returns what an answer took of some seconds, in microseconds.
    fn each_us(&self, seconds: f64) -> Option<f64> {
        (self.answers > 0).then(|| seconds * 1e6 / self.answers as f64)
    }

    fn latency_ms(&self, percent: u64) -> Option<f64> {
        (self.answers > 0).then(|| self.waits.percentile_ms(percent))
    }
}

fn print(figures: &Figures, program: &Program) -> Result<(), Failure> {
    program.line(format_args!(
        "{} connections, {} accounts, {} processors for servers and client together.\n",
        figures.connections, figures.accounts, figures.cores
    ))?;
    let mut table = Table::default();
    table.add_some("payments", figures.payments_per_s, 0, "payments/s");
    table.add_some("  answer, median", figures.latency_ms_p50, 3, "ms");
    table.add_some("  answer, 99 %", figures.latency_ms_p99, 3, "ms");
    table.add_some("  processor time, server", figures.server_cpu_us_per_payment, 1, "µs/payment");
    table.add_some("  processor time, client", figures.client_cpu_us_per_payment, 1, "µs/payment");
    table.add_some("  durable together", figures.payments_per_run, 1, "payments");
    table.add_some("  append, mean", figures.append_ms_mean, 3, "ms");
    table.add_some("floor", figures.floor_per_s, 0, "echoes/s");
    table.add_some("  answer, median", figures.floor_latency_ms_p50, 3, "ms");
    table.add_some("  answer, 99 %", figures.floor_latency_ms_p99, 3, "ms");
    table.add_some("  processor time, server", figures.server_cpu_us_per_echo, 1, "µs/echo");
    table.add_some("  processor time, client", figures.client_cpu_us_per_echo, 1, "µs/echo");
    table.add_some("payments against the floor", figures.ratio.map(|ratio| ratio * 100.0), 1, "%");
    table.add_some("half load", figures.half_load_per_s, 0, "payments/s");
    table.add_some("  answer, median", figures.half_load_latency_ms_p50, 3, "ms");
    table.add_some("  answer, 99 %", figures.half_load_latency_ms_p99, 3, "ms");
    table.add_some("balances", figures.balance_per_s, 0, "reads/s");
    table.add_some("  processor time, server", figures.server_cpu_us_per_balance, 1, "µs/read");
    table.add_some("pages of 50 entries", figures.entries_per_s, 0, "reads/s");
    table.add_some("  processor time, server", figures.server_cpu_us_per_entries, 1, "µs/read");
    table.add_some("lines of batches", figures.batch_lines_per_s, 0, "lines/s");
    table.add_some("  processor time, server", figures.server_cpu_us_per_batch_line, 1, "µs/line");
    table.add("wrong answers", figures.errors as f64, 0, "");
    table.add("payments answered and booked", figures.payments_booked as f64, 0, "");
    table.add("bare sync, median", figures.sync_us, 0, "µs");
    table.print(program)
}
