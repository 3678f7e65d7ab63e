//! Batches of payments: one request with a line of JSON for each payment, whose outcomes come back as lines while it
//! is still being sent. So both go on at once here, and neither waits for the other.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::{mix, own_bank};
use super::client::{Head, Length, Line};
use super::requests::Accounts;
use crate::failure::Failure;

/// Number of bytes prepared to be sent at once: a few of TLS's largest records.
const PIECE_BYTES: usize = 64 * 1024;

/// Results of the batches.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// All lines that were answered.
    pub(super) answered: u64,
    /// Those that were measured, and how long they took.
    pub(super) lines: u64,
    pub(super) seconds: f64,
}

/// Sends batches of so many lines, each when the one before is answered, until the time is over.
pub(super) fn measure(
    line: &mut Line,
    host: SocketAddr,
    accounts: &Accounts,
    lines: u64,
    time: Duration,
) -> Result<Batches, Failure> {
    let mut batches = Batches::default();
    for number in 0.. {
        let began = Instant::now();
        match (Batch { number, lines, written: 0, accounts, host }).exchange(line)? {
            Outcome::Answered(chunks) if chunks.accepted() == lines => batches.answered += lines,
            Outcome::Answered(chunks) => {
                let told = String::from_utf8_lossy(&chunks.last).into_owned();
                return Err(Failure::new(format!(
                    "not all of a batch's {lines} payments were made; it ended with {told}"
                )));
            }
            Outcome::Refused(told) => return Err(Failure::new(format!("the server refused a batch: {told}"))),
        }
        batches.lines += lines;
        batches.seconds += began.elapsed().as_secs_f64();
        if batches.seconds >= time.as_secs_f64() {
            break;
        }
    }
    Ok(batches)
}

/// Outcome of a batch at the server.
enum Outcome {
    /// The answer has ended.
    Answered(Chunks),
    Refused(String),
}

/// A batch on its way.
struct Batch<'a> {
    number: u64,
    lines: u64,
    written: u64,
    accounts: &'a Accounts,
    host: SocketAddr,
}

impl Batch<'_> {
    /// Sends the batch and takes the outcomes, both as fast as they go.
    fn exchange(&mut self, line: &mut Line) -> io::Result<Outcome> {
        line.begin();
        line.add(self.head().as_bytes())?;
        let mut answer = LineAnswers::default();
        loop {
            if line.has_sent_all() && self.written <= self.lines {
                line.add(&self.piece())?;
            }
            line.send_some()?;
            line.wait(!line.has_sent_all())?;
            if let Some(outcome) = answer.take(line.received()?)? {
                return Ok(outcome);
            }
        }
    }

    fn head(&self) -> String {
        format!(
            "POST /v1/batches HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: batch-{}\r\n\
             Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
            self.host,
            own_bank::token(0),
            self.number
        )
    }

    /// The next chunk of lines, and with the last of them the end of the body.
    fn piece(&mut self) -> Vec<u8> {
        let mut lines = Vec::with_capacity(PIECE_BYTES);
        while self.written < self.lines && lines.len() < PIECE_BYTES - 256 {
            let (from, to) = self.accounts.ibans(0, mix(self.number << 32 | self.written));
            // Writing to memory can't fail.
            let _ = writeln!(lines, r#"{{"from":"{from}","to":"{to}","amount":"1.00","currency":"EUR"}}"#);
            self.written += 1;
        }
        let mut chunk = format!("{:x}\r\n", lines.len()).into_bytes();
        chunk.append(&mut lines);
        chunk.extend_from_slice(b"\r\n");
        if self.written == self.lines {
            chunk.extend_from_slice(b"0\r\n\r\n");
            // Nothing is left to write.
            self.written += 1;
        }
        chunk
    }
}

/// An answer on its way.
#[derive(Default)]
struct LineAnswers {
    head: Option<Head>,
    chunks: Chunks,
}

