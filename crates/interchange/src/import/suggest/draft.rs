//! The writing of a first map: each field with the reason why it is so.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::civil::Date;

use super::dates;
use super::look::{Look, Record};
use super::numbers::{self, Numbers};
use super::roles::{Money, Roles, is_above_zero, tells_a_balance};
use crate::import::map::SOURCE_NAME_CHARS_MAX;
use crate::import::source::{KEY_CHARS_MAX, TEXT_CHARS_MAX, has_offset};

/// Currencies that are looked for in a file's other lines. Words in capitals are often taken for rarer ones.
const COMMON_CURRENCIES: [&str; 20] = [
    "EUR", "USD", "GBP", "CHF", "JPY", "INR", "BRL", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "AUD", "CAD", "NZD",
    "SGD", "HKD", "ZAR", "MXN",
];

/// The account's key where no column names it.
const ONE_ACCOUNT: &str = "main";

/// The currency that stands in for one which isn't known, while sums are added up.
pub(super) const NO_CURRENCY: &str = "???";

/// Number of lines told that may be rows, and aren't read as such.
const LINES_TOLD_MAX: usize = 5;

/// A written map.
pub(super) struct Drafted {
    pub(super) map: String,
    /// The map with stand-ins for what is to be filled in, so that the rows' sums can be told.
    pub(super) trial: String,
    /// Things that may be wrong, to be looked at.
    pub(super) doubts: Vec<String>,
}

/// A map being written.
pub(super) struct Draft<'d> {
    file: &'d str,
    look: &'d Look,
    roles: &'d Roles,
    decimals: &'d dyn Fn(&str) -> Option<u32>,
    numbers: Numbers,
    /// Format of dates, if that can be told.
    date_format: Option<String>,
    rows: Rows<'d>,
    written: String,
    /// Lines of the map that wait for somebody, and what stands in for them.
    stand_ins: Vec<(String, String)>,
    doubts: Vec<String>,
}

/// The rows by what they are.
#[derive(Default)]
struct Rows<'d> {
    dated: Vec<&'d Record>,
    /// Dated, but they tell a balance.
    balances: Vec<&'d Record>,
    /// Rows that go on with the text of the row before.
    continued: Vec<&'d Record>,
    /// Rows without a date, and no text either.
    others: Vec<&'d Record>,
    /// Dated, and without an amount.
    zero: Vec<&'d Record>,
}

impl<'d> Draft<'d> {
    pub(super) fn new(
        file: &'d str,
        look: &'d Look,
        roles: &'d Roles,
        decimals: &'d dyn Fn(&str) -> Option<u32>,
    ) -> Self {
        let amounts: Vec<usize> = roles.money.iter().flat_map(Money::amounts).chain(roles.balance).collect();
        let fields = look.rows.iter().flat_map(|row| amounts.iter().map(move |column| row.field(*column)));
        let numbers = Numbers::of(fields);
        let mut draft = Self {
            file,
            look,
            roles,
            decimals,
            numbers,
            date_format: None,
            rows: Rows::default(),
            written: String::new(),
            stand_ins: Vec::new(),
            doubts: Vec::new(),
        };
        draft.rows = draft.sorted_rows();
        if draft.currencies().0.first().is_some_and(|code| decimals(code) == Some(0)) {
            draft.numbers.without_decimals();
        }
        draft
    }

    /// The map.
    pub(super) fn write(mut self) -> Drafted {
        self.source();
        self.bank();
        self.people();
        self.postings();
        self.doubt_rows();
        let mut trial = self.written.clone();
        for (line, stand_in) in &self.stand_ins {
            trial = trial.replacen(line, stand_in, 1);
        }
        Drafted { map: self.written, trial, doubts: self.doubts }
    }

