//! Extractors: the parts of a request that a handler takes. Whatever can't be taken is a problem document that names
//! the field.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, request::Parts};
use bank::{Refusal, TokenHash};
use engine::Engine;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use service::{Fault, FaultKind, is_key};
use utoipa::IntoParams;

use crate::app::App;
use crate::description::strings::{self, MAX_CURSOR_DIGITS};
use crate::problem::{Kind, Problem};
use crate::said;

/// The body, one JSON object.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::of(Kind::UnsupportedMediaType));
        }
        let body = edge::whole_body(request, app.guard.limits()).await?;
        Ok(Self(object("body", &body)?))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// One line of JSON, an object.
pub(crate) fn line<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Fault> {
    object("line", line)
}

/// A JSON object; of what is not one, what is wrong with it.
fn object<'a, T: Deserialize<'a>>(what: &str, text: &'a [u8]) -> Result<T, Fault> {
    // A list would be taken for an object's fields in order; nobody sends that on purpose.
    let is_object = text.trim_ascii_start().first() == Some(&b'{');
    if let Ok(value) = serde_json::from_slice(text)
        && is_object
    {
        return Ok(value);
    }
    // Once more, keeping track of the path to what is wrong.
    let mut input = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize::<_, T>(&mut input);
    let (path, error) = match read {
        Ok(_) => (String::new(), input.end().err()),
        Err(error) => (error.path().to_string(), Some(error.into_inner())),
    };
    Err(match error {
        Some(error) if !error.is_data() => Fault::saying(FaultKind::Malformed, said::not_json(what, &error)),
        Some(error) if is_object => said::fault(&path, &error.to_string()),
        Some(_) | None => Fault::saying(FaultKind::InvalidRequest, format!("the {what} must be one JSON object")),
    })
}

/// The parameters after the question mark.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|error| said::query(&error.body_text()).into())
    }
}

/// The parts of the address that a route names.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| Problem::of(Kind::NotFound))
    }
}

/// The number of a customer or user in an address: digits alone.
pub(crate) fn numbered(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The bearer's token as it is kept (RFC 6750). Admission takes it from the header, hashes it once for all who want it,
/// and sees whether a session has it; as the session may end meanwhile, it is looked up again with the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token(pub(crate) TokenHash);

/// The token that a request brought, as admission found it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brought {
    pub(crate) token: Token,
    /// `true` if no session has it.
    pub(crate) is_worthless: bool,
}

impl Token {
    /// The token that a request brings, if it brings one.
    pub(crate) fn of(headers: &HeaderMap, engine: &Engine) -> Option<Self> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Self(engine.token_hash(token.trim())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Brought>() {
            None => Err(Problem::no_token()),
            // At once, so that whoever is not signed in is told nothing else, not even what is wrong with the request.
            Some(brought) if brought.is_worthless => Err(Refusal::NotSignedIn.into()),
            Some(brought) => Ok(brought.token),
        }
    }
}

/// The caller's own key of a write. A repeated key with the same request gives the first answer again.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Your own key for this request: 1 to 128 visible ASCII characters, such as a UUID. Repeated with the same
    /// request it gives the first answer again, a refusal too; with another request it is refused (`key-reused`). The same
    /// is what means the same, however it is written: `1.0` for `1.00`, an IBAN with spaces, a default left out. Keys
    /// never expire. What was not understood as a request is not remembered under its key: one of somebody who is not
    /// signed in (401), a body that is not JSON with the fields and types described, too large, or of another media type
    /// (400, 413, 415), a parameter or a key that is not as it must be (400); nor one that came too fast (429), or that
    /// the server could not look at (500, 503), nor a dry run.
    #[param(rename = "Idempotency-Key", value_type = strings::Key)]
    pub(crate) key: String,
    /// `true` if it is only to be told what would become of the request.
    #[param(ignore)]
    pub(crate) dry_run: bool,
}

