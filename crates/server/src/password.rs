//! Passwords: Argon2id (RFC 9106), worked on by a bounded number of threads so that a flood of sign-ins leaves the
//! rest of the server alone.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::problem::{Kind, Problem};
use crate::{Limits, ServeError};

/// The memory of one hash in KiB: the first of OWASP's equal choices for Argon2id (19 MiB, 2 passes, 1 lane).
const MEMORY_KIB: u32 = 19 * 1024;

/// The passes over that memory.
const PASSES: u32 = 2;

/// The lanes of that memory.
const LANES: u32 = 1;

/// The fewest characters of a new password. NIST SP 800-63B asks for 8 beside a second factor and 15 without; until
/// there is one, 12 is what people bear.
pub const MIN_CHARACTERS: usize = 12;

/// The most characters of a password: longer than any that is typed, short enough that hashing it costs nothing more.
pub const MAX_CHARACTERS: usize = 200;

/// Why a password can't be hashed: the system gave no random bytes or no memory.
#[derive(Debug, thiserror::Error)]
#[error("the password can't be hashed: {0}")]
pub struct HashError(String);

/// A password's hash in the PHC string format, with a new salt. Takes some 20 ms of a core.
pub fn hash(password: &str) -> Result<String, HashError> {
    let failed = |error: &dyn std::fmt::Display| HashError(error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Whether a password is the one of a hash. A hash that can't be read is nobody's.
#[must_use]
pub fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// The few threads that work on passwords, and a hash to work on where there is none, so that a name nobody has takes
/// as long as another.
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    nobody: String,
}

impl Passwords {
    pub(crate) fn new(limits: &Limits) -> Result<Self, ServeError> {
        let workers = limits.password_workers.max(1);
        Ok(Self {
            places: Arc::new(Semaphore::new(
                workers.saturating_add(limits.passwords_waiting).min(Semaphore::MAX_PERMITS),
            )),
            workers: Arc::new(Semaphore::new(workers)),
            nobody: hash("nobody").map_err(|error| ServeError::Cryptography(error.to_string()))?,
        })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Problem> {
        let hashed = self.work(move || hash(&password)).await?;
        hashed.map_err(|error| Problem::failed(&error))
    }

    /// Whether a password is the one of a hash; without a hash it takes as long, and is not.
    pub(crate) async fn verify(&self, password: Zeroizing<String>, hash: Option<String>) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let right = self.work(move || verify(&password, &hash)).await?;
        Ok(right && known)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Problem::of(Kind::Busy))?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|error| Problem::failed(&error))?;
        let done = spawn_blocking(move || {
            // Held to the end of the work, also when the caller has gone away meanwhile.
            let _held = (place, worker);
            work()
        });
        done.await.map_err(|error| Problem::failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_fits() {
        let hashed = hash("correct horse battery staple").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(verify("correct horse battery staple", &hashed));
        assert!(!verify("correct horse battery stapl", &hashed));
        assert!(!verify("", "not a hash"));
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_so() {
        let limits = Limits { password_workers: 1, passwords_waiting: 1, ..Limits::default() };
        let passwords = Passwords::new(&limits).unwrap();
        let attempts = (0..3).map(|_| passwords.verify(Zeroizing::new("wrong".into()), None));
        let mut attempts: Vec<_> = attempts.map(Box::pin).collect();
        let (first, second, third) = (attempts.remove(0), attempts.remove(0), attempts.remove(0));
        let (first, second, third) = tokio::join!(first, second, third);
        assert!(!first.unwrap() && !second.unwrap());
        assert_eq!(third.unwrap_err().slug(), "busy");
    }
}
