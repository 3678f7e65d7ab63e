//! `kassa import` against what the bank holds: the order of rows, opening balances, overdrafts, late rows, and whatever
//! must be known before anything is founded or booked.

use std::sync::Arc;

use bank::{AccessCommand, AccountCommand, HoldCommand, Origin, PaymentCommand};
use engine::{Engine, Options, SystemClock};
use journal::MasterKey;
use ledger::{Kind, Overdraft};

use super::*;

const MAP: &str = r#"
[source]
name = "window"
currency = "EUR"
encoding = "utf-8"
separator = ","
date_format = "%Y-%m-%d"
decimal_separator = "."

[bank]
name = "Window Bank"
country = "AT"
bank_code = "19043"

[customers]
file = "customers.csv"
key = "id"
name = "{name}"

[accounts]
file = "accounts.csv"
key = "id"
number = "id"
opened = "opened"

[rights]
file = "accounts.csv"
key = "id"
customer = "customer"
account = "id"

[postings]
file = "postings.csv"
key = "key"
account = "account"
date = "date"
amount = "amount"
balance = "balance"
text = "{text}"

[[postings.contra]]
account = "Before"
kind = "asset"
"#;

const HEADER: &str = "key,account,date,amount,text,balance\n";

/// A bank's folder and a source beside it: two customers with an account each, 1 and 2.
struct Source {
    folder: Folder,
    files: PathBuf,
}

impl Source {
    fn new() -> Self {
        let folder = Folder::new();
        let files = folder.data.with_file_name("source");
        fs::create_dir_all(&files).expect("a folder");
        let source = Self { folder, files };
        source.write("map.toml", MAP);
        source.write("customers.csv", "id,name\n1,Anna\n2,Ben\n");
        source.write("accounts.csv", "id,opened,customer\n1,2024-01-01,1\n2,2024-01-01,2\n");
        source
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.files.join(file), text).expect("a file");
    }

    fn rows(&self, rows: &str) -> &Self {
        self.write("postings.csv", &format!("{HEADER}{rows}"));
        self
    }

    /// The map with something in place of something else.
    fn map(&self, replace: &str, with: &str) -> &Self {
        assert!(MAP.contains(replace), "{replace}");
        self.write("map.toml", &MAP.replacen(replace, with, 1));
        self
    }

    fn flags(&self, more: &[&str]) -> Vec<String> {
        let map = self.files.join("map.toml");
        let plain = [map.as_path(), &self.files].map(|path| path.to_str().expect("a plain path").to_owned());
        let flags = ["import", "--data", self.folder.data(), "--map"].map(str::to_owned);
        let more = more.iter().map(|flag| (*flag).to_owned());
        flags.into_iter().chain(plain).chain(more).collect()
    }

    fn import_with(&self, more: &[&str], input: &str) -> Value {
        let flags = self.flags(&[&["--json"][..], more].concat());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        serde_json::from_str(&succeeds(&flags, input)).expect("JSON")
    }

    fn import(&self) -> Value {
        self.import_with(&[], "")
    }

    fn words(&self, more: &[&str]) -> String {
        let flags = self.flags(more);
        succeeds(&flags.iter().map(String::as_str).collect::<Vec<_>>(), "")
    }

    fn fails_with(&self, more: &[&str], input: &str) -> String {
        let flags = self.flags(more);
        fails(&flags.iter().map(String::as_str).collect::<Vec<_>>(), input)
    }

    fn refuses(&self) -> String {
        self.fails_with(&[], "")
    }

    fn is_founded(&self) -> bool {
        self.folder.data.exists() || self.folder.key().exists()
    }

    fn engine(&self) -> Engine {
        let master = MasterKey::read_file(&self.folder.key()).expect("the master key");
        let open = || Engine::open(&self.folder.data, &master, Options::default(), Arc::new(SystemClock), &mut |_| {});
        // A process that another test starts holds every lock of this one until it is the program that it becomes.
        for _ in 0..100 {
            match open() {
                Err(engine::OpenError::Journal(journal::OpenError::InUse { .. })) => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                opened => return opened.expect("the bank opens"),
            }
        }
        open().expect("the bank opens")
    }

    fn accounts(&self) -> BTreeMap<u64, Seen> {
        let engine = self.engine();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let accounts: Vec<_> = engine
            .peek(|state| {
                let numbered =
                    |(id, account): (_, &ledger::Account)| Some((id, *account, state.account_info(id)?.number));
                state.ledger().accounts().filter_map(numbered).collect()
            })
            .expect("open");
        let seen = accounts.into_iter().map(|(id, account, number)| {
            let mut entries = runtime.block_on(engine.entries(id, None, 1_000)).expect("its entries");
            entries.reverse();
            let entries = entries.iter().map(|entry| {
                let days = (entry.booked_at.day().0, entry.value_date.0);
                (days.0, days.1, entry.balance_minor)
            });
            let Overdraft::Limited(limit) = account.overdraft else {
                return (number, Seen { kind: account.kind, limit: u64::MAX, entries: entries.collect() });
            };
            (number, Seen { kind: account.kind, limit, entries: entries.collect() })
        });
        let seen = seen.collect();
        engine.stop();
        seen
    }

    /// What account 1 came to: the balances after its entries, and its limit.
    fn first(&self) -> (Vec<i64>, u64) {
        let seen = self.accounts().remove(&1).expect("account 1");
        (seen.entries.iter().map(|entry| entry.2).collect(), seen.limit)
    }

    fn of_kind(&self, kind: Kind) -> Vec<i64> {
        let all = self.accounts();
        let last = all.values().filter(|seen| seen.kind == kind && !seen.entries.is_empty());
        last.filter_map(|seen| seen.entries.last().map(|entry| entry.2)).collect()
    }

    fn sets_limit(&self, limit: u64) {
        let engine = self.engine();
        let account = engine.peek(|state| state.account_numbered(1)).expect("open").expect("account 1");
        let body = bank::Body::Accounts(AccountCommand::SetOverdraft { account, overdraft: Overdraft::Limited(limit) });
        let command = bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request: None, body };
        engine.submit_blocking(command).expect("open");
        engine.stop();
    }

    /// Asks the bank as an import of 0.1.0 did, under a key of its own.
    fn asks(&self, key: &str, body: bank::Body) -> bool {
        self.asks_saying(key, "", body)
    }

    /// The same, with what that import said of it.
    fn asks_saying(&self, key: &str, said: &str, body: bank::Body) -> bool {
        let engine = self.engine();
        let key = format!("import window {key}");
        let request = Some(engine.request(bank::UserId::SYSTEM, key.as_bytes(), said.as_bytes()));
        let command = bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request, body };
        let outcome = engine.submit_blocking(command).expect("open");
        engine.stop();
        matches!(outcome, engine::Outcome::Accepted(_))
    }

    /// Takes a step of account 1's overdraft as an import does that is broken off then.
    fn takes_step(&self, step: &str, limit: u64) -> bool {
        let body = bank::Body::Accounts(AccountCommand::SetOverdraft {
            account: self.account_1(),
            overdraft: Overdraft::Limited(limit),
        });
        self.asks(&format!("overdraft {step} accounts:1"), body)
    }

    /// Books what account 1 begins with.
    fn opens_with(&self, minor: i64) {
        let currency = ledger::Currency::from_code("EUR").expect("euro");
        let open = bank::OpenAccount {
            number: None,
            currency,
            kind: Kind::Equity,
            overdraft: Overdraft::Unlimited,
            name: None,
            owner: None,
            cash: false,
            opened_at: Some(ledger::Timestamp(0)),
        };
        assert!(self.asks("contra:Opening balances", bank::Body::Accounts(AccountCommand::OpenAccount(open))));
        let engine = self.engine();
        let last = engine.peek(|state| state.ledger().accounts().last().map(|(id, _)| id)).expect("open");
        engine.stop();
        let amount = ledger::Money { minor: minor.abs(), currency };
        let leg = ledger::Leg { debit: self.account_1(), credit: last.expect("the account of openings"), amount };
        let day = ledger::ValueDate(march(4));
        let pay = bank::Pay {
            legs: [leg].into(),
            purpose: bank::Purpose::Imported,
            text: None,
            metadata: None,
            value_date: Some(day),
            booked_at: Some(day.start()),
            end_to_end_id: None,
            copies: None,
        };
        assert!(self.asks("opening:accounts:1", bank::Body::Payments(PaymentCommand::Pay(pay))));
    }

    fn account_1(&self) -> ledger::AccountId {
        let engine = self.engine();
        let account = engine.peek(|state| state.account_numbered(1)).expect("open").expect("account 1");
        engine.stop();
        account
    }
}

