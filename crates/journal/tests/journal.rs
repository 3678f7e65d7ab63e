//! The journal as its users see it: what it promises, refuses and notices.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::{
    AppendError, Frame, Head, Journal, KeyError, MasterKey, OpenError, PAGE_BYTES, PageReader, PageWriter, PlainFrame,
    ReadError, Reader, SealedRun, SubjectKey, Verified, open_field, seal_field, verify,
};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    master: MasterKey,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), master: MasterKey::generate() }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn create(&self) -> Journal {
        Journal::create(&self.dir(), &self.master).unwrap()
    }

    fn open(&self) -> Result<Journal, OpenError> {
        Journal::open(&self.dir(), &self.master, false)
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.dir(), &self.master).unwrap()
    }

    /// A closed journal of six frames in three runs of two, four events a frame.
    fn filled() -> Self {
        let bench = Self::new();
        let mut journal = bench.create();
        for _ in 0..3 {
            append(&mut journal, 2);
        }
        journal.close().unwrap();
        bench
    }

    /// A copy of the folder as a crash now would leave it: write-ahead log included.
    fn crashed(&self) -> Self {
        let copy = Self { dir: tempfile::tempdir().unwrap(), master: self.master.clone() };
        fs::create_dir(copy.dir()).unwrap();
        for name in ["journal.db", "journal.db-wal", "head"] {
            fs::copy(self.dir().join(name), copy.dir().join(name)).unwrap();
        }
        copy
    }

    fn sql(&self, statement: &str) {
        let conn = rusqlite::Connection::open(self.dir().join("journal.db")).unwrap();
        conn.execute_batch(statement).unwrap();
    }

    /// Flips a bit of the third frame.
    fn flip(&self, column: &str, byte: usize) {
        let conn = rusqlite::Connection::open(self.dir().join("journal.db")).unwrap();
        let select = format!("SELECT {column} FROM frames WHERE first_event = 9");
        let mut bytes: Vec<u8> = conn.query_row(&select, [], |row| row.get(0)).unwrap();
        bytes[byte] ^= 1;
        conn.execute(&format!("UPDATE frames SET {column} = ?1 WHERE first_event = 9"), [bytes]).unwrap();
    }

    fn verify(&self) -> Verified {
        verify(&self.dir(), &self.master, &mut |_| {}).unwrap()
    }

    /// The problems as "frame kind".
    fn problems(&self) -> Vec<String> {
        self.verify().problems.iter().map(|p| format!("{} {}", p.frame, p.kind.as_str())).collect()
    }
}

fn frames(after: Head, count: u64) -> Vec<PlainFrame> {
    let first = |i| after.last_event + 1 + 4 * i;
    (0..count).map(|i| PlainFrame { first_event: first(i), count: 4, body: body(first(i)) }).collect()
}

fn body(first_event: u64) -> Vec<u8> {
    format!("four events from {first_event} on").into_bytes()
}

fn seal(journal: &mut Journal, after: Head, count: u64) -> SealedRun {
    journal.seal(1_000, frames(after, count), Vec::new())
}

fn append(journal: &mut Journal, count: u64) -> SealedRun {
    let head = journal.head();
    let run = seal(journal, head, count);
    assert_eq!(journal.append(&run).unwrap(), run.head());
    run
}

fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.seq).collect()
}

#[test]
fn what_is_appended_is_read_back() {
    let bench = Bench::new();
    let mut journal = bench.create();
    assert_eq!((journal.head().seq, journal.head().last_event), (0, 0));
    let mut reader = journal.reader().unwrap();
    assert_eq!(reader.head().unwrap(), journal.head());
    assert!(reader.frames_from(1, 10).unwrap().is_empty());

    append(&mut journal, 2);
    let run = append(&mut journal, 3);
    assert_eq!((run.head().seq, run.head().last_event), (5, 20));
    assert_eq!(reader.head().unwrap(), journal.head());

    let read = reader.frames_from(1, 10).unwrap();
    assert_eq!(numbers(&read), [1, 2, 3, 4, 5]);
    assert_eq!(read.iter().map(|f| f.end_mark).collect::<Vec<_>>(), [false, true, false, false, true]);
    for frame in &read {
        assert_eq!((frame.count, frame.time_ms), (4, 1_000));
        assert_eq!(frame.first_event, 4 * (frame.seq - 1) + 1);
        assert_eq!(frame.body, body(frame.first_event));
    }

    for (event, max, want) in [
        (0, 9, &[1, 2, 3, 4, 5][..]),
        (4, 1, &[1]),
        (5, 2, &[2, 3]),
        (19, 9, &[5]),
        (21, 9, &[]),
        (u64::MAX, 9, &[]),
        (9, 0, &[]),
    ] {
        assert_eq!(numbers(&reader.frames_from(event, max).unwrap()), want, "from {event}, at most {max}");
    }
    for (event, want) in [(0, None), (1, Some(1)), (8, Some(2)), (9, Some(3)), (20, Some(5)), (21, None)] {
        assert_eq!(reader.frame_with(event).unwrap().map(|frame| frame.seq), want, "with {event}");
    }
}

