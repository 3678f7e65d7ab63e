//! Time. The journal's time is the greater of its last and the clock's, so it never runs backwards. A clock that jumps
//! forward by more than a minute against monotonic time stops the writing until an operator confirms it: one wrong
//! second in the year 2100 would expire every hold and session, and could never be taken back.

use std::time::{SystemTime, UNIX_EPOCH};

use ledger::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Limit of how far the wall clock may run ahead of monotonic time between two looks, in milliseconds. More than any
/// step that a time service makes on a machine in order, leap seconds included.
pub const MAX_CLOCK_JUMP_MS: i64 = 60_000;

/// Source of the time. Handed in, so that a test can make it jump.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn wall_ms(&self) -> i64;

    /// Milliseconds since some moment, never running backwards and never set by anyone, going on while the machine
    /// sleeps.
    fn monotonic_ms(&self) -> i64;
}

/// The machine's clock. Its monotonic time is that since booting, which unlike `Instant` counts sleep.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic_ms(&self) -> i64 {
        let since_boot = clock_gettime(ClockId::Boottime);
        since_boot.tv_sec * 1_000 + since_boot.tv_nsec / 1_000_000
    }
}

/// Turns a clock into the journal's time.
pub(crate) struct Timekeeper {
    last: Timestamp,
    wall_ms: i64,
    monotonic_ms: i64,
    jumped_ms: i64,
}

impl Timekeeper {
    /// `last` is the journal's time so far. There is no monotonic time across a restart, so starting confirms the
    /// clock as it is.
    pub(crate) fn new(clock: &dyn Clock, last: Timestamp) -> Self {
        Self { last, wall_ms: clock.wall_ms(), monotonic_ms: clock.monotonic_ms(), jumped_ms: 0 }
    }

    /// The journal's time now, or by how many milliseconds the clock has jumped.
    pub(crate) fn now(&mut self, clock: &dyn Clock) -> Result<Timestamp, i64> {
        let (wall_ms, monotonic_ms) = (clock.wall_ms(), clock.monotonic_ms());
        let ahead = (wall_ms - self.wall_ms) - (monotonic_ms - self.monotonic_ms);
        (self.wall_ms, self.monotonic_ms) = (wall_ms, monotonic_ms);
        // A clock that jumps and is set right again, before anybody confirmed, has done no harm.
        if self.jumped_ms != 0 {
            self.jumped_ms += ahead;
        } else if ahead > MAX_CLOCK_JUMP_MS {
            self.jumped_ms = ahead;
        }
        if self.jumped_ms > MAX_CLOCK_JUMP_MS {
            return Err(self.jumped_ms);
        }
        self.jumped_ms = 0;
        self.last = self.last.max(Timestamp(wall_ms));
        Ok(self.last)
    }

    /// An operator has looked at the clock and says it is right.
    pub(crate) fn confirm(&mut self) {
        self.jumped_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hands {
        wall_ms: AtomicI64,
        monotonic_ms: AtomicI64,
    }

    impl Clock for Hands {
        fn wall_ms(&self) -> i64 {
            self.wall_ms.load(Ordering::Relaxed)
        }
        fn monotonic_ms(&self) -> i64 {
            self.monotonic_ms.load(Ordering::Relaxed)
        }
    }

    /// Each step moves the wall clock and monotonic time, and says what time it then is, or by how much it has jumped.
    #[test]
    fn the_journals_time() {
        let hands = Hands::default();
        let mut keeper = Timekeeper::new(&hands, Timestamp(500));
        let year = 365 * 24 * 3_600_000;
        for (wall, monotonic, expected) in [
            (400, 400, Ok(500)),        // the journal is ahead: time stands
            (400, 400, Ok(800)),        // and goes on from there
            (-year, 10, Ok(800)),       // set back a year: time stands
            (year, 10, Err(year - 10)), // set right again, which is a jump forward by a year
            (0, 5, Err(year - 15)),     // and stays one
            (-year + 5, 0, Ok(800)),    // set back: no harm done
            (61_000, 1_000, Ok(800)),   // exactly as far as is allowed, below the last time still
        ] {
            hands.wall_ms.fetch_add(wall, Ordering::Relaxed);
            hands.monotonic_ms.fetch_add(monotonic, Ordering::Relaxed);
            assert_eq!(keeper.now(&hands), expected.map(Timestamp), "{wall} {monotonic}");
        }
        hands.wall_ms.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(keeper.now(&hands), Err(3_600_000));
        keeper.confirm();
        assert!(keeper.now(&hands).is_ok());
    }
}
