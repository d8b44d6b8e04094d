import type { Catalog } from '../schema/catalog.ts';
import type { ChangeSet, View } from '../store/view.ts';
import type { QueryJson } from './form.ts';
import type { PageContext } from './page.ts';
import { type HasOne, parse } from './parse.ts';
import { type Row, type Rows, sameOr } from './row.ts';
import { Top } from './top.ts';

export type { Row, Rows } from './row.ts';

/**
 * One query over a view that changes: rows found once, and then looked at again only where a
 * change may have touched them. No I/O.
 *
 * Rows, arrays and the whole are the same objects as before while their content is.
 */
export class Evaluation {
  readonly #query: QueryJson;
  readonly #hasOne: HasOne;
  #catalog: Catalog;
  #tops: Top[] = [];
  #rows: Rows = {};
  /** Some forms ask for totals: they have no rows. */
  hasTotals = false;
  /** See `Parsed`. */
  isUnread = false;
  isUnsure = false;

  constructor(query: QueryJson, catalog: Catalog, hasOne: HasOne) {
    this.#query = query;
    this.#hasOne = hasOne;
    this.#catalog = catalog;
    this.#parse();
  }

  /** The rows as they were computed last. */
  get rows(): Rows {
    return this.#rows;
  }

  get tops(): readonly Top[] {
    return this.#tops;
  }

  /** Namespaces that occur in the query: no other can change its rows. */
  get namespaces(): ReadonlySet<string> {
    return new Set(this.#tops.flatMap((top) => top.level.namespaces));
  }

  /** Computes all rows. */
  run(view: View, context: PageContext): Rows {
    for (const top of this.#tops) top.run(view);
    return this.#collect(view, context);
  }

  /** Computes the rows after `changes`, which led to `view`. */
  refresh(view: View, changes: ChangeSet, context: PageContext): Rows {
    for (const top of this.#tops) top.refresh(view, changes);
    return this.#collect(view, context);
  }

  /** Takes another catalog over; `run` must follow. */
  adopt(catalog: Catalog): void {
    this.#catalog = catalog;
    this.#parse();
  }

  #parse(): void {
    const parsed = parse(this.#query, this.#catalog, this.#hasOne);
    const forms = parsed.forms.filter((form) => !form.isTotal);
    this.hasTotals = forms.length < parsed.forms.length;
    this.isUnread = parsed.isUnread;
    this.isUnsure = parsed.isUnsure;
    const before = new Map(this.#tops.map((top) => [top.level.form.label, top]));
    this.#tops = forms.map((form) => new Top(form, this.#catalog, before.get(form.label)));
  }

  #collect(view: View, context: PageContext): Rows {
    const found: Record<string, readonly Row[]> = {};
    for (const top of this.#tops) found[top.level.form.label] = top.rows(view, context);
    this.#rows = sameOr(this.#rows, found);
    return this.#rows;
  }
}
