//! That what works with a version goes on working: the description of today against the released one, by the rules of
//! docs/VERSIONS.md.
//!
//! What is sent may only be taken more freely than before, what is answered may only be told more exactly or with more
//! fields. Whether one pattern takes all that another takes can't be told, so that any other pattern counts as a break.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::conformance::DESCRIPTION;

const RELEASED: &str = include_str!("../../../../docs/openapi/v1.json");

#[test]
fn nothing_that_works_with_the_released_version_breaks() {
    let released: Value = serde_json::from_str(RELEASED).expect("the released description is JSON");
    let breaks = breaks(&released, &DESCRIPTION);
    assert!(breaks.is_empty(), "docs/VERSIONS.md forbids:\n{}", breaks.join("\n"));
}

/// Which way a schema is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Answered,
}

/// The two descriptions, and what was found.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    breaks: Vec<String>,
}

/// What of an old description a new one breaks, each with its place.
fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, breaks: Vec::new() };
    for (path, item) in fields(&old["paths"]) {
        for (method, operation) in fields(item) {
            comparison.operation(&format!("{} {path}", method.to_uppercase()), operation, &new["paths"][path][method]);
        }
    }
    let kinds = |description: &Value| {
        let kind = &description["components"]["schemas"]["Problem"]["properties"]["type"];
        strings(&resolved(description, kind)["enum"])
    };
    for kind in kinds(old).difference(&kinds(new)) {
        comparison.note(kind, "this kind of problem is gone");
    }
    comparison.breaks
}

