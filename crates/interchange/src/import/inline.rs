//! Customers and accounts that the map lists itself: somebody with one file of one account has no tables of them.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;

use super::Mistake;
use super::amount::AmountFormat;
use super::map::Map;
use super::plan::{
    ACCOUNT_NUMBER_MAX, Keys, PlannedAccount, PlannedCustomer, PlannedRight, Right, Source, Surroundings, row_key,
};
use super::section::Section;
use super::source::{KEY_CHARS_MAX, TEXT_CHARS_MAX};

/// A customer in the map.
#[derive(Debug)]
pub(super) struct InlineCustomer {
    key: String,
    line: u64,
    name: String,
}

/// An account in the map, with those who have a right to it, by their keys.
#[derive(Debug)]
pub(super) struct InlineAccount {
    key: String,
    line: u64,
    number: u64,
    opened: Date,
    name: Option<String>,
    currency: String,
    decimals: u32,
    opening_minor: Option<i64>,
    rights: Vec<(Right, Vec<String>)>,
}

impl InlineAccount {
    /// ISO 4217.
    pub(super) fn currency(&self) -> &str {
        &self.currency
    }
}

/// Reads `[[customers]]`.
pub(super) fn customers(sections: Vec<Section<'_>>) -> Vec<InlineCustomer> {
    let customers = sections.into_iter().map(|mut section| {
        let customer = InlineCustomer {
            line: section.line(),
            key: section.parsed("key", String::new(), key),
            name: section.parsed("name", String::new(), name),
        };
        section.finish();
        customer
    });
    customers.collect()
}

/// Reads `[[accounts]]`. An account is in the `source`'s currency unless it says otherwise.
pub(super) fn accounts(
    sections: Vec<Section<'_>>,
    source: (&str, u32),
    currency_decimals: &dyn Fn(&str) -> Option<u32>,
) -> Vec<InlineAccount> {
    let accounts = sections.into_iter().map(|mut section| {
        let currency = section.optional("currency", |code| {
            let decimals = currency_decimals(code).ok_or_else(|| format!("is not a known currency: {code}"))?;
            Ok((code.to_owned(), decimals))
        });
        let (currency, decimals) = currency.unwrap_or_else(|| (source.0.to_owned(), source.1));
        let signatory = Right::Signatory { limit_minor: None };
        let fields = [("owners", Right::Owner), ("signatories", signatory), ("read_only", Right::ReadOnly)];
        let account = InlineAccount {
            line: section.line(),
            key: section.parsed("key", String::new(), key),
            number: account_number(&mut section),
            opened: section.parsed("opened", Date::default(), date),
            name: section.optional("name", name),
            opening_minor: section.optional("opening_balance", |text| opening(text, decimals)),
            currency,
            decimals,
            rights: fields.map(|(field, right)| (right, section.texts(field))).into(),
        };
        section.finish();
        account
    });
    accounts.collect()
}

/// An amount as the API writes it, however the source's own are written.
fn opening(text: &str, decimals: u32) -> Result<i64, String> {
    AmountFormat::plain('.', None).signed_minor(text, decimals)
}

fn account_number(section: &mut Section<'_>) -> u64 {
    let number = section.optional_number("number");
    if !number.is_some_and(|number| (1..=ACCOUNT_NUMBER_MAX).contains(&number)) {
        section.refuse("number", format!("`number` must be the account's number, from 1 to {ACCOUNT_NUMBER_MAX}"));
    }
    number.unwrap_or_default()
}

fn key(key: &str) -> Result<String, String> {
    let key = key.trim();
    if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || key.chars().any(bank::is_control) {
        return Err(format!("must have 1 to {KEY_CHARS_MAX} characters on one line"));
    }
    Ok(key.to_owned())
}

fn name(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > TEXT_CHARS_MAX || name.chars().any(bank::is_control) {
        return Err(format!("must have 1 to {TEXT_CHARS_MAX} characters on one line"));
    }
    Ok(name.to_owned())
}

fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("must be a date such as 2024-12-31, not {text:?}"))
}

impl Source<'_> {
    /// The customers that the map lists.
    pub(super) fn inline_customers(&mut self) -> (Vec<PlannedCustomer>, Keys) {
        let mut keys = Keys::new(true);
        let planned = (0..).zip(&self.map.inline_customers).map(|(index, row)| {
            if let Some(line) = keys.insert(&row.key, index, row.line) {
                self.mistakes.push(mistake(
                    self.map,
                    row.line,
                    format!("the key {:?} is also on line {line}", row.key),
                ));
            }
            PlannedCustomer { key: row_key("customers", &row.key), line: row.line, name: row.name.clone() }
        });
        (planned.collect(), keys)
    }

    /// The accounts that the map lists.
    pub(super) fn inline_accounts(&mut self) -> (Vec<PlannedAccount>, Keys) {
        let mut keys = Keys::new(true);
        let mut numbers = HashMap::new();
        let mut planned = Vec::new();
        for row in &self.map.inline_accounts {
            if let Some(line) = keys.insert(&row.key, planned.len(), row.line) {
                self.mistakes.push(mistake(
                    self.map,
                    row.line,
                    format!("the key {:?} is also on line {line}", row.key),
                ));
            }
            if let Some(line) = numbers.insert(row.number, row.line) {
                let reason = format!("the account number {} is also on line {line}", row.number);
                self.mistakes.push(mistake(self.map, row.line, reason));
            }
            let Surroundings { today, largest_number, .. } = *self.surroundings;
            if row.number > largest_number {
                let reason =
                    format!("the account number {} is more than this bank's account numbers have room for", row.number);
                self.mistakes.push(mistake(self.map, row.line, reason));
            }
            if row.opened > today {
                let reason = format!("the account is opened on {}, which has not come yet", row.opened);
                self.mistakes.push(mistake(self.map, row.line, reason));
            }
            planned.push(PlannedAccount {
                key: row_key("accounts", &row.key),
                line: row.line,
                number: row.number,
                opened: row.opened,
                name: row.name.clone(),
                currency: row.currency.clone(),
                decimals: row.decimals,
                opening_minor: row.opening_minor,
            });
        }
        (planned, keys)
    }

    /// The rights to the accounts that the map lists. Without a table of rights each needs an owner here.
    pub(super) fn inline_rights(&mut self, customers: &Keys) -> Vec<PlannedRight> {
        let mut planned = Vec::new();
        for (account, row) in self.map.inline_accounts.iter().enumerate() {
            let mut holders = BTreeSet::new();
            let rights = row.rights.iter().flat_map(|(right, keys)| keys.iter().map(|key| (*right, key)));
            let mut has_owner = self.map.rights.is_some();
            for (right, holder) in rights {
                has_owner |= right == Right::Owner;
                let reason = match customers.index(holder) {
                    None if customers.are_known() => format!("there is no customer {holder:?}"),
                    None => continue,
                    Some(_) if !holders.insert(holder) => format!("the customer {holder:?} has a right to it already"),
                    Some(customer) => {
                        let key = row_key("rights", &format!("{:?} {holder:?}", row.key));
                        planned.push(PlannedRight { key, line: row.line, customer, account, right });
                        continue;
                    }
                };
                self.mistakes.push(mistake(self.map, row.line, reason));
            }
            if !has_owner {
                let reason = "the account has no owner: list the keys of its customers as `owners`".to_owned();
                self.mistakes.push(mistake(self.map, row.line, reason));
            }
        }
        planned
    }
}

fn mistake(map: &Map, line: u64, reason: String) -> Mistake {
    Mistake { file: map.file.clone(), line: Some(line), reason }
}
