//! The postings' table, row by row: for each the account, the day, the amount and its direction, the source's own
//! balance, the contra account and the text.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::map::{self, ContraRule};
use super::plan::{ContraKind, Direction, Keys, PlannedAccount, PlannedContra, PlannedPosting, Source, code, row_key};
use super::source::{Rows, SourceFormat, Template};

impl Source<'_> {
    pub(super) fn postings(
        &mut self,
        accounts: &Keys,
        planned: &[PlannedAccount],
    ) -> (Vec<PlannedContra>, Vec<PlannedPosting>) {
        let (table, format) = (&self.map.postings, &self.map.format);
        let mut contras = Contras::default();
        let mut postings = Vec::new();
        let Some(text) = self.text(&table.table) else { return (contras.planned, postings) };
        let mut rows = self.rows(&table.table, &text);
        let columns = PostingColumns::resolve(table, &mut rows);

        let mut keys = Keys::new(true);
        let mut turnover_minor = Some(0_i64);
        while rows.next() {
            let key = row_key("postings", &keys.add(&mut rows, columns.key, postings.len()));
            let account = accounts.find(&mut rows, columns.account, "account");
            let date = rows.check(format.date(rows.get(columns.date)));
            let amount = columns.direction_and_amount(&mut rows, format);
            let source_balance_minor = columns.source_balance_minor(&mut rows, format);
            let contra_and_text = columns.contra_and_text(&mut rows, &mut contras);
            let (Some(account), Some(date), Some((direction, amount_minor)), Some((contra, text))) =
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
            postings.push(PlannedPosting {
                key,
                line: rows.line(),
                account,
                contra,
                direction,
                amount_minor,
                date,
                source_balance_minor,
                text,
            });
        }
        (contras.planned, postings)
    }
}

/// Where the postings' fields stand in their file.
struct PostingColumns<'m> {
    key: usize,
    account: usize,
    date: usize,
    amount: usize,
    direction: Option<usize>,
    directions: &'m BTreeMap<String, Direction>,
    balance: Option<usize>,
    text: Option<Template<usize>>,
    codes: BTreeMap<usize, &'m BTreeMap<String, String>>,
    rules: Vec<ContraRule<usize>>,
}

impl<'m> PostingColumns<'m> {
    fn resolve(table: &'m map::Postings, rows: &mut Rows<'_>) -> Self {
        Self {
            key: rows.column(&table.table.key),
            account: rows.column(&table.account),
            date: rows.column(&table.date),
            amount: rows.column(&table.amount),
            direction: table.direction.as_ref().map(|column| rows.column(column)),
            directions: &table.directions,
            balance: table.balance.as_ref().map(|column| rows.column(column)),
            text: table.text.as_ref().map(|text| text.resolve(&mut |column| rows.column(column))),
            codes: table.codes.iter().map(|(column, codes)| (rows.column(column), codes)).collect(),
            rules: table.contra.iter().map(|rule| rule.resolve(&mut |column| rows.column(column))).collect(),
        }
    }

    fn direction_and_amount(&self, rows: &mut Rows<'_>, format: &SourceFormat) -> Option<(Direction, u64)> {
        let Some(column) = self.direction else {
            return rows.check(format.amount.signed_minor(rows.get(self.amount)).and_then(by_sign));
        };
        let direction = rows.check(code(self.directions, rows.get(column)).copied());
        let amount_minor = rows.check(format.amount.positive_minor(rows.get(self.amount)));
        direction.zip(amount_minor)
    }

    fn source_balance_minor(&self, rows: &mut Rows<'_>, format: &SourceFormat) -> Option<i64> {
        let balance = self.balance.map(|column| rows.get(column)).filter(|balance| !balance.is_empty());
        let balance_minor = balance.map(|balance| format.amount.signed_minor(balance)).transpose();
        rows.check(balance_minor).flatten()
    }

    fn contra_and_text(&self, rows: &mut Rows<'_>, contras: &mut Contras) -> Option<(usize, Option<Box<str>>)> {
        let applies = |rule: &&ContraRule<usize>| {
            rule.when.iter().all(|(column, values)| values.iter().any(|value| value == rows.get(*column)))
        };
        let rule = self.rules.iter().find(applies).ok_or_else(|| self.why_no_rule(rows));
        let rule = rows.check(rule)?;
        let name = rule.account.fill(|column| rows.filled(column));
        let contra = rows.check(name.and_then(|name| contras.find_or_add(name, rule.kind)));
        let template = rule.text.as_ref().or(self.text.as_ref());
        let text = template.map_or(Ok(String::new()), |text| text.fill(|column| self.words(rows, column)));
        contra.zip(rows.check(text).map(|text| Some(text.into_boxed_str()).filter(|text| !text.is_empty())))
    }

    fn why_no_rule(&self, rows: &Rows<'_>) -> String {
        let columns: BTreeSet<usize> =
            self.rules.iter().flat_map(|rule| &rule.when).map(|(column, _)| *column).collect();
        let fields = columns.into_iter().map(|column| format!("{} {:?}", rows.name(column), rows.get(column)));
        format!("no contra rule matches {}", fields.collect::<Vec<_>>().join(", "))
    }

    /// What the row's field in a column reads as in a text.
    fn words<'r>(&'r self, rows: &'r Rows<'_>, column: usize) -> Result<&'r str, String> {
        match (self.codes.get(&column), rows.get(column)) {
            (Some(codes), field) if !field.is_empty() => code(codes, field).map(String::as_str),
            (_, field) => Ok(field),
        }
    }
}

/// The contra accounts that postings have needed so far.
#[derive(Default)]
struct Contras {
    planned: Vec<PlannedContra>,
    by_name: HashMap<String, usize>,
}

impl Contras {
    fn find_or_add(&mut self, name: String, kind: ContraKind) -> Result<usize, String> {
        match self.by_name.entry(name) {
            Entry::Occupied(found) if self.planned[*found.get()].kind != kind => {
                Err(format!("the contra account {:?} was of another kind before", found.key()))
            }
            Entry::Occupied(found) => Ok(*found.get()),
            Entry::Vacant(place) => {
                self.planned.push(PlannedContra { name: place.key().clone(), kind });
                Ok(*place.insert(self.planned.len() - 1))
            }
        }
    }
}

fn by_sign(amount_minor: i64) -> Result<(Direction, u64), String> {
    let direction = if amount_minor < 0 { Direction::Debit } else { Direction::Credit };
    match amount_minor.unsigned_abs() {
        0 => Err("the amount is zero".to_owned()),
        amount_minor => Ok((direction, amount_minor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_tells_the_direction() {
        assert_eq!(by_sign(-5), Ok((Direction::Debit, 5)));
        assert_eq!(by_sign(5), Ok((Direction::Credit, 5)));
        assert_eq!(by_sign(0), Err("the amount is zero".to_owned()));
    }
}
