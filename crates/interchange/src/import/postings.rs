//! The postings' table, row by row: for each the account, the day, the amount and its direction, the source's own
//! balance, the contra account and the text.
//!
//! A row's key says for ever whether it was imported before. Where the source has none, it is made of the day, the
//! amount, the account, what the map's `key_template` gives, and which of the day's rows that are alike in all this it
//! is. So two equal rows are two payments; the order in which a day's rows are listed doesn't matter, since equal rows
//! can stand for each other; and a file that begins or ends within a day brings the first of them again, none twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;

use service::Words;

use super::map::{self, Amount, Condition, ContraRule, LongText, Lookup, SignRule};
use super::plan::{ContraKind, Direction, Keys, PlannedAccount, PlannedContra, PlannedPosting, Source, code, row_key};
use super::source::{Rows, Skip, SourceFormat, TEXT_CHARS_MAX, Template};

/// The longest value of a payment's metadata, as the interface has it; what doesn't fit in a text is kept in such parts.
const METADATA_CHARS_MAX: usize = 200;

/// Number of parts of a text kept beside it: as many pairs as the interface allows for metadata.
const TEXT_PARTS_MAX: usize = 20;

/// A reason why rows are passed over.
const ZERO_AMOUNT: &str = "rows without an amount";

/// A reason why ends of texts are.
const TEXT_CUT: &str = "ends of texts over 140 characters";

impl Source<'_> {
    pub(super) fn postings(
        &mut self,
        accounts: &Keys,
        planned: &[PlannedAccount],
    ) -> (Vec<PlannedContra>, Vec<PlannedPosting>) {
        let map = self.map;
        let (table, format) = (&map.postings, &map.format);
        let mut contras = Contras::default();
        let mut postings = Vec::new();
        let Some(text) = self.text(&table.table) else { return (contras.planned, postings) };
        let mut rows = self.rows(&table.table, &text);
        let columns = PostingColumns::resolve(table, &mut rows);
        columns.prepare(&mut rows);

        let mut keys = RowKeys { keys: Keys::new(true), alike: HashMap::new() };
        let mut turnover_minor = Some(0_i64);
        while rows.next() {
            let unique_key = columns.unique_key(&mut rows, &mut keys, postings.len());
            let account = columns.account(&mut rows, accounts);
            let currency = account.map(|account| (planned[account].currency.as_str(), planned[account].decimals));
            let currency = currency.unwrap_or((map.currency.as_str(), map.decimals));
            columns.check_currency(&mut rows, account.is_some(), currency.0);
            let date = rows.check(rows.parse(columns.date, |text| format.date(text)));
            let amount = columns.amount(&mut rows, format, currency.1);
            if amount == Some(None) {
                rows.count_skipped(ZERO_AMOUNT);
                continue;
            }
            let source_balance_minor = columns.source_balance_minor(&mut rows, format, currency.1);
            let end_to_end_id = columns.end_to_end_id(&mut rows);
            let contra_and_text = columns.contra_and_text(&mut rows, &mut contras, currency.0);
            let (Some(account), Some(date), Some(Some((direction, amount_minor))), Some((contra, text))) =
                (account, date, amount, contra_and_text)
            else {
                continue;
            };
            if date < planned[account].opened {
                rows.refuse(format!("is dated {date}, before the account was opened on {}", planned[account].opened));
            }
            if let Some(before_minor) = turnover_minor {
                turnover_minor = before_minor.checked_add_unsigned(amount_minor);
                rows.check(turnover_minor.ok_or_else(|| "the amounts so far are together too large".to_owned()));
            }
            let facts = Facts { date, direction, amount_minor, account: &planned[account].key };
            let Some(key) = unique_key.or_else(|| columns.made_key(&mut rows, &mut keys, &facts, contra, &text)) else {
                continue;
            };
            let Text { text, rest } = text;
            let key = row_key("postings", &key);
            let line = rows.line();
            postings.push(PlannedPosting {
                key,
                line,
                account,
                contra,
                direction,
                amount_minor,
                date,
                source_balance_minor,
                text,
                text_rest: rest,
                end_to_end_id,
            });
        }
        let skipped = rows.into_skipped();
        self.skipped.extend(skipped);
        (contras.planned, postings)
    }
}

