// What the shared suite cannot see from outside: durable steps, who answers a replay, what goes on behind an answer.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { commits } from "./support/commits.js";
import { Place, disagreement, isSettled } from "./support/place.js";

let place;
before(async () => (place = await Place.start()));
after(() => place.stop());

const order = (more) => ({ order_id: "ord_1", amount: 2599, currency: "GBP", payment_method: "pm_card_visa", ...more });
const wait = { headers: { prefer: "wait=10" } };

async function restart(bindings) {
  await place.crash();
  place.bindings = bindings;
  await place.up();
}

/** A manual payment from its creation to its capture; its id, and what was asked and answered. */
async function payment(more) {
  const key = randomUUID();
  const asked = [["/attempts", key, order(more)]];
  const answers = [await place.post(...asked[0])];
  const id = answers[0].json.attempt_id;
  for (const operation of ["authorize", "capture"]) {
    const ask = [`/attempts/${id}/${operation}`, operation, undefined];
    asked.push(ask);
    answers.push(await place.post(...ask, wait));
  }
  return { id, asked, answers };
}

test("a manual payment is five durable steps, and a replay is none", async () => {
  const { id, asked, answers } = await payment();
  assert.deepEqual(answers.map((answer) => answer.status), [201, 200, 200]);
  assert.deepEqual(
    // The form on the wire is an entry of the first dispatch.
    place.written(id).map((step) => step.events.replace(/; requests to the PSP are written in [^;]*/, "")),
    [
      "attempt created",
      "authorize requested; authorize intended; authorize sent to the PSP",
      "the PSP answered: authorized",
      "capture requested; capture intended; capture sent to the PSP",
      "the PSP answered: authorized, captured",
    ],
  );
  for (const [nth, ask] of asked.entries()) {
    const again = await place.post(...ask);
    assert.deepEqual([again.status, again.replayed, again.text], [200, true, answers[nth].text]);
  }
  assert.equal(disagreement(await place.get(id), await place.ledger(id)), undefined);

  // A replay that the object answers, since the attempt is not final, is none either.
  const open = await place.post("/attempts", randomUUID(), order());
  const openId = open.json.attempt_id;
  await place.post(`/attempts/${openId}/authorize`, "a", undefined, wait);
  for (let nth = 0; nth < 3; nth += 1) {
    assert.ok((await place.post(`/attempts/${openId}/authorize`, "a", undefined)).replayed);
  }

  // The log says so, and so does the disk.
  assert.deepEqual([place.written(id).length, place.written(openId).length], [5, 3]);
  await place.crash();
  assert.deepEqual(commits(join(place.directory, "objects")).sort(), [3, 5]);
  await place.up();
});

test("a read that brings a body is a read", async () => {
  const { json } = await place.post("/attempts", randomUUID(), order());
  const status = await new Promise((done, failed) => {
    const headers = { authorization: "Bearer suite-token-of-shop", "content-length": 2 };
    // `fetch` does not make such a request; curl and others do.
    const asked = request(`${place.url}/attempts/${json.attempt_id}`, { method: "GET", headers }, (answer) => {
      answer.resume();
      done(answer.statusCode);
    });
    asked.on("error", failed);
    asked.end("{}");
  });
  assert.equal(status, 200);
});

test("a hundred requests under one key make one effect", async () => {
  for (const [path, status] of [["/attempts", 201], ["/charge", 200]]) {
    const key = randomUUID();
    const all = await Promise.all(Array.from({ length: 100 }, () => place.post(path, key, order(), wait)));
    const ids = new Set(all.map((answer) => answer.json.attempt_id));
    assert.equal(ids.size, 1);
    assert.equal(new Set(all.map((answer) => answer.text)).size, 1);
    assert.deepEqual(all.filter((answer) => !answer.replayed).map((answer) => answer.status), [status]);
    const [id] = ids;
    if (path === "/attempts") {
      assert.equal(place.written(id).length, 1);
      for (const operation of ["authorize", "capture"]) {
        const ask = () => place.post(`/attempts/${id}/${operation}`, "k2" + operation, undefined, wait);
        const told = await Promise.all(Array.from({ length: 100 }, ask));
        assert.deepEqual(new Set(told.map((answer) => answer.status)), new Set([200]));
        assert.equal(new Set(told.map((answer) => answer.text)).size, 1);
        assert.equal(told.filter((answer) => !answer.replayed).length, 1);
      }
    }
    const ledger = await place.ledger(id);
    assert.deepEqual([ledger.authorizations, ledger.captures, ledger.captured_minor], [1, 1, 2599]);
    assert.equal(place.written(id).filter((step) => step.events.includes("sent to the PSP")).length, path === "/charge" ? 1 : 2);
  }
});

