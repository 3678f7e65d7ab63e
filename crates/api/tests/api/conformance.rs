//! Every answer that a test gets is compared with the description: its status, its kind of problem, its content, its
//! headers. And what the description calls a valid request must not be refused as malformed, what it calls invalid must
//! be refused. So every test of the interface is a test of its description.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::bank_under_test::{Answer, Call};
use crate::schema::{mistakes, resolve};

/// The description of the interface.
pub(crate) static DESCRIPTION: LazyLock<Value> = LazyLock::new(api::openapi);

/// Headers that every answer may have, as the introduction of the description says.
const EVERYWHERE: &[&str] = &[
    "content-type",
    "content-length",
    "content-security-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
];

/// The media type of batches.
const LINES: &str = "application/x-ndjson";

/// What a request may be refused for before its address is looked at.
const AT_THE_DOOR: [&str; 5] = ["invalid-host", "address-too-long", "too-many-headers", "rate-limited", "busy"];

/// Compares an answer with the description.
pub(crate) fn check(call: &Call, answer: &Answer) {
    let said = format!("{} {}\n{}\n→ {} {}", call.method, call.path, call.body, answer.status, answer.text());
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let Some((item, named)) = route(path) else {
        let slug = answer.slug();
        let told = slug == "not-found" || AT_THE_DOOR.contains(&slug.as_str());
        assert!(told, "{said}\nThere is no such address");
        return;
    };
    let Some(operation) = item.get(call.method.to_lowercase()) else {
        assert_eq!((answer.status, answer.slug().as_str()), (405, "method-not-allowed"), "{said}\nNo such method");
        let methods = item.as_object().unwrap().keys();
        let allowed: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        methods.for_each(|method| assert!(allowed.contains(&method.to_uppercase().as_str()), "{said}\nAllow"));
        return;
    };
    let wrong = mistakes_in_answer(operation, answer);
    assert!(wrong.is_empty(), "The description says something else:\n{said}\n{wrong:#?}");
    if operation["requestBody"]["content"].get(LINES).is_some() {
        // Its lines are told one by one, and not by the answer's status.
        return;
    }
    let wrong = mistakes_in_request(operation, &named, query, call);
    if wrong.is_empty() {
        let malformed = [400, 415].contains(&answer.status) || (answer.status == 413 && call.body.len() < 1 << 16);
        assert!(!malformed, "The description calls this request valid:\n{said}");
    } else {
        assert!(answer.status >= 400, "The description calls this request invalid:\n{said}\n{wrong:#?}");
    }
}

/// The path of the description that an address is of, and what its parameters are.
fn route(path: &str) -> Option<(&'static Value, Vec<(String, String)>)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let found = paths.iter().filter_map(|(template, item)| Some((item, parameters(template, path)?)));
    // The one with the fewest parameters is the most exact.
    found.min_by_key(|(_, named)| named.len())
}

fn parameters(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (templates, parts) = (template.split('/'), path.split('/'));
    if templates.clone().count() != parts.clone().count() {
        return None;
    }
    let mut named = Vec::new();
    for (template, part) in templates.zip(parts) {
        match template.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(_) if part.is_empty() => return None,
            Some(name) => named.push((name.to_owned(), decoded(part))),
            None if template != part => return None,
            None => {}
        }
    }
    Some(named)
}

/// What stands for something else in an address, as it is meant; what is not UTF-8 stays as it is.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]).1,
            None => (bytes.push(*first), rest = after).1,
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

fn mistakes_in_answer(operation: &Value, answer: &Answer) -> Vec<String> {
    let Some(response) = operation["responses"].get(answer.status.to_string()) else {
        return vec![format!("{} is not described", answer.status)];
    };
    let mut wrong = Vec::new();
    let described = response["headers"].as_object().cloned().unwrap_or_default();
    let is_described = |name: &str| described.keys().any(|known| known.eq_ignore_ascii_case(name));
    for name in answer.headers.keys().filter(|name| !EVERYWHERE.contains(&name.as_str())) {
        if !is_described(name.as_str()) {
            wrong.push(format!("the header {name} is not described"));
        }
    }
    for name in ["Location", "WWW-Authenticate", "Cache-Control", "Vary"] {
        if is_described(name) && answer.header(name).is_empty() {
            wrong.push(format!("the header {name} is described, and not there"));
        }
    }
    let Some(contents) = response["content"].as_object() else {
        if !answer.body.is_empty() {
            wrong.push("the body is not described".to_owned());
        }
        return wrong;
    };
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
    let Some(content) = contents.get(&media_type) else {
        wrong.push(format!("the content type {media_type} is not described"));
        return wrong;
    };
    let body = if media_type.ends_with("json") && media_type != LINES { answer.json() } else { answer.text().into() };
    wrong.extend(mistakes(&DESCRIPTION, &content["schema"], &body));
    if media_type == "application/problem+json" {
        wrong.extend(mistakes_in_problem(content, answer));
    }
    if media_type == LINES {
        let line = &resolve(&DESCRIPTION, content["schema"]["$ref"].as_str().unwrap())["x-line"];
        let parsed = body.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap());
        wrong.extend(parsed.flat_map(|value: Value| mistakes(&DESCRIPTION, line, &value)).take(10));
    }
    wrong
}

/// A problem is of one of the kinds that are described for its operation and status, which are those of the examples.
fn mistakes_in_problem(content: &Value, answer: &Answer) -> Vec<String> {
    let mut wrong = Vec::new();
    if content["examples"].get(answer.slug()).is_none() {
        wrong.push(format!("the kind {} is not described", answer.slug()));
    }
    if answer.json()["status"] != answer.status {
        wrong.push(format!("the document tells another status than {}", answer.status));
    }
    wrong
}

