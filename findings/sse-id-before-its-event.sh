#!/usr/bin/env bash
# @microsoft/fetch-event-source 2.0.1 (npm), node 20 or later.
# One expects: a client of server-sent events keeps an `id` when the event it belongs to has come whole (WHATWG HTML, 9.2.6:
# the id is taken when the block is dispatched), so that after a break it asks for what it doesn't have.
# What happens: it keeps the id as soon as that line has come. Where the connection breaks between the line `id: 2` and the
# end of the event, it comes back with `Last-Event-ID: 2`, and event 2 is never delivered, nor is anything told of it.
# Why it matters: `id` first is how nearly every server writes its events. A payment is lost where a proxy or a telephone's
# network cuts a long event. A server that writes the id as the last field leaves no such place.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error @microsoft/fetch-event-source@2.0.1
cat >try.cjs <<'END'
globalThis.window = globalThis
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
const { fetchEventSource } = require('@microsoft/fetch-event-source')
const http = require('node:http')

const events = [1, 2, 3].map((n) => ({ id: `id: ${n}\n`, data: `event: payment\ndata: {"payment":${n}}\n` }))

// Serves the events after the last id, and cuts the first connection within the second event: after its first field.
async function delivered(idFirst) {
  const asked = []
  const server = http.createServer((request, answer) => {
    const last = request.headers['last-event-id']
    asked.push(last ?? 'none')
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    const blocks = events.slice(Number(last ?? 0)).map(({ id, data }) => (idFirst ? id + data : data + id) + '\n')
    if (asked.length > 1) return answer.write(blocks.join(''))
    const field = idFirst ? events[1].id : events[1].data
    answer.write(blocks[0] + field, () => setTimeout(() => answer.destroy(), 200))
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const got = []
  const stop = new AbortController()
  await fetchEventSource(`http://127.0.0.1:${server.address().port}/`, {
    openWhenHidden: true,
    signal: stop.signal,
    onerror: () => 50,
    onmessage({ data }) {
      got.push(JSON.parse(data).payment)
      if (got.at(-1) === 3) stop.abort()
    },
  })
  server.closeAllConnections()
  server.close()
  return { got, asked }
}

(async () => {
  const [first, last] = [await delivered(true), await delivered(false)]
  console.log(`@microsoft/fetch-event-source ${require('./node_modules/@microsoft/fetch-event-source/package.json').version}, node ${process.version}`)
  console.log(`the id is the first field: asked with Last-Event-ID ${first.asked}; delivered ${first.got}`)
  console.log(`the id is the last field:  asked with Last-Event-ID ${last.asked}; delivered ${last.got}`)
  const same = String(first.got) === '1,3' && String(last.got) === '1,2,3'
  console.log(same ? 'As described: event 2 is lost where its id came before its data.' : 'The behaviour has changed.')
  process.exit(same ? 0 : 1)
})()
END
timeout 60 node try.cjs
