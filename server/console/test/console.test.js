// The operator's page in a real browser: what an operator sees, does by keyboard, and cannot do twice.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEYS, World, closeBrowser, openBrowser, picture } from './environment.js';

before(openBrowser);
after(closeBrowser);

/** @typedef {import('playwright-core').Page} Page */

/** @param {string} name @param {() => Promise<World>} start @param {(world: World) => Promise<void>} body */
const inWorld = (name, start, body) =>
  test(name, { timeout: 90_000 }, async () => {
    const world = await start();
    let failure;
    try {
      await body(world);
    } catch (error) {
      failure = error;
    }
    // What the browser complained of is told first: it is often the cause.
    await world.stop();
    if (failure) throw failure;
  });

/** Opens the page with a key. @param {World} world @param {Page} page @param {string} key */
async function enter(world, page, key) {
  await page.goto(world.consoleUrl);
  await page.getByRole('textbox', { name: 'Key' }).fill(key);
  await page.keyboard.press('Enter');
}

/** Presses Tab until the element has the focus. @param {Page} page @param {string} selector */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
  }
  assert.fail(`Tab never came to ${selector}`);
}

inWorld('an operator resolves a parked payment by keyboard alone', World.start, async (world) => {
  const orderId = 'ord <img src=x onerror=alert(1)>';
  const id = await world.parked(orderId);
  const page = await world.page();
  /** @type {string[]} */
  const sent = [];
  page.on('request', (request) => request.method() === 'POST' && sent.push(new URL(request.url()).pathname));

  await page.goto(world.consoleUrl);
  await page.locator('#key:focus').waitFor();
  await picture(page, 'door');
  await page.keyboard.type(KEYS.ada);
  await page.keyboard.press('Enter');
  await page.getByLabel('Parked: 1, the oldest since').waitFor();
  await page.getByRole('cell', { name: orderId }).waitFor();
  await picture(page, 'lists-light');

  await tabTo(page, `a[data-id="${id}"]`);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Authorize is parked' }).waitFor();
  await page.getByRole('img', { name: `Timeline of attempt ${id}` }).waitFor();
  // The picture has a mark for each line of the list but the record's own bookkeeping.
  const timeline = (await world.read(id, KEYS.ada)).timeline;
  assert.equal(await page.locator('.lines tbody tr').count(), timeline.length);
  assert.equal(await page.locator('.picture [data-seq]').count(), timeline.length - 2);
  assert.match((await page.locator('.picture desc').textContent()) ?? '', /Call \d+, authorize: outcome unknown\. Now: authorize parked\./);
  await picture(page, 'parked-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'parked-dark');
  await page.emulateMedia({ colorScheme: 'light' });

  await tabTo(page, '#look');
  await page.keyboard.press('Enter');
  await page.getByText('This PSP offers no way to look').waitFor();

  await tabTo(page, 'input[name=outcome]');
  await page.keyboard.press('Space');
  await tabTo(page, '#reason');
  await page.keyboard.type('incident 4711: the dashboard shows the charge');
  await tabTo(page, 'button[type=submit].primary');
  await page.keyboard.press('Enter');
  // The reference is missing: the browser says so, and nothing is reviewed.
  await page.locator('#reference:focus').waitFor();
  await page.keyboard.type('auth_4711');
  await page.keyboard.press('Enter');
  await page.locator('#confirm:focus').waitFor();
  await picture(page, 'confirm');
  // Escape leads back to the form, and not out of the attempt.
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'hidden' });
  assert.equal(await page.locator('#reason').inputValue(), 'incident 4711: the dashboard shows the charge');
  assert.deepEqual(sent, [`/attempts/${id}/look`]);
  await tabTo(page, 'button[type=submit].primary');
  await page.keyboard.press('Enter');
  await page.locator('#confirm:focus').waitFor();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: 'Resolved.' }).waitFor();
  await page.locator('#detail-title:focus').waitFor();
  assert.deepEqual(sent, [`/attempts/${id}/look`, `/attempts/${id}/resolve`], 'it is resolved once');
  const after = await world.read(id, KEYS.ada);
  assert.equal(after.authorization.psp_reference, 'auth_4711');
  const told = after.timeline.find((/** @type {any} */ line) => line.event === 'an operator said: authorized');
  assert.equal(told.details.operator, 'ada');
  await picture(page, 'resolved');
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'Parked' }).waitFor();
});

