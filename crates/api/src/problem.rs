//! Every refusal and failure as the caller sees it: a problem document (RFC 9457) whose `type` is a page that says what
//! it means and what to do. What went wrong inside is logged here, and never told outside.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bank::Refusal;
use edge::{Quota, Refused, Which};
use engine::{HistoryError, Unavailable};
use ledger::{Currency, Money, RefusalClass};
use serde::Serialize;
use service::{Fault, FaultKind};
use utoipa::ToSchema;

use crate::amounts::Amount;
use crate::description::strings;

/// Declares the server's own kinds of problem in one table: name, status, what it says, what to do.
macro_rules! kinds {
    ($($kind:ident $slug:literal $status:literal $detail:expr, $advice:literal;)+) => {
        /// A kind of problem of the server's own; the bank's refusals are kinds as well.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $(#[doc = $slug] $kind,)+
        }

        impl Kind {
            fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)+ }
            }

            fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)+ }
            }

            fn detail(self) -> &'static str {
                match self { $(Self::$kind => $detail,)+ }
            }
        }

        /// Every kind of the server's own.
        const KINDS: &[Kind] = &[$(Kind::$kind,)+];

        /// Those kinds by their names, with what to do about them.
        const OWN: &[(&str, &str)] = &[$(($slug, $advice),)+];
    };
}

kinds! {
    MalformedJson "malformed-json" 400 "the body is not JSON", "Send one JSON object (RFC 8259) in UTF-8.";
    InvalidRequest "invalid-request" 400 FaultKind::InvalidRequest.words(), "Mend the fields that `errors` names; /openapi.json describes them.";
    KeyMissing "idempotency-key-missing" 400 "this request needs the header Idempotency-Key", "Send a key of your own with each write, such as a UUID, and the same key when you repeat it.";
    KeyInvalid "idempotency-key-invalid" 400 "an Idempotency-Key is one header of 1 to 128 visible ASCII characters", "Send a shorter or simpler key, such as a UUID.";
    WrongCredentials "wrong-credentials" 401 FaultKind::WrongCredentials.words(), "Check both. Neither this answer nor its time tells which one is wrong.";
    NotFound "not-found" 404 "there is nothing here", "Check the address; /openapi.json lists all.";
    InvalidHost "invalid-host" 400 "the request must name one host", "Send one Host header, or :authority in HTTP/2, with the name that the address has.";
    MethodNotAllowed "method-not-allowed" 405 "this address does not take that method", "The header Allow lists those that it takes.";
    BodyTooLarge "body-too-large" 413 "the body is too large", "Send less; no request needs as much.";
    BodyTooSlow "body-too-slow" 408 "the body came too slowly", "Send the request again, under the same key, on a better line.";
    AddressTooLong "address-too-long" 414 "the address is too long", "Ask for less at once; no request needs as long an address.";
    TooManyHeaders "too-many-headers" 431 "the request has too many header fields", "Send fewer; no request needs as many.";
    RateLimited "rate-limited" 429 "requests come faster than is allowed", "Wait as many seconds as Retry-After says, then repeat the request under the same key. The header RateLimit tells how many more may come, RateLimit-Policy how many are allowed in how many seconds.";
    BodyUnreadable "body-unreadable" 400 "the body did not arrive whole", "Send the request again.";
    UnsupportedMediaType "unsupported-media-type" 415 "the body must be application/json", "Send the header Content-Type: application/json.";
    UnknownPosition "unknown-position" 422 FaultKind::UnknownPosition.words(), "Send the id of an event that the stream gave, or none; or begin with ?after=beginning.";
    TooManyStreams "too-many-streams" 429 FaultKind::TooManyStreams.words(), "Wait as many seconds as Retry-After says. A new stream takes the place of your oldest, which ends once its client has taken what it was sent. One stream tells all that concerns you.";
    StreamsFull "streams-full" 503 FaultKind::StreamsFull.words(), "Try again later. Operators: raise event_streams, or add a server.";
    UnknownBatch "unknown-batch" 404 FaultKind::UnknownBatch.words(), "Check the batch's key. A batch that was never begun is not known.";
    BatchTooLong "batch-too-long" 413 FaultKind::BatchTooLong.words(), "Send the rest as another batch, under another key. The lines before this one were carried out.";
    BatchChanged "batch-changed" 409 FaultKind::BatchChanged.words(), "Send the batch as it was under this key, with new lines at its end only; or send what is new as another batch, under another key.";
    TooManyBatches "too-many-batches" 429 FaultKind::TooManyBatches.words(), "Wait until another batch is done, and send this one again under its key.";
    UnknownCursor "unknown-cursor" 422 FaultKind::UnknownCursor.words(), "Begin with the first page, without a cursor.";
    PeriodTooLong "period-too-long" 422 FaultKind::PeriodTooLong.words(), "Ask for a shorter period.";
    PeriodBackwards "period-backwards" 422 FaultKind::PeriodBackwards.words(), "Exchange the two days.";
    AccountNotNamed "account-not-named" 422 FaultKind::AccountNotNamed.words(), "Name the account that you mean.";
    PeriodAhead "period-ahead" 422 FaultKind::PeriodAhead.words(), "Ask for days until today.";
    TooManyPoints "too-many-points" 422 FaultKind::TooManyPoints.words(), "Ask for fewer days, or for months.";
    NoDryRun "no-dry-run" 422 "there is no parameter dry_run: a dry run has an address of its own", "Leave dry_run out. What moves or reserves money by one request has its dry run at the same address with /dry-run at its end, such as POST /v1/payments/dry-run.";
    Busy "busy" 503 FaultKind::Busy.words(), "Repeat the request in a moment, under the same key.";
    TimedOut "timed-out" 503 "the answer took too long", "Repeat the request under the same key: it is carried out once, and the answer tells.";
    ClockJumped "clock-jumped" 503 FaultKind::ClockJumped.words(), "Wait for an operator to look at the clock and to confirm it.";
    Stopping "stopping" 503 FaultKind::Stopping.words(), "Repeat the request in a moment, under the same key.";
    DiskFull "disk-full" 503 FaultKind::DiskFull.words(), "What is there can be read. Repeat the request later, under the same key. Operators: make room on the disk, and start the server again.";
    DiskReadOnly "disk-read-only" 503 FaultKind::DiskReadOnly.words(), "What is there can be read. Repeat the request later, under the same key. Operators: see to the disk, and start the server again.";
    MemoryFull "memory-full" 503 FaultKind::MemoryFull.words(), "What is there can be read. Repeat the request later, under the same key. Operators: give the server more memory, or raise memory_mib.";
    Unavailable "unavailable" 503 FaultKind::Unavailable.words(), "Repeat the request later, under the same key. Operators: see the log.";
    Internal "internal" 500 FaultKind::Internal.words(), "Repeat the request under the same key. Operators: see the log.";
}

