//! The writing half of `kassa import`: sends a checked plan to the bank, each row under an idempotency key made of the
//! source's name and the row's key. So a run that was broken off goes on where it stopped, and a second one changes
//! nothing.

use std::io::BufRead;
use std::path::PathBuf;

use bank::{
    Body, Caller, Command, CustomerId, Numbering, OpenAccount, Pay, Purpose, Request, Right, Role, SubjectId, UserId,
    What,
};
use engine::{Engine, Field, NewSubject, Outcome, Submission};
use jiff::civil::Date;
use ledger::{AccountId, Currency, Kind, Leg, Money, Overdraft, ValueDate};
use serde::Serialize;
use tokio::runtime::Runtime;

use super::plan::{self, ContraKind, Direction, Plan};
use super::reconcile::{Reconciliation, reconcile};
use crate::bank_folder::{self, BankFolder, NewBank};
use crate::failure::Failure;
use crate::output::Output;

/// How many rows are sent together: enough that syncing weighs little, few enough that the bar moves.
const ROWS_AT_A_TIME: usize = 2_000;

/// `kassa import`
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) bank: bank_folder::Open,
    /// The map that says what the files mean.
    #[arg(long, value_name = "FILE.toml")]
    map: PathBuf,
    /// Make a user who signs in as NAME for the customer with this key in the source. Its password is read from
    /// standard input, a line for each user.
    #[arg(long = "user", value_name = "client:NUMBER:NAME", value_parser = parse_user)]
    users: Vec<ImportUser>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// The folder with the files that the map names.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub(crate) struct ImportUser {
    customer_key: String,
    name: String,
}

fn parse_user(text: &str) -> Result<ImportUser, String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("client"), Some(number), Some(name)) if !number.is_empty() && !name.trim().is_empty() => {
            Ok(ImportUser { customer_key: format!("customers:{number}"), name: name.trim().to_owned() })
        }
        _ => Err("write it as client:NUMBER:NAME, such as client:1:anna".into()),
    }
}

/// What was imported, and how it compares with the source.
#[derive(Debug, Serialize)]
struct Report {
    customers: usize,
    accounts: usize,
    rights: usize,
    contra_accounts: usize,
    postings: usize,
    users: usize,
    /// Of all rows, those that were there from an earlier run.
    already_there: usize,
    account_days: usize,
    agree_exact: usize,
    agree_within_0_10: usize,
    agree_within_0_20: usize,
    agree_within_0_50: usize,
    agree_within_1_00: usize,
    agree_within_100_00: usize,
    largest_difference: String,
    currency: String,
    breaks: Vec<ReportedBreak>,
    overdrafts: Vec<ReportedOverdraft>,
}

/// A day on which the books and the source differ.
#[derive(Debug, Serialize)]
struct ReportedBreak {
    account: String,
    date: String,
    posted: String,
    source: String,
}

/// An account that got an overdraft limit because its history needed one.
#[derive(Debug, Serialize)]
struct ReportedOverdraft {
    account: String,
    limit: String,
}

pub(crate) fn run(import: &Import, output: &Output) -> Result<(), Failure> {
    let decimals = |code: &str| Currency::from_code(code).map(Currency::decimals);
    let plan = super::load(&import.map, &import.folder, &decimals).map_err(|mistakes| {
        let count = match mistakes.all().len() {
            1 => "a mistake".to_owned(),
            many => format!("{many} mistakes"),
        };
        Failure::new(format!("nothing was imported, because of {count}:\n{mistakes}"))
    })?;
    let passwords = read_passwords(&import.users)?;
    let engine = open(import, &plan, output)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = Importer::new(&engine, &plan, &runtime, output)
        .and_then(|mut importer| importer.carry_out(&import.users, &passwords));
    engine.stop();
    let report = report?;
    if import.json { output.json(&report) } else { output.line(report.sentence()) }
}

/// The bank to import into; founded as the map says where there is none.
fn open(import: &Import, plan: &Plan, output: &Output) -> Result<Engine, Failure> {
    let Some(planned) = plan.bank.as_ref().filter(|_| !bank_folder::is_there(&import.bank.data)) else {
        return BankFolder::find(&import.bank)?.open(&import.bank, output);
    };
    let numbering = Numbering::new(&planned.country, &planned.bank_code)
        .map_err(|error| Failure::new(format!("{}: {error}", import.map.display())))?;
    let currency = Currency::from_code(&plan.currency).expect("a plan's currency was looked up");
    // History can be had in a currency that is no longer in use, but no cash desk.
    let currencies: Vec<Currency> = Some(currency).filter(|currency| currency.is_in_use()).into_iter().collect();
    let new = NewBank { name: &planned.name, numbering, currencies: &currencies };
    let (engine, _) = bank_folder::create(&import.bank, &new, output)?;
    Ok(engine)
}

