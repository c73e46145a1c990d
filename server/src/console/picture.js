// The timeline of one attempt as a picture: kinds of knowledge on lanes over a time axis, and calls as spans. Every mark has the number
// of its line in the list, so that the list says in words what the picture shows.

import { axis } from './axis.js';
import { svg } from './dom.js';
import { period, time } from './format.js';
import { LANES, story } from './story.js';

/** @typedef {import('./story.js').Story} Story */

const LEFT_PX = 132;
const RIGHT_PX = 24;
const TOP_PX = 34;
const LANE_PX = 40;
const CALL_PX = 30;
const MARK_PX = 11;
/** Distance of two marks of one time on one lane, in pixels. */
const STEP_PX = 26;

/**
 * The picture of an attempt, at least `widthPx` wide. It may be wider: its frame scrolls.
 * @param {any} attempt as of `GET /attempts/{id}` @param {{nowMs: number, widthPx: number}} options
 */
export function picture(attempt, { nowMs, widthPx }) {
  const told = story(attempt, nowMs);
  const rows = rowsOf(told);
  const times = [told.endMs, told.now.fromMs, ...told.marks.map((mark) => mark.atMs), ...told.spans.flatMap((one) => [one.fromMs, one.toMs])];
  const scale = axis(times, room(told), widthPx - LEFT_PX - RIGHT_PX);
  const x = (/** @type {number} */ ms) => LEFT_PX + scale.x(ms);
  const bottom = TOP_PX + rows.reduce((sum, row) => sum + row.px, 0) + LANE_PX;
  const width = LEFT_PX + scale.endPx + RIGHT_PX;
  const root = svg('svg', {
    class: 'picture',
    role: 'img',
    'aria-labelledby': 'picture-title picture-words',
    viewBox: `0 0 ${width} ${bottom + 8}`,
    width,
    height: bottom + 8,
  });
  root.append(svg('title', { id: 'picture-title' }, `Timeline of attempt ${attempt.attempt_id}`), svg('desc', { id: 'picture-words' }, inWords(told)));
  root.append(...grid(told, scale.ticks, bottom));
  let top = TOP_PX;
  for (const row of rows) {
    root.append(...laneOf(row, top, width));
    if (row.id === 'calls') root.append(...told.spans.map((one) => callOf(one, x, top + 8 + row.levels[one.seq] * CALL_PX)));
    else root.append(...marksOf(told.marks.filter((mark) => mark.lane === row.id), x, top + row.px / 2));
    top += row.px;
  }
  root.append(...laneOf({ name: 'Now', about: 'what the attempt is', px: LANE_PX }, top, width), nowOf(told, x, top, width));
  return root;
}

/** The lanes that have something on them. @param {Story} told @returns {any[]} */
function rowsOf(told) {
  const levels = levelsOf(told.spans);
  const depth = Math.max(0, ...Object.values(levels)) + 1;
  return LANES.map(([id, name, about]) => {
    const px = id === 'calls' ? depth * CALL_PX + 10 : LANE_PX;
    return { id, name, about, px, levels };
  }).filter(({ id }) => (id === 'calls' ? told.spans.length > 0 : told.marks.some((mark) => mark.lane === id)));
}

/** Calls that overlap are drawn one below the other. @param {Story['spans']} spans @returns {Record<number, number>} */
function levelsOf(spans) {
  /** @type {number[]} */
  const ends = [];
  /** @type {Record<number, number>} */
  const levels = {};
  for (const one of spans) {
    const free = ends.findIndex((end) => end < one.fromMs);
    levels[one.seq] = free < 0 ? ends.length : free;
    ends[levels[one.seq]] = one.toMs;
  }
  return levels;
}

/** How much space what happens at a time needs to its right, in pixels. @param {Story} told */
function room(told) {
  return (/** @type {number} */ ms) => {
    const counts = new Map();
    for (const mark of told.marks) if (mark.atMs === ms) counts.set(mark.lane, (counts.get(mark.lane) ?? 0) + 1);
    const marks = Math.max(1, ...counts.values()) * STEP_PX + 4;
    // The name of a call has to fit into its span.
    const names = told.spans.filter((one) => one.fromMs === ms).map((one) => label(one).length * 6.4 + 40);
    const now = told.now.fromMs === ms ? told.now.name.length * 8 + 30 : 0;
    // The last label of the axis.
    const tick = ms === told.endMs ? 84 : 0;
    return Math.max(marks, now, tick, ...names);
  };
}

