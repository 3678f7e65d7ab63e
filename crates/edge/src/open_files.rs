//! Limit on the files and connections that the system lets this process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks for as many as the system gives. Each connection is a file, and many systems give a program no more than 1,024
/// until it asks. Where they can't be had, the connections above are turned away when they come, and that is logged.
pub fn allow_many() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the system's limit on open files stays as it was");
    }
}
