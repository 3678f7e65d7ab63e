//! The requests as ready bytes. Each connection has one of its own, in which only the key and the accounts change from
//! one time to the next, and knows what the right answer to it is.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use engine::Engine;
use ledger::AccountId;

use super::super::served::ECHO;
use super::super::{mix, own_bank, unexpected};
use super::client::Response;
use crate::failure::Failure;

/// Length of an IBAN of the bench's bank, in bytes.
const IBAN_BYTES: usize = 20;

/// A key as long as a UUID: the connection's number, and that of the request. The zeros are put in the place of both.
const KEY: &str = "00000000-0000-4000-8000-000000000000";
const KEY_LINE: Range<usize> = 0..8;
const KEY_REQUEST: Range<usize> = 24..36;

/// Text that stands for an IBAN in a request until it is made.
const NO_IBAN: &str = "AT000000000000000000";

/// The bench's accounts.
pub(super) struct Accounts {
    ibans: Vec<[u8; IBAN_BYTES]>,
    pub(super) per_customer: u32,
}

impl Accounts {
    /// All accounts of the bank. They belong to its customers in equal stretches.
    pub(super) fn of(engine: &Engine, per_customer: u32) -> Result<Self, Failure> {
        let ibans = engine.peek(|state| {
            let iban = |id: AccountId| state.iban(id)?.into_bytes().try_into().ok();
            state.ledger().accounts().map(|(id, _)| iban(id)).collect::<Option<Vec<_>>>()
        })?;
        Ok(Self { ibans: ibans.ok_or_else(unexpected)?, per_customer })
    }

    pub(super) fn len(&self) -> usize {
        self.ibans.len()
    }

    /// A number of an account of a customer, and one of any other account, drawn by a random number.
    fn pair(&self, customer: u32, random: u64) -> (usize, usize) {
        let from = customer * self.per_customer + below(random, self.per_customer);
        let all = u32::try_from(self.ibans.len()).expect("accounts are counted in 32 bits");
        let to = (from + 1 + below(mix(random), all - 1)) % all;
        (from as usize, to as usize)
    }

    /// The IBANs of an account of a customer, and of any other account, drawn by a random number.
    pub(super) fn ibans(&self, customer: u32, random: u64) -> (&str, &str) {
        let (from, to) = self.pair(customer, random);
        let text = |place: usize| std::str::from_utf8(&self.ibans[place]).expect("an IBAN is ASCII");
        (text(from), text(to))
    }
}

/// A number below `limit`, drawn by a random one.
fn below(random: u64, limit: u32) -> u32 {
    u32::try_from(((random >> 32) * u64::from(limit)) >> 32).expect("less than a 32-bit limit")
}

/// Kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// A payment of 1.00 EUR, without a text.
    Payment,
    /// A payment at the floor, which books nothing. Nobody signs in there, so what is the token elsewhere has another
    /// name, as long.
    Echo,
    /// The balance of an account now.
    Balance,
    /// The newest 50 entries of an account that has more.
    Entries,
}

/// Requests of one connection, again and again.
pub(super) struct Asker {
    ask: Ask,
    accounts: Arc<Accounts>,
    customer: u32,
    /// State of the random source that the next accounts are drawn by.
    drawn: u64,
    request: Vec<u8>,
    /// Places in the request of the number in the key, and of the IBANs.
    key_at: Option<usize>,
    from_at: usize,
    to_at: Option<usize>,
    /// Text that the right answer holds.
    expected: Vec<u8>,
    asked: u64,
}

impl Asker {
    /// The requests of a customer. `line` is the connection's number, which no other of this bench has.
    pub(super) fn new(ask: Ask, accounts: &Arc<Accounts>, customer: u32, line: u32, host: SocketAddr) -> Self {
        let token = own_bank::token(customer);
        let authorization = if ask == Ask::Echo { "X-Unlooked-At" } else { "Authorization" };
        let common = format!("Host: {host}\r\n{authorization}: Bearer {token}\r\n");
        let get = |what: &str| format!("GET /v1/accounts/{NO_IBAN}/{what} HTTP/1.1\r\n{common}\r\n");
        let request = match ask {
            Ask::Payment | Ask::Echo => {
                let path = if ask == Ask::Echo { ECHO } else { "/v1/payments" };
                let body = format!(r#"{{"from":"{NO_IBAN}","to":"{NO_IBAN}","amount":"1.00","currency":"EUR"}}"#);
                format!(
                    "POST {path} HTTP/1.1\r\n{common}Idempotency-Key: {KEY}\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Ask::Balance => get("balance"),
            Ask::Entries => get("entries?limit=50"),
        };
        let expected = match ask {
            Ask::Payment | Ask::Echo => {
                format!(r#""from":"{NO_IBAN}","to":"{NO_IBAN}","amount":"1.00","currency":"EUR","purpose":"payment""#)
            }
            Ask::Balance => format!(r#""iban":"{NO_IBAN}","at":""#),
            Ask::Entries => format!(r#""iban":"{NO_IBAN}","currency":"EUR","entries":[{{"#),
        };
        let key_at = request.find(KEY);
        let from_at = request.find(NO_IBAN).unwrap_or_default();
        let to_at = request.rfind(NO_IBAN).filter(|at| *at != from_at);
        let mut request = request.into_bytes();
        if let Some(key_at) = key_at {
            write_digits(&mut request[key_at..][KEY_LINE], line.into());
        }
        let (accounts, drawn) = (Arc::clone(accounts), mix(line.into()));
        Self {
            ask,
            accounts,
            customer,
            drawn,
            request,
            key_at,
            from_at,
            to_at,
            expected: expected.into_bytes(),
            asked: 0,
        }
    }

    /// The next request.
    pub(super) fn next(&mut self) -> &[u8] {
        self.asked += 1;
        let (from, to) = self.accounts.pair(self.customer, mix(self.drawn.wrapping_add(self.asked)));
        if let Some(key_at) = self.key_at {
            write_digits(&mut self.request[key_at..][KEY_REQUEST], self.asked);
        }
        put(&mut self.request, self.from_at, &self.accounts.ibans[from]);
        put(&mut self.expected, FROM_EXPECTED_AT, &self.accounts.ibans[from]);
        if let Some(to_at) = self.to_at {
            put(&mut self.request, to_at, &self.accounts.ibans[to]);
            put(&mut self.expected, TO_EXPECTED_AT, &self.accounts.ibans[to]);
        }
        &self.request
    }

    /// Returns `true` if an answer is the right one to the last request.
    pub(super) fn is_right(&self, answer: &Response<'_>) -> bool {
        let Response { status, body } = answer;
        // It comes soon after the beginning, so that the search is short.
        let expected = body.windows(self.expected.len()).any(|part| part == self.expected);
        match self.ask {
            Ask::Payment | Ask::Echo => *status == 201 && expected,
            Ask::Balance => *status == 200 && expected,
            // With a cursor there is more, so the page is full.
            Ask::Entries => *status == 200 && expected && !body.ends_with(b"null}"),
        }
    }
}

/// Places of the IBANs in what is expected: after `"from":"` or the equally long `"iban":"`, and after `","to":"`.
const FROM_EXPECTED_AT: usize = r#""from":""#.len();
const TO_EXPECTED_AT: usize = FROM_EXPECTED_AT + IBAN_BYTES + r#"","to":""#.len();

fn put(bytes: &mut [u8], at: usize, iban: &[u8; IBAN_BYTES]) {
    bytes[at..at + IBAN_BYTES].copy_from_slice(iban);
}

/// Writes a number into its place, with zeros before it.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("one digit");
        number /= 10;
    }
}
