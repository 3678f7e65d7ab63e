//! What the map file says, checked: how the source writes, where each thing stands, and what its codes mean.
//!
//! The fields are described once, in the module above and in `examples/berka/map.toml`. Here they are read, all
//! mistakes together, into types that the plan can follow without checking again.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use encoding_rs::Encoding;
use jiff::civil::date;
use jiff::fmt::strtime;

use super::Mistakes;
use super::plan::{ContraKind, Direction, PlannedBank};
use super::section::{Document, Section};
use super::source::{AmountFormat, SourceFormat, Template};

/// The longest source name. It is part of every row's key, and keys are stored for ever.
const SOURCE_NAME_CHARS_MAX: usize = 32;

/// A whole map.
#[derive(Debug)]
pub(crate) struct Map {
    pub(super) source_name: String,
    pub(super) currency: String,
    pub(super) decimals: u32,
    /// The bank to found where there is none.
    pub(super) bank: Option<PlannedBank>,
    pub(super) format: SourceFormat,
    pub(super) customers: Customers,
    pub(super) accounts: Accounts,
    pub(super) rights: Rights,
    pub(super) postings: Postings,
}

/// What all tables have: the file, the column of the row's key, and the columns' names if no header line gives them.
#[derive(Debug)]
pub(super) struct TableFile {
    pub(super) file: String,
    pub(super) key: String,
    pub(super) columns: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Customers {
    pub(super) table: TableFile,
    pub(super) name: Template<String>,
}

#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) table: TableFile,
    pub(super) number: String,
    pub(super) opened: String,
    pub(super) name: Option<Template<String>>,
}

#[derive(Debug)]
pub(super) struct Rights {
    pub(super) table: TableFile,
    pub(super) customer: String,
    pub(super) account: String,
    /// The column whose value says which right it is; without it every row makes an owner.
    pub(super) kind: Option<String>,
    pub(super) kinds: BTreeMap<String, RightKind>,
    pub(super) signatory_limit: Option<String>,
}

/// What a code of the rights' type column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RightKind {
    Owner,
    Signatory,
    ReadOnly,
}

#[derive(Debug)]
pub(super) struct Postings {
    pub(super) table: TableFile,
    pub(super) account: String,
    pub(super) date: String,
    pub(super) amount: String,
    /// The column whose value says credit or debit; without it the amount's sign does.
    pub(super) direction: Option<String>,
    pub(super) directions: BTreeMap<String, Direction>,
    pub(super) balance: Option<String>,
    pub(super) text: Option<Template<String>>,
    /// By column: what its codes read as in texts.
    pub(super) codes: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) contra: Vec<ContraRule<String>>,
}

/// Which contra account a posting goes against. `C` is a column: its name in the map, its place when reading a file.
#[derive(Debug)]
pub(super) struct ContraRule<C> {
    /// Columns and the values of which each must have one.
    pub(super) when: Vec<(C, Vec<String>)>,
    pub(super) account: Template<C>,
    pub(super) kind: ContraKind,
    pub(super) text: Option<Template<C>>,
}

impl ContraRule<String> {
    /// The same rule with each column's name replaced by its place.
    pub(super) fn resolve(&self, place: &mut impl FnMut(&str) -> usize) -> ContraRule<usize> {
        ContraRule {
            when: self.when.iter().map(|(column, values)| (place(column), values.clone())).collect(),
            account: self.account.resolve(place),
            kind: self.kind,
            text: self.text.as_ref().map(|text| text.resolve(place)),
        }
    }
}

/// The bank to found, where the section is there.
fn bank(mut section: Section<'_>, is_there: bool) -> Option<PlannedBank> {
    let planned = is_there.then(|| PlannedBank {
        name: section.text("name"),
        country: section.text("country"),
        bank_code: section.text("bank_code"),
    });
    section.finish();
    planned
}

impl Map {
    /// Reads a map. `file` names it in mistakes, of which all are told.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        currency_decimals: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<Self, Mistakes> {
        let document = Document::new(file, text);
        let table = document.parse();
        let mut root = Section::root(&document, &table);

        let mut source = root.section("source");
        let source_name = source.parsed("name", String::new(), source_name);
        let (currency, decimals) = source.parsed("currency", (String::new(), 0), |code| {
            let decimals = currency_decimals(code).ok_or_else(|| format!("is not a known currency: {code}"))?;
            Ok((code.to_owned(), decimals))
        });
        let has_bank = root.has("bank");
        let bank = bank(root.optional_section("bank"), has_bank);
        let map = Self {
            source_name,
            currency,
            decimals,
            bank,
            format: format(source, decimals),
            customers: customers(root.section("customers")),
            accounts: accounts(root.section("accounts")),
            rights: rights(root.section("rights")),
            postings: postings(root.section("postings")),
        };
        root.finish();
        drop(table);
        Mistakes::unless_none(map, document.into_mistakes())
    }
}

