//! Keys and their envelopes: the master key, what it wraps, and personal fields sealed under a subject's own key.
//!
//! Everything is AES-256-GCM (NIST SP 800-38D). A wrapped key is a random 96-bit nonce, the key's ciphertext and the
//! 128-bit tag; its associated data names the purpose, the journal and the key's id, so that no wrapped key can be put in
//! another's place. Random nonces allow 2^32 wrappings under one master key: keys of data, subjects and checkpoints
//! together stay far below. Other secrets are derived by HKDF-SHA-256 (RFC 5869) from the bank secret.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::KeyError;

/// The bytes of a symmetric key.
pub(crate) const KEY_LEN: usize = 32;

/// The bytes that AES-GCM adds to what it seals.
pub(crate) const TAG_LEN: usize = 16;

/// The bytes of a wrapped key: nonce, ciphertext, tag.
pub(crate) const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

/// A key file longer than this is not one: 64 digits, and room for white space.
const MAX_KEY_FILE_BYTES: usize = 256;

/// The key that wraps all others. It stays outside the data folder, and is wiped from memory when dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_LEN]>);

impl MasterKey {
    /// A new key from the operating system's random source.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// Reads a key written as 64 hexadecimal digits, white space around them ignored.
    ///
    /// # Errors
    ///
    /// Refuses any other text with [`KeyError::Malformed`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * KEY_LEN {
            return Err(KeyError::Malformed);
        }
        let mut key = Zeroizing::new([0; KEY_LEN]);
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(key))
    }

    /// Reads a key file as `write_new_file` makes it.
    ///
    /// # Errors
    ///
    /// Refuses a file that is missing or malformed, and one that the group or others may read or write; fails if the
    /// file can't be read.
    pub fn read_file(path: &Path) -> Result<Self, KeyError> {
        let io_error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { path: path.into() },
            _ => KeyError::Io { path: path.into(), source },
        };
        let file = File::open(path).map_err(io_error)?;
        let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen { path: path.into(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES));
        file.take(MAX_KEY_FILE_BYTES as u64).read_to_end(&mut bytes).map_err(io_error)?;
        let text = str::from_utf8(&bytes).unwrap_or_default();
        Self::from_hex(text).map_err(|_| KeyError::MalformedFile { path: path.into() })
    }

    /// Writes the key to a new file of mode 0600, durably.
    ///
    /// # Errors
    ///
    /// Refuses to overwrite a file, with [`KeyError::AlreadyThere`]; fails if the file can't be written.
    pub fn write_new_file(&self, path: &Path) -> Result<(), KeyError> {
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
        for byte in self.0.iter() {
            write!(text, "{byte:02x}").expect("writing to a string succeeds");
        }
        text.push('\n');
        let io_error = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::AlreadyThere { path: path.into() },
            _ => KeyError::Io { path: path.into(), source },
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io_error)?;
        let written =
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder_of(path));
        written.map_err(|error| {
            // Half a key would stand in the way of the next try. If it can't be removed either, the error says where.
            let _ = std::fs::remove_file(path);
            io_error(error)
        })
    }

    /// The key, ready to wrap and unwrap.
    pub(crate) fn aead(&self) -> LessSafeKey {
        aead(&self.0)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

fn hex_digit(digit: u8) -> Result<u8, KeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyError::Malformed),
    }
}

/// A new file survives a loss of power only if its folder's entry does.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if dir != Path::new("") => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A key of one person (or whatever the caller numbers as a subject), under which that person's fields of one category are
/// sealed. Wiped from memory when dropped.
#[derive(Clone)]
pub struct SubjectKey {
    /// The subject's number, given by the caller.
    pub subject: u64,
    /// The category's number, given by the caller, below 32; 0 is the one key of all categories that subjects had before
    /// there were any.
    pub category: u8,
    /// The AES-256 key.
    pub key: [u8; KEY_LEN],
}

impl SubjectKey {
    /// A new key from the operating system's random source.
    #[must_use]
    pub fn generate(subject: u64, category: u8) -> Self {
        Self { subject, category, key: random() }
    }
}

impl Drop for SubjectKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({}, {}, redacted)", self.subject, self.category)
    }
}

/// Seals a personal field under its subject's key: a random 96-bit nonce, the ciphertext, the tag. `context` says what
/// the field is (its name, say) and must be given again to open it, so that fields can't be exchanged.
#[must_use]
pub fn seal_field(key: &SubjectKey, context: &[u8], plain: &[u8]) -> Vec<u8> {
    seal_under(&aead(&key.key), &field_context(key, context), plain)
}

/// Opens what [`seal_field`] made; nothing if key or context is another, or the bytes were changed.
#[must_use]
pub fn open_field(key: &SubjectKey, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    open_under(&aead(&key.key), &field_context(key, context), sealed)
}

/// A category is part of it, so that nothing sealed can be moved between categories. No number of one is a character that a
/// context could begin with.
fn field_context(key: &SubjectKey, context: &[u8]) -> Vec<u8> {
    let category: &[u8] = if key.category == 0 { &[] } else { &[key.category] };
    [&key.subject.to_be_bytes(), category, context].concat()
}

