//! The documentation that the server gives: an index, a page for each group of operations, the kinds of problem, the
//! guide and the rules of versions. Made once, at the start, from the description of the interface and the repository's
//! texts, so that it tells of this server and of no other.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};
use serde_json::Value;

use crate::app::App;
use crate::description::pages::{answer, document, escaped};
use crate::description::strings;
use crate::extract::Path;
use crate::problem::{self, Kind, Problem};

/// Texts of the repository that are pages too.
const TEXTS: [(&str, &str, &str); 4] = [
    ("guide", "Guide", include_str!("../../../../docs/GUIDE.md")),
    ("streams", "Streams of events", include_str!("../../../../docs/STREAMS.md")),
    ("clients", "Clients", include_str!("../../../../docs/CLIENTS.md")),
    ("versions", "Versions", include_str!("../../../../docs/VERSIONS.md")),
];

/// All pages, by the last part of their address; the index has none.
pub(crate) struct Docs {
    pages: BTreeMap<String, Bytes>,
    /// For each kind of problem the operations that give it, as a list.
    given_by: BTreeMap<&'static str, String>,
}

/// The index of the documentation.
///
/// For people: what there is to know before the first request, and every operation.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "Pages", security(()),
    responses((status = 200, description = "A page", body = strings::Html, content_type = "text/html")),
)]
pub(crate) async fn index(State(app): State<App>) -> Result<Response, Problem> {
    page(&app, "")
}

/// Shows a page of the documentation.
///
/// For people: the operations of one group, all kinds of problem, the guide, how clients are made, or the rules
/// of versions.
#[utoipa::path(
    get, path = "/docs/{page}", operation_id = "docs_page", tag = "Pages", security(()),
    params(("page" = strings::PageName, Path, description = "The page's name, as the index has it")),
    responses((status = 200, description = "A page", body = strings::Html, content_type = "text/html")),
)]
pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    page(&app, &name)
}

fn page(app: &App, name: &str) -> Result<Response, Problem> {
    let page = app.docs.pages.get(name).ok_or_else(|| Problem::of(Kind::NotFound))?;
    Ok(answer(page.clone()))
}

impl Docs {
    /// Makes all pages.
    pub(crate) fn new(description: &Value) -> Self {
        let groups = groups(description);
        let mut pages = vec![(String::new(), "Overview".to_owned(), overview(description, &groups))];
        for (name, title, text) in TEXTS {
            pages.push((name.to_owned(), title.to_owned(), text_page(text)));
        }
        for group in &groups {
            pages.push((named(group.name), group.name.to_owned(), group_page(description, group)));
        }
        pages.push(("problems".to_owned(), "Problems".to_owned(), problems_page()));
        let menu: Vec<_> = pages.iter().map(|(name, title, _)| (name.clone(), title.clone())).collect();
        let framed = pages.into_iter().map(|(name, title, body)| {
            let html = framed(&menu, &name, &title, &body);
            (name, Bytes::from(html))
        });
        let given_by = problem::slugs().map(|(slug, _)| (slug, given_by(description, slug)));
        Self { pages: framed.collect(), given_by: given_by.collect() }
    }

    /// The operations that can answer with a kind of problem, as a list.
    pub(crate) fn given_by(&self, slug: &str) -> &str {
        self.given_by.get(slug).map_or("", String::as_str)
    }
}

/// A page with the contents beside it.
fn framed(menu: &[(String, String)], current: &str, title: &str, body: &str) -> String {
    let items = menu.iter().map(|(name, title)| {
        let address = if name.is_empty() { "/docs".to_owned() } else { format!("/docs/{name}") };
        let here = if name == current { " aria-current=\"page\"" } else { "" };
        // The texts, the operations and the problems stand apart.
        let gap = if ["sign-in", "problems"].contains(&name.as_str()) { " class=\"gap\"" } else { "" };
        format!("<li{gap}><a href=\"{address}\"{here}>{}</a></li>\n", escaped(title))
    });
    let items: String = items.collect();
    let html = format!(
        "<a class=\"skip\" href=\"#main\">To the text</a>\n<div class=\"docs\">\n\
         <nav aria-label=\"Documentation\">\n<p><a href=\"/\">Kassa</a></p>\n<ul>\n{items}</ul>\n</nav>\n\
         <main id=\"main\">\n{body}\n\
         <footer>Kassa {} · <a href=\"/openapi.json\">openapi.json</a></footer>\n</main>\n</div>",
        env!("CARGO_PKG_VERSION")
    );
    document(&format!("{} – Kassa", escaped(title)), &html)
}