impl Comparison<'_> {
    fn note(&mut self, at: &str, what: &str) {
        self.breaks.push(format!("{at}: {what}"));
    }

    fn operation(&mut self, at: &str, old: &Value, new: &Value) {
        if new.is_null() {
            return self.note(at, "the operation is gone");
        }
        if old["operationId"] != new["operationId"] {
            self.note(at, "the operationId is another");
        }
        let open = |operation: &Value| operation["security"] == json!([{}]) || operation["security"] == json!([]);
        if open(old) && !open(new) {
            self.note(at, "it asks for a session");
        }
        self.parameters(at, old, new);
        self.body(at, &old["requestBody"], &new["requestBody"]);
        for (status, response) in fields(&old["responses"]) {
            let (at, now) = (format!("{at} {status}"), &new["responses"][status]);
            if now.is_null() {
                self.note(&at, "the status is gone");
            } else if status.starts_with('2') {
                self.answer(&at, response, now);
            }
        }
        for (status, _) in fields(&new["responses"]) {
            if status.starts_with('2') && old["responses"][status].is_null() {
                self.note(&format!("{at} {status}"), "a status that is no refusal is new");
            }
        }
    }

    fn parameters(&mut self, at: &str, old: &Value, new: &Value) {
        let find = |operation: &Value, like: &Value| {
            let same = |it: &&Value| it["name"] == like["name"] && it["in"] == like["in"];
            list(&operation["parameters"]).iter().find(same).cloned()
        };
        for parameter in list(&old["parameters"]) {
            let at = format!("{at} {}", parameter["name"].as_str().unwrap_or_default());
            let Some(now) = find(new, parameter) else {
                self.note(&at, "the parameter is gone");
                continue;
            };
            if now["required"] == true && parameter["required"] != true {
                self.note(&at, "the parameter is required now");
            }
            self.schema(Way::Sent, &at, &parameter["schema"], &now["schema"]);
        }
        for parameter in list(&new["parameters"]) {
            if parameter["required"] == true && find(old, parameter).is_none() {
                self.note(at, &format!("the parameter {} is new, and required", parameter["name"]));
            }
        }
    }

    fn body(&mut self, at: &str, old: &Value, new: &Value) {
        if new["required"] == true && old["required"] != true {
            self.note(at, "a body is required now");
        }
        for (media_type, content) in fields(&old["content"]) {
            match new["content"].get(media_type) {
                Some(now) => self.schema(Way::Sent, &format!("{at} body"), &content["schema"], &now["schema"]),
                None => self.note(at, &format!("a body of {media_type} is not taken any more")),
            }
        }
    }

    fn answer(&mut self, at: &str, old: &Value, new: &Value) {
        for (name, _) in fields(&old["headers"]) {
            if new["headers"][name].is_null() {
                self.note(at, &format!("the header {name} is gone"));
            }
        }
        for (media_type, content) in fields(&old["content"]) {
            match new["content"].get(media_type) {
                Some(now) => self.schema(Way::Answered, at, &content["schema"], &now["schema"]),
                None => self.note(at, &format!("the media type {media_type} is gone")),
            }
        }
    }

    fn schema(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        if old.get("oneOf").is_some() || new.get("oneOf").is_some() {
            return self.alternatives(way, at, old, new);
        }
        self.types(way, at, old, new);
        self.values(way, at, old, new);
        self.bounds(way, at, old, new);
        self.properties(way, at, old, new);
        if !old["items"].is_null() && !new["items"].is_null() {
            self.schema(way, &format!("{at} items"), &old["items"], &new["items"]);
        }
    }

    /// What is sent must find its alternative, and what is answered must be one that was there.
    fn alternatives(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let either = |schema: &Value| match list(&schema["oneOf"]) {
            [] => vec![schema.clone()],
            either => {
                let mut either = either.to_vec();
                // That there is nothing comes last, so that a break is told of the alternative that it is about.
                either.sort_by_key(|one| one["type"] == "null");
                either
            }
        };
        let (before, now) = (either(old), either(new));
        let found = |old: &Value, new: &Value| {
            let mut comparison = Comparison { old: self.old, new: self.new, breaks: Vec::new() };
            comparison.schema(way, at, old, new);
            comparison.breaks
        };
        let of_each = |wanted: &[Value], offered: &[Value], sent: bool| -> Vec<String> {
            let fewest = |one: &Value| {
                let all = offered.iter().map(|other| if sent { found(one, other) } else { found(other, one) });
                all.min_by_key(Vec::len).unwrap_or_default()
            };
            wanted.iter().flat_map(fewest).collect()
        };
        let breaks = match way {
            Way::Sent => of_each(&before, &now, true),
            Way::Answered => of_each(&now, &before, false),
        };
        self.breaks.extend(breaks);
    }

    fn types(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let types = |schema: &Value| match &schema["type"] {
            Value::String(one) => BTreeSet::from([one.clone()]),
            many => strings(many),
        };
        // A schema that names no type takes all of them.
        let holds = |wide: BTreeSet<String>, narrow: BTreeSet<String>| {
            wide.is_empty() || (!narrow.is_empty() && narrow.is_subset(&wide))
        };
        match way {
            Way::Sent if !holds(types(new), types(old)) => self.note(at, "the type is narrower"),
            Way::Answered if !holds(types(old), types(new)) => self.note(at, "the type is wider"),
            _ => {}
        }
    }

    fn values(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let values = |schema: &Value| match (&schema["enum"], schema.get("const")) {
            (Value::Array(values), _) => Some(values.clone()),
            (_, Some(value)) => Some(vec![value.clone()]),
            _ => None,
        };
        let holds = |wide: Option<Vec<Value>>, narrow: Option<Vec<Value>>| match (wide, narrow) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => narrow.iter().all(|value| wide.contains(value)),
        };
        match way {
            Way::Sent if !holds(values(new), values(old)) => self.note(at, "a value is not taken any more"),
            Way::Answered if !holds(values(old), values(new)) => {
                self.note(at, "there are values beyond those described")
            }
            _ => {}
        }
        for word in ["pattern", "format"] {
            // What stands on the narrower side must stand on the wider, or the wider has none.
            let wider = if way == Way::Sent { &new[word] } else { &old[word] };
            if !wider.is_null() && old[word] != new[word] {
                self.note(at, &format!("the {word} is another"));
            }
        }
    }

    fn bounds(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let (wide, narrow) = if way == Way::Sent { (new, old) } else { (old, new) };
        for (word, sign) in [
            ("minLength", 1.0),
            ("minimum", 1.0),
            ("minItems", 1.0),
            ("maxLength", -1.0),
            ("maximum", -1.0),
            ("maxItems", -1.0),
        ] {
            let Some(bound) = wide[word].as_f64() else { continue };
            let within = narrow[word].as_f64().is_some_and(|other| other * sign >= bound * sign);
            if !within {
                self.note(at, &format!("{word} was {} and is {}", old[word], new[word]));
            }
        }
    }

    fn properties(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let (needed, needs) = (strings(&old["required"]), strings(&new["required"]));
        match way {
            Way::Sent => {
                needs.difference(&needed).for_each(|name| self.note(&format!("{at}.{name}"), "it is required now"))
            }
            Way::Answered => {
                needed.difference(&needs).for_each(|name| self.note(&format!("{at}.{name}"), "it may be missing now"));
            }
        }
        if way == Way::Sent && new["additionalProperties"] == false && old["additionalProperties"] != false {
            self.note(at, "fields that are not known are refused now");
        }
        for (name, part) in fields(&old["properties"]) {
            let at = format!("{at}.{name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(way, &at, part, now),
                None => self.note(&at, "the field is gone"),
            }
        }
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Value) -> BTreeSet<String> {
    list(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn resolved<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| description.pointer(reference.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// A small description, of which the tests change one thing each.
fn small() -> Value {
    json!({
        "paths": { "/things": { "post": {
            "operationId": "make",
            "security": [{}],
            "parameters": [
                { "name": "size", "in": "query", "required": false,
                  "schema": { "type": "integer", "minimum": 1, "maximum": 9 } },
            ],
            "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/New" } } } },
            "responses": {
                "201": { "headers": { "Location": {} }, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } },
                "404": {},
            },
        } } },
        "components": { "schemas": {
            "New": { "type": "object", "required": ["name"], "additionalProperties": false, "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a" },
                "colour": { "oneOf": [{ "type": "null" }, { "enum": ["red", "blue"] }] },
                "many": { "type": "array", "maxItems": 9, "items": { "type": "integer" } },
            } },
            "Thing": { "type": "object", "required": ["id"], "properties": {
                "id": { "type": "string", "maxLength": 9, "format": "date" },
                "colour": { "enum": ["red", "blue"] },
                "many": { "type": "array", "items": { "type": ["integer", "null"] } },
                "note": { "oneOf": [{ "type": "null" }, { "type": "string" }] },
            } },
            "Problem": { "properties": { "type": { "enum": ["/problems/a", "/problems/b"] } } },
        } },
    })
}

