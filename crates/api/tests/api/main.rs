//! The interface as its callers meet it: the real router over a real engine in a folder of its own. What concerns
//! connections goes over real TLS, in [`connections`].

mod abuse;
mod bank_under_test;
mod batches;
mod caching;
mod conformance;
mod connections;
mod days;
mod description;
mod desk;
mod door;
mod events;
mod holds;
mod keys;
mod limits;
mod meanings;
mod money;
mod numbers;
mod pages;
mod payments;
mod rates;
mod raw_http2;
mod schema;
mod states;
mod versions;
mod walk;
mod words;

use bank_under_test::{Answer, Bank, Call};
use serde_json::{Value, json};

/// What a table of requests says: who asks, what, and what must come of it.
type Case<'a> = (&'a str, &'a str, &'a str, Value, u16, &'a str);

/// Sends each request with a fresh idempotency key, and looks at the status and the problem's type.
async fn check(bank: &Bank, cases: &[Case<'_>]) {
    for (who, method, path, body, status, slug) in cases {
        let mut call = Call::new(method, path).by(bank, who).key(&bank.fresh_key());
        if !body.is_null() {
            call = call.json(body);
        }
        let answer = bank.send(call).await;
        let told = answer.json()["type"].as_str().unwrap_or_default().to_owned();
        let expected = if slug.is_empty() { String::new() } else { format!("/problems/{slug}") };
        assert_eq!((answer.status, told), (*status, expected), "{who} {method} {path} {body}: {}", answer.text());
    }
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let bank = Bank::new().await;
    let pay = |from: &str, amount: Value, currency: &str| json!({"from": from, "to": bank.bo, "amount": amount, "currency": currency});
    check(
        &bank,
        &[
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("1.005"), "EUR"), 422, "amount-too-precise"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("1,00"), "EUR"), 422, "invalid-amount"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("1e3"), "EUR"), 422, "invalid-amount"),
            (
                "ada",
                "POST",
                "/v1/payments",
                pay(&bank.ada, json!("99999999999999999999"), "EUR"),
                422,
                "invalid-amount",
            ),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!(1), "EUR"), 400, "invalid-request"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("1.00"), "eur"), 422, "unknown-currency"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("1.00"), "USD"), 422, "currency-mismatch"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("0.00"), "EUR"), 422, "amount-not-positive"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("-1.00"), "EUR"), 422, "amount-not-positive"),
            ("ada", "POST", "/v1/payments", pay(&bank.ada, json!("100.01"), "EUR"), 422, "insufficient-funds"),
            ("ada", "POST", "/v1/payments", pay(&bank.bo, json!("1.00"), "EUR"), 403, "no-right"),
            ("ada", "POST", "/v1/payments", pay("AT00", json!("1.00"), "EUR"), 422, "invalid-iban"),
            ("ada", "POST", "/v1/payments", pay("DE89370400440532013000", json!("1.00"), "EUR"), 422, "other-bank"),
            ("ada", "POST", "/v1/payments", pay(&bank.unopened(), json!("1.00"), "EUR"), 422, "unknown-account"),
            ("ada", "POST", "/v1/payments", json!({"from": bank.ada}), 400, "invalid-request"),
            ("ada", "POST", "/v1/payments", json!([]), 400, "invalid-request"),
            ("operator", "POST", "/v1/payments", pay(&bank.ada, json!("1.00"), "EUR"), 403, "not-allowed"),
            ("operator", "POST", "/v1/customers", json!({"name": ""}), 400, "invalid-request"),
            ("operator", "POST", "/v1/customers", json!({"name": "a\nb"}), 400, "invalid-request"),
            ("operator", "POST", "/v1/customers", json!({"name": "a\u{202e}b"}), 400, "invalid-request"),
            ("operator", "POST", "/v1/customers", json!({"name": "x".repeat(141)}), 400, "invalid-request"),
            ("operator", "POST", "/v1/customers", json!({"name": "x".repeat(140)}), 201, ""),
            ("operator", "POST", "/v1/customers", json!({"name": "x", "more": 1}), 400, "invalid-request"),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "n", "password": "elevenchars", "role": "auditor"}),
                400,
                "invalid-request",
            ),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "n", "password": "x".repeat(201), "role": "auditor"}),
                400,
                "invalid-request",
            ),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "n", "password": "twelve chars", "role": "king"}),
                400,
                "invalid-request",
            ),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "n", "password": "twelve chars", "role": "customer"}),
                422,
                "role-and-customer-disagree",
            ),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "n", "password": "twelve chars", "role": "customer", "customer": 99}),
                422,
                "unknown-customer",
            ),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "ADA", "password": "twelve chars", "role": "auditor"}),
                409,
                "name-taken",
            ),
            (
                "operator",
                "POST",
                "/v1/users",
                json!({"name": "New", "password": "twelve chars", "role": "auditor"}),
                201,
                "",
            ),
            ("operator", "POST", "/v1/accounts", json!({"currency": "XAU"}), 422, "unknown-currency"),
            ("operator", "POST", "/v1/accounts", json!({"currency": "HRK"}), 422, "currency-not-in-use"),
            ("operator", "POST", "/v1/accounts", json!({"currency": "UYW"}), 422, "currency-not-in-use"),
            ("operator", "POST", "/v1/accounts", json!({"currency": "EUR", "owner": 99}), 422, "unknown-customer"),
            ("operator", "POST", "/v1/accounts", json!({"currency": "EUR", "number": 1}), 409, "number-taken"),
            (
                "operator",
                "POST",
                "/v1/accounts",
                json!({"currency": "EUR", "kind": "asset", "cash": true}),
                409,
                "cash-account-taken",
            ),
            ("operator", "POST", "/v1/accounts", json!({"currency": "EUR", "overdraft": "-1"}), 422, "invalid-amount"),
            (
                "operator",
                "POST",
                "/v1/deposits",
                json!({"account": bank.ada, "amount": "1", "currency": "USD"}),
                422,
                "no-cash-account",
            ),
            (
                "operator",
                "PUT",
                &format!("/v1/accounts/{}/rights/99", bank.ada),
                json!({"right": "owner"}),
                404,
                "unknown-customer",
            ),
            (
                "operator",
                "PUT",
                &format!("/v1/accounts/{}/rights/x", bank.ada),
                json!({"right": "owner"}),
                404,
                "unknown-customer",
            ),
            (
                "operator",
                "PUT",
                &format!("/v1/accounts/{}/rights/1", bank.ada),
                json!({"right": "owner", "limit": "1"}),
                422,
                "limit-needs-signatory",
            ),
            (
                "operator",
                "PUT",
                &format!("/v1/accounts/{}/rights/1", bank.ada),
                json!({"right": "signatory", "limit": "0"}),
                422,
                "amount-not-positive",
            ),
            (
                "operator",
                "PUT",
                &format!("/v1/accounts/{}/status", bank.ada),
                json!({"status": "closed"}),
                422,
                "account-not-empty",
            ),
            ("operator", "GET", "/v1/customers/99", Value::Null, 404, "unknown-customer"),
            ("operator", "GET", "/v1/customers/4294967296", Value::Null, 404, "unknown-customer"),
            ("operator", "GET", "/v1/customers?cursor=9999999999999999999", Value::Null, 200, ""),
            ("operator", "GET", "/v1/accounts?cursor=9999999999999999999", Value::Null, 200, ""),
            ("operator", "GET", "/v1/customers?limit=500", Value::Null, 200, ""),
            ("operator", "GET", "/v1/customers?limit=501", Value::Null, 400, "invalid-request"),
            ("operator", "GET", "/v1/customers?limit=0", Value::Null, 400, "invalid-request"),
            ("operator", "GET", "/v1/customers?limit=x", Value::Null, 400, "invalid-request"),
            ("operator", "GET", "/v1/customers?offset=1", Value::Null, 400, "invalid-request"),
            (
                "ada",
                "GET",
                &format!("/v1/accounts/{}/balance?at=yesterday", bank.ada),
                Value::Null,
                400,
                "invalid-request",
            ),
            (
                "ada",
                "GET",
                &format!("/v1/accounts/{}/statement?from=2026-01-02&to=2026-01-01", bank.ada),
                Value::Null,
                422,
                "period-backwards",
            ),
            (
                "ada",
                "GET",
                &format!("/v1/accounts/{}/statement?from=2026-01-01", bank.ada),
                Value::Null,
                400,
                "invalid-request",
            ),
            ("ada", "GET", "/v1/payments/00000000000000000000000000000000", Value::Null, 404, "unknown-payment"),
            ("ada", "GET", "/v1/payments/1", Value::Null, 404, "unknown-payment"),
            ("ada", "GET", "/v1/nothing", Value::Null, 404, "not-found"),
            ("ada", "GET", "/v1/accounts/%FF", Value::Null, 404, "not-found"),
            ("ada", "PATCH", "/v1/payments", Value::Null, 405, "method-not-allowed"),
            ("ada", "POST", "/v1/payments", Value::Null, 415, "unsupported-media-type"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_around_the_body_is_checked_too() {
    let bank = Bank::new().await;
    let post = || Call::new("POST", "/v1/customers").by(&bank, "operator");
    let name = json!({"name": "Cy"});
    let key = "k".repeat(129);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(64 * 1024));
    for (call, status, slug) in [
        (post().json(&name), 400, "idempotency-key-missing"),
        (post().json(&name).key(""), 400, "idempotency-key-invalid"),
        (post().json(&name).key("two words"), 400, "idempotency-key-invalid"),
        (post().json(&name).key(&key), 400, "idempotency-key-invalid"),
        (post().json(&name).key(&key[1..]), 201, ""),
        (post().key("a").header("content-type", "application/json").body("{\"name\":"), 400, "malformed-json"),
        (post().key("b").header("content-type", "text/plain").body("{\"name\":\"x\"}"), 415, "unsupported-media-type"),
        (post().key("c").header("content-type", "application/json").body(&large), 413, "body-too-large"),
        (Call::new("POST", "/v1/customers").json(&name).key("d"), 401, "not-signed-in"),
        (Call::new("GET", "/v1/me"), 401, "not-signed-in"),
        (Call::new("GET", "/v1/me").header("authorization", "Bearer nonsense"), 401, "not-signed-in"),
        (Call::new("GET", "/v1/me").header("authorization", "Basic YTpi"), 401, "not-signed-in"),
    ] {
        let told = format!("{call:?}");
        let answer = bank.send(call).await;
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug), "{told}");
        assert_eq!(answer.header("www-authenticate") == "Bearer", status == 401);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        if !slug.is_empty() {
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.json()["status"], status);
        }
    }
    let answer = bank.send(Call::new("PATCH", "/v1/payments")).await;
    assert_eq!(answer.header("allow"), "POST,GET,HEAD");
    let answer = bank.send(post().key("e").json(&json!({"name": 5}))).await;
    assert_eq!(answer.json()["errors"][0]["field"], "name");
}