/// The operations of one tag.
struct Group<'a> {
    name: &'a str,
    about: &'a str,
    operations: Vec<Operation<'a>>,
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        words(&self.said["operationId"])
    }

    /// Method and path.
    fn call(&self) -> String {
        let Self { method, path, .. } = self;
        format!("<span class=\"method {method}\">{}</span> {}", method.to_uppercase(), escaped(path))
    }

    fn address(&self) -> String {
        format!("/docs/{}#{}", named(words(&self.said["tags"][0])), self.id())
    }
}

fn groups(description: &Value) -> Vec<Group<'_>> {
    let tags = description["tags"].as_array().into_iter().flatten();
    tags.map(|tag| group(description, tag)).collect()
}

fn group<'a>(description: &'a Value, tag: &'a Value) -> Group<'a> {
    let operations = operations(description).filter(|it| it.said["tags"][0] == tag["name"]).collect();
    Group { name: words(&tag["name"]), about: words(&tag["description"]), operations }
}

fn operations(description: &Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = description["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, said)| Operation { method, path, said })
    })
}

/// The operations that can answer with a kind of problem, as a list of links.
fn given_by(description: &Value, slug: &str) -> String {
    let gives = |operation: &Operation<'_>| {
        let mut responses = operation.said["responses"].as_object().into_iter().flatten();
        responses.any(|(_, response)| response["content"]["application/problem+json"]["examples"].get(slug).is_some())
    };
    let given = operations(description).filter(gives);
    let items: String = given.map(|it| format!("<li><a href=\"{}\">{}</a></li>\n", it.address(), it.call())).collect();
    if items.is_empty() {
        return "<p>No operation gives it today. Books that remember it may still tell it.</p>".to_owned();
    }
    format!("<ul class=\"plain operations\">\n{items}</ul>")
}

