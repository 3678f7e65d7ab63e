//! The benches, in small: that they run to their end, tell all they promise and leave nothing behind. What the figures
//! are is no matter of tests.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Folder, fails, kassa, succeeds};

/// Runs `kassa bench` in a folder of its own, and gives the figures.
fn bench(of: &str, flags: &[&str]) -> Value {
    let folder = Folder::new();
    let told = succeeds(&[&["bench", of, "--json", "--data", folder.data()], flags].concat(), "");
    assert!(!folder.data.exists(), "the bench removes its folder");
    serde_json::from_str(&told).expect("JSON")
}

fn has_numbers(figures: &Value, names: &[&str]) {
    for name in names {
        assert!(figures[name].is_number(), "{name} in {figures}");
    }
}

#[test]
fn the_ledgers_bench_tells_how_it_grows_and_starts() {
    let beside = tempfile::tempdir().expect("a folder");
    let picture = beside.path().join("growth.svg");
    let small = ["--accounts", "10", "--transfers", "2000", "--batch", "20", "--points", "20", "--hot"];
    let more = ["--crash=300", "--rebuild", "--svg", picture.to_str().expect("a plain path")];
    let figures = bench("ledger", &[&small[..], &more].concat());
    has_numbers(
        &figures,
        &[
            "transfers_per_s",
            "growth_ratio",
            "batch_ms_p50",
            "batch_ms_p99",
            "batch_ms_max",
            "journal_bytes_per_transfer",
            "written_bytes_per_transfer",
            "rewritten_bytes_per_transfer",
            "rss_bytes_at_start",
            "rss_bytes",
            "slope_bytes_per_transfer",
            "growth_bytes_per_transfer",
            "above_128_mib_bytes_per_transfer",
            "cpu_s",
            "stop_s",
            "start_s",
            "start_rss_bytes",
            "start_after_crash_s",
            "start_after_crash_rss_bytes",
            "start_from_journal_s",
            "start_from_journal_rss_bytes",
            "page_ms_p50",
            "page_ms_p99",
            "page_ms_max",
            "balance_at_ms_p50",
            "balance_at_ms_p99",
            "balance_at_ms_max",
        ],
    );
    assert_eq!(figures["account_entries"], 2_000);
    has_numbers(&figures["kept_bytes_per_transfer"], &["journal.db"]);
    let points = figures["points"].as_array().expect("points");
    assert_eq!(points.iter().map(|point| point["transfers"].as_u64()).collect::<Vec<_>>(), {
        (1..=20).map(|point| Some(point * 100)).collect::<Vec<_>>()
    });
    for point in points {
        let names = ["seconds", "transfers_per_s", "batch_ms_max", "rss_bytes", "written_bytes", "cpu_s"];
        has_numbers(point, &names);
        has_numbers(&point["disk_bytes"], &["journal.db", "journal.db-wal"]);
    }
    let svg = fs::read_to_string(&picture).expect("a picture");
    check_well_formed(&svg);
    for words in ["Kassa over 2,000 transfers", "Transfers per second", "Memory (MiB)", "Longest wait", "2,000</text>"]
    {
        assert!(svg.contains(words), "{words} in {svg}");
    }
}