/// An account as it came to be: days since 1970 and balances.
struct Seen {
    kind: Kind,
    limit: u64,
    entries: Vec<(i32, i32, i64)>,
}

/// The day of March 2024 as days since 1970.
const fn march(day: i32) -> i32 {
    19_782 + day
}

const NEWEST_FIRST: &str = "4,1,2024-03-05,-200.00,card,300.00\n3,1,2024-03-04,-900.00,rent,500.00\n\
                            2,1,2024-03-04,1400.00,salary,1400.00\n";

/// Versions before 0.2 remembered rows in another form. What they did is known, and what says something else is refused.
#[test]
fn rows_that_an_earlier_version_booked_are_not_booked_again() {
    let source = Source::new();
    let first = "1,1,2024-03-04,100.00,salary,100.00\n";
    source.rows(first).import();
    let engine = source.engine();
    let last = engine.peek(|state| state.ledger().accounts().last().map(|(id, _)| id)).expect("open");
    engine.stop();
    let (debit, credit) = (last.expect("the contra account"), source.account_1());
    let amount = ledger::Money { minor: 5_000, currency: ledger::Currency::from_code("EUR").expect("euro") };
    let day = ledger::ValueDate(march(5));
    let pay = bank::Pay {
        legs: [ledger::Leg { debit, credit, amount }].into(),
        purpose: bank::Purpose::Imported,
        text: None,
        metadata: None,
        value_date: Some(day),
        booked_at: Some(day.start()),
        end_to_end_id: None,
        copies: None,
    };
    let said = format!("{} {} 5000 2024-03-05 Some(\"bonus\")", debit.0, credit.0);
    assert!(source.asks_saying("postings:2", &said, bank::Body::Payments(PaymentCommand::Pay(pay))));
    let report = source.rows(&format!("{first}2,1,2024-03-05,50.00,bonus,150.00\n")).import();
    assert_eq!((&report["postings_booked"], source.first().0), (&json!(0), vec![10_000, 15_000]));
    let told = source.rows(&format!("{first}2,1,2024-03-05,50.00,gift,150.00\n")).refuses();
    assert!(told.contains("postings.csv:3: this row was imported before and said something else then"), "{told}");
}

#[test]
fn rows_with_an_id_of_the_payers_are_the_same_a_second_time() {
    let source = Source::new();
    source.map("text = \"{text}\"", "end_to_end_id = \"text\"");
    let row = |id: &str| format!("1,1,2024-03-04,100.00,{id},100.00\n");
    assert_eq!(source.rows(&row("E-1")).import()["postings_booked"], 1);
    assert_eq!(source.rows(&row("E-1")).import()["postings_booked"], 0);
    let told = source.rows(&row("E-2")).refuses();
    assert!(told.contains("said something else then"), "{told}");
}

#[test]
fn the_newest_row_first_grants_nothing() {
    let source = Source::new();
    let report = source.rows(NEWEST_FIRST).import();
    assert_eq!(source.first(), (vec![140_000, 50_000, 30_000], 0));
    assert_eq!((&report["overdrafts"], &report["opening_balances"]), (&json!([]), &json!([])));
    assert_eq!((&report["postings_booked"], &report["agree_exact"]), (&json!(3), &json!(2)));
    verified(source.folder.data());
}

/// A row's day begins when it does in the bank's time zone, and ends there: so the balances at the ends of days agree.
#[test]
fn rows_are_booked_on_the_days_of_the_banks_time_zone() {
    let source = Source::new();
    let code = "bank_code = \"19043\"";
    let zone = |name: &str| format!("{code}\ntime_zone = \"{name}\"");
    let told = source.map(code, &zone("Europe/Atlantis")).rows(NEWEST_FIRST).refuses();
    assert!(told.contains("`time_zone` is not a time zone that this program knows: Europe/Atlantis"), "{told}");
    let report = source.map(code, &zone("europe/vienna")).import();
    assert_eq!((&report["postings_booked"], &report["agree_exact"]), (&json!(3), &json!(2)));
    // At eleven in the evening of the day before, in UTC.
    let days = [(march(3), march(4), 140_000), (march(3), march(4), 50_000), (march(4), march(5), 30_000)];
    assert_eq!(source.accounts()[&1].entries, days);
    assert_eq!(source.import()["postings_booked"], 0, "again");

    let told = source.rows("5,1,2024-03-04,1.00,late,\n").refuses();
    assert!(told.contains("is dated 2024-03-04") && told.contains("entries up to 2024-03-05"), "{told}");
    let told = source.map(code, &zone("Asia/Tokyo")).refuses();
    assert!(told.contains("with the time zone Asia/Tokyo") && told.contains("has Europe/Vienna"), "{told}");
    let told = source.map(code, &format!("{code}\nown_numbers = \"luhn\"")).refuses();
    assert!(told.contains("account numbers have another form") && told.contains("leave them out"), "{told}");
}

#[test]
fn without_balances_the_map_tells_the_order() {
    let without = NEWEST_FIRST.lines().filter_map(|line| Some(format!("{},\n", line.rsplit_once(',')?.0)));
    let rows: String = without.collect();
    let source = Source::new();
    source.map("balance = \"balance\"", "order = \"newest-first\"").rows(&rows).import();
    assert_eq!(source.first(), (vec![140_000, 50_000, 30_000], 0));

    // Told wrongly, the history goes below zero on the way; that is no reason to lend anything afterwards.
    let source = Source::new();
    let report = source.map("balance = \"balance\"", "order = \"oldest-first\"").rows(&rows).import();
    assert_eq!(source.first(), (vec![-90_000, 50_000, 30_000], 0));
    assert_eq!((&report["overdrafts"], &report["overdrafts_meanwhile"]), (&json!([]), &json!(1)));
}

