//! State shared by all handlers: the engine, who asks, and the way of a write from its request to its answer.

use std::ops::Deref;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bank::{
    Body, Caller, Command, CustomerId, IbanError, Origin, PastPosting, Refusal, Request, Role, Sealed, State,
    SubjectId, SystemCommand,
};
use edge::Guard;
use engine::{Engine, Field, NewSubject, Outcome, Receipt, Rivals, Submission};
use ledger::{AccountId, Currency, Leg, Money, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::admission::Parameters;
use crate::batches::{self, Batches};
use crate::docs::Docs;
use crate::events::Desk;
use crate::extract::{IdempotencyKey, Token};
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::password::Passwords;
use crate::problem::{Kind, Problem, REPLAYED};
use crate::{Limits, ServeError, Settings};

/// Room for an ordinary request or answer in JSON, in bytes, so that it is not moved while it grows.
const ORDINARY_BYTES: usize = 512;

/// Room for the header fields that an answer gets on its way.
const HEADER_FIELDS: usize = 12;

/// State shared by all handlers. Cloning gives another handle on the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) passwords: Passwords,
    pub(crate) payment_ids: Ids,
    pub(crate) hold_ids: Ids,
    pub(crate) event_ids: Ids,
    pub(crate) events: Arc<Desk>,
    pub(crate) metrics: Metrics,
    pub(crate) batches: Batches,
    /// The description of the interface, as it is served.
    pub(crate) description: Bytes,
    pub(crate) docs: Docs,
    pub(crate) parameters: Parameters,
    pub(crate) session_ms: i64,
    pub(crate) guard: Arc<Guard>,
    pub(crate) limits: Limits,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// A caller whose session is open, and what it makes of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedIn {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
    pub(crate) customer: Option<CustomerId>,
}

impl SignedIn {
    /// Finds the caller who has a token, at a time.
    pub(crate) fn find(state: &State, Token(token): Token, now: Timestamp) -> Result<Self, Refusal> {
        let session = state.session(token, now).ok_or(Refusal::NotSignedIn)?;
        let user = state.user(session.user).ok_or(Refusal::NotSignedIn)?;
        let caller = Caller { user: session.user, session: Some(token) };
        Ok(Self { caller, role: user.role, customer: user.customer })
    }

    /// Returns `true` if the caller sees everything: operators and auditors do.
    pub(crate) fn sees_all(&self) -> bool {
        match self.role {
            Role::Operator | Role::Auditor => true,
            Role::Customer => false,
        }
    }

