//! Failures of an import or export, as the person who asked for it reads them.

/// A sentence that says what went wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// Makes a failure of its sentence.
    #[must_use]
    pub fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

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
    service::founding::StepError,
    service::password::NewPasswordError,
);