fn overview(description: &Value, groups: &[Group<'_>]) -> String {
    let mut html = format!(
        "<h1>The interface</h1>\n{}\n<p>New here? The <a href=\"/docs/guide\">guide</a> leads from nothing to the first \
         refund in ten minutes. Programs read <a href=\"/openapi.json\">openapi.json</a>, which says all of this as \
         OpenAPI 3.1.</p>\n",
        markdown(words(&description["info"]["description"]))
    );
    for group in groups {
        let name = named(group.name);
        html += &format!(
            "<h2 id=\"{name}\"><a href=\"/docs/{name}\">{}</a></h2>\n<p>{}</p>\n{}",
            escaped(group.name),
            escaped(group.about),
            list(group)
        );
    }
    html
}

fn list(group: &Group<'_>) -> String {
    let items = group.operations.iter().map(|it| {
        let summary = escaped(words(&it.said["summary"]));
        format!("<li><a href=\"{}\">{}</a> <span class=\"soft\">{summary}</span></li>\n", it.address(), it.call())
    });
    format!("<ul class=\"plain operations\">\n{}</ul>\n", items.collect::<String>())
}

fn text_page(text: &str) -> String {
    anchored(&markdown(text))
}

fn problems_page() -> String {
    let items = problem::slugs().map(|(slug, advice)| {
        let status = Problem::named(slug).map_or(0, |problem| problem.status());
        format!(
            "<li><span class=\"status\">{status}</span><span><a href=\"/problems/{slug}\">{slug}</a> \
             <span class=\"soft\">{}</span></span></li>\n",
            said(advice)
        )
    });
    format!(
        "<h1>Problems</h1>\n<p class=\"lead\">Every refusal is a problem document (RFC 9457). Its <code>type</code> never \
         changes, and leads to a page that explains it.</p>\n<ul class=\"refusals\">\n{}</ul>",
        items.collect::<String>()
    )
}

fn group_page(description: &Value, group: &Group<'_>) -> String {
    let mut html =
        format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n{}", escaped(group.name), escaped(group.about), list(group));
    for operation in &group.operations {
        html += &article(description, operation);
    }
    html
}

/// One operation: what it takes, what it answers, and what it can refuse.
fn article(description: &Value, operation: &Operation<'_>) -> String {
    let (id, said) = (operation.id(), operation.said);
    let summary = escaped(words(&said["summary"]).trim_end_matches('.'));
    let deprecated = if said["deprecated"] == true { "<p class=\"needed\">Deprecated: it will go.</p>\n" } else { "" };
    let mut html = format!(
        "<article id=\"{id}\">\n<h2>{summary}<a class=\"anchor\" href=\"#{id}\" aria-label=\"Link to {id}\">#</a></h2>\n\
         <p class=\"call\">{}</p>\n{deprecated}{}",
        operation.call(),
        markdown(words(&said["description"]))
    );
    html += &parameters(description, said);
    if let Some(content) = said["requestBody"]["content"].get("application/json") {
        html += &format!("<h3>Body</h3>\n{}", fields(description, &content["schema"], 0));
    }
    html += &format!("<h3>Example</h3>\n{}", code(&curl(operation)));
    for (status, response) in said["responses"].as_object().into_iter().flatten() {
        if status.starts_with('2') {
            html += &answered(description, status, response);
        }
    }
    html += &refusals(said);
    html + "</article>\n"
}

fn parameters(description: &Value, said: &Value) -> String {
    let Some(parameters) = said["parameters"].as_array().filter(|them| !them.is_empty()) else { return String::new() };
    let rows = parameters.iter().map(|parameter| {
        let place = match words(&parameter["in"]) {
            "path" => "in the address",
            "query" => "after the question mark",
            place => place,
        };
        let needed = parameter["required"] == true && parameter["in"] != "path";
        let form = format!("{}, {place}", form(description, &parameter["schema"]));
        row(words(&parameter["name"]), &form, needed, words(&parameter["description"]), "")
    });
    format!("<h3>Parameters</h3>\n<dl class=\"fields\">\n{}</dl>\n", rows.collect::<String>())
}

/// Depth to which fields within fields are shown.
const DEPTH: usize = 3;

/// The fields of an object, those of objects within it included.
fn fields(description: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolved(description, schema);
    let Some(properties) = schema["properties"].as_object().filter(|_| depth < DEPTH) else { return String::new() };
    let required = |name: &str| schema["required"].as_array().is_some_and(|them| them.iter().any(|it| it == name));
    let closed = schema["additionalProperties"] == false;
    let rows = properties.iter().map(|(name, part)| {
        let known = not_null(part);
        let said = [&part["description"], &known["description"], &resolved(description, known)["description"]];
        let said = said.into_iter().find_map(Value::as_str).unwrap_or_default();
        let within = if known["type"] == "array" { &known["items"] } else { known };
        let mut form = form(description, part);
        if !closed && !required(name) {
            form += ", not always there";
        }
        // In a request it matters what may be left out, in an answer what may be missing.
        row(name, &form, closed && required(name), said, &fields(description, within, depth + 1))
    });
    format!("<dl class=\"fields\">\n{}</dl>\n", rows.collect::<String>())
}

fn row(name: &str, form: &str, needed: bool, said: &str, within: &str) -> String {
    let needed = if needed { "<span class=\"needed\">required</span>" } else { "" };
    format!(
        "<div><dt><code>{}</code><span class=\"soft\">{form}</span>{needed}</dt>\n<dd>{}{within}</dd></div>\n",
        escaped(name),
        markdown(said)
    )
}

/// Describes what a value looks like, in words, as HTML.
fn form(description: &Value, schema: &Value) -> String {
    let given = not_null(schema);
    let null = if std::ptr::eq(given, schema) && !lists(&schema["type"], "null") { "" } else { " or null" };
    let known = resolved(description, given);
    let is = |kind: &str| lists(&known["type"], kind);
    let one_of = |values: &[Value]| {
        let values: Vec<_> = values.iter().map(|value| format!("<code>{}</code>", escaped(words(value)))).collect();
        values.join(" or ")
    };
    let mut form = match known["enum"].as_array() {
        Some(values) => one_of(values),
        None if known["title"].is_string() => escaped(words(&known["title"])),
        None if is("array") => format!("list of {}", form(description, &known["items"])),
        None if is("object") => "object".to_owned(),
        None if is("boolean") => "<code>true</code> or <code>false</code>".to_owned(),
        None if is("integer") => "whole number".to_owned(),
        None => "text".to_owned(),
    };
    form += null;
    let bounds = |least: &str, most: &str| match (&known[least], &known[most]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, most) => format!(", at most {most}"),
        (least, Value::Null) => format!(", at least {least}"),
        (least, most) => format!(", {least} to {most}"),
    };
    form += &bounds("minimum", "maximum");
    let characters = bounds("minLength", "maxLength");
    if !characters.is_empty() {
        form += &format!("{characters} characters");
    }
    if let Some(default) = known.get("default") {
        form += &format!(", {default} where it is not given");
    }
    form
}

fn lists(kinds: &Value, kind: &str) -> bool {
    kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|it| it == kind))
}

/// A schema without the alternative that there is nothing.
fn not_null(schema: &Value) -> &Value {
    let either = schema["oneOf"].as_array().and_then(|either| either.iter().find(|one| one["type"] != "null"));
    either.unwrap_or(schema)
}

