//! Payments of several movements, with notes, as dry runs, looked up by their keys, and in lists.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bank_under_test::{Answer, Bank, Call};

fn order(bank: &Bank, amount: &str) -> Value {
    json!({"from": bank.ada, "to": bank.bo, "amount": amount, "currency": "EUR"})
}

async fn post(bank: &Bank, who: &str, key: &str, path: &str, body: &Value) -> Answer {
    bank.send(Call::new("POST", path).by(bank, who).key(key).json(body)).await
}

async fn pay(bank: &Bank, who: &str, body: &Value) -> Answer {
    post(bank, who, &bank.fresh_key(), "/v1/payments", body).await
}

async fn posted(bank: &Bank, who: &str, iban: &str) -> String {
    bank.get(who, &format!("/v1/accounts/{iban}/balance")).await.json()["posted"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_payment_of_several_movements_is_made_whole_or_not_at_all() {
    let bank = Bank::new().await;
    let opened = bank.open_account("operator", &json!({"currency": "EUR", "kind": "income"})).await;
    let split = |first: &str, fee: &str| {
        let mut body = order(&bank, first);
        body["more"] = json!([
            {"from": bank.ada, "to": opened, "amount": fee, "currency": "EUR"},
            {"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR"},
        ]);
        body
    };
    let poor = pay(&bank, "ada", &split("90.00", "9.01")).await;
    assert_eq!((poor.slug().as_str(), &poor.json()["available"]["amount"]), ("insufficient-funds", &json!("0.99")));
    assert_eq!(posted(&bank, "ada", &bank.ada).await, "100.00");
    let paid = pay(&bank, "ada", &split("90.00", "9.00")).await;
    assert_eq!(paid.status, 201, "{}", paid.text());
    let more = &paid.json()["more"];
    assert_eq!(
        (&more[0]["to"], &more[0]["amount"], &more[1]["amount"]),
        (&json!(opened), &json!("9.00"), &json!("1.00"))
    );
    assert_eq!(posted(&bank, "ada", &bank.ada).await, "0.00");
    let shown = bank.get("bo", paid.header("location")).await;
    assert_eq!(shown.json(), paid.json(), "whoever has a right on one account sees all movements");

    // Mistakes name the movement.
    let with = |field: &str, value: Value| {
        let mut body = split("1.00", "1.00");
        body["more"][1][field] = value;
        body
    };
    for (body, slug, field) in [
        (with("amount", json!("1.001")), "amount-too-precise", "more[1].amount"),
        (with("currency", json!("eur")), "unknown-currency", "more[1].currency"),
        (with("to", json!("AT00")), "invalid-iban", "more[1].to"),
        (with("from", json!(bank.unopened())), "unknown-account", "more[1].from"),
        (with("from", json!(bank.bo)), "no-right", ""),
        (with("currency", json!("USD")), "currency-mismatch", ""),
        (with("colour", json!("red")), "invalid-request", "more[1].colour"),
    ] {
        let answer = pay(&bank, "ada", &body).await;
        assert_eq!(answer.slug(), slug, "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["field"].as_str().unwrap_or_default(), field, "{}", answer.text());
    }
    // A signatory's limit, here 5.00, is for all movements together.
    bank.deposit(&bank.ada, "50.00").await;
    assert_eq!(pay(&bank, "sig", &split("3.00", "1.01")).await.slug(), "above-signatory-limit");
    assert_eq!(pay(&bank, "sig", &split("3.00", "1.00")).await.status, 201);

    let movement = json!({"from": bank.ada, "to": bank.bo, "amount": "0.01", "currency": "EUR"});
    let mut many = order(&bank, "0.01");
    many["more"] = json!(vec![movement.clone(); 99]);
    assert_eq!(pay(&bank, "ada", &many).await.status, 201);
    many["more"] = json!(vec![movement; 100]);
    assert_eq!(pay(&bank, "ada", &many).await.slug(), "too-many-legs");
}

/// The payer's own id of a payment goes with it to the payee: to both sides' payments, entries, statements and CSV.
#[tokio::test]
async fn an_end_to_end_id_is_seen_on_both_sides() {
    let bank = Bank::new().await;
    let id = "INVOICE 2026/42-é";
    let mut body = order(&bank, "1.00");
    let plain = post(&bank, "ada", "plain", "/v1/payments", &body).await;
    assert!(plain.json().get("end_to_end_id").is_none(), "{}", plain.text());
    body["end_to_end_id"] = json!(format!("  {id} "));
    assert_eq!(post(&bank, "ada", "plain", "/v1/payments", &body).await.slug(), "key-reused", "it is another request");
    let dry = bank.send(Call::new("POST", "/v1/payments/dry-run").by(&bank, "ada").json(&body)).await;
    assert_eq!((dry.status, &dry.json()["end_to_end_id"]), (200, &json!(id)), "{}", dry.text());
    let paid = post(&bank, "ada", "with-id", "/v1/payments", &body).await;
    assert_eq!((paid.status, &paid.json()["end_to_end_id"]), (201, &json!(id)), "{}", paid.text());
    let again = post(&bank, "ada", "with-id", "/v1/payments", &body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{}", again.text());
    let today = &bank.moment()[..10];
    for (who, iban) in [("ada", &bank.ada), ("bo", &bank.bo), ("auditor", &bank.ada)] {
        let shown = bank.get(who, paid.header("location")).await.json();
        assert_eq!(shown["end_to_end_id"], id, "{who}");
        let listed = bank.get(who, &format!("/v1/payments?account={iban}")).await.json();
        assert_eq!(listed["payments"][0]["end_to_end_id"], id, "{who}");
        let entries = bank.get(who, &format!("/v1/accounts/{iban}/entries")).await.json();
        assert_eq!(entries["entries"][0]["end_to_end_id"], id, "{who}");
        assert!(entries["entries"][1].get("end_to_end_id").is_none(), "{who}");
        let statement = format!("/v1/accounts/{iban}/statement?from={today}&to={today}");
        let entries = bank.get(who, &statement).await.json()["entries"].clone();
        assert_eq!(entries.as_array().unwrap().last().unwrap()["end_to_end_id"], id, "{who}");
        let csv = bank.get(who, &statement.replace("/statement?", "/statement.csv?")).await.text();
        assert!(csv.lines().next().unwrap().ends_with(",payment,end_to_end_id,hold,undoes"), "{csv}");
        assert!(csv.lines().any(|line| line.ends_with(&format!(",{id},,"))), "{csv}");
    }
    // A spreadsheet takes none for a formula.
    body["end_to_end_id"] = json!("=1+1");
    assert_eq!(pay(&bank, "ada", &body).await.status, 201);
    let csv = bank.get("bo", &format!("/v1/accounts/{}/statement.csv?from={today}&to={today}", bank.bo)).await.text();
    assert!(csv.contains(",'=1+1"), "{csv}");
    for (sent, status) in [
        (json!("é".repeat(35)), 201),
        (json!("é".repeat(36)), 400),
        (json!(" "), 400),
        (json!(""), 400),
        (json!("a\nb"), 400),
        (json!(7), 400),
        (Value::Null, 201),
    ] {
        body["end_to_end_id"] = sent.clone();
        let answer = pay(&bank, "ada", &body).await;
        assert_eq!(answer.status, status, "{sent}: {}", answer.text());
        if status == 400 {
            assert_eq!(answer.json()["errors"][0]["field"], "end_to_end_id", "{sent}");
        }
    }
}

#[tokio::test]
async fn notes_are_the_payers_own() {
    let bank = Bank::new().await;
    let noted = |metadata: Value| {
        let mut body = order(&bank, "1.00");
        body["metadata"] = metadata;
        body
    };
    let notes = json!({"order": "2026-1171", "Campaign_2.b": "Grüße"});
    let paid = pay(&bank, "ada", &noted(notes.clone())).await;
    assert_eq!((paid.status, &paid.json()["metadata"]), (201, &notes), "{}", paid.text());
    for (who, expected) in
        [("ada", &notes), ("reader", &notes), ("operator", &notes), ("auditor", &notes), ("bo", &Value::Null)]
    {
        let shown = bank.get(who, paid.header("location")).await.json();
        assert_eq!(&shown["metadata"], expected, "{who}");
        let listed = bank.get(who, "/v1/payments?limit=1").await.json();
        assert_eq!(&listed["payments"][0]["metadata"], expected, "{who}");
    }
    let mut hold = noted(notes.clone());
    hold["expires_at"] = json!("2027-01-01T00:00:00Z");
    let held = post(&bank, "ada", "held", "/v1/holds", &hold).await;
    assert_eq!((held.status, &held.json()["metadata"]), (201, &notes), "{}", held.text());
    for (who, expected) in [("ada", &notes), ("bo", &Value::Null)] {
        assert_eq!(&bank.get(who, held.header("location")).await.json()["metadata"], expected, "{who}");
    }

    let pairs =
        |count: usize| (0..count).map(|place| (format!("k{place}"), "v".to_owned())).collect::<BTreeMap<_, _>>();
    for (metadata, status) in [
        (json!({}), 201),
        (json!(pairs(20)), 201),
        (json!(pairs(21)), 400),
        (json!({"k".repeat(40): "v"}), 201),
        (json!({"k".repeat(41): "v"}), 400),
        (json!({"": "v"}), 400),
        (json!({"a b": "v"}), 400),
        (json!({"k": "ü".repeat(200)}), 201),
        (json!({"k": "ü".repeat(201)}), 400),
        (json!({"k": ""}), 400),
        (json!({"k": 1}), 400),
        (json!([]), 400),
    ] {
        let answer = pay(&bank, "ada", &noted(metadata.clone())).await;
        assert_eq!(answer.status, status, "{metadata}: {}", answer.text());
    }
    // Other notes are another request.
    assert_eq!(post(&bank, "ada", "one", "/v1/payments", &noted(json!({"k": "1"}))).await.status, 201);
    assert_eq!(post(&bank, "ada", "one", "/v1/payments", &noted(json!({"k": "2"}))).await.slug(), "key-reused");
}

#[tokio::test]
async fn an_unknown_parameter_is_a_mistake() {
    let bank = Bank::new().await;
    for query in ["dryrun=true", "dryrun=true&dry_run=true", "x", "Dry_Run=true"] {
        let answer = post(&bank, "ada", "one", &format!("/v1/payments?{query}"), &order(&bank, "1.00")).await;
        assert_eq!((answer.status, answer.slug().as_str()), (400, "invalid-request"), "{query}: {}", answer.text());
    }
    let answer = post(&bank, "ada", "one", "/v1/payments?dryrun=true", &order(&bank, "1.00")).await;
    assert_eq!(answer.json()["errors"][0]["field"], "dryrun");
    assert_eq!(posted(&bank, "ada", &bank.ada).await, "100.00");
    // What asked for a dry run once is told apart, wherever something would be done.
    for (who, path) in [
        ("ada", "/v1/payments?%64ry_run=true"),
        ("operator", "/v1/clock/confirm?dry_run=true"),
        ("ada", "/v1/sign-out?dry_run=false"),
    ] {
        let answer = post(&bank, who, "one", path, &order(&bank, "1.00")).await;
        assert_eq!((answer.status, answer.slug().as_str()), (422, "no-dry-run"), "{path}: {}", answer.text());
        assert_eq!(answer.json()["errors"][0]["field"], "dry_run");
    }
    let account = format!("/v1/accounts/{}", bank.ada);
    assert_eq!(bank.get("ada", &format!("{account}?x=1")).await.status, 400);
    assert_eq!(bank.get("ada", &account).await.status, 200);
    // Who comes from elsewhere to a page may bring what they like.
    assert_eq!(bank.get("ada", "/docs?from=elsewhere").await.status, 200);
}

#[tokio::test]
async fn a_dry_run_tells_and_does_nothing() {
    let bank = Bank::new().await;
    let dry = |path: &str| format!("{path}/dry-run");
    let would = post(&bank, "ada", "one", &dry("/v1/payments"), &order(&bank, "100.00")).await;
    let told = would.json();
    assert_eq!(
        (would.status, &told["dry_run"], &told["amount"]),
        (200, &json!(true), &json!("100.00")),
        "{}",
        would.text()
    );
    assert_eq!((&told["id"], would.header("location")), (&Value::Null, ""));
    for (who, body, slug) in [
        ("ada", order(&bank, "100.01"), "insufficient-funds"),
        ("stranger", order(&bank, "1.00"), "no-right"),
        ("auditor", order(&bank, "1.00"), "not-allowed"),
        (
            "ada",
            json!({"from": bank.ada, "to": bank.unopened(), "amount": "1.00", "currency": "EUR"}),
            "unknown-account",
        ),
    ] {
        let answer = post(&bank, who, "refused", &dry("/v1/payments"), &body).await;
        assert_eq!(answer.slug(), slug, "{}", answer.text());
        assert_eq!(answer.header("idempotency-replayed"), "");
    }
    assert_eq!(posted(&bank, "ada", &bank.ada).await, "100.00");
    // The keys were not used up; from now on the first is.
    let paid = post(&bank, "ada", "one", "/v1/payments", &order(&bank, "60.00")).await;
    assert_eq!(paid.status, 201, "{}", paid.text());
    // A key that comes along is not looked at: what is told is what would become of the request as a new one.
    let again = post(&bank, "ada", "one", &dry("/v1/payments"), &order(&bank, "40.01")).await;
    assert_eq!((again.slug().as_str(), again.header("idempotency-replayed")), ("insufficient-funds", ""));
    let keyless = Call::new("POST", &dry("/v1/payments")).by(&bank, "ada").json(&order(&bank, "40.00"));
    assert_eq!(bank.send(keyless).await.status, 200);
    assert_eq!(post(&bank, "ada", "refused", "/v1/payments", &order(&bank, "1.00")).await.status, 201);

    // Whatever moves or reserves money has one.
    let mut hold = order(&bank, "5.00");
    hold["expires_at"] = json!("2027-01-01T00:00:00Z");
    let would = post(&bank, "ada", "hold", &dry("/v1/holds"), &hold).await;
    assert_eq!((would.status, &would.json()["dry_run"], &would.json()["status"]), (200, &json!(true), &json!("open")));
    let held = post(&bank, "ada", "hold", "/v1/holds", &hold).await;
    let captures = format!("{}/captures", held.header("location"));
    let refunds = format!("{}/refunds", paid.header("location"));
    let reversal = format!("{}/reversal", paid.header("location"));
    let cash = json!({"account": bank.bo, "amount": "1.00", "currency": "EUR"});
    let before = bank.get("auditor", "/v1/trial-balance").await.json()["currencies"].clone();
    for (who, path, body) in [
        ("bo", captures.as_str(), json!({})),
        ("bo", &refunds, json!({})),
        ("operator", &reversal, json!({})),
        ("operator", "/v1/deposits", cash.clone()),
        ("operator", "/v1/withdrawals", cash),
    ] {
        let would = post(&bank, who, "dry", &dry(path), &body).await;
        assert_eq!((would.status, &would.json()["dry_run"]), (200, &json!(true)), "{path}: {}", would.text());
    }
    assert_eq!(bank.get("auditor", "/v1/trial-balance").await.json()["currencies"], before);
    // Whatever else is not done by mistake, either.
    for (who, path, body) in [
        ("operator", "/v1/customers", json!({"name": "Carl"})),
        ("operator", "/v1/accounts", json!({"currency": "EUR"})),
        ("bo", &format!("{}/void", held.header("location")), json!({})),
    ] {
        let answer = post(&bank, who, "no", &format!("{path}?dry_run=true"), &body).await;
        assert_eq!((answer.slug().as_str(), &answer.json()["errors"][0]["field"]), ("no-dry-run", &json!("dry_run")));
    }
}

#[tokio::test]
async fn a_payment_is_found_by_its_key() {
    let bank = Bank::new().await;
    let paid = post(&bank, "ada", "a/b?c", "/v1/payments", &order(&bank, "1.00")).await;
    let found = bank.get("ada", "/v1/payments/by-key/a%2Fb%3Fc").await;
    assert_eq!((found.status, found.json()), (200, paid.json()), "{}", found.text());
    let poor = post(&bank, "ada", "poor", "/v1/payments", &order(&bank, "99.01")).await;
    for no_key in ["poor%001", "%00", "a%20b", &"x".repeat(300)] {
        for address in ["/v1/payments/by-key", "/v1/batches"] {
            let slug = bank.get("ada", &format!("{address}/{no_key}")).await.slug();
            assert!(slug.starts_with("unknown-"), "{address}/{no_key}: {slug}");
        }
    }
    let found = bank.get("ada", "/v1/payments/by-key/poor").await;
    assert_eq!((found.status, found.json(), found.header("idempotency-replayed")), (422, poor.json(), "true"));
    // A key is its user's own, and of a payment.
    for (who, key) in [("bo", "a%2Fb%3Fc"), ("operator", "poor"), ("ada", "never")] {
        assert_eq!(bank.get(who, &format!("/v1/payments/by-key/{key}")).await.slug(), "unknown-payment", "{who} {key}");
    }
    post(&bank, "operator", "customer", "/v1/customers", &json!({"name": "Carl"})).await;
    let user = json!({"name": "ada", "password": "a long password", "role": "auditor"});
    assert_eq!(post(&bank, "operator", "user", "/v1/users", &user).await.slug(), "name-taken");
    for key in ["customer", "user"] {
        let found = bank.get("operator", &format!("/v1/payments/by-key/{key}")).await;
        assert_eq!(found.slug(), "unknown-payment", "{key}");
    }
    // Cash is brought and undone by payments, too.
    for (key, path, body, slug) in [
        ("cash", "/v1/deposits", json!({"account": bank.ada, "amount": "1.00", "currency": "USD"}), "no-cash-account"),
        (
            "undo",
            &format!("{}/refunds", paid.header("location")),
            json!({"amount": "2.00", "currency": "EUR"}),
            "refund-exceeds-payment",
        ),
    ] {
        assert_eq!(post(&bank, "operator", key, path, &body).await.slug(), slug);
        assert_eq!(bank.get("operator", &format!("/v1/payments/by-key/{key}")).await.slug(), slug);
    }
}

#[tokio::test]
async fn payments_are_listed() {
    let bank = Bank::new().await;
    for (cents, text) in [(1, "Rent"), (2, "rent again"), (3, "")] {
        bank.pay("ada", &format!("{cents}.00"), text).await;
        bank.let_time_pass_ms(1);
    }
    let stranger = bank.open_account("operator", &json!({"currency": "EUR", "owner": 3})).await;
    bank.deposit(&stranger, "7.00").await;
    let amounts = |answer: Answer| {
        let payments = answer.json()["payments"].as_array().unwrap_or_else(|| panic!("{}", answer.text())).clone();
        payments.iter().map(|payment| payment["amount"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let (ada, bo) = (&bank.ada, &bank.bo);
    for (who, query, expected) in [
        ("ada", String::new(), "3.00 2.00 1.00 100.00"),
        ("bo", String::new(), "3.00 2.00 1.00"),
        ("stranger", String::new(), "7.00"),
        ("auditor", String::new(), "7.00 3.00 2.00 1.00 100.00"),
        ("operator", format!("account={ada}"), "3.00 2.00 1.00 100.00"),
        ("operator", format!("account={ada}&counterparty={bo}"), "3.00 2.00 1.00"),
        ("ada", format!("counterparty={stranger}"), ""),
        ("ada", format!("counterparty={}", bank.unopened()), ""),
        ("ada", "text=RENT".into(), "2.00 1.00"),
        ("ada", "purpose=deposit".into(), "100.00"),
        ("ada", "currency=EUR&min_amount=2.00&max_amount=3.00".into(), "3.00 2.00"),
        ("ada", "currency=EUR&min_amount=2.01".into(), "3.00 100.00"),
        ("ada", "currency=USD".into(), ""),
        ("ada", "from=2026-11-21&to=2026-11-21".into(), "3.00 2.00 1.00 100.00"),
        ("ada", "to=2026-11-20".into(), ""),
        ("ada", "from=2026-11-22".into(), ""),
        ("ada", "limit=2".into(), "3.00 2.00"),
    ] {
        let answer = bank.get(who, &format!("/v1/payments?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(amounts(answer), expected, "{who} {query}");
    }
    // Page by page it is the same list.
    for who in ["ada", "auditor"] {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = bank.get(who, &format!("/v1/payments?limit=1{cursor}")).await;
            let next = answer.json()["next_cursor"].clone();
            all.push(amounts(answer));
            let Some(next) = next.as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        all.retain(|page| !page.is_empty());
        assert_eq!(all.join(" "), amounts(bank.get(who, "/v1/payments").await), "{who}");
    }
    for (who, query, slug) in [
        ("bo", format!("account={ada}"), "no-right"),
        ("ada", format!("account={}", bank.unopened()), "unknown-account"),
        ("ada", "account=AT00".into(), "invalid-iban"),
        ("ada", "cursor=1".into(), "invalid-request"),
        ("ada", format!("cursor={}", "0".repeat(32)), "unknown-cursor"),
        ("ada", "min_amount=1.00".into(), "amount-incomplete"),
        ("ada", "currency=EUR&min_amount=-1.00".into(), "invalid-amount"),
        ("ada", "from=2026-11-22&to=2026-11-21".into(), "period-backwards"),
        ("ada", "purpose=fun".into(), "invalid-request"),
        ("ada", "limit=501".into(), "invalid-request"),
        ("ada", "colour=red".into(), "invalid-request"),
    ] {
        let answer = bank.get(who, &format!("/v1/payments?{query}")).await;
        assert_eq!(answer.slug(), slug, "{query}: {}", answer.text());
    }
}

/// With rights on a hundred accounts all payments are in one list; with more an account has to be named.
#[tokio::test]
async fn a_list_of_many_accounts_needs_one_named() {
    let bank = Bank::new().await;
    let mut last = String::new();
    for _ in 1..engine::MAX_MERGED {
        last = bank.open_account("operator", &json!({"currency": "EUR", "owner": 1})).await;
    }
    bank.deposit(&last, "1.00").await;
    assert_eq!(bank.get("ada", "/v1/payments").await.json()["payments"][0]["to"], json!(last));
    bank.open_account("operator", &json!({"currency": "EUR", "owner": 1})).await;
    let refused = bank.get("ada", "/v1/payments").await;
    assert_eq!(
        (refused.slug().as_str(), &refused.json()["errors"][0]["field"]),
        ("account-not-named", &json!("account"))
    );
    assert_eq!(bank.get("ada", &format!("/v1/payments?account={last}")).await.status, 200);
}

#[tokio::test]
async fn an_account_is_named_by_its_owner() {
    let bank = Bank::new().await;
    let path = format!("/v1/accounts/{}/name", bank.ada);
    let put = |who: &'static str, key: String, body: Value| {
        let call = Call::new("PUT", &path).by(&bank, who).key(&key).json(&body);
        bank.send(call)
    };
    let named = put("ada", "name".into(), json!({"name": "Rent & food"})).await;
    assert_eq!((named.status, named.json()), (200, json!({"name": "Rent & food"})), "{}", named.text());
    let shown = |who: &'static str| bank.get(who, &path[..path.len() - "/name".len()]);
    assert_eq!(shown("reader").await.json()["name"], "Rent & food");
    for (who, slug) in
        [("sig", "owners-only"), ("reader", "owners-only"), ("bo", "no-right"), ("auditor", "not-allowed")]
    {
        assert_eq!(put(who, bank.fresh_key(), json!({"name": "Mine"})).await.slug(), slug, "{who}");
    }
    // Null takes the name away; nothing does not.
    assert_eq!(put("ada", bank.fresh_key(), json!({})).await.slug(), "invalid-request");
    assert_eq!(shown("ada").await.json()["name"], "Rent & food");
    assert_eq!(put("operator", bank.fresh_key(), json!({"name": null})).await.json(), json!({"name": null}));
    assert_eq!(shown("ada").await.json()["name"], Value::Null);
    let again = put("ada", "name".into(), json!({"name": "Rent & food"})).await;
    assert_eq!((again.status, again.json(), again.header("idempotency-replayed")), (200, named.json(), "true"));
    assert_eq!(shown("ada").await.json()["name"], Value::Null, "a retry changes nothing");
    assert_eq!(put("ada", bank.fresh_key(), json!({"name": "x".repeat(141)})).await.slug(), "invalid-request");

    // An owner sees the rights on the account; others don't.
    let rights = format!("/v1/accounts/{}/rights", bank.ada);
    for (who, slug) in [("ada", ""), ("operator", ""), ("auditor", ""), ("sig", "owners-only"), ("bo", "no-right")] {
        assert_eq!(bank.get(who, &rights).await.slug(), slug, "{who}");
    }
    assert_eq!(bank.get("ada", &rights).await.json()["rights"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_balance_is_told_day_by_day() {
    let mut bank = Bank::new().await;
    const DAY_MS: i64 = 24 * 60 * 60_000;
    bank.pay("ada", "1.00", "").await;
    bank.let_time_pass_ms(2 * DAY_MS);
    bank.sign_in_again("ada").await;
    bank.pay("ada", "2.00", "").await;
    let series = |query: &str| format!("/v1/accounts/{}/balances?{query}", bank.ada);
    let told = bank.get("ada", &series("from=2026-11-20&to=2026-11-23")).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let point = |day: &str, balance: &str| json!({"day": day, "balance": balance});
    assert_eq!(
        told.json()["balances"],
        json!([
            point("2026-11-20", "0.00"),
            point("2026-11-21", "99.00"),
            point("2026-11-22", "99.00"),
            point("2026-11-23", "97.00"),
        ])
    );
    let told = bank.get("ada", &series("from=2026-10-01&to=2026-11-22&every=month")).await;
    assert_eq!(told.json()["balances"], json!([point("2026-10-31", "0.00"), point("2026-11-22", "99.00")]));
    for (who, query, slug) in [
        ("ada", "from=2026-11-20&to=2026-11-24", "period-ahead"),
        ("ada", "from=2026-11-20&to=2026-11-19", "period-backwards"),
        ("ada", "from=2025-11-22&to=2026-11-23", "too-many-points"),
        ("ada", "from=2025-11-23&to=2026-11-23", ""),
        ("ada", "from=2026-11-20", "invalid-request"),
        ("ada", "from=2026-11-20&to=2026-11-20&every=year", "invalid-request"),
        ("stranger", "from=2026-11-20&to=2026-11-20", "not-signed-in"),
    ] {
        assert_eq!(bank.get(who, &series(query)).await.slug(), slug, "{query}");
    }
}
