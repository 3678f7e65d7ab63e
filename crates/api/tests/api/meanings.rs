//! Tests of keys: the form of every write, for ever; what is one request and what is another; and the keys of
//! journals that versions before 0.2 wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use bank::{
    Body, Caller, Command, Origin, Pay, PaymentCommand, Purpose, Refusal, Request, Role, SystemCommand, UserId,
};
use engine::Outcome;
use ledger::{Currency, Kind, Leg, Money, Status, Timestamp, ValueDate};
use serde_json::{Value, json};
use service::Meaning;
use service::meaning::{Cash, Moment, Opening, RightKind, Said, Transfer};
use tower::ServiceExt;

use crate::bank_under_test::{Answer, Bank, Call};
use crate::conformance::DESCRIPTION;

const FROM: &str = "AT049999900000000001";
const TO: &str = "AT479999900000000003";
const ID: &str = "00000000000000000000000000000000";
const EXPIRY: &str = "2027-01-01T00:00:00Z";
const EXPIRY_MS: i64 = 1_798_761_600_000;

static NOTES: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| [("order", "7"), ("who", "\u{e4}\"b")].map(|(key, value)| (key.into(), value.into())).into());

/// A write: what is sent, and what is meant by it.
struct Row {
    name: &'static str,
    /// The operation of the description.
    operation: &'static str,
    /// Method and path; none of a batch's line.
    call: &'static str,
    body: Value,
    meaning: Meaning<'static>,
}

fn row(name: &'static str, operation: &'static str, call: &'static str, body: Value, meaning: Meaning<'static>) -> Row {
    Row { name, operation, call, body, meaning }
}

fn movement() -> Transfer<'static> {
    Transfer { from: FROM, to: TO, amount: "25.00", currency: "EUR" }
}

fn full_said() -> Said<'static> {
    Said { text: Some("Lunch"), metadata: Some(&NOTES), end_to_end_id: Some("E-1") }
}

/// A body of `sent` and these fields.
fn with(sent: &Value, more: &Value) -> Value {
    let mut sent = sent.clone();
    sent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sent
}

