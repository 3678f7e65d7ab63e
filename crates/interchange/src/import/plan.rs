//! The plan: everything an import will do, checked as a whole, in the order in which it is to be done.
//!
//! [`build`] reads the four tables in the order in which they refer to each other. Rows refer by index, so that a long
//! history stays small. A customer or an account that is wrong still takes its place, with stand-ins for what couldn't
//! be read: its key is known, so that one wrong account doesn't make mistakes of all its postings. So all mistakes come
//! out in one go, and only a source without any becomes a [`Plan`].

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use bank::NumbersAsked;
use jiff::civil::Date;
use ledger::Currency;

use super::map::{self, Map, RightKind};
use super::source::{self, Rows, SourceFormat};
use super::{Mistake, Mistakes, order};

/// The greatest number of an account within its bank: as many digits as an Indian account has, and 64 bits hold. Where
/// the bank has fewer, it refuses what doesn't fit.
pub(crate) const ACCOUNT_NUMBER_MAX: u64 = 999_999_999_999_999_999;

/// Work that an import will do. All amounts are in minor units of `currency`.
///
/// Keys are `table:key` with the table's section in the map, such as `postings:695247`, and unique within the source:
/// `source_name` and key together say whether a row was imported before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The map's stable name for the source.
    pub(crate) source_name: String,
    /// ISO 4217.
    pub(crate) currency: String,
    /// Number of decimals of the currency's minor unit.
    pub(crate) decimals: u32,
    /// The bank to found where there is none.
    pub(crate) bank: Option<PlannedBank>,
    /// Files that the rows come from, for saying where something went wrong.
    pub(crate) files: PlanFiles,
    /// Customers in the order of their file.
    pub(crate) customers: Vec<PlannedCustomer>,
    /// Accounts in the order of their file, each empty before.
    pub(crate) accounts: Vec<PlannedAccount>,
    /// Rights in the order of their file. Every account has an owner, and no customer two rights to one account.
    pub(crate) rights: Vec<PlannedRight>,
    /// Contra accounts in the order in which the file's postings first need them.
    pub(crate) contras: Vec<PlannedContra>,
    /// Postings by date, and within a date as `order.rs` finds it.
    pub(crate) postings: Vec<PlannedPosting>,
    /// Counts of what was passed over in the postings' file, by reason: lines, rows, and the ends of texts.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// The account against which the balances are booked that accounts begin with.
    pub(crate) opening_account: String,
    /// `true` if a row that is older than the newest entry of its account is booked as of now.
    pub(crate) late_is_booked_now: bool,
}

impl Plan {
    /// The currency, which was looked up when the map was read.
    pub(crate) fn known_currency(&self) -> Currency {
        known_currency(&self.currency)
    }

    /// The currencies of the accounts, the source's first.
    pub(crate) fn currencies(&self) -> Vec<Currency> {
        let others: BTreeSet<&str> = self.accounts.iter().map(|account| account.currency.as_str()).collect();
        let others = others.into_iter().filter(|code| *code != self.currency).map(known_currency);
        std::iter::once(self.known_currency()).chain(others).collect()
    }
}

/// A currency that was looked up when the map was read.
pub(super) fn known_currency(code: &str) -> Currency {
    Currency::from_code(code).expect("a plan's currency was looked up")
}

/// Facts beside the source and its map, which decide what is a mistake in them.
#[derive(Debug)]
pub(crate) struct Surroundings<'s> {
    /// Today's date, in the bank's time zone. Nothing can be booked on a day that has not come.
    pub(crate) today: Date,
    /// The greatest number that an account of the bank may have.
    pub(crate) largest_number: u64,
    /// The customers' keys that are asked for by flags, each with the flag.
    pub(crate) customers: &'s [(String, String)],
}

/// A bank to be, for a source that is to be looked at by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedBank {
    /// Its name.
    pub(crate) name: String,
    /// The country of its account numbers (ISO 3166-1).
    pub(crate) country: String,
    /// Its code in them.
    pub(crate) bank_code: String,
    /// Time zone of its days, as the IANA database spells it; UTC where none is given.
    pub(crate) time_zone: Option<String>,
    /// The form of its account numbers, where it is not its country's.
    pub(crate) numbers: NumbersAsked,
}

/// The names of the plan's files, as the map has them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlanFiles {
    /// File of the customers.
    pub(crate) customers: String,
    /// File of the accounts.
    pub(crate) accounts: String,
    /// File of the rights.
    pub(crate) rights: String,
    /// File of the postings.
    pub(crate) postings: String,
}

