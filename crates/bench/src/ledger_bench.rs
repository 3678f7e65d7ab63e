//! `kassa bench ledger`: transfers through the engine and the journal, and what is left when they are behind.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Engine, Options, SystemClock};
use serde::Serialize;
use tokio::runtime::Handle;

use super::fresh::{Fresh, Opened, Order, Task};
use super::meter::{self, Meter, Point, Waits};
use super::own_bank::{self, OwnFolder};
use super::past::Past;
use super::picture::{Limit, Panel, Picture, Shape};
use super::process::{self, Derived};
use super::table::{Table, grouped};
use super::traffic::{ACCOUNTS_PER_CUSTOMER, Traffic, in_batches, one_at_a_time};
use super::{unexpected, until_interrupted};
use crate::failure::Failure;
use crate::program::Program;

/// `kassa bench ledger`
#[derive(Debug, Clone, clap::Args)]
pub struct LedgerBench {
    /// A folder for the bench's own bank; made anew, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "kassa-bench")]
    data: PathBuf,
    /// Number of accounts.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// Number of transfers to make.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MAX_TRANSFERS))]
    transfers: u64,
    /// Number of transfers sent together.
    #[arg(long, value_name = "N", default_value_t = 8_190, value_parser = clap::value_parser!(u64).range(1..=8_190))]
    batch: u64,
    /// Number of callers with one transfer each at a time, instead of batches. With 1, a bare sync is measured too, and
    /// what a transfer takes above it.
    #[arg(long, value_name = "N", conflicts_with = "batch", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: Option<u32>,
    /// One account takes part in every transfer; in the end, pages of its history and its balance at past times are
    /// read.
    #[arg(long)]
    hot: bool,
    /// Number of points along the way at which rate, longest wait, memory, disk and processor time are noted. Without
    /// it, 50, and after every 250,000 transfers at least.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    points: Option<u64>,
    /// Draw the points as a picture into this file.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// In the end, make N transfers more (500,000 if not said) in another process, kill it, and measure the start
    /// after that.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "500000", value_parser = clap::value_parser!(u64).range(1..=MAX_TRANSFERS))]
    crash: Option<u64>,
    /// In the end, also measure the starts without the history's files and without anything but the journal.
    #[arg(long)]
    rebuild: bool,
    /// Before each start that is measured, have the system drop its file caches. Only root may.
    #[arg(long)]
    drop_caches: bool,
    /// Print the figures as JSON, with all points.
    #[arg(long)]
    json: bool,
}

/// The most transfers of a bench: at the most that one moves, the account that pays all of them stays within its
/// overdraft.
const MAX_TRANSFERS: u64 = 1_000_000_000;

/// Number of points at which the bench looks, and of transfers after which it does at the latest, where nobody says
/// otherwise: often enough for one long wait to show where it was.
const POINTS: u64 = 50;
const MAX_STEP: u64 = 250_000;

/// Memory that the bank may take without any accounts or transfers, and for each of them, by Kassa's own budget.
const FIXED_BYTES: f64 = 128.0 * MIB;
const BYTES_PER_ACCOUNT: f64 = 256.0;
const BYTES_PER_TRANSFER: f64 = 2.0;

/// Share of the first tenth's rate that the last should have, by Kassa's own budget.
const LEAST_GROWTH_RATIO: f64 = 0.8;

const MIB: f64 = 1_048_576.0;

/// The figures.
#[derive(Debug, Serialize)]
struct Figures {
    accounts: u32,
    transfers: u64,
    batch: u64,
    callers: u32,
    hot: bool,
    seconds: f64,
    transfers_per_s: f64,
    /// The rate over the last tenth by that over the first.
    growth_ratio: Option<f64>,
    /// From sending a batch (or one caller's transfer) until its answer.
    batch_ms_p50: f64,
    batch_ms_p99: f64,
    batch_ms_max: f64,
    /// Writing one page into a file and syncing it, and what a lone transfer takes above that, by their medians. Only
    /// with a single caller.
    sync_us: Option<f64>,
    added_latency_us: Option<f64>,
    /// Number of transfers made durable together (group commit), on average.
    transfers_per_run: f64,
    /// Time that took, from sealing to synced, on average.
    append_ms_mean: f64,
    journal_bytes_per_transfer: f64,
    /// All that was written to disk until the bank had stopped in order, and how it splits: what the folder grew by,
    /// by kind of file, and what was written again or has gone since, such as the log before its database.
    written_bytes_per_transfer: f64,
    kept_bytes_per_transfer: BTreeMap<String, f64>,
    rewritten_bytes_per_transfer: f64,
    rss_bytes_at_start: u64,
    rss_bytes: u64,
    /// Memory that a transfer adds: by the straight line nearest to the points of the second half; from a tenth of the
    /// transfers to the end; and above a fixed 128 MiB and 256 bytes an account.
    slope_bytes_per_transfer: Option<f64>,
    growth_bytes_per_transfer: Option<f64>,
    above_128_mib_bytes_per_transfer: f64,
    cpu_s: f64,
    /// The orderly stop after the transfers.
    stop_s: f64,
    #[serde(flatten)]
    starts: Starts,
    /// The hot account's past.
    #[serde(flatten)]
    past: Option<Past>,
    points: Vec<Point>,
}

