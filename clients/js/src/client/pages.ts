/**
 * A list that is loaded page by page, and stays live as a whole.
 *
 *     first ──a page is full──> head · tail        tail ──loadNextPage──> page · tail
 *                                                  head ──it is full──> head · page
 *
 * Parts cover all rows without a gap: each begins where the one before ends, at a cursor. `head`
 * has the rows before the first cursor, in reverse order, `tail` those after the last, both cut by
 * the limit; pages between are as long as the rows in them. A part gives way to its successors at
 * once when all of them are known, so that rows neither repeat nor vanish meanwhile.
 */
import type { Cursor, QueryJson } from '../query/form.ts';
import type { Row, Rows } from '../query/evaluate.ts';
import type { PageInfo } from '../query/page.ts';
import { sameOr } from '../query/row.ts';
import { isObject } from '../values/json.ts';
import type { InfiniteState } from './infinite.ts';
import type { Observer } from './queries.ts';

/** The rows of a page where the query names no `limit`, as in the original's client. */
const PAGE_ROWS = 10;

type Order = Readonly<Record<string, 'asc' | 'desc'>>;

interface Part {
  readonly kind: 'first' | 'head' | 'page' | 'tail';
  /** The options that place it: a limit, cursors. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly isReversed: boolean;
  readonly observer: Observer;
  stop: () => void;
}

/** A part that gives way once its successors are known. */
interface Growth {
  readonly part: Part;
  readonly successors: readonly Part[];
}

/** The parts of a list, and their rows as one. Who watches it is known to `InfiniteQuery` alone. */
export class PagedList {
  readonly #label: string;
  readonly #form: Readonly<Record<string, unknown>>;
  readonly #limit: number;
  readonly #order: Order;
  readonly #observe: (query: QueryJson) => Observer;
  readonly #onChange: () => void;
  #parts: readonly Part[];
  #growths: readonly Growth[] = [];