/// Every write, with as little and with as much as it takes.
#[allow(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    let least = json!({"from": FROM, "to": TO, "amount": "25.00", "currency": "EUR"});
    let said = json!({"text": "Lunch", "metadata": *NOTES, "end_to_end_id": "E-1"});
    let full = with(&with(&least, &said), &json!({"more": [least, least]}));
    let bare = || Said::default();
    let expires_at = Moment { text: EXPIRY, at: Some(Timestamp(EXPIRY_MS)) };
    let hold = with(&least, &json!({"expires_at": EXPIRY}));
    let full_hold = with(&hold, &json!({"text": "Lunch", "metadata": *NOTES}));
    let cash = json!({"account": FROM, "amount": "25.00", "currency": "EUR"});
    let said_cash = with(&cash, &json!({"text": "Lunch"}));
    let of_cash = |text| Cash { account: FROM, amount: "25.00", currency: "EUR", text };
    let booking = with(&least, &json!({"reason": "A fee"}));
    let sum = json!({"amount": "25.00", "currency": "EUR"});
    let refund = with(&sum, &json!({"movement": 1, "text": "Sorry"}));
    let account = json!({
        "currency": "EUR", "kind": "asset", "name": "Loan", "owner": 7, "overdraft": "50.00", "number": 77, "cash": true,
    });
    let nothing =
        Opening { currency: "EUR", kind: None, name: None, owner: None, overdraft: None, number: None, cash: None };
    let opening = Opening {
        kind: Some(Kind::Asset),
        name: Some("Loan"),
        owner: Some(7),
        overdraft: Some("50.00"),
        number: Some(77),
        cash: Some(true),
        ..nothing
    };
    let user = json!({"name": "carl", "password": "a password of carl", "role": "auditor"});
    let customers_user = json!({"name": "carl", "password": "short", "role": "customer", "customer": 7});
    let (rename, status) =
        ("PUT /v1/accounts/AT049999900000000001/name", "PUT /v1/accounts/AT049999900000000001/status");
    let (overdraft, right) =
        ("PUT /v1/accounts/AT049999900000000001/overdraft", "PUT /v1/accounts/AT049999900000000001/rights/7");
    let (refunds, captures) = (
        "POST /v1/payments/00000000000000000000000000000000/refunds",
        "POST /v1/holds/00000000000000000000000000000000/captures",
    );
    let reversal = "POST /v1/payments/00000000000000000000000000000000/reversal";
    let (pay, place) = ("POST /v1/payments", "POST /v1/holds");
    let whole_refund = Meaning::Refund { payment: ID, amount: None, currency: None, movement: 0, text: None };
    let part =
        Meaning::Refund { payment: ID, amount: Some("25.00"), currency: Some("EUR"), movement: 1, text: Some("Sorry") };
    let carl = |password_fits, role, customer| Meaning::AddUser { name: "carl", password_fits, role, customer };
    let grant = |right, limit| Meaning::Grant { account: FROM, customer: "7", right, limit };
    vec![
        row("pay", "pay", pay, least.clone(), Meaning::Pay { movement: movement(), more: vec![], said: bare() }),
        row(
            "pay-full",
            "pay",
            pay,
            full,
            Meaning::Pay { movement: movement(), more: vec![movement(), movement()], said: full_said() },
        ),
        row(
            "pay-unread",
            "pay",
            pay,
            with(&least, &json!({"amount": "abc", "from": "nobody"})),
            Meaning::Pay {
                movement: Transfer { from: "nobody", amount: "abc", ..movement() },
                more: vec![],
                said: bare(),
            },
        ),
        row("deposit", "deposit", "POST /v1/deposits", cash.clone(), Meaning::Deposit(of_cash(None))),
        row(
            "deposit-full",
            "deposit",
            "POST /v1/deposits",
            said_cash.clone(),
            Meaning::Deposit(of_cash(Some("Lunch"))),
        ),
        row("withdraw", "withdraw", "POST /v1/withdrawals", cash, Meaning::Withdraw(of_cash(None))),
        row("withdraw-full", "withdraw", "POST /v1/withdrawals", said_cash, Meaning::Withdraw(of_cash(Some("Lunch")))),
        row("book", "book", "POST /v1/bookings", booking, Meaning::Book { movement: movement(), reason: "A fee" }),
        row("refund", "refund_payment", refunds, json!({}), whole_refund),
        row("refund-full", "refund_payment", refunds, refund, part),
        row("reverse", "reverse_payment", reversal, json!({}), Meaning::Reverse { payment: ID, text: None }),
        row(
            "reverse-full",
            "reverse_payment",
            reversal,
            json!({"text": "Sorry"}),
            Meaning::Reverse { payment: ID, text: Some("Sorry") },
        ),
        row("hold", "place_hold", place, hold, Meaning::PlaceHold { movement: movement(), expires_at, said: bare() }),
        row(
            "hold-full",
            "place_hold",
            place,
            full_hold,
            Meaning::PlaceHold { movement: movement(), expires_at, said: Said { end_to_end_id: None, ..full_said() } },
        ),
        row(
            "hold-unread",
            "place_hold",
            place,
            with(&least, &json!({"expires_at": "tomorrow"})),
            Meaning::PlaceHold {
                movement: movement(),
                expires_at: Moment { text: "tomorrow", at: None },
                said: bare(),
            },
        ),
        row(
            "capture",
            "capture_hold",
            captures,
            json!({}),
            Meaning::Capture { hold: ID, amount: None, currency: None, last: false },
        ),
        row(
            "capture-full",
            "capture_hold",
            captures,
            with(&sum, &json!({"last": true})),
            Meaning::Capture { hold: ID, amount: Some("25.00"), currency: Some("EUR"), last: true },
        ),
        row(
            "void",
            "void_hold",
            "POST /v1/holds/00000000000000000000000000000000/void",
            Value::Null,
            Meaning::Void { hold: ID },
        ),
        row(
            "extend",
            "extend_hold",
            "POST /v1/holds/00000000000000000000000000000000/extension",
            json!({"expires_at": EXPIRY}),
            Meaning::ExtendHold { hold: ID, expires_at },
        ),
        row("account", "open_account", "POST /v1/accounts", json!({"currency": "EUR"}), Meaning::OpenAccount(nothing)),
        row("account-full", "open_account", "POST /v1/accounts", account, Meaning::OpenAccount(opening)),
        row(
            "unname",
            "rename_account",
            rename,
            json!({"name": null}),
            Meaning::RenameAccount { account: FROM, name: None },
        ),
        row(
            "rename",
            "rename_account",
            rename,
            json!({"name": "Loan"}),
            Meaning::RenameAccount { account: FROM, name: Some("Loan") },
        ),
        row(
            "time-zone",
            "set_time_zone",
            "POST /v1/time-zones",
            json!({"from": "2099-01-01", "time_zone": "Europe/Vienna"}),
            Meaning::SetTimeZone { from: "2099-01-01", day: Some(ValueDate(47_117)), time_zone: "Europe/Vienna" },
        ),
        row(
            "status",
            "set_status",
            status,
            json!({"status": "frozen-for-debits"}),
            Meaning::SetStatus { account: FROM, status: Status::FrozenForDebits },
        ),
        row(
            "overdraft",
            "set_overdraft",
            overdraft,
            json!({"overdraft": "50.00"}),
            Meaning::SetOverdraft { account: FROM, overdraft: "50.00" },
        ),
        row(
            "overdraft-unlimited",
            "set_overdraft",
            overdraft,
            json!({"overdraft": "unlimited"}),
            Meaning::SetOverdraft { account: FROM, overdraft: "unlimited" },
        ),
        row("grant", "grant_right", right, json!({"right": "owner"}), grant(RightKind::Owner, None)),
        row(
            "grant-full",
            "grant_right",
            right,
            json!({"right": "signatory", "limit": "5.00"}),
            grant(RightKind::Signatory, Some("5.00")),
        ),
        row(
            "revoke",
            "revoke_right",
            "DELETE /v1/accounts/AT049999900000000001/rights/7",
            Value::Null,
            Meaning::Revoke { account: FROM, customer: "7" },
        ),
        row(
            "customer",
            "add_customer",
            "POST /v1/customers",
            json!({"name": "Carl"}),
            Meaning::AddCustomer { name: "Carl" },
        ),
        row("user", "add_user", "POST /v1/users", user, carl(true, Role::Auditor, None)),
        row("user-full", "add_user", "POST /v1/users", customers_user, carl(false, Role::Customer, Some(7))),
        row("line", "pay_batch", "", least.clone(), Meaning::Line { movement: movement(), said: bare() }),
        row(
            "line-full",
            "pay_batch",
            "",
            with(&least, &said),
            Meaning::Line { movement: movement(), said: full_said() },
        ),
        row("line-unread", "pay_batch", "", json!([1]), Meaning::UnreadLine(b"[1]")),
    ]
}