fn format(mut source: Section<'_>, decimals: u32) -> SourceFormat {
    let decimal = source.parsed("decimal_separator", '.', amount_separator);
    let thousands = source.optional("thousands_separator", amount_separator);
    if thousands == Some(decimal) {
        source.refuse("thousands_separator", "`thousands_separator` is the decimal separator".to_owned());
    }
    let format = SourceFormat {
        encoding: source.parsed("encoding", encoding_rs::UTF_8, |label| {
            Encoding::for_label(label.as_bytes()).ok_or_else(|| format!("is not a known encoding: {label}"))
        }),
        separator: source.parsed("separator", b';', ascii),
        quote: source.optional("quote", ascii),
        date: source.parsed("date_format", String::new(), date_format),
        amount: AmountFormat { decimal, thousands, decimals },
    };
    if format.quote == Some(format.separator) {
        source.refuse("quote", "`quote` is the separator".to_owned());
    }
    source.finish();
    format
}

fn customers(mut section: Section<'_>) -> Customers {
    let customers = Customers { table: table_file(&mut section), name: template(&mut section, "name") };
    section.finish();
    customers
}

fn accounts(mut section: Section<'_>) -> Accounts {
    let accounts = Accounts {
        table: table_file(&mut section),
        number: section.text("number"),
        opened: section.text("opened"),
        name: section.optional("name", Template::parse),
    };
    section.finish();
    accounts
}

fn rights(mut section: Section<'_>) -> Rights {
    let kinds = [("owner", RightKind::Owner), ("signatory", RightKind::Signatory), ("read_only", RightKind::ReadOnly)];
    let rights = Rights {
        table: table_file(&mut section),
        customer: section.text("customer"),
        account: section.text("account"),
        kinds: codes(&mut section, "type", &kinds),
        kind: section.optional_text("type"),
        signatory_limit: section.optional_text("signatory_limit"),
    };
    section.finish();
    rights
}

fn postings(mut section: Section<'_>) -> Postings {
    let directions = [("credit", Direction::Credit), ("debit", Direction::Debit)];
    let mut code_tables = section.optional_section("codes");
    let postings = Postings {
        table: table_file(&mut section),
        account: section.text("account"),
        date: section.text("date"),
        amount: section.text("amount"),
        directions: codes(&mut section, "direction", &directions),
        direction: section.optional_text("direction"),
        balance: section.optional_text("balance"),
        text: section.optional("text", Template::parse),
        codes: code_tables
            .names()
            .into_iter()
            .map(|column| (column.clone(), code_tables.section(&column).into_texts()))
            .collect(),
        contra: contra_rules(&mut section),
    };
    section.finish();
    postings
}

/// The rules in their order. One after a rule for every row could never apply, so it is a mistake.
fn contra_rules(postings: &mut Section<'_>) -> Vec<ContraRule<String>> {
    let mut rules: Vec<ContraRule<String>> = Vec::new();
    for mut section in postings.sections("contra") {
        if rules.last().is_some_and(|rule| rule.when.is_empty()) {
            section.refuse("", "this rule comes after one for every row".to_owned());
        }
        rules.push(ContraRule {
            when: conditions(section.optional_section("when")),
            account: template(&mut section, "account"),
            kind: section.parsed("kind", ContraKind::Asset, contra_kind),
            text: section.optional("text", Template::parse),
        });
        section.finish();
    }
    rules
}

fn conditions(mut when: Section<'_>) -> Vec<(String, Vec<String>)> {
    let conditions: Vec<_> = when.names().into_iter().map(|column| (column.clone(), when.texts(&column))).collect();
    for (column, _) in conditions.iter().filter(|(_, values)| values.is_empty()) {
        when.refuse(column, format!("`{column}` lists no values"));
    }
    conditions
}

/// A code table: for each meaning the field that lists its codes. There must be codes exactly if there is a `column`.
fn codes<T: Copy>(section: &mut Section<'_>, column: &str, meanings: &[(&str, T)]) -> BTreeMap<String, T> {
    let mut codes = BTreeMap::new();
    for (field, meaning) in meanings {
        for code in section.texts(field) {
            if codes.insert(code.clone(), *meaning).is_some() {
                section.refuse(field, format!("the code {code:?} has a meaning already"));
            }
        }
        if section.has(field) && !section.has(column) {
            section.refuse(field, format!("`{field}` lists codes, but no `{column}` names their column"));
        }
    }
    if section.has(column) && codes.is_empty() {
        section.refuse(column, format!("`{column}` names a column, but no codes are listed"));
    }
    codes
}

fn table_file(section: &mut Section<'_>) -> TableFile {
    TableFile {
        file: section.parsed("file", String::new(), file_name),
        key: section.text("key"),
        columns: section.texts("columns"),
    }
}

fn template(section: &mut Section<'_>, name: &str) -> Template<String> {
    section.parsed(name, Template::default(), Template::parse)
}

fn source_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > SOURCE_NAME_CHARS_MAX || !name.chars().all(allowed) {
        return Err(format!("must be up to {SOURCE_NAME_CHARS_MAX} of a-z, 0-9 and -"));
    }
    Ok(name.to_owned())
}

