//! Who may do what: every operation of the description, asked for by everybody, with what is Ada's.
//!
//! The operations are walked from the description itself, so that no route escapes, and a table says who may. An operation
//! that is not in the table fails the test: who adds a route says who may use it.

use std::collections::{BTreeMap, BTreeSet};

use edge::Limits;
use serde_json::{Value, json};

use crate::bank_under_test::{Answer, Bank, Call, PASSWORD, SESSION_MS};
use crate::conformance::DESCRIPTION;

/// Everybody who can sign in: those who run and watch the bank, Ada, those whom she gave a right on her account, Bo, whom
/// she pays, and one who has nothing to do with her.
const EVERYBODY: [&str; 7] = ["operator", "auditor", "ada", "sig", "reader", "bo", "stranger"];

const ALL: &str = "operator auditor ada sig reader bo stranger";
const BANK: &str = "operator";
const WATCHERS: &str = "operator auditor";
const SEE: &str = "operator auditor ada sig reader";
const SEE_OR_PAID: &str = "operator auditor ada sig reader bo";

/// For each operation, who is answered with success where it is about Ada's account, payment, hold, batch or person.
const MAY: &[(&str, &str)] = &[
    ("home", ALL),
    ("style_sheet", ALL),
    ("explain_problem", ALL),
    ("describe", ALL),
    ("docs", ALL),
    ("docs_page", ALL),
    // Each of what concerns them: their tests show what that is.
    ("events", ALL),
    ("live", ALL),
    ("ready", ALL),
    ("metrics", ALL),
    ("sign_in", ALL),
    ("sign_out", ALL),
    ("me", ALL),
    ("add_customer", BANK),
    ("list_customers", WATCHERS),
    ("show_customer", "operator auditor ada"),
    ("list_accounts_of_customer", "operator auditor ada"),
    ("add_user", BANK),
    ("list_users", WATCHERS),
    ("open_account", BANK),
    // Of their own accounts.
    ("list_accounts", ALL),
    ("show_account", SEE),
    ("show_balance", SEE),
    ("balances", SEE),
    ("rename_account", "operator ada"),
    ("set_status", BANK),
    ("set_overdraft", BANK),
    ("list_entries", SEE),
    ("show_statement", SEE),
    ("show_statement_csv", SEE),
    ("grant_right", BANK),
    ("revoke_right", BANK),
    ("list_rights", "operator auditor ada"),
    ("pay", "ada sig"),
    ("pay_dry_run", "ada sig"),
    // Of the account that is asked for.
    ("list_payments", SEE),
    ("show_payment", SEE_OR_PAID),
    // Keys are their user's own.
    ("show_payment_by_key", "ada"),
    ("pay_batch", "ada sig"),
    ("show_batch", "ada"),
    ("refund_payment", "operator bo"),
    ("refund_payment_dry_run", "operator bo"),
    ("reverse_payment", BANK),
    ("reverse_payment_dry_run", BANK),
    ("place_hold", "ada sig"),
    ("place_hold_dry_run", "ada sig"),
    ("show_hold", SEE_OR_PAID),
    ("list_holds", SEE),
    ("capture_hold", "operator bo"),
    ("capture_hold_dry_run", "operator bo"),
    ("void_hold", "operator bo"),
    ("extend_hold", "operator ada sig"),
    ("deposit", BANK),
    ("deposit_dry_run", BANK),
    ("withdraw", BANK),
    ("withdraw_dry_run", BANK),
    ("book", BANK),
    ("book_dry_run", BANK),
    ("show_trial_balance", WATCHERS),
    ("confirm_clock", BANK),
    ("show_time_zones", ALL),
    ("set_time_zone", BANK),
];

/// What Ada called her account, what she wrote to Bo, and what she noted for herself: found in an answer, they were told.
const NAME: &str = "Fund for the roof";
const TEXT: &str = "Tiles and gutters";
const NOTE: &str = "roof-77123";

