//! The description itself: that it is whole, so that a route which is not described in full is told.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bank_under_test::{Bank, Call};
use crate::conformance::DESCRIPTION;
use crate::schema::{mistakes, resolve};

/// Every operation, with where it is.
fn operations() -> Vec<(String, &'static Value)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    all.collect()
}

fn is_said(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn resolved(schema: &'static Value) -> &'static Value {
    schema["$ref"].as_str().map_or(schema, |reference| resolve(&DESCRIPTION, reference))
}

#[tokio::test]
async fn it_is_served_and_the_same_each_time() {
    let bank = Bank::new().await;
    let served = bank.send(Call::new("GET", "/openapi.json")).await;
    assert_eq!(served.text(), api::openapi().to_string());
    assert_eq!(served.text(), DESCRIPTION.to_string());
}

#[test]
fn every_operation_is_described_in_full() {
    let mut missing = Vec::new();
    let mut ids = BTreeSet::new();
    let tags: Vec<_> = DESCRIPTION["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (place, operation) in operations() {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                missing.push(format!("{place}: {what}"));
            }
        };
        for (word, said) in operation.as_object().unwrap() {
            must(!said.is_null(), &format!("something in place of null for {word}"));
        }
        must(ids.insert(operation["operationId"].as_str().unwrap_or_default()), "an operationId of its own");
        must(is_said(&operation["summary"]), "a summary: the first paragraph of the handler's comment");
        must(is_said(&operation["description"]), "a description: a second paragraph of the handler's comment");
        let tag = operation["tags"].as_array().filter(|own| own.len() == 1 && tags.contains(&&own[0]));
        must(tag.is_some(), "one tag, which is described in description.rs");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = &parameter["name"];
            must(is_said(&parameter["description"]), &format!("a description of {name}"));
            for gap in unbounded(&parameter["schema"], name.as_str().unwrap()) {
                must(false, &gap);
            }
            let example = parameter.get("example");
            let wrong = example.map(|example| mistakes(&DESCRIPTION, &parameter["schema"], example));
            must(wrong == Some(vec![]), &format!("an example of {name} that is valid: {wrong:?}"));
        }
        if let Some(body) = operation.get("requestBody") {
            must(body["required"] == true, "a body that is required");
            for (media_type, content) in body["content"].as_object().unwrap() {
                for gap in unbounded(&content["schema"], "the body") {
                    must(false, &gap);
                }
                let wrong = content.get("example").map(|it| mistakes(&DESCRIPTION, &content["schema"], it));
                must(wrong == Some(vec![]), &format!("an example of {media_type} that is valid: {wrong:?}"));
            }
        }
        let responses = operation["responses"].as_object().unwrap();
        must(responses.keys().any(|status| status.starts_with('2')), "an answer that is no refusal");
        for (status, response) in responses {
            must(is_said(&response["description"]), &format!("a description of {status}"));
            must(response["headers"]["Cache-Control"].is_object(), &format!("the headers of {status}"));
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                let examples: Vec<_> = match content["examples"].as_object() {
                    Some(many) => many.values().map(|it| &resolved(it)["value"]).collect(),
                    None => content.get("example").into_iter().collect(),
                };
                must(!examples.is_empty(), &format!("an example of {status} {media_type}"));
                for example in examples {
                    let wrong = mistakes(&DESCRIPTION, &content["schema"], example);
                    must(wrong.is_empty(), &format!("a valid example of {status} {media_type}: {wrong:?}"));
                }
                for gap in undescribed(&content["schema"], status) {
                    must(false, &gap);
                }
            }
        }
    }
    assert!(missing.is_empty(), "Not described yet:\n{}", missing.join("\n"));
}

/// What a request may send without bounds, or without a description.
fn unbounded(schema: &'static Value, place: &str) -> Vec<String> {
    let schema = resolved(schema);
    if let Some(either) = schema["oneOf"].as_array() {
        return either.iter().flat_map(|one| unbounded(one, place)).collect();
    }
    let has = |words: &[&str]| words.iter().any(|word| schema.get(word).is_some());
    let mut gaps = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            gaps.push(format!("{what} of {place}"));
        }
    };
    let is =
        |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|it| it.contains(&json!(kind)));
    if is("string") {
        must(has(&["pattern", "format", "enum", "maxLength"]), "a pattern, format, enum or maxLength");
        must(has(&["maxLength", "format", "enum", "pattern"]), "a maxLength");
    }
    if is("integer") {
        must(has(&["minimum"]) && has(&["maximum"]), "a minimum and a maximum");
    }
    if is("array") {
        must(has(&["maxItems"]), "a maxItems");
        gaps.extend(unbounded(&schema["items"], place));
    } else if is("object") {
        let more = &schema["additionalProperties"];
        must(*more == false || more.is_object(), "additionalProperties: false");
        gaps.extend(
            schema.get("propertyNames").filter(|_| more.is_object()).map_or(Vec::new(), |_| unbounded(more, place)),
        );
        for (name, part) in schema["properties"].as_object().into_iter().flatten() {
            gaps.extend(unbounded(part, name));
            gaps.extend(undescribed_property(part, name));
        }
    }
    gaps
}