#[test]
fn reopening_continues_the_chain_under_a_fresh_key() {
    let bench = Bench::new();
    append(&mut bench.create(), 2);
    let mut reader = bench.reader();
    assert_eq!(reader.frames_from(1, 9).unwrap().len(), 2);
    for _ in 0..2 {
        let mut journal = bench.open().unwrap();
        append(&mut journal, 1);
        journal.close().unwrap();
    }
    assert_eq!(numbers(&reader.frames_from(1, 9).unwrap()), [1, 2, 3, 4], "keys made after opening are picked up");
    assert_eq!(bench.problems(), [""; 0]);

    let conn = rusqlite::Connection::open(bench.dir().join("journal.db")).unwrap();
    let keys: i64 = conn.query_row("SELECT count(*) FROM data_keys", [], |row| row.get(0)).unwrap();
    let mut select = conn.prepare("SELECT substr(header, 49, 16) FROM frames").unwrap();
    let nonces: std::collections::HashSet<Vec<u8>> =
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!((keys, nonces.len()), (3, 4), "three openings with frames, four frames, no key and nonce twice");
}

#[test]
fn sealing_runs_ahead_and_runs_are_sent_again() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let empty = journal.head();
    let first = seal(&mut journal, empty, 1);
    let second = seal(&mut journal, first.head(), 2);
    assert!(matches!(journal.append(&second), Err(AppendError::Stale { expected: 1, found: 0 })));
    journal.append(&first).unwrap();
    journal.append(&second).unwrap();
    assert_eq!(journal.append(&first).unwrap(), second.head(), "it is there already");
    assert_eq!(journal.append(&second).unwrap(), second.head());
    drop(journal);

    let mut journal = bench.open().unwrap();
    assert_eq!(journal.append(&second).unwrap(), second.head(), "also after opening anew");
    assert_eq!(bench.verify().frames, 3);
}

#[test]
fn a_run_sealed_before_opening_anew_is_appended_with_its_own_key() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let empty = journal.head();
    let run = seal(&mut journal, empty, 2);
    drop(journal);
    let mut journal = bench.open().unwrap();
    journal.append(&run).unwrap();
    assert_eq!((bench.verify().frames, bench.problems().len()), (2, 0));
}

#[test]
fn after_a_failed_write_nothing_more_is_accepted() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let key = || vec![SubjectKey::generate(1, 0)];
    let first = journal.seal(0, frames(journal.head(), 1), key());
    let again = journal.seal(0, frames(first.head(), 1), key());
    journal.append(&first).unwrap();
    assert!(matches!(journal.append(&again), Err(AppendError::Storage(_))), "a subject has one key");
    assert!(matches!(journal.append(&first), Err(AppendError::Poisoned)));
    assert!(matches!(journal.destroy_subject_keys(1, None), Err(AppendError::Poisoned)));
    assert!(matches!(journal.close(), Err(AppendError::Poisoned)));
    assert_eq!(bench.open().unwrap().head(), first.head());
}

#[test]
fn the_same_subject_may_be_sent_twice() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let key = SubjectKey::generate(1, 0);
    for _ in 0..2 {
        let run = journal.seal(0, frames(journal.head(), 1), vec![key.clone()]);
        journal.append(&run).unwrap();
    }
    assert_eq!(bench.reader().subject_key(1, 0).unwrap().map(|stored| stored.key), Some(key.key));
}