fn hex(form: &[u8]) -> String {
    form.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The form of payments all or none: the version, their number, and their lines in a list.
fn all_form(lines: &[&Meaning<'_>]) -> Vec<u8> {
    let lines = lines.iter().flat_map(|line| line.form()[1..].to_vec());
    [1, 21, 0x9f].into_iter().chain(lines).chain([0xff]).collect()
}

/// Keys never expire: the forms are never changed. A new write, or a field, is a further line.
#[test]
fn writes_are_remembered_in_the_same_forms_for_ever() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/api/golden/forms-of-writes.txt");
    let rows = rows();
    // What came later has no older form.
    let older =
        |meaning: &Meaning<'_>| api::form_of_version_0(meaning).map_or_else(|| "-".to_owned(), |form| hex(&form));
    let mut told: Vec<_> =
        rows.iter().map(|row| format!("{} {} {}", row.name, hex(&row.meaning.form()), older(&row.meaning))).collect();
    // These three for ever, though there be more kinds of lines one day.
    let lines: Vec<_> = rows.iter().filter(|row| row.call.is_empty()).take(3).map(|row| &row.meaning).collect();
    let older: String = lines.iter().map(|line| older(line)).collect();
    told.push(format!("all-lines {} {older}", hex(&all_form(&lines))));
    let mut golden = std::fs::read_to_string(&file).unwrap_or_default();
    if std::env::var("KASSA_WRITE_GOLDEN").as_deref() == Ok("1") {
        // What is there is never written again.
        let names: BTreeSet<_> = golden.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        for line in told.iter().filter(|line| !names.contains(line.split(' ').next().unwrap())) {
            golden = format!("{golden}{line}\n");
        }
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &golden).unwrap();
    }
    let golden: BTreeSet<&str> = golden.lines().collect();
    assert_eq!(told.iter().map(String::as_str).collect::<BTreeSet<_>>(), golden);
    let forms: BTreeSet<_> = rows.iter().map(|row| row.meaning.form()).collect();
    assert_eq!(forms.len(), rows.len(), "what is another request has another form");
}

