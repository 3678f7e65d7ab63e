"""Uses the client that openapi-generator made: pays, is refused, holds, refunds, reads, sends a batch. Each answer must
come as the type that the description names."""

import ast
import json
import os
import pathlib
import re
import uuid
from datetime import date, datetime, timedelta, timezone

import kassa_client
from kassa_client import Amount, Capture, NewHold, NewPayment, NewRefund, Problem, ProblemKind
from kassa_client.rest import ApiException, RESTResponse

import examples

configuration = kassa_client.Configuration(host=os.environ["BANK"], ssl_ca_cert=os.environ["AUTHORITY"])
client = kassa_client.ApiClient(configuration)
credentials = kassa_client.SignIn(name="alice", password="alice-demo-password")
session = kassa_client.SignInApi(client).sign_in(credentials)
assert isinstance(session, kassa_client.Session) and isinstance(session.expires_at, datetime)
configuration.access_token = session.token

accounts, payments = kassa_client.AccountsApi(client), kassa_client.PaymentsApi(client)
holds, batches = kassa_client.HoldsApi(client), kassa_client.BatchesApi(client)

mine = accounts.list_accounts()
own = [account for account in mine.accounts if account.right == kassa_client.Right.OWNER]
assert len(own) == 2 and mine.next_cursor is None
first, second = own[0].iban, own[1].iban


run = uuid.uuid4()


def key(number):
    return f"{run}-{number}"


def order(amount, text=None):
    return NewPayment(var_from=first, to=second, amount=amount, currency="EUR", text=text)


def refusal(call, *arguments):
    """The problem that a call is refused with, as its type."""
    try:
        call(*arguments)
    except ApiException as refused:
        assert isinstance(refused.data, Problem), refused
        assert refused.data.status == refused.status
        return refused.data
    raise AssertionError("it is refused")


# A payment, and the same key again.
paid = payments.pay_with_http_info(key(1), order("25.00", "Lunch"))
assert paid.status_code == 201 and isinstance(paid.data, kassa_client.Payment)
assert re.fullmatch("[0-9a-f]{32}", paid.data.id) and paid.data.purpose == kassa_client.Purpose.PAYMENT
assert isinstance(paid.data.booked_at, datetime) and isinstance(paid.data.value_date, date)
again = payments.pay_with_http_info(key(1), order("25.00", "Lunch"))
assert again.data == paid.data and again.headers["idempotency-replayed"] == "true"
assert payments.show_payment_by_key(key(1)) == paid.data

# Refusals, by their kind.
poor = refusal(payments.pay, key(2), order("1000000.00"))
assert poor.type == ProblemKind.INSUFFICIENT_FUNDS and poor.limit is None
assert poor.available == Amount(amount=accounts.show_balance(first).available, currency="EUR")
assert refusal(payments.pay, key(1), order("26.00")).type == ProblemKind.KEY_REUSED
assert refusal(payments.show_payment, "0" * 32).type == ProblemKind.UNKNOWN_PAYMENT
wrong = refusal(payments.pay, key(3), order("1.001"))
assert wrong.type == ProblemKind.AMOUNT_TOO_PRECISE and wrong.errors[0].var_field == "amount"

# A dry run has no id, and does nothing.
would = payments.pay_dry_run(order("3.00"))
assert isinstance(would, kassa_client.PaymentDryRun) and would.dry_run is True and not hasattr(would, "id")
assert refusal(payments.pay_dry_run, order("1000000.00")).available == poor.available

# A hold, captured in part; the rest is let go.
until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
hold = holds.place_hold(key(4), NewHold(var_from=first, to=second, amount="10.00", currency="EUR", expires_at=until))
assert isinstance(hold, kassa_client.Hold) and hold.status == kassa_client.HoldStatus.OPEN and hold.expires_at == until
taken = holds.capture_hold(hold.id, key(5), Capture(amount="4.00", currency="EUR", last=True))
assert isinstance(taken, kassa_client.Payment) and taken.purpose == kassa_client.Purpose.CAPTURE
assert holds.show_hold(hold.id).status == kassa_client.HoldStatus.CLOSED
assert refusal(holds.capture_hold, hold.id, key(6), Capture()).type == ProblemKind.HOLD_NOT_OPEN

