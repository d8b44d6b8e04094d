import {
  createElement,
  Fragment,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react';
import type { CallState, PagedRef, PagedState, QueryRef } from '../calls/refs.ts';
import type { Config } from '../client/config.ts';
import { Database } from '../client/database.ts';
import type { StorageStatus } from '../client/disk.ts';
import type { Environment } from '../client/environment.ts';
import type { InfiniteState } from '../client/infinite.ts';
import type { Observer } from '../client/queries.ts';
import type { TotalsState } from '../client/totals.ts';
import type { ConnectionStatus } from '../client/session.ts';
import { AUTH_LOADING, type AuthState, type User } from '../client/user.ts';
import { TriceError } from '../errors.ts';
import {
  callSource,
  pagedSource,
  localIdSource,
  NO_LIST,
  NO_QUERY,
  NO_TOTALS,
  type QueryOptions,
} from '../hooks/sources.ts';
import type { Entry } from '../pending/entry.ts';
import { LOADING, type QueryState } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import type { Presence } from '../rooms/presence.ts';
import { PageContext } from './page.tsx';
import { ReactRoom } from './room.ts';
import * as rooms from './room-hooks.ts';

export type { QueryOptions };

/** A database with hooks. A component renders again only when what its hook returns changed. */
export class ReactDatabase extends Database {
  constructor(config: Config, environment: Environment) {
    super(config, environment);
  }

  /** What a query finds, live. `null` asks nothing, and is loading. */
  useQuery = (query: object | null, opts?: QueryOptions): QueryState => {
    const observer = this.#useObserver(query, opts);
    const state = useSyncExternalStore(observer.subscribe, observer.get, observer.getServer);
    const [previous, setPrevious] = useState<QueryState>(LOADING);
    if (!opts?.keepPrevious) return state;
    if (!state.isLoading && state !== previous) setPrevious(state);
    return state.isLoading ? previous : state;
  };

  /** The same; the component is suspended until there is data, and fails if there never was any. */
  useSuspenseQuery = (query: object, opts?: Pick<QueryOptions, 'ruleParams'>): QueryState => {
    const observer = this.#useObserver(query, opts);
    const state = useSyncExternalStore(observer.subscribe, observer.get, observer.getServer);
    if (state.data === undefined) {
      if (state.error) throw state.error;
      // React 18 and 19 take a thrown promise; `use` would have to be called with data too.
      throw observer.promise();
    }
    return state;
  };

  /** A list that is loaded page by page: `loadNextPage()` adds one. `null` asks nothing. */
  useInfiniteQuery = (
    query: object | null,
    opts?: Pick<QueryOptions, 'ruleParams'>,
  ): InfiniteState => {
    const hash = query === null ? null : queryHash([query, opts?.ruleParams]);
    const list = useMemo(
      () => (query === null ? NO_LIST : this.observeInfinite(query, opts)),
      // The hash stands for the query and its parameters, which are new objects at each render.
      [hash],
    );
    return useSyncExternalStore(list.subscribe, list.get, NO_LIST.get);
  };

  /** Totals of what matches, live. `null` asks nothing, and is loading. */
  useTotals = (query: object | null, opts?: Pick<QueryOptions, 'ruleParams'>): TotalsState => {
    const hash = query === null ? null : queryHash([query, opts?.ruleParams]);
    const totals = useMemo(
      () => (query === null ? NO_TOTALS : this.observeTotals(query, opts)),
      // The hash stands for the query and its parameters, which are new objects at each render.
      [hash],
    );
    return useSyncExternalStore(totals.subscribe, totals.get, NO_TOTALS.get);
  };

  /** What a query function returns, live. `null` as arguments asks nothing, and is loading. */
  useCall = <F extends QueryRef>(fn: F, args: F['args'] | null): CallState<F['result']> => {
    const hash = queryHash([fn.name, args]);
    // The hash stands for the function and its arguments, which are new objects at each render.
    const call = useMemo(() => callSource(this, fn, args), [hash]);
    return useSyncExternalStore(call.subscribe, call.get, NO_QUERY.get as typeof call.get);
  };

  /** What a function lists page by page, live: `loadNextPage()` adds one. `null` asks nothing. */
  usePagedCall = <F extends PagedRef>(fn: F, args: F['list'] | null): PagedState<F['item']> => {
    const hash = queryHash([fn.name, args]);
    // The hash stands for the function and its arguments, which are new objects at each render.
    const list = useMemo(() => pagedSource(this, fn, args), [hash]);
    return useSyncExternalStore(list.subscribe, list.get, NO_LIST.get) as PagedState<F['item']>;
  };

  /** Who is signed in. */
  useAuth = (): AuthState => {
    const page = useContext(PageContext);
    const getServer = page ? () => page.authState : this.#getServerAuth;
    return useSyncExternalStore(this.#subscribeAuth, this.#getAuth, getServer);
  };

  /** Who is signed in. Only inside of `SignedIn`, or where somebody surely is. */
  useUser = (): User => {
    const { user } = this.useAuth();
    if (user) return user;
    throw new TriceError({
      code: 'signed-out',
      message: 'useUser needs somebody signed in: render it inside of <db.SignedIn>.',
    });
  };

  /** How the connection is. */
  useConnectionStatus = (): ConnectionStatus =>
    useSyncExternalStore(this.#subscribeStatus, this.#getStatus, getConnecting);

  /** The writes that wait, and those that were refused. */
  usePending = (): readonly Entry[] =>
    useSyncExternalStore(this.#subscribePending, this.#getPending, getNone);

  /** Whether answers and writes that wait survive the page. */
  useStorageStatus = (): StorageStatus =>
    useSyncExternalStore(this.#subscribeStorage, this.#getStorage, getReady);

  /** An id of this device under a name; null until it is read. */
  useLocalId = (name: string): string | null => {
    const source = useMemo(() => localIdSource(this, name), [name]);
    return useSyncExternalStore(source.subscribe, source.get, getNull);
  };

  /** Shows its children to users who are signed in. */
  SignedIn = ({ children }: { children?: ReactNode }): ReactNode =>
    this.useAuth().user ? createElement(Fragment, null, children) : null;

  /** Shows its children while nobody is signed in. */
  SignedOut = ({ children }: { children?: ReactNode }): ReactNode => {
    const { isLoading, user } = this.useAuth();
    return isLoading || user ? null : createElement(Fragment, null, children);
  };

  /** The database itself; in the original it is another object. */
  get core(): this {
    return this;
  }

  /** The hooks of rooms: `db.rooms.usePresence(db.room('chat', id))`. */
  readonly rooms = {
    /** What the members show, live. */
    usePresence: rooms.usePresence,
    /** Shows some fields to the others, and again when they change. */
    useSyncPresence: rooms.useSyncPresence,
    /** What tells the others something. */
    usePublishTopic: rooms.usePublishTopic,
    /** Calls a function with each message of the others. */
    useTopicEffect: rooms.useTopicEffect,
    /** Tells the others that the user is typing, and who of them is. */
    useTypingIndicator: rooms.useTypingIndicator,
  };

  /** A room to give to hooks, which enter it. */
  room<P extends object = Presence, T extends object = Record<string, any>>(
    type = '_defaultRoomType',
    id = '_defaultRoomId',
  ): ReactRoom<P, T> {
    return new ReactRoom<P, T>(this, this.roomsDoor, type, id);
  }

  #subscribeAuth = (tell: () => void): (() => void) => this.onAuthChange(tell);
  #getServerAuth = (): AuthState => this.engine.queries.hydrated?.auth ?? AUTH_LOADING;
  /** What the page said holds until the own sign-in is read. */
  #getAuth = (): AuthState => (this.authState.isLoading ? this.#getServerAuth() : this.authState);
  #subscribeStatus = (tell: () => void): (() => void) => this.onConnectionStatusChange(tell);
  #getStatus = (): ConnectionStatus => this.connectionStatus;
  #subscribePending = (tell: () => void): (() => void) => this.pending.subscribe(tell);
  #subscribeStorage = (tell: () => void): (() => void) => this.onStorageStatusChange(tell);
  #getStorage = (): StorageStatus => this.storageStatus;
  #getPending = (): readonly Entry[] => this.pending.list();

  /** One observer for as long as the query means the same. */
  #useObserver(query: object | null, opts: Pick<QueryOptions, 'ruleParams'> | undefined): Observer {
    const owner = useContext(PageContext) ?? this;
    const hash = query === null ? null : queryHash([query, opts?.ruleParams]);
    const make = useCallback(
      () => (query === null ? NO_QUERY : owner.observe(query, opts)),
      // The hash stands for the query and its parameters, which are new objects at each render.
      [owner, hash],
    );
    return useMemo(make, [make]);
  }
}

const NO_ENTRIES: readonly Entry[] = Object.freeze([]);

const getConnecting = (): ConnectionStatus => 'connecting';
const getReady = (): StorageStatus => 'ready';
const getNone = () => NO_ENTRIES;
const getNull = () => null;
