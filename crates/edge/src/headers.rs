//! The headers that every answer carries, so that a browser makes nothing else of it than what it is.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// On every answer, where the handler says nothing else.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// On every answer under a name. A year of HTTPS only is what browsers' lists ask for. Said of `localhost`, it would keep
/// browsers from all else that is served on this machine, so it is not, and for an address it would mean nothing.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds what is missing of these to an answer. `has_name` is `true` if it was asked for under a name, as
/// [`host_name`](crate::host_name) finds it.
pub fn protect(headers: &mut HeaderMap, has_name: bool) {
    headers.reserve(HEADERS.len());
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if has_name {
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(HTTPS_ONLY);
    }
}