/// An operation, and where it is.
struct Operation {
    id: &'static str,
    method: String,
    path: &'static str,
    said: &'static Value,
}

fn operations() -> Vec<Operation> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, said)| {
            let id = said["operationId"].as_str().unwrap();
            Operation { id, method: method.to_uppercase(), path, said }
        })
    });
    all.collect()
}

impl Operation {
    /// Whether nobody needs to be signed in for it.
    fn is_open(&self) -> bool {
        self.said["security"] == json!([{}])
    }

    /// The same operation about other things: with ids that nobody gave, and a body that is none.
    fn nonsense(&self) -> Call {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { "nonsense" } else { part });
        Call::new(&self.method, &parts.collect::<Vec<_>>().join("/")).body("nonsense")
    }

    /// The same operation about what is Ada's.
    fn about(&self, things: &Things, bank: &Bank) -> Call {
        let (mut path, mut query, mut call) = (self.path.to_owned(), Vec::new(), Call::new(&self.method, ""));
        for parameter in self.said["parameters"].as_array().into_iter().flatten() {
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            let value = || things.named(self, name).unwrap_or_else(|| panic!("{}: which {name} is Ada's?", self.id));
            match place {
                "path" => path = path.replace(&format!("{{{name}}}"), &value()),
                "query" if name == "account" => query.push(format!("{name}={}", value())),
                "query" if parameter["required"] == true => {
                    query.push(format!("{name}={}", parameter["example"].as_str().unwrap()));
                }
                "header" => call = call.key(&bank.fresh_key()),
                _ => {}
            }
        }
        call.path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        for (media_type, content) in self.said["requestBody"]["content"].as_object().into_iter().flatten() {
            let example = &content["example"];
            let body =
                self.body(things, bank).unwrap_or_else(|| example.as_str().map_or(example.to_string(), str::to_owned));
            call = call.header("content-type", media_type).body(&things.put_into(&body));
        }
        call
    }

    /// The body of those whose example doesn't fit this bank, or would leave it another.
    fn body(&self, things: &Things, bank: &Bank) -> Option<String> {
        let body = match self.id {
            "sign_in" => json!({ "name": "ada", "password": PASSWORD }),
            "add_user" => json!({
                "name": bank.fresh_key(), "password": "a long password", "role": "customer", "customer": things.guest,
            }),
            "open_account" => json!({ "currency": "EUR", "owner": things.guest }),
            "set_status" => json!({ "status": "open" }),
            "rename_account" => json!({ "name": NAME }),
            _ => return None,
        };
        Some(body.to_string())
    }
}

/// What is Ada's, made anew for each request, because a request may use it up.
struct Things {
    ada: String,
    bo: String,
    payment: String,
    payment_key: String,
    batch_key: String,
    hold: String,
    /// A customer with a right on Ada's account, which can be taken away.
    guest: u64,
}

impl Things {
    async fn new(bank: &Bank, guest: u64) -> Self {
        let (ada, bo) = (bank.ada.clone(), bank.bo.clone());
        let money = json!({
            "from": ada, "to": bo, "amount": "0.02", "currency": "EUR", "text": TEXT, "metadata": { "order": NOTE },
        });
        let mut held = money.clone();
        held["expires_at"] = json!("2026-11-28T00:00:00Z");
        let (payment_key, batch_key) = (bank.fresh_key(), bank.fresh_key());
        let made = |answer: Answer| {
            assert!([200, 201].contains(&answer.status), "{}", answer.text());
            answer.json()["id"].as_str().unwrap_or_default().to_owned()
        };
        let write = |path: &str, key: &str| Call::new("POST", path).by(bank, "ada").key(key);
        let payment = made(bank.send(write("/v1/payments", &payment_key).json(&money)).await);
        let hold = made(bank.send(write("/v1/holds", &bank.fresh_key()).json(&held)).await);
        let batch = write("/v1/batches", &batch_key).header("content-type", "application/x-ndjson");
        made(bank.send(batch.body(&format!("{money}\n"))).await);
        let right = Call::new("PUT", &format!("/v1/accounts/{ada}/rights/{guest}")).by(bank, "operator");
        made(bank.send(right.key(&bank.fresh_key()).json(&json!({ "right": "read-only" }))).await);
        Self { ada, bo, payment, payment_key, batch_key, hold, guest }
    }