impl IdempotencyKey {
    /// Makes the key that a dry run has in place of the client's: one that no client can send, and so was never used.
    pub(crate) fn of_dry_run() -> Self {
        Self { key: String::new(), dry_run: true }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let value = values.next().ok_or_else(|| Problem::of(Kind::KeyMissing))?;
        match value.to_str() {
            Ok(key) if is_key(value.as_bytes()) && values.next().is_none() => {
                Ok(Self { key: key.to_owned(), dry_run: false })
            }
            _ => Err(Problem::of(Kind::KeyInvalid)),
        }
    }
}

/// Number of things that a page shows where nothing is asked: a screen.
const PAGE: u16 = 50;

/// The most things a page shows, so that one answer stays below 100 KiB.
const MAX_PAGE: u16 = 500;

/// Query of a list: the page that is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The `next_cursor` of the page before; without it the list begins.
    #[param(value_type = Option<strings::Cursor>)]
    #[serde(default, deserialize_with = "cursor")]
    pub(crate) cursor: Option<u64>,
    /// Maximum number of items per page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    #[serde(default, deserialize_with = "digits")]
    pub(crate) limit: Option<u16>,
}

/// Returns the number of things that a page shows.
pub(crate) fn page_limit(asked: Option<u16>) -> Result<usize, Fault> {
    let limit = asked.unwrap_or(PAGE);
    if limit == 0 || limit > MAX_PAGE {
        return Err(Fault::field("limit", format!("the limit is between 1 and {MAX_PAGE}")));
    }
    Ok(usize::from(limit))
}

/// A whole number that may be left out, of digits alone: the library takes a plus sign too.
pub(crate) fn digits<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| whole(&text).map_err(D::Error::custom)).transpose()
}

/// A cursor that may be left out.
pub(crate) fn cursor<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let fits = text.len() <= MAX_CURSOR_DIGITS;
    let place = if fits { whole(&text) } else { Err("this is not the cursor of a page") };
    place.map(Some).map_err(D::Error::custom)
}

/// A whole number in a body that may be left out. To JSON Schema 7.0 is one, too.
pub(crate) fn integer<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<Option<T>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(from)?.map(|number| number.to_string());
    let digits = number.as_deref().map(|number| number.strip_suffix(".0").unwrap_or(number));
    digits.map(|digits| whole(digits).map_err(D::Error::custom)).transpose()
}

fn whole<T: FromStr>(text: &str) -> Result<T, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it must be a whole number of digits");
    }
    text.parse().map_err(|_| "the number is too large")
}

impl Page {
    /// Reads the cursor and the limit of a page.
    pub(crate) fn read(&self) -> Result<(Option<u64>, usize), Fault> {
        Ok((self.cursor, page_limit(self.limit)?))
    }

    /// Reads cursor and limit for a list whose cursor is a place, counted from 0.
    pub(crate) fn places(&self) -> Result<(usize, usize), Fault> {
        let (cursor, limit) = self.read()?;
        // No list is longer than 32 bits can count, so a cursor beyond that is as good as one at their end.
        let first = u32::try_from(cursor.unwrap_or(0)).unwrap_or(u32::MAX);
        Ok((usize::try_from(first).unwrap_or(usize::MAX), limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        #[allow(dead_code, reason = "only reading it is tried")]
        amount: String,
    }

    #[test]
    fn what_is_wrong_with_a_body() {
        for (body, slug, field) in [
            (r#"{"amount":"1"}"#, "", ""),
            (r#"{"amount":1}"#, "invalid-request", "amount"),
            (r#"{"amount":null}"#, "invalid-request", "amount"),
            (r#"{}"#, "invalid-request", "amount"),
            (r#"{"amount":"1","more":2}"#, "invalid-request", "more"),
            (r#"["1"]"#, "invalid-request", ""),
            (r#""1""#, "invalid-request", ""),
            (r#"{"amount":"1"} x"#, "malformed-json", ""),
            (r#"{"amount":"1""#, "malformed-json", ""),
            ("", "malformed-json", ""),
        ] {
            let problem = object::<Sent>("body", body.as_bytes()).err().map(Problem::from);
            let said = format!("{problem:?}");
            assert_eq!(problem.map_or("", |problem| problem.slug()), slug, "{body}: {said}");
            assert!(field.is_empty() || said.contains(&format!("field: \"{field}\"")), "{body}: {said}");
        }
    }
}
