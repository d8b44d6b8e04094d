import type { PagedRef, QueryRef } from '../calls/refs.ts';
import type { Config } from '../client/config.ts';
import { Database } from '../client/database.ts';
import type { Environment } from '../client/environment.ts';
import type { Presence } from '../rooms/presence.ts';
import type { QueryState } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import { HookRoom, roomHooks } from './room-hooks.ts';
import * as sources from './sources.ts';
import type { QueryOptions, RuleOptions, Source } from './sources.ts';

/**
 * What hooks need of a framework whose components run once. All of it is called while a component
 * is set up, or wherever else the framework tracks what is read.
 */
export interface Framework {
  /** The value of an input, which may be a function, or what else the framework reads values of. */
  read<T>(input: unknown): T;
  /**
   * A value that is live while the caller is there.
   *
   * source  reads inputs, so it is called again when these change; the same object if none did
   */
  value<T>(source: () => Source<T>): unknown;
  /** The same of a state with parts, such as `data` and `isLoading`. */
  state<T extends object>(source: () => Source<T>): unknown;
  /**
   * Calls `run`, and again when what `key` reads became another text. What `run` returned is called
   * before that, and when the caller goes.
   */
  effect(key: () => string, run: () => () => void): void;
  /** The names under which elements take listeners. */
  readonly listeners: { readonly keyDown: string; readonly blur: string };
}

/** A database with hooks for components that run once. Inputs may be functions, which are live. */
export class HookDatabase extends Database {
  readonly #framework: Framework;
  readonly rooms: ReturnType<typeof roomHooks>;

  constructor(config: Config, environment: Environment, framework: Framework) {
    super(config, environment);
    this.#framework = framework;
    this.rooms = roomHooks(framework);
  }

  useQuery = (query: unknown, opts?: QueryOptions): unknown => {
    const source = this.#asked(query, opts, sources.querySource);
    if (!opts?.keepPrevious) return this.#framework.state(source);
    let previous: QueryState | undefined;
    return this.#framework.state(
      keyed(source, (asked) => ({
        get() {
          const state = asked.get();
          if (!state.isLoading) previous = state;
          return previous ?? state;
        },
        subscribe: asked.subscribe,
      })),
    );
  };

  useInfiniteQuery = (query: unknown, opts?: RuleOptions): unknown =>
    this.#framework.state(this.#asked(query, opts, sources.infiniteSource));

  useTotals = (query: unknown, opts?: RuleOptions): unknown =>
    this.#framework.state(this.#asked(query, opts, sources.totalsSource));

  useCall = (fn: QueryRef, input: unknown): unknown => {
    const args = () => this.#framework.read<object | null>(input);
    const source = keyed(
      () => queryHash([fn.name, args()]),
      () => sources.callSource(this, fn, args()),
    );
    return this.#framework.state(source);
  };

  usePagedCall = (fn: PagedRef, input: unknown): unknown => {
    const args = () => this.#framework.read<object | null>(input);
    const source = keyed(
      () => queryHash([fn.name, args()]),
      () => sources.pagedSource(this, fn, args()),
    );
    return this.#framework.state(source);
  };

  useAuth = (): unknown => this.#framework.state(always(sources.authSource(this)));

  useUser = (): unknown => this.#framework.state(always(sources.userSource(this)));

  useConnectionStatus = (): unknown => this.#framework.value(always(sources.statusSource(this)));

  usePending = (): unknown => this.#framework.value(always(sources.pendingSource(this)));

  useStorageStatus = (): unknown => this.#framework.value(always(sources.storageSource(this)));

  useLocalId = (name: string): unknown =>
    this.#framework.value(always(sources.localIdSource(this, name)));

  room<P extends object = Presence, T extends object = Record<string, any>>(
    type = '_defaultRoomType',
    id = '_defaultRoomId',
  ): HookRoom<P, T> {
    return new HookRoom<P, T>(this, this.roomsDoor, type, id, this.rooms);
  }

  /** One source for as long as the query means the same. */
  #asked<T>(
    input: unknown,
    opts: RuleOptions | undefined,
    open: (db: Database, query: object | null, opts?: RuleOptions) => Source<T>,
  ): () => Source<T> {
    const query = () => this.#framework.read<object | null>(input);
    const hash = () => queryHash([query(), opts?.ruleParams]);
    return keyed(hash, () => open(this, query(), opts));
  }
}

/** Makes something anew only when the key became another. */
export function keyed<K, T>(key: () => K, make: (key: K) => T): () => T {
  let made: { readonly key: K; readonly value: T } | null = null;
  return () => {
    const now = key();
    if (made === null || made.key !== now) made = { key: now, value: make(now) };
    return made.value;
  };
}

function always<T>(value: T): () => T {
  return () => value;
}
