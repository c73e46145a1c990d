// What a search finds on Workers: attempts that have ended or are parked, and nothing else.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { Place } from "./support/place.js";

let place;
before(async () => (place = await Place.start()));
after(() => place.stop());

const LIMIT_MS = 20_000;
const wait = { headers: { prefer: "wait=10" } };
const token = (who) => ({ headers: { authorization: `Bearer suite-token-of-${who}` } });
const order = (more) => ({ order_id: "ord_1", amount: 2599, currency: "GBP", payment_method: "pm_card_visa", ...more });

async function search(query, who = "shop") {
  const answer = await fetch(`${place.url}/attempts?${query}`, token(who));
  return { status: answer.status, json: await answer.json() };
}

/** Asks until the page has these attempts: an entry is written behind the answer. */
async function finds(ids, query, who) {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const { status, json } = await search(query, who);
    assert.equal(status, 200, JSON.stringify(json));
    const found = json.attempts.map((attempt) => attempt.attempt_id);
    if (found.toSorted().join() === ids.toSorted().join()) return json;
    assert.ok(Date.now() < end, `${query}: ${found}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

test("what has ended is found by its status and by its order", async () => {
  const order_id = randomUUID();
  const charge = () => place.post("/charge", randomUUID(), order({ order_id }), wait);
  const paid = [await charge(), await charge(), await charge()].map((answer) => answer.json.attempt_id);
  const page = await finds(paid, `order_id=${order_id}`);
  assert.deepEqual(page.attempts.map(({ state }) => state), ["captured", "captured", "captured"]);
  assert.equal(page.attempts[0].order_id, order_id);
  assert.equal(page.attempts[0].merchant, undefined);
  await finds(paid, `order_id=${order_id}&state=captured`);
  await finds([], `order_id=${order_id}&state=voided`);
  await finds([], `order_id=${order_id}`, "rival");
  const all = await finds(paid, `order_id=${order_id}`, "operator");
  assert.equal(all.attempts[0].merchant, "shop");

  // Page by page, oldest first.
  const found = [];
  for (let after = ""; ;) {
    const { status, json } = await search(`state=captured&limit=2${after}`);
    assert.equal(status, 200, JSON.stringify(json));
    found.push(...json.attempts.map((attempt) => attempt.attempt_id));
    if (json.next === undefined) break;
    after = `&after=${encodeURIComponent(json.next)}`;
  }
  assert.deepEqual(found.filter((id) => paid.includes(id)), paid);
});

test("what is under way is not found, and the answer says so", async () => {
  const order_id = randomUUID();
  await place.post("/attempts", randomUUID(), order({ order_id }));
  // It has its entry by now: whatever is done after it has one.
  const ended = await place.post("/charge", randomUUID(), order({ order_id }), wait);
  await finds([ended.json.attempt_id], `order_id=${order_id}`);
  for (const state of ["created", "authorized", "in_doubt", "unsent", "requires_action"]) {
    const { status, json: refused } = await search(`state=${state}`);
    assert.deepEqual([status, refused.error.code], [501, "SEARCH_UNSUPPORTED"]);
    assert.match(refused.error.message, /parked/);
  }
});

test("what is parked is found until it is resolved", async () => {
  const kiosk = { headers: { ...wait.headers, ...token("kiosk").headers } };
  const created = await place.post("/attempts", randomUUID(), order({ payment_method: "pm_sandbox_500_after" }), kiosk);
  const id = created.json.attempt_id;
  const begun = await place.post(`/attempts/${id}/authorize`, "a", undefined, kiosk);
  assert.equal(begun.status, 202, begun.text);
  const page = await finds([id], "state=parked", "operator");
  const { operation, merchant } = page.attempts[0];
  assert.equal(merchant, "kiosk");
  await finds([id], "state=parked", "kiosk");
  await finds([], "state=parked", "shop");
  const decision = {
    reason: "not in the books",
    operation: operation.name,
    generation: operation.generation,
    outcome: "did_not_happen",
  };
  const resolved = await place.post(`/attempts/${id}/resolve`, "r", decision, token("operator"));
  assert.equal(resolved.status, 200, resolved.text);
  await finds([], "state=parked", "operator");
  await finds([id], "state=declined", "kiosk");
});
