//! `kassa bench streams`: what a stream of events takes in memory, and how soon those whom a payment concerns are told.
//!
//! The server is in a process of its own, as in service. Each of many customers has an account and keeps
//! one stream open, over TLS and the loopback interface. What the server's memory grew by while they connected, divided
//! by their number, is what one takes; the system's own memory for its sockets is not in it. Then payments are made
//! among the accounts over connections of their own, and each must come to exactly two streams.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Engine, SystemClock};
use ledger::AccountId;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::meter::Waits;
use super::own_bank::{self, OwnFolder};
use super::served::{Order, Served};
use super::table::Table;
use super::{process, until_interrupted};
use crate::failure::Failure;
use crate::program::Program;

/// Number of clients that shake hands at the same time.
const CONNECTING: usize = 32;

/// Time that the server is left alone before its memory is looked at, so that nothing is under way.
const REST: Duration = Duration::from_secs(2);

/// Events that have not come after so long without any are lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Number of bytes that a client reads at a time.
const READ_BYTES: usize = 4_096;

/// `kassa bench streams`
#[derive(Debug, Clone, clap::Args)]
pub struct StreamsBench {
    /// A folder for the bench's own bank; made anew, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "kassa-bench")]
    data: PathBuf,
    /// Number of streams to open, each by a customer of its own.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=25_000))]
    streams: u32,
    /// Number of payments to make while they are open.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    payments: u32,
    /// Number of callers that make them, each one at a time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    callers: u32,
    /// Open the streams over HTTP/2, one in each connection.
    #[arg(long)]
    http2: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// The figures.
#[derive(Debug, Serialize)]
struct Figures {
    streams: u32,
    http2: bool,
    /// Time that opening all of them took.
    open_s: f64,
    /// The server's memory with one stream, with all of them, and after the payments.
    rss_bytes_before: u64,
    rss_bytes_open: u64,
    rss_bytes_after_payments: u64,
    bytes_per_stream: f64,
    payments: u32,
    payments_per_s: f64,
    /// Time after a payment was sent at which both streams that it concerns had told it.
    told_ms_p50: f64,
    told_ms_p99: f64,
    told_ms_max: f64,
    /// Time after the last payment's answer at which all had been told all.
    all_told_ms: f64,
    /// Events that did not come, and that came more than once.
    lost: u64,
    twice: u64,
}

pub(super) fn run(bench: &StreamsBench, program: &Program) -> Result<(), Failure> {
    (program.allow_many_files)();
    let folder = OwnFolder::make(&bench.data)?;
    let (asked, bar) = (bench.clone(), program.bar("streams", u64::from(bench.streams)));
    let own_program = *program;
    let figures =
        until_interrupted(program, move |runtime| runtime.block_on(measure(&asked, runtime, &own_program, &bar)))?;
    drop(folder);
    if bench.json { program.json(&figures) } else { print(&figures, program) }?;
    if figures.lost + figures.twice > 0 {
        return Err(Failure::new(format!("{} events were lost, {} came twice", figures.lost, figures.twice)));
    }
    Ok(())
}

/// A server, and how to connect to it.
struct Serving {
    served: Served,
    connector: TlsConnector,
}

impl Serving {
    fn start(bench: &StreamsBench, master_key: &str, program: &Program) -> Result<Self, Failure> {
        let room = bench.streams + bench.callers + 100;
        let settings = ["connections", "connections_per_address", "event_streams"];
        let order = Order {
            folder: bench.data.clone(),
            master_key: master_key.to_owned(),
            settings: settings.map(|setting| format!("{setting}={room}")).into(),
        };
        let served = Served::start(&order, program)?;
        let connector = connector(bench, &served.authority)?;
        Ok(Self { served, connector })
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(self.served.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(|error| Failure::new(error.to_string()))?;
        Ok(self.connector.connect(name, stream).await?)
    }

    fn rss_bytes(&self) -> Result<u64, Failure> {
        process::rss_bytes_of(&self.served.pid().to_string())
    }
}

fn connector(bench: &StreamsBench, authority: &Path) -> Result<TlsConnector, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(authority).map_err(|error| failed(&error))?;
    roots.add(authority).map_err(|error| failed(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|e| failed(&e))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if bench.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    // Every client is another, as far as the server can tell.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A payment that came to a stream. Each is of as many cents as its number, counted from 1.
struct Told {
    stream: u32,
    payment: u32,
    at: Instant,
}

/// Part of an event that the streams are told of.
#[derive(Deserialize)]
struct Data {
    amount: String,
}

async fn measure(
    bench: &StreamsBench,
    runtime: &Handle,
    program: &Program,
    bar: &indicatif::ProgressBar,
) -> Result<Figures, Failure> {
    let master_key = own_bank::new_key()?;
    let ibans = make_bank(bench, &master_key, program).await?;
    let serving = Arc::new(Serving::start(bench, &master_key, program)?);
    let (telling, mut told) = mpsc::unbounded_channel();

    let mut streams = JoinSet::new();
    open(&mut streams, &serving, bench, 0..1, &telling, bar).await?;
    sleep(REST).await;
    let rss_bytes_before = serving.rss_bytes()?;
    let began = Instant::now();
    open(&mut streams, &serving, bench, 1..bench.streams, &telling, bar).await?;
    let open_s = began.elapsed().as_secs_f64();
    bar.finish_and_clear();
    sleep(REST).await;
    let rss_bytes_open = serving.rss_bytes()?;

    let (sent, took) = pay(bench, &serving, &ibans, runtime).await?;
    let answered = Instant::now();
    let tally = Tally::take(bench, &sent, &mut told).await;
    if let Some(ended) = streams.try_join_next() {
        return Err(ended.unwrap_or_else(|error| Failure::new(error.to_string())));
    }
    let rss_bytes_after_payments = serving.rss_bytes()?;
    streams.abort_all();
    Ok(Figures {
        streams: bench.streams,
        http2: bench.http2,
        open_s,
        rss_bytes_before,
        rss_bytes_open,
        rss_bytes_after_payments,
        bytes_per_stream: (rss_bytes_open as f64 - rss_bytes_before as f64) / f64::from(bench.streams - 1),
        payments: bench.payments,
        payments_per_s: f64::from(bench.payments) / took.as_secs_f64(),
        told_ms_p50: tally.waits.percentile_ms(50),
        told_ms_p99: tally.waits.percentile_ms(99),
        told_ms_max: tally.waits.longest_ms(),
        all_told_ms: tally.last.saturating_duration_since(answered).as_secs_f64() * 1_000.0,
        lost: tally.lost,
        twice: tally.twice,
    })
}

/// A bank with a customer for each stream, each with an account and a session. Gives the accounts' numbers.
async fn make_bank(bench: &StreamsBench, master_key: &str, program: &Program) -> Result<Vec<String>, Failure> {
    let engine = Engine::create(&bench.data, &own_bank::master_key(master_key)?, Arc::new(SystemClock))?;
    let unseen = indicatif::ProgressBar::hidden();
    own_bank::found(&engine).await?;
    own_bank::add_customers(&engine, bench.streams, program, &unseen).await?;
    own_bank::open_accounts(&engine, bench.streams, 1, &unseen).await?;
    own_bank::sign_in(&engine, bench.streams).await?;
    let ibans = engine.peek(|state| (0..bench.streams).filter_map(|id| state.iban(AccountId(id))).collect())?;
    tokio::task::spawn_blocking(move || engine.stop()).await.map_err(|error| Failure::new(error.to_string()))?;
    Ok(ibans)
}

/// Opens streams, and waits until all are open. Each tells of its payments from then on; it ends only in a failure.
async fn open(
    streams: &mut JoinSet<Failure>,
    serving: &Arc<Serving>,
    bench: &StreamsBench,
    numbers: std::ops::Range<u32>,
    telling: &UnboundedSender<Told>,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let (opened, mut opens) = mpsc::channel(CONNECTING);
    let (mut connecting, mut left) = (0, numbers.len());
    let mut numbers = numbers;
    while left > 0 {
        while connecting < CONNECTING
            && let Some(number) = numbers.next()
        {
            let listener =
                Listener { number, text: String::new(), opened: Some(opened.clone()), telling: telling.clone() };
            let (serving, http2) = (Arc::clone(serving), bench.http2);
            streams.spawn(async move {
                let ended =
                    if http2 { listen_http2(&serving, listener).await } else { listen_http1(&serving, listener).await };
                ended.err().unwrap_or_else(|| Failure::new(format!("stream {number} was ended by the server")))
            });
            connecting += 1;
        }
        tokio::select! {
            _ = opens.recv() => (connecting, left) = (connecting - 1, left - 1),
            Some(ended) = streams.join_next() => {
                return Err(ended.unwrap_or_else(|error| Failure::new(error.to_string())));
            }
        }
        bar.inc(1);
    }
    Ok(())
}

/// State of a client on its stream.
struct Listener {
    number: u32,
    /// Part that has arrived of a line that is not whole yet.
    text: String,
    opened: Option<mpsc::Sender<()>>,
    telling: UnboundedSender<Told>,
}

impl Listener {
    async fn hear(&mut self, bytes: &[u8]) {
        let at = Instant::now();
        self.text += &String::from_utf8_lossy(bytes);
        while let Some((line, rest)) = self.text.split_once('\n') {
            if let Some(data) = line.strip_prefix("data: ")
                && let Ok(Data { amount }) = serde_json::from_str(data)
                && let Ok(payment) = amount.replace('.', "").parse()
            {
                // Once nobody counts any more, the bench is over.
                let _ = self.telling.send(Told { stream: self.number, payment, at });
            } else if line.starts_with("id: ")
                && let Some(opened) = self.opened.take()
            {
                let _ = opened.send(()).await;
            }
            self.text = rest.to_owned();
        }
    }
}

async fn listen_http1(serving: &Serving, mut listener: Listener) -> Result<(), Failure> {
    let mut stream = serving.connect().await?;
    let token = own_bank::token(listener.number);
    let request = format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if buffer.starts_with(b"HTTP/1.1 4") || buffer.starts_with(b"HTTP/1.1 5") {
            let answer = String::from_utf8_lossy(&buffer[..read]);
            return Err(Failure::new(format!("a stream was not opened: {answer}")));
        }
        listener.hear(&buffer[..read]).await;
    }
}

async fn listen_http2(serving: &Serving, mut listener: Listener) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let stream = serving.connect().await?;
    let (mut client, connection) = h2::client::handshake(stream).await.map_err(|error| failed(&error))?;
    let driving = tokio::spawn(connection);
    let request = hyper::Request::get("https://localhost/v1/events")
        .header("authorization", format!("Bearer {}", own_bank::token(listener.number)))
        .body(())
        .map_err(|error| failed(&error))?;
    let (answer, _) = client.send_request(request, true).map_err(|error| failed(&error))?;
    let answer = answer.await.map_err(|error| failed(&error))?;
    if answer.status() != hyper::StatusCode::OK {
        return Err(Failure::new(format!("a stream was not opened: {}", answer.status())));
    }
    let mut body = answer.into_body();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| failed(&error))?;
        listener.hear(&data).await;
        body.flow_control().release_capacity(data.len()).map_err(|error| failed(&error))?;
    }
    driving.abort();
    Ok(())
}

