import { WAITING_MAX } from './limits.js';
import { Refusal } from './refusal.js';

/** Work on one thing at a time: what is asked for while it is under way waits for its turn. */
export class Turns {
  /** @type {Map<string, {waiting: number, last: Promise<unknown>}>} */
  #queues = new Map();

  /**
   * @template T
   * @param {string} key  what the work is about
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async take(key, work) {
    const queue = this.#queues.get(key) ?? { waiting: 0, last: Promise.resolve() };
    if (queue.waiting >= WAITING_MAX) throw new Refusal(429, 'One at a time, please.');
    this.#queues.set(key, queue);
    queue.waiting += 1;
    const mine = queue.last.then(work, work);
    queue.last = mine;
    try {
      return await mine;
    } finally {
      queue.waiting -= 1;
      if (queue.waiting === 0) this.#queues.delete(key);
    }
  }
}
