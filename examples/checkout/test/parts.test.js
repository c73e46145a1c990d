// The parts by themselves, where a browser shows little: what a payment comes to, the journal, escaping. The client has
// tests of its own (clients/).

import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PayOnce } from 'pay-once';
import { html } from '../html.js';
import { money } from '../money.js';
import { Orders, newOrderId, stateOf } from '../orders.js';
import { orderPage } from '../pages.js';
import { Payments } from '../payments.js';
import { PRODUCT } from '../shop.js';
import { story } from '../timeline.js';
import { pause } from './processes.js';

const directory = mkdtempSync(join(tmpdir(), 'checkout-parts-'));
after(() => rmSync(directory, { recursive: true }));
let files = 0;
const BACK = 'http://127.0.0.1:3000/orders/ord_1';
const newFile = () => join(directory, `${(files += 1)}.jsonl`);

/** @param {string} status @param {object} [more] */
const attempt = (status, more = {}) => ({ attempt_id: 'pa_1', status, ...more });
/** @param {string} code @param {object} [more] */
const refusal = (code, more = {}) => ({
  error: { code, message: 'why', retryable: false, safe_new_key: false, ...more },
});

/**
 * A Pay Once that gives these answers, one after the other, and keeps what it was asked.
 * @param {Array<[number, unknown, Record<string, string>?] | 'hang up'>} answers
 */
async function scripted(answers) {
  /** @type {Array<{at: number, path: string, key: unknown, body: string}>} */
  const asked = [];
  const orders = new Orders(newFile());
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    asked.push({ at: Date.now(), path: `${request.url}`, key: request.headers['idempotency-key'], body });
    const next = answers.shift() ?? 'hang up';
    if (next === 'hang up') return request.socket.destroy();
    const [status, value, headers] = next;
    response.writeHead(status, headers).end(typeof value === 'string' ? value : JSON.stringify(value));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const url = `http://127.0.0.1:${/** @type {any} */ (server.address()).port}`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { client: new PayOnce({ url, waitS: 1, keys: orders }), orders, asked, close };
}

/** @param {Parameters<typeof scripted>[0]} answers */
async function payWith(answers) {
  const { client, orders, asked, close } = await scripted(answers);
  const id = newOrderId();
  const order = /** @type {import('../orders.js').Order} */ (orders.begin(id, 1, 'pm_card_visa', PRODUCT, BACK));
  /** @type {string[]} */
  const log = [];
  const payments = new Payments(orders, client, (line) => log.push(line));
  while (payments.progress(id) && !log.some((line) => line.includes('NEEDS A PERSON'))) await new Promise(setImmediate);
  payments.stop();
  close();
  return { order, log, asked };
}

test('whatever is no answer is asked again, under the same key and with the same body', async () => {
  const { order, asked, log } = await payWith([
    'hang up',
    [502, '<h1>Bad Gateway</h1>'],
    [503, refusal('STORE_UNAVAILABLE', { retryable: true })],
    [200, '{"attempt_id":"pa_1","sta'],
    [201, attempt('CREATED')],
    [200, attempt('AUTHORIZED')],
    [200, attempt('CAPTURED')],
  ]);
  assert.equal(stateOf(order), 'paid');
  assert.equal(new Set(asked.slice(0, 5).map(({ path, key, body }) => `${path} ${key} ${body}`)).size, 1);
  assert.equal(log.filter((line) => line.endsWith('asking again')).length, 4);
});

