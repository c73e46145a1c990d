// What core asks of an adapter beside calls: reads of objects that events are about, questions that are not asked again so soon,
// and a log that says what a PSP rejects.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { Place } from "./support/place.js";
import { Scripted, signed } from "./support/scripted.js";

const INTENTS = "POST /v1/payment_intents";
const INTENT = "GET /v1/payment_intents/pi_1";

let place;
let psp;
before(async () => {
  place = await Place.start();
  psp = await Scripted.start();
  await place.crash();
  for (const each of Object.values(place.bindings.PAY_ONCE.psps)) each.base_url = psp.url;
  // Two, while one is being changed.
  place.bindings.PAY_ONCE_WEBHOOK_SECRET = "whsec_new, whsec_suite";
  await place.up();
});
after(async () => {
  await place.stop();
  psp.stop();
});
beforeEach(() => {
  psp.asked.length = 0;
  psp.headers.length = 0;
  psp.script.clear();
});

const order = (more) => ({ order_id: "ord_1", amount: 2599, currency: "GBP", payment_method: "pm_card_visa", ...more });
const wait = { headers: { prefer: "wait=10" } };
const intent = (status, attempt) => ({
  id: "pi_1",
  object: "payment_intent",
  amount: 2599,
  currency: "gbp",
  status,
  metadata: attempt ? { attempt_id: attempt } : {},
  next_action: { type: "redirect_to_url", redirect_to_url: { url: "https://bank.example/3ds" } },
});
const thin = (type, id) => ({ type: `v1.${type}`, related_object: { id, type: type.split(".")[0] } });
const create = async (more) => (await place.post("/attempts", randomUUID(), order(more))).json.attempt_id;
const received = [200, { received: true }];

async function event(body, secret = "whsec_suite") {
  const headers = signed(secret, JSON.stringify(body));
  const answer = await place.send("POST", "/webhooks/stripe", { body, token: undefined, headers });
  return [answer.status, answer.json];
}

test("a rejection is one line of the log, and whoever sent the event sends it again", async () => {
  const message = "Having the 'rak_payment_intent_read' permission would allow this request to continue.";
  psp.says(INTENT, 403, { error: { type: "invalid_request_error", message } });
  const [status, json] = await event(thin("payment_intent.succeeded", "pi_1"));
  assert.deepEqual([status, json.error.code], [502, "PSP_READ_FAILED"]);
  await place.waitFor("the rejection", () => place.log().some((line) => line.rejected_requests === 1));
  const line = place.log().find((line) => line.rejected_requests === 1);
  assert.deepEqual(
    [line.level, line.psp, line.call, line.status, line.permission],
    ["ERROR", "stripe", "read", 403, "rak_payment_intent_read"],
  );
});

test("an event that is about no attempt is read once and taken, signed with any of the secrets", async () => {
  psp.says(INTENT, 200, intent("succeeded"));
  for (const secret of ["whsec_suite", "whsec_new"]) {
    assert.deepEqual(await event(thin("payment_intent.succeeded", "pi_1"), secret), received);
  }
  assert.equal(psp.timesAsked(INTENT), 2);
  const forged = await event(thin("payment_intent.succeeded", "pi_1"), "whsec_guess");
  assert.equal(forged[0], 400);
  assert.equal(psp.timesAsked(INTENT), 2);
});

test("an event is followed from its refund to the attempt, by the Worker and by the attempt's object", async () => {
  const id = await create();
  psp.says(INTENTS, 200, intent("requires_capture", id));
  psp.says(INTENT, 200, intent("requires_capture", id));
  psp.says("GET /v1/refunds/re_1", 200, {
    id: "re_1",
    object: "refund",
    amount: 2599,
    currency: "gbp",
    status: "succeeded",
    payment_intent: "pi_1",
    metadata: {},
  });
  const authorized = await place.post(`/attempts/${id}/authorize`, "a", undefined, wait);
  assert.equal(authorized.status, 200, authorized.text);
  assert.match(JSON.stringify((await place.get(id)).timeline), /req_scripted/);
  assert.deepEqual(await event(thin("refund.created", "re_1")), received);
  assert.deepEqual([psp.timesAsked("GET /v1/refunds/re_1"), psp.timesAsked(INTENT)], [2, 2]);
  assert.match(JSON.stringify((await place.get(id)).timeline), /webhook/);
});

