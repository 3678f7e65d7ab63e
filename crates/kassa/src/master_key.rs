//! The master key: which file it is in, unless the environment holds it, and reading it.

use std::path::{Path, PathBuf};

use journal::MasterKey;
use zeroize::Zeroizing;

use crate::bank_folder;
use crate::failure::Failure;

/// The setting: its name, the text of its default, and what it is for.
pub(crate) const SETTINGS: [[&str; 3]; 1] = [[
    "master_key_file",
    "",
    "The file with the master key, 64 hexadecimal digits, readable by its owner only, or one of the credentials\n\
         that systemd gives a service. It belongs outside the data folder; the default lies beside it, with the\n\
         ending .key. The environment variable KASSA_MASTER_KEY, holding the key itself, goes before the file.",
]];

/// Takes the setting's text, for the bank in a folder.
pub(crate) fn take(place: &mut PathBuf, folder: &Path, text: &str) -> Result<(), String> {
    *place = if text.is_empty() { beside(folder)? } else { folder.join(text) };
    Ok(())
}

/// The flags that say where the master key lies: whoever makes one keeps them, or it would not be found again.
pub(crate) fn place_in(flags: &[String]) -> Vec<String> {
    flags.iter().filter(|flag| flag.starts_with("master_key_file=")).cloned().collect()
}

/// The master key's file where none is named: beside the data folder, never in it, however the folder was written.
fn beside(folder: &Path) -> Result<PathBuf, String> {
    let written: PathBuf = folder.components().collect();
    let folder = match written.file_name() {
        Some(_) => written,
        None => std::path::absolute(written).map_err(|error| error.to_string())?.components().collect(),
    };
    let mut name = folder.file_name().ok_or("has no default for a data folder without a name")?.to_owned();
    name.push(".key");
    Ok(folder.with_file_name(name))
}

/// Reads the master key in a file. The folder of credentials that systemd gives a service keeps everybody else out by itself,
/// and a credential may show the mode of a list of those who may read it.
pub(crate) fn read_from(file: &Path) -> Result<MasterKey, Failure> {
    let credentials = bank_folder::variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    if credentials.is_none_or(|folder| file.parent() != Some(folder.as_path())) {
        return Ok(MasterKey::read_file(file)?);
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("the credential {} can't be read: {error}", file.display())))?;
    MasterKey::from_hex(&Zeroizing::new(text))
        .map_err(|error| Failure::new(format!("the credential {}: {error}", file.display())))
}

/// The master key of the environment, where it is there.
pub(crate) fn of_environment() -> Result<Option<MasterKey>, Failure> {
    let Some(key) = bank_folder::variable("KASSA_MASTER_KEY") else { return Ok(None) };
    let key = MasterKey::from_hex(&key);
    key.map(Some).map_err(|error| Failure::new(format!("the environment variable KASSA_MASTER_KEY: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_key_never_lies_in_the_folder() {
        for (folder, key) in
            [("bank", "bank.key"), ("bank/", "bank.key"), ("a/bank//.", "a/bank.key"), ("/b/c/", "/b/c.key")]
        {
            assert_eq!(beside(Path::new(folder)), Ok(PathBuf::from(key)), "{folder}");
        }
        let here = std::env::current_dir().unwrap();
        let name = format!("{}.key", here.file_name().unwrap().display());
        assert_eq!(beside(Path::new(".")), Ok(here.with_file_name(name)));
        assert!(beside(Path::new("/")).is_err());
    }
}
