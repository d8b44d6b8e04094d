/** What queries keep of the rows that they hold: counted, as bytes differ from engine to engine. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test, vi } from 'vitest';
import { Evaluation } from '../../src/query/evaluate.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { Records } from '../../src/store/records.ts';
import { Store } from '../../src/store/store.ts';
import { byCardinality, NO_PAGES } from '../support/pages.ts';
import { Random, seeds } from '../support/random.ts';
import { attr, SHELF_ATTRS } from '../support/shelf.ts';

const catalog = Catalog.of(SHELF_ATTRS);
const [BOOK, PAGES, TAGS] = [
  attr('books', 'id').id,
  attr('books', 'pages').id,
  attr('books', 'tags').id,
];
const TAG = attr('tags', 'id').id;

const ROWS = 1_000;
const QUERIES = 5;

const nameOf = (place: number) => `b0000000-0000-4000-8000-${String(place).padStart(12, '0')}`;
const tagOf = (place: number) => `c0000000-0000-4000-8000-${String(place).padStart(12, '0')}`;
const names = Array.from({ length: ROWS }, (_, place) => nameOf(place));

const books = names.flatMap((id, place): Triple[] => [
  [id, BOOK, id, place],
  [id, PAGES, place, place],
]);

/** Each book with a tag of its own. */
const tagged = names.flatMap((id, place): Triple[] => [
  [tagOf(place), TAG, tagOf(place), 1],
  [id, TAGS, tagOf(place), 1],
]);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

afterEach(() => void vi.unstubAllGlobals());

/** What `work` returns, and the entries of the maps and sets made by it that are still there. */
async function kept<T>(work: () => T): Promise<{ entries: number; made: T }> {
  const known = new WeakSet<object>();
  const refs: WeakRef<{ size: number }>[] = [];
  const note = (collection: { size: number }) => {
    if (!known.has(collection)) refs.push(new WeakRef(collection));
    known.add(collection);
  };
  // No spies: these would keep all that they see.
  const { set } = Map.prototype;
  const { add } = Set.prototype;
  Map.prototype.set = function (...args) {
    note(this);
    return set.apply(this, args) as typeof this;
  };
  Set.prototype.add = function (...args) {
    note(this);
    return add.apply(this, args) as typeof this;
  };
  let made: T;
  try {
    made = work();
  } finally {
    Map.prototype.set = set;
    Set.prototype.add = add;
  }
  // What a WeakRef was made for stays until the turn ends.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  return { entries: refs.reduce((sum, ref) => sum + (ref.deref()?.size ?? 0), 0), made };
}

/** A query of its own that finds every book. */
function open(intern: Intern, number: number, triples = books) {
  const bag = new Bag(catalog, intern);
  bag.replace(structuredClone(triples));
  const form = { $: { where: { pages: { $gte: -number } }, order: { pages: 'desc' } } };
  const evaluation = new Evaluation({ books: form }, catalog, byCardinality);
  evaluation.run(bag, NO_PAGES);
  return { bag, evaluation };
}

test('[J306] further queries of the same rows keep no entry of a map or set for each', async () => {
  const intern = new Intern();
  const first = await kept(() => open(intern, 0));
  const more = await kept(() => {
    const all = Array.from({ length: QUERIES }, (_, number) => open(intern, number));
    // Neither does a change leave any.
    all.forEach(({ bag, evaluation }, turn) => {
      const changes = bag.apply({ changed: [[nameOf(turn), PAGES, 5_000 + turn, turn]] });
      evaluation.refresh(bag, changes, NO_PAGES);
    });
    return all;
  });
  for (const { evaluation } of [first.made, ...more.made])
    expect(evaluation.rows.books).toHaveLength(ROWS);
  expect(first.entries).toBeGreaterThanOrEqual(ROWS);
  expect(first.entries).toBeLessThan(1.1 * ROWS);
  // The changes touched the first one's map of the intern.
  expect(more.entries - ROWS).toBeLessThan(0.1 * ROWS);
});

test('[J306] a query has at most three places for two of its entities', () => {
  const lengths: number[] = [];
  const original = Array;
  vi.stubGlobal(
    'Array',
    new Proxy(original, {
      apply(_, __, [length]: [number]) {
        lengths.push(length);
        return new original<unknown>(length);
      },
    }),
  );
  const bag = new Bag(catalog, new Intern());
  bag.replace(books);
  expect(lengths.at(-1)).toBeGreaterThan(ROWS);
  expect(lengths.at(-1)).toBeLessThanOrEqual(1.5 * ROWS);
  // Of an answer that shrank, the room shrinks.
  bag.apply({
    removed: names.slice(10).flatMap(
      (id) =>
        [
          [id, BOOK],
          [id, PAGES],
        ] as const,
    ),
  });
  expect([...bag.ids('books')]).toHaveLength(10);
  expect(lengths.at(-1)).toBeLessThan(50);
});