/// Checks that every element is closed where it should be.
fn check_well_formed(svg: &str) {
    let mut open = Vec::new();
    for (place, _) in svg.match_indices('<') {
        let tag = svg[place + 1..].split('>').next().expect("the tag's end");
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in <{tag}>");
        let name = tag.split([' ', '/']).next().expect("a name");
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    assert!(!svg.contains("NaN") && !svg.contains("&"), "{svg}");
}

#[test]
fn a_lone_transfer_is_compared_with_a_sync() {
    let figures = bench("ledger", &["--accounts", "10", "--transfers", "50", "--callers", "1"]);
    has_numbers(&figures, &["sync_us", "added_latency_us"]);
    let together = bench("ledger", &["--accounts", "10", "--transfers", "50", "--callers", "4"]);
    assert!(together["sync_us"].is_null() && together["start_after_crash_s"].is_null(), "{together}");
    assert_eq!(together["points"].as_array().map(Vec::len), Some(50));
}

#[test]
fn the_memory_bench_tells_what_one_of_many_takes() {
    let figures = bench("memory", &["--accounts", "3000", "--customers", "300"]);
    has_numbers(
        &figures,
        &[
            "bytes_per_customer",
            "bytes_per_account",
            "bytes_per_customer_after_start",
            "bytes_per_account_after_start",
            "rss_bytes_empty",
            "rss_bytes_with_customers",
            "rss_bytes_with_accounts",
        ],
    );
}

#[test]
fn the_streams_bench_tells_what_one_takes_and_that_none_was_lost() {
    for version in [&[][..], &["--http2"]] {
        let small = ["--streams", "20", "--payments", "50", "--callers", "3"];
        let figures = bench("streams", &[&small[..], version].concat());
        has_numbers(
            &figures,
            &[
                "open_s",
                "rss_bytes_before",
                "rss_bytes_open",
                "rss_bytes_after_payments",
                "bytes_per_stream",
                "payments_per_s",
                "told_ms_p50",
                "told_ms_p99",
                "told_ms_max",
                "all_told_ms",
            ],
        );
        assert_eq!((&figures["lost"], &figures["twice"]), (&Value::from(0), &Value::from(0)), "{figures}");
    }
}

#[test]
fn the_http_bench_tells_how_near_to_an_echo_payments_come() {
    let small = ["--connections", "4", "--accounts", "2", "--seconds", "1", "--rounds", "3", "--batch-lines", "300"];
    let figures = bench("http", &small);
    let positive = [
        "sync_us",
        "floor_per_s",
        "payments_per_s",
        "ratio",
        "server_cpu_us_per_echo",
        "client_cpu_us_per_echo",
        "server_cpu_us_per_payment",
        "client_cpu_us_per_payment",
        "floor_latency_ms_p50",
        "floor_latency_ms_p99",
        "latency_ms_p50",
        "latency_ms_p99",
        "payments_per_run",
        "append_ms_mean",
        "half_load_per_s",
        "half_load_latency_ms_p50",
        "half_load_latency_ms_p99",
        "balance_per_s",
        "server_cpu_us_per_balance",
        "entries_per_s",
        "server_cpu_us_per_entries",
        "batch_lines_per_s",
        "server_cpu_us_per_batch_line",
        "payments_answered",
    ];
    for name in positive {
        assert!(figures[name].as_f64().is_some_and(|number| number > 0.0), "{name} in {figures}");
    }
    for (name, number) in [("connections", 4), ("accounts", 8), ("seconds", 1), ("rounds", 3), ("errors", 0)] {
        assert_eq!(figures[name], number, "{name} in {figures}");
    }
    for rounds in ["floor_rounds_per_s", "payments_rounds_per_s"] {
        assert_eq!(figures[rounds].as_array().map(Vec::len), Some(3), "{rounds} in {figures}");
    }
    assert_eq!(figures["payments_booked"], figures["payments_answered"], "{figures}");
}

#[test]
fn a_part_of_the_http_bench_can_be_measured_alone() {
    let small = ["--connections", "2", "--accounts", "2", "--seconds", "1", "--rounds", "1"];
    let figures = bench("http", &[&small[..], &["--only", "floor"]].concat());
    has_numbers(&figures, &["floor_per_s"]);
    assert!(figures["payments_per_s"].is_null() && figures["ratio"].is_null(), "{figures}");
    assert_eq!(figures["payments_booked"], 0, "an echo books nothing: {figures}");

    let folder = Folder::new();
    let flags = [&["bench", "http", "--data", folder.data()], &small[..], &["--only", "balance"]].concat();
    let output = super::run(&mut kassa(&flags), "");
    let (told, aside) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && aside.contains("the server is process "), "{aside}");
    assert!(told.starts_with("2 connections, 4 accounts, "), "{told}");
    for line in ["balances ", "wrong answers ", "bare sync, median "] {
        assert!(told.lines().any(|told| told.starts_with(line)), "{line} in {told}");
    }
    assert!(!told.contains("echoes/s"), "{told}");

    let half = ["bench", "http", "--data", folder.data(), "--only", "half-load"];
    assert!(fails(&half, "").contains("--only payments"));
}

#[test]
fn people_read_a_line_for_each_figure() {
    let folder = Folder::new();
    let told = succeeds(&["bench", "ledger", "--data", folder.data(), "--accounts", "1000", "--transfers", "3000"], "");
    assert!(told.starts_with("3,000 transfers. Among 1,000 accounts, in batches of 8,190.\n\n"), "{told}");
    for line in ["rate ", "answer, longest ", "memory ", "stop ", "start "] {
        assert!(told.lines().any(|told| told.starts_with(line)), "{line} in {told}");
    }
}

#[test]
fn what_can_not_be_measured_is_said_before() {
    let folder = Folder::new();
    fs::create_dir(&folder.data).expect("a folder");
    let kept = folder.data.join("kept");
    fs::write(&kept, "").expect("a file");
    for of in ["ledger", "memory", "http", "streams"] {
        let told = fails(&["bench", of, "--data", folder.data()], "");
        assert!(told.contains("is there already"), "{told}");
        assert!(kept.exists(), "nobody else's folder is touched");
    }
    let nowhere = folder.data.join("no/picture.svg");
    let data = folder.data.join("bank");
    let flags = ["bench", "ledger", "--data", data.to_str().expect("plain"), "--svg", nowhere.to_str().expect("plain")];
    assert!(fails(&flags, "").contains("can't be written"));
    assert!(!data.exists());
    assert!(fails(&["bench", "part"], "what?\n").contains("kassa bench ledger"));
    assert!(fails(&["bench", "served"], "what?\n").contains("kassa bench http"));
}

#[test]
fn an_interrupted_bench_leaves_nothing() {
    let folder = Folder::new();
    let flags = ["bench", "ledger", "--data", folder.data(), "--accounts", "10", "--transfers", "1000000000"];
    let child = kassa(&flags).spawn().expect("starts");
    let log = folder.data.join("journal.db-wal");
    until(|| fs::metadata(&log).is_ok_and(|log| log.len() > 1_000_000));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("interrupted") && !told.contains("panicked"), "{told}");
    assert!(!Path::new(folder.data()).exists());
}

fn until(holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it took longer than a minute");
}
