/** What hooks show of a database, for every framework: each as a thing to watch. */
import { NO_PAGES } from '../calls/no-pages.ts';
import type { CallState, PagedRef, PagedState, QueryRef } from '../calls/refs.ts';
import type { Database } from '../client/database.ts';
import type { StorageStatus } from '../client/disk.ts';
import type { InfiniteState } from '../client/infinite.ts';
import type { Observer } from '../client/queries.ts';
import type { ConnectionStatus } from '../client/session.ts';
import type { TotalsState } from '../client/totals.ts';
import type { AuthState, User } from '../client/user.ts';
import { failure } from '../errors.ts';
import type { Entry } from '../pending/entry.ts';
import { LOADING, type QueryState } from '../store/answer.ts';

/** Something to show: what it is now, and when that changes. */
export interface Source<T> {
  /** The same object until it changes. */
  get(): T;
  /** Calls `tell` after each change, never at once. Returns what ends it. */
  subscribe(tell: () => void): () => void;
}

/** How a query is asked. */
export interface RuleOptions {
  /** Parameters that rules may ask for. */
  readonly ruleParams?: object;
}

/** How a query is asked, and shown. */
export interface QueryOptions extends RuleOptions {
  /** While another query loads, shows what the one before found. */
  readonly keepPrevious?: boolean;
}

/** In the place of a query that is not asked. */
export const NO_QUERY: Observer = {
  get: () => LOADING,
  getServer: () => LOADING,
  subscribe: () => () => {},
  promise: () => new Promise(() => {}),
};

/** In the place of a list that is not asked for. */
export const NO_LIST: Source<PagedState & InfiniteState> = {
  get: () => NO_PAGES as never,
  subscribe: () => () => {},
};

const NONE_YET: TotalsState = Object.freeze({
  data: undefined,
  isLoading: true,
  error: undefined,
  isPending: false,
});

/** In the place of totals that are not asked for. */
export const NO_TOTALS: Source<TotalsState> = { get: () => NONE_YET, subscribe: () => () => {} };

/** What a query finds; null asks nothing, and is loading. */
export function querySource(
  db: Database,
  query: object | null,
  opts?: RuleOptions,
): Source<QueryState> {
  return query === null ? NO_QUERY : db.observe(query, opts);
}

/** The rows loaded of a list; null asks nothing, and is loading. */
export function infiniteSource(
  db: Database,
  query: object | null,
  opts?: RuleOptions,
): Source<InfiniteState> {
  return query === null ? NO_LIST : db.observeInfinite(query, opts);
}

/** Totals of what matches; null asks nothing, and is loading. */
export function totalsSource(
  db: Database,
  query: object | null,
  opts?: RuleOptions,
): Source<TotalsState> {
  return query === null ? NO_TOTALS : db.observeTotals(query, opts);
}

/** What a query function returns; null as arguments asks nothing, and is loading. */
export function callSource(db: Database, fn: QueryRef, args: object | null): Source<CallState> {
  return args === null ? (NO_QUERY as Source<CallState>) : db.observeCall(fn, args);
}

/** What a function lists, of the pages loaded; null as arguments asks nothing, and is loading. */
export function pagedSource(db: Database, fn: PagedRef, args: object | null): Source<PagedState> {
  return args === null ? NO_LIST : db.observePagedCall(fn, args);
}

export function authSource(db: Database): Source<AuthState> {
  return { get: () => db.authState, subscribe: (tell) => db.onAuthChange(tell) };
}

/**
 * Who is signed in; reading it throws while nobody ever was. It stays who it was after signing
 * out: the component is about to go, and what it shows must not fail before.
 */
export function userSource(db: Database): Source<User> {
  let last: User | null = null;
  return {
    get() {
      last = db.authState.user ?? last;
      if (last) return last;
      throw failure('signed-out/account');
    },
    subscribe: (tell) => db.onAuthChange(tell),
  };
}

export function statusSource(db: Database): Source<ConnectionStatus> {
  return { get: () => db.connectionStatus, subscribe: (tell) => db.onConnectionStatusChange(tell) };
}

/** The writes that wait, and those that were refused. */
export function pendingSource(db: Database): Source<readonly Entry[]> {
  return { get: () => db.pending.list(), subscribe: (tell) => db.pending.subscribe(tell) };
}

export function storageSource(db: Database): Source<StorageStatus> {
  return { get: () => db.storageStatus, subscribe: (tell) => db.onStorageStatusChange(tell) };
}

/** An id of this device under a name; null until it is read. */
export function localIdSource(db: Database, name: string): Source<string | null> {
  let value: string | null = null;
  return {
    get: () => value,
    subscribe(tell) {
      let isEnded = false;
      void db.getLocalId(name).then((id) => {
        if (value === id) return;
        value = id;
        if (!isEnded) tell();
      });
      return () => {
        isEnded = true;
      };
    },
  };
}

/** A source that shows what `show` makes of another; the same while that is the same. */
export function mapped<T, R>(source: Source<T>, show: (value: T) => R): Source<R> {
  let from: T | undefined;
  let shown: R | undefined;
  return {
    get() {
      const now = source.get();
      if (shown === undefined || now !== from) shown = show(now);
      from = now;
      return shown;
    },
    subscribe: source.subscribe,
  };
}