    /// Says which lines and rows may be postings, or none, though they are not taken for it.
    fn doubt_rows(&mut self) {
        let lines: Vec<(usize, &str)> = self.look.doubtful_lines().collect();
        for (line, raw) in lines.iter().take(LINES_TOLD_MAX) {
            let start: String = raw.chars().take(60).collect();
            self.doubts.push(format!(
                "Line {line} has a date and an amount, and is passed over because it stands outside the table: {start:?}"
            ));
        }
        if let Some(more) = lines.len().checked_sub(LINES_TOLD_MAX).filter(|more| *more > 0) {
            self.doubts.push(format!("So have {more} more lines."));
        }
        let named = self.look.header.as_ref().map_or(0, |header| header.fields.len());
        let widest = self.rows.dated.iter().map(|row| row.fields.len()).max().unwrap_or(named);
        if named > widest {
            self.doubts.push(format!(
                "The header names {named} columns, and no row has more than {widest} fields: look whether names and fields fit."
            ));
        }
        if let Some((column, counts)) = &self.roles.unknown_state {
            let told: Vec<String> = counts.iter().map(|(state, count)| format!("{state:?} {count} times")).collect();
            self.doubts.push(format!(
                "The column {:?} says {}. If rows of a kind are not booked, add a [[postings.skip]] for them.",
                self.name(*column),
                told.join(", ")
            ));
        }
        if let Some((column, count)) = self.roles.lacking_dates.filter(|_| self.roles.state.is_none()) {
            self.doubts.push(format!(
                "{count} rows have no date in the column {:?}: perhaps they are not booked.",
                self.name(column)
            ));
        }
        let Some((date, _)) = &self.roles.date else { return };
        let amounts: Vec<usize> = self.roles.money.iter().flat_map(Money::amounts).collect();
        let has_money = |row: &&&Record| amounts.iter().any(|column| is_above_zero(row.field(*column)));
        let undated = self.rows.others.iter().filter(has_money).count();
        if undated > 0 {
            self.doubts.push(format!(
                "{undated} rows have an amount and no date in the column {:?}, and are passed over.",
                self.name(*date)
            ));
        }
    }

