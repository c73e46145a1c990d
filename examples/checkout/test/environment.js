// Everything that a case needs: Pay Once, the bad network, the shop, a browser; and the ledger, which says the truth.

import assert from 'node:assert/strict';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { FOUL, LossyProxy } from './lossy-proxy.js';
import { startPayOnce, startShop } from './processes.js';

/** How long a page may take to come to where it should, in milliseconds. */
export const SOON_MS = 30_000;
export const PRICE = 2599;

const root = mkdtempSync(join(tmpdir(), 'checkout-test-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
/** Where pictures of the pages are left, if anybody wants them. */
const pictures = process.env.CHECKOUT_SCREENSHOTS;
/** What chance the network has: printed, and given back by CHECKOUT_SEED. */
export const seed = Number(process.env.CHECKOUT_SEED ?? Math.floor(Math.random() * 1e9));
/** Over all cases. */
export const totals = { requests: 0, dropped: 0, refused: 0, twice: 0, gateway: 0, broken: 0 };

/** @typedef {import('playwright-core').BrowserContext} Context */
/** @type {import('playwright-core').Browser} */
let browser;
/** Contexts that no case uses at present: to make one costs more than most cases do. @type {Record<string, Context[]>} */
const idle = { true: [], false: [] };
let cases = 0;

export async function openBrowser() {
  const isRoot = process.getuid?.() === 0;
  const home = join(root, 'home');
  mkdirSync(home);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // The browser gets no name of any machine but this one resolved, and writes nothing outside of its directory.
    args: [
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      '--disable-dev-shm-usage',
      // Few processes: the machines that run this have few cores.
      ...['--disable-gpu', '--in-process-gpu', '--disable-site-isolation-trials', '--renderer-process-limit=1'],
    ],
    chromiumSandbox: !isRoot,
    // processes.js ends this process on a signal, and the browser ends with it.
    handleSIGINT: false,
    handleSIGTERM: false,
    env: { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8' },
  });
}

export async function closeBrowser() {
  await browser?.close();
}

/** One case's world. */
export class Environment {
  /** @type {Awaited<ReturnType<typeof startPayOnce>>} */ payOnce = /** @type {any} */ (null);
  /** @type {Awaited<ReturnType<typeof startShop>>} */ shop = /** @type {any} */ (null);
  /** @type {LossyProxy} */ proxy = /** @type {any} */ (null);
  /** @type {Array<() => Promise<void>>} */ #leave = [];
  /** @type {string[]} */ #foreign = [];
  #number = (cases += 1);
  #directory = join(root, String(this.#number));

  /** @param {{weather?: import('./lossy-proxy.js').Weather, latencyMs?: string}} [options] */
  static async start({ weather = FOUL, latencyMs = '0..80' } = {}) {
    const env = new Environment();
    try {
      env.payOnce = await startPayOnce({ data: join(env.#directory, 'pay-once'), latencyMs });
      env.proxy = await new LossyProxy(env.payOnce.url, seed + env.#number).listen();
      env.proxy.weather = weather;
      env.shop = await env.#startShop('127.0.0.1:0');
      return env;
    } catch (error) {
      await env.stop();
      throw error;
    }
  }

  /** @param {string} listen */
  #startShop(listen) {
    return startShop({ listen, payOnceUrl: this.proxy.url, data: this.shopData });
  }

  get shopData() {
    return join(this.#directory, 'shop');
  }

  /** Kills the shop as a power cut would, does something, and starts it again where it was. */
  async powerCut(meanwhile = async () => {}) {
    await this.shop.process.kill();
    await meanwhile();
    this.shop = await this.#startShop(new URL(this.shop.url).host);
  }

  /** Kills Pay Once and the sandbox in it likewise, and starts them again. */
  async payOncePowerCut() {
    const { process, url, sandboxUrl } = this.payOnce;
    await process.kill();
    this.payOnce = await startPayOnce({
      data: join(this.#directory, 'pay-once'),
      latencyMs: '0..80',
      listen: new URL(url).host,
      sandboxListen: new URL(sandboxUrl).host,
    });
  }

  async stop() {
    for (const leave of this.#leave) await leave();
    await this.proxy?.close();
    const hasEnded = (await this.shop?.process.stop()) ?? true;
    await this.payOnce?.process.stop();
    for (const name of /** @type {(keyof typeof totals)[]} */ (Object.keys(totals)))
      totals[name] += this.proxy?.counts[name] ?? 0;
    assert.ok(hasEnded, 'the shop ends when it is asked to');
    assert.deepEqual(this.#foreign, [], 'pages ask nobody but the shop and the bank');
  }

  /** A browser of a customer's own: its tabs share cookies. @param {{javaScriptEnabled?: boolean}} [options] */
  async customer({ javaScriptEnabled = true } = {}) {
    const viewport = { width: 800, height: 900 };
    const pool = idle[String(javaScriptEnabled)];
    const context = pool.pop() ?? (await browser.newContext({ javaScriptEnabled, viewport }));
    context.setDefaultTimeout(SOON_MS);
    const kept = context.pages();
    if (kept.length === 0) kept.push(await context.newPage());
    const listen = (/** @type {import('playwright-core').Request} */ request) => {
      const url = request.url();
      const isKnown = [this.shop.url, this.payOnce.sandboxUrl, 'data:'].some((start) => url.startsWith(start));
      if (!isKnown) this.#foreign.push(url);
    };
    context.on('request', listen);
    this.#leave.push(async () => {
      // One page stays, empty, and the process behind it.
      for (const page of context.pages()) if (!kept.includes(page)) await page.close();
      context.off('request', listen);
      await context.clearCookies();
      pool.push(context);
    });
    return context;
  }

  /** A page of a new customer, at the shop. @param {{javaScriptEnabled?: boolean}} [options] */
  async visit(options) {
    const page = await (await this.customer(options)).newPage();
    await page.goto(this.shop.url);
    return page;
  }

  /** @param {Record<string, unknown>} dials turns dials of the sandbox PSP */
  async turn(dials) {
    const response = await fetch(`${this.payOnce.sandboxUrl}/dials`, { method: 'PUT', body: JSON.stringify(dials) });
    assert.equal(response.status, 200, await response.text());
  }

  /** What the PSP did, a row for each attempt. @returns {Promise<Array<Record<string, number>>>} */
  async ledger() {
    return Object.values(/** @type {any} */ (await (await fetch(`${this.payOnce.sandboxUrl}/ledger`)).json()));
  }

  /**
   * The truth: so many payments were taken, each by one authorization and one capture of the price; so many tries came to
   * nothing; and there is nothing else. And no more keys were used than that takes.
   * @param {{paid: number, unpaid?: number}} expected
   */
  async ledgerSays({ paid, unpaid = 0 }) {
    await this.proxy.quiet();
    const rows = await this.ledger();
    const taken = rows.filter((row) => row.authorizations > 0);
    for (const row of taken) {
      const { authorizations, live_authorizations, captures, captured_minor, voids, refunds } = row;
      assert.deepEqual(
        { authorizations, live_authorizations, captures, captured_minor, voids, refunds },
        { authorizations: 1, live_authorizations: 1, captures: 1, captured_minor: PRICE, voids: 0, refunds: 0 },
      );
    }
    assert.equal(taken.length, paid, JSON.stringify(rows));
    assert.ok(rows.length <= paid + unpaid, JSON.stringify(rows));
    const keys = (/** @type {string} */ call) => this.proxy.keys.get(call)?.size ?? 0;
    assert.equal(keys('POST /attempts'), paid + unpaid, 'one create key for each try');
    assert.equal(keys('POST /attempts/{id}/authorize'), paid + unpaid, 'one authorize key for each try');
    assert.equal(keys('POST /attempts/{id}/capture'), paid, 'one capture key for each payment');
  }
}

/**
 * A picture for people to look at.
 * @param {import('playwright-core').Page} page @param {string} name
 */
export async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}
