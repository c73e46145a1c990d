// The shop in a real browser, over a network that loses, repeats and delays, judged by the PSP's own ledger.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Environment, SOON_MS, closeBrowser, openBrowser, picture, seed, totals } from './environment.js';
import { FAIR } from './lossy-proxy.js';
import { pause } from './processes.js';

const WORKS = 'pm_card_visa';
const DECLINED = 'pm_card_chargeDeclined';
const THREE_DS = 'pm_card_authenticationRequired';
const ANSWER_LOST = 'pm_sandbox_hang_after';

const PAID = 'Paid. Thank you!';
const WAITS = 'Your payment has to wait';
const NOT_KNOWN = /being made|finding out|longer than usual|your bank/i;

before(openBrowser);
after(async () => {
  await closeBrowser();
  const { requests, dropped, refused, twice, gateway, broken } = totals;
  console.log(
    `seed ${seed}: ${requests} requests; lost: ${dropped} answers and ${refused} requests; ${twice} sent twice; ${gateway} answered by a gateway; ${broken} not answered by Pay Once`,
  );
});

/**
 * @param {string} name
 * @param {(env: Environment) => Promise<void>} body
 * @param {Parameters<typeof Environment.start>[0]} [options]
 */
const inShop = (name, body, options) =>
  test(name, { timeout: 90_000 }, async () => {
    const env = await Environment.start(options);
    try {
      await body(env);
    } catch (error) {
      console.error(`--- shop\n${env.shop.process.output}--- Pay Once\n${env.payOnce.process.output}`);
      throw error;
    } finally {
      await env.stop();
    }
  });

/** @typedef {import('playwright-core').Page} Page */

/** @param {Page} page @param {string} card */
async function choose(page, card) {
  await page.check(`input[value="${card}"]`);
}

/** @param {Page} page @param {string} card */
async function pay(page, card) {
  await choose(page, card);
  await page.click('button[type=submit]');
  await page.waitForURL('**/orders/*');
}

/** Waits for a headline. @param {Page} page @param {string | RegExp} words */
async function headline(page, words) {
  await page.locator('h1', { hasText: words }).waitFor({ timeout: SOON_MS });
}

/** What every headline of a page was. @param {Page} page @returns {Promise<string[]>} */
async function recordHeadlines(page) {
  /** @type {string[]} */
  const heard = [];
  await page.exposeFunction('heard', (/** @type {string} */ words) => heard.push(words));
  await page.addInitScript(() => {
    const tell = () => /** @type {any} */ (window).heard(document.querySelector('h1')?.textContent ?? '');
    document.addEventListener('DOMContentLoaded', () => {
      tell();
      new MutationObserver(tell).observe(document.body, { childList: true, subtree: true });
    });
  });
  return heard;
}

/** The order's form as the shop page has it. @param {string} url @param {string} [cookie] */
async function readForm(url, cookie) {
  const response = await fetch(url, { headers: cookie ? { cookie } : {}, redirect: 'manual' });
  const order = /name="order" value="(ord_[0-9a-f]+)"/.exec(await response.text())?.[1] ?? '';
  return { order, cookie: response.headers.get('set-cookie')?.split(';')[0] ?? '' };
}

/** @param {string} url @param {Record<string, string>} form @param {string} [cookie] */
const post = (url, form, cookie) =>
  fetch(`${url}/pay`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: cookie ? { cookie } : {},
    redirect: 'manual',
  });

