#!/usr/bin/env node
// A bad network between a client and Pay Once, for the tests of both libraries: it loses requests and answers, repeats
// requests, cuts answers short, answers as a gateway, and delays beyond the client's time limit. Loopback only.
//
//   faulty-proxy.js UPSTREAM SEED    prints its address; ends with its standard input
//   PUT /proxy                       sets rates, from 0 to 1: see RATES
//   GET /proxy                       what it did, and which keys it saw

import { Agent, createServer, request as httpRequest } from 'node:http';
import { lottery } from './lottery.js';

const [upstream, seed] = process.argv.slice(2);
const { hostname, port } = new URL(upstream);
const agent = new Agent({ keepAlive: true });

const RATES = { lose_request: 0, lose_answer: 0, repeat: 0, cut: 0, gateway: 0, delay: 0 };
/** How long a delayed answer is held back, in milliseconds. Tests give their clients less. */
const settings = { rates: { ...RATES }, delay_ms: 2_500 };
/** A repetition arrives up to this much later, in milliseconds. */
const LATE_MAX_MS = 1_000;
/** The most messages of one key that are lost one after the other: a test must come to its end. */
const LOST_MAX = 4;

const counts = { requests: 0, lost_request: 0, lost_answer: 0, repeated: 0, cut: 0, gateway: 0, delayed: 0, under_way: 0 };
/** By key: the bodies that were sent under it, the calls it was used for, and the losses since an answer passed. */
const keys = new Map();

const draw = lottery(Number(seed));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function forward(request, body) {
  return new Promise((resolve, reject) => {
    const { method, url: path, headers } = request;
    const onward = httpRequest({ hostname, port, method, path, headers, agent }, (answer) => {
      read(answer).then((bytes) => {
        const { connection, 'transfer-encoding': _, ...rest } = answer.headers;
        resolve({ status: answer.statusCode, headers: rest, body: bytes });
      }, reject);
    });
    onward.on('error', reject);
    onward.end(body);
  });
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function seen(request, body) {
  const key = request.headers['idempotency-key'] ?? '';
  const use = keys.get(key) ?? { calls: new Set(), bodies: new Set(), lost: 0 };
  keys.set(key, use);
  use.calls.add(`${request.method} ${request.url.replace(/pa_[0-9A-Z]+/, '{id}')}`);
  use.bodies.add(body.toString());
  return use;
}

async function pass(request, response) {
  const body = await read(request);
  counts.requests += 1;
  const use = seen(request, body);
  const { rates } = settings;
  /** Whether a message is lost in this way. A rate of 1 has no bound. */
  const loses = (name) => {
    const isLost = rates[name] === 1 || (draw() < rates[name] && use.lost < LOST_MAX);
    if (isLost) use.lost += 1;
    return isLost;
  };

  if (loses('lose_request')) {
    counts.lost_request += 1;
    return response.destroy();
  }
  if (draw() < rates.repeat) {
    counts.repeated += 1;
    counts.under_way += 1;
    pause(draw() < 0.5 ? 0 : draw() * LATE_MAX_MS)
      .then(() => forward(request, body))
      .catch(() => {})
      .finally(() => (counts.under_way -= 1));
  }
  const answer = await forward(request, body);
  if (loses('delay')) {
    counts.delayed += 1;
    await pause(settings.delay_ms);
  }
  if (loses('lose_answer')) {
    counts.lost_answer += 1;
    return response.destroy();
  }
  if (loses('gateway')) {
    counts.gateway += 1;
    return response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502 Bad Gateway</h1>');
  }
  if (loses('cut')) {
    counts.cut += 1;
    response.writeHead(answer.status, answer.headers);
    return response.write(answer.body.subarray(0, answer.body.length / 2), () => response.destroy());
  }
  use.lost = 0;
  return response.writeHead(answer.status, answer.headers).end(answer.body);
}

async function control(request, response) {
  if (request.method === 'PUT') {
    const wanted = JSON.parse((await read(request)).toString());
    for (const name of Object.keys(wanted)) if (!(name in RATES)) throw new Error(`no such rate: ${name}`);
    settings.rates = { ...RATES, ...wanted };
  }
  const uses = [...keys].filter(([key]) => key !== '');
  const shown = {
    counts,
    // How many keys were used for each call.
    keys: uses
      .flatMap(([, { calls }]) => [...calls])
      .reduce((sums, call) => ({ ...sums, [call]: (sums[call] ?? 0) + 1 }), {}),
    // Keys under which two bodies or two calls were sent: each is a mistake of the client.
    mixed_keys: uses.filter(([, { bodies, calls }]) => bodies.size > 1 || calls.size > 1).map(([key]) => key),
  };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(shown));
}

const server = createServer((request, response) => {
  if (request.url === '/proxy') {
    control(request, response).catch((error) => response.writeHead(400).end(String(error)));
    return;
  }
  counts.under_way += 1;
  pass(request, response)
    .catch(() => response.destroy())
    .finally(() => (counts.under_way -= 1));
});
server.listen(0, '127.0.0.1', () => console.log(`proxy on http://127.0.0.1:${server.address().port}`));
// The test that started it holds its standard input open, and no longer than it lives itself.
process.stdin.resume().on('end', () => process.exit(0));
