//! Failures of a bench, as the person who called it reads them.

use std::fmt;

/// A sentence that says what went wrong and what to do.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// Makes a failure of its sentence.
    #[must_use]
    pub fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

macro_rules! from_errors {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })+
    };
}
from_errors!(
    std::io::Error,
    engine::OpenError,
    engine::Unavailable,
    engine::HistoryError,
    journal::KeyError,
    serde_json::Error,
);