/// Facts of a row that a made key holds, beside what the map's template gives.
struct Facts<'p> {
    date: Date,
    direction: Direction,
    amount_minor: u64,
    account: &'p str,
}

/// The keys of the rows so far.
struct RowKeys {
    keys: Keys,
    /// Rows that are alike in all that their keys are made of: how many, and what the first one says.
    alike: HashMap<String, Alike>,
}

struct Alike {
    count: u64,
    line: u64,
    contra: usize,
    text: Option<Box<str>>,
    rest: Vec<Box<str>>,
}

/// Text that a customer reads, and what didn't fit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Text {
    text: Option<Box<str>>,
    rest: Vec<Box<str>>,
}

/// Places of the postings' fields in their file.
struct PostingColumns<'m> {
    map: &'m map::Postings,
    key: ColumnOrTemplate,
    account: ColumnOrTemplate,
    currency: Option<usize>,
    date: usize,
    amount: AmountColumns<'m>,
    balance: Option<usize>,
    text: Option<Template<usize>>,
    end_to_end_id: Option<usize>,
    continuation: Option<usize>,
    codes: BTreeMap<usize, &'m BTreeMap<String, String>>,
    rules: Vec<ContraRule<usize>>,
}

enum ColumnOrTemplate {
    Column(usize),
    Template(Template<usize>),
}

impl ColumnOrTemplate {
    fn resolve(origin: &Lookup, rows: &mut Rows<'_>) -> Self {
        match origin {
            Lookup::Column(column) => Self::Column(rows.column(column)),
            Lookup::Template(template) => Self::Template(template.resolve(&mut |column| rows.column(column))),
        }
    }
}

enum AmountColumns<'m> {
    Signed(usize),
    Directed { amount: usize, direction: usize, directions: &'m BTreeMap<String, Direction> },
    InOut { money_in: usize, money_out: usize },
}

impl<'m> AmountColumns<'m> {
    fn resolve(amount: &'m Amount, rows: &mut Rows<'_>) -> Self {
        match amount {
            Amount::Signed(amount) => Self::Signed(rows.column(amount)),
            Amount::Directed { amount, direction, directions } => {
                Self::Directed { amount: rows.column(amount), direction: rows.column(direction), directions }
            }
            Amount::InOut { money_in, money_out } => {
                Self::InOut { money_in: rows.column(money_in), money_out: rows.column(money_out) }
            }
        }
    }
}

impl<'m> PostingColumns<'m> {
    fn resolve(table: &'m map::Postings, rows: &mut Rows<'_>) -> Self {
        Self {
            map: table,
            key: ColumnOrTemplate::resolve(&table.table.key, rows),
            account: ColumnOrTemplate::resolve(&table.account, rows),
            currency: table.currency.as_ref().map(|column| rows.column(column)),
            date: rows.column(&table.date),
            amount: AmountColumns::resolve(&table.amount, rows),
            balance: table.balance.as_ref().map(|column| rows.column(column)),
            text: table.text.as_ref().map(|text| text.resolve(&mut |column| rows.column(column))),
            end_to_end_id: table.end_to_end_id.as_ref().map(|column| rows.column(column)),
            continuation: table.continuation.as_ref().map(|column| rows.column(column)),
            codes: table.codes.iter().map(|(column, codes)| (rows.column(column), codes)).collect(),
            rules: table.contra.iter().map(|rule| rule.resolve(&mut |column| rows.column(column))).collect(),
        }
    }

    /// Tells the rows what to do with those that are no postings of their own.
    fn prepare(&self, rows: &mut Rows<'_>) {
        for skip in &self.map.skips {
            let when = skip.when.resolve(&mut |column| rows.column(column));
            rows.skip(Skip { reason: skip.reason.clone(), when, lines: skip.lines.clone() });
        }
        if let Some(column) = self.continuation {
            rows.join_where_empty(column);
        }
    }

