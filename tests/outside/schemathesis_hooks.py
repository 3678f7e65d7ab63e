"""What schemathesis doesn't know by itself: keys that are used once, how batches are sent, and how answers that are not
JSON are read.

`schemas` beside this file says in OUTSIDE_ACCOUNTS which accounts there are.
"""

import itertools
import json
import os

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation

ACCOUNTS = os.environ["OUTSIDE_ACCOUNTS"].split()
LINES = "application/x-ndjson"

calls = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives nine in ten requests a key of their own: the description's example is used up by the first, and all others
    would be told just that. The rest repeat a key, most of them with another request."""
    number, key = next(calls), case.headers.get("Idempotency-Key")
    invalid = case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
    if key is not None and not invalid and number % 10 > 0:
        case.headers["Idempotency-Key"] = f"outside-{number}"


def payments():
    """A line of a batch, most of them payments that can be carried out."""
    iban = st.sampled_from(ACCOUNTS) | st.text(max_size=42)
    amount = st.sampled_from(["0.01", "1.00", "1000000.00", "0.001", "-1", "0", "1,00"])
    whole = st.fixed_dictionaries(
        {"from": iban, "to": iban, "amount": amount, "currency": st.sampled_from(["EUR", "EUR", "USD", "eur", "XXX"])},
        optional={"text": st.text(max_size=141), "more": st.integers()},
    )
    return (whole | whole.map(lambda line: {**line, "from": None}) | st.none()).map(json.dumps) | st.text(max_size=40)


def batch(lines):
    """The lines' bytes, with and without an end to the last, and with what is no UTF-8 in some."""
    whole = st.lists(lines, max_size=6).map("\n".join).map(lambda text: text.encode("utf-8", "surrogatepass"))
    return whole | whole.map(lambda some: some + b"\n") | whole.map(lambda some: some + b"\xff\r\n\n")


schemathesis.openapi.media_type(LINES, batch(payments()))


@schemathesis.deserializer(LINES)
def lines(context, response):
    """A batch's answer, each line of which must be what the description says of lines."""
    schema = context.operation.schema.raw_schema
    line = schema["components"]["schemas"]["Lines"]["x-line"]
    valid = jsonschema_rs.Draft202012Validator({**line, "components": schema["components"]})
    text = response.content.decode("utf-8")
    for one in text.splitlines():
        valid.validate(json.loads(one))
    return text


@schemathesis.deserializer("text/csv", "text/html", "text/css", "application/openmetrics-text")
def text(context, response):
    """What is for people, or for their programs, is UTF-8."""
    return response.content.decode("utf-8")


@schemathesis.deserializer("text/event-stream")
def events(context, response):
    """A stream's events as text, the data of each of which must be what the description says of its name."""
    schema = context.operation.schema.raw_schema
    known = schema["components"]["schemas"]["EventStream"]["x-events"]
    blocks = response.content.decode("utf-8").split("\n\n")[:-1]
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        valid = jsonschema_rs.Draft202012Validator({**known[fields["event"]], "components": schema["components"]})
        valid.validate(json.loads(fields["data"]))
    return blocks
