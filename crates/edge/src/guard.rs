//! The guard before an application's routes. It refuses what can be refused from a request's head alone, before its
//! handler runs or its body is read: a host that isn't clear, an address or headers without end, and requests that come
//! too fast. And it lets no handler take longer than a request may, nor take anything else down when it panics.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use tokio::time::timeout;

use crate::counts::Counts;
use crate::host::check_host;
use crate::peer::Peer;
use crate::proxies::Client;
use crate::rates::{Quota, Rates};
use crate::refused::Refused;
use crate::settings::Limits;

/// State of a server that the application behind it uses: its limits, its rates and its connections.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    rates: Rates,
    counts: Arc<Counts>,
}

impl Guard {
    /// Makes one whose rates are all unused. A [`Server`](crate::Server) has its own; another one is for a router that is
    /// asked without a network.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { rates: Rates::new(&limits, Instant::now()), limits, counts: Arc::default() }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The server's connections, and whether it is stopping.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Lets a request in: counts it for the address that it comes from, and checks its size and its host. The [`Client`]
    /// is found and put into its extensions, and its body limited. What costs the least to look at comes first. Gives
    /// the address's quota; none where nothing limits it, or no [`Peer`] is known.
    ///
    /// # Errors
    ///
    /// Fails with [`Refused::TooFast`], [`Refused::AddressTooLong`], [`Refused::TooManyHeaders`] and
    /// [`Refused::UnclearHost`].
    pub fn admit(&self, request: &mut Request, now: Instant) -> Result<Option<Quota>, Refused> {
        let peer = request.extensions().get::<Peer>().copied();
        let client = peer.map(|Peer(peer)| self.limits.proxies.whose(peer, request.headers()));
        let of_address = within(client.and_then(|Client(address)| self.rates.of_address(address, now)))?;
        if let Some(client) = client {
            request.extensions_mut().insert(client);
        }
        self.check_size(request)?;
        check_host(request)?;
        DefaultBodyLimit::max(self.limits.body_bytes).apply(request);
        Ok(of_address)
    }

    /// Counts a request for its user, by the user's number, or for all strangers where it has none; and last for all, so
    /// that who is refused takes nothing from the others. Gives the user's quota; none where nothing limits them.
    ///
    /// # Errors
    ///
    /// Fails with [`Refused::TooFast`].
    pub fn count(&self, user: Option<u64>, now: Instant) -> Result<Option<Quota>, Refused> {
        let of_user = within(user.and_then(|user| self.rates.of_user(user, now)))?;
        if user.is_none() {
            within(self.rates.of_strangers(now))?;
        }
        within(self.rates.of_all(now))?;
        Ok(of_user)
    }

    /// Counts a sign-in from an address: an IPv4 address, or an IPv6 network of 64 bits, as a [`Client`] has.
    ///
    /// # Errors
    ///
    /// Fails with [`Refused::TooFast`].
    pub fn sign_in_of_address(&self, address: IpAddr, now: Instant) -> Result<(), Refused> {
        within(self.rates.sign_in_of_address(address, now)).map(drop)
    }

    /// Counts a sign-in under a name, of which a keyed hash is given, from any address that isn't known.
    ///
    /// # Errors
    ///
    /// Fails with [`Refused::TooFast`].
    pub fn sign_in_of_name(&self, name: [u8; 16], now: Instant) -> Result<(), Refused> {
        within(self.rates.sign_in_of_name(name, now)).map(drop)
    }

    /// Counts a sign-in from an address from which the name's user signed in before, of which a keyed hash is given.
    ///
    /// # Errors
    ///
    /// Fails with [`Refused::TooFast`].
    pub fn sign_in_from_known(&self, address: [u8; 16], now: Instant) -> Result<(), Refused> {
        within(self.rates.sign_in_from_known(address, now)).map(drop)
    }

    /// Waits for a handler's answer, no longer than a request may take.
    ///
    /// # Errors
    ///
    /// Fails with [`Refused::TimedOut`] and [`Refused::Panicked`].
    pub async fn run(&self, answer: impl Future<Output = Response>) -> Result<Response, Refused> {
        match timeout(self.limits.request, caught(answer)).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(Refused::Panicked),
            Err(_) => Err(Refused::TimedOut),
        }
    }

    fn check_size(&self, request: &Request) -> Result<(), Refused> {
        let (most_bytes, most) = (self.limits.address_bytes, self.limits.headers);
        let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
        if address > most_bytes {
            return Err(Refused::AddressTooLong { most_bytes });
        }
        if request.headers().len() > most {
            return Err(Refused::TooManyHeaders { most });
        }
        Ok(())
    }
}

/// Refuses whoever did not keep to a rate.
fn within(quota: Option<Quota>) -> Result<Option<Quota>, Refused> {
    match quota {
        Some(quota) if quota.refused => Err(Refused::TooFast(quota)),
        quota => Ok(quota),
    }
}

/// A handler's answer; none if it panicked. What it had in hand is dropped; the locks that a panic could leave in
/// disorder are for the application to watch.
async fn caught(answer: impl Future<Output = Response>) -> Option<Response> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::header::HOST;
    use axum::response::IntoResponse;

    use super::*;
    use crate::host::UnclearHost;

    fn request(path: &str, fields: &[(&str, &str)]) -> Request {
        let request = Request::get(path).header(HOST, "localhost");
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn a_head_is_refused_for_the_first_thing_that_is_wrong_with_it() {
        let guard = Guard::new(Limits { address_bytes: 8, headers: 2, ..Limits::default() });
        let admit = |mut request| guard.admit(&mut request, Instant::now()).map(|quota| quota.is_some());
        let unknown = [("a", "1"), ("b", "2")];
        assert!(matches!(admit(request("/1234567", &unknown[..1])), Ok(false)));
        assert!(matches!(admit(request("/12345678", &unknown)), Err(Refused::AddressTooLong { most_bytes: 8 })));
        assert!(matches!(admit(request("/?345678", &unknown)), Err(Refused::TooManyHeaders { most: 2 })));
        let two_hosts = request("/", &[("host", "example.org")]);
        assert!(matches!(admit(two_hosts), Err(Refused::UnclearHost(UnclearHost::Several))));
    }

    #[tokio::test]
    async fn an_answer_comes_in_time_and_whole() {
        let guard = Guard::new(Limits { request: Duration::from_millis(10), ..Limits::default() });
        assert!(matches!(guard.run(async { panic!("on purpose") }).await, Err(Refused::Panicked)));
        assert!(matches!(guard.run(std::future::pending()).await, Err(Refused::TimedOut)));
        assert!(guard.run(async { ().into_response() }).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_is_caught() {
        assert!(caught(async { panic!("on purpose") }).await.is_none());
        assert!(caught(async { ().into_response() }).await.is_some());
    }
}