/// A path that stays within the source's folder, so that a map from elsewhere can't point at other files.
fn file_name(name: &str) -> Result<String, String> {
    if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err("must be a file within the folder".to_owned());
    }
    Ok(name.to_owned())
}

fn contra_kind(kind: &str) -> Result<ContraKind, String> {
    match kind {
        "asset" => Ok(ContraKind::Asset),
        "liability" => Ok(ContraKind::Liability),
        "equity" => Ok(ContraKind::Equity),
        "income" => Ok(ContraKind::Income),
        "expense" => Ok(ContraKind::Expense),
        _ => Err("must be asset, liability, equity, income or expense".to_owned()),
    }
}

fn ascii(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(*byte),
        _ => Err("must be one ASCII character".to_owned()),
    }
}

fn amount_separator(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) if !char.is_ascii_digit() && char != '-' => Ok(char),
        _ => Err("must be one character, neither a digit nor -".to_owned()),
    }
}

/// A format is good if it writes a date that it can read back.
fn date_format(format: &str) -> Result<String, String> {
    let sample = date(1993, 12, 31);
    let written = strtime::format(format, sample.at(0, 0, 0, 0));
    let read = written.and_then(|text| strtime::parse(format, text)).and_then(|time| time.to_date());
    if read.is_ok_and(|read| read == sample) { Ok(format.to_owned()) } else { Err("must hold a whole date".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../../../examples/berka/map.toml");

    fn check(replace: &str, with: &str, mistakes: &[&str]) {
        assert!(GOOD.contains(replace), "{replace}");
        let text = GOOD.replacen(replace, with, 1);
        let found = Map::parse("map.toml", &text, &|code| (code == "CZK").then_some(2)).err();
        let found: Vec<String> = found.iter().flat_map(Mistakes::all).map(|mistake| mistake.reason.clone()).collect();
        assert_eq!(found, mistakes, "{replace} -> {with}");
    }

    #[test]
    fn each_mistake_is_named() {
        check("[source]", "[source]", &[]);
        check("name = \"berka\"", "", &["`name` is missing"]);
        check("name = \"berka\"", "name = \"Berka Bank\"", &["`name` must be up to 32 of a-z, 0-9 and -"]);
        check("name = \"berka\"", "name = \"\"", &["`name` is empty"]);
        check("name = \"berka\"", "name = 7", &["`name` must be a text"]);
        check("name = \"berka\"", "name = \"berka\"\ntitle = \"x\"", &["unknown field `title`"]);
        check("\"CZK\"", "\"CZX\"", &["`currency` is not a known currency: CZX"]);
        check("\"iso-8859-1\"", "\"klingon\"", &["`encoding` is not a known encoding: klingon"]);
        check("separator = \";\"", "separator = \";;\"", &["`separator` must be one ASCII character"]);
        check("separator = \";\"", "separator = '\"'", &["`quote` is the separator"]);
        check("%y%m%d", "%y%m", &["`date_format` must hold a whole date"]);
        check("%y%m%d", "%y%m%d%!", &["`date_format` must hold a whole date"]);
        check("[\"UROK\"]", "[]", &["`k_symbol` lists no values"]);
        check(
            "decimal_separator = \".\"",
            "decimal_separator = \".\"\nthousands_separator = \".\"",
            &["`thousands_separator` is the decimal separator"],
        );
        check("\"client.asc\"", "\"../client.asc\"", &["`file` must be a file within the folder"]);
        check("{client_id}", "{client_id", &["`name` has a brace that is never closed"]);
        check("owner = [\"OWNER\"]", "owner = \"OWNER\"", &["`owner` must be a list of texts"]);
        check("[\"DISPONENT\"]", "[\"OWNER\"]", &["the code \"OWNER\" has a meaning already"]);
        check(
            "kind = \"income\"",
            "kind = \"profit\"",
            &["`kind` must be asset, liability, equity, income or expense"],
        );
        check("when = { type", "when = 3 # {", &["`when` must be a table", "this rule comes after one for every row"]);
        check(
            "direction = \"type\"",
            "",
            &[
                "`credit` lists codes, but no `direction` names their column",
                "`debit` lists codes, but no `direction` names their column",
            ],
        );
        check("[rights]", "[right]", &["`rights` is missing", "unknown field `right`"]);
    }

    #[test]
    fn all_mistakes_are_told_together_with_their_lines() {
        let mistakes =
            Map::parse("map.toml", "[source]\nname = 7\nnonsense = 1\n[customers]\n", &|_| None).unwrap_err();
        let told: Vec<String> = mistakes.all().iter().map(ToString::to_string).collect();
        assert!(told.contains(&"map.toml:2: `name` must be a text".to_owned()), "{told:?}");
        assert!(told.contains(&"map.toml:3: unknown field `nonsense`".to_owned()), "{told:?}");
        assert!(told.contains(&"map.toml:4: `key` is missing".to_owned()), "{told:?}");
        assert!(told.contains(&"map.toml:1: `accounts` is missing".to_owned()), "{told:?}");
    }
}
