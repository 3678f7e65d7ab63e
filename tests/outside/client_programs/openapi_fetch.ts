// Uses the types that openapi-typescript made, with openapi-fetch: pays, is refused, holds, refunds, reads, sends a batch.
// What the compiler must know stands in the types; what must be answered is asserted.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { ErrorResponse, ResponseObjectMap, SuccessResponse } from "openapi-typescript-helpers";
import type { components, operations, paths } from "./kassa.js";

type Schemas = components["schemas"];
type Problem = Schemas["Problem"];
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type IsVague<T> = [T] extends [never] ? true : unknown extends T ? true : false;

// No schema and no answer is `never`, `unknown` or `any`, and each refusal of each operation is a problem.
type Vague = { [K in keyof Schemas]: IsVague<Schemas[K]> extends true ? K : never }[keyof Schemas];
type Good<K extends keyof operations> = SuccessResponse<ResponseObjectMap<operations[K]>>;
type Bad<K extends keyof operations> = ErrorResponse<ResponseObjectMap<operations[K]>>;
type VagueAnswer = { [K in keyof operations]: IsVague<Good<K>> extends true ? K : never }[keyof operations];
type OtherRefusal = { [K in keyof operations]: Same<Bad<K>, Problem> extends true ? never : K }[keyof operations];
const nothingIsVague: Same<Vague | VagueAnswer | OtherRefusal, never> = true;
assert.ok(nothingIsVague);

const { BANK, AUTHORITY } = process.env;
assert.ok(BANK && AUTHORITY);
const bank = createClient<paths>({ baseUrl: BANK });

const session = await bank.POST("/v1/sign-in", { body: { name: "alice", password: "alice-demo-password" } });
assert.ok(session.data);
const token: string = session.data.token;
bank.use({ onRequest: ({ request }) => request.headers.set("Authorization", `Bearer ${token}`) });

const mine = await bank.GET("/v1/accounts");
assert.ok(mine.data);
const own = mine.data.accounts.filter((account) => account.right === "owner");
const [first, second] = [own[0]!.iban, own[1]!.iban];

const order = (amount: string, text?: string): Schemas["NewPayment"] => ({ from: first, to: second, amount, currency: "EUR", text });
const run = crypto.randomUUID();
const key = (number: number) => ({ "Idempotency-Key": `${run}-${number}` });
const pay = (number: number, body: Schemas["NewPayment"]) => bank.POST("/v1/payments", { params: { header: key(number) }, body });

// The problem that a call is refused with: by its type there is nothing else that it could be.
const refusal = async (call: Promise<{ error?: Problem; response: Response }>): Promise<Problem> => {
  const { error, response } = await call;
  assert.ok(error, "it is refused");
  assert.equal(error.status, response.status);
  return error;
};

// A payment, and the same key again.
const paid = await pay(1, order("25.00", "Lunch"));
assert.ok(paid.data);
const id: string = paid.data.id;
assert.match(id, /^[0-9a-f]{32}$/);
assert.equal(paid.response.status, 201);
const again = await pay(1, order("25.00", "Lunch"));
assert.deepEqual([again.data?.id, again.response.headers.get("idempotency-replayed")], [id, "true"]);
const byKey = await bank.GET("/v1/payments/by-key/{key}", { params: { path: { key: `${run}-1` } } });
assert.deepEqual(byKey.data, paid.data);

// Refusals, by their kind: a kind that is none doesn't compile.
const poor = await refusal(pay(2, order("1000000.00")));
// @ts-expect-error there is no such kind
assert.notEqual(poor.type === "/problems/insufficient-fund", true);
assert.ok(poor.type === "/problems/insufficient-funds");
const narrowed: "/problems/insufficient-funds" = poor.type;
assert.equal(narrowed, poor.type);
const balance = await bank.GET("/v1/accounts/{iban}/balance", { params: { path: { iban: first } } });
assert.deepEqual(poor.available, { amount: balance.data?.available, currency: "EUR" });
assert.equal((await refusal(pay(1, order("26.00")))).type, "/problems/key-reused" satisfies Schemas["ProblemKind"]);
const wrong = await refusal(pay(3, order("1.001")));
assert.deepEqual([wrong.type, wrong.errors?.[0]?.field], ["/problems/amount-too-precise", "amount"]);

