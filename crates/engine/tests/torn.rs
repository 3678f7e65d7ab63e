//! Torn copies of a whole bank: all that reads one ends after no more than there is, in words; and accepting a loss
//! changes nothing as long as the bank doesn't open.

#[path = "../../journal/tests/tearing/mod.rs"]
mod tearing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bank::{
    AccountCommand, Body, Caller, Command, Numbering, OpenAccount, Origin, Pay, PaymentCommand, Purpose, State,
    SystemCommand, UserId,
};
use engine::{Engine, OpenError, Options, Outcome, Recorded, Replay, Submission, SystemClock, verify};
use journal::MasterKey;
use ledger::{AccountId, Currency, Kind, Leg, Money, Overdraft};
use tearing::{TEARS, Tear, draw, torn};

const SEEDS: u64 = 3;

/// So many that the journal's tree, and the checkpoint's, have interior pages with children to be put out of order.
const PAYMENTS: u64 = 6_000;
const ACCOUNTS: u32 = 1_500;

/// A bank at two times, as an orderly stop left it.
struct Bench {
    dir: tempfile::TempDir,
    master: MasterKey,
    older: Files,
    newer: Files,
    events: u64,
}

/// The contents of a folder's files by their paths within it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency")
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn submit(engine: &Engine, bodies: impl Iterator<Item = Body>) {
    let keyed = |(place, body): (usize, Body)| {
        let request = engine.request(UserId::SYSTEM, format!("{} {place}", engine.last_durable()).as_bytes(), b"");
        Submission::from(Command { origin: Origin::default(), caller: Caller::SYSTEM, request: Some(request), body })
    };
    let outcomes = wait(engine.submit_batch(bodies.enumerate().map(keyed).collect())).expect("a batch");
    assert!(outcomes.into_iter().all(|outcome| matches!(outcome, Ok(Outcome::Accepted(_)))));
}

fn fill(engine: &Engine) {
    submit(
        engine,
        (0..ACCOUNTS / 2).map(|_| {
            let (number, currency, name, owner, opened_at) = (None, euro(), None, None, None);
            let (kind, overdraft, cash) = (Kind::Asset, Overdraft::Unlimited, false);
            Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
                number,
                currency,
                kind,
                overdraft,
                name,
                owner,
                cash,
                opened_at,
            }))
        }),
    );
    submit(
        engine,
        (0..PAYMENTS / 2).map(|place| {
            let other = AccountId(1 + u32::try_from(place).expect("a small number") % 700);
            let leg = Leg { debit: AccountId(0), credit: other, amount: Money { minor: 1, currency: euro() } };
            let (purpose, text, metadata, value_date, booked_at) = (Purpose::Payment, None, None, None, None);
            Body::Payments(PaymentCommand::Pay(Pay {
                legs: [leg].into(),
                purpose,
                text,
                metadata,
                value_date,
                booked_at,
                end_to_end_id: None,
                copies: None,
            }))
        }),
    );
}

