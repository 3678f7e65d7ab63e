//! No documented call gives anybody money that nobody lent: what a customer may draw has an end, whoever asks for what.

use serde_json::{Value, json};

use crate::bank_under_test::{Answer, Bank, Call};

async fn ask(bank: &Bank, who: &str, call: &str, body: Value) -> Answer {
    let (method, path) = call.split_once(' ').unwrap();
    let call = Call::new(method, path).by(bank, who).key(&bank.fresh_key());
    bank.send(if body.is_null() { call } else { call.json(&body) }).await
}

fn payment(from: &str, to: &str, amount: &str) -> Value {
    json!({"from": from, "to": to, "amount": amount, "currency": "EUR"})
}

#[tokio::test]
async fn customers_own_deposits_and_loans_with_a_limit() {
    let bank = Bank::new().await;
    let open = |kind: &str, more: Value| {
        let mut body = json!({"currency": "EUR", "kind": kind, "owner": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&bank, "operator", "POST /v1/accounts", body)
    };
    for (kind, more, slug) in [
        ("asset", json!({"overdraft": "unlimited"}), "overdraft-without-limit"),
        ("liability", json!({"overdraft": "unlimited"}), "overdraft-without-limit"),
        ("equity", json!({}), "not-a-customers-account"),
        ("income", json!({}), "not-a-customers-account"),
        ("expense", json!({}), "not-a-customers-account"),
        ("asset", json!({"cash": true, "currency": "JPY"}), "not-a-customers-account"),
    ] {
        assert_eq!(open(kind, more.clone()).await.slug(), slug, "{kind} {more}");
    }
    for kind in ["asset", "liability"] {
        let opened = open(kind, json!({})).await.json();
        assert_eq!((&opened["overdraft"], &opened["posted"]), (&json!("0.00"), &json!("0.00")), "{kind}");
    }
    // The bank's own are as they were.
    for (kind, overdraft) in [("asset", "unlimited"), ("expense", "unlimited"), ("income", "0.00"), ("equity", "0.00")]
    {
        let opened = ask(&bank, "operator", "POST /v1/accounts", json!({"currency": "EUR", "kind": kind})).await;
        let iban = opened.json()["iban"].as_str().unwrap().to_owned();
        assert_eq!(opened.json()["overdraft"], overdraft, "{kind}");
        let right = |right: Value| {
            let path = format!("PUT /v1/accounts/{iban}/rights/1");
            let bank = &bank;
            async move { ask(bank, "operator", &path, right).await.slug() }
        };
        let refused = if kind == "asset" { "overdraft-without-limit" } else { "not-a-customers-account" };
        for mover in
            [json!({"right": "owner"}), json!({"right": "signatory"}), json!({"right": "signatory", "limit": "1"})]
        {
            assert_eq!(right(mover.clone()).await, refused, "{kind} {mover}");
        }
        assert_eq!(right(json!({"right": "read-only"})).await, "", "{kind}: to see it is no right to move its money");
        assert_eq!(right(json!({"right": "owner"})).await, refused, "{kind}");
    }
    // Nor is a limit taken away later, by whatever way around.
    let overdraft = |iban: &str, overdraft: &str| {
        let (path, body) = (format!("PUT /v1/accounts/{iban}/overdraft"), json!({"overdraft": overdraft}));
        let bank = &bank;
        async move { ask(bank, "operator", &path, body).await.slug() }
    };
    assert_eq!(overdraft(&bank.ada, "unlimited").await, "overdraft-without-limit");
    let own = bank.open_account("operator", &json!({"currency": "EUR"})).await;
    assert_eq!(overdraft(&own, "unlimited").await, "");
    let right = format!("PUT /v1/accounts/{own}/rights/1");
    assert_eq!(ask(&bank, "operator", &right, json!({"right": "owner"})).await.slug(), "overdraft-without-limit");
    assert_eq!(overdraft(&own, "10.00").await, "");
    assert_eq!(ask(&bank, "operator", &right, json!({"right": "owner"})).await.status, 200);
    assert_eq!(overdraft(&own, "unlimited").await, "overdraft-without-limit");
    let cash =
        bank.get("operator", "/v1/accounts?limit=1").await.json()["accounts"][0]["iban"].as_str().unwrap().to_owned();
    let right = format!("PUT /v1/accounts/{cash}/rights/1");
    assert_eq!(ask(&bank, "operator", &right, json!({"right": "owner"})).await.slug(), "not-a-customers-account");
}

/// The example of an account to be is a customer's, and can be opened as it stands.
#[tokio::test]
async fn the_example_is_a_customers_account() {
    let bank = Bank::new().await;
    let said = bank.send(Call::new("GET", "/openapi.json")).await.json();
    let example = &said["paths"]["/v1/accounts"]["post"]["requestBody"]["content"]["application/json"]["example"];
    assert_eq!((&example["kind"], &example["owner"]), (&json!("liability"), &json!(1)), "{example}");
    let opened = ask(&bank, "operator", "POST /v1/accounts", example.clone()).await;
    assert_eq!((opened.status, &opened.json()["overdraft"]), (201, &json!("0.00")), "{}", opened.text());
    let iban = opened.json()["iban"].as_str().unwrap().to_owned();
    let paid = ask(&bank, "ada", "POST /v1/payments", payment(&iban, &bank.bo, "1000000.00")).await;
    assert_eq!((paid.slug().as_str(), &paid.json()["available"]["amount"]), ("insufficient-funds", &json!("0.00")));
    let docs = bank.send(Call::new("GET", "/docs/accounts")).await.text();
    assert!(docs.contains("s savings"), "the page shows the same example");
}

/// A loan that is drawn is below zero in every answer that tells a balance.
#[tokio::test]
async fn a_balance_has_one_sign_everywhere() {
    let bank = Bank::new().await;
    let opened = json!({"currency": "EUR", "kind": "asset", "owner": 1, "overdraft": "500.00", "name": "Loan"});
    let loan = bank.open_account("operator", &opened).await;
    let (of, today) = (|what: &str| format!("/v1/accounts/{loan}/{what}"), bank.moment()[..10].to_owned());
    assert_eq!(ask(&bank, "ada", "POST /v1/payments", payment(&loan, &bank.ada, "200.00")).await.status, 201);
    let mut held = payment(&loan, &bank.bo, "50.00");
    held["expires_at"] = json!("2027-01-01T00:00:00Z");
    assert_eq!(ask(&bank, "ada", "POST /v1/holds", held).await.status, 201);

    let shown = bank.get("ada", &format!("/v1/accounts/{loan}")).await.json();
    let balance = bank.get("ada", &of("balance")).await.json();
    for told in [&shown, &balance] {
        let [posted, held, available] = ["posted", "held", "available"].map(|field| told[field].as_str().unwrap());
        assert_eq!((posted, held, available), ("-200.00", "50.00", "-250.00"), "{told}");
    }
    assert_eq!(shown["overdraft"], "500.00");
    let short = ask(&bank, "ada", "POST /v1/payments", payment(&loan, &bank.ada, "250.01")).await;
    assert_eq!(short.json()["available"]["amount"], "-250.00", "what may be drawn is this and the overdraft");
    let listed = bank.get("operator", "/v1/accounts?limit=100").await.json();
    let listed = listed["accounts"].as_array().unwrap().iter().find(|account| account["iban"] == loan).unwrap().clone();
    assert_eq!(listed["posted"], "-200.00");
    let entry = bank.get("ada", &of("entries")).await.json()["entries"][0].clone();
    assert_eq!((&entry["amount"], &entry["balance"]), (&json!("-200.00"), &json!("-200.00")));
    let statement = bank.get("ada", &of(&format!("statement?from={today}&to={today}"))).await.json();
    for (field, expected) in [
        ("opening_balance", "0.00"),
        ("total_debits", "200.00"),
        ("total_credits", "0.00"),
        ("closing_balance", "-200.00"),
    ] {
        assert_eq!(statement[field], expected, "{field}");
    }
    let csv = bank.get("ada", &of(&format!("statement.csv?from={today}&to={today}"))).await.text();
    assert!(csv.contains(",-200.00,-200.00,EUR,") && csv.contains(&format!("closing,,{today},,,-200.00,EUR")), "{csv}");
    let series = bank.get("ada", &of(&format!("balances?from={today}&to={today}"))).await.json();
    assert_eq!(series["balances"], json!([{"day": today, "balance": "-200.00"}]));
    let trial = bank.get("auditor", "/v1/trial-balance").await.json()["currencies"][0].clone();
    assert_eq!(trial["debits"], trial["credits"], "{trial}");

    // It is paid back by whoever wants to, and drawn again.
    assert_eq!(bank.get("ada", &of("balance")).await.json()["posted"], "-200.00");
    assert_eq!(ask(&bank, "ada", "POST /v1/payments", payment(&bank.ada, &loan, "120.00")).await.status, 201);
    assert_eq!(bank.get("ada", &of("balance")).await.json()["posted"], "-80.00");
}

/// The accounts of a bank that is attacked: Ada's, Bo's, a loan, and the bank's own of every kind.
async fn attacked(bank: &Bank) -> Vec<String> {
    let loan = json!({"currency": "EUR", "kind": "asset", "owner": 1, "overdraft": "20.00"});
    let mut all = vec![bank.ada.clone(), bank.bo.clone(), bank.open_account("operator", &loan).await];
    let over = json!({"overdraft": "5.00"});
    assert_eq!(ask(bank, "operator", &format!("PUT /v1/accounts/{}/overdraft", bank.bo), over).await.status, 200);
    for kind in ["asset", "equity", "income", "expense", "liability"] {
        all.push(bank.open_account("operator", &json!({"currency": "EUR", "kind": kind})).await);
    }
    let cash = bank.get("operator", "/v1/accounts?limit=1").await.json()["accounts"][0]["iban"].clone();
    all.push(cash.as_str().unwrap().to_owned());
    all
}

/// That all sums to zero, and nobody has more than what came in and what was lent.
async fn laws_hold(bank: &Bank, after: &str) {
    let trial = bank.get("auditor", "/v1/trial-balance").await.json();
    for currency in trial["currencies"].as_array().unwrap() {
        assert_eq!(currency["debits"], currency["credits"], "{after}");
    }
    let cents = |told: &Value| told.as_str().unwrap().replace('.', "").parse::<i128>().unwrap();
    let mut had = 0;
    for who in ["ada", "bo"] {
        for account in bank.get(who, "/v1/accounts").await.json()["accounts"].as_array().unwrap() {
            let limit = cents(&account["overdraft"]);
            assert!(cents(&account["available"]) >= -limit, "{after}: {account}");
            had += cents(&account["available"]) + limit;
        }
    }
    // 100.00 were brought, 25.00 are lent.
    assert!(had <= 12_500, "{after}: {had} cents");
}

#[tokio::test]
async fn customers_get_nothing_out_of_nothing() {
    let mut bank = Bank::new().await;
    let all = attacked(&bank).await;
    let mut made = Vec::new();
    for who in ["ada", "sig", "stranger"] {
        for from in &all {
            for to in &all {
                for amount in ["3.00", "92233720368547758.07"] {
                    let paid = ask(&bank, who, "POST /v1/payments", payment(from, to, amount)).await;
                    made.extend(paid.json()["id"].as_str().map(|id| format!("/v1/payments/{id}")));
                }
                let mut held = payment(from, to, "1.00");
                held["expires_at"] = json!("2026-11-21T22:00:00Z");
                let held = ask(&bank, who, "POST /v1/holds", held).await;
                made.extend(held.json()["id"].as_str().map(|id| format!("/v1/holds/{id}")));
            }
        }
        laws_hold(&bank, who).await;
    }
    let deposit = bank.get("ada", "/v1/payments?purpose=deposit").await.json()["payments"][0]["id"].clone();
    made.push(format!("/v1/payments/{}", deposit.as_str().unwrap()));
    assert!(made.len() > 20, "{made:?}");
    // What was made is given back and taken more often than it may be, in parts and whole, before and after its time.
    for round in 0..3 {
        if round == 2 {
            bank.let_time_pass_ms(80 * 60_000);
            for who in ["ada", "bo", "stranger", "auditor"] {
                bank.sign_in_again(who).await;
            }
        }
        for who in ["bo", "ada", "stranger"] {
            for thing in &made {
                for (what, body) in [
                    ("refunds", json!({"amount": "2.00", "currency": "EUR"})),
                    ("refunds", json!({})),
                    ("reversal", json!({})),
                    ("captures", json!({"amount": "0.60", "currency": "EUR"})),
                    ("captures", json!({})),
                ] {
                    if thing.starts_with("/v1/holds") == (what == "captures") {
                        ask(&bank, who, &format!("POST {thing}/{what}"), body).await;
                    }
                }
            }
        }
        laws_hold(&bank, "what was made is given back").await;
    }
}

/// Operators correct as much as they like: a customer's account stays within what was lent.
#[tokio::test]
async fn operators_lend_by_overdrafts_alone() {
    let bank = Bank::new().await;
    let all = attacked(&bank).await;
    let desk = |account: &str| json!({"account": account, "amount": "4.00", "currency": "EUR"});
    let mut made = Vec::new();
    for account in &all {
        for path in ["POST /v1/withdrawals", "POST /v1/withdrawals", "POST /v1/deposits", "POST /v1/withdrawals"] {
            let booked = ask(&bank, "operator", path, desk(account)).await;
            made.extend(booked.json()["id"].as_str().map(|id| format!("/v1/payments/{id}")));
        }
        let paid = ask(&bank, "ada", "POST /v1/payments", payment(&bank.ada, account, "1.00")).await;
        made.extend(paid.json()["id"].as_str().map(|id| format!("/v1/payments/{id}")));
    }
    for _ in 0..2 {
        for payment in made.clone() {
            for what in ["refunds", "reversal"] {
                let undone = ask(&bank, "operator", &format!("POST {payment}/{what}"), json!({})).await;
                made.extend(undone.json()["id"].as_str().map(|id| format!("/v1/payments/{id}")));
            }
        }
    }
    let cents = |told: &Value| told.as_str().unwrap().replace('.', "").parse::<i128>().unwrap();
    for who in ["ada", "bo"] {
        for account in bank.get(who, "/v1/accounts").await.json()["accounts"].as_array().unwrap() {
            assert!(cents(&account["available"]) >= -cents(&account["overdraft"]), "{account}");
        }
    }
    let trial = bank.get("auditor", "/v1/trial-balance").await.json()["currencies"][0].clone();
    assert_eq!(trial["debits"], trial["credits"]);
}
