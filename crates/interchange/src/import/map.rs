//! The map file's content, checked: how the source writes, where each thing stands, and what its codes mean.
//!
//! The fields are described once, in `docs/IMPORT.md`. Here they are read, all
//! mistakes together, into types that the plan can follow without checking again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use bank::{Numbering, NumbersAsked, OwnCheck};
use encoding_rs::Encoding;
use engine::Calendar;
use jiff::civil::date;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use ledger::Currency;

use super::amount::{AmountFormat, Grouping};
use super::inline::{self, InlineAccount, InlineCustomer};
use super::order::Listing;
use super::pattern::Pattern;
use super::plan::{ContraKind, Direction, PlannedBank};
use super::section::{Document, Section};
use super::source::{self, Layout, SourceFormat, TEXT_CHARS_MAX, Template};
use super::{Mistake, Mistakes};

/// The longest source name. It is part of every row's key, and keys are stored for ever.
pub(super) const SOURCE_NAME_CHARS_MAX: usize = 32;

/// The account against which opening balances are booked, where the map names none.
const OPENING_ACCOUNT: &str = "Opening balances";

/// A whole map.
#[derive(Debug)]
pub(crate) struct Map {
    /// The map's own file.
    pub(super) file: String,
    pub(super) source_name: String,
    pub(super) currency: String,
    pub(super) decimals: u32,
    /// The bank to found where there is none.
    pub(super) bank: Option<PlannedBank>,
    /// Reason why that bank can't be founded. One that is there may be of before that was known.
    pub(super) unfoundable: Option<Mistake>,
    pub(super) format: SourceFormat,
    /// The customers' table, if the map doesn't list them itself.
    pub(super) customers: Option<Customers>,
    /// The accounts' table, if the map doesn't list them itself.
    pub(super) accounts: Option<Accounts>,
    /// The rights' table. Accounts that the map lists name their owners.
    pub(super) rights: Option<Rights>,
    pub(super) inline_customers: Vec<InlineCustomer>,
    pub(super) inline_accounts: Vec<InlineAccount>,
    pub(super) postings: Postings,
}

/// Fields that all tables have: the file, the row's key, and where in the file the table stands.
#[derive(Debug)]
pub(super) struct TableFile<K = String> {
    pub(super) file: String,
    /// A column of the rows' keys, or more for tables that have none.
    pub(super) key: K,
    pub(super) layout: Layout,
}

/// The place where a row says its key or account: in a column, or in several put together.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A column has it.
    Column(String),
    /// It is made of several columns, of one, or of none.
    Template(Template<String>),
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
    /// The column of what accounts held before their first rows.
    pub(super) opening_balance: Option<String>,
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

/// Meaning of a code in the rights' type column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RightKind {
    Owner,
    Signatory,
    ReadOnly,
}

#[derive(Debug)]
pub(super) struct Postings {
    /// A template for a key stands for rows that are alike in it: the day's first, second and so on.
    pub(super) table: TableFile<Lookup>,
    /// The account's key.
    pub(super) account: Lookup,
    pub(super) date: String,
    pub(super) amount: Amount,
    /// Meaning of a sign where a column says already which way the money goes.
    pub(super) sign: Option<SignRule>,
    /// `true` if rows without any money are passed over.
    pub(super) skips_zero: bool,
    pub(super) currency: Option<String>,
    pub(super) balance: Option<String>,
    pub(super) text: Option<Template<String>>,
    /// The column with the payer's own id of the payment.
    pub(super) end_to_end_id: Option<String>,
    /// Treatment of a text that is too long; without it, that is a mistake.
    pub(super) long_text: Option<LongText>,
    /// The column that is empty in rows which go on with the text of the row before.
    pub(super) continuation: Option<String>,
    pub(super) skips: Vec<SkipRule>,
    /// Direction in which the file lists its rows, if the map says so.
    pub(super) order: Option<Listing>,
    /// `true` if a row that is older than the newest entry of its account is booked as of now.
    pub(super) late_is_booked_now: bool,
    /// The account against which the balances are booked that accounts begin with.
    pub(super) opening_account: String,
    /// Words that codes read as in texts, by column.
    pub(super) codes: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) contra: Vec<ContraRule<String>>,
}

/// Columns of the amount, and of the way it goes.
#[derive(Debug)]
pub(super) enum Amount {
    /// Amount in one column, its sign telling the direction.
    Signed(String),
    /// Amount in one column, and another says credit or debit.
    Directed { amount: String, direction: String, directions: BTreeMap<String, Direction> },
    /// Amount in one of two columns.
    InOut { money_in: String, money_out: String },
}

