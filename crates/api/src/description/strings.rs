//! The kinds of strings and numbers on the wire, each described once: its form, its bounds, and an example.
//!
//! These types are for the description only. What a handler takes is checked by the code that reads it (`amounts`,
//! `times`, `extract`, `bank::iban`), and each form here is exactly what that code takes: what fits it is never refused
//! as malformed, and what doesn't fit is never taken.

use std::borrow::Cow;

use serde_json::{Value, json};
use service::metadata::{self, MAX_PAIRS};
use service::password::{MAX_CHARACTERS, MIN_CHARACTERS};
use service::{MAX_KEY_CHARACTERS, MAX_LINES, MAX_TEXT_CHARACTERS, Words};
use utoipa::openapi::schema::Object;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::payments::batches::MAX_LINE_BYTES;

/// Declares the kinds in one table: a type that stands for each in the handlers' declarations, and its form.
macro_rules! kinds {
    ($($kind:ident $form:tt;)+) => {
        $(
            #[doc = concat!("Stands for the form `", stringify!($kind), "`.")]
            pub(crate) struct $kind;

            impl PartialSchema for $kind {
                fn schema() -> RefOr<Schema> {
                    // Its place is taken by the form below, which says more than this type can.
                    Schema::Object(Object::new()).into()
                }
            }

            impl ToSchema for $kind {
                fn name() -> Cow<'static, str> {
                    stringify!($kind).into()
                }
            }
        )+

        /// Every kind by its name, as JSON Schema.
        pub(crate) fn forms() -> Vec<(&'static str, Value)> {
            vec![$((stringify!($kind), json!($form)),)+]
        }
    };
}

/// The most digits of a cursor: any so long fits into 64 bits.
pub(crate) const MAX_CURSOR_DIGITS: usize = 19;

/// No control character, none that turns the text's direction, and something other than spaces. Written out, because the
/// dialects of regular expressions disagree about what is a space.
const TEXT: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]*\
                    [^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028-\\u202f\\u205f\\u2066-\\u2069\\u3000]\
                    [^\\u0000-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]*$";

