//! Metadata as JSON: an object of texts, which is also the form in which it is sealed.

use std::collections::BTreeMap;

use service::Fault;

/// Pairs of a key and a value.
pub(crate) type Metadata = BTreeMap<String, String>;

/// Writes what was sent.
pub(crate) fn written(sent: Option<&Metadata>) -> Result<Option<service::Metadata<'_>>, Fault> {
    let write = |pairs| {
        let written = serde_json::to_string(pairs).map_err(|error| Fault::failed(&error))?;
        Ok(service::Metadata { pairs, written })
    };
    sent.map(write).transpose()
}

/// Reads what was written.
pub(crate) fn read(written: Option<&str>) -> Result<Option<Metadata>, Fault> {
    written.map(serde_json::from_str).transpose().map_err(|error| Fault::failed(&error))
}
