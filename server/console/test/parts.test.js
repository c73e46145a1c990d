// The parts of the pages that need no browser: amounts, times, and what a timeline tells.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axis, width } from '../../src/console/axis.js';
import { money, period } from '../../src/console/format.js';
import { choices } from '../../src/console/resolve.js';
import { story } from '../../src/console/story.js';

test('an amount has as many decimals as its currency', () => {
  for (const [amount, currency, shown] of /** @type {Array<[number, string, string]>} */ ([
    [2599, 'GBP', '25.99 GBP'],
    [5, 'EUR', '0.05 EUR'],
    [1234567, 'JPY', '1,234,567 JPY'],
    [1234567, 'KWD', '1,234.567 KWD'],
    [12345, 'CLF', '1.2345 CLF'],
    [9007199254740991, 'USD', '90,071,992,547,409.91 USD'],
  ]))
    assert.equal(money(amount, currency), shown);
});

test('a period has two units at most', () => {
  const spoken = [0, 620, 4_250, 59_000, 200_000, 7_500_000, 273_600_000].map(period);
  assert.deepEqual(spoken, ['0 ms', '620 ms', '4.2 s', '59 s', '3 min 20 s', '2 h 5 min', '3 d 4 h']);
});

test('the axis keeps the order, and draws a longer pause longer', () => {
  assert.ok(width(1_000) < width(60_000) && width(60_000) < width(86_400_000));
  assert.ok(width(86_400_000) < 10 * width(1_000), 'a day fits on a page beside a second');
  const room = () => 20;
  const { x, endPx, ticks } = axis([0, 5, 700, 86_400_000, 5], room, 1_000);
  assert.deepEqual([0, 5, 700, 86_400_000].map(x), [0, 5, 700, 86_400_000].map(x).sort((a, b) => a - b));
  assert.equal(x(0), 0);
  assert.equal(Math.round(endPx), 1_000, 'a short story fills the page');
  assert.throws(() => x(6));
  for (const [nth, tick] of ticks.entries()) if (nth > 0) assert.ok(tick.x - ticks[nth - 1].x >= 78, 'labels do not touch');
});

const AT = '2026-11-29T08:04:2';
const line = (/** @type {number} */ seq, /** @type {string} */ knowing, /** @type {string} */ event, details = {}) => ({ seq, at: `${AT}${seq}.000Z`, knowing, event, details });
const ms = (/** @type {number} */ seq) => Date.parse(`${AT}${seq}.000Z`);

test('a call lasts until its answer, and an answer that tells nothing leaves it open', () => {
  const timeline = [
    line(0, 'requested', 'attempt created'),
    line(1, 'requested', 'made by installation x'),
    line(2, 'dispatched', 'authorize sent to the PSP', { call: 'call_1', sent_at: `${AT}2.000Z` }),
    line(3, 'observed', 'the PSP answered: outcome unknown', { call: 'call_1' }),
    line(4, 'dispatched', 'authorize sent to the PSP', { call: 'call_2', sent_at: `${AT}4.000Z` }),
    line(6, 'observed', 'the PSP answered: authorized', { call: 'call_2' }),
  ];
  const { spans, marks, now } = story({ timeline, status: 'AUTHORIZED' }, ms(9));
  assert.deepEqual(
    spans.map(({ fromMs, toMs, isOpen, tone }) => ({ fromMs, toMs, isOpen, tone })),
    [
      { fromMs: ms(2), toMs: ms(3), isOpen: true, tone: 'unknown' },
      { fromMs: ms(4), toMs: ms(6), isOpen: false, tone: 'good' },
    ],
  );
  assert.deepEqual(marks.map(({ seq, lane }) => [seq, lane]), [[0, 'requests'], [3, 'answers'], [6, 'answers']]);
  assert.deepEqual(now, { fromMs: ms(6), toMs: ms(9), name: 'authorized', tone: 'good' });
});

test('a call without an answer ends where its outcome is seen in another way', () => {
  const timeline = [
    line(0, 'requested', 'attempt created'),
    line(1, 'dispatched', 'capture sent to the PSP', { call: 'call_1', sent_at: `${AT}1.000Z` }),
    line(5, 'observed', 'a webhook said: authorized, captured'),
  ];
  const [span] = story({ timeline, status: 'CAPTURED' }, ms(9)).spans;
  assert.deepEqual([span.toMs, span.isOpen, span.ended], [ms(5), true, 'no answer']);
  const operation = { name: 'capture', state: 'in_flight', since: `${AT}1.000Z` };
  const [open] = story({ timeline: timeline.slice(0, 2), status: 'CAPTURING', operation }, ms(9)).spans;
  assert.deepEqual([open.toMs, open.tone, open.ended], [ms(9), 'plain', 'no answer yet']);
});

test('an operator has lanes of its own, and what is parked is parked until now', () => {
  const timeline = [
    line(0, 'requested', 'attempt created'),
    line(1, 'inferred', 'authorize parked for an operator'),
    line(2, 'requested', 'an operator proposes that authorize happened; another operator has to agree'),
    line(3, 'observed', 'an operator said: authorized'),
  ];
  const operation = { name: 'authorize', state: 'parked', since: `${AT}0.000Z` };
  const { marks, now } = story({ timeline, status: 'AUTHORIZING', operation }, ms(8));
  assert.deepEqual(marks.map(({ lane, tone }) => [lane, tone]), [['requests', 'plain'], ['decisions', 'unknown'], ['operators', 'unknown'], ['operators', 'good']]);
  assert.deepEqual(now, { fromMs: ms(1), toMs: ms(8), name: 'authorize parked', tone: 'unknown' });
});

test('each parked operation has choices that say what they do to the money', () => {
  const attempt = (/** @type {string} */ name, more = {}) => ({ amount: 2599, currency: 'GBP', status: 'AUTHORIZING', capture_method: 'manual', operation: { name, state: 'parked', generation: 7 }, ...more });
  for (const name of ['authorize', 'capture', 'void', 'refund']) {
    const all = choices(attempt(name));
    assert.deepEqual(all.map(({ outcome }) => outcome), ['happened', 'did_not_happen'], name);
    for (const { does, operation } of all) assert.ok(does.length > 30 && operation === name);
    assert.deepEqual(all.map(({ takesReference }) => takesReference), [true, false], 'what did not happen has no reference');
  }
  assert.equal(choices(attempt('authorize'))[0].needsReference, true);
  assert.equal(choices(attempt('capture', { authorization: { psp_reference: 'pi_1' } }))[0].needsReference, false);
  assert.equal(choices(attempt('capture', { status: 'CAPTURED' })).length, 1, 'a difference is only closed');
  const restored = { name: 'void', state: 'parked', generation: 7, reason: 'the store was restored from a backup, …' };
  assert.equal(choices(attempt('void', { operation: restored })).at(-1)?.operation, 'capture');
});
