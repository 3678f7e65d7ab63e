//! Personal fields: sealing them before they enter a command, opening them for those entitled to see.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use bank::{Sealed, SubjectId};
use journal::{MasterKey, Reader, SubjectKey};

use crate::{Engine, OpenError, Unavailable};

/// The most subjects' keys kept at hand. At about 64 bytes each this is a few megabytes; others are read when needed.
const MAX_KEYS_AT_HAND: usize = 65_536;

/// Field that a seal belongs to, so that no sealed bytes can be put in another field's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A customer's name.
    CustomerName,
    /// The name that a user signs in with.
    UserName,
    /// The hash of a user's password.
    Password,
    /// Name of an account.
    AccountName,
    /// The text of a payment.
    Text,
    /// A payer's notes on a payment.
    Metadata,
    /// A payer's own id of a payment.
    EndToEndId,
}

impl Field {
    fn context(self) -> &'static [u8] {
        match self {
            Self::CustomerName => b"customer name",
            Self::UserName => b"user name",
            Self::Password => b"password",
            Self::AccountName => b"account name",
            Self::Text => b"text",
            Self::Metadata => b"metadata",
            Self::EndToEndId => b"end-to-end id",
        }
    }
}

/// A person new to the bank: an id and a fresh key. The key becomes durable with the command that it is submitted with.
#[derive(Clone)]
pub struct NewSubject {
    pub(crate) key: SubjectKey,
}

impl NewSubject {
    /// A random id and key.
    #[must_use]
    pub fn generate() -> Self {
        // 0 is the bank; SQLite's integers are signed, so the top bit stays clear.
        let subject = (u64::from_be_bytes(random()) >> 1).max(1);
        Self { key: SubjectKey::generate(subject) }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> SubjectId {
        SubjectId(self.key.subject)
    }

    /// A field of this person, sealed.
    #[must_use]
    pub fn seal(&self, field: Field, text: &str) -> Sealed {
        seal(&self.key, field, text)
    }
}

fn seal(key: &SubjectKey, field: Field, text: &str) -> Sealed {
    let bytes = journal::seal_field(key, field.context(), text.as_bytes());
    Sealed { subject: SubjectId(key.subject), bytes: bytes.into() }
}

/// Subjects' keys at hand.
#[derive(Default)]
pub(crate) struct Keyring(Mutex<HashMap<u64, SubjectKey>>);

impl Keyring {
    pub(crate) fn keep(&self, key: SubjectKey) {
        let mut keys = self.0.lock().expect("no thread panics while it holds the keyring");
        // Starting anew is rare and cheap, and needs no bookkeeping of which key was used last.
        if keys.len() >= MAX_KEYS_AT_HAND {
            keys.clear();
        }
        keys.insert(key.subject, key);
    }

    /// The key of a subject, from `find` where it is not at hand. None when it was destroyed.
    fn key_of<E>(
        &self,
        subject: SubjectId,
        find: impl FnOnce() -> Result<Option<SubjectKey>, E>,
    ) -> Result<Option<SubjectKey>, E> {
        let at_hand = self.0.lock().expect("no thread panics while it holds the keyring").get(&subject.0).cloned();
        if at_hand.is_some() {
            return Ok(at_hand);
        }
        let found = find()?;
        if let Some(key) = &found {
            self.keep(key.clone());
        }
        Ok(found)
    }
}

/// The key of the bank's own names.
fn bank_key(secrets: &journal::Secrets) -> SubjectKey {
    SubjectKey { subject: SubjectId::BANK.0, key: secrets.derive("the bank's own names") }
}

fn open_with(key: &SubjectKey, field: Field, sealed: &Sealed) -> Option<String> {
    let plain = journal::open_field(key, field.context(), &sealed.bytes);
    plain.and_then(|plain| String::from_utf8(plain).ok())
}

impl Engine {
    /// Seals a field of a subject known to the bank. None when the subject's key was destroyed.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the subject's key can't be read.
    pub fn seal(&self, subject: SubjectId, field: Field, text: &str) -> Result<Option<Sealed>, Unavailable> {
        Ok(self.subject_key(subject)?.map(|key| seal(&key, field, text)))
    }

    /// Seals a name of the bank's own, which tells of nobody and is never erased.
    #[must_use]
    pub fn seal_as_bank(&self, field: Field, text: &str) -> Sealed {
        seal(&bank_key(&self.shared.secrets.all), field, text)
    }

    /// Opens a personal field. None when the subject's key was destroyed: the person has been erased.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the subject's key can't be read.
    pub fn open_sealed(&self, field: Field, sealed: &Sealed) -> Result<Option<String>, Unavailable> {
        Ok(self.subject_key(sealed.subject)?.and_then(|key| open_with(&key, field, sealed)))
    }

    fn subject_key(&self, subject: SubjectId) -> Result<Option<SubjectKey>, Unavailable> {
        self.shared.keyring.key_of(subject, || match subject {
            SubjectId::BANK => Ok(Some(bank_key(&self.shared.secrets.all))),
            SubjectId(id) => self.shared.with_reader(|reader| reader.subject_key(id)),
        })
    }
}

/// Opens the personal fields of a bank that somebody else may be running.
pub struct Opener {
    reader: Reader,
    keyring: Keyring,
}

impl Opener {
    /// Makes an opener for the bank in `folder`.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be opened for reading.
    pub fn new(folder: &Path, master: &MasterKey) -> Result<Self, OpenError> {
        Ok(Self { reader: Reader::open(folder, master)?, keyring: Keyring::default() })
    }

    /// Opens a personal field, as [`Engine::open_sealed`] does.
    ///
    /// # Errors
    ///
    /// Fails if the subject's key can't be read.
    pub fn open_sealed(&self, field: Field, sealed: &Sealed) -> Result<Option<String>, OpenError> {
        let key = self.keyring.key_of(sealed.subject, || match sealed.subject {
            SubjectId::BANK => Ok::<_, OpenError>(Some(bank_key(&self.reader.secrets()))),
            SubjectId(id) => Ok(self.reader.subject_key(id)?),
        })?;
        Ok(key.and_then(|key| open_with(&key, field, sealed)))
    }
}

/// Random bytes from the system.
#[must_use]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
