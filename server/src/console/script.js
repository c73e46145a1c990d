// The operator's page: the key, the address, and what is refreshed when.

import { Refusal, key, search } from './api.js';
import { close, listen, open, refresh as refreshDetail, resize } from './detail.js';
import { byId } from './dom.js';
import { List, STATES, drawTiles, fillTile, firstPage, hideProblem, showProblem } from './lists.js';

/** How often the page is refreshed, in milliseconds. */
const REFRESH_MS = 10_000;

/** @type {List | null} */
let list = null;
let isRefreshing = false;

/** What the part of the address behind `#` asks for. */
function address() {
  const [, first = '', second = ''] = decodeURIComponent(location.hash).split('/');
  return { first: first || 'parked', second };
}

function showPart(/** @type {'door' | 'lists' | 'detail'} */ name) {
  for (const part of ['door', 'lists', 'detail']) byId(part).hidden = part !== name;
  byId('leave').hidden = name === 'door';
  byId('find').hidden = name === 'door';
}

/** Shows what the address asks for. */
async function go() {
  hideProblem();
  if (!key.get()) {
    showPart('door');
    byId('key').focus();
    return;
  }
  const { first, second } = address();
  if (first === 'attempts' && second) {
    showPart('detail');
    await open(second);
    return;
  }
  close();
  showPart('lists');
  const [state, name, about] = STATES.find(([known]) => known === first) ?? STATES[0];
  const isOrder = first === 'orders' && second;
  drawTiles(isOrder ? '' : state);
  list = isOrder ? new List({ order_id: second }, `Order ${second}`, 'Every attempt of this order.') : new List({ state }, name, about);
  await refresh();
}

/** Refreshes what is shown. */
async function refresh() {
  if (isRefreshing || !key.get()) return;
  isRefreshing = true;
  try {
    if (!byId('detail').hidden) await refreshDetail();
    else await refreshLists();
    byId('updated').textContent = `Updated ${new Date().toISOString().slice(11, 19)} UTC`;
    hideProblem();
  } finally {
    isRefreshing = false;
  }
}

async function refreshLists() {
  const shown = list;
  const pages = await Promise.all(STATES.map(([state]) => firstPage(state)));
  pages.forEach((page, nth) => fillTile(STATES[nth][0], page));
  // Somebody has gone elsewhere meanwhile.
  if (shown !== list || !shown) return;
  const nth = STATES.findIndex(([state]) => state === shown.query.state);
  if (nth < 0) await shown.load();
  else {
    const page = pages[nth];
    if (page instanceof Refusal) throw page;
    if (!shown.isLong) shown.show(page);
  }
}

/** @param {unknown} error */
function failed(error) {
  if (error instanceof Refusal && error.status === 401) {
    key.forget();
    showPart('door');
    byId('key').focus();
  }
  showProblem(error);
}

const guarded = (/** @type {() => Promise<void>} */ work) => () => work().catch(failed);

byId('door-form').addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  key.set(byId('key').value.trim());
  byId('key').value = '';
  guarded(async () => {
    // A wrong key is told here, and not by an empty list.
    await search({ state: 'parked', limit: '1' });
    await go();
  })();
});
byId('leave').addEventListener('click', () => {
  key.forget();
  close();
  location.hash = '';
  showPart('door');
  byId('key').focus();
});
byId('find').addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  const wanted = byId('wanted').value.trim();
  if (wanted) location.hash = wanted.startsWith('pa_') ? `#/attempts/${wanted}` : `#/orders/${encodeURIComponent(wanted)}`;
});
byId('refresh').addEventListener('click', guarded(refresh));
window.addEventListener('hashchange', guarded(go));
window.addEventListener('resize', resize);
window.addEventListener('unhandledrejection', (event) => showProblem(event.reason));
document.addEventListener('visibilitychange', () => !document.hidden && guarded(refresh)());
document.addEventListener('keydown', (event) => {
  // Escape leads from an attempt back to the lists, unless a dialog takes it, or somebody is writing.
  const isTaken = document.querySelector('dialog[open]') || document.activeElement?.matches('input, textarea');
  if (event.key === 'Escape' && !byId('detail').hidden && !isTaken) location.hash = '#/';
});
listen();
setInterval(() => !document.hidden && guarded(refresh)(), REFRESH_MS);
guarded(go)();
