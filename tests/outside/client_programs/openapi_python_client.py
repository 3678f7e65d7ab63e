"""Uses the client that openapi-python-client made: pays, is refused, holds, refunds, reads, sends a batch. Each answer must
come as the type that the description names."""

import importlib
import io
import json
import os
import re
import ssl
import uuid
from datetime import date, datetime, timedelta, timezone

import httpx
from kassa_client import AuthenticatedClient, Client, models
from kassa_client.api.accounts import list_accounts, show_balance, show_statement, show_statement_csv
from kassa_client.api.batches import pay_batch, show_batch
from kassa_client.api.holds import capture_hold, place_hold, show_hold
from kassa_client.api.payments import list_payments, pay, pay_dry_run, refund_payment, show_payment, show_payment_by_key
from kassa_client.api.sign_in import sign_in
from kassa_client.models import Capture, NewHold, NewPayment, NewRefund, Payment, Problem, ProblemKind
from kassa_client.types import UNSET, File

import examples

bank, verify = os.environ["BANK"], ssl.create_default_context(cafile=os.environ["AUTHORITY"])
credentials = models.SignIn(name="alice", password="alice-demo-password")
session = sign_in.sync(client=Client(bank, verify_ssl=verify), body=credentials)
assert isinstance(session, models.Session) and isinstance(session.expires_at, datetime)
client = AuthenticatedClient(bank, token=session.token, verify_ssl=verify)

mine = list_accounts.sync(client=client)
own = [account for account in mine.accounts if account.right == models.Right.OWNER]
assert len(own) == 2 and mine.next_cursor is None
first, second = own[0].iban, own[1].iban


run = uuid.uuid4()


def key(number):
    return f"{run}-{number}"


def order(amount, text=UNSET):
    return NewPayment(from_=first, to=second, amount=amount, currency="EUR", text=text)


def refusal(call, *arguments, **named):
    """The problem that a call is refused with, as its type."""
    problem = call.sync(*arguments, client=client, **named)
    assert isinstance(problem, Problem), problem
    return problem


# A payment, and the same key again.
paid = pay.sync_detailed(client=client, body=order("25.00", "Lunch"), idempotency_key=key(1))
payment = paid.parsed
assert paid.status_code == 201 and isinstance(payment, Payment)
assert re.fullmatch("[0-9a-f]{32}", payment.id) and payment.purpose == models.Purpose.PAYMENT
assert isinstance(payment.booked_at, datetime) and isinstance(payment.value_date, date)
again = pay.sync_detailed(client=client, body=order("25.00", "Lunch"), idempotency_key=key(1))
assert again.parsed == payment and again.headers["Idempotency-Replayed"] == "true"
assert show_payment_by_key.sync(key(1), client=client) == payment

# Refusals, by their kind.
poor = refusal(pay, body=order("1000000.00"), idempotency_key=key(2))
assert poor.type_ == ProblemKind.INSUFFICIENT_FUNDS and poor.limit is UNSET
assert poor.available == models.Amount(show_balance.sync(first, client=client).available, "EUR")
assert refusal(pay, body=order("26.00"), idempotency_key=key(1)).type_ == ProblemKind.KEY_REUSED
assert refusal(show_payment, "0" * 32).type_ == ProblemKind.UNKNOWN_PAYMENT
wrong = refusal(pay, body=order("1.001"), idempotency_key=key(3))
assert wrong.type_ == ProblemKind.AMOUNT_TOO_PRECISE and wrong.errors[0].field == "amount"

# A dry run has no id, and does nothing.
would = pay_dry_run.sync(client=client, body=order("3.00"))
assert isinstance(would, models.PaymentDryRun) and would.dry_run is True and not hasattr(would, "id")
assert refusal(pay_dry_run, body=order("1000000.00")).available == poor.available

