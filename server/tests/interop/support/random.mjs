// Seeded randomness: the same seed makes the same world.

export const SEED = Number(process.env.TRICE_SEED ?? 20261121);

/** mulberry32: small, fast, and good enough for test data. */
export class Random {
  constructor(seed = SEED) {
    this.state = seed >>> 0;
  }
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  /** An integer from 0 to bound - 1. */
  below(bound) {
    return Math.floor(this.next() * bound);
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  chance(share) {
    return this.next() < share;
  }
  uuid() {
    const hex = Array.from({ length: 32 }, () => this.below(16).toString(16));
    hex[12] = '4';
    hex[16] = (8 + this.below(4)).toString(16);
    const s = hex.join('');
    return s.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }
}
