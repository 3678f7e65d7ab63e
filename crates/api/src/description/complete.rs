//! The parts of the description that hold for every route, added to the description that the handlers' own declarations
//! make: the forms of strings, who may ask, every refusal with its status, the headers of answers, examples, and the
//! links from one answer to the next request.
//!
//! A handler declares its own refusals, in `x-refusals`. Those that follow from what it takes (a token, a body, a key,
//! an account's number) are added here. The tests compare each answer they get with the result.

use serde_json::{Map, Value, json};

use crate::admission::FOR_WATCHERS;
use crate::description::deprecation::{self, DEPRECATED};
use crate::description::strings;
use crate::problem::{self, Problem};

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The header with a write's key.
const KEY: &str = "Idempotency-Key";

/// Ending of the address of a dry run, after that of what it tells about.
const DRY_RUN: &str = "/dry-run";

/// Subject of each group of operations.
const TAGS: &[(&str, &str)] = &[
    ("Sign in", "Sessions: opening one, ending it, and whose it is."),
    ("Accounts", "Accounts, their balances and their past, and the rights on them."),
    ("Payments", "Moving money: payments, cash at the desk, refunds and reversals."),
    ("Batches", "Many payments at once, as streams of lines."),
    ("Holds", "Money reserved for a payee, then captured in parts or whole, or let go."),
    ("Events", "What happens, told as it happens."),
    ("Customers", "The persons and firms that have rights on accounts."),
    ("Users", "Those who can sign in."),
    ("Operation", "Health, metrics, the trial balance, the clock and the time zone: for those who run the bank."),
    ("Pages", "Pages for people, and this description."),
];

/// End of a declared refusal's name where what is unknown is named in the body: then the address is right, and the content
/// is not.
const IN_BODY: &str = " in body";

/// Status of an answer to a body that names what there is not.
const STATUS_OF_BODY: u16 = 422;

/// Meaning of an answer's status.
const STATUSES: &[(u16, &str)] = &[
    (400, "The request is not as it must be"),
    (401, "Nobody is signed in, or the credentials are wrong"),
    (403, "The caller may not do this"),
    (404, "The resource was not found"),
    (408, "The request came too slowly"),
    (409, "It contradicts what is there already"),
    (413, "The body is too large"),
    (414, "The address is too long"),
    (415, "The body is not of the right media type"),
    (422, "The request is understood, and can't be carried out"),
    (429, "Too many requests"),
    (431, "There is too much in the header"),
    (500, "Something went wrong inside"),
    (503, "The server can't answer now"),
];

/// The headers of answers, each with what it says and the form of its value.
fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    json!({
        "Location": header("The address of what was made.", json!({ "type": "string", "format": "uri-reference" })),
        "Idempotency-Replayed": header(
            "`true` where this is the answer that was given before under the same key; absent otherwise.",
            json!({ "type": "string", "enum": ["true"] }),
        ),
        "WWW-Authenticate": header(
            "The authentication scheme (RFC 6750).",
            json!({ "type": "string", "enum": ["Bearer"] }),
        ),
        "Retry-After": header(
            "The number of seconds after which to try again, where that is known.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        "RateLimit": header(
            "The number of requests that may still come at once (`r`), and of seconds until all that are allowed may \
             come again (`t`; draft-ietf-httpapi-ratelimit-headers): of the user where one is signed in, else of the \
             address.",
            json!({ "type": "string", "examples": ["\"user\";r=399;t=1"] }),
        ),
        "RateLimit-Policy": header(
            "The number of requests that are allowed (`q`), and of seconds in which they are (`w`).",
            json!({ "type": "string", "examples": ["\"user\";q=400;w=2"] }),
        ),
        "ETag": header(
            "The entity tag of the answer. Sent back as `If-None-Match` it spares sending the same answer again.",
            json!({ "type": "string", "examples": ["\"5d1f9b1ce8ff7a83\""] }),
        ),
        "Vary": header(
            "The headers of the request that the answer depends on.",
            json!({ "type": "string", "examples": ["Authorization"] }),
        ),
        "Cache-Control": header(
            "The rule by which the answer may be kept: what the bank tells by the caller alone, never by a cache that \
             is shared; and for how long without asking again.",
            json!({ "type": "string" }),
        ),
    })
}

