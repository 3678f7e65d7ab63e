//! What a caller is told of a malformed request is in our own words: none of those that the libraries have for programmers
//! gets through. Every operation is walked, with each of its fields and parameters wrong in each way.

use serde_json::{Value, json};
use tower::ServiceExt;

use crate::bank_under_test::{Answer, Bank, Call};
use crate::conformance::DESCRIPTION;

/// What the libraries say.
const THEIRS: [&str; 16] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "invalid digit",
    "expected",
    "missing field",
    "unknown field",
    "unknown variant",
    "duplicate field",
    "at line",
    "EOF while",
    "trailing characters",
    "struct ",
    "deserialize",
    "untagged",
    "`",
];

/// Everything that is said in a problem, or in the lines of a batch.
fn said(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("detail").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| said(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| said(value, found)),
        _ => {}
    }
}

fn look(call: &str, answer: &Answer, wrong: &mut Vec<String>) {
    let mut found = Vec::new();
    for document in serde_json::Deserializer::from_slice(&answer.body).into_iter::<Value>() {
        let Ok(document) = document else { break };
        said(&document, &mut found);
    }
    let theirs = found.iter().filter(|detail| THEIRS.iter().any(|theirs| detail.contains(theirs)));
    wrong.extend(theirs.map(|detail| format!("{call}: {detail}")));
    if answer.status >= 500 {
        wrong.push(format!("{call}: {} {}", answer.status, answer.text()));
    }
}

/// Sends what may be wrong in ways that the description has no words for, such as a field given twice.
async fn send(bank: &Bank, call: &Call) -> Answer {
    Answer::of(bank.router.clone().oneshot(call.request()).await.unwrap()).await
}

/// An object with each of its fields wrong in each way, as texts.
fn spoilt(example: &Value) -> Vec<String> {
    let fields = example.as_object().unwrap();
    let mut bodies = Vec::new();
    for name in fields.keys() {
        for value in [json!(null), json!(true), json!(-1), json!(1.5), json!([]), json!({}), json!([{}]), json!(" ")] {
            let mut body = fields.clone();
            body[name] = value;
            bodies.push(Value::Object(body).to_string());
        }
        let mut body = fields.clone();
        let value = body.remove(name).unwrap();
        let rest = Value::Object(body.clone()).to_string();
        let twice = format!("{{{name:?}:{value},{}", &example.to_string()[1..]);
        body.insert(format!("{name}`, expected one of `x"), value);
        bodies.extend([rest, twice, Value::Object(body).to_string()]);
    }
    let whole = example.to_string();
    let ends = [1, whole.len() / 2, whole.len() - 1].map(|end| whole.get(..end).unwrap_or("{").to_owned());
    bodies.extend(ends);
    bodies.extend(["", "[]", "1", "\"x\"", "{]", "{a:1}", "{\"a\" 1}", "{\"a\":\"\\x\"}", "{} x"].map(str::to_owned));
    bodies.extend([format!("[{whole}]"), format!("{whole} x"), format!("{},}}", &whole[..whole.len() - 1])]);
    bodies.push(format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)));
    bodies
}

