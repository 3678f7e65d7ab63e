#!/usr/bin/env bash
# reqwest-eventsource 0.6.0 with reqwest 0.12 (crates), @microsoft/fetch-event-source 2.0.1 (npm), node 20 or later, cargo.
# One expects: an application that goes on from an id it has stored sends it as `Last-Event-ID`, and the client replaces it
# by what it is told later.
# What happens: after a break the client sends both. reqwest-eventsource sends two header fields, the stored id first, and the
# second is empty where it was told none yet; fetch-event-source, where the application wrote the name in capitals, sends one
# field with both, `stored, newer`. And where nothing was stored, reqwest-eventsource sends an empty field.
# Why it matters: a server that looks at the first field tells all payments since the stored id again at each break; one
# that takes the field for one id refuses `stored, newer`, and that client asks again for ever without being told anything.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error @microsoft/fetch-event-source@2.0.1
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "tried"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
futures-util = { version = "0.3", default-features = false }
reqwest = { version = "0.12", default-features = false }
reqwest-eventsource = "=0.6.0"
tokio = { version = "1", features = ["rt"] }
END
cat >src/main.rs <<'END'
use futures_util::StreamExt;

fn main() {
    let (url, stored) = (std::env::args().nth(1).unwrap(), std::env::args().nth(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut request = reqwest::Client::new().get(url);
        if let Some(stored) = stored {
            request = request.header("Last-Event-ID", stored);
        }
        let mut source = reqwest_eventsource::EventSource::new(request).unwrap();
        while source.next().await.is_some() {}
    });
}
END
cargo build --quiet
cat >try.cjs <<'END'
globalThis.window = globalThis
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
const { fetchEventSource } = require('@microsoft/fetch-event-source')
const { spawn } = require('node:child_process')
const http = require('node:http')

// The fields Last-Event-ID of each request to a server that ends every stream: the first at once, the second after an event.
async function asked(start) {
  const fields = []
  let third
  const enough = new Promise((resolve) => (third = resolve))
  const server = http.createServer((request, answer) => {
    fields.push(request.rawHeaders.filter((_, place) => place % 2 && /^last-event-id$/i.test(request.rawHeaders[place - 1])))
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    answer.write(fields.length === 2 ? 'retry: 50\ndata: {}\nid: newer\n\n' : 'retry: 50\n', () => setTimeout(() => answer.destroy(), 50))
    if (fields.length === 3) third()
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const end = start(`http://127.0.0.1:${server.address().port}/`)
  await enough
  end()
  server.closeAllConnections()
  server.close()
  return JSON.stringify(fields)
}

const rust = (...more) => (url) => {
  const process = spawn('target/debug/tried', [url, ...more])
  return () => process.kill()
}
const microsoft = (url) => {
  const stop = new AbortController()
  fetchEventSource(url, { headers: { 'Last-Event-ID': 'stored' }, openWhenHidden: true, signal: stop.signal, onerror: () => 50 })
  return () => stop.abort()
}

(async () => {
  const told = {
    'reqwest-eventsource 0.6.0, an id stored': [await asked(rust('stored')), '[["stored"],["stored",""],["stored","newer"]]'],
    'reqwest-eventsource 0.6.0, none stored': [await asked(rust()), '[[],[""],["newer"]]'],
    'fetch-event-source 2.0.1, an id stored': [await asked(microsoft), '[["stored"],["stored"],["stored, newer"]]'],
  }
  for (const [who, [found]] of Object.entries(told)) console.log(`${who}: the fields Last-Event-ID of three requests: ${found}`)
  const same = Object.values(told).every(([found, expected]) => found === expected)
  console.log(same ? 'As described: both ids are sent, the newest last.' : 'The behaviour has changed.')
  process.exit(same ? 0 : 1)
})()
END
timeout 60 node try.cjs
