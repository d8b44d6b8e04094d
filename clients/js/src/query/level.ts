import type { Catalog } from '../schema/catalog.ts';
import type { EntityRecord, View } from '../store/view.ts';
import { madeIn } from '../values/made.ts';
import type { Dirty } from './dirty.ts';
import type { Form } from './form.ts';
import { linkedIds, matches } from './match.ts';
import { isSameList, type PlainRows, plainRowsOf, type Row, sameOr } from './row.ts';
import { sorted } from './sort.ts';

/**
 * A form at any depth: what its rows are made of. Nested forms also hold which of their entities
 * match, and their rows, by id; those of a top form are held by who puts them in order.
 */
export class Level {
  readonly form: Form;
  readonly children: readonly Level[];
  readonly #plain: PlainRows;
  readonly matched = new Map<string, boolean>();
  readonly #rows = new Map<string, Row>();
  /** Rows that must be looked at again, for their identity. */
  readonly #before: Map<string, Row>;

  constructor(form: Form, catalog: Catalog, before: Level | undefined) {
    this.form = form;
    this.#plain = plainRowsOf(form, catalog);
    this.#before = new Map(before && [...before.#before, ...before.#rows]);
    this.children = form.children.map(
      (child) =>
        new Level(
          child,
          catalog,
          before && before.children.find((one) => one.form.label === child.label),
        ),
    );
  }

  get namespaces(): string[] {
    const links = this.form.paths
      .flat()
      .flatMap(({ attr }) => [attr.etype, attr.reverse?.etype ?? '']);
    return [this.form.etype, ...links, ...this.children.flatMap((child) => child.namespaces)];
  }

  /** Looks at everything again: the view may be another one than before. */
  restart(): void {
    this.matched.clear();
    this.forget(null);
    for (const child of this.children) child.restart();
  }

  /** Looks at rows of this form again when they are next asked for; null: at all. */
  forget(ids: Dirty): void {
    for (const id of ids ?? [...this.#rows.keys()]) {
      const row = this.#rows.get(id);
      if (row === undefined) continue;
      this.#before.set(id, row);
      this.#rows.delete(id);
    }
  }

  /** The row of a record: `before` if that shows the same. */
  shape(view: View, record: EntityRecord, before: Row | undefined): Row {
    if (this.children.length === 0) return sameOr(before, this.#plain.of(record));
    const row = this.#plain.fields(record);
    for (const child of this.children) {
      const { label, isOne } = child.form;
      const rows = child.#linked(view, record.id);
      const old = before?.[label];
      if (isOne) row[label] = rows[0];
      else row[label] = Array.isArray(old) && isSameList(old, rows) ? old : Object.freeze(rows);
    }
    return sameOr(before, row);
  }

  /** The rows of this form that are linked with a parent, in order. */
  #linked(view: View, parent: string): Row[] {
    const { form } = this;
    if (form.isEmpty || form.link === null) return [];
    const records: EntityRecord[] = [];
    for (const id of new Set(linkedIds(view, form.link, parent))) {
      const record = view.record(form.etype, id);
      if (record && this.#isMatch(view, id)) records.push(record);
    }
    return cutNested(form, sorted(form.order, records)).map((record) => this.#row(view, record));
  }

  #row(view: View, record: EntityRecord): Row {
    const { id } = record;
    return madeIn(this.#rows, id, () => {
      const row = this.shape(view, record, this.#before.get(id));
      this.#before.delete(id);
      return row;
    });
  }

  #isMatch(view: View, id: string): boolean {
    if (this.form.where === null) return true;
    return madeIn(this.matched, id, () => matches(this.form, view, id));
  }
}

/** A nested form cuts here, as in the original's client; the server sends all (Q11). */
function cutNested({ page }: Form, records: EntityRecord[]): EntityRecord[] {
  if (page?.last) return records.slice(-page.last);
  return page?.first ? records.slice(0, page.first) : records;
}