#[test]
fn a_journal_that_is_gone_is_missed() {
    for damage in ["removed", "emptied"] {
        let bench = Bench::filled();
        fs::remove_file(bench.dir().join("journal.db")).unwrap();
        if damage == "emptied" {
            fs::write(bench.dir().join("journal.db"), "").unwrap();
        }
        let made = Journal::create(&bench.dir(), &bench.master).err();
        let read = Reader::open(&bench.dir(), &bench.master).err();
        for refused in [bench.open().err(), made, read] {
            assert!(matches!(refused, Some(OpenError::Lost { .. })), "{damage}: {refused:?}");
        }
    }
}

#[test]
fn a_stale_writer_is_refused() {
    let bench = Bench::new();
    let mut first = bench.create();
    append(&mut first, 1);
    // A lock file of its own lets a second writer in, as a network file system without locks would.
    fs::remove_file(bench.dir().join("lock")).unwrap();
    let mut second = bench.open().unwrap();
    append(&mut second, 1);
    let head = first.head();
    let stale = seal(&mut first, head, 1);
    assert!(matches!(first.append(&stale), Err(AppendError::Stale { expected: 1, found: 2 })));
    append(&mut second, 1);
    assert!(matches!(first.append(&stale), Err(AppendError::Stale { expected: 1, found: 3 })));
    assert_eq!(bench.problems(), [""; 0]);
}

#[test]
fn a_run_is_there_whole_or_not_at_all() {
    let bench = Bench::new();
    let mut journal = bench.create();
    append(&mut journal, 2);
    let before = journal.head();
    let size = fs::metadata(bench.dir().join("journal.db-wal")).unwrap().len();
    append(&mut journal, 200);
    let after = fs::metadata(bench.dir().join("journal.db-wal")).unwrap().len();
    assert!(after > size + 2 * 8_192, "the run takes several pages of the log");
    // Wherever the log is cut, the journal ends before the run or after it.
    let mut whole = 0;
    for cut in (size..=after).step_by(4_096).chain([after - 1, after]) {
        let copy = bench.crashed();
        let wal = fs::OpenOptions::new().write(true).open(copy.dir().join("journal.db-wal")).unwrap();
        wal.set_len(cut).unwrap();
        let head = Journal::open(&copy.dir(), &copy.master, true).unwrap().head();
        assert!(head == before || head == journal.head(), "cut at {cut}");
        assert_eq!(copy.problems(), [""; 0], "cut at {cut}");
        whole += u32::from(head == journal.head());
    }
    assert!(whole >= 1);
}

/// What is done to it, how, and the problems that are found.
type Case = (&'static str, &'static dyn Fn(&Bench), &'static [&'static str]);

#[test]
fn every_tampering_is_named_with_its_frame() {
    const SWAP: &str = "CREATE TEMP TABLE t AS SELECT * FROM frames WHERE first_event IN (9, 13);
        UPDATE frames SET (header, hash, body) =
            (SELECT header, hash, body FROM t WHERE t.first_event = 22 - frames.first_event)
        WHERE first_event IN (9, 13)";
    let cases: &[Case] = &[
        ("body", &|b| b.flip("body", 3), &["3 wrong-hash"]),
        ("tag", &|b| b.flip("body", 36), &["3 wrong-hash"]),
        ("hash", &|b| b.flip("hash", 0), &["3 wrong-hash"]),
        ("sequence", &|b| b.flip("header", 27), &["3 wrong-hash"]),
        ("time", &|b| b.flip("header", 47), &["3 wrong-hash"]),
        ("hash before", &|b| b.flip("header", 64), &["3 wrong-hash"]),
        ("first event", &|b| b.flip("header", 35), &["3 column-mismatch"]),
        ("length", &|b| b.flip("header", 99), &["3 column-mismatch"]),
        ("journal id", &|b| b.flip("header", 0), &["3 foreign-frame"]),
        ("version", &|b| b.flip("header", 17), &["3 malformed-header"]),
        ("cut header", &|b| b.sql("UPDATE frames SET header = x'00' WHERE first_event = 9"), &["3 malformed-header"]),
        ("cut body", &|b| b.sql("UPDATE frames SET body = x'00' WHERE first_event = 9"), &["3 column-mismatch"]),
        ("cut hash", &|b| b.sql("UPDATE frames SET hash = x'00' WHERE first_event = 9"), &["3 wrong-hash"]),
        ("dropped", &|b| b.sql("DELETE FROM frames WHERE first_event = 9"), &["4 sequence-gap"]),
        ("first dropped", &|b| b.sql("DELETE FROM frames WHERE first_event = 1"), &["2 sequence-gap"]),
        ("swapped", &|b| b.sql(SWAP), &["3 column-mismatch", "4 column-mismatch"]),
        ("moved", &|b| b.sql("UPDATE frames SET first_event = 10 WHERE first_event = 9"), &["3 column-mismatch"]),
        ("end", &|b| b.sql("DELETE FROM frames WHERE first_event = 21"), &["5 missing-end-mark", "5 lost-tail"]),
        ("run", &|b| b.sql("DELETE FROM frames WHERE first_event >= 17"), &["4 lost-tail"]),
        (
            "two",
            &|b| b.sql("UPDATE frames SET body = x'' WHERE first_event IN (1, 13)"),
            &["1 column-mismatch", "4 column-mismatch"],
        ),
        (
            "key",
            &|b| b.sql("UPDATE data_keys SET wrapped = zeroblob(60)"),
            &["1 unknown-key", "2 unknown-key", "3 unknown-key", "4 unknown-key", "5 unknown-key", "6 unknown-key"],
        ),
    ];
    for (name, tamper, want) in cases {
        let bench = Bench::filled();
        tamper(&bench);
        assert_eq!(bench.problems(), *want, "{name}");
        if !want.iter().any(|problem| problem.contains("lost-tail")) {
            let read = bench.reader().frames_from(1, 9);
            assert!(matches!(read, Err(ReadError::Damaged(p)) if want[0].starts_with(&p.frame.to_string())), "{name}");
        }
    }
}