/// A link: from which operation and status, its name, to which operation, with which parameters.
type Link = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Links to what can be done next with what was made or shown.
const LINKS: &[Link] = &[
    ("pay", "201", "show", "show_payment", BY_ID),
    ("pay", "201", "refund", "refund_payment", BY_ID),
    ("pay", "201", "reverse", "reverse_payment", BY_ID),
    ("deposit", "201", "show", "show_payment", BY_ID),
    ("deposit", "201", "reverse", "reverse_payment", BY_ID),
    ("withdraw", "201", "show", "show_payment", BY_ID),
    ("withdraw", "201", "reverse", "reverse_payment", BY_ID),
    ("refund_payment", "201", "show", "show_payment", BY_ID),
    ("reverse_payment", "201", "show", "show_payment", BY_ID),
    ("place_hold", "201", "show", "show_hold", BY_ID),
    ("place_hold", "201", "capture", "capture_hold", BY_ID),
    ("place_hold", "201", "void", "void_hold", BY_ID),
    ("place_hold", "201", "extend", "extend_hold", BY_ID),
    ("capture_hold", "201", "show", "show_payment", BY_ID),
    ("capture_hold", "201", "refund", "refund_payment", BY_ID),
    ("book", "201", "show", "show_payment", BY_ID),
    ("book", "201", "reverse", "reverse_payment", BY_ID),
    ("add_customer", "201", "show", "show_customer", BY_ID),
    ("add_customer", "201", "accounts", "list_accounts_of_customer", BY_ID),
    ("show_customer", "200", "accounts", "list_accounts_of_customer", BY_ID),
    ("open_account", "201", "show", "show_account", BY_IBAN),
    ("open_account", "201", "balance", "show_balance", BY_IBAN),
    ("open_account", "201", "entries", "list_entries", BY_IBAN),
    ("open_account", "201", "rights", "list_rights", BY_IBAN),
    ("show_account", "200", "balance", "show_balance", BY_IBAN),
    ("show_account", "200", "entries", "list_entries", BY_IBAN),
    ("show_account", "200", "holds", "list_holds", BY_IBAN),
];

const BY_ID: &[(&str, &str)] = &[("id", "$response.body#/id")];
const BY_IBAN: &[(&str, &str)] = &[("iban", "$response.body#/iban")];

/// Completes the description.
pub(crate) fn complete(mut description: Value) -> Value {
    description["servers"] = json!([{ "url": "/", "description": "The server that gave this description" }]);
    description["security"] = json!([{ BEARER: [] }]);
    description["tags"] =
        TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect();
    let parts = add_components(&mut description["components"]);
    let schemas = description["components"]["schemas"].clone();
    let declared = description["paths"].clone();
    for (path, item) in description["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let route = Route { method, path };
            let refused = operation.as_object_mut().and_then(|operation| operation.remove("x-refusals"));
            // A dry run is refused for whatever the request itself would be.
            let refused = route.rehearsed().map_or(refused, |real| declared[real][method].get("x-refusals").cloned());
            complete_operation(operation, &route, refused.as_ref(), &schemas);
        }
    }
    forget_parts(&mut description, &parts);
    deprecation::describe(DEPRECATED, &mut description);
    description
}

/// Adds what the operations refer to. Gives the names of the schemas that are parts of others.
fn add_components(components: &mut Value) -> Vec<String> {
    for (name, form) in strings::forms() {
        components["schemas"][name] = form;
    }
    let parts = merge_parts(&mut components["schemas"]);
    let kinds = problem::slugs().map(|(slug, _)| format!("/problems/{slug}"));
    components["schemas"]["ProblemKind"]["enum"] = kinds.collect();
    // Names of the values in languages that want a name: INSUFFICIENT_FUNDS and not PROBLEMS_INSUFFICIENT_FUNDS.
    let names = problem::slugs().map(|(slug, _)| slug.replace('-', "_").to_uppercase());
    components["schemas"]["ProblemKind"]["x-enum-varnames"] = names.collect();
    let examples = problem::slugs().filter_map(|(slug, advice)| {
        let problem = Problem::named(slug)?;
        Some((slug.to_owned(), json!({ "summary": advice, "value": problem.document() })))
    });
    components["examples"] = examples.collect::<Map<_, _>>().into();
    components["headers"] = headers();
    components["securitySchemes"] = json!({ BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a session, from `POST /v1/sign-in`.",
    } });
    parts
}

