//! JSON Schema, as much of it as the description uses; a word that is not known here is an error, so that nothing goes
//! unchecked.

use std::collections::BTreeMap;
use std::sync::Mutex;

use regex::Regex;
use serde_json::Value;

/// Words that say something to people and not about what is valid.
const NOTES: &[&str] = &[
    "description",
    "example",
    "examples",
    "default",
    "title",
    "deprecated",
    "contentMediaType",
    "x-line",
    "x-events",
    "x-enum-varnames",
];

/// What is wrong with a value, each with its place; nothing if it fits the schema. `document` is where `$ref`s lead.
pub(crate) fn mistakes(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(document, schema, value, "", &mut found);
    found
}

fn look(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(words) = schema.as_object() else { panic!("no schema at {at}: {schema}") };
    let mut wrong = |what: String| found.push(format!("{at}: {what}"));
    for (word, say) in words {
        match word.as_str() {
            "type" if !is_of_type(say, value) => wrong(format!("{value} is not of type {say}")),
            "enum" if !say.as_array().unwrap().contains(value) => wrong(format!("{value} is none of {say}")),
            "const" if say != value => wrong(format!("{value} is not {say}")),
            "format" if !is_of_format(say, value) => wrong(format!("{value} is no {say}")),
            "pattern" if !matches(say, value) => wrong(format!("{value} does not match {say}")),
            "minLength" if characters(value).is_some_and(|count| count < say.as_u64().unwrap()) => {
                wrong(format!("{value} is too short"))
            }
            "maxLength" if characters(value).is_some_and(|count| count > say.as_u64().unwrap()) => {
                wrong(format!("{value} is too long"))
            }
            "minimum" if is_less(value, say) => wrong(format!("{value} is too small")),
            "maximum" if is_less(say, value) => wrong(format!("{value} is too large")),
            "minItems" if value.as_array().is_some_and(|it| (it.len() as u64) < say.as_u64().unwrap()) => {
                wrong("too few".into());
            }
            "maxItems" if value.as_array().is_some_and(|it| (it.len() as u64) > say.as_u64().unwrap()) => {
                wrong("too many".into());
            }
            "required" if value.is_object() => {
                let names = say.as_array().unwrap().iter().filter(|name| value.get(name.as_str().unwrap()).is_none());
                names.for_each(|name| wrong(format!("{name} is missing")));
            }
            "additionalProperties" if say == false => {
                let known = |name: &String| words.get("properties").is_some_and(|them| them.get(name).is_some());
                let names = value.as_object().into_iter().flat_map(|them| them.keys()).filter(|name| !known(name));
                names.for_each(|name| wrong(format!("{name} is not known")));
            }
            "maxProperties" if value.as_object().is_some_and(|it| it.len() as u64 > say.as_u64().unwrap()) => {
                wrong("too many".into());
            }
            "oneOf" => {
                let fits = |one: &&Value| mistakes(document, one, value).is_empty();
                let count = say.as_array().unwrap().iter().filter(fits).count();
                if count != 1 {
                    wrong(format!("{value} is {count} of {say}"));
                }
            }
            "type"
            | "enum"
            | "const"
            | "format"
            | "pattern"
            | "minLength"
            | "maxLength"
            | "minimum"
            | "maximum"
            | "minItems"
            | "maxItems"
            | "required"
            | "additionalProperties"
            | "propertyNames"
            | "maxProperties"
            | "$ref"
            | "allOf"
            | "properties"
            | "items" => {}
            note => assert!(NOTES.contains(&note), "the word {note} at {at} is not known here"),
        }
    }
    if let Some(reference) = schema["$ref"].as_str() {
        look(document, resolve(document, reference), value, at, found);
    }
    for all in schema["allOf"].as_array().into_iter().flatten() {
        look(document, all, value, at, found);
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        if schema["additionalProperties"].is_object() && schema["properties"].get(name).is_none() {
            look(document, &schema["additionalProperties"], value, &format!("{at}.{name}"), found);
        }
        if schema["propertyNames"].is_object() {
            look(document, &schema["propertyNames"], &Value::from(name.as_str()), &format!("{at}, name {name}"), found);
        }
    }
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            look(document, part, value, &format!("{at}/{name}"), found);
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (place, value) in values.iter().enumerate() {
            look(document, items, value, &format!("{at}/{place}"), found);
        }
    }
}

