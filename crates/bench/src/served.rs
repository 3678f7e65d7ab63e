//! A server in a process of its own, the bench's own program started once more. It serves the bench's bank as `kassa serve`
//! does and, for `kassa bench http`, behind the same accept loop, limits and router, the floor: an echo, which answers a payment by its own words,
//! without signing in, engine and journal.
//!
//! The bench sends an [`Order`] as a line of JSON, and the server tells its address once it is open. It ends when its
//! input does, so at the latest when the bench ends, for whatever reason.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::own_bank;
use crate::failure::Failure;
use crate::program::{Program, ToServe};

/// The settings of all benches: those of `kassa serve`, but for what would be in the way of measuring.
const SETTINGS: &[&str] = &[
    // Any port that is free.
    "listen=127.0.0.1:0",
    // Looked at for each request as in service, and never reached, though all come from one address.
    "user_requests_per_second=1000000",
    "address_requests_per_second=1000000",
    "requests_per_second=1000000",
    // The bench's own words are enough.
    "log_level=warn",
];

/// Order to a server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The bank's folder.
    pub(super) folder: PathBuf,
    /// Its master key, in hexadecimal.
    pub(super) master_key: String,
    /// The other settings, as `name=value`.
    pub(super) settings: Vec<String>,
}

/// Path of the floor.
pub(super) const ECHO: &str = "/v1/echo";

/// A server that is open. It is killed when this is dropped.
pub(super) struct Served {
    child: Child,
    /// The pipe that keeps it going, and the one with what it says.
    _held: (ChildStdin, ChildStdout),
    pub(super) address: SocketAddr,
    /// The file with the certificate of its authority.
    pub(super) authority: PathBuf,
}

impl Served {
    /// Starts a server, and waits until it is open.
    pub(super) fn start(order: &Order, program: &Program) -> Result<Self, Failure> {
        let authority = (program.certificate)(&order.folder, &settings(order))?;
        let executable = std::env::current_exe()?;
        let mut child =
            Command::new(executable).args(["bench", "served"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().expect("its input is piped");
        let mut told = BufReader::new(child.stdout.take().expect("its output is piped"));
        // One that has ended already has said why, and has no address to tell.
        let _ = writeln!(input, "{}", serde_json::to_string(order)?);
        let mut line = String::new();
        told.read_line(&mut line)?;
        let address = line.split_once("https://").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            child.wait()?;
            return Err(Failure::new("the bench's server did not open; what it said is above".to_owned()));
        };
        Ok(Self { child, _held: (input, told.into_inner()), address, authority })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already can't be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All settings of the server, as `name=value`.
fn settings(order: &Order) -> Vec<String> {
    let settings = SETTINGS.iter().map(|setting| (*setting).to_owned());
    settings.chain(order.settings.iter().cloned()).collect()
}

/// The server itself.
pub(super) fn run(program: &Program) -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line).map_err(|_| {
        Failure::new("this is a part of a bench, which `kassa bench http` and `kassa bench streams` start".to_owned())
    })?;
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // The bench has gone, and nobody wants more. The folder is its to remove.
        std::process::exit(0);
    });
    let settings = settings(&order);
    let master = own_bank::master_key(&order.master_key)?;
    let more = Router::new().route(ECHO, post(echo));
    (program.serve)(ToServe { folder: order.folder, master, settings, more })
}

/// A payment, as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    from: String,
    to: String,
    amount: String,
    currency: String,
    text: Option<String>,
}

/// The answer, as long as a payment that was booked.
#[derive(Serialize)]
struct Echoed {
    id: &'static str,
    from: String,
    to: String,
    amount: String,
    currency: String,
    purpose: &'static str,
    text: Option<String>,
    booked_at: &'static str,
    value_date: &'static str,
}

async fn echo(Json(sent): Json<Sent>) -> (StatusCode, Json<Echoed>) {
    let Sent { from, to, amount, currency, text } = sent;
    let echoed = Echoed {
        id: "00112233445566778899aabbccddeeff",
        from,
        to,
        amount,
        currency,
        purpose: "payment",
        text,
        booked_at: "2026-01-01T00:00:00.000Z",
        value_date: "2026-01-01",
    };
    (StatusCode::CREATED, Json(echoed))
}
