// The pages. They work without JavaScript; public/checkout.js makes them nicer.

import { html } from './html.js';
import { money } from './money.js';
import { currentTry, stateOf } from './orders.js';
import { isInDoubt } from './payments.js';
import { story } from './timeline.js';
import { CARDS } from './shop.js';

/** @typedef {import('./orders.js').Order} Order */
/** @typedef {import('pay-once').Attempt} Attempt */
/** @typedef {ReturnType<typeof html>} Html */

/** Seconds between two reloads of an unfinished page in a browser without JavaScript. */
const RELOAD_S = 2;
/** After this long without an end the page says that it takes longer than usual, in milliseconds. */
const LONG_MS = 8_000;

/**
 * @param {object} page
 * @param {string} page.title
 * @param {Html} page.body
 * @param {boolean} [page.isUnfinished] whether it is to be looked at again
 */
const layout = ({ title, body, isUnfinished = false }) => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Kettle &amp; Co.</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,">
${isUnfinished && html`<noscript><meta http-equiv="refresh" content="${RELOAD_S}"></noscript>`}
<script src="/checkout.js" defer></script>
</head>
<body>
<header><a href="/">Kettle &amp; Co.</a><span>A sandbox shop: no real money</span></header>
${body}
</body>
</html>
`;

/**
 * The form that pays. What it carries is an order's id and the number of the try; the same form, sent twice, is the same
 * try. It carries no price and no idempotency key: neither is the browser's to say.
 *
 * @param {{orderId: string, number: number, button: string, chosen?: string}} form `chosen`: the token of the card that is marked
 */
const payForm = ({ orderId, number, button, chosen }) => html`
<form method="post" action="/pay" data-pay>
  <input type="hidden" name="order" value="${orderId}">
  <input type="hidden" name="try" value="${number}">
  <fieldset>
    <legend>Pay with</legend>
    ${CARDS.map(
      ({ token, label, about }) => html`
    <label class="card">
      <input type="radio" name="card" value="${token}" required${token === chosen && html` checked`}>
      <span><b>${label}</b><small>${about}</small></span>
    </label>`,
    )}
  </fieldset>
  <button type="submit">${button}</button>
</form>`;

const kettle = html`<svg class="picture" viewBox="0 0 120 100" aria-hidden="true">
  <path d="M34 46 C34 6 86 6 86 46" fill="none" stroke="currentColor" stroke-width="5" stroke-linecap="round"/>
  <path d="M86 56 L108 38 L112 44 L92 78 Z" fill="#c2410c"/>
  <path d="M24 88 C18 60 30 40 60 40 C90 40 102 60 96 88 Z" fill="#ea580c"/>
  <rect x="50" y="32" width="20" height="9" rx="4" fill="currentColor"/>
</svg>`;

/**
 * @param {object} shop
 * @param {{name: string, about: string, amount: number, currency: string}} shop.product
 * @param {string} shop.orderId
 * @param {boolean} shop.isRenewed whether the customer sent a form that is no longer good
 */
export function shopPage({ product, orderId, isRenewed }) {
  const price = money(product.amount, product.currency);
  return layout({
    title: product.name,
    body: html`<main>
${isRenewed && html`<p class="note" role="alert">That page was out of date, so nothing was paid from it. This one is not.</p>`}
<section class="product">
  ${kettle}
  <div><h1>${product.name}</h1><p>${product.about}</p><p class="price">${price}</p></div>
</section>
${payForm({ orderId, number: 1, button: `Pay ${price}`, chosen: CARDS[0].token })}
</main>`,
  });
}

/**
 * @param {object} view
 * @param {Order} view.order
 * @param {Attempt | null} view.attempt the current try's attempt, with its timeline, if it could be read
 * @param {boolean} view.inDoubt
 * @param {boolean} view.isRejected whether the PSP rejects the shop's requests at present
 * @param {string} view.itemName
 */
export function orderPage({ order, attempt, inDoubt, isRejected, itemName }) {
  const { mood, heading, text } = headline(order, attempt, inDoubt, isRejected);
  // A finished order whose timeline could not be read is looked at again, too.
  const isUnfinished = stateOf(order) === 'open' || !attempt?.timeline;
  return layout({
    title: heading,
    isUnfinished,
    body: html`<main data-order${isUnfinished && html` data-unfinished`}>
<section class="status" id="status" role="status" aria-live="polite" data-part>
  <div class="mood ${mood}"><h1>${heading}</h1><p>${text}</p></div>
