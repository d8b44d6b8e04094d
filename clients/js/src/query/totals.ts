import type { Catalog, Named } from '../schema/catalog.ts';
import type { Operation } from '../pending/builder.ts';
import type { Overlay } from '../store/overlay.ts';
import type { EntityRecord, View } from '../store/view.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';
import type { Form, QueryJson } from './form.ts';
import { matches } from './match.ts';
import { type HasOne, parse } from './parse.ts';

/** Totals by form: `{todos: {count: 2, sum: {minutes: 7}}}`. */
export type Totals = Readonly<Record<string, unknown>>;

/** Pending writes that the totals told by the server do not contain, and what they lead to. */
export interface PendingChange {
  /** Entities of which all fields are known, as the server told them. */
  readonly whole: View;
  /** The same with the writes on top. */
  readonly after: Overlay;
  /** What the writes do that are not acknowledged: news of what the others changed has come. */
  readonly open: readonly Operation[];
  /** Operations that make entities which the totals told surely lack. */
  readonly created: readonly Operation[];
}

/**
 * The forms of a query that ask for totals, and how pending writes move them. No I/O.
 *
 * A total is the server's value and a difference, never a sum of rows: what is known here is not
 * all there is.
 */
export class TotalForms {
  readonly #catalog: Catalog;
  readonly #asked: readonly Asked[];

  constructor(query: QueryJson, catalog: Catalog, hasOne: HasOne) {
    this.#catalog = catalog;
    this.#asked = parse(query, catalog, hasOne)
      .forms.filter(({ isTotal }) => isTotal)
      .map((form) => askedOf(form, query, catalog));
  }

  /** Namespaces in which a write may change a total. */
  get namespaces(): string[] {
    return this.#asked.flatMap(({ form }) => [
      form.etype,
      ...form.paths.flat().flatMap(({ attr }) => [attr.etype, attr.reverse?.etype ?? '']),
    ]);
  }

  /**
   * Adds to the totals what pending writes change of them.
   *
   * returns  isPending: some keep the server's value, because what changes is not known here
   */
  move(told: Totals, change: PendingChange): { totals: Totals; isPending: boolean } {
    const totals: Record<string, unknown> = { ...told };
    let isPending = false;
    for (const asked of this.#asked) {
      const value = told[asked.form.label];
      const moved = isObject(value) ? moveOne(asked, value, change, this.#catalog) : 'unknown';
      if (moved === 'unknown') isPending = true;
      else {
        totals[asked.form.label] = moved.value;
        isPending ||= moved.isPending;
      }
    }
    return { totals, isPending };
  }
}

interface Asked {
  readonly form: Form;
  readonly hasCount: boolean;
  /** The fields summed, by label; undefined: no such field, its sum is always 0. */
  readonly sums: ReadonlyMap<string, Named | undefined>;
  /** Averages, extremes or groups, which only the server knows. */
  readonly hasOther: boolean;
}

function askedOf(form: Form, query: QueryJson, catalog: Catalog): Asked {
  const { $: options } = query[form.label] as { $: { aggregate: unknown } };
  const aggregate = isObject(options.aggregate) ? options.aggregate : { count: true };
  const labels = [aggregate.sum ?? []].flat() as string[];
  return {
    form,
    hasCount: aggregate.count === true,
    sums: new Map(labels.map((label) => [label, catalog.find(form.etype, label)])),
    hasOther: ['avg', 'min', 'max', 'groupBy'].some((name) => aggregate[name] != null),
  };
}

type Moved = { readonly value: object; readonly isPending: boolean } | 'unknown';

function moveOne(
  asked: Asked,
  told: Readonly<Record<string, unknown>>,
  change: PendingChange,
  catalog: Catalog,
): Moved {
  const { form } = asked;
  const { whole, after } = change;
  if (dependsOnLinks(form) || mayTakeAlong(form, change, catalog)) return 'unknown';
  let count = 0;
  const sums = new Map<string, number>();
  let isOtherTouched = false;
  for (const id of after.changes.entities.get(form.etype)?.keys() ?? []) {
    const before = whole.record(form.etype, id);
    if (before === undefined && !isCreated(form.etype, id, change)) {
      if (mayTouch(form.etype, id, change)) return 'unknown';
      continue;
    }
    const now = after.record(form.etype, id);
    const was = before !== undefined && matches(form, whole, id);
    const is = now !== undefined && matches(form, after, id);
    count += Number(is) - Number(was);
    for (const [label, named] of asked.sums) {
      const difference = numberOf(is, now, named) - numberOf(was, before, named);
      sums.set(label, (sums.get(label) ?? 0) + difference);
    }
    isOtherTouched ||= was !== is || (is && !isEqual(before!.cells, now!.cells));
  }
  const value: Record<string, unknown> = { ...told };
  const isGrouped = told.groups !== undefined;
  if (!isGrouped && asked.hasCount) value.count = (told.count as number) + count;
  if (!isGrouped && isObject(told.sum)) {
    const added = Object.entries(told.sum).map(([label, sum]) => [
      label,
      typeof sum === 'number' ? sum + (sums.get(label) ?? 0) : sum,
    ]);
    value.sum = Object.fromEntries(added) as object;
  }
  return { value, isPending: asked.hasOther && isOtherTouched };
}

/** What is at the other end of a link may not be known here. */
function dependsOnLinks({ paths }: Form): boolean {
  return paths.some((path) => path.some(({ attr }) => attr.isLink));
}

/** A delete takes others along, and which these are may not be known here. */
function mayTakeAlong({ etype }: Form, { open }: PendingChange, catalog: Catalog): boolean {
  if (open.every(([action]) => action !== 'delete')) return false;
  return catalog.attrs.some(
    ({ cascades, cascadesBack, etype: on, reverse }) =>
      (cascades && on === etype) || (cascadesBack && reverse?.etype === etype),
  );
}

/** The server refuses to create what exists, so it was not there before. */
function isCreated(etype: string, id: string, { created }: PendingChange): boolean {
  return created.some(([, on, of]) => on === etype && of === id);
}

/** A link also touches the entity at its other end. */
function mayTouch(etype: string, id: string, { open }: PendingChange): boolean {
  return open.some(
    ([action, on, of]) =>
      action === 'link' || action === 'unlink' || (on === etype && (of === id || !isId(of))),
  );
}

/** A lookup names an entity by another value. */
function isId(entity: string): boolean {
  return !entity.startsWith('lookup__');
}

/** What an entity adds to a sum: nothing unless it matches and has a number. */
function numberOf(
  isMatch: boolean,
  record: EntityRecord | undefined,
  named: Named | undefined,
): number {
  const value = isMatch && named ? record?.cells[named.attr.id] : undefined;
  return typeof value === 'number' ? value : 0;
}