/// Writes each schema that is put together from parts as the one object that they make: plainer to read, and some
/// programs can't put them together. Gives the names of the parts.
fn merge_parts(schemas: &mut Value) -> Vec<String> {
    let (whole, mut parts) = (schemas.clone(), Vec::new());
    for schema in schemas.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if schema.get("allOf").is_some() {
            let (properties, required) = merged(schema, &whole, &mut parts);
            let description = schema["description"].clone();
            *schema = json!({
                "type": "object", "description": description, "required": required, "properties": properties,
            });
        }
    }
    parts
}

/// The properties of a schema and of all its parts, and which of them are required. Notes the names of the parts.
fn merged(schema: &Value, whole: &Value, parts: &mut Vec<String>) -> (Map<String, Value>, Vec<Value>) {
    let name = schema["$ref"].as_str().and_then(schema_name);
    parts.extend(name.map(str::to_owned));
    let schema = name.map_or(schema, |name| &whole[name]);
    let mut properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    // A type's own properties come last in what the library makes, and first in what is sent.
    for part in schema["allOf"].as_array().into_iter().flatten().rev() {
        let (of_part, required_of_part) = merged(part, whole, parts);
        properties.extend(of_part);
        required.extend(required_of_part);
    }
    (properties, required)
}

/// Leaves out the schemas that are nothing but parts of others.
fn forget_parts(description: &mut Value, parts: &[String]) {
    let schemas = description["components"]["schemas"].clone();
    let mut used = Vec::new();
    forms_used(&description["paths"], &schemas, &mut used);
    if let Some(schemas) = description["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name) || !parts.contains(name));
    }
}

/// Place of an operation.
struct Route<'a> {
    method: &'a str,
    path: &'a str,
}

impl<'a> Route<'a> {
    /// The path of what it is a dry run of.
    fn rehearsed(&self) -> Option<&'a str> {
        self.path.strip_suffix(DRY_RUN)
    }
}

fn complete_operation(operation: &mut Value, route: &Route<'_>, declared: Option<&Value>, schemas: &Value) {
    let mut refusals = refusals_by_rule(operation, route, schemas);
    for slug in declared.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let kind = slug.strip_suffix(IN_BODY).unwrap_or(slug);
        assert!(Problem::named(kind).is_some(), "{} {} declares {slug}, which is no kind", route.method, route.path);
        refusals.push(slug);
    }
    add_refusals(operation, &refusals);
    let has_no_end = operation["responses"]["200"]["content"].get("text/event-stream").is_some();
    if route.method == "get" && !has_no_end {
        operation["responses"]["304"] = json!({
            "description": "The answer that `If-None-Match` names is still good: the caller has it already",
        });
    }
    add_headers(operation);
    // A field that is not there must not be asked for by its name, which would put a null in its place.
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if parameter.get("example").is_none()
            && let Some(example) = example(&parameter["schema"], &name, schemas, true)
        {
            parameter["example"] = example;
        }
    }
    if let Some(body) = operation.get_mut("requestBody") {
        add_example(body, schemas, true);
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') {
            add_example(response, schemas, false);
        }
    }
    add_links(operation);
}

