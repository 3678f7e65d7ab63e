//! Files shaped as banks' own exports, with invented people and numbers: for each a map is suggested, and reads it with
//! the right sums.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::plan::Surroundings;
use super::plan::{Direction, Plan};
use super::{plan, read_map, suggest};

/// Sums that a file must come to. Amounts are in minor units.
struct Sample {
    file: &'static str,
    /// Lines its user has to fill in, because the file doesn't tell: a line of the suggested map, and what to write for
    /// it.
    filled_in: &'static [(&'static str, &'static str)],
    /// Accounts: key, rows and minor units in, rows and minor units out.
    accounts: &'static [(&'static str, usize, u64, usize, u64)],
    /// Rows and lines that were passed over.
    skipped: &'static [(&'static str, u64)],
    /// Lines that must be in the map.
    fields: &'static [&'static str],
}

const NO_CURRENCY: &str = "# currency = \"EUR\"";

const SAMPLES: &[Sample] = &[
    Sample {
        file: "sparkasse.csv",
        filled_in: &[],
        accounts: &[("DE00111122220000000001", 1, 240_010, 3, 109_770)],
        skipped: &[("rows that are not booked", 1)],
        fields: &["encoding = \"windows-1252\"", "date_format = \"%d.%m.%y\"", "thousands_separator = \".\""],
    },
    Sample {
        file: "dkb.csv",
        filled_in: &[],
        accounts: &[("main", 1, 210_050, 2, 6_720)],
        skipped: &[("lines before the header", 4), ("rows that are not booked", 1)],
        fields: &["currency = \"EUR\"", "date_format = \"%d.%m.%y\""],
    },
    Sample {
        file: "n26.csv",
        filled_in: &[],
        accounts: &[("main", 1, 30_000, 2, 1_749)],
        skipped: &[],
        fields: &["currency = \"EUR\"", "date = \"Booking Date\""],
    },
    Sample {
        file: "revolut.csv",
        filled_in: &[],
        accounts: &[("main EUR", 1, 20_000, 2, 10_000), ("main GBP", 1, 7_300, 0, 0)],
        skipped: &[("rows that are not booked", 2)],
        fields: &["account_template = \"main {Currency}\"", "date = \"Completed Date\""],
    },
    Sample {
        file: "wise-jpy.csv",
        filled_in: &[],
        accounts: &[("main", 1, 50_000, 1, 1_250)],
        skipped: &[],
        fields: &["key = \"TransferWise ID\"", "currency = \"JPY\"", "order = \"newest-first\""],
    },
    Sample {
        file: "barclays.csv",
        filled_in: &[(NO_CURRENCY, "currency = \"GBP\"")],
        accounts: &[("20-00-00 12345678", 1, 125_000, 3, 4_060)],
        skipped: &[],
        fields: &["account = \"Account\"", "key_template = "],
    },
    Sample {
        file: "hsbc.csv",
        filled_in: &[(NO_CURRENCY, "currency = \"GBP\"")],
        accounts: &[("main", 1, 110_000, 2, 5_205)],
        skipped: &[],
        fields: &["columns = [\"column 1\", \"column 2\", \"column 3\"]", "thousands_separator = \",\""],
    },
    Sample {
        file: "starling.csv",
        filled_in: &[],
        accounts: &[("main", 1, 5_000, 1, 310)],
        skipped: &[],
        fields: &["currency = \"GBP\"", "balance = \"Balance (GBP)\"", "order = \"oldest-first\""],
    },
    Sample {
        file: "postfinance.csv",
        filled_in: &[],
        accounts: &[("main", 1, 420_000, 2, 146_845)],
        skipped: &[("lines after the data", 2), ("lines before the header", 4)],
        fields: &["sign = \"agrees\"", "ends_before = \"Disclaimer:\"", "thousands_separator = \"'\""],
    },
    Sample {
        file: "hdfc.csv",
        filled_in: &[(NO_CURRENCY, "currency = \"INR\"")],
        accounts: &[("main", 1, 15_000_050, 1, 4_000)],
        skipped: &[("lines after the data", 3), ("rows without a date", 2)],
        fields: &["date_format = \"%d/%m/%y\""],
    },
    Sample {
        file: "icici.csv",
        filled_in: &[],
        accounts: &[("main", 1, 10_000_000, 1, 2_500_000)],
        skipped: &[("lines after the data", 2), ("lines before the header", 2), ("rows without an amount", 1)],
        fields: &["grouping = \"indian\"", "currency = \"INR\"", "zero_amounts = \"skip\""],
    },
    Sample {
        file: "japan.csv",
        filled_in: &[],
        accounts: &[("main", 1, 250_000, 2, 8_663)],
        skipped: &[],
        fields: &["encoding = \"shift_jis\"", "currency = \"JPY\"", "date_format = \"%Y/%-m/%-d\""],
    },
    Sample {
        file: "brazil.csv",
        filled_in: &[],
        accounts: &[("main", 1, 123_456, 1, 13_456)],
        skipped: &[("balances", 2), ("lines before the header", 2)],
        fields: &["currency = \"BRL\"", "decimal_separator = \",\""],
    },
    Sample {
        file: "french.csv",
        filled_in: &[],
        accounts: &[("main", 1, 150_000, 2, 14_210)],
        skipped: &[("lines before the header", 4)],
        fields: &["currency = \"EUR\"", "thousands_separator = \" \""],
    },
    Sample {
        file: "capitalone.csv",
        filled_in: &[(NO_CURRENCY, "currency = \"USD\"")],
        accounts: &[("main", 1, 20_000, 2, 5_268)],
        skipped: &[],
        fields: &["money_in = \"Credit\"", "money_out = \"Debit\""],
    },
    Sample {
        file: "ing-nl.csv",
        filled_in: &[],
        accounts: &[("NL00BANK0000000001", 1, 50_000, 1, 2_135)],
        skipped: &[],
        fields: &["debit = [\"Af\"]", "date_format = \"%Y%m%d\"", "decimal_separator = \",\""],
    },
    Sample {
        file: "chase.csv",
        filled_in: &[(NO_CURRENCY, "currency = \"USD\"")],
        accounts: &[("main", 1, 50_000, 1, 8_125)],
        skipped: &[],
        fields: &["date_format = \"%m/%d/%Y\"", "sign = \"agrees\""],
    },
    Sample {
        file: "ubs.csv",
        filled_in: &[],
        accounts: &[("main", 1, 100_000, 1, 12_000)],
        skipped: &[
            ("continuation lines, joined to the row before", 2),
            ("lines after the data", 1),
            ("lines before the header", 2),
        ],
        fields: &["continuation = \"Buchungsdatum\"", "currency = \"CHF\""],
    },
    Sample {
        file: "offset.csv",
        filled_in: &[],
        accounts: &[("main", 1, 100_000, 2, 2_300)],
        skipped: &[],
        fields: &["escape = \"\\\\\"", "date_format = \"%Y-%m-%dT%H:%M:%S%:z\"", "key = \"id\""],
    },
    Sample {
        file: "dollars.csv",
        filled_in: &[(NO_CURRENCY, "currency = \"USD\"")],
        accounts: &[("main", 1, 118_323, 1, 3_352)],
        skipped: &[("balances", 1)],
        fields: &["currency_marks = [\"$\"]", "date_format = \"%m/%d/%Y\""],
    },
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kassa/tests/import")
}

