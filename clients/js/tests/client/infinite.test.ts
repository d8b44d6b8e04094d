import { expect, test } from 'vitest';
import type { InfiniteState } from '../../src/client/infinite.ts';
import type { Database } from '../../src/client/database.ts';
import type { Row } from '../../src/query/evaluate.ts';
import { Random, seeds } from '../support/random.ts';
import { entity, Stage } from '../support/stage.ts';

const BY_TITLE = { order: { title: 'asc' } };

interface List {
  readonly told: InfiniteState[];
  readonly loadNextPage: () => void;
  readonly unsubscribe: () => void;
  titles(): unknown[];
}

function watch(db: Database, options: object): List {
  const told: InfiniteState[] = [];
  const list = db.subscribeInfiniteQuery({ books: { $: options } }, (state) => told.push(state));
  const titles = () => (told.at(-1)?.data?.books ?? []).map(({ title }) => title);
  return { told, titles, ...list };
}

/** A world that holds books of these titles only. */
async function library(titles: readonly string[]): Promise<{ stage: Stage; db: Database }> {
  const stage = new Stage();
  stage.server.data = { ...stage.server.data, triples: [] };
  const db = stage.device();
  await stage.settle();
  for (const [number, title] of titles.entries())
    void db.transact(db.tx.books![entity(number)]!.create({ title }));
  await stage.settle();
  return { stage, db };
}

test('[J133] pages are added one by one, until there are no more', async () => {
  const { stage, db } = await library([...'abcdefgh']);
  const list = watch(db, { ...BY_TITLE, limit: 3 });
  await stage.settle();
  expect(list.titles()).toEqual([...'abc']);
  expect(list.told.at(-1)).toMatchObject({ canLoadNextPage: true, error: undefined });
  list.loadNextPage();
  list.loadNextPage();
  expect(list.told.at(-1)!.canLoadNextPage).toBe(false);
  await stage.settle();
  expect(list.titles()).toEqual([...'abcdef']);
  list.loadNextPage();
  await stage.settle();
  expect(list.titles()).toEqual([...'abcdefgh']);
  expect(list.told.at(-1)!.canLoadNextPage).toBe(false);
  const asked = stage.ops('add-query').length;
  list.loadNextPage();
  await stage.settle();
  expect(stage.ops('add-query')).toHaveLength(asked);
});

test('[J133] what is asked is what the original asks', async () => {
  const { stage, db } = await library([...'abcdefgh']);
  const before = stage.ops('add-query').length;
  const list = watch(db, { ...BY_TITLE, where: { title: { $isNull: false } }, limit: 3 });
  await stage.settle();
  list.loadNextPage();
  await stage.settle();
  const asked = stage.ops('add-query').slice(before);
  const options = asked.map(({ q }) => (q as { books: { $: Record<string, unknown> } }).books.$);
  expect(options.every(({ where }) => where !== undefined)).toBe(true);
  const shapes = options.map(({ limit, order, after, before: to, ...flags }) => ({
    limit,
    order: (order as { title: string }).title,
    after: (after as unknown[] | undefined)?.[2],
    before: (to as unknown[] | undefined)?.[2],
    isInclusive: [flags.afterInclusive, flags.beforeInclusive],
  }));
  expect(shapes).toEqual([
    { limit: 3, order: 'asc', isInclusive: [undefined, undefined] },
    { limit: 3, order: 'desc', after: 'a', isInclusive: [undefined, undefined] },
    { limit: 3, order: 'asc', after: 'a', isInclusive: [true, undefined] },
    { order: 'asc', after: 'a', before: 'c', isInclusive: [true, true] },
    { limit: 3, order: 'asc', after: 'c', isInclusive: [false, undefined] },
  ]);
});

test('[J134] rows written here show at once, at the head and between pages', async () => {
  const { stage, db } = await library([...'bdfhjl']);
  const list = watch(db, { ...BY_TITLE, limit: 2 });
  await stage.settle();
  list.loadNextPage();
  await stage.settle();
  expect(list.titles()).toEqual([...'bdfh']);
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  for (const [number, title] of [...'aceg'].entries())
    void db.transact(db.tx.books![entity(20 + number)]!.create({ title }));
  expect(list.titles()).toEqual([...'abcdefgh']);
  // A row that moves stands in one place.
  void db.transact(db.tx.books![entity(0)]!.update({ title: 'e2' }));
  expect(list.titles()).toEqual(['a', 'c', 'd', 'e', 'e2', 'f', 'g', 'h']);
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  // The last page is two rows again.
  expect(list.titles()).toEqual(['a', 'c', 'd', 'e', 'e2']);
  expect(list.told.at(-1)!.canLoadNextPage).toBe(true);
});