/// The properties of an answer without a description.
fn undescribed(schema: &'static Value, place: &str) -> Vec<String> {
    let schema = resolved(schema);
    let mut gaps = Vec::new();
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        gaps.extend(undescribed_property(part, &format!("{name} of {place}")));
        gaps.extend(undescribed(part, name));
        gaps.extend(part.get("items").map(|items| undescribed(items, name)).unwrap_or_default());
    }
    gaps
}

fn undescribed_property(part: &'static Value, name: &str) -> Option<String> {
    let inside = part["oneOf"].as_array().is_some_and(|either| either.iter().any(|it| is_said(&it["description"])));
    let said = is_said(&part["description"]) || inside;
    (!said).then(|| format!("a description of {name}"))
}

#[test]
fn what_it_refers_to_is_there_and_nothing_is_there_for_nothing() {
    let used: BTreeSet<String> = references(&DESCRIPTION).into_iter().collect();
    for reference in &used {
        resolve(&DESCRIPTION, reference);
    }
    for kind in ["schemas", "headers", "examples"] {
        for name in DESCRIPTION["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            // A kind of problem that no operation gives can still be remembered in a journal, and is explained.
            let wanted = used.contains(&reference) || kind == "examples";
            assert!(wanted, "nothing refers to {reference}");
        }
    }
    let tags: BTreeSet<_> = operations().iter().map(|(_, operation)| operation["tags"][0].to_string()).collect();
    assert_eq!(tags.len(), DESCRIPTION["tags"].as_array().unwrap().len(), "each tag has operations");
    let kind = resolved(&DESCRIPTION["components"]["schemas"]["Problem"]["properties"]["type"]);
    for values in ["enum", "x-enum-varnames"] {
        assert_eq!(kind[values].as_array().map(Vec::len), Some(api::slugs().count()));
    }
}

/// OpenAPI has no null but as somebody's value: elsewhere it is a mistake, and strict readers refuse the whole.
#[test]
fn nothing_is_null() {
    fn nulls(value: &Value, at: &str) -> Vec<String> {
        let values = ["example", "examples", "default", "enum", "const", "value"];
        match value {
            Value::Null => vec![at.to_owned()],
            Value::Object(fields) => {
                let parts = fields.iter().filter(|(name, _)| !values.contains(&name.as_str()));
                parts.flat_map(|(name, part)| nulls(part, &format!("{at}/{name}"))).collect()
            }
            Value::Array(items) => items.iter().flat_map(|item| nulls(item, at)).collect(),
            _ => Vec::new(),
        }
    }
    assert_eq!(nulls(&DESCRIPTION, ""), Vec::<String>::new());
}

/// Generators of clients in wide use leave out, can't compile or ask for what is beyond this: no schema narrows another, the
/// values of an enum are strings, no field that may be left out has a default, and each operation has one answer that is no
/// refusal, of one media type.
#[test]
fn generators_of_clients_can_read_it() {
    fn beyond(value: &Value, at: &str) -> Vec<String> {
        match value {
            Value::Object(fields) => {
                let narrows = ["allOf", "anyOf", "not", "const"].into_iter().filter(|word| fields.contains_key(*word));
                let narrows = narrows.map(|word| format!("{at}: {word}"));
                let values = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
                let typed = values.filter(|value| !value.is_string()).map(|value| format!("{at}: the value {value}"));
                let properties = fields.get("properties").and_then(Value::as_object).into_iter().flatten();
                let defaults = properties.filter(|(_, part)| part.get("default").is_some());
                let defaults = defaults.map(|(name, _)| format!("{at}: the default of {name}"));
                let parts =
                    fields.iter().filter(|(name, _)| !["example", "examples", "x-line"].contains(&name.as_str()));
                let within = parts.flat_map(|(name, part)| beyond(part, &format!("{at}/{name}")));
                narrows.chain(typed).chain(defaults).chain(within).collect()
            }
            Value::Array(items) => items.iter().flat_map(|item| beyond(item, at)).collect(),
            _ => Vec::new(),
        }
    }
    assert_eq!(beyond(&DESCRIPTION, ""), Vec::<String>::new());
    for (place, operation) in operations().into_iter().filter(|(place, _)| place.contains("/v1/")) {
        let responses = operation["responses"].as_object().unwrap().iter();
        let good: Vec<_> = responses.filter(|(status, _)| status.starts_with('2')).collect();
        let [(status, answer)] = good[..] else { panic!("{place} has several answers: {good:?}") };
        let media_types = answer["content"].as_object().map_or(0, |content| content.len());
        assert_eq!(media_types, usize::from(status != "204"), "{place} {status}");
    }
}