fn decimals(code: &str) -> Option<u32> {
    ledger::Currency::from_code(code).map(ledger::Currency::decimals)
}

/// The suggested map with what is filled in, as it is read from a file.
fn planned(sample: &Sample) -> Plan {
    let mut map =
        suggest::for_file(&folder().join(sample.file), None, &decimals).unwrap_or_else(|error| panic!("{error}"));
    for (line, with) in sample.filled_in {
        assert!(map.contains(line), "{}: {line} is missing in:\n{map}", sample.file);
        map = map.replacen(line, with, 1);
    }
    for field in sample.fields {
        assert!(map.contains(field), "{}: {field} is missing in:\n{map}", sample.file);
    }
    let is_complete = !map.contains("# It doesn't read the file yet");
    assert_eq!(is_complete, sample.filled_in.is_empty(), "{}:\n{map}", sample.file);
    let written = tempfile::tempdir().expect("a folder");
    let file = written.path().join("map.toml");
    std::fs::write(&file, &map).expect("the map");
    let surroundings = Surroundings { today: Date::MAX, largest_number: u64::MAX, customers: &[] };
    let planned = read_map(&file, &decimals).and_then(|map| plan(&map, &folder(), &surroundings));
    planned.unwrap_or_else(|mistakes| panic!("{}: {mistakes}\n{map}", sample.file))
}

#[test]
fn banks_own_files_are_read_by_the_suggested_map() {
    for sample in SAMPLES {
        let plan = planned(sample);
        let sums = plan.accounts.iter().enumerate().map(|(place, account)| {
            let of = |direction| {
                let rows = plan.postings.iter().filter(move |row| row.account == place && row.direction == direction);
                (rows.clone().count(), rows.map(|row| row.amount_minor).sum::<u64>())
            };
            let ((count_in, minor_in), (count_out, minor_out)) = (of(Direction::Credit), of(Direction::Debit));
            (account.key.trim_start_matches("accounts:"), count_in, minor_in, count_out, minor_out)
        });
        assert_eq!(sums.collect::<Vec<_>>(), sample.accounts, "{}", sample.file);
        let skipped: Vec<(&str, u64)> = plan.skipped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        assert_eq!(skipped, sample.skipped, "{}", sample.file);
    }
}

#[test]
fn every_sample_is_listed() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .expect("the samples")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a plain name"))
        .collect();
    files.sort();
    let mut listed: Vec<&str> = SAMPLES.iter().map(|sample| sample.file).collect();
    listed.sort_unstable();
    assert_eq!(files, listed);
}