/// Meaning of an amount's sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignRule {
    /// Agrees with the column: minus is a debit.
    Agrees,
    /// Minus turns the column's direction round.
    Reverses,
    /// No column says a direction, and plus is a debit.
    Turned,
}

/// Treatment of a text that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LongText {
    /// Leaves out what doesn't fit.
    Cut,
    /// Keeps what doesn't fit as the payment's metadata.
    Split,
}

/// Rows that are passed over, and counted.
#[derive(Debug)]
pub(super) struct SkipRule {
    /// Reason that they are counted under.
    pub(super) reason: String,
    pub(super) when: Condition<String>,
    /// Rows as they are written, of which one must fit.
    pub(super) lines: Vec<Pattern>,
}

/// Condition on a row: each of the columns must have one of its values, or be like one of its patterns.
#[derive(Debug)]
pub(super) struct Condition<C> {
    pub(super) values: Vec<(C, Vec<String>)>,
    pub(super) patterns: Vec<(C, Vec<Pattern>)>,
}

impl Condition<String> {
    /// Replaces each column's name by its place.
    pub(super) fn resolve(&self, place: &mut impl FnMut(&str) -> usize) -> Condition<usize> {
        Condition {
            values: self.values.iter().map(|(column, values)| (place(column), values.clone())).collect(),
            patterns: self.patterns.iter().map(|(column, patterns)| (place(column), patterns.clone())).collect(),
        }
    }
}

impl<C: Copy> Condition<C> {
    /// Tells whether a row whose fields `field` gives is so.
    pub(super) fn holds<'r>(&self, field: impl Fn(C) -> &'r str) -> bool {
        self.values.iter().all(|(column, values)| values.iter().any(|value| value == field(*column)))
            && self
                .patterns
                .iter()
                .all(|(column, patterns)| patterns.iter().any(|pattern| pattern.matches(field(*column))))
    }
}

impl Condition<usize> {
    /// The columns that it looks at.
    pub(super) fn columns(&self) -> Vec<usize> {
        let patterns = self.patterns.iter().map(|(column, _)| *column);
        self.values.iter().map(|(column, _)| *column).chain(patterns).collect()
    }
}

impl<C> Condition<C> {
    /// Returns `true` if every row is so.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.patterns.is_empty()
    }
}

/// Rule for the contra account that a posting goes against. `C` is a column: its name in the map, its place when
/// reading a file.
#[derive(Debug)]
pub(super) struct ContraRule<C> {
    pub(super) when: Condition<C>,
    pub(super) account: Template<C>,
    pub(super) kind: ContraKind,
    pub(super) text: Option<Template<C>>,
}

impl ContraRule<String> {
    /// Replaces each column's name by its place.
    pub(super) fn resolve(&self, place: &mut impl FnMut(&str) -> usize) -> ContraRule<usize> {
        ContraRule {
            when: self.when.resolve(place),
            account: self.account.resolve(place),
            kind: self.kind,
            text: self.text.as_ref().map(|text| text.resolve(place)),
        }
    }
}

/// The bank to found, where the section is there, and why it can't be.
fn bank(mut section: Section<'_>, is_there: bool) -> (Option<PlannedBank>, Option<Mistake>) {
    let planned = is_there.then(|| PlannedBank {
        name: section.parsed("name", String::new(), plain),
        country: section.text("country"),
        bank_code: section.text("bank_code"),
        time_zone: section.optional("time_zone", |name| {
            Calendar::spelled(name).ok_or_else(|| format!("is not a time zone that this program knows: {name}"))
        }),
        numbers: NumbersAsked {
            digits: section.optional_number("account_digits").map(|digits| u32::try_from(digits).unwrap_or(u32::MAX)),
            own: section.optional("own_numbers", |name| {
                OwnCheck::from_name(name).ok_or_else(|| "must be mod97 or luhn, or left out".to_owned())
            }),
        },
    });
    let whole = planned.as_ref().filter(|bank| !bank.country.is_empty() && !bank.bank_code.is_empty());
    let error = whole.and_then(|bank| Numbering::asked(&bank.country, &bank.bank_code, bank.numbers).err());
    let unfoundable = error.map(|error| section.mistake("bank_code", format!("`bank_code`: {error}")));
    section.finish();
    (planned, unfoundable)
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
        let (bank, unfoundable) = bank(root.optional_section("bank"), has_bank);
        let (lists_customers, lists_accounts) = (root.is_list("customers"), root.is_list("accounts"));
        let mut listed = |name| if root.is_list(name) { root.sections(name) } else { Vec::new() };
        let inline_customers = inline::customers(listed("customers"));
        let inline_accounts = inline::accounts(listed("accounts"), (&currency, decimals), currency_decimals);
        let needs_rights = !lists_accounts || root.has("rights");
        let map = Self {
            file: file.to_owned(),
            source_name,
            currency,
            decimals,
            bank,
            unfoundable,
            format: format(source),
            customers: (!lists_customers).then(|| customers(root.section("customers"))),
            accounts: (!lists_accounts).then(|| accounts(root.section("accounts"))),
            rights: needs_rights.then(|| rights(root.section("rights"))),
            inline_customers,
            inline_accounts,
            postings: postings(root.section("postings")),
        };
        root.finish();
        drop(table);
        Mistakes::unless_none(map, document.into_mistakes())
    }
}