const FIRST_WINDOW: &str =
    "1,1,2024-03-04,100.00,a,100.00\n2,1,2024-03-06,-20.00,b,80.00\n3,1,2024-03-07,-5.00,c,75.00\n";
const SECOND_WINDOW: &str =
    "2,1,2024-03-06,-20.00,b,80.00\n3,1,2024-03-07,-5.00,c,75.00\n4,1,2024-03-08,-1.00,d,74.00\n";

#[test]
fn a_window_that_moved_on_counts_from_what_is_booked() {
    let source = Source::new();
    source.rows(FIRST_WINDOW).import();
    let report = source.rows(SECOND_WINDOW).import();
    assert_eq!(source.first(), (vec![10_000, 8_000, 7_500, 7_400], 0));
    assert_eq!((&report["postings_booked"], &report["overdrafts"]), (&json!(1), &json!([])));
    assert_eq!(report["opening_balances"], json!([]));

    // The window after it has none of the rows before. Where one is missing, the books and the source part.
    let gap = "6,1,2024-03-11,-4.00,f,65.00\n";
    let told = source.rows(gap).refuses();
    assert!(told.contains("postings.csv:2: the source's balance is 65.00"), "{told}");
    assert!(told.contains("make 70.00") && told.contains("--accept-breaks"), "{told}");
    source.rows(&format!("5,1,2024-03-10,-5.00,e,69.00\n{gap}")).import();
    assert_eq!(source.first(), (vec![10_000, 8_000, 7_500, 7_400, 6_900, 6_500], 0));
    verified(source.folder.data());
}