#[tokio::test]
async fn who_may_do_what() {
    let bank = Bank::new().await;
    let ada = format!("/v1/accounts/{}", bank.ada);
    let of = |what: &str| format!("{ada}/{what}");
    let days = "statement?from=2026-01-01&to=2026-12-31";
    let payment = bank.pay("ada", "5.00", "first").await;
    let payment = format!("/v1/payments/{}", payment.json()["id"].as_str().unwrap());
    let pay = json!({"from": bank.ada, "to": bank.bo, "amount": "10.00", "currency": "EUR"});
    let cash = json!({"account": bank.ada, "amount": "1.00", "currency": "EUR"});
    // What is asked, and what operator, auditor, owner, signatory up to 5, reader, and stranger are answered.
    let zone = json!({"from": "2099-01-01", "time_zone": "Europe/Vienna"});
    let rows: Vec<(&str, String, Value, [u16; 6])> = vec![
        ("GET", ada.clone(), Value::Null, [200, 200, 200, 200, 200, 403]),
        ("GET", of("balance"), Value::Null, [200, 200, 200, 200, 200, 403]),
        ("GET", of("entries"), Value::Null, [200, 200, 200, 200, 200, 403]),
        ("GET", of(days), Value::Null, [200, 200, 200, 200, 200, 403]),
        ("GET", payment, Value::Null, [200, 200, 200, 200, 200, 403]),
        ("GET", of("rights"), Value::Null, [200, 200, 200, 403, 403, 403]),
        ("GET", of("balances?from=2026-11-01&to=2026-11-02"), Value::Null, [200, 200, 200, 200, 200, 403]),
        ("GET", "/v1/payments".into(), Value::Null, [200, 200, 200, 200, 200, 200]),
        ("PUT", of("name"), json!({"name": "x"}), [200, 403, 200, 403, 403, 403]),
        ("GET", "/v1/trial-balance".into(), Value::Null, [200, 200, 403, 403, 403, 403]),
        ("GET", "/v1/customers".into(), Value::Null, [200, 200, 403, 403, 403, 403]),
        ("GET", "/v1/customers/1".into(), Value::Null, [200, 200, 200, 403, 403, 403]),
        ("GET", "/v1/users".into(), Value::Null, [200, 200, 403, 403, 403, 403]),
        ("GET", "/v1/accounts".into(), Value::Null, [200, 200, 200, 200, 200, 200]),
        ("POST", "/v1/payments".into(), pay, [403, 403, 201, 403, 403, 403]),
        ("POST", "/v1/deposits".into(), cash.clone(), [201, 403, 403, 403, 403, 403]),
        ("POST", "/v1/withdrawals".into(), cash, [201, 403, 403, 403, 403, 403]),
        ("POST", "/v1/customers".into(), json!({"name": "Cy"}), [201, 403, 403, 403, 403, 403]),
        ("POST", "/v1/accounts".into(), json!({"currency": "EUR"}), [201, 403, 403, 403, 403, 403]),
        ("PUT", of("status"), json!({"status": "open"}), [200, 403, 403, 403, 403, 403]),
        ("PUT", of("overdraft"), json!({"overdraft": "0"}), [200, 403, 403, 403, 403, 403]),
        ("PUT", of("rights/5"), json!({"right": "read-only"}), [200, 403, 403, 403, 403, 403]),
        ("POST", "/v1/clock/confirm".into(), Value::Null, [204, 403, 403, 403, 403, 403]),
        ("GET", "/v1/time-zones".into(), Value::Null, [200; 6]),
        ("POST", "/v1/time-zones".into(), zone, [200, 403, 403, 403, 403, 403]),
    ];
    for (method, path, body, expected) in rows {
        for (who, status) in ["operator", "auditor", "ada", "sig", "reader", "stranger"].into_iter().zip(expected) {
            let mut call = Call::new(method, &path).by(&bank, who).key(&bank.fresh_key());
            if !body.is_null() {
                call = call.json(&body);
            }
            let answer = bank.send(call).await;
            assert_eq!(answer.status, status, "{who} {method} {path}: {}", answer.text());
            if status == 403 {
                assert!(!answer.text().contains("available"), "{who} learns nothing of the balance");
            }
        }
    }
    let above = bank.pay("sig", "5.01", "").await;
    assert_eq!((above.slug().as_str(), &above.json()["limit"]["amount"]), ("above-signatory-limit", &json!("5.00")));
    assert_eq!(bank.pay("sig", "5.00", "").await.status, 201);
    let seen = bank.get("stranger", "/v1/accounts").await;
    assert_eq!(seen.json()["accounts"].as_array().map(Vec::len), Some(0));
    let short = bank.pay("ada", "1000.00", "").await;
    assert_eq!(short.json()["available"], json!({"amount": "80.00", "currency": "EUR"}), "{}", short.text());
}