#[test]
fn each_rule_on_both_sides() {
    const MAKE: &str = "/paths/~1things/post";
    const NEW: &str = "/components/schemas/New";
    const THING: &str = "/components/schemas/Thing";
    let (make, new, thing) =
        (|it: &str| format!("{MAKE}{it}"), |it: &str| format!("{NEW}{it}"), |it: &str| format!("{THING}{it}"));
    let size = json!({ "name": "size", "in": "query", "required": false, "schema": { "type": "integer", "minimum": 1, "maximum": 9 } });
    let other = |required: bool| json!([size, { "name": "other", "in": "query", "required": required, "schema": {} }]);
    // What is put where, and what it breaks; nothing where it may be done.
    for (at, put, expected) in [
        (make("/summary"), json!("words"), ""),
        ("/paths/~1more".to_owned(), json!({ "get": {} }), ""),
        ("/paths/~1things".to_owned(), json!({}), "the operation is gone"),
        ("/paths".to_owned(), json!({}), "the operation is gone"),
        (make("/operationId"), json!("other"), "operationId"),
        (make("/security"), json!([]), ""),
        (make("/security"), json!([{ "bearer": [] }]), "asks for a session"),
        (make("/parameters"), json!([]), "the parameter is gone"),
        (make("/parameters"), other(false), ""),
        (make("/parameters"), other(true), "new, and required"),
        (make("/parameters/0/required"), json!(true), "required now"),
        (make("/parameters/0/schema/minimum"), json!(0), ""),
        (make("/parameters/0/schema/minimum"), json!(2), "minimum was 1 and is 2"),
        (make("/parameters/0/schema/maximum"), json!(10), ""),
        (make("/parameters/0/schema/maximum"), json!(8), "maximum was 9 and is 8"),
        (make("/requestBody/required"), json!(false), ""),
        (make("/requestBody/content"), json!({}), "not taken any more"),
        (make("/responses/409"), json!({}), ""),
        (make("/responses/200"), json!({}), "a status that is no refusal is new"),
        (make("/responses"), json!({ "404": {} }), "the status is gone"),
        (make("/responses/201/headers"), json!({ "Location": {}, "ETag": {} }), ""),
        (make("/responses/201/headers"), json!({}), "the header Location is gone"),
        (make("/responses/201/content"), json!({}), "the media type"),
        (new("/required"), json!([]), ""),
        (new("/required"), json!(["name", "colour"]), "required now"),
        (new("/properties/more"), json!({ "type": "string" }), ""),
        (new("/properties/name"), json!({ "type": ["string", "null"] }), ""),
        (new("/properties/name/type"), json!("integer"), "the type is narrower"),
        (new("/properties/name/minLength"), json!(0), ""),
        (new("/properties/name/minLength"), json!(2), "minLength"),
        (new("/properties/name/maxLength"), json!(10), ""),
        (new("/properties/name/maxLength"), json!(8), "maxLength"),
        (new("/properties/name/pattern"), Value::Null, ""),
        (new("/properties/name/pattern"), json!("^ab"), "the pattern is another"),
        (new("/properties/name/format"), json!("date"), "the format is another"),
        (new("/properties/name/enum"), json!(["a"]), "a value is not taken"),
        (new("/properties/colour/oneOf/1/enum"), json!(["red", "blue", "green"]), ""),
        (new("/properties/colour/oneOf/1/enum"), json!(["red"]), "a value is not taken"),
        (new("/properties/colour"), json!({ "enum": ["red", "blue"] }), "a value is not taken"),
        (new("/properties/many/maxItems"), json!(8), "maxItems"),
        (new("/properties/many/items/type"), json!(["integer", "string"]), ""),
        (new("/properties/many/items/type"), json!("string"), "the type is narrower"),
        (new("/properties"), json!({}), "the field is gone"),
        (new("/additionalProperties"), json!(true), ""),
        (thing("/required"), json!(["id", "note"]), ""),
        (thing("/required"), json!([]), "may be missing now"),
        (thing("/properties/more"), json!({ "type": "string" }), ""),
        (thing("/properties/id/type"), json!(["string", "null"]), "the type is wider"),
        (thing("/properties/id/maxLength"), json!(8), ""),
        (thing("/properties/id/maxLength"), json!(10), "maxLength was 9 and is 10"),
        (thing("/properties/id/maxLength"), Value::Null, "maxLength"),
        (thing("/properties/id/pattern"), json!("^a"), ""),
        (thing("/properties/id/format"), Value::Null, "the format is another"),
        (thing("/properties/colour/enum"), json!(["red"]), ""),
        (thing("/properties/colour/enum"), json!(["red", "green"]), "values beyond"),
        (thing("/properties/colour"), json!({ "type": "string" }), "values beyond"),
        (thing("/properties/many/items/type"), json!("integer"), ""),
        (thing("/properties/many/items/type"), json!(["integer", "string"]), "the type is wider"),
        (thing("/properties/note"), json!({ "type": "string" }), ""),
        (thing("/properties/note/oneOf/1/type"), json!("integer"), "the type is wider"),
        (thing("/properties"), json!({}), "the field is gone"),
        (
            "/components/schemas/Problem/properties/type/enum".to_owned(),
            json!(["/problems/b", "/problems/a", "/problems/c"]),
            "",
        ),
        (
            "/components/schemas/Problem/properties/type/enum".to_owned(),
            json!(["/problems/b"]),
            "kind of problem is gone",
        ),
    ] {
        let mut changed = small();
        let (parent, name) = at.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/");
        let parent = changed.pointer_mut(parent).unwrap_or_else(|| panic!("{at} is in the small description"));
        match parent {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = put.clone(),
            parent if put.is_null() => drop(parent.as_object_mut().unwrap().remove(&name)),
            parent => parent[name.as_str()] = put.clone(),
        }
        let found = breaks(&small(), &changed);
        match expected {
            "" => assert!(found.is_empty(), "{at} = {put}: {found:?}"),
            expected => assert!(found.iter().any(|it| it.contains(expected)), "{at} = {put}: {found:?}"),
        }
    }
    assert_eq!(breaks(&small(), &small()), Vec::<String>::new());
    let mut closed = small();
    closed["components"]["schemas"]["New"]["additionalProperties"] = json!(true);
    assert!(breaks(&closed, &small())[0].contains("not known are refused"));
    let mut bodiless = small();
    bodiless["paths"]["/things"]["post"].as_object_mut().unwrap().remove("requestBody");
    assert!(breaks(&bodiless, &small())[0].contains("a body is required now"));
}