/** @param {Story} told @param {Array<{ms: number, x: number}>} ticks @param {number} bottom */
function grid(told, ticks, bottom) {
  return ticks.flatMap(({ ms, x }) => {
    const after = `${ms === told.endMs && told.isOpen ? 'now, ' : ''}+${period(ms - told.beginMs)}`;
    const words = ms === told.beginMs ? new Date(ms).toISOString().slice(11, 19) : after;
    const at = LEFT_PX + x;
    return [
      svg('line', { class: 'tick', x1: at, x2: at, y1: TOP_PX - 6, y2: bottom }),
      svg('text', { class: 'tick-label', x: at, y: 18 }, words),
    ];
  });
}

/** @param {{name: string, about: string, px: number}} row @param {number} top @param {number} width */
function laneOf({ name, about, px }, top, width) {
  return [
    svg('line', { class: 'lane', x1: 0, x2: width, y1: top, y2: top }),
    svg('text', { class: 'lane-name', x: 4, y: top + px / 2 + 4 }, name, svg('title', {}, about)),
  ];
}

/** @param {Story['marks']} marks @param {(ms: number) => number} x @param {number} middle */
function marksOf(marks, x, middle) {
  /** @type {Map<number, number>} */
  const taken = new Map();
  return marks.map((mark) => {
    const nth = taken.get(mark.atMs) ?? 0;
    taken.set(mark.atMs, nth + 1);
    const at = x(mark.atMs) + nth * STEP_PX;
    return svg(
      'g',
      { class: `mark ${mark.tone}`, 'data-seq': mark.seq },
      svg('title', {}, `${mark.seq}: ${mark.event}`),
      shape(mark.tone, at, middle),
      svg('text', { x: at, y: middle + 4 }, String(mark.seq)),
    );
  });
}

/** What is known, unknown and refused differ in their form as well as in their colour. @param {string} tone @param {number} x @param {number} y */
function shape(tone, x, y) {
  if (tone === 'unknown') {
    const far = MARK_PX + 3;
    return svg('path', { d: `M${x} ${y - far}L${x + far} ${y}L${x} ${y + far}L${x - far} ${y}Z` });
  }
  if (tone === 'bad') return svg('rect', { x: x - MARK_PX, y: y - MARK_PX, width: 2 * MARK_PX, height: 2 * MARK_PX, rx: 2 });
  return svg('circle', { cx: x, cy: y, r: MARK_PX });
}

/** @param {Story['spans'][number]} one */
function label(one) {
  const ended = one.ended === 'outcome unknown' ? 'unknown' : one.ended;
  return `${one.name} · ${one.isOpen ? ended : period(one.toMs - one.fromMs)}`;
}

/** A call. An end that nobody knows is left open. @param {Story['spans'][number]} one @param {(ms: number) => number} x @param {number} top */
function callOf(one, x, top) {
  const [from, height] = [x(one.fromMs) - MARK_PX, CALL_PX - 8];
  const to = Math.max(x(one.toMs), from + 2 * MARK_PX);
  const edge = one.isOpen ? `H${to}M${to} ${top + height}H${from}` : `H${to - 3}q3 0 3 3v${height - 6}q0 3 -3 3H${from}`;
  return svg(
    'g',
    { class: `call ${one.tone}${one.isOpen ? ' open' : ''}`, 'data-seq': one.seq },
    svg('title', {}, `${one.seq}: ${one.name} sent to the PSP; ${one.ended}`),
    svg('rect', { class: 'body', x: from, y: top, width: to - from, height, rx: 3 }),
    svg('path', { class: 'edge', d: `M${from} ${top}${edge}V${top}` }),
    svg('text', { class: 'seq', x: from + MARK_PX, y: top + height / 2 + 4 }, String(one.seq)),
    svg('text', { class: 'name', x: from + 2 * MARK_PX + 3, y: top + height / 2 + 4 }, label(one)),
  );
}

/** @param {Story} told @param {(ms: number) => number} x @param {number} top @param {number} width */
function nowOf({ now }, x, top, width) {
  const from = x(now.fromMs) - MARK_PX;
  return svg(
    'g',
    { class: `now ${now.tone}` },
    svg('rect', { x: from, y: top + 8, width: Math.max(width - RIGHT_PX - from, 24), height: LANE_PX - 16, rx: 4 }),
    svg('text', { x: from + 10, y: top + LANE_PX / 2 + 4 }, now.name),
  );
}

/** What the picture shows, for those who do not see it. @param {Story} told */
function inWords({ marks, spans, now, beginMs, endMs }) {
  const sent = spans.map((one) => `Call ${one.seq}, ${one.name}: ${one.ended}${one.isOpen ? '' : ` after ${period(one.toMs - one.fromMs)}`}.`);
  const begun = `It begins at ${time(new Date(beginMs).toISOString())} and covers ${period(endMs - beginMs)}.`;
  return [begun, `It has ${marks.length} marks and ${spans.length} calls.`, ...sent, `Now: ${now.name}.`, 'The list below has every entry in words.'].join(' ');
}