#[tokio::test]
async fn a_retry_gets_the_first_answer() {
    let bank = Bank::new().await;
    let users = json!({"name": "Cy", "password": "twelve chars", "role": "operator"});
    let pay = json!({"from": bank.ada, "to": bank.bo, "amount": "10.00", "currency": "EUR", "text": "rent"});
    let short = json!({"from": bank.ada, "to": bank.bo, "amount": "99.95", "currency": "EUR"});
    let cash = json!({"account": bank.bo, "amount": "7", "currency": "EUR"});
    let right = format!("/v1/accounts/{}/rights/4", bank.ada);
    for (who, method, path, body, status) in [
        ("operator", "POST", "/v1/customers", json!({"name": "Cy"}), 201),
        ("operator", "POST", "/v1/users", users, 201),
        ("operator", "POST", "/v1/accounts", json!({"currency": "EUR", "owner": 1, "name": "Savings"}), 201),
        ("operator", "POST", "/v1/deposits", cash.clone(), 201),
        ("operator", "POST", "/v1/withdrawals", cash, 201),
        ("operator", "PUT", &right, json!({"right": "signatory", "limit": "2.5"}), 200),
        ("operator", "DELETE", &right, Value::Null, 204),
        ("operator", "PUT", &format!("/v1/accounts/{}/status", bank.bo), json!({"status": "open"}), 200),
        ("operator", "PUT", &format!("/v1/accounts/{}/overdraft", bank.bo), json!({"overdraft": "5.00"}), 200),
        ("ada", "POST", "/v1/payments", short, 422),
        ("ada", "POST", "/v1/payments", pay.clone(), 201),
    ] {
        let key = bank.fresh_key();
        let call = || {
            let call = Call::new(method, path).by(&bank, who).key(&key);
            if body.is_null() { call } else { call.json(&body) }
        };
        let first = bank.send(call()).await;
        // Something else happens in between, after which the request would be answered otherwise.
        assert_eq!(bank.pay("ada", "0.01", "").await.status, 201);
        let second = bank.send(call()).await;
        assert_eq!(first.status, status, "{path}: {}", first.text());
        assert_eq!((first.status, first.text()), (second.status, second.text()), "{path}");
        assert_eq!(first.header("location"), second.header("location"));
        assert_eq!(first.header("idempotency-replayed"), "");
        assert_eq!(second.header("idempotency-replayed"), "true", "{path}");
    }
    // What was refused because something did not exist stays refused when it does.
    let mut early = pay.clone();
    early["to"] = json!(bank.unopened());
    let key = bank.fresh_key();
    let call = |key: &str| Call::new("POST", "/v1/payments").by(&bank, "ada").key(key).json(&early);
    let first = bank.send(call(&key)).await;
    assert_eq!((first.slug(), first.header("idempotency-replayed")), ("unknown-account".into(), ""));
    let number: u64 = bank.unopened()[9..].parse().unwrap();
    let open = json!({"currency": "EUR", "number": number});
    let opened = bank.send(Call::new("POST", "/v1/accounts").by(&bank, "operator").key("late").json(&open)).await;
    assert_eq!(opened.status, 201, "{}", opened.text());
    let second = bank.send(call(&key)).await;
    assert_eq!((second.slug(), second.header("idempotency-replayed")), ("unknown-account".into(), "true"));
    assert_eq!(bank.send(call(&bank.fresh_key())).await.status, 201);

    let key = bank.fresh_key();
    assert_eq!(bank.send(Call::new("POST", "/v1/payments").by(&bank, "ada").key(&key).json(&pay)).await.status, 201);
    let mut other = pay.clone();
    other["amount"] = json!("10.01");
    let reused = bank.send(Call::new("POST", "/v1/payments").by(&bank, "ada").key(&key).json(&other)).await;
    assert_eq!((reused.status, reused.slug().as_str()), (409, "key-reused"));
    let elsewhere = json!({"name": "Cy"});
    let reused = bank.send(Call::new("POST", "/v1/customers").by(&bank, "ada").key(&key).json(&elsewhere)).await;
    assert_eq!(reused.slug(), "key-reused");
    // Another user's key is another key.
    let other = bank.send(Call::new("POST", "/v1/customers").by(&bank, "operator").key(&key).json(&elsewhere)).await;
    assert_eq!(other.status, 201);
}

