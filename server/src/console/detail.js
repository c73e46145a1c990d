// The page of one attempt: what is under way, what the PSP says now, the picture, and the form that resolves.

import { Refusal, look, read } from './api.js';
import { byId, el } from './dom.js';
import { badge, draw as drawPicture, facts, join, list } from './facts.js';
import { age, money, sentence, time } from './format.js';
import { form } from './resolve.js';

/** The attempt that is shown. @type {any} */
let shown = null;

/** Loads an attempt and shows it. @param {string} id */
export async function open(id) {
  shown = await read(id);
  draw('');
  byId('detail-title').focus();
}

/** Shows the attempt as it is now. A form that somebody may be filling in is left alone, unless it is about something that has ended. */
export async function refresh() {
  if (!shown) return;
  const before = shown;
  shown = await read(shown.attempt_id);
  const parking = (/** @type {any} */ attempt) => `${attempt.operation?.state} ${attempt.operation?.generation} ${JSON.stringify(attempt.operation?.proposal)}`;
  if (parking(before) !== parking(shown)) draw('The attempt has changed.');
  else drawTimeline();
}

/** Draws the picture anew, for a page of another width. */
export function resize() {
  if (shown) drawTimeline();
}

export function close() {
  shown = null;
  byId('detail').replaceChildren();
}

/** @param {string} news what has just happened, in words */
function draw(news) {
  const { operation } = shown;
  const button = /** @type {HTMLButtonElement} */ (el('button', { type: 'button', id: 'look', click: () => lookNow(button) }, 'Look now'));
  byId('detail').replaceChildren(
    el('p', { class: 'crumbs' }, el('a', { href: '#/' }, '← All lists')),
    el(
      'header',
      { class: 'attempt' },
      el('div', {}, el('h2', { id: 'detail-title', tabindex: -1 }, shown.attempt_id), el('p', { class: 'amount' }, money(shown.amount, shown.currency), ' ', badge(shown))),
    ),
    el('p', { id: 'news', role: 'status', class: 'news' }, news),
    el('div', { id: 'state' }),
    section('picture', 'Timeline', null, el('div', { id: 'picture' })),
    section('card', 'What the PSP says now', LOOK, button, el('div', { id: 'look-answer', role: 'status' })),
    ...(operation?.state === 'parked' ? [section('card', 'Resolve', null, form(shown, resolved))] : []),
    section('list', 'Timeline in words', null, el('div', { id: 'lines' })),
  );
  byId('news').hidden = !news;
  drawTimeline();
}

function drawTimeline() {
  const { operation } = shown;
  byId('state').replaceChildren(facts(shown), ...(operation ? [underWay(operation)] : []));
  drawPicture(byId('picture'), shown);
  byId('lines').replaceChildren(list(shown));
}

const LOOK = 'A look moves no money. What it shows is added to the timeline, and an effect that it shows ends what is parked or in doubt.';

/** @param {string} kind @param {string} title @param {string | null} hint @param {...Node} children */
function section(kind, title, hint, ...children) {
  const id = `title-${title.toLowerCase().replaceAll(' ', '-')}`;
  return el('section', { class: kind, 'aria-labelledby': id }, el('h3', { id }, title), hint ? el('p', { class: 'hint' }, hint) : null, ...children);
}

/** Marks and lines light up together wherever they are on the page. */
export function listen() {
  join(byId('detail'));
}

/** @param {any} operation */
function underWay({ name, state, since, reason, next_check_at: next }) {
  /** @type {Record<string, string>} */
  const meaning = {
    parked: 'Only the PSP or an operator can end it now.',
    in_doubt: 'The outcome is unknown, and the server finds out by itself. An operator need not act.',
    in_flight: 'Its answer may still come.',
  };
  return el(
    'section',
    { class: `card operation ${state}`, 'aria-labelledby': 'operation-title' },
    el('h3', { id: 'operation-title' }, `${sentence(name)} is ${state.replaceAll('_', ' ')}`),
    el('p', {}, `It began at ${time(since)}, ${age(since)} ago. ${meaning[state] ?? ''}`),
    reason ? el('p', {}, `Why: ${reason}.`) : null,
    next ? el('p', {}, `The next look is at ${time(next)}.`) : null,
  );
}

/** @param {HTMLButtonElement} button */
async function lookNow(button) {
  const place = byId('look-answer');
  button.disabled = true;
  place.replaceChildren(el('p', {}, 'The PSP is being asked …'));
  try {
    const before = shown.operation?.state;
    shown = await look(shown.attempt_id);
    const told = said(shown.look);
    const hasEnded = before !== shown.operation?.state;
    if (hasEnded) draw('The look has changed what is under way.');
    else drawTimeline();
    byId('look-answer').replaceChildren(...told);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    place.replaceChildren(el('p', { class: 'says' }, error.message));
  } finally {
    byId('look').disabled = false;
    byId('look').focus();
  }
}

/** What the look showed. @param {any} answer */
function said({ state, asked_at: at, found, effects = [], not_ours: others = [], is_new: isNew }) {
  if (state === 'too_soon') return [el('p', {}, 'The PSP was asked about this attempt within the last two seconds. Look again in a moment.')];
  const nothing = found === 'nothing there';
  const rows = effects.map((/** @type {any} */ one) => el('li', {}, `${one.kind} of ${money(one.amount, shown.currency)}, ${one.psp_reference}`));
  return [
    el('p', { class: 'found' }, nothing ? 'The PSP shows no payment of this attempt.' : `The PSP shows: ${found}.`),
    rows.length ? el('ul', {}, ...rows) : el('p', { class: 'hint' }, nothing ? 'Its books may still show one: a look-up can lag behind them.' : ''),
    ...(others.length ? [el('p', { class: 'says' }, `There are objects with this attempt's reference that are not known to be its own: ${others.join(', ')}.`)] : []),
    el('p', { class: 'hint' }, `Asked at ${time(at)}. ${isNew ? 'The timeline has it now.' : 'This was known before.'}`),
  ];
}

/** @param {{status: number, body: any}} answer */
async function resolved({ status, body }) {
  shown = body.timeline ? body : await read(body.attempt_id);
  const { operation } = shown;
  const isProposed = status === 202 && operation?.proposal;
  const next = operation ? `${sentence(operation.name)} is ${operation.state.replaceAll('_', ' ')} now.` : `The attempt is ${shown.status.toLowerCase()}.`;
  draw(isProposed ? 'Proposed. Another operator has to state the same before it takes effect.' : `Resolved. ${next}`);
  byId('detail-title').focus();
}