#[tokio::test]
async fn no_library_speaks_to_a_caller() {
    let bank = Bank::new().await;
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut calls = Vec::new();
            let here = path.replace("{iban}", &bank.ada).replace("{customer}", "1").replace("{id}", "1");
            let call = |query: &str| {
                let path = format!("{here}{query}").replace("{key}", "k").replace("{slug}", "x").replace("{page}", "x");
                Call::new(&method.to_uppercase(), &path).by(&bank, "operator").key(&bank.fresh_key())
            };
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let example = &content["example"];
                let line = || serde_json::from_str(example.as_str().unwrap().lines().next().unwrap()).unwrap();
                let example: Value = if example.is_object() { example.clone() } else { line() };
                // Passwords that might fit take their time, and are no question of words.
                let hashed = |body: &String| {
                    ["/v1/sign-in", "/v1/users"].contains(&path.as_str())
                        && serde_json::from_str::<Value>(body).is_ok_and(|body| body["password"].is_string())
                };
                let bodies = spoilt(&example).into_iter().filter(|body| !hashed(body));
                calls.extend(bodies.map(|body| call("").header("content-type", media_type).body(&body)));
                calls.push(call("").body("{}"));
            }
            // What streams for ever is not read here.
            let parameters = operation["parameters"].as_array().filter(|_| path != "/v1/events");
            for parameter in parameters.into_iter().flatten().filter(|it| it["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                let values =
                    ["", "x", "-1", "%2B1", "1.5", "99999999999999999999999", "%FF", "a:%20b", "1&limit=1&limit=2"];
                calls.extend(values.map(|value| call(&format!("?{name}={value}"))));
            }
            calls.push(call("?nonsense=1"));
            for call in calls.into_iter().filter(|_| path != "/v1/events") {
                let said = format!("{} {} {}", call.method, call.path, call.body);
                let answer = send(&bank, &call).await;
                look(&said, &answer, &mut wrong);
                asked += 1;
            }
        }
    }
    for key in ["", "two words", "é", &"x".repeat(129)] {
        let call = Call::new("POST", "/v1/customers").by(&bank, "operator").key(key).json(&json!({"name": "x"}));
        look("a key", &send(&bank, &call).await, &mut wrong);
    }
    for query in ["after=x", "types=x", "after=x&after=y", "nonsense=1"] {
        let call = Call::new("GET", &format!("/v1/events?{query}")).by(&bank, "ada");
        look("events", &send(&bank, &call).await, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 1_000, "only {asked}");
}

/// Some as they are told, with the field, what was found, and what would be right.
#[tokio::test]
async fn a_mistake_is_told_with_what_would_be_right() {
    let bank = Bank::new().await;
    let payment = json!({"from": bank.ada, "to": bank.bo, "amount": "1.00", "currency": "EUR"});
    let with = |name: &str, value: Value| {
        let mut body = payment.clone();
        body[name] = value;
        body.to_string()
    };
    let without = |name: &str| {
        let mut body = payment.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    for (body, slug, field, detail) in [
        (with("amount", json!(1)), "invalid-request", "amount", "it must be text, and is a number"),
        (with("text", json!([1])), "invalid-request", "text", "it must be text, and is a list"),
        (with("more", json!({})), "invalid-request", "more", "it must be a list, and is an object"),
        (with("more", json!([{"from": 1}])), "invalid-request", "more[0].from", "it must be text, and is a number"),
        (without("currency"), "invalid-request", "currency", "it is missing"),
        (
            with("memo", json!("x")),
            "invalid-request",
            "memo",
            "there is no such field; there are from, to, amount, currency, text, more, metadata and end_to_end_id",
        ),
        (
            "{\"from\":\"a\",\n,}".into(),
            "malformed-json",
            "",
            "the body is not JSON; in line 2, column 1: a name must be a text in double quotes",
        ),
        ("{\"from\":".into(), "malformed-json", "", "the body is not JSON; in line 1, column 8: it ends too early"),
        ("[]".into(), "invalid-request", "", "the body must be one JSON object"),
    ] {
        let call = Call::new("POST", "/v1/payments").by(&bank, "ada").key(&bank.fresh_key());
        let answer = bank.send(call.header("content-type", "application/json").body(&body)).await;
        let told = answer.json();
        let errors = &told["errors"][0];
        let said = if field.is_empty() { &told["detail"] } else { &errors["detail"] };
        assert_eq!(answer.slug(), slug, "{body}: {}", answer.text());
        assert_eq!((said.as_str().unwrap(), errors["field"].as_str().unwrap_or_default()), (detail, field), "{body}");
    }
    for (query, detail) in [
        ("limit=x", "it must be a whole number of digits"),
        ("limit=99999999999", "the number is too large"),
        (
            "kind=x",
            "it is none of the words that may stand here; they are asset, liability, equity, income and expense",
        ),
    ] {
        let told = bank.get("operator", &format!("/v1/accounts?{query}")).await;
        assert_eq!(told.json()["errors"][0]["detail"], detail, "{query}: {}", told.text());
    }
}