inWorld('a look finds what happened to a payment whose answer is lost', World.start, async (world) => {
  const id = await world.lost('store', 'ord-look');
  const page = await world.page({ colorScheme: 'dark' });
  await enter(world, page, KEYS.reader);
  await page.getByRole('heading', { name: 'Parked' }).waitFor();
  await page.getByLabel('Order or attempt').fill(id);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Authorize is in flight' }).waitFor();
  await picture(page, 'in-flight-dark');
  await page.getByRole('button', { name: 'Look now' }).click();
  await page.getByText('The PSP shows: authorized, captured.').waitFor();
  await page.getByText('The timeline has it now.').waitFor();
  assert.equal((await world.read(id, KEYS.ada)).status, 'CAPTURED');
  await page.locator('.picture .now', { hasText: 'captured' }).waitFor();
  await page.getByRole('button', { name: 'Look now' }).click();
  await page.getByText('within the last two seconds').waitFor();
  await picture(page, 'looked-dark');
});

inWorld('two operators have to agree', () => World.start({ needs: 2 }), async (world) => {
  const id = await world.parked('ord-two');
  const first = await world.page();
  await enter(world, first, KEYS.ada);
  await first.getByRole('link', { name: id }).click();
  await first.getByLabel('The PSP did not do it').check();
  await first.getByLabel('Reason').fill('no charge in the books');
  await first.getByRole('button', { name: 'Review' }).click();
  await first.getByRole('button', { name: 'Resolve', exact: true }).click();
  await first.getByText('Proposed. Another operator has to state the same').waitFor();
  assert.equal((await world.read(id, KEYS.ada)).status, 'AUTHORIZING');

  const second = await world.page();
  await enter(world, second, KEYS.grace);
  await second.getByRole('link', { name: id }).click();
  await second.getByText('ada proposes “did not happen”: no charge in the books').waitFor();
  await picture(second, 'proposal');
  await second.getByRole('button', { name: 'Fill in the same' }).click();
  await second.getByLabel('Reason').fill('I see none either');
  await second.getByRole('button', { name: 'Review' }).click();
  await second.getByRole('button', { name: 'Resolve', exact: true }).click();
  await second.getByText('Resolved. The attempt is declined.').waitFor();
  assert.equal((await world.read(id, KEYS.ada)).status, 'DECLINED');
});

inWorld('a resolution whose answer is lost is sent again under its key', World.start, async (world) => {
  const id = await world.parked('ord-lost-answer');
  const page = await world.page();
  /** @type {string[]} */
  const keys = [];
  await page.route('**/resolve', async (route) => {
    keys.push(route.request().headers()['idempotency-key']);
    // The first answer is lost after the effect.
    const response = await route.fetch();
    if (keys.length === 1) await route.fulfill({ status: 503, json: { error: { code: 'STORE_UNAVAILABLE', message: 'The answer was lost.' } } });
    else await route.fulfill({ response });
  });
  await enter(world, page, KEYS.ada);
  await page.getByRole('link', { name: id }).click();
  await page.getByLabel('The PSP did not do it').check();
  await page.getByLabel('Reason').fill('no charge in the books');
  for (const said of ['The answer was lost.', 'Resolved. The attempt is declined.']) {
    await page.getByRole('button', { name: 'Review' }).click();
    await page.getByRole('button', { name: 'Resolve', exact: true }).click();
    await page.getByText(said).waitFor();
  }
  assert.equal(keys.length, 2);
  assert.match(keys[0], /^console-[0-9a-f]{32}$/);
  assert.equal(keys[0], keys[1]);
  const events = (await world.read(id, KEYS.ada)).timeline.filter((/** @type {any} */ line) => line.event === 'resolve requested');
  assert.equal(events.length, 1, 'it counts once');
});

inWorld('a list goes on, and is found by the order', World.start, async (world) => {
  const page = await world.page({ width: 1000 });
  const ids = [];
  for (const order of ['ord-a', 'ord-b', 'ord-c']) ids.push(await world.parked(order));
  // Pages of two, so that three attempts are more than one.
  await page.route('**/attempts?*limit=50*', (route) => route.fallback({ url: route.request().url().replace('limit=50', 'limit=2') }));
  await enter(world, page, KEYS.ada);
  await page.getByLabel('Parked: 2+').waitFor();
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.locator('.attempts tbody tr').nth(2).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Show more' }).count(), 0);
  await page.getByLabel('Order or attempt').fill('ord-b');
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByRole('heading', { name: 'Order ord-b' }).waitFor();
  await page.getByRole('link', { name: ids[1] }).waitFor();
  assert.equal(await page.locator('.attempts tbody tr').count(), 1);
});