impl Plan {
    /// Returns the number of decimals of the minor unit of an account's currency.
    pub(crate) fn decimals_of(&self, account: usize) -> u32 {
        self.accounts.get(account).map_or(self.decimals, |account| account.decimals)
    }
}

/// A customer to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedCustomer {
    /// `customers:key`.
    pub(crate) key: Box<str>,
    /// Line on which the row begins.
    pub(crate) line: u64,
    /// Name: at most 140 characters on one line, not empty.
    pub(crate) name: String,
}

/// An account to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedAccount {
    /// `accounts:key`.
    pub(crate) key: Box<str>,
    /// Line on which the row begins.
    pub(crate) line: u64,
    /// Within the bank, unique, from 1 to [`ACCOUNT_NUMBER_MAX`].
    pub(crate) number: u64,
    /// No posting is older.
    pub(crate) opened: Date,
    /// Name, if the source names its accounts.
    pub(crate) name: Option<String>,
    /// ISO 4217.
    pub(crate) currency: String,
    /// Number of decimals of the currency's minor unit.
    pub(crate) decimals: u32,
    /// Balance that the account held before its first row, as the map says it, in minor units.
    pub(crate) opening_minor: Option<i64>,
}

impl PlannedAccount {
    /// The currency, which was looked up when the map was read.
    pub(crate) fn known_currency(&self) -> Currency {
        known_currency(&self.currency)
    }
}

/// A customer's right to an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedRight {
    /// `rights:key`.
    pub(crate) key: Box<str>,
    /// Line on which the row begins.
    pub(crate) line: u64,
    /// Index into the plan's customers.
    pub(crate) customer: usize,
    /// Index into the plan's accounts.
    pub(crate) account: usize,
    /// The customer's right to the account.
    pub(crate) right: Right,
}

/// A customer's right to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// It is theirs.
    Owner,
    /// Use it, up to a limit if there is one.
    Signatory {
        /// Limit in minor units, above zero.
        limit_minor: Option<u64>,
    },
    /// Look at it.
    ReadOnly,
}

/// An account of the bank's own that postings go against. Its name and its currency are its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedContra {
    /// At most 140 characters on one line, not empty, unique among those of its currency.
    pub(crate) name: String,
    /// ISO 4217.
    pub(crate) currency: String,
    /// Kind of account that it is in the bank's books.
    pub(crate) kind: ContraKind,
}

/// Kind of account that a contra account is in the bank's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContraKind {
    /// Money the bank has or is owed.
    Asset,
    /// Money the bank owes.
    Liability,
    /// Money it owes its owners, and the other side of balances brought in.
    Equity,
    /// Money it earns.
    Income,
    /// Money it spends.
    Expense,
}

/// Direction of a posting, as the customer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the contra account to the customer's.
    Credit,
    /// From the customer's account to the contra account.
    Debit,
}

/// A posting between a customer's account and a contra account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedPosting {
    /// `postings:key`.
    pub(crate) key: Box<str>,
    /// Line on which the row begins.
    pub(crate) line: u64,
    /// Index into the plan's accounts.
    pub(crate) account: usize,
    /// Index into the plan's contra accounts.
    pub(crate) contra: usize,
    /// Direction as the customer sees it.
    pub(crate) direction: Direction,
    /// Above zero. All postings' amounts together fit an `i64`, so that no balance can overflow.
    pub(crate) amount_minor: u64,
    /// The original booking date.
    pub(crate) date: Date,
    /// Balance after it, as the source says it.
    pub(crate) source_balance_minor: Option<i64>,
    /// Text that the customer reads: at most 140 characters on one line, not empty.
    pub(crate) text: Option<Box<str>>,
    /// Continuation of the text where the map splits long ones: parts as long as a value of metadata may be.
    pub(crate) text_rest: Vec<Box<str>>,
    /// The payer's own id of the payment: at most 35 characters on one line, not empty.
    pub(crate) end_to_end_id: Option<Box<str>>,
}

impl PlannedPosting {
    /// Returns the change of the customer's balance by the posting.
    pub(crate) fn change_minor(&self) -> i64 {
        let amount_minor = i64::try_from(self.amount_minor).expect("a planned amount fits an i64");
        match self.direction {
            Direction::Credit => amount_minor,
            Direction::Debit => -amount_minor,
        }
    }
}

