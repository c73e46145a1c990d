// The time axis of the picture. Events come within milliseconds, and then nothing happens for hours. A long pause is therefore drawn
// shorter than it was: its length grows with the logarithm of its duration. The order and the labels are exact.

/** Least distance of two different times, in pixels. */
const APART_PX = 30;
/** What a pause of ten times the duration adds, in pixels. */
const DECADE_PX = 34;
/** A pause up to so many milliseconds adds nothing. */
const SHORT_MS = 20;
/** Least distance of two labels, in pixels. */
const LABEL_PX = 78;

/** How wide a pause is drawn, in pixels. @param {number} ms */
export function width(ms) {
  return APART_PX + DECADE_PX * Math.max(0, Math.log10(ms / SHORT_MS));
}

/**
 * Places times on the axis. `room` says how many pixels what happens at a time needs to the right of it.
 * @param {number[]} times in milliseconds @param {(ms: number) => number} room @param {number} atLeastPx of the whole axis
 * @returns {{x: (ms: number) => number, endPx: number, ticks: Array<{ms: number, x: number}>}}
 */
export function axis(times, room, atLeastPx) {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  const places = new Map();
  let at = 0;
  sorted.forEach((ms, index) => {
    if (index > 0) at += Math.max(width(ms - sorted[index - 1]), room(sorted[index - 1]));
    places.set(ms, at);
  });
  const last = sorted.at(-1) ?? 0;
  // A short story is stretched over the page.
  const stretch = at > 0 ? Math.max(1, (atLeastPx - room(last)) / at) : 1;
  for (const [ms, x] of places) places.set(ms, x * stretch);
  const x = (/** @type {number} */ ms) => {
    const known = places.get(ms);
    if (known === undefined) throw new Error(`the time ${ms} has no place`);
    return known;
  };
  const ticks = [];
  for (const ms of sorted) {
    const previous = ticks.at(-1);
    if (!previous || x(ms) - previous.x >= LABEL_PX) ticks.push({ ms, x: x(ms) });
  }
  return { x, endPx: at * stretch + room(last), ticks };
}
