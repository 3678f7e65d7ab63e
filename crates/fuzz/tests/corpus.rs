//! The targets on any compiler: each with every file of its corpus, then with mutations of these. `KASSA_FUZZ=100` tries a
//! hundred times as many. What fails is printed as hex, with the seed of its mutation; once mended, it stays as a file.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bank::{Event, IbanError, Numbering, State, UserId};
use fuzz::{CheckEvent, Events, Frames, JOURNAL_ID, KEY, ReadEvents, Rehearse, TARGETS};
use journal::LoneFrame;
use service::{Fault, FaultKind};
use sim::Random;

/// Input longer than this is cut: what a property depends on fits, and a debug build stays quick.
const MAX_BYTES: usize = 8 * 1024;

/// Bytes at which readers turn: ends of ranges, lengths and marks of CBOR, signs and breaks of texts.
const TELLING: [&[u8]; 24] = [
    &[0],
    &[0xFF],
    &[0x7F],
    &[0x80],
    &[0xFF; 8],
    &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0x1B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x3B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x9B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x9F],
    &[0xF6],
    b"0",
    b"-1",
    b"9223372036854775807",
    b"9223372036854775808",
    b"1e999",
    b"\\ud800",
    b"\"",
    b"{}",
    b"\r\n",
    b"\n",
    "\u{FEFF}".as_bytes(),
    "\u{202E}\u{85}".as_bytes(),
];

/// Number of mutations of each target. In a debug build all together take some seconds.
fn rounds(target: &str) -> u64 {
    let times: u64 = std::env::var("KASSA_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let once = match target {
        "import" => 800,
        "ibans" => 4_000,
        _ => 10_000,
    };
    times * once
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("corpus").join(target)];
    if target == "events" {
        folders.extend((1..=4).map(|version| here.join(format!("../bank/tests/golden/v{version}"))));
    }
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder of the corpus"));
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_none_or(|kind| kind != "txt"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file of the corpus"))).collect()
}