  /**
   * query     one form; its `limit` is the length of a page
   * observe   opens a query to watch
   * onChange  called after each change while it is watched
   */
  constructor(query: QueryJson, observe: (query: QueryJson) => Observer, onChange: () => void) {
    const [label, form] = Object.entries(query)[0]!;
    this.#label = label;
    this.#form = form as Readonly<Record<string, unknown>>;
    const { limit, order } = isObject(this.#form.$) ? this.#form.$ : {};
    this.#limit = typeof limit === 'number' ? limit : PAGE_ROWS;
    this.#order = isObject(order) && Object.keys(order).length > 0 ? (order as Order) : BY_CREATION;
    this.#observe = observe;
    this.#onChange = onChange;
    this.#parts = [this.#part('first', { limit: this.#limit })];
  }

  /** Somebody watches. */
  start(): void {
    for (const part of this.#parts) this.#watch(part);
    this.#settle();
  }

  /** Nobody watches any more. */
  stop(): void {
    for (const { successors } of this.#growths) for (const part of successors) part.stop();
    this.#growths = [];
    for (const part of this.#parts) part.stop();
  }

  loadNextPage(): void {
    const tail = this.#parts.at(-1)!;
    if (!this.#canGrow(tail)) return;
    const { endCursor } = this.#pageOf(tail)!;
    const { after, afterInclusive } = tail.options;
    this.#grow(tail, [
      this.#part('page', { after, afterInclusive, before: endCursor, beforeInclusive: true }),
      this.#part('tail', { limit: this.#limit, after: endCursor, afterInclusive: false }),
    ]);
    this.#changed();
  }

  /** The state now: `before` if it is the same. */
  state(before: InfiniteState): InfiniteState {
    const states = this.#parts.map(({ observer }) => observer.get());
    const error = states.find((state) => state.error)?.error;
    const isLoading = error === undefined && states.some((state) => state.isLoading);
    const data = error || isLoading ? undefined : this.#joined(before.data);
    const canLoadNextPage = data !== undefined && this.#canGrow(this.#parts.at(-1)!);
    const { loadNextPage } = before;
    return sameOr(before, { data, error, isLoading, canLoadNextPage, loadNextPage });
  }

  #watch(part: Part): void {
    part.stop = part.observer.subscribe(() => this.#changed());
  }

  #changed(): void {
    this.#settle();
    this.#onChange();
  }

  /** Puts successors that are known into their place, and grows where a part is full. */
  #settle(): void {
    if (this.#parts.some((part) => part.kind !== 'first' && part.observer.get().isLoading))
      this.#restart();
    for (;;) {
      const ready = this.#growths.find(({ successors }) =>
        successors.every(({ observer }) => !observer.get().isLoading),
      );
      if (ready) this.#replace(ready);
      else if (!this.#growFull()) return;
    }
  }

  /** Somebody else is signed in, or nobody watched for long: the cursors mean nothing any more. */
  #restart(): void {
    const parts = [...this.#parts, ...this.#growths.flatMap(({ successors }) => successors)];
    this.#growths = [];
    this.#parts = [this.#part('first', { limit: this.#limit })];
    for (const part of this.#parts) this.#watch(part);
    for (const part of parts) part.stop();
  }

  #replace({ part, successors }: Growth): void {
    this.#growths = this.#growths.filter((growth) => growth.part !== part);
    this.#parts = this.#parts.flatMap((one) => (one === part ? successors : [one]));
    part.stop();
  }

  /** Starts the successors of a first part or head that is full; false if there is none. */
  #growFull(): boolean {
    const first = this.#parts[0]!;
    const page = this.#pageOf(first);
    if (page === undefined || this.#growths.some(({ part }) => part === first)) return false;
    const isFull = this.#rowsOf(first).length >= this.#limit || page.hasNextPage;
    const { startCursor, endCursor } = page;
    if (!isFull || startCursor === null || endCursor === null) return false;
    if (first.kind === 'first')
      this.#grow(first, [
        this.#head(startCursor),
        this.#part('tail', { limit: this.#limit, after: startCursor, afterInclusive: true }),
      ]);
    else if (first.kind === 'head') {
      const { after } = first.options;
      this.#grow(first, [
        this.#head(endCursor),
        this.#part('page', { after, before: endCursor, beforeInclusive: true }, true),
      ]);
    } else return false;
    return true;
  }

  #grow(part: Part, successors: readonly Part[]): void {
    this.#growths = [...this.#growths, { part, successors }];
    for (const one of successors) this.#watch(one);
  }

  #head(cursor: Cursor): Part {
    return this.#part('head', { limit: this.#limit, after: cursor }, true);
  }

  #part(kind: Part['kind'], options: Part['options'], isReversed = false): Part {
    const { where, fields } = isObject(this.#form.$) ? this.#form.$ : {};
    const order = isReversed ? reversed(this.#order) : this.#order;
    const query = { [this.#label]: { ...this.#form, $: { ...options, where, fields, order } } };
    return { kind, options, isReversed, observer: this.#observe(query), stop: () => {} };
  }

  #pageOf({ observer }: Part): PageInfo | undefined {
    return observer.get().pageInfo?.[this.#label];
  }

  #rowsOf({ observer, isReversed }: Part): readonly Row[] {
    const rows = observer.get().data?.[this.#label] ?? [];
    return isReversed ? [...rows].reverse() : rows;
  }

  #canGrow(tail: Part): boolean {
    const page = this.#pageOf(tail);
    const isGrowing = this.#growths.some(({ part }) => part === tail);
    return tail.kind === 'tail' && !isGrowing && !!page?.hasNextPage && page.endCursor !== null;
  }

  #joined(before: Rows | undefined): Rows {
    // Parts may be of different moments, so a row that moved may stand in two for a while.
    const byId = new Map<string, Row>();
    for (const part of this.#parts) for (const row of this.#rowsOf(part)) byId.set(row.id, row);
    const rows = [...byId.values()];
    const old = before?.[this.#label];
    if (old?.length === rows.length && rows.every((row, place) => row === old[place]))
      return before!;
    return Object.freeze({ [this.#label]: Object.freeze(rows) });
  }
}

const BY_CREATION: Order = { serverCreatedAt: 'asc' };

function reversed(order: Order): Order {
  const [label, direction] = Object.entries(order)[0]!;
  return { [label]: direction === 'desc' ? 'asc' : 'desc' };
}