test('502 PSP_REJECTED_REQUEST: the same key, not before Retry-After, and the customer is told to wait', async () => {
  const rejected = (/** @type {string} */ status) =>
    refusal('PSP_REJECTED_REQUEST', { retryable: true, attempt: attempt(status) });
  const { client, orders, asked, close } = await scripted([
    [201, attempt('CREATED')],
    [502, rejected('CREATED'), { 'retry-after': '1' }],
    [502, rejected('CREATED'), { 'retry-after': '2' }],
    [200, attempt('AUTHORIZED')],
    [502, rejected('AUTHORIZED'), { 'retry-after': '1' }],
    [200, attempt('CAPTURED')],
  ]);
  const order = /** @type {import('../orders.js').Order} */ (orders.begin(newOrderId(), 1, 'pm_card_visa', PRODUCT, BACK));
  /** @type {string[]} */
  const pages = [];
  /** @type {string[]} */
  const log = [];
  /** @type {Payments} */
  let payments;
  const look = () => {
    const { attempt: seen = null, ...progress } = payments.progress(order.id) ?? { inDoubt: false, isRejected: false };
    return String(orderPage({ order, attempt: seen, ...progress, itemName: 'kettle' }));
  };
  payments = new Payments(orders, client, (line) => {
    log.push(line);
    if (line.includes('NEEDS A PERSON')) pages.push(look());
  });
  while (payments.progress(order.id)) await pause(10);
  close();

  assert.equal(stateOf(order), 'paid');
  const [create, authorize, capture] = ['', '/authorize', '/capture'].map(
    (step) => JSON.parse(orders.load(`${order.id}#1${step}`) ?? '').key,
  );
  assert.deepEqual(
    asked.map(({ key }) => key),
    [create, authorize, authorize, authorize, capture, capture],
  );
  const pauses = [[1, 2, 990], [2, 3, 1990], [4, 5, 990]];
  for (const [from, to, least] of pauses) {
    assert.ok(asked[to].at - asked[from].at >= least, `${asked[to].at - asked[from].at} ms before request ${to}`);
  }
  assert.equal(pages.length, 3, log.join('\n'));
  for (const page of pages) {
    assert.match(page, /<h1>Your payment has to wait<\/h1>/);
    assert.match(page, /do not pay again/);
    assert.doesNotMatch(page, /<form|<button|declined|No money was taken/, 'nothing to pay with is offered');
    assert.match(page, /data-unfinished/);
  }
  assert.match(look(), /Paid\. Thank you!/);
});

test('only safe_new_key ends an order as not paid', async () => {
  const declined = await payWith([
    [201, attempt('CREATED')],
    [
      402,
      refusal('DECLINED', { safe_new_key: true, decline_code: 'insufficient_funds', attempt: attempt('DECLINED') }),
    ],
  ]);
  assert.equal(stateOf(declined.order), 'unpaid');
  assert.equal(declined.order.tries[0].ending?.code, 'insufficient_funds');

  const expired = await payWith([
    [201, attempt('CREATED')],
    [200, attempt('AUTHORIZED')],
    [409, refusal('INVALID_STATE', { safe_new_key: true, attempt: attempt('EXPIRED') })],
  ]);
  assert.equal(expired.order.tries[0].ending?.outcome, 'released');

  for (const answer of /** @type {Array<[number, unknown]>} */ ([
    [401, refusal('UNAUTHORIZED')],
    [400, refusal('INVALID_CURRENCY')],
    [409, refusal('IDEMPOTENCY_KEY_REUSE')],
    [404, refusal('ATTEMPT_NOT_FOUND')],
  ])) {
    const stuck = await payWith([answer]);
    assert.equal(stateOf(stuck.order), 'open', `${answer[0]}`);
    assert.match(stuck.log.join('\n'), /NEEDS A PERSON/);
  }
});

test('a payment that another hand has taken on is paid', async () => {
  const { order } = await payWith([
    [200, attempt('CREATED')],
    [409, refusal('INVALID_STATE', { attempt: attempt('CAPTURED') })],
    [409, refusal('INVALID_STATE', { attempt: attempt('CAPTURED') })],
  ]);
  assert.equal(stateOf(order), 'paid');
});

test('a try is begun once, and the next one only when the last took no money', () => {
  const file = newFile();
  const orders = new Orders(file);
  const id = newOrderId();
  assert.equal(orders.begin(id, 2, 'card', PRODUCT, BACK), undefined);
  const order = /** @type {import('../orders.js').Order} */ (orders.begin(id, 1, 'card', PRODUCT, BACK));
  for (const number of [1, 2, 3]) orders.begin(id, number, 'other', PRODUCT, BACK);
  assert.equal(order.tries.length, 1);
  orders.end(order, { outcome: 'declined' });
  for (const number of [1, 3, 2, 2, 3]) orders.begin(id, number, 'other', { ...PRODUCT, amount: 1 }, BACK);
  assert.equal(order.tries.length, 2);
  assert.equal(order.tries[1].body.amount, PRODUCT.amount, 'the price that was shown');
  assert.equal(orders.keep('name', 'first'), 'first');
  assert.equal(orders.keep('name', 'second'), 'first');
  orders.end(order, { outcome: 'paid', attempt_id: 'pa_1' });
  orders.begin(id, 3, 'card', PRODUCT, BACK);
  assert.equal(order.tries.length, 2);
  const again = new Orders(file);
  assert.deepEqual(again.get(id), order, 'a restart knows all of it');
  assert.equal(again.keep('name', 'third'), 'first', 'keys included');
});

