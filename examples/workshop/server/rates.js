import { REQUESTS_PER_MINUTE } from './limits.js';
import { Refusal } from './refusal.js';

/** Counts the requests of each person in the minute that is now. */
export class Rates {
  /** @type {Map<string, number>} */
  #counts = new Map();
  #minute = 0;

  /** @param {string} personId */
  count(personId) {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.#minute) this.#counts.clear();
    this.#minute = minute;
    const count = (this.#counts.get(personId) ?? 0) + 1;
    if (count > REQUESTS_PER_MINUTE) throw new Refusal(429, 'Please wait for a minute.');
    this.#counts.set(personId, count);
  }
}
