//! Personal fields: sealing them before they enter a command, opening them for those entitled to see.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use bank::{
    AccessEvent, AccountEvent, Category, Copies, HoldEvent, PaymentEvent, Plain, Readers, Said, Sealed, SubjectId, What,
};
use journal::{MasterKey, Reader, SubjectKey};

use crate::{Engine, OpenError, Unavailable};

/// The most subjects' keys kept at hand. At about 64 bytes each this is a few megabytes; others are read when needed.
const MAX_KEYS_AT_HAND: usize = 65_536;

/// The number of the one key for all categories, in the journal's table.
const OF_ALL: u8 = 0;

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
    /// Words of a payment, for another of its readers.
    Copy,
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
            Self::Copy => b"copy",
        }
    }

    /// Returns the category whose key it is sealed under.
    #[must_use]
    pub fn category(self) -> Category {
        match self {
            Self::CustomerName | Self::UserName | Self::Password | Self::AccountName => Category::Identity,
            Self::Text | Self::Metadata | Self::EndToEndId | Self::Copy => Category::Texts,
        }
    }
}

/// A person new to the bank: an id and fresh keys, one for each category. They become durable with the command that it is
/// submitted with.
#[derive(Clone)]
pub struct NewSubject {
    pub(crate) keys: Box<[SubjectKey; Category::ALL.len()]>,
}

impl NewSubject {
    /// A random id and keys.
    #[must_use]
    pub fn generate() -> Self {
        // 0 is the bank; SQLite's integers are signed, so the top bit stays clear.
        let subject = (u64::from_be_bytes(random()) >> 1).max(1);
        Self { keys: Box::new(Category::ALL.map(|category| SubjectKey::generate(subject, category.number()))) }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> SubjectId {
        SubjectId(self.keys[0].subject)
    }

    /// A field of this person, sealed.
    ///
    /// # Panics
    ///
    /// Never: there is a key for each category.
    #[must_use]
    pub fn seal(&self, field: Field, text: &str) -> Sealed {
        let key = self.keys.iter().find(|key| key.category == field.category().number());
        seal(key.expect("a key for each category"), field, text.as_bytes())
    }
}

/// Seals a field under a key of its category, or of all.
fn seal(key: &SubjectKey, field: Field, plain: &[u8]) -> Sealed {
    Sealed {
        subject: SubjectId(key.subject),
        bytes: journal::seal_field(key, field.context(), plain).into(),
        category: (key.category != OF_ALL).then(|| field.category()),
    }
}

fn number_of(category: Option<Category>) -> u8 {
    category.map_or(OF_ALL, Category::number)
}

/// Subjects' keys at hand, by subject and number of the category.
#[derive(Default)]
pub(crate) struct Keyring(Mutex<HashMap<(u64, u8), SubjectKey>>);

impl Keyring {
    pub(crate) fn keep(&self, key: SubjectKey) {
        let mut keys = self.0.lock().expect("no thread panics while it holds the keyring");
        // Starting anew is rare and cheap, and needs no bookkeeping of which key was used last.
        if keys.len() >= MAX_KEYS_AT_HAND {
            keys.clear();
        }
        keys.insert((key.subject, key.category), key);
    }