    /// Only those who see everything.
    pub(crate) fn must_see_all(&self) -> Result<(), Refusal> {
        if self.sees_all() { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Only operators.
    pub(crate) fn must_run_the_bank(&self) -> Result<(), Refusal> {
        if self.role == Role::Operator { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Only those who see everything, and who have a right on the account.
    pub(crate) fn must_see(&self, state: &State, account: AccountId) -> Result<(), Refusal> {
        let right = self.customer.and_then(|customer| state.right(customer, account));
        if self.sees_all() || right.is_some() { Ok(()) } else { Err(Refusal::NoRight) }
    }
}

/// A write that can be decided: who asks, and what the two, it and its key, are remembered as.
pub(crate) struct Write {
    pub(crate) who: SignedIn,
    request: Request,
    /// The keys of a batch, which exclude the same key for anything else.
    rivals: Rivals,
    /// `true` if it is only to be told what would become of it.
    dry_run: bool,
}

/// A write, and what was found of what it names.
pub(crate) type Looked<T> = (Write, Result<T, Problem>);

/// The account of an IBAN that was sent.
pub(crate) fn account_of(state: &State, iban: &str) -> Result<AccountId, Problem> {
    // One space between two characters is how people group them; more is no way of writing an IBAN.
    if iban.starts_with(' ') || iban.contains("  ") {
        return Err(IbanError::Invalid.into());
    }
    Ok(state.account_of_iban(iban)?.ok_or(ledger::Refusal::UnknownAccount)?)
}

/// The movement of an amount between two accounts whose IBANs were sent, as `from` and `to`.
pub(crate) fn leg_of(state: &State, from: &str, to: &str, amount: Money) -> Result<Leg, Problem> {
    let found = |field: &str, iban: &str| account_of(state, iban).map_err(|problem| problem.in_field(field));
    Ok(Leg { debit: found("from", from)?, credit: found("to", to)?, amount })
}

/// The currency of an account.
pub(crate) fn currency_of(state: &State, account: AccountId) -> Result<Currency, Problem> {
    let account = state.ledger().account(account).ok_or(ledger::Refusal::UnknownAccount)?;
    Ok(account.currency)
}

/// The account of an IBAN that was sent, if the caller may see it.
pub(crate) fn seen_account(state: &State, who: &SignedIn, iban: &str) -> Result<AccountId, Problem> {
    let account = account_of(state, iban)?;
    who.must_see(state, account)?;
    Ok(account)
}

/// Under whose key a text about an account is sealed: its first owner's, or the bank's where it has none.
pub(crate) fn subject_of(state: &State, account: AccountId) -> SubjectId {
    let rights = state.account_info(account).map(|info| info.rights.as_slice()).unwrap_or_default();
    let owner = rights.iter().find(|(_, right)| *right == bank::Right::Owner);
    let owner = owner.and_then(|(customer, _)| state.customer(*customer));
    owner.map_or(SubjectId::BANK, |owner| owner.name.subject)
}

impl App {
    pub(crate) fn new(
        settings: &Settings,
        engine: Engine,
        guard: Arc<Guard>,
        description: &Value,
    ) -> Result<Self, ServeError> {
        let (docs, parameters) = (Docs::new(description), Parameters::of(description));
        let description = description.to_string();
        let events = Arc::new(Desk::new(&settings.limits));
        Ok(Self(Arc::new(Parts {
            passwords: Passwords::new(&settings.limits)?,
            payment_ids: Ids::new(&engine, "payment ids")?,
            hold_ids: Ids::new(&engine, "hold ids")?,
            event_ids: Ids::new(&engine, "event positions")?,
            batches: Batches::new(&settings.limits, guard.limits().request),
            metrics: Metrics::new(engine.clone(), Arc::clone(guard.counts()), Arc::clone(&events)),
            events,
            description: description.into(),
            docs,
            parameters,
            session_ms: i64::from(settings.session_minutes) * 60_000,
            guard,
            limits: settings.limits.clone(),
            engine,
        })))
    }

    // ---- Reading ----

    /// Reads what a caller asks to see. It is durable when it is given.
    pub(crate) async fn read<T>(
        &self,
        token: Token,
        read: impl FnOnce(&State, &SignedIn) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let now = self.engine.now();
        self.engine.read(|state| read(state, &SignedIn::find(state, token, now)?)).await?
    }

    /// Finds out who asks, and looks up what a command needs, without waiting: the command's answer waits by itself.
    pub(crate) fn prepare<T>(
        &self,
        token: Token,
        look: impl FnOnce(&State, &SignedIn) -> Result<T, Problem>,
    ) -> Result<(SignedIn, T), Problem> {
        let now = self.engine.now();
        self.engine.peek(|state| {
            let who = SignedIn::find(state, token, now)?;
            Ok((who, look(state, &who)?))
        })?
    }

    /// Opens a personal field; none when the person was erased.
    pub(crate) fn open(&self, field: Field, sealed: &Sealed) -> Result<Option<String>, Problem> {
        Ok(self.engine.open_sealed(field, sealed)?)
    }

    /// Opens a personal field where there is one.
    pub(crate) fn open_some(&self, field: Field, sealed: Option<&Sealed>) -> Result<Option<String>, Problem> {
        sealed.map_or(Ok(None), |sealed| self.open(field, sealed))
    }

    // ---- Writing ----

    /// Seals a field of somebody known to the bank.
    pub(crate) fn seal(&self, subject: SubjectId, field: Field, text: &str) -> Result<Sealed, Problem> {
        self.engine.seal(subject, field, text)?.ok_or_else(|| Refusal::PersonErased.into())
    }

    /// Does as [`App::prepare`] for a write under a key. A fault found already here, because something that is named
    /// does not exist, is given to [`App::submit`], to be remembered like any other refusal.
    pub(crate) fn prepare_write<T>(
        &self,
        token: Token,
        key: &IdempotencyKey,
        route: &str,
        body: &impl Serialize,
        look: impl FnOnce(&State, &SignedIn) -> Result<T, Problem>,
    ) -> Result<Looked<T>, Problem> {
        if key.dry_run {
            return Err(Problem::of(Kind::NoDryRun).in_field("dry_run"));
        }
        self.prepare_movement(token, key, route, body, look)
    }

    /// Does as [`App::prepare_write`] for a write that moves or reserves money, and so has a dry run.
    pub(crate) fn prepare_movement<T>(
        &self,
        token: Token,
        key: &IdempotencyKey,
        route: &str,
        body: &impl Serialize,
        look: impl FnOnce(&State, &SignedIn) -> Result<T, Problem>,
    ) -> Result<Looked<T>, Problem> {
        let (who, looked) = self.prepare(token, |state, who| Ok(look(state, who)))?;
        let rivals = batches::places_of_any(self, who.caller.user, &key.key);
        let write = Write { who, request: self.request(&who, key, route, body)?, rivals, dry_run: key.dry_run };
        Ok((write, looked))
    }

    /// Has a write remembered that is refused before it is a command, and tells why. Where the same request was carried
    /// out before, by a version with other rules, its outcome is given again.
    async fn refuse(&self, write: &Write, problem: Problem) -> Result<Receipt, Problem> {
        let Some(refusal) = problem.remembered_as() else { return Err(problem) };
        match self.decide(write, Body::System(SystemCommand::Unresolved(refusal)), None, None).await {
            // This problem says more than the refusal alone.
            Err(told) if told.remembered_as() == Some(refusal) => Err(problem.told_before(told.is_repeated())),
            told => told,
        }
    }

    /// Hashes a write and its key to the form in which they are remembered: `route` with what its address names, and
    /// the body as it was understood, so that a retry may be spaced differently.
    fn request(
        &self,
        who: &SignedIn,
        key: &IdempotencyKey,
        route: &str,
        body: &impl Serialize,
    ) -> Result<Request, Problem> {
        let mut canonical = Vec::with_capacity(ORDINARY_BYTES);
        canonical.extend_from_slice(route.as_bytes());
        canonical.push(b'\n');
        serde_json::to_writer(&mut canonical, body).map_err(|error| Problem::failed(&error))?;
        Ok(self.engine.request(who.caller.user, key.key.as_bytes(), &canonical))
    }

    /// Has a write decided and made durable. Its command may not have come to be, because something that it names does not
    /// exist, or a field is not as it must be or can't be sealed: that is remembered like any other refusal.
    pub(crate) async fn submit(&self, write: &Write, made: Result<Body, Problem>) -> Result<Receipt, Problem> {
        self.submit_with(write, made.map(|body| (body, None)), None).await
    }

    /// Does as [`App::submit`] for a command that may have a new subject of personal fields, or is about a past
    /// posting.
    pub(crate) async fn submit_with(
        &self,
        write: &Write,
        made: Result<(Body, Option<NewSubject>), Problem>,
        past: Option<PastPosting>,
    ) -> Result<Receipt, Problem> {
        match made {
            Ok((body, subject)) => self.decide(write, body, subject, past.map(Box::new)).await,
            Err(problem) => self.refuse(write, problem).await,
        }
    }

    async fn decide(
        &self,
        write: &Write,
        body: Body,
        subject: Option<NewSubject>,
        past: Option<Box<PastPosting>>,
    ) -> Result<Receipt, Problem> {
        let command =
            Command { origin: Origin::default(), caller: write.who.caller, request: Some(write.request), body };
        let submission = Submission { command, subject, past, rivals: Some(Box::new(write.rivals)) };
        let outcome = if write.dry_run {
            self.engine.rehearse(submission).await?
        } else {
            self.engine.submit(submission).await?
        };
        match outcome {
            Outcome::Accepted(receipt) => Ok(receipt),
            Outcome::Refused { refusal, repeated, .. } => Err(Problem::refused(refusal, repeated)),
            Outcome::Unchanged => Err(Problem::failed(&"a write was accepted and changed nothing")),
        }
    }
}

/// Number that a receipt has in the place of an event's when nothing was done.
const NO_EVENT: u64 = 0;

/// Returns `true` if a receipt tells what would have been done.
pub(crate) fn is_dry(receipt: &Receipt) -> bool {
    receipt.event == NO_EVENT
}

/// A write's event is not the one that its command makes. Two requests with the same fingerprint, or a bug.
pub(crate) fn unexpected(receipt: &Receipt) -> Problem {
    Problem::failed(&format_args!("event {} is not what its command makes", receipt.event))
}

/// The answer to a write that made something, with its address.
pub(crate) fn created(receipt: &Receipt, location: &str, body: impl Serialize) -> Response {
    let mut text = Vec::with_capacity(ORDINARY_BYTES);
    if let Err(error) = serde_json::to_writer(&mut text, &body) {
        return Problem::failed(&error).into_response();
    }
    let mut response = Response::new(text.into());
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.reserve(HEADER_FIELDS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(LOCATION, location);
    }
    marked(receipt, response)
}

/// The answer to a write that changed something.
pub(crate) fn changed(receipt: &Receipt, body: impl Serialize) -> Response {
    marked(receipt, Json(body).into_response())
}

/// The answer to a write after which there is nothing to show.
pub(crate) fn removed(receipt: &Receipt) -> Response {
    marked(receipt, StatusCode::NO_CONTENT.into_response())
}

/// Marks an answer that was given before under the same key.
fn marked(receipt: &Receipt, mut response: Response) -> Response {
    if receipt.repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
