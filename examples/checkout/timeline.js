// The timeline in words for a customer. Pay Once tells it in a developer's words, which the page shows as well.

/**
 * One line of `GET /attempts/{id}`.
 * @typedef {object} Line
 * @property {number} seq
 * @property {string} at RFC 3339
 * @property {string} knowing requested, intended, dispatched, observed or inferred
 * @property {string} event
 * @property {Record<string, any>} [details]
 */

/** Every step is written down before it is made. That is the point, but no news to a customer. */
const UNTOLD = new Set([
  'authorize intended',
  'capture intended',
  'return address given',
  'made by this installation',
  'requests to the PSP are written in this form',
]);

/** @type {Record<string, string>} */
const TOLD = {
  'attempt created': 'The shop opened a payment. No money is concerned yet.',
  'authorize requested': 'The shop asked to reserve the amount on your card.',
  'authorize sent to the PSP': 'The payment service was asked to reserve it.',
  'capture requested': 'The shop asked for the reserved amount.',
  'capture sent to the PSP': 'The payment service was asked to take it.',
  'void requested': 'The shop asked to release the amount.',
  'void sent to the PSP': 'The payment service was asked to release it.',
  'asked for again': 'The shop asked again.',
  'authorize had no effect, as the PSP rejected it; it can be asked for again': 'Nothing was reserved. It is asked for again later.',
  'capture had no effect, as the PSP rejected it; it can be asked for again': 'Nothing was taken. It is asked for again later.',
};

/** @type {Record<string, string>} */
const SOURCES = {
  'the PSP answered': 'The payment service answered:',
  'a webhook said': 'The payment service sent word:',
  'a look-up found': 'We looked it up:',
  'an operator said': 'Our staff looked it up:',
};

/** @type {Record<string, string>} */
const NEWS = {
  authorized: 'the amount is reserved.',
  captured: 'the amount is paid.',
  voided: 'the amount is released.',
  lapsed: 'the reservation has lapsed.',
  refunded: 'the amount is paid back.',
  refused: 'declined.',
  'the customer must act': 'your bank asks whether it is you.',
  'our request was rejected': 'it does not accept our requests at the moment.',
  'nothing there': 'it has not happened so far.',
};

/**
 * The lines that are worth telling, each with its words and the time since the first.
 * @param {Line[]} lines
 * @returns {Array<{at: string, afterMs: number, told: string, tone: 'good' | 'bad' | 'unknown' | 'plain'}>}
 */
export function story(lines) {
  const begun = Date.parse(lines[0]?.at ?? '');
  const sent = new Set();
  return lines
    .filter((line) => !UNTOLD.has(line.event))
    .map(({ at, event, knowing, details }) => {
      // What is proven to have had no effect is sent under another key, and is no repetition.
      const request = details?.psp_key ?? event;
      const isAgain = knowing === 'dispatched' && sent.has(request);
      sent.add(request);
      const told = isAgain ? 'It was asked again, under the same key: that cannot count twice.' : words(event);
      return { at, afterMs: Date.parse(at) - begun, told, tone: tone(event) };
    });
}

/** @param {string} event */
function words(event) {
  if (event in TOLD) return TOLD[event];
  const [by, saw] = event.split(': ');
  if (saw === 'outcome unknown') return 'No answer that can be relied on came. It is being found out what happened.';
  // Of several effects the last is the news.
  const news = NEWS[saw?.split(', ').at(-1) ?? ''];
  if (by in SOURCES && news) return `${SOURCES[by]} ${news}`;
  // A newer Pay Once may say what is not known here: its own words are better than none.
  return `${event.charAt(0).toUpperCase()}${event.slice(1)}.`;
}

/** @param {string} event */
function tone(event) {
  if (event.endsWith('unknown') || event.includes('parked')) return 'unknown';
  if (event.endsWith('refused')) return 'bad';
  return /: .*(authorized|captured)$/.test(event) ? 'good' : 'plain';
}
