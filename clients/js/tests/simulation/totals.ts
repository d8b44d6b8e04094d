/** Totals of the simulation's server, by brute force over all matching rows. */
import { Evaluation } from '../../src/query/evaluate.ts';
import type { QueryJson } from '../../src/query/form.ts';
import type { Catalog } from '../../src/schema/catalog.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { allLists, NO_PAGES } from '../support/pages.ts';

interface Wanted {
  readonly count?: boolean;
  readonly sum?: string | readonly string[];
  readonly max?: string;
}

/** By form; undefined if none asks for totals. Knows `count`, `sum` and `max` of numbers. */
export function totalsOf(
  query: QueryJson,
  catalog: Catalog,
  triples: readonly Triple[],
): Record<string, unknown> | undefined {
  const bag = new Bag(catalog, new Intern());
  bag.replace(triples);
  const found: Record<string, unknown> = {};
  for (const [label, body] of Object.entries(query)) {
    const { where, aggregate } = (body as { $?: { where?: object; aggregate?: Wanted } }).$ ?? {};
    if (aggregate === undefined) continue;
    const plain = { [label]: where ? { $: { where } } : {} };
    const rows = new Evaluation(plain, catalog, allLists).run(bag, NO_PAGES)[label]!;
    const numbers = (name: string) =>
      rows.map((row) => row[name]).filter((value) => typeof value === 'number');
    const sums = [aggregate.sum ?? []]
      .flat()
      .map((name) => [name, numbers(name as string).reduce((sum, one) => sum + one, 0)]);
    found[label] = {
      ...(aggregate.count ? { count: rows.length } : {}),
      ...(sums.length > 0 ? { sum: Object.fromEntries(sums) as object } : {}),
      ...(aggregate.max
        ? { max: { [aggregate.max]: numbers(aggregate.max).sort((a, b) => b - a)[0] ?? null } }
        : {}),
    };
  }
  return Object.keys(found).length > 0 ? found : undefined;
}
