//! `kassa import --suggest`: looks at a file of postings and writes a first map for it, with the reasons.
//!
//! The map is for one file of an account's postings, with the customer and the account in the map itself. What the file
//! doesn't tell is left out with a comment that says what to fill in; nothing is guessed silently. At last the map is
//! tried on the file, and its head says what came of it.

mod dates;
mod draft;
mod look;
mod numbers;
mod roles;

use std::path::Path;

use encoding_rs::Encoding;
use jiff::civil::Date;

use super::map::Map;
use super::plan::{self, Direction, Plan, Surroundings};
use super::{MISTAKES_SHOWN_MAX, Mistake, Mistakes};
use crate::failure::Failure;
use draft::{Draft, NO_CURRENCY};
use look::Look;
use roles::Roles;

/// How many mistakes the head of a map tells: enough to see what kind they are of.
const MISTAKES_TOLD_MAX: usize = 10;

/// How many decimals amounts have where the currency isn't known: as most have.
const DECIMALS_ASSUMED: u32 = 2;

/// The map as its mistakes name it.
const THIS_MAP: &str = "this map";

const _: () = assert!(MISTAKES_TOLD_MAX <= MISTAKES_SHOWN_MAX, "an import tells more than a suggestion");

/// The map for a file, as TOML. It is read in the encoding with this label, or else in one that is guessed.
pub(crate) fn for_file(
    file: &Path,
    encoding: Option<&str>,
    currency_decimals: &dyn Fn(&str) -> Option<u32>,
) -> Result<String, Failure> {
    let told = |reason: String| Failure::new(format!("{}: {reason}", file.display()));
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| told("has no plain name".to_owned()))?;
    let encoding = encoding.map(|label| {
        Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            Failure::new(format!("{label:?} is not a known encoding: right would be such as utf-8 or windows-1251"))
        })
    });
    let bytes = std::fs::read(file).map_err(|error| told(format!("cannot be read: {error}")))?;
    for_bytes(name, &bytes, encoding.transpose()?, currency_decimals).map_err(told)
}

fn for_bytes(
    name: &str,
    bytes: &[u8],
    encoding: Option<&'static Encoding>,
    currency_decimals: &dyn Fn(&str) -> Option<u32>,
) -> Result<String, String> {
    let look = Look::at(bytes, encoding)?;
    let is_currency = |code: &str| currency_decimals(code).is_some();
    let roles = Roles::of(&look, &is_currency);
    let drafted = Draft::new(name, &look, &roles, currency_decimals).write();
    let mut head = format!("# A first map for {name}, made by `kassa import --suggest`. Read it before you import.\n");
    match tried(name, &drafted.map, bytes, currency_decimals) {
        Ok(plan) => head.push_str(&summary(&plan)),
        Err(mistakes) => {
            head.push_str("#\n# It doesn't read the file yet. What is to be filled in or mended:\n");
            for mistake in mistakes.all().iter().take(MISTAKES_TOLD_MAX) {
                // This head moves the map's own lines, so they are not told.
                let own = (mistake.file == THIS_MAP).then(|| mistake.reason.clone());
                head.push_str(&format!("#   {}\n", own.unwrap_or_else(|| mistake.to_string()).replace('\n', " ")));
            }
            if let Some(more) = mistakes.all().len().checked_sub(MISTAKES_TOLD_MAX).filter(|more| *more > 0) {
                head.push_str(&format!("#   and {more} more\n"));
            }
            if drafted.trial != drafted.map {
                head.push_str(&with_stand_ins(tried(name, &drafted.trial, bytes, &|code| match code {
                    NO_CURRENCY => Some(DECIMALS_ASSUMED),
                    code => currency_decimals(code),
                })));
            }
            head.push_str("# When it is complete, look with `--dry-run` at what would be booked.\n");
        }
    }
    if !drafted.doubts.is_empty() {
        head.push_str("#\n# Look at this, too:\n");
        for doubt in drafted.doubts {
            head.push_str(&format!("#   {}\n", doubt.replace('\n', " ")));
        }
    }
    Ok(format!("{head}\n{}", drafted.map))
}

/// What the rows come to, whatever is filled in; or else what is wrong with them.
fn with_stand_ins(tried: Result<Plan, Mistakes>) -> String {
    match tried {
        Ok(plan) => summary(&plan),
        Err(mistakes) => {
            let rows: Vec<&Mistake> = mistakes.all().iter().filter(|mistake| mistake.file != THIS_MAP).collect();
            let told = rows
                .iter()
                .take(MISTAKES_TOLD_MAX)
                .map(|mistake| format!("#   {}\n", mistake.to_string().replace('\n', " ")));
            let told: String = told.collect();
            if told.is_empty() {
                told
            } else {
                format!("# These rows are mistakes whatever is filled in, {} in all:\n{told}", rows.len())
            }
        }
    }
}

