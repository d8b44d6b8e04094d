import { Backoff } from '../session/backoff.ts';
import type { HttpEnvironment } from './environment.ts';

/** Waits between attempts that fail one after the other. */
export class Retry {
  readonly #environment: HttpEnvironment;
  readonly #backoff = new Backoff();

  constructor(environment: HttpEnvironment) {
    this.#environment = environment;
  }

  /** Resolves when the next attempt is due: at random, later after each failure, 30 s at most. */
  wait(): Promise<void> {
    const { timer, random } = this.#environment;
    return new Promise((resolve) => timer(this.#backoff.next(0, 0, random()), () => resolve()));
  }

  /** The last attempt went well. */
  reset(): void {
    this.#backoff.reset();
  }
}
