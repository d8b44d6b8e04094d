import type { QueryJson } from '../query/form.ts';
import { queryHash } from '../store/hash.ts';
import type { Answer, KeptAnswer, QueryState } from '../store/answer.ts';
import type { Store } from '../store/store.ts';
import { takeLocal } from '../values/here.ts';
import type { Config } from './config.ts';
import * as local from './local.ts';
import { type Dehydrated, isDehydrated, keptAnswers, type PageUser } from './dehydrated.ts';
import type { Hydrated } from './queries.ts';
import type { Session } from './session.ts';
import { AUTH_LOADING, type AuthState } from './user.ts';

/** What of a database takes over what a page brought. */
export interface HydrationParts {
  readonly config: Config;
  readonly store: Store;
  readonly session: Session;
  readonly user: { readonly state: AuthState };
}

/** What a page brought of one query. */
interface Brought {
  /** What the page shows of it. */
  readonly shown: QueryState;
  /** Null once the query was watched: the store has it then. */
  waiting: Answer | null;
}

/**
 * What a page brought that was made on a server. It shows exactly what the page shows, whatever is
 * known here, until a query is watched; from then on the store has the answer, and the session says
 * its version.
 */
export class Hydration implements Hydrated {
  /** Who was signed in where the page was made. */
  auth: AuthState = AUTH_LOADING;
  readonly #parts: HydrationParts;
  readonly #brought = new Map<string, Brought>();
  readonly #pages = new WeakSet<object>();
  /** The user is another than at first: pages may still come that were made for the one before. */
  #isOfOthers = false;

  constructor(parts: HydrationParts) {
    // The page must show the same at once, so what picks its rows cannot be fetched later.
    takeLocal(local);
    this.#parts = parts;
  }

  get appId(): string {
    return this.#parts.config.appId;
  }

  /** Takes over what a page brought; false if that is of another app, or cannot be read. */
  add(page: unknown): boolean {
    if (!isDehydrated(page, this.appId) || !this.#isMeant(page)) return false;
    if (this.#pages.has(page)) return true;
    this.#pages.add(page);
    const { store } = this.#parts;
    this.#addCatalog(page);
    if (page.user !== undefined) this.auth = pageAuth(page.user);
    for (const [query, kept] of keptAnswers(page)) {
      const hash = queryHash(query);
      const answer = answerOf(store, query, kept);
      // Somebody may watch it already: then the store has it at once.
      const waiting = store.find(hash) ? null : answer;
      this.#brought.set(hash, { shown: answer.state, waiting });
      store.restore(hash, kept, 'server');
    }
    store.flush();
    return true;
  }

  shown(hash: string): QueryState | undefined {
    return this.#brought.get(hash)?.shown;
  }

  waiting(hash: string): QueryState | undefined {
    return this.#brought.get(hash)?.waiting?.state;
  }

  claim(hash: string): void {
    const brought = this.#brought.get(hash);
    if (!brought?.waiting) return;
    const answer = brought.waiting;
    const { store } = this.#parts;
    brought.waiting = null;
    if (!store.find(hash)) store.put(answer);
  }

  /** The server's data was put back to an older state: ids of transactions mean nothing (P74). */
  reset(): void {
    for (const { waiting } of this.#brought.values()) waiting?.forgetTx();
  }

  forget(): void {
    this.#brought.clear();
    this.auth = AUTH_LOADING;
    this.#isOfOthers = true;
  }

  /** Once the user is another than at first, what comes must have been made for them. */
  #isMeant({ user }: Dehydrated): boolean {
    return !this.#isOfOthers || user?.id === this.#parts.user.state.user?.id;
  }

  /** The newest catalog holds: that of an open session, else the one with the greater id. */
  #addCatalog({ attrs, catalog, tx }: Dehydrated): void {
    const { store, session } = this.#parts;
    if (attrs === undefined || session.isLive || tx < session.held.tx) return;
    store.setCatalog(attrs);
    session.restore(catalog, tx);
  }
}

/** Who is signed in, as a page says. The token is not in pages: the own sign-in brings it. */
export function pageAuth(user: PageUser | null): AuthState {
  const shown = user && Object.freeze({ ...user, refresh_token: '' });
  return Object.freeze({ isLoading: false, user: shown, error: undefined });
}

/** The answer that a page brought, as it shows without pending writes. Nobody watches it. */
export function answerOf(store: Store, query: QueryJson, kept: KeptAnswer): Answer {
  const answer = store.make(query);
  answer.restore(kept, 'server');
  answer.show(store.union, store.union, null, null);
  return answer;
}
