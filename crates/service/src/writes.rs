//! Writes: from a request under an idempotency key to its receipt.
//!
//! A front hands in what the request means ([`Meaning`]). Key and meaning are hashed to what is remembered, so a retry may
//! be written differently, and a reused key is found out. What is wrong with a request whose form was right is remembered
//! under its key, as the bank's own refusals are.
//!
//! Versions before 0.2 remembered a request in another form. Only where a key turns out to be used for something else is
//! that form made, and looked for in its place: hardly ever, and never for a new request.

use bank::{Body, Command, PastPosting, Refusal, Request, State, SystemCommand, TokenHash, UserId};
use engine::{Engine, NewSubject, Outcome, Receipt, Rivals, Submission};

use crate::access::SignedIn;
use crate::fault::Fault;
use crate::meaning::Meaning;
use crate::service::Service;

/// A write as it was asked for.
#[derive(Debug, Clone)]
pub struct Keyed<'a> {
    /// Token of whoever asks.
    pub token: TokenHash,
    /// The caller's own key of the request; empty for a dry run, which no front may take from a caller otherwise.
    pub key: &'a str,
    /// Meaning that its key has from now on.
    pub meaning: Meaning<'a>,
    /// `true` if it is only to be told what would become of the request.
    pub dry_run: bool,
}

/// A write that can be decided: who asks, and what the two, it and its key, are remembered as.
pub(crate) struct Write<'a> {
    /// The caller.
    pub(crate) who: SignedIn,
    request: Request,
    /// The keys of a batch, which exclude the same key for anything else.
    rivals: Rivals,
    asked: &'a Keyed<'a>,
}

/// A write, and what was found of what it names.
pub(crate) type Looked<'a, T> = (Write<'a>, Result<T, Fault>);