fn tried(
    name: &str,
    map: &str,
    bytes: &[u8],
    currency_decimals: &dyn Fn(&str) -> Option<u32>,
) -> Result<Plan, Mistakes> {
    let map = Map::parse(THIS_MAP, map, currency_decimals)?;
    // A suggestion depends on the file alone, neither on the day nor on a bank.
    let surroundings = Surroundings { today: Date::MAX, largest_number: u64::MAX, customers: &[] };
    plan::build(&map, &surroundings, &|file| {
        if file == name { Ok(bytes.to_vec()) } else { Err(std::io::ErrorKind::NotFound.into()) }
    })
}

/// Says what the map finds, so that it can be compared with what the bank says.
fn summary(plan: &Plan) -> String {
    let mut told = String::from("#\n");
    for (place, account) in plan.accounts.iter().enumerate() {
        let of = |direction| {
            let own = plan.postings.iter().filter(move |row| row.account == place && row.direction == direction);
            let minor: u64 = own.clone().map(|row| row.amount_minor).sum();
            (own.count(), decimal(minor, account.decimals))
        };
        let ((count_in, sum_in), (count_out, sum_out)) = (of(Direction::Credit), of(Direction::Debit));
        let code = if account.currency == NO_CURRENCY { String::new() } else { format!(" {}", account.currency) };
        let key = account.key.trim_start_matches("accounts:");
        told.push_str(&format!(
            "# Tried on the file, account {key}: {count_in} rows bring in {sum_in}{code}, {count_out} take out {sum_out}{code}.\n"
        ));
    }
    for (reason, count) in &plan.skipped {
        told.push_str(&format!("# Passed over: {count} {reason}.\n"));
    }
    told
}

fn decimal(minor: u64, decimals: u32) -> String {
    let width = usize::try_from(decimals).unwrap_or_default();
    let digits = format!("{minor:0>least$}", least = width + 1);
    let (whole, fraction) = digits.split_at(digits.len() - width);
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(text: &str) -> String {
        let decimals = |code: &str| match code {
            "EUR" | "USD" | "GBP" => Some(2),
            "JPY" => Some(0),
            _ => None,
        };
        for_bytes("file.csv", text.as_bytes(), None, &decimals).unwrap()
    }

    fn check(text: &str, parts: &[&str]) {
        let map = suggested(text);
        for part in parts {
            assert!(map.contains(part), "{part} is missing in:\n{map}");
        }
    }

    #[test]
    fn what_can_not_be_told_is_to_be_filled_in() {
        check(
            "Date,Description,Amount\n02/01/2024,a,-1.00\n02/01/2024,b,2.00\n",
            &[
                "# date_format = \"%d/%m/%Y\"\n# date_format = \"%m/%d/%Y\"\n",
                "# currency = \"EUR\"\n",
                "`currency` is missing",
                "`date_format` is missing",
            ],
        );
        check(
            "Date,Text,Amount EUR\n2024-01-02,a,1.234\n",
            &["# decimal_separator = \".\"", "`decimal_separator` is missing"],
        );
    }

    #[test]
    fn the_order_of_the_rows_tells_day_from_month() {
        let text = "Date,Description,Amount EUR\n01/02/2024,a,-1.00\n02/02/2024,b,2.00\n01/03/2024,c,2.00\n";
        check(text, &["date_format = \"%d/%m/%Y\"", "run one way", "2 rows bring in 4.00 EUR, 1 take out 1.00 EUR"]);
    }

    #[test]
    fn a_file_without_a_header_gets_names() {
        check(
            "2024-01-02,shop,-1.00,EUR\n2024-01-03,salary,100.00,EUR\n",
            &["columns = [\"column 1\", \"column 2\", \"column 3\", \"column 4\"]", "1 rows bring in 100.00 EUR"],
        );
    }

    #[test]
    fn decimals_are_written_as_the_currency_has_them() {
        assert_eq!(
            [decimal(5, 2), decimal(100, 0), decimal(1_234, 3), decimal(0, 2)],
            ["0.05", "100", "1.234", "0.00"]
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let decimals = |_: &str| Some(2);
        for (text, reason) in [("", "has no table"), ("a;b;c\nd;e;f\n", "has no row with a date and an amount")] {
            assert!(for_bytes("f", text.as_bytes(), None, &decimals).unwrap_err().starts_with(reason), "{text}");
        }
    }
}
