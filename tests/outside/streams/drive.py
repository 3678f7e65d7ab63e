"""Drives the clients beside this file: makes payments, breaks the clients' connections meanwhile, starts the server anew, opens
one stream too many, signs out, and looks at what each client was told.

usage: drive.py PROGRAM FOLDER PLACE      (`run` beside this file says it)
"""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx

PROGRAM, FOLDER, PLACE = sys.argv[1:]
HERE = os.path.dirname(os.path.abspath(__file__))
BANK = f"{FOLDER}/bank"
CA = f"{BANK}/tls/ca.pem"
PATIENCE_S = 30


def until(what, holds):
    """Waits until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)


class Server:
    """A demo bank's server, which may start anew at another port."""

    def start(self):
        said = open(f"{FOLDER}/said", "w+")
        asked = ["demo", "--data", BANK, "--set", "listen=127.0.0.1:0", "--set", "log_level=error"]
        self.process = subprocess.Popen([PROGRAM, *asked, "--set", f"event_streams_per_user={MOST_STREAMS}"], stdout=said)
        address = lambda: re.search(r"https://127[0-9.]*:([0-9]+)", open(f"{FOLDER}/said").read())
        until("the server opens", lambda: address() or self.process.poll() is not None)
        self.port = int(address()[1])
        self.web = httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=ssl.create_default_context(cafile=CA))

    def stop(self):
        self.web.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, "the server stops in order"

    def sign_in(self, name):
        answer = self.web.post("/v1/sign-in", json={"name": name, "password": f"{name}-demo-password"})
        self.headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['token']}"}
        return answer.json()["token"]

    def pay(self):
        """Makes a payment, and gives its id."""
        PAID.append(None)
        headers = {**self.headers, "Idempotency-Key": f"streams-{len(PAID)}"}
        body = {"from": "AT049999900000000001", "to": "AT479999900000000003", "amount": "0.01", "currency": "EUR"}
        # Some ends of lines that are none, and something that isn't ASCII.
        body["text"] = f"{len(PAID)}: \u2028 \u2029 \U0001f370"
        PAID[-1] = self.web.post("/v1/payments", headers=headers, json=body).raise_for_status().json()["id"]


class Proxy:
    """Stands between one client and the server. Either TLS goes through it, and it breaks connections wherever they are; or it
    speaks TLS to the server and plain HTTP to the client, and can break them within an event."""

    def __init__(self, plain):
        self.plain, self.server, self.closed, self.connections = plain, None, False, 0
        # Where the next connections break: at the end of what this finds.
        self.breaks = []
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'http' if plain else 'https'}://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            if self.closed:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.server.port))
                if self.plain:
                    server = ssl.create_default_context(cafile=CA).wrap_socket(server, server_hostname="127.0.0.1")
            except OSError:
                client.close()
                continue
            pair = (client, server)
            self.open.add(pair)
            threading.Thread(target=self.pump, args=(client, server, pair, lambda _: None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, pair, self.where), daemon=True).start()

    def where(self, data):
        """Where to break what the server sends, if here."""
        found = self.breaks and self.breaks[0].search(data)
        if not found:
            return None
        self.breaks.pop(0)
        return found.end()

    def pump(self, source, sink, pair, where):
        try:
            while data := source.recv(65536):
                end = where(data)
                sink.sendall(data[:end])
                if end is not None:
                    self.closed = True
                    break
        except (OSError, ValueError):
            pass
        self.cut(pair)

    def cut(self, pair):
        self.open.discard(pair)
        for one in pair:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def cut_all(self):
        self.closed = True
        for pair in list(self.open):
            self.cut(pair)