#[tokio::test]
async fn signing_in_and_out() {
    let bank = Bank::new().await;
    let sign_in = |name: &str, password: &str| {
        Call::new("POST", "/v1/sign-in").json(&json!({"name": name, "password": password}))
    };
    let wrong = bank.send(sign_in("ada", "not the password")).await;
    let unknown = bank.send(sign_in("nobody", "not the password")).await;
    assert_eq!((wrong.status, wrong.slug().as_str()), (401, "wrong-credentials"));
    assert_eq!((wrong.status, wrong.text()), (unknown.status, unknown.text()));
    let long = bank.send(sign_in("ada", &"x".repeat(10_000))).await;
    assert_eq!(long.text(), wrong.text());

    let right = bank.send(sign_in(" ADA ", bank_under_test::PASSWORD)).await;
    assert_eq!(right.status, 200, "{}", right.text());
    assert_eq!(right.json()["user"], json!({"id": 1, "role": "customer", "customer": 1}));
    let token = right.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let me = || Call::new("GET", "/v1/me").header("authorization", &bearer);
    let seen = bank.send(me()).await.json();
    assert_eq!(seen, json!({"id": 1, "name": "ada", "role": "customer", "customer": {"id": 1, "name": "Ada"}}));
    let out = bank.send(Call::new("POST", "/v1/sign-out").header("authorization", &bearer)).await;
    assert_eq!(out.status, 204);
    assert_eq!(bank.send(me()).await.slug(), "not-signed-in");

    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    bank.let_time_pass_ms(bank_under_test::SESSION_MS - 1_000);
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    bank.let_time_pass_ms(1_001);
    assert_eq!(bank.get("ada", "/v1/me").await.slug(), "not-signed-in");
    assert_eq!(bank.pay("ada", "1.00", "").await.slug(), "not-signed-in");
}

