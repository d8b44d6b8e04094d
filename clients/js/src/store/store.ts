import type { LocalCode } from '../client/local.ts';
import type { Entry } from '../pending/entry.ts';
import { FILES } from '../pending/uploads.ts';
import type { Step } from '../pending/steps.ts';
import type { QueryJson } from '../query/form.ts';
import type { HasOne } from '../query/parse.ts';
import type { WireAttr } from '../schema/attr.ts';
import { Catalog } from '../schema/catalog.ts';
import type { TriceError } from '../errors.ts';
import { local, readFreeDate } from '../values/here.ts';
import { madeIn } from '../values/made.ts';
import {
  Answer,
  type KeptAnswer,
  LOADING,
  type Local,
  type News,
  type QueryState,
} from './answer.ts';
import type { Cause } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import { queryHash } from './hash.ts';
import { Intern } from './intern.ts';
import type { CodeDoor, LaterCode } from './later-code.ts';
import { Union } from './union.ts';
import type { Fault, Writes, WritesOptions, Written } from './writes.ts';
import { tellEach } from '../values/tell.ts';

/** What the store needs from outside. */
export interface StoreOptions extends WritesOptions {
  readonly hasOne: HasOne;
  /** Code that shows pending writes, and tells rows apart here: it is needed. */
  readonly local: Pick<CodeDoor<never>, 'need'>;
  /** Code that is not needed at first. `codeCame` is called when it is here. */
  readonly code: CodeDoor<LaterCode>;
  /** The server said something new of a query, or that what is held still is so. */
  landed?(answer: Answer, news: News): void;
  readonly trace: Trace;
}

/**
 * What this client knows: the catalog, the answers of its queries, and the pending writes on top
 * of them. It sends nothing and keeps nothing on disk.
 *
 * Changes of one turn land together: `flush` computes what is shown, and tells observers once.
 */
export class Store implements Written {
  /** The catalog as the server told it, with the attrs that pending writes invented. */
  catalog = Catalog.empty;
  readonly union = new Union(() => this.#answers.values());
  readonly #whole = new Union(() => this.#answers.values(), true);
  readonly #options: StoreOptions;
  readonly #intern = new Intern();
  readonly #answers = new Map<string, Answer>();
  readonly #byQueryId = new Map<string, Answer>();
  readonly #observers = new Map<string, Set<() => void>>();
  /** Answers to be looked at, and what woke each first. */
  readonly #dirty = new Map<Answer, Cause>();
  /** The catalog as it travelled; another array after each change. */
  wireAttrs: readonly WireAttr[] = [];
  server = Catalog.empty;
  #entries: readonly Entry[] = [];
  /** Null: the code that shows them is not here, or there never were any. */
  #writes: Writes | null = null;
  #isPartial = false;
  #mustWait = true;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get newestCreated(): number {
    return this.#intern.newestCreated;
  }

  /** Whether the server has told a catalog. */
  get hasCatalog(): boolean {
    return this.server.attrs.length > 0;
  }

  get answers(): Iterable<Answer> {
    return this.#answers.values();
  }

  find(hash: string): Answer | undefined {
    return this.#answers.get(hash);
  }

  /** The answer of a query, made if it is new. */
  open(query: QueryJson): Answer {
    const hash = queryHash(query);
    let answer = this.#answers.get(hash);
    if (answer === undefined) this.put((answer = this.make(query)));
    return answer;
  }

