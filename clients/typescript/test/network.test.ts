// The client against Pay Once, over a network that loses, repeats and delays. The PSP's ledger judges.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ActionRequired, Declined, MemoryKeyStore, NewTryRefused, OutcomeUnknown, PayOnce, WrongUse } from '../src/index.js';
import type { Attempt, KeyStore, PayOnceOptions } from '../src/index.js';
import { violations } from './judge.js';
import { FOUL, World, pause, seed } from './servers.js';
import { FileKeyStore, ForgetfulKeyStore } from './stores.js';

const WORKS = 'pm_card_visa';
const DECLINED = 'pm_card_chargeDeclined';
/** How many payments go over the foul network, and how many of them at the same time. */
const PAYMENTS = 200;
const AT_ONCE = 20;
/** How long a test may take, in milliseconds, on a busy machine. */
const WITHIN_MS = 180_000;

/** Answers may take 1.8 s; the network delays by 2.5 s. */
function client(world: World, keys: KeyStore, more: Partial<PayOnceOptions> = {}): PayOnce {
  const pauses = { waitS: 1, graceMs: 800, backoffFirstMs: 50, backoffMaxMs: 1_000, deadlineMs: 120_000 };
  return new PayOnce({ url: world.url, keys, ...pauses, ...more });
}

const inWorld = (name: string, body: (world: World) => Promise<void>) =>
  test(name, { timeout: WITHIN_MS }, async () => {
    const world = await World.start();
    try {
      await body(world);
    } finally {
      world.stop();
    }
  });