#[test]
fn a_late_row_is_booked_now_where_the_map_allows_it() {
    let source = Source::new();
    source.rows(FIRST_WINDOW).import();
    let late = "5,1,2024-03-05,-9.00,late,\n";
    source.rows(&format!("{late}{SECOND_WINDOW}"));
    let told = source.refuses();
    for part in ["postings.csv:2: is dated 2024-03-05", "up to 2024-03-07", "late = \"book-now\" under [postings]"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    assert_eq!(source.first().0.len(), 3, "nothing was booked");

    source.map("balance = \"balance\"", "balance = \"balance\"\nlate = \"book-now\"");
    let report = source.import();
    assert_eq!(report["late"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!((&report["late"][0]["line"], &report["late"][0]["value_date"]), (&json!(2), &json!("2024-03-05")));
    let seen = source.accounts().remove(&1).expect("account 1");
    assert_eq!(seen.entries[3], (march(8), march(8), 7_400), "in its time, though the late row is dated before it");
    let (booked_on, value_date, balance) = seen.entries[4];
    assert_eq!((value_date, balance, seen.limit), (march(5), 6_500, 0));
    let today =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() / 86_400;
    assert!((i64::from(booked_on) - i64::try_from(today).expect("a day")).abs() <= 1, "{booked_on} is not {today}");

    // Again: nothing is new. And the account's newest entry is now of today, so the next row is late.
    assert_eq!(source.import()["postings_booked"], 0);
    let report = source.rows("7,1,2024-03-12,2.00,g,67.00\n").import();
    assert_eq!((report["late"].as_array().map(Vec::len), source.first().0.len()), (Some(1), 6));
    verified(source.folder.data());
}

#[test]
fn another_accounts_older_rows_are_not_late() {
    let source = Source::new();
    source.rows("1,1,2024-03-07,100.00,a,100.00\n").import();
    // The contra account has an entry of the 7th, and the account of opening balances will have one of the 5th.
    source.rows("2,2,2024-03-05,-20.00,b,80.00\n").import();
    source.write("accounts.csv", "id,opened,customer\n1,2024-01-01,1\n2,2024-01-01,2\n3,2024-01-01,2\n");
    let report = source.rows("3,3,2024-03-04,-20.00,b,30.00\n").import();
    assert_eq!(report["opening_balances"][0]["amount"], "50.00");
    let balances = |number| source.accounts()[&number].entries.iter().map(|entry| entry.2).collect::<Vec<_>>();
    assert_eq!((balances(2), balances(3)), (vec![10_000, 8_000], vec![5_000, 3_000]));
    // Four in all: an account that has younger entries is left, and another of its sort stands beside it.
    assert_eq!(source.of_kind(Kind::Equity), [-5_000, -10_000]);
    let mut before = source.of_kind(Kind::Asset);
    before.sort_unstable();
    assert_eq!(before, [-10_000, 2_000, 2_000]);
    assert_eq!(source.rows("2,2,2024-03-05,-20.00,b,80.00\n").import()["postings_booked"], 0);
    verified(source.folder.data());
}

const FROM_A_BALANCE: &str = "1,1,2024-03-04,-900.00,rent,500.00\n2,1,2024-03-05,-200.00,card,300.00\n";

#[test]
fn a_statement_that_begins_with_a_balance_opens_with_it() {
    let source = Source::new();
    let report = source.rows(FROM_A_BALANCE).import();
    assert_eq!(source.first(), (vec![140_000, 50_000, 30_000], 0));
    let opening = &report["opening_balances"][0];
    assert_eq!((&opening["amount"], &opening["date"]), (&json!("1400.00"), &json!("2024-03-04")));
    assert_eq!(source.of_kind(Kind::Equity), [-140_000]);
    assert_eq!((&report["postings_booked"], &report["agree_exact"]), (&json!(2), &json!(2)));
    assert_eq!(source.import()["opening_balances"], json!([]), "again, nothing");
    assert_eq!(source.first().0.len(), 3);

    // Of its own name; and a rule must not mean the same account.
    let source = Source::new();
    let named = "balance = \"balance\"\nopening_account = \"Before\"";
    let told = source.map("balance = \"balance\"", named).rows(FROM_A_BALANCE).refuses();
    assert!(told.contains("opening_account") && !source.is_founded(), "{told}");
    source.map("balance = \"balance\"", &named.replace("Before", "Brought in"));
    assert!(source.words(&[]).contains("booked against \"Brought in\":\n  AT"));
    verified(source.folder.data());
}

/// Between the rows 2 and 3, 70.00 are missing.
const BROKEN: &str = "1,1,2024-03-04,100.00,a,100.00\n2,1,2024-03-05,-80.00,b,20.00\n3,1,2024-03-06,-30.00,c,60.00\n4,1,2024-03-07,40.00,d,100.00\n";

#[test]
fn a_break_stops_the_import_before_anything_is_booked() {
    let source = Source::new();
    let told = source.rows(BROKEN).refuses();
    assert!(told.contains("because of a mistake:\npostings.csv:4: the source's balance is 60.00"), "{told}");
    assert!(told.contains("make -10.00") && told.contains("--accept-breaks"), "{told}");
    assert!(!source.is_founded());

    // Accepted: the history is booked as it is. It goes below zero on the way, and nothing is lent afterwards.
    let report = source.import_with(&["--accept-breaks"], "");
    assert_eq!(source.first(), (vec![10_000, 2_000, -1_000, 3_000], 0));
    let accepted = &report["accepted_breaks"];
    assert_eq!(accepted.as_array().map(Vec::len), Some(1), "{report}");
    let told = [&accepted[0]["line"], &accepted[0]["expected"], &accepted[0]["source"]];
    assert_eq!(told, [&json!(4), &json!("-10.00"), &json!("60.00")]);
    assert_eq!((&report["overdrafts"], &report["overdrafts_meanwhile"]), (&json!([]), &json!(1)));
    // Known breaks are not told again.
    assert_eq!(source.import()["accepted_breaks"], json!([]));
    // What comes after them is compared as before.
    let told = source.rows(&format!("{BROKEN}5,1,2024-03-08,1.00,e,102.00\n")).refuses();
    assert!(told.contains("postings.csv:6: the source's balance is 102.00") && told.contains("make 101.00"), "{told}");
    source.rows(&format!("{BROKEN}5,1,2024-03-08,1.00,e,101.00\n")).import();
    verified(source.folder.data());
}

#[test]
fn what_history_needs_on_the_way_is_not_there_afterwards() {
    // 150.00 are missing after the first row, and come back.
    let rows = "1,1,2024-03-04,100.00,a,100.00\n2,1,2024-03-05,-250.00,b,0.00\n3,1,2024-03-06,170.00,c,170.00\n";
    let source = Source::new();
    let report = source.rows(rows).import_with(&["--accept-breaks"], "");
    assert_eq!(source.first(), (vec![10_000, -15_000, 2_000], 0));
    assert_eq!((&report["overdrafts_meanwhile"], &report["overdrafts"]), (&json!(1), &json!([])));

    // The source shows 30.00 below zero, and the books end 20.00 above the source: 10.00 are left.
    let rows = "1,1,2024-03-04,-30.00,a,-30.00\n2,1,2024-03-05,100.00,b,50.00\n";
    let source = Source::new();
    let report = source.rows(rows).import_with(&["--accept-breaks"], "");
    assert_eq!(source.first(), (vec![-3_000, 7_000], 1_000));
    assert_eq!(report["overdrafts"][0]["limit"], "10.00");
    assert!(report["overdrafts"][0]["reason"].as_str().is_some_and(|reason| reason.contains("-30.00 on line 2")));
    verified(source.folder.data());
}

#[test]
fn an_operators_limit_is_left_alone() {
    let source = Source::new();
    source.rows("1,1,2024-03-04,-30.00,a,-30.00\n2,1,2024-03-05,100.00,b,70.00\n").import();
    assert_eq!(source.first(), (vec![-3_000, 7_000], 3_000));
    for limit in [0, 20_000] {
        source.sets_limit(limit);
        source.import();
        assert_eq!(source.first().1, limit, "the same rows change nothing");
    }
    source.sets_limit(1_000);
    source.rows("3,1,2024-03-06,-75.00,c,-5.00\n").import();
    assert_eq!(source.first(), (vec![-3_000, 7_000, -500], 1_000));
    source.rows("4,1,2024-03-07,-10.00,d,-15.00\n").import();
    assert_eq!(source.first(), (vec![-3_000, 7_000, -500, -1_500], 1_500), "wider where the source shows it");
}

#[test]
fn an_import_broken_off_with_a_wider_limit_ends_with_the_right_one() {
    let source = Source::new();
    // As after the first rows of a run that was killed: they are booked, and the limit is the one of the meantime.
    let rows = "1,1,2024-03-04,-30.00,a,-30.00\n2,1,2024-03-05,-50.00,b,-20.00\n3,1,2024-03-06,100.00,c,80.00\n";
    source.rows(rows).import_with(&["--accept-breaks"], "");
    assert_eq!(source.first(), (vec![-3_000, -8_000, 2_000], 3_000));
    let engine = source.engine();
    let request = |key: &str| engine.request(bank::UserId::SYSTEM, format!("import window {key}").as_bytes(), b"");
    let account = engine.peek(|state| state.account_numbered(1)).expect("open").expect("account 1");
    for (step, limit) in [("before", 3_000), ("meanwhile", 99_900)] {
        let body = bank::Body::Accounts(AccountCommand::SetOverdraft { account, overdraft: Overdraft::Limited(limit) });
        let request = Some(request(&format!("overdraft {step} 2 accounts:1")));
        let command = bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request, body };
        assert!(matches!(engine.submit_blocking(command), Ok(engine::Outcome::Accepted(_))));
    }
    engine.stop();
    assert_eq!(source.first().1, 99_900);
    source.import();
    assert_eq!(source.first(), (vec![-3_000, -8_000, 2_000], 3_000));
}

#[test]
fn everything_wrong_is_told_before_the_bank_is_founded() {
    let source = Source::new();
    source.rows(&format!("{FROM_A_BALANCE}3,1,2999-01-01,1.00,x,301.00\n4,1,2024-03-06,1.001,x,\n"));
    source.write("accounts.csv", "id,opened,customer\n1,2024-01-01,1\n2,2999-01-01,2\n999999999999,2024-01-01,1\n");
    let users = ["--user", "client:1:anna", "--user", "client:9:carl", "--user", "client:2:Anna"];
    let told = source.fails_with(&users, "annas-password\ncarls-password\nshort\n");
    for part in [
        "because of 7 mistakes",
        "--user client:9:carl: there is no customer \"9\" in customers.csv",
        "--user client:2:Anna: its password is refused",
        "--user client:2:Anna: the name is given to another user as well",
        "accounts.csv:3: the account is opened on 2999-01-01, which has not come yet",
        "accounts.csv:4: \"999999999999\" is not an account number from 1 to 99999999999,",
        "postings.csv:4: the posting is dated 2999-01-01, which has not come yet",
        "postings.csv:5: column \"amount\": \"1.001\" has more than 2 decimals",
    ] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    // What is wrong with the map comes first, since all else would look wrong by it.
    let told = source.map("bank_code = \"19043\"", "bank_code = \"1\"").fails_with(&users[..2], "short\n");
    for part in ["map.toml:13: `bank_code`: country AT with bank code 1 makes no IBAN", "password is refused"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    assert!(!source.is_founded());
    // Other countries' IBANs have less room.
    source.write("accounts.csv", "id,opened,customer\n1,2024-01-01,1\n100000000,2024-01-01,2\n");
    source.map("country = \"AT\"\nbank_code = \"19043\"", "country = \"GB\"\nbank_code = \"NWBK601613\"");
    let told = source.rows(FROM_A_BALANCE).refuses();
    assert!(told.contains("accounts.csv:3: \"100000000\" is not an account number from 1 to 99999999,"), "{told}");
    assert!(!source.is_founded());
}

#[test]
fn what_the_bank_would_refuse_is_told_before_anything_is_booked() {
    let source = Source::new();
    source.rows(FROM_A_BALANCE).import_with(&["--user", "client:1:anna"], "annas-password\n");
    let before = source.first();
    let events = verified(source.folder.data())["postings"].clone();
    // The number is taken, a name is taken, and a row says something else than it did.
    source.write("accounts.csv", "id,opened,customer\n1,2024-01-01,1\n2,2024-01-01,2\n3,2024-01-01,2\n");
    source.map("name = \"window\"", "name = \"other\"");
    let told = source.fails_with(&["--user", "client:2:ANNA"], "annas-password\n");
    for part in [
        "accounts.csv:2: the bank has an account of the number 1 already",
        "accounts.csv:3: the bank has an account of the number 2 already",
        "--user client:2:ANNA: somebody else signs in by this name already",
    ] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    source.map("name = \"window\"", "name = \"window\"");
    source.rows(&FROM_A_BALANCE.replace("-900.00,rent", "-900.00,rants"));
    assert!(source.refuses().contains("postings.csv:2: this row was imported before and said something else"));
    // A closed or frozen account, and one of another currency.
    let engine = source.engine();
    let account = engine.peek(|state| state.account_numbered(1)).expect("open").expect("account 1");
    let body = bank::Body::Accounts(AccountCommand::SetStatus { account, status: ledger::Status::FrozenForDebits });
    engine
        .submit_blocking(bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request: None, body })
        .expect("open");
    engine.stop();
    source.rows("3,1,2024-03-06,5.00,c,305.00\n4,1,2024-03-07,-5.00,c,300.00\n");
    let told = source.refuses();
    assert!(told.contains("because of a mistake:\npostings.csv:3: the account is frozen for debits"), "{told}");
    source.map("currency = \"EUR\"", "currency = \"USD\"").rows("3,1,2024-03-06,5.00,c,305.00\n");
    assert!(source.refuses().contains("postings.csv:2: the account is kept in EUR in the bank, not in USD"));
    assert_eq!(source.first(), before);
    assert_eq!(verified(source.folder.data())["postings"], events);
}

#[test]
fn a_map_of_another_bank_is_refused() {
    let source = Source::new();
    source.rows(FROM_A_BALANCE);
    source.folder.init("CZ", "0800", "EUR");
    let told = source.refuses();
    for part in ["\"Window Bank\" (AT 19043)", "\"Test Bank\" (CZ 0800)", "map.toml", source.folder.data()] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    assert_eq!(source.accounts().len(), 1, "its cash desk");
    // Of the same country, and the same code.
    source.map("country = \"AT\"\nbank_code = \"19043\"", "country = \"CZ\"\nbank_code = \"0100\"");
    assert!(source.refuses().contains("(CZ 0100)"));
    // Without the section the rows are meant for whatever bank is there; and so they are by another name of the same.
    source.map("[bank]\nname = \"Window Bank\"\ncountry = \"AT\"\nbank_code = \"19043\"\n", "").import();
    let source = Source::new();
    source.folder.init("AT", "19043", "EUR");
    source.rows(FROM_A_BALANCE).import();
    assert_eq!(source.first().0.len(), 3);
}

/// All files of a folder with their contents, but for SQLite's list of readers, which is no part of the bank.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            all.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    all
}

#[test]
fn a_dry_run_shows_all_and_writes_nothing() {
    let source = Source::new();
    let shown = source.rows(FROM_A_BALANCE).import_with(&["--dry-run"], "");
    assert!(!source.is_founded());
    assert_eq!(
        (&shown["dry_run"], &shown["postings_booked"], &shown["already_there"]),
        (&json!(true), &json!(2), &json!(0))
    );
    let rows = shown["bookings"].as_array().expect("bookings");
    let told: Vec<_> = rows.iter().map(|row| [&row["line"], &row["amount"], &row["balance"], &row["contra"]]).collect();
    assert_eq!(
        told,
        [
            [&json!(2), &json!("1400.00"), &json!("1400.00"), &json!("Opening balances")],
            [&json!(2), &json!("-900.00"), &json!("500.00"), &json!("Before")],
            [&json!(3), &json!("-200.00"), &json!("300.00"), &json!("Before")],
        ]
    );
    let words = source.words(&["--dry-run"]);
    for part in [
        "Nothing was written",
        "2 postings would be booked",
        "on 2024-03-05: -200.00, then 300.00, against Before card",
    ] {
        assert!(words.contains(part), "{part} is missing in: {words}");
    }

    // What comes to be is what was shown; and in a bank that is there, only what is new.
    let done = source.import();
    for same in ["postings_booked", "opening_balances", "overdrafts", "accepted_breaks", "late", "contra_accounts"] {
        assert_eq!(done[same], shown[same], "{same}");
    }
    let before = contents(&source.folder.data);
    let shown =
        source.rows(&format!("{FROM_A_BALANCE}3,1,2024-03-06,-310.00,x,-10.00\n")).import_with(&["--dry-run"], "");
    assert_eq!(contents(&source.folder.data), before);
    assert_eq!((&shown["postings_booked"], &shown["overdrafts"][0]["limit"]), (&json!(1), &json!("10.00")));
    assert_eq!(shown["bookings"][0]["balance"], "-10.00");
    let users = ["--dry-run", "--user", "client:1:anna"];
    assert_eq!(source.import_with(&users, "annas-password\n")["users"], 1);
    // And what is in the way is told as it would be.
    let told = source.rows("3,1,2024-03-06,-310.00,x,-11.00\n").fails_with(&["--dry-run"], "");
    assert!(told.contains("postings.csv:2: the source's balance is -11.00"), "{told}");
    assert_eq!(contents(&source.folder.data), before);
    let done = source.rows(&format!("{FROM_A_BALANCE}3,1,2024-03-06,-310.00,x,-10.00\n")).import();
    assert_eq!((&done["overdrafts"], source.first().1), (&shown["overdrafts"], 1_000));
}

#[test]
fn a_founding_that_was_broken_off_is_ended() {
    let source = Source::new();
    let master = MasterKey::generate();
    master.write_new_file(&source.folder.key()).expect("a master key");
    Engine::create(&source.folder.data, &master, Arc::new(SystemClock)).expect("a new bank").stop();
    source.rows(FROM_A_BALANCE).import();
    assert_eq!(source.first(), (vec![140_000, 50_000, 30_000], 0));
}

#[test]
fn a_row_that_was_refused_before_can_be_booked_later() {
    let source = Source::new();
    source.rows(FROM_A_BALANCE).import();
    let engine = source.engine();
    let account = engine.peek(|state| state.account_numbered(1)).expect("open").expect("account 1");
    let key = b"import window postings:3";
    let request = Some(engine.request(bank::UserId::SYSTEM, key, b"whatever"));
    let leg = ledger::Leg {
        debit: account,
        credit: account,
        amount: ledger::Money { minor: 1, currency: ledger::Currency::from_code("EUR").expect("euro") },
    };
    let pay = bank::Pay {
        legs: [leg].into(),
        purpose: bank::Purpose::Imported,
        text: None,
        metadata: None,
        value_date: None,
        booked_at: None,
        end_to_end_id: None,
        copies: None,
    };
    let command = bank::Command {
        origin: Origin::default(),
        caller: bank::Caller::SYSTEM,
        request,
        body: bank::Body::Payments(PaymentCommand::Pay(pay)),
    };
    assert!(matches!(engine.submit_blocking(command), Ok(engine::Outcome::Refused { .. })));
    engine.stop();
    for booked in [1, 0] {
        let report = source.rows(&format!("{FROM_A_BALANCE}3,1,2024-03-06,-1.00,c,299.00\n")).import();
        assert_eq!(report["postings_booked"], booked, "once");
    }
    assert_eq!(source.first().0.last(), Some(&29_900));
}

#[test]
fn a_wrong_balance_in_the_source_lends_nothing() {
    // Each with a digit too many in one balance: on the way, and at the beginning.
    let healed = "1,1,2024-03-04,100.00,a,100.00\n2,1,2024-03-05,-80.00,b,-70000.00\n3,1,2024-03-06,-30.00,c,-10.00\n";
    let first = "1,1,2024-03-04,100.00,a,-70000.00\n2,1,2024-03-05,-80.00,b,20.00\n3,1,2024-03-06,-30.00,c,-10.00\n";
    for rows in [healed, first] {
        let source = Source::new();
        let report = source.rows(rows).import_with(&["--accept-breaks"], "");
        assert_eq!(source.first(), (vec![10_000, 2_000, -1_000], 1_000));
        assert_eq!((&report["overdrafts"][0]["limit"], &report["opening_balances"]), (&json!("10.00"), &json!([])));
        assert!(report["overdrafts"][0]["reason"].as_str().is_some_and(|reason| reason.contains("-10.00 on line 4")));
        assert_eq!(report["accepted_breaks"].as_array().map(Vec::len), Some(1), "{report}");
        // It is known then, and what comes after it is compared and lent as ever.
        let report = source.rows(&format!("{rows}4,1,2024-03-07,-5.00,d,-15.00\n")).import();
        assert_eq!((&report["accepted_breaks"], source.first().1), (&json!([]), 1_500));
    }
}

/// The rows of an import that was broken off with a limit of 999.00 in the meantime, where the account had 30.00.
const BROKEN_OFF: &str =
    "1,1,2024-03-04,-30.00,a,-30.00\n2,1,2024-03-05,-50.00,b,-20.00\n3,1,2024-03-06,100.00,c,80.00\n";

#[test]
fn a_limit_set_by_hand_after_an_import_was_broken_off_counts() {
    // It was broken off before the wider limit was set, or after.
    let changes: [&[(&str, u64)]; 2] = [&[("before 2", 3_000)], &[("before 2", 3_000), ("meanwhile 2", 99_900)]];
    for steps in changes {
        let source = Source::new();
        source.rows(BROKEN_OFF).import_with(&["--accept-breaks"], "");
        for (step, limit) in steps {
            assert!(source.takes_step(step, *limit));
        }
        source.sets_limit(4_000);
        // Row 4 goes further below zero than the limit; with row 5 it is made good.
        let more = format!("{BROKEN_OFF}4,1,2024-03-07,-200.00,d,80.00\n5,1,2024-03-08,300.00,e,380.00\n");
        source.rows(&more).import_with(&["--accept-breaks"], "");
        assert_eq!(source.first(), (vec![-3_000, -8_000, 2_000, -18_000, 12_000], 4_000));
        assert_eq!(source.import()["overdrafts"], json!([]));
        assert_eq!(source.first().1, 4_000);
    }
}

#[test]
fn a_step_of_an_overdraft_that_was_refused_is_taken_again() {
    let source = Source::new();
    source.rows("1,1,2024-03-04,-30.00,a,-30.00\n").import();
    assert!(!source.takes_step("after 2", 0), "it is 30.00 below zero");
    source.rows("2,1,2024-03-05,-20.00,b,-50.00\n").import();
    assert_eq!(source.first(), (vec![-3_000, -5_000], 5_000));
    // Nor does an opening balance that was refused stay out for ever.
    let source = Source::new();
    source.rows("1,1,2024-03-04,1.00,a,1.00\n").import();
    source.asks(
        "opening:accounts:2",
        bank::Body::Accounts(AccountCommand::SetOverdraft {
            account: ledger::AccountId(999),
            overdraft: Overdraft::Limited(0),
        }),
    );
    source.rows("2,2,2024-03-04,1.00,a,51.00\n").import();
    assert_eq!(source.accounts()[&2].entries.iter().map(|entry| entry.2).collect::<Vec<_>>(), [5_000, 5_100]);
}

#[test]
fn an_import_broken_off_is_ended_before_other_rows_come() {
    let source = Source::new();
    source.rows(BROKEN_OFF).import_with(&["--accept-breaks"], "");
    assert!(source.takes_step("before 2", 3_000) && source.takes_step("meanwhile 2", 99_900));
    let told = source.rows("9,2,2024-03-06,5.00,c,5.00\n").refuses();
    assert!(told.contains("accounts.csv:2: an earlier import of this account's rows was broken off"), "{told}");
    source.rows(BROKEN_OFF).import();
    assert_eq!(source.first().1, 3_000);
    source.rows("9,2,2024-03-06,5.00,c,5.00\n").import();
}

#[test]
fn only_rows_of_the_import_that_was_broken_off_count_for_its_limit() {
    // The operator took the limit of the first import away. The next one was broken off after row 4.
    let source = Source::new();
    let first = "1,1,2024-03-04,-30.00,a,-30.00\n2,1,2024-03-05,130.00,b,100.00\n";
    source.rows(first).import();
    source.sets_limit(0);
    assert!(source.takes_step("before 2", 0) && source.takes_step("meanwhile 2", 40_000));
    let second = "3,1,2024-03-06,-110.00,c,-10.00\n";
    source.rows(&format!("{first}{second}")).import();
    assert_eq!(source.first(), (vec![-3_000, 10_000, -1_000], 1_000));
    // The balance with which an account began in such a run is one of them.
    let source = Source::new();
    let rows = "1,1,2024-03-04,100.00,a,-200.00\n2,1,2024-03-05,300.00,b,100.00\n";
    source.rows("").import();
    assert!(source.takes_step("before 1", 0) && source.takes_step("meanwhile 1", 90_000));
    source.opens_with(-30_000);
    source.rows(rows).import();
    assert_eq!(source.first(), (vec![-30_000, -20_000, 10_000], 30_000));
}

#[test]
fn an_account_of_the_banks_own_keeps_its_endless_overdraft() {
    let source = Source::new();
    source.rows("1,1,2024-03-04,10.00,a,10.00\n").import();
    let engine = source.engine();
    let account = engine.peek(|state| state.account_numbered(1)).expect("open").expect("account 1");
    let revoke = bank::Body::Access(AccessCommand::Revoke { customer: bank::CustomerId(1), account });
    let endless = bank::Body::Accounts(AccountCommand::SetOverdraft { account, overdraft: Overdraft::Unlimited });
    for body in [revoke, endless] {
        let command = bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request: None, body };
        assert!(matches!(engine.submit_blocking(command), Ok(engine::Outcome::Accepted(_))));
    }
    engine.stop();
    source.rows("2,1,2024-03-05,-40.00,b,-30.00\n").import();
    assert_eq!(source.first(), (vec![1_000, -3_000], u64::MAX));
    // A customer gets no right on it, which is told before anything is booked.
    source.write("rights.csv", "id,customer,account\n1,1,1\n2,2,2\n3,2,1\n");
    source.map(
        "file = \"accounts.csv\"\nkey = \"id\"\ncustomer = \"customer\"\naccount = \"id\"",
        "file = \"rights.csv\"\nkey = \"id\"\ncustomer = \"customer\"\naccount = \"account\"",
    );
    let told = source.rows("3,1,2024-03-06,1.00,c,-29.00\n").refuses();
    assert!(told.contains("because of a mistake:\nrights.csv:4: the account has no overdraft limit"), "{told}");
    assert_eq!(source.first().0.len(), 2);
}

