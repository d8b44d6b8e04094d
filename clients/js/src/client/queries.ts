import { failure } from '../errors.ts';
import type { QueryJson } from '../query/form.ts';
import { LOADING, type QueryState } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import type { Store } from '../store/store.ts';
import type { Environment } from './environment.ts';
import type { Session } from './session.ts';
import type { AuthState } from './user.ts';

/**
 * A query no longer watched stays subscribed for so long: lists, tabs and double mounts come back
 * to it without a message.
 */
const LINGER_MS = 10_000;

/** One query to watch. All who watch the same share one subscription. */
export interface Observer {
  /** What is known now: the same object until it changes. */
  get(): QueryState;
  /** What the page shows that was made on a server: frameworks compare with it. */
  getServer(): QueryState;
  /** Calls `tell` after each change, never at once. Returns what ends it. */
  readonly subscribe: (tell: () => void) => () => void;
  /** The first state that is not loading. */
  promise(): Promise<QueryState>;
}

/** What a page brought of queries, by hash. */
export interface Hydrated {
  /** Who was signed in where the page was made. */
  readonly auth: AuthState;
  /** What the page shows of a query. */
  shown(hash: string): QueryState | undefined;
  /** The same, until the query is watched for the first time. */
  waiting(hash: string): QueryState | undefined;
  /** The query is watched: gives the store what the page brought of it. */
  claim(hash: string): void;
  /** The server's data was put back to an older state (P74). */
  reset(): void;
  /** Another user, or nobody, is here from now on. */
  forget(): void;
}

/** Keeps the queries that are watched subscribed, each once. */
export class Queries {
  /** What the page brought that was made on a server; null: nothing. */
  hydrated: Hydrated | null = null;
  readonly #store: Store;
  readonly #session: Session;
  readonly #environment: Environment;
  readonly #restore: (hash: string) => Promise<void> | null;
  readonly #watched = new Map<string, Watched>();

  /** restore  reads what an earlier start kept of a query into the store; null: nothing is */
  constructor(
    store: Store,
    session: Session,
    environment: Environment,
    restore: (hash: string) => Promise<void> | null,
  ) {
    this.#restore = restore;
    this.#store = store;
    this.#session = session;
    this.#environment = environment;
  }

  /** A query to watch. Nothing is asked, and nothing kept, before somebody subscribes. */
  observe(query: QueryJson): Observer {
    const hash = queryHash(query);
    return {
      get: () =>
        this.#store.find(hash)?.state ?? this.hydrated?.waiting(hash) ?? this.#store.state(hash),
      getServer: () => this.hydrated?.shown(hash) ?? LOADING,
      subscribe: (tell) => this.#subscribe(hash, query, tell),
      promise: () => this.#promise(hash, query),
    };
  }

  /** The answer of the server to a query, asked now. */
  once(query: QueryJson, waitMs: number): Promise<QueryState> {
    const hash = queryHash(query);
    return new Promise((resolve, reject) => {
      const stop = this.#subscribe(hash, query, () => {});
      const end = (then: () => void) => {
        cancel();
        stop();
        then();
      };
      const cancel = this.#environment.timer(waitMs, () =>
        end(() => reject(failure('timeout', { seconds: waitMs / 1000 }))),
      );
      this.#session.ask(hash, (error) =>
        end(() => (error ? reject(error) : resolve(this.#store.state(hash)))),
      );
    });
  }

  #subscribe(hash: string, query: QueryJson, tell: () => void): () => void {
    const watched = this.#watch(hash, query);
    watched.cancelEnd();
    watched.count++;
    const stop = this.#store.observe(hash, tell);
    let isEnded = false;
    return () => {
      if (isEnded) return;
      isEnded = true;
      stop();
      if (--watched.count === 0)
        watched.cancelEnd = this.#environment.timer(LINGER_MS, () => this.#end(hash));
    };
  }

  #promise(hash: string, query: QueryJson): Promise<QueryState> {
    const watched = this.#watch(hash, query);
    watched.promise ??= new Promise((resolve) => {
      const look = () => {
        const state = this.#store.state(hash);
        if (state.isLoading) return;
        stop();
        watched.promise = null;
        resolve(state);
      };
      const stop = this.#subscribe(hash, query, look);
      look();
    });
    return watched.promise;
  }

  #watch(hash: string, query: QueryJson): Watched {
    let watched = this.#watched.get(hash);
    if (watched === undefined) {
      watched = { count: 0, cancelEnd: () => {}, promise: null };
      this.#watched.set(hash, watched);
      this.hydrated?.claim(hash);
      this.#store.open(query);
      this.#session.subscribe(hash, query, this.#restore(hash));
    }
    return watched;
  }

  #end(hash: string): void {
    this.#watched.delete(hash);
    this.#session.unsubscribe(hash);
    this.#store.close(hash);
  }
}

/** A query that somebody watches, or watched until a moment ago. */
interface Watched {
  count: number;
  cancelEnd: () => void;
  /** Who waits for the first state that is not loading shares one promise. */
  promise: Promise<QueryState> | null;
}

/** A query as JSON, with the parameters that rules may ask for. */
export function withRuleParams(
  query: object,
  opts: { ruleParams?: object } | undefined,
): QueryJson {
  const plain = JSON.parse(JSON.stringify(query)) as QueryJson;
  return opts?.ruleParams ? { $$ruleParams: opts.ruleParams, ...plain } : plain;
}
