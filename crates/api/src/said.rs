//! Our own words on what is wrong with a request. The libraries that read JSON and query strings say it for programmers
//! of Rust; whoever sent the request is told the field, what was found there, and what would be right.

use service::{Fault, FaultKind};

/// Words for when no better ones are known.
const OTHERWISE: &str = "it is not what the description of the interface asks for";

/// Says what is wrong with a text that is not JSON, and where.
pub(crate) fn not_json(what: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    let why = SYNTAX.iter().find(|(theirs, _)| said.starts_with(theirs)).map_or("it can't be read", |(_, ours)| ours);
    format!("the {what} is not JSON; in line {}, column {}: {why}", error.line(), error.column())
}

/// The beginnings of what serde_json says of a text that is not JSON.
const SYNTAX: &[(&str, &str)] = &[
    ("EOF while parsing", "it ends too early"),
    ("expected `:`", "a colon is missing after a name"),
    ("expected `,` or `}`", "a comma or a closing brace is missing"),
    ("expected `,` or `]`", "a comma or a closing bracket is missing"),
    ("expected", "here stands nothing that is a value in JSON"),
    ("invalid escape", "a backslash stands before what can't be escaped"),
    ("lone leading surrogate", "half of a pair of \\u escapes is missing"),
    ("unexpected end of hex escape", "half of a pair of \\u escapes is missing"),
    ("invalid number", "this is not a number in JSON"),
    ("number out of range", "this number is too large"),
    ("invalid unicode code point", "a text is not UTF-8"),
    ("control character", "a control character in a text must be escaped"),
    ("key must be a string", "a name must be a text in double quotes"),
    ("trailing comma", "nothing follows after a comma"),
    ("trailing characters", "something follows after the end"),
    ("recursion limit exceeded", "it is nested too deeply"),
];

/// A fault of a query, of the library's words: `…: path: what is wrong`.
pub(crate) fn query(text: &str) -> Fault {
    let said = text.split_once(": ").map_or(text, |(_, said)| said);
    let (path, said) = said.split_once(": ").filter(|(path, _)| !path.contains(' ')).unwrap_or(("", said));
    fault(path, said)
}

/// A fault of what stands at a path, of serde's words for it.
pub(crate) fn fault(path: &str, said: &str) -> Fault {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    let (name, detail) = plain(said);
    let field = match (path.trim_matches('.'), name) {
        (path, None) => path.to_owned(),
        ("", Some(name)) => name.to_owned(),
        (path, Some(name)) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
    };
    if field.is_empty() { Fault::saying(FaultKind::InvalidRequest, detail) } else { Fault::field(&field, detail) }
}

/// The field that is named, if one is, and what is wrong with it.
fn plain(said: &str) -> (Option<&str>, String) {
    if let Some(name) = quoted(said, "missing field `", "`") {
        return (Some(name), "it is missing".into());
    }
    if let Some(name) = quoted(said, "duplicate field `", "`") {
        return (Some(name), "it is given twice".into());
    }
    if let Some(name) = quoted(said, "unknown field `", "`, there are no fields") {
        return (Some(name), "there is no such field, nor any other".into());
    }
    // The bytes sent may hold anything, so their end is looked for from behind.
    let (found, right) = said.rsplit_once(", expected ").unwrap_or((said, ""));
    if let Some(name) = quoted(found, "unknown field `", "`") {
        return (Some(name), format!("there is no such field; {}", known("there are", "there is", right)));
    }
    if found.starts_with("unknown variant `") {
        return (None, format!("it is none of the words that may stand here; {}", known("they are", "it is", right)));
    }
    let sorts = ["invalid type: ", "invalid value: ", "invalid "];
    if let Some(found) = sorts.iter().find_map(|sort| found.strip_prefix(sort)).filter(|_| !right.is_empty()) {
        return (None, mistaken(found, right));
    }
    (None, as_number(said).unwrap_or_else(|| ours(said)).to_owned())
}

fn quoted<'a>(said: &'a str, start: &str, end: &str) -> Option<&'a str> {
    said.strip_prefix(start)?.strip_suffix(end)
}

/// The list of names in `one of `a`, `b``, or `` `a` or `b` ``.
fn known(several: &str, one: &str, listed: &str) -> String {
    let names: Vec<_> = listed.split('`').skip(1).step_by(2).collect();
    match names.as_slice() {
        [] => OTHERWISE.to_owned(),
        [only] => format!("{one} {only}"),
        [first @ .., last] => format!("{several} {} and {last}", first.join(", ")),
    }
}

