//! The edge: what stands in front of any application. It accepts connections, speaks TLS, HTTP/1.1 and HTTP/2, and keeps
//! what is too much, too fast or too slow away. It knows nothing of what is behind it.
//!
//! An application gives its routes as a router. [`Server`] takes the address and the certificate, and serves the router
//! on its workers. The application wraps its routes in what the server's [`Guard`] offers: a request is admitted by its
//! head alone ([`Guard::admit`]), counted for whoever sends it ([`Guard::count`]), answered within its time, also where
//! a handler panics ([`Guard::run`]), and its answer gets the headers that protect browsers ([`protect`]). Where the edge
//! refuses, it gives a [`Refused`]: the application tells it in its own form.

// A new refusal, rate or version must be looked at wherever they are told apart.
#![deny(clippy::wildcard_enum_match_arm)]

mod accept_loop;
mod activity;
mod bodies;
mod connection;
mod counts;
mod endless;
mod guard;
mod headers;
mod host;
pub mod local_certificate;
mod negotiation;
mod open_files;
mod peer;
mod proxies;
mod rates;
mod refused;
pub mod section;
mod server;
mod settings;
mod tls;
mod workers;

pub use bodies::whole_body;
pub use counts::Counts;
pub use endless::Endless;
pub use guard::Guard;
pub use headers::protect;
pub use host::{UnclearHost, host_name};
pub use local_certificate::LocalCertificateError;
pub use negotiation::{accepted, weight};
pub use open_files::allow_many as allow_many_files;
pub use peer::Peer;
pub use proxies::{Client, ForwardedField, Network, NetworkError, Proxies};
pub use rates::{Quota, Which};
pub use refused::Refused;
pub use server::Server;
pub use settings::{Limits, Rate, ServeError, Settings};
pub use tls::Certificate;
pub use workers::Workers;