/// A dry run takes what the request takes, but for the key, and is refused for the same, but for what a key is refused for.
#[test]
fn a_dry_run_is_described_as_what_it_rehearses() {
    let all = operations();
    let slugs = |operation: &Value| -> BTreeSet<String> {
        let responses = operation["responses"].as_object().unwrap().values();
        let examples = responses.filter_map(|it| it["content"]["application/problem+json"]["examples"].as_object());
        examples.flat_map(|examples| examples.keys().cloned()).collect()
    };
    let mut count = 0;
    for (place, dry) in &all {
        let Some(path) = place.strip_suffix("/dry-run") else { continue };
        count += 1;
        let (_, real) = all.iter().find(|(place, _)| place == path).unwrap_or_else(|| panic!("{path} is there"));
        assert_eq!(dry["operationId"], json!(format!("{}_dry_run", real["operationId"].as_str().unwrap())));
        assert_eq!(dry["requestBody"], real["requestBody"], "{place}");
        let of_key = |it: &&Value| it["name"] != "Idempotency-Key";
        let taken: Vec<_> = real["parameters"].as_array().unwrap().iter().filter(of_key).collect();
        assert_eq!(dry["parameters"].as_array().into_iter().flatten().collect::<Vec<_>>(), taken, "{place}");
        let of_keys = ["idempotency-key-missing", "idempotency-key-invalid", "key-reused"].map(str::to_owned);
        assert_eq!(&slugs(real) - &slugs(dry), BTreeSet::from(of_keys), "{place}");
        assert_eq!(&slugs(dry) - &slugs(real), BTreeSet::new(), "{place}");
    }
    assert_eq!(count, 8, "whatever moves or reserves money by one request has one");
}

/// Every `$ref` in a description.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            fields.values().flat_map(references).chain(own).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Each link leads to an operation that takes the parameters which it gives, from fields that are there.
#[test]
fn links_lead_somewhere() {
    let all = operations();
    let mut count = 0;
    for (place, operation) in &all {
        for (_, response) in operation["responses"].as_object().unwrap() {
            for (name, link) in response["links"].as_object().into_iter().flatten() {
                count += 1;
                let target = all.iter().find(|(_, operation)| operation["operationId"] == link["operationId"]);
                let (_, target) = target.unwrap_or_else(|| panic!("{place} {name}: no such operation"));
                let taken = target["parameters"].as_array().unwrap();
                for (parameter, from) in link["parameters"].as_object().unwrap() {
                    assert!(taken.iter().any(|it| it["name"] == *parameter), "{place} {name}: {parameter}");
                    if let Some(field) = from.as_str().unwrap().strip_prefix("$response.body#/") {
                        let body = resolved(&response["content"]["application/json"]["schema"]);
                        assert!(body["properties"][field].is_object(), "{place} {name}: {field}");
                    }
                }
            }
        }
    }
    assert!(count > 20, "there are links at all");
}

#[tokio::test]
async fn every_operation_is_there_and_asks_for_what_it_says() {
    let bank = Bank::new().await;
    for (place, operation) in operations() {
        let (method, path) = place.split_once(' ').unwrap();
        let writes = path.starts_with("/v1") && method != "GET";
        let keyless = ["/v1/sign-in", "/v1/sign-out", "/v1/clock/confirm"].contains(&path);
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let keyed = parameters.iter().any(|one| one["name"] == "Idempotency-Key" && one["required"] == true);
        assert_eq!(keyed, writes && !keyless && !path.ends_with("/dry-run"), "{place}");
        let open = operation["security"] == json!([{}]);
        assert_eq!(open, !path.starts_with("/v1") || path == "/v1/sign-in", "{place}");
        // Whatever is answered without a token, it is not that there is nothing or not that method.
        let mut address = path.to_owned();
        for parameter in &parameters {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            address = address.replace(&name, &parameter["example"].to_string().replace('"', ""));
        }
        let answer = bank.send(Call::new(method, &address)).await;
        if open {
            assert!(!["not-found", "method-not-allowed"].contains(&answer.slug().as_str()), "{place}");
        } else {
            assert_eq!((answer.status, answer.slug().as_str()), (401, "not-signed-in"), "{place}");
        }
    }
}