#[test]
fn a_withdrawn_currency_comes_in_late_as_well() {
    let source = Source::new();
    let kuna = |opened: &str| {
        source.map("currency = \"EUR\"", "currency = \"HRK\"");
        let text = fs::read_to_string(source.files.join("map.toml")).expect("the map");
        let late = text.replace("balance = \"balance\"", "balance = \"balance\"\nlate = \"book-now\"");
        source.write("map.toml", &late.replace("account = \"Before\"", opened));
    };
    kuna("account = \"Before\"");
    source.rows("1,1,2024-03-04,10.00,a,10.00\n").import();
    // Only late rows go against another account, which is opened for them.
    kuna("account = \"Beside\"");
    let report = source.rows("2,1,2024-03-02,5.00,b,15.00\n").import();
    assert_eq!((report["late"].as_array().map(Vec::len), source.first().0), (Some(1), vec![1_000, 1_500]));
}

#[test]
fn a_hold_on_an_account_without_entries_is_left_room() {
    let source = Source::new();
    source.rows("1,2,2024-03-04,10.00,a,10.00\n").import();
    source.sets_limit(10_000);
    let engine = source.engine();
    let account = |number| engine.peek(|state| state.account_numbered(number)).expect("open").expect("the account");
    let amount = ledger::Money { minor: 5_000, currency: ledger::Currency::from_code("EUR").expect("euro") };
    let leg = ledger::Leg { debit: account(1), credit: account(2), amount };
    let expires_at = engine::Clock::wall_ms(&SystemClock) + 3_600_000;
    let hold = bank::Body::Holds(HoldCommand::PlaceHold {
        leg,
        expires_at: ledger::Timestamp(expires_at),
        text: None,
        metadata: None,
    });
    let command = bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request: None, body: hold };
    assert!(matches!(engine.submit_blocking(command), Ok(engine::Outcome::Accepted(_))));
    engine.stop();
    source.rows("2,1,2024-03-04,-60.00,b,-60.00\n").import();
    assert_eq!(source.first(), (vec![-6_000], 11_000));
}