test("an answer goes out at the budget, and the PSP call goes on behind it", { timeout: 60_000 }, async () => {
  // Longer than workerd keeps an object that nothing happens to (10 s).
  const latencyMs = 12_500;
  const usual = place.bindings;
  const patient = structuredClone(usual);
  Object.assign(patient.PAY_ONCE.psps.stripe.timing, { call_timeout_ms: 15_000, max_in_flight_ms: 16_000 });
  await restart(patient);
  const { json } = await place.post("/attempts", randomUUID(), order());
  await place.dials({ latency_ms: { min: latencyMs, max: latencyMs } });
  const before = Date.now();
  const asked = await place.post(`/attempts/${json.attempt_id}/authorize`, "a", undefined);
  assert.equal(asked.status, 202);
  assert.ok(Date.now() - before < latencyMs, "the answer waited for the PSP");
  await place.waitFor("the PSP's answer", () => place.written(json.attempt_id).length === 3);
  assert.equal(place.written(json.attempt_id)[2].events, "the PSP answered: authorized");
  assert.equal((await place.ledger(json.attempt_id)).authorizations, 1);
  await place.dials({ latency_ms: { min: 0, max: 0 } });
  await restart(usual);
});

test("an answer that is lost is found out by the alarm, with no request", { timeout: 120_000 }, async () => {
  await place.dials({ webhooks_enabled: false });
  for (const [token, merchant] of [
    ["pm_sandbox_hang_after", "shop"],
    ["pm_sandbox_hang_before", "shop"],
    ["pm_sandbox_500_after", "shop"],
    ["pm_sandbox_hang_after", "market"],
  ]) {
    const more = { token: `suite-token-of-${merchant}` };
    const told = await place.post("/charge", randomUUID(), order({ payment_method: token }), more);
    assert.equal(told.status, 202);
    const id = told.json.attempt_id;
    await place.waitFor(`${token} captured`, () => place.written(id).at(-1)?.status === "CAPTURED");
    const ledger = await place.ledger(id);
    assert.deepEqual([ledger.authorizations, ledger.captures], [1, 1], token);
  }
});

test("a final attempt is answered from the cache, its object gone; any other is not; and the cache is no authority", async () => {
  const { id, asked, answers } = await payment();
  const read = await place.get(id);
  const open = await place.post("/attempts", randomUUID(), order());
  // The copy is put behind the answer.
  await new Promise((done) => setTimeout(done, 500));

  await place.crash();
  place.forget("objects");
  await place.up();
  for (const nth of [1, 2]) {
    const again = await place.post(...asked[nth]);
    assert.deepEqual([again.status, again.replayed, again.text], [200, true, answers[nth].text]);
  }
  assert.deepEqual(await place.get(id), read);
  // What is not in it for good, the cache does not answer: another key, another body, another merchant.
  const other = [
    await place.post(`/attempts/${id}/capture`, "other", undefined),
    await place.post(`/attempts/${id}/capture`, "capture", { amount: 1 }),
    await place.send("GET", `/attempts/${id}`, { token: "suite-token-of-rival" }),
    await place.send("GET", `/attempts/${open.json.attempt_id}`),
  ];
  assert.deepEqual(other.map((answer) => answer.json.error?.code), Array(4).fill("ATTEMPT_NOT_FOUND"));

  const kept = await payment();
  await place.crash();
  place.forget("kv");
  await place.up();
  for (const [nth, ask] of kept.asked.entries()) {
    assert.equal((await place.post(...ask)).text, kept.answers[nth].text);
  }
  assert.ok(isSettled(await place.get(kept.id)));
});