/// Reads the map's tables by `read`, which is given a file's name, and checks everything.
pub(crate) fn build(
    map: &Map,
    surroundings: &Surroundings<'_>,
    read: &dyn Fn(&str) -> io::Result<Vec<u8>>,
) -> Result<Plan, Mistakes> {
    let mut source = Source { map, surroundings, read, mistakes: Vec::new(), skipped: BTreeMap::new() };
    let (customers, customer_keys) = source.customers();
    let (accounts, account_keys) = source.accounts();
    let rights = source.rights(&customer_keys, &account_keys, &accounts);
    let (contras, mut postings) = source.postings(&account_keys, &accounts);
    source.check_dates(&postings);
    source.check_flags(&customer_keys);

    if source.mistakes.is_empty() {
        order::sort(&mut postings, map.postings.order);
    }
    let plan = Plan {
        source_name: map.source_name.clone(),
        currency: map.currency.clone(),
        decimals: map.decimals,
        bank: map.bank.clone(),
        files: PlanFiles {
            customers: map.customers_file().to_owned(),
            accounts: map.accounts_file().to_owned(),
            rights: map.rights_file().to_owned(),
            postings: map.postings.table.file.clone(),
        },
        customers,
        accounts,
        rights,
        contras,
        postings,
        skipped: source.skipped,
        opening_account: map.postings.opening_account.clone(),
        late_is_booked_now: map.postings.late_is_booked_now,
    };
    Mistakes::unless_none(plan, source.mistakes)
}

/// A table's keys, each with its row's index and line.
pub(super) struct Keys {
    rows: HashMap<String, (usize, u64)>,
    /// False if the table couldn't be read, so that nobody can say which keys it lacks.
    are_known: bool,
}

impl Keys {
    pub(super) fn new(are_known: bool) -> Self {
        Self { rows: HashMap::new(), are_known }
    }

    /// Returns `true` if the table could be read.
    pub(super) fn are_known(&self) -> bool {
        self.are_known
    }

    /// The index of the row with this key.
    pub(super) fn index(&self, key: &str) -> Option<usize> {
        self.rows.get(key).map(|(index, _)| *index)
    }

    /// Remembers a key as that of row `index`, and gives the line of another row that has it.
    pub(super) fn insert(&mut self, key: &str, index: usize, line: u64) -> Option<u64> {
        self.rows.insert(key.to_owned(), (index, line)).map(|(_, line)| line)
    }

    /// Reads the current row's key and remembers it as that of row `index`. A second row of the same key is a mistake.
    pub(super) fn add(&mut self, rows: &mut Rows<'_>, column: usize, index: usize) -> String {
        let key = rows.check(rows.key(column)).unwrap_or_default();
        match self.rows.entry(key.clone()) {
            Entry::Occupied(other) if !key.is_empty() => {
                rows.refuse(format!("the key {key:?} is also on line {}", other.get().1));
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert((index, rows.line()));
            }
        }
        key
    }

    /// The index of the row that the current row's field refers to; `what` names it.
    pub(super) fn find(&self, rows: &mut Rows<'_>, column: usize, what: &str) -> Option<usize> {
        let found = rows.filled(column).and_then(|key| self.find_key(key, what));
        rows.check(found).flatten()
    }

    /// The index of the row with this key; none if nobody can say, and a reason if there is none.
    pub(super) fn find_key(&self, key: &str, what: &str) -> Result<Option<usize>, String> {
        match self.index(key) {
            None if self.are_known => Err(format!("there is no {what} {key:?}")),
            found => Ok(found),
        }
    }
}

/// The source being read, and the mistakes found so far.
pub(super) struct Source<'s> {
    pub(super) map: &'s Map,
    pub(super) surroundings: &'s Surroundings<'s>,
    read: &'s dyn Fn(&str) -> io::Result<Vec<u8>>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) skipped: BTreeMap<String, u64>,
}

