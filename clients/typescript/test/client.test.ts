// The client by itself: what it sends, keeps, refuses and never shows.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { InvalidState, MemoryKeyStore, NotFound, OutcomeUnknown, PayOnce, WrongUse } from '../src/index.js';
import type { Charge, Create, PayOnceOptions, Progress } from '../src/index.js';
import { ROOT } from './servers.js';

type Answer = { status: number; body: unknown; headers?: Record<string, string> } | 'hang up' | 'drip';
type Asked = { path: string; method: string; headers: Record<string, string>; body: string; atMs: number };

const BODY: Charge = { amount: 2599, currency: 'GBP' };
const attempt = (status: string) => ({ attempt_id: 'pa_1', status });
const refusal = (code: string, more: object = {}) => ({
  error: { code, message: 'why', retryable: false, safe_new_key: false, ...more },
});

/** A client whose server gives these answers in turn, and what that server was asked. */
async function scripted(answers: Answer[], more: Partial<PayOnceOptions> = {}) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const headers = request.headers as Record<string, string>;
    asked.push({ path: request.url ?? '', method: request.method ?? '', headers, body, atMs: performance.now() });
    const next = answers.shift() ?? 'hang up';
    if (next === 'hang up') return void request.socket.destroy();
    if (next === 'drip') {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 50);
      return void response.on('close', () => clearInterval(timer));
    }
    response.writeHead(next.status, next.headers).end(JSON.stringify(next.body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const keys = new MemoryKeyStore();
  const client = new PayOnce({ url, keys, waitS: 1, backoffFirstMs: 20, ...more });
  return { client, keys, asked, url, close: () => void (server.closeAllConnections(), server.close()) };
}

test('the key is kept before the first request, and each retry sends the same bytes', async () => {
  const { client, keys, asked, close } = await scripted([
    'hang up',
    { status: 502, body: '<h1>Bad Gateway</h1>' },
    { status: 202, body: attempt('AUTHORIZING') },
    { status: 200, body: attempt('CAPTURED') },
  ]);
  const kept: Array<string | undefined> = [];
  const seen: Progress[] = [];
  const watched = { ...BODY, order_id: 'order-1' };
  await client.payment('order-1').charge(watched, {
    onProgress: (progress) => {
      kept.push(keys.load('order-1#1'));
      seen.push(progress);
    },
  });
  close();
  const request = JSON.parse(kept[0] ?? '') as Record<string, string>;
  assert.equal(request['body'], JSON.stringify(watched));
  assert.equal(asked.length, 4);
  for (const { path, method, headers, body } of asked) {
    assert.deepEqual(
      [method, path, headers['idempotency-key'], body, headers['prefer']],
      ['POST', '/charge', request['key'], request['body'], 'wait=1'],
    );
  }
  assert.equal(seen.length, 3);
  assert.equal(seen[2]?.attempt?.status, 'AUTHORIZING');
});

test('the bytes that are kept are sent, even if the caller now orders members differently', async () => {
  const { client, asked, close } = await scripted([
    { status: 409, body: refusal('INVALID_STATE') },
    { status: 200, body: attempt('CAPTURED') },
  ]);
  await assert.rejects(client.payment('a').charge({ amount: 1, currency: 'GBP' }), InvalidState);
  await client.payment('a').charge({ currency: 'GBP', amount: 1 });
  await assert.rejects(client.payment('a').charge({ amount: 2, currency: 'GBP' }), { code: 'NAME_IN_USE' });
  // A create of what is charged under the name would be a second attempt.
  await assert.rejects(client.payment('a').createAttempt({ amount: 1, currency: 'GBP' } as Create), { code: 'NAME_IN_USE' });
  close();
  assert.deepEqual(new Set(asked.map(({ body }) => body)), new Set(['{"amount":1,"currency":"GBP"}']));
  assert.equal(new Set(asked.map(({ headers }) => headers['idempotency-key'])).size, 1);
});

test('an amount that is not an integer in minor units is refused before the call', async () => {
  const { client, keys, asked, close } = await scripted([]);
  for (const amount of [25.99, 0, -1, Number.NaN, Infinity, 2 ** 53, '2599', null, undefined]) {
    const body = { amount, currency: 'GBP' } as unknown as Charge;
    await assert.rejects(client.payment('a').charge(body), { code: 'INVALID_AMOUNT' }, String(amount));
    await assert.rejects(client.payment('a').createAttempt({ ...body, order_id: 'a' }), WrongUse);
    if (amount !== undefined) await assert.rejects(client.payment('a').capture(body), { code: 'INVALID_AMOUNT' });
  }
  close();
  assert.deepEqual([asked.length, keys.load('a#1')], [0, undefined]);
});

test('Retry-After is waited for', async () => {
  const { client, asked, close } = await scripted([
    { status: 503, body: refusal('OVERLOADED', { retryable: true }), headers: { 'retry-after': '1' } },
    { status: 202, body: attempt('AUTHORIZING'), headers: { 'retry-after': '1' } },
    { status: 200, body: attempt('CAPTURED') },
  ]);
  await client.payment('a').charge(BODY);
  close();
  const [first = 0, second = 0, third = 0] = asked.map(({ atMs }) => atMs);
  // A timer may end a millisecond early.
  assert.ok(second - first >= 995 && third - second >= 995, `${second - first} ${third - second}`);
});

test('an answer that drips is cut off by the time limit', async () => {
  const { client, asked, close } = await scripted(['drip', { status: 200, body: attempt('CAPTURED') }], {
    waitS: 0,
    graceMs: 300,
  });
  await client.payment('a').charge(BODY);
  close();
  assert.equal(asked.length, 2);
});

test('a redirect is not followed', async () => {
  const other = await scripted([{ status: 200, body: attempt('CAPTURED') }]);
  const { client, close } = await scripted(
    Array.from({ length: 200 }, () => ({ status: 307, body: '', headers: { location: other.url } })),
    { apiKey: 'sk_secret', deadlineMs: 3_000 },
  );
  await assert.rejects(client.payment('a').charge(BODY), /HTTP 307/);
  close();
  other.close();
  assert.equal(other.asked.length, 0);
});

test('the API key is sent, and shown nowhere', async () => {
  const apiKey = 'sk_live_secret';
  const { client, asked, url, close } = await scripted([{ status: 404, body: refusal('ATTEMPT_NOT_FOUND') }], {
    apiKey,
    deadlineMs: 1_500,
  });
  const errors = [];
  errors.push(await client.get('pa_1').catch((error: unknown) => error));
  assert.ok(errors[0] instanceof NotFound);
  assert.equal(asked[0]?.headers['authorization'], `Bearer ${apiKey}`);
  errors.push(await client.get('pa_1').catch((error: unknown) => error));
  assert.ok(errors[1] instanceof OutcomeUnknown);
  close();
  const keys = new MemoryKeyStore();
  const broken = [`${apiKey}\n`, `${apiKey}é`, ''].map((text) => () => new PayOnce({ url, keys, apiKey: text }));
  for (const make of broken) assert.throws(make, (error) => (errors.push(error), error instanceof WrongUse));
  const withPassword = () => new PayOnce({ url: `http://user:${apiKey}@127.0.0.1`, keys });
  assert.throws(withPassword, (error) => (errors.push(error), error instanceof WrongUse));
  for (const shown of [client, client.payment('a'), ...errors]) {
    assert.doesNotMatch(inspect(shown, { depth: 9, showHidden: true }) + String(JSON.stringify(shown)), /sk_live/);
  }
});

test('a call that is aborted ends, and its key stays', async () => {
  const { client, keys, asked, close } = await scripted([], { backoffFirstMs: 3_000_000, backoffMaxMs: 3_000_000, deadlineMs: null });
  const reason = new Error('the customer went away');
  const controller = new AbortController();
  const call = client.payment('a').charge(BODY, { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 100);
  await assert.rejects(call, reason);
  close();
  const fromProgress = new AbortController();
  const onProgress = () => fromProgress.abort(reason);
  await assert.rejects(client.payment('a').charge(BODY, { signal: fromProgress.signal, onProgress }), reason);
  const { key } = JSON.parse(keys.load('a#1') ?? '') as { key: string };
  assert.equal(asked[0]?.headers['idempotency-key'], key);
});

test('a store that gives back something else is refused, and nothing is sent', async () => {
  for (const value of ['', 'null', '{}', '{"key":1,"path":"/charge","body":"{}"}', undefined]) {
    const keys = { load: () => undefined, keep: () => value as string };
    const { client, asked, close } = await scripted([], { keys });
    await assert.rejects(client.payment('a').charge(BODY), { code: 'STORE_BROKEN' });
    close();
    assert.equal(asked.length, 0);
  }
});

test('settings that cannot be kept to are refused', () => {
  const keys = new MemoryKeyStore();
  const url = 'http://127.0.0.1:1';
  for (const bad of [{ waitS: 31 }, { waitS: 1.5 }, { deadlineMs: 0 }, { deadlineMs: Number.NaN }, { url: 'x' }, { url: 'ftp://a' }]) {
    assert.throws(() => new PayOnce({ url, keys, ...bad }), WrongUse, JSON.stringify(bad));
  }
  const client = new PayOnce({ url, keys, waitS: undefined as unknown as number });
  assert.throws(() => client.payment(''), WrongUse);
  assert.throws(() => client.payment('a', { tryNumber: 0 }), WrongUse);
});

test('a capture of another amount after the PSP refused the first has a key of its own', async () => {
  const { client, asked, close } = await scripted([
    { status: 201, body: attempt('CREATED') },
    { status: 400, body: refusal('INVALID_AMOUNT', { attempt: attempt('AUTHORIZED') }) },
    { status: 200, body: attempt('CAPTURED') },
  ]);
  const payment = client.payment('a');
  await payment.createAttempt({ order_id: 'a', ...BODY });
  await assert.rejects(payment.capture({ amount: 5 }), { code: 'INVALID_AMOUNT' });
  await assert.rejects(payment.capture({ amount: 10 }), { code: 'NAME_IN_USE' });
  await payment.capture({ amount: 10 }, { as: 'second' });
  close();
  assert.deepEqual(asked.map(({ path, body }) => `${path} ${body}`).slice(1), [
    '/attempts/pa_1/capture {"amount":5}',
    '/attempts/pa_1/capture {"amount":10}',
  ]);
  assert.notEqual(asked[1]?.headers['idempotency-key'], asked[2]?.headers['idempotency-key']);
});

test('the types are those of the OpenAPI document', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pay-once-types-'));
  const home = join(ROOT, 'clients/typescript');
  const { scripts } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { scripts: { generate: string } };
  // The very command that makes the file, with another place for it.
  const [program = '', ...args] = scripts.generate.replace('src/openapi.ts', join(directory, 'openapi.ts')).split(' ');
  execFileSync(join(home, 'node_modules/.bin', program), args, { cwd: home, stdio: 'ignore' });
  const [made, committed] = [join(directory, 'openapi.ts'), join(home, 'src/openapi.ts')].map((path) => readFileSync(path, 'utf8'));
  rmSync(directory, { recursive: true });
  assert.equal(committed, made, 'run `npm run generate` in clients/typescript');
});