#[test]
fn a_frame_forged_with_a_fitting_hash_is_not_decrypted() {
    let bench = Bench::filled();
    // The last frame, so that no frame after it contradicts the forged hash.
    let conn = rusqlite::Connection::open(bench.dir().join("journal.db")).unwrap();
    let (mut header, body): (Vec<u8>, Vec<u8>) = conn
        .query_row("SELECT header, body FROM frames WHERE first_event = 21", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    header[40] ^= 1;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[header.clone(), body].concat());
    conn.execute("UPDATE frames SET header = ?1, hash = ?2 WHERE first_event = 21", (header, hash.as_ref())).unwrap();
    drop(conn);
    assert_eq!(bench.problems()[0], "6 undecryptable");
    assert!(matches!(bench.reader().frame_with(21), Err(ReadError::Damaged(p)) if p.frame == 6));
    assert!(matches!(bench.open(), Err(OpenError::LostTail { .. })));
}

#[test]
fn frames_of_another_journal_are_refused() {
    let bench = Bench::filled();
    let other = Bench { master: bench.master.clone(), ..Bench::new() };
    append(&mut other.create(), 4);
    let from = other.dir().join("journal.db");
    bench.sql(&format!(
        "ATTACH '{}' AS other; INSERT OR IGNORE INTO data_keys SELECT * FROM other.data_keys;
         REPLACE INTO frames SELECT * FROM other.frames WHERE first_event = 9",
        from.display()
    ));
    assert_eq!(bench.problems(), ["3 foreign-frame"]);
    assert!(matches!(bench.reader().frame_with(9), Err(ReadError::Damaged(p)) if p.frame == 3));
}

#[test]
fn verify_visits_good_frames_until_the_first_problem() {
    let bench = Bench::filled();
    let mut visited = Vec::new();
    let whole = verify(&bench.dir(), &bench.master, &mut |frame| visited.push(frame.seq)).unwrap();
    assert_eq!((whole.frames, whole.events, whole.head.seq), (6, 24, 6));
    assert_eq!(whole.head, bench.reader().head().unwrap());
    assert_eq!(visited, [1, 2, 3, 4, 5, 6]);

    bench.sql("UPDATE frames SET hash = zeroblob(32) WHERE first_event = 13");
    visited.clear();
    let damaged = verify(&bench.dir(), &bench.master, &mut |frame| visited.push(frame.seq)).unwrap();
    assert_eq!((damaged.frames, damaged.events, damaged.problems.len()), (5, 20, 1));
    assert_eq!(visited, [1, 2, 3]);
}

