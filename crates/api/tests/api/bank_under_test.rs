//! A small bank in a folder of its own, and requests to it without a network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, Request, Response};
use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Command, CustomerId, Numbering,
    OpenAccount, Origin, PaymentCommand, Right, Role, SystemCommand, What,
};
use edge::Guard;
use engine::{Clock, Engine, Field, NewSubject, Options, Outcome, Submission};
use http_body_util::BodyExt;
use journal::MasterKey;
use ledger::{Currency, Kind, Money, Overdraft};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::conformance;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "a password of some length";

/// How long a session lasts.
pub(crate) const SESSION_MS: i64 = 10 * 60_000;

/// Limits of the edge and of the interface. Where a test is about the one, the other is as ever.
#[derive(Default)]
pub(crate) struct Limits {
    edge: edge::Limits,
    server: api::Limits,
}

impl From<edge::Limits> for Limits {
    fn from(edge: edge::Limits) -> Self {
        Self { edge, server: api::Limits::default() }
    }
}

impl From<api::Limits> for Limits {
    fn from(server: api::Limits) -> Self {
        Self { edge: edge::Limits::default(), server }
    }
}

impl From<(edge::Limits, api::Limits)> for Limits {
    fn from((edge, server): (edge::Limits, api::Limits)) -> Self {
        Self { edge, server }
    }
}

/// A clock set by hand.
pub(crate) struct Hands {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicI64,
}

impl Clock for Hands {
    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> i64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// The bank: a cash account with 100.00 EUR, the accounts of Ada and Bo, and users of every kind.
pub(crate) struct Bank {
    pub(crate) engine: Engine,
    pub(crate) edge: edge::Settings,
    pub(crate) settings: api::Settings,
    pub(crate) router: Router,
    pub(crate) ada: String,
    pub(crate) bo: String,
    tokens: BTreeMap<String, String>,
    hands: Arc<Hands>,
    keys: AtomicU64,
    folder: TempDir,
    master: MasterKey,
}

impl Bank {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: impl Into<Limits>) -> Self {
        Self::founded(limits, None, 1_795_294_453_120).await
    }

    /// The same with account numbers of another form.
    pub(crate) async fn numbered(numbering: Numbering) -> Self {
        Self::made(Limits::default(), numbering, None, 1_795_294_453_120).await
    }

    /// A bank of a time zone, founded at a moment.
    pub(crate) async fn founded(limits: impl Into<Limits>, time_zone: Option<&str>, at_ms: i64) -> Self {
        Self::made(limits.into(), Numbering::new("AT", "99999").unwrap(), time_zone, at_ms).await
    }

