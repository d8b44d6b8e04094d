import type { Random } from '../support/random.ts';

/** A clock that goes on only when it is told to, and what is to happen on it. */
export class Clock {
  now = 1_750_000_000_000;
  #next = 0;
  #waiting: { at: number; order: number; then: () => void }[] = [];

  /** Calls `then` after so long. Returns a function that keeps it from being called. */
  timer(delayMs: number, then: () => void): () => void {
    const entry = { at: this.now + Math.max(0, delayMs), order: this.#next++, then };
    this.#waiting.push(entry);
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== entry);
    };
  }

  /** Lets so much time pass. What is due happens in order, and promises settle in between. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settled();
      const due = this.#waiting.filter(({ at }) => at <= end);
      if (due.length === 0) break;
      const first = due.reduce((one, other) =>
        other.at < one.at || (other.at === one.at && other.order < one.order) ? other : one,
      );
      this.#waiting = this.#waiting.filter((one) => one !== first);
      this.now = Math.max(this.now, first.at);
      first.then();
    }
    this.now = end;
  }
}

/** Promises that were resolved have called those who wait for them. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** A delay of a network: mostly short, sometimes long. */
export function delayMs(random: Random): number {
  return random.chance(0.1) ? random.below(2_000) : 1 + random.below(80);
}