/// On both sides of each bound: sending compares what is answered with what the description calls valid.
#[tokio::test]
async fn what_is_valid_is_taken_and_what_is_not_is_refused() {
    let bank = Bank::new().await;
    let spaced =
        bank.ada.as_bytes().chunks(4).map(|part| std::str::from_utf8(part).unwrap()).collect::<Vec<_>>().join(" ");
    let typed = format!("{} ", spaced.to_lowercase());
    let pay = |field: &str, value: Value| {
        let mut body = json!({"from": bank.ada, "to": bank.bo, "amount": "0.01", "currency": "EUR"});
        body[field] = value;
        ("ada", "/v1/payments", body)
    };
    let open = |field: &str, value: Value| {
        let mut body = json!({"currency": "EUR"});
        body[field] = value;
        ("operator", "/v1/accounts", body)
    };
    for ((who, path, body), status) in [
        (pay("from", json!(typed)), 201),
        (pay("from", json!(format!("{typed} "))), 422),
        (pay("from", json!(format!(" {typed}"))), 422),
        (pay("from", json!(format!("{}\u{a0}", bank.ada))), 422),
        (pay("from", json!("AT000000000000000000")), 422),
        (pay("amount", json!(format!("{:0>32}", "0.01"))), 201),
        (pay("amount", json!(format!("{:0>33}", "0.01"))), 422),
        (pay("amount", json!("-0")), 422),
        (pay("amount", json!(".5")), 422),
        (pay("amount", json!("1.")), 422),
        (pay("amount", json!("+1")), 422),
        (pay("amount", json!("٣")), 422),
        (pay("amount", json!("92233720368547758.08")), 422),
        (pay("currency", json!("XXX")), 422),
        (pay("currency", json!("eur")), 422),
        (pay("text", Value::Null), 201),
        (pay("text", json!("x".repeat(140))), 201),
        (pay("text", json!(" ".repeat(141))), 400),
        (pay("text", json!(format!("x{}", " ".repeat(140)))), 400),
        (pay("text", json!("\u{3000}\u{a0} ")), 400),
        (pay("text", json!(" x ")), 201),
        (pay("text", json!("x\n")), 400),
        (pay("text", json!("\u{85}x")), 400),
        (pay("text", json!("\u{feff}")), 201),
        (pay("text", json!("")), 400),
        (open("number", json!(0)), 400),
        (open("number", json!(i64::MAX)), 409),
        (open("number", json!(i64::MAX as u64 + 1)), 400),
        (open("number", json!(u64::MAX)), 400),
        (open("number", json!(-1)), 400),
        (open("number", json!(4711.0)), 201),
        (open("number", json!(4711.5)), 400),
        (open("number", json!("4712")), 400),
        (open("owner", json!(1.0)), 201),
        (open("owner", json!(0)), 422),
        (open("owner", json!(1.0)), 201),
        (open("owner", json!(1.5)), 400),
        (open("owner", json!(u32::MAX)), 422),
        (open("owner", json!(u64::from(u32::MAX) + 1)), 400),
        (open("overdraft", json!("unlimited")), 201),
        (open("overdraft", json!("UNLIMITED")), 422),
        (open("kind", Value::Null), 201),
        (open("kind", json!("Asset")), 400),
        (open("cash", json!("false")), 400),
    ] {
        let call = Call::new("POST", path).by(&bank, who).key(&bank.fresh_key()).json(&body);
        let answer = bank.send(call).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let account = format!("/v1/accounts/{}", bank.ada);
    for (path, status) in [
        ("/v1/customers/1", 200),
        ("/v1/customers/0", 404),
        ("/v1/customers/+1", 404),
        ("/v1/customers/%2B1", 404),
        ("/v1/customers?limit=%2B5", 400),
        ("/v1/customers?limit=", 400),
        ("/v1/customers?limit=65536", 400),
        ("/v1/customers?cursor=0", 200),
        ("/v1/customers?cursor=10000000000000000000", 400),
        ("/v1/customers?cursor=-1", 400),
        ("/v1/customers?cursor=%2B1", 400),
        (&format!("/v1/accounts/{}", typed.replace(' ', "%20")), 200),
        (&format!("{account}/balance?at=2026-01-01T00:00:00Z"), 200),
        (&format!("{account}/balance?at=2026-01-01t00:00:00.5%2B01:00"), 200),
        (&format!("{account}/balance?at=2026-01-01+00:00:00Z"), 400),
        (&format!("{account}/balance?at=2026-01-01T00:00Z"), 400),
        (&format!("{account}/balance?at=9999-12-31T23:59:59Z"), 200),
        (&format!("{account}/balance?at=0000-01-01T00:00:00Z"), 200),
        (&format!("{account}/statement?from=0000-01-01&to=9999-12-31"), 200),
        (&format!("{account}/statement?from=2026-W01-1&to=2026-12-31"), 400),
        (&format!("{account}/statement?from=2026-01-01&to=2026-12-31&format=csv"), 400),
        (&format!("{account}/statement.csv?from=2026-01-01&to=2026-12-31"), 200),
        (&format!("{account}/entries?min_amount=-0"), 200),
        (&format!("{account}/entries?counterparty={}", "A".repeat(43)), 422),
    ] {
        let answer = bank.get("operator", path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
}
