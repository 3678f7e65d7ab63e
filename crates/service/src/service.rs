//! The handle that every front holds: the engine, and the ways of reading, sealing and opening.
//!
//! It holds what is kept for all callers (passwords' workers, ids, batches, the desk of the streams), and these hold it in
//! turn, to ask the engine: circles between files that follow from one handle for all.

use std::sync::Arc;

use bank::{Channel, Origin, Plain, Readers, Refusal, Said, Sealed, State, SubjectId, TokenHash};
use engine::{Engine, Field};

use crate::access::SignedIn;
use crate::access::password::Passwords;
use crate::events::Desk;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::meaning::{Meaning, OlderForm};
use crate::payments::Batches;

/// Settings of a service. Plain data: the program fills it from its configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Duration of a session, in milliseconds.
    pub session_ms: i64,
    /// Passwords checked at once. Each takes a core for some 20 ms and 19 MiB.
    pub password_workers: usize,
    /// Passwords waiting to be checked; who comes later is told to try again.
    pub passwords_waiting: usize,
    /// Passwords waiting beside these, of users at an address from which they signed in before, and of new users.
    pub passwords_expected: usize,
    /// Streams of events open at once.
    pub event_streams: usize,
    /// Streams of events open at once for one user; one more ends the oldest. At least one.
    pub event_streams_per_user: usize,
    /// Clients who read the past of the events at once. Each takes a core while it does.
    pub event_readers: usize,
    /// Batches worked on at once. Each holds some hundred kilobytes of lines.
    pub batches: usize,
    /// Batches worked on at once for one user.
    pub batches_per_user: usize,
    /// Duration from now within which a hold ends, in days.
    pub hold_days: u32,
}

/// Reason a service can't be set up: the cryptographic library does not work on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);

/// A bank without a wire. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct Service {
    parts: Arc<Parts>,
    channel: Channel,
    older_form: OlderForm,
}

struct Parts {
    engine: Engine,
    passwords: Passwords,
    payment_ids: Ids,
    hold_ids: Ids,
    event_ids: Ids,
    events: Desk,
    batches: Batches,
    settings: Settings,
}

impl Service {
    /// Sets a service up over an open bank, for a front: `channel` is what the events of its commands say about where they
    /// came from, and `older_form` how versions before 0.2 of the front wrote what a key stands for.
    ///
    /// # Errors
    ///
    /// Fails if the cryptographic library does not work on this machine.
    pub fn new(
        engine: Engine,
        settings: Settings,
        channel: Channel,
        older_form: OlderForm,
    ) -> Result<Self, SetupError> {
        let parts = Parts {
            passwords: Passwords::new(&settings)?,
            payment_ids: Ids::new(&engine, "payment ids")?,
            hold_ids: Ids::new(&engine, "hold ids")?,
            event_ids: Ids::new(&engine, "event positions")?,
            events: Desk::new(&settings),
            batches: Batches::new(&settings),
            settings,
            engine,
        };
        Ok(Self { parts: Arc::new(parts), channel, older_form })
    }

    /// Where the commands of this front come from, as far as it knows.
    pub(crate) fn origin(&self) -> Origin {
        Origin::of(self.channel)
    }

    /// Makes the form in which versions before 0.2 remembered a request.
    pub(crate) fn older_form(&self, meaning: &Meaning<'_>) -> Option<Vec<u8>> {
        (self.older_form)(meaning)
    }

    /// Returns the engine under it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// Returns the settings that it was set up with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// Returns the workers on passwords.
    pub(crate) fn passwords(&self) -> &Passwords {
        &self.parts.passwords
    }

    /// Returns the batches that are being worked on.
    pub(crate) fn batches(&self) -> &Batches {
        &self.parts.batches
    }

    /// Returns the ids of payments.
    #[must_use]
    pub fn payment_ids(&self) -> &Ids {
        &self.parts.payment_ids
    }

    /// Returns the ids of holds.
    #[must_use]
    pub fn hold_ids(&self) -> &Ids {
        &self.parts.hold_ids
    }

    /// Returns the ids of positions in the stream of events.
    #[must_use]
    pub fn event_ids(&self) -> &Ids {
        &self.parts.event_ids
    }

    /// Returns the desk of the streams of events.
    #[must_use]
    pub fn events(&self) -> &Desk {
        &self.parts.events
    }

    // ---- Reading ----

    /// Reads what a caller asks to see. It is durable when it is given.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, if `read` does, and if the engine can't answer.
    pub async fn read<T>(
        &self,
        token: TokenHash,
        read: impl FnOnce(&State, &SignedIn) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let now = self.engine().now();
        self.engine().read(|state| read(state, &SignedIn::find(state, token, now)?)).await?
    }

    /// Finds out who asks, and looks up what a command needs, without waiting: the command's answer waits by itself.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, if `look` does, and if the engine can't answer.
    pub fn prepare<T>(
        &self,
        token: TokenHash,
        look: impl FnOnce(&State, &SignedIn) -> Result<T, Fault>,
    ) -> Result<(SignedIn, T), Fault> {
        let now = self.engine().now();
        self.engine().peek(|state| {
            let who = SignedIn::find(state, token, now)?;
            Ok((who, look(state, &who)?))
        })?
    }

    // ---- Personal fields ----

    /// Opens a personal field; none when the person was erased.
    ///
    /// # Errors
    ///
    /// Fails if the person's key can't be read.
    pub fn open(&self, field: Field, sealed: &Sealed) -> Result<Option<String>, Fault> {
        Ok(self.engine().open_sealed(field, sealed)?)
    }

    /// Opens a personal field where there is one.
    ///
    /// # Errors
    ///
    /// Fails if the person's key can't be read.
    pub fn open_some(&self, field: Field, sealed: Option<&Sealed>) -> Result<Option<String>, Fault> {
        sealed.map_or(Ok(None), |sealed| self.open(field, sealed))
    }

    /// Seals a field of somebody known to the bank.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::PersonErased`] if the person was erased; fails if their key can't be read.
    pub fn seal(&self, subject: SubjectId, field: Field, text: &str) -> Result<Sealed, Fault> {
        self.engine().seal(subject, field, text)?.ok_or_else(|| Refusal::PersonErased.into())
    }

    /// Seals what a payment says, for each of those who read it.
    ///
    /// # Errors
    ///
    /// Refuses with [`Refusal::PersonErased`] if whoever says it was erased; fails if a key can't be read.
    pub(crate) fn seal_said(&self, readers: &Readers, plain: Plain<'_>) -> Result<Said, Fault> {
        self.engine().seal_said(readers, plain)?.ok_or_else(|| Refusal::PersonErased.into())
    }
}
