//! Connections: real TLS, both versions of HTTP, and the limits that cut a slow or greedy client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use edge::{Certificate, Guard, Limits, ServeError, Server, Settings};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bank_under_test::Bank;

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server that is running, and its client's side.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    connector: TlsConnector,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    guard: Arc<Guard>,
}

impl Running {
    /// Serves a bank.
    pub(crate) async fn bank(bank: &Bank, protocol: &[u8]) -> Self {
        let certificate = bank.make_certificate();
        let server = Server::bind(bank.edge.clone()).await.unwrap();
        let (address, guard) = (server.local_addr(), Arc::clone(server.guard()));
        let router = api::router(&bank.settings, bank.engine.clone(), &guard, Router::new()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(router, async { drop(stopped.await) }));
        Self { address, connector: connector(certificate, protocol), stop, serving, guard }
    }

    /// Serves any router.
    pub(crate) async fn router(router: Router, limits: Limits) -> Self {
        Self::router_over(router, limits, b"http/1.1").await
    }

    /// Serves any router over one of the protocols.
    pub(crate) async fn router_over(router: Router, limits: Limits, protocol: &[u8]) -> Self {
        Self::router_on(router, limits, protocol, Vec::new()).await
    }

    /// Serves any router over one of the protocols, on some runtimes.
    async fn router_on(router: Router, limits: Limits, protocol: &[u8], workers: Vec<Handle>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Settings { listen, certificate, private_key: key, limits }).await.unwrap();
        let (address, guard) = (server.local_addr(), Arc::clone(server.guard()));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            server.run_on(router, &workers, async { drop(stopped.await) }).await;
        });
        Self { address, connector: connector(made.cert.der().to_vec(), protocol), stop, serving, guard }
    }

    pub(crate) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_from([127, 0, 0, 1]).await
    }

    /// Connects as a client of another address.
    pub(crate) async fn connect_from(&self, address: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_by(&self.connector, address).await
    }

    /// Connects as a client of another address that speaks HTTP/1.1.
    pub(crate) async fn connect_http1_from(&self, address: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        self.connect_by(&TlsConnector::from(Arc::new(config)), address).await
    }

    async fn connect_by(&self, connector: &TlsConnector, address: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((address, 0)))?;
        let stream = socket.connect(self.address).await?;
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// The connections open now.
    pub(crate) fn open(&self) -> usize {
        self.guard.counts().open()
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.serving).await.unwrap().unwrap();
    }
}

