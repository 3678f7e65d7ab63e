//! Import: a map and a file that are read give sums that agree, and what is wrong with them is told with file and line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use interchange::import::{Import, Request, suggest};
use ledger::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

/// The line between the map and the file in a target's bytes.
const BETWEEN: &[u8] = b"\n=====\n";

/// The file's name.
const ROWS: &str = "rows.csv";

/// 2 January 2030, by which no row may be of a later day.
const NOW: Timestamp = Timestamp(1_893_542_400_000);

/// The most mistakes that are told one by one.
const SHOWN_MAX: usize = 50;

/// The beginning of what is said of a map or a file that is not sound.
const REFUSED: &str = "nothing was imported, because of ";

/// Mark of a suggested map in which something is still to be filled in.
const UNFINISHED: &str = "# It doesn't read the file yet";

/// The bank that a suggested map is for.
const BANK: &str = "\n[bank]\nname = \"Tried\"\ncountry = \"AT\"\nbank_code = \"19043\"\n";

/// A rehearsal of a map and a file, which gives the report or says what is wrong.
pub type Rehearse<'a> = &'a dyn Fn(&[u8], &[u8]) -> Result<Value, String>;

thread_local! {
    /// A folder for the two files, kept for the next bytes.
    static FOLDER: TempDir = TempDir::new().expect("a folder");
}

/// Tries the import itself, as a dry run for a bank that isn't there.
///
/// # Panics
///
/// If sums don't agree, or a mistake is told without its place.
pub fn import(data: &[u8]) {
    import_by(&in_folder, data);
    suggested(split(data).1);
}

/// Rehearses the import of a map and a file in a folder; gives the report, or what is said instead.
///
/// # Errors
///
/// The import's own words, in which the folder is left out.
///
/// # Panics
///
/// If a file can't be written.
pub fn in_folder(map: &[u8], rows: &[u8]) -> Result<Value, String> {
    FOLDER.with(|folder| {
        let folder = folder.path();
        let path = folder.join("map.toml");
        std::fs::write(&path, map).and_then(|()| std::fs::write(folder.join(ROWS), rows)).expect("the files");
        let request = Request { map: &path, folder, users: &[], passwords: &[], accept_breaks: false, now: NOW };
        let told = Import::read(request)
            .and_then(|read| read.plan(folder, None))
            .and_then(|planned| planned.rehearse(None))
            .map_err(|failure| failure.to_string().replace(&format!("{}/", folder.display()), ""))?;
        assert!(!told.sentence().is_empty());
        Ok(serde_json::to_value(&told).expect("a report is plain data"))
    })
}

/// Tries an import. The bytes are a map and a file, with a line of five equals signs between.
///
/// # Panics
///
/// If sums don't agree, or a mistake is told without its place.
pub fn import_by(rehearse: Rehearse<'_>, data: &[u8]) {
    let (map, rows) = split(data);
    match rehearse(map, rows) {
        Ok(report) => agrees(&report, rows),
        Err(said) => is_told_with_its_place(&said, map, rows),
    }
    known_sums(rehearse, data);
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let place = data.windows(BETWEEN.len()).position(|bytes| bytes == BETWEEN);
    place.map_or((data, &[]), |place| (&data[..place], &data[place + BETWEEN.len()..]))
}

/// Adds the report up: each account's balances follow from its rows, and each row is a line of the file, once.
fn agrees(report: &Value, rows: &[u8]) {
    let bookings = report["bookings"].as_array().expect("a dry run lists what it would book");
    let mut balances: BTreeMap<&str, i128> = BTreeMap::new();
    let mut lines = BTreeMap::new();
    for one in bookings {
        let account = one["account"].as_str().expect("an account");
        let balance = balances.entry(account).or_default();
        *balance += minor(&one["amount"]);
        assert_eq!(*balance, minor(&one["balance"]), "an account's balance follows from its rows: {one}");
        let line = one["line"].as_u64().expect("a line");
        assert!((1..=line_count(rows)).contains(&line), "line {line} is not in the file: {one}");
        if one["is_opening_balance"] == false {
            let before = lines.insert(line, one);
            assert!(before.is_none(), "line {line} is booked twice: {before:?}");
        }
    }
    let count = |field: &str| report[field].as_u64().and_then(|count| usize::try_from(count).ok());
    assert_eq!(count("postings_booked"), Some(lines.len()), "the report counts what it lists");
    assert_eq!(count("postings"), Some(lines.len()), "where nothing was before, all is booked");
    let openings = report["opening_balances"].as_array().map(Vec::len);
    assert_eq!(openings, Some(bookings.len() - lines.len()), "the report lists each opening balance");
    assert!(report["dry_run"] == true && report["already_there"] == 0);
}

/// An amount or balance in minor units: all are told with all decimals of their currency.
fn minor(amount: &Value) -> i128 {
    let digits = amount.as_str().expect("an amount").replace('.', "");
    digits.parse().expect("an amount is of digits")
}

fn line_count(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>() + 1
}