    /// What a parameter of an operation is to be.
    fn named(&self, operation: &Operation, name: &str) -> Option<String> {
        let value = match (name, operation.path.split('/').nth(2).unwrap_or_default()) {
            ("iban" | "account", _) => self.ada.clone(),
            ("customer", _) => self.guest.to_string(),
            ("id", "customers") => "1".into(),
            ("id", "payments") => self.payment.clone(),
            ("id", "holds") => self.hold.clone(),
            ("key", "payments") => self.payment_key.clone(),
            ("key", "batches") => self.batch_key.clone(),
            ("slug", _) => "no-right".into(),
            ("page", _) => "guide".into(),
            _ => return None,
        };
        Some(value)
    }

    /// An example with real accounts, little money, and times that are still to come.
    fn put_into(&self, example: &str) -> String {
        let mut body = example.to_owned();
        for (said, meant) in [
            ("AT049999900000000001", &*self.ada),
            ("AT479999900000000003", &self.bo),
            ("AT749999900000000002", &self.bo),
            ("25.00", "0.01"),
            ("2026-11-21T20:54:13.123Z", "2026-11-29T00:00:00Z"),
            // Later than a hold may end.
            ("2099-12-31T12:00:00Z", "2026-11-29T00:00:00Z"),
        ] {
            body = body.replace(said, meant);
        }
        body
    }
}

/// A bank where Ada's account has a name, and the number of a customer who is her guest.
async fn bank() -> (Bank, u64) {
    // Signing in is walked, too, more often than one name may.
    let mut limits = Limits::default();
    limits.sign_ins_of_name.requests = 0;
    let bank = Bank::with(limits).await;
    let call = Call::new("POST", "/v1/customers").by(&bank, "operator").key(&bank.fresh_key());
    let guest = bank.send(call.json(&json!({ "name": "Guest" }))).await.json()["id"].as_u64().unwrap();
    // What the description's example of a booking is paid to.
    bank.open_account("operator", &json!({ "currency": "EUR", "kind": "income" })).await;
    let name = Call::new("PUT", &format!("/v1/accounts/{}/name", bank.ada)).by(&bank, "ada");
    let named = bank.send(name.key(&bank.fresh_key()).json(&json!({ "name": NAME }))).await;
    assert_eq!(named.status, 200, "{}", named.text());
    (bank, guest)
}

/// Whether an operation succeeded: of a batch its lines tell, and not the answer's status.
fn succeeded(answer: &Answer) -> bool {
    if answer.header("content-type") != "application/x-ndjson" {
        return answer.status < 300;
    }
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().any(|line| line["status"].as_u64().is_some_and(|status| status < 300))
}

/// What an answer tells to whom it must not.
fn told(who: &str, answer: &Answer, bank: &Bank, may: bool) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let mut told = Vec::new();
    let mut must_not = |hidden: bool, what: &'static str, found: bool| {
        if hidden && found {
            told.push(what);
        }
    };
    let (stranger, outside) = (who == "stranger", ["bo", "stranger"].contains(&who));
    must_not(outside || !may, "the account's name", text.contains(NAME));
    must_not(outside || !may, "the payer's note", text.contains(NOTE));
    must_not(stranger || !may, "a text", text.contains(TEXT));
    must_not(outside || !may, "the owner's name", text.contains("\"Ada\""));
    must_not(stranger && may, "an account's number", text.contains(&bank.ada));
    let amounts = ["available", "limit", "remaining"].iter().any(|name| answer.json().get(name).is_some());
    must_not(!may, "an amount", amounts);
    told
}