</section>
<p class="note" id="connection" role="status" hidden>The shop cannot be reached at the moment. This page keeps trying; your order is safe. Please do not pay again.</p>
<div id="next" data-part>${nextStep(order, attempt)}</div>
<section id="details" data-part>${details(order, attempt, itemName)}</section>
</main>`,
  });
}

/** The PSP's words, which may end in a full stop or not. @param {string} [words] */
const sentence = (words) => (words ? `${words.replace(/[. ]+$/, '')}.` : '');

/**
 * What the customer is told. Never that it failed, unless that is known.
 * @param {Order} order
 * @param {Attempt | null} attempt
 * @param {boolean} inDoubt
 * @param {boolean} isRejected
 * @returns {{mood: string, heading: string, text: string}}
 */
function headline(order, attempt, inDoubt, isRejected) {
  const price = money(order.amount, order.currency);
  const { ending, at } = currentTry(order);
  if (ending?.outcome === 'paid') {
    return { mood: 'good', heading: 'Paid. Thank you!', text: `You paid ${price}, once. Your order is on its way.` };
  }
  if (ending?.outcome === 'declined') {
    return {
      mood: 'bad',
      heading: 'The payment was declined',
      text: `${sentence(ending.message)} No money was taken. You can try again.`,
    };
  }
  if (ending) {
    return {
      mood: 'bad',
      heading: 'The payment was not made',
      text: 'It ended without taking any money. You can try again.',
    };
  }
  if (inDoubt || isInDoubt(attempt ?? undefined)) {
    return {
      mood: 'unknown',
      heading: 'We are finding out',
      text: 'We do not know yet whether your payment went through, and are finding out. Please do not pay again. You may close this page: the order goes on without it.',
    };
  }
  if (isRejected) {
    // Nothing is said of the money: while this page is read, the next call may be under way.
    return {
      mood: 'waiting',
      heading: 'Your payment has to wait',
      text: 'Something is wrong between the shop and its payment service, not with your card. We keep trying with this payment. Please wait, and do not pay again. You may close this page: the order goes on without it.',
    };
  }
  if (attempt?.status === 'REQUIRES_ACTION') {
    return {
      mood: 'waiting',
      heading: 'Your bank asks whether it is you',
      text: `It asks for your approval before ${price} can be paid.`,
    };
  }
  if (Date.now() - Date.parse(at) > LONG_MS) {
    return {
      mood: 'waiting',
      heading: 'This takes longer than usual',
      text: 'Your payment is still being made. Please do not pay again. You may close this page: the order goes on without it.',
    };
  }
  return {
    mood: 'waiting',
    heading: 'Your payment is being made',
    text: `You pay ${price} once at most, whatever you click.`,
  };
}

/**
 * @param {Order} order
 * @param {Attempt | null} attempt
 */
function nextStep(order, attempt) {
  if (stateOf(order) === 'unpaid') {
    // Offered here and nowhere else: `unpaid` is what `safe_new_key` said.
    return payForm({
      orderId: order.id,
      number: order.tries.length + 1,
      button: `Pay ${money(order.amount, order.currency)} in a new try`,
    });
  }
  if (stateOf(order) === 'paid') return html`<p><a href="/">Back to the shop</a></p>`;
  const url = attempt?.status === 'REQUIRES_ACTION' ? attempt.next_action?.url : undefined;
  if (!url || !/^https?:\/\//.test(url)) return html``;
  // The bank sends the customer back here. Whether the money is reserved is not what the browser brings with it: that is
  // what Pay Once says.
  return html`<p><a class="button" href="${url}" rel="noreferrer">Go to your bank</a></p>
<p>When you have answered there, you come back to this page. Your order goes on in any case.</p>`;
}

/**
 * @param {Order} order
 * @param {Attempt | null} attempt
 * @param {string} itemName
 */
function details(order, attempt, itemName) {
  const earlier = order.tries.slice(0, -1);
  return html`
<h2>Your order</h2>
<dl>
  <div><dt>Order</dt><dd><code>${order.id}</code></dd></div>
  <div><dt>Item</dt><dd>${itemName}</dd></div>
  <div><dt>Amount</dt><dd>${money(order.amount, order.currency)}</dd></div>
  <div><dt>Try</dt><dd>${order.tries.length}</dd></div>
  ${
    attempt &&
    html`<div><dt>Payment</dt><dd><code>${attempt.attempt_id}</code></dd></div>
  <div><dt>Status</dt><dd><code data-status>${attempt.status}</code></dd></div>`
  }
</dl>
${
  earlier.length > 0 &&
  html`<h2>Earlier tries</h2>
<ul class="earlier">${earlier.map(({ number, ending }) => html`<li>Try ${number}: ${ending?.outcome}. ${sentence(ending?.message)} No money was taken.</li>`)}</ul>`
}
<h2>What happened <small>(times in UTC)</small></h2>
${attempt?.timeline ? timeline(attempt.timeline) : html`<p>Nothing has been heard of it so far. This page looks again by itself.</p>`}`;
}

/** @param {import('./timeline.js').Line[]} lines */
const timeline = (lines) => html`
<ol class="timeline">${story(lines).map(
  ({ at, afterMs, told, tone }) => html`
  <li class="${tone}"><time datetime="${at}">${at.slice(11, 19)}<small>+${(afterMs / 1000).toFixed(2)} s</small></time><span>${told}</span></li>`,
)}
</ol>
<details id="record"><summary>As Pay Once recorded it</summary>
<table><thead><tr><th scope="col">#</th><th scope="col">At (UTC)</th><th scope="col">Knowing</th><th scope="col">Event</th></tr></thead>
<tbody>${lines.map(
  ({ seq, at, knowing, event }) => html`
<tr><td>${seq}</td><td>${at.slice(11, 23)}</td><td>${knowing}</td><td>${event}</td></tr>`,
)}</tbody></table></details>`;

/**
 * A page about a request that did nothing.
 * @param {string} title
 * @param {string} text
 */
export const plainPage = (title, text) =>
  layout({ title, body: html`<main><h1>${title}</h1><p>${text}</p><p><a href="/">Back to the shop</a></p></main>` });
