/** Seeded randomness (SplitMix32): a failure names its seed, and `PAY_ONCE_TEST_SEED` brings it back. */
export class Random {
  constructor(seed) {
    this.state = seed | 0;
  }

  next() {
    this.state = (this.state + 0x9e3779b9) | 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** From 0 to below `bound`. */
  below(bound) {
    return this.next() % bound;
  }

  pick(from) {
    return from[this.below(from.length)];
  }
}
