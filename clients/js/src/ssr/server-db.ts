import type { Config } from '../client/config.ts';
import {
  type Dehydrated,
  dehydrated,
  isDehydrated,
  keptAnswers,
  type PageHead,
  type PageUser,
} from '../client/dehydrated.ts';
import { answerOf, pageAuth } from '../client/hydration.ts';
import * as local from '../client/local.ts';
import { type Observer, withRuleParams } from '../client/queries.ts';
import { AUTH_LOADING, type AuthState, type User } from '../client/user.ts';
import { TriceError } from '../errors.ts';
import { userInCookie } from '../http/cookie.ts';
import type { HttpEnvironment } from '../http/environment.ts';
import { originOf } from '../http/origin.ts';
import { Requests } from '../http/requests.ts';
import type { QueryJson } from '../query/form.ts';
import type { WireAttr } from '../schema/attr.ts';
import { hasOneOf } from '../schema/shape.ts';
import { type KeptAnswer, LOADING, type QueryState, type WireResult } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import { Store } from '../store/store.ts';
import { scriptOf, tagOf } from './script.ts';
import { takeLocal } from '../values/here.ts';

/** How long a page waits for an answer. */
const TIMEOUT_MS = 10_000;

/** A request for a page, of any framework. */
export interface PageRequest {
  readonly headers: {
    /** The value of a header; null if it is not there. */
    get(name: string): string | null;
  };
}

/** What `createServerDb` takes: that of `init`, and for whom the page is made. */
export interface ServerConfig extends Pick<Config, 'appId' | 'server' | 'apiURI' | 'schema'> {
  /** Who asks; null: nobody. Without `user` and `request` pages do not say who is signed in. */
  readonly user?: User | null | undefined;
  /** The request for the page: its cookie says who asks. */
  readonly request?: PageRequest | undefined;
  /** How long the page waits for an answer; 10,000. */
  readonly timeoutMs?: number | undefined;
}

/** One query of the page. `kept` is there once it was answered. */
interface Asked {
  readonly query: QueryJson;
  state: QueryState;
  kept: KeptAnswer | null;
  promise: Promise<QueryState> | null;
}

/** What the server answers to a query for a page (P87); older servers name nothing. */
interface WireAnswer {
  readonly result: WireResult;
  readonly attrs: readonly WireAttr[];
  readonly catalog?: string;
  readonly 'processed-tx-id'?: number;
  readonly 'query-id'?: string;
  readonly version?: string;
}

/** One app's data while one page is made, for one user. Make another for each request. */
export class ServerDb {
  /** Who is signed in, without the token. */
  readonly authState: AuthState;
  readonly #config: ServerConfig;
  readonly #environment: HttpEnvironment;
  readonly #requests: Requests;
  readonly #user: User | null | undefined;
  readonly #store: Store;
  readonly #asked = new Map<string, Asked>();
  /** Answers that the page does not have yet, by hash. */
  readonly #unsent = new Set<string>();
  #catalog: string | undefined;
  #tx = 0;
  /** The attrs, where they are newer than what the page has. */
  #areAttrsUnsent = false;