kinds! {
    Iban {
        "title": "account number",
        "type": "string",
        "description": "An account's number, as it is shown: its IBAN (ISO 13616), capital letters and digits without \
                        spaces; or where the bank's country has no IBANs, its number in the country's form, the parts with \
                        hyphens between them, such as 123456780-0000000001 in the United States; or in the form that the \
                        bank chose for itself.",
        "pattern": "^[0-9A-Z]+(-[0-9A-Z]+)*$",
        "minLength": 8,
        "maxLength": 34,
        "examples": ["AT049999900000000001", "AT479999900000000003"],
    };
    IbanTyped {
        "title": "account number",
        "type": "string",
        "description": "An account's number, as people type it: small letters are taken, and a space after each \
                        character; where the number is no IBAN, hyphens too, or none.",
        "pattern": "^([0-9A-Za-z][ -]?)+$",
        "maxLength": 68,
        "examples": ["AT049999900000000001", "AT479999900000000003"],
    };
    AccountParts {
        "title": "AccountParts",
        "type": "object",
        "description": "The parts of an account's number by the names that they have in its country.",
        "properties": {
            "routing_number": { "type": "string", "description": "United States: the bank's ABA routing number." },
            "institution": { "type": "string", "description": "Canada: the bank's institution number." },
            "transit": { "type": "string", "description": "Canada: the branch's transit number." },
            "bsb": { "type": "string", "description": "Australia: bank, state and branch." },
            "ifsc": { "type": "string", "description": "India: the branch's Indian Financial System Code." },
            "sort_code": { "type": "string", "description": "United Kingdom: the branch's sort code." },
            "bank": { "type": "string", "description": "Elsewhere: the bank's code." },
            "branch": { "type": "string", "description": "Elsewhere: the branch's code." },
            "account": { "type": "string", "description": "The account within them, with its check digit if it has one." },
            "suffix": { "type": "string", "description": "New Zealand: the account among those of one owner." },
            "clabe": { "type": "string", "description": "Mexico: the whole, a CLABE." },
            "cbu": { "type": "string", "description": "Argentina: the whole, a CBU." },
        },
        "additionalProperties": { "type": "string" },
        "examples": [{ "routing_number": "123456780", "account": "0000000001" }],
    };
    Currency {
        "title": "currency code",
        "type": "string",
        "description": "A currency (ISO 4217), of those that have minor units.",
        "pattern": "^[A-Z]{3}$",
        "examples": ["EUR"],
    };
    Decimal {
        "title": "decimal number",
        "type": "string",
        "description": "An amount, as a decimal number. One that is sent has at most its currency's decimals, one that \
                        is shown has all of them.",
        "pattern": "^-?[0-9]+(\\.[0-9]+)?$",
        "maxLength": 32,
        "examples": ["25.00"],
    };
    SignedDecimal {
        "title": "decimal number",
        "type": "string",
        "description": "A balance, or what changed one, as a decimal number with all decimals of its currency. It is \
                        credits less debits whatever the account's kind, in every answer: above zero the bank owes it \
                        to the account's holder, below zero the holder owes it to the bank, as of a loan. So the bank's \
                        own assets and expenses, such as its cash, are below zero.",
        "pattern": "^-?[0-9]+(\\.[0-9]+)?$",
        "maxLength": 32,
        "examples": ["25.00"],
    };
    Overdraft {
        "title": "decimal number or unlimited",
        "type": "string",
        "description": "An overdraft, the limit below zero of an account: an amount of zero or more, or `unlimited`.",
        "pattern": "^(unlimited|-?[0-9]+(\\.[0-9]+)?)$",
        "maxLength": 32,
        "examples": ["500.00"],
    };
    Text {
        "type": "string",
        "description": "A text or name of at most 140 characters: no control characters, and not spaces alone. Space \
                        around it is left out.",
        "pattern": TEXT,
        "minLength": 1,
        "maxLength": MAX_TEXT_CHARACTERS,
        "examples": ["Lunch", "Alice Adler"],
    };
    EndToEndId {
        "title": "end-to-end id",
        "type": "string",
        "description": "The payer's own id of a payment, which goes with it to the payee: at most 35 characters (ISO 20022, \
                        Max35Text), no control characters, and not spaces alone. Space around it is left out.",
        "pattern": TEXT,
        "minLength": 1,
        "maxLength": Words::MAX_END_TO_END_CHARACTERS,
        "examples": ["INVOICE-2026-0042"],
    };
    AnyText {
        "type": "string",
        "description": "A text or name, as it was given.",
        "examples": ["Lunch", "Alice Adler"],
    };
    PaymentId {
        "title": "payment id",
        "type": "string",
        "description": "A payment's id, for ever. It tells nothing about other payments.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["6f1c0e4b9a7d4d2f8f5e3b1a90c7d6e2"],
    };
    HoldId {
        "title": "hold id",
        "type": "string",
        "description": "A hold's id, for ever. It tells nothing about other holds.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["0b9d2c7e51f84a6c9e3d7f20a1b4c8d5"],
    };
    Number {
        "title": "number",
        "type": "integer",
        "format": "int64",
        "description": "The number of a customer or user, counted from 1.",
        "minimum": 1,
        "maximum": u32::MAX,
        "examples": [1],
    };
    AccountNumber {
        "title": "number",
        "type": "integer",
        "format": "int64",
        "description": "An account's number within the bank, counted from 1.",
        "minimum": 1,
        "maximum": i64::MAX,
        "examples": [4711],
    };
    MovementNumber {
        "title": "number",
        "type": "integer",
        "description": "The place of a movement in its payment: 0 is the payment itself.",
        "minimum": 0,
        "maximum": u32::MAX,
        "default": 0,
    };
    Cursor {
        "title": "cursor",
        "type": "string",
        "description": "The cursor of a page of a list. Send it back as it was given.",
        "pattern": "^[0-9]{1,19}$",
        "examples": ["50"],
    };
    Moment {
        "title": "moment",
        "type": "string",
        "description": "A moment (RFC 3339, date-time). One that is shown is in UTC, with milliseconds; of one that is \
                        sent, what is finer than milliseconds is left out.",
        "format": "date-time",
        "examples": ["2026-11-21T20:54:13.123Z"],
    };
    MomentToCome {
        "title": "moment to come",
        "type": "string",
        "description": "A moment that is to come (RFC 3339, date-time). What is finer than milliseconds is left out.",
        "format": "date-time",
        "examples": ["2099-12-31T12:00:00Z"],
    };
    Day {
        "title": "day",
        "type": "string",
        "description": "A day (RFC 3339, full-date).",
        "format": "date",
        "examples": ["2026-11-21"],
    };
    TimeZone {
        "title": "time zone",
        "type": "string",
        "description": "The name of a time zone in the IANA database. In what is sent, capital and small letters are the \
                        same.",
        "pattern": "^[0-9A-Za-z_+/-]+$",
        "maxLength": 64,
        "examples": ["Europe/Vienna"],
    };
    SessionToken {
        "title": "token",
        "type": "string",
        "description": "The secret that stands for a session.",
        "examples": ["d7c1f0a5…"],
    };
    GivenPassword {
        "title": "password",
        "type": "string",
        "description": "A password.",
        "format": "password",
        "maxLength": MAX_CHARACTERS,
        "examples": ["alice-demo-password"],
    };
    NewPassword {
        "title": "password",
        "type": "string",
        "description": "A password of 12 to 200 characters.",
        "format": "password",
        "minLength": MIN_CHARACTERS,
        "maxLength": MAX_CHARACTERS,
        "examples": ["correct horse battery staple"],
    };
    Key {
        "type": "string",
        "description": "1 to 128 visible ASCII characters, such as a UUID.",
        "pattern": "^[!-~]+$",
        "minLength": 1,
        "maxLength": MAX_KEY_CHARACTERS,
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    };
    Notes {
        "type": "object",
        "description": "A payer's own notes, which the payee doesn't see: pairs of a key and a value.",
        "maxProperties": MAX_PAIRS,
        "propertyNames": { "type": "string", "pattern": "^[0-9A-Za-z_.-]+$", "maxLength": metadata::MAX_KEY_CHARACTERS },
        "additionalProperties": {
            "type": "string",
            "pattern": TEXT,
            "minLength": 1,
            "maxLength": metadata::MAX_VALUE_CHARACTERS,
        },
        "examples": [{ "order": "2026-1171" }],
    };
    ShownNotes {
        "type": "object",
        "description": "A payer's own notes, as they were given.",
        "additionalProperties": { "type": "string" },
        "examples": [{ "order": "2026-1171" }],
    };
    PaymentCursor {
        "type": "string",
        "description": "The cursor of a page of payments. Send it back as it was given.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["6f1c0e4b9a7d4d2f8f5e3b1a90c7d6e2"],
    };
    // Lines are bytes to a client: some generators of clients know no other way to send what is not JSON.
    Lines {
        "type": "string",
        "format": "binary",
        "description": "Lines of JSON: a LineOutcome for each payment, and a BatchEnd.",
        "contentMediaType": "application/x-ndjson",
        "x-line": { "oneOf": [
            { "$ref": "#/components/schemas/LineOutcome" },
            { "$ref": "#/components/schemas/BatchEnd" },
        ] },
        "examples": ["{\"line\":1,\"status\":201,\"payment\":\"6f1c0e4b9a7d4d2f8f5e3b1a90c7d6e2\"}\n\
                      {\"lines\":1,\"accepted\":1,\"refused\":0}\n"],
    };
    SentLines {
        "type": "string",
        "format": "binary",
        "description": "Lines of JSON, each a payment: a BatchLine.",
        "contentMediaType": "application/x-ndjson",
        "maxLength": MAX_LINES * MAX_LINE_BYTES,
        "x-line": { "$ref": "#/components/schemas/BatchLine" },
        "examples": ["{\"from\":\"AT049999900000000001\",\"to\":\"AT749999900000000002\",\
                      \"amount\":\"25.00\",\"currency\":\"EUR\"}\n"],
    };
    Position {
        "type": "string",
        "description": "A position in the stream of events: an event's `id`, or `beginning`. Empty is the same as none.",
        "pattern": "^([0-9a-f]{32}|beginning)?$",
        "examples": ["4d2f8f5e3b1a90c7d6e26f1c0e4b9a7d"],
    };
    Positions {
        "type": "string",
        "description": "A position in the stream of events, or several with commas between them, of which the last counts. \
                        Empty is the same as none.",
        "pattern": "^([0-9a-f]{32}|beginning)?( *, *([0-9a-f]{32}|beginning)?)*$",
        "examples": ["4d2f8f5e3b1a90c7d6e26f1c0e4b9a7d"],
    };
    EventStream {
        "type": "string",
        "description": "Server-sent events (WHATWG HTML, 9.2), without end. Each has a name, an `id` and `data`, which is \
                        JSON, by its name: `x-events` lists them. There is nothing else: no comment, and no block \
                        without data.",
        "contentMediaType": "text/event-stream",
        "x-events": {
            "stream.opened": { "$ref": "#/components/schemas/StreamOpened" },
            "heartbeat": { "$ref": "#/components/schemas/Heartbeat" },
            "stream.closed": { "$ref": "#/components/schemas/StreamClosed" },
            "payment.booked": { "$ref": "#/components/schemas/PaymentBooked" },
            "hold.placed": { "$ref": "#/components/schemas/HoldPlaced" },
            "hold.extended": { "$ref": "#/components/schemas/HoldExtended" },
            "hold.released": { "$ref": "#/components/schemas/HoldReleased" },
            "account.opened": { "$ref": "#/components/schemas/AccountOpened" },
            "account.renamed": { "$ref": "#/components/schemas/AccountRenamed" },
            "account.status-set": { "$ref": "#/components/schemas/StatusSet" },
            "account.overdraft-set": { "$ref": "#/components/schemas/OverdraftSet" },
            "right.granted": { "$ref": "#/components/schemas/RightGranted" },
            "right.revoked": { "$ref": "#/components/schemas/RightRevoked" },
            "customer.added": { "$ref": "#/components/schemas/CustomerAdded" },
            "user.added": { "$ref": "#/components/schemas/UserAdded" },
            "time-zone.set": { "$ref": "#/components/schemas/TimeZoneSet" },
        },
        "examples": ["retry: 1000\nevent: stream.opened\n\
                      data: {\"at\":\"2026-11-21T20:54:02.001Z\",\"resumed\":false,\"heartbeat_ms\":15000}\n\
                      id: 4d2f8f5e3b1a90c7d6e26f1c0e4b9a7d\n\n\
                      event: account.status-set\n\
                      data: {\"at\":\"2026-11-21T20:54:13.123Z\",\"iban\":\"AT049999900000000001\",\
                      \"status\":\"frozen\"}\n\
                      id: 6f1c0e4b9a7d4d2f8f5e3b1a90c7d6e2\n\n\
                      event: heartbeat\ndata: {\"at\":\"2026-11-21T20:54:28.124Z\"}\n\
                      id: 6f1c0e4b9a7d4d2f8f5e3b1a90c7d6e2\n\n\
                      event: stream.closed\ndata: {\"at\":\"2026-11-21T20:54:31.770Z\",\"reason\":\"session-over\"}\n\
                      id: 6f1c0e4b9a7d4d2f8f5e3b1a90c7d6e2\n\n"],
    };
    LineNumber {
        "type": "integer",
        "description": "The number of a line, counted from 1.",
        "minimum": 0,
        "maximum": MAX_LINES + 1,
        "examples": [1],
    };
    ProblemKind {
        "type": "string",
        "description": "A kind of problem, for ever: a reference to the page that explains it.",
        "format": "uri-reference",
        "examples": ["/problems/insufficient-funds"],
    };
    Slug {
        "type": "string",
        "description": "The name of a kind of problem: small letters and hyphens.",
        "pattern": "^[a-z]+(-[a-z]+)*$",
        "maxLength": 64,
        "examples": ["insufficient-funds"],
    };
    PageName {
        "type": "string",
        "description": "The name of a page: small letters and hyphens.",
        "pattern": "^[a-z]+(-[a-z]+)*$",
        "maxLength": 64,
        "examples": ["guide"],
    };
    Html {
        "type": "string",
        "description": "A page for people.",
        "contentMediaType": "text/html",
        "examples": ["<!doctype html>…"],
    };
    OpenApi {
        "type": "object",
        "description": "An OpenAPI document.",
        "additionalProperties": true,
        "examples": [{ "openapi": "3.1.0", "info": { "title": "Kassa" } }],
    };
    PlainText {
        "type": "string",
        "description": "Text, as its media type says.",
        "examples": ["…"],
    };
}
