//! The client's end of a connection, made to cost little, because it shares the processors with the server it
//! measures: TLS 1.3 and HTTP/1.1 over a socket that never waits, requests that come as ready bytes, and just enough
//! understanding of an answer to tell where it ends.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::failure::Failure;

/// Time that a handshake may take, and an answer. It is far more than either needs, so that only a server that hangs
/// ends a bench.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The largest head of an answer. The server's have less than 1 KiB.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A server, and how to trust it.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Target {
    /// The server at an address, trusted by the certificate of its authority.
    pub(super) fn new(address: SocketAddr, authority: &Path) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("the client can't be set up: {error}"));
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(authority).map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address, config: Arc::new(config) })
    }

    /// A connection with its handshake behind it.
    pub(super) fn connect(&self) -> Result<Line, Failure> {
        self.try_connect()
            .map_err(|error| Failure::new(format!("no connection to the bench's server {}: {error}", self.address)))
    }

    fn try_connect(&self) -> io::Result<Line> {
        let mut socket = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let mut tls = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        socket.set_nonblocking(true)?;
        Ok(Line { socket, tls, received: Vec::new() })
    }
}

/// A connection.
pub(super) struct Line {
    socket: TcpStream,
    tls: ClientConnection,
    /// Bytes that have come of the answer, without TLS.
    received: Vec<u8>,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl Line {
    /// Sends a request. The answer to the one before has come.
    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.received.clear();
        self.tls.writer().write_all(request)?;
        // A socket with nothing on its way takes a request of less than 1 KiB at once.
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Takes what has come, and gives the answer if that is all of it.
    pub(super) fn receive(&mut self) -> io::Result<Option<Response<'_>>> {
        self.take()?;
        let Some(head) = Head::read(&self.received)? else { return Ok(None) };
        let Length::Of(length) = head.length else {
            return Err(io::Error::other("an answer has no length in its head"));
        };
        let end = head.bytes + length;
        if self.received.len() > end {
            return Err(io::Error::other("more came than was asked for"));
        }
        let body = self.received.get(head.bytes..end);
        Ok(body.map(|body| Response { status: head.status, body }))
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.send(request)?;
        loop {
            self.wait(false)?;
            if let Some(Response { status, body }) = self.receive()? {
                return Ok((status, body.to_owned()));
            }
        }
    }

    // ---- In pieces, for requests that are longer than what the sockets hold ----

    /// Begins a request in pieces.
    pub(super) fn begin(&mut self) {
        self.received.clear();
    }

    /// Adds a piece to what is to be sent.
    pub(super) fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(piece)
    }

    /// Returns `true` if all that was added has been sent.
    pub(super) fn has_sent_all(&self) -> bool {
        !self.tls.wants_write()
    }

    /// Sends as much as the socket takes.
    pub(super) fn send_some(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                written => written?,
            };
        }
        Ok(())
    }

    /// Takes what has come, and gives all of the answer that is there. The caller removes what it has used.
    pub(super) fn received(&mut self) -> io::Result<&mut Vec<u8>> {
        self.take()?;
        Ok(&mut self.received)
    }

    /// Waits until something has come or, if asked for, until something can be sent.
    pub(super) fn wait(&self, to_send: bool) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let flags = if to_send { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        match poll(&mut [PollFd::new(&self.socket, flags)], Some(&patience))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    fn take(&mut self) -> io::Result<()> {
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            read => read?,
        };
        let come = self.tls.process_new_packets().map_err(io::Error::other)?.plaintext_bytes_to_read();
        let before = self.received.len();
        self.received.resize(before + come, 0);
        self.tls.reader().read_exact(&mut self.received[before..])
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The head of an answer, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Length of the head.
    pub(super) bytes: usize,
    pub(super) length: Length,
}

/// Way in which the end of a body is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Length {
    Of(usize),
    Chunked,
}

impl Head {
    /// Reads the head at the beginning of an answer; none if its end has not come yet.
    pub(super) fn read(received: &[u8]) -> io::Result<Option<Self>> {
        let malformed = || io::Error::other("an answer is not HTTP/1.1");
        let Some((status_line, mut bytes)) = line_at(received, 0) else { return within(received) };
        let status = status_line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| number(rest.get(..3)?));
        let status = status.and_then(|status| u16::try_from(status).ok()).ok_or_else(malformed)?;
        let mut length = Length::Of(0);
        loop {
            let Some((line, after)) = line_at(received, bytes) else { return within(received) };
            bytes = after;
            if line.is_empty() {
                return Ok(Some(Self { status, bytes, length }));
            }
            if let Some(value) = header(line, b"content-length:") {
                length = Length::Of(number(value).ok_or_else(malformed)?);
            } else if header(line, b"transfer-encoding:").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
                length = Length::Chunked;
            }
        }
    }
}

/// No head yet, if there is a bound to it.
fn within(received: &[u8]) -> io::Result<Option<Head>> {
    if received.len() <= MAX_HEAD_BYTES { Ok(None) } else { Err(io::Error::other("the head of an answer has no end")) }
}

/// The line that begins at a place, and the place after it.
fn line_at(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(from..)?;
    let length = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..length];
    Some((line.strip_suffix(b"\r").unwrap_or(line), from + length + 1))
}

/// Returns what a header of a name says.
fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_has_come() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 12\r\n\r\n{}";
        let head = Head { status: 201, bytes: whole.len() - 2, length: Length::Of(12) };
        for come in 0..head.bytes {
            assert_eq!(Head::read(&whole[..come]).ok(), Some(None), "{come}");
        }
        assert_eq!(Head::read(whole).ok(), Some(Some(head)));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let head = Head { status: 200, bytes: chunked.len(), length: Length::Chunked };
        assert_eq!(Head::read(chunked).ok(), Some(Some(head)));
        let bare = b"HTTP/1.1 204 No Content\r\n\r\n";
        let head = Head { status: 204, bytes: bare.len(), length: Length::Of(0) };
        assert_eq!(Head::read(bare).ok(), Some(Some(head)));
    }

    #[test]
    fn what_is_no_head_is_an_error() {
        for bytes in
            [&b"HTTP/1.0 200 OK\r\n"[..], b"\r\n", b"HTTP/1.1 ok\r\n", b"HTTP/1.1 200\r\ncontent-length: x\r\n"]
        {
            assert!(Head::read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(Head::read(&vec![b'a'; MAX_HEAD_BYTES]).is_ok_and(|head| head.is_none()));
        assert!(Head::read(&vec![b'a'; MAX_HEAD_BYTES + 1]).is_err());
    }
}