/// A key under which contents are sealed that follow from their place: no place may ever be given two contents. So the
/// place serves as nonce, and the same sealed again is the same bytes. Wiped from memory when dropped.
pub struct PlaceKey(LessSafeKey);

impl PlaceKey {
    pub(crate) fn new(key: [u8; KEY_LEN]) -> Self {
        Self(aead(&Zeroizing::new(key)))
    }

    /// Seals the content of a place.
    #[must_use]
    pub fn seal(&self, place: u64, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + TAG_LEN);
        sealed.extend_from_slice(plain);
        self.0
            .seal_in_place_append_tag(counter_nonce(place), Aad::empty(), &mut sealed)
            .expect("AES-GCM seals up to 64 GiB");
        sealed
    }

    /// Opens the content of a place; nothing if it was changed, or is another's.
    #[must_use]
    pub fn open(&self, place: u64, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut plain = sealed.to_vec();
        let length = self.0.open_in_place(counter_nonce(place), Aad::empty(), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

/// Identity of a journal, stored in its `meta` table.
pub(crate) struct Identity {
    /// Random; in every frame's header, so that frames of another journal are refused.
    pub(crate) journal_id: [u8; 16],
    /// The bank secret, wrapped by the master key. That it unwraps proves the master key right.
    pub(crate) wrapped_secret: Vec<u8>,
}

impl Identity {
    pub(crate) fn generate(master: &MasterKey) -> Self {
        let journal_id = random();
        let context = key_context(Purpose::BankSecret, &journal_id, 0);
        let wrapped_secret = seal_under(&master.aead(), &context, Zeroizing::new(random::<KEY_LEN>()).as_slice());
        Self { journal_id, wrapped_secret }
    }
}

/// Purpose of a wrapped key. The numbers are part of the format.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    BankSecret,
    DataKey,
    /// A subject's key, by the number of its category.
    SubjectKey(u8),
}

/// A journal's identity with the master key at work: wraps, unwraps and derives.
pub(crate) struct Keyring {
    pub(crate) journal_id: [u8; 16],
    pub(crate) master: MasterKey,
    wrapping: LessSafeKey,
    bank_secret: Prk,
}

impl Keyring {
    /// Nothing if the master key is not the one that the identity was made with.
    pub(crate) fn open(master: &MasterKey, identity: &Identity) -> Option<Self> {
        let wrapping = master.aead();
        let journal_id = identity.journal_id;
        let context = key_context(Purpose::BankSecret, &journal_id, 0);
        let secret = Zeroizing::new(open_under(&wrapping, &context, &identity.wrapped_secret)?);
        let bank_secret = Salt::new(HKDF_SHA256, &journal_id).extract(&secret);
        Some(Self { journal_id, master: master.clone(), wrapping, bank_secret })
    }

    pub(crate) fn wrap(&self, purpose: Purpose, id: u64, key: &[u8; KEY_LEN]) -> Vec<u8> {
        seal_under(&self.wrapping, &key_context(purpose, &self.journal_id, id), key)
    }

    pub(crate) fn unwrap(&self, purpose: Purpose, id: u64, wrapped: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let context = key_context(purpose, &self.journal_id, id);
        let opened = Zeroizing::new(open_under(&self.wrapping, &context, wrapped)?);
        Some(Zeroizing::new(opened.as_slice().try_into().ok()?))
    }

    /// HKDF-SHA-256 of the bank secret, with the journal's id as salt and the label as info.
    pub(crate) fn secret(&self, label: &str) -> [u8; KEY_LEN] {
        let mut out = [0; KEY_LEN];
        self.bank_secret
            .expand(&[label.as_bytes()], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out))
            .expect("HKDF gives as many bytes as its hash has");
        out
    }
}

fn key_context(purpose: Purpose, journal_id: &[u8; 16], id: u64) -> Vec<u8> {
    let purpose: &[u8] = match purpose {
        Purpose::BankSecret => &[1],
        Purpose::DataKey => &[2],
        Purpose::SubjectKey(0) => &[3],
        Purpose::SubjectKey(category) => &[4, category],
    };
    [purpose, journal_id, &id.to_be_bytes()].concat()
}

/// Random bytes of the operating system's source.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// A key made ready for AES-256-GCM.
pub(crate) fn aead(key: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

/// The nonce of a counter that never repeats under its key.
pub(crate) fn counter_nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Seals under a random nonce: nonce, ciphertext, tag.
pub(crate) fn seal_under(key: &LessSafeKey, context: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random();
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + TAG_LEN);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed[NONCE_LEN..])
        .expect("AES-GCM seals up to 64 GiB");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// Opens what [`seal_under`] made.
pub(crate) fn open_under(key: &LessSafeKey, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let (cipher, tag) = body.split_at_checked(body.len().checked_sub(TAG_LEN)?)?;
    let mut plain = vec![0; cipher.len()];
    key.open_separate_gather(Nonce::assume_unique_for_key(*nonce), Aad::from(context), cipher, tag, &mut plain).ok()?;
    Some(plain)
}