/// Makes the payments. Gives when each was sent, and how long all of them took.
async fn pay(
    bench: &StreamsBench,
    serving: &Arc<Serving>,
    ibans: &[String],
    runtime: &Handle,
) -> Result<(Vec<Option<Instant>>, Duration), Failure> {
    let sent = Arc::new(Mutex::new(vec![None; bench.payments as usize]));
    let ibans: Arc<[String]> = ibans.into();
    let mut callers = JoinSet::new();
    let began = Instant::now();
    for caller in 0..bench.callers {
        let (serving, ibans, sent, bench) = (Arc::clone(serving), Arc::clone(&ibans), Arc::clone(&sent), bench.clone());
        let paying = async move {
            let connector = TlsConnector::from(http1(&serving.connector));
            let stream = TcpStream::connect(serving.served.address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(|error| Failure::new(error.to_string()))?;
            let mut stream = connector.connect(name, stream).await?;
            for payment in (caller..bench.payments).step_by(bench.callers as usize) {
                sent.lock().expect("no caller panics")[payment as usize] = Some(Instant::now());
                pay_one(&mut stream, &bench, &ibans, payment).await?;
            }
            Ok::<_, Failure>(())
        };
        callers.spawn_on(paying, runtime);
    }
    while let Some(paid) = callers.join_next().await {
        paid.map_err(|error| Failure::new(error.to_string()))??;
    }
    let took = began.elapsed();
    let sent = sent.lock().expect("no caller panics").clone();
    Ok((sent, took))
}

/// Makes a TLS configuration of the same trust, for HTTP/1.1.
fn http1(connector: &TlsConnector) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(connector.config());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Returns the accounts from which and to which a payment goes.
fn sides(bench: &StreamsBench, payment: u32) -> (u32, u32) {
    let from = payment % bench.streams;
    (from, (from + 1) % bench.streams)
}

async fn pay_one(
    stream: &mut TlsStream<TcpStream>,
    bench: &StreamsBench,
    ibans: &[String],
    payment: u32,
) -> Result<(), Failure> {
    let ((from, to), cents) = (sides(bench, payment), payment + 1);
    let body = format!(
        r#"{{"from":"{}","to":"{}","amount":"{}.{:02}","currency":"EUR"}}"#,
        ibans[from as usize],
        ibans[to as usize],
        cents / 100,
        cents % 100
    );
    let token = own_bank::token(from);
    let request = format!(
        "POST /v1/payments HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         idempotency-key: {payment}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let (mut answer, mut buffer) = (Vec::new(), [0; READ_BYTES]);
    // The answer is a line of JSON, and the only `}` in it is its end.
    while !answer.ends_with(b"}") {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(Failure::new("the server closed a caller's connection".to_owned()));
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    if answer.starts_with(b"HTTP/1.1 201 ") {
        return Ok(());
    }
    Err(Failure::new(format!("a payment was not made: {}", String::from_utf8_lossy(&answer))))
}

/// Results of the payments.
struct Tally {
    waits: Waits,
    /// Time at which the last event came.
    last: Instant,
    lost: u64,
    twice: u64,
}

impl Tally {
    /// Counts the events until all have come, or none comes any more; and a moment longer, for those that come twice.
    async fn take(bench: &StreamsBench, sent: &[Option<Instant>], told: &mut UnboundedReceiver<Told>) -> Self {
        let mut tally =
            Self { waits: Waits::new(), last: Instant::now(), lost: u64::from(bench.payments) * 2, twice: 0 };
        let mut come = vec![(false, false); bench.payments as usize];
        loop {
            let patience = if tally.lost == 0 { REST } else { PATIENCE };
            let Ok(Some(Told { stream, payment, at })) = timeout(patience, told.recv()).await else { break };
            let place = (payment as usize).wrapping_sub(1);
            let (Some(come), Some(Some(sent))) = (come.get_mut(place), sent.get(place)) else { continue };
            let (from, to) = sides(bench, payment - 1);
            let side = match stream {
                _ if stream == from && !come.0 => &mut come.0,
                _ if stream == to && !come.1 => &mut come.1,
                _ => {
                    tally.twice += 1;
                    continue;
                }
            };
            *side = true;
            tally.lost -= 1;
            tally.last = tally.last.max(at);
            if *come == (true, true) {
                tally.waits.note(at.duration_since(*sent));
            }
        }
        tally
    }
}

fn print(figures: &Figures, program: &Program) -> Result<(), Failure> {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let mut table = Table::default();
    let version =
        if figures.http2 { "streams, each over TLS and HTTP/2" } else { "streams, each over TLS and HTTP/1.1" };
    table.add(version, f64::from(figures.streams), 0, "");
    table.add("  opening all of them", figures.open_s, 1, "s");
    table.add("  memory, each", figures.bytes_per_stream, 0, "bytes");
    table.add("  memory, with one of them", mib(figures.rss_bytes_before), 1, "MiB");
    table.add("  memory, with all", mib(figures.rss_bytes_open), 1, "MiB");
    table.add("  memory, after the payments", mib(figures.rss_bytes_after_payments), 1, "MiB");
    table.add("payments", f64::from(figures.payments), 0, "");
    table.add("  rate", figures.payments_per_s, 0, "/s");
    table.add("  until both sides were told, median", figures.told_ms_p50, 2, "ms");
    table.add("  until both sides were told, 99 of 100", figures.told_ms_p99, 2, "ms");
    table.add("  until both sides were told, longest", figures.told_ms_max, 2, "ms");
    table.add("  until all were told, after the last answer", figures.all_told_ms, 2, "ms");
    table.add("  events lost", figures.lost as f64, 0, "");
    table.add("  events told twice", figures.twice as f64, 0, "");
    table.print(program)
}
