//! Whatever goes wrong with a request, without a wire: a refusal of the bank, a request that is not as it must be, or an
//! engine that can't answer. A front puts it into its own form. What went wrong inside is logged here, and never told.

use std::fmt;

use bank::{IbanError, Refusal};
use engine::{HistoryError, Unavailable};
use ledger::{AmountError, RefusalClass};

/// Declares the kinds of fault beside the bank's refusals in one table: name and words.
macro_rules! kinds {
    ($($kind:ident $words:literal;)+) => {
        /// A kind of fault of the service's own; the bank's refusals are others.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $(#[doc = $words] $kind,)+
        }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns what it says, in words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$kind => $words,)+ }
            }
        }
    };
}

kinds! {
    Malformed "it can't be read";
    InvalidRequest "the request is not as it must be";
    WrongCredentials "the name or the password is wrong";
    UnknownPosition "this is not a position in the stream of events";
    TooManyStreams "as many of your streams of events are ending as one user may have";
    StreamsFull "there are as many streams of events as the server may have open";
    UnknownBatch "there is no such batch of yours";
    BatchTooLong "a batch has at most 100000 lines";
    BatchChanged "an earlier line is another than was sent at its place before, so this line was not carried out";
    TooManyBatches "too many batches are being worked on";
    UnknownCursor "this cursor is of no page of the list";
    PeriodTooLong "the period has too many entries";
    PeriodBackwards "the last day is before the first";
    AccountNotNamed "you have rights on more than 100 accounts";
    PeriodAhead "the last day is in the future";
    TooManyPoints "a series has at most 366 points";
    Busy "the server is busy";
    ClockJumped "the server's clock jumped forward, and writing has stopped";
    Stopping "the server is stopping";
    DiskFull "nothing can be written at the moment, because the disk is full";
    DiskReadOnly "nothing can be written at the moment, because the disk takes no writes";
    MemoryFull "nothing can be written at the moment, because the server has no memory left for it";
    Unavailable "the bank can't answer now";
    Internal "something went wrong inside";
}

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Refused(Refusal),
    Other(FaultKind),
}

/// A refusal or failure on its way to a front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    reason: Reason,
    detail: String,
    fields: Vec<FieldFault>,
    /// `true` if it was told before, under the same idempotency key.
    repeated: bool,
    /// `true` if what is unknown was named in the request's body, and not in its address.
    in_body: bool,
}

/// A mistake in one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field or parameter.
    pub field: String,
    /// Mistake in the field, in words.
    pub detail: String,
}

impl Fault {
    /// Makes a fault of a kind, with what that kind says.
    #[must_use]
    pub fn of(kind: FaultKind) -> Self {
        Self::saying(kind, kind.words())
    }

    /// Makes a fault of a kind, with words of its own.
    #[must_use]
    pub fn saying(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { reason: Reason::Other(kind), detail: detail.into(), fields: Vec::new(), repeated: false, in_body: false }
    }