fn read_passwords(users: &[ImportUser]) -> Result<Vec<String>, Failure> {
    let mut lines = std::io::stdin().lock().lines();
    let mut next = |user: &ImportUser| match lines.next() {
        Some(line) => Ok(line?),
        None => Err(Failure::new(format!("the password of {} is missing on standard input", user.name))),
    };
    users.iter().map(&mut next).collect()
}

/// An import under way.
struct Importer<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    runtime: &'a Runtime,
    output: &'a Output,
    currency: Currency,
    already_there: usize,
}

impl<'a> Importer<'a> {
    fn new(engine: &'a Engine, plan: &'a Plan, runtime: &'a Runtime, output: &'a Output) -> Result<Self, Failure> {
        let currency = Currency::from_code(&plan.currency).expect("a plan's currency was looked up");
        let largest = engine.peek(|state| state.founding().map(|founding| founding.numbering.largest()))?;
        let largest = largest.ok_or_else(|| Failure::new("the bank is not founded; run `kassa init` first".into()))?;
        if let Some(account) = plan.accounts.iter().find(|account| account.number > largest) {
            return Err(Failure::new(format!(
                "{}:{}: account number {} is too large for this bank's IBANs, which hold at most {largest}",
                plan.files.accounts, account.line, account.number
            )));
        }
        let today = engine.now().day();
        if let Some(posting) = plan.postings.last()
            && value_date(posting.date) > today
        {
            return Err(Failure::new(format!(
                "{}:{}: the posting is dated {}, which has not come yet",
                plan.files.postings, posting.line, posting.date
            )));
        }
        Ok(Self { engine, plan, runtime, output, currency, already_there: 0 })
    }

    fn carry_out(&mut self, users: &[ImportUser], passwords: &[String]) -> Result<Report, Failure> {
        let customers = self.customers()?;
        let accounts = self.accounts()?;
        self.rights(&customers, &accounts)?;
        let contras = self.contras()?;
        self.postings(&accounts, &contras)?;
        self.users(users, passwords, &customers)?;
        let reconciliation = reconcile(self.plan, |account| self.end_of_day_balances(accounts[account]))?;
        self.report(&reconciliation, users.len(), &accounts)
    }

    fn customers(&mut self) -> Result<Vec<CustomerId>, Failure> {
        let rows = self.plan.customers.iter().map(|row| {
            let subject = NewSubject::generate();
            let body = Body::AddCustomer { name: subject.seal(Field::CustomerName, &row.name) };
            let command = self.command(&row.key, row.name.as_bytes(), body);
            (row.line, Submission { command, subject: Some(subject), past: None })
        });
        let made = self.send("customers", &self.plan.files.customers, rows.collect())?;
        let ids = made.into_iter().map(|what| match what {
            What::CustomerAdded { id, .. } => Ok(id),
            _ => Err(unexpected()),
        });
        ids.collect()
    }

    fn accounts(&mut self) -> Result<Vec<AccountId>, Failure> {
        let rows = self.plan.accounts.iter().map(|row| {
            let content = format!("{} {} {:?}", row.number, row.opened, row.name);
            let open = OpenAccount {
                number: Some(row.number),
                currency: self.currency,
                kind: Kind::Liability,
                overdraft: Overdraft::Limited(row.overdraft_minor),
                name: row.name.as_ref().map(|name| self.engine.seal_as_bank(Field::AccountName, name)),
                owner: None,
                cash: false,
                opened_at: Some(value_date(row.opened).start()),
            };
            (row.line, self.command(&row.key, content.as_bytes(), Body::OpenAccount(open)).into())
        });
        let made = self.send("accounts", &self.plan.files.accounts, rows.collect())?;
        let accounts: Vec<AccountId> = made.into_iter().map(opened).collect::<Result<_, _>>()?;
        self.widen_overdrafts(&accounts)?;
        Ok(accounts)
    }