    fn sorted_rows(&self) -> Rows<'d> {
        let mut rows = Rows::default();
        let Some((date, formats)) = &self.roles.date else { return rows };
        let amounts: Vec<usize> = self.roles.money.iter().flat_map(Money::amounts).collect();
        let is_open = |row: &Record| {
            self.roles.state.as_ref().is_some_and(|(column, values)| values.contains(row.field(*column)))
        };
        for row in self.look.rows.iter().filter(|row| !is_open(row)) {
            let has_money = amounts.iter().chain(&self.roles.balance).any(|column| !row.field(*column).is_empty());
            let is_dated = formats.formats.iter().any(|format| dates::read(format, row.field(*date)).is_some());
            let texts = || self.roles.texts.iter().map(move |column| row.field(*column));
            let goes_on = row.field(*date).is_empty() && !has_money && texts().any(|text| !text.is_empty());
            if is_dated && texts().any(tells_a_balance) {
                rows.balances.push(row);
            } else if is_dated {
                let is_zero = |column: &usize| !row.field(*column).contains(|c| ('1'..='9').contains(&c));
                if !amounts.is_empty() && amounts.iter().all(is_zero) {
                    rows.zero.push(row);
                }
                rows.dated.push(row);
            } else if goes_on && !rows.dated.is_empty() {
                rows.continued.push(row);
            } else {
                rows.others.push(row);
            }
        }
        rows
    }

    fn line(&mut self, line: &str) {
        self.written.push_str(line);
        self.written.push('\n');
    }

    fn because(&mut self, reason: &str) {
        let mut width = 0;
        for word in reason.split_whitespace() {
            let begins = width == 0 || width + word.chars().count() > 110;
            let before = if width == 0 {
                "# "
            } else if begins {
                "\n# "
            } else {
                " "
            };
            width = if begins { 0 } else { width } + word.chars().count() + 1;
            self.written.push_str(before);
            self.written.push_str(word);
        }
        self.written.push('\n');
    }

    fn set(&mut self, field: &str, value: &str) {
        let line = format!("{field} = {}", quoted(value));
        self.line(&line);
    }

    fn set_list(&mut self, field: &str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        let line = format!("{field} = {}", list(values));
        self.line(&line);
    }

    /// Leaves a field to be filled in, with a value that stands in for it meanwhile.
    fn leave_open(&mut self, field: &str, example: &str, stand_in: &str) {
        let line = format!("# {field} = {}", quoted(example));
        self.stand_ins.push((line.clone(), format!("{field} = {}", quoted(stand_in))));
        self.line(&line);
    }

    fn name(&self, column: usize) -> &'d str {
        &self.look.names[column]
    }

    fn source(&mut self) {
        self.line("[source]");
        self.because("Part of each row's key, by which it is known again: never change it.");
        let name = source_name(self.file);
        self.set("name", &name);
        self.currency();
        let (encoding, reason) = (self.look.encoding.name().to_ascii_lowercase(), self.look.encoding_reason);
        self.because(reason);
        self.set("encoding", &encoding);
        self.because(&format!("So most of the file falls into rows of {} fields.", self.look.names.len()));
        let separator = char::from(self.look.separator).to_string();
        self.set("separator", &separator);
        if self.look.quotes {
            self.set("quote", "\"");
        } else {
            self.because("A quote is opened and never closed, so quotes are taken for letters.");
        }
        if self.look.escapes && self.look.quotes {
            self.because("Quotes within quotes have a backslash before them.");
            self.set("escape", "\\");
        }
        self.dates();
        self.amounts();
        self.line("");
    }

    fn currency(&mut self) {
        let (codes, reason) = self.currencies();
        self.because(&reason);
        match codes.first() {
            Some(code) => self.set("currency", code),
            None => self.leave_open("currency", "EUR", NO_CURRENCY),
        }
        if let (Some((column, counts)), [_, _, ..]) = (&self.roles.currency, &codes[..]) {
            let told: Vec<String> = codes.iter().map(|code| format!("{code} in {} rows", counts[code])).collect();
            self.doubts.push(format!(
                "The column {:?} says {}, so each currency has an account of its own. If all amounts are in the account's \
                 currency, and the column says only in what was paid, name one account and leave `currency` out of \
                 [postings].",
                self.name(*column),
                told.join(", ")
            ));
        }
    }

    /// The currencies of the rows, the first being the source's.
    fn currencies(&self) -> (Vec<String>, String) {
        if let Some((column, counts)) = &self.roles.currency {
            let mut codes: Vec<&String> = counts.keys().collect();
            codes.sort_by_key(|code| std::cmp::Reverse(counts[*code]));
            let reason = format!("As the column {:?} says.", self.name(*column));
            return (codes.into_iter().cloned().collect(), reason);
        }
        if let Some((column, code)) = &self.roles.unknown_currency {
            let reason = format!(
                "The column {:?} says {code:?}, which is no currency that is known here. Fill in which it is:",
                self.name(*column)
            );
            return (Vec::new(), reason);
        }
        let marks = self.numbers.marks.iter().filter_map(|mark| self.currency_of_mark(mark));
        let columns = self.roles.money.iter().flat_map(Money::columns).chain(self.roles.balance);
        let names = columns.filter_map(|column| self.code_in(self.name(column)));
        let lines = self.look.before.iter().filter_map(|record| self.code_in(&record.raw));
        let found = marks.map(|code| (code, "As the amounts' marks say."));
        let found = found.chain(names.map(|code| (code, "As the amounts' column is named.")));
        match found.chain(lines.map(|code| (code, "Named above the table."))).next() {
            Some((code, reason)) => (vec![code], reason.to_owned()),
            None => (Vec::new(), "The file doesn't say its currency. Fill in which it is:".to_owned()),
        }
    }

    fn currency_of_mark(&self, mark: &str) -> Option<String> {
        let known = numbers::MARKS.iter().find(|(known, _)| *known == mark).map(|(_, code)| *code);
        match known {
            Some(code) => code.map(str::to_owned),
            None => (self.decimals)(mark).map(|_| mark.to_owned()),
        }
    }

    fn code_in(&self, text: &str) -> Option<String> {
        let says = |mark: &str| (mark == "R$" || !mark.is_ascii()) && text.contains(mark);
        if let Some(code) = numbers::MARKS.iter().find_map(|(mark, code)| code.filter(|_| says(mark))) {
            return Some(code.to_owned());
        }
        let words = text.split(|c: char| !c.is_alphabetic());
        let mut codes = words.map(|word| if word.eq_ignore_ascii_case("euros") { "EUR" } else { word });
        codes.find(|word| COMMON_CURRENCIES.contains(word)).map(str::to_owned)
    }

    fn dates(&mut self) {
        let Some((column, dates)) = &self.roles.date else {
            self.because("No column has dates that are known here. Fill in, as strptime, how they are written:");
            self.line("# date_format = \"%Y-%m-%d\"");
            return;
        };
        let name = self.name(*column);
        let fields: Vec<&str> = self.rows.dated.iter().map(|row| row.field(*column)).collect();
        let read =
            |format: &String| fields.iter().filter_map(|field| dates::read(format, field)).collect::<Vec<Date>>();
        let readings: Vec<(&String, Vec<Date>)> = dates.formats.iter().map(|format| (format, read(format))).collect();
        let one_way: Vec<&String> =
            readings.iter().filter(|(_, dates)| dates::runs_one_way(dates)).map(|(format, _)| *format).collect();
        let all_alike = readings.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let (format, reason) = match (&dates.formats[..], &one_way[..]) {
            ([format], _) => (format, format!("All dates of the column {name:?} are written so.")),
            ([format, ..], _) if all_alike => (format, format!("All dates of the column {name:?} are written so.")),
            (_, [format]) => {
                let reason = "Day and month could change places, but only so the rows' dates run one way.";
                (*format, reason.to_owned())
            }
            (formats, _) => {
                self.because(&format!(
                    "Can't be told: the dates of the column {name:?}, such as {}, can be read in {} ways. Keep the right one:",
                    fields.first().unwrap_or(&""),
                    formats.len()
                ));
                for (place, format) in formats.iter().enumerate() {
                    match place {
                        // Sums are the same whichever of them is right.
                        0 => self.leave_open("date_format", format, format),
                        _ => self.line(&format!("# date_format = {}", quoted(format))),
                    }
                }
                return;
            }
        };
        self.because(&reason);
        self.set("date_format", format);
        if has_offset(format) {
            self.because("A row's day is the date as written. For the days of a zone, name it:");
            self.line("# time_zone = \"Europe/Berlin\"");
        }
        self.date_format = Some(format.clone());
    }

    fn amounts(&mut self) {
        let Numbers { decimal, thousands, is_indian, reason, marks, plus_marks, minus_marks, .. } =
            std::mem::take(&mut self.numbers);
        self.because(&reason);
        match decimal {
            Some(decimal) => self.set("decimal_separator", &decimal.to_string()),
            None => {
                self.because("Keep the right one, and the other as thousands_separator if it sets groups apart:");
                self.line("# decimal_separator = \".\"");
                self.line("# decimal_separator = \",\"");
            }
        }
        if let Some(thousands) = thousands {
            self.set("thousands_separator", &thousands.to_string());
        }
        if is_indian {
            self.because("Lakhs and crores are set apart.");
            self.set("grouping", "indian");
        }
        for (field, marks) in [("currency_marks", marks), ("plus_marks", plus_marks), ("minus_marks", minus_marks)] {
            if !marks.is_empty() {
                self.set_list(field, &marks);
            }
        }
    }

    fn bank(&mut self) {
        self.because(
            "To found a bank of its own for a trial, where `--data` holds none, write its name, country and code:",
        );
        self.line("# [bank]\n# name = \"Trial bank\"\n# country = \"AT\"\n# bank_code = \"99999\"\n");
    }

    fn people(&mut self) {
        self.because("Whose account it is. Write the name as the bank has it.");
        self.line("[[customers]]\nkey = \"holder\"\nname = \"Account holder\"\n");
        let (currencies, _) = self.currencies();
        let of_all = |account: &str| -> Vec<(String, Option<String>)> {
            match &currencies[..] {
                [_, _, ..] => currencies.iter().map(|code| (format!("{account} {code}"), Some(code.clone()))).collect(),
                _ => vec![(account.to_owned(), None)],
            }
        };
        let accounts: Vec<(String, Option<String>)> = match &self.roles.account {
            Some((_, accounts)) => accounts.iter().flat_map(|account| of_all(account)).collect(),
            None => of_all(ONE_ACCOUNT),
        };
        let oldest = self.oldest();
        for (number, (key, currency)) in (1..).zip(accounts) {
            self.line("[[accounts]]");
            self.set("key", &key);
            self.because("Its number within the bank, from which its IBAN is made.");
            self.line(&format!("number = {number}"));
            match oldest {
                Some(oldest) => {
                    self.because("The file's oldest day. No row may be older, so write an earlier one if older files are to come.");
                    self.set("opened", &oldest.to_string());
                }
                None => {
                    self.because("No row may be older. Fill in the day on which the account was opened:");
                    self.leave_open("opened", "2024-01-01", "1900-01-01");
                }
            }
            if let Some(currency) = currency {
                self.set("currency", &currency);
            }
            self.line("owners = [\"holder\"]\n");
        }
    }

    fn oldest(&self) -> Option<Date> {
        let (column, _) = self.roles.date.as_ref()?;
        let format = self.date_format.as_ref()?;
        let mut oldest: Option<Date> = None;
        let mut last = String::new();
        self.look.each_field(*column, |field| {
            // Rows of a day mostly stand together.
            if field != last {
                last = field.to_owned();
                oldest = oldest.into_iter().chain(dates::read(format, field)).min();
            }
            true
        });
        oldest
    }

    fn postings(&mut self) {
        self.line("[postings]");
        self.set("file", self.file);
        self.layout();
        self.key();
        self.account();
        if let Some((column, _)) = &self.roles.date {
            let name = self.name(*column);
            self.set("date", name);
        } else {
            self.because("Fill in the column of the booking date:");
            self.line("# date = \"\"");
        }
        self.money();
        if let Some((column, _)) = &self.roles.currency {
            let name = self.name(*column);
            self.set("currency", name);
        }
        if let Some(column) = self.roles.balance {
            self.because("What the bank says is left after each row, to compare with.");
            self.set("balance", self.name(column));
        }
        self.order();
        self.text();
        if !self.roles.others.is_empty() {
            let names: Vec<String> =
                self.roles.others.iter().map(|column| format!("{:?}", self.name(*column))).collect();
            self.because(&format!(
                "Not booked: what has amounts in {}. If that moved money of the account too, add rows for it.",
                names.join(" and ")
            ));
        }
        self.line("");
        self.skips();
        self.because(
            "The other side of all rows. More rules before this one, with `when` or `like`, can tell them apart.",
        );
        self.line("[[postings.contra]]\naccount = \"Other banks\"\nkind = \"asset\"");
    }

    fn layout(&mut self) {
        let lines_of = |record: &Record| record.lines_before + record.raw.matches('\n').count() + 1;
        match &self.look.header {
            Some(header) if self.needs_names() => {
                self.because("The header has a name more than once, or too few, so the columns are named here.");
                let lines = lines_of(header);
                self.line(&format!("lines_before = {lines}"));
                self.set_list("columns", &self.look.names);
            }
            Some(header) if !self.look.before.is_empty() => {
                self.because("Lines stand above the header, which is the first line like this:");
                let line = header.raw.lines().next().unwrap_or_default().trim();
                self.set("header", line);
            }
            Some(_) => {}
            None => {
                self.because("No line names the columns. Name them as you like, here and below.");
                if let Some(first) = self.look.rows.first().filter(|_| !self.look.before.is_empty()) {
                    self.line(&format!("lines_before = {}", first.lines_before));
                }
                self.set_list("columns", &self.look.names);
            }
        }
        if self.look.has_short_rows {
            self.because("Some rows have fewer fields than there are columns: the last ones are empty.");
            self.set("short_rows", "fill");
        }
        let worded = self.look.after.iter().find(|record| record.raw.chars().any(char::is_alphabetic));
        if let Some(record) = worded {
            self.because("Lines stand below the table, which ends before the first like this:");
            let line = record.raw.lines().next().unwrap_or_default().trim();
            self.set("ends_before", &as_pattern(line).unwrap_or_else(|| line.to_owned()));
        }
    }

    fn needs_names(&self) -> bool {
        self.look.renames() || self.roles.columns().into_iter().any(|column| self.look.is_unnamed(column))
    }

    fn key(&mut self) {
        let is_short =
            |column: &usize| self.rows.dated.iter().all(|row| row.field(*column).chars().count() <= KEY_CHARS_MAX);
        if let Some(column) = self.roles.id.filter(is_short) {
            self.because(&format!("Each of the {} rows has another.", self.look.row_count));
            self.set("key", self.name(column));
            return;
        }
        let reason = match self.roles.repeated_id {
            Some(column) => {
                format!("The column {:?} has a value more than once, so it isn't a key by itself.", self.name(column))
            }
            None => "No column has a key.".to_owned(),
        };
        self.because(&format!(
            "{reason} A row's key is made of its day, amount, account and these columns, and of which of the day's equal rows \
             it is. Leave out what the bank may write in another way the next time."
        ));
        let has_time = self.date_format.as_ref().is_some_and(|format| format.contains("%H"));
        let date = self.roles.date.as_ref().map(|(column, _)| *column);
        let mut columns: Vec<usize> = date.into_iter().filter(|_| has_time).collect();
        columns.extend(self.roles.id.iter().chain(&self.roles.repeated_id).chain(&self.roles.texts));
        if columns.is_empty() {
            columns.extend(date);
        }
        let mut named = BTreeSet::new();
        columns.retain(|column| named.insert(*column));
        let template = self.template(&columns);
        self.set("key_template", &template);
    }

    fn template(&self, columns: &[usize]) -> String {
        columns.iter().map(|column| format!("{{{}}}", self.name(*column))).collect::<Vec<_>>().join(" ")
    }

    fn account(&mut self) {
        let (currencies, _) = self.currencies();
        let account = self.roles.account.as_ref().map(|(column, _)| self.name(*column));
        match (account, self.roles.currency.as_ref().filter(|_| currencies.len() > 1)) {
            (Some(name), None) => self.set("account", name),
            (None, None) => {
                self.because("All rows are of one account, the one above.");
                self.set("account_template", ONE_ACCOUNT);
            }
            (account, Some((currency, _))) => {
                self.because("Each currency has an account of its own.");
                let currency = self.name(*currency);
                let account = account.map_or_else(|| ONE_ACCOUNT.to_owned(), |name| format!("{{{name}}}"));
                self.set("account_template", &format!("{account} {{{currency}}}"));
            }
        }
    }

    fn money(&mut self) {
        match &self.roles.money {
            None => {
                self.because("No column has amounts that are known here. Fill in which it is:");
                self.line("# amount = \"\"");
            }
            Some(Money::Signed(amount)) => {
                self.signed(*amount);
                self.set("amount", self.name(*amount));
            }
            Some(Money::Directed { amount, direction, credit, debit }) => {
                self.set("amount", self.name(*amount));
                self.because("It says only which way the money goes.");
                self.set("direction", self.name(*direction));
                self.set_list("credit", credit);
                self.set_list("debit", debit);
                let is_out = |row: &&Record| debit.contains(row.field(*direction));
                let signs = self.rows.dated.iter().map(|row| (is_out(row), *amount, *row));
                let signs: Vec<_> = signs.filter_map(|(out, column, row)| sign_of(row.field(column), out)).collect();
                self.sign(&signs);
            }
            Some(Money::Either([first, second])) => {
                self.because(
                    "In each row one of two columns has an amount, and nothing tells which of them is for money that comes in. \
                     Keep the right two lines:",
                );
                for (money_in, money_out) in [(first, second), (second, first)] {
                    let (money_in, money_out) = (quoted(self.name(*money_in)), quoted(self.name(*money_out)));
                    self.line(&format!("# money_in = {money_in}\n# money_out = {money_out}"));
                }
            }
            Some(Money::InOut { money_in, money_out }) => {
                self.because("One column for money that comes in, another for what goes out.");
                self.set("money_in", self.name(*money_in));
                self.set("money_out", self.name(*money_out));
                let fields = self
                    .rows
                    .dated
                    .iter()
                    .flat_map(|row| [(false, row.field(*money_in)), (true, row.field(*money_out))]);
                let signs: Vec<_> = fields.filter_map(|(out, field)| sign_of(field, out)).collect();
                self.sign(&signs);
            }
        }
        if self.rows.zero.is_empty() {
            return;
        }
        let (zero, all) = (self.rows.zero.len(), self.rows.dated.len());
        let is_other = |column: &&usize| self.rows.zero.iter().any(|row| is_above_zero(row.field(**column)));
        match self.roles.others.iter().find(is_other) {
            None => {
                self.because(&format!("{zero} of {all} rows move no money."));
                self.set("zero_amounts", "skip");
            }
            Some(other) => {
                self.because(&format!(
                    "{zero} of {all} rows have no amount here, but some of them have one in {:?}. If that moved money, it is \
                     to be booked in another way; if not, say:",
                    self.name(*other)
                ));
                self.leave_open("zero_amounts", "skip", "skip");
            }
        }
    }

    /// Says what signs of amounts mean that have no direction beside them.
    fn signed(&mut self, amount: usize) {
        let shapes = self.rows.dated.iter().filter_map(|row| numbers::shape(row.field(amount)));
        let (mut minus, mut plus, mut none) = (0, 0, 0);
        for shape in shapes {
            let is_plus = shape.has_sign || shape.side.is_some();
            *(if shape.is_negative {
                &mut minus
            } else if is_plus {
                &mut plus
            } else {
                &mut none
            }) += 1;
        }
        match (minus, plus, none) {
            (0, 1.., 1..) => {
                self.because("All rows bring money in, as no amount has a minus.");
                self.doubts.push(format!(
                    "In the column {:?}, {plus} amounts have a plus, {none} have no sign, and none has a minus. If those without \
                     a sign take money out, no map can say so yet: put a minus before them in the file.",
                    self.name(amount)
                ));
            }
            (0, ..) => self.because(
                "All rows bring money in, as no amount has a minus. If they take it out, as credit cards have it, add \
                 sign = \"turned\".",
            ),
            _ => self.because("Minus takes money out. If it is the other way round, add sign = \"turned\"."),
        }
    }

    /// Writes what the signs of amounts mean that have a direction: `signs` tells of each whether it goes out, is
    /// minus, and has a sign.
    fn sign(&mut self, signs: &[(bool, bool, bool)]) {
        if !signs.iter().any(|(_, _, has_sign)| *has_sign) {
            return;
        }
        if signs.iter().all(|(goes_out, is_minus, _)| goes_out == is_minus) {
            self.because("The signs say the same.");
            self.set("sign", "agrees");
        } else if !signs.iter().any(|(_, is_minus, _)| *is_minus) {
            self.because("Some have a plus, which says no more than the direction does. A minus would turn it round.");
            self.set("sign", "reverses");
        } else {
            self.because(
                "Some have a minus, which is taken to turn the direction round, as in a reversal. Look at these rows.",
            );
            self.set("sign", "reverses");
        }
    }

    fn order(&mut self) {
        let (Some((column, _)), Some(format)) = (&self.roles.date, &self.date_format) else { return };
        let dates: Vec<Date> =
            self.rows.dated.iter().filter_map(|row| dates::read(format, row.field(*column))).collect();
        if !dates::runs_one_way(&dates) {
            self.because("The rows' dates don't tell which comes first within a day.");
            return;
        }
        let (order, reason) = if dates.first() > dates.last() {
            ("newest-first", "The newest row comes first.")
        } else {
            ("oldest-first", "The oldest row comes first.")
        };
        self.because(reason);
        self.set("order", order);
    }

    fn text(&mut self) {
        if self.roles.texts.is_empty() {
            return;
        }
        let texts = &self.roles.texts;
        self.set("text", &self.template(texts));
        let joined = |row: &&Record| texts.iter().map(|column| row.field(*column)).collect::<Vec<_>>().join(" ");
        if !self.rows.continued.is_empty()
            || self.rows.dated.iter().any(|row| joined(row).chars().count() > TEXT_CHARS_MAX)
        {
            self.because(&format!(
                "Some may have over {TEXT_CHARS_MAX} characters: the rest is kept as metadata (\"cut\" drops it)."
            ));
            self.set("long_text", "split");
        }
        if let Some((date, _)) = self.roles.date.as_ref().filter(|_| !self.rows.continued.is_empty()) {
            let name = self.name(*date);
            self.because("Rows without it go on with the text of the row before.");
            self.set("continuation", name);
        }
    }

    fn skips(&mut self) {
        if let Some((column, values)) = self.roles.state.as_ref().filter(|(_, values)| !values.is_empty()) {
            self.skip("rows that are not booked", "when", *column, values.iter());
        }
        let texts = self.roles.texts.clone();
        for column in texts {
            let told = self.rows.balances.iter().map(|row| row.field(column)).filter(|text| tells_a_balance(text));
            let told: BTreeSet<String> = told.map(str::to_owned).collect();
            self.skip_values("balances", column, told);
        }
        let Some((date, _)) = &self.roles.date else { return };
        let (date, amounts): (usize, Vec<usize>) = (*date, self.roles.money.iter().flat_map(Money::amounts).collect());
        let all: Vec<BTreeSet<&str>> = (0..self.look.names.len())
            .map(|column| self.rows.dated.iter().map(|row| row.field(column)).collect())
            .collect();
        let mut by_date = BTreeSet::new();
        let mut by_other: BTreeSet<(usize, String)> = BTreeSet::new();
        for row in &self.rows.others {
            // Only by what no payment says.
            let says = |column: &usize| {
                let field = row.field(*column);
                let is_named = !self.look.is_unnamed(*column) || self.needs_names();
                !field.is_empty() && is_named && !amounts.contains(column) && !all[*column].contains(field)
            };
            let other = (0..self.look.names.len()).filter(|column| *column != date).find(says);
            match other.filter(|_| row.field(date).is_empty() && !self.rows.continued.is_empty()) {
                Some(column) => _ = by_other.insert((column, row.field(column).to_owned())),
                None => _ = by_date.insert(row.field(date).to_owned()),
            }
        }
        self.skip_values("rows without a date", date, by_date);
        for (column, value) in by_other {
            self.skip_values("rows without a date", column, BTreeSet::from([value]));
        }
    }

    /// Skips rows by exact values, or by their beginnings where a number follows that may be another in the next file.
    fn skip_values(&mut self, reason: &str, column: usize, values: BTreeSet<String>) {
        let (like, exact): (BTreeSet<String>, BTreeSet<String>) =
            values.into_iter().partition(|value| as_pattern(value).is_some());
        let patterns: BTreeSet<String> = like.iter().filter_map(|value| as_pattern(value)).collect();
        for (by, values) in [("when", exact), ("like", patterns)].into_iter().filter(|(_, values)| !values.is_empty()) {
            self.skip(reason, by, column, values.iter());
        }
    }

    fn skip<'v>(&mut self, reason: &str, by: &str, column: usize, values: impl Iterator<Item = &'v String>) {
        let name = quoted(self.name(column));
        let line = format!("[[postings.skip]]\nreason = {}\n{by} = {{ {name} = {} }}\n", quoted(reason), list(values));
        self.line(&line);
    }
}