    /// The row's key, where a column has it.
    fn unique_key(&self, rows: &mut Rows<'_>, keys: &mut RowKeys, index: usize) -> Option<String> {
        match self.key {
            ColumnOrTemplate::Column(column) => Some(keys.keys.add(rows, column, index)),
            ColumnOrTemplate::Template(_) => None,
        }
    }

    /// The row's key, made of what it says. Rows that are alike in their keys must be alike in all that is booked, since
    /// which of them comes first may be another way round in the next file.
    fn made_key(
        &self,
        rows: &mut Rows<'_>,
        keys: &mut RowKeys,
        facts: &Facts<'_>,
        contra: usize,
        text: &Text,
    ) -> Option<String> {
        let ColumnOrTemplate::Template(template) = &self.key else { return None };
        let words = rows.check(template.fill_long(|column| Ok(rows.get(column))))?;
        let Facts { date, direction, amount_minor, account } = facts;
        let sign = if *direction == Direction::Debit { "-" } else { "" };
        let likeness = format!("{date} {sign}{amount_minor} {account:?} {words}");
        let alike = keys.alike.entry(likeness.clone()).or_insert_with(|| Alike {
            count: 0,
            line: rows.line(),
            contra,
            text: text.text.clone(),
            rest: text.rest.clone(),
        });
        alike.count += 1;
        if (alike.contra, &alike.text, &alike.rest) != (contra, &text.text, &text.rest) {
            rows.refuse(format!(
                "its key, {words:?}, is also that of line {}, which says something else: add a column in which they differ \
                 to the map's `key_template`",
                alike.line
            ));
        }
        Some(format!("{} {likeness}", alike.count))
    }

    fn account(&self, rows: &mut Rows<'_>, accounts: &Keys) -> Option<usize> {
        match &self.account {
            ColumnOrTemplate::Column(column) => accounts.find(rows, *column, "account"),
            ColumnOrTemplate::Template(template) => {
                let key = template.fill(|column| rows.filled(column));
                let found = key.and_then(|key| accounts.find_key(&key, "account"));
                rows.check(found).flatten()
            }
        }
    }

    /// A row of another currency than its account's can't be booked.
    fn check_currency(&self, rows: &mut Rows<'_>, has_account: bool, expected: &str) {
        let Some(column) = self.currency.filter(|_| has_account) else { return };
        let found = rows.parse(column, |found| {
            if found == expected {
                return Ok(());
            }
            Err(format!(
                "{found:?} is not the account's currency, which is {expected}: skip such rows, or give the currency an \
                 account of its own by an `account_template` with {{{}}} in it",
                rows.name(column)
            ))
        });
        rows.check(found);
    }

    /// The direction and the amount, none within if it is zero and the map passes over such rows.
    fn amount(&self, rows: &mut Rows<'_>, format: &SourceFormat, decimals: u32) -> Option<Option<(Direction, u64)>> {
        match self.amount {
            AmountColumns::Signed(column) => {
                let turned = self.map.sign == Some(SignRule::Turned);
                let minor = rows.parse(column, |text| {
                    let minor = format.amount.signed_minor(text, decimals)?;
                    let direction = if (minor < 0) == turned { Direction::Credit } else { Direction::Debit };
                    self.above_zero(direction, minor.unsigned_abs())
                });
                rows.check(minor)
            }
            AmountColumns::Directed { amount, direction, directions } => {
                let direction = rows.check(rows.parse(direction, |text| code(directions, text).copied()));
                let amount = rows.check(rows.parse(amount, |text| {
                    // Without a direction the amount is still looked at, so that both mistakes are told.
                    self.directed(direction.unwrap_or(Direction::Credit), direction.is_some(), text, format, decimals)
                }));
                direction.and(amount)
            }
            AmountColumns::InOut { money_in, money_out } => {
                let amounts = self.in_out(rows, (money_in, money_out), format, decimals);
                rows.check(amounts)
            }
        }
    }

    fn above_zero(&self, direction: Direction, minor: u64) -> Result<Option<(Direction, u64)>, String> {
        match minor {
            0 if self.map.skips_zero => Ok(None),
            0 => Err("the amount is zero".to_owned()),
            minor => Ok(Some((direction, minor))),
        }
    }