#[test]
fn a_lost_log_is_noticed() {
    let bench = Bench::new();
    let mut journal = bench.create();
    append(&mut journal, 2);
    append(&mut journal, 2);

    let whole = bench.crashed();
    assert_eq!(whole.open().unwrap().head(), journal.head(), "a crash as such loses nothing");

    let deleted = bench.crashed();
    fs::remove_file(deleted.dir().join("journal.db-wal")).unwrap();
    assert!(matches!(deleted.open(), Err(OpenError::LostTail { marked: 4, found: 0, .. })));
    assert_eq!(deleted.problems(), ["0 lost-tail"]);

    let torn = bench.crashed();
    let wal = torn.dir().join("journal.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    let refused = torn.open().err().unwrap();
    assert!(matches!(refused, OpenError::LostTail { marked: 4, found: 2, .. }));
    assert!(refused.to_string().contains("frame 4") && refused.to_string().contains("--accept-loss"));

    assert_eq!(fs::read(&wal).unwrap(), bytes, "what is refused is left as it was");
    bytes[last] ^= 1;
    let mended = bench.crashed();
    fs::write(mended.dir().join("journal.db-wal"), &bytes).unwrap();
    assert_eq!(mended.open().unwrap().head().seq, 4);

    let mut accepted = Journal::open(&torn.dir(), &torn.master, true).unwrap();
    assert_eq!(accepted.head().seq, 2);
    append(&mut accepted, 1);
    drop(accepted);
    assert_eq!(torn.open().unwrap().head().seq, 3, "the mark was set back");
    assert_eq!(torn.problems(), [""; 0]);
}

#[test]
fn an_old_copy_is_noticed() {
    let bench = Bench::filled();
    let db = bench.dir().join("journal.db");
    let old = fs::read(&db).unwrap();
    let mut journal = bench.open().unwrap();
    append(&mut journal, 1);
    journal.close().unwrap();
    fs::write(&db, &old).unwrap();
    assert!(matches!(bench.open(), Err(OpenError::LostTail { marked: 7, found: 6, .. })));
    assert_eq!(bench.problems(), ["6 lost-tail"]);

    // Another history of the same length, or longer, is no better.
    let head = fs::read(bench.dir().join("head")).unwrap();
    let mut journal = Journal::open(&bench.dir(), &bench.master, true).unwrap();
    append(&mut journal, 2);
    journal.close().unwrap();
    fs::write(bench.dir().join("head"), head).unwrap();
    assert!(matches!(bench.open(), Err(OpenError::LostTail { marked: 7, found: 8, .. })));
    assert_eq!(bench.problems(), ["7 lost-tail"]);
}

#[test]
fn a_missing_or_foreign_head_mark_is_noticed() {
    let bench = Bench::filled();
    let mark = bench.dir().join("head");
    let damage: [&dyn Fn(); 2] = [&|| fs::remove_file(&mark).unwrap(), &|| fs::write(&mark, [7; 5_000]).unwrap()];
    for damage in damage {
        damage();
        assert!(matches!(bench.open(), Err(OpenError::NoHeadMark { found: 6, .. })));
        assert_eq!(bench.problems(), ["6 no-head-mark"]);
        drop(Journal::open(&bench.dir(), &bench.master, true).unwrap());
        assert!(bench.open().is_ok());
    }
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let bench = Bench::new();
    let says = |result: Result<Journal, OpenError>, words: &str| {
        let message = result.err().unwrap().to_string();
        assert!(message.contains(words), "{message}");
    };
    says(bench.open(), "run `kassa init`");
    assert!(!bench.dir().exists(), "looking leaves nothing behind");

    let journal = bench.create();
    says(bench.open(), "another Kassa is using");
    says(Journal::create(&bench.dir(), &bench.master), "another Kassa is using");
    drop(journal);
    says(Journal::create(&bench.dir(), &bench.master), "already");
    says(Journal::open(&bench.dir(), &MasterKey::generate(), false), "master key");
    says(Journal::open(&bench.dir(), &MasterKey::generate(), true), "master key");
    assert!(matches!(Reader::open(&bench.dir(), &MasterKey::generate()), Err(OpenError::WrongMasterKey { .. })));
    assert!(bench.open().is_ok());

    bench.sql("UPDATE meta SET format = 2");
    says(bench.open(), "run a newer Kassa");
    bench.sql("DROP TABLE meta");
    says(bench.open(), "interrupted");
}

#[test]
fn files_are_private() {
    let bench = Bench::new();
    let mut journal = bench.create();
    append(&mut journal, 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.dir()), 0o700);
    let files: Vec<_> = fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn key_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    assert!(matches!(MasterKey::read_file(&path), Err(KeyError::Missing { .. })));
    MasterKey::generate().write_new_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(MasterKey::read_file(&path).is_ok());
    assert!(matches!(MasterKey::generate().write_new_file(&path), Err(KeyError::AlreadyThere { .. })));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = MasterKey::read_file(&path).unwrap_err();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"0".repeat(10_000)] {
        fs::write(&path, text).unwrap();
        assert!(matches!(MasterKey::read_file(&path), Err(KeyError::MalformedFile { .. })));
        assert!(matches!(MasterKey::from_hex(text), Err(KeyError::Malformed)));
    }
    assert!(MasterKey::from_hex(&format!(" {}\n", "aF".repeat(32))).is_ok());
    assert_eq!(format!("{:?}", MasterKey::generate()), "MasterKey(redacted)");
}