fn connector(certificate: Vec<u8>, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Asks, and reads until the server closes.
pub(crate) async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

pub(crate) async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    // How the other side ends the connection is not the question here.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes in time");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn both_versions_of_http() {
    let bank = Bank::new().await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let answer = ask(&mut running.connect().await.unwrap(), "/health/live").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
    running.stop().await;

    let running = Running::bank(&bank, b"h2").await;
    let (mut client, connection) = h2::client::handshake(running.connect().await.unwrap()).await.unwrap();
    let driving = tokio::spawn(connection);
    let request = axum::http::Request::get("https://localhost/health/ready").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    drop(client);
    running.stop().await;
    driving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_client_is_cut_while_others_are_served() {
    let limits = Limits { header_read: Duration::from_millis(300), ..Limits::default() };
    let bank = Bank::with(Limits { handshake: Duration::from_millis(300), ..limits }).await;
    let running = Running::bank(&bank, b"http/1.1").await;
    let mut slow_header = running.connect().await.unwrap();
    slow_header.write_all(b"GET / HTTP/1.1\r\nhost: lo").await.unwrap();
    let mut silent = running.connect().await.unwrap();
    let mut no_handshake = TcpStream::connect(running.address).await.unwrap();
    assert!(ask(&mut running.connect().await.unwrap(), "/health/live").await.contains("live"));
    assert!(!rest(&mut slow_header).await.contains("200 OK"));
    assert_eq!(rest(&mut silent).await, "");
    let ended = timeout(PATIENCE, no_handshake.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    running.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_turned_away() {
    for limits in
        [Limits { connections: 2, ..Limits::default() }, Limits { connections_per_address: 2, ..Limits::default() }]
    {
        let running = Running::router(Router::new().route("/", get(|| async { "here" })), limits).await;
        let mut first = running.connect().await.unwrap();
        let second = running.connect().await.unwrap();
        assert!(running.connect().await.is_err());
        assert!(ask(&mut first, "/").await.ends_with("here"));
        // Whoever leaves makes room, as soon as the server has noticed.
        let again = async {
            loop {
                match running.connect().await {
                    Ok(mut stream) => return ask(&mut stream, "/").await,
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        assert!(timeout(PATIENCE, again).await.unwrap().ends_with("here"));
        drop(second);
        running.stop().await;
    }
}

#[tokio::test]
async fn connections_are_shared_out_and_stay_where_they_are() {
    let runtimes: Vec<Runtime> = (0..2).map(|_| Builder::new_multi_thread().enable_all().build().unwrap()).collect();
    let workers: Vec<Handle> = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
    let router = Router::new().route("/", get(|| async { format!("worker {}\n", Handle::current().id()) }));
    let running = Running::router_on(router, Limits::default(), b"http/1.1", workers.clone()).await;
    let mut seen = Vec::new();
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut stream = running.connect().await.unwrap();
        let mut told = Vec::new();
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            while !answer.contains("worker") || !answer.ends_with('\n') {
                let mut bytes = [0; 1024];
                let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
                answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            told.push(answer.lines().last().unwrap().to_owned());
        }
        told.dedup();
        assert_eq!(told.len(), 1, "a connection was moved: {told:?}");
        seen.extend(told);
        connections.push(stream);
    }
    let on = |worker: &Handle| seen.iter().filter(|seen| **seen == format!("worker {}", worker.id())).count();
    assert_eq!(workers.iter().map(on).collect::<Vec<_>>(), [2, 2]);
    // Who leaves makes room where they were.
    let left = seen[3].clone();
    drop(connections.pop());
    while running.open() > 3 {
        sleep(Duration::from_millis(10)).await;
    }
    let next = ask(&mut running.connect().await.unwrap(), "/").await;
    assert!(next.ends_with(&format!("{left}\n")), "{left}: {next}");
    running.stop().await;
    runtimes.into_iter().for_each(Runtime::shutdown_background);
}

#[tokio::test]
async fn stopping_lets_a_request_finish() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        get(async move || {
            begun.notify_one();
            go_on.notified().await;
            "finished"
        })
    };
    let running = Running::router(Router::new().route("/", handler), Limits::default()).await;
    let (address, mut stream) = (running.address, running.connect().await.unwrap());
    let asking = tokio::spawn(async move { ask(&mut stream, "/").await });
    begun.notified().await;
    let stopping = tokio::spawn(running.stop());
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("nothing more is accepted");
    go_on.notify_one();
    assert!(asking.await.unwrap().ends_with("finished"));
    stopping.await.unwrap();
}

#[tokio::test]
async fn stopping_cuts_what_does_not_finish() {
    let handler = get(std::future::pending::<&str>);
    let limits = Limits { stop: Duration::from_millis(200), ..Limits::default() };
    let running = Running::router(Router::new().route("/", handler), limits).await;
    let mut stream = running.connect().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    running.stop().await;
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_told_at_once() {
    let bank = Bank::new().await;
    let missing = Server::bind(bank.edge.clone()).await;
    assert!(matches!(missing.err(), Some(ServeError::Certificate { .. })));
    bank.make_certificate();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&bank.edge.private_key, other.signing_key.serialize_pem()).unwrap();
    let wrong_key = Server::bind(bank.edge.clone()).await;
    assert!(matches!(wrong_key.err(), Some(ServeError::PrivateKey { .. })));
}

/// Why a certificate or a key is not taken, in words of our own.
#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said() {
    let (bank, other) = (Bank::new().await, Bank::new().await);
    bank.make_certificate();
    other.make_certificate();
    let (certificate, key) = (&bank.edge.certificate, &bank.edge.private_key);
    let said = |certificate: &Path, key: &Path| Certificate::read(certificate, key).unwrap_err().to_string();
    let told = said(certificate, &other.edge.private_key);
    assert!(told.contains("it is the key of another certificate"), "{told}");
    let file = |name: &str, text: &[u8]| {
        let path = certificate.with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let whole = std::fs::read(certificate).unwrap();
    for (name, text, words) in [
        ("cut.pem", &whole[..200], "the file is no whole PEM"),
        ("empty.pem", b"", "there is none in the file, which must be PEM"),
        ("other.pem", b"certificate", "there is none in the file, which must be PEM"),
    ] {
        for told in [said(&file(name, text), key), said(certificate, &file(name, text))] {
            assert!(told.contains(words) || told.contains("there is none in the file"), "{name}: {told}");
        }
    }
}
