//! Torn copies of a journal: whoever walks along one comes to an end, after no more frames than there are, and in words.

#[path = "tearing/mod.rs"]
mod tearing;

use std::fs;
use std::path::PathBuf;

use journal::{Inspected, Journal, MasterKey, OpenError, PlainFrame, Reader, SubjectKey, verify};
use tearing::{TEARS, Tear, torn};

/// So many that a table's tree has interior pages, with children enough to be put out of order.
const FRAMES: u64 = 1_200;
const SUBJECTS: u64 = 600;

const SEEDS: u64 = 6;

struct Bench {
    dir: tempfile::TempDir,
    master: MasterKey,
    older: Vec<u8>,
    newer: Vec<u8>,
    mark: Vec<u8>,
}

impl Bench {
    /// A journal at two times, half filled and filled.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (made, master) = (dir.path().join("made"), MasterKey::generate());
        let file = |name: &str| fs::read(made.join(name)).expect("a file");
        let mut journal = Journal::create(&made, &master).expect("a journal");
        fill(&mut journal, 1);
        journal.close().expect("closed");
        let older = file("journal.db");
        let mut journal = Journal::open(&made, &master, false).expect("opened");
        fill(&mut journal, 1 + SUBJECTS / 2);
        journal.close().expect("closed");
        let (newer, mark) = (file("journal.db"), file("head"));
        Self { dir, master, older, newer, mark }
    }

    fn copy(&self, database: &[u8]) -> PathBuf {
        let copy = self.dir.path().join("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy).expect("removed");
        }
        fs::create_dir(&copy).expect("a folder");
        fs::write(copy.join("journal.db"), database).expect("a database");
        fs::write(copy.join("head"), &self.mark).expect("a head mark");
        fs::write(copy.join("lock"), "").expect("a lock");
        copy
    }
}

/// Keys in both tables.
fn category_of(subject: u64) -> u8 {
    u8::from(subject.is_multiple_of(2))
}

/// Half of the frames, and of the subjects.
fn fill(journal: &mut Journal, first_subject: u64) {
    let first = journal.head().last_event + 1;
    let frame = |first_event| PlainFrame { first_event, count: 1, body: vec![7; 500] };
    let key = |subject| SubjectKey::generate(subject, category_of(subject));
    let subjects = (first_subject..first_subject + SUBJECTS / 2).map(key).collect();
    let run = journal.seal(1_000, (first..first + FRAMES / 2).map(frame).collect(), subjects);
    journal.append(&run).expect("appended");
}

/// Reads on behind the last event that was given, as all who read do; gives how many frames came, and how it ended.
fn walk(reader: &mut Reader) -> (u64, Option<String>) {
    let (mut count, mut last) = (0, 0);
    loop {
        match reader.frames_from(last + 1, 64) {
            Ok(frames) if frames.is_empty() => return (count, None),
            Ok(frames) => {
                assert_eq!(frames[0].first_event, last + 1, "one follows the other");
                count += frames.len() as u64;
                assert!(count <= FRAMES, "no frame comes twice");
                last += frames.len() as u64;
            }
            Err(error) => return (count, Some(error.to_string())),
        }
    }
}

#[test]
fn every_walk_along_a_torn_copy_ends_in_words() {
    let bench = Bench::new();
    let copies = TEARS.iter().flat_map(|tear| (0..SEEDS).map(|seed| (*tear, seed)));
    for (tear, seed) in copies {
        let which = format!("{tear:?} by seed {seed}");
        let copy = bench.copy(&torn(&bench.older, &bench.newer, tear, seed));

        let told = match verify(&copy, &bench.master, &mut |_| {}) {
            Ok(found) => {
                assert!(found.frames + found.problems.len() as u64 <= FRAMES + 2, "{which}: each frame once");
                assert!(found.problems.iter().all(|problem| !problem.detail.is_empty()), "{which}");
                if found.problems.is_empty() {
                    assert_eq!(found.frames, FRAMES, "{which}: nothing is missing where nothing is told");
                }
                !found.problems.is_empty()
            }
            Err(error) => !error.to_string().is_empty(),
        };
        let Ok(mut reader) = Reader::open(&copy, &bench.master) else { continue };
        let (count, end) = walk(&mut reader);
        assert!(told || (count, &end) == (FRAMES, &None), "{which}: {count} frames, {end:?}");
        // A key that was wrapped for another subject, or is out of order, is told by the check and by reading it.
        for subject in 1..=SUBJECTS {
            if let Err(error) = reader.subject_key(subject, category_of(subject)) {
                assert!(!error.to_string().is_empty(), "{which}");
            }
        }
        let opened = Journal::open(&copy, &bench.master, seed % 2 == 0);
        assert!(opened.is_ok_and(|journal| journal.head().seq <= FRAMES) || told, "{which}");
    }
}

/// A tree of which a late page is an early one again: what SQLite gives then begins anew, and would do so for ever.
#[test]
fn the_place_is_named_where_the_order_breaks() {
    let bench = Bench::new();
    let mut out_of_order = 0;
    for seed in 0..2 * SEEDS {
        let copy = bench.copy(&torn(&bench.older, &bench.newer, Tear::ChildRepeated, seed));
        let Ok(found) = verify(&copy, &bench.master, &mut |_| {}) else { continue };
        let words: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        let whole = found.frames == FRAMES && words.is_empty();
        assert!(whole || words.iter().any(|words| words.contains("frame ")), "{words:?}");
        let says = |words: &String| words.contains("out-of-order") && words.contains("that begins with event ");
        out_of_order += u32::from(words.iter().any(says));
    }
    assert!(out_of_order > 0, "some of these trees begin anew in their middle");
}

/// Whoever looks at a journal and leaves it changes nothing, whatever loss was accepted.
#[test]
fn looking_changes_nothing_until_the_journal_is_taken_over() {
    let bench = Bench::new();
    // The older database beside the newer mark: its second half is lost.
    let copy = bench.copy(&bench.older);
    assert!(matches!(Inspected::new(&copy, &bench.master, false), Err(OpenError::LostTail { marked: FRAMES, .. })));
    let inspected = Inspected::new(&copy, &bench.master, true).expect("the loss is accepted");
    assert_eq!(inspected.head().seq, FRAMES / 2);
    assert_eq!(walk(&mut inspected.reader().expect("a reader")), (FRAMES / 2, None));
    drop(inspected);
    assert_eq!(fs::read(copy.join("journal.db")).expect("a file"), bench.older);
    assert_eq!(fs::read(copy.join("head")).expect("a file"), bench.mark);
    assert!(matches!(Journal::open(&copy, &bench.master, false), Err(OpenError::LostTail { .. })), "it is told again");

    let taken = Inspected::new(&copy, &bench.master, true).expect("accepted").take_over().expect("taken over");
    assert_eq!(taken.head().seq, FRAMES / 2);
    drop(taken);
    assert!(Journal::open(&copy, &bench.master, false).is_ok(), "from here on nothing is missing");
}
