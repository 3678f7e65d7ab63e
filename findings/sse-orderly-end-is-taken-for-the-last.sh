#!/usr/bin/env bash
# @microsoft/fetch-event-source 2.0.1 and eventsource 4.1.1 (npm), node 20 or later.
# One expects: a client of server-sent events connects anew whenever the stream ends, however it does (WHATWG HTML, 9.2.3);
# and gives up where the server refuses it.
# What happens: fetch-event-source does the opposite. When an answer ends in order its promise is fulfilled and it never
# comes back, without an error; when it breaks off, or is refused with 401 or 503, it asks again for ever, each second, unless
# the application throws. eventsource comes back after both ends, and gives up for ever at the first 503.
# Why it matters: a server that is stopped politely for an upgrade ends its streams in order, and from then on such a client
# is told of no payment, while everything looks well. Cutting the streams instead brings all clients back; a 503 during the
# restart loses those of the other kind.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
    @microsoft/fetch-event-source@2.0.1 eventsource@4.1.1
cat >try.cjs <<'END'
globalThis.window = globalThis
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
const { fetchEventSource } = require('@microsoft/fetch-event-source')
const { EventSource } = require('eventsource')
const http = require('node:http')

// How often a client asks in a second and a half, of a server that gives each request an event and an end, or refuses it.
async function asks(end, client) {
  let asked = 0
  const server = http.createServer((request, answer) => {
    asked++
    if (end === '503') {
      answer.writeHead(503, { 'content-type': 'application/problem+json' })
      return answer.end('{}')
    }
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    answer.write('retry: 100\nid: 1\ndata: {}\n\n', () => setTimeout(() => (end === 'order' ? answer.end() : answer.destroy()), 20))
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const stop = client(`http://127.0.0.1:${server.address().port}/`)
  await new Promise((done) => setTimeout(done, 1500))
  stop()
  server.closeAllConnections()
  server.close()
  return asked
}

const microsoft = (url) => {
  const stop = new AbortController()
  fetchEventSource(url, { openWhenHidden: true, signal: stop.signal })
  return () => stop.abort()
}
const standard = (url) => {
  const source = new EventSource(url)
  return () => source.close()
}

(async () => {
  const found = {}
  for (const [name, client] of [['fetch-event-source 2.0.1', microsoft], ['eventsource 4.1.1', standard]]) {
    found[name] = {}
    for (const end of ['order', 'break', '503']) found[name][end] = await asks(end, client)
    const { order, break: broken, 503: refused } = found[name]
    console.log(`${name}: asks ${order} times where the answer ends in order, ${broken} where it breaks off, ${refused} where it is a 503`)
  }
  const m = found['fetch-event-source 2.0.1'], s = found['eventsource 4.1.1']
  const same = m.order === 1 && m.break > 2 && m['503'] > 1 && s.order > 2 && s.break > 2 && s['503'] === 1
  console.log(same ? 'As described.' : 'The behaviour has changed.')
  process.exit(same ? 0 : 1)
})()
END
timeout 60 node try.cjs
