//! Activity of a connection, by which one that has nothing to do, or whose client takes nothing, is told from a busy one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// Activity of a connection: the requests begun and ended.
#[derive(Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    /// Resolves when no request was begun or being answered for at least `idle`, or when the first does not come
    /// within `first`.
    pub(crate) async fn none_for(&self, idle: Duration, first: Duration) {
        sleep(first).await;
        let mut begun = self.begun.load(Ordering::Relaxed);
        if begun == 0 {
            return;
        }
        loop {
            sleep(idle).await;
            let now = self.begun.load(Ordering::Relaxed);
            if now == begun && self.ended.load(Ordering::Relaxed) == now {
                return;
            }
            begun = now;
        }
    }
}

/// A request being answered.
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
