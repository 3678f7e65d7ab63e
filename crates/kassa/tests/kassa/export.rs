//! `kassa export`: what other programs read is what the ledger holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Command as Order, CustomerId, HoldCommand,
    Numbering, OpenAccount, Origin, Pay, PaymentCommand, Purpose, Right, Role, Sealed, SystemCommand, UserId, What,
};
use engine::{Engine, Field, NewSubject, Options, Outcome, Receipt, Submission, SystemClock};
use journal::MasterKey;
use ledger::{AccountId, Currency, HoldId, Kind, Leg, Money, Overdraft, PostingId, Status, Timestamp, ValueDate};

use super::*;

/// A bank made through the engine, which allows what no interface offers yet.
struct Made {
    folder: Folder,
    engine: Engine,
}

impl Made {
    fn new() -> Self {
        let folder = Folder::new();
        let master = MasterKey::generate();
        master.write_new_file(&folder.key()).expect("a master key");
        let engine = Engine::create(&folder.data, &master, Arc::new(SystemClock)).expect("a new bank");
        let numbering = Numbering::new("AT", "99999").expect("a numbering");
        let made = Self { folder, engine };
        made.does(Body::System(SystemCommand::Found {
            name: "Bank; of\ntests".into(),
            numbering,
            time_zone: Some(ZONE.to_owned()),
        }));
        made
    }

    fn submit(&self, body: Body, subject: Option<NewSubject>, past: Option<PostingId>) -> Outcome {
        let past = past.map(|of| self.engine.past_posting(of).expect("readable").map(Box::new).expect("a posting"));
        let request = Some(self.engine.request(UserId::SYSTEM, format!("{body:?}").as_bytes(), b""));
        let command = Order { caller: Caller::SYSTEM, origin: Origin::default(), request, body };
        self.engine.submit_blocking(Submission { command, subject, past, rivals: None }).expect("the bank is open")
    }

    fn accepted(&self, body: Body, subject: Option<NewSubject>, past: Option<PostingId>) -> Receipt {
        match self.submit(body, subject, past) {
            Outcome::Accepted(receipt) => receipt,
            other => panic!("expected to be accepted: {other:?}"),
        }
    }

    fn does(&self, body: Body) -> Receipt {
        self.accepted(body, None, None)
    }

    fn account(&self, kind: Kind, currency: &str, name: Option<Sealed>, owner: Option<CustomerId>) -> AccountId {
        let (cash, overdraft) = match kind {
            Kind::Asset => (true, Overdraft::Unlimited),
            _ => (false, Overdraft::Limited(u64::MAX)),
        };
        let currency = money(currency, 0).currency;
        let open = OpenAccount { number: None, currency, kind, overdraft, name, owner, cash, opened_at: None };
        let What::Accounts(AccountEvent::AccountOpened { id, .. }) =
            self.does(Body::Accounts(AccountCommand::OpenAccount(open))).what
        else {
            panic!("an account")
        };
        id
    }

    fn customer(&self, name: &str) -> (CustomerId, bank::SubjectId) {
        let subject = NewSubject::generate();
        let (name, id) = (subject.seal(Field::CustomerName, name), subject.id());
        let What::Access(AccessEvent::CustomerAdded { id: customer, .. }) =
            self.accepted(Body::Access(AccessCommand::AddCustomer { name }), Some(subject), None).what
        else {
            panic!("a customer")
        };
        (customer, id)
    }

    fn seal(&self, subject: bank::SubjectId, field: Field, text: &str) -> Option<Sealed> {
        self.engine.seal(subject, field, text).expect("the bank is open")
    }

    fn pay(&self, legs: &[Leg], text: Option<Sealed>, value_date: Option<ValueDate>) -> PostingId {
        self.pays(Pay { text, value_date, ..Pay::of(legs.into()) })
    }

    fn pays(&self, pay: Pay) -> PostingId {
        PostingId::new(self.does(Body::Payments(PaymentCommand::Pay(pay))).event).expect("a posting")
    }

    /// Ends the bank in order and gives its folder.
    fn stopped(self) -> Folder {
        self.engine.stop();
        self.folder
    }
}

fn money(currency: &str, minor: i64) -> Money {
    Money { minor, currency: Currency::from_code(currency).expect("a currency") }
}