#[test]
fn a_contra_account_that_got_a_limit_is_left_as_it_is() {
    let source = Source::new();
    source.rows("1,1,2024-03-04,-40.00,a,60.00\n").import();
    let engine = source.engine();
    let is_before = |account: &ledger::Account| account.kind == Kind::Asset && account.posted_minor == 4_000;
    let before = engine.peek(|state| state.ledger().accounts().find(|(_, account)| is_before(account)).map(|it| it.0));
    let account = before.expect("open").expect("the contra account");
    let body = bank::Body::Accounts(AccountCommand::SetOverdraft { account, overdraft: Overdraft::Limited(0) });
    let command = bank::Command { origin: Origin::default(), caller: bank::Caller::SYSTEM, request: None, body };
    assert!(matches!(engine.submit_blocking(command), Ok(engine::Outcome::Accepted(_))));
    engine.stop();
    // Where nothing is to be booked none is needed.
    source.import();
    assert_eq!(source.of_kind(Kind::Asset), [4_000]);
    source.rows("2,1,2024-03-05,50.00,b,110.00\n").import();
    assert_eq!(source.first(), (vec![10_000, 6_000, 11_000], 0));
    let mut before = source.of_kind(Kind::Asset);
    before.sort_unstable();
    assert_eq!(before, [-5_000, 4_000]);
}