impl LineAnswers {
    /// Takes what has come and is whole. Gives the outcome when the answer has ended.
    fn take(&mut self, received: &mut Vec<u8>) -> io::Result<Option<Outcome>> {
        if self.head.is_none() {
            let Some(head) = Head::read(received)? else { return Ok(None) };
            received.drain(..head.bytes);
            self.head = Some(head);
        }
        let Some(head) = &self.head else { return Ok(None) };
        match head.length {
            Length::Of(length) if received.len() < length => Ok(None),
            Length::Of(length) => {
                let told = String::from_utf8_lossy(&received[..length]);
                Ok(Some(Outcome::Refused(format!("{} {told}", head.status))))
            }
            Length::Chunked if head.status != 200 => Ok(Some(Outcome::Refused(head.status.to_string()))),
            Length::Chunked => {
                let ended = self.chunks.take(received)?;
                Ok(ended.then(|| Outcome::Answered(std::mem::take(&mut self.chunks))))
            }
        }
    }
}

/// Reads a body that comes in chunks, and keeps its last line, which counts the others.
#[derive(Default)]
struct Chunks {
    last: Vec<u8>,
}

impl Chunks {
    /// Takes all whole chunks. Tells whether the body has ended.
    fn take(&mut self, received: &mut Vec<u8>) -> io::Result<bool> {
        let mut taken = 0;
        let ended = loop {
            let rest = &received[taken..];
            let Some(line_end) = rest.windows(2).position(|end| end == b"\r\n") else { break false };
            let size = std::str::from_utf8(&rest[..line_end]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| io::Error::other("an answer's chunk has no size"))?;
            let Some(chunk) = rest.get(line_end + 2..line_end + 2 + size + 2) else { break false };
            taken += line_end + 2 + size + 2;
            if size == 0 {
                break true;
            }
            self.add(&chunk[..size]);
        };
        received.drain(..taken);
        Ok(ended)
    }

    fn add(&mut self, bytes: &[u8]) {
        // Beginning of the last line that has not ended, or the last one that has.
        let ended = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        match ended.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.last = bytes[end + 1..].to_vec(),
            None if self.last.ends_with(b"\n") => self.last = bytes.to_vec(),
            None => self.last.extend_from_slice(bytes),
        }
    }

    /// Reads how many payments were made; none where the answer broke off before its last line.
    fn accepted(&self) -> u64 {
        let last: serde_json::Value = serde_json::from_slice(&self.last).unwrap_or_default();
        last["accepted"].as_u64().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_however_it_comes() {
        let body = b"3\r\n{}\n\r\n5\r\n{}\n{}\r\n1\r\n\n\r\n9\r\n{\"accepte\r\n8\r\nd\":   7}\r\n1\r\n\n\r\n0\r\n\r\n";
        for step in 1..=body.len() {
            let (mut chunks, mut received, mut ended) = (Chunks::default(), Vec::new(), false);
            for come in body.chunks(step) {
                assert!(!ended, "it ends with its last byte");
                received.extend_from_slice(come);
                ended = chunks.take(&mut received).expect("chunks");
            }
            assert!(ended && received.is_empty());
            assert_eq!(chunks.accepted(), 7, "in steps of {step}");
        }
        assert!(Chunks::default().take(&mut b"many\r\n".to_vec()).is_err());
    }

    #[test]
    fn an_answer_tells_what_the_server_made_of_it() {
        let outcome = |answer: &str| LineAnswers::default().take(&mut answer.as_bytes().to_vec()).ok().flatten();
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{\"accepted\": 12}\r\n0\r\n\r\n";
        assert!(matches!(outcome(chunked), Some(Outcome::Answered(chunks)) if chunks.accepted() == 12));
        assert!(outcome(&chunked[..chunked.len() - 1]).is_none());
        let refused = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}";
        assert!(matches!(outcome(refused), Some(Outcome::Refused(told)) if told == "403 {}"));
        assert!(outcome(&refused[..refused.len() - 1]).is_none());
    }
}