/// Every kind of problem by its name, with what to do about it: the server's own, then the bank's. A request that is not
/// as it must be is of both: the bank remembers it under its key where its form at least was right.
pub fn slugs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let only_the_banks = |(slug, _): &&(&str, &str)| OWN.iter().all(|(own, _)| own != slug);
    OWN.iter().chain(Refusal::names().filter(only_the_banks)).copied()
}

/// The short name of a kind of problem, for people: its slug in words.
pub(crate) fn title(slug: &str) -> String {
    let words = slug.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A refusal or failure on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    slug: &'static str,
    status: u16,
    detail: String,
    errors: Vec<FieldError>,
    /// The bank's refusal that it tells of.
    refusal: Option<Refusal>,
    /// `true` if it was told before, under the same idempotency key.
    repeated: bool,
    /// Quota of whoever asked, where they asked too often.
    quota: Option<Box<Quota>>,
}

/// A mistake in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field, header or parameter.
    #[schema(example = "amount")]
    pub(crate) field: String,
    /// Mistake in the field, in words.
    #[schema(example = "an amount is written as digits with a point before the decimals, like 12.50")]
    pub(crate) detail: String,
}

/// The header of an answer that was given before, under the same idempotency key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// Kind of problem, for ever: a reference to the page that explains it.
    #[serde(rename = "type")]
    #[schema(value_type = strings::ProblemKind)]
    kind: String,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Explanation of what is wrong this time.
    detail: String,
    /// With insufficient-funds: what may be spent, overdraft not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    available: Option<Amount>,
    /// With above-signatory-limit: the most that may be moved in one payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    limit: Option<Amount>,
    /// Amount that remains to be captured or refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    remaining: Option<Amount>,
    /// The mistakes by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