/// Without balances: what the account began with is in the accounts' table, if anywhere.
fn without_balances(began: &str) -> Source {
    let source = Source::new();
    let map = MAP.replace("balance = \"balance\"\n", "");
    source.write("map.toml", &map.replace("opened = \"opened\"", "opened = \"opened\"\nopening_balance = \"began\""));
    source.begins_with(began);
    source
}

impl Source {
    fn begins_with(&self, began: &str) {
        self.write("accounts.csv", &format!("id,opened,customer,began\n1,2024-01-01,1,{began}\n2,2024-01-01,2,\n"));
    }
}

const OVERDRAWN: &str = "1,1,2024-03-04,-4000.00,a,\n2,1,2024-03-05,-580.70,b,\n";
const PAID_BACK: &str = "3,1,2024-04-01,6000.00,c,\n";

#[test]
fn an_account_that_ends_below_zero_without_a_reason_is_refused() {
    let source = without_balances("");
    let told = source.rows(OVERDRAWN).refuses();
    for part in [
        "because of a mistake:\naccounts.csv:2: the account \"1\" would end 4580.70 EUR below zero",
        "opening_balance = \"…\"",
        "\"0.00\" if it truly began with nothing",
    ] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    assert!(!source.is_founded());
    // Together with the rows that pay it back there is no reason for a limit.
    source.rows(&format!("{OVERDRAWN}{PAID_BACK}")).import();
    assert_eq!(source.first(), (vec![-400_000, -458_070, 141_930], 0));
    // Nor is it lent later.
    let told = source.rows("4,1,2024-04-02,-2000.00,d,\n").refuses();
    assert!(told.contains("would end 580.70 EUR below zero, and nothing tells that it was overdrawn"), "{told}");
    // What it began with would have had to be booked at first.
    source.begins_with("1000.00");
    let told = source.refuses();
    assert!(
        told.contains("accounts.csv:2: `opening_balance` is 1000.00, but in the bank the account began with nothing")
    );
    // An operator's limit counts.
    source.begins_with("");
    source.sets_limit(60_000);
    source.import();
    assert_eq!(source.first().1, 60_000);
    verified(source.folder.data());
}

