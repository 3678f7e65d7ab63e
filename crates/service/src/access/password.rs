//! Passwords: Argon2id (RFC 9106), worked on by a bounded number of threads so that a flood of sign-ins leaves the
//! rest of the server alone.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::fault::{Fault, FaultKind};
use crate::service::{Settings, SetupError};

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

/// Returns `true` if a new password may have the length that it has.
#[must_use]
pub fn has_its_length(password: &str) -> bool {
    (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&password.chars().count())
}

/// Reason a password can't be hashed: the system gave no random bytes or no memory.
#[derive(Debug, thiserror::Error)]
#[error("the password can't be hashed: {0}")]
pub struct HashError(String);

/// Reason a password can't be had.
#[derive(Debug, thiserror::Error)]
pub enum NewPasswordError {
    /// It is too short or too long.
    #[error("a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")]
    Length,
    /// It can't be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Checks that a password may be had as a new one.
///
/// # Errors
///
/// Says that it is too short or too long.
pub fn check_new(password: &str) -> Result<(), NewPasswordError> {
    let fits = (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&password.chars().count());
    if fits { Ok(()) } else { Err(NewPasswordError::Length) }
}

/// Checks and hashes a new password.
///
/// # Errors
///
/// Says that it is too short or too long, or that it can't be hashed.
pub fn hash_new(password: &str) -> Result<String, NewPasswordError> {
    check_new(password)?;
    Ok(hash(password)?)
}

/// Hashes a password to the PHC string format, with a new salt. Takes some 20 ms of a core.
///
/// # Errors
///
/// Fails if the system gives no random bytes or no memory.
pub fn hash(password: &str) -> Result<String, HashError> {
    let failed = |error: &dyn std::fmt::Display| HashError(error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Returns `true` if a password is the one of a hash. A hash that can't be read is nobody's.
#[must_use]
pub fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// The few threads that work on passwords, and a hash to work on where there is none, so that a name nobody has takes
/// as long as another.
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    /// Those that strangers can't take.
    expected: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    nobody: String,
}

impl Passwords {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let workers = settings.password_workers.max(1);
        Ok(Self {
            places: Arc::new(Semaphore::new(
                workers.saturating_add(settings.passwords_waiting).min(Semaphore::MAX_PERMITS),
            )),
            expected: Arc::new(Semaphore::new(settings.passwords_expected.min(Semaphore::MAX_PERMITS))),
            workers: Arc::new(Semaphore::new(workers)),
            nobody: hash("nobody").map_err(|error| SetupError(error.to_string()))?,
        })
    }

    /// Hashes a new password, for an operator.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Fault> {
        let hashed = self.work(true, move || hash(&password)).await?;
        hashed.map_err(|error| Fault::failed(&error))
    }

    /// Tells whether a password is the one of a hash; without a hash it takes as long, and it is not. `is_expected`
    /// where it comes from an address from which its user signed in before.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
        is_expected: bool,
    ) -> Result<bool, Fault> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let right = self.work(is_expected, move || verify(&password, &hash)).await?;
        Ok(right && known)
    }

    async fn work<T: Send + 'static>(
        &self,
        is_expected: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let anybodys = Arc::clone(&self.places).try_acquire_owned().ok();
        let kept = || is_expected.then(|| Arc::clone(&self.expected).try_acquire_owned().ok()).flatten();
        let place = anybodys.or_else(kept).ok_or_else(|| Fault::of(FaultKind::Busy))?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|error| Fault::failed(&error))?;
        let done = spawn_blocking(move || {
            // Held to the end of the work, also when the caller has gone away meanwhile.
            let _held = (place, worker);
            work()
        });
        done.await.map_err(|error| Fault::failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(passwords_expected: usize) -> Settings {
        Settings {
            session_ms: 0,
            password_workers: 1,
            passwords_waiting: 1,
            passwords_expected,
            event_streams: 1,
            event_streams_per_user: 1,
            hold_days: 400,
            event_readers: 1,
            batches: 1,
            batches_per_user: 1,
        }
    }

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
        let settings = settings(0);
        let passwords = Passwords::new(&settings).unwrap();
        let attempt = |is_expected| passwords.verify(Zeroizing::new("wrong".into()), None, is_expected);
        let (first, second, third) = tokio::join!(attempt(false), attempt(false), attempt(false));
        assert!(!first.unwrap() && !second.unwrap());
        assert_eq!(third.unwrap_err().kind(), Some(FaultKind::Busy));
    }

    #[tokio::test]
    async fn strangers_leave_places_for_those_who_are_expected() {
        let settings = settings(2);
        let passwords = Passwords::new(&settings).unwrap();
        let attempt = |is_expected| passwords.verify(Zeroizing::new("wrong".into()), None, is_expected);
        let strangers = async { tokio::join!(attempt(false), attempt(false), attempt(false)) };
        let expected = async { tokio::join!(attempt(true), attempt(true), attempt(true)) };
        let (strangers, expected) = tokio::join!(strangers, expected);
        assert!(!strangers.0.unwrap() && !strangers.1.unwrap());
        assert_eq!(strangers.2.unwrap_err().kind(), Some(FaultKind::Busy));
        assert!(!expected.0.unwrap() && !expected.1.unwrap());
        assert_eq!(expected.2.unwrap_err().kind(), Some(FaultKind::Busy), "what is kept for them has an end, too");
    }
}