#[test]
fn a_key_file_opens_what_it_was_written_for() {
    let bench = Bench::new();
    let path = bench.dir.path().join("master.key");
    bench.master.write_new_file(&path).unwrap();
    drop(bench.create());
    assert!(Journal::open(&bench.dir(), &MasterKey::read_file(&path).unwrap(), false).is_ok());
}

#[test]
fn destroying_a_subjects_key_erases_what_was_sealed_under_it() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let key = SubjectKey::generate(u64::MAX, 0);
    let sealed = seal_field(&key, b"name", b"Ada Lovelace");
    let run = journal.seal(0, frames(journal.head(), 1), vec![key, SubjectKey::generate(8, 0)]);
    let wrapped = {
        journal.append(&run).unwrap();
        let conn = rusqlite::Connection::open(bench.dir().join("journal.db")).unwrap();
        conn.query_row("SELECT wrapped FROM subject_keys WHERE subject = -1", [], |row| row.get::<_, Vec<u8>>(0))
            .unwrap()
    };

    let reader = journal.reader().unwrap();
    let key = reader.subject_key(u64::MAX, 0).unwrap().unwrap();
    assert_eq!(open_field(&key, b"name", &sealed).unwrap(), b"Ada Lovelace");
    assert_eq!(open_field(&key, b"street", &sealed), None);
    let other = SubjectKey { subject: 7, category: 0, key: key.key };
    assert_eq!(open_field(&other, b"name", &sealed), None);
    assert_eq!(open_field(&key, b"name", &sealed[..20]), None);
    assert_ne!(seal_field(&key, b"name", b"Ada Lovelace"), sealed, "nonces are random");

    assert!(journal.destroy_subject_keys(u64::MAX, None).unwrap());
    assert!(!journal.destroy_subject_keys(u64::MAX, None).unwrap());
    assert!(reader.subject_key(u64::MAX, 0).unwrap().is_none());
    assert!(reader.subject_key(8, 0).unwrap().is_some());
    for file in ["journal.db", "journal.db-wal"] {
        let bytes = fs::read(bench.dir().join(file)).unwrap();
        assert!(!bytes.windows(wrapped.len()).any(|window| window == wrapped), "no trace is left in {file}");
    }
    assert_eq!(bench.problems(), [""; 0], "the chain is whole");
    journal.append(&run).unwrap();
    assert!(reader.subject_key(u64::MAX, 0).unwrap().is_none(), "sending the run again doesn't bring it back");
}

#[test]
fn a_subjects_key_that_is_not_its_own_is_told() {
    for (table, category, place) in [("subject_keys", 0, ""), ("category_keys", 3, " AND category = 3")] {
        let bench = Bench::new();
        let mut journal = bench.create();
        let subjects = (0..=3_000).map(|subject| if subject == 0 { u64::MAX } else { subject });
        let keys = subjects.map(|subject| SubjectKey::generate(subject, category)).collect();
        let run = journal.seal(1_000, frames(journal.head(), 1), keys);
        journal.append(&run).unwrap();
        journal.close().unwrap();
        assert_eq!(bench.problems(), [""; 0]);
        bench.sql(&format!(
            "UPDATE {table} SET wrapped = (SELECT wrapped FROM {table} WHERE subject = 7{place}) WHERE subject = 2500"
        ));
        assert_eq!(bench.problems(), ["0 bad-subject-key"]);
        assert!(bench.verify().problems[0].detail.contains("subject 2500"));
    }
}

