import { type Catalog, type Named, otherEnd } from '../schema/catalog.ts';
import { local } from '../values/here.ts';
import { isObject } from '../values/json.ts';
import type { Bound, Cursor, Form, Order, Page, QueryJson } from './form.ts';

const NO_ORDER: Order = { attr: null, isDescending: false };
const PAGING = ['limit', 'first', 'last', 'offset', 'after', 'before'] as const;

/** Whether a link, seen from one of its ends, is answered as an object and not as a list. */
export type HasOne = (link: Named) => boolean;

/** The forms of a query, and whether the code that reads `where` was missing. */
export interface Parsed {
  readonly forms: readonly Form[];
  /** Some `where` is not read: all that a view holds passes it. */
  readonly isUnread: boolean;
  /** Not even of an answer of the server the rows are known without that code. */
  readonly isUnsure: boolean;
}

/**
 * Checks the top forms of a query against a catalog. No I/O.
 *
 * It refuses nothing: what the server refuses finds nothing here, and the server says why. Forms
 * stay as they are until the catalog changes a name in them, or code comes (`values/here.ts`).
 */
export function parse(query: QueryJson, catalog: Catalog, hasOne: HasOne): Parsed {
  const seen = new Map<string, number>();
  const gaps: Gap[] = [];
  const found = Object.entries(query)
    .filter(([label]) => label !== '$$ruleParams')
    .map(([label, body]) => new Parser(catalog, seen, gaps, hasOne).form(label, body, label, null));
  const isRepeated = (etype: string) => seen.get(etype)! > 1;
  return {
    forms: found.map((form) => ({ ...form, isRepeated: isRepeated(form.etype) })),
    isUnread: gaps.length > 0,
    isUnsure: gaps.some((isOpen) => isOpen(isRepeated)),
  };
}

/**
 * Something that was not read for want of code. Says whether that leaves rows open: what the server
 * answers is what matches, unless it stands there for another form or a path too.
 */
type Gap = (isRepeated: (etype: string) => boolean) => boolean;

class Parser {
  readonly #catalog: Catalog;
  readonly #seen: Map<string, number>;
  readonly #gaps: Gap[];
  readonly #hasOne: HasOne;

  constructor(catalog: Catalog, seen: Map<string, number>, gaps: Gap[], hasOne: HasOne) {
    this.#catalog = catalog;
    this.#seen = seen;
    this.#gaps = gaps;
    this.#hasOne = hasOne;
  }

  form(label: string, body: unknown, etype: string, link: Named | null): Form {
    this.#see(etype);
    const entries = isObject(body) ? Object.entries(body) : [];
    const options = optionsOf(entries.find(([key]) => key === '$')?.[1]);
    const children = entries
      .filter(([key]) => key !== '$')
      .map(([key, child]) => this.#child(etype, key, child));
    return {
      label,
      etype,
      link,
      isOne: link !== null && this.#hasOne(link),
      ...this.#where(etype, options.where),
      order: this.#order(etype, options.order),
      page: this.#page(etype, options),
      fields: Array.isArray(options.fields) ? new Set(options.fields as string[]) : null,
      isTotal: options.aggregate !== undefined,
      children,
      isRepeated: false,
    };
  }

  #child(etype: string, label: string, body: unknown): Form {
    const named = this.#catalog.find(etype, label);
    if (named?.attr.isLink) return this.form(label, body, otherEnd(named), named);
    // Parents stay, each with an empty list (Q3).
    return { ...this.form(label, {}, '', null), isEmpty: true };
  }

  #see(etype: string): void {
    this.#seen.set(etype, (this.#seen.get(etype) ?? 0) + 1);
  }

  /** Sees what stands on the way of dotted paths: an answer holds some of it, as proof. */
  #seePaths(etype: string, where: unknown): void {
    if (Array.isArray(where)) return where.forEach((element) => this.#seePaths(etype, element));
    for (const [path, condition] of Object.entries(isObject(where) ? where : {})) {
      if (path === 'and' || path === 'or') this.#seePaths(etype, condition);
      let here = etype;
      for (const label of path.split('.').slice(0, -1)) {
        const named = this.#catalog.find(here, label);
        if (named) this.#see((here = otherEnd(named)));
      }
    }
  }

  #order(etype: string, order: unknown): Order {
    if (!isObject(order)) return NO_ORDER;
    const [label, direction] = Object.entries(order)[0] ?? [];
    if (label === undefined) return NO_ORDER;
    const attr =
      label === 'serverCreatedAt' ? null : (this.#catalog.find(etype, label)?.attr ?? null);
    if (attr?.checkedType === 'date' && !local) this.#gaps.push(() => true);
    return { attr, isDescending: direction === 'desc' };
  }

  #page(etype: string, options: Record<string, unknown>): Page | null {
    const page = pageOf(options);
    if (page?.isLeading === false && !local) this.#gaps.push((isRepeated) => isRepeated(etype));
    return page;
  }

  #where(etype: string, where: unknown): Pick<Form, 'where' | 'isEmpty' | 'paths'> {
    if (!this.#catalog.has(etype)) return { where: null, isEmpty: true, paths: [] };
    if (where !== undefined && local)
      return local.readWhere(etype, where, this.#catalog, (on) => this.#see(on));
    if (where !== undefined) {
      this.#gaps.push((isRepeated) => isRepeated(etype));
      this.#seePaths(etype, where);
    }
    return { where: null, isEmpty: false, paths: [] };
  }
}

/** `null` and `false` are the same as no option (Q9). */
function optionsOf(options: unknown): Record<string, unknown> {
  if (!isObject(options)) return {};
  const given = Object.entries(options).filter(([, value]) => value !== null && value !== false);
  return Object.fromEntries(given);
}

function pageOf(options: Record<string, unknown>): Page | null {
  if (!PAGING.some((name) => options[name] !== undefined)) return null;
  const isLeading = !options.offset && options.after === undefined && options.before === undefined;
  const first = options.limit ?? options.first;
  return {
    first: typeof first === 'number' ? first : null,
    last: typeof options.last === 'number' ? options.last : null,
    isLeading,
    hasOffset: Boolean(options.offset),
    after: boundOf(options.after, options.afterInclusive),
    before: boundOf(options.before, options.beforeInclusive),
  };
}

function boundOf(cursor: unknown, isInclusive: unknown): Bound | null {
  return Array.isArray(cursor)
    ? { cursor: cursor as unknown as Cursor, isInclusive: isInclusive === true }
    : null;
}
