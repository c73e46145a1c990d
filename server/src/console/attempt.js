// One attempt in the quick start, for a browser that opens `/attempts/{id}`. It is read again while something is under way.

import { byId, el } from './dom.js';
import { badge, facts, framed, join, list } from './facts.js';
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
  const timeline = el('div', { id: 'timeline' });
  byId('attempt').replaceChildren(
    el('header', { class: 'attempt' }, el('div', {}, el('h1', {}, attempt.attempt_id), el('p', { class: 'amount' }, money(attempt.amount, attempt.currency), ' ', badge(attempt)))),
    el('section', { 'aria-labelledby': 'timeline-title' }, el('h2', { id: 'timeline-title' }, 'Timeline'), timeline),
    el('section', { 'aria-labelledby': 'facts-title' }, el('h2', { id: 'facts-title' }, 'Facts'), facts(attempt)),
    el('p', { class: 'hint' }, 'Programs get the same as JSON: ', el('code', {}, `curl ${location.href}`)),
  );
  timeline.replaceChildren(framed(attempt, timeline.clientWidth), list(attempt));
  join(timeline);
  if (attempt.operation) setTimeout(again, AGAIN_MS);
}

function again() {
  show().catch(() => byId('attempt').prepend(el('p', { class: 'says' }, 'The server does not answer. Reload the page to try again.')));
}

again();