    /// An amount in a column of its own direction.
    fn directed(
        &self,
        direction: Direction,
        is_known: bool,
        text: &str,
        format: &SourceFormat,
        decimals: u32,
    ) -> Result<Option<(Direction, u64)>, String> {
        let written = format.amount.written(text, decimals)?;
        let is_minus = written.minor < 0;
        let other = match direction {
            Direction::Credit => Direction::Debit,
            Direction::Debit => Direction::Credit,
        };
        let found = match self.map.sign {
            Some(SignRule::Reverses) if is_minus => other,
            Some(SignRule::Agrees) if is_known && written.minor != 0 && is_minus != (direction == Direction::Debit) => {
                return Err(format!("{text:?} has another sign than its direction, which the map says agree"));
            }
            Some(SignRule::Agrees | SignRule::Reverses | SignRule::Turned) => direction,
            None if written.has_sign => {
                return Err(format!(
                    "{text:?} has a sign, which is not allowed here unless the map's `sign` says what it means"
                ));
            }
            None => direction,
        };
        self.above_zero(found, written.minor.unsigned_abs())
    }

    /// The amount in whichever of two columns has one; the other is empty or zero.
    fn in_out(
        &self,
        rows: &Rows<'_>,
        (money_in, money_out): (usize, usize),
        format: &SourceFormat,
        decimals: u32,
    ) -> Result<Option<(Direction, u64)>, String> {
        let read = |column: usize, direction: Direction| {
            if rows.get(column).is_empty() {
                return Ok(None);
            }
            rows.parse(column, |text| {
                if format.amount.signed_minor(text, decimals)? == 0 {
                    return Ok(Some(None));
                }
                self.directed(direction, true, text, format, decimals).map(Some)
            })
        };
        let (found_in, found_out) = (read(money_in, Direction::Credit)?, read(money_out, Direction::Debit)?);
        let (name_in, name_out) = (rows.name(money_in), rows.name(money_out));
        match (found_in.flatten(), found_out.flatten()) {
            (Some(_), Some(_)) => Err(format!("both {name_in:?} and {name_out:?} have an amount; right would be one")),
            (Some(amount), None) | (None, Some(amount)) => Ok(Some(amount)),
            (None, None) if self.map.skips_zero => Ok(None),
            (None, None) => Err(format!("neither {name_in:?} nor {name_out:?} has an amount above zero")),
        }
    }

    fn source_balance_minor(&self, rows: &mut Rows<'_>, format: &SourceFormat, decimals: u32) -> Option<i64> {
        let column = self.balance.filter(|column| !rows.get(*column).is_empty())?;
        rows.check(rows.parse(column, |balance| format.amount.signed_minor(balance, decimals)))
    }

    /// The payer's own id of the payment, where the row has one.
    fn end_to_end_id(&self, rows: &mut Rows<'_>) -> Option<Box<str>> {
        let column = self.end_to_end_id.filter(|column| !rows.get(*column).trim().is_empty())?;
        let read = rows.parse(column, |text| match text.trim() {
            id if id.chars().any(bank::is_control) => Err(format!("{id:?} has control characters")),
            id if id.chars().count() > Words::MAX_END_TO_END_CHARACTERS => {
                Err(format!("{id:?} has more than {} characters", Words::MAX_END_TO_END_CHARACTERS))
            }
            id => Ok(id.into()),
        });
        rows.check(read)
    }

    fn contra_and_text(&self, rows: &mut Rows<'_>, contras: &mut Contras, currency: &str) -> Option<(usize, Text)> {
        let rule = self.rules.iter().find(|rule| rule.when.holds(|column| rows.get(column)));
        let rule = rows.check(rule.ok_or_else(|| self.why_no_rule(rows)))?;
        let name = rule.account.fill(|column| rows.filled(column));
        let contra = rows.check(name.and_then(|name| contras.find_or_add(name, currency, rule.kind)));
        let template = rule.text.as_ref().or(self.text.as_ref());
        let filled = template.map_or(Ok(String::new()), |text| text.fill_long(|column| self.words(rows, column)));
        let text = rows.check(filled.and_then(|filled| self.fitted(&filled)));
        if self.map.long_text == Some(LongText::Cut) && text.as_ref().is_some_and(|text| !text.rest.is_empty()) {
            rows.count_skipped(TEXT_CUT);
            return contra.zip(text.map(|text| Text { rest: Vec::new(), ..text }));
        }
        contra.zip(text)
    }