    /// Gives accounts of an earlier run the overdraft that the history which came since needs.
    fn widen_overdrafts(&mut self, accounts: &[AccountId]) -> Result<(), Failure> {
        let too_small = |overdraft, needed| matches!(overdraft, Overdraft::Limited(limit) if limit < needed);
        let rows = self.engine.peek(|state| {
            let planned = self.plan.accounts.iter().zip(accounts);
            let widened = planned.filter_map(|(row, account)| {
                let overdraft = state.ledger().account(*account)?.overdraft;
                let wider = Overdraft::Limited(row.overdraft_minor);
                let body = Body::SetOverdraft { account: *account, overdraft: wider };
                // Under a key of its own, so that an operator who narrows it later is not overruled.
                let key = format!("overdraft {} {}", row.key, row.overdraft_minor);
                let command = self.command(&key, b"", body);
                too_small(overdraft, row.overdraft_minor).then(|| (row.line, command.into()))
            });
            widened.collect()
        })?;
        self.send("overdrafts", &self.plan.files.accounts, rows).map(drop)
    }

    fn rights(&mut self, customers: &[CustomerId], accounts: &[AccountId]) -> Result<(), Failure> {
        let rows = self.plan.rights.iter().map(|row| {
            let right = match row.right {
                plan::Right::Owner => Right::Owner,
                plan::Right::Signatory { limit_minor } => {
                    Right::Signatory { limit_minor: limit_minor.and_then(|limit| i64::try_from(limit).ok()) }
                }
                plan::Right::ReadOnly => Right::ReadOnly,
            };
            let (customer, account) = (customers[row.customer], accounts[row.account]);
            let content = format!("{} {} {right:?}", customer.0, account.0);
            (row.line, self.command(&row.key, content.as_bytes(), Body::Grant { customer, account, right }).into())
        });
        self.send("rights", &self.plan.files.rights, rows.collect()).map(drop)
    }

    fn contras(&mut self) -> Result<Vec<AccountId>, Failure> {
        let rows = self.plan.contras.iter().map(|contra| {
            let kind = match contra.kind {
                ContraKind::Asset => Kind::Asset,
                ContraKind::Liability => Kind::Liability,
                ContraKind::Equity => Kind::Equity,
                ContraKind::Income => Kind::Income,
                ContraKind::Expense => Kind::Expense,
            };
            let open = OpenAccount {
                number: None,
                currency: self.currency,
                kind,
                overdraft: Overdraft::Unlimited,
                name: Some(self.engine.seal_as_bank(Field::AccountName, &contra.name)),
                owner: None,
                cash: false,
                // As old as the oldest posting, so that its history does not begin before it.
                opened_at: self.plan.postings.first().map(|first| value_date(first.date).start()),
            };
            let (key, content) = (format!("contra:{}", contra.name), format!("{kind:?}"));
            (0, self.command(&key, content.as_bytes(), Body::OpenAccount(open)).into())
        });
        let made = self.send("contra", "the map's contra accounts", rows.collect())?;
        made.into_iter().map(opened).collect()
    }

