// eventsource 4.1.1 as its users use it: a listener for each name, and JSON.parse on what it is given. Prints what it is
// told, a line each.
import { EventSource } from 'eventsource'

const { URL: url, TOKEN: token, START: start, NAMES: names } = process.env
const say = (what) => console.log(JSON.stringify(what))
process.on('uncaughtException', (error) => say({ thrown: String(error) }))

const source = new EventSource(`${url}/v1/events?after=${start}`, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
})
for (const name of names.split(',')) {
  source.addEventListener(name, ({ type, data, lastEventId }) => say({ event: type, data: JSON.parse(data), id: lastEventId }))
}
source.onmessage = (message) => say({ thrown: `an event without a name: ${message.data}` })
source.onerror = ({ code, message }) => {
  say({ error: message ?? 'the stream ended', code })
  if (source.readyState === EventSource.CLOSED) say({ over: `status ${code}` })
}