test('[J306] a link takes an entry from each of its ends in a query', async () => {
  const intern = new Intern();
  const { entries } = await kept(() => open(intern, 0, [...books, ...tagged]));
  // Beside these, each entity has one for all queries.
  expect(entries - 2 * ROWS).toBeGreaterThanOrEqual(2 * ROWS);
  expect(entries - 2 * ROWS).toBeLessThan(2.1 * ROWS);
});

test.each(seeds(60))('[J307] records are found as in a map (seed %i)', (seed) => {
  const random = new Random(seed);
  const intern = new Intern();
  const records = new Records(intern);
  const expected = new Map<string, object>();
  const ids = names.slice(0, 1 + random.below(80));
  for (let step = 0; step < 400; step++) {
    const id = random.pick(ids);
    // Long runs of one kind let it grow and shrink.
    if (random.chance(step % 100 < 50 ? 0.8 : 0.2)) {
      const record = intern.record({ etype: 'books', id, createdAt: step, cells: { [BOOK]: id } });
      records.set(record);
      expected.set(id, record);
    } else {
      records.delete('books', id);
      expected.delete(id);
    }
    expect(records.size).toBe(expected.size);
    for (const one of ids) expect(records.get('books', one)).toBe(expected.get(one));
    expect(new Set(records.all())).toEqual(new Set(expected.values()));
  }
  expect(records.get('tags', ids[0]!)).toBeUndefined();
});

test('[J307] records that no answer holds are forgotten, those held are found on', () => {
  const intern = new Intern();
  const held = open(intern, 0);
  for (let round = 0; round < 12; round++) {
    const others = new Bag(catalog, intern);
    others.replace(names.map((_, place) => [tagOf(round * ROWS + place), TAG, 'x', 1] as const));
  }
  expect(intern.find('tags', tagOf(0))).toBeDefined();
  intern.sweep([held.bag]);
  expect(intern.find('tags', tagOf(0))).toBeUndefined();
  expect(held.bag.record('books', nameOf(7))).toMatchObject({ id: nameOf(7) });
  // A record told anew goes where that of before was.
  held.bag.apply({ changed: [[nameOf(7), PAGES, 8_000, 7]] });
  expect([...held.bag.ids('books')]).toHaveLength(ROWS);
  expect(held.bag.record('books', nameOf(7))!.cells[PAGES]).toBe(8_000);
});

test('[J307] an answer made before records were forgotten is whole once it is watched', () => {
  const store = new Store({
    schema: undefined,
    local: { need: () => {} },
    hasOne: byCardinality,
    id: () => 'none',
    keepInvented: () => {},
    code: { part: null, need: () => {} },
    trace: {},
  });
  store.setCatalog(SHELF_ATTRS);
  const brought = store.make({ books: {} });
  const kept = { queryId: 'books', version: 'one', tx: 1, triples: books.slice(0, 6), data: {} };
  brought.restore(kept, 'server');
  const many = Array.from({ length: 12 * ROWS }, (_, place): Triple => [tagOf(place), TAG, 'x', 1]);
  const { hash } = store.open({ tags: {} });
  store.restore(hash, { ...kept, queryId: 'tags', triples: many });
  store.close(hash);

  store.put(brought);
  const delta = { changed: [[nameOf(1), PAGES, 77, 1]] as const };
  store.land({ queryId: 'books' }, { from: 'one', version: 'two', tx: 2, delta });
  store.flush();
  expect(store.state(brought.hash).data).toEqual({
    books: [0, 77, 2].map((pages, place) => ({ id: nameOf(place), pages })),
  });
});

test('[J308] an entity whose time of creation is told anew moves', () => {
  const bag = new Bag(catalog, new Intern());
  bag.replace(books.slice(0, 6));
  const query = { books: {} };
  const evaluation = new Evaluation(query, catalog, byCardinality);
  evaluation.run(bag, NO_PAGES);
  const changes = bag.apply({ added: [[nameOf(0), BOOK, nameOf(0), 50]] });
  const moved = evaluation.refresh(bag, changes, NO_PAGES).books!.map(({ id }) => id);
  expect(moved).toEqual([nameOf(1), nameOf(2), nameOf(0)]);
  const again = bag.apply({ changed: [[nameOf(0), PAGES, 9, 50]] });
  expect(evaluation.refresh(bag, again, NO_PAGES).books).toHaveLength(3);
});
