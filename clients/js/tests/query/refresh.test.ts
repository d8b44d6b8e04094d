/**
 * Rows looked at again where a change may have touched them are those of a run from the beginning.
 */
import { expect, test } from 'vitest';
import { Evaluation } from '../../src/query/evaluate.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { byCardinality, NO_PAGES } from '../support/pages.ts';
import { Random, seeds } from '../support/random.ts';
import { attr, randomQuery, SHELF_ATTRS, World } from '../support/shelf.ts';

const catalog = Catalog.of(SHELF_ATTRS);

test.each(seeds(150))('[J5, J6] refreshed rows equal fresh ones (seed %i)', (seed) => {
  const random = new Random(seed);
  const world = new World(random);
  const intern = new Intern();
  const bag = new Bag(catalog, intern);
  bag.replace(world.triples);
  const queries = Array.from({ length: 8 }, () => randomQuery(random));
  const live = queries.map((query) => new Evaluation(query, catalog, byCardinality));
  for (const one of live) one.run(bag, NO_PAGES);

  for (let step = 0; step < 12; step++) {
    const delta = world.step();
    const changes = random.chance(0.2) ? bag.replace(world.triples) : bag.apply(delta);
    queries.forEach((query, index) => {
      const before = live[index]!.rows;
      const refreshed = live[index]!.refresh(bag, changes, NO_PAGES);
      const fresh = new Evaluation(query, catalog, byCardinality).run(bag, NO_PAGES);
      expect(refreshed, JSON.stringify(query)).toEqual(fresh);
      // Equal content is the same object.
      if (JSON.stringify(before) === JSON.stringify(fresh)) expect(refreshed).toBe(before);
    });
    expect(contentOf(bag.triples())).toEqual(contentOf(world.triples));
  }
});

test('[J5, J6] a run over another view forgets which nested entities matched', () => {
  const [tag, book] = [
    'b0000000-0000-4000-8000-000000000001',
    'b0000000-0000-4000-8000-000000000002',
  ];
  const query = { tags: { books: { $: { where: { pages: { $isNull: true } } } } } };
  const viewOf = (pages: number | null) => {
    const bag = new Bag(catalog, new Intern());
    bag.replace([
      [tag, attr('tags', 'id').id, tag, 1],
      [book, attr('books', 'id').id, book, 1],
      [book, attr('books', 'pages').id, pages, 1],
      [book, attr('books', 'tags').id, tag, 1],
    ]);
    return bag;
  };
  const one = new Evaluation(query, catalog, byCardinality);
  expect(one.run(viewOf(7), NO_PAGES)).toMatchObject({ tags: [{ books: [] }] });
  expect(one.run(viewOf(null), NO_PAGES)).toMatchObject({ tags: [{ books: [{ id: book }] }] });
});

/** Triples without their times: the links of an entity carry that of the entity. */
function contentOf(triples: Iterable<Triple>): Set<string> {
  return new Set(
    [...triples].map(([entity, attr, value]) => JSON.stringify([entity, attr, value])),
  );
}