/// A mutation of one of these, some changes at once.
fn mutated(from: &[(PathBuf, Vec<u8>)], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = from[random.place(from.len())].1.clone();
    for _ in 0..=random.below(4) {
        let length = bytes.len();
        let (one, other) = (random.place(length + 1), random.place(length + 1));
        let (start, end) = (one.min(other), one.max(other));
        match random.below(7) {
            0 | 1 if start < length => bytes[start] ^= 1 << random.below(8),
            2 if start < length => bytes[start] = TELLING[random.place(TELLING.len())][0],
            3 => drop(bytes.drain(start..end)),
            4 => {
                let part = bytes[start..end].to_vec();
                bytes.splice(end..end, part);
            }
            5 => {
                let (_, with) = &from[random.place(from.len())];
                let (one, other) = (random.place(with.len() + 1), random.place(with.len() + 1));
                bytes.splice(start..end, with[one.min(other)..one.max(other)].iter().copied());
            }
            _ => drop(bytes.splice(start..start, TELLING[random.place(TELLING.len())].iter().copied())),
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

/// Tries a target with its corpus and with mutations of it; gives the first input that fails, in words.
fn search(name: &str, target: &dyn Fn(&[u8])) -> Result<(), String> {
    let files = corpus(name);
    assert!(files.len() >= 10, "{name} has a corpus of {} files", files.len());
    let tried = |bytes: &[u8], whose: String| {
        let fails = catch_unwind(AssertUnwindSafe(|| target(bytes)));
        let words = |said: &Box<dyn Any + Send>| said.downcast_ref::<String>().cloned().unwrap_or_default();
        fails.map_err(|said| format!("{name}, {whose}: {}\n{}", words(&said), hex(bytes)))
    };
    for (path, bytes) in &files {
        tried(bytes, path.display().to_string())?;
    }
    (0..rounds(name)).try_for_each(|seed| tried(&mutated(&files, seed), format!("seed {seed}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn holds(name: &str) {
    let target = TARGETS.iter().find(|(target, _)| *target == name).expect("a target").1;
    search(name, &target).unwrap_or_else(|found| panic!("{found}"));
}

#[test]
fn frames() {
    holds("frames");
}

#[test]
fn events() {
    holds("events");
}

#[test]
fn lines() {
    holds("lines");
}

#[test]
fn ibans() {
    holds("ibans");
}

#[test]
fn import() {
    holds("import");
}

#[test]
fn every_target_has_its_corpus_and_its_program() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut listed = TARGETS.map(|(name, _)| name.to_owned());
    listed.sort();
    for (folder, ending) in [(here.join("corpus"), ""), (here.join("../../fuzz/fuzz_targets"), ".rs")] {
        let entries = fs::read_dir(folder).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
        let mut names: Vec<String> = names.map(|name| name.trim_end_matches(ending).to_owned()).collect();
        names.sort();
        assert_eq!(names, listed);
    }
}

// ---- Broken readers, each of which must be found ----

fn is_found(name: &str, broken: &str, target: &dyn Fn(&[u8])) {
    assert!(search(name, target).is_err(), "{broken}, and {name} holds");
}

fn open(row: &[u8]) -> Option<LoneFrame> {
    LoneFrame::open(row, &JOURNAL_ID, &KEY).ok()
}

fn seal(frame: &LoneFrame) -> Vec<u8> {
    frame.seal(&JOURNAL_ID, &KEY)
}

#[test]
fn broken_frames_are_found() {
    let tried = |broken: &str, open: &dyn Fn(&[u8]) -> Option<LoneFrame>, seal: &dyn Fn(&LoneFrame) -> Vec<u8>| {
        is_found("frames", broken, &|data| fuzz::frames_by(&Frames { open, seal }, data));
    };
    tried("a byte too many is passed over", &|row| open(row).or_else(|| open(row.split_last()?.1)), &seal);
    tried("the end mark is lost", &open, &|frame| {
        let mut frame = frame.clone();
        frame.frame.end_mark = false;
        seal(&frame)
    });
    // One that doesn't look at the row's own column of the first event.
    let mended = |row: &[u8]| {
        let mut row = row.to_vec();
        let first_event: [u8; 8] = row.get(8 + 28..8 + 36)?.try_into().ok()?;
        row.splice(..8, first_event);
        open(&row)
    };
    tried("a row under another number is opened", &mended, &seal);
    tried("nothing opens", &|_| None, &seal);
}

#[test]
fn broken_events_are_found() {
    let read = |body: &[u8]| Event::decode_all(body).collect::<Vec<_>>();
    let tried = |broken: &str, read: ReadEvents<'_>, check: CheckEvent<'_>| {
        is_found("events", broken, &|data| fuzz::events_by(&Events { read, check }, data));
    };
    tried("any event is agreed to", &read, &|_, _, _| Ok(()));
    let nobodys = |body: &[u8]| {
        let events = Event::decode_all(body);
        events.map(|event| event.map(|event| Event { by: UserId(event.by.0 ^ 1), ..event })).collect()
    };
    tried("who asked is read wrongly", &nobodys, &State::check);
    let goes_on = |body: &[u8]| {
        let from = |start: usize| Event::decode_all(&body[start.min(body.len())..]);
        let mut read: Vec<_> = from(0).collect();
        if read.last().is_some_and(Result::is_err) {
            read.extend(from(1));
        }
        read
    };
    tried("something follows what can't be read", &goes_on, &State::check);
}

#[test]
fn broken_ibans_are_found() {
    let tried = |broken: &str, number: &dyn Fn(&Numbering, &str) -> Result<u64, IbanError>| {
        is_found("ibans", broken, &|data| fuzz::ibans_by(number, data));
    };
    tried("small letters are not taken", &|numbering, text| match text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => Err(IbanError::Invalid),
        false => numbering.number(text),
    });
    tried("check digits are not looked at", &|numbering, text| {
        numbering.number(text).or_else(|error| {
            let compact: String = text.chars().filter(|letter| *letter != ' ').collect();
            let start = format!("{}..{}", numbering.country(), numbering.bank_code());
            let number = compact.get(start.len()..).and_then(|number| number.parse().ok()).ok_or(error)?;
            if numbering.iban(number).get(4..) == compact.get(4..) { Ok(number) } else { Err(error) }
        })
    });
    tried("a number is off by one", &|numbering, text| numbering.number(text).map(|number| number.saturating_sub(1)));
}

#[test]
fn broken_lines_are_found() {
    let tried = |broken: &str, read: &dyn Fn(&[u8]) -> fuzz::Read| {
        is_found("lines", broken, &|data| fuzz::lines_by(read, data));
    };
    tried("a library speaks", &|line| {
        let read = serde_json::from_slice::<serde_json::Value>(line);
        read.map_err(|error| Fault::saying(FaultKind::Malformed, error.to_string())).and_then(|_| api::read_line(line))
    });
    tried("it is remembered as it was sent", &|line| api::read_line(line).map(|(_, fault)| (line.to_vec(), fault)));
    tried("a field is forgotten", &|line| {
        let (canonical, fault) = api::read_line(line)?;
        Ok((String::from_utf8_lossy(&canonical).replace("\"EUR\"", "\"USD\"").into_bytes(), fault))
    });
}

#[test]
fn broken_imports_are_found() {
    let tried = |broken: &str, rehearse: Rehearse<'_>| {
        is_found("import", broken, &|data| fuzz::import_by(rehearse, data));
    };
    tried("the last row is left out", &|map, rows| {
        let end = rows.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        fuzz::in_folder(map, &rows[..end])
    });
    tried("a balance is another", &|map, rows| {
        let mut report = fuzz::in_folder(map, rows)?;
        if let Some(last) = report["bookings"].as_array_mut().and_then(|bookings| bookings.last_mut()) {
            last["balance"] = "1.23".into();
        }
        Ok(report)
    });
    tried("the line is not told", &|map, rows| {
        fuzz::in_folder(map, rows).map_err(|said| said.replace(first_place(&said), ""))
    });
    tried("lines are counted wrongly", &|map, rows| {
        fuzz::in_folder(map, rows).map_err(|said| said.replace("rows.csv:", "rows.csv:9999"))
    });
}

/// The place of the first mistake that is told.
fn first_place(said: &str) -> &str {
    said.lines().nth(1).and_then(|line| line.split_once(' ')).map_or("", |(place, _)| place)
}