/// Looks at what is said: a line for each mistake, with a file and a line that there is.
fn is_told_with_its_place(said: &str, map: &[u8], rows: &[u8]) {
    assert!(
        !said.chars().any(|letter| bank::is_control(letter) && letter != '\n'),
        "a control character is told: {said:?}"
    );
    if said.starts_with("the bank is not founded") {
        return;
    }
    let told = said.strip_prefix(REFUSED).and_then(|told| told.split_once(":\n"));
    let (count, mistakes) = told.unwrap_or_else(|| panic!("something else is said: {said}"));
    let count = match count {
        "a mistake" => 1,
        many => many.strip_suffix(" mistakes").and_then(|many| many.parse().ok()).expect("a count"),
    };
    let lines: Vec<&str> = mistakes.lines().collect();
    assert_eq!(lines.len(), count.min(SHOWN_MAX) + usize::from(count > SHOWN_MAX), "a line for each mistake: {said}");
    for line in lines.into_iter().take(SHOWN_MAX) {
        let (place, reason) = line.split_once(": ").unwrap_or_else(|| panic!("it is of no file: {line}"));
        assert!(!place.is_empty() && !reason.trim().is_empty(), "a mistake has a place and a reason: {line}");
        let (file, number) = place.rsplit_once(':').unwrap_or((place, "1"));
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("{number} is no line: {line}"));
        let last = match file {
            ROWS => line_count(rows),
            "map.toml" => line_count(map),
            _ => u64::MAX,
        };
        assert!((1..=last).contains(&number), "line {number} is not in {file}: {line}");
    }
}

/// Writes a file of rows whose sum is known, in one of the ways that banks have, and has it read.
fn known_sums(rehearse: Rehearse<'_>, data: &[u8]) {
    let way = data.len() % 4;
    let (separator, decimal, thousands) =
        [(',', '.', None), (';', ',', Some('.')), ('\t', '.', Some('\'')), ('|', ',', None)][way];
    let (mut rows, mut balance, mut day) = ("key|date|amount|balance".replace('|', &separator.to_string()), 0_i64, 0);
    let amounts = data.chunks_exact(4).take(12).filter_map(|four| {
        let amount = i32::from_le_bytes(four.try_into().ok()?);
        (amount != 0).then_some(i64::from(amount))
    });
    let mut count = 0_u64;
    for amount in amounts {
        (count, balance, day) = (count + 1, balance + amount, day + count % 3);
        let _ = write!(rows, "{}{count}{separator}", if way == 1 { "\r\n" } else { "\n" });
        let _ = write!(rows, "2024-01-{:02}{separator}", 1 + day);
        rows += &(written(amount, decimal, thousands) + &separator.to_string() + &written(balance, decimal, thousands));
    }
    let grouped = thousands.map(|mark| format!("thousands_separator = \"{mark}\"\n")).unwrap_or_default();
    let separator = if separator == '\t' { "\\t".to_owned() } else { separator.to_string() };
    let map = format!(
        "[source]\nname = \"known\"\ncurrency = \"EUR\"\nencoding = \"utf-8\"\nseparator = \"{separator}\"\ndate_format = \"%Y-%m-%d\"\n\
         decimal_separator = \"{decimal}\"\n{grouped}{BANK}\n[[customers]]\nkey = \"a\"\nname = \"Anna\"\n\n[[accounts]]\n\
         key = \"main\"\nnumber = 1\nopened = \"2024-01-01\"\nowners = [\"a\"]\n\n[postings]\nfile = \"{ROWS}\"\nkey = \"key\"\n\
         account_template = \"main\"\ndate = \"date\"\namount = \"amount\"\nbalance = \"balance\"\n\n[[postings.contra]]\n\
         account = \"Others\"\nkind = \"asset\"\n",
    );
    let report = rehearse(map.as_bytes(), rows.as_bytes()).unwrap_or_else(|said| panic!("{said}\n{map}\n{rows}"));
    agrees(&report, rows.as_bytes());
    assert_eq!(report["postings"], count, "each row is read once:\n{rows}");
    let last =
        report["bookings"].as_array().and_then(|bookings| bookings.last()).map_or(0, |last| minor(&last["balance"]));
    assert_eq!(last, i128::from(balance), "the sum is that of the rows:\n{rows}");
}

/// An amount in cents as a bank writes it.
fn written(minor: i64, decimal: char, thousands: Option<char>) -> String {
    let digits = (minor.unsigned_abs() / 100).to_string();
    let mut whole = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            whole.extend(thousands);
        }
        whole.push(digit);
    }
    format!("{}{whole}{decimal}{:02}", if minor < 0 { "-" } else { "" }, minor.unsigned_abs() % 100)
}

/// Has a map suggested for a file. One that is called finished can be read.
fn suggested(rows: &[u8]) {
    FOLDER.with(|folder| {
        let (file, path) = (folder.path().join(ROWS), folder.path().join("map.toml"));
        std::fs::write(&file, rows).expect("the file");
        let map = match suggest(&file, None) {
            Ok(map) => map,
            Err(failure) => {
                let said = failure.to_string();
                return assert!(said.starts_with(&file.display().to_string()), "it is of no file: {said}");
            }
        };
        let is_finished = !map.contains(UNFINISHED);
        std::fs::write(&path, map.clone() + BANK).expect("the map");
        let folder: &Path = folder.path();
        let request = Request { map: &path, folder, users: &[], passwords: &[], accept_breaks: false, now: NOW };
        if let (true, Err(failure)) = (is_finished, Import::read(request)) {
            panic!("a finished map can't be read: {failure}\n{map}");
        }
    });
}