/// Each write of the description that takes a key has its rows, with each of its fields.
#[test]
fn no_write_is_without_a_golden_form() {
    let rows = rows();
    let mut seen = BTreeSet::new();
    for (path, operations) in DESCRIPTION["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let takes_key = parameters.clone().any(|parameter| {
                let text = parameter.to_string();
                text.contains("Idempotency-Key")
            });
            let Some(id) = operation["operationId"].as_str().filter(|_| takes_key) else { continue };
            seen.insert(id);
            let own: Vec<_> = rows.iter().filter(|row| row.operation == id).collect();
            assert!(!own.is_empty(), "{id}, {path}: a write without a golden form");
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(schema) = schema.as_str().and_then(|name| name.rsplit('/').next()) else { continue };
            for field in DESCRIPTION["components"]["schemas"][schema]["properties"].as_object().unwrap().keys() {
                let is_sent = own.iter().any(|row| row.body.get(field).is_some_and(|sent| !sent.is_null()));
                assert!(is_sent, "{id}: no golden form with the field {field}");
            }
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
    assert!(rows.iter().all(|row| seen.contains(row.operation)), "a row of no operation: {seen:?}");
}

async fn ask(bank: &Bank, who: &str, key: &str, call: &str, body: &Value) -> Answer {
    let (method, path) = call.split_once(' ').unwrap();
    let call = Call::new(method, path).by(bank, who).key(key);
    let call = if body.is_null() { call } else { call.json(body) };
    // Not compared with the description, which has no such requests as some here.
    Answer::of(bank.router.clone().oneshot(call.request()).await.unwrap()).await
}

async fn batch(bank: &Bank, key: &str, query: &str, lines: &str) -> Answer {
    let call = Call::new("POST", &format!("/v1/batches{query}")).by(bank, "ada").key(key);
    bank.send(call.header("content-type", "application/x-ndjson").body(lines)).await
}

fn caller(bank: &Bank, who: &str) -> Caller {
    let user = bank.engine.peek(|state| state.user_named(bank.engine.name_index(who))).unwrap().unwrap();
    Caller { user, session: Some(bank.engine.token_hash(bank.token(who))) }
}

/// Remembers under a key, as an earlier version did, that it refused it.
async fn remembered(bank: &Bank, who: &str, request: Request, refusal: Refusal) {
    let body = Body::System(SystemCommand::Unresolved(refusal));
    let command = Command { origin: Origin::default(), caller: caller(bank, who), request: Some(request), body };
    let outcome = bank.engine.submit(command).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused { repeated: false, .. }), "{outcome:?}");
}

fn request_of(bank: &Bank, user: UserId, key: &str, form: &[u8]) -> Request {
    bank.engine.request(user, key.as_bytes(), form)
}

#[tokio::test]
async fn what_is_sent_is_remembered_in_its_golden_form() {
    let bank = Bank::new().await;
    let operator = caller(&bank, "operator").user;
    for row in rows().iter().filter(|row| !row.call.is_empty()) {
        let told = ask(&bank, "operator", row.name, row.call, &row.body).await;
        let request = request_of(&bank, operator, row.name, &row.meaning.form());
        let found = bank.engine.outcome_of(request).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{} is not remembered: {}", row.name, told.text()));
        assert_eq!(found.event.request, Some(request), "{}", row.name);
    }
    let ada = caller(&bank, "ada").user;
    for row in rows().iter().filter(|row| row.call.is_empty()) {
        assert_eq!(api::line_form(row.body.to_string().as_bytes()), row.meaning.form(), "{}", row.name);
        let lines = format!("{}\n", row.body);
        let all = format!("{}-all", row.name);
        batch(&bank, row.name, "", &lines).await;
        batch(&bank, &all, "?atomic=true", &lines).await;
        for (key, form) in
            [(format!("{}\x001", row.name), row.meaning.form()), (format!("{all}\0all"), all_form(&[&row.meaning]))]
        {
            let request = request_of(&bank, ada, &key, &form);
            let found = bank.engine.outcome_of(request).await.unwrap();
            assert_eq!(found.unwrap().event.request, Some(request), "{key:?}");
        }
    }
}