    /// The text in as many parts as it takes, if the map lets it be longer than one.
    fn fitted(&self, filled: &str) -> Result<Text, String> {
        let mut parts = split_text(filled).into_iter();
        let text = parts.next().filter(|text| !text.is_empty());
        let rest: Vec<Box<str>> = parts.collect();
        if !rest.is_empty() && self.map.long_text.is_none() {
            return Err(format!(
                "{filled:?} is longer than {TEXT_CHARS_MAX} characters, and the map doesn't say `long_text`: cut or split"
            ));
        }
        if rest.len() > TEXT_PARTS_MAX && self.map.long_text == Some(LongText::Split) {
            return Err(format!("a text of {} characters is too long to be split", filled.chars().count()));
        }
        Ok(Text { text, rest })
    }

    fn why_no_rule(&self, rows: &Rows<'_>) -> String {
        let conditions = self.rules.iter().map(|rule| &rule.when);
        let columns: BTreeSet<usize> = conditions.flat_map(Condition::columns).collect();
        let fields = columns.into_iter().map(|column| format!("{} {:?}", rows.name(column), rows.get(column)));
        format!("no contra rule matches {}", fields.collect::<Vec<_>>().join(", "))
    }

    /// Returns the row's field in a column as it reads in a text.
    fn words<'r>(&'r self, rows: &'r Rows<'_>, column: usize) -> Result<&'r str, String> {
        match (self.codes.get(&column), rows.get(column)) {
            (Some(codes), field) if !field.is_empty() => code(codes, field).map(String::as_str),
            (_, field) => Ok(field),
        }
    }
}

/// A text in parts: the first as long as a text may be, the others as a value of metadata may. It is parted at a space
/// where there is one in the part's second half; joined by spaces the parts are then the text.
fn split_text(text: &str) -> Vec<Box<str>> {
    let mut parts = Vec::new();
    let (mut rest, mut most) = (text, TEXT_CHARS_MAX);
    while let Some((end, _)) = rest.char_indices().nth(most) {
        let half = rest.char_indices().nth(most / 2).map_or(0, |(place, _)| place);
        // A space right after the part is as good.
        let space = rest[..end + usize::from(rest[end..].starts_with(' '))].rfind(' ').filter(|place| *place > half);
        let (part, after) = rest.split_at(space.unwrap_or(end));
        parts.push(part.into());
        (rest, most) = (after.trim_start(), METADATA_CHARS_MAX);
    }
    if !rest.is_empty() {
        parts.push(rest.into());
    }
    parts
}

/// The contra accounts that postings have needed so far.
#[derive(Default)]
struct Contras {
    planned: Vec<PlannedContra>,
    by_name: HashMap<(String, String), usize>,
}