// A dry run has no id, and does nothing.
const would = await bank.POST("/v1/payments/dry-run", { body: order("3.00") });
assert.ok(would.data);
assert.equal(would.data.dry_run, true);
// @ts-expect-error it has none
assert.equal(would.data.id, undefined);

// A hold, captured in part; the rest is let go.
const held = await bank.POST("/v1/holds", { params: { header: key(4) }, body: { ...order("10.00"), expires_at: new Date(Date.now() + 30 * 86_400_000).toISOString() } });
assert.ok(held.data && held.data.status === "open");
const hold: string = held.data.id;
const path = { id: hold };
const taken = await bank.POST("/v1/holds/{id}/captures", {
  params: { path, header: key(5) }, body: { amount: "4.00", currency: "EUR", last: true },
});
assert.equal(taken.data?.purpose, "capture");
assert.equal((await bank.GET("/v1/holds/{id}", { params: { path } })).data?.status, "closed");
const closed = await refusal(bank.POST("/v1/holds/{id}/captures", { params: { path, header: key(6) }, body: {} }));
assert.equal(closed.type, "/problems/hold-not-open");

// A refund in part, and more than is left.
const giveBack = (number: number, amount: string) =>
  bank.POST("/v1/payments/{id}/refunds", { params: { path: { id }, header: key(number) }, body: { amount, currency: "EUR" } });
const refund = await giveBack(7, "5.00");
assert.ok(refund.data && refund.data.purpose === "refund");
const more = await refusal(giveBack(8, "21.00"));
assert.deepEqual([more.type, more.remaining?.amount], ["/problems/refund-exceeds-payment", "20.00"]);

// The statement, and lists in pages.
const today = new Date().toISOString().slice(0, 10);
const days = { path: { iban: first }, query: { from: today, to: today } };
const statement = await bank.GET("/v1/accounts/{iban}/statement", { params: days });
assert.ok(statement.data);
const last: Schemas["Entry"] | undefined = statement.data.entries.at(-1);
assert.deepEqual([last?.payment, last?.amount], [refund.data.id, "5.00"]);
const csv = await bank.GET("/v1/accounts/{iban}/statement.csv", { params: days, parseAs: "text" });
assert.ok(csv.data?.startsWith("line,number,"));
const page = await bank.GET("/v1/payments", { params: { query: { limit: 2, account: first } } });
assert.deepEqual(page.data?.payments.map((payment) => payment.id), [refund.data.id, taken.data?.id]);
const cursor = page.data?.next_cursor ?? undefined;
const after = await bank.GET("/v1/payments", { params: { query: { limit: 2, account: first, cursor } } });
assert.equal(after.data?.payments[0]?.id, id);

// A batch is text, sent as it is.
const lines = [order("1.00"), order("1000000.00")].map((line) => `${JSON.stringify(line)}\n`).join("");
const batch = await bank.POST("/v1/batches", {
  params: { header: key(9) }, body: lines, bodySerializer: (body) => body,
  headers: { "Content-Type": "application/x-ndjson" }, parseAs: "text",
});
assert.ok(batch.data, JSON.stringify(batch.error));
const told = batch.data.trimEnd().split("\n").map((line) => JSON.parse(line) as Schemas["LineOutcome"]);
assert.deepEqual([told.length, told[0]?.status, told[1]?.problem?.type], [3, 201, "/problems/insufficient-funds"]);
console.log(`openapi-typescript: ${Object.keys(poor).length} fields of a problem, all typed`);