impl Document {
    /// Returns what is wrong, in words.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl Problem {
    /// A problem of a kind, with what that kind says.
    pub(crate) fn of(kind: Kind) -> Self {
        Self::saying(kind, kind.detail())
    }

    /// A problem of a kind, with words of its own.
    pub(crate) fn saying(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            slug: kind.slug(),
            status: kind.status(),
            detail: detail.into(),
            errors: Vec::new(),
            refusal: None,
            repeated: false,
            quota: None,
        }
    }

    /// A mistake in a field.
    pub(crate) fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::of(Kind::InvalidRequest).at(field, detail)
    }

    /// Adds the name of a field, and what is wrong with it.
    pub(crate) fn at(mut self, field: &str, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.to_owned(), detail: detail.into() });
        self
    }

    /// Adds the name of a field, with what the problem says itself.
    pub(crate) fn in_field(self, field: &str) -> Self {
        let detail = self.detail.clone();
        self.at(field, detail)
    }

    /// A problem of a name, as an example.
    pub(crate) fn named(slug: &str) -> Option<Self> {
        let own = KINDS.iter().find(|kind| kind.slug() == slug).map(|kind| Self::of(*kind));
        own.or_else(|| {
            Refusal::from_slug(slug, Money::parse("25.00", Currency::from_code("EUR")?).ok()).map(Self::from)
        })
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Makes the document that is told of it.
    pub(crate) fn document(&self) -> Document {
        let named = |name: &str| {
            let refusal = self.refusal.as_ref().filter(|refusal| refusal.amount_name() == Some(name));
            refusal.and_then(Refusal::amount).map(Amount::of)
        };
        Document {
            kind: format!("/problems/{}", self.slug),
            title: title(self.slug),
            status: self.status,
            detail: self.detail.clone(),
            available: named("available"),
            limit: named("limit"),
            remaining: named("remaining"),
            errors: self.errors.clone(),
        }
    }

    /// No token was sent where one is needed.
    pub(crate) fn no_token() -> Self {
        let detail = "sign in, and send the token as Authorization: Bearer …".to_owned();
        Self { detail, ..Refusal::NotSignedIn.into() }
    }

    /// Something has more than it may.
    fn too_much(kind: Kind, most: usize, of: &str) -> Self {
        Self::saying(kind, format!("{}: at most {most} {of} are taken", kind.detail()))
    }

    /// The body did not arrive in its time.
    fn too_slow(most: Duration) -> Self {
        let most = most.as_secs_f64();
        Self::saying(Kind::BodyTooSlow, format!("{}: it has {most} seconds", Kind::BodyTooSlow.detail()))
    }

    /// Requests come too fast. Where all together are too many, the one who asks has done nothing wrong, and is told
    /// that the server is busy rather than that they are to blame.
    fn too_fast(quota: Quota) -> Self {
        let kind = match quota.which {
            Which::All | Which::Strangers => return Self::of(Kind::Busy),
            Which::User | Which::Address | Which::SignInsOfAddress | Which::SignInsOfName => Kind::RateLimited,
        };
        Self { quota: Some(Box::new(quota)), ..Self::of(kind) }
    }

    /// A failure inside, which is logged and not told.
    pub(crate) fn failed(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed inside");
        Self::of(Kind::Internal)
    }

    #[cfg(test)]
    pub(crate) fn slug(&self) -> &'static str {
        self.slug
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        if let Some(quota) = &self.quota {
            return Some(quota.seconds);
        }
        match self.slug {
            "busy" | "timed-out" | "too-many-batches" => Some(1),
            "stopping" => Some(5),
            "unavailable" | "disk-full" | "too-many-streams" | "streams-full" => Some(30),
            "clock-jumped" => Some(60),
            _ => None,
        }
    }
}

/// The HTTP status of a refusal.
fn status(refusal: &Refusal) -> u16 {
    status_of(refusal.class())
}

/// The HTTP status of a class of refusals.
fn status_of(class: RefusalClass) -> u16 {
    match class {
        RefusalClass::Malformed => 400,
        RefusalClass::NotSignedIn => 401,
        RefusalClass::NotAllowed => 403,
        RefusalClass::NotFound => 404,
        RefusalClass::Conflict => 409,
        RefusalClass::Unmet => 422,
        RefusalClass::NotReady => 503,
    }
}

