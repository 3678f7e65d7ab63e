//! Caching of answers by clients, and its revalidation: entity tags and conditional requests (RFC 9110, 8.8 and 13; RFC
//! 9111).
//!
//! An answer of the bank's is for its caller alone: it is never kept in a cache that others share, and by the caller's
//! own only for the same token. It is asked for again each time, and a tag spares sending it again. What can't change
//! any more may be kept for long without asking.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;

/// The largest answer that gets a tag; a larger one is sent anew. It is looked at as a whole, in memory.
const MAX_BYTES: u64 = 16 << 20;

/// Kept by the caller alone, and asked for again each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Kept by the caller alone, for a year and without asking: the longest that HTTP knows.
const FOR_LONG: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// Version that tells answers apart where their bytes tell more than that: such as the moment at which it was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version(u64);

impl Version {
    pub(crate) fn of(what: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Mark of an answer that can't change any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unchanging;

/// Demands of a request on caching.
pub(crate) struct Asked {
    known: Option<HeaderValue>,
    /// `true` if the answer is for the caller alone.
    private: bool,
}

impl Asked {
    /// None where the answer can't be kept: what changes something, or asks for the head alone.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        (request.method() == Method::GET).then(|| Self {
            known: request.headers().get(IF_NONE_MATCH).cloned(),
            private: request.uri().path().starts_with("/v1/"),
        })
    }

    /// Gives an answer its tag, and leaves its body out where the caller has it.
    pub(crate) async fn answer(self, mut response: Response) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        if self.private {
            response.headers_mut().append(VARY, HeaderValue::from_static("Authorization"));
        }
        let whole = response.body().size_hint().exact().is_some_and(|bytes| bytes <= MAX_BYTES);
        if !whole {
            return response;
        }
        let version = response.extensions_mut().remove::<Version>();
        let unchanging = response.extensions_mut().remove::<Unchanging>().is_some();
        let (mut head, body) = response.into_parts();
        // All of it is there, so nothing is waited for.
        let Ok(bytes) = to_bytes(body, usize::MAX).await else { return Response::from_parts(head, Body::empty()) };
        let tag = match version {
            Some(Version(hash)) => format!("W/\"{hash:016x}\""),
            None => format!("\"{:016x}\"", Version::of(&(&bytes[..], head.headers.get(CONTENT_TYPE))).0),
        };
        let known = self.known.as_ref().is_some_and(|known| names(known, &tag));
        let headers = &mut head.headers;
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        if self.private {
            headers.entry(CACHE_CONTROL).or_insert(if unchanging { FOR_LONG } else { ASK_AGAIN });
        }
        if known {
            head.status = StatusCode::NOT_MODIFIED;
            [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_DISPOSITION].iter().for_each(|name| drop(head.headers.remove(name)));
            return Response::from_parts(head, Body::empty());
        }
        Response::from_parts(head, bytes.into())
    }
}

/// Returns `true` if If-None-Match names a tag, weak ones being as good as strong ones here (RFC 9110, 13.1.2).
fn names(known: &HeaderValue, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = known.to_str().unwrap_or_default();
    known.trim() == "*" || known.split(',').any(|known| strong(known) == strong(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_in_lists() {
        for (known, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(known), "\"a\""), expected, "{known}");
            assert_eq!(names(&HeaderValue::from_static(known), "W/\"a\""), expected, "{known}");
        }
    }
}
