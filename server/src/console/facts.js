// One attempt on a page: what it is, its picture, and its timeline as a list. The operator's page and the quick start share it.

import { el } from './dom.js';
import { age, money, period, sentence, time, words } from './format.js';
import { picture } from './picture.js';
import { LANES, isBookkeeping, lane, tone } from './story.js';

/** @type {Record<string, string>} */
const STATUS_TONES = { CAPTURED: 'good', AUTHORIZED: 'good', DECLINED: 'bad', EXPIRED: 'bad', REQUIRES_ACTION: 'unknown' };

/** Details whose names are not words. @type {Record<string, string>} */
const NAMES = { psp: 'PSP', psp_key: 'PSP key', psp_reference: 'PSP reference', effect: 'Generation', request_id: 'Request ID' };

/** The status as a coloured word. @param {any} attempt */
export function badge({ status, operation }) {
  const isOpen = operation?.state === 'parked' || operation?.state === 'in_doubt';
  const name = isOpen ? `${operation.name} ${words(operation.state)}` : words(status);
  return el('span', { class: `badge ${isOpen ? 'unknown' : (STATUS_TONES[status] ?? 'plain')}` }, name);
}

/** What is known of the attempt, as terms and descriptions. @param {any} attempt */
export function facts(attempt) {
  const { authorization, capture, decline, metadata = {}, currency } = attempt;
  /** @type {Array<[string, string | null | undefined]>} */
  const rows = [
    ['Status', sentence(words(attempt.status))],
    ['Order', attempt.order_id],
    ['Merchant', attempt.merchant],
    ['Created', `${time(attempt.created_at)} (${age(attempt.created_at)} ago)`],
    ['Capture', attempt.capture_method === 'automatic' ? 'automatic, with the authorization' : 'manual, by the merchant'],
    ['Authorized', authorization && `${time(authorization.authorized_at)}`],
    ['At the PSP', authorization && `${authorization.psp}: ${authorization.psp_reference}`],
    ['Captured', capture && `${money(capture.amount, capture.captured_currency ?? currency)}, ${time(capture.captured_at)}`],
    ['Asked for', capture?.requested_amount && money(capture.requested_amount, currency)],
    ['Taken back', capture?.reversed_amount && money(capture.reversed_amount, currency)],
    ['Declined', decline && `${decline.code}: ${decline.message}`],
    ...Object.entries(metadata).map(([name, value]) => /** @type {[string, string]} */ ([`metadata ${name}`, String(value)])),
  ];
  return el('dl', { class: 'facts' }, ...rows.flatMap(([term, value]) => (value ? [el('div', {}, el('dt', {}, term), el('dd', {}, value))] : [])));
}

/** The picture in a frame that scrolls, with its legend. @param {any} attempt @param {number} widthPx */
function framed(attempt, widthPx) {
  const frame = el('div', { class: 'frame', tabindex: 0, role: 'group', 'aria-label': 'Picture of the timeline; it may scroll sideways' });
  // Without the frame's padding and border.
  frame.append(picture(attempt, { nowMs: Date.now(), widthPx: widthPx - 10 }));
  const keys = [
    ['plain', 'a step'],
    ['good', 'the money: seen at the PSP'],
    ['unknown', 'unknown, or waits for people'],
    ['bad', 'refused'],
  ];
  const legend = el('ul', { class: 'legend' }, ...keys.map(([name, meaning]) => el('li', {}, el('span', { class: `key ${name}` }), meaning)));
  legend.append(el('li', {}, 'Long pauses are drawn shorter. Numbers are those of the list.'));
  return el('div', {}, frame, legend);
}

/** The timeline in words. Its rows light up with the marks of the picture. @param {any} attempt */
export function list(attempt) {
  const lines = attempt.timeline ?? [];
  const begun = Date.parse(lines[0]?.at ?? attempt.created_at);
  const rows = lines.map((/** @type {import('./story.js').Line} */ line) => {
    const after = Date.parse(line.at) - begun;
    return el(
      'tr',
      { class: `${tone(line)}${isBookkeeping(line) ? ' bookkeeping' : ''}`, 'data-seq': line.seq },
      el('td', { class: 'seq' }, String(line.seq)),
      el('td', { class: 'at' }, el('time', { datetime: line.at, title: time(line.at) }, after ? `+${period(after)}` : line.at.slice(11, 23))),
      el('td', { class: 'lane' }, LANES.find(([id]) => id === lane(line))?.[1] ?? ''),
      el('td', {}, el('div', { class: 'event' }, sentence(line.event)), details(line.details, attempt.currency)),
    );
  });
  const head = el('tr', {}, ...['No.', 'When', 'Where', 'What'].map((name) => el('th', { scope: 'col' }, name)));
  return el('table', { class: 'lines' }, el('caption', { class: 'unseen' }, 'The timeline in words'), el('thead', {}, head), el('tbody', {}, ...rows));
}

/** What a line says besides. @param {Record<string, any> | undefined} members @param {string} currency */
function details(members = {}, currency) {
  const known = Object.entries(members).filter(([name]) => name !== 'effects');
  const effects = (members.effects ?? []).map((/** @type {any} */ one) => [one.kind, `${money(one.amount, currency)}, ${one.psp_reference}`]);
  const shown = [...effects, ...known].map(([name, value]) => {
    const isAmount = name.endsWith('amount') && typeof value === 'number';
    const text = isAmount ? money(value, members.captured_currency ?? currency) : String(value);
    return el('span', {}, el('b', {}, NAMES[name] ?? sentence(words(name))), ` ${text}`);
  });
  return el('div', { class: 'details' }, ...shown);
}

/** Fills a place that is on the page already with the picture. @param {HTMLElement} place @param {any} attempt */
export function draw(place, attempt) {
  const frame = place.querySelector('.frame');
  const [scrolled, isFocused] = [frame?.scrollLeft ?? 0, document.activeElement === frame];
  place.replaceChildren(framed(attempt, place.clientWidth));
  const drawn = /** @type {HTMLElement} */ (place.querySelector('.frame'));
  drawn.scrollLeft = scrolled;
  if (isFocused) drawn.focus();
}

/** Shows which line of the list a mark of the picture is, and the other way round, under the pointer. @param {HTMLElement} page */
export function join(page) {
  const choose = (/** @type {Event} */ event) => {
    const target = event.target instanceof Element ? event.target.closest('[data-seq]') : null;
    const seq = target?.getAttribute('data-seq');
    for (const one of page.querySelectorAll('[data-seq]')) one.classList.toggle('chosen', seq !== undefined && one.getAttribute('data-seq') === seq);
  };
  page.addEventListener('pointerover', choose);
  page.addEventListener('pointerleave', choose);
}
