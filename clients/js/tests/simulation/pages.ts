/** Pages of the simulation's server, by brute force: all matching rows in order, and a slice. */
import { Evaluation } from '../../src/query/evaluate.ts';
import type { Cursor, Form, QueryJson } from '../../src/query/form.ts';
import { parse } from '../../src/query/parse.ts';
import { comparePositions, cursorPosition } from '../../src/query/cursors.ts';
import { positionOf } from '../../src/query/sort.ts';
import type { Catalog } from '../../src/schema/catalog.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { allLists, NO_PAGES } from '../support/pages.ts';

type Options = Readonly<Record<string, unknown>>;

/** The page of one form: ids of its entities, and what is said of it. */
export interface CutPage {
  readonly etype: string;
  readonly ids: ReadonlySet<string>;
  readonly info: Readonly<Record<string, unknown>>;
}

/** The pages of all forms of a query that ask for one, by label. */
export function pagesOf(
  query: QueryJson,
  catalog: Catalog,
  triples: readonly Triple[],
): Map<string, CutPage> {
  const bag = new Bag(catalog, new Intern());
  bag.replace(triples);
  const found = new Map<string, CutPage>();
  for (const form of parse(query, catalog, allLists).forms) {
    const body = query[form.label] as { $?: Options } | undefined;
    if (form.page !== null) found.set(form.label, cut(form, body?.$ ?? {}, catalog, bag));
  }
  return found;
}

function cut(form: Form, options: Options, catalog: Catalog, bag: Bag): CutPage {
  const { where, order } = options;
  const plain = { [form.label]: { $: { where, order: order ?? { serverCreatedAt: 'asc' } } } };
  const all = new Evaluation(plain, catalog, allLists).run(bag, NO_PAGES)[form.label]!;
  const side = (id: string, cursor: unknown) =>
    comparePositions(
      form.order,
      positionOf(form.order, bag.record(form.etype, id)!),
      cursorPosition(form.order, cursor as Cursor),
    );
  const { after, before, afterInclusive, beforeInclusive } = options;
  const rows = all.filter(({ id }) => {
    const isAfter = !after || side(id, after) > 0 || (afterInclusive && side(id, after) === 0);
    const isBefore = !before || side(id, before) < 0 || (beforeInclusive && side(id, before) === 0);
    return isAfter && isBefore;
  });
  const limit = (options.limit ?? options.first ?? rows.length) as number;
  const page = rows.slice(0, limit);
  const cursor = (id: string | undefined): Cursor | null => {
    if (id === undefined) return null;
    const record = bag.record(form.etype, id)!;
    const attr = form.order.attr?.id ?? catalog.find(form.etype, 'id')!.attr.id;
    return [id, attr, record.cells[attr] ?? null, record.createdAt];
  };
  return {
    etype: form.etype,
    ids: new Set(page.map(({ id }) => id)),
    info: {
      'start-cursor': cursor(page[0]?.id),
      'end-cursor': cursor(page.at(-1)?.id),
      'has-next-page?': page.length > 0 && all.at(-1)!.id !== page.at(-1)!.id,
      'has-previous-page?': page.length > 0 ? all[0]!.id !== page[0]!.id : Boolean(after),
    },
  };
}
