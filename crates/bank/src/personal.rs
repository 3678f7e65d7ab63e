//! Personal fields. What tells something about a person is sealed under that person's own key before it enters a
//! command, and stays sealed in events, state and checkpoints. The engine alone opens it, for those who show it.
//!
//! A person has a key for each category of fields. Destroying one erases that category everywhere, destroying all erases
//! the person, and either leaves the ledger whole. What several people share, the text of a payment, is sealed once for each
//! of them, so that erasing one of them leaves it in the books of the others.

use ledger::AccountId;
use minicbor::{Decode, Encode};
use smallvec::SmallVec;

use crate::{Right, State};

/// Subject under whose key a personal field is sealed. Drawn at random outside; 0 is the bank itself, for the names
/// of its own accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct SubjectId(#[n(0)] pub u64);

impl SubjectId {
    /// The bank itself.
    pub const BANK: Self = Self(0);
}

/// Category of personal fields, each under a key of its own. Its number is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Category {
    /// Somebody's identity: names, the name to sign in with and the password's hash, names of accounts.
    #[n(1)]
    Identity,
    /// Ways of reaching somebody. Nothing is sealed in it yet; the key is there, so that old people can have some.
    #[n(2)]
    Contact,
    /// Whatever is written: texts of payments, end-to-end ids, notes.
    #[n(3)]
    Texts,
}

impl Category {
    /// All categories, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Identity, Self::Contact, Self::Texts];

    /// Returns its number, in events and in the journal's table of keys.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Identity => 1,
            Self::Contact => 2,
            Self::Texts => 3,
        }
    }
}

/// A personal field under seal. Equal plain texts have different seals.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Sealed {
    /// Subject whose key opens it.
    #[n(0)]
    pub subject: SubjectId,
    /// The sealed bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Box<[u8]>,
    /// Category of the key that opens it; none where the subject has one key for all: the bank itself, and people who came
    /// before there were categories.
    #[n(2)]
    pub category: Option<Category>,
}

/// The most people for whom one text is sealed: two couples, a firm with its partners, or a payment to a dozen payees. Those
/// beyond read another's copy, as long as there is one.
pub const MAX_READERS: usize = 16;

/// The most owners of the writer's own account among them, so that room is left for the other side.
pub const MAX_WRITERS: usize = 4;

/// The people for whom a text is sealed: those who say it first, in the order of preference, then the others who read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readers {
    people: SmallVec<[SubjectId; 3]>,
    writers: usize,
}

impl Readers {
    /// Returns those of whom the first says it; none where the bank does.
    #[must_use]
    pub fn writers(&self) -> &[SubjectId] {
        self.people.get(..self.writers).unwrap_or_default()
    }

    /// Returns all but the one who says it.
    pub fn beside(&self, writer: SubjectId) -> impl Iterator<Item = SubjectId> + '_ {
        self.people.iter().copied().filter(move |reader| *reader != writer)
    }

    fn add(&mut self, people: impl Iterator<Item = SubjectId>, max: usize) {
        for person in people {
            if self.people.len() >= max {
                return;
            }
            if !self.people.contains(&person) {
                self.people.push(person);
            }
        }
    }
}

impl State {
    /// Returns the owners of an account, in the order in which they came to it.
    pub fn owners(&self, account: AccountId) -> impl Iterator<Item = SubjectId> + '_ {
        let rights = self.account_info(account).map(|info| info.rights.as_slice()).unwrap_or_default();
        let owners = rights.iter().filter(|(_, right)| *right == Right::Owner);
        let subjects = owners.filter_map(|(customer, _)| Some(self.customer(*customer)?.name.subject));
        subjects.filter(|subject| *subject != SubjectId::BANK)
    }

    /// Returns the people who read what is said about some accounts by the owners of one.
    pub fn readers(&self, writer: AccountId, others: impl IntoIterator<Item = AccountId>) -> Readers {
        let mut readers = Readers::default();
        readers.add(self.owners(writer), MAX_WRITERS);
        readers.writers = readers.people.len();
        for account in others.into_iter().filter(|account| *account != writer) {
            readers.add(self.owners(account), MAX_READERS);
        }
        readers
    }
}

/// Something said, as each of its other readers has it under a key of their own: a [`Plain`] under seal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Copies(#[n(0)] Vec<Sealed>);

impl Copies {
    /// Keeps copies; none where there are none, so that they take no byte.
    #[must_use]
    pub fn of(copies: Vec<Sealed>) -> Option<Box<Self>> {
        (!copies.is_empty()).then(|| Box::new(Self(copies)))
    }

    /// Returns each of them.
    #[must_use]
    pub fn all(&self) -> &[Sealed] {
        &self.0
    }
}

/// Content of a copy: numbered fields, so that it can grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Plain<'a> {
    /// The text on the statement.
    #[b(0)]
    pub text: Option<&'a str>,
    /// The payer's own id of the payment.
    #[b(1)]
    pub end_to_end_id: Option<&'a str>,
}

impl<'a> Plain<'a> {
    /// Writes it, to be sealed.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        // Writing to memory can't fail.
        minicbor::to_vec(self).expect("texts can be encoded into memory")
    }

    /// Reads what was under seal; none if it is no such content.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        minicbor::decode(bytes).ok()
    }
}

/// A text under seal, with the copies of its other readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedText {
    /// The text, under the key of whoever says it.
    pub own: Sealed,
    /// The others' copies.
    pub copies: Option<Box<Copies>>,
}

impl From<Sealed> for SharedText {
    /// A text that nobody else reads.
    fn from(own: Sealed) -> Self {
        Self { own, copies: None }
    }
}

/// Words of a payment or a hold to those on both sides of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The text on the statement.
    pub text: Option<Sealed>,
    /// The payer's own id of the payment (ISO 20022, `EndToEndId`).
    pub end_to_end_id: Option<Sealed>,
    /// Both for the other readers.
    pub copies: Option<Box<Copies>>,
}

impl Said {
    /// Returns it as a text alone, where there is one.
    #[must_use]
    pub fn into_text(self) -> Option<SharedText> {
        let Self { text, end_to_end_id: _, copies } = self;
        text.map(|own| SharedText { own, copies })
    }
}
