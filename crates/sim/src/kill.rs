//! Killing the server at random moments while clients pay.
//!
//! The clients keep their own books: what they sent, under which key, and what they were told. After each kill the
//! server is started again, and what was sent without an answer is asked for again under its key. Then: every payment
//! that was acknowledged is there exactly once, none that was not sent, the balances are those of the clients' own
//! books, the bank's books are level, and `kassa verify` finds nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sim::Random;

use crate::client::{Client, Target};

/// `kassa-sim kill`
#[derive(Debug, clap::Args)]
pub(crate) struct Kill {
    /// Number of times that the server is killed.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Seed that the moments and payments are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of clients that pay at the same time.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// The program to kill; beside this one where none is named.
    #[arg(long, value_name = "FILE")]
    kassa: Option<PathBuf>,
}

/// The accounts among which is paid.
const ACCOUNTS: usize = 20;

/// Balance of each account at first, in cents. Payments are of at most 10.00, so some are refused towards the end.
const START_CENTS: i64 = 20_000;

/// The longest time from a start to the kill.
const MAX_LIFE_MS: u64 = 400;

/// Number of clients whose payments are checked by one page of entries.
const PAGE: usize = 500;

/// A payment that a client sent.
#[derive(Debug, Clone)]
struct Sent {
    key: String,
    from: usize,
    to: usize,
    cents: i64,
}

/// Outcome of a payment, as far as the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// Booked, under this id.
    Booked(String),
    /// Refused for lack of funds.
    Refused,
    /// Nothing: the connection broke.
    Nothing,
}

/// A server and what is needed to reach it.
struct Server {
    child: Child,
    target: Target,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The power cut itself; one that has ended already needs none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bank under attack, and the clients' own books.
struct Bank {
    program: PathBuf,
    folder: PathBuf,
    token: String,
    ibans: Vec<String>,
    /// The payments booked, by id.
    booked: BTreeMap<String, Sent>,
    refused: u64,
}

impl Kill {
    #[allow(clippy::print_stdout, reason = "a program for the terminal")]
    pub(crate) fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut bank = Bank::make(self.program()?, folder.path().join("bank"))?;
        let mut random = Random::new(self.seed);
        let keys = AtomicU64::new(0);
        for round in 1..=self.rounds {
            let sent = bank.pay_until_killed(self.clients, &mut random, &keys)?;
            let open: Vec<Sent> =
                sent.iter().filter(|(_, told)| *told == Told::Nothing).map(|(sent, _)| sent.clone()).collect();
            println!("round {round}: {} sent, {} without an answer", sent.len(), open.len());
            let round_and_seed = |told: String| format!("seed {}, round {round}: {told}", self.seed);
            bank.note(sent).map_err(round_and_seed)?;
            bank.check(open).map_err(round_and_seed)?;
        }
        println!(
            "{} kills: {} payments booked exactly once, {} refused, sums level, verify clean",
            self.rounds,
            bank.booked.len(),
            bank.refused
        );
        Ok(())
    }

    fn program(&self) -> Result<PathBuf, String> {
        let beside = std::env::current_exe().map(|program| program.with_file_name("kassa"));
        let program = self.kassa.clone().map_or(beside, Ok).map_err(|error| error.to_string())?;
        if program.exists() { Ok(program) } else { Err(format!("there is no program {}", program.display())) }
    }
}