/// Time that the bank takes to open, in a fresh process, and the memory this has in use right afterwards.
#[derive(Debug, Serialize)]
struct Starts {
    /// `true` if the system's file caches were dropped before.
    dropped_caches: bool,
    /// After an orderly stop.
    start_s: f64,
    start_rss_bytes: u64,
    /// After so many transfers more and a kill.
    transfers_before_crash: Option<u64>,
    start_after_crash_s: Option<f64>,
    start_after_crash_rss_bytes: Option<u64>,
    /// Without what is derived from the journal, but with the checkpoint; none where there is nothing else.
    start_without_history_s: Option<f64>,
    start_without_history_rss_bytes: Option<u64>,
    /// From the journal alone.
    start_from_journal_s: Option<f64>,
    start_from_journal_rss_bytes: Option<u64>,
}

pub(super) fn run(bench: &LedgerBench, program: &Program) -> Result<(), Failure> {
    // A bench that can't work is refused before the transfers are made, not after.
    if bench.drop_caches {
        process::drop_caches()?;
    }
    if let Some(path) = &bench.svg {
        check_writable(path).map_err(|error| not_written(path, &error))?;
    }
    let folder = OwnFolder::make(&bench.data)?;
    let asked = bench.clone();
    let own_program = *program;
    let measured = until_interrupted(program, move |runtime| measure(&asked, runtime, &own_program));
    drop(folder);
    let figures = measured?;
    if let Some(path) = &bench.svg {
        fs::write(path, picture(&figures).svg()).map_err(|error| not_written(path, &error))?;
    }
    if bench.json { program.json(&figures) } else { print(&figures, program) }
}

/// Checks that a file can be written, and leaves it as it is, or as missing as it was.
fn check_writable(path: &Path) -> io::Result<()> {
    let was_there = path.exists();
    OpenOptions::new().append(true).create(true).open(path)?;
    if was_there { Ok(()) } else { fs::remove_file(path) }
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("the picture {} can't be written: {error}", path.display()))
}