#[tokio::test]
async fn keys_of_earlier_versions_are_answered_with_their_first_outcome() {
    let bank = Bank::new().await;
    let operator = caller(&bank, "operator").user;
    for row in rows().iter().filter(|row| !row.call.is_empty()) {
        let Some(form) = api::form_of_version_0(&row.meaning) else { continue };
        remembered(&bank, "operator", request_of(&bank, operator, row.name, &form), Refusal::PersonErased).await;
        for _ in 0..2 {
            let told = ask(&bank, "operator", row.name, row.call, &row.body).await;
            let told = (told.slug(), told.header("idempotency-replayed").to_owned());
            assert_eq!(told, ("person-erased".to_owned(), "true".to_owned()), "{}", row.name);
        }
        let (call, other) = match row.operation {
            "add_customer" => ("POST /v1/users", json!({"name": "x", "password": "twelve chars", "role": "auditor"})),
            _ => ("POST /v1/customers", json!({"name": "Cy"})),
        };
        let reused = ask(&bank, "operator", row.name, call, &other).await;
        assert_eq!(reused.slug(), "key-reused", "{}", row.name);
    }
}

/// The legs of a payment of Ada's to Bo.
fn pays(bank: &Bank, minor: i64) -> Pay {
    let of = |iban: &str| bank.engine.peek(|state| state.account_of_iban(iban)).unwrap().unwrap().unwrap();
    let amount = Money { minor, currency: Currency::from_code("EUR").unwrap() };
    let leg = Leg { debit: of(&bank.ada), credit: of(&bank.bo), amount };
    let (text, metadata, end_to_end_id) = (None, None, None);
    Pay {
        legs: [leg].into(),
        purpose: Purpose::Payment,
        text,
        metadata,
        end_to_end_id,
        copies: None,
        value_date: None,
        booked_at: None,
    }
}

async fn posted(bank: &Bank) -> String {
    let balance = bank.get("ada", &format!("/v1/accounts/{}/balance", bank.ada)).await.json();
    balance["posted"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn batches_of_earlier_versions_are_not_paid_again() {
    let bank = Bank::new().await;
    let ada = caller(&bank, "ada");
    let submit = async |key: &str, form: &[u8], body: PaymentCommand| {
        let request = Some(request_of(&bank, ada.user, key, form));
        let command = Command { origin: Origin::default(), caller: ada, request, body: Body::Payments(body) };
        let outcome = bank.engine.submit(command).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
    };
    let line = |amount: &str| {
        let (from, to) = (bank.ada.as_str(), bank.bo.as_str());
        let movement = Transfer { from, to, amount, currency: "EUR" };
        let form = api::form_of_version_0(&Meaning::Line { movement, said: Said::default() }).unwrap();
        (form, format!("{{\"currency\":\"EUR\", \"amount\":\"{amount}\",\"to\":\"{to}\",\"from\":\"{from}\"}}\n"))
    };
    let [(first, one), (second, two), (_, three)] = ["1.00", "2.00", "3.00"].map(line);
    submit("each\x001", &first, PaymentCommand::Pay(pays(&bank, 100))).await;
    remembered(&bank, "ada", request_of(&bank, ada.user, "each\x002", b"{\"from\":1}"), Refusal::InvalidLine).await;
    submit("all\0all", &[first, second].concat(), PaymentCommand::PayAll(vec![pays(&bank, 100), pays(&bank, 200)]))
        .await;
    assert_eq!(posted(&bank).await, "96.00");
    let again = batch(&bank, "each", "", &format!("{one}{{\"from\":1}}\n{three}")).await;
    let told: Vec<Value> = again.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["status"], &told[0]["replayed"]), (&json!(201), &json!(true)), "{}", again.text());
    assert_eq!((&told[1]["status"], &told[1]["replayed"]), (&json!(422), &json!(true)), "{}", again.text());
    assert_eq!((&told[2]["status"], told[2].get("replayed")), (&json!(201), None), "{}", again.text());
    assert_eq!(posted(&bank).await, "93.00");
    for _ in 0..2 {
        let again = batch(&bank, "all", "?atomic=true", &format!("{one}{two}")).await;
        assert_eq!(again.text().matches("\"replayed\":true").count(), 2, "{}", again.text());
    }
    for other in [format!("{two}{one}"), one.clone(), format!("{one}{two}{three}")] {
        assert_eq!(batch(&bank, "all", "?atomic=true", &other).await.slug(), "key-reused", "{other}");
    }
    let changed = batch(&bank, "each", "", &two).await;
    assert!(changed.text().contains("/problems/key-reused"), "{}", changed.text());
    assert_eq!(posted(&bank).await, "93.00");
}

