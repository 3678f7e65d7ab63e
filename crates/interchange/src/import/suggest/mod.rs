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

/// Number of mistakes that the head of a map tells: enough to see what kind they are of.
const MISTAKES_TOLD_MAX: usize = 10;

/// Number of decimals of amounts where the currency isn't known: as most have.
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
    if look.row_count > look.rows.len() {
        let (seen, all) = (look.rows.len(), look.row_count);
        head.push_str(&format!("#\n# Formed by {seen} of {all} rows, from both ends; all were tried.\n"));
    }
    if !drafted.doubts.is_empty() {
        head.push_str("#\n# Look at this, too:\n");
        for doubt in drafted.doubts {
            head.push_str(&format!("#   {}\n", doubt.replace('\n', " ")));
        }
    }
    Ok(format!("{head}\n{}", drafted.map))
}

/// Tells what the rows come to, whatever is filled in; or else what is wrong with them.
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

    fn decimals(code: &str) -> Option<u32> {
        match code {
            "EUR" | "USD" | "GBP" => Some(2),
            "JPY" => Some(0),
            _ => None,
        }
    }

    fn check_bytes(bytes: &[u8], encoding: Option<&'static Encoding>, parts: &[&str]) -> String {
        let map = for_bytes("file.csv", bytes, encoding, &decimals).unwrap();
        for part in parts {
            assert!(map.contains(part), "{part} is missing in:\n{map}");
        }
        map
    }

    fn check(text: &str, parts: &[&str]) -> String {
        check_bytes(text.as_bytes(), None, parts)
    }

    const CYRILLIC: &str = "Дата;Описание;Приход;Расход;\n31.05.24;Заработная плата за май;1000,50;0;\n\
        03.05.24;Комиссия за переводы;0;50;\n03.05.24;Перевод на карту;0;1500;\n";

    #[test]
    fn one_of_two_columns_has_the_amount_and_the_other_may_be_zero() {
        let bytes = encoding_rs::WINDOWS_1251.encode(CYRILLIC).0;
        check_bytes(
            &bytes,
            None,
            &[
                "encoding = \"windows-1251\"",
                "money_in = \"Приход\"\nmoney_out = \"Расход\"",
                "account main: 1 rows bring in 1000.50, 2 take out 1550.00.",
                "`currency` is missing",
                "`--dry-run`",
            ],
        );
        // Without names that tell, signs do, or nothing does.
        let text =
            "Date;Text;Left;Right EUR\n2024-01-02;a;0.00;-5.00\n2024-01-03;b;7.00;0.00\n2024-01-04;c;2.00;0.00\n";
        check(text, &["money_in = \"Left\"", "sign = \"agrees\"", "2 rows bring in 9.00 EUR, 1 take out 5.00 EUR"]);
        let open = check(
            &text.replace('-', "").replace("202401", "2024-01-"),
            &[
                "# money_in = \"Left\"\n# money_out = \"Right EUR\"\n# money_in = \"Right EUR\"\n# money_out = \"Left\"",
                "`amount` is missing",
            ],
        );
        assert!(!open.contains("rows bring in"), "{open}");
    }

    #[test]
    fn an_encoding_that_is_given_is_taken() {
        let bytes = encoding_rs::ISO_8859_5.encode(CYRILLIC).0;
        check_bytes(&bytes, Some(encoding_rs::ISO_8859_5), &["encoding = \"iso-8859-5\"", "money_in = \"Приход\""]);
    }

    #[test]
    fn of_two_amounts_that_in_the_accounts_currency_is_taken() {
        let text = "Date;Booked;Amount;Currency;Amount in account currency;Account currency;Text;Status\n\
            2024-01-05;2024-01-06;-4.50;USD;-4.10;EUR;a;Executed\n2024-01-05;2024-01-06;-3.00;EUR;-3.00;EUR;b;Executed\n\
            2024-01-07;;-9.00;EUR;-9.00;EUR;c;In progress\n2024-01-04;2024-01-04;9.00;GBP;11.00;EUR;d;Executed\n";
        check(
            text,
            &[
                "amount = \"Amount in account currency\"",
                "currency = \"Account currency\"",
                "when = { \"Status\" = [\"In progress\"] }",
                "1 rows bring in 11.00 EUR, 2 take out 7.10 EUR",
                "Not booked: what has amounts in \"Amount\".",
            ],
        );
        check(
            &text
                .replace(";EUR;a", ";RUR;a")
                .replace(";EUR;b", ";RUR;b")
                .replace(";EUR;c", ";RUR;c")
                .replace(";EUR;d", ";RUR;d"),
            &["The column \"Account currency\" says \"RUR\", which is no currency", "bring in 11.00, 2 take out 7.10."],
        );
        // States that are not known are told, and so are dates that are not there.
        let odd = text.replace("In progress", "Hm");
        check(&odd, &["The column \"Status\" says \"Executed\" 3 times, \"Hm\" 1 times."]);
        let without = text.replace("Status", "Note").replace("In progress", "x").replace("Executed", "y");
        check(&without, &["1 rows have no date in the column \"Booked\": perhaps they are not booked."]);
    }

    #[test]
    fn several_currencies_in_a_column_are_told() {
        let text = "Date;Text;Amount;Currency\n2024-01-05;a;-4.50;USD\n2024-01-05;b;-3.00;EUR\n2024-01-06;c;1.00;EUR\n";
        check(text, &["The column \"Currency\" says EUR in 2 rows, USD in 1 rows, so each currency has an account"]);
    }

    #[test]
    fn a_row_that_is_none_hides_no_currency() {
        let rows: String = (1..=20).map(|day| format!("{day:02}.01.2024;shop;-1,00;EUR;\n")).collect();
        check(
            &format!("{rows}nothing to see;;\n21.01.2024;shop;2,00;EUR;\n"),
            &["currency = \"EUR\"", "1 rows bring in 2.00 EUR, 20 take out 20.00 EUR", "1 rows without a date"],
        );
    }

    #[test]
    fn rows_of_other_lengths_are_described_or_told() {
        let continued = check(
            "Date,Value,Text,Out (EUR),In (EUR)\n18/04/2024,18/04/2024,CARD,6.60,\n,,shop in town\n\
             17/04/2024,17/04/2024,CASH,60.00,\n,,machine 5\n",
            &[
                "short_rows = \"fill\"",
                "continuation = \"Date\"",
                "0 rows bring in 0.00 EUR, 2 take out 66.60 EUR",
                "2 continuation lines",
            ],
        );
        assert!(!continued.contains("ends_before"), "{continued}");
        check(
            "Date;Currency;Amount;Text\n2024-01-07;EUR;150.00;a;b\n2024-01-06;EUR;-1.00;a;b;c;d\n2024-01-05;EUR;-2.00;a;b;c;e\n",
            &[
                "columns = [\"Date\", \"Currency\", \"Amount\", \"Text\", \"column 5\", \"column 6\", \"column 7\"]",
                "lines_before = 1\n",
                "1 rows bring in 150.00 EUR, 2 take out 3.00 EUR",
            ],
        );
        check(
            "2024-01-01;5.00\n\nDate;Text;Amount EUR\n2024-01-02;a;1.00\n2024-01-03;b;2.00\n",
            &[
                "Line 1 has a date and an amount, and is passed over because it stands outside the table: \"2024-01-01;5.00\"",
            ],
        );
    }

    #[test]
    fn a_card_without_signs_marks_what_comes_in() {
        let text = "Date,Description,Amount,\nPending,PUB,£6.00,\n12-Dec-2023,SHOP,£18.80,\n03-Dec-2023,\"TRAIN\",\"£1,001.50\",\n\
            02-Dec-2023,THANK YOU,\"+ £1,100.00\",CR\n";
        check(
            text,
            &[
                "1 rows bring in 1100.00 GBP, 2 take out 1020.30 GBP",
                "credit = [\"CR\"]\ndebit = [\"\"]",
                "1 rows have an amount and no date in the column \"Date\", and are passed over.",
            ],
        );
        let unmarked =
            check(&text.replace(",CR", ","), &["1 amounts have a plus, 2 have no sign, and none has a minus"]);
        assert!(!unmarked.contains("turned"), "{unmarked}");
    }

    #[test]
    fn a_row_without_an_amount_may_have_it_elsewhere() {
        let text =
            "Date;Text;Amount EUR;Fee\n2024-01-05;a;-4.50;0.00\n2024-01-05;b;0.00;1.50\n2024-01-06;c;3.00;0.10\n";
        check(
            text,
            &["1 of 3 rows have no amount here, but some of them have one in \"Fee\"", "# zero_amounts = \"skip\""],
        );
        let free = text.replace("1.50", "0.00").replace("0.10", "0.00");
        check(&free, &["# 1 of 3 rows move no money.\nzero_amounts = \"skip\""]);
    }

    #[test]
    fn a_key_names_a_column_once() {
        let text = "Date;Reference number;Text;Amount EUR\n2024-01-05;r1;a;-4.50\n2024-01-05;r1;b;1.00\n";
        let map = check(text, &["key_template = \"{Reference number}"]);
        let template = map.lines().find(|line| line.starts_with("key_template")).unwrap();
        assert_eq!(template.matches("{Reference number}").count(), 1, "{template}");
    }

    #[test]
    fn of_a_large_file_all_rows_count() {
        let rows = 2 * look::RECORDS_KEPT_AT_AN_END + 100;
        // In the middle stand the oldest day, a value that was there before, and a row that isn't booked.
        let of = |number: usize| match number {
            2_050 => "2020-01-01;id7;-1.00;EUR;booked\n".to_owned(),
            2_051 => "2024-01-05;id2051;-1.00;EUR;pending\n".to_owned(),
            _ => format!("2024-01-05;id{number};-1.00;EUR;booked\n"),
        };
        let text = format!("Date;Id;Amount;Currency;Status\n{}", (0..rows).map(of).collect::<String>());
        check(
            &text,
            &[
                &format!("Formed by {} of {rows} rows", 2 * look::RECORDS_KEPT_AT_AN_END - 1),
                "opened = \"2020-01-01\"",
                "key_template = \"{Id}\"",
                "when = { \"Status\" = [\"pending\"] }",
                &format!("{} take out {}.00 EUR", rows - 1, rows - 1),
            ],
        );
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
                "account main: 1 rows bring in 2.00, 1 take out 1.00.",
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
        for (text, reason) in [("", "has no table"), ("a;b;c\nd;e;f\n", "has no row with a date and an amount")] {
            assert!(for_bytes("f", text.as_bytes(), None, &decimals).unwrap_err().starts_with(reason), "{text}");
        }
    }
}
