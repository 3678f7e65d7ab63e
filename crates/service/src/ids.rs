//! Ids of payments and of holds: the number of the event that made them, enciphered, so that an id tells nothing about how
//! many there are, and can't be guessed.

use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use engine::Engine;

use crate::service::SetupError;

/// Turns event numbers into ids of one kind and back. The cipher is AES-128 on one block, half of it zeros: one id in
/// 2^64 that somebody makes up is taken for real, and then names an event that is most likely not there.
pub struct Ids {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl Ids {
    /// The ids of what `label` names.
    pub(crate) fn new(engine: &Engine, label: &str) -> Result<Self, SetupError> {
        Self::with_key(&engine.secret(label))
    }

    fn with_key(secret: &[u8; 32]) -> Result<Self, SetupError> {
        let key = || UnboundCipherKey::new(&AES_128, &secret[..16]);
        let failed = |_| SetupError("AES-128 can't be set up".into());
        Ok(Self {
            encrypting: EncryptingKey::ecb(key().map_err(failed)?).map_err(failed)?,
            decrypting: DecryptingKey::ecb(key().map_err(failed)?).map_err(failed)?,
        })
    }

    /// Returns the id of an event: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self, event: u64) -> String {
        let mut block = [0; 16];
        block[8..].copy_from_slice(&event.to_be_bytes());
        let _ = self.encrypting.encrypt(&mut block).expect("one block can be enciphered");
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
        block.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// Returns the event of an id; none if no event has it.
    #[must_use]
    pub fn event(&self, id: &str) -> Option<u64> {
        if !is_id(id) {
            return None;
        }
        let mut block = u128::from_str_radix(id, 16).ok()?.to_be_bytes();
        self.decrypting.decrypt(&mut block, DecryptionContext::None).ok()?;
        u64::try_from(u128::from_be_bytes(block)).ok()
    }
}

/// Returns `true` if a text has the form of an id, whosever it is.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let ids = Ids::with_key(&[7; 32]).ok().unwrap();
        for event in [0, 1, 2, u64::MAX] {
            assert_eq!(ids.event(&ids.id(event)), Some(event));
        }
        let id = ids.id(1);
        for wrong in ["", "1", &id[..31], &id.to_uppercase(), &"0".repeat(32), &format!("+{}", &id[1..])] {
            assert_eq!(ids.event(wrong), None, "{wrong}");
        }
        let other = Ids::with_key(&[8; 32]).ok().unwrap();
        assert_eq!(other.event(&id), None);
    }
}