fn measure(bench: &LedgerBench, runtime: &Handle, program: &Program) -> Result<Figures, Failure> {
    let LedgerBench { accounts, transfers, hot, .. } = *bench;
    let folder = &*bench.data;
    let key = own_bank::new_key()?;
    let master = own_bank::master_key(&key)?;
    make_bank(&Engine::create(folder, &master, Arc::new(SystemClock))?, accounts, runtime, program)?;
    let disk_before = process::disk_bytes(folder)?;
    let lone = bench.callers == Some(1);
    let mut syncs = Waits::new();
    if lone {
        process::note_syncs(folder, &mut syncs)?;
    }

    let engine = Engine::open(folder, &master, Options::default(), Arc::new(SystemClock), &mut |_| {})?;
    let traffic = Arc::new(Traffic::new(engine.clone(), accounts, hot)?);
    let bar = program.bar("transfers", transfers);
    let rss_bytes_at_start = process::rss_bytes()?;
    let meter = Arc::new(Meter::begin(folder.to_owned(), step(bench))?);
    match bench.callers {
        Some(callers) => runtime.block_on(one_at_a_time(&traffic, transfers, callers, &meter, &bar))?,
        None => runtime.block_on(in_batches(&traffic, (0, transfers), bench.batch, &meter, &bar))?,
    }
    let (waits, points) = meter.end()?;
    bar.finish_and_clear();
    let engine::Measures { runs, append_us, last_event, .. } = engine.measures()?;
    drop(traffic);
    let stopping = std::time::Instant::now();
    engine.stop();
    drop(engine);
    let stop_s = stopping.elapsed().as_secs_f64();
    let written = meter.written_bytes()? as f64;
    if lone {
        process::note_syncs(folder, &mut syncs)?;
    }

    let each = |amount: f64| amount / transfers as f64;
    let kept: BTreeMap<String, f64> = grown(&disk_before, &process::disk_bytes(folder)?)
        .into_iter()
        .map(|(kind, bytes)| (kind, each(bytes)))
        .collect();
    let (starts, past) = starts(bench, &key, last_event)?;
    let end = points.last().ok_or_else(unexpected)?;
    let sync_us = lone.then(|| syncs.percentile_ms(50) * 1_000.0);
    Ok(Figures {
        accounts,
        transfers,
        batch: if bench.callers.is_some() { 1 } else { bench.batch },
        callers: bench.callers.unwrap_or(1),
        hot,
        seconds: end.seconds,
        transfers_per_s: transfers as f64 / end.seconds,
        growth_ratio: meter::growth_ratio(&points),
        batch_ms_p50: waits.percentile_ms(50),
        batch_ms_p99: waits.percentile_ms(99),
        batch_ms_max: waits.longest_ms(),
        sync_us,
        added_latency_us: sync_us.map(|sync_us| waits.percentile_ms(50) * 1_000.0 - sync_us),
        transfers_per_run: transfers as f64 / runs.max(1) as f64,
        append_ms_mean: append_us as f64 / runs.max(1) as f64 / 1_000.0,
        journal_bytes_per_transfer: kept
            .iter()
            .filter(|(kind, _)| kind.starts_with("journal"))
            .map(|(_, each)| each)
            .sum(),
        written_bytes_per_transfer: each(written),
        rewritten_bytes_per_transfer: each(written) - kept.values().sum::<f64>(),
        kept_bytes_per_transfer: kept,
        rss_bytes_at_start,
        rss_bytes: end.rss_bytes,
        slope_bytes_per_transfer: meter::slope_bytes(&points),
        growth_bytes_per_transfer: meter::growth_bytes(&points),
        above_128_mib_bytes_per_transfer: each(end.rss_bytes as f64 - allowed_bytes(accounts)),
        cpu_s: end.cpu_s,
        stop_s,
        starts,
        past,
        points,
    })
}

/// The transfers between two points.
fn step(bench: &LedgerBench) -> u64 {
    match bench.points {
        Some(points) => bench.transfers.div_ceil(points),
        None => bench.transfers.div_ceil(POINTS).min(MAX_STEP),
    }
}

/// Returns the memory that the bank may take before the first transfer.
fn allowed_bytes(accounts: u32) -> f64 {
    FIXED_BYTES + BYTES_PER_ACCOUNT * f64::from(accounts)
}

/// Founds the bank, with its customers signed in and their accounts open, and stops it.
fn make_bank(engine: &Engine, accounts: u32, runtime: &Handle, program: &Program) -> Result<(), Failure> {
    let customers = accounts.div_ceil(ACCOUNTS_PER_CUSTOMER);
    let bar = program.bar("accounts", u64::from(accounts) + u64::from(customers));
    runtime.block_on(async {
        own_bank::found(engine).await?;
        own_bank::add_customers(engine, customers, program, &bar).await?;
        own_bank::sign_in(engine, customers).await?;
        own_bank::open_accounts(engine, accounts, ACCOUNTS_PER_CUSTOMER, &bar).await
    })?;
    engine.stop();
    bar.finish_and_clear();
    Ok(())
}

/// Returns the bytes by which each kind of file has grown; less than nothing where it has shrunk.
fn grown(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    let of = |bytes: &BTreeMap<String, u64>, kind| bytes.get(kind).map_or(0.0, |bytes| *bytes as f64);
    before.keys().chain(after.keys()).map(|kind| (kind.clone(), of(after, kind) - of(before, kind))).collect()
}