// Each case has a world of its own; what they mostly do is wait.
describe('the shop', { concurrency: 3 }, () => {
  inShop('a card that works: the page says paid, and tells what happened when', async (env) => {
    const page = await env.visit();
    await picture(page, '1-shop');
    await pay(page, WORKS);
    await headline(page, PAID);
    const timeline = page.locator('.timeline li');
    await timeline.last().filter({ hasText: 'the amount is paid' }).waitFor();
    const lines = await timeline.allInnerTexts();
    assert.match(lines[0], /^\d\d:\d\d:\d\d\s+\+0\.00 s\s+The shop opened a payment/);
    assert.ok(
      lines.some((line) => line.includes('the amount is reserved')),
      lines.join('\n'),
    );
    assert.equal(await page.locator('[data-status]').innerText(), 'CAPTURED');
    await page.click('summary');
    assert.match(await page.locator('#record').innerText(), /capture sent to the PSP/);
    await picture(page, '2-paid');
    await page.reload();
    await headline(page, PAID);
    // A basket is emptied by paying: the shop has a new one.
    await page.click('text=Back to the shop');
    await page.locator('button', { hasText: 'Pay £25.99' }).waitFor();
    await env.ledgerSays({ paid: 1 });
  });

  inShop('the keys are on disk before the first call', async (env) => {
    const first = env.proxy.hold('POST /attempts', 'before');
    const page = await env.visit();
    await pay(page, WORKS);
    await first.seen;
    const journal = readFileSync(join(env.shopData, 'orders.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      journal.map(({ event }) => event),
      ['begun', 'kept'],
    );
    assert.deepEqual([...(env.proxy.keys.get('POST /attempts') ?? [])], [JSON.parse(journal[1].value).key]);
    await headline(page, NOT_KNOWN);
    await picture(page, '3-being-made');
    first.release();
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1 });
  });

  for (const javaScriptEnabled of [true, false]) {
    inShop(`a double click on Pay, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async (env) => {
      const page = await env.visit({ javaScriptEnabled });
      await choose(page, WORKS);
      await page.dblclick('button[type=submit]');
      await headline(page, PAID);
      await env.ledgerSays({ paid: 1 });
    });
  }

  inShop('two tabs: one order, whichever is clicked, and both say the same', async (env) => {
    const customer = await env.customer();
    const [one, two] = [await customer.newPage(), await customer.newPage()];
    await one.goto(env.shop.url);
    await two.goto(env.shop.url);
    await choose(one, WORKS);
    await choose(two, WORKS);
    await Promise.all([one.click('button[type=submit]'), two.click('button[type=submit]')]);
    await Promise.all([headline(one, PAID), headline(two, PAID)]);
    assert.equal(one.url(), two.url());
    await env.ledgerSays({ paid: 1 });
  });

  inShop('two tabs that were opened at the same moment, before there was a basket', async (env) => {
    // Two forms for two orders; the browser keeps one cookie.
    const [stale, kept] = [await readForm(env.shop.url), await readForm(env.shop.url)];
    assert.notEqual(stale.order, kept.order);
    const answers = await Promise.all([
      post(env.shop.url, { order: stale.order, try: '1', card: WORKS }, kept.cookie),
      post(env.shop.url, { order: kept.order, try: '1', card: WORKS }, kept.cookie),
    ]);
    assert.deepEqual(
      answers.map((answer) => answer.headers.get('location')),
      ['/?renewed', `/orders/${kept.order}`],
    );
    const shop = await fetch(`${env.shop.url}/?renewed`, { headers: { cookie: kept.cookie }, redirect: 'manual' });
    assert.equal(shop.headers.get('location'), `/orders/${kept.order}`, 'the stale tab comes to the order as well');
    const page = await (await env.customer()).newPage();
    await page.goto(`${env.shop.url}/orders/${kept.order}`);
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1 });
  });

  inShop('reload, back and a second Pay while the payment is under way', async (env) => {
    const authorize = env.proxy.hold('POST /attempts/{id}/authorize', 'after');
    const page = await env.visit();
    await pay(page, WORKS);
    await authorize.seen;
    const order = page.url();
    await page.reload();
    await headline(page, NOT_KNOWN);
    await page.goBack();
    // Back at the shop, which sends its customer on to the open order, or shows the old form: that may be sent again.
    if (page.url() !== order && (await page.locator('form[data-pay]').count()) > 0) {
      await page.click('button[type=submit]');
    }
    await page.waitForURL(order);
    await page.goto(env.shop.url);
    assert.equal(page.url(), order, 'the shop leads to the open order');
    authorize.release();
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1 });
  });

  inShop('a form that is sent many times, at once and afterwards', async (env) => {
    const { order, cookie } = await readForm(env.shop.url);
    const form = { order, try: '1', card: WORKS };
    const burst = await Promise.all(Array.from({ length: 8 }, () => post(env.shop.url, form, cookie)));
    const page = await (await env.customer()).newPage();
    await page.goto(`${env.shop.url}/orders/${order}`);
    await headline(page, PAID);
    // Afterwards, also with another card, a later try, and an amount of the sender's own.
    const late = await Promise.all([
      post(env.shop.url, form, cookie),
      post(env.shop.url, { ...form, card: DECLINED }, cookie),
      post(env.shop.url, { ...form, try: '2' }, cookie),
      post(env.shop.url, { ...form, amount: '1' }),
    ]);
    for (const answer of [...burst, ...late]) {
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.get('location'), `/orders/${order}`);
    }
    await page.reload();
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1 });
  });

  inShop('forms that are no good, and forms of other sites, do nothing', async (env) => {
    const { order } = await readForm(env.shop.url);
    for (const form of [
      { order: 'ord_1', try: '1', card: WORKS },
      { order, try: '0', card: WORKS },
      { order, try: '1.5', card: WORKS },
      { order, try: '1', card: '4242424242424242' },
      { order, try: '1', card: 'x'.repeat(5000) },
    ]) {
      assert.equal((await post(env.shop.url, form)).status, 400, JSON.stringify(form));
    }
    const foreign = await fetch(`${env.shop.url}/pay`, {
      method: 'POST',
      body: new URLSearchParams({ order, try: '1', card: WORKS }),
      headers: { 'sec-fetch-site': 'cross-site' },
    });
    assert.equal(foreign.status, 403);
    const later = await post(env.shop.url, { order, try: '2', card: WORKS });
    assert.equal(later.headers.get('location'), '/?renewed', 'there is no second try without a first');
    const page = await (await env.customer()).newPage();
    await page.goto(`${env.shop.url}/orders/${order}`);
    await headline(page, 'No such order');
    await env.ledgerSays({ paid: 0 });
  });

  inShop(
    'the first two answers to every call are lost',
    async (env) => {
      const calls = ['POST /attempts', 'POST /attempts/{id}/authorize', 'POST /attempts/{id}/capture'];
      env.proxy.loseAnswers = Object.fromEntries(calls.map((call) => [call, 2]));
      const page = await env.visit();
      const heard = await recordHeadlines(page);
      await pay(page, WORKS);
      await headline(page, PAID);
      assert.equal(env.proxy.counts.dropped, 6);
      assert.ok(
        heard.every((words) => NOT_KNOWN.test(words) || words === PAID),
        heard.join('\n'),
      );
      await env.ledgerSays({ paid: 1 });
    },
    { weather: FAIR },
  );

  inShop('Pay Once cannot be reached for a while: the page does not know, and says so', async (env) => {
    env.proxy.weather = { ...FAIR, refuse: 1 };
    const page = await env.visit();
    await pay(page, WORKS);
    await headline(page, 'We are finding out');
    assert.equal(await page.locator('button').count(), 0, 'nothing to pay with is offered');
    await picture(page, '4-finding-out');
    env.proxy.weather = FAIR;
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1 });
  });

  inShop('the PSP rejects Pay Once: the customer is told to wait, and paid once it is mended', async (env) => {
    await env.turn({ reject_status: 401 });
    const page = await env.visit();
    const heard = await recordHeadlines(page);
    await pay(page, WORKS);
    await headline(page, WAITS);
    assert.match(await page.locator('#status').innerText(), /do not pay again/);
    assert.equal(await page.locator('button').count(), 0, 'nothing to pay with is offered');
    await page.locator('.timeline', { hasText: 'does not accept our requests' }).waitFor();
    await picture(page, '13-has-to-wait');
    await env.ledgerSays({ paid: 0, unpaid: 1 });
    await env.turn({ reject_status: 0 });
    await headline(page, PAID);
    assert.match(env.shop.process.output, /NEEDS A PERSON: the PSP rejects/);
    assert.ok(
      heard.every((words) => NOT_KNOWN.test(words) || [WAITS, PAID].includes(words)),
      heard.join('\n'),
    );
    await env.ledgerSays({ paid: 1 });
  });

  inShop('the shop is killed with payments at every point, and all end as paid', async (env) => {
    const calls = ['POST /attempts', 'POST /attempts/{id}/authorize', 'POST /attempts/{id}/capture'];
    /** @type {Array<() => void>} */
    const releases = [];
    /** @type {string[]} */
    const orders = [];
    for (const call of calls) {
      for (const when of /** @type {const} */ (['before', 'after'])) {
        const { seen, release } = env.proxy.hold(call, when);
        releases.push(release);
        const { order, cookie } = await readForm(env.shop.url);
        await post(env.shop.url, { order, try: '1', card: WORKS }, cookie);
        orders.push(order);
        await seen;
      }
    }
    // One of them in a browser, at the most delicate point: reserved, and nobody here knows.
    const { seen, release } = env.proxy.hold('POST /attempts/{id}/authorize', 'after');
    releases.push(release);
    const page = await env.visit();
    await pay(page, WORKS);
    await seen;

    await env.powerCut(async () => {
      await page.locator('#connection').waitFor();
      await headline(page, NOT_KNOWN);
      await picture(page, '5-shop-away');
      for (const release of releases) release();
    });
    await headline(page, PAID);
    await page.locator('#connection').waitFor({ state: 'hidden' });
    for (const order of orders) {
      await page.goto(`${env.shop.url}/orders/${order}`);
      await headline(page, PAID);
    }
    await env.ledgerSays({ paid: orders.length + 1 });
  });

  inShop('Pay Once is killed while the PSP has the money and its answer is on the way', async (env) => {
    await env.turn({ webhooks_enabled: false, latency_ms: { min: 1900, max: 1900 } });
    const page = await env.visit();
    const heard = await recordHeadlines(page);
    await pay(page, WORKS);
    while (!(await env.ledger()).some((row) => row.authorizations === 1)) await pause(20);
    await env.payOncePowerCut();
    await headline(page, PAID);
    assert.ok(
      heard.every((words) => NOT_KNOWN.test(words) || words === PAID),
      heard.join('\n'),
    );
    await env.ledgerSays({ paid: 1 });
  });

  inShop('a declined card: it says so, offers a new try, and that is a new attempt', async (env) => {
    const page = await env.visit();
    const heard = await recordHeadlines(page);
    await pay(page, DECLINED);
    await headline(page, 'The payment was declined');
    assert.match(await page.locator('#status').innerText(), /Your card was declined\. No money was taken/);
    assert.equal(await page.locator('[data-status]').innerText(), 'DECLINED');
    await picture(page, '6-declined');
    const order = page.url();
    const first = await page.locator('dd code').nth(1).innerText();
    await env.ledgerSays({ paid: 0, unpaid: 1 });

    // The old form again is the old try: it is still declined, and nothing is tried.
    const id = order.split('/').at(-1) ?? '';
    await post(env.shop.url, { order: id, try: '1', card: WORKS });
    await page.reload();
    await headline(page, 'The payment was declined');
    await env.ledgerSays({ paid: 0, unpaid: 1 });

    await choose(page, WORKS);
    await page.dblclick('button[type=submit]');
    await headline(page, PAID);
    assert.equal(page.url(), order, 'the same order');
    await page.locator('.timeline li').last().filter({ hasText: 'the amount is paid' }).waitFor();
    assert.notEqual(await page.locator('dd code').nth(1).innerText(), first, 'another attempt');
    assert.match(await page.locator('.earlier').innerText(), /Try 1: declined/);
    await picture(page, '7-paid-at-second-try');
    assert.ok(
      heard.every((words) => NOT_KNOWN.test(words) || [PAID, 'The payment was declined'].includes(words)),
      heard.join('\n'),
    );
    await env.ledgerSays({ paid: 1, unpaid: 1 });
  });

  /** To the bank, an answer there, and back. @param {Page} page @param {'Approve' | 'Fail'} answer */
  async function askTheBank(page, answer) {
    await headline(page, 'Your bank asks whether it is you');
    const order = page.url().split('?')[0];
    await page.click('text=Go to your bank');
    await page.click(`button:has-text("${answer}")`);
    await page.waitForURL((url) => url.href.startsWith(`${order}?`));
  }

  inShop('3-D Secure, approved', async (env) => {
    const page = await env.visit();
    await pay(page, THREE_DS);
    await headline(page, 'Your bank asks whether it is you');
    await picture(page, '8-bank');
    await env.powerCut();
    await askTheBank(page, 'Approve');
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1 });
  });

  inShop('3-D Secure, failed: no money, and a new try', async (env) => {
    const page = await env.visit();
    await pay(page, THREE_DS);
    await askTheBank(page, 'Fail');
    await headline(page, 'The payment was declined');
    await picture(page, '9-bank-failed');
    await env.ledgerSays({ paid: 0, unpaid: 1 });
    await choose(page, THREE_DS);
    await page.click('button[type=submit]');
    await askTheBank(page, 'Approve');
    await headline(page, PAID);
    await env.ledgerSays({ paid: 1, unpaid: 1 });
  });

  inShop('the PSP reserves the money and never says so: “we are finding out”, then paid', async (env) => {
    // Without webhooks nobody tells; and the second answer takes its time, so that the doubt lasts long enough to be seen.
    await env.turn({ webhooks_enabled: false, latency_ms: { min: 1200, max: 1200 } });
    const page = await env.visit();
    const heard = await recordHeadlines(page);
    await pay(page, ANSWER_LOST);
    await page.locator('.timeline .unknown').waitFor();
    await headline(page, 'We are finding out');
    assert.equal(await page.locator('button').count(), 0, 'nothing to pay with is offered');
    await picture(page, '10-finding-out');
    await headline(page, PAID);
    await page.locator('.timeline li').last().filter({ hasText: 'the amount is paid' }).waitFor();
    assert.match(await page.locator('.timeline').innerText(), /asked again, under the same key/);
    assert.ok(
      heard.every((words) => NOT_KNOWN.test(words) || words === PAID),
      heard.join('\n'),
    );
    await picture(page, '11-found-out');
    await env.ledgerSays({ paid: 1 });
  });

  inShop('without JavaScript: pay, be declined, try again, be paid', async (env) => {
    const page = await env.visit({ javaScriptEnabled: false });
    await pay(page, DECLINED);
    await headline(page, 'The payment was declined');
    await choose(page, WORKS);
    await page.click('button[type=submit]');
    await headline(page, PAID);
    await page.setViewportSize({ width: 360, height: 740 });
    await picture(page, '12-small');
    await env.ledgerSays({ paid: 1, unpaid: 1 });
  });
});