/// Something of one sort stands where another belongs.
fn mistaken(found: &str, right: &str) -> String {
    let sorts = [
        // A length is told of a list that should be something else.
        ("length ", "a list"),
        ("null", "null"),
        ("boolean", "true or false"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("number", "a number"),
        ("string", "text"),
        ("character", "text"),
        ("sequence", "a list"),
        ("map", "an object"),
    ];
    let found = sorts.iter().find(|(theirs, _)| found.starts_with(theirs)).map_or("something else", |(_, ours)| ours);
    let rights = [
        ("a string", "text"),
        ("string", "text"),
        ("variant identifier", "text"),
        ("enum", "text"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a map", "an object"),
        ("struct", "an object"),
        ("u8", "a whole number"),
        ("u16", "a whole number"),
        ("u32", "a whole number"),
        ("u64", "a whole number"),
        ("usize", "a whole number"),
        ("i32", "a whole number"),
        ("i64", "a whole number"),
        ("integer", "a whole number"),
        ("a JSON number", "a whole number"),
        ("a number", "a whole number"),
    ];
    match rights.iter().find(|(theirs, _)| right.starts_with(theirs)) {
        Some((_, ours)) => format!("it must be {ours}, and is {found}"),
        None => OTHERWISE.to_owned(),
    }
}

/// Says plainly what a library says of digits and truths.
fn as_number(said: &str) -> Option<&'static str> {
    if said.contains("invalid digit") || said.contains("cannot parse integer") {
        Some("it must be a whole number of digits")
    } else if said.contains("number too large") || said.contains("number out of range") {
        Some("the number is too large")
    } else if said.contains("was not `true` or `false`") {
        Some("it must be true or false")
    } else {
        None
    }
}

/// Returns what our own reading of a field says, which begins so; of what anybody else says, nothing is told.
fn ours(said: &str) -> &str {
    let starts = ["it ", "this ", "the number ", "a ", "an ", "there "];
    let is_ours = starts.iter().any(|start| said.starts_with(start)) && !said.contains("expected");
    if is_ours { said } else { OTHERWISE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_is_said_plainly() {
        for (path, said, field, detail) in [
            (".", "missing field `to` at line 1 column 9", "to", "it is missing"),
            ("more[0]", "missing field `to` at line 1 column 9", "more[0].to", "it is missing"),
            ("amount", "duplicate field `amount` at line 1 column 9", "amount", "it is given twice"),
            (
                "x",
                "unknown field `x`, expected `a` or `b` at line 1 column 4",
                "x",
                "there is no such field; there are a and b",
            ),
            (".", "unknown field `x`, expected `a`", "x", "there is no such field; there is a"),
            (
                "x",
                "unknown field `x`, expected one of `a`, `b`, `c`",
                "x",
                "there is no such field; there are a, b and c",
            ),
            (
                ".",
                "unknown field `a`, expected one of `x`, expected `a` or `b`",
                "a`, expected one of `x",
                "there is no such field; there are a and b",
            ),
            ("x", "unknown field `x`, there are no fields", "x", "there is no such field, nor any other"),
            (
                "amount",
                "invalid type: integer `1`, expected a string at line 1 column 46",
                "amount",
                "it must be text, and is a number",
            ),
            ("amount", "invalid type: null, expected a string", "amount", "it must be text, and is null"),
            (
                "customer",
                "invalid type: string \"a, expected a string\", expected a JSON number",
                "customer",
                "it must be a whole number, and is text",
            ),
            ("more", "invalid type: map, expected a sequence", "more", "it must be a list, and is an object"),
            (
                "more[0]",
                "invalid type: sequence, expected struct NewMovement",
                "more[0]",
                "it must be an object, and is a list",
            ),
            (
                "more[0]",
                "invalid length 1, expected struct NewMovement with 4 elements at line 1 column 9",
                "more[0]",
                "it must be an object, and is a list",
            ),
            ("dry_run", "provided string was not `true` or `false`", "dry_run", "it must be true or false"),
            ("limit", "it must be a whole number of digits", "limit", "it must be a whole number of digits"),
            (
                "kind",
                "unknown variant `x`, expected one of `a`, `b`",
                "kind",
                "it is none of the words that may stand here; they are a and b",
            ),
            ("limit", "something that a library says", "limit", OTHERWISE),
            ("limit", "a value, expected another", "limit", OTHERWISE),
        ] {
            let told = format!("{:?}", fault(path, said));
            assert!(told.contains(&format!("field: {field:?}, detail: {detail:?}")), "{said}: {told}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (body, said) in [
            ("", "in line 1, column 0: it ends too early"),
            ("{\"a\":\n  }", "in line 2, column 3: here stands nothing that is a value in JSON"),
            ("{\"a\" 1}", "in line 1, column 6: a colon is missing after a name"),
            ("{\"a\":1 2}", "in line 1, column 8: a comma or a closing brace is missing"),
            ("[1 2]", "in line 1, column 4: a comma or a closing bracket is missing"),
            ("{a:1}", "in line 1, column 2: a name must be a text in double quotes"),
            ("{\"a\":1,}", "in line 1, column 8: nothing follows after a comma"),
            ("{} x", "in line 1, column 4: something follows after the end"),
            ("{\"a\":\"\n\"}", "a control character in a text must be escaped"),
            ("{\"a\":\"\\x\"}", "a backslash stands before what can't be escaped"),
            ("{\"a\":01}", "this is not a number in JSON"),
            ("{\"a\":1e999}", "this number is too large"),
            ("{\"a\":\"\\ud800\"}", "half of a pair of \\u escapes is missing"),
        ] {
            let error = serde_json::from_str::<serde_json::Value>(body).unwrap_err();
            let told = not_json("body", &error);
            assert!(told.starts_with("the body is not JSON; ") && told.ends_with(said), "{body}: {told}");
        }
    }
}
