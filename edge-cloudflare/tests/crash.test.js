// workerd is killed with `kill -9` at random moments under load and started again on the same storage. Nothing that was
// acknowledged is lost, alarms finish what was in doubt, and the PSP's ledger has one effect for each attempt.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Place, disagreement, isSettled } from "./support/place.js";
import { Random } from "./support/random.js";

const ROUNDS = 20;
const CLIENTS = 30;
const SETTLE_MS = 60_000;

/** One payment: what is asked, in order, until an answer is final. */
function payment(random, name) {
  const token = random.below(8) === 0 ? "pm_card_chargeDeclined" : "pm_card_visa";
  const amount = 100 + random.below(9_000);
  const body = { order_id: name, amount, currency: "GBP", payment_method: token };
  const [path, ...operations] = random.pick([
    ["/charge"],
    ["/attempts", ["authorize"]],
    ["/attempts", ["authorize"], ["void"]],
    ["/attempts", ["authorize"], ["capture"]],
    ["/attempts", ["authorize"], ["capture", { amount: amount - 50 }]],
  ]);
  // `market`'s PSP honours no keys: what is in doubt there is looked up.
  const merchant = random.below(4) === 0 ? "market" : "shop";
  return { path, key: name, body, operations, more: { token: `suite-token-of-${merchant}` } };
}

class World {
  told = new Map();
  attempts = new Map();
  answers = 0;
  stopping = false;

  constructor(place) {
    this.place = place;
  }

  /** Asks until the answer is final, and holds every such answer against those that came before. */
  async ask(path, key, body, more, random) {
    const end = () => this.stopping && Date.now() > this.stopping + SETTLE_MS;
    for (;;) {
      if (end()) throw new Error(`without an end: ${path} ${key}`);
      let answer;
      try {
        answer = await this.place.post(path, key, body, more);
      } catch {
        await sleep(20 + random.below(100));
        continue;
      }
      this.answers += 1;
      if ([202, 503].includes(answer.status)) {
        await sleep(50 + random.below(200));
        continue;
      }
      assert.ok([200, 201, 402].includes(answer.status), `${path} ${key}: ${answer.status} ${answer.text}`);
      const place = `${path} ${key}`;
      const before = this.told.get(place);
      if (before) assert.deepEqual([answer.text, answer.replayed], [before.text, true], place);
      else this.told.set(place, { path, key, body, more, status: answer.status, text: answer.text });
      return answer;
    }
  }

  async client(seed, number) {
    const random = new Random(seed + number * 7919);
    for (let serial = 0; !this.stopping; serial += 1) {
      const { path, key, body, operations, more } = payment(random, `client-${number}-${serial}`);
      let answer = await this.ask(path, key, body, more, random);
      const id = (answer.json.error?.attempt ?? answer.json).attempt_id;
      this.attempts.set(id, more);
      for (const [operation, with_] of operations) {
        if (answer.status === 402) break;
        answer = await this.ask(`/attempts/${id}/${operation}`, operation, with_, more, random);
        if (random.below(4) === 0) await this.ask(`/attempts/${id}/${operation}`, operation, with_, more, random);
      }
    }
  }

  /** Nothing acknowledged is lost; every attempt agrees with the ledger; the ledger knows no other attempt. */
  async reckon() {
    for (const { path, key, body, more, status, text } of this.told.values()) {
      const again = await this.place.post(path, key, body, more);
      const expected = [status === 201 ? 200 : status, true, text];
      assert.deepEqual([again.status, again.replayed, again.text], expected, `${path} under ${key}`);
    }
    for (const [id, more] of this.attempts) {
      const attempt = await this.place.get(id, more);
      assert.ok(isSettled(attempt), JSON.stringify(attempt));
      const ledger = await this.place.ledger(id);
      assert.equal(disagreement(attempt, ledger), undefined);
      assert.ok(ledger.authorizations <= 1, `authorized more than once: ${JSON.stringify(ledger)}`);
    }
    const strangers = Object.keys(await this.place.wholeLedger()).filter((id) => !this.attempts.has(id));
    assert.deepEqual(strangers, []);
  }
}

test(`${ROUNDS} times kill -9 under load`, { timeout: 300_000 }, async (t) => {
  const seed = Number(process.env.PAY_ONCE_TEST_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`PAY_ONCE_TEST_SEED=${seed}`);
  const place = await Place.start({ latency: "5..60" });
  try {
    const random = new Random(seed);
    const world = new World(place);
    const clients = Array.from({ length: CLIENTS }, (_, number) => world.client(seed, number));
    const failed = Promise.all(clients);
    failed.catch(() => {});
    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.race([sleep(50 + random.below(900)), failed]);
      await place.crash();
      await place.up();
    }
    world.stopping = Date.now();
    await failed;
    await place.crash();
    await place.up();
    await world.reckon();
    t.diagnostic(`${ROUNDS + 1} crashes, ${world.attempts.size} payments, ${world.answers} answers`);
    assert.ok(world.attempts.size > ROUNDS, "too little load");
  } finally {
    await place.stop();
  }
});

test("what was in doubt when workerd died is finished by alarms, with no request", { timeout: 120_000 }, async () => {
  const place = await Place.start({ latency: "700..700" });
  try {
    // Each is dispatched, and its answer is still to come when everything dies.
    const ids = [];
    for (let nth = 0; nth < 12; nth += 1) {
      const more = { token: `suite-token-of-${nth % 3 === 0 ? "market" : "shop"}` };
      const body = { amount: 100 + nth, currency: "GBP", payment_method: "pm_card_visa" };
      ids.push(place.post("/charge", `doubt-${nth}`, body, more).then(({ json }) => [json.attempt_id, more]));
    }
    const attempts = await Promise.all(ids);
    await place.crash();
    place.lines.length = 0;
    await place.up();
    const captured = () => attempts.every(([id]) => place.written(id).some((step) => step.status === "CAPTURED"));
    await place.waitFor("every attempt captured", captured, 60_000);
    for (const [id, more] of attempts) {
      const ledger = await place.ledger(id);
      assert.deepEqual([ledger.authorizations, ledger.captures], [1, 1]);
      assert.equal(disagreement(await place.get(id, more), ledger), undefined);
    }
  } finally {
    await place.stop();
  }
});
