#!/usr/bin/env python3
"""Attacks a running server over HTTP/1.1 and HTTP/2, and says what it did to each.

usage: h2_abuse.py URL [CA.pem]        (needs Python 3.9 and the package h2)

It is written in another language and with other libraries than the server, so that the two don't share a mistake. Each
attack has a connection of its own; after each, a polite client, made by h2, must be served on another. A line is printed
for each attack, and the exit status is 1 if anything was not as it must be.
"""

import re
import socket
import ssl
import struct
import sys
from urllib.parse import urlsplit

import h2.connection
import h2.events
import hpack

PATIENCE_S = 15
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ERRORS = {0: "NO_ERROR", 1: "PROTOCOL_ERROR", 3: "FLOW_CONTROL_ERROR", 7: "REFUSED_STREAM", 9: "COMPRESSION_ERROR",
          11: "ENHANCE_YOUR_CALM"}


class Server:
    """Where the server is, and how it is connected to."""

    def __init__(self, url, authority):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 443
        self.context = {}
        for protocol in ("http/1.1", "h2"):
            context = ssl.create_default_context(cafile=authority)
            if authority is None:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols([protocol])
            self.context[protocol] = context

    def connect(self, protocol, source=None):
        plain = socket.create_connection((self.host, self.port), PATIENCE_S, source)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context[protocol].wrap_socket(plain, server_hostname=self.host)

    def serves_others(self):
        """A polite request, on a machine's own network from another address."""
        source = ("127.0.0.2", 0) if self.host == "127.0.0.1" else None
        with self.connect("h2", source) as stream:
            polite = h2.connection.H2Connection()
            polite.initiate_connection()
            polite.send_headers(1, request("GET", "/health/ready", self.host), end_stream=True)
            stream.sendall(polite.data_to_send())
            while received := stream.recv(65_536):
                for event in polite.receive_data(received):
                    if isinstance(event, h2.events.ResponseReceived):
                        return dict(event.headers).get(b":status") == b"200"
        return False


def request(method, path, host="localhost"):
    return [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(fields):
    """Header fields, each literally and without a place in the table, so that each block stands alone."""
    return b"".join(b"\x00" + text(name) + text(value) for name, value in fields)


def text(characters):
    """A text as HPACK writes it, without Huffman's code: its length, with a prefix of seven bits, and itself."""
    rest = len(characters) - 127
    if rest < 0:
        return bytes([len(characters)]) + characters.encode()
    length = b"\x7f"
    while rest >= 128:
        length, rest = length + bytes([rest % 128 | 128]), rest // 128
    return length + bytes([rest]) + characters.encode()


def get(stream, path="/", more=()):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block([*request("GET", path), *more]))


def post(stream, path="/v1/sign-in", more=()):
    fields = [*request("POST", path), ("content-type", "application/json"), *more]
    return frame(HEADERS, END_HEADERS, stream, block(fields))


def exactly(stream, count):
    read = b""
    while len(read) < count:
        more = stream.recv(count - len(read))
        if not more:
            raise ConnectionError
        read += more
    return read


def frames(stream):
    """The server's frames, until it closes."""
    try:
        while True:
            head = exactly(stream, 9)
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            yield kind, flags, int.from_bytes(head[5:], "big"), exactly(stream, length)
    except (ConnectionError, ssl.SSLError):
        return


def fate(server, attack, of_stream):
    """What became of a stream, or of its connection."""
    with server.connect("h2") as stream:
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        try:
            stream.sendall(attack)
        except (ConnectionError, ssl.SSLError):
            pass  # It is closed before all is sent, which is the server's right; what it said may still be there.
        decoder = hpack.Decoder()
        for kind, _, number, payload in frames(stream):
            if kind == HEADERS:
                status = dict(decoder.decode(payload, raw=True)).get(b":status", b"").decode()
                if number == of_stream:
                    return status
            elif kind == RST_STREAM and number == of_stream:
                return "RST_STREAM " + error(payload)
            elif kind == GOAWAY:
                return "GOAWAY " + error(payload[4:8])
    return "closed"


def error(code):
    code = int.from_bytes(code, "big")
    return ERRORS.get(code, str(code))


def statuses(server, attack):
    """The statuses of all answers to what is sent as HTTP/1.1."""
    with server.connect("http/1.1") as stream:
        answer = b""
        try:
            stream.sendall(attack)
            while received := stream.recv(65_536):
                answer += received
        except (ConnectionError, ssl.SSLError):
            pass
    return " ".join(re.findall(r"HTTP/1\.[01] (\d{3})", answer.decode("latin-1"))) or "closed"


CALM = {"GOAWAY ENHANCE_YOUR_CALM", "closed"}
MALFORMED = {"RST_STREAM PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR"}