/// Two writings, and whether they are one request: of payments unless another call is named.
#[allow(clippy::too_many_lines, reason = "a table")]
fn pairs() -> Vec<(&'static str, Value, &'static str, Value, bool)> {
    let pay = json!({"from": FROM, "to": TO, "amount": "1.00", "currency": "EUR", "text": "rent"});
    let of = |more: Value| with(&pay, &more);
    let without = json!({"from": FROM, "to": TO, "amount": "1.00", "currency": "EUR"});
    let mut pairs = Vec::new();
    let mut payment = |one: &Value, other: Value, is_same| {
        pairs.push(("POST /v1/payments", one.clone(), "POST /v1/payments", other, is_same));
    };
    for amount in ["1", "1.0", "1.000", "01.00", "001"] {
        payment(&pay, of(json!({"amount": amount})), true);
    }
    for amount in ["1.01", "10.0", "0.1", "-1.00", "1,00", "1.", ".1", "+1.00", " 1.00", "1e0", "100", "abc", ""] {
        payment(&pay, of(json!({"amount": amount})), false);
    }
    for from in ["AT04 9999 9000 0000 0001", "at049999900000000001", "At0 4999990000 0000001 ", "AT04-9999900000000001"]
    {
        payment(&pay, of(json!({"from": from})), true);
    }
    for from in
        ["AT04  9999900000000001", " AT049999900000000001", "AT049999900000000002", "AT04--9999900000000001", ""]
    {
        payment(&pay, of(json!({"from": from})), false);
    }
    payment(&pay, of(json!({"from": TO, "to": FROM})), false);
    for currency in ["USD", "eur", "EUR ", ""] {
        payment(&pay, of(json!({"currency": currency})), false);
    }
    payment(&pay, of(json!({"text": " rent "})), true);
    payment(&pay, of(json!({"metadata": {}, "end_to_end_id": null, "more": []})), true);
    payment(&without, with(&without, &json!({"text": null})), true);
    for text in ["Rent", "rent\n", "rent.", ""] {
        payment(&pay, of(json!({"text": text})), false);
    }
    payment(&pay, without.clone(), false);
    // Nothing is taken for a neighbour, and no part runs into the next.
    payment(&pay, with(&without, &json!({"end_to_end_id": "rent"})), false);
    payment(&pay, with(&without, &json!({"metadata": {"text": "rent"}})), false);
    let notes = |notes: Value| with(&without, &json!({"metadata": notes}));
    payment(&notes(json!({"a": "bc"})), notes(json!({"ab": "c"})), false);
    payment(&notes(json!({"a": "b", "c": "d"})), notes(json!({"c": "d", "a": "b"})), true);
    payment(&notes(json!({"a": "b"})), notes(json!({"a": "b", "c": "d"})), false);
    payment(&of(json!({"amount": "abc"})), of(json!({"amount": "abd"})), false);
    payment(&of(json!({"amount": "abc", "currency": "X"})), of(json!({"amount": "ab", "currency": "cX"})), false);
    let more = |amounts: &[&str]| {
        let movements: Vec<_> = amounts.iter().map(|amount| with(&without, &json!({"amount": amount}))).collect();
        with(&without, &json!({"more": movements}))
    };
    payment(&more(&["1", "2.0"]), more(&["1.0", "2"]), true);
    payment(&more(&["1", "2"]), more(&["2", "1"]), false);
    payment(&more(&["1"]), more(&["1", "1"]), false);
    payment(&more(&["1"]), without.clone(), false);
    let hold = |at: &str| with(&without, &json!({"expires_at": at}));
    let mut other = |one: &'static str, body: Value, another: &'static str, sent: Value, is_same| {
        pairs.push((one, body, another, sent, is_same));
    };
    let place = "POST /v1/holds";
    for (at, is_same) in [
        ("2027-01-01T01:00:00+01:00", true),
        ("2027-01-01t00:00:00.000z", true),
        ("2027-01-01T00:00:00.001Z", false),
        ("2027-01-01T00:00:00+01:00", false),
        ("1798761600000", false),
        ("2027-01-01", false),
    ] {
        other(place, hold(EXPIRY), place, hold(at), is_same);
    }
    other("POST /v1/payments", without.clone(), place, hold(EXPIRY), false);
    let cash = json!({"account": FROM, "amount": "1.00", "currency": "EUR"});
    let (brought, taken) = ("POST /v1/deposits", "POST /v1/withdrawals");
    other(brought, cash.clone(), brought, with(&cash, &json!({"amount": "1", "account": FROM.to_lowercase()})), true);
    other(brought, cash.clone(), taken, cash, false);
    let booking = |reason: &str| with(&without, &json!({"reason": reason}));
    other("POST /v1/bookings", booking("fee"), "POST /v1/bookings", booking(" fee"), true);
    other("POST /v1/bookings", booking("rent"), "POST /v1/payments", pay, false);
    let (refund, another) = (
        "POST /v1/payments/00000000000000000000000000000000/refunds",
        "POST /v1/payments/00000000000000000000000000000001/refunds",
    );
    let captures = "POST /v1/holds/00000000000000000000000000000000/captures";
    let sum = json!({"amount": "1.00", "currency": "EUR"});
    other(refund, json!({}), refund, json!({"movement": 0, "amount": null}), true);
    other(refund, sum.clone(), refund, json!({"amount": "1", "currency": "EUR", "movement": 0.0}), true);
    other(refund, json!({}), refund, json!({"movement": 1}), false);
    other(refund, json!({}), refund, sum.clone(), false);
    other(refund, json!({}), another, json!({}), false);
    other(refund, json!({}), captures, json!({}), false);
    other(refund, json!({}), "POST /v1/payments/00000000000000000000000000000000/reversal", json!({}), false);
    other(refund, json!({"amount": "1"}), refund, json!({"currency": "1"}), false);
    other(captures, json!({}), captures, json!({"last": false}), true);
    other(captures, json!({}), captures, json!({"last": true}), false);
    let open = "POST /v1/accounts";
    let account = |more: Value| with(&json!({"currency": "EUR"}), &more);
    for more in [
        json!({"kind": "liability"}),
        json!({"overdraft": "0.00"}),
        json!({"cash": false, "owner": null, "number": null, "name": null}),
    ] {
        other(open, account(json!({})), open, account(more), true);
    }
    other(
        open,
        account(json!({"kind": "asset"})),
        open,
        account(json!({"kind": "asset", "overdraft": "unlimited"})),
        true,
    );
    other(open, account(json!({"number": 7})), open, account(json!({"number": 7.0})), true);
    for more in [json!({"kind": "asset"}), json!({"overdraft": "unlimited"}), json!({"number": 1}), json!({"owner": 1})]
    {
        other(open, account(json!({})), open, account(more), false);
    }
    other(open, account(json!({"owner": 7})), open, account(json!({"number": 7})), false);
    other(open, account(json!({"kind": "asset"})), open, account(json!({"kind": "asset", "overdraft": "0"})), false);
    let (limit, same_limit) =
        ("PUT /v1/accounts/AT049999900000000001/overdraft", "PUT /v1/accounts/at04%209999900000000001/overdraft");
    other(limit, json!({"overdraft": "5"}), same_limit, json!({"overdraft": "5.00"}), true);
    other(limit, json!({"overdraft": "0"}), limit, json!({"overdraft": "unlimited"}), false);
    let (right, same_right) =
        ("PUT /v1/accounts/AT049999900000000001/rights/7", "PUT /v1/accounts/AT04%209999900000000001/rights/07");
    let owner = json!({"right": "owner"});
    other(right, owner.clone(), same_right, json!({"right": "owner", "limit": null}), true);
    other(right, owner.clone(), "PUT /v1/accounts/AT049999900000000001/rights/8", owner.clone(), false);
    other(right, owner.clone(), right, json!({"right": "read-only"}), false);
    other(right, owner, "DELETE /v1/accounts/AT049999900000000001/rights/7", Value::Null, false);
    let user = json!({"name": "carl", "password": "a password of carl", "role": "auditor"});
    let users = "POST /v1/users";
    other(users, user.clone(), users, with(&user, &json!({"password": "another password"})), true);
    other(users, user.clone(), users, with(&user, &json!({"password": "short"})), false);
    other(users, user.clone(), users, with(&user, &json!({"name": "Carl"})), false);
    other(users, user.clone(), users, with(&user, &json!({"role": "operator"})), false);
    other(users, user, "POST /v1/customers", json!({"name": "carl"}), false);
    pairs
}