fn leg(debit: AccountId, credit: AccountId, amount: Money) -> Leg {
    Leg { debit, credit, amount }
}

/// Texts that say something to one of the programs, or nearly do.
/// A zone in which the day is another than UTC's from ten o'clock on.
const ZONE: &str = "Pacific/Kiritimati";

const TRAPS: [&str; 6] = [
    "=HYPERLINK(\"http://x\")",
    "; not a comment\n2020-01-01 a\n  b  1 EUR",
    "a | b, date:1999-99-99",
    "-2+3",
    "\t@SUM(A1)",
    "Nájem \"ž\" 家賃",
];

/// Every kind of event, three currencies, postings of several legs, refunds, reversals, captures, and one customer who
/// has been erased.
fn varied() -> Folder {
    let bank = Made::new();
    let (from, time_zone) = (ValueDate(100_000), "Europe/Vienna".to_owned());
    bank.does(Body::System(SystemCommand::SetTimeZone { from, time_zone }));
    let (anna, anna_subject) = bank.customer("Anna type:X; Adler");
    let (ben, ben_subject) = bank.customer("Ben Erased");
    for (currency, many) in [("EUR", 123_456), ("JPY", 1_000_000), ("KWD", 9_999)] {
        bank.account(Kind::Asset, currency, None, None);
        let name = bank.seal(anna_subject, Field::AccountName, "type:A, date:x | Anna's; money");
        let annas = bank.account(Kind::Liability, currency, name, Some(anna));
        let name = bank.seal(ben_subject, Field::AccountName, "Ben's money");
        let bens = bank.account(Kind::Liability, currency, name, Some(ben));
        let fees = bank.account(Kind::Income, currency, None, None);
        let costs = bank.account(Kind::Expense, currency, None, None);
        let of = |minor| money(currency, minor);
        bank.does(Body::Payments(PaymentCommand::Deposit { account: annas, amount: of(many), text: None }));
        for (place, trap) in TRAPS.into_iter().enumerate() {
            let text = bank.seal(anna_subject, Field::Text, trap);
            let minor = i64::try_from(place).expect("few") + 1;
            let end_to_end_id = bank.seal(anna_subject, Field::EndToEndId, trap).map(Box::new);
            let legs = [leg(annas, bens, of(minor))].into();
            bank.pays(Pay { text, end_to_end_id, value_date: Some(ValueDate(18_000)), ..Pay::of(legs) });
        }
        let legs = [
            leg(annas, bens, of(1_000)),
            leg(annas, fees, of(7)),
            leg(bens, fees, of(3)),
            leg(costs, annas, of(1)),
            leg(fees, annas, of(20)),
        ];
        let split = bank.pay(&legs, None, None);
        let text = bank.seal(ben_subject, Field::Text, "Sorry").map(Into::into);
        bank.accepted(
            Body::Payments(PaymentCommand::Refund { of: split, leg: 0, amount: of(400), text }),
            None,
            Some(split),
        );
        let wrong = bank.pay(&[leg(annas, bens, of(77)), leg(annas, costs, of(5))], None, None);
        bank.accepted(Body::Payments(PaymentCommand::Reverse { of: wrong, text: None }), None, Some(wrong));
        let hold = |minor: i64| {
            let expires_at = Timestamp(bank.engine.now().0 + 3_600_000);
            let body = Body::Holds(HoldCommand::PlaceHold {
                leg: leg(annas, bens, of(minor)),
                expires_at,
                text: bank.seal(anna_subject, Field::Text, "Held for a car").map(Into::into),
                metadata: None,
            });
            HoldId::new(bank.does(body).event).expect("a hold")
        };
        bank.does(Body::Holds(HoldCommand::Capture { hold: hold(500), amount: of(123), last: true }));
        bank.does(Body::Holds(HoldCommand::Void { hold: hold(501) }));
        bank.does(Body::Access(AccessCommand::Grant {
            customer: ben,
            account: annas,
            right: Right::Signatory { limit_minor: Some(50) },
        }));
        bank.does(Body::Access(AccessCommand::Revoke { customer: ben, account: annas }));
        bank.does(Body::Accounts(AccountCommand::SetOverdraft { account: bens, overdraft: Overdraft::Limited(1_500) }));
        bank.does(Body::Accounts(AccountCommand::SetStatus { account: bens, status: Status::FrozenForDebits }));
        let refused = bank.submit(
            Body::Payments(PaymentCommand::Pay(Pay {
                legs: [leg(bens, annas, of(1))].into_iter().collect(),
                purpose: Purpose::Payment,
                text: None,
                metadata: None,
                value_date: None,
                booked_at: None,
                end_to_end_id: None,
                copies: None,
            })),
            None,
            None,
        );
        assert!(matches!(refused, Outcome::Refused { .. }), "{refused:?}");
    }
    let (name, password) = ("anna-signs-in", "hash-of-a-password");
    let What::Access(AccessEvent::UserAdded { id: user, .. }) = bank
        .does(Body::Access(AccessCommand::AddUser {
            name_index: bank.engine.name_index(name),
            name: bank.seal(anna_subject, Field::UserName, name).expect("a key"),
            password: bank.seal(anna_subject, Field::Password, password).expect("a key"),
            role: Role::Customer,
            customer: Some(anna),
        }))
        .what
    else {
        panic!("a user")
    };
    let hash = bank.seal(anna_subject, Field::Password, "hash-of-another-password").expect("a key");
    let token = bank.engine.token_hash("token");
    let expires_at = Timestamp(bank.engine.now().0 + 3_600_000);
    let own = Caller { user, session: Some(token) };
    let by = |caller, body| {
        let command = Order { caller, origin: Origin::default(), request: None, body };
        bank.engine.submit_blocking(command).expect("the bank is open")
    };
    for (caller, body) in [
        (Caller::SYSTEM, Body::Access(AccessCommand::SignInFailed { user })),
        (Caller::SYSTEM, Body::Access(AccessCommand::SignIn { user, token, expires_at, from: None })),
        (own, Body::Access(AccessCommand::SignOut { token })),
        (Caller::SYSTEM, Body::Access(AccessCommand::SetPassword { user, password: hash })),
    ] {
        let outcome = by(caller, body);
        assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
    }
    let folder = bank.stopped();
    super::erasure::erase(&folder, (ben_subject, None));
    folder
}

