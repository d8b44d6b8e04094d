import type { Catalog, Named } from '../schema/catalog.ts';
import type { EntityRecord } from '../store/view.ts';
import { madeIn, newMap } from '../values/made.ts';
import type { Form } from './form.ts';

/** An entity as queries show it: its id, fields by label, and nested entities by label. Frozen. */
export type Row = { readonly id: string } & { readonly [label: string]: unknown };

/** The rows of a query by top form. Frozen; forms that ask for totals are left out. */
export type Rows = { readonly [label: string]: readonly Row[] };

/**
 * Rows of one namespace that show the same fields and nothing nested. All queries that show these
 * share them: in a hundred queries a record is one row.
 */
export class PlainRows {
  readonly #fields: readonly Named[];
  readonly #known = new WeakMap<EntityRecord, Row>();

  /** fields  those shown beside the id; null: all */
  constructor(catalog: Catalog, etype: string, fields: ReadonlySet<string> | null) {
    this.#fields = [...catalog.names(etype).values()].filter(
      ({ attr }) =>
        !attr.isLink && (fields === null || attr.label === 'id' || fields.has(attr.label)),
    );
  }

  /** The row of a record that is not written to any more. */
  of(record: EntityRecord): Row {
    return madeIn(this.#known, record, () => Object.freeze(this.fields(record)));
  }

  /** The id and the fields of a record, to be added to. */
  fields({ id, cells }: EntityRecord): Row & Record<string, unknown> {
    const row: Row & Record<string, unknown> = { id };
    for (const { attr } of this.#fields) {
      const value = cells[attr.id];
      if (value !== undefined) row[attr.label] = value;
    }
    return row;
  }
}

// By catalog, so that rows by an old one go with it.
const plainRows = new WeakMap<Catalog, Map<string, PlainRows>>();

/** The rows of a form without what is nested in it. */
export function plainRowsOf({ etype, fields }: Form, catalog: Catalog): PlainRows {
  const rows = madeIn(plainRows, catalog, newMap<string, PlainRows>);
  const name = JSON.stringify([etype, fields && [...fields].sort()]);
  return madeIn(rows, name, () => new PlainRows(catalog, etype, fields));
}

export function isSameList(one: readonly unknown[], other: readonly unknown[]): boolean {
  if (one.length !== other.length) return false;
  for (let place = 0; place < one.length; place++) if (one[place] !== other[place]) return false;
  return true;
}

/** `before` if both have the same keys with the same objects, else `after`, frozen. */
export function sameOr<T extends object>(before: T | undefined, after: T): T {
  if (before === after) return after;
  if (before !== undefined) {
    const keys = Object.keys(after);
    const isSame =
      keys.length === Object.keys(before).length &&
      keys.every(
        (key) => Object.hasOwn(before, key) && (before as never)[key] === (after as never)[key],
      );
    if (isSame) return before;
  }
  return Object.freeze(after);
}
