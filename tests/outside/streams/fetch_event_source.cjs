// @microsoft/fetch-event-source 2.0.1 as its users use it: one listener for all, and JSON.parse on what it is given. It is
// made for browsers, and here gets as much of one as it asks for. Prints what it is told, a line each.
globalThis.window = globalThis
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
const { fetchEventSource } = require('@microsoft/fetch-event-source')

const { URL: url, TOKEN: token, START: start } = process.env
const say = (what) => console.log(JSON.stringify(what))

fetchEventSource(`${url}/v1/events`, {
  // An id that was kept from before. Later ones are sent beside it, in the same header.
  headers: { Authorization: `Bearer ${token}`, 'Last-Event-ID': start },
  openWhenHidden: true,
  onmessage({ event, data, id }) {
    try {
      say({ event, data: JSON.parse(data), id })
    } catch (error) {
      say({ thrown: `${error} in ${JSON.stringify({ event, data, id })}` })
      throw error
    }
  },
  onerror: (error) => say({ error: String(error) }),
}).then(() => say({ over: 'ended in order' }), (error) => say({ thrown: String(error) }))