impl Map {
    /// The currencies of the accounts, the source's first. All were looked up.
    pub(super) fn currencies(&self) -> Vec<Currency> {
        let others: BTreeSet<&str> = self.inline_accounts.iter().map(InlineAccount::currency).collect();
        let others = others.into_iter().filter(|code| *code != self.currency);
        std::iter::once(self.currency.as_str()).chain(others).filter_map(Currency::from_code).collect()
    }

    /// The file in which the customers are.
    pub(super) fn customers_file(&self) -> &str {
        self.customers.as_ref().map_or(&self.file, |table| &table.table.file)
    }

    /// The file in which the accounts are.
    pub(super) fn accounts_file(&self) -> &str {
        self.accounts.as_ref().map_or(&self.file, |table| &table.table.file)
    }

    /// The file in which the rights are.
    pub(super) fn rights_file(&self) -> &str {
        self.rights.as_ref().map_or(&self.file, |table| &table.table.file)
    }
}

fn format(mut source: Section<'_>) -> SourceFormat {
    let format = SourceFormat {
        encoding: source.parsed("encoding", encoding_rs::UTF_8, |label| {
            Encoding::for_label(label.as_bytes()).ok_or_else(|| format!("is not a known encoding: {label}"))
        }),
        separator: source.parsed("separator", b';', ascii),
        quote: source.optional("quote", ascii),
        escape: source.optional("escape", ascii),
        date: source.parsed("date_format", String::new(), date_format),
        zone: source.optional("time_zone", |name| {
            TimeZone::get(name).map_err(|_| format!("is not a time zone that this program knows: {name}"))
        }),
        amount: amount_format(&mut source),
    };
    if format.quote == Some(format.separator) {
        source.refuse("quote", "`quote` is the separator".to_owned());
    }
    if format.escape.is_some() && (format.escape == format.quote || format.quote.is_none()) {
        source.refuse("escape", "`escape` needs a `quote` that is another character".to_owned());
    }
    if format.zone.is_some() && !source::has_offset(&format.date) {
        let reason = "`time_zone` needs a `date_format` with a time and its offset, such as %Y-%m-%dT%H:%M:%S%:z";
        source.refuse("time_zone", reason.to_owned());
    }
    source.finish();
    format
}

fn amount_format(source: &mut Section<'_>) -> AmountFormat {
    let decimal = source.parsed("decimal_separator", '.', amount_separator);
    let thousands = source.optional("thousands_separator", amount_separator);
    if thousands == Some(decimal) {
        source.refuse("thousands_separator", "`thousands_separator` is the decimal separator".to_owned());
    }
    let grouping = source.optional("grouping", |grouping| match grouping {
        "thousands" => Ok(Grouping::Thousands),
        "indian" => Ok(Grouping::Indian),
        _ => Err("must be thousands or indian".to_owned()),
    });
    if grouping.is_some() && thousands.is_none() {
        source.refuse("grouping", "`grouping` needs a `thousands_separator`".to_owned());
    }
    AmountFormat {
        decimal,
        thousands,
        grouping: grouping.unwrap_or(Grouping::Thousands),
        marks: marks(source, "currency_marks"),
        plus_marks: marks(source, "plus_marks"),
        minus_marks: marks(source, "minus_marks"),
    }
}

/// Marks around numbers. What is part of a number, or a sign already, would make one text two amounts.
fn marks(source: &mut Section<'_>, name: &str) -> Vec<String> {
    let marks = source.texts(name);
    let is_bad = |mark: &String| mark.is_empty() || mark.chars().any(|c| c.is_ascii_digit() || "+-().,".contains(c));
    if marks.iter().any(is_bad) {
        source.refuse(name, format!("`{name}` must be texts without digits, signs, points and commas"));
    }
    marks
}

