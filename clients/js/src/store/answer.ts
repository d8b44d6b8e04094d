import { Evaluation, type Rows } from '../query/evaluate.ts';
import type { Cursor, Form, QueryJson } from '../query/form.ts';
import type { HasOne } from '../query/parse.ts';
import type { PageContext, PageInfo } from '../query/page.ts';
import { sameOr } from '../query/row.ts';
import { type Position, positionOf } from '../query/sort.ts';
import type { Top } from '../query/top.ts';
import type { TotalForms, Totals } from '../query/totals.ts';
import type { Catalog } from '../schema/catalog.ts';
import type { TriceError } from '../errors.ts';
import { Bag, type Delta, type Triple } from './bag.ts';
import type { CodeDoor, LaterCode } from './later-code.ts';
import type { Intern } from './intern.ts';
import type { Overlay } from './overlay.ts';
import type { Fill } from './writes.ts';
import { ToldTotals } from './told-totals.ts';
import { ChangeSet, type View } from './view.ts';

/** The content of an answer in full, as `add-query-ok` and `refresh-ok` have it. */
export type WireResult = readonly {
  readonly data: {
    readonly 'datalog-result': { readonly 'join-rows': readonly (readonly Triple[])[] };
    readonly 'page-info'?: Readonly<Record<string, WirePage>>;
    readonly aggregate?: Readonly<Record<string, unknown>>;
  };
}[];

export interface WirePage {
  readonly 'start-cursor': Cursor | null;
  readonly 'end-cursor': Cursor | null;
  readonly 'has-next-page?': boolean;
  readonly 'has-previous-page?': boolean;
}

/**
 * What the server said of a query: all of it, the steps from what is held, or that it still holds.
 */
export interface News {
  readonly queryId?: string | undefined;
  readonly version?: string | undefined;
  readonly from?: string | undefined;
  readonly tx: number;
  readonly result?: WireResult | undefined;
  readonly delta?: (Delta & { readonly data?: Readonly<Record<string, unknown>> }) | undefined;
}

/** An answer as an earlier start kept it, or as a page brought it. */
export interface KeptAnswer {
  readonly queryId: string | undefined;
  /** Undefined: the server names no versions. */
  readonly version: string | undefined;
  readonly tx: number;
  readonly triples: readonly Triple[];
  /** Page info and totals, as the server told them. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** The state of a query, as apps see it. Frozen; the same object while nothing changed. */
export interface QueryState {
  readonly data: Rows | undefined;
  readonly pageInfo: Readonly<Record<string, PageInfo>> | undefined;
  readonly aggregate: Readonly<Record<string, unknown>> | undefined;
  readonly isLoading: boolean;
  readonly error: TriceError | undefined;
  /** Some totals do not contain all pending writes. */
  readonly isPending: boolean;
  /**
   * The server, now; what an earlier start kept; or what is known here of other queries. Undefined
   * while loading.
   */
  readonly source: 'server' | 'cache' | 'partial' | undefined;
  /** Nothing that matches is missing, as far as the server told. */
  readonly isComplete: boolean;
}

export const LOADING: QueryState = Object.freeze({
  data: undefined,
  pageInfo: undefined,
  aggregate: undefined,
  isLoading: true,
  error: undefined,
  isPending: false,
  source: undefined,
  isComplete: false,
});

/** What a query that the server has not answered is answered from. */
export interface Local {
  readonly view: View;
  readonly isComplete: boolean;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * One query: what the server said of it, and what is shown of it with pending writes on top.
 *
 * Invariant: the bag equals exactly what `version` names; pending writes live in the overlay only.
 */
export class Answer {
  readonly hash: string;
  readonly query: QueryJson;
  readonly bag: Bag;
  queryId: string | undefined;
  version: string | undefined;
  /** The transaction up to which the bag contains all; null before the first answer. */
  tx: number | null = null;
  /** It came with the page, and the session has not said of it yet. */
  isHydrated = false;
  state: QueryState = LOADING;
  /** It loads until pending writes can be shown. */
  isHeldBack: boolean | undefined;
  readonly #evaluation: Evaluation;
  #overlay: Overlay | null = null;
  #pages: Readonly<Record<string, PageInfo>> | undefined;
  /** Null: no form asks for totals, or their code is not here yet. */
  #totalForms: TotalForms | null = null;
  readonly #code: CodeDoor<LaterCode>;
  readonly #hasOne: HasOne;
  readonly #totals = new ToldTotals();
  /** Page info and totals, as the server told them. */
  data: Readonly<Record<string, unknown>> = {};
  #source: 'server' | 'cache' | undefined;
  #isFresh = true;
  #cameWithPage = false;
  #local: Local | null = null;
  /** Changes that the rows do not show yet. */
  #changes = new ChangeSet();
  #error: TriceError | undefined;
  /** Namespaces in which a write may change the rows. */
  namespaces: ReadonlySet<string>;
  #whole: ReadonlySet<string> | null = null;