# A hold, captured in part; the rest is let go.
until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
wanted = NewHold(from_=first, to=second, amount="10.00", currency="EUR", expires_at=until)
hold = place_hold.sync(client=client, body=wanted, idempotency_key=key(4))
assert isinstance(hold, models.Hold) and hold.status == models.HoldStatus.OPEN and hold.expires_at == until
part = Capture(amount="4.00", currency="EUR", last=True)
taken = capture_hold.sync(hold.id, client=client, body=part, idempotency_key=key(5))
assert isinstance(taken, Payment) and taken.purpose == models.Purpose.CAPTURE
assert show_hold.sync(hold.id, client=client).status == models.HoldStatus.CLOSED
closed = refusal(capture_hold, hold.id, body=Capture(), idempotency_key=key(6))
assert closed.type_ == ProblemKind.HOLD_NOT_OPEN

# A refund in part, and more than is left.
some = NewRefund(amount="5.00", currency="EUR")
refund = refund_payment.sync(payment.id, client=client, body=some, idempotency_key=key(7))
assert refund.purpose == models.Purpose.REFUND and refund.amount == "5.00"
some = NewRefund(amount="21.00", currency="EUR")
more = refusal(refund_payment, payment.id, body=some, idempotency_key=key(8))
assert more.type_ == ProblemKind.REFUND_EXCEEDS_PAYMENT and more.remaining.amount == "20.00"

# The statement, and lists in pages.
today = datetime.now(timezone.utc).date()
statement = show_statement.sync(first, client=client, from_=today, to=today)
assert isinstance(statement, models.Statement) and statement.from_ == today
assert statement.entries[-1].payment == refund.id and statement.entries[-1].amount == "5.00"
assert show_statement_csv.sync(first, client=client, from_=today, to=today).startswith("line,number,")
page = list_payments.sync(client=client, limit=2, account=first)
assert [payment.id for payment in page.payments] == [refund.id, taken.id]
after = list_payments.sync(client=client, limit=2, account=first, cursor=page.next_cursor)
assert after.payments[0].id == payment.id

# A batch is bytes.
line = {"from": first, "to": second, "amount": "1.00", "currency": "EUR"}
lines = "".join(json.dumps(one) + "\n" for one in [line, {**line, "amount": "1000000.00"}])
answer = pay_batch.sync(client=client, body=File(io.BytesIO(lines.encode())), idempotency_key=key(9))
told = [json.loads(one) for one in answer.payload]
assert (told[0]["status"], told[1]["status"], told[2]) == (201, 422, {"lines": 2, "accepted": 1, "refused": 1})
assert models.LineOutcome.from_dict(told[1]).problem.type_ == ProblemKind.INSUFFICIENT_FUNDS
assert len(show_batch.sync(key(9), client=client).payload.readlines()) == 3

# Each model takes a value of its schema, and gives it again.
for name, value in examples.objects():
    assert getattr(models, name).from_dict(value).to_dict().keys() == value.keys(), name
# Each answer of each operation comes as the type that the description names.
count = 0
for operation in examples.operations():
    module = operation["tags"][0].lower().replace(" ", "_")
    name = re.sub("(?<=[a-z])(?=[0-9])", "_", operation["operationId"])
    parse = importlib.import_module(f"kassa_client.api.{module}.{name}")._parse_response
    for status, media_type, schema, value in examples.answers(operation):
        body = value if isinstance(value, str) else json.dumps(value)
        parsed = parse(client=client, response=httpx.Response(int(status), text=body if media_type else ""))
        named = schema and schema.get("$ref", "").rpartition("/")[2]
        expected = getattr(models, named or "", File if named in ("Lines",) else str) if schema else type(None)
        assert isinstance(parsed, expected), (name, status, parsed)
        count += 1

# A kind of problem that only a newer server knows is not taken for another one.
try:
    Problem.from_dict({"type": "/problems/newer", "title": "Newer", "status": 422, "detail": "…"})
    raise AssertionError("it is not known")
except ValueError as unknown:
    assert "/problems/newer" in str(unknown)
print(f"openapi-python-client: {count} answers, {len(examples.objects())} models")