/** Does all of it, so many at a time. */
async function each(count: number, body: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await body(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const terms = (i: number, card = WORKS) => ({ amount: 1000 + i, currency: 'GBP' as const, payment_method: card });

async function inSteps(payOnce: PayOnce, name: string, i: number): Promise<Attempt> {
  const payment = payOnce.payment(name);
  await payment.createAttempt({ order_id: name, ...terms(i) });
  await payment.authorize();
  return payment.capture();
}

/** A caller that crashes again and again, at any moment. Each time another client starts with what was kept. */
async function withCrashes(world: World, file: string, name: string, i: number): Promise<Attempt> {
  for (let crash = 0; crash < 4; crash += 1) {
    const signal = AbortSignal.timeout(Math.floor(Math.random() * 300));
    const call = client(world, new FileKeyStore(file)).payment(name).charge(terms(i), { signal });
    const early = await call.catch((error: unknown) => assert.ok(signal.aborted, String(error)));
    if (early !== undefined) return early;
  }
  return client(world, new FileKeyStore(file)).payment(name).charge(terms(i));
}

async function afterDecline(payOnce: PayOnce, name: string, i: number): Promise<Attempt> {
  const second = payOnce.payment(name, { tryNumber: 2 });
  await assert.rejects(second.charge(terms(i)), NewTryRefused);
  await assert.rejects(payOnce.payment(name).charge(terms(i, DECLINED)), (error) => {
    assert.ok(error instanceof Declined && error.safeNewKey && !error.retryable);
    return error.attempt?.status === 'DECLINED';
  });
  return second.charge(terms(i));
}

inWorld(`${PAYMENTS} payments over a foul network: each moves its money once`, async (world) => {
  await world.faults(FOUL);
  const payOnce = client(world, new MemoryKeyStore());
  const paid = new Map<string, { attempt: Attempt; amount: number }>();
  await each(PAYMENTS, async (i) => {
    const name = `order-${i}`;
    const ways = [
      () => payOnce.payment(name).charge(terms(i)),
      () => inSteps(payOnce, name, i),
      () => withCrashes(world, join(world.directory, `${name}.jsonl`), name, i),
      () => afterDecline(payOnce, name, i),
      async () => {
        const both = await Promise.all([1, 2].map(() => payOnce.payment(name).charge(terms(i))));
        assert.equal(both[0]?.attempt_id, both[1]?.attempt_id);
        return both[0] as Attempt;
      },
    ];
    paid.set(name, { attempt: await (ways[i % ways.length] as () => Promise<Attempt>)(), amount: 1000 + i });
  });
  const share = PAYMENTS / 5;
  const keys = {
    'POST /charge': 5 * share,
    'POST /attempts': share,
    'POST /attempts/{id}/authorize': share,
    'POST /attempts/{id}/capture': share,
  };
  assert.deepEqual(await violations(world, { paid, keys }), []);
  const { counts } = await world.report();
  for (const [name, count] of Object.entries(counts)) assert.ok(name === 'under_way' || count > 0, `nothing was ${name}`);
  console.log(`seed ${seed}: ${JSON.stringify(counts)}`);
});

inWorld('a process that is killed while the answer is on its way pays once', async (world) => {
  await world.faults({ delay: 1 });
  const file = join(world.directory, 'keys.jsonl');
  const script = fileURLToPath(new URL('killed.js', import.meta.url));
  const child = spawn(process.execPath, [script, world.url, file], { stdio: 'inherit' });
  while (Object.keys(await world.ledger()).length === 0) await pause(20);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await world.faults({});
  const attempt = await client(world, new FileKeyStore(file)).payment('order-1').charge(terms(1));
  const paid = new Map([['order-1', { attempt, amount: 1001 }]]);
  assert.deepEqual(await violations(world, { paid, keys: { 'POST /charge': 1 } }), []);
});

// The judge must be able to find something: these clients do what a careful one does not.
for (const [name, keys, renews] of [
  ['a client that makes a new key for each retry', new MemoryKeyStore(), true],
  ['a caller that does not keep its keys', new ForgetfulKeyStore(), false],
] as const) {
  inWorld(`${name} pays twice, and is caught`, async (world) => {
    // Every answer is lost at first, so that no draw decides whether the mistake shows.
    await world.faults({ lose_answer: 1 });
    const renewing = (url: string, init: RequestInit) => {
      const headers = { ...(init.headers as Record<string, string>), 'idempotency-key': crypto.randomUUID() };
      return fetch(url, { ...init, headers });
    };
    const payOnce = client(world, keys, renews ? { fetch: renewing } : {});
    const paid = new Map<string, { attempt: Attempt; amount: number }>();
    await each(10, async (i) => {
      const first = payOnce.payment(`order-${i}`).charge(terms(i), { deadlineMs: 3_000 });
      await assert.rejects(first, OutcomeUnknown);
    });
    await world.faults({});
    await each(10, async (i) => {
      // The caller comes back later with the same name.
      const attempt = await payOnce.payment(`order-${i}`).charge(terms(i));
      paid.set(`order-${i}`, { attempt, amount: 1000 + i });
    });
    const found = await violations(world, { paid, keys: { 'POST /charge': 10 } });
    assert.match(found.join('\n'), /\d+ attempts took money, for 10 payments/);
    assert.match(found.join('\n'), /POST \/charge used \d+ keys instead of 10/);
  });
}

inWorld('at the deadline the outcome is unknown, and the same name finds it later', async (world) => {
  const payOnce = client(world, new MemoryKeyStore());
  await world.faults({ lose_answer: 1 });
  const begun = performance.now();
  await assert.rejects(payOnce.payment('order-1').charge(terms(1), { deadlineMs: 2_000 }), (error) => {
    assert.ok(error instanceof OutcomeUnknown && error.retryable && !error.safeNewKey);
    return /not known yet; call again with the same name/.test(error.message);
  });
  assert.ok(performance.now() - begun < 4_000);
  const early = payOnce.payment('order-1', { tryNumber: 2 }).charge(terms(1), { deadlineMs: 2_000 });
  await assert.rejects(early, NewTryRefused);
  await world.faults({});
  const attempt = await payOnce.payment('order-1').charge(terms(1));
  const paid = new Map([['order-1', { attempt, amount: 1001 }]]);
  assert.deepEqual(await violations(world, { paid, keys: { 'POST /charge': 1 } }), []);
});

inWorld('after a decline two callers begin one new try, and another card in it is refused', async (world) => {
  await world.faults(FOUL);
  const payOnce = client(world, new MemoryKeyStore());
  await assert.rejects(payOnce.payment('order-1').charge(terms(1, DECLINED)), Declined);
  const second = () => payOnce.payment('order-1', { tryNumber: 2 });
  const both = await Promise.all([second().charge(terms(1)), second().charge(terms(1))]);
  assert.equal(both[0].attempt_id, both[1].attempt_id);
  await assert.rejects(second().charge(terms(1, 'pm_card_mastercard')), { code: 'NAME_IN_USE' });
  await assert.rejects(payOnce.payment('order-1', { tryNumber: 3 }).charge(terms(1)), NewTryRefused);
  await assert.rejects(payOnce.payment('order-1').charge(terms(1, DECLINED)), Declined);
  const paid = new Map([['order-1', { attempt: both[0], amount: 1001 }]]);
  assert.deepEqual(await violations(world, { paid, keys: { 'POST /charge': 2 } }), []);
});

inWorld('the customer acts at the bank, and the same name ends the payment', async (world) => {
  const payOnce = client(world, new MemoryKeyStore());
  const body = { ...terms(1, 'pm_card_authenticationRequired'), return_url: 'http://127.0.0.1/back' };
  const error = await payOnce
    .payment('order-1')
    .charge(body)
    .catch((reason: unknown) => reason);
  assert.ok(error instanceof ActionRequired && !error.safeNewKey && error.url !== undefined);
  const intent = /pi_\w+/.exec(error.url)?.[0];
  const approved = await fetch(`${world.sandboxUrl}/v1/payment_intents/${intent}/_authenticate`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk_test', 'content-type': 'application/x-www-form-urlencoded' },
    body: 'success=true',
  });
  assert.equal(approved.status, 200, await approved.text());
  const attempt = await payOnce.payment('order-1').charge(body, { followAction: true });
  const paid = new Map([['order-1', { attempt, amount: 1001 }]]);
  assert.deepEqual(await violations(world, { paid, keys: { 'POST /charge': 1 } }), []);
});

inWorld('another process releases an authorization by its name', async (world) => {
  await world.faults(FOUL);
  const keys = new MemoryKeyStore();
  const payment = client(world, keys).payment('order-1');
  await payment.createAttempt({ order_id: 'order-1', ...terms(1) });
  const { attempt_id } = await payment.authorize();
  const voided = await client(world, keys).payment('order-1').void();
  assert.deepEqual([voided.attempt_id, voided.status], [attempt_id, 'VOIDED']);
  const { voids, captures, live_authorizations } = await world.ledgerOf(attempt_id);
  assert.deepEqual([voids, captures, live_authorizations], [1, 0, 0]);
  const shown = await client(world, keys).get(attempt_id);
  assert.equal(shown.timeline?.[0]?.event, 'attempt created');
  await assert.rejects(client(world, keys).payment('order-2').void(), WrongUse);
});