#[tokio::test]
async fn nobody_gets_what_belongs_to_another() {
    let (mut bank, guest) = bank().await;
    let may: BTreeMap<_, _> = MAY.iter().copied().collect();
    let mut wrong = Vec::new();
    for operation in operations() {
        let row = may.get(operation.id).unwrap_or_else(|| panic!("who may {}? Say it in the table", operation.id));
        let allowed: BTreeSet<_> = row.split(' ').collect();
        if operation.id == "events" {
            // It never ends, so it is not read here.
            continue;
        }
        for who in EVERYBODY {
            let things = Things::new(&bank, guest).await;
            let answer = bank.send(operation.about(&things, &bank).by(&bank, who)).await;
            let said = format!("{who} {}: {} {}", operation.id, answer.status, answer.slug());
            let may = allowed.contains(who);
            if succeeded(&answer) != may || answer.status >= 500 {
                wrong.push(format!("{said}, and may: {may}; {}", String::from_utf8_lossy(&answer.body)));
            }
            if !may && operation.id != "pay_batch" && ![403, 404].contains(&answer.status) {
                wrong.push(format!("{said}: neither 403 nor 404"));
            }
            // The description's examples look like any account.
            let is_example = ["describe", "docs", "docs_page"].contains(&operation.id);
            let found = if is_example { Vec::new() } else { told(who, &answer, &bank, may) };
            wrong.extend(found.iter().map(|what| format!("{said}: tells {what}")));
            if ["sign_in", "sign_out"].contains(&operation.id) {
                // The one ends a session, the other opens more than a user may have, which ends the oldest.
                bank.sign_in_again(who).await;
                bank.sign_in_again("ada").await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known: BTreeSet<_> = operations().iter().map(|operation| operation.id).collect();
    assert_eq!(may.keys().copied().collect::<BTreeSet<_>>(), known, "the table has rows of what is no more");
    assert_eq!(MAY.len(), known.len(), "the table has a row twice");
}

#[tokio::test]
async fn without_a_session_nothing_is_told_but_that() {
    let (mut bank, guest) = bank().await;
    let expired = bank.token("ada").to_owned();
    bank.let_time_pass_ms(SESSION_MS);
    for who in EVERYBODY {
        bank.sign_in_again(who).await;
    }
    let ended = bank.token("ada").to_owned();
    let out = bank.send(Call::new("POST", "/v1/sign-out").by(&bank, "ada")).await;
    assert_eq!(out.status, 204, "{}", out.text());
    bank.sign_in_again("ada").await;
    let current = bank.token("ada").to_owned();
    let made_up = "0".repeat(ended.len());
    let credentials = [
        None,
        Some(format!("Bearer {expired}")),
        Some(format!("Bearer {ended}")),
        Some(format!("Bearer {made_up}")),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {}", &current[1..])),
        Some(format!("Bearer {current}, Bearer {current}")),
        Some(format!("Basic {current}")),
        Some(current),
    ];
    let things = Things::new(&bank, guest).await;
    let entries = format!("/v1/accounts/{}/entries", bank.ada);
    let before = bank.get("ada", &entries).await.text();
    let mut wrong = Vec::new();
    for operation in operations() {
        for credential in &credentials {
            for (call, is_nonsense) in [(operation.about(&things, &bank), false), (operation.nonsense(), true)] {
                let call = match credential {
                    Some(credential) => call.header("authorization", credential),
                    None => call,
                };
                let answer = bank.send(call).await;
                let said = format!("{} {credential:?}: {} {}", operation.id, answer.status, answer.slug());
                let right = if !operation.is_open() {
                    (answer.status, answer.slug().as_str()) == (401, "not-signed-in")
                } else if is_nonsense {
                    answer.status < 500
                } else {
                    answer.status < 300
                };
                if !right {
                    wrong.push(said);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Signing in is open to all, and Ada's oldest session may have been closed by it.
    bank.sign_in_again("ada").await;
    assert_eq!(bank.get("ada", &entries).await.text(), before, "nothing was booked");
}