impl Service {
    /// Does as [`Service::prepare`] for a write under a key. A fault found already here, because something that is named
    /// does not exist, is given to [`Service::submit`], to be remembered like any other refusal.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, and if the engine can't answer.
    pub(crate) fn prepare_write<'a, T>(
        &self,
        asked: &'a Keyed<'a>,
        look: impl FnOnce(&State, &SignedIn) -> Result<T, Fault>,
    ) -> Result<Looked<'a, T>, Fault> {
        let (who, looked) = self.prepare(asked.token, |state, who| Ok(look(state, who)))?;
        let rivals = places_of_any(self.engine(), who.caller.user, asked.key);
        let request = self.engine().request(who.caller.user, asked.key.as_bytes(), &asked.meaning.form());
        Ok((Write { who, request, rivals, asked }, looked))
    }

    /// Has a write decided and made durable. Its command may not have come to be, because something that it names does
    /// not exist, or a field is not as it must be or can't be sealed: that is remembered like any other refusal.
    ///
    /// # Errors
    ///
    /// Fails if the write is refused, now or under its key before, and if the engine can't answer.
    pub(crate) async fn submit(&self, write: &Write<'_>, made: Result<Body, Fault>) -> Result<Receipt, Fault> {
        self.submit_with(write, made.map(|body| (body, None)), None).await
    }

    /// Does as [`Service::submit`] for a command that may have a new subject of personal fields, or is about a past
    /// posting.
    ///
    /// # Errors
    ///
    /// Fails if the write is refused, now or under its key before, and if the engine can't answer.
    pub(crate) async fn submit_with(
        &self,
        write: &Write<'_>,
        made: Result<(Body, Option<NewSubject>), Fault>,
        past: Option<PastPosting>,
    ) -> Result<Receipt, Fault> {
        match made {
            Ok((body, subject)) => self.decide(write, body, subject, past.map(Box::new)).await,
            Err(fault) => self.refuse(write, fault).await,
        }
    }

    /// Has a write remembered that is refused before it is a command, and tells why. Where the same request was carried
    /// out before, by a version with other rules, its outcome is given again.
    async fn refuse(&self, write: &Write<'_>, fault: Fault) -> Result<Receipt, Fault> {
        let Some(refusal) = fault.remembered_as() else { return Err(fault) };
        match self.decide(write, Body::System(SystemCommand::Unresolved(refusal)), None, None).await {
            // This fault says more than the refusal alone.
            Err(told) if told.remembered_as() == Some(refusal) => Err(fault.told_before(told.is_repeated())),
            told => told,
        }
    }

    async fn decide(
        &self,
        write: &Write<'_>,
        body: Body,
        subject: Option<NewSubject>,
        past: Option<Box<PastPosting>>,
    ) -> Result<Receipt, Fault> {
        let command = Command { caller: write.who.caller, origin: self.origin(), request: Some(write.request), body };
        let submission = Submission { command, subject, past, rivals: Some(Box::new(write.rivals)) };
        let mut outcome = if write.asked.dry_run {
            self.engine().rehearse(submission).await?
        } else {
            self.engine().submit(submission).await?
        };
        if outcome.is_key_reused() {
            // In a box of its own, since it is seldom needed and would make every caller's future larger.
            outcome = Box::pin(self.outcome_in_older_form(write)).await?;
        }
        match outcome {
            Outcome::Accepted(receipt) => Ok(receipt),
            Outcome::Refused { refusal, repeated, .. } => Err(Fault::refused(refusal, repeated)),
            Outcome::Unchanged => Err(Fault::failed(&"a write was accepted and changed nothing")),
        }
    }

    /// Finds out whether a key that is used stands for the same request as an earlier version remembered it. Something was
    /// written under the key, or under one that excludes it, so that nothing new can be carried out meanwhile.
    async fn outcome_in_older_form(&self, write: &Write<'_>) -> Result<Outcome, Fault> {
        let Keyed { key, meaning, .. } = write.asked;
        let Some(form) = self.older_form(meaning) else { return Err(Refusal::KeyReused.into()) };
        let request = self.engine().request(write.who.caller.user, key.as_bytes(), &form);
        Ok(self.engine().repeat(request).await?)
    }

    /// Does a command of the service's own, under no key.
    pub(crate) async fn submit_without_key(&self, command: Command) -> Result<Option<Refusal>, Fault> {
        match self.engine().submit(command).await? {
            Outcome::Accepted(_) | Outcome::Unchanged => Ok(None),
            Outcome::Refused { refusal, .. } => Ok(Some(refusal)),
        }
    }
}

/// Number that a receipt has in the place of an event's when nothing was done.
const NO_EVENT: u64 = 0;

/// Returns `true` if a receipt tells what would have been done.
pub(crate) fn is_dry(receipt: &Receipt) -> bool {
    receipt.event == NO_EVENT
}

/// Tells that a write's event is not the one that its command makes: two requests with the same fingerprint, or a bug.
pub(crate) fn unexpected(receipt: &Receipt) -> Fault {
    Fault::failed(&format_args!("event {} is not what its command makes", receipt.event))
}

/// Hashes a line of a batch, or all of them, and the batch's key to the form in which they are remembered. No key that is
/// sent holds the character between the two.
pub(crate) fn place(engine: &Engine, user: UserId, key: &str, line: Option<usize>, content: &[u8]) -> Request {
    let place = line.map_or_else(|| "all".to_owned(), |line| line.to_string());
    let key = [key.as_bytes(), b"\0", place.as_bytes()].concat();
    engine.request(user, &key, content)
}

/// The places of which one is used by any batch of a key.
fn places_of_any(engine: &Engine, user: UserId, key: &str) -> Rivals {
    [place(engine, user, key, Some(1), b""), place(engine, user, key, None, b"")].map(|place| place.key)
}

/// The most characters of an idempotency key: several UUIDs, with room.
pub const MAX_KEY_CHARACTERS: usize = 128;

/// Returns `true` if a text is one that a caller may send as a key: 1 to 128 visible ASCII characters.
#[must_use]
pub fn is_key(text: &[u8]) -> bool {
    (1..=MAX_KEY_CHARACTERS).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}