/// Starts the stopped bank again and again, and looks into its past after the first start.
fn starts(bench: &LedgerBench, key: &str, mut last_event: u64) -> Result<(Starts, Option<Past>), Failure> {
    let folder = &*bench.data;
    let mut start = |task| {
        if bench.drop_caches {
            process::drop_caches()?;
        }
        let mut fresh = Fresh::start(&Order { folder: folder.to_owned(), master_key: key.to_owned(), task })?;
        let (opened, done) = (fresh.opened, fresh.done()?);
        // A start that forgot something would be no start. Each books an event of its own, that it has taken over.
        if opened.last_event <= last_event {
            let lost = format!("the bank opened with {} events, of {last_event} that were durable", opened.last_event);
            return Err(Failure::new(lost));
        }
        last_event = done.last_event;
        Ok::<_, Failure>((fresh, opened, done))
    };
    let (fresh, opened, done) = start(if bench.hot { Task::ReadPast } else { Task::Nothing })?;
    fresh.stop()?;
    let mut again = || -> Result<Opened, Failure> {
        let (fresh, opened, _) = start(Task::Nothing)?;
        fresh.stop()?;
        Ok(opened)
    };
    let (mut without_history, mut from_journal) = (None, None);
    if bench.rebuild {
        without_history = process::remove_derived(folder, Derived::History)?.then(&mut again).transpose()?;
        process::remove_derived(folder, Derived::All)?;
        from_journal = Some(again()?);
    }
    let mut after_crash = None;
    if let Some(more) = bench.crash {
        let LedgerBench { transfers: first, accounts, batch, hot, .. } = *bench;
        start(Task::Transfer { first, end: first + more, batch, accounts, hot })?.0.kill()?;
        let (fresh, opened, _) = start(Task::Nothing)?;
        fresh.stop()?;
        after_crash = Some(opened);
    }
    let seconds = |opened: Option<Opened>| opened.map(|opened| opened.seconds);
    let rss_bytes = |opened: Option<Opened>| opened.map(|opened| opened.rss_bytes);
    let starts = Starts {
        dropped_caches: bench.drop_caches,
        start_s: opened.seconds,
        start_rss_bytes: opened.rss_bytes,
        transfers_before_crash: bench.crash,
        start_after_crash_s: seconds(after_crash),
        start_after_crash_rss_bytes: rss_bytes(after_crash),
        start_without_history_s: seconds(without_history),
        start_without_history_rss_bytes: rss_bytes(without_history),
        start_from_journal_s: seconds(from_journal),
        start_from_journal_rss_bytes: rss_bytes(from_journal),
    };
    Ok((starts, done.past))
}

fn print(figures: &Figures, program: &Program) -> Result<(), Failure> {
    let transfers = grouped(&figures.transfers.to_string());
    program.line(format_args!("{transfers} transfers. {}, {}.\n", among(figures), sent(figures)))?;
    let mib = |bytes: u64| bytes as f64 / MIB;
    let mut table = Table::default();
    table.add("rate", figures.transfers_per_s, 0, "transfers/s");
    table.add_some("  last tenth against the first", figures.growth_ratio.map(|ratio| ratio * 100.0), 1, "%");
    table.add("time", figures.seconds, 2, "s");
    table.add("  of processors", figures.cpu_s, 2, "s");
    table.add("answer, median", figures.batch_ms_p50, 3, "ms");
    table.add("answer, 99 %", figures.batch_ms_p99, 3, "ms");
    table.add("answer, longest", figures.batch_ms_max, 3, "ms");
    table.add_some("bare sync, median", figures.sync_us, 0, "µs");
    table.add_some("lone transfer above it", figures.added_latency_us, 0, "µs");
    table.add("append, mean", figures.append_ms_mean, 3, "ms");
    table.add("  holds", figures.transfers_per_run, 1, "transfers");
    table.add("written to disk", figures.written_bytes_per_transfer, 1, "bytes/transfer");
    // The lock, the head mark and the like don't grow.
    for (kind, each) in figures.kept_bytes_per_transfer.iter().filter(|(_, each)| each.abs() >= 0.05) {
        table.add(format!("  kept in {kind}"), *each, 1, "bytes/transfer");
    }
    table.add("  written again or gone", figures.rewritten_bytes_per_transfer, 1, "bytes/transfer");
    table.add("memory", mib(figures.rss_bytes), 1, "MiB");
    table.add("  before the transfers", mib(figures.rss_bytes_at_start), 1, "MiB");
    table.add_some("  growth, second half", figures.slope_bytes_per_transfer, 2, "bytes/transfer");
    table.add_some("  growth, after a tenth", figures.growth_bytes_per_transfer, 2, "bytes/transfer");
    table.add(
        "  above 128 MiB + 256 B an account",
        figures.above_128_mib_bytes_per_transfer.max(0.0),
        2,
        "bytes/transfer",
    );
    table.add("stop", figures.stop_s, 2, "s");
    let Starts { start_after_crash_rss_bytes, start_without_history_rss_bytes, start_from_journal_rss_bytes, .. } =
        figures.starts;
    for (name, seconds, rss_bytes) in [
        ("start", Some(figures.starts.start_s), Some(figures.starts.start_rss_bytes)),
        ("start without history files", figures.starts.start_without_history_s, start_without_history_rss_bytes),
        ("start from the journal alone", figures.starts.start_from_journal_s, start_from_journal_rss_bytes),
        ("start after a crash", figures.starts.start_after_crash_s, start_after_crash_rss_bytes),
    ] {
        table.add_some(name, seconds, 3, "s");
        table.add_some("  memory then", rss_bytes.map(mib), 1, "MiB");
    }
    if let Some(past) = &figures.past {
        table.add("page of history, median", past.page_ms_p50, 3, "ms");
        table.add("page of history, 99 %", past.page_ms_p99, 3, "ms");
        table.add("page of history, longest", past.page_ms_max, 3, "ms");
        table.add("past balance, median", past.balance_at_ms_p50, 3, "ms");
        table.add("past balance, 99 %", past.balance_at_ms_p99, 3, "ms");
        table.add("past balance, longest", past.balance_at_ms_max, 3, "ms");
    }
    table.print(program)
}