test('[J135] the head grows as others write, and no row that is shown vanishes', async () => {
  const { stage, db } = await library([...'xyz']);
  const other = stage.device();
  const list = watch(db, { order: { serverCreatedAt: 'desc' }, limit: 2 });
  await stage.settle();
  for (let number = 0; number < 9; number++) {
    const writer = number % 2 === 0 ? db : other;
    void writer.transact(writer.tx.books![entity(30 + number)]!.create({ title: `n${number}` }));
    await stage.settle();
  }
  expect(list.titles()).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0].map((n) => `n${n}`).concat('z', 'y'));
  const shown = list.told.map(({ data }) => new Set(data?.books!.map(({ id }) => id)));
  shown.slice(1).forEach((ids, index) => {
    for (const id of shown[index]!) expect(ids.has(id)).toBe(true);
  });
});

test('[J134] a row written here is the newest, whatever a page holds', async () => {
  const { stage, db } = await library([...'abc']);
  const list = watch(db, { limit: 2 });
  await stage.settle();
  void db.transact(db.tx.books![entity(20)]!.create({ title: 'd' }));
  expect(list.titles()).toEqual([...'ab']);
  await stage.settle();
  expect(list.titles()).toEqual([...'ab']);
  list.loadNextPage();
  await stage.settle();
  expect(list.titles()).toEqual([...'abcd']);
});

test('[J133] a list shorter than a page is one query, and grows into pages', async () => {
  const { stage, db } = await library(['b']);
  const before = stage.ops('add-query').length;
  const list = watch(db, { ...BY_TITLE, limit: 3 });
  await stage.settle();
  expect(list.titles()).toEqual(['b']);
  expect(stage.ops('add-query')).toHaveLength(before + 1);
  for (const [number, title] of [...'acd'].entries())
    void db.transact(db.tx.books![entity(20 + number)]!.create({ title }));
  await stage.settle();
  expect(list.titles()).toEqual([...'abcd']);
  void db.transact(db.tx.books![entity(30)]!.create({ title: 'e' }));
  await stage.settle();
  expect(list.told.at(-1)).toMatchObject({ canLoadNextPage: true });
});

test('[J133] a failed query is told, and data comes back', async () => {
  const { stage, db } = await library([...'abc']);
  stage.server.refuse = { type: 'permission-evaluation-failed', message: 'the rule fails' };
  const list = watch(db, { ...BY_TITLE, limit: 2 });
  await stage.settle();
  expect(list.told.at(-1)).toMatchObject({ data: undefined, canLoadNextPage: false });
  expect(list.told.at(-1)!.error!.code).toBe('permission-evaluation-failed');
  stage.server.refuse = null;
  stage.network.cutAll();
  await stage.settle();
  expect(list.titles()).toEqual([...'ab']);
});

test('[J133] nothing stays subscribed after the end', async () => {
  const { stage, db } = await library([...'abcdef']);
  const list = watch(db, { ...BY_TITLE, limit: 2 });
  await stage.settle();
  list.loadNextPage();
  await stage.settle();
  list.unsubscribe();
  await stage.settle();
  const open = new Set(stage.ops('add-query').map(({ q }) => JSON.stringify(q)));
  for (const { q } of stage.ops('remove-query')) open.delete(JSON.stringify(q));
  expect([...open]).toEqual([]);
});

test('[J133] a query of two forms is refused', () => {
  const db = new Stage().device();
  expect(() => db.subscribeInfiniteQuery({ books: {}, tags: {} }, () => {})).toThrow('one form');
});

test.each(seeds(60))('[J135] a list of pages is the list of the server (seed %i)', async (seed) => {
  const random = new Random(seed);
  const start = Array.from({ length: random.below(12) }, () => title(random));
  const { stage, db } = await library(start);
  const writers = [db, stage.device()];
  const direction = random.pick(['asc', 'desc']);
  const order = { [random.pick(['title', 'serverCreatedAt'])]: direction };
  const list = watch(db, { order, limit: 1 + random.below(4) });
  for (let step = 0; step < 50; step++) {
    act(random, stage, random.pick(writers), list);
    await stage.clock.pass(random.below(400));
  }
  stage.network.isUp = true;
  await stage.clock.pass(5 * 60_000);
  for (const { data } of list.told) expectNoRepeats(data?.books ?? []);
  const all = stage.server.rows({ books: { $: { order } } }) as { books: Row[] };
  const { data, canLoadNextPage } = list.told.at(-1)!;
  expect(data!.books).toEqual(all.books.slice(0, data!.books!.length));
  expect(canLoadNextPage).toBe(data!.books!.length < all.books.length);
});

function act(random: Random, stage: Stage, db: Database, list: List): void {
  const book = db.tx.books![entity(random.below(25))]!;
  const roll = random.next();
  if (roll < 0.5) db.transact(book.update({ title: title(random) })).catch(() => {});
  else if (roll < 0.65) db.transact(book.delete()).catch(() => {});
  else if (roll < 0.85) list.loadNextPage();
  else if (roll < 0.92) stage.network.cutAll();
  else stage.network.isUp = random.chance(0.6);
}

function title(random: Random): string {
  return `${random.pick([...'abcdefgh'])}${random.below(3)}`;
}

function expectNoRepeats(rows: readonly Row[]): void {
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
}