inWorld('whoever is no operator is told, and sees nothing', World.start, async (world) => {
  const origin = new URL(world.consoleUrl).origin;
  const id = await world.parked('ord-shop');
  const asked = async (/** @type {string} */ method, /** @type {string} */ path, /** @type {string} */ key) => {
    const headers = { Authorization: `Bearer ${key}`, 'Idempotency-Key': 'k' };
    const body = method === 'POST' ? JSON.stringify({ order_id: 'x', amount: 1, currency: 'GBP' }) : undefined;
    return (await fetch(origin + path, { method, headers, body })).status;
  };
  assert.equal(await asked('GET', `/attempts/${id}`, KEYS.ada), 200);
  assert.equal(await asked('GET', `/attempts/${id}`, KEYS.shop), 401, "a merchant's key opens nothing here");
  assert.equal(await asked('GET', `/attempts/${id}`, 'nobody'), 401);
  for (const key of [KEYS.ada, KEYS.shop])
    for (const path of ['/attempts', '/charge', `/attempts/${id}/void`, '/webhooks/stripe'])
      assert.equal(await asked('POST', path, key), 404, `${path} is not here`);
  const page = await world.page();
  await enter(world, page, KEYS.shop);
  await page.getByRole('alert').filter({ hasText: 'Send the key of an operator' }).waitFor();
  await page.locator('#key:focus').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'a key that opens nothing is not kept');
});

inWorld('the pages run nothing that is not theirs', World.start, async (world) => {
  const { headers } = await fetch(world.consoleUrl);
  const policy = headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]) assert.ok(policy.includes(part), part);
  assert.ok(!policy.includes('unsafe'), policy);
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.equal(headers.get('referrer-policy'), 'no-referrer');
  assert.equal(headers.get('cache-control'), 'no-store');
  // Only the quick start shows an attempt as a page.
  const shown = await fetch(`${world.url}/attempts/pa_1`, { headers: { Accept: 'text/html' } });
  assert.equal(shown.headers.get('content-type'), 'application/json');
  assert.equal((await fetch(`${world.url}/console/script.js`)).status, 404);
});

inWorld('the quick start shows a newcomer the first payment', World.quickStart, async (world) => {
  const { status, body } = await world.post('/charge', null, 'order-1', { amount: 2599, currency: 'GBP' });
  assert.equal(status, 200, JSON.stringify(body));
  const url = `${world.url}/attempts/${body.attempt_id}`;
  assert.equal((await fetch(url)).headers.get('content-type'), 'application/json', 'a program gets JSON');
  const page = await world.page();
  await page.goto(url);
  await page.getByRole('img', { name: `Timeline of attempt ${body.attempt_id}` }).waitFor();
  await page.getByText('25.99 GBP').first().waitFor();
  await page.locator('.picture .now', { hasText: 'captured' }).waitFor();
  await picture(page, 'quick-start-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'quick-start-dark');
  await page.goto(`${world.url}/attempts/pa_00000000000000000000000000`);
  await page.getByText('There is no such attempt').waitFor();
});

inWorld('what comes late is not shown on the page of another attempt', World.start, async (world) => {
  const [first, second] = [await world.parked('first'), await world.parked('second')];
  const page = await world.page();
  await enter(world, page, KEYS.ada);
  const open = (/** @type {string} */ id) => page.evaluate((wanted) => (location.hash = `#/attempts/${wanted}`), id);
  /** @type {(() => void)[]} */
  const held = [];
  const hold = (/** @type {string} */ path) =>
    page.route(path, async (route) => {
      await new Promise((go) => held.push(() => go(undefined)));
      await route.continue();
    });
  const only = async (/** @type {string} */ id, /** @type {string} */ other) => {
    await page.getByRole('heading', { name: id }).waitFor();
    await page.waitForTimeout(500);
    const text = await page.locator('#detail').innerText();
    assert.ok(text.includes(id) && !text.includes(other), text);
  };
  // A look that is answered after somebody has gone on.
  await open(first);
  await page.locator('#look').waitFor();
  await hold(`**/attempts/${first}/look`);
  await page.locator('#look').click();
  while (!held.length) await page.waitForTimeout(20);
  await open(second);
  await page.getByRole('heading', { name: second }).waitFor();
  held.forEach((go) => go());
  await only(second, first);
  // An attempt that opens slowly.
  held.length = 0;
  await hold(`**/attempts/${first}`);
  await open(first);
  while (!held.length) await page.waitForTimeout(20);
  await page.evaluate(() => (location.hash = '#/'));
  await open(second);
  await page.getByRole('heading', { name: second }).waitFor();
  held.forEach((go) => go());
  await only(second, first);
});