    /// The first of a subject's keys of some categories, from `find` where none is at hand. None when all were destroyed.
    fn key_of<E>(
        &self,
        subject: SubjectId,
        categories: &[u8],
        find: impl Fn(u64, u8) -> Result<Option<SubjectKey>, E>,
    ) -> Result<Option<SubjectKey>, E> {
        let at_hand = {
            let keys = self.0.lock().expect("no thread panics while it holds the keyring");
            categories.iter().find_map(|category| keys.get(&(subject.0, *category)).cloned())
        };
        if at_hand.is_some() {
            return Ok(at_hand);
        }
        for category in categories {
            if let Some(key) = find(subject.0, *category)? {
                self.keep(key.clone());
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

/// The key of the bank's own names.
fn bank_key(secrets: &journal::Secrets) -> SubjectKey {
    SubjectKey { subject: SubjectId::BANK.0, category: OF_ALL, key: secrets.derive("the bank's own names") }
}

/// Words of a payment, opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spoken {
    /// The text on the statement; none where there is none, or it was erased.
    pub text: Option<String>,
    /// The payer's own id of the payment; none where there is none, or it was erased.
    pub end_to_end_id: Option<String>,
}

/// Opens what a payment says for some people: the copies that are theirs, as long as any can be opened. Where none of it is
/// theirs (they came to the account later, it is older than copies are, they are nobody in particular) another's will do.
/// So an erased person's own statement has no texts, and the other side's keeps them.
fn open_said<E>(
    said: &Said,
    people: &[SubjectId],
    open: impl Fn(Field, &Sealed) -> Result<Option<Vec<u8>>, E>,
) -> Result<Spoken, E> {
    let Said { text, end_to_end_id, copies } = said;
    let Some(own) = text.as_ref().or(end_to_end_id.as_ref()) else { return Ok(Spoken::default()) };
    let copies = copies.as_deref().map(Copies::all).unwrap_or_default();
    let is_theirs = |sealed: &Sealed| people.contains(&sealed.subject);
    let any_is_theirs = is_theirs(own) || copies.iter().any(is_theirs);
    let may_open = |sealed: &&Sealed| !any_is_theirs || is_theirs(sealed);
    if may_open(&own) {
        let text_of = |field, sealed: &Option<Sealed>| {
            let opened = sealed.as_ref().map_or(Ok(None), |sealed| open(field, sealed))?;
            Ok(opened.and_then(|plain| String::from_utf8(plain).ok()))
        };
        let text = text_of(Field::Text, text)?;
        let spoken = Spoken { text, end_to_end_id: text_of(Field::EndToEndId, end_to_end_id)? };
        if spoken != Spoken::default() {
            return Ok(spoken);
        }
    }
    for copy in copies.iter().filter(may_open) {
        let opened = open(Field::Copy, copy)?;
        if let Some(Plain { text, end_to_end_id }) = opened.as_deref().and_then(Plain::read) {
            let [text, end_to_end_id] = [text, end_to_end_id].map(|words| words.map(str::to_owned));
            return Ok(Spoken { text, end_to_end_id });
        }
    }
    Ok(Spoken::default())
}

impl Engine {
    /// Seals a field of a subject known to the bank. None when the subject's key was destroyed.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the subject's key can't be read.
    pub fn seal(&self, subject: SubjectId, field: Field, text: &str) -> Result<Option<Sealed>, Unavailable> {
        Ok(self.sealing_key(subject, field.category())?.map(|key| seal(&key, field, text.as_bytes())))
    }

    /// Seals what a payment says: under the key of the first of its writers who has one, and a copy for each other reader
    /// who has one. None when all writers were erased.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if a subject's key can't be read.
    pub fn seal_said(&self, readers: &Readers, plain: Plain<'_>) -> Result<Option<Said>, Unavailable> {
        if plain == Plain::default() {
            return Ok(Some(Said::default()));
        }
        let Some(key) = self.writers_key(readers)? else { return Ok(None) };
        let own = |field, text: Option<&str>| text.map(|text| seal(&key, field, text.as_bytes()));
        let (text, end_to_end_id) = (own(Field::Text, plain.text), own(Field::EndToEndId, plain.end_to_end_id));
        let (mut copies, mut written) = (Vec::new(), None);
        for reader in readers.beside(SubjectId(key.subject)) {
            if let Some(key) = self.sealing_key(reader, Category::Texts)? {
                copies.push(seal(&key, Field::Copy, written.get_or_insert_with(|| plain.written())));
            }
        }
        Ok(Some(Said { text, end_to_end_id, copies: Copies::of(copies) }))
    }

    /// Seals a writer's own notes, which nobody else reads. None when all writers were erased.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if a subject's key can't be read.
    pub fn seal_notes(&self, readers: &Readers, notes: &str) -> Result<Option<Sealed>, Unavailable> {
        Ok(self.writers_key(readers)?.map(|key| seal(&key, Field::Metadata, notes.as_bytes())))
    }

    /// Seals a name of the bank's own, which tells of nobody and is never erased.
    #[must_use]
    pub fn seal_as_bank(&self, field: Field, text: &str) -> Sealed {
        seal(&bank_key(&self.shared.secrets.all), field, text.as_bytes())
    }

    /// Opens a personal field. None when its key was destroyed: it has been erased.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the subject's key can't be read.
    pub fn open_sealed(&self, field: Field, sealed: &Sealed) -> Result<Option<String>, Unavailable> {
        Ok(self.open_bytes(field, sealed)?.and_then(|plain| String::from_utf8(plain).ok()))
    }

    /// Opens what a payment says, for some people: the owners of the accounts on which it is shown, or nobody in
    /// particular.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if a subject's key can't be read.
    pub fn open_said(&self, said: &Said, people: &[SubjectId]) -> Result<Spoken, Unavailable> {
        open_said(said, people, |field, sealed| self.open_bytes(field, sealed))
    }

    fn open_bytes(&self, field: Field, sealed: &Sealed) -> Result<Option<Vec<u8>>, Unavailable> {
        let key = self.subject_key(sealed.subject, &[number_of(sealed.category)])?;
        Ok(key.and_then(|key| journal::open_field(&key, field.context(), &sealed.bytes)))
    }

    /// The key of a category for what is sealed now: people who came before there were categories keep the one that they
    /// have.
    fn sealing_key(&self, subject: SubjectId, category: Category) -> Result<Option<SubjectKey>, Unavailable> {
        self.subject_key(subject, &[category.number(), OF_ALL])
    }

    fn writers_key(&self, readers: &Readers) -> Result<Option<SubjectKey>, Unavailable> {
        if readers.writers().is_empty() {
            return Ok(Some(bank_key(&self.shared.secrets.all)));
        }
        for writer in readers.writers() {
            if let Some(key) = self.sealing_key(*writer, Category::Texts)? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    fn subject_key(&self, subject: SubjectId, categories: &[u8]) -> Result<Option<SubjectKey>, Unavailable> {
        if subject == SubjectId::BANK {
            return Ok(Some(bank_key(&self.shared.secrets.all)));
        }
        self.shared.keyring.key_of(subject, categories, |subject, category| {
            self.shared.with_reader(|reader| reader.subject_key(subject, category))
        })
    }
}

/// Opens the personal fields of a bank that somebody else may be running.
pub struct Opener {
    reader: Reader,
    keyring: Keyring,
    bank_key: SubjectKey,
}

impl Opener {
    /// Makes an opener for the bank in `folder`.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be opened for reading.
    pub fn new(folder: &Path, master: &MasterKey) -> Result<Self, OpenError> {
        let reader = Reader::open(folder, master)?;
        Ok(Self { keyring: Keyring::default(), bank_key: bank_key(&reader.secrets()), reader })
    }

    /// Opens a personal field, as [`Engine::open_sealed`] does.
    ///
    /// # Errors
    ///
    /// Fails if the subject's key can't be read.
    pub fn open_sealed(&self, field: Field, sealed: &Sealed) -> Result<Option<String>, OpenError> {
        Ok(self.open_bytes(field, sealed)?.and_then(|plain| String::from_utf8(plain).ok()))
    }

    /// Opens what a payment says, as [`Engine::open_said`] does.
    ///
    /// # Errors
    ///
    /// Fails if a subject's key can't be read.
    pub fn open_said(&self, said: &Said, people: &[SubjectId]) -> Result<Spoken, OpenError> {
        open_said(said, people, |field, sealed| self.open_bytes(field, sealed))
    }

    fn open_bytes(&self, field: Field, sealed: &Sealed) -> Result<Option<Vec<u8>>, OpenError> {
        let key = self.key(sealed.subject, sealed.category)?;
        Ok(key.and_then(|key| journal::open_field(&key, field.context(), &sealed.bytes)))
    }

    /// The key that opens a subject's fields of a category; none where it isn't there.
    pub(crate) fn key(&self, subject: SubjectId, category: Option<Category>) -> Result<Option<SubjectKey>, OpenError> {
        if subject == SubjectId::BANK {
            return Ok(Some(self.bank_key.clone()));
        }
        let find = |subject, category| Ok(self.reader.subject_key(subject, category)?);
        self.keyring.key_of(subject, &[number_of(category)], find)
    }

    /// Returns `true` if a key is stored, whether it can be used or not.
    pub(crate) fn has_key(&self, subject: SubjectId, category: Option<Category>) -> bool {
        !matches!(self.reader.subject_key(subject.0, number_of(category)), Ok(None))
    }
}

/// Gives each sealed field of an event to `take`.
pub(crate) fn fields_of<'a>(what: &'a What, mut take: impl FnMut(Field, &'a Sealed)) {
    let mut each = |fields: &[(Field, Option<&'a Sealed>)]| {
        fields.iter().for_each(|(field, sealed)| sealed.iter().for_each(|sealed| take(*field, sealed)));
    };
    match what {
        What::System(_) => {}
        What::Access(event) => match event {
            AccessEvent::CustomerAdded { name, .. } => each(&[(Field::CustomerName, Some(name))]),
            AccessEvent::UserAdded { name, password, .. } => {
                each(&[(Field::UserName, Some(name)), (Field::Password, Some(password))]);
            }
            AccessEvent::PasswordSet { password, .. } => each(&[(Field::Password, Some(password))]),
            AccessEvent::SessionOpened { .. }
            | AccessEvent::SessionClosed { .. }
            | AccessEvent::SignInFailed { .. }
            | AccessEvent::KeyDestroyed { .. }
            | AccessEvent::RightGranted { .. }
            | AccessEvent::RightRevoked { .. } => {}
        },
        What::Accounts(event) => match event {
            AccountEvent::AccountOpened { name, .. } | AccountEvent::AccountRenamed { name, .. } => {
                each(&[(Field::AccountName, name.as_ref())]);
            }
            AccountEvent::StatusSet { .. } | AccountEvent::OverdraftSet { .. } => {}
        },
        What::Payments(event) => match event {
            PaymentEvent::Posted {
                posting: _,
                purpose: _,
                text,
                metadata,
                end_to_end_id,
                copies,
                released_minor: _,
            } => {
                each(&[
                    (Field::Text, text.as_deref()),
                    (Field::Metadata, metadata.as_deref()),
                    (Field::EndToEndId, end_to_end_id.as_deref()),
                ]);
                copies.iter().flat_map(|copies| copies.all()).for_each(|copy| each(&[(Field::Copy, Some(copy))]));
            }
            PaymentEvent::PaidAll { .. } => {}
        },
        What::Holds(event) => match event {
            HoldEvent::HoldPlaced { hold: _, text, metadata, copies } => {
                each(&[(Field::Text, text.as_ref()), (Field::Metadata, metadata.as_ref())]);
                copies.iter().flat_map(|copies| copies.all()).for_each(|copy| each(&[(Field::Copy, Some(copy))]));
            }
            HoldEvent::HoldReleased { .. } | HoldEvent::HoldExtended { .. } => {}
        },
    }
}

/// Returns `true` if a key opens a field.
pub(crate) fn opens(key: &SubjectKey, field: Field, sealed: &Sealed) -> bool {
    journal::open_field(key, field.context(), &sealed.bytes).is_some()
}

/// Random bytes from the system.
#[must_use]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