#[test]
fn what_is_owed_is_no_longer_lent_once_it_is_paid_back() {
    let source = without_balances("0.00");
    let report = source.rows(OVERDRAWN).import();
    assert_eq!(source.first(), (vec![-400_000, -458_070], 458_070));
    let reason = report["overdrafts"][0]["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("it ends 4580.70 below zero") && reason.contains("PUT /v1/accounts/AT"), "{reason}");
    assert_eq!(source.import()["overdrafts"], json!([]), "again, nothing");
    // Further, and back in part.
    source.rows("5,1,2024-03-10,-19.30,e,\n").import();
    assert_eq!(source.first().1, 460_000);
    let report = source.rows("6,1,2024-03-11,100.00,e,\n").import();
    assert_eq!((source.first().1, &report["overdrafts"][0]["limit"]), (450_000, &json!("4500.00")));
    let shown = source.rows(PAID_BACK).import_with(&["--dry-run"], "");
    let report = source.import();
    assert_eq!((source.first().0.last().copied(), source.first().1), (Some(150_000), 0));
    assert_eq!((&report["overdrafts"], &report["overdrafts"][0]["limit"]), (&shown["overdrafts"], &json!("0.00")));
    assert!(report["overdrafts"][0]["reason"].as_str().is_some_and(|reason| reason.contains("ends higher now")));
    // What an operator set beside is left, also under what is owed beyond it.
    source.sets_limit(20_000);
    source.rows("7,1,2024-04-02,-2000.00,f,\n").import();
    assert_eq!(source.first().1, 50_000);
    source.rows("8,1,2024-04-03,600.00,g,\n").import();
    assert_eq!(source.first().1, 20_000);
    verified(source.folder.data());
}

#[test]
fn an_import_broken_off_keeps_what_was_owed_apart_from_what_lasts() {
    let source = without_balances("0.00");
    source.rows(OVERDRAWN).import();
    // As if killed when the next one had its room: the account was 4580.70 below zero, and that had been lent.
    assert!(source.takes_step("before 2", 458_070) && source.takes_step("meanwhile 2", 458_070));
    source.rows(&format!("{OVERDRAWN}{PAID_BACK}")).import();
    assert_eq!(source.first(), (vec![-400_000, -458_070, 141_930], 0));
    assert_eq!(source.import()["overdrafts"], json!([]));
}

#[test]
fn the_map_tells_what_an_account_began_with() {
    let source = without_balances("5000.00");
    let report = source.rows(OVERDRAWN).import();
    assert_eq!(source.first(), (vec![500_000, 100_000, 41_930], 0));
    assert_eq!((&report["opening_balances"][0]["amount"], &report["overdrafts"]), (&json!("5000.00"), &json!([])));
    assert_eq!(source.of_kind(Kind::Equity), [-500_000]);
    assert_eq!(source.rows(PAID_BACK).import()["opening_balances"], json!([]), "once");
    source.begins_with("5000.01");
    let told = source.refuses();
    assert!(told.contains("is 5000.01, but in the bank the account began with 5000.00"), "{told}");
    // What it began with below zero was paid back, and only the map says that it was lent.
    let source = without_balances("-100.00");
    source.rows("1,1,2024-03-04,300.00,a,\n").import();
    assert_eq!(source.first(), (vec![-10_000, 20_000], 0));
    source.begins_with("1.000");
    assert!(source.refuses().contains("accounts.csv:2: column \"began\": \"1.000\" has more than 2 decimals"));
}

#[test]
fn what_the_sources_balances_contradict_is_never_lent() {
    let rows = "1,1,2024-03-04,-247.64,a,100.00\n2,1,2024-03-05,-400.00,b,100.00\n3,1,2024-03-06,-100.00,c,100.00\n";
    let source = Source::new();
    let told = source.rows(rows).fails_with(&["--accept-breaks"], "");
    for part in [
        "accounts.csv:2: the account \"1\" would end 400.00 EUR below zero",
        "by the source's own balances it ends with 100.00",
        "`opening_balance`",
    ] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    assert!(!source.is_founded());
    // Below zero by both, but further by the rows.
    let rows = "1,1,2024-03-04,100.00,a,100.00\n2,1,2024-03-05,-150.00,b,-10.00\n";
    let told = source.rows(rows).fails_with(&["--accept-breaks"], "");
    assert!(told.contains("would end 50.00 EUR below zero") && told.contains("ends with -10.00"), "{told}");
    // A source that rounds is off by up to 1.00: what the account owes, and nothing that could be spent.
    let rows = "1,1,2024-03-04,100.00,a,100.00\n2,1,2024-03-05,-101.00,b,0.00\n";
    let report = source.rows(rows).import_with(&["--accept-breaks"], "");
    assert_eq!((source.first(), &report["overdrafts"][0]["limit"]), ((vec![10_000, -100], 100), &json!("1.00")));
    source.rows(&format!("{rows}3,1,2024-03-06,5.00,c,5.00\n")).import();
    assert_eq!(source.first(), (vec![10_000, -100, 400], 0));
    let beyond = Source::new();
    let told = beyond.rows(&rows.replace("-101.00", "-101.01")).fails_with(&["--accept-breaks"], "");
    assert!(told.contains("would end 1.01 EUR below zero") && told.contains("ends with 0.00"), "{told}");
    verified(source.folder.data());
}

#[test]
fn the_contra_account_that_is_shown_is_the_one_that_is_used() {
    let source = Source::new();
    let first = source.rows(FROM_A_BALANCE).import();
    let shown = source.rows("3,1,2024-03-06,5.00,c,305.00\n").import_with(&["--dry-run"], "");
    assert_eq!(shown["bookings"][0]["contra"], "Before");
    // Older rows of another account go against one beside it.
    let shown = source.rows("4,2,2024-03-01,5.00,c,5.00\n").import_with(&["--dry-run"], "");
    assert_eq!(shown["bookings"][0]["contra"], "Before (2)");
    let report = source.import();
    assert_eq!((&first["contra_accounts"], &report["contra_accounts"]), (&json!(1), &json!(1)));
    // Of two that are there, the one that has no younger entries.
    let shown = source.rows("5,2,2024-03-02,5.00,c,10.00\n").import_with(&["--dry-run"], "");
    assert_eq!(shown["bookings"][0]["contra"], "Before (2)");
}

#[test]
fn a_file_that_is_missing_is_named_as_it_was_looked_for() {
    let source = Source::new();
    let nowhere = source.files.join("nowhere");
    let map = source.files.join("map.toml");
    let [map, nowhere] = [&map, &nowhere].map(|path| path.to_str().expect("a plain path"));
    let told = fails(&["import", "--data", source.folder.data(), "--map", map, nowhere], "");
    assert!(told.contains(&format!("postings.csv: cannot be read: {nowhere}/postings.csv: No such file")), "{told}");
}

#[test]
fn nobody_gets_a_user_of_an_erased_customer() {
    let source = Source::new();
    source.rows(FROM_A_BALANCE).import();
    let engine = source.engine();
    let anna = engine.peek(|state| state.customer(bank::CustomerId(1)).map(|known| known.name.subject));
    let anna = anna.expect("open").expect("Anna");
    engine.stop();
    let master = MasterKey::read_file(&source.folder.key()).expect("the master key");
    let mut journal = journal::Journal::open(&source.folder.data, &master, false).expect("opens");
    assert!(journal.destroy_subject_keys(anna.0, None).expect("written"));
    journal.close().expect("closed");
    source.rows("3,1,2024-03-06,5.00,c,305.00\n");
    let users = ["--user", "client:1:anna", "--user", "client:2:ben"];
    let told = source.fails_with(&users, "annas-password\nbens-password\n");
    assert!(told.contains("because of a mistake:\n--user client:1:anna: the customer was erased"), "{told}");
    assert_eq!(source.first().0.len(), 3, "nothing was booked");
    source.import_with(&users[2..], "bens-password\n");
}

#[test]
fn a_source_without_balances_is_compared_with_nothing() {
    let source = without_balances("5000.00");
    assert!(source.rows(OVERDRAWN).words(&[]).contains("The source gives no balances to compare with."));
}

#[test]
fn files_in_currencies_of_the_past_are_read() {
    // Each with the decimals that it had.
    for (code, amount, minor) in
        [("LTL", "10.50", 1_050), ("RUR", "10.50", 1_050), ("DEM", "10.50", 1_050), ("ITL", "10.00", 10)]
    {
        let source = Source::new();
        source.map("currency = \"EUR\"", &format!("currency = \"{code}\""));
        let rows = format!("1,1,2024-03-04,{amount},a,{amount}\n");
        source.rows(&rows).import();
        assert_eq!(source.first(), (vec![minor], 0), "{code}");
        assert_eq!(source.import()["postings_booked"], 0);
        verified(source.folder.data());
    }
}