#[tokio::test]
async fn what_is_one_request_and_what_is_another() {
    let bank = Bank::new().await;
    for (number, (one, body, other, sent, is_same)) in pairs().into_iter().enumerate() {
        for (round, (first, second)) in
            [((one, &body), (other, &sent)), ((other, &sent), (one, &body))].into_iter().enumerate()
        {
            let key = format!("pair-{number}-{round}");
            let before = ask(&bank, "operator", &key, first.0, first.1).await;
            let after = ask(&bank, "operator", &key, second.0, second.1).await;
            let told = format!("{one} {body} and {other} {sent}: {}, {}", before.text(), after.text());
            if is_same {
                assert_eq!(after.header("idempotency-replayed"), "true", "{told}");
                assert_eq!((before.status, before.slug()), (after.status, after.slug()), "{told}");
            } else {
                assert_eq!(after.slug(), "key-reused", "{told}");
            }
        }
    }
}

/// An amount is the same however many zeros end it, wherever money moves; and it moves once.
#[tokio::test]
async fn a_retry_with_fewer_zeros_moves_nothing() {
    let bank = Bank::new().await;
    let of = |amount: &str| json!({"from": bank.ada, "to": bank.bo, "amount": amount, "currency": "EUR"});
    let twice = async |who: &str, key: &str, call: &str, sent: [Value; 2]| {
        let first = ask(&bank, who, key, call, &sent[0]).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""), "{}", first.text());
        let again = ask(&bank, who, key, call, &sent[1]).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{}", again.text());
        assert_eq!(first.json(), again.json());
        first.json()["id"].as_str().unwrap().to_owned()
    };
    let payment = twice("ada", "pay", "POST /v1/payments", ["1.00", "1.0"].map(of)).await;
    let sum = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    twice("bo", "refund", &format!("POST /v1/payments/{payment}/refunds"), ["0.5", "0.50"].map(sum)).await;
    let hold = |(amount, at): (&str, &str)| with(&of(amount), &json!({"expires_at": at}));
    let moments = [("2.00", EXPIRY), ("2.0", "2027-01-01T01:00:00.000+01:00")];
    let hold = twice("ada", "hold", "POST /v1/holds", moments.map(hold)).await;
    twice("bo", "capture", &format!("POST /v1/holds/{hold}/captures"), ["1.00", "1"].map(sum)).await;
    assert_eq!(posted(&bank).await, "98.50");
    for query in ["", "?atomic=true"] {
        let key = format!("batch{}", query.len());
        let sent = |amount: &str| format!("{}\n{}\n", of(amount), of("2"));
        let first = batch(&bank, &key, query, &sent("1.00")).await;
        assert!(!first.text().contains("replayed"), "{}", first.text());
        let again = batch(&bank, &key, query, &sent("1.0")).await;
        assert_eq!(again.text().matches("\"replayed\":true").count(), 2, "{}", again.text());
        let other = batch(&bank, &key, query, &sent("1.01")).await;
        assert!(other.text().contains("/problems/key-reused"), "{}", other.text());
    }
    assert_eq!(posted(&bank).await, "92.50");
}
