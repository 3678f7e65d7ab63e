//! Deprecation: operations that still work and will not for ever. Their answers say so in headers (RFC 9745, RFC 8594),
//! and the description marks them.

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// An operation that is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deprecated {
    /// Its method, in capitals.
    method: &'static str,
    /// Its path, as the description has it.
    path: &'static str,
    /// Time of the deprecation, in seconds since 1970.
    since_s: i64,
    /// Time from which it may stop answering, in seconds since 1970, where that is known: at least twelve months later.
    sunset_s: Option<i64>,
    /// Advice on what to use in its place, as a sentence.
    instead: &'static str,
}

/// Every operation that is given up: none.
pub(crate) const DEPRECATED: &[Deprecated] = &[];

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Link to the page that says how operations are given up.
const POLICY: &str = "</docs/versions>; rel=\"deprecation\"; type=\"text/html\"";

impl Deprecated {
    /// The headers of an answer.
    fn headers(&self) -> Vec<(HeaderName, String)> {
        let since = (DEPRECATION, format!("@{}", self.since_s));
        let sunset = self.sunset_s.and_then(http_date).map(|date| (SUNSET, date));
        [since, (LINK, POLICY.to_owned())].into_iter().chain(sunset).collect()
    }
}

/// A moment as HTTP writes it (RFC 9110, section 5.6.7).
fn http_date(seconds: i64) -> Option<String> {
    let moment = jiff::Timestamp::from_second(seconds).ok()?;
    Some(moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Marks the answer of an operation, where `table` has it.
pub(crate) fn mark(table: &[Deprecated], method: &str, path: &str, headers: &mut HeaderMap) {
    let Some(deprecated) = table.iter().find(|it| it.method == method && it.path == path) else { return };
    for (name, value) in deprecated.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(name, value);
        }
    }
}

/// Marks the operations in the description.
pub(crate) fn describe(table: &[Deprecated], description: &mut Value) {
    for deprecated in table {
        let operation = &mut description["paths"][deprecated.path][deprecated.method.to_lowercase()];
        assert!(operation.is_object(), "{} {} is no operation", deprecated.method, deprecated.path);
        operation["deprecated"] = true.into();
        let said = operation["description"].as_str().unwrap_or_default();
        operation["description"] = format!("{said}\n\n**Deprecated**: {}", deprecated.instead).trim().into();
        for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            for (name, value) in deprecated.headers() {
                let description = "Tells that this operation is given up, and when.";
                response["headers"][name.as_str()] =
                    json!({ "description": description, "schema": { "type": "string" }, "example": value });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Deprecated] = &[
        Deprecated {
            method: "GET",
            path: "/v1/old/{id}",
            since_s: 1_798_761_600,
            sunset_s: Some(1_830_297_600),
            instead: "Use `GET /v1/new`.",
        },
        Deprecated { method: "POST", path: "/v1/old", since_s: 0, sunset_s: None, instead: "Do without." },
    ];

    #[test]
    fn answers_of_what_is_given_up_say_so() {
        let marked = |method: &str, path: &str| {
            let mut headers = HeaderMap::new();
            mark(TABLE, method, path, &mut headers);
            ["deprecation", "sunset", "link"]
                .map(|name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned())
        };
        assert_eq!(marked("GET", "/v1/old/{id}"), ["@1798761600", "Sat, 01 Jan 2028 00:00:00 GMT", POLICY]);
        assert_eq!(marked("POST", "/v1/old"), ["@0", "", POLICY]);
        assert_eq!(marked("GET", "/v1/old"), ["", "", ""]);
        assert_eq!(marked("POST", "/v1/old/{id}"), ["", "", ""]);
    }

    #[test]
    fn the_description_marks_it() {
        let operation = json!({ "description": "Old.", "responses": { "200": {}, "404": {} } });
        let mut description =
            json!({ "paths": { "/v1/old/{id}": { "get": operation, "put": operation }, "/v1/old": { "post": {} } } });
        describe(TABLE, &mut description);
        let item = &description["paths"]["/v1/old/{id}"];
        assert_eq!(item["get"]["deprecated"], true);
        assert_eq!(item["get"]["description"], "Old.\n\n**Deprecated**: Use `GET /v1/new`.");
        assert_eq!(item["get"]["responses"]["404"]["headers"]["deprecation"]["example"], "@1798761600");
        assert_eq!(item["put"], operation);
    }
}
