/** The longest wait between two attempts. */
const WAIT_MS_MAX = 30_000;

/** The wait after the second failure in a row; it doubles. */
const WAIT_MS = 500;

/** The first attempt after a loss: soon, and not all clients at once. */
const FIRST_MS_MAX = 250;

/** A connection that lived so long was a good one: counting starts anew. */
const GOOD_MS = 30_000;

/** A server that restarts closes with these codes; its clients come back over this time. */
const RESTART_CODES = new Set([1012, 1013]);
const RESTART_MS_MIN = 500;
const RESTART_MS_MAX = 5_000;

/** How long to wait before the next attempt to connect. */
export class Backoff {
  #failures = 0;

  /** The connection ended, or could not be made. Returns milliseconds; `random` is below 1. */
  next(code: number, livedMs: number, random: number): number {
    if (livedMs >= GOOD_MS) this.#failures = 0;
    const failures = this.#failures++;
    if (RESTART_CODES.has(code) && failures === 0)
      return RESTART_MS_MIN + random * (RESTART_MS_MAX - RESTART_MS_MIN);
    if (failures === 0) return random * FIRST_MS_MAX;
    return random * Math.min(WAIT_MS_MAX, WAIT_MS * 2 ** failures);
  }

  reset(): void {
    this.#failures = 0;
  }
}