impl Source<'_> {
    fn customers(&mut self) -> (Vec<PlannedCustomer>, Keys) {
        let Some(table) = &self.map.customers else { return self.inline_customers() };
        let mut customers = Vec::new();
        let Some(text) = self.text(&table.table) else { return (customers, Keys::new(false)) };
        let mut rows = self.rows(&table.table, &text);
        let key = rows.column(&table.table.key);
        let name = table.name.resolve(&mut |column| rows.column(column));

        let mut keys = Keys::new(!rows.lacks_columns());
        while rows.next() {
            let key = keys.add(&mut rows, key, customers.len());
            let name = rows.check(name.fill(|column| rows.filled(column))).unwrap_or_default();
            customers.push(PlannedCustomer { key: row_key("customers", &key), line: rows.line(), name });
        }
        (customers, keys)
    }

    fn accounts(&mut self) -> (Vec<PlannedAccount>, Keys) {
        let Some(table) = &self.map.accounts else { return self.inline_accounts() };
        let (map, format, surroundings) = (self.map, &self.map.format, self.surroundings);
        let mut accounts = Vec::new();
        let Some(text) = self.text(&table.table) else { return (accounts, Keys::new(false)) };
        let mut rows = self.rows(&table.table, &text);
        let key = rows.column(&table.table.key);
        let number = rows.column(&table.number);
        let opened = rows.column(&table.opened);
        let name = table.name.as_ref().map(|name| name.resolve(&mut |column| rows.column(column)));
        let opening = table.opening_balance.as_ref().map(|column| rows.column(column));

        let mut keys = Keys::new(!rows.lacks_columns());
        let mut numbers = HashMap::new();
        let Surroundings { today, largest_number, .. } = *surroundings;
        let largest = ACCOUNT_NUMBER_MAX.min(largest_number);
        while rows.next() {
            let key = row_key("accounts", &keys.add(&mut rows, key, accounts.len()));
            let number = rows.check(account_number(rows.get(number), largest)).unwrap_or_default();
            if let Some(line) = numbers.insert(number, rows.line()).filter(|_| number != 0) {
                rows.refuse(format!("the account number {number} is also on line {line}"));
            }
            let opened = rows.check(rows.parse(opened, |text| format.date(text))).unwrap_or_default();
            if opened > today {
                rows.refuse(format!("the account is opened on {opened}, which has not come yet"));
            }
            let name = name.as_ref().and_then(|name| rows.check(name.fill(|column| rows.filled(column))));
            let (currency, decimals) = (map.currency.clone(), map.decimals);
            let opening = opening.filter(|column| !rows.get(*column).is_empty());
            let opening_minor = opening.and_then(|column| {
                let minor = rows.parse(column, |text| format.amount.signed_minor(text, decimals));
                rows.check(minor)
            });
            let line = rows.line();
            accounts.push(PlannedAccount { key, line, number, opened, name, currency, decimals, opening_minor });
        }
        (accounts, keys)
    }

    fn rights(&mut self, customers: &Keys, accounts: &Keys, planned: &[PlannedAccount]) -> Vec<PlannedRight> {
        let (format, decimals) = (&self.map.format, self.map.decimals);
        let mut rights = self.inline_rights(customers);
        let Some(table) = &self.map.rights else { return rights };
        let Some(text) = self.text(&table.table) else { return rights };
        let mut rows = self.rows(&table.table, &text);
        let mistakes_before = rows.mistakes_so_far();
        let columns = RightColumns::resolve(table, &mut rows);

        let mut keys = Keys::new(true);
        let mut pairs: HashMap<_, _> =
            rights.iter().map(|right| ((right.customer, right.account), right.line)).collect();
        let mut has_owner = vec![false; planned.len()];
        for right in rights.iter().filter(|right| right.right == Right::Owner) {
            has_owner[right.account] = true;
        }
        while rows.next() {
            let key = row_key("rights", &keys.add(&mut rows, columns.key, rights.len()));
            let customer = customers.find(&mut rows, columns.customer, "customer");
            let account = accounts.find(&mut rows, columns.account, "account");
            let right = rows.check(columns.right(&rows, format, decimals));
            let (Some(customer), Some(account), Some(right)) = (customer, account, right) else { continue };
            if let Some(line) = pairs.insert((customer, account), rows.line()) {
                rows.refuse(format!("the customer has a right to this account on line {line} already"));
            }
            has_owner[account] |= right == Right::Owner;
            rights.push(PlannedRight { key, line: rows.line(), customer, account, right });
        }
        // A row that couldn't be read may have been the owner's.
        let all_were_read = !rows.lacks_columns() && rows.mistakes_so_far() == mistakes_before;
        if customers.are_known && all_were_read {
            self.check_owners(planned, &has_owner);
        }
        rights
    }

    fn check_owners(&mut self, accounts: &[PlannedAccount], has_owner: &[bool]) {
        for (account, _) in accounts.iter().zip(has_owner).filter(|(_, has_owner)| !**has_owner) {
            let file = self.map.accounts_file().to_owned();
            let reason = format!("the account has no owner in {}", self.map.rights_file());
            self.mistakes.push(Mistake { file, line: Some(account.line), reason });
        }
    }

    /// Notes postings of days that have not come.
    fn check_dates(&mut self, postings: &[PlannedPosting]) {
        let today = self.surroundings.today;
        for posting in postings.iter().filter(|posting| posting.date > today) {
            let file = self.map.postings.table.file.clone();
            let reason = format!("the posting is dated {}, which has not come yet", posting.date);
            self.mistakes.push(Mistake { file, line: Some(posting.line), reason });
        }
    }

    /// Notes flags that ask for a customer whom the source doesn't have.
    fn check_flags(&mut self, customers: &Keys) {
        for (flag, key) in self.surroundings.customers.iter().filter(|_| customers.are_known) {
            if !customers.rows.contains_key(key) {
                let reason = format!("there is no customer {key:?} in {}", self.map.customers_file());
                self.mistakes.push(Mistake { file: flag.clone(), line: None, reason });
            }
        }
    }

    /// The table's text, if its file can be read.
    pub(super) fn text<K>(&mut self, table: &map::TableFile<K>) -> Option<String> {
        match (self.read)(&table.file) {
            Ok(bytes) => Some(source::decode(self.map.format.encoding, &table.file, &bytes, &mut self.mistakes)),
            Err(error) => {
                let reason = format!("cannot be read: {error}");
                self.mistakes.push(Mistake { file: table.file.clone(), line: None, reason });
                None
            }
        }
    }

    pub(super) fn rows<'r, K>(&'r mut self, table: &'r map::TableFile<K>, text: &'r str) -> Rows<'r> {
        Rows::open(&self.map.format, &table.layout, &table.file, text, &mut self.mistakes)
    }
}

