//! Metadata: a payer's own notes on a payment or a hold, as pairs of a key and a value. The payee doesn't see them.
//! Sealed as any personal field is, because nobody can say what a client writes into them.

use std::collections::BTreeMap;

use bank::{Sealed, SubjectId};
use engine::Field;
use service::{Fault, text_of};

use crate::app::App;

/// Pairs of a key and a value.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The most pairs: an order, a customer, a campaign and what else a shop notes, with room.
pub(crate) const MAX_PAIRS: usize = 20;

/// The most characters of a key.
pub(crate) const MAX_KEY_CHARACTERS: usize = 40;

/// The most characters of a value: an address of the web fits. With 20 pairs a payment stays below 8 KiB.
pub(crate) const MAX_VALUE_CHARACTERS: usize = 200;

/// Seals what was sent.
pub(crate) fn sealed(app: &App, subject: SubjectId, sent: Option<&Metadata>) -> Result<Option<Sealed>, Fault> {
    let Some(sent) = sent.filter(|sent| !sent.is_empty()) else { return Ok(None) };
    check(sent)?;
    let json = serde_json::to_string(sent).map_err(|error| Fault::failed(&error))?;
    app.service.seal(subject, Field::Metadata, &json).map(Some)
}

fn check(sent: &Metadata) -> Result<(), Fault> {
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

/// Opens what was sealed; none where there was nothing, or the person has been erased.
pub(crate) fn opened(app: &App, sealed: Option<&Sealed>) -> Result<Option<Metadata>, Fault> {
    let json = app.service.open_some(Field::Metadata, sealed)?;
    json.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| Fault::failed(&error))
}