#[tokio::test]
async fn customers_users_and_rights_are_listed() {
    let bank = Bank::new().await;
    let page = bank.get("operator", "/v1/customers?limit=3").await.json();
    assert_eq!(page["customers"][0], json!({"id": 1, "name": "Ada"}));
    assert_eq!(page["next_cursor"], "3");
    let rest = bank.get("operator", "/v1/customers?limit=3&cursor=3").await.json();
    assert_eq!(
        rest,
        json!({"customers": [{"id": 4, "name": "Sig"}, {"id": 5, "name": "Reader"}], "next_cursor": null})
    );
    let users = bank.get("auditor", "/v1/users?limit=1&cursor=1").await.json();
    assert_eq!(users["users"], json!([{"id": 2, "name": "bo", "role": "customer", "customer": 2}]));
    let rights = bank.get("auditor", &format!("/v1/accounts/{}/rights", bank.ada)).await.json();
    assert_eq!(rights["rights"][0], json!({"customer": 1, "right": "owner", "limit": null}));
    assert_eq!(rights["rights"][1], json!({"customer": 4, "right": "signatory", "limit": "5.00"}));
    let own = bank.get("reader", "/v1/accounts").await.json();
    assert_eq!((&own["accounts"][0]["iban"], &own["accounts"][0]["right"]), (&json!(bank.ada), &json!("read-only")));
    let first = bank.get("auditor", "/v1/accounts?limit=1").await.json();
    assert_eq!((&first["accounts"][0]["kind"], &first["next_cursor"]), (&json!("asset"), &json!("1")));
    // Credits less debits, whatever the kind: what was paid in is a debit of the desk's.
    assert_eq!(first["accounts"][0]["posted"], "-100.00");
}

