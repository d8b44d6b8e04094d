import type { CallOptions, FunctionRef } from '../calls/refs.ts';
import type { TriceError } from '../errors.ts';
import type { TxOf } from '../pending/typed.ts';
import type { InstaQLParams, InstaQLResult, Known, PageInfoOf } from '../query/typed.ts';
import type { AnySchema, PresenceOf, RoomsOf, TopicsOf, UnknownSchema } from '../schema/infer.ts';
import type { SchemaShape } from '../schema/shape.ts';
import type { Config } from './config.ts';
import type { Database } from './database.ts';
import type { InfiniteQuery, InfiniteState } from './infinite.ts';
import type { Observer } from './queries.ts';
import type { RoomHandle } from './rooms.ts';
import type { TotalsObserver, TotalsState } from './totals.ts';

/** What `init` takes with a schema: the value of `i.schema`, or one that was generated. */
export interface TypedConfig<S extends AnySchema> extends Omit<Config, 'schema'> {
  /** Names are checked by it, and attrs are made by it. */
  readonly schema: S & SchemaShape;
}

/** What a query finds, once it does. */
export interface FoundState<S extends AnySchema, Q> {
  readonly isLoading: false;
  readonly error: undefined;
  readonly data: InstaQLResult<S, Q>;
  readonly pageInfo: PageInfoOf<Q> | undefined;
  /** Totals, by form that asks for them. */
  readonly aggregate: Readonly<Record<string, unknown>> | undefined;
  /** Where it is from: the server, now; what an earlier start kept; or what is known here. */
  readonly source: 'server' | 'cache' | 'partial';
  /** Nothing that matches is missing, as far as the server told. */
  readonly isComplete: boolean;
}

/** Nothing is known of a query yet. */
export interface LoadingState {
  readonly isLoading: true;
  readonly error: undefined;
  readonly data: undefined;
  readonly pageInfo: undefined;
  readonly aggregate: undefined;
  readonly source: undefined;
  readonly isComplete: false;
}

/** Why a query failed. It still has what it found before. */
export interface FailedState<S extends AnySchema, Q> {
  readonly isLoading: false;
  readonly error: TriceError;
  readonly data: InstaQLResult<S, Q> | undefined;
  readonly pageInfo: PageInfoOf<Q> | undefined;
  readonly aggregate: Readonly<Record<string, unknown>> | undefined;
  readonly source: 'server' | 'cache' | 'partial' | undefined;
  readonly isComplete: boolean;
}

/** The state of a query: it loads, failed, or found something. */
export type StateOf<S extends AnySchema, Q> = LoadingState | FailedState<S, Q> | FoundState<S, Q>;

/** A query as something to watch, which knows what it finds. */
export interface ObserverOf<S extends AnySchema, Q> extends Pick<Observer, 'subscribe'> {
  /** What is known now: the same object until it changes. */
  get(): StateOf<S, Q>;
  /** What the page shows that was made on a server. */
  getServer(): StateOf<S, Q>;
  /** The first state that is not loading. */
  promise(): Promise<FailedState<S, Q> | FoundState<S, Q>>;
}

/** The rows of all pages loaded so far, of a query with one form. */
export type InfiniteStateOf<S extends AnySchema, Q> =
  LoadingList | FailedList | FoundList<InstaQLResult<S, Q>>;

type ListPages = Pick<InfiniteState, 'canLoadNextPage' | 'loadNextPage'>;

export interface FoundList<Data> extends ListPages {
  readonly isLoading: false;
  readonly error: undefined;
  readonly data: Data;
}

export interface LoadingList extends ListPages {
  readonly isLoading: true;
  readonly error: undefined;
  readonly data: undefined;
}

export interface FailedList extends ListPages {
  readonly isLoading: false;
  readonly error: TriceError;
  readonly data: undefined;
}

/** A list that is loaded page by page, to watch, which knows what it finds. */
export interface InfiniteQueryOf<S extends AnySchema, Q> extends Omit<InfiniteQuery, 'get'> {
  /** What is loaded now: the same object until it changes. */
  get(): InfiniteStateOf<S, Q>;
}

/** One app's data, live, with the types of its schema. It is a `Database`, and costs no more. */
export interface TypedDatabase<S extends AnySchema = UnknownSchema> extends Omit<
  Database,
  | 'tx'
  | 'observe'
  | 'subscribeQuery'
  | 'queryOnce'
  | 'observeInfinite'
  | 'subscribeInfiniteQuery'
  | 'observeTotals'
  | 'subscribeTotals'
  | 'joinRoom'
  | 'call'
> {
  /** What `transact` takes: `db.tx.todos[id].update({…})`. */
  readonly tx: TxOf<S>;

  /** One query as a thing to watch: what adapters of frameworks are made of. */
  observe<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: { ruleParams?: object },
  ): ObserverOf<S, Q>;

  /**
   * Calls `tell` with what a query finds, now if it is known, and after each change.
   *
   * returns  ends the subscription
   */
  subscribeQuery<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    tell: (state: StateOf<S, Q>) => void,
    opts?: { ruleParams?: object },
  ): () => void;

  /** Asks once, of the server. Rejects with `offline` at once where it cannot be reached. */
  queryOnce<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: { ruleParams?: object },
  ): Promise<FoundState<S, Q>>;

  /**
   * Calls a function of the app: `db.call(api.messages.send, { channel, text })`.
   *
   * Mutations wait for a connection in one order with `transact`, over reloads too, and
   * `optimistic` shows at once what they will do; a refused one stays in `pending`. Queries and
   * actions need a connection: without one they reject with `offline`.
   *
   * returns  what the function returned; rejects with the server's error
   */
  call<F extends FunctionRef>(
    fn: F,
    args: F['args'],
    opts?: CallOptions<F['args'], TxOf<S>>,
  ): Promise<F['result']>;

  /** Enters a room: its members see each other's presence, and tell each other things. */
  joinRoom<R extends keyof RoomsOf<S> & string>(
    type?: R,
    id?: string,
    opts?: { initialPresence?: Partial<PresenceOf<S, R>> },
  ): RoomHandle<PresenceOf<S, R>, TopicsOf<S, R>>;

  /** A query whose rows are loaded page by page, as a thing to watch. */
  observeInfinite<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: { ruleParams?: object },
  ): InfiniteQueryOf<S, Q>;

  /** Calls `tell` with the rows of all pages loaded so far, and after each change. */
  subscribeInfiniteQuery<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    tell: (state: InfiniteStateOf<S, Q>) => void,
    opts?: { ruleParams?: object },
  ): {
    /** Ends it. */
    unsubscribe: () => void;
    /** Loads one page more; without effect while it cannot. */
    loadNextPage: () => void;
  };

  /** Totals of what matches, as a thing to watch. */
  observeTotals<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: { ruleParams?: object },
  ): TotalsObserver;

  /** Calls `tell` with totals of what matches, and after each change. */
  subscribeTotals<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    tell: (state: TotalsState) => void,
    opts?: { ruleParams?: object },
  ): () => void;
}
