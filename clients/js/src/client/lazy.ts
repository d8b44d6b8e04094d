import { failure, type TriceError } from '../errors.ts';
import { tellEach } from '../values/tell.ts';
import type { Environment } from './environment.ts';

/** When the code of a part that could not be fetched is asked for again. */
const RETRY_MS = 5_000;

/**
 * A part of the client whose code is fetched when it is first used. Calls made before wait, and are
 * carried out in order.
 */
export class Lazy<T> {
  /** The part, once it is here. */
  part: T | null = null;
  readonly #environment: Environment;
  readonly #load: () => Promise<T>;
  readonly #came: (part: T) => void;
  readonly #missing: (() => void) | undefined;
  #waiting: Waiting<T>[] = [];
  #isLoading = false;
  /** Ends the wait for another attempt; null: none waits. */
  #cancelRetry: (() => void) | null = null;

  /**
   * came     called once, when the part is here, before the calls that wait for it
   * missing  called each time that the code cannot be fetched
   */
  constructor(
    environment: Environment,
    load: () => Promise<T>,
    came: (part: T) => void = () => {},
    missing?: () => void,
  ) {
    this.#environment = environment;
    this.#load = load;
    this.#came = came;
    this.#missing = missing;
  }

  /**
   * Calls `then` now, or when the part is here.
   *
   * failed  called each time that the code cannot be fetched; the call waits on
   */
  call(then: (part: T) => void, failed?: (error: TriceError) => void): void {
    if (this.part !== null) return then(this.part);
    this.#waiting.push({ then, failed });
    this.#fetch();
  }

  /** Subscribes once the part is here, unless that was ended before. Returns what ends it. */
  subscribe(start: (part: T) => () => void): () => void {
    let stop: () => void = () => {};
    let isEnded = false;
    this.call((part) => {
      if (!isEnded) stop = start(part);
    });
    return () => {
      isEnded = true;
      stop();
    };
  }

  /** Its code is wanted, whoever uses it. It is not asked for sooner than it would be again. */
  need(): void {
    if (this.part === null && this.#cancelRetry === null) this.#fetch();
  }

  /** The part. Rejects with `part-missing` if its code cannot be fetched now. */
  get(): Promise<T> {
    return new Promise((resolve, reject) => this.call(resolve, reject));
  }

  #fetch(): void {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#load().then(
      (part) => {
        this.part = part;
        const waiting = this.#waiting.splice(0).map(({ then }) => then);
        tellEach([this.#came, ...waiting].map((then) => () => then(part)));
      },
      (cause: unknown) => {
        this.#isLoading = false;
        this.#cancelRetry = this.#environment.timer(RETRY_MS, () => this.#fetch());
        this.#missing?.();
        for (const { failed } of [...this.#waiting])
          failed?.(Object.assign(failure('part-missing'), { cause }));
      },
    );
  }
}

interface Waiting<T> {
  readonly then: (part: T) => void;
  readonly failed: ((error: TriceError) => void) | undefined;
}