def http2():
    """Each attack: its name, what is sent, the stream that is looked at, and what may become of it."""
    yield "an ordinary request", get(1, "/health/live"), 1, {"200"}
    odd = range(1, 20_001, 2)
    cancel = struct.pack(">I", 8)
    yield ("rapid reset (CVE-2023-44487)",
           b"".join(get(stream) + frame(RST_STREAM, 0, stream, cancel) for stream in odd), None, CALM)
    widest = struct.pack(">I", 0x7FFFFFFF)
    yield ("resets that the server is made to send (CVE-2025-8671)",
           b"".join(post(stream) + frame(WINDOW_UPDATE, 0, stream, widest) for stream in odd), None, CALM)
    begun = frame(HEADERS, END_STREAM, 1, block(request("GET", "/")))
    yield "continuations without end", begun + frame(CONTINUATION, 0, 1, block([("x", "y")])) * 20_000, None, CALM
    yield "empty continuations without end", begun + frame(CONTINUATION, 0, 1) * 20_000, None, CALM
    yield "empty data without end", post(1) + frame(DATA, 0, 1) * 50_000, None, CALM
    yield "streams without end", b"".join(post(stream) for stream in odd), None, CALM
    yield "one stream too many", b"".join(post(stream) for stream in range(1, 201, 2)), 199, {"RST_STREAM REFUSED_STREAM"}
    yield "settings, then a request", frame(SETTINGS, 0, 0) * 5_000 + get(1, "/health/live"), 1, {"200"}
    yield "pings, then a request", frame(PING, 0, 0, b"12345678") * 5_000 + get(1, "/health/live"), 1, {"200"}
    # A field that goes into the table, and then nothing but its number there.
    once = b"\x40" + text("x") + text("y" * 4_000)
    yield ("a small header that unpacks to 40 MB",
           frame(HEADERS, END_HEADERS | END_STREAM, 1, block(request("GET", "/")) + once + b"\xbe" * 10_000), 1, {"431"} | CALM)
    yield ("a header that is too large", frame(HEADERS, END_STREAM, 1, block([*request("GET", "/"), ("x", "y" * 12_000)]))
           + frame(CONTINUATION, END_HEADERS, 1, block([("x", "y" * 12_000)])), 1, {"431"})
    yield "a window of nothing more", frame(WINDOW_UPDATE, 0, 0, bytes(4)), None, {"GOAWAY PROTOCOL_ERROR"}
    yield "a window beyond 31 bits", frame(WINDOW_UPDATE, 0, 0, widest) * 2, None, {"GOAWAY FLOW_CONTROL_ERROR"}
    yield "a name in capital letters", get(1, "/", [("Upper", "case")]), 1, MALFORMED
    yield "connection", get(1, "/", [("connection", "close")]), 1, MALFORMED
    yield "transfer-encoding", post(1, more=[("transfer-encoding", "chunked")]), 1, MALFORMED
    yield "two methods", get(1, "/", [(":method", "POST")]), 1, MALFORMED
    yield "two hosts that differ", get(1, "/", [("host", "elsewhere")]), 1, {"400"}
    yield ("more than the length", post(1, more=[("content-length", "1")]) + frame(DATA, END_STREAM, 1, b"{}"), 1, MALFORMED)


def http1():
    """Each attack: its name, what is sent, and the statuses that may come of it."""
    head = b"POST /v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    hidden = b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n"
    chunks = b"transfer-encoding: chunked\r\n"
    yield "a length and chunks", head + b"content-length: 5\r\n" + chunks + b"\r\n0\r\n\r\n" + hidden, {"400"}
    yield "two lengths", head + b"content-length: 0\r\ncontent-length: 5\r\n\r\n" + hidden, {"400"}
    yield "an unknown coding", head + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden, {"400"}
    yield "a space before the colon", head + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + hidden, {"400"}
    yield "a chunk beyond 64 bits", head + chunks + b"connection: close\r\n\r\n10000000000000000\r\n{}\r\n", {"400"}
    yield "an endless chunk extension", head + chunks + b"\r\n2;" + b"x" * 50_000 + b"\r\n{}\r\n0\r\n\r\n", {"400", "closed"}
    yield "a folded line", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n", {"400"}
    yield "a NUL in a header", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n", {"400"}
    yield "no host", b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", {"400"}
    yield "two hosts", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", {"400"}
    yield ("another host than the address's",
           b"GET https://a/ HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n", {"400"})
    yield "HTTP/0.9", b"GET /\r\n\r\n", {"400"}
    yield "1,000 header fields", b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 1_000 + b"\r\n", {"431", "closed"}
    yield "a header without end", b"GET / HTTP/1.1\r\nx: " + b"y" * 200_000, {"431", "closed"}
    yield ("a long address", b"GET /" + b"x" * 8_000 + b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", {"414"})


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    server = Server(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
    attacks = [("HTTP/1.1", name, lambda sent=sent: statuses(server, sent), expected) for name, sent, expected in http1()]
    attacks += [("HTTP/2", name, lambda sent=sent, stream=stream: fate(server, sent, stream), expected)
                for name, sent, stream, expected in http2()]
    surprises = 0
    for version, name, run, expected in attacks:
        try:
            told = run()
        except OSError as failure:
            told = f"nothing: {failure}"
        try:
            others = "others are served" if server.serves_others() else "OTHERS ARE REFUSED"
        except OSError as failure:
            others = f"OTHERS ARE NOT SERVED: {failure}"
        surprise = told not in expected or others != "others are served"
        surprises += surprise
        wanted = f"; EXPECTED {' or '.join(sorted(expected))}" if told not in expected else ""
        print(f"{version} {name}: {told}{wanted}; {others}", flush=True)
    print(f"{len(attacks)} attacks, {surprises} surprises")
    sys.exit(1 if surprises else 0)


if __name__ == "__main__":
    main()