/// Places of the rights' fields in their file.
struct RightColumns<'m> {
    key: usize,
    customer: usize,
    account: usize,
    kind: Option<usize>,
    kinds: &'m BTreeMap<String, RightKind>,
    limit: Option<usize>,
}

impl<'m> RightColumns<'m> {
    fn resolve(table: &'m map::Rights, rows: &mut Rows<'_>) -> Self {
        Self {
            key: rows.column(&table.table.key),
            customer: rows.column(&table.customer),
            account: rows.column(&table.account),
            kind: table.kind.as_ref().map(|column| rows.column(column)),
            kinds: &table.kinds,
            limit: table.signatory_limit.as_ref().map(|column| rows.column(column)),
        }
    }

    fn right(&self, rows: &Rows<'_>, format: &SourceFormat, decimals: u32) -> Result<Right, String> {
        let kind = self.kind.map_or(Ok(RightKind::Owner), |column| code(self.kinds, rows.get(column)).copied())?;
        let limit = self.limit.map(|column| rows.get(column)).filter(|limit| !limit.is_empty());
        let limit_minor = limit.map(|limit| format.amount.positive_minor(limit, decimals)).transpose()?;
        match kind {
            RightKind::Signatory => Ok(Right::Signatory { limit_minor }),
            _ if limit_minor.is_some() => Err("has a limit, which only a signatory can have".to_owned()),
            RightKind::Owner => Ok(Right::Owner),
            RightKind::ReadOnly => Ok(Right::ReadOnly),
        }
    }
}

pub(super) fn row_key(table: &str, key: &str) -> Box<str> {
    format!("{table}:{key}").into_boxed_str()
}

fn account_number(text: &str, largest: u64) -> Result<u64, String> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_digits && (1..=largest).contains(&number) => Ok(number),
        _ => Err(format!(
            "{text:?} is not an account number from 1 to {largest}, as this bank's account numbers have room for"
        )),
    }
}