    fn postings(&mut self, accounts: &[AccountId], contras: &[AccountId]) -> Result<(), Failure> {
        let owners = self.owners(accounts)?;
        let bar = self.output.bar("postings", self.plan.postings.len() as u64);
        for chunk in self.plan.postings.chunks(ROWS_AT_A_TIME) {
            let mut rows = Vec::with_capacity(chunk.len());
            for row in chunk {
                let (account, contra) = (accounts[row.account], contras[row.contra]);
                let minor = i64::try_from(row.amount_minor).expect("a planned amount fits an i64");
                let deposit = Leg { debit: contra, credit: account, amount: Money { minor, currency: self.currency } };
                let leg = if row.direction == Direction::Credit { deposit } else { deposit.reversed() };
                let content = format!("{} {} {minor} {} {:?}", leg.debit.0, leg.credit.0, row.date, row.text);
                let text = match &row.text {
                    Some(text) => self.engine.seal(owners[row.account], Field::Text, text)?,
                    None => None,
                };
                let day = value_date(row.date);
                let pay = Pay {
                    metadata: None,
                    legs: [leg].into(),
                    purpose: Purpose::Imported,
                    text,
                    value_date: Some(day),
                    booked_at: Some(day.start()),
                };
                rows.push((row.line, self.command(&row.key, content.as_bytes(), Body::Pay(pay)).into()));
            }
            self.send_chunk(&self.plan.files.postings.clone(), rows)?;
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Under whose key the texts of each account are sealed: its first owner's.
    fn owners(&self, accounts: &[AccountId]) -> Result<Vec<SubjectId>, Failure> {
        Ok(self.engine.peek(|state| {
            let first_owner = |account: &AccountId| {
                let rights = &state.account_info(*account)?.rights;
                let (owner, _) = rights.iter().find(|(_, right)| *right == Right::Owner)?;
                Some(state.customer(*owner)?.name.subject)
            };
            accounts.iter().map(|account| first_owner(account).unwrap_or(SubjectId::BANK)).collect()
        })?)
    }

    fn users(&mut self, users: &[ImportUser], passwords: &[String], customers: &[CustomerId]) -> Result<(), Failure> {
        for (user, password) in users.iter().zip(passwords) {
            let place = self.plan.customers.iter().position(|row| *row.key == *user.customer_key);
            let place = place
                .ok_or_else(|| Failure::new(format!("no customer has the key {} in the source", user.customer_key)))?;
            bank_folder::check_password(password)?;
            let customer = customers[place];
            let subject = self.engine.peek(|state| state.customer(customer).map(|known| known.name.subject))?;
            let subject = subject.ok_or_else(unexpected)?;
            let erased = || Failure::new(format!("the customer {} was erased", user.customer_key));
            let body = Body::AddUser {
                name_index: self.engine.name_index(&user.name),
                name: self.engine.seal(subject, Field::UserName, &user.name)?.ok_or_else(erased)?,
                password: self
                    .engine
                    .seal(subject, Field::Password, &bank_folder::hash_password(password)?)?
                    .ok_or_else(erased)?,
                role: Role::Customer,
                customer: Some(customer),
            };
            let key = format!("user:{}", user.name);
            let command = self.command(&key, user.customer_key.as_bytes(), body);
            self.send_chunk("--user", vec![(0, command.into())])?;
        }
        Ok(())
    }

    /// The posted balance at the end of each day on which an account has entries.
    fn end_of_day_balances(&self, account: AccountId) -> Result<Vec<(Date, i64)>, Failure> {
        let mut entries = Vec::new();
        let mut before = None;
        loop {
            let page = self.runtime.block_on(self.engine.entries(account, before, ROWS_AT_A_TIME))?;
            let Some(last) = page.last() else { break };
            before = Some(last.ordinal);
            entries.extend(page.iter().map(|entry| (entry.booked_at.day(), entry.balance_minor)));
        }
        let mut days: Vec<(Date, i64)> = Vec::new();
        // From the newest to the oldest: the first balance met of a day is its last.
        for (day, balance) in entries {
            let day = date(day)?;
            if days.last().is_none_or(|(last, _)| *last != day) {
                days.push((day, balance));
            }
        }
        days.reverse();
        Ok(days)
    }

    fn report(&self, reconciliation: &Reconciliation, users: usize, accounts: &[AccountId]) -> Result<Report, Failure> {
        let ibans: Vec<String> = self
            .engine
            .peek(|state| accounts.iter().map(|account| state.iban(*account).unwrap_or_default()).collect())?;
        let amount = |minor: i64| Money { minor, currency: self.currency }.to_string();
        let unsigned = |minor: u64| amount(i64::try_from(minor).unwrap_or(i64::MAX));
        let [agree_exact, within_0_10, within_0_20, within_0_50, within_1_00, within_100_00] = reconciliation.agreeing;
        let breaks = reconciliation.breaks.iter().map(|found| ReportedBreak {
            account: ibans[found.account].clone(),
            date: found.date.to_string(),
            posted: amount(found.posted_minor),
            source: amount(found.source_minor),
        });
        let with_overdraft = self.plan.accounts.iter().zip(&ibans).filter(|(row, _)| row.overdraft_minor > 0);
        let overdrafts = with_overdraft
            .map(|(row, iban)| ReportedOverdraft { account: iban.clone(), limit: unsigned(row.overdraft_minor) });
        Ok(Report {
            customers: self.plan.customers.len(),
            accounts: self.plan.accounts.len(),
            rights: self.plan.rights.len(),
            contra_accounts: self.plan.contras.len(),
            postings: self.plan.postings.len(),
            users,
            already_there: self.already_there,
            account_days: reconciliation.account_days,
            agree_exact,
            agree_within_0_10: within_0_10,
            agree_within_0_20: within_0_20,
            agree_within_0_50: within_0_50,
            agree_within_1_00: within_1_00,
            agree_within_100_00: within_100_00,
            largest_difference: unsigned(reconciliation.largest_difference_minor),
            currency: self.currency.code().to_owned(),
            breaks: breaks.collect(),
            overdrafts: overdrafts.collect(),
        })
    }

    fn command(&self, key: &str, content: &[u8], body: Body) -> Command {
        let key = format!("import {} {key}", self.plan.source_name);
        let request: Request = self.engine.request(UserId::SYSTEM, key.as_bytes(), content);
        Command { caller: Caller::SYSTEM, request: Some(request), body }
    }

    /// Sends rows, each with its line, and gives what each made, now or in an earlier run.
    fn send(&mut self, what: &'static str, file: &str, rows: Vec<(u64, Submission)>) -> Result<Vec<What>, Failure> {
        let bar = self.output.bar(what, rows.len() as u64);
        let mut made = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let chunk: Vec<_> = rows.by_ref().take(ROWS_AT_A_TIME).collect();
            made.extend(self.send_chunk(file, chunk)?);
            bar.set_position(made.len() as u64);
        }
        bar.finish_and_clear();
        Ok(made)
    }

    fn send_chunk(&mut self, file: &str, rows: Vec<(u64, Submission)>) -> Result<Vec<What>, Failure> {
        let (lines, submissions): (Vec<u64>, Vec<Submission>) = rows.into_iter().unzip();
        let outcomes = self.runtime.block_on(self.engine.submit_batch(submissions))?;
        let mut made = Vec::with_capacity(outcomes.len());
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            match outcome? {
                Outcome::Accepted(receipt) => {
                    self.already_there += usize::from(receipt.repeated);
                    made.push(receipt.what);
                }
                Outcome::Refused { refusal: bank::Refusal::KeyReused, .. } => {
                    return Err(Failure::new(format!(
                        "{file}:{line}: this row was imported before and said something else then; a row's content \
                         can't change under its key"
                    )));
                }
                Outcome::Refused { refusal, .. } => return Err(Failure::new(format!("{file}:{line}: {refusal}"))),
                Outcome::Unchanged => return Err(unexpected()),
            }
        }
        Ok(made)
    }
}

