// One attempt in the quick start, for a browser that opens `/attempts/{id}`. It is read again while something is under way.

import { byId, el } from './dom.js';
import { badge, draw, facts, join, list } from './facts.js';
import { money } from './format.js';

/** How soon an attempt that is under way is read again, in milliseconds. */
const AGAIN_MS = 1_000;

async function show() {
  const response = await fetch(location.pathname, { headers: { Accept: 'application/json' }, cache: 'no-store' });
  const attempt = await response.json();
  if (!response.ok) {
    byId('attempt').replaceChildren(el('p', { class: 'says' }, attempt.error?.message ?? `The server answered ${response.status}.`));
    return;
  }
  document.title = `${attempt.attempt_id} · Pay Once`;
  const picture = el('div', {});
  byId('attempt').replaceChildren(
    el('header', { class: 'attempt' }, el('div', {}, el('h1', {}, attempt.attempt_id), el('p', { class: 'amount' }, money(attempt.amount, attempt.currency), ' ', badge(attempt)))),
    facts(attempt),
    el('section', { 'aria-labelledby': 'picture-heading' }, el('h2', { id: 'picture-heading' }, 'Timeline'), picture),
    el('section', { 'aria-labelledby': 'words-heading' }, el('h2', { id: 'words-heading' }, 'Timeline in words'), list(attempt)),
    el('p', { class: 'hint' }, 'Programs get the same as JSON: ', el('code', {}, `curl ${location.href}`)),
  );
  draw(picture, attempt);
  if (attempt.operation) setTimeout(again, AGAIN_MS);
}

function again() {
  show().catch(() => byId('attempt').prepend(el('p', { class: 'says' }, 'The server does not answer. Reload the page to try again.')));
}

join(byId('attempt'));
again();
