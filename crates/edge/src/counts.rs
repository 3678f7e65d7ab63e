//! The connections of a server: how many there are, how many each address may have, and the word that it is stopping.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::peer::network;
use crate::settings::Limits;

/// Number of connections, in all and by address, and of those turned away, and whether the server is stopping.
#[derive(Debug, Default)]
pub struct Counts {
    stopping: watch::Sender<bool>,
    open: Mutex<HashMap<IpAddr, usize>>,
    accepted: AtomicU64,
    turned_away: AtomicU64,
}

/// A connection's slot among those allowed; dropping it makes room.
pub(crate) struct ConnectionSlot {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Counts {
    /// The connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.by_address().values().sum()
    }

    /// The connections accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The connections closed at once because there were too many.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Resolves when the server is stopping.
    pub async fn stopping(&self) {
        told(&mut self.stops()).await;
    }

    /// Tells all that the server is stopping.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// A view of whether the server is stopping, for [`told`].
    pub(crate) fn stops(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().expect("no thread panics while it counts connections")
    }

    /// Gives a connection its place; none where there are too many.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<ConnectionSlot> {
        let most_here = if limits.proxies.trust(address) { limits.connections } else { limits.connections_per_address };
        let address = network(address);
        let mut by_address = self.by_address();
        let open: usize = by_address.values().sum();
        let here = by_address.get(&address).copied().unwrap_or(0);
        if open >= limits.connections || here >= most_here {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(open, "a connection was turned away: there are too many");
            return None;
        }
        by_address.insert(address, here + 1);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Some(ConnectionSlot { counts: Arc::clone(self), address })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut by_address = self.counts.by_address();
        match by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            _ => {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Resolves when the server is stopping.
pub(crate) async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that the accept loop is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