/// Returns the meaning of a code of a code table.
pub(super) fn code<'c, T>(codes: &'c BTreeMap<String, T>, code: &str) -> Result<&'c T, String> {
    codes.get(code).ok_or_else(|| {
        let known: Vec<String> = codes.keys().map(|known| format!("{known:?}")).collect();
        format!("the code {code:?} is none of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const MAP: &str = r#"
        [source]
        name = "test"
        currency = "EUR"
        encoding = "utf-8"
        separator = ";"
        quote = '"'
        date_format = "%Y-%m-%d"
        decimal_separator = "."

        [customers]
        file = "customers"
        key = "id"
        name = "{first} {last}"

        [accounts]
        file = "accounts"
        key = "id"
        number = "number"
        opened = "opened"

        [rights]
        file = "rights"
        key = "id"
        customer = "customer"
        account = "account"
        type = "type"
        owner = ["O"]
        signatory = ["S"]
        read_only = ["R"]
        signatory_limit = "limit"

        [postings]
        file = "postings"
        key = "id"
        account = "account"
        date = "date"
        amount = "amount"
        direction = "type"
        credit = ["C"]
        debit = ["D"]
        balance = "balance"
        text = "{code} {memo}"

        [postings.codes.code]
        R = "Rent"
        X = "Transfer"

        [[postings.contra]]
        when = { code = ["X"], type = ["C"] }
        account = "Bank {bank}"
        kind = "asset"

        [[postings.contra]]
        when = { code = ["", "R"] }
        account = "Cash"
        kind = "asset"
    "#;
    const CUSTOMERS: &str = "id;first;last\nc1;Ada;Byron\nc2;Carl;Gauss\n";
    const ACCOUNTS: &str = "id;number;opened\na1;11;1993-01-01\na2;0012;1993-01-02\n";
    const RIGHTS: &str = "id;customer;account;type;limit\nr1;c1;a1;O;\nr2;c2;a2;O;\nr3;c2;a1;S;50.00\nr4;c1;a2;R;\n";
    const POSTINGS: &str = "id;account;date;type;amount;balance;code;memo;bank\n\
        p1;a1;1993-01-05;C;10.00;10.00;;first;\n\
        p2;a1;1993-01-07;D;25.50;-15.50;R;;\n\
        p3;a2;1993-01-06;C;7.00;7.00;;;\n\
        p4;a1;1993-01-07;C;1.00;;;a  b;\n";

    const SURROUNDINGS: Surroundings<'_> =
        Surroundings { today: date(1993, 1, 7), largest_number: u64::MAX, customers: &[] };

    /// The source, with `with` in place of `replace` in the map or a file. A file without text is missing.
    fn planned(file: &str, replace: &str, with: &str) -> Result<Plan, Mistakes> {
        let sources = [("customers", CUSTOMERS), ("accounts", ACCOUNTS), ("rights", RIGHTS), ("postings", POSTINGS)];
        let text_of = |name: &str, text: &str| {
            assert!(name != file || text.contains(replace), "{replace}");
            if name == file { text.replacen(replace, with, 1) } else { text.to_owned() }
        };
        let map = Map::parse("map", &text_of("map", MAP), &|code| (code == "EUR").then_some(2))?;
        build(&map, &SURROUNDINGS, &|name| {
            let (name, text) = sources.iter().find(|source| source.0 == name).unwrap();
            let text = text_of(name, text);
            if text.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(text.into_bytes()) }
        })
    }

    fn check(file: &str, replace: &str, with: &str, mistakes: &[&str]) {
        let found = planned(file, replace, with).err();
        let found: Vec<String> = found.iter().flat_map(Mistakes::all).map(ToString::to_string).collect();
        assert_eq!(found, mistakes, "{replace} -> {with}");
    }

    #[test]
    fn a_sound_source_becomes_a_plan_in_order_of_date() {
        let plan = planned("", "", "").unwrap();

        let names: Vec<&str> = plan.customers.iter().map(|customer| &*customer.name).collect();
        assert_eq!(names, ["Ada Byron", "Carl Gauss"]);
        let accounts: Vec<_> = plan.accounts.iter().map(|a| (&*a.key, a.line, a.number)).collect();
        assert_eq!(accounts, [("accounts:a1", 2, 11), ("accounts:a2", 3, 12)]);
        let rights: Vec<_> = plan.rights.iter().map(|right| (right.customer, right.account, right.right)).collect();
        let signatory = Right::Signatory { limit_minor: Some(5_000) };
        assert_eq!(rights, [(0, 0, Right::Owner), (1, 1, Right::Owner), (1, 0, signatory), (0, 1, Right::ReadOnly)]);
        assert_eq!(
            plan.contras,
            [PlannedContra { name: "Cash".to_owned(), currency: "EUR".to_owned(), kind: ContraKind::Asset }]
        );
        let postings: Vec<_> = plan.postings.iter().map(|posting| (&*posting.key, posting.text.as_deref())).collect();
        assert_eq!(
            postings,
            [
                ("postings:p1", Some("first")),
                ("postings:p3", None),
                ("postings:p2", Some("Rent")),
                ("postings:p4", Some("a b")),
            ]
        );
        assert_eq!(
            plan.postings[2],
            PlannedPosting {
                key: "postings:p2".into(),
                line: 3,
                account: 0,
                contra: 0,
                direction: Direction::Debit,
                amount_minor: 2_550,
                date: date(1993, 1, 7),
                source_balance_minor: Some(-1_550),
                text: Some("Rent".into()),
                text_rest: Vec::new(),
                end_to_end_id: None
            }
        );
    }

    #[test]
    fn each_mistake_is_named_with_file_line_and_reason() {
        check("customers", CUSTOMERS, "", &["customers: cannot be read: entity not found"]);
        check(
            "customers",
            "id;first",
            "id;fist",
            &["customers:1: there is no column \"first\"; there are \"id\", \"fist\", \"last\""],
        );
        check(
            "customers",
            "first;last",
            "last;last",
            &[
                "customers:1: there is more than one column \"last\"",
                "customers:1: there is no column \"first\"; there are \"id\", \"last\", \"last\"",
            ],
        );
        check(
            "customers",
            "c2;",
            "c1;",
            &[
                "customers:3: the key \"c1\" is also on line 2",
                "rights:3: there is no customer \"c2\"",
                "rights:4: there is no customer \"c2\"",
            ],
        );
        check("customers", "Ada", "", &["customers:2: the column \"first\" is empty"]);
        check("customers", ";Byron", "", &["customers:2: has 2 fields where there are 3 columns"]);
        check("accounts", ACCOUNTS, "\n", &["accounts:1: is empty; its first line must name the columns"]);
        check("accounts", "0012", "11", &["accounts:3: the account number 11 is also on line 2"]);
        for number in ["", "0", "+7", "1x", "1000000000000000000"] {
            let mistake = format!(
                "accounts:3: {number:?} is not an account number from 1 to 999999999999999999, as this bank's account \
                 numbers have room for"
            );
            check("accounts", "0012", number, &[&mistake]);
        }
        check("accounts", "0012", "999999999999999999", &[]);
        check(
            "accounts",
            "01-01",
            "13-01",
            &[
                "accounts:2: column \"opened\": \"1993-13-01\" is not a date written as %Y-%m-%d, such as \"1993-12-31\"",
            ],
        );
        check(
            "accounts",
            "01-01",
            "01-06",
            &["postings:2: is dated 1993-01-05, before the account was opened on 1993-01-06"],
        );
        check("accounts", "01-01", "01-05", &[]);
        check(
            "accounts",
            "1993-01-02",
            "1993-01-08",
            &[
                "accounts:3: the account is opened on 1993-01-08, which has not come yet",
                "postings:4: is dated 1993-01-06, before the account was opened on 1993-01-08",
            ],
        );
        check(
            "postings",
            "1993-01-06",
            "1993-01-08",
            &["postings:4: the posting is dated 1993-01-08, which has not come yet"],
        );
        check("rights", "c1;a1;O", "c1;a1;X", &["rights:2: the code \"X\" is none of \"O\", \"R\", \"S\""]);
        check("rights", "c1;a1;O", "c1;a9;O", &["rights:2: there is no account \"a9\""]);
        check("rights", "r1;c1;a1;O;\n", "", &["accounts:2: the account has no owner in rights"]);
        check(
            "rights",
            "c1;a2;R",
            "c2;a2;R",
            &["rights:5: the customer has a right to this account on line 3 already"],
        );
        check("rights", "a1;O;", "a1;O;5.00", &["rights:2: has a limit, which only a signatory can have"]);
        check("rights", "50.00", "0.00", &["rights:4: the amount is zero"]);
        check("postings", "p4", "p1", &["postings:5: the key \"p1\" is also on line 2"]);
        check("postings", "p4", "", &["postings:5: the column \"id\" is empty"]);
        check("postings", "p3;a2", "p3;a3", &["postings:4: there is no account \"a3\""]);
        check("postings", "25.50", "25.505", &["postings:3: column \"amount\": \"25.505\" has more than 2 decimals"]);
        check(
            "postings",
            "25.50",
            "-25.50",
            &[
                "postings:3: column \"amount\": \"-25.50\" has a sign, which is not allowed here unless the map's `sign` says what it means",
            ],
        );
        check("postings", "25.50", "0.00", &["postings:3: column \"amount\": the amount is zero"]);
        check(
            "postings",
            "25.50",
            "92233720368547758.08",
            &["postings:3: column \"amount\": \"92233720368547758.08\" is too large an amount"],
        );
        check("postings", "25.50", "92233720368547758.07", &["postings:3: the amounts so far are together too large"]);
        check("postings", "D;", "d;", &["postings:3: column \"type\": the code \"d\" is none of \"C\", \"D\""]);
        check(
            "postings",
            "-15.50",
            "-15,50",
            &["postings:3: column \"balance\": \"-15,50\" is not an amount such as 1234.56"],
        );
        check("postings", ";R;", ";Q;", &["postings:3: no contra rule matches type \"D\", code \"Q\""]);
        check("postings", ";;first;", ";X;first;", &["postings:2: the column \"bank\" is empty"]);
        check("map", "R = \"Rent\"", "", &["postings:3: the code \"R\" is none of \"X\""]);
        check(
            "postings",
            "first",
            "\"first",
            &["postings:2: has 8 fields where there are 9 columns", "postings:2: has a quote that is never closed"],
        );
        check("postings", "first", &"x".repeat(140), &[]);
        let long = "x".repeat(141);
        check(
            "postings",
            "first",
            &long,
            &[&format!(
                "postings:2: {long:?} is longer than 140 characters, and the map doesn't say `long_text`: cut or split"
            )],
        );
        check("map", "\"Bank {bank}\"\n        kind = \"asset\"", "\"Cash\"\n kind = \"income\"", &[]);
        check(
            "map",
            "[\"X\"], type = [\"C\"] }\n        account = \"Bank {bank}\"\n        kind = \"asset\"",
            "[\"R\"] }\n account = \"Cash\"\n kind = \"income\"",
            &["postings:3: the contra account \"Cash\" was of another kind before"],
        );
    }

    #[test]
    fn what_the_bank_allows_decides_as_well() {
        let flags = [("--user a".to_owned(), "c1".to_owned()), ("--user b".to_owned(), "c9".to_owned())];
        let map = Map::parse("map", MAP, &|_| Some(2)).unwrap();
        let sources = [("customers", CUSTOMERS), ("accounts", ACCOUNTS), ("rights", RIGHTS), ("postings", POSTINGS)];
        let read = |name: &str| {
            let found = sources.iter().find(|source| source.0 == name);
            Ok(found.map(|source| source.1.as_bytes().to_vec()).unwrap())
        };
        let told = |largest_number| {
            let surroundings = Surroundings { largest_number, customers: &flags, ..SURROUNDINGS };
            build(&map, &surroundings, &read).unwrap_err().to_string()
        };
        assert_eq!(told(12), "--user b: there is no customer \"c9\" in customers");
        assert_eq!(
            told(11),
            "--user b: there is no customer \"c9\" in customers\naccounts:3: \"0012\" is not an account number from 1 to \
             11, as this bank's account numbers have room for"
        );
    }

    #[test]
    fn a_row_has_all_its_mistakes_told_and_makes_none_elsewhere() {
        check(
            "postings",
            "p2;a1;1993-01-07;D;25.50",
            "p2;a7;1993-02-30;E;x",
            &[
                "postings:3: column \"amount\": \"x\" is not an amount such as 1234.56",
                "postings:3: column \"date\": \"1993-02-30\" is not a date written as %Y-%m-%d, such as \"1993-12-31\"",
                "postings:3: column \"type\": the code \"E\" is none of \"C\", \"D\"",
                "postings:3: there is no account \"a7\"",
            ],
        );
    }

    #[test]
    fn without_a_direction_the_sign_tells() {
        let map =
            MAP.replace("direction = \"type\"", "").replace("credit = [\"C\"]", "").replace("debit = [\"D\"]", "");
        let plan = planned("map", MAP, &map).unwrap();
        assert!(plan.postings.iter().all(|posting| posting.direction == Direction::Credit));
    }

    #[test]
    fn a_file_without_a_header_has_its_columns_in_the_map() {
        let map = MAP.replace("file = \"customers\"", "file = \"customers\"\ncolumns = [\"id\", \"first\", \"last\"]");
        let plan = planned("map", MAP, &map).unwrap();
        assert_eq!((plan.customers[0].line, &*plan.customers[0].name), (1, "first last"));
    }
}