  /** An answer of a query, of which nothing is known, apart from those that are watched. */
  make(query: QueryJson): Answer {
    return new Answer(queryHash(query), query, this.catalog, this.#intern, this.#options);
  }

  /** Makes an answer the one of its query. */
  put(answer: Answer): void {
    // Since it was made, another catalog may have come, and its records may be forgotten.
    if (answer.tx !== null) answer.adopt(this.catalog);
    this.#answers.set(answer.hash, answer);
    this.#name(answer);
    if (answer.lacksCode) this.#options.code.need();
    this.#show(answer, 'opened');
  }

  /** Forgets an answer that nobody watches. */
  close(hash: string): void {
    const answer = this.#answers.get(hash);
    if (answer === undefined) return;
    this.#answers.delete(hash);
    this.#dirty.delete(answer);
    if (answer.queryId !== undefined) this.#byQueryId.delete(answer.queryId);
    this.#sweep();
  }

  state(hash: string): QueryState {
    return this.#answers.get(hash)?.state ?? LOADING;
  }

  /**
   * Calls `tell` after each change of what a query shows, until the function returned is called.
   */
  observe(hash: string, tell: () => void): () => void {
    const observers = madeIn(this.#observers, hash, () => new Set<() => void>());
    observers.add(tell);
    return () => {
      observers.delete(tell);
      if (observers.size === 0 && this.#observers.get(hash) === observers)
        this.#observers.delete(hash);
    };
  }

  /** Takes the server's catalog over. */
  setCatalog(attrs: readonly WireAttr[]): void {
    this.wireAttrs = attrs;
    this.server = Catalog.of(attrs);
    if (!readFreeDate && hasDates(this.server)) this.#options.code.need();
    if (this.#writes) return this.#writes.renew();
    this.catalog = this.server;
    this.adopt();
  }

  /**
   * Takes news of a query over.
   *
   * returns  the answer, if it must be asked in full: the news start from what is not held
   */
  land(target: { hash: string } | { queryId: string }, news: News): Answer | undefined {
    const answer =
      'hash' in target ? this.#answers.get(target.hash) : this.#byQueryId.get(target.queryId);
    if (answer === undefined) return undefined;
    const isTaken = answer.land(news);
    this.#options.trace.say?.('land', answer.hash, news, isTaken);
    if (!isTaken) return answer;
    this.#name(answer);
    this.wake(answer, 'server');
    this.#options.landed?.(answer, news);
    return undefined;
  }

  /** Takes over what an earlier start kept of a query that is watched, or a page brought. */
  restore(hash: string, kept: KeptAnswer, source?: 'server'): void {
    const answer = this.#answers.get(hash);
    if (!answer?.restore(kept, source)) return;
    this.#name(answer);
    this.wake(answer, source ?? 'cache');
  }

  fail(hash: string, error: TriceError): void {
    const answer = this.#answers.get(hash);
    answer?.fail(error);
    if (answer) this.wake(answer, 'error');
  }

  /** Takes the pending writes over, those that are shown, in order. */
  setWrites(entries: readonly Entry[]): void {
    const isFirst = this.#entries.length === 0;
    this.#entries = entries;
    // Those that came before the code are looked through first: see `startWriting`.
    if (isFirst && local) this.#writes ??= new local.Writes(this, this.#options);
    if (this.#writes) this.#writes.set(entries);
    else if (entries.length > 0) this.#options.local.need();
  }

  /**
   * The code is here that shows writes, and makes the steps that are sent of them. Returns those
   * that it cannot make steps of, with the reason, before it shows any; they are to be taken away,
   * and this called again.
   */
  startWriting(code: LocalCode): readonly Fault[] {
    if (this.#writes) return [];
    const faults = code.faultsOf(this.#entries, this.server, this.#options);
    if (faults.length > 0) return faults;
    this.#writes = new code.Writes(this, this.#options);
    this.#writes.set(this.#entries);
    return [];
  }

  /** Whether steps can be made of pending writes: the code that makes them is here. */
  get isWriting(): boolean {
    return this.#writes !== null;
  }

  /** Whether an entity exists here, pending writes included. */
  isKnown(etype: string, id: string): boolean {
    if (this.union.record(etype, id)) return true;
    return this.#entries.some(({ operations }) =>
      operations.some(([action, on, of]) => action === 'create' && on === etype && of === id),
    );
  }

  /** The id of the row in `$files` that has a path, if it is known here. */
  fileAt(path: string): string | undefined {
    const attr = this.catalog.find(FILES, 'path')?.attr.id;
    if (attr === undefined) return undefined;
    for (const id of this.union.ids(FILES))
      if (this.union.record(FILES, id)?.cells[attr] === path) return id;
    return undefined;
  }

  /** The steps of a pending write, to be sent. */
  steps(id: string): readonly Step[] | undefined {
    return this.#writes?.steps(id);
  }

  /** Answers that a write may change that is shown. */
  concernedBy(id: string): readonly Answer[] {
    return this.#writes?.concernedBy(id) ?? [...this.#answers.values()];
  }

  forgetTx(): void {
    for (const answer of this.#answers.values()) answer.forgetTx();
  }

  /** Forgets all answers, as when somebody else signs in. Queries that are watched load anew. */
  clear(): void {
    const open = [...this.#answers.values()];
    this.#answers.clear();
    this.#intern.sweep([]);
    this.#byQueryId.clear();
    this.#dirty.clear();
    for (const { hash, query } of open)
      if (this.#observers.has(hash)) this.wake(this.open(query), 'opened');
    this.#told(open.map(({ hash }) => hash));
  }

  /**
   * Answers from now on what the server has not answered from all that is known here, or no longer.
   */
  setPartial(isPartial: boolean): void {
    if (isPartial === this.#isPartial) return;
    this.#isPartial = isPartial;
    if (isPartial) this.#options.code.need();
    for (const answer of this.#answers.values())
      if (answer.tx === null) this.wake(answer, 'offline');
  }

  /**
   * Code is here that was not at first: what was not shown without it is dirty.
   *
   * readsMore  more dates are read than before
   */
  codeCame(readsMore: boolean): void {
    if (readsMore && hasDates(this.catalog)) this.adopt();
    for (const answer of this.#answers.values()) {
      if (answer.lacksCode || answer.isUnread) answer.adopt(this.catalog);
      this.wake(answer, 'code');
    }
  }

  /** The code that shows pending writes cannot be fetched: what waits for it is shown without. */
  waitNoMore(): void {
    this.#mustWait = false;
    this.codeCame(false);
  }

  /** Shows what changed since the last call, and tells observers. */
  flush(): void {
    if (this.#dirty.size === 0) return;
    // What is answered from other answers changes with them.
    for (const answer of this.#answers.values())
      if (answer.tx === null) this.wake(answer, 'others');
    const told = [...this.#dirty]
      .filter(([answer, because]) => this.#show(answer, because))
      .map(([{ hash }]) => hash);
    this.#dirty.clear();
    this.#sweep();
    this.#told(told);
  }

  /** Forgets records that came and went, if there are many. */
  #sweep(): void {
    if (this.#intern.isFull) this.#intern.sweep([...this.#answers.values()].map(({ bag }) => bag));
  }

  /** An answer is to be looked at, when what is new is shown. */
  wake(answer: Answer, because: Cause): void {
    if (!this.#dirty.has(answer)) this.#dirty.set(answer, because);
  }

  /** Computes what a query shows; returns whether it is another state. */
  #show(answer: Answer, because: Cause): boolean {
    const { trace } = this.#options;
    const start = trace.now?.();
    const fill = this.#writes?.fillOf(answer) ?? null;
    if (answer.isUnsure) this.#options.local.need();
    const local = answer.tx === null ? this.#localOf(answer) : null;
    const waits = this.#mustWait && this.#entries.length > 0 && !this.#writes;
    const isTold = answer.show(this.union, this.#whole, fill, local, waits);
    trace.say?.('refresh', answer, because, isTold, start);
    return isTold;
  }

  /** What a query is answered from that the server has not answered; null: nothing. */
  #localOf({ query, state }: Answer): Local | null {
    const code = this.#options.code.part;
    if (!code?.isFindable(query)) return null;
    for (const { tx, query: held, bag } of this.#answers.values())
      if (tx !== null && code.covers(held, query, this.catalog))
        return { view: bag, isComplete: true };
    const one = code.entityAsked(query);
    if (one && this.#whole.record(one.etype, one.id))
      return { view: this.#whole, isComplete: true };
    // Rows once shown stay until the server answers.
    const isShown = this.#isPartial || state.source === 'partial';
    return isShown ? { view: this.union, isComplete: false } : null;
  }

  #told(hashes: readonly string[]): void {
    for (const hash of hashes) tellEach(this.#observers.get(hash) ?? []);
  }

  /** News name the query of an answer as the server does. */
  #name(answer: Answer): void {
    if (answer.queryId !== undefined) this.#byQueryId.set(answer.queryId, answer);
  }

  /** The catalog is another one. */
  adopt(): void {
    for (const answer of this.#answers.values()) {
      answer.adopt(this.catalog);
      this.wake(answer, 'schema');
    }
  }
}

function hasDates({ attrs }: Catalog): boolean {
  return attrs.some(({ checkedType }) => checkedType === 'date');
}
