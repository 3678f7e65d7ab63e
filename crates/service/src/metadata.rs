//! Metadata: a payer's own notes on a payment or a hold, as pairs of a key and a value. The payee doesn't see them.
//! Sealed as any personal field is, because nobody can say what a client writes into them.

use std::collections::BTreeMap;

use bank::{Readers, Refusal, Sealed};

use crate::fault::Fault;
use crate::service::Service;
use crate::texts::text_of;

/// The most pairs: an order, a customer, a campaign and what else a shop notes, with room.
pub const MAX_PAIRS: usize = 20;

/// The most characters of a key.
pub const MAX_KEY_CHARACTERS: usize = 40;

/// The most characters of a value: an address of the web fits. With 20 pairs a payment stays below 8 KiB.
pub const MAX_VALUE_CHARACTERS: usize = 200;

/// Metadata that was sent.
#[derive(Debug, Clone)]
pub struct Metadata<'a> {
    /// Pairs of a key and a value.
    pub pairs: &'a BTreeMap<String, String>,
    /// The pairs as they are sealed and for ever read again: one JSON object of texts, which a front writes.
    pub written: String,
}

impl Service {
    /// Seals what was sent, for the first of `readers` alone; nothing where there are no pairs.
    pub(crate) fn seal_metadata(
        &self,
        readers: &Readers,
        sent: Option<&Metadata<'_>>,
    ) -> Result<Option<Sealed>, Fault> {
        let Some(sent) = sent.filter(|sent| !sent.pairs.is_empty()) else { return Ok(None) };
        check(sent.pairs)?;
        let notes = self.engine().seal_notes(readers, &sent.written)?;
        notes.map(Some).ok_or_else(|| Refusal::PersonErased.into())
    }
}

fn check(sent: &BTreeMap<String, String>) -> Result<(), Fault> {
    if sent.len() > MAX_PAIRS {
        return Err(Fault::field("metadata", format!("it has at most {MAX_PAIRS} pairs")));
    }
    for (key, value) in sent {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if key.is_empty() || key.len() > MAX_KEY_CHARACTERS || !key.chars().all(plain) {
            let detail = format!(
                "a key has 1 to {MAX_KEY_CHARACTERS} letters, digits, underscores, hyphens and points, and no others"
            );
            return Err(Fault::field("metadata", detail));
        }
        text_of(&format!("metadata.{key}"), value, MAX_VALUE_CHARACTERS)?;
    }
    Ok(())
}