/// Each category of a subject has a key of its own, which opens nothing of another's and goes by itself.
#[test]
fn a_subject_has_a_key_for_each_category() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let run =
        journal.seal(0, frames(journal.head(), 1), (0..=3).map(|number| SubjectKey::generate(5, number)).collect());
    journal.append(&run).unwrap();
    journal.append(&run).unwrap();
    let reader = journal.reader().unwrap();
    let keys: Vec<SubjectKey> = (0..=3).map(|number| reader.subject_key(5, number).unwrap().unwrap()).collect();
    for (number, key) in (0..).zip(&keys) {
        assert_eq!((key.subject, key.category), (5, number));
        let sealed = seal_field(key, b"name", b"Ada Lovelace");
        for other in &keys {
            let opened = open_field(other, b"name", &sealed).is_some();
            assert_eq!(opened, other.category == key.category);
            // Nor under the same key as another category's.
            let renamed = SubjectKey { subject: 5, category: other.category, key: key.key };
            assert_eq!(open_field(&renamed, b"name", &sealed).is_some(), other.category == key.category);
        }
    }
    let there =
        |reader: &Reader| (0..=3).map(|number| reader.subject_key(5, number).unwrap().is_some()).collect::<Vec<_>>();
    assert!(journal.destroy_subject_keys(5, Some(2)).unwrap());
    assert!(!journal.destroy_subject_keys(5, Some(2)).unwrap());
    assert_eq!(there(&reader), [true, true, false, true]);
    assert!(journal.destroy_subject_keys(5, None).unwrap());
    assert_eq!(there(&reader), [false; 4]);
    assert_eq!(bench.problems(), [""; 0]);
}

/// A journal of a version without categories has no table for their keys, until it is opened for writing.
#[test]
fn a_journal_without_keys_by_category_gets_their_table() {
    let bench = Bench::new();
    bench.create().close().unwrap();
    bench.sql("DROP TABLE category_keys");
    let reader = Reader::open(&bench.dir(), &bench.master).unwrap();
    assert!(reader.subject_key(5, 1).unwrap().is_none());
    assert!(reader.subject_key(5, 0).unwrap().is_none());
    assert_eq!(bench.problems(), [""; 0]);
    let mut journal = bench.open().unwrap();
    let run = journal.seal(0, frames(journal.head(), 1), vec![SubjectKey::generate(5, 1)]);
    journal.append(&run).unwrap();
    assert!(reader.subject_key(5, 1).unwrap().is_some(), "a reader of before sees it");
    drop(journal);
    let mut journal = bench.open().unwrap();
    assert!(journal.destroy_subject_keys(5, None).unwrap());
}

#[test]
fn secrets_are_lasting_and_of_one_bank() {
    let bench = Bench::new();
    let journal = bench.create();
    let secret = journal.secrets().derive("tokens");
    assert_ne!(secret, journal.secrets().derive("index"));
    assert_eq!(secret, journal.secrets().clone().derive("tokens"));
    drop(journal);
    assert_eq!(secret, bench.open().unwrap().secrets().derive("tokens"));
    let other = Bench { master: bench.master.clone(), ..Bench::new() };
    assert_ne!(secret, other.create().secrets().derive("tokens"));
}

#[test]
fn the_log_is_moved_into_the_database_when_it_grows() {
    let bench = Bench::new();
    let mut journal = bench.create();
    let mut most = 0;
    for _ in 0..48 {
        let first_event = journal.head().last_event + 1;
        let run = journal.seal(0, vec![PlainFrame { first_event, count: 1, body: vec![0; 1 << 20] }], Vec::new());
        journal.append(&run).unwrap();
        most = most.max(journal.log_bytes());
    }
    assert!((2 << 20..4 << 20).contains(&most), "{most} bytes");
    assert!(fs::metadata(bench.dir().join("journal.db")).unwrap().len() > 30 << 20);
    journal.close().unwrap();
    assert!(!bench.dir().join("journal.db-wal").exists());
}

