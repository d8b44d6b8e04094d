import { failure, type TriceError } from '../errors.ts';
import type { QueryJson } from '../query/form.ts';
import type { Rows } from '../query/evaluate.ts';
import { isObject } from '../values/json.ts';
import type { Later } from './later.ts';
import type { Lazy } from './lazy.ts';
import type { PagedList } from './pages.ts';
import type { Observer } from './queries.ts';

/** What is loaded of a list. Frozen; the same object while nothing changed. */
export interface InfiniteState {
  readonly data: Rows | undefined;
  readonly error: TriceError | undefined;
  readonly isLoading: boolean;
  /** There are more rows than those loaded, and none are being loaded. */
  readonly canLoadNextPage: boolean;
  /** Loads one page more; without effect while it cannot. */
  readonly loadNextPage: () => void;
}

/** A list that is loaded page by page. It loads until the code that puts pages together is here. */
export class InfiniteQuery {
  #list: PagedList | null = null;
  #state: InfiniteState;
  readonly #observers = new Set<() => void>();

  /**
   * query    one form; its `limit` is the length of a page
   * observe  opens a query to watch
   */
  constructor(query: QueryJson, observe: (query: QueryJson) => Observer, later: Lazy<Later>) {
    const forms = Object.values(query);
    if (forms.length !== 1 || !isObject(forms[0]))
      throw failure('query-malformed/list', { input: Object.keys(query) });
    const { loadNextPage } = this;
    const nothing = { data: undefined, canLoadNextPage: false, loadNextPage };
    this.#state = Object.freeze({ ...nothing, isLoading: true, error: undefined });
    later.call(
      ({ PagedList }) => {
        this.#list = new PagedList(query, observe, () => this.#show());
        if (this.#observers.size > 0) this.#list.start();
        this.#show();
      },
      (error) => this.#show(Object.freeze({ ...nothing, isLoading: false, error })),
    );
  }

  /** What is loaded now: the same object until it changes. */
  get = (): InfiniteState => {
    // Nobody tells this object of changes while nobody watches it.
    if (this.#observers.size === 0) this.#show();
    return this.#state;
  };

  /** Calls `tell` after each change, never at once. Returns what ends it. */
  subscribe = (tell: () => void): (() => void) => {
    if (this.#observers.size === 0) {
      this.#list?.start();
      this.#show();
    }
    // Two who watch with one function are two.
    const own = () => tell();
    this.#observers.add(own);
    return () => {
      if (this.#observers.delete(own) && this.#observers.size === 0) this.#list?.stop();
    };
  };

  /** Loads one page more; without effect while it cannot. */
  loadNextPage = (): void => {
    if (this.#observers.size > 0) this.#list?.loadNextPage();
  };

  #show(state = this.#list?.state(this.#state) ?? this.#state): void {
    if (this.#state === state) return;
    this.#state = state;
    for (const tell of [...this.#observers]) tell();
  }
}