#[tokio::test]
async fn the_past_of_an_account() {
    let bank = Bank::new().await;
    let before = bank.moment();
    bank.let_time_pass_ms(10);
    for number in 1..=5 {
        let answer = bank.pay("ada", &format!("{number}.00"), "=1+1, \"rent\"").await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let account = format!("/v1/accounts/{}", bank.ada);
    let now = bank.get("ada", &format!("{account}/balance")).await.json();
    assert_eq!((&now["posted"], &now["held"], &now["available"]), (&json!("85.00"), &json!("0.00"), &json!("85.00")));
    let then = bank.get("ada", &format!("{account}/balance?at={before}")).await.json();
    assert_eq!((&then["posted"], then.get("held")), (&json!("100.00"), None));

    let first = bank.get("ada", &format!("{account}/entries?limit=4")).await.json();
    let amounts: Vec<_> = first["entries"].as_array().unwrap().iter().map(|entry| entry["amount"].clone()).collect();
    assert_eq!(amounts, ["-5.00", "-4.00", "-3.00", "-2.00"]);
    assert_eq!(first["entries"][0]["counterparty"], bank.bo);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = bank.get("ada", &format!("{account}/entries?limit=4&cursor={cursor}")).await.json();
    assert_eq!((&second["entries"][1]["purpose"], &second["next_cursor"]), (&json!("deposit"), &Value::Null));
    let id = first["entries"][0]["payment"].as_str().unwrap();
    let payment = bank.get("bo", &format!("/v1/payments/{id}")).await.json();
    assert_eq!((&payment["amount"], &payment["text"]), (&json!("5.00"), &json!("=1+1, \"rent\"")));

    let today = &bank.moment()[..10];
    let path = format!("{account}/statement?from={today}&to={today}");
    let statement = bank.get("ada", &path).await.json();
    for (field, expected) in [
        ("opening_balance", "0.00"),
        ("total_debits", "15.00"),
        ("total_credits", "100.00"),
        ("closing_balance", "85.00"),
    ] {
        assert_eq!(statement[field], expected, "{field}");
    }
    assert_eq!(statement["entries"].as_array().unwrap().len(), 6);
    let earlier = bank.get("ada", &format!("{account}/statement?from=2020-01-01&to=2020-12-31")).await.json();
    assert_eq!((&earlier["closing_balance"], &earlier["entries"]), (&json!("0.00"), &json!([])));

    let csv = bank.get("ada", &path.replace("/statement?", "/statement.csv?")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    let text = csv.text();
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 12, "{text}");
    assert!(lines[1].starts_with(&format!("opening,,{today},,,0.00,EUR")), "{text}");
    assert!(lines[3].contains(&format!(",-1.00,99.00,EUR,{},payment,\"'=1+1, \"\"rent\"\"\",", bank.bo)), "{text}");
    assert!(lines[10].starts_with(&format!("closing,,{today},,,85.00,EUR")), "{text}");

    let balance = bank.get("auditor", "/v1/trial-balance").await.json();
    let euros = &balance["currencies"][0];
    assert_eq!((&euros["debits"], &euros["credits"]), (&json!("100.00"), &json!("100.00")));
}

/// What is given must hold, all of it; the page says where to go on.
#[tokio::test]
async fn entries_are_searched() {
    let bank = Bank::new().await;
    for (amount, text) in [("1.00", "Rent May"), ("2.00", "rent june"), ("3.00", "Müller & Söhne"), ("20.00", "Rent")]
    {
        assert_eq!(bank.pay("ada", amount, text).await.status, 201);
    }
    let path = format!("/v1/accounts/{}/entries?", bank.ada);
    let today = &bank.moment()[..10];
    let bo = &bank.bo;
    for (query, expected) in [
        ("", &["-20.00", "-3.00", "-2.00", "-1.00", "100.00"][..]),
        ("text=rent", &["-20.00", "-2.00", "-1.00"]),
        ("text=m%C3%9Cller", &["-3.00"]),
        ("text=nothing", &[]),
        ("min_amount=2.00", &["-20.00", "-3.00", "-2.00", "100.00"]),
        ("max_amount=2.00", &["-2.00", "-1.00"]),
        ("min_amount=2.00&max_amount=20.00&text=RENT", &["-20.00", "-2.00"]),
        ("min_amount=0.00&limit=2", &["-20.00", "-3.00"]),
        ("min_amount=2.00&cursor=4", &["-2.00", "100.00"]),
        (&format!("counterparty={bo}"), &["-20.00", "-3.00", "-2.00", "-1.00"]),
        (&format!("counterparty={}", bank.unopened()), &[]),
        (&format!("from={today}&to={today}&limit=1"), &["-20.00"]),
        ("from=2020-01-01", &["-20.00", "-3.00", "-2.00", "-1.00", "100.00"]),
        ("to=2020-12-31", &[]),
        ("from=2199-01-01", &[]),
    ] {
        let answer = bank.get("ada", &format!("{path}{query}")).await.json();
        let amounts: Vec<_> = answer["entries"].as_array().expect(query).iter().map(|entry| &entry["amount"]).collect();
        assert_eq!(amounts, expected, "{query}");
    }
    for (query, slug, field) in [
        ("min_amount=-1.00", "invalid-amount", "min_amount"),
        ("min_amount=1.005", "amount-too-precise", "min_amount"),
        ("max_amount=x", "invalid-amount", "max_amount"),
        ("from=yesterday", "invalid-request", "from"),
        ("from=2026-02-02&to=2026-02-01", "period-backwards", "to"),
        ("counterparty=nonsense", "invalid-iban", ""),
        ("text=", "invalid-request", "text"),
        ("limit=501", "invalid-request", "limit"),
        ("amount=1.00", "invalid-request", "amount"),
    ] {
        let answer = bank.get("ada", &format!("{path}{query}")).await;
        let told = answer.json();
        assert_eq!(
            (answer.slug().as_str(), told["errors"][0]["field"].as_str().unwrap_or("")),
            (slug, field),
            "{query}: {told}"
        );
    }
}

#[tokio::test]
async fn a_stopped_engine_is_told_as_unavailable() {
    let bank = Bank::new().await;
    assert_eq!(bank.send(Call::new("GET", "/health/ready")).await.status, 200);
    bank.engine.stop();
    for (call, status, slug) in [
        (Call::new("GET", "/health/live"), 200, ""),
        (Call::new("GET", "/health/ready"), 503, "stopping"),
        (Call::new("GET", "/v1/me").by(&bank, "ada"), 503, "stopping"),
    ] {
        let answer = bank.send(call).await;
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug));
        assert_eq!(answer.header("retry-after") == "5", status == 503);
    }
    assert_eq!(bank.pay("ada", "1.00", "").await.slug(), "stopping");
    assert!(bank.send(Call::new("GET", "/metrics")).await.text().contains("kassa_up 0"));
}