    /// Tells of a mistake in a field.
    #[must_use]
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::of(FaultKind::InvalidRequest).at(field, detail)
    }

    /// Tells of a failure inside, which is logged here and not told.
    #[must_use]
    pub fn failed(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a request failed inside");
        Self::of(FaultKind::Internal)
    }

    /// Makes a refusal with words of its own.
    #[must_use]
    pub fn refusing(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..refusal.into() }
    }

    /// Makes a refusal, as it was told before under the same key if `repeated`.
    #[must_use]
    pub fn refused(refusal: Refusal, repeated: bool) -> Self {
        Self { repeated, ..refusal.into() }
    }

    /// Says why a text is not an amount.
    #[must_use]
    pub fn amount(field: &str, error: AmountError) -> Self {
        let refusal = match error {
            AmountError::TooPrecise { .. } => Refusal::AmountTooPrecise,
            AmountError::Malformed | AmountError::TooLarge => Refusal::InvalidAmount,
        };
        Self::refusing(refusal, error.to_string()).in_field(field)
    }

    /// Adds the name of a field, and what is wrong with it.
    #[must_use]
    pub fn at(mut self, field: &str, detail: impl Into<String>) -> Self {
        self.fields.push(FieldFault { field: field.to_owned(), detail: detail.into() });
        self
    }

    /// Adds the name of a field, with what the fault says itself.
    #[must_use]
    pub fn in_field(self, field: &str) -> Self {
        let detail = self.detail.clone();
        self.at(field, detail)
    }

    /// Makes its fields those of a part of the request; of that part where it names no field.
    #[must_use]
    pub fn within(mut self, part: &str) -> Self {
        if self.fields.is_empty() {
            return self.in_field(part);
        }
        self.fields.iter_mut().for_each(|fault| fault.field = format!("{part}.{}", fault.field));
        self
    }

    /// Marks the fault as one that was told before under the same key if `repeated`.
    #[must_use]
    pub fn told_before(self, repeated: bool) -> Self {
        Self { repeated, ..self }
    }

    /// Tells that what is unknown was named in the request's body: then the request's address is right, and its content is
    /// not.
    #[must_use]
    pub fn named_in_body(self) -> Self {
        let in_body = self.refusal().is_some_and(|refusal| refusal.class() == RefusalClass::NotFound);
        Self { in_body, ..self }
    }

    /// Returns `true` if it tells of something unknown that was named in the request's body.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.in_body
    }

    /// Turns the fault into the refusal of a line of a batch, with the same words.
    #[must_use]
    pub fn into_invalid_line(self) -> Self {
        Self { detail: self.detail, fields: self.fields, ..Refusal::InvalidLine.into() }
    }

    /// Returns the bank's refusal that it tells of.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self.reason {
            Reason::Refused(refusal) => Some(refusal),
            Reason::Other(_) => None,
        }
    }

    /// Returns its kind, where it is no refusal of the bank.
    #[must_use]
    pub fn kind(&self) -> Option<FaultKind> {
        match self.reason {
            Reason::Refused(_) => None,
            Reason::Other(kind) => Some(kind),
        }
    }

    /// Returns what is wrong, in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the mistakes by field.
    #[must_use]
    pub fn fields(&self) -> &[FieldFault] {
        &self.fields
    }

    /// Returns `true` if it was told before, under the same idempotency key.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Returns the bank's refusal as which it is remembered under a key; none of a failure.
    #[must_use]
    pub fn remembered_as(&self) -> Option<Refusal> {
        match self.reason {
            Reason::Refused(refusal) => Some(refusal),
            Reason::Other(FaultKind::InvalidRequest) => Some(Refusal::InvalidRequest),
            Reason::Other(_) => None,
        }
    }

    /// Takes it apart: what it says, the mistakes by field, and whether it was told before.
    #[must_use]
    pub fn into_parts(self) -> (String, Vec<FieldFault>, bool) {
        (self.detail, self.fields, self.repeated)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let (reason, detail) = (Reason::Refused(refusal), refusal.to_string());
        Self { reason, detail, fields: Vec::new(), repeated: false, in_body: false }
    }
}

impl From<ledger::Refusal> for Fault {
    fn from(refusal: ledger::Refusal) -> Self {
        Refusal::from(refusal).into()
    }
}

impl From<Unavailable> for Fault {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Busy | Unavailable::AfterUndecided => Self::of(FaultKind::Busy),
            Unavailable::Stopping => Self::of(FaultKind::Stopping),
            Unavailable::DiskFull => Self::of(FaultKind::DiskFull),
            Unavailable::DiskReadOnly => Self::of(FaultKind::DiskReadOnly),
            Unavailable::MemoryFull { .. } => Self::of(FaultKind::MemoryFull),
            Unavailable::ClockJumped { .. } => Self::of(FaultKind::ClockJumped),
            Unavailable::BatchTooLarge => Self::failed(&unavailable),
            Unavailable::Failed(reason) => {
                tracing::error!(%reason, "the engine can't answer");
                Self::of(FaultKind::Unavailable)
            }
        }
    }
}

impl From<HistoryError> for Fault {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::UnknownAccount => ledger::Refusal::UnknownAccount.into(),
            HistoryError::TooLong => Self::saying(FaultKind::PeriodTooLong, error.to_string()),
            HistoryError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<IbanError> for Fault {
    fn from(error: IbanError) -> Self {
        match error {
            IbanError::Invalid | IbanError::InvalidNumber => Self::refusing(Refusal::InvalidIban, error.to_string()),
            IbanError::OtherBank | IbanError::OtherBanksNumber => Self::refusing(Refusal::OtherBank, error.to_string()),
        }
    }
}
