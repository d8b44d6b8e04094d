/** Who is told how far something is. */
export interface ProgressObserver<Status, Result> {
  /** Called with each state. */
  readonly next?: (status: Status) => void;
  /** Called once, if it fails. */
  readonly error?: (error: Error) => void;
  /** Called once, if it succeeds. */
  readonly complete?: (result: Result) => void;
}

/** What ends a subscription. */
export interface Subscribed {
  /** Tells nothing more. */
  unsubscribe(): void;
}

/** A promise that tells how far it has come. Nobody needs to watch it for it to go on. */
export class ProgressPromise<Status, Result> implements Promise<Result> {
  readonly [Symbol.toStringTag] = 'ProgressPromise';
  readonly #promise: Promise<Result>;
  readonly #observers = new Set<ProgressObserver<Status, Result>>();

  constructor(work: (tell: (status: Status) => void) => Promise<Result>) {
    this.#promise = work((status) => {
      // What an observer throws is theirs, and does not stop the work.
      for (const observer of this.#observers)
        void Promise.resolve().then(() => observer.next?.(status));
    });
    // Who only subscribes hears of the error there.
    this.#promise.catch(() => undefined);
  }

  /** Tells an observer what comes from now on, and how it ends. */
  subscribe(observer: ProgressObserver<Status, Result>): Subscribed {
    this.#observers.add(observer);
    this.#promise
      .then(
        (result) => this.#observers.has(observer) && observer.complete?.(result),
        (error: Error) => this.#observers.has(observer) && observer.error?.(error),
      )
      .finally(() => this.#observers.delete(observer));
    return { unsubscribe: () => void this.#observers.delete(observer) };
  }

  then: Promise<Result>['then'] = (resolved, rejected) => this.#promise.then(resolved, rejected);

  catch: Promise<Result>['catch'] = (rejected) => this.#promise.catch(rejected);

  finally: Promise<Result>['finally'] = (ended) => this.#promise.finally(ended);
}
