/** Functions of an app, as `client/api.ts` names them, and what is known of a call. */
import type { TriceError } from '../errors.ts';
import type { AnyChunk } from '../pending/builder.ts';

/** A function of the app: what `call` takes, from the generated `client/api.ts`. */
export interface FunctionRef {
  /** Module path and name: `messages.send`. */
  readonly name: string;
  readonly kind: 'query' | 'mutation' | 'action';
  /** Its arguments; for the compiler only, nothing is there when the app runs. */
  readonly args: object;
  /** What it returns; for the compiler only. */
  readonly result: unknown;
}

/** A function that can be watched. */
export interface QueryRef extends FunctionRef {
  readonly kind: 'query';
}

/** A function that lists something page by page: it takes a `Paged`, and returns a `Page`. */
export interface PagedRef extends QueryRef {
  /** The argument that says which page. */
  readonly paged: string;
  /** The arguments of the list as a whole, with the size of its pages; for the compiler only. */
  readonly list: object;
  /** What it lists; for the compiler only. */
  readonly item: unknown;
}

/** What is loaded of a list that is watched. Frozen; the same object while nothing changed. */
export interface PagedState<Item = unknown> {
  /** The items of all pages that are loaded, in order. Kept when the list fails. */
  readonly data: readonly Item[] | undefined;
  readonly error: TriceError | undefined;
  readonly isLoading: boolean;
  /** There are more items than those loaded, and none are being loaded. */
  readonly canLoadNextPage: boolean;
  /** Loads one page more; without effect while it cannot. */
  readonly loadNextPage: () => void;
}

/** A list as a thing to watch: what adapters of frameworks are made of. */
export interface PagedObserver<Item = unknown> {
  /** What is known now: the same object until it changes. */
  get(): PagedState<Item>;
  /** Calls `tell` after each change, never at once. Returns what ends it. */
  subscribe(tell: () => void): () => void;
}

/** A live call whose answer is not known yet. */
export interface CallLoading {
  readonly isLoading: true;
  readonly error: undefined;
  readonly data: undefined;
}

/** Why a live call failed. It still has what it returned before. */
export interface CallFailed<Result> {
  readonly isLoading: false;
  readonly error: TriceError;
  readonly data: Result | undefined;
}

/** What a live call returned last, with the predictions of mutations that wait. */
export interface CallFound<Result> {
  readonly isLoading: false;
  readonly error: undefined;
  readonly data: Result;
}

/** The state of a live call. Frozen; the same object while nothing changed. */
export type CallState<Result = unknown> = CallLoading | CallFailed<Result> | CallFound<Result>;

/** A live call as a thing to watch: what adapters of frameworks are made of. */
export interface CallObserver<Result = unknown> {
  /** What is known now: the same object until it changes. */
  get(): CallState<Result>;
  /** Calls `tell` after each change, never at once. Returns what ends it. */
  subscribe(tell: () => void): () => void;
}

/** How an expected row stands in what a live call returned. */
export interface PutOptions {
  /** Where a new row goes; `end` unless said. One that is there stays in its place. */
  readonly at?: 'start' | 'end';
  /** The label under which the list is, where what is returned is an object. */
  readonly in?: string;
}

/**
 * One step of what is expected of a live call: what is done to its answer.
 *
 * key    names the call: its function and arguments
 * value  the row; the id of one; or all that is returned
 */
export type PredictedStep = readonly [
  action: 'put' | 'remove' | 'set',
  key: string,
  value: unknown,
  opts?: PutOptions,
];

/** What is expected of one live call, to be returned by `optimistic`. */
export interface Prediction {
  readonly __steps: readonly PredictedStep[];
}

/** Says what a live call is expected to return. */
export interface LiveCall<Result = unknown> {
  /** A row of its list: fields of the one with this `id`, or a new one. */
  put(
    row: { readonly id: string; readonly [label: string]: unknown },
    opts?: PutOptions,
  ): Prediction;
  /** The row with this id goes. */
  remove(id: string, opts?: Pick<PutOptions, 'in'>): Prediction;
  /** Something else in the place of all of it. */
  set(value: Result): Prediction;
}

/** Names a live call whose answer will be another, or a list whose items will be. */
export interface Live {
  <F extends PagedRef>(fn: F, args: F['list']): LiveCall<F['item'][]>;
  <F extends QueryRef>(fn: F, args: F['args']): LiveCall<F['result']>;
}

/**
 * What a mutation will do, shown at once: rows written by `tx`, and answers of live calls by
 * `live`. It is taken back when the server refuses, and leaves each answer that contains the call.
 */
export type Optimistic<Args, Tx> = (
  tx: Tx,
  args: Args,
  live: Live,
) => readonly (AnyChunk | Prediction)[];

/** How a function is called. */
export interface CallOptions<Args = any, Tx = any> {
  /** For mutations: what to show until the server has answered. */
  readonly optimistic?: Optimistic<Args, Tx>;
  /** For mutations: a name for people, in `db.pending`. */
  readonly label?: string;
  /** For mutations: the id of a rejected write in `db.pending` whose place the call takes. */
  readonly replaces?: string;
}