test("an event that turns out to be about another attempt changes nothing in this one", async () => {
  const [id, other] = [await create(), await create()];
  psp.says(INTENTS, 200, intent("requires_capture", id));
  const authorized = await place.post(`/attempts/${id}/authorize`, "a", undefined, wait);
  assert.equal(authorized.status, 200, authorized.text);
  const before = await place.get(id);
  // Whoever is asked second is told of another attempt.
  let asked = 0;
  const usual = psp.script.get.bind(psp.script);
  psp.script.get = (what) => {
    if (what !== INTENT) return usual(what);
    asked += 1;
    return [200, JSON.stringify(intent("succeeded", asked === 1 ? id : other))];
  };
  assert.deepEqual(await event(thin("payment_intent.succeeded", "pi_1")), received);
  delete psp.script.get;
  assert.equal(asked, 2);
  assert.deepEqual(await place.get(id), before);
  assert.equal((await place.get(other)).status, "CREATED");
});

test("an answer that is too large is said to be too large", async () => {
  const id = await create();
  psp.says(INTENTS, 200, " ".repeat(1024 * 1024 + 1));
  const asked = await place.post(`/attempts/${id}/authorize`, "a", undefined);
  assert.equal(asked.status, 202, asked.text);
  const told = (attempt) => JSON.stringify(attempt.timeline).includes("the answer is too large to be read");
  await place.until(id, told);
});

test("a client that asks again and again does not have the PSP asked each time", async () => {
  const id = await create({ return_url: "https://shop.example/back" });
  psp.says(INTENTS, 200, intent("requires_action", id));
  psp.says(INTENT, 200, intent("requires_action", id));
  const asked = await place.post(`/attempts/${id}/authorize`, "a", undefined);
  assert.equal(asked.status, 202, asked.text);
  for (let nth = 0; nth < 20; nth += 1) {
    assert.equal((await place.get(id)).status, "REQUIRES_ACTION");
  }
  const times = psp.timesAsked(INTENT);
  assert.ok(times >= 1 && times <= 4, `${times}`);
});

test("a request's trace is in its log lines and with its call, and what happens is counted", async () => {
  const [trace, parent] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
  const declined = { type: "card_error", code: "card_declined", message: "No." };
  psp.says(INTENTS, 402, { error: declined });
  const id = await create();
  const answer = await place.send("POST", `/attempts/${id}/authorize`, {
    key: randomUUID(),
    headers: { ...wait.headers, traceparent: `00-${trace}-${parent}-01` },
  });
  assert.equal(answer.status, 402);
  const sent = psp.headers.at(-1).traceparent;
  assert.match(sent, new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
  assert.ok(!sent.includes(parent), sent);
  const written = () => place.written(id).filter((line) => line.trace === trace);
  await place.waitFor("the dispatch and its outcome", () => written().length === 2);
  const point = ({ indexes, blobs, doubles }) => [indexes[0], blobs[0], blobs[1], doubles[0]];
  const points = () => place.log().flatMap((line) => (line.data_point ? [point(line.data_point)] : []));
  const expected = [
    ["written", "AUTHORIZING", id, 1],
    ["waiting", "psp", id, 1],
    ["psp_call", "stripe", id, 1],
    ["written", "DECLINED", id, 1],
    ["waiting", "nothing", id, 1],
    ["psp_decline", "stripe", id, 1],
    ["error", "DECLINED", id, 1],
    ["answer", "402", "", 1],
  ];
  const isThere = (wanted) => points().some((known) => JSON.stringify(known) === JSON.stringify(wanted));
  await place.waitFor("the data points", () => expected.every(isThere));
});