impl Bank {
    /// Founds a bank with one customer, who has all the accounts and is signed in.
    fn make(program: PathBuf, folder: PathBuf) -> Result<Self, String> {
        let flags = ["--country", "AT", "--bank-code", "99999", "--currency", "EUR"];
        let mut child = Command::new(&program)
            .args(["init", "--data"])
            .arg(&folder)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut input = child.stdin.take().ok_or("the program has no input")?;
        input.write_all(b"operator-password\n").map_err(|error| error.to_string())?;
        drop(input);
        if !child.wait().map_err(|error| error.to_string())?.success() {
            return Err("no bank could be made".into());
        }
        let mut bank =
            Self { program, folder, token: String::new(), ibans: Vec::new(), booked: BTreeMap::new(), refused: 0 };
        let server = bank.serve()?;
        let mut client = server.target.connect().map_err(|error| error.to_string())?;
        let operator = sign_in(&mut client, "operator", "operator-password")?;
        let mut made = 0;
        let mut write = |client: &mut Client, path: &str, body: Value| {
            made += 1;
            let (status, answer) = client
                .ask("POST", path, &operator, &format!("make-{made}"), Some(&body))
                .map_err(|error| error.to_string())?;
            if status == 201 { Ok(answer) } else { Err(format!("{path}: {status} {answer}")) }
        };
        write(&mut client, "/v1/customers", json!({ "name": "Petra" }))?;
        let user = json!({ "name": "petra", "password": "petras-password", "role": "customer", "customer": 1 });
        write(&mut client, "/v1/users", user)?;
        for _ in 0..ACCOUNTS {
            let opened = write(&mut client, "/v1/accounts", json!({ "currency": "EUR", "owner": 1 }))?;
            let iban = opened["iban"].as_str().ok_or("an account has no IBAN")?.to_owned();
            let deposit = json!({ "account": iban, "amount": amount(START_CENTS), "currency": "EUR" });
            write(&mut client, "/v1/deposits", deposit)?;
            bank.ibans.push(iban);
        }
        bank.token = sign_in(&mut client, "petra", "petras-password")?;
        Ok(bank)
    }

    fn serve(&self) -> Result<Server, String> {
        let mut child = Command::new(&self.program)
            .args(["serve", "--set", "listen=127.0.0.1:0", "--set", "log_level=error"])
            // All clients are one user, who is to pay as fast as can be.
            .args(["--set", "user_requests_per_second=0", "--set", "address_requests_per_second=0", "--data"])
            .arg(&self.folder)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        let address = line.split_once("https://").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let address: SocketAddr = address.ok_or_else(|| format!("the server did not open: {line}"))?;
        let target = Target::new(address, &self.folder.join("tls/ca.pem"))?;
        Ok(Server { child, target })
    }