/// The amounts that go along tell only what the caller may see: the bank checks the caller's right on an account
/// before it looks at the money in it.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            slug: refusal.slug(),
            status: status(&refusal),
            detail: refusal.to_string(),
            errors: Vec::new(),
            refusal: Some(refusal),
            repeated: false,
            quota: None,
        }
    }
}

impl From<ledger::Refusal> for Problem {
    fn from(refusal: ledger::Refusal) -> Self {
        Refusal::from(refusal).into()
    }
}

impl From<Refused> for Problem {
    fn from(refusal: Refused) -> Self {
        match refusal {
            Refused::AddressTooLong { most_bytes } => Self::too_much(Kind::AddressTooLong, most_bytes, "bytes"),
            Refused::TooManyHeaders { most } => Self::too_much(Kind::TooManyHeaders, most, "header fields"),
            Refused::UnclearHost(why) => Self::saying(Kind::InvalidHost, why.to_string()),
            Refused::TooFast(quota) => Self::too_fast(quota),
            Refused::BodyTooLarge { most_bytes } => Self::too_much(Kind::BodyTooLarge, most_bytes, "bytes"),
            Refused::BodyTooSlow { most } => Self::too_slow(most),
            Refused::BodyUnreadable => Self::of(Kind::BodyUnreadable),
            Refused::TimedOut => Self::of(Kind::TimedOut),
            Refused::Panicked => Self::failed(&"a handler panicked"),
        }
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        Fault::from(unavailable).into()
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        Fault::from(error).into()
    }
}

/// What the service finds wrong, as HTTP tells it.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let problem = match (fault.refusal(), fault.kind()) {
            (Some(refusal), _) => refusal.into(),
            (None, kind) => Self::of(kind.map_or(Kind::Internal, Kind::from)),
        };
        let status = if fault.is_in_body() { status_of(RefusalClass::Unmet) } else { problem.status };
        let (detail, fields, repeated) = fault.into_parts();
        let errors = fields.into_iter().map(|it| FieldError { field: it.field, detail: it.detail }).collect();
        Self { status, detail, errors, repeated, ..problem }
    }
}

impl From<FaultKind> for Kind {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Malformed => Self::MalformedJson,
            FaultKind::InvalidRequest => Self::InvalidRequest,
            FaultKind::WrongCredentials => Self::WrongCredentials,
            FaultKind::UnknownPosition => Self::UnknownPosition,
            FaultKind::TooManyStreams => Self::TooManyStreams,
            FaultKind::StreamsFull => Self::StreamsFull,
            FaultKind::UnknownBatch => Self::UnknownBatch,
            FaultKind::BatchTooLong => Self::BatchTooLong,
            FaultKind::BatchChanged => Self::BatchChanged,
            FaultKind::TooManyBatches => Self::TooManyBatches,
            FaultKind::UnknownCursor => Self::UnknownCursor,
            FaultKind::PeriodTooLong => Self::PeriodTooLong,
            FaultKind::PeriodBackwards => Self::PeriodBackwards,
            FaultKind::AccountNotNamed => Self::AccountNotNamed,
            FaultKind::PeriodAhead => Self::PeriodAhead,
            FaultKind::TooManyPoints => Self::TooManyPoints,
            FaultKind::Busy => Self::Busy,
            FaultKind::ClockJumped => Self::ClockJumped,
            FaultKind::Stopping => Self::Stopping,
            FaultKind::DiskFull => Self::DiskFull,
            FaultKind::DiskReadOnly => Self::DiskReadOnly,
            FaultKind::MemoryFull => Self::MemoryFull,
            FaultKind::Unavailable => Self::Unavailable,
            FaultKind::Internal => Self::Internal,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (retry_after, repeated) = (self.retry_after_seconds(), self.repeated);
        let quota = self.quota.clone();
        let document = self.document();
        let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(quota) = quota {
            quota.tell(headers);
        }
        if repeated {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// No route has this address.
pub(crate) async fn not_found() -> Problem {
    Problem::of(Kind::NotFound)
}

/// A route has this address, and not this method.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::of(Kind::MethodNotAllowed)
}
