// Everything that a case needs: the sandbox PSP, Pay Once with operators, and a browser that reports what the page must not do.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Process } from '../../../examples/checkout/test/processes.js';

/** How long a page may take to come to where it should, in milliseconds. */
const SOON_MS = 20_000;
const BIN = process.env.PAY_ONCE_BIN ?? join(import.meta.dirname, '../../../target/debug');
const root = mkdtempSync(join(tmpdir(), 'console-test-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
/** Where pictures of the pages are left, if anybody wants them. */
const pictures = process.env.CONSOLE_SCREENSHOTS;

/** Keys of the test's merchants and operators. */
export const KEYS = {
  shop: 'merchant-of-the-blind-psp',
  store: 'merchant-of-the-stripe-psp',
  ada: 'operator-ada-reads-and-resolves',
  grace: 'operator-grace-reads-and-resolves',
  reader: 'operator-who-reads-only',
};

/** An attempt that nobody has. */

/** @type {import('playwright-core').Browser} */
let browser;
let worlds = 0;

export async function openBrowser() {
  const home = join(root, 'home');
  mkdirSync(home);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // The browser gets no name of any machine but this one resolved, and writes nothing outside of its directory.
    args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--disable-dev-shm-usage', '--disable-gpu', '--in-process-gpu', '--renderer-process-limit=1'],
    chromiumSandbox: process.getuid?.() !== 0,
    handleSIGINT: false,
    handleSIGTERM: false,
    env: { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8' },
  });
}

export async function closeBrowser() {
  await browser?.close();
}

const digest = (/** @type {string} */ key) => createHash('sha256').update(key).digest('hex');

/** @param {string} sandboxUrl @param {string} secret @param {number} needs */
function config(sandboxUrl, secret, needs) {
  const psp = (/** @type {string} */ name, /** @type {string} */ face, /** @type {string} */ rest) =>
    `[psps.${name}]\nface = "${face}"\nbase_url = "${sandboxUrl}"\napi_key_file = "${secret}"\n${rest}`;
  const operator = (/** @type {'ada' | 'grace' | 'reader'} */ name, /** @type {string} */ roles) =>
    `[operators.${name}]\napi_key_sha256 = ["${digest(KEYS[name])}"]\nroles = [${roles}]`;
  return [
    `installation = "console-test"\nresolve_needs = ${needs}`,
    `[merchants.shop]\npsp = "blind"\napi_key_sha256 = ["${digest(KEYS.shop)}"]`,
    `[merchants.store]\npsp = "stripe"\napi_key_sha256 = ["${digest(KEYS.store)}"]`,
    operator('ada', '"read", "resolve"'),
    operator('grace', '"read", "resolve"'),
    operator('reader', '"read"'),
    // Its unknowns are parked as soon as the call has timed out.
    psp('blind', 'acquirer', ''),
    '[psps.blind.timing]\nsend_window_ms = 500\ncall_timeout_ms = 500\nmax_in_flight_ms = 2000\nmax_clock_skew_ms = 100',
    psp('stripe', 'stripe', 'keyed_horizon_ms = 86_400_000\naddressable = true\nlookup_lag_ms = 1_000'),
    // Its unknowns last for longer than any case.
    '[psps.stripe.timing]\ncall_timeout_ms = 60_000',
  ].join('\n\n');
}

/** One case's servers. */
export class World {
  /** @type {Process[]} */ #processes = [];
  /** @type {import('playwright-core').BrowserContext[]} */ #contexts = [];
  /** @type {string[]} */ #complaints = [];
  url = '';
  consoleUrl = '';

  /** Pay Once with a configuration. @param {{needs?: number}} [options] */
  static async start({ needs = 1 } = {}) {
    const world = new World();
    const directory = join(root, String((worlds += 1)));
    mkdirSync(directory);
    const sandbox = world.#run('pay-once-sandbox', ['--latency-ms', '40..120']);
    const sandboxUrl = await sandbox.said(/sandbox PSP on (http:\S+)/);
    const [file, secret] = [join(directory, 'pay-once.toml'), join(directory, 'psp-key')];
    writeFileSync(secret, 'sk_sandbox', { mode: 0o600 });
    writeFileSync(file, config(sandboxUrl, secret, needs));
    await world.#serve(['--config', file, '--data', join(directory, 'data')]);
    return world;
  }

  /** Pay Once as the quick start has it. */
  static async quickStart() {
    const world = new World();
    await world.#serve(['--data', join(root, String((worlds += 1))), '--sandbox-listen', '127.0.0.1:0', '--sandbox-latency-ms', '40..120']);
    return world;
  }

  /** @param {string[]} args */
  async #serve(args) {
    const server = this.#run('pay-once', ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--log', 'warn', ...args]);
    this.url = await server.said(/listening on (http:\S+)/);
    this.consoleUrl = `${await server.said(/operators on (http:\S+)/)}/console`;
  }

  /** @param {string} name @param {string[]} args */
  #run(name, args) {
    const started = new Process(join(BIN, name), args);
    this.#processes.push(started);
    return started;
  }

  async stop() {
    for (const context of this.#contexts) await context.close();
    for (const one of this.#processes.reverse()) await one.stop();
    assert.deepEqual(this.#complaints, [], 'the browser has nothing to complain of');
  }

  /** @param {string} path @param {string | null} key @param {string} idempotencyKey @param {unknown} body */
  async post(path, key, idempotencyKey, body) {
    /** @type {Record<string, string>} */
    const headers = { 'Idempotency-Key': idempotencyKey, Prefer: 'wait=5' };
    if (key) headers.Authorization = `Bearer ${key}`;
    const response = await fetch(this.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, body: /** @type {any} */ (await response.json()) };
  }

  /** @param {string} id @param {string} key @returns {Promise<any>} */
  async read(id, key) {
    const response = await fetch(`${this.url}/attempts/${id}`, { headers: { Authorization: `Bearer ${key}` } });
    return response.json();
  }

  /** A charge whose answer the PSP never gives. @param {'shop' | 'store'} merchant @param {string} orderId @returns {Promise<string>} */
  async lost(merchant, orderId) {
    const body = { order_id: orderId, amount: 259900, currency: 'GBP', payment_method: 'pm_sandbox_hang_after' };
    const { status, body: answer } = await this.post('/charge', KEYS[merchant], orderId.replace(/[^a-z0-9]/gi, '-'), body);
    assert.equal(status, 202, JSON.stringify(answer));
    return answer.attempt_id;
  }

  /** The same at a PSP that cannot be asked: it is parked. @param {string} orderId */
  async parked(orderId) {
    const id = await this.lost('shop', orderId);
    for (let tries = 0; (await this.read(id, KEYS.ada)).operation?.state !== 'parked'; tries += 1) {
      assert.ok(tries < 200, 'it is parked');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return id;
  }

  /** A browser of an operator's own. @param {{colorScheme?: 'light' | 'dark', width?: number}} [options] */
  async page({ colorScheme = 'light', width = 1280 } = {}) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' });
    this.#contexts.push(context);
    context.setDefaultTimeout(SOON_MS);
    const page = await context.newPage();
    const origins = [new URL(this.consoleUrl).origin, this.url];
    page.on('request', (request) => {
      const { origin, href } = new URL(request.url());
      if (!origins.includes(origin)) this.#complaints.push(`it asked ${href}`);
      for (const key of Object.values(KEYS)) if (href.includes(key)) this.#complaints.push(`a key is in ${href}`);
    });
    page.on('pageerror', (error) => this.#complaints.push(`an error of the page: ${error.stack}`));
    page.on('dialog', (dialog) => this.#complaints.push(`a dialog: ${dialog.message()}`));
    page.on('console', (message) => {
      // What the server refuses on purpose is in the page as well; the browser reports each such answer.
      const isRefusal = /Failed to load resource: the server responded with a status of (4\d\d|503)/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !isRefusal) this.#complaints.push(message.text());
    });
    return page;
  }
}

/** A picture for people to look at. @param {import('playwright-core').Page} page @param {string} name */
export async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}