/// Tells whether an amount in a column of its own direction goes out, is minus, and has a sign at all. None if it is
/// zero.
fn sign_of(field: &str, goes_out: bool) -> Option<(bool, bool, bool)> {
    let shape = numbers::shape(field).filter(|_| is_above_zero(field))?;
    Some((goes_out, shape.is_negative, shape.has_sign))
}

/// The words before the first number, with a star for the rest; none if there is no number, or no words before it.
fn as_pattern(text: &str) -> Option<String> {
    let (words, _) = text.split_at(text.find(|c: char| c.is_ascii_digit())?);
    let words = words.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '(' && c != ':');
    (words.chars().filter(|c| c.is_alphabetic()).count() >= 3 && !words.contains('*')).then(|| format!("{words}*"))
}

/// The file's name in the letters that a source's name may have.
fn source_name(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_ascii_lowercase();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    let name: String = name.chars().take(SOURCE_NAME_CHARS_MAX).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "source".to_owned() } else { name }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn list(values: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| quoted(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_leave_out_numbers_that_change() {
        for (text, expected) in [
            ("Total on 03.02.2024", Some("Total on*")),
            ("Saldo: 5,00", Some("Saldo:*")),
            ("Disclaimer", None),
            ("12 rows", None),
            ("*** 5", None),
        ] {
            assert_eq!(as_pattern(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_and_texts_are_written_as_toml_has_them() {
        assert_eq!(source_name("Umsätze_AT12 (3).CSV"), "ums-tze-at12-3");
        assert_eq!(source_name("取引.csv"), "source");
        assert_eq!(source_name(&"a".repeat(40)).len(), SOURCE_NAME_CHARS_MAX);
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000A\"");
    }
}
