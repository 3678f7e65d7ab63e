//! The ceiling of memory: above it nothing is written, so that the process is not killed for taking too much, and what
//! is there can still be read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Interval between two looks at the memory in use. At a million payments a second it grows by a megabyte meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Limit of the memory that the process may have in use.
pub(crate) struct Ceiling {
    bytes: Option<u64>,
    reached: AtomicBool,
}

impl Ceiling {
    /// Makes a ceiling of so many bytes; none without.
    pub(crate) fn new(bytes: Option<u64>) -> Self {
        let ceiling = Self { bytes, reached: AtomicBool::new(false) };
        ceiling.look();
        ceiling
    }

    /// The ceiling, if it is reached.
    pub(crate) fn reached(&self) -> Option<u64> {
        self.bytes.filter(|_| self.reached.load(Ordering::Relaxed))
    }

    fn look(&self) {
        let Some(bytes) = self.bytes else { return };
        let reached = in_use().is_some_and(|in_use| in_use >= bytes);
        if self.reached.swap(reached, Ordering::Relaxed) != reached {
            match reached {
                true => tracing::error!(bytes, "the ceiling of memory is reached: nothing is written, reading goes on"),
                false => tracing::info!(bytes, "there is memory again: writing goes on"),
            }
        }
    }
}

/// Looks at the memory now and then.
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Looks, if the last look was long enough ago.
    pub(crate) fn look(&mut self, ceiling: &Ceiling) {
        if self.0.elapsed() >= LOOK_EVERY {
            self.0 = Instant::now();
            ceiling.look();
        }
    }
}

/// The memory that this process has in use, in bytes, as Linux counts it. None where it can't be told.
fn in_use() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}
