"""httpx-sse 0.4.3 as its users use it: in a loop, because it doesn't connect anew by itself, and with `json()` on what it is
given. Prints what it is told, a line each."""

import json
import os
import ssl
import time

import httpx
from httpx_sse import connect_sse


def say(what):
    print(json.dumps(what), flush=True)


def listen(url, token, last_id, delay_s):
    trust = ssl.create_default_context(cafile=os.environ["CA"])
    # By default it would wait five seconds, and the server says something every fifteen.
    with httpx.Client(verify=trust, timeout=httpx.Timeout(10, read=30)) as client:
        while True:
            try:
                headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": last_id}
                with connect_sse(client, "GET", f"{url}/v1/events", headers=headers) as source:
                    if source.response.status_code != 200:
                        return say({"over": f"status {source.response.status_code}"})
                    for event in source.iter_sse():
                        say({"event": event.event, "data": event.json(), "id": event.id})
                        last_id = event.id
                        delay_s = delay_s if event.retry is None else event.retry / 1000
                say({"error": "the stream ended"})
            except httpx.TransportError as error:
                say({"error": repr(error)})
            time.sleep(delay_s)


try:
    listen(os.environ["URL"], os.environ["TOKEN"], os.environ["START"], 1)
except Exception as error:
    say({"thrown": repr(error)})