  constructor(config: ServerConfig, environment: HttpEnvironment) {
    const { appId, request, schema } = config;
    this.#config = config;
    this.#environment = environment;
    this.#requests = new Requests(environment, originOf(config));
    const fromCookie = request && userInCookie(request.headers.get('cookie'), appId);
    this.#user = config.user === undefined ? fromCookie : config.user;
    this.authState = this.#user === undefined ? AUTH_LOADING : pageAuth(this.#user);
    takeLocal(local);
    this.#store = new Store({
      schema,
      hasOne: hasOneOf(schema),
      id: environment.id,
      keepInvented: () => {},
      // As in a browser at first: what it needs later is not in its first picture either.
      code: { part: null, need: () => {} },
      local: { need: () => {} },
      trace: {},
    });
  }

  /**
   * Asks a query, once for equal ones, and keeps the answer for the page.
   *
   * returns  what it finds; `error` says why not: that is not kept, and the browser asks again
   */
  preload(query: object, opts?: { ruleParams?: object }): Promise<QueryState> {
    const asked = this.#find(withRuleParams(query, opts));
    return (asked.promise ??= this.#ask(asked));
  }

  /** One query as hooks see it while the page is made. */
  observe(query: object, opts?: { ruleParams?: object }): Observer {
    const plain = withRuleParams(query, opts);
    const hash = queryHash(plain);
    const get = () => this.#asked.get(hash)?.state ?? LOADING;
    return {
      get,
      getServer: get,
      subscribe: () => () => {},
      promise: () => this.preload(plain),
    };
  }

  /** Takes over what was found elsewhere for the same page, such as in a loader. */
  add(page: unknown): void {
    if (!isDehydrated(page, this.#config.appId)) return;
    // The browser has that page: it lacks what else was found here.
    if (page.attrs && this.#addCatalog(page.attrs, page.catalog, page.tx))
      this.#areAttrsUnsent = false;
    for (const [query, kept] of keptAnswers(page)) {
      this.#found(this.#find(query), kept);
      this.#unsent.delete(queryHash(query));
    }
  }

  /** All that was found, as JSON for `hydrate` in the browser. */
  dehydrate(): Dehydrated {
    return this.#write(this.#asked.keys(), true);
  }

  /** Code that gives the browser what was found since the last call; empty: nothing was. */
  flush(): string {
    const isFirst = this.#user !== undefined && !this.#hasSaidUser;
    if (this.#unsent.size === 0 && !isFirst) return '';
    this.#hasSaidUser = true;
    const page = this.#write(this.#unsent, this.#areAttrsUnsent);
    this.#unsent.clear();
    this.#areAttrsUnsent = false;
    return scriptOf(page);
  }

  /**
   * The same as a `script` element, for the head of a page.
   *
   * nonce  that of the page's Content-Security-Policy
   */
  script({ nonce }: { nonce?: string | undefined } = {}): string {
    return tagOf(this.flush(), nonce);
  }

  #hasSaidUser = false;

  #find(query: QueryJson): Asked {
    const hash = queryHash(query);
    let asked = this.#asked.get(hash);
    if (asked === undefined) {
      asked = { query, state: LOADING, kept: null, promise: null };
      this.#asked.set(hash, asked);
    }
    return asked;
  }

  async #ask(asked: Asked): Promise<QueryState> {
    try {
      const answer = await this.#post(asked.query);
      const tx = answer['processed-tx-id'] ?? 0;
      this.#addCatalog(answer.attrs, answer.catalog, tx);
      const { 'datalog-result': rows, ...data } = answer.result[0]!.data;
      this.#found(asked, {
        ...{ queryId: answer['query-id'], version: answer.version, tx, data },
        triples: rows['join-rows'].flat(),
      });
    } catch (error) {
      if (!(error instanceof TriceError)) throw error;
      asked.state = Object.freeze({ ...LOADING, isLoading: false, error });
    }
    return asked.state;
  }

  #found(asked: Asked, kept: KeptAnswer): void {
    asked.kept = kept;
    asked.state = answerOf(this.#store, asked.query, kept).state;
    asked.promise = Promise.resolve(asked.state);
    this.#unsent.add(queryHash(asked.query));
  }

  /** Takes attrs over, unless newer ones are here. Returns whether those are held now. */
  #addCatalog(attrs: readonly WireAttr[], name: string | undefined, tx: number): boolean {
    const isOlder = this.#store.hasCatalog && tx < this.#tx;
    this.#tx = Math.max(this.#tx, tx);
    if (name !== undefined && name === this.#catalog) return true;
    if (isOlder) return false;
    this.#store.setCatalog(attrs);
    this.#catalog = name;
    this.#areAttrsUnsent = true;
    return true;
  }

  async #post(query: QueryJson): Promise<WireAnswer> {
    const { appId, timeoutMs = TIMEOUT_MS } = this.#config;
    const { signal, cancel } = this.#environment.canceller();
    let isLate = false;
    const stop = this.#environment.timer(timeoutMs, () => {
      isLate = true;
      cancel();
    });
    const token = this.#user?.refresh_token;
    try {
      return await this.#requests.json<WireAnswer>({
        method: 'POST',
        path: '/runtime/framework/query',
        headers: { 'app-id': appId, ...(token ? { authorization: `Bearer ${token}` } : {}) },
        json: { query },
        signal,
      });
    } catch (error) {
      if (!isLate) throw error;
      const message = `The query was not answered within ${timeoutMs / 1000} s.`;
      throw new TriceError({ code: 'timeout', message });
    } finally {
      stop();
    }
  }

  #write(hashes: Iterable<string>, hasAttrs: boolean): Dehydrated {
    const answers = [...hashes].flatMap((hash) => {
      const { query, kept } = this.#asked.get(hash)!;
      return kept ? [[query, kept] as const] : [];
    });
    const head: PageHead = {
      appId: this.#config.appId,
      ...(this.#user === undefined ? {} : { user: shownOf(this.#user) }),
      tx: this.#tx,
      ...(this.#catalog === undefined ? {} : { catalog: this.#catalog }),
      ...(hasAttrs && this.#store.hasCatalog ? { attrs: this.#store.wireAttrs } : {}),
    };
    return dehydrated(head, answers);
  }
}

function shownOf(user: User | null): PageUser | null {
  if (user === null) return null;
  const { refresh_token: _, ...shown } = user;
  return shown as PageUser;
}