#[tokio::test]
async fn a_jump_of_the_clock_stops_writing_until_it_is_confirmed() {
    let bank = Bank::new().await;
    bank.jump_ms(61_000);
    let stopped = bank.pay("ada", "1.00", "").await;
    assert_eq!((stopped.status, stopped.slug().as_str()), (503, "clock-jumped"));
    assert_eq!(bank.get("ada", "/v1/me").await.status, 200);
    let confirm = || Call::new("POST", "/v1/clock/confirm").by(&bank, "operator");
    assert_eq!(bank.send(confirm()).await.status, 204);
    assert_eq!(bank.pay("ada", "1.00", "").await.status, 201);
    // A jump past the end of every session can be confirmed too; then the sessions are over.
    bank.jump_ms(2 * bank_under_test::SESSION_MS);
    assert_eq!(bank.send(confirm()).await.status, 204);
    assert_eq!(bank.pay("ada", "1.00", "").await.slug(), "not-signed-in");
}

#[tokio::test]
async fn the_first_page_and_metrics() {
    let bank = Bank::new().await;
    let home: Answer = bank.send(Call::new("GET", "/")).await;
    assert!(home.text().contains("<h1>Bank &lt;of&gt; Tests</h1>"), "{}", home.text());
    assert!(home.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    assert_eq!(bank.send(Call::new("GET", "/problems/no-such-thing")).await.slug(), "not-found");
    bank.pay("ada", "1.00", "").await;
    let metrics = bank.send(Call::new("GET", "/metrics")).await.text();
    for line in [
        "kassa_http_request_seconds_count{method=\"POST\",route=\"/v1/payments\",status=\"201\"} 1",
        "kassa_accounts 3",
        "kassa_up 1",
        "kassa_connections 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    for (accept, content_type, type_line) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "# TYPE kassa_append_seconds_total counter\n"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE kassa_append_seconds counter\n",
        ),
    ] {
        let answer = bank.send(Call::new("GET", "/metrics").header("accept", accept)).await;
        assert_eq!((answer.header("content-type"), answer.header("vary")), (content_type, "Accept"));
        let text = answer.text();
        assert!(text.contains(type_line) && text.contains("\nkassa_append_seconds_total 0."), "{text}");
        assert_eq!(text.ends_with("# EOF\n"), accept != "*/*");
    }
}