/// What a `$ref` leads to.
pub(crate) fn resolve<'a>(document: &'a Value, reference: &str) -> &'a Value {
    document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn is_of_type(say: &Value, value: &Value) -> bool {
    match say.as_str() {
        None => say.as_array().unwrap().iter().any(|one| is_of_type(one, value)),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64() || value.as_f64().is_some_and(|it| it.fract() == 0.0),
        Some("null") => value.is_null(),
        Some(other) => panic!("the type {other} is not known here"),
    }
}

/// Whether a number is less than another one, exactly: as floats, neighbours beyond 2^53 are the same.
fn is_less(one: &Value, other: &Value) -> bool {
    match (one.as_u64(), other.as_u64()) {
        (Some(one), Some(other)) => one < other,
        _ => one.is_number() && other.is_number() && one.as_f64() < other.as_f64(),
    }
}

fn is_of_format(say: &Value, value: &Value) -> bool {
    let Some(text) = value.as_str() else { return true };
    match say.as_str() {
        Some("date") => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        Some("date-time") => {
            let clock = "([01][0-9]|2[0-3]):[0-5][0-9]";
            let form = format!("^.{{10}}[Tt]{clock}:([0-5][0-9]|60)(\\.[0-9]+)?([Zz]|[+-]{clock})$");
            let day = text.get(..10).is_some_and(|day| is_of_format(&"date".into(), &day.into()));
            day && matches(&form.into(), value)
        }
        Some("password" | "uri-reference" | "int32" | "int64" | "binary") => true,
        other => panic!("the format {other:?} is not known here"),
    }
}

fn characters(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn matches(pattern: &Value, value: &Value) -> bool {
    static MADE: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let Some(text) = value.as_str() else { return true };
    let pattern = pattern.as_str().expect("a pattern is a string");
    let mut made = MADE.lock().unwrap();
    made.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).expect(pattern)).is_match(text)
}

#[test]
fn what_fits_a_schema() {
    use serde_json::json;
    let document = json!({ "name": { "type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]*$" } });
    let schema = json!({
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {
            "name": { "$ref": "#/name", "description": "sibling" },
            "many": { "type": ["array", "null"], "minItems": 1, "maxItems": 2, "items": { "type": "integer", "minimum": 1, "maximum": 3 } },
            "one": { "oneOf": [{ "type": "null" }, { "enum": ["a", "b"] }] },
            "all": { "allOf": [{ "type": "string" }, { "const": "x" }] },
            "day": { "type": "string", "format": "date" },
            "at": { "type": "string", "format": "date-time" },
        },
    });
    let name = |more: Value| {
        let mut value = json!({ "name": "abc" });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    for (value, count) in [
        (name(json!({})), 0),
        (json!({ "name": "a" }), 1),
        (json!({ "name": "abcd" }), 1),
        (json!({ "name": "A1" }), 1),
        (json!({ "name": 1 }), 1),
        (json!({}), 1),
        (json!([]), 1),
        (name(json!({ "more": 1 })), 1),
        (name(json!({ "many": [1, 3] })), 0),
        (name(json!({ "many": [1.0, 2.5] })), 1),
        (name(json!({ "many": null })), 0),
        (name(json!({ "many": [] })), 1),
        (name(json!({ "many": [1, 2, 3] })), 1),
        (name(json!({ "many": [0, 4] })), 2),
        (name(json!({ "many": ["1"] })), 1),
        (name(json!({ "one": null })), 0),
        (name(json!({ "one": "a" })), 0),
        (name(json!({ "one": "c" })), 1),
        (name(json!({ "all": "x" })), 0),
        (name(json!({ "all": "y" })), 1),
        (name(json!({ "day": "2026-11-21", "at": "2026-11-21T20:54:13.123Z" })), 0),
        (name(json!({ "day": "2026-11-31", "at": "2026-11-21 20:54:13Z" })), 2),
    ] {
        let found = mistakes(&document, &schema, &value);
        assert_eq!(found.len(), count, "{value}: {found:?}");
    }
}