impl Contras {
    fn find_or_add(&mut self, name: String, currency: &str, kind: ContraKind) -> Result<usize, String> {
        match self.by_name.entry((name, currency.to_owned())) {
            Entry::Occupied(found) if self.planned[*found.get()].kind != kind => {
                Err(format!("the contra account {:?} was of another kind before", found.key().0))
            }
            Entry::Occupied(found) => Ok(*found.get()),
            Entry::Vacant(place) => {
                let (name, currency) = place.key().clone();
                self.planned.push(PlannedContra { name, currency, kind });
                Ok(*place.insert(self.planned.len() - 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mistakes;
    use super::super::map::Map;
    use super::super::plan::{self, Plan, Surroundings};
    use super::*;

    #[test]
    fn long_texts_are_parted_at_spaces_and_lose_nothing() {
        let lengths = |text: &str| split_text(text).iter().map(|part| part.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(""), [0; 0]);
        assert_eq!(lengths(&"é".repeat(140)), [140]);
        assert_eq!(lengths(&"é".repeat(141)), [140, 1]);
        assert_eq!(lengths(&"é".repeat(341)), [140, 200, 1]);
        assert_eq!(lengths(&format!("{} {}", "a".repeat(140), "b".repeat(5))), [140, 5]);
        assert_eq!(lengths(&format!("{} {}", "a".repeat(100), "b".repeat(60))), [100, 60]);
        assert_eq!(lengths(&format!("{} {}", "a".repeat(20), "b".repeat(180))), [140, 61]);
        let words = (0..200).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(split_text(&words).join(" "), words);
    }

    /// A plan of one account, in a map of which these are the fields of `[postings]`.
    fn planned(fields: &str, content: &str) -> Result<Plan, Mistakes> {
        planned_with(fields, content, "", "")
    }

    /// Plans with `with` in the map in place of `replace`.
    fn planned_with(fields: &str, content: &str, replace: &str, with: &str) -> Result<Plan, Mistakes> {
        let map = format!(
            r#"
            [source]
            name = "test"
            currency = "EUR"
            encoding = "utf-8"
            separator = ";"
            quote = '"'
            date_format = "%Y-%m-%d"
            decimal_separator = "."
            [[customers]]
            key = "c"
            name = "Ada"
            [[accounts]]
            key = "a EUR"
            number = 1
            opened = "2024-01-01"
            owners = ["c"]
            [[accounts]]
            key = "a JPY"
            number = "2"
            opened = "2024-01-01"
            currency = "JPY"
            owners = ["c"]
            [postings]
            file = "p"
            date = "date"
            {fields}
            contra = [{{ account = "Cash", kind = "asset" }}]
            "#
        );
        let decimals = |code: &str| match code {
            "EUR" => Some(2),
            "JPY" => Some(0),
            _ => None,
        };
        assert!(map.contains(replace), "{replace}");
        let map = Map::parse("map", &map.replacen(replace, with, 1), &decimals)?;
        let surroundings = Surroundings { today: Date::MAX, largest_number: u64::MAX, customers: &[] };
        plan::build(&map, &surroundings, &|_| Ok(content.as_bytes().to_vec()))
    }

    fn changes(fields: &str, content: &str) -> Vec<i64> {
        let plan = planned(fields, content).unwrap_or_else(|mistakes| panic!("{fields}: {mistakes}"));
        plan.postings.iter().map(PlannedPosting::change_minor).collect()
    }

    fn check_mistakes(fields: &str, content: &str, expected: &[&str]) {
        let found = planned(fields, content).err();
        let found: Vec<String> = found.iter().flat_map(Mistakes::all).map(ToString::to_string).collect();
        assert_eq!(found, expected, "{fields}\n{content}");
    }

    const ONE: &str = "account_template = \"a EUR\"\nkey_template = \"{text}\"\ntext = \"{text}\"\n";

    #[test]
    fn a_sign_means_what_the_map_says() {
        let content = "date;text;amount;way\n2024-01-02;x;-5.00;D\n2024-01-02;y;+7.00;C\n";
        let directed = format!("{ONE}amount = \"amount\"\ndirection = \"way\"\ncredit = [\"C\"]\ndebit = [\"D\"]\n");
        assert_eq!(changes(&format!("{ONE}amount = \"amount\""), content), [-500, 700]);
        assert_eq!(changes(&format!("{ONE}amount = \"amount\"\nsign = \"turned\""), content), [500, -700]);
        assert_eq!(changes(&format!("{directed}sign = \"agrees\""), content), [-500, 700]);
        assert_eq!(changes(&format!("{directed}sign = \"reverses\""), content), [500, 700]);
        let refused = "has a sign, which is not allowed here unless the map's `sign` says what it means";
        check_mistakes(
            &directed,
            content,
            &[
                &format!("p:2: column \"amount\": \"-5.00\" {refused}"),
                &format!("p:3: column \"amount\": \"+7.00\" {refused}"),
            ],
        );
        check_mistakes(
            &format!("{directed}sign = \"agrees\""),
            &content.replace("-5.00", "5.00"),
            &["p:2: column \"amount\": \"5.00\" has another sign than its direction, which the map says agree"],
        );
    }

    #[test]
    fn money_stands_in_one_of_two_columns() {
        let fields = format!("{ONE}money_in = \"in\"\nmoney_out = \"out\"\n");
        let of = |rows: &str| format!("date;text;in;out\n{rows}");
        assert_eq!(changes(&fields, &of("2024-01-02;x;5.00;\n2024-01-02;y;0.00;7.00\n")), [500, -700]);
        assert_eq!(changes(&format!("{fields}sign = \"agrees\""), &of("2024-01-02;x;;-5.00\n")), [-500]);
        assert_eq!(changes(&format!("{fields}sign = \"reverses\""), &of("2024-01-02;x;;-5.00\n")), [500]);
        assert_eq!(
            changes(&format!("{fields}zero_amounts = \"skip\""), &of("2024-01-02;x;;\n2024-01-02;x;0.00;\n")),
            [0; 0]
        );
        check_mistakes(
            &fields,
            &of("2024-01-02;x;5.00;7.00\n2024-01-02;x;;\n2024-01-02;x;;-7.00\n2024-01-02;x;1.000;\n"),
            &[
                "p:2: both \"in\" and \"out\" have an amount; right would be one",
                "p:3: neither \"in\" nor \"out\" has an amount above zero",
                "p:4: column \"out\": \"-7.00\" has a sign, which is not allowed here unless the map's `sign` says what it \
                 means",
                "p:5: column \"in\": \"1.000\" has more than 2 decimals, or '.' is the map's `thousands_separator`",
            ],
        );
    }

    #[test]
    fn equal_rows_are_numbered_within_their_day_and_account() {
        let fields = format!("{ONE}amount = \"amount\"");
        let keys = |content: &str| {
            let plan = planned(&fields, content).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            let mut keys: Vec<String> = plan.postings.iter().map(|posting| posting.key.to_string()).collect();
            keys.sort();
            keys
        };
        let (x, y) = ("2024-01-02;x;1.00\n", "2024-01-02;y;1.00\n");
        let expected = [
            "postings:1 2024-01-02 100 \"accounts:a EUR\" x",
            "postings:1 2024-01-02 100 \"accounts:a EUR\" y",
            "postings:1 2024-01-03 100 \"accounts:a EUR\" x",
            "postings:2 2024-01-02 100 \"accounts:a EUR\" x",
        ];
        let next = "2024-01-03;x;1.00\n";
        assert_eq!(keys(&format!("date;text;amount\n{x}{y}{x}{next}")), expected);
        assert_eq!(keys(&format!("date;text;amount\n{next}{x}{x}{y}")), expected);
        check_mistakes(
            &fields.replace("key_template = \"{text}\"", "key_template = \"{date}\""),
            &format!("date;text;amount\n{x}{y}"),
            &[
                "p:3: its key, \"2024-01-02\", is also that of line 2, which says something else: add a column in which they \
               differ to the map's `key_template`",
            ],
        );
    }

    #[test]
    fn rows_of_another_currency_have_an_account_of_their_own() {
        let content = "date;text;amount;code\n2024-01-02;x;1.50;EUR\n2024-01-02;x;150.00;JPY\n";
        let fields =
            "account_template = \"a {code}\"\nkey_template = \"{text}\"\namount = \"amount\"\ncurrency = \"code\"";
        let plan = planned(fields, content).unwrap();
        let booked: Vec<_> = plan.postings.iter().map(|row| (row.account, row.contra, row.amount_minor)).collect();
        assert_eq!(booked, [(0, 0, 150), (1, 1, 150)]);
        let contras: Vec<_> = plan.contras.iter().map(|contra| (&*contra.name, &*contra.currency)).collect();
        assert_eq!(contras, [("Cash", "EUR"), ("Cash", "JPY")]);
        check_mistakes(
            &fields.replace("a {code}", "a EUR"),
            content,
            &[
                "p:3: column \"code\": \"JPY\" is not the account's currency, which is EUR: skip such rows, or give the currency \
               an account of its own by an `account_template` with {code} in it",
            ],
        );
        check_mistakes(fields, &content.replace("JPY", "USD"), &["p:3: there is no account \"a USD\""]);
    }

    #[test]
    fn an_end_to_end_id_is_taken_from_its_column() {
        let fields = format!("{ONE}amount = \"amount\"\nend_to_end_id = \"id\"\n");
        let content = |id: &str| format!("date;text;amount;id\n2024-01-02;x;1.00;{id}\n");
        let taken = |id: &str| planned(&fields, &content(id)).unwrap().postings[0].end_to_end_id.clone();
        assert_eq!(taken(" E2E-1 ").as_deref(), Some("E2E-1"));
        assert_eq!(taken("  "), None);
        assert_eq!(taken(&"é".repeat(35)).as_deref(), Some(&*"é".repeat(35)));
        let told = format!("p:2: column \"id\": {:?} has more than 35 characters", "x".repeat(36));
        check_mistakes(&fields, &content(&"x".repeat(36)), &[&told]);
    }

    #[test]
    fn a_text_too_long_is_a_mistake_unless_the_map_says_what_becomes_of_it() {
        let fields = format!("{ONE}amount = \"amount\"\n");
        let content = |length: usize| format!("date;text;amount\n2024-01-02;{};1.00\n", "x".repeat(length));
        assert_eq!(changes(&fields, &content(TEXT_CHARS_MAX)), [100]);
        assert!(planned(&fields, &content(TEXT_CHARS_MAX + 1)).is_err());
        let most = TEXT_CHARS_MAX + TEXT_PARTS_MAX * METADATA_CHARS_MAX;
        let split = format!("{fields}long_text = \"split\"");
        let plan = planned(&split, &content(most)).unwrap();
        assert_eq!(plan.postings[0].text_rest.len(), TEXT_PARTS_MAX);
        check_mistakes(
            &split,
            &content(most + 1),
            &[&format!("p:2: a text of {} characters is too long to be split", most + 1)],
        );
        let plan = planned(&format!("{fields}long_text = \"cut\""), &content(most + 1)).unwrap();
        assert_eq!((plan.postings[0].text.as_deref().map(str::len), plan.postings[0].text_rest.len()), (Some(140), 0));
        assert_eq!(plan.skipped[TEXT_CUT], 1);
    }

    #[test]
    fn accounts_in_the_map_are_checked_as_those_in_tables() {
        let fields = format!("{ONE}amount = \"amount\"");
        let content = "date;text;amount\n2024-01-02;x;1.00\n";
        let plan = planned(&fields, content).unwrap();
        let rights: Vec<_> = plan.rights.iter().map(|right| (&*right.key, right.customer, right.account)).collect();
        assert_eq!(rights, [("rights:\"a EUR\" \"c\"", 0, 0), ("rights:\"a JPY\" \"c\"", 0, 1)]);
        for (replace, with, expected) in [
            ("key = \"a JPY\"", "key = \"a EUR\"", "map:18: the key \"a EUR\" is also on line 13"),
            ("number = \"2\"", "number = 1", "map:18: the account number 1 is also on line 13"),
            (
                "number = \"2\"",
                "number = 0",
                "map:20: `number` must be the account's number, from 1 to 999999999999999999",
            ),
            ("number = \"2\"", "", "map:18: `number` must be the account's number, from 1 to 999999999999999999"),
            ("currency = \"JPY\"", "currency = \"XXX\"", "map:22: `currency` is not a known currency: XXX"),
            (
                "opened = \"2024-01-01\"",
                "opened = \"1.1.24\"",
                "map:16: `opened` must be a date such as 2024-12-31, not \"1.1.24\"",
            ),
            ("owners = [\"c\"]", "owners = [\"d\"]", "map:13: there is no customer \"d\""),
            (
                "owners = [\"c\"]",
                "read_only = [\"c\"]",
                "map:13: the account has no owner: list the keys of its customers as `owners`",
            ),
            ("owners = [\"c\"]", "owners = [\"c\", \"c\"]", "map:13: the customer \"c\" has a right to it already"),
        ] {
            let found = planned_with(&fields, content, replace, with).unwrap_err().to_string();
            assert!(found.contains(expected), "{replace} -> {with}: {found}");
        }
    }
}
