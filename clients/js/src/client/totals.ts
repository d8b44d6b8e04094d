import { failure, type TriceError } from '../errors.ts';
import type { QueryJson } from '../query/form.ts';
import type { Totals } from '../query/totals.ts';
import type { QueryState } from '../store/answer.ts';
import { isObject } from '../values/json.ts';
import type { Observer } from './queries.ts';

/** Totals by form. Frozen; the same object while nothing changed. */
export interface TotalsState {
  /** `{todos: {count: 2, sum: {minutes: 7}}}`, as the query asks. */
  readonly data: Totals | undefined;
  readonly isLoading: boolean;
  readonly error: TriceError | undefined;
  /** Some do not contain all pending writes: they are the server's until it answers. */
  readonly isPending: boolean;
}

/** Totals of what matches, to watch. */
export interface TotalsObserver {
  /** What is known now: the same object until it changes. */
  get(): TotalsState;
  /** Calls `tell` after each change, never at once. Returns what ends it. */
  subscribe(tell: () => void): () => void;
}

/** Watches a query that asks for totals only. */
export function totalsObserver(observer: Observer): TotalsObserver {
  let from: QueryState | undefined;
  let state: TotalsState | undefined;
  return {
    get() {
      const now = observer.get();
      if (state !== undefined && now === from) return state;
      from = now;
      const { aggregate, isLoading, error, isPending } = now;
      state = Object.freeze({ data: aggregate, isLoading, error, isPending });
      return state;
    },
    subscribe: observer.subscribe,
  };
}

/** Throws unless each form asks for totals. */
export function checkTotals(query: QueryJson): void {
  for (const [label, form] of Object.entries(query)) {
    const options = isObject(form) && isObject(form.$) ? form.$ : {};
    if (label === '$$ruleParams' || options.aggregate !== undefined) continue;
    throw failure('query-malformed/totals', { label });
  }
}