fn master_of(folder: &Folder) -> MasterKey {
    MasterKey::read_file(&folder.key()).expect("the master key")
}

/// An account as the ledger has it after recovery, which the export doesn't go through.
struct Booked {
    iban: String,
    kind: Kind,
    /// Credits positive, as on a statement.
    credit: Money,
    /// Debits positive, as hledger counts.
    debit: Money,
    entries: u64,
}

fn accounts_of(folder: &Folder) -> Vec<Booked> {
    let engine = Engine::open(&folder.data, &master_of(folder), Options::default(), Arc::new(SystemClock), &mut |_| {})
        .expect("opens");
    let accounts = engine
        .peek(|state| {
            let accounts = state.ledger().accounts().map(|(id, account)| Booked {
                iban: state.iban(id).expect("an IBAN"),
                kind: account.kind,
                credit: account.money(account.posted_minor),
                debit: account.money(-account.posted_minor),
                entries: account.entries,
            });
            accounts.collect()
        })
        .expect("the bank is open");
    engine.stop();
    accounts
}

fn export(folder: &Folder, format: &str, more: &[&str]) -> String {
    succeeds(&[&["export", "--data", folder.data(), "--format", format], more].concat(), "")
}

fn hledger(journal: &str, arguments: &[&str]) -> String {
    let mut hledger = Command::new("hledger");
    hledger.args(["-f", "-"]).args(arguments).env("LC_ALL", "C.UTF-8");
    hledger.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run(&mut hledger, journal);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "hledger {arguments:?}, which ./check installs: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// hledger takes the journal in its strictest mode, and finds the balances of the ledger.
fn hledger_agrees(journal: &str, accounts: &[Booked]) {
    hledger(journal, &["check", "--strict"]);
    let told = hledger(journal, &["balance", "--empty", "--flat", "--no-total", "-O", "csv"]);
    let mut found: BTreeMap<String, String> = csv::Reader::from_reader(told.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {told}"));
    for Booked { iban, kind, debit, .. } in accounts {
        let side = match kind {
            Kind::Asset => "assets",
            Kind::Liability => "liabilities",
            Kind::Equity => "equity",
            Kind::Income => "income",
            Kind::Expense => "expenses",
        };
        let balance = found.remove(&format!("{side}:{iban}")).unwrap_or_else(|| "0".into());
        let expected = if debit.minor == 0 { "0".to_owned() } else { format!("{debit} {}", debit.currency) };
        assert_eq!(balance, expected, "{side}:{iban}");
    }
    assert!(found.is_empty(), "accounts of nobody: {found:?}");
}

/// The lines of a CSV export by their columns. They tell each account from zero to its balance.
fn csv_agrees(text: &str, accounts: &[Booked]) -> Vec<BTreeMap<String, String>> {
    let lines: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(text.as_bytes()).into_deserialize().collect::<Result<_, _>>().expect("CSV");
    let mut reached: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for line in &lines {
        let currency = Currency::from_code(&line["currency"]).expect("a currency");
        let minor = |column: &str| Money::parse(&line[column], currency).expect("an amount").minor;
        let (number, balance) = reached.entry(line["account"].clone()).or_default();
        *number += 1;
        *balance += minor("amount");
        assert_eq!((line["number"].clone(), minor("balance")), (number.to_string(), *balance), "{line:?}");
    }
    for Booked { iban, credit, entries, .. } in accounts {
        let expected = (*entries, credit.minor);
        assert_eq!(reached.remove(iban).unwrap_or_default(), expected, "{iban}");
    }
    assert!(reached.is_empty(), "accounts of nobody: {reached:?}");
    lines
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_demo_bank_beside_its_running_server() {
    let folder = Folder::new();
    let server = Server::start("demo", &folder.data, "/v1/payments");
    let alice = server.sign_in("alice", "alice-demo-password");
    let accounts = server.get("/v1/accounts", &alice);
    let from = accounts["accounts"][0]["iban"].as_str().expect("an IBAN").to_owned();
    let to = accounts["accounts"][1]["iban"].as_str().expect("an IBAN").to_owned();
    let payment = json!({ "from": from, "to": to, "amount": "25.00", "currency": "EUR", "text": "For later" });
    let (status, paid) = server.ask("POST", "/v1/payments", Some(&alice), Some(&payment));
    assert_eq!(status, 201, "{paid}");

    let journal = export(&folder, "hledger", &["--personal"]);
    let events = objects(&export(&folder, "jsonl", &["--personal"]));
    let lines = export(&folder, "csv", &[]);
    assert!(server.interrupt(), "the server went on undisturbed");

    let accounts = accounts_of(&folder);
    hledger_agrees(&journal, &accounts);
    assert!(journal.contains(") payment: For later\n") && journal.contains("    ; Alice's savings\n"), "{journal}");
    assert_eq!(csv_agrees(&lines, &accounts).len(), 2 * 4);
    // What the interface told of the payment, the event tells in the same words.
    let last = events.last().expect("events");
    for field in ["booked_at", "value_date", "purpose", "text"] {
        assert_eq!(last[field], paid[field], "{field}");
    }
    for field in ["from", "to", "amount", "currency"] {
        assert_eq!(last["legs"][0][field], paid[field], "{field}");
    }
    assert_eq!(events.len() as u64, last["event"].as_u64().expect("a number"), "every event up to the head");
}

#[test]
fn three_currencies_and_every_kind_of_posting() {
    let folder = varied();
    let accounts = accounts_of(&folder);
    assert_eq!(accounts.iter().filter(|account| account.credit.minor != 0).count(), 15, "each has a balance");

    for personal in [&[][..], &["--personal"]] {
        let journal = export(&folder, "hledger", personal);
        hledger_agrees(&journal, &accounts);
        for line in ["commodity 1000. JPY", "commodity 1000.00 EUR", "commodity 1000.000 KWD", "=2019-04-14 ("] {
            assert!(journal.contains(line), "{line} in {journal}");
        }
        let types = hledger(&journal, &["tags", "type", "--values"]);
        assert_eq!(types.split_whitespace().collect::<Vec<_>>(), ["C", "L", "R", "X"]);
        for cause in ["refund-of", "reversal-of", "capture-of"] {
            assert_eq!(hledger(&journal, &["print", &format!("tag:{cause}")]).matches(cause).count(), 3, "{cause}");
        }
        let words = ["Anna's, money", "Anna's; money", "Nájem", "家賃", "(not a comment"];
        let ids = hledger(&journal, &["tags", "end-to-end-id", "--values"]);
        let expected = if personal.is_empty() { 0 } else { TRAPS.len() };
        assert_eq!(ids.lines().filter(|id| !id.is_empty()).count(), expected, "{ids}");
        assert_eq!(hledger(&journal, &["tags", "hold-state", "--values"]).trim(), "captured");
        assert_eq!(journal.contains(") capture: Held for a car"), !personal.is_empty(), "what was said with the hold");
        let told = words.iter().filter(|word| journal.contains(**word)).count();
        assert_eq!(told, if personal.is_empty() { 0 } else { 3 }, "{journal}");
    }

    let bare = csv_agrees(&export(&folder, "csv", &[]), &accounts);
    assert!(!bare[0].contains_key("text") && !bare[0].contains_key("end_to_end_id"), "{:?}", bare[0]);
    let lines = csv_agrees(&export(&folder, "csv", &["--personal"]), &accounts);
    let texts: BTreeSet<&str> = lines.iter().map(|line| line["text"].trim_start_matches('\'')).collect();
    assert!(TRAPS.iter().all(|trap| texts.contains(trap)), "{texts:?}");
    let ids: BTreeSet<&str> = lines.iter().map(|line| line["end_to_end_id"].trim_start_matches('\'')).collect();
    assert!(TRAPS.iter().all(|trap| ids.contains(trap)), "{ids:?}");
    for line in &lines {
        for (column, cell) in line {
            let amount = ["amount", "balance"].contains(&column.as_str());
            assert!(amount || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{column}: {cell}");
        }
    }
    for line in &lines {
        let is_capture = line["cause"].starts_with("capture-of");
        assert_eq!((line["hold_state"] == "captured", line["text"] == "Held for a car"), (is_capture, is_capture));
    }
    let causes = lines.iter().filter(|line| !line["cause"].is_empty()).map(|line| line["cause"].split(' ').next());
    assert_eq!(causes.flatten().collect::<BTreeSet<_>>(), ["capture-of", "refund-of", "reversal-of"].into());
    assert!(
        fs::read_dir(&folder.data)
            .expect("the folder")
            .all(|file| { !file.expect("a file").file_name().to_string_lossy().ends_with(".part") })
    );
}

#[test]
fn hledger_has_the_banks_days() {
    let today = || {
        let there = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(14);
        format!("\n{} (", there.to_zoned(jiff::tz::TimeZone::UTC).date())
    };
    let before = today();
    let bank = Made::new();
    bank.account(Kind::Asset, "EUR", None, None);
    let (anna, _) = bank.customer("Anna");
    let annas = bank.account(Kind::Liability, "EUR", None, Some(anna));
    bank.does(Body::Payments(PaymentCommand::Deposit { account: annas, amount: money("EUR", 1), text: None }));
    let folder = bank.stopped();
    let after = today();
    let journal = export(&folder, "hledger", &[]);
    assert!(journal.contains(&before) || journal.contains(&after), "{before:?}: {journal}");
}

#[test]
fn every_event_is_told_and_no_secret() {
    let folder = varied();
    let bare = export(&folder, "jsonl", &[]);
    let opened = export(&folder, "jsonl", &["--personal"]);
    let events = objects(&opened);
    let types: BTreeSet<&str> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    let expected = [
        "founded",
        "time-zone-set",
        "leader-started",
        "customer-added",
        "user-added",
        "password-set",
        "key-destroyed",
        "session-opened",
        "session-closed",
        "sign-in-failed",
        "account-opened",
        "right-granted",
        "right-revoked",
        "status-set",
        "overdraft-set",
        "posted",
        "hold-placed",
        "hold-released",
        "refused",
    ];
    assert_eq!(types, expected.into());
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["event"], place + 1);
        assert!(event["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{event}");
        assert_eq!(event.get("key").is_some(), event["key"].as_str().is_some_and(|key| key.len() == 32), "{event}");
    }
    let first = |kind: &str| events.iter().find(|event| event["type"] == kind).expect("one");
    let mut user = first("user-added").clone();
    user.as_object_mut().expect("an object").retain(|field, _| !["event", "at", "key"].contains(&field.as_str()));
    assert_eq!(
        user,
        json!({ "by": 0, "type": "user-added", "id": 1, "name": "anna-signs-in", "role": "customer", "customer": 1 })
    );
    let set = first("password-set");
    assert_eq!((&set["by"], &set["user"]), (&json!(0), &json!(1)));
    assert_eq!(first("founded")["time_zone"], ZONE);
    let zone = first("time-zone-set");
    assert_eq!((&zone["from"], &zone["time_zone"]), (&json!("2243-10-17"), &json!("Europe/Vienna")));
    let held = first("hold-placed");
    assert_eq!((&held["amount"], &held["currency"]), (&json!("5.00"), &json!("EUR")));
    let voided = first("hold-released");
    assert_eq!(
        (&voided["reason"], &voided["captured"], &voided["released"], &voided["currency"]),
        (&json!("voided"), &json!("0.00"), &json!("5.01"), &json!("EUR"))
    );
    let capture = events.iter().find(|event| event["purpose"] == "capture").expect("a capture");
    assert_eq!((&capture["cause"]["last"], &capture["cause"]["hold_state"]), (&json!(true), &json!("captured")));
    let granted = first("right-granted");
    assert_eq!((&granted["right"], &granted["limit"]), (&json!("signatory"), &json!("0.50")));
    assert_eq!(first("overdraft-set")["overdraft"], "15.00");
    assert_eq!(first("refused")["refusal"], "account-frozen");
    let refund = events.iter().find(|event| event["purpose"] == "refund").expect("a refund");
    assert!(refund["cause"]["refund_of"].is_u64() && refund["cause"]["leg"] == 0, "{refund}");

    // Ben has been erased; Anna has not.
    let customers = events.iter().filter(|event| event["type"] == "customer-added");
    let names: Vec<_> = customers.map(|event| event["name"].clone()).collect();
    assert_eq!(names, [json!("Anna type:X; Adler"), Value::Null]);
    assert_eq!(refund.get("text"), Some(&Value::Null));

    // Left out are fields, not events; and neither form tells what guards a secret.
    let left_out = objects(&bare);
    assert_eq!(left_out.len(), events.len());
    assert!(left_out.iter().all(|event| event.get("text").is_none() && event.get("end_to_end_id").is_none()));
    assert!(TRAPS.iter().all(|trap| events.iter().any(|event| event["end_to_end_id"] == *trap)));
    assert!(left_out.iter().all(|event| event["type"] == "founded" || event.get("name").is_none()));
    let engine =
        Engine::open(&folder.data, &master_of(&folder), Options::default(), Arc::new(SystemClock), &mut |_| {})
            .expect("opens");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secrets =
        ["hash-of".to_owned(), hex(&engine.token_hash("token").0), hex(&engine.name_index("anna-signs-in").0)];
    engine.stop();
    for text in [&bare, &opened] {
        for secret in secrets.iter().map(String::as_str).chain(["token", "\"password\":", "index"]) {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

/// An account is shown under the name that it has, and not under one that it had.
#[test]
fn a_renamed_account_has_its_newest_name() {
    let bank = Made::new();
    let (anna, subject) = bank.customer("Anna");
    let named = |name: &str| bank.seal(subject, Field::AccountName, name);
    let renamed = bank.account(Kind::Liability, "EUR", named("First of all"), Some(anna));
    let unnamed = bank.account(Kind::Liability, "EUR", named("Never again"), Some(anna));
    for (account, name) in [(renamed, named("Second")), (unnamed, None), (renamed, named("Third and last"))] {
        bank.does(Body::Accounts(AccountCommand::Rename { account, name }));
    }
    let folder = bank.stopped();
    let books = succeeds(&["export", "--data", folder.data(), "--format", "hledger", "--personal"], "");
    let names: Vec<&str> = books.lines().filter_map(|line| line.strip_prefix("    ; ")).collect();
    assert_eq!(names, ["Third and last"], "{books}");
}

#[test]
fn a_file_is_whole_or_not_there() {
    let folder = Folder::new();
    folder.init("AT", "99999", "EUR");
    let out = folder.data.with_file_name("books.journal");
    let part = folder.data.with_file_name("books.journal.part");
    let name = out.to_str().expect("a plain path");
    let flags = ["export", "--data", folder.data(), "--format", "hledger", "--out", name];
    assert!(succeeds(&flags, "").contains("exported to"));
    assert_eq!(fs::metadata(&out).expect("the file").permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(&out).expect("the file");
    assert!(first.ends_with("type:C\n"), "{first}");

    assert!(fails(&flags, "").contains("--force"), "it is there");
    fs::write(&out, "old").expect("written");
    succeeds(&[&flags[..], &["--force"]].concat(), "");
    assert_eq!(fs::read_to_string(&out).expect("the file"), first);
    fs::remove_file(&out).expect("removed");
    fs::write(&part, "of a killed export").expect("written");
    assert!(fails(&flags, "").contains("broken off"));
    succeeds(&[&flags[..], &["--force"]].concat(), "");
    assert!(!part.exists() && out.exists());
    let nowhere = ["export", "--data", folder.data(), "--format", "csv", "--out", "/nowhere/books.csv"];
    assert!(fails(&nowhere, "").contains("/nowhere/books.csv.part can't be written"));

    // An old copy of the journal is not taken for the whole, and leaves no file.
    let (journal, old) = (folder.data.join("journal.db"), folder.data.with_extension("old"));
    fs::copy(&journal, &old).expect("a copy");
    let server = Server::serve(&folder.data);
    server.sign_in("operator", "operator-password");
    assert!(server.interrupt());
    fs::copy(&old, &journal).expect("the old copy in its place");
    fs::remove_file(&out).expect("removed");
    assert!(fails(&flags, "").contains("--accept-loss"));
    assert!(!part.exists() && !out.exists());
    succeeds(&[&flags[..], &["--accept-loss"]].concat(), "");
}

#[test]
fn flags_that_make_no_sense() {
    let folder = Folder::new();
    assert!(fails(&["export", "--data", folder.data(), "--format", "csv"], "").contains("there is no bank"));
    for (flags, word) in [
        (&["export"][..], "--format"),
        (&["export", "--format", "xml"], "jsonl"),
        (&["export", "--format", "csv", "--force"], "--out"),
    ] {
        let output = run(&mut kassa(flags), "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(word), "{flags:?}: {told}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let bank = Made::new();
    let (cash, account) =
        (bank.account(Kind::Asset, "EUR", None, None), bank.account(Kind::Liability, "EUR", None, None));
    // Far more than a pipe holds.
    for cents in 1..=1_500 {
        bank.pay(&[leg(cash, account, money("EUR", cents))], None, None);
    }
    let folder = bank.stopped();
    for format in ["hledger", "csv", "jsonl"] {
        let mut child = kassa(&["export", "--data", folder.data(), "--format", format]).spawn().expect("it starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("text");
        drop(out);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success() && output.stderr.is_empty() && !line.is_empty(), "{format}: {output:?}");
    }
}

#[test]
fn a_real_banks_books_balance_in_hledger() {
    let Some(source) = berka() else {
        let words = "SKIPPED: the Berka data is neither in KASSA_BERKA nor beside the project; see examples/berka";
        writeln!(std::io::stderr(), "{words}").expect("standard error");
        return;
    };
    let folder = Folder::new();
    folder.init("CZ", "0800", "CZK");
    let map = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/berka/map.toml");
    let (map, source) = (map.to_str().expect("a plain path"), source.to_str().expect("a plain path").to_owned());
    succeeds(&["import", "--data", folder.data(), "--map", map, "--accept-breaks", &source, "--json"], "");
    let journal = export(&folder, "hledger", &["--personal"]);
    let lines = export(&folder, "csv", &["--personal"]);
    let events = export(&folder, "jsonl", &["--personal"]);
    let accounts = accounts_of(&folder);
    hledger_agrees(&journal, &accounts);
    assert_eq!(csv_agrees(&lines, &accounts).len(), 2 * 49_102);
    assert_eq!(events.matches("\"type\":\"posted\"").count(), 49_102);
}
