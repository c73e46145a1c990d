// The lists: what waits for whom, since when.

import { Refusal, search } from './api.js';
import { byId, el } from './dom.js';
import { age, money, sentence, time, words } from './format.js';
import { badge } from './facts.js';

/** What is listed: the state of the search, its name, and what it means. */
export const STATES = [
  ['parked', 'Parked', 'An operator has to find out what happened, and resolve it.'],
  ['in_doubt', 'In doubt', 'The outcome of a call is unknown. The server finds out by itself.'],
  ['unsent', 'Unsent', 'A call could not be sent. The server tries again.'],
  ['requires_action', 'Requires action', 'The customer has to finish 3-D Secure.'],
];

const PAGE = '50';

/** A page of a list. @typedef {{attempts: any[], next?: string}} Found */

/** The tiles above the list: how many there are, and the age of the oldest. @param {string} chosen */
export function drawTiles(chosen) {
  const tiles = STATES.map(([state, name]) =>
    el(
      'a',
      { class: `tile ${state}`, href: `#/${state}`, id: `tile-${state}`, 'aria-current': state === chosen ? 'page' : undefined },
      el('span', { class: 'count', 'aria-hidden': true }, '–'),
      el('span', { class: 'name' }, name),
      el('span', { class: 'oldest' }, ' '),
    ),
  );
  byId('tiles').replaceChildren(...tiles);
}

/** @param {string} state @param {Found | Refusal} found */
export function fillTile(state, found) {
  const tile = byId(`tile-${state}`);
  const name = STATES.find(([known]) => known === state)?.[1] ?? state;
  const [count, , oldest] = tile.children;
  if (found instanceof Refusal) {
    count.textContent = '?';
    oldest.textContent = 'not known';
    tile.setAttribute('aria-label', `${name}: not known`);
    return;
  }
  const { attempts, next } = found;
  const many = `${attempts.length}${next ? '+' : ''}`;
  const since = attempts.map((attempt) => attempt.state_since ?? attempt.created_at).sort()[0];
  count.textContent = many;
  oldest.textContent = since ? `oldest ${age(since)}` : 'none';
  tile.classList.toggle('some', attempts.length > 0);
  tile.setAttribute('aria-label', `${name}: ${many}${since ? `, the oldest since ${age(since)}` : ''}`);
}

/** The first page of a state. @param {string} state @returns {Promise<Found | Refusal>} */
export async function firstPage(state) {
  try {
    return await search({ state, limit: PAGE });
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** A list that goes on. */
export class List {
  /** @type {any[]} */ #attempts = [];
  /** @type {string | undefined} */ #next;
  /** @param {Record<string, string>} query @param {string} title @param {string} about */
  constructor(query, title, about) {
    this.query = query;
    this.title = title;
    this.about = about;
  }

  /** Whether more than the first page is shown: a refresh would take it away. */
  get isLong() {
    return this.#attempts.length > Number(PAGE);
  }

  /** Shows this as the first page. @param {Found} found */
  show({ attempts, next }) {
    this.#attempts = attempts;
    this.#next = next;
    this.#draw();
  }

  async load() {
    this.show(await search({ ...this.query, limit: PAGE }));
  }

  async #more() {
    const { attempts, next } = await search({ ...this.query, limit: PAGE, after: this.#next ?? '' });
    const first = this.#attempts.length;
    this.#attempts = [...this.#attempts, ...attempts];
    this.#next = next;
    this.#draw();
    byId('list').querySelectorAll('tbody a')[first]?.focus();
  }

  #draw() {
    const focused = document.activeElement?.getAttribute('data-id');
    byId('list-title').textContent = this.title;
    byId('list-about').textContent = this.about;
    const { length } = this.#attempts;
    const table = el('table', { class: 'attempts' }, el('caption', { class: 'unseen' }, this.title), head(), el('tbody', {}, ...this.#attempts.map(row)));
    const more = el('button', { type: 'button', click: () => this.#more().catch(showProblem) }, 'Show more');
    byId('list').replaceChildren(length ? table : el('p', { class: 'empty' }, 'There is none.'), ...(this.#next ? [more] : []));
    if (focused) byId('list').querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }
}

function head() {
  const names = ['Since', 'Attempt', 'State', 'Amount', 'Order', 'Merchant', 'Why'];
  return el('thead', {}, el('tr', {}, ...names.map((name) => el('th', { scope: 'col', class: name === 'Amount' ? 'number' : undefined }, name))));
}

/** @param {any} attempt */
function row(attempt) {
  const since = attempt.state_since ?? attempt.operation?.since ?? attempt.created_at;
  return el(
    'tr',
    {},
    el('td', { class: 'age' }, el('time', { datetime: since, title: time(since) }, age(since))),
    el('td', { class: 'id' }, el('a', { href: `#/attempts/${attempt.attempt_id}`, 'data-id': attempt.attempt_id }, attempt.attempt_id)),
    el('td', {}, badge(attempt)),
    el('td', { class: 'number' }, money(attempt.amount, attempt.currency)),
    el('td', {}, attempt.order_id ?? ''),
    el('td', {}, attempt.merchant ?? ''),
    el('td', { class: 'why' }, sentence(attempt.operation?.reason ?? (attempt.state ? words(attempt.state) : ''))),
  );
}

/** Says what went wrong, where everybody sees and hears it. @param {unknown} error */
export function showProblem(error) {
  const place = byId('problem');
  place.textContent = error instanceof Error ? error.message : String(error);
  place.hidden = false;
}

export function hideProblem() {
  byId('problem').hidden = true;
}