  constructor(
    hash: string,
    query: QueryJson,
    catalog: Catalog,
    intern: Intern,
    { hasOne, code }: { readonly hasOne: HasOne; readonly code: CodeDoor<LaterCode> },
  ) {
    this.hash = hash;
    this.query = query;
    this.bag = new Bag(catalog, intern);
    this.#hasOne = hasOne;
    this.#code = code;
    this.#evaluation = new Evaluation(query, catalog, hasOne);
    this.#takeTotalForms(catalog);
    this.namespaces = this.#namespaces();
  }

  /** Namespaces of which the bag has whole entities only; none is known without the code for it. */
  get whole(): ReadonlySet<string> {
    const code = this.isUnread ? null : this.#code.part;
    return (this.#whole ??= code && code.wholeNamespaces(this.#evaluation)) ?? NONE;
  }

  /** It has totals, and loads until their code is here: then `adopt` must follow. */
  get lacksCode(): boolean {
    return this.#evaluation.hasTotals && this.#totalForms === null;
  }

  /** What it asks for was not read to the end: `adopt` must follow once rows are picked here. */
  get isUnread(): boolean {
    return this.#evaluation.isUnread;
  }

  /** It loads until rows are picked here. */
  get isUnsure(): boolean {
    return this.#evaluation.isUnsure;
  }

  /** Totals of a page are shown as told until their code is here, and move from then on. */
  get #waitsForCode(): boolean {
    return this.isHeldBack || this.isUnsure || (this.lacksCode && !this.#cameWithPage);
  }

  /** Takes news over; false if they start from a version that is not held. */
  land(news: News): boolean {
    if (news.result) {
      const data = news.result[0]?.data;
      this.bag.replace(data?.['datalog-result']['join-rows'].flat() ?? [], this.#changes);
      this.#takeData(data);
    } else {
      if (news.from !== this.version || this.version === undefined) return false;
      if (news.delta) this.bag.apply(news.delta, this.#changes);
      if (news.delta?.data) this.#takeData(news.delta.data);
      else this.#totals.land();
    }
    this.queryId = news.queryId ?? this.queryId;
    this.version = news.version ?? this.version;
    this.tx = Math.max(this.tx ?? 0, news.tx);
    this.#source = 'server';
    this.isHydrated = false;
    this.#error = undefined;
    return true;
  }

  /**
   * Takes over what an earlier start kept, or a page brought (`server`), unless the session said
   * something since. A page may be older: it may have been kept somewhere on its way.
   */
  restore(kept: KeptAnswer, source: 'server' | 'cache' = 'cache'): boolean {
    if (this.tx !== null && !(this.isHydrated && kept.tx > this.tx)) return false;
    this.bag.replace(kept.triples, this.#changes);
    this.#takeData(kept.data);
    this.queryId = kept.queryId;
    this.version = kept.version;
    this.tx = kept.tx;
    this.#source = source;
    this.isHydrated = source === 'server';
    this.#cameWithPage ||= this.isHydrated;
    return true;
  }

  fail(error: TriceError): void {
    this.#error = error;
  }

  /** Takes another catalog over: attrs that came, went or were renamed. */
  adopt(catalog: Catalog): void {
    this.bag.adopt(catalog);
    this.#evaluation.adopt(catalog);
    this.#takeTotalForms(catalog);
    this.namespaces = this.#namespaces();
    this.#whole = null;
    this.#isFresh = true;
  }

  /** Forgets the ids of transactions: the data was put back to an older state (P74). */
  forgetTx(): void {
    this.tx = this.tx === null ? null : 0;
  }

  /**
   * Shows what is known with pending writes on top; returns whether the state is another.
   *
   * wider  all that is known; whole: entities of which all is known
   * fill   null: no pending write concerns it
   * local  what it is answered from before the server answers; null: nothing
   * waits  there are pending writes that cannot be shown yet: what was not shown before waits for
   *        them, so that nothing is missing for a moment
   */
  show(wider: View, whole: View, fill: Fill | null, local: Local | null, waits = false): boolean {
    this.isHeldBack = waits && this.state.isLoading;
    const isLocal = this.tx === null && this.#error === undefined && !this.isUnread;
    this.#local = isLocal ? local : null;
    const below = this.#local?.view ?? this.bag;
    const before = this.#overlay;
    const filled = fill?.(below, wider, this.tx).overlay;
    const overlay = filled && !filled.changes.isEmpty ? filled : null;
    const changes = new ChangeSet();
    if (before) changes.addAll(before.changes, before);
    changes.addAll(this.#changes);
    if (overlay) changes.addAll(overlay.changes);
    this.#overlay = overlay;
    if (this.#totalForms)
      this.#code.part!.moveTotals(this.#totals, this.#totalForms, whole, fill, this.tx);
    else if (this.#cameWithPage) this.#totals.stay();
    const view = overlay ?? below;
    const context = this.#context();
    if (this.tx === null)
      return this.#setState(this.#local ? this.#evaluation.run(view, context) : undefined);
    if (this.#isFresh) this.#evaluation.run(view, context);
    else this.#evaluation.refresh(view, changes, context);
    this.#isFresh = false;
    this.#changes = new ChangeSet();
    return this.#setState(this.#waitsForCode ? undefined : this.#evaluation.rows);
  }

  /** The top forms of the query, as they were computed last. */
  get tops(): readonly Top[] {
    return this.#evaluation.tops;
  }

  #namespaces(): ReadonlySet<string> {
    const { namespaces } = this.#evaluation;
    return this.#totalForms ? new Set([...namespaces, ...this.#totalForms.namespaces]) : namespaces;
  }

  #takeTotalForms(catalog: Catalog): void {
    const code = this.#evaluation.hasTotals ? this.#code.part : null;
    this.#totalForms = code && new code.TotalForms(this.query, catalog, this.#hasOne);
  }

  #context(): PageContext {
    return {
      pageInfo: (label) => this.#pages?.[label],
      isTouched: (etype, id) => this.#overlay?.isTouched(etype, id) ?? false,
      positionBefore: (form: Form, id: string): Position | undefined => {
        const record = this.bag.record(form.etype, id);
        return record && positionOf(form.order, record);
      },
    };
  }

  #takeData(data: Readonly<Record<string, unknown>> | undefined): void {
    const { 'datalog-result': _, ...rest } = data ?? {};
    this.data = rest;
    const pages = data?.['page-info'] as Readonly<Record<string, WirePage>> | undefined;
    this.#pages = pages && Object.keys(pages).length > 0 ? pagesOf(pages) : undefined;
    const totals = data?.aggregate as Totals | undefined;
    this.#totals.land(totals && Object.keys(totals).length > 0 ? totals : undefined);
  }

  #setState(rows: Rows | undefined): boolean {
    const before = this.state;
    const error = this.#error;
    const pageInfo = this.#pages;
    const { shown: aggregate, isPending } = this.#totals;
    const isTold = this.tx !== null && !this.#waitsForCode;
    const isComplete = isTold || (this.#local?.isComplete ?? false);
    const source = isTold ? this.#source : this.#local ? 'partial' : undefined;
    const isLoading = rows === undefined && error === undefined;
    this.state = sameOr<QueryState>(before, {
      data: rows,
      pageInfo,
      aggregate,
      isLoading,
      error,
      isPending,
      source,
      isComplete,
    });
    return this.state !== before;
  }
}

function pagesOf(pages: Readonly<Record<string, WirePage>>): Readonly<Record<string, PageInfo>> {
  const found = Object.entries(pages).map(([label, page]): [string, PageInfo] => [
    label,
    Object.freeze({
      startCursor: page['start-cursor'],
      endCursor: page['end-cursor'],
      hasNextPage: page['has-next-page?'],
      hasPreviousPage: page['has-previous-page?'],
    }),
  ]);
  return Object.freeze(Object.fromEntries(found));
}
