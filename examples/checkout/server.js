#!/usr/bin/env node
// The shop: HTTP and nothing else. What a payment is, is in payments.js; what an order is, in orders.js.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PayOnce } from 'pay-once';
import { Orders, currentTry, isOrderId, newOrderId, stateOf } from './orders.js';
import { Payments } from './payments.js';
import { orderPage, plainPage, shopPage } from './pages.js';
import { PRODUCT, isCard } from './shop.js';

const HERE = import.meta.dirname;
const FORM_BYTES_MAX = 4096;
/** How long a page waits for the timeline, which it can do without. */
const READ_WITHIN_MS = 2_000;

const HELP = `A small shop that pays through Pay Once.

Usage: node server.js [OPTIONS]

  --listen <ADDRESS>   Address to listen on; port 0 picks a free one [default: 127.0.0.1:3000]
  --pay-once <URL>     Where Pay Once is [env: PAY_ONCE_URL] [default: http://127.0.0.1:8080]
  --public-url <URL>   Where customers find the shop: their bank sends them back there [default: the address listened on]
  --data <DIR>         Directory of the order journal [default: data, beside this file]
  --wait <SECONDS>     How long Pay Once may hold a call open, at most 30 [default: 10]
  --help               Prints this

The merchant's API key, where Pay Once asks for one, is read from PAY_ONCE_API_KEY.
`;

/** @param {string} why @returns {never} */
function refuse(why) {
  console.error(`${why}\nTry --help.`);
  process.exit(2);
}

/**
 * Where customers find the shop, in the one spelling that everybody reads alike. It goes into the body of each payment, which
 * is kept and sent to the letter: what is wrong with it has to be found before the first one.
 * @param {string | undefined} text
 * @param {string} host that is listened on
 */
function publicAddress(text, host) {
  if (text === undefined) {
    if (/^(0\.0\.0\.0|\[?::\]?)$/.test(host)) refuse(`--listen ${host}: say with --public-url where customers find the shop`);
    return undefined;
  }
  const url = URL.canParse(text) ? new URL(text) : refuse(`--public-url ${text}: not a URL`);
  const isPlain = /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
  if (!isPlain) refuse(`--public-url ${text}: write it as https://shop.example`);
  return url.href.replace(/\/+$/, '');
}

function settings() {
  try {
    const { values } = parseArgs({
      options: {
        listen: { type: 'string', default: '127.0.0.1:3000' },
        'pay-once': { type: 'string', default: process.env.PAY_ONCE_URL || 'http://127.0.0.1:8080' },
        'public-url': { type: 'string' },
        data: { type: 'string', default: join(HERE, 'data') },
        wait: { type: 'string', default: '10' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const listen = /^(?<host>[^:]+|\[.+\]):(?<port>\d+)$/.exec(values.listen)?.groups;
    const waitS = Number(values.wait);
    if (!listen) refuse(`--listen ${values.listen}: write it as 127.0.0.1:3000`);
    if (!/^https?:\/\/[^/]/.test(values['pay-once'])) refuse(`--pay-once ${values['pay-once']}: not a URL`);
    const publicUrl = publicAddress(values['public-url'], listen.host);
    if (!(Number.isInteger(waitS) && waitS >= 0 && waitS <= 30)) refuse(`--wait ${values.wait}: 0 to 30`);
    return {
      host: listen.host.replace(/^\[|\]$/g, ''),
      port: Number(listen.port),
      payOnce: { url: values['pay-once'], apiKey: process.env.PAY_ONCE_API_KEY || undefined, waitS },
      data: values.data,
      publicUrl,
    };
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message);
  }
}

const { host, port, payOnce: client, data, publicUrl } = settings();
/** Where customers find the shop. */
let shopUrl = publicUrl ?? '';
/** @param {string} line */
const log = (line) => console.error(`${new Date().toISOString()} ${line}`);

const files = /** @type {Record<string, {type: string, bytes: Buffer}>} */ ({
  '/style.css': { type: 'text/css; charset=utf-8', bytes: readFileSync(join(HERE, 'public/style.css')) },
  '/checkout.js': { type: 'text/javascript; charset=utf-8', bytes: readFileSync(join(HERE, 'public/checkout.js')) },
});

const SECURITY = {
  // Everything comes from here, and nothing of it from inside a page.
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
};

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */

/** @type {Orders} */
let orders;
/** @type {PayOnce} */
let payOnce;
/** @type {Payments} */
let payments;

/**
 * @param {Response} response
 * @param {number} status
 * @param {{toString(): string}} page
 * @param {Record<string, string>} [headers]
 */
function send(response, status, page, headers = {}) {
  // no-store: a page from the browser's own store could show a form for what is paid, or a state that has passed.
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    ...SECURITY,
    ...headers,
  });
  response.end(page.toString());
}

/** @param {Response} response @param {string} location */
function seeOther(response, location) {
  // 303 after a POST: a reload then repeats the GET, not the POST. (And if it did repeat the POST, see `pay`.)
  response.writeHead(303, { location, 'cache-control': 'no-store', ...SECURITY });
  response.end();
}

/**
 * The order that this browser is about to pay, or is paying: all its tabs share one.
 * @param {Request} request
 */
function basketOf(request) {
  const value = /(?:^|;\s*)basket=([^;]*)/.exec(request.headers.cookie ?? '')?.[1];
  return isOrderId(value) ? value : undefined;
}

/** @param {Request} request @param {Response} response @param {URL} url */
function showShop(request, response, url) {
  const basket = basketOf(request);
  const order = basket && orders.get(basket);
  // Somebody who comes back to the shop while a payment is open, or may be tried again, comes back to that.
  if (order && stateOf(order) !== 'paid') return seeOther(response, `/orders/${order.id}`);
  const orderId = basket && !order ? basket : newOrderId();
  // Add Secure where the shop has TLS. Lax: another site's form does not carry it.
  const headers = { 'set-cookie': `basket=${orderId}; Path=/; HttpOnly; SameSite=Lax` };
  send(response, 200, shopPage({ product: PRODUCT, orderId, isRenewed: url.searchParams.has('renewed') }), headers);
}

/** @param {Request} request @param {Response} response */
async function pay(request, response) {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return send(response, 403, plainPage('Not from here', 'This form was sent by another site. Nothing was paid.'));
  }
  const form = await readForm(request);
  const orderId = form?.get('order');
  const number = Number(form?.get('try'));
  const card = form?.get('card') ?? '';
  if (!isOrderId(orderId) || !Number.isSafeInteger(number) || number < 1 || !isCard(card)) {
    return send(
      response,
      400,
      plainPage('Not understood', 'Nothing was done for this form. Please go back to the shop.'),
    );
  }
  // Two tabs that were opened at the same time, before the browser had a basket, hold forms for two orders. The basket
  // that the browser kept is the one that counts, so that both tabs pay for one kettle.
  const basket = basketOf(request);
  if (!orders.get(orderId) && basket !== undefined && basket !== orderId) return seeOther(response, '/?renewed');
  // Here it becomes true, and once. From now on the browser is not needed.
  const order = orders.begin(orderId, number, card, PRODUCT, `${shopUrl}/orders/${orderId}`);
  if (!order) return seeOther(response, '/?renewed');
  payments.see(order);
  seeOther(response, `/orders/${order.id}`);
}