fn resolved<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| description.pointer(reference.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// The request as a line for a shell, with the variables of the guide.
fn curl(operation: &Operation<'_>) -> String {
    let Operation { method, path, said } = operation;
    let mut path = (*path).to_owned();
    let (mut query, mut lines) = (Vec::new(), Vec::new());
    for parameter in said["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (words(&parameter["name"]), plain(&parameter["example"]));
        match words(&parameter["in"]) {
            "path" => path = path.replace(&format!("{{{name}}}"), &example),
            "query" if parameter["required"] == true => query.push(format!("{name}={example}")),
            "header" => lines.push(format!("-H '{name}: {example}'")),
            _ => {}
        }
    }
    if said.get("security").is_none() {
        lines.insert(0, "-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    let content = said["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
    if let Some((media_type, Some(example))) = content.map(|(media_type, content)| (media_type, content.get("example")))
    {
        lines.push(format!("-H 'Content-Type: {media_type}'"));
        let (option, body) = match example.as_str() {
            Some(text) => ("--data-binary", text.to_owned()),
            None => ("-d", pretty(example).replace('\n', "\n  ")),
        };
        lines.push(format!("{option} '{}'", body.replace('\'', "'\\''")));
    }
    let implied = if content.is_none() { "get" } else { "post" };
    let given = if *method == implied { String::new() } else { format!("-X {} ", method.to_uppercase()) };
    let question = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let address = format!("$BANK{path}{question}");
    let address = if question.is_empty() { address } else { format!("\"{address}\"") };
    let mut all = vec![format!("curl -sS {given}{address}")];
    all.extend(lines);
    all.join(" \\\n  ")
}

fn answered(description: &Value, status: &str, response: &Value) -> String {
    let mut html = format!("<h3>Answer {status}: {}</h3>\n", escaped(words(&response["description"])));
    let headers = response["headers"].as_object().into_iter().flatten().filter(|(name, _)| *name != "Cache-Control");
    let headers: String = headers
        .map(|(name, header)| {
            let header = resolved(description, header);
            row(name, "header", false, words(&header["description"]), "")
        })
        .collect();
    if !headers.is_empty() {
        html += &format!("<dl class=\"fields\">\n{headers}</dl>\n");
    }
    for (media_type, content) in response["content"].as_object().into_iter().flatten() {
        html += &fields(description, &content["schema"], 0);
        match content.get("example") {
            Some(example) if media_type == "application/json" => html += &code(&pretty(example)),
            Some(Value::String(lines)) if lines.ends_with('\n') => html += &code(lines.trim_end()),
            _ => html += &format!("<p class=\"soft\"><code>{}</code></p>\n", escaped(media_type)),
        }
    }
    html
}

fn refusals(said: &Value) -> String {
    let mut items = String::new();
    for (status, response) in said["responses"].as_object().into_iter().flatten() {
        let examples = response["content"]["application/problem+json"]["examples"].as_object();
        let links = examples.into_iter().flatten().map(|(slug, _)| format!("<a href=\"/problems/{slug}\">{slug}</a> "));
        let links: String = links.collect();
        if !links.is_empty() {
            items += &format!("<li><span class=\"status\">{status}</span><span>{links}</span></li>\n");
        }
    }
    format!("<h3>Refusals</h3>\n<ul class=\"refusals\">\n{items}</ul>\n")
}

/// A sentence as HTML: what stands between backticks is code.
pub(crate) fn said(sentence: &str) -> String {
    let parts = sentence.split('`').enumerate();
    let parts = parts.map(|(place, part)| match place % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

/// A block of code.
pub(crate) fn code(text: &str) -> String {
    format!("<pre><code>{}</code></pre>\n", escaped(text))
}

/// A document as people read it.
pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A name as the last part of an address.
fn named(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    name.trim_matches('-').to_owned()
}

/// CommonMark, and its tables, as HTML. Links to the repository's texts lead to their pages.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other variants of a library's stay as they are")]
fn markdown(text: &str) -> String {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let page = TEXTS.iter().find(|(name, ..)| dest_url == format!("{}.md", name.to_uppercase()).into());
            let dest_url = page.map_or(dest_url, |(name, ..)| CowStr::from(format!("/docs/{name}")));
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

/// Returns the page with an anchor on each heading of the second level.
fn anchored(html: &str) -> String {
    let mut parts = html.split("<h2>");
    let mut anchored = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let id = named(part.split("</h2>").next().unwrap_or_default());
        anchored += &format!("<h2 id=\"{id}\">{part}");
    }
    anchored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_pages() {
        let html = anchored(&markdown("# A\n\n## Try *it*\n\nSee [this](VERSIONS.md), `a<b`.\n"));
        assert!(html.contains("<h2 id=\"try--em-it--em\">Try <em>it</em></h2>"), "{html}");
        assert!(html.contains("<a href=\"/docs/versions\">this</a>, <code>a&lt;b</code>"), "{html}");
        assert_eq!(named("Sign in"), "sign-in");
    }
}