impl Report {
    fn sentence(&self) -> String {
        let mut lines = vec![
            format!(
                "Imported {} customers, {} accounts, {} rights and {} postings against {} contra accounts; {} of these \
                 were there before.",
                self.customers, self.accounts, self.rights, self.postings, self.contra_accounts, self.already_there
            ),
            format!(
                "Of {} account-days, {} agree exactly with the source's balances, {} within 0.10, {} within 0.20, {} \
                 within 0.50, {} within 1.00, {} within 100.00; the largest difference is {} {}.",
                self.account_days,
                self.agree_exact,
                self.agree_within_0_10,
                self.agree_within_0_20,
                self.agree_within_0_50,
                self.agree_within_1_00,
                self.agree_within_100_00,
                self.largest_difference,
                self.currency
            ),
        ];
        lines.extend(self.breaks.iter().map(|found| {
            format!("  {} on {}: posted {}, the source says {}", found.account, found.date, found.posted, found.source)
        }));
        if !self.overdrafts.is_empty() {
            lines
                .push(format!("{} accounts got the overdraft limit that their history needed:", self.overdrafts.len()));
        }
        lines.extend(self.overdrafts.iter().map(|given| format!("  {}: {}", given.account, given.limit)));
        lines.join("\n")
    }
}

fn opened(what: What) -> Result<AccountId, Failure> {
    match what {
        What::AccountOpened { id, .. } => Ok(id),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> Failure {
    Failure::new("the bank gave another answer than the import expects".into())
}

fn value_date(date: Date) -> ValueDate {
    let days = date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days());
    ValueDate(days)
}

fn date(day: ValueDate) -> Result<Date, Failure> {
    let span = jiff::Span::new().try_days(i64::from(day.0)).map_err(|error| Failure::new(error.to_string()))?;
    Date::constant(1970, 1, 1).checked_add(span).map_err(|error| Failure::new(error.to_string()))
}