fn mistakes_in_request(operation: &Value, named: &[(String, String)], query: &str, call: &Call) -> Vec<String> {
    let mut wrong = Vec::new();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let asked: Vec<_> = pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect();
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in &parameters {
        let name = parameter["name"].as_str().unwrap();
        let given = match parameter["in"].as_str().unwrap() {
            "path" => named.iter().find(|(known, _)| known == name),
            "query" => asked.iter().find(|(known, _)| known == name),
            "header" => call.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)),
            other => panic!("parameters in {other} are not known here"),
        };
        match given {
            Some((_, value)) => {
                let value = typed(&parameter["schema"], value);
                wrong.extend(mistakes(&DESCRIPTION, &parameter["schema"], &value));
            }
            None if parameter["required"] == true => wrong.push(format!("{name} is missing")),
            None => {}
        }
    }
    let queries: Vec<_> = parameters.iter().filter(|it| it["in"] == "query").map(|it| &it["name"]).collect();
    if call.path.starts_with("/v1/") {
        let unknown = asked.iter().filter(|(name, _)| !queries.iter().any(|known| *known == name));
        unknown.for_each(|(name, _)| wrong.push(format!("{name} is not known")));
    }
    if let Some(body) = operation.get("requestBody") {
        wrong.extend(mistakes_in_body(body, call));
    }
    wrong
}

fn mistakes_in_body(described: &Value, call: &Call) -> Vec<String> {
    let header = call.headers.iter().find(|(name, _)| name == "content-type");
    let media_type = header.map_or("", |(_, value)| value.split(';').next().unwrap_or_default());
    let Some(content) = described["content"].get(media_type) else { return vec![format!("content type {media_type}")] };
    match serde_json::from_str::<Value>(&call.body) {
        Ok(body) => mistakes(&DESCRIPTION, &content["schema"], &body),
        Err(error) => vec![error.to_string()],
    }
}

/// A parameter's text as the type that its schema asks for.
fn typed(schema: &Value, text: &str) -> Value {
    let schema = schema["$ref"].as_str().map_or(schema, |reference| resolve(&DESCRIPTION, reference));
    if schema["type"] == "boolean"
        && let Ok(truth) = text.parse::<bool>()
    {
        return truth.into();
    }
    let number = text.parse::<u64>().ok().filter(|_| schema["type"] == "integer" && !text.starts_with('+'));
    number.map_or_else(|| json!(text), |number| json!(number))
}

#[test]
fn an_answer_that_is_not_described_is_told() {
    let operation = &DESCRIPTION["paths"]["/v1/me"]["get"];
    let answer = |status: u16, headers: &[(&'static str, &'static str)], body: Value| Answer {
        status,
        headers: headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        body: body.to_string().into_bytes(),
    };
    let json = [("content-type", "application/json"), ("cache-control", "no-store"), ("vary", "Authorization")];
    let problem =
        [("content-type", "application/problem+json"), ("cache-control", "no-store"), ("www-authenticate", "Bearer")];
    let me = json!({ "id": 1, "name": "ada", "role": "auditor", "customer": null });
    let saying = |slug: &str, status: u16| json!({ "type": format!("/problems/{slug}"), "title": "", "status": status, "detail": "" });
    let named = |slug: &str| saying(slug, 401);
    let mut nameless: Map<_, _> = me.as_object().unwrap().clone();
    nameless.remove("name");
    for (answer, count) in [
        (answer(200, &json, me.clone()), 0),
        (answer(200, &json, nameless.into()), 1),
        (answer(200, &[json[0], json[1], json[2], ("x-made-up", "x")], me.clone()), 1),
        (answer(200, &json[1..], me.clone()), 1),
        (answer(200, &json[..1], me.clone()), 2),
        (answer(201, &json, me), 1),
        (answer(401, &problem, named("not-signed-in")), 0),
        (answer(401, &problem, named("wrong-credentials")), 1),
        (answer(401, &problem, named("made-up")), 2),
        (answer(401, &problem, saying("not-signed-in", 403)), 1),
        (answer(401, &problem[..2], named("not-signed-in")), 1),
    ] {
        let found = mistakes_in_answer(operation, &answer);
        assert_eq!(found.len(), count, "{} {}: {found:?}", answer.status, answer.text());
    }
}

#[test]
fn a_request_that_is_not_described_is_told() {
    let payment =
        json!({ "from": "AT049999900000000001", "to": "at47 9999 9000 0000 0003", "amount": "1", "currency": "EUR" });
    let pay = |key: &str, body: &Value| Call::new("POST", "/v1/payments").key(key).json(body);
    let list = |query: &str| Call::new("GET", &format!("/v1/accounts?{query}"));
    let mut long = payment.clone();
    long["text"] = json!("x".repeat(141));
    for (call, count) in [
        (pay("k", &payment), 0),
        (pay("two words", &payment), 1),
        (pay("k", &long), 1),
        (pay("k", &json!({})), 4),
        (pay("k", &payment).body("{"), 1),
        (Call::new("POST", "/v1/payments"), 2),
        (list(""), 0),
        (list("limit=500&cursor=7"), 0),
        (list("limit=501"), 1),
        (list("limit=%2B5"), 1),
        (list("limit=x&cursor=x&offset=1"), 3),
        (Call::new("GET", "/v1/accounts/no_number"), 1),
    ] {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let (item, named) = route(path).unwrap();
        let found = mistakes_in_request(&item[call.method.to_lowercase()], &named, query, &call);
        assert_eq!(found.len(), count, "{call:?}: {found:#?}");
    }
}
