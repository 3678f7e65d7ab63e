//! The check of people's keys: that each sealed field of the journal is opened by the key that it names, unless an event says
//! that this one was destroyed, and that a key which was destroyed is gone. People are told by number, and nothing of what
//! they wrote.

use std::collections::BTreeMap;
use std::path::Path;

use bank::{AccessEvent, Category, Sealed, SubjectId, What};
use journal::MasterKey;

use crate::OpenError;
use crate::personal::{Field, Opener, fields_of, opens};
use crate::verify::Problem;

/// The most people named for each kind of problem: where a table is gone, nobody reads on.
const MAX_NAMED: usize = 100;

/// A key by whose it is and for what; without a category the one for all.
type Name = (SubjectId, Option<Category>);

/// At in the journal.
#[derive(Debug, Clone, Copy)]
struct At {
    frame: u64,
    event: u64,
}

/// Flaw of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Missing,
    /// It opens nothing.
    Wrong,
    /// It can't be read, which the journal's own check tells.
    Unreadable,
}

/// The keys that events asked for, as far as they were read.
pub(crate) struct KeyCheck {
    opener: Opener,
    flaws: BTreeMap<Name, (Flaw, At)>,
    destroyed: BTreeMap<Name, At>,
}

impl KeyCheck {
    /// Makes the check of the bank in `folder`.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be opened for reading.
    pub(crate) fn new(folder: &Path, master: &MasterKey) -> Result<Self, OpenError> {
        Ok(Self { opener: Opener::new(folder, master)?, flaws: BTreeMap::new(), destroyed: BTreeMap::new() })
    }

    /// Opens each sealed field of an event.
    pub(crate) fn event(&mut self, frame: u64, event: u64, what: &What) {
        let place = At { frame, event };
        if let What::Access(AccessEvent::KeyDestroyed { subject, category }) = what {
            self.destroyed.entry((*subject, *category)).or_insert(place);
        }
        fields_of(what, |field, sealed| self.field(place, field, sealed));
    }

    fn field(&mut self, place: At, field: Field, sealed: &Sealed) {
        let name = (sealed.subject, sealed.category);
        if self.flaws.contains_key(&name) {
            return;
        }
        let flaw = match self.opener.key(sealed.subject, sealed.category) {
            Ok(Some(key)) if opens(&key, field, sealed) => return,
            Ok(Some(_)) => Flaw::Wrong,
            Ok(None) => Flaw::Missing,
            Err(_) => Flaw::Unreadable,
        };
        self.flaws.insert(name, (flaw, place));
    }

    /// Tells what is not in order. Where the journal was not read to its end, it is not known which keys were destroyed.
    pub(crate) fn finish(&self, is_whole: bool) -> Vec<Problem> {
        let missing =
            self.flaws.iter().filter(|(name, (flaw, _))| *flaw == Flaw::Missing && !self.is_destroyed(**name));
        let missing = missing.map(|(name, (_, At { frame, event }))| {
            let detail = "is missing, and no event says that it was destroyed; the first that needs it is event";
            (*frame, format!("{} {detail} {event}", named(*name)))
        });
        let wrong = self.flaws.iter().filter(|(_, (flaw, _))| *flaw == Flaw::Wrong);
        let wrong = wrong.map(|(name, (_, At { frame, event }))| {
            let detail = format!("does not open what event {event} holds: one of the two was exchanged or damaged");
            (*frame, format!("{} {detail}", named(*name)))
        });
        let there = self.destroyed.iter().flat_map(|(name, place)| {
            let keys =
                keys_of(*name).into_iter().filter(|(subject, category)| self.opener.has_key(*subject, *category));
            keys.map(|name| (place.frame, name, place.event)).collect::<Vec<_>>()
        });
        let there = there.map(|(frame, name, event)| {
            (frame, format!("{} is there, and event {event} says that it was destroyed", named(name)))
        });
        let mut problems = Vec::new();
        if is_whole {
            tell(&mut problems, "missing-subject-key", missing);
        }
        tell(&mut problems, "wrong-subject-key", wrong);
        tell(&mut problems, "destroyed-key-there", there);
        problems
    }

    fn is_destroyed(&self, (subject, category): Name) -> bool {
        self.destroyed.contains_key(&(subject, None)) || self.destroyed.contains_key(&(subject, category))
    }
}

/// The keys that are gone when a name was destroyed.
fn keys_of((subject, category): Name) -> Vec<Name> {
    match category {
        Some(_) => vec![(subject, category)],
        None => [None].into_iter().chain(Category::ALL.map(Some)).map(|category| (subject, category)).collect(),
    }
}

fn tell(problems: &mut Vec<Problem>, kind: &str, found: impl Iterator<Item = (u64, String)>) {
    let mut more = 0_u64;
    for (place, (frame, detail)) in found.enumerate() {
        if place < MAX_NAMED {
            problems.push(Problem { frame, kind: kind.to_owned(), detail });
        } else {
            more += 1;
        }
    }
    if more > 0 {
        problems.push(Problem { frame: 0, kind: kind.to_owned(), detail: format!("so are {more} more") });
    }
}

fn named((subject, category): Name) -> String {
    if subject == SubjectId::BANK {
        return "the bank's own key".to_owned();
    }
    let category = match category {
        None => "",
        Some(Category::Identity) => " for identity",
        Some(Category::Contact) => " for contact",
        Some(Category::Texts) => " for texts",
    };
    format!("the key of subject {}{category}", subject.0)
}