/** @param {Response} response @param {string} id */
async function showOrder(response, id) {
  const known = orders.get(id);
  if (!known) return send(response, 404, plainPage('No such order', 'There is no order at this address.'));
  const progress = payments.progress(id);
  const attemptId = currentTry(known).ending?.attempt_id ?? progress?.attempt?.attempt_id;
  const read = attemptId ? await payOnce.get(attemptId, { deadlineMs: READ_WITHIN_MS }).catch(() => null) : null;
  // The order may have moved on while that was read; and while the attempt cannot be read, what was heard last will do.
  const attempt = read ?? (currentTry(known).ending ? null : (payments.progress(id)?.attempt ?? null));
  const { inDoubt, isRejected } = payments.progress(id) ?? { inDoubt: false, isRejected: false };
  send(response, 200, orderPage({ order: known, attempt, inDoubt, isRejected, itemName: PRODUCT.name }));
}

/** @param {Request} request @returns {Promise<URLSearchParams | null>} */
async function readForm(request) {
  /** @type {Buffer[]} */
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > FORM_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

/** @param {Request} request @param {Response} response */
async function answer(request, response) {
  const url = new URL(request.url ?? '/', 'http://shop');
  const isGet = request.method === 'GET' || request.method === 'HEAD';
  const orderId = /^\/orders\/([^/]+)$/.exec(url.pathname)?.[1];
  if (isGet && url.pathname === '/') return showShop(request, response, url);
  if (isGet && orderId) return showOrder(response, orderId);
  if (isGet && files[url.pathname]) {
    const { type, bytes } = files[url.pathname];
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache', ...SECURITY });
    return response.end(bytes);
  }
  if (request.method === 'POST' && url.pathname === '/pay') return pay(request, response);
  send(response, 404, plainPage('Not found', 'There is nothing at this address.'));
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    // The customer went away while sending, or a bug of ours. What an order came to is in its journal in either case.
    log(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : error}`);
    if (response.headersSent) return response.destroy();
    send(
      response,
      500,
      plainPage('Something went wrong here', 'If you were paying, your order goes on. Go back to the shop to see it.'),
    );
  });
});

server.on('error', (error) => {
  console.error(`${host}:${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, host, () => {
  // The address first, then the journal: of two shops started by mistake at one address, one opens it.
  orders = new Orders(join(data, 'orders.jsonl'));
  payOnce = new PayOnce({ ...client, keys: orders });
  payments = new Payments(orders, payOnce, log);
  const at = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`;
  shopUrl ||= url;
  console.log(`shop on ${url}`);
});

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    payments?.stop();
    server.close();
    server.closeAllConnections();
  });
}
