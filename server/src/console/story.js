// What the timeline of an attempt tells: marks on lanes, and calls from their sending to their answer.

/**
 * One line of the timeline of `GET /attempts/{id}`.
 * @typedef {object} Line
 * @property {number} seq
 * @property {string} at RFC 3339
 * @property {string} knowing requested, intended, dispatched, observed or inferred
 * @property {string} event
 * @property {Record<string, any>} [details]
 */
/** @typedef {'good' | 'bad' | 'unknown' | 'plain'} Tone */
/** @typedef {{seq: number, atMs: number, lane: string, tone: Tone, event: string}} Mark */
/**
 * @typedef {object} Span
 * @property {number} seq of the line that says that it was sent
 * @property {number} fromMs
 * @property {number} toMs
 * @property {boolean} isOpen whether nothing is known of its end
 * @property {string} name
 * @property {Tone} tone
 * @property {string} ended how, in words
 */
/** @typedef {{fromMs: number, toMs: number, name: string, tone: Tone}} Now */
/** @typedef {{marks: Mark[], spans: Span[], now: Now, beginMs: number, endMs: number, isOpen: boolean}} Story */

/** The lanes, from top to bottom, and what is on them. */
export const LANES = [
  ['requests', 'Clients', 'what a client or an operator asked for'],
  ['decisions', 'Decisions', 'what Pay Once decided or concluded'],
  ['calls', 'Calls to the PSP', 'from the sending to the answer'],
  ['answers', 'Answers', 'what the PSP answered to a call'],
  ['lookups', 'Look-ups', 'what a read or a look-up found'],
  ['webhooks', 'Webhooks', 'what the PSP reported by itself'],
  ['operators', 'Operators', 'what an operator stated'],
];

/** Every record has these lines. They are in the list and would only fill the picture. */
const BOOKKEEPING = /^(made by installation|requests to the PSP are written|return address given)/;

/** @param {Line} line */
export const isBookkeeping = (line) => BOOKKEEPING.test(line.event);

/** @type {Array<[string, string]>} */
const SOURCES = [
  ['the PSP answered:', 'answers'],
  ['a look-up found:', 'lookups'],
  ['a webhook said:', 'webhooks'],
  ['an operator said:', 'operators'],
];

/** The lane of a line. @param {Line} line */
export function lane(line) {
  if (line.knowing === 'observed') return SOURCES.find(([start]) => line.event.startsWith(start))?.[1] ?? 'answers';
  if (line.knowing === 'dispatched') return 'calls';
  if (line.knowing !== 'requested') return 'decisions';
  return /^(resolve requested|an operator proposes)/.test(line.event) ? 'operators' : 'requests';
}

/** What a line says of the money. @param {Line} line @returns {Tone} */
export function tone(line) {
  const { event } = line;
  if (/unknown|parked|proposes|must not stand|did not leave|restored from a backup|did not make/.test(event)) return 'unknown';
  if (/refused|rejected|without effect|failed|taken back/.test(event)) return 'bad';
  return line.knowing === 'observed' && /authorized|captured|voided|lapsed|refunded/.test(event) ? 'good' : 'plain';
}

const ms = (/** @type {string} */ at) => Date.parse(at);

/**
 * @param {{timeline?: Line[], status: string, operation?: {name: string, state: string, since: string}}} attempt
 * @param {number} nowMs
 * @returns {Story}
 */
export function story(attempt, nowMs) {
  const lines = attempt.timeline ?? [];
  const shown = lines.filter((line) => !isBookkeeping(line));
  const beginMs = ms(lines[0]?.at ?? new Date(nowMs).toISOString());
  const lastMs = ms(lines.at(-1)?.at ?? new Date(nowMs).toISOString());
  const isOpen = attempt.operation !== undefined || !/CAPTURED|VOIDED|DECLINED|EXPIRED/.test(attempt.status);
  // The server's clock may be ahead of this machine's.
  const endMs = isOpen ? Math.max(nowMs, lastMs) : lastMs;
  const marks = shown
    .filter((line) => line.knowing !== 'dispatched')
    .map((line) => ({ seq: line.seq, atMs: ms(line.at), lane: lane(line), tone: tone(line), event: line.event }));
  const isInFlight = attempt.operation?.state === 'in_flight';
  const spans = shown.filter((line) => line.knowing === 'dispatched').map((line) => span(line, shown, endMs, isInFlight));
  return { marks, spans, now: now(attempt, lastMs, endMs), beginMs, endMs, isOpen };
}

/**
 * A call. It ends with the line that names it, and otherwise where its outcome is seen in another way, where something is sent again, or
 * with the attempt.
 * @param {Line} sent @param {Line[]} lines @param {number} endMs @param {boolean} isInFlight @returns {Span}
 */
function span(sent, lines, endMs, isInFlight) {
  const later = lines.filter((line) => line.seq > sent.seq);
  const answer = later.find((line) => line.knowing === 'observed' && line.details?.call === sent.details?.call);
  const isEnd = (/** @type {Line} */ line) => line.knowing === 'dispatched' || (line.knowing === 'observed' && tone(line) === 'good');
  const again = later.find(isEnd);
  const name = sent.event.replace(' sent to the PSP', '');
  const fromMs = ms(sent.details?.sent_at ?? sent.at);
  const end = answer ?? again;
  const toMs = Math.max(fromMs, end ? ms(end.at) : endMs);
  if (answer) {
    const isOpen = tone(answer) === 'unknown';
    return { seq: sent.seq, fromMs, toMs, isOpen, name, tone: tone(answer), ended: answer.event.replace('the PSP answered: ', '') };
  }
  const mayCome = isInFlight && !again;
  return { seq: sent.seq, fromMs, toMs, isOpen: true, name, tone: mayCome ? 'plain' : 'unknown', ended: mayCome ? 'no answer yet' : 'no answer' };
}

/**
 * What the attempt is now, and since when.
 * @param {{timeline?: Line[], status: string, operation?: any}} attempt @param {number} lastMs @param {number} endMs @returns {Now}
 */
function now({ timeline = [], status, operation }, lastMs, endMs) {
  const name = status.toLowerCase().replaceAll('_', ' ');
  if (operation) {
    const state = operation.state.replaceAll('_', ' ');
    const parked = timeline.findLast((line) => line.knowing === 'inferred' && line.event.endsWith('parked for an operator'));
    const fromMs = ms(operation.state === 'parked' && parked ? parked.at : operation.since);
    return { fromMs, toMs: endMs, name: `${operation.name} ${state}`, tone: operation.state === 'in_flight' ? 'plain' : 'unknown' };
  }
  /** @type {Record<string, Tone>} */
  const tones = { CAPTURED: 'good', AUTHORIZED: 'good', DECLINED: 'bad', EXPIRED: 'bad', REQUIRES_ACTION: 'unknown' };
  return { fromMs: lastMs, toMs: endMs, name, tone: tones[status] ?? 'plain' };
}