class Client:
    """One client, and what it has said."""

    def __init__(self, name, command, plain, over):
        self.name, self.command, self.over = name, command, over
        self.proxy = Proxy(plain)
        self.said = []

    def start(self, **environment):
        environment = {**os.environ, "URL": self.proxy.url, "CA": CA, "NODE_EXTRA_CA_CERTS": CA, **environment}
        self.process = subprocess.Popen(self.command, env=environment, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.said.append(json.loads(line))
        self.said.append({"gone": True})

    def events(self, name):
        return [said for said in list(self.said) if said.get("event") == name]

    def paid(self):
        return [said["data"]["id"] for said in self.events("payment.booked")]

    def reasons(self):
        return [said["data"]["reason"] for said in self.events("stream.closed")]

    def check(self):
        """Nothing was left out, nothing came twice, nothing was thrown, and the connections are those that were broken."""
        told = "\n".join(json.dumps(said) for said in self.said)
        assert self.paid() == PAID, f"{self.name} was told {self.paid()} of {PAID}:\n{told}"
        assert not any("thrown" in said for said in self.said), f"{self.name} failed:\n{told}"
        assert self.proxy.connections <= MOST_CONNECTIONS, f"{self.name} connected {self.proxy.connections} times:\n{told}"


# What each does when the session is over: all are told why. What reads an answer's status sees 401.
CLIENTS = [
    Client("eventsource", ["node", f"{PLACE}/eventsource.mjs"], False, "status 401"),
    Client("fetch-event-source", ["node", f"{PLACE}/fetch_event_source.cjs"], True, "ended in order"),
    Client("httpx-sse", [sys.executable, f"{HERE}/httpx_sse_client.py"], False, "status 401"),
    Client("reqwest-eventsource", [f"{PLACE}/rust/debug/reqwest-eventsource-client"], True, "status 401"),
]
# All clients' streams are one user's, who may have some more: those that were cut, until the server has noticed.
MOST_STREAMS = 2 * len(CLIENTS)
# The first, one for each break, and some that came while the proxy or the server was closed.
MOST_CONNECTIONS = 16
PAID = []
SERVER = Server()


def all_told():
    until("all are told all", lambda: all(client.paid()[-1:] == PAID[-1:] for client in CLIENTS))
    for client in CLIENTS:
        client.check()


def pay_around(break_connections):
    """Makes payments before connections are broken, while they are, and afterwards."""
    SERVER.pay()
    until("all are told one", lambda: all(PAID[-1] in client.paid() for client in CLIENTS))
    break_connections()
    for _ in range(3):
        SERVER.pay()
    until("all are cut", lambda: all(client.proxy.closed for client in CLIENTS))
    for client in CLIENTS:
        client.proxy.closed = False
    SERVER.pay()
    all_told()


def break_within(pattern):
    """Breaks at once where TLS goes through, and within the next event where it doesn't."""
    def break_connections():
        for client in CLIENTS:
            if client.proxy.plain:
                client.proxy.breaks = [re.compile(pattern)]
            else:
                client.proxy.cut_all()
    return break_connections


def begin():
    """Each begins after a position that it knows. Half of them lose their first connection before anything came."""
    with SERVER.web.stream("GET", "/v1/events", headers=SERVER.headers) as stream:
        start = next(line[4:] for line in stream.iter_lines() if line.startswith("id: "))
    SERVER.pay()
    names = SERVER.web.get("/openapi.json").json()["components"]["schemas"]["EventStream"]["x-events"]
    for client in CLIENTS:
        client.proxy.server = SERVER
        if client.proxy.plain:
            client.proxy.breaks = [re.compile(rb"\r\n\r\n")]
        client.start(TOKEN=SERVER.headers["Authorization"].removeprefix("Bearer "), START=start, NAMES=",".join(names))
    until("half of them are cut", lambda: all(client.proxy.closed for client in CLIENTS if client.proxy.plain))
    SERVER.pay()
    for client in CLIENTS:
        client.proxy.closed = False
    all_told()
    assert all(said["data"]["resumed"] for client in CLIENTS for said in client.events("stream.opened"))


def start_anew():
    """The server starts anew: each was told that it stops, and comes back by itself."""
    SERVER.stop()
    SERVER.start()
    SERVER.pay()
    all_told()
    for client in CLIENTS:
        assert client.reasons() == ["stopping"], f"{client.name}: {client.said[-5:]}"


def open_one_more():
    """One more than there may be ends the oldest, which stays away for a while; nobody is refused. Gives the others."""
    with contextlib.ExitStack() as opened:
        for _ in range(MOST_STREAMS - len(CLIENTS) + 1):
            stream = opened.enter_context(SERVER.web.stream("GET", "/v1/events", headers=SERVER.headers))
            assert stream.status_code == 200
        until("one has yielded", lambda: any("replaced" in client.reasons() for client in CLIENTS))
        SERVER.pay()
        others = [client for client in CLIENTS if "replaced" not in client.reasons()]
        until("the others are told", lambda: all(client.paid() == PAID for client in others))
        assert len(others) == len(CLIENTS) - 1
    return others


def sign_out(clients):
    """All are told that the session is over, and nobody goes on asking."""
    SERVER.web.post("/v1/sign-out", headers=SERVER.headers).raise_for_status()
    over = lambda client: [said["over"] for said in client.said if "over" in said]
    until("all know", lambda: all(over(client) for client in clients))
    for client in clients:
        assert client.reasons()[-1] == "session-over" and over(client) == [client.over], f"{client.name}: {client.said[-5:]}"
        client.check()


try:
    SERVER.start()
    SERVER.sign_in("alice")
    begin()
    pay_around(break_within(rb"event: payment.booked\ndata: .{40}"))
    pay_around(break_within(rb"event: payment.booked\ndata: .*\n"))
    start_anew()
    sign_out(open_one_more())
    SERVER.stop()
    for client in CLIENTS:
        print(f"{client.name}: {len(client.paid())} payments over {client.proxy.connections} connections, each once")
finally:
    for process in [SERVER, *CLIENTS]:
        if getattr(process, "process", None) and process.process.poll() is None:
            process.process.kill()