#[test]
fn verify_and_readers_work_beside_a_writer() {
    let bench = Bench::new();
    let mut journal = bench.create();
    append(&mut journal, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                append(&mut journal, 3);
            }
            done.store(true, Ordering::Release);
        });
        let mut reader = bench.reader();
        let mut next_event = 1;
        while !done.load(Ordering::Acquire) {
            let verified = bench.verify();
            assert_eq!(verified.problems, []);
            assert_eq!(verified.events, verified.head.last_event);
            for frame in reader.frames_from(next_event, 50).unwrap() {
                assert_eq!(frame.first_event, next_event);
                next_event += u64::from(frame.count);
            }
        }
    });
    assert_eq!(bench.verify().frames, 6_002);
}

/// Writes a file of so many pages, of which each is filled with its number and the last with 255.
fn page_file(bench: &Bench, journal: &Journal, pages: u8) -> std::path::PathBuf {
    let path = bench.dir().join("pages");
    let mut writer = PageWriter::new(fs::File::create(&path).unwrap(), &journal.secrets(), b"index").unwrap();
    for number in 0..pages {
        assert_eq!(writer.written(), u64::from(number));
        writer.write(&vec![number; PAGE_BYTES - usize::from(number)]).unwrap();
    }
    writer.finish(&[255; 10]).unwrap();
    path
}

#[test]
fn pages_are_whole_or_refused() {
    let bench = Bench::new();
    let journal = bench.create();
    let read = |path: &Path, context: &[u8]| {
        let (pages, last) = PageReader::open(fs::File::open(path)?, &journal.secrets(), context)?;
        // From the last to the first: any order will do.
        let all: std::io::Result<Vec<_>> = (0..pages.pages() - 1).rev().map(|number| pages.read(number)).collect();
        Ok::<_, std::io::Error>((all?, last))
    };
    for count in [0, 1, 5] {
        let path = page_file(&bench, &journal, count);
        let whole = fs::read(&path).unwrap();
        let (pages, last) = read(&path, b"index").unwrap();
        assert_eq!((pages.len(), &last[..11]), (usize::from(count), &[&[255; 10][..], &[0]].concat()[..]));
        for (number, page) in (0..count).rev().zip(pages) {
            assert_eq!(page, [vec![number; PAGE_BYTES - usize::from(number)], vec![0; number.into()]].concat());
        }
        assert_eq!(read(&path, b"other").unwrap_err().kind(), ErrorKind::InvalidData);
        let check = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            assert!(read(&path, b"index").is_err(), "{count} pages, {what}");
        };
        for cut in (0..whole.len()).step_by(997).chain((61..whole.len()).step_by(4096)) {
            check(&whole[..cut], "cut short");
        }
        for flip in (0..whole.len()).step_by(997).chain([61, whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[flip] ^= 1;
            check(&changed, "flipped");
        }
        check(&[&whole[..], &[0]].concat(), "lengthened by a byte");
        check(&[&whole[..], &whole[61..]].concat(), "lengthened by its own pages");
        if count > 1 {
            let (start, pages) = whole.split_at(61);
            check(&[start, &pages[4096..8192], &pages[..4096], &pages[8192..]].concat(), "two pages exchanged");
        }
    }
}

#[test]
fn a_banks_pages_and_places_are_its_own() {
    let bench = Bench::new();
    let journal = bench.create();
    let path = page_file(&bench, &journal, 3);
    let other = Bench { master: bench.master.clone(), ..Bench::new() };
    let others = other.create().secrets();
    assert!(PageReader::open(fs::File::open(&path).unwrap(), &others, b"index").is_err());

    let key = journal.secrets().place_key("checkpoint at 7");
    let sealed = key.seal(3, b"records");
    assert_eq!(sealed, key.seal(3, b"records"), "the same again is the same bytes");
    assert_eq!(key.open(3, &sealed).as_deref(), Some(&b"records"[..]));
    assert_eq!(key.open(4, &sealed), None, "another place");
    assert_eq!(journal.secrets().place_key("checkpoint at 8").open(3, &sealed), None, "another label");
    assert_eq!(others.place_key("checkpoint at 7").open(3, &sealed), None, "another bank");
    assert_eq!(key.open(3, &sealed[1..]), None, "cut short");
}

#[test]
fn writers_and_readers_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Journal>();
    is_send::<Reader>();
    is_send::<SealedRun>();
}
