//! A client of HTTP/2 (RFC 9113) that writes frames by hand, because a polite library refuses to send what an attacker
//! does. It knows just enough of HPACK (RFC 7541) to name header fields and to read a status.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::connections::{PATIENCE, Running};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// What the server did to a stream, or to the whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It answered with a status.
    Answered(u16),
    /// It reset the stream, and why.
    Reset(u32),
    /// It gave the connection up, and why.
    GoneAway(u32),
    /// It closed the connection without a word.
    Closed,
}

/// A frame from the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A frame to the server.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header fields, each literally and without a place in the table.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            number(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A number with a prefix of seven bits.
fn number(block: &mut Vec<u8>, number: usize) {
    let Some(mut rest) = number.checked_sub(127) else { return block.push(u8::try_from(number).unwrap()) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The header of an ordinary request.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
}

/// An ordinary request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&request("GET", path)))
}

/// A connection.
pub(crate) struct Raw(TlsStream<TcpStream>);

impl Raw {
    /// Connects, and says hello: no compression table, so that a status is always written out.
    pub(crate) async fn open(running: &Running) -> Self {
        let mut raw = Self(running.connect().await.unwrap());
        let settings = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        raw.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()).await.unwrap();
        raw
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(bytes)).await.expect("the server takes what is sent")?;
        self.0.flush().await
    }

    /// The next frame; none when the connection is over. Who is asked whether they are there says so.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = timeout(PATIENCE, self.0.read_exact(&mut head)).await.expect("the server says something in time");
        read.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        timeout(PATIENCE, self.0.read_exact(&mut payload)).await.expect("the frame arrives whole").ok()?;
        if kind == PING && flags & ACK == 0 {
            // A connection that is gone shows at the next frame.
            let _ = self.send(&frame(PING, ACK, 0, &payload)).await;
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// What becomes of a stream.
    pub(crate) async fn fate(&mut self, stream: u32) -> Fate {
        loop {
            let Some(frame) = self.next().await else { return Fate::Closed };
            match frame.kind {
                HEADERS if frame.stream == stream => return Fate::Answered(status(&frame.payload)),
                RST_STREAM if frame.stream == stream => return Fate::Reset(last_four(&frame.payload[..4])),
                GOAWAY => return Fate::GoneAway(last_four(&frame.payload[4..8])),
                _ => {}
            }
        }
    }

    /// What becomes of the connection, whatever is answered on its streams.
    pub(crate) async fn end(&mut self) -> Fate {
        self.fate(u32::MAX).await
    }

    /// Waits for a frame of a kind and with flags.
    pub(crate) async fn until(&mut self, kind: u8, flags: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.kind == kind && frame.flags & flags == flags {
                return frame;
            }
        }
    }
}

fn last_four(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

/// The status of an answer: its first field.
fn status(block: &[u8]) -> u16 {
    // What changes the size of the table comes before.
    let block: Vec<u8> = block.iter().copied().skip_while(|byte| byte & 0xe0 == 0x20).collect();
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        // The name is number 8 in the static table; the value is three digits, or five bits for 0 to 2 and six for 3 to
        // 9 in Huffman's code.
        _ if block[1] == 3 => std::str::from_utf8(&block[2..5]).unwrap().parse().unwrap(),
        _ => {
            let length = usize::from(block[1] & 0x7f);
            let bits: String = block[2..2 + length].iter().map(|byte| format!("{byte:08b}")).collect();
            let (mut rest, mut status) = (&bits[..], 0);
            for _ in 0..3 {
                let five = u16::from_str_radix(&rest[..5], 2).unwrap();
                let (digit, used) =
                    if five <= 2 { (five, 5) } else { (u16::from_str_radix(&rest[..6], 2).unwrap() - 22, 6) };
                (status, rest) = (status * 10 + digit, &rest[used..]);
            }
            status
        }
    }
}