/// The refusals that follow from what an operation takes.
fn refusals_by_rule(operation: &Value, route: &Route<'_>, schemas: &Value) -> Vec<&'static str> {
    let parameters = || operation["parameters"].as_array().into_iter().flatten();
    let takes = |place: &str| parameters().any(|parameter| parameter["in"] == place);
    let takes_key = parameters().any(|parameter| parameter["name"] == KEY);
    let mut used = Vec::new();
    parameters().for_each(|parameter| forms_used(&parameter["schema"], schemas, &mut used));
    let address_names_account = used.iter().any(|used| used == "IbanTyped");
    let mut sent = Vec::new();
    forms_used(&operation["requestBody"], schemas, &mut sent);
    let body_names_account = sent.iter().any(|used| used == "IbanTyped");
    used.append(&mut sent);
    let uses = |form: &str| used.iter().any(|used| used == form);
    let asks_the_bank = route.path.starts_with("/v1/");
    let rules: [(bool, &[&'static str]); 15] = [
        (true, &["internal", "timed-out", "invalid-host", "address-too-long", "too-many-headers", "rate-limited"]),
        (!is_for_watchers(route.path), &["busy"]),
        (asks_the_bank, &["stopping", "unavailable"]),
        (
            asks_the_bank && route.method != "get",
            &["clock-jumped", "disk-full", "disk-read-only", "memory-full", "no-dry-run"],
        ),
        (operation.get("security").is_none(), &["not-signed-in"]),
        (takes("path"), &["not-found"]),
        // A parameter that an operation doesn't know is refused.
        (asks_the_bank || takes("query"), &["invalid-request"]),
        (
            takes_key,
            &["idempotency-key-missing", "idempotency-key-invalid", "key-reused", "not-allowed", "invalid-request"],
        ),
        (route.rehearsed().is_some(), &["not-allowed"]),
        (
            operation.get("requestBody").is_some(),
            &[
                "malformed-json",
                "invalid-request",
                "body-unreadable",
                "body-too-large",
                "body-too-slow",
                "unsupported-media-type",
            ],
        ),
        (uses("IbanTyped"), &["invalid-iban", "other-bank"]),
        (address_names_account, &["unknown-account"]),
        (body_names_account, &["unknown-account in body"]),
        (uses("Decimal") || uses("Overdraft"), &["invalid-amount", "amount-too-precise"]),
        (uses("Currency"), &["unknown-currency"]),
    ];
    rules.iter().filter(|(holds, _)| *holds).flat_map(|(_, slugs)| *slugs).copied().collect()
}

/// Returns `true` if a path is for whoever watches the server, and is answered when it has too much to do, too.
fn is_for_watchers(path: &str) -> bool {
    FOR_WATCHERS.contains(&path)
}

/// The names of the schemas that one refers to, and of those that they refer to.
fn forms_used(value: &Value, schemas: &Value, used: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(schema_name)
                && !used.iter().any(|used| used == name)
            {
                used.push(name.to_owned());
                forms_used(&schemas[name], schemas, used);
            }
            fields.values().for_each(|value| forms_used(value, schemas, used));
        }
        Value::Array(items) => items.iter().for_each(|value| forms_used(value, schemas, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn schema_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/components/schemas/")
}

/// Adds an answer for each status, which names the kinds of problem that have it.
fn add_refusals(operation: &mut Value, refusals: &[&str]) {
    for (status, description) in STATUSES {
        // In the order of the table of kinds, which is the same for all operations.
        let has_status = |slug: &str| Problem::named(slug).is_some_and(|it| it.status() == *status);
        let is_told = |refusal: &str, slug: &str| match refusal.strip_suffix(IN_BODY) {
            None => refusal == slug && has_status(slug),
            Some(refusal) => refusal == slug && *status == STATUS_OF_BODY,
        };
        let slugs = problem::slugs().map(|(slug, _)| slug);
        let slugs: Vec<_> = slugs.filter(|slug| refusals.iter().any(|refusal| is_told(refusal, slug))).collect();
        if slugs.is_empty() {
            continue;
        }
        let examples =
            slugs.iter().map(|slug| (slug.to_string(), json!({ "$ref": format!("#/components/examples/{slug}") })));
        let said = slugs.iter().map(|slug| format!("`{slug}`")).collect::<Vec<_>>().join(", ");
        operation["responses"][status.to_string()] = json!({
            "description": format!("{description}: {said}"),
            "content": { "application/problem+json": {
                // The kinds of this answer are those of its examples. A schema that narrows another one is beyond some
                // generators of clients, which then leave the answer out.
                "schema": { "$ref": "#/components/schemas/Problem" },
                "examples": examples.collect::<Map<_, _>>(),
            } },
        });
    }
}

/// Adds the headers that each answer carries by rule.
fn add_headers(operation: &mut Value) {
    // An answer asked for by its key may be told again, too.
    let is_key = |it: &Value| it["name"] == KEY || it["name"] == "key";
    let keyed = operation["parameters"].as_array().is_some_and(|them| them.iter().any(is_key));
    let for_the_caller = operation.get("security").is_none();
    let may_be_kept = operation["responses"].get("304").is_some();
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let remembered = ["200", "201", "204", "400", "403", "404", "409", "422"].contains(&status.as_str());
        let kept = may_be_kept && ["200", "304"].contains(&status.as_str());
        let rules = [
            ("Location", status == "201"),
            ("Idempotency-Replayed", keyed && remembered),
            ("WWW-Authenticate", status == "401"),
            ("Retry-After", status == "429" || status == "503"),
            ("Cache-Control", true),
            ("ETag", kept),
            ("Vary", kept && for_the_caller),
            ("RateLimit", true),
            ("RateLimit-Policy", true),
        ];
        for (name, _) in rules.iter().filter(|(_, holds)| *holds) {
            response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
        }
    }
}

/// Adds an example to each content that has none.
fn add_example(described: &mut Value, schemas: &Value, sent: bool) {
    let Some(contents) = described.get_mut("content").and_then(Value::as_object_mut) else { return };
    for content in contents.values_mut() {
        if content.get("example").is_none()
            && let Some(example) = example(&content["schema"], "", schemas, sent)
        {
            content["example"] = example;
        }
    }
}

/// An example of a schema, put together from the examples of its parts: of what is sent all parts, of an answer those
/// that are always there. None where a part has none.
fn example(schema: &Value, name: &str, schemas: &Value, sent: bool) -> Option<Value> {
    if let Some(example) = schema.get("example") {
        return Some(example.clone());
    }
    if let Some([first, others @ ..]) = schema["examples"].as_array().map(Vec::as_slice) {
        // Of two accounts in one example the second is another, and a name is no text on a statement.
        let other = others.first().filter(|_| ["to", "counterparty", "name"].contains(&name));
        return Some(other.unwrap_or(first).clone());
    }
    if let Some(default) = schema.get("default") {
        return Some(default.clone());
    }
    if let Some(referred) = schema["$ref"].as_str().and_then(schema_name) {
        return example(&schemas[referred], name, schemas, sent);
    }
    if let Some(first) = schema["enum"].get(0).or_else(|| schema["oneOf"][0].get("const")) {
        return Some(first.clone());
    }
    if let Some(either) = schema["oneOf"].as_array() {
        return either.iter().find(|one| one["type"] != "null").and_then(|one| example(one, name, schemas, sent));
    }
    if schema["type"] == "array" {
        return Some(json!([example(&schema["items"], name, schemas, sent)?]));
    }
    let required = |name: &str| schema["required"].as_array().is_some_and(|them| them.iter().any(|it| it == name));
    let properties = schema["properties"].as_object()?.iter().filter(|(name, _)| sent || required(name));
    let parts = properties.map(|(name, part)| Some((name.clone(), example(part, name, schemas, sent)?)));
    Some(Value::Object(parts.collect::<Option<_>>()?))
}

/// Adds what can be done next with an answer.
fn add_links(operation: &mut Value) {
    let from = operation["operationId"].as_str().unwrap_or_default().to_owned();
    for (_, status, name, to, parameters) in LINKS.iter().filter(|(operation, ..)| *operation == from) {
        let parameters: Map<_, _> =
            parameters.iter().map(|(name, place)| ((*name).to_owned(), (*place).into())).collect();
        operation["responses"][status]["links"][name] = json!({ "operationId": to, "parameters": parameters });
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let names: Vec<_> = parameters.map(|it| (it["name"].clone(), it["in"].clone())).collect();
    if names.iter().any(|(name, _)| name == "cursor") {
        let mut next = Map::from_iter([("cursor".to_owned(), json!("$response.body#/next_cursor"))]);
        let path = names.iter().filter(|(_, place)| place == "path").filter_map(|(name, _)| name.as_str());
        next.extend(path.map(|name| (name.to_owned(), format!("$request.path.{name}").into())));
        operation["responses"]["200"]["links"]["next"] = json!({ "operationId": from, "parameters": next });
    }
}
