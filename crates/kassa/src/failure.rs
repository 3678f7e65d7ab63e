//! Failures of a command, as the person who called the command reads it.

use std::fmt;

/// A sentence that says what went wrong and what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Says what the system says of reading a text.
pub(crate) fn said(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidData => "it is no text in UTF-8".into(),
        _ => error.to_string(),
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
macro_rules! to_and_from {
    ($($failure:ty),+ $(,)?) => {
        $(from_errors!($failure);

        impl From<Failure> for $failure {
            fn from(failure: Failure) -> Self {
                Self::new(failure.0)
            }
        })+
    };
}
// For what these crates have handed in, and hand on.
to_and_from!(bench::Failure, interchange::Failure);
from_errors!(
    std::io::Error,
    engine::OpenError,
    engine::Unavailable,
    engine::HistoryError,
    journal::KeyError,
    serde_json::Error,
    service::founding::StepError,
    service::password::NewPasswordError,
    edge::LocalCertificateError,
);
