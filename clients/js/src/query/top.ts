import type { Catalog } from '../schema/catalog.ts';
import type { ChangeSet, EntityRecord, View } from '../store/view.ts';
import type { Form } from './form.ts';
import { Level } from './level.ts';
import { matches } from './match.ts';
import { type PageContext, pageTest } from './page.ts';
import { isSameList, type Row } from './row.ts';
import { sorted } from './sort.ts';

/** Brings the rows of a form up to date after changes, which led to a view. */
export type RefreshTop = (top: Top, view: View, changes: ChangeSet) => void;

/** Until the code that looks only at what changed is here, all is looked at: the rows are equal. */
let refreshTop: RefreshTop = (top, view) => top.run(view);

/** From now on a change costs what it touches. */
export function refreshBy(refresh: RefreshTop): void {
  refreshTop = refresh;
}

/**
 * A top form: all matching entities in order, and the rows shown last.
 *
 * Invariant: `sorted` and `shaped` are parallel. An entity is found in them by its record of before
 * the change, which the changes name, so a change costs no walk (`refresh.ts`), and no second index
 * of the rows is kept.
 */
export class Top {
  readonly level: Level;
  /** Entities that the last refresh looked at; null: it looked at all. */
  candidates: number | null = null;
  sorted: EntityRecord[] = [];
  /**
   * The row of each; undefined: it was not shown yet. Without a page it is the same array as
   * `#rows` once that is shown, and copied before it is written to.
   */
  shaped: readonly (Row | undefined)[] = [];
  /** Rows of before a run, for their identity, until they are shown again. */
  #before: Map<string, Row>;
  #rows: readonly Row[];

  constructor(form: Form, catalog: Catalog, before: Top | undefined) {
    this.level = new Level(form, catalog, before?.level);
    this.#before = before ? before.#known() : new Map();
    this.#rows = before ? before.#rows : [];
  }

  /** Computes all rows. */
  run(view: View): void {
    const { form } = this.level;
    this.candidates = null;
    const known = this.#known();
    this.#before = new Map();
    this.level.restart();
    const found: EntityRecord[] = [];
    for (const id of form.isEmpty ? [] : view.ids(form.etype)) {
      if (!matches(form, view, id)) continue;
      found.push(view.record(form.etype, id)!);
      const row = known.get(id);
      if (row) this.#before.set(id, row);
    }
    this.sorted = sorted(form.order, found);
    this.shaped = this.sorted.map((record) => (form.page ? undefined : this.#shape(view, record)));
  }

  /** Computes the rows that `changes`, which led to `view`, may have touched. */
  refresh(view: View, changes: ChangeSet): void {
    refreshTop(this, view, changes);
  }

  /** The rows to be shown: the same array while they are the same. */
  rows(view: View, context: PageContext): readonly Row[] {
    if (this.shaped === this.#rows) return this.#rows;
    const { page } = this.level.form;
    const rows = page ? this.#page(view, context) : (this.shaped as readonly Row[]);
    if (!isSameList(this.#rows, rows)) this.#rows = Object.freeze(rows);
    if (!page) this.shaped = this.#rows;
    return this.#rows;
  }

  #page(view: View, context: PageContext): Row[] {
    const isShown = pageTest(this.level.form, this.sorted.length, context);
    const rows: Row[] = [];
    this.sorted.forEach((record, place) => {
      if (isShown(record, place)) rows.push((this.open()[place] ??= this.#shape(view, record)));
    });
    return rows;
  }

  #shape(view: View, record: EntityRecord): Row {
    const row = this.level.shape(view, record, this.#before.get(record.id));
    this.#before.delete(record.id);
    return row;
  }

  /** Rows by id, those of before the last run included. */
  #known(): Map<string, Row> {
    const known = new Map(this.#before);
    this.sorted.forEach(({ id }, place) => {
      const row = this.shaped[place];
      if (row) known.set(id, row);
    });
    return known;
  }

  /** The rows, to be written to. */
  open(): (Row | undefined)[] {
    if (this.shaped === this.#rows) this.shaped = [...this.shaped];
    return this.shaped as (Row | undefined)[];
  }
}