    async fn made(limits: Limits, numbering: Numbering, time_zone: Option<&str>, at_ms: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hands = Arc::new(Hands { wall_ms: AtomicI64::new(at_ms), monotonic_ms: AtomicI64::new(0) });
        let clock: Arc<dyn Clock> = Arc::<Hands>::clone(&hands);
        let master = MasterKey::generate();
        let engine = Engine::create(&folder.path().join("bank"), &master, clock).unwrap();
        let edge = edge::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: folder.path().join("certificate.pem"),
            private_key: folder.path().join("key.pem"),
            limits: limits.edge,
        };
        let session_minutes = u32::try_from(SESSION_MS / 60_000).unwrap();
        let settings = api::Settings { session_minutes, limits: limits.server };
        let guard = Arc::new(Guard::new(edge.limits.clone()));
        let router = api::router(&settings, engine.clone(), &guard, Router::new()).unwrap();
        let (ada, bo, tokens, keys) = (String::new(), String::new(), BTreeMap::new(), AtomicU64::new(0));
        let mut bank = Self { engine, edge, settings, router, ada, bo, tokens, hands, keys, folder, master };
        bank.found(numbering, time_zone.map(str::to_owned)).await;
        bank
    }

    async fn found(&mut self, numbering: Numbering, time_zone: Option<String>) {
        let name = "Bank <of> Tests".into();
        self.system(Body::System(SystemCommand::Found { name, numbering, time_zone }).into()).await;
        let cash = self.open(Kind::Asset, Overdraft::Unlimited, None, true).await;
        assert_eq!(cash.0, 0);
        for (user, customer) in
            [("ada", "Ada"), ("bo", "Bo"), ("stranger", "Stranger"), ("sig", "Sig"), ("reader", "Reader")]
        {
            let subject = NewSubject::generate();
            let name = subject.seal(Field::CustomerName, customer);
            let added =
                self.system((Body::Access(AccessCommand::AddCustomer { name }), Some(subject.clone())).into()).await;
            let What::Access(AccessEvent::CustomerAdded { id, .. }) = added else { panic!("{added:?}") };
            self.add_user(user, Role::Customer, Some(id), &subject, None).await;
        }
        for (user, role) in [("operator", Role::Operator), ("auditor", Role::Auditor)] {
            let subject = NewSubject::generate();
            self.add_user(user, role, None, &subject, Some(subject.clone())).await;
        }
        let ada = self.open(Kind::Liability, Overdraft::Limited(0), Some(CustomerId(1)), false).await;
        let bo = self.open(Kind::Liability, Overdraft::Limited(0), Some(CustomerId(2)), false).await;
        for (customer, right) in [(4, Right::Signatory { limit_minor: Some(500) }), (5, Right::ReadOnly)] {
            self.system(
                Body::Access(AccessCommand::Grant { customer: CustomerId(customer), account: ada, right }).into(),
            )
            .await;
        }
        let amount = Money { minor: 10_000, currency: Currency::from_code("EUR").unwrap() };
        self.system(Body::Payments(PaymentCommand::Deposit { account: ada, amount, text: None }).into()).await;
        (self.ada, self.bo) = self.engine.peek(|state| (state.iban(ada).unwrap(), state.iban(bo).unwrap())).unwrap();
    }

    pub(crate) async fn system(&self, work: Work) -> What {
        let command = Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body: work.body };
        let submission = Submission { command, subject: work.subject, past: None, rivals: None };
        match self.engine.submit(submission).await.unwrap() {
            Outcome::Accepted(receipt) => receipt.what,
            other => panic!("{other:?}"),
        }
    }

    async fn open(&self, kind: Kind, overdraft: Overdraft, owner: Option<CustomerId>, cash: bool) -> ledger::AccountId {
        let currency = Currency::from_code("EUR").unwrap();
        let open = OpenAccount { number: None, currency, kind, overdraft, name: None, owner, cash, opened_at: None };
        let opened = self.system(Body::Accounts(AccountCommand::OpenAccount(open)).into()).await;
        let What::Accounts(AccountEvent::AccountOpened { id, .. }) = opened else { panic!("{opened:?}") };
        id
    }

    async fn add_user(
        &mut self,
        user: &str,
        role: Role,
        customer: Option<CustomerId>,
        subject: &NewSubject,
        new: Option<NewSubject>,
    ) {
        // Only Ada signs in with her password; hashing takes its time.
        let hash = if user == "ada" { service::password::hash(PASSWORD).unwrap() } else { String::new() };
        let body = Body::Access(AccessCommand::AddUser {
            name_index: self.engine.name_index(user),
            name: subject.seal(Field::UserName, user),
            password: subject.seal(Field::Password, &hash),
            role,
            customer,
        });
        let added = self.system((body, new).into()).await;
        let What::Access(AccessEvent::UserAdded { id, .. }) = added else { panic!("{added:?}") };
        let token = self.engine.new_token();
        let (hash, expires_at) = (self.engine.token_hash(&token), self.engine.now().plus_ms(SESSION_MS));
        self.system(Body::Access(AccessCommand::SignIn { user: id, token: hash, expires_at, from: None }).into()).await;
        self.tokens.insert(user.to_owned(), token);
    }

    /// The certificate's and the key's files, made anew; the certificate is given.
    pub(crate) fn make_certificate(&self) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(self.folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    /// Opens an account over the interface, and gives its IBAN.
    pub(crate) async fn open_account(&self, who: &str, body: &Value) -> String {
        let call = Call::new("POST", "/v1/accounts").by(self, who).key(&self.fresh_key()).json(body);
        let opened = self.send(call).await;
        opened.json()["iban"].as_str().unwrap_or_else(|| panic!("an account: {}", opened.text())).to_owned()
    }

    /// Stops the bank in order, has `meanwhile` happen to its folder, and opens it again.
    pub(crate) fn restart(&mut self, meanwhile: impl FnOnce(&std::path::Path)) {
        self.engine.stop();
        let data = self.folder.path().join("bank");
        meanwhile(&data);
        let clock: Arc<dyn Clock> = Arc::<Hands>::clone(&self.hands);
        self.engine = Engine::open(&data, &self.master, Options::default(), clock, &mut |_| {}).unwrap();
        let guard = Arc::new(Guard::new(self.edge.limits.clone()));
        self.router = api::router(&self.settings, self.engine.clone(), &guard, Router::new()).unwrap();
    }

    /// Brings cash to an account.
    pub(crate) async fn deposit(&self, iban: &str, amount: &str) {
        let body = json!({"account": iban, "amount": amount, "currency": "EUR"});
        let call = Call::new("POST", "/v1/deposits").by(self, "operator").key(&self.fresh_key()).json(&body);
        let brought = self.send(call).await;
        assert_eq!(brought.status, 201, "{}", brought.text());
    }

    /// Gives a user whose session is over a new one with the same token's name.
    pub(crate) async fn sign_in_again(&mut self, who: &str) {
        let token = self.engine.new_token();
        let (hash, expires_at) = (self.engine.token_hash(&token), self.engine.now().plus_ms(SESSION_MS));
        let user = self.engine.peek(|state| state.user_named(self.engine.name_index(who))).unwrap().unwrap();
        self.system(Body::Access(AccessCommand::SignIn { user, token: hash, expires_at, from: None }).into()).await;
        self.tokens.insert(who.to_owned(), token);
    }

    pub(crate) fn token(&self, who: &str) -> &str {
        &self.tokens[who]
    }

    /// An IBAN of this bank that no account has.
    pub(crate) fn unopened(&self) -> String {
        Numbering::new("AT", "99999").unwrap().iban(777)
    }

    pub(crate) fn fresh_key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn let_time_pass_ms(&self, ms: i64) {
        self.hands.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
        let now_ms = self.hands.wall_ms.fetch_add(ms, Ordering::SeqCst) + ms;
        // The engine's time is what its writer saw when it looked last, which is soon.
        while self.engine.now().0 < now_ms {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sets the clock forward, which is not time passing.
    pub(crate) fn jump_ms(&self, ms: i64) {
        self.hands.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn moment(&self) -> String {
        jiff::Timestamp::from_millisecond(self.hands.wall_ms()).unwrap().to_string()
    }

    /// Sends a request; what comes of it must be what the description says.
    pub(crate) async fn send(&self, call: Call) -> Answer {
        let response = self.router.clone().oneshot(call.request()).await.unwrap();
        let answer = Answer::of(response).await;
        conformance::check(&call, &answer);
        answer
    }

    /// The same over a connection from an address.
    pub(crate) async fn send_from(&self, peer: &str, call: Call) -> Answer {
        let mut request = call.request();
        request.extensions_mut().insert(edge::Peer(peer.parse().unwrap()));
        let answer = Answer::of(self.router.clone().oneshot(request).await.unwrap()).await;
        conformance::check(&call, &answer);
        answer
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> Answer {
        self.send(Call::new("GET", path).by(self, who)).await
    }

    /// Pays from Ada's account to Bo's.
    pub(crate) async fn pay(&self, who: &str, amount: &str, text: &str) -> Answer {
        let mut body = json!({"from": self.ada, "to": self.bo, "amount": amount, "currency": "EUR"});
        if !text.is_empty() {
            body["text"] = json!(text);
        }
        self.send(Call::new("POST", "/v1/payments").by(self, who).key(&self.fresh_key()).json(&body)).await
    }
}

/// Something for Kassa itself to have done.
pub(crate) struct Work {
    body: Body,
    subject: Option<NewSubject>,
}

impl From<Body> for Work {
    fn from(body: Body) -> Self {
        Self { body, subject: None }
    }
}

impl From<(Body, Option<NewSubject>)> for Work {
    fn from((body, subject): (Body, Option<NewSubject>)) -> Self {
        Self { body, subject }
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn by(self, bank: &Bank, who: &str) -> Self {
        self.header("authorization", &format!("Bearer {}", bank.token(who)))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(&body.to_string())
    }

    pub(crate) fn request(&self) -> Request<HttpBody> {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path).header("host", "localhost");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(HttpBody::from(self.body.clone())).unwrap()
    }
}

/// What came of it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response<HttpBody>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Self { status, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All values of a header that may come more than once.
    pub(crate) fn headers_of(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The problem's name; empty where it is none.
    pub(crate) fn slug(&self) -> String {
        self.json()["type"].as_str().map(|kind| kind.replace("/problems/", "")).unwrap_or_default()
    }
}