# A refund in part, and more than is left.
refund = payments.refund_payment(paid.data.id, key(7), NewRefund(amount="5.00", currency="EUR"))
assert refund.purpose == kassa_client.Purpose.REFUND and refund.amount == "5.00"
more = refusal(payments.refund_payment, paid.data.id, key(8), NewRefund(amount="21.00", currency="EUR"))
assert more.type == ProblemKind.REFUND_EXCEEDS_PAYMENT and more.remaining.amount == "20.00"

# The statement, and lists in pages.
today = datetime.now(timezone.utc).date()
statement = accounts.show_statement(first, today, today)
assert isinstance(statement, kassa_client.Statement) and statement.var_from == today
assert statement.entries[-1].payment == refund.id and statement.entries[-1].amount == "5.00"
assert accounts.show_statement_csv(first, today, today).startswith("line,number,")
page = payments.list_payments(limit=2, account=first)
assert [payment.id for payment in page.payments] == [refund.id, taken.id]
assert payments.list_payments(limit=2, account=first, cursor=page.next_cursor).payments[0].id == paid.data.id

# A batch is bytes.
line = {"from": first, "to": second, "amount": "1.00", "currency": "EUR"}
lines = "".join(json.dumps(one) + "\n" for one in [line, {**line, "amount": "1000000.00"}])
told = [json.loads(one) for one in batches.pay_batch(key(9), lines.encode()).decode().splitlines()]
assert (told[0]["status"], told[1]["status"], told[2]) == (201, 422, {"lines": 2, "accepted": 1, "refused": 1})
assert kassa_client.LineOutcome.from_dict(told[1]).problem.type == ProblemKind.INSUFFICIENT_FUNDS
assert len(batches.show_batch(key(9)).splitlines()) == 3

# Each model takes a value of its schema, and gives it again; a field that may be null and is left out comes as null.
for name, value in examples.objects():
    again = json.loads(getattr(kassa_client, name).from_json(json.dumps(value)).to_json())
    left_out = {field for field in again if again[field] is None and field not in value}
    assert again.keys() - left_out == value.keys(), f"{name}: {value} became {again}"
# Each answer of each operation comes as the type that the description names.
maps = [
    ast.literal_eval(node.value)
    for path in pathlib.Path(kassa_client.__file__).parent.glob("api/*_api.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.AnnAssign) and node.target.id == "_response_types_map"
]
kinds = {"application/problem+json": "Problem"}
missing = []
for operation in examples.operations():
    expected = {}
    for status, media_type, schema, _ in examples.answers(operation):
        name = schema and schema.get("$ref", "").rpartition("/")[2]
        fields = name and "properties" in examples.SCHEMAS[name]
        expected[status] = name if fields else None if schema is None else "other"
    same = lambda told: all(
        told[status] == name if name != "other" else told[status] is not None for status, name in expected.items()
    )
    if not any(told.keys() == expected.keys() and same(told) for told in maps):
        missing.append(operation["operationId"])
assert not missing, missing

# A kind of problem that only a newer server knows is an ApiException still, with the status and the body.
class Newer:
    status, reason, headers = 422, "Unprocessable Content", {"content-type": "application/problem+json"}
    data = json.dumps({"type": "/problems/newer", "title": "Newer", "status": 422, "detail": "…"}).encode()


try:
    client.response_deserialize(Newer(), {"422": "Problem"})
    raise AssertionError("it is refused")
except ApiException as refused:
    assert refused.status == 422 and refused.data is None and json.loads(refused.body)["type"] == "/problems/newer"
print(f"openapi-generator: {len(maps) // 3} operations, {len(examples.objects())} models")