test('a line torn by a crash is cut off; damage is refused', () => {
  const file = newFile();
  const id = newOrderId();
  new Orders(file).begin(id, 1, 'card', PRODUCT, BACK);
  const whole = readFileSync(file, 'utf8');
  appendFileSync(file, '{"event":"ended","order":"ord_');
  const orders = new Orders(file);
  assert.deepEqual(
    orders.open().map((order) => order.id),
    [id],
  );
  assert.equal(readFileSync(file, 'utf8'), whole);
  orders.end(orders.open()[0], { outcome: 'paid' });
  assert.equal(new Orders(file).open().length, 0);
  writeFileSync(file, `${whole}garbage\n${whole}`);
  assert.throws(() => new Orders(file), /line 2/);
  // An earlier build's, whose try has its keys: new ones would be a second payment.
  writeFileSync(file, whole.replace('"body"', '"keys":{"create":"k1"},"body"'));
  assert.throws(() => new Orders(file), /line 1/);
});

test('nothing that comes from outside is markup', () => {
  const evil = `<img src=x onerror="alert('1')">&`;
  assert.equal(
    `${html`<p title="${evil}">${[evil]}${html`<b>${null}</b>`}</p>`}`.match(/<(\/?\w+)/g)?.join(),
    '<p,<b,</b,</p',
  );
  const orders = new Orders(newFile());
  const order = /** @type {import('../orders.js').Order} */ (orders.begin(newOrderId(), 1, 'card', PRODUCT, BACK));
  /** @param {string} url */
  const page = (url) => {
    const lines = [{ seq: 0, at: '2026-01-01T00:00:00.000Z', knowing: 'observed', event: evil }];
    const shown = attempt('REQUIRES_ACTION', { next_action: { type: 'redirect_to_url', url }, timeline: lines });
    return String(orderPage({ order, attempt: shown, inDoubt: false, isRejected: false, itemName: evil }));
  };
  assert.ok(!page(evil).includes('<img'));
  assert.ok(!page('javascript:alert(1)').includes('javascript:'), 'a link is http or https');
  assert.ok(page('https://bank.example/?a=1&b=2').includes('href="https://bank.example/?a=1&amp;b=2"'));
});

test('amounts are exact, in every currency', () => {
  assert.equal(money(2599, 'GBP'), '£25.99');
  assert.equal(money(5, 'GBP'), '£0.05');
  assert.equal(money(500, 'JPY'), 'JP¥500');
  assert.equal(money(12345, 'BHD').replace('\u00a0', ' '), 'BHD 12.345');
  assert.equal(money(2 ** 53 - 1, 'GBP'), '£90,071,992,547,409.91');
});

test('a timeline that says more than is known here is shown in its own words', () => {
  const line = (/** @type {string} */ event) =>
    story([{ seq: 0, at: '2026-01-01T00:00:00.000Z', knowing: 'observed', event }])[0];
  assert.deepEqual(
    [line('the PSP answered: authorized, captured').told, line('x').told],
    ['The payment service answered: the amount is paid.', 'X.'],
  );
  assert.equal(line('a webhook said: refused').tone, 'bad');
  assert.equal(
    line('the PSP answered: our request was rejected').told,
    'The payment service answered: it does not accept our requests at the moment.',
  );
  const sent = (/** @type {string} */ psp_key) => ({
    seq: 0,
    at: '2026-01-01T00:00:00.000Z',
    knowing: 'dispatched',
    event: 'authorize sent to the PSP',
    details: { psp_key },
  });
  const isAgain = story([sent('a-1'), sent('a-1'), sent('a-2')]).map(({ told }) => told.includes('under the same key'));
  assert.deepEqual(isAgain, [false, true, false]);
  assert.equal(line('the PSP answered: outcome unknown').tone, 'unknown');
});

test('an address that customers cannot come back to is refused before the first order', () => {
  const server = join(import.meta.dirname, '../server.js');
  for (const bad of [
    ['--public-url', 'https://user:pw@shop.example'],
    ['--public-url', 'https://shop example'],
    ['--public-url', 'https://shop.example?x=1'],
    ['--public-url', 'https://shop.example#x'],
    ['--public-url', 'ftp://shop.example'],
    ['--public-url', 'shop.example'],
    ['--listen', '0.0.0.0:0'],
    ['--listen', '[::]:0'],
  ]) {
    const { status, stderr } = spawnSync(process.execPath, [server, '--data', join(directory, 'none'), ...bad], {
      timeout: 10_000,
      encoding: 'utf8',
    });
    assert.equal(status, 2, `${bad}: ${stderr}`);
    assert.match(stderr, /public-url/, `${bad}`);
  }
});