/// All files of a folder but the index of SQLite's log, which whoever opens a database makes anew; and but an empty log.
fn files_of(folder: &Path) -> Files {
    let mut files = Files::new();
    for file in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (file.path(), PathBuf::from(file.file_name()));
        if path.is_dir() {
            files.extend(files_of(&path).into_iter().map(|(within, bytes)| (name.join(within), bytes)));
        } else if !path.to_string_lossy().ends_with("-shm") {
            files.insert(name, fs::read(&path).expect("a file"));
        }
    }
    files.retain(|name, bytes| !(bytes.is_empty() && name.to_string_lossy().ends_with("-wal")));
    files
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (data, master) = (dir.path().join("made"), MasterKey::generate());
        let engine = Engine::create(&data, &master, Arc::new(SystemClock)).expect("a new bank");
        let numbering = Numbering::new("AT", "99999").expect("a numbering");
        submit(
            &engine,
            [Body::System(SystemCommand::Found { name: "Test Bank".into(), numbering, time_zone: None })].into_iter(),
        );
        fill(&engine);
        engine.stop();
        let older = files_of(&data);
        let open = || Engine::open(&data, &master, Options::default(), Arc::new(SystemClock), &mut |_| {});
        let engine = open().expect("it opens again");
        fill(&engine);
        let events = engine.last_durable();
        engine.stop();
        let newer = files_of(&data);
        Self { dir, master, older, newer, events }
    }

    /// A copy of the newer bank, of which `change` has changed the files.
    fn copy(&self, change: impl FnOnce(&mut Files)) -> PathBuf {
        let copy = self.dir.path().join("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy).expect("removed");
        }
        let mut files = self.newer.clone();
        change(&mut files);
        for (name, bytes) in files {
            let path = copy.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        }
        copy
    }

    fn torn(&self, file: &str, tear: Tear, seed: u64) -> PathBuf {
        let name = Path::new(file);
        self.copy(|files| {
            files.insert(name.into(), torn(&self.older[name], &self.newer[name], tear, seed));
        })
    }

    fn open(&self, copy: &Path, accept_loss: bool) -> (u64, Result<Engine, OpenError>) {
        let (mut read, options) = (0, Options { accept_loss, ..Options::default() });
        let opened = Engine::open(copy, &self.master, options, Arc::new(SystemClock), &mut |_| read += 1);
        (read, opened)
    }

    /// Reads all that a program which only reads would: gives how many events came, and how it ended.
    fn export(&self, copy: &Path) -> (u64, Result<State, OpenError>) {
        let mut count = 0;
        let read = Replay::open(copy, &self.master, Options { accept_loss: true, ..Options::default() });
        let state = read.and_then(|replay| {
            replay.run(&mut |_: &State, _: &Recorded| {
                count += 1;
                Ok::<_, OpenError>(())
            })
        });
        (count, state)
    }

    /// Checks that whatever reads the copy comes to an end in words.
    fn check(&self, copy: &Path, which: &str) {
        match verify(copy, &self.master, &mut |_| {}) {
            Ok(report) => {
                assert!(report.events <= self.events, "{which}: {} events", report.events);
                assert!(report.problems.iter().all(|problem| !problem.detail.is_empty()), "{which}");
            }
            Err(error) => assert!(!error.to_string().is_empty(), "{which}"),
        }
        let (count, end) = self.export(copy);
        assert!(count <= self.events, "{which}: {count} events were exported");
        assert!(end.map_or_else(|error| !error.to_string().is_empty(), |_| true), "{which}");
        let (read, opened) = self.open(copy, false);
        assert!(read <= self.events, "{which}: {read} frames were read");
        match opened {
            Ok(engine) => self.read_on(&engine, which),
            Err(error) => assert!(!error.to_string().is_empty(), "{which}"),
        }
    }

    /// Where a copy opens, because what is out of order is behind its checkpoint: its past is read to an end.
    fn read_on(&self, engine: &Engine, which: &str) {
        for account in [0, 1, 5].map(AccountId) {
            let entries = wait(engine.entries(account, None, usize::MAX));
            assert!(entries.map_or_else(|error| !error.to_string().is_empty(), |_| true), "{which}");
        }
        let mut subscription = engine.subscribe(1);
        let (mut next, end) = (1, engine.last_durable());
        while next <= end {
            match wait(subscription.next()) {
                Ok(events) => {
                    assert_eq!(events.first().map(|event| event.number), Some(next), "{which}");
                    next += events.len() as u64;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty(), "{which}");
                    break;
                }
            }
        }
        engine.stop();
    }
}

#[test]
fn whatever_reads_a_torn_copy_of_a_bank_comes_to_an_end() {
    let bench = Bench::new();
    for tear in TEARS {
        for seed in 0..SEEDS {
            for file in ["journal.db", "checkpoint.db"] {
                let copy = bench.torn(file, tear, seed);
                bench.check(&copy, &format!("{file} {tear:?} by seed {seed}"));
            }
            // Without a checkpoint all is read from the first event on.
            let copy = bench.torn("journal.db", tear, seed);
            fs::remove_file(copy.join("checkpoint.db")).expect("removed");
            bench.check(&copy, &format!("no checkpoint, {tear:?} by seed {seed}"));
        }
    }
}

/// The journal is torn in its middle, and its end is cut off: accepting the loss fails, and the loss is told as before.
#[test]
fn a_loss_that_could_not_be_accepted_is_told_again() {
    let bench = Bench::new();
    let mut failed = 0;
    for seed in 0..4 * SEEDS {
        let copy = bench.copy(|files| {
            // The older journal beside the newer mark, checkpoint and index, with a page in its middle spoilt.
            let mut journal = bench.older[Path::new("journal.db")].clone();
            let place = journal.len() / 3 + draw(&mut { seed }, journal.len() / 3);
            journal[place..place + 64].fill(0xa5);
            files.insert("journal.db".into(), journal);
        });
        let before = files_of(&copy);
        let (_, told) = bench.open(&copy, false);
        let told = told.err().expect("it is cut").to_string();
        let (_, accepted) = bench.open(&copy, true);
        let Ok(engine) = accepted else {
            failed += 1;
            assert_eq!(files_of(&copy).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "seed {seed}");
            assert!(files_of(&copy) == before, "seed {seed}: no byte was changed");
            let (_, again) = bench.open(&copy, false);
            assert_eq!(again.err().expect("it is told again").to_string(), told);
            continue;
        };
        engine.stop();
    }
    assert!(failed > 0, "some of the places matter");
}

/// The same journal, cut at a frame and else whole: the loss is accepted, and told no more.
#[test]
fn a_loss_that_was_accepted_is_told_no_more() {
    let bench = Bench::new();
    let copy = bench.copy(|files| {
        files.insert("journal.db".into(), bench.older[Path::new("journal.db")].clone());
    });
    assert!(bench.open(&copy, false).1.is_err());
    let (_, accepted) = bench.open(&copy, true);
    let engine = accepted.expect("the loss is accepted");
    assert!(copy.join("checkpoint.lost").exists());
    engine.stop();
    let (_, again) = bench.open(&copy, false);
    again.expect("nothing is missing from here on").stop();
    assert_eq!(verify(&copy, &bench.master, &mut |_| {}).expect("readable").problems, []);
}
