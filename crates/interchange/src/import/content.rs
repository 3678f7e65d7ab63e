//! Contents: what is said of a row under its key, now and in versions before 0.2.

use bank::{CustomerId, Right};
use jiff::civil::Date;
use ledger::{AccountId, Kind};
use service::Meaning;
use service::meaning::{ImportRow, Moved};

use super::booking::{right, value_date};
use super::plan::{PlannedAccount, PlannedPosting, PlannedRight};

/// Content that something has under its key.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// A customer's name.
    Customer(&'a str),
    /// An account.
    Account(&'a PlannedAccount),
    /// A right, with its customer and account as the bank has them.
    Right(&'a PlannedRight, CustomerId, AccountId),
    /// An account of the bank's own.
    Contra(Kind),
    /// A posting: the account debited, the account credited, and the amount in minor units.
    Posting(AccountId, AccountId, u64, &'a PlannedPosting),
    /// A balance that an account begins with, and its day.
    OpeningBalance(AccountId, AccountId, u64, Date),
    /// A limit; `true` if the account is left with it only because it ends below zero.
    Overdraft(bool),
    /// The key of a user's customer.
    User(&'a str),
}

impl Content<'_> {
    /// Returns the form in which it is remembered.
    pub(super) fn form(self) -> Vec<u8> {
        Meaning::Import(match self {
            Self::Customer(name) => ImportRow::Customer { name },
            Self::Account(row) => {
                let (opened, name) = (value_date(row.opened), row.name.as_deref());
                ImportRow::Account { number: row.number, opened, name }
            }
            Self::Right(row, CustomerId(customer), AccountId(account)) => {
                ImportRow::Right { customer, account, right: right(row.right) }
            }
            Self::Contra(kind) => ImportRow::Contra { kind },
            Self::Posting(debit, credit, minor, row) => ImportRow::Posting {
                moved: Moved { debit: debit.0, credit: credit.0, minor, day: value_date(row.date) },
                text: row.text.as_deref(),
                text_rest: &row.text_rest,
                end_to_end_id: row.end_to_end_id.as_deref(),
            },
            Self::OpeningBalance(debit, credit, minor, date) => {
                ImportRow::OpeningBalance(Moved { debit: debit.0, credit: credit.0, minor, day: value_date(date) })
            }
            Self::Overdraft(is_owed) => ImportRow::Overdraft { is_owed },
            Self::User(customer_key) => ImportRow::User { customer_key },
        })
        .form()
    }

    /// Returns the form in which versions before 0.2 remembered it. Old journals hold its hashes: it is never changed.
    pub(super) fn form_of_version_0(self) -> String {
        match self {
            Self::Customer(name) => name.to_owned(),
            Self::Account(row) => format!("{} {} {:?}", row.number, row.opened, row.name),
            Self::Right(row, customer, account) => {
                let right = match right(row.right) {
                    Right::Owner => "Owner".to_owned(),
                    Right::Signatory { limit_minor } => format!("Signatory {{ limit_minor: {limit_minor:?} }}"),
                    Right::ReadOnly => "ReadOnly".to_owned(),
                };
                format!("{} {} {right}", customer.0, account.0)
            }
            Self::Contra(kind) => match kind {
                Kind::Asset => "Asset",
                Kind::Liability => "Liability",
                Kind::Income => "Income",
                Kind::Expense => "Expense",
                Kind::Equity => "Equity",
            }
            .to_owned(),
            Self::Posting(debit, credit, minor, row) => {
                let id = row.end_to_end_id.as_ref().map_or(String::new(), |id| format!(" {id:?}"));
                format!("{} {} {minor} {} {:?}{id}", debit.0, credit.0, row.date, row.text)
            }
            Self::OpeningBalance(debit, credit, minor, date) => format!("{} {} {minor} {date}", debit.0, credit.0),
            Self::Overdraft(is_owed) => if is_owed { "owed" } else { "" }.to_owned(),
            Self::User(customer_key) => customer_key.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::PathBuf;

    use super::super::plan::{self, Direction};
    use super::*;

    fn posting(text: Option<&str>, rest: &[&str], id: Option<&str>) -> PlannedPosting {
        PlannedPosting {
            key: "postings:1".into(),
            line: 1,
            account: 0,
            contra: 0,
            direction: Direction::Credit,
            amount_minor: 1_250,
            date: Date::constant(2024, 2, 29),
            source_balance_minor: None,
            text: text.map(Into::into),
            text_rest: rest.iter().map(|part| (*part).into()).collect(),
            end_to_end_id: id.map(Into::into),
        }
    }

    fn account(name: Option<&str>) -> PlannedAccount {
        PlannedAccount {
            key: "accounts:1".into(),
            line: 1,
            number: 77,
            opened: Date::constant(1969, 12, 31),
            name: name.map(Into::into),
            currency: "EUR".into(),
            decimals: 2,
            opening_minor: None,
        }
    }

    fn right(right: plan::Right) -> PlannedRight {
        PlannedRight { key: "rights:1".into(), line: 1, customer: 0, account: 0, right }
    }

    /// Both forms of something of each kind, in hex, a line each.
    fn told() -> String {
        let (customer, debit, credit) = (CustomerId(3), AccountId(4), AccountId(5));
        let accounts = [account(None), account(Some("Anna's \"savings\""))];
        let limit = |limit_minor| right(plan::Right::Signatory { limit_minor });
        let rights = [right(plan::Right::Owner), limit(None), limit(Some(50_000)), right(plan::Right::ReadOnly)];
        let postings = [
            posting(None, &[], None),
            posting(Some("rent"), &[], None),
            posting(Some("rent"), &[], Some("E-1")),
            posting(Some("rent"), &["of", "May"], None),
        ];
        let mut all = vec![("customer", Content::Customer("Anna"))];
        all.extend(accounts.iter().map(|row| ("account", Content::Account(row))));
        all.extend(rights.iter().map(|row| ("right", Content::Right(row, customer, debit))));
        let kinds = [Kind::Asset, Kind::Liability, Kind::Income, Kind::Expense, Kind::Equity];
        all.extend(kinds.map(|kind| ("contra", Content::Contra(kind))));
        all.extend(postings.iter().map(|row| ("posting", Content::Posting(debit, credit, 1_250, row))));
        all.push(("opening", Content::OpeningBalance(debit, credit, 1_250, Date::constant(2024, 1, 1))));
        all.extend([true, false].map(|is_owed| ("overdraft", Content::Overdraft(is_owed))));
        all.push(("user", Content::User("customers:1")));
        let hex = |form: &[u8]| form.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        all.iter().fold(String::new(), |mut told, (name, content)| {
            let (now, before) = (hex(&content.form()), hex(content.form_of_version_0().as_bytes()));
            writeln!(told, "{name} {now} {before}").expect("a string takes it");
            told
        })
    }

    /// Keys never expire: the forms are never changed. A new kind of row, or a field, is a further line.
    #[test]
    fn rows_are_remembered_in_the_same_forms_for_ever() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/forms-of-rows.txt");
        let told = told();
        if std::env::var("KASSA_WRITE_GOLDEN").as_deref() == Ok("1") && !file.exists() {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(&file, &told).expect("written");
        }
        assert_eq!(told, std::fs::read_to_string(&file).expect("the golden forms"));
        let forms: std::collections::BTreeSet<_> = told.lines().map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(forms.len(), told.lines().count(), "what is another row has another form");
    }
}