fn customers(mut section: Section<'_>) -> Customers {
    let customers = Customers { table: keyed_table(&mut section), name: template(&mut section, "name") };
    section.finish();
    customers
}

fn accounts(mut section: Section<'_>) -> Accounts {
    let accounts = Accounts {
        table: keyed_table(&mut section),
        number: section.text("number"),
        opened: section.text("opened"),
        name: section.optional("name", Template::parse),
        opening_balance: section.optional_text("opening_balance"),
    };
    section.finish();
    accounts
}

fn rights(mut section: Section<'_>) -> Rights {
    let kinds = [("owner", RightKind::Owner), ("signatory", RightKind::Signatory), ("read_only", RightKind::ReadOnly)];
    let rights = Rights {
        table: keyed_table(&mut section),
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
    let mut code_tables = section.optional_section("codes");
    let key = origin(&mut section, "key");
    let amount = amount(&mut section);
    let sign = sign_rule(&mut section, &amount);
    let postings = Postings {
        table: table_file(&mut section, key),
        account: origin(&mut section, "account"),
        date: section.text("date"),
        amount,
        sign,
        skips_zero: section.optional("zero_amounts", skip_only).is_some(),
        currency: section.optional_text("currency"),
        balance: section.optional_text("balance"),
        text: section.optional("text", Template::parse),
        end_to_end_id: section.optional_text("end_to_end_id"),
        long_text: section.optional("long_text", |text| match text {
            "cut" => Ok(LongText::Cut),
            "split" => Ok(LongText::Split),
            _ => Err("must be cut or split".to_owned()),
        }),
        continuation: section.optional_text("continuation"),
        skips: skip_rules(&mut section),
        order: section.optional("order", listing),
        late_is_booked_now: section.optional("late", late).is_some(),
        opening_account: section.optional("opening_account", plain).unwrap_or_else(|| OPENING_ACCOUNT.to_owned()),
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

/// A column, or a template in the field of the same name and `_template`.
fn origin(section: &mut Section<'_>, name: &str) -> Lookup {
    let template_name = format!("{name}_template");
    if !section.has(&template_name) {
        return Lookup::Column(section.text(name));
    }
    if section.optional_text(name).is_some() {
        section.refuse(name, format!("`{name}` and `{template_name}` can't both say it"));
    }
    Lookup::Template(template(section, &template_name))
}

fn amount(section: &mut Section<'_>) -> Amount {
    let directions = codes(section, "direction", &[("credit", Direction::Credit), ("debit", Direction::Debit)]);
    let direction = section.optional_text("direction");
    if section.has("money_in") || section.has("money_out") {
        for name in ["amount", "direction"] {
            if section.optional_text(name).is_some() {
                section.refuse(name, format!("`{name}` can't stand beside `money_in` and `money_out`"));
            }
        }
        return Amount::InOut { money_in: section.text("money_in"), money_out: section.text("money_out") };
    }
    let amount = section.text("amount");
    match direction {
        Some(direction) => Amount::Directed { amount, direction, directions },
        None => Amount::Signed(amount),
    }
}

fn sign_rule(section: &mut Section<'_>, amount: &Amount) -> Option<SignRule> {
    let rule = section.optional("sign", |rule| match rule {
        "agrees" => Ok(SignRule::Agrees),
        "reverses" => Ok(SignRule::Reverses),
        "turned" => Ok(SignRule::Turned),
        _ => Err("must be agrees, reverses or turned".to_owned()),
    });
    match (rule, amount) {
        (Some(SignRule::Turned), Amount::Signed(_)) | (None, _) => {}
        (Some(SignRule::Agrees | SignRule::Reverses), Amount::Directed { .. } | Amount::InOut { .. }) => {}
        (Some(SignRule::Turned), _) => {
            section.refuse("sign", "`sign` can be turned only where no column says the direction".to_owned());
        }
        (Some(SignRule::Agrees | SignRule::Reverses), Amount::Signed(_)) => {
            section.refuse("sign", "`sign` needs a column that says the direction, or can be turned".to_owned());
        }
    }
    rule
}

/// There is one thing that can be done about amounts of zero; without it they are mistakes.
fn skip_only(text: &str) -> Result<(), String> {
    if text == "skip" { Ok(()) } else { Err("must be skip, or left out".to_owned()) }
}

/// There is one thing that can be done about rows with fewer fields than columns; without it they are mistakes.
fn fill_only(text: &str) -> Result<(), String> {
    if text == "fill" { Ok(()) } else { Err("must be fill, or left out".to_owned()) }
}

fn skip_rules(postings: &mut Section<'_>) -> Vec<SkipRule> {
    let rules = postings.optional_sections("skip").into_iter().map(|mut section| {
        let rule = SkipRule {
            reason: section.text("reason"),
            when: condition(&mut section),
            lines: patterns(&mut section, "line"),
        };
        if rule.when.is_empty() && rule.lines.is_empty() {
            section
                .refuse("", "a row is skipped by its columns (`when`, `like`) or as it is written (`line`)".to_owned());
        }
        section.finish();
        rule
    });
    rules.collect()
}

/// The rules in their order. One after a rule for every row could never apply, so it is a mistake.
fn contra_rules(postings: &mut Section<'_>) -> Vec<ContraRule<String>> {
    let mut rules: Vec<ContraRule<String>> = Vec::new();
    for mut section in postings.sections("contra") {
        if rules.last().is_some_and(|rule| rule.when.is_empty()) {
            section.refuse("", "this rule comes after one for every row".to_owned());
        }
        rules.push(ContraRule {
            when: condition(&mut section),
            account: template(&mut section, "account"),
            kind: section.parsed("kind", ContraKind::Asset, contra_kind),
            text: section.optional("text", Template::parse),
        });
        section.finish();
    }
    rules
}

fn condition(section: &mut Section<'_>) -> Condition<String> {
    let mut when = section.optional_section("when");
    let values: Vec<_> = when.names().into_iter().map(|column| (column.clone(), when.texts(&column))).collect();
    for (column, _) in values.iter().filter(|(_, values)| values.is_empty()) {
        when.refuse(column, format!("`{column}` lists no values"));
    }
    let mut like = section.optional_section("like");
    let columns = like.names().into_iter();
    let patterns: Vec<_> = columns.map(|column| (column.clone(), patterns(&mut like, &column))).collect();
    for (column, _) in patterns.iter().filter(|(_, patterns)| patterns.is_empty()) {
        like.refuse(column, format!("`{column}` lists no patterns"));
    }
    Condition { values, patterns }
}

fn patterns(section: &mut Section<'_>, name: &str) -> Vec<Pattern> {
    let patterns = section.texts(name).iter().map(|written| Pattern::parse(written)).collect::<Result<Vec<_>, _>>();
    patterns.unwrap_or_else(|reason| {
        section.refuse(name, format!("`{name}` {reason}"));
        Vec::new()
    })
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

fn table_file<K>(section: &mut Section<'_>, key: K) -> TableFile<K> {
    let file = section.parsed("file", String::new(), file_name);
    let layout = Layout {
        columns: section.texts("columns"),
        lines_before: section.optional_number("lines_before").unwrap_or_default(),
        header: section.optional("header", Pattern::parse),
        ends_before: section.optional("ends_before", Pattern::parse),
        fills_short_rows: section.optional("short_rows", fill_only).is_some(),
    };
    if layout.header.is_some() && !layout.columns.is_empty() {
        section.refuse("header", "`header` says which line names the columns, but `columns` names them".to_owned());
    }
    TableFile { file, key, layout }
}

fn keyed_table(section: &mut Section<'_>) -> TableFile {
    let key = section.text("key");
    table_file(section, key)
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

fn listing(order: &str) -> Result<Listing, String> {
    match order {
        "oldest-first" => Ok(Listing::OldestFirst),
        "newest-first" => Ok(Listing::NewestFirst),
        _ => Err("must be oldest-first or newest-first".to_owned()),
    }
}

/// There is one thing that can be done about late rows; without it they are mistakes.
fn late(late: &str) -> Result<(), String> {
    if late == "book-now" { Ok(()) } else { Err("must be book-now, or left out".to_owned()) }
}

/// A name as the bank shows it.
fn plain(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > TEXT_CHARS_MAX || name.chars().any(bank::is_control) {
        return Err(format!("must have 1 to {TEXT_CHARS_MAX} characters on one line"));
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
        (Some(char), None) if !char.is_ascii_digit() && !"+-()".contains(char) => Ok(char),
        _ => Err("must be one character, neither a digit nor a sign".to_owned()),
    }
}

/// A format is good if it writes a date that it can read back.
fn date_format(format: &str) -> Result<String, String> {
    let written = source::sample(format);
    let read = written.and_then(|text| strtime::parse(format, text).ok()).and_then(|time| time.to_date().ok());
    if read == Some(date(1993, 12, 31)) { Ok(format.to_owned()) } else { Err("must hold a whole date".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../../../examples/berka/map.toml");

    fn mistakes(replace: &str, with: &str) -> Vec<String> {
        assert!(GOOD.contains(replace), "{replace}");
        let text = GOOD.replacen(replace, with, 1);
        let found = Map::parse("map.toml", &text, &|code| (code == "CZK").then_some(2)).err();
        found.iter().flat_map(Mistakes::all).map(|mistake| mistake.reason.clone()).collect()
    }

    fn check(replace: &str, with: &str, expected: &[&str]) {
        assert_eq!(mistakes(replace, with), expected, "{replace} -> {with}");
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
        let postings = "file = \"trans.asc\"";
        for (field, mistake) in [
            ("order = \"newest\"", "`order` must be oldest-first or newest-first"),
            ("late = \"skip\"", "`late` must be book-now, or left out"),
            ("opening_account = \" \"", "`opening_account` must have 1 to 140 characters on one line"),
        ] {
            check(postings, &format!("{postings}\n{field}"), &[mistake]);
        }
        let fields = "order = \"newest-first\"\nlate = \"book-now\"\nopening_account = \"Before\"";
        check(postings, &format!("{postings}\n{fields}"), &[]);
        let bank =
            |with: &str| Map::parse("map.toml", &GOOD.replace("\"0800\"", with), &|_| Some(2)).unwrap().unfoundable;
        assert_eq!(bank("\"0800\""), None);
        let mistake = bank("\"08\"").expect("a bank that can't be founded");
        assert!(mistake.reason.starts_with("`bank_code`: country CZ with bank code 08 makes no IBAN"), "{mistake}");
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
        let postings = "file = \"trans.asc\"";
        for (fields, mistake) in [
            ("key_template = \"{a}\"", "`key` and `key_template` can't both say it"),
            ("account_template = \"{a}\"", "`account` and `account_template` can't both say it"),
            ("money_in = \"a\"", "`amount` can't stand beside `money_in` and `money_out`"),
            ("sign = \"same\"", "`sign` must be agrees, reverses or turned"),
            ("sign = \"turned\"", "`sign` can be turned only where no column says the direction"),
            ("zero_amounts = \"book\"", "`zero_amounts` must be skip, or left out"),
            ("short_rows = \"join\"", "`short_rows` must be fill, or left out"),
            ("long_text = \"wrap\"", "`long_text` must be cut or split"),
            ("lines_before = -1", "`lines_before` must be a whole number"),
            ("lines_before = 0x10", "`lines_before` must be a whole number"),
            ("skip = [{ reason = \"x\", line = [\"\"] }]", "`line` is an empty pattern"),
            ("skip = [{ when = { a = [\"x\"] } }]", "`reason` is missing"),
            ("skip = [{ reason = \"x\", like = { a = [] } }]", "`a` lists no patterns"),
        ] {
            let found = mistakes(postings, &format!("{postings}\n{fields}"));
            assert!(found.contains(&mistake.to_owned()), "{fields}: {found:?}");
        }
        let nothing = "a row is skipped by its columns (`when`, `like`) or as it is written (`line`)";
        check(postings, &format!("{postings}\nskip = [{{ reason = \"x\" }}]"), &[nothing]);
        check(
            "direction = \"type\"\ncredit = [\"PRIJEM\"]\ndebit = [\"VYDAJ\", \"VYBER\"]",
            "sign = \"agrees\"",
            &["`sign` needs a column that says the direction, or can be turned"],
        );
        let separator = "separator = \";\"";
        for (fields, told) in [
            ("escape = '\"'", "`escape` needs a `quote` that is another character"),
            ("grouping = \"indian\"", "`grouping` needs a `thousands_separator`"),
            ("grouping = \"lakh\"", "`grouping` must be thousands or indian"),
            ("currency_marks = [\"-\"]", "`currency_marks` must be texts without digits, signs, points and commas"),
            ("time_zone = \"Mars/Olympus\"", "`time_zone` is not a time zone that this program knows: Mars/Olympus"),
            (
                "time_zone = \"UTC\"",
                "`time_zone` needs a `date_format` with a time and its offset, such as %Y-%m-%dT%H:%M:%S%:z",
            ),
        ] {
            check(separator, &format!("{separator}\n{fields}"), &[told]);
        }
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