    /// Has the clients pay until the server is killed at a random moment. Gives what they sent and were told.
    fn pay_until_killed(
        &self,
        clients: u64,
        random: &mut Random,
        keys: &AtomicU64,
    ) -> Result<Vec<(Sent, Told)>, String> {
        let server = self.serve()?;
        let life = Duration::from_millis(random.below(MAX_LIFE_MS));
        let over = AtomicBool::new(false);
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|_| {
                    let (mut random, target, over) = (Random::new(random.bits()), server.target.clone(), &over);
                    scope.spawn(move || self.pay(&mut random, &target, keys, over))
                })
                .collect();
            std::thread::sleep(life);
            drop(server);
            over.store(true, Ordering::Relaxed);
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut sent = Vec::new();
        for client in all {
            sent.extend(client.map_err(|_| "a client panicked".to_owned())??);
        }
        Ok(sent)
    }

    /// One client: pays until the connection breaks.
    fn pay(
        &self,
        random: &mut Random,
        target: &Target,
        keys: &AtomicU64,
        over: &AtomicBool,
    ) -> Result<Vec<(Sent, Told)>, String> {
        let mut sent = Vec::new();
        // A server that is gone before the client came has been sent nothing.
        let Ok(mut client) = target.connect() else { return Ok(sent) };
        while !over.load(Ordering::Relaxed) {
            let from = random.place(ACCOUNTS);
            let to = (from + 1 + random.place(ACCOUNTS - 1)) % ACCOUNTS;
            let key = format!("pay-{}", keys.fetch_add(1, Ordering::Relaxed));
            let one = Sent { key, from, to, cents: random.amount(1_000).max(1) };
            let Ok(answer) = self.send(&mut client, &one) else {
                sent.push((one, Told::Nothing));
                break;
            };
            sent.push((one, told(answer)?));
        }
        Ok(sent)
    }

    fn send(&self, client: &mut Client, sent: &Sent) -> std::io::Result<(u16, Value)> {
        let (from, to) = (&self.ibans[sent.from], &self.ibans[sent.to]);
        let body = json!({ "from": from, "to": to, "amount": amount(sent.cents), "currency": "EUR" });
        client.ask("POST", "/v1/payments", &self.token, &sent.key, Some(&body))
    }

    /// Takes what the clients were told into their books.
    fn note(&mut self, sent: Vec<(Sent, Told)>) -> Result<(), String> {
        for (sent, told) in sent {
            match told {
                Told::Booked(id) => {
                    if let Some(other) = self.booked.insert(id.clone(), sent) {
                        return Err(format!("the id {id} was given twice, first for {other:?}"));
                    }
                }
                Told::Refused => self.refused += 1,
                Told::Nothing => {}
            }
        }
        Ok(())
    }

    /// Checks the bank against the clients' books, once what is open was asked for again.
    fn check(&mut self, open: Vec<Sent>) -> Result<(), String> {
        self.verify()?;
        let server = self.serve()?;
        let mut client = server.target.connect().map_err(|error| error.to_string())?;
        let mut settled = Vec::new();
        for sent in open {
            let first = self.send(&mut client, &sent).map_err(|error| error.to_string())?;
            let second = self.send(&mut client, &sent).map_err(|error| error.to_string())?;
            if first != second {
                return Err(format!("{} was answered {first:?} and then {second:?}", sent.key));
            }
            settled.push((sent, told(first)?));
        }
        self.note(settled)?;
        let mut balances = [START_CENTS; ACCOUNTS];
        for sent in self.booked.values() {
            balances[sent.from] -= sent.cents;
            balances[sent.to] += sent.cents;
        }
        for (place, iban) in self.ibans.iter().enumerate() {
            self.check_account(&mut client, place, iban, balances[place])?;
        }
        Ok(())
    }

    /// Every payment of an account is there once, no other is, and the balance is right.
    fn check_account(&self, client: &mut Client, place: usize, iban: &str, cents: i64) -> Result<(), String> {
        let mut get = |path: String| {
            let (status, answer) =
                client.ask("GET", &path, &self.token, "-", None).map_err(|error| error.to_string())?;
            if status == 200 { Ok(answer) } else { Err(format!("{path}: {status} {answer}")) }
        };
        let balance = get(format!("/v1/accounts/{iban}/balance"))?;
        if balance["posted"] != amount(cents) {
            return Err(format!("{iban} should have {} and has {}", amount(cents), balance["posted"]));
        }
        let mut seen = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let page = get(format!("/v1/accounts/{iban}/entries?limit={PAGE}{cursor}"))?;
            for entry in page["entries"].as_array().ok_or("a page has no entries")? {
                if entry["purpose"] == "deposit" {
                    continue;
                }
                let id = entry["payment"].as_str().ok_or("an entry names no payment")?;
                if !seen.insert(id.to_owned()) {
                    return Err(format!("{iban} has the payment {id} twice"));
                }
            }
            let next = &page["next_cursor"];
            if next.is_null() {
                break;
            }
            cursor = format!("&cursor={}", next.as_str().map_or_else(|| next.to_string(), str::to_owned));
        }
        let own = self.booked.iter().filter(|(_, sent)| sent.from == place || sent.to == place);
        let own: BTreeSet<String> = own.map(|(id, _)| id.clone()).collect();
        if let Some(lost) = own.difference(&seen).next() {
            return Err(format!("{iban} has lost the payment {lost}, which was acknowledged"));
        }
        if let Some(unsent) = seen.difference(&own).next() {
            return Err(format!("{iban} has the payment {unsent}, which nobody sent"));
        }
        Ok(())
    }

    fn verify(&self) -> Result<(), String> {
        let output = Command::new(&self.program)
            .args(["verify", "--json", "--data"])
            .arg(&self.folder)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Err(format!("verify found something: {told}{failed}"))
    }
}

fn sign_in(client: &mut Client, name: &str, password: &str) -> Result<String, String> {
    let body = json!({ "name": name, "password": password });
    let asked = client.ask("POST", "/v1/sign-in", "-", "-", Some(&body));
    let (status, answer) = asked.map_err(|error| error.to_string())?;
    let token = answer["token"].as_str().filter(|_| status == 200);
    token.map(str::to_owned).ok_or_else(|| format!("{name} can't sign in: {status} {answer}"))
}

/// Reads what an answer to a payment says. Anything but booked or short of funds is a failure of the server.
fn told((status, answer): (u16, Value)) -> Result<Told, String> {
    match (status, answer["id"].as_str(), answer["type"].as_str()) {
        (201, Some(id), _) => Ok(Told::Booked(id.to_owned())),
        (422, _, Some("/problems/insufficient-funds")) => Ok(Told::Refused),
        // A server that is being killed may still say that it can't answer.
        (503, ..) => Ok(Told::Nothing),
        _ => Err(format!("an unexpected answer: {status} {answer}")),
    }
}

/// An amount as it is written.
fn amount(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}
