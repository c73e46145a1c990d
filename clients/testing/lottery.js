/**
 * A source of numbers from 0 to 1, the same for the same seed on every machine (mulberry32). The networks of the tests draw
 * their faults from it, so that a seed repeats a failure.
 *
 * @param {number} seed
 * @returns {() => number}
 */
export function lottery(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