/// Among which accounts the transfers are made, in words.
fn among(figures: &Figures) -> String {
    let hot = if figures.hot { ", one of them in every transfer" } else { "" };
    format!("Among {} accounts{hot}", grouped(&figures.accounts.to_string()))
}

/// Says in words how they are sent.
fn sent(figures: &Figures) -> String {
    match (figures.batch, figures.callers) {
        (1, 1) => "one at a time".to_owned(),
        (1, callers) => format!("by {} callers with one each at a time", grouped(&callers.to_string())),
        (batch, _) => format!("in batches of {}", grouped(&batch.to_string())),
    }
}

fn picture(figures: &Figures) -> Picture {
    let series = |figure: fn(&Point) -> f64| -> Vec<(f64, f64)> {
        figures.points.iter().map(|point| (point.transfers as f64, figure(point))).collect()
    };
    let first_tenth = meter::first_tenth_rate(&figures.points);
    let allowed = allowed_bytes(figures.accounts);
    let transfers = figures.transfers as f64;
    let rate = Panel {
        title: "Transfers per second",
        note: figures
            .growth_ratio
            .map_or(String::new(), |ratio| format!("last tenth: {:.0} % of the first", ratio * 100.0)),
        colour: "#1f6feb",
        shape: Shape::Steps,
        points: series(|point| point.transfers_per_s),
        limit: first_tenth
            .map(|rate| rate * LEAST_GROWTH_RATIO)
            .map(|rate| Limit { name: "80 % of the first tenth", ends: (rate, rate) }),
    };
    let mut memory = series(|point| point.rss_bytes as f64 / MIB);
    memory.insert(0, (0.0, figures.rss_bytes_at_start as f64 / MIB));
    let memory = Panel {
        title: "Memory (MiB)",
        note: figures
            .slope_bytes_per_transfer
            .map_or(String::new(), |slope| format!("second half: {slope:.1} B/transfer")),
        colour: "#8250df",
        shape: Shape::Line,
        points: memory,
        limit: Some(Limit {
            name: "budget: 128 MiB, 256 B/account, 2 B/transfer",
            ends: (allowed / MIB, (allowed + BYTES_PER_TRANSFER * transfers) / MIB),
        }),
    };
    let ms = |ms: f64| if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") };
    let wait = Panel {
        title: if figures.batch == 1 { "Longest wait for an answer (ms)" } else { "Longest wait for a batch (ms)" },
        note: format!("longest: {}; median: {}", ms(figures.batch_ms_max), ms(figures.batch_ms_p50)),
        colour: "#bc4c00",
        shape: Shape::Bars,
        points: series(|point| point.batch_ms_max),
        limit: None,
    };
    Picture {
        title: format!("Kassa over {} transfers", grouped(&figures.transfers.to_string())),
        subtitle: [
            format!("{}, {}.", among(figures), sent(figures)),
            "Each is checked, encrypted and synced to disk before its answer.".into(),
        ],
        across: "Transfers behind",
        panels: vec![rate, memory, wait],
    }
}
