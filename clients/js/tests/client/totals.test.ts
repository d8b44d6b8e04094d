import { expect, test } from 'vitest';
import type { TotalsState } from '../../src/client/totals.ts';
import type { Database } from '../../src/client/database.ts';
import type { Row } from '../../src/query/evaluate.ts';
import { Random, seeds } from '../support/random.ts';
import { entity, Stage } from '../support/stage.ts';

const LONG = { pages: { $gt: 10 } };
const QUERY = { books: { $: { where: LONG, aggregate: { count: true, sum: 'pages' } } } };

/** A world with books of these pages, and a device that watches `query`. */
async function shelf(
  pages: readonly number[],
  query: object = QUERY,
): Promise<{ stage: Stage; db: Database; told: TotalsState[] }> {
  const stage = new Stage();
  stage.server.data = { ...stage.server.data, triples: [] };
  const writer = stage.device();
  await stage.settle();
  for (const [number, count] of pages.entries())
    void writer.transact(writer.tx.books![entity(number)]!.create({ title: 'x', pages: count }));
  await stage.settle();
  writer.shutdown();
  const db = stage.device();
  const told: TotalsState[] = [];
  db.subscribeTotals(query, (state) => told.push(state));
  await stage.settle();
  return { stage, db, told };
}

/** Nothing leaves or arrives from now on. */
function cutOff(stage: Stage): void {
  stage.network.isUp = false;
  stage.network.cutAll();
}

const of = (count: number, sum: number) => ({ books: { count, sum: { pages: sum } } });

test('[J137] totals are those of the server, live', async () => {
  const { stage, told } = await shelf([5, 20, 30]);
  expect(told).toEqual([{ data: of(2, 50), isLoading: false, isPending: false, error: undefined }]);
  const other = stage.device();
  await stage.settle();
  void other.transact(other.tx.books![entity(9)]!.create({ pages: 12 }));
  await stage.settle();
  expect(told.at(-1)).toMatchObject({ data: of(3, 62), isPending: false });
});

test('[J138] a new entity counts at once', async () => {
  const { stage, db, told } = await shelf([5, 20, 30]);
  cutOff(stage);
  void db.transact(db.tx.books![entity(9)]!.create({ pages: 12 }));
  void db.transact(db.tx.books![entity(10)]!.create({ pages: 3 }));
  expect(told.at(-1)).toMatchObject({ data: of(3, 62), isPending: false });
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  expect(told.at(-1)).toMatchObject({ data: of(3, 62), isPending: false });
  expect(told.every(({ data }) => JSON.stringify(data) !== JSON.stringify(of(4, 74)))).toBe(true);
});

test('[J138] a known entity moves in, changes and goes', async () => {
  const { stage, db, told } = await shelf([5, 20, 30]);
  db.subscribeQuery({ books: {} }, () => {});
  await stage.settle();
  cutOff(stage);
  void db.transact(db.tx.books![entity(0)]!.update({ pages: 11 }));
  expect(told.at(-1)).toMatchObject({ data: of(3, 61), isPending: false });
  void db.transact(db.tx.books![entity(1)]!.update({ pages: 21 }));
  expect(told.at(-1)).toMatchObject({ data: of(3, 62), isPending: false });
  void db.transact(db.tx.books![entity(2)]!.delete());
  expect(told.at(-1)).toMatchObject({ data: of(2, 32), isPending: false });
});

test.each([
  ['one that is not known', {}],
  ['one of which some fields are known', { books: { $: { fields: ['pages'] } } }],
])('[J138] %s keeps the value of the server, and says so', async (_, known) => {
  const { stage, db, told } = await shelf([5, 20, 30]);
  if (Object.keys(known).length > 0) db.subscribeQuery(known, () => {});
  await stage.settle();
  cutOff(stage);
  void db.transact(db.tx.books![entity(0)]!.update({ pages: 11 }));
  expect(told.at(-1)).toMatchObject({ data: of(2, 50), isPending: true });
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  expect(told.at(-1)).toMatchObject({ data: of(3, 61), isPending: false });
});

test('[J138] extremes keep the value of the server while rows change', async () => {
  const query = { books: { $: { aggregate: { count: true, max: 'pages' } } } };
  const { stage, db, told } = await shelf([5, 20], query);
  cutOff(stage);
  const shown = (count: number) => ({ books: { count, max: { pages: 20 } } });
  void db.transact(db.tx.books![entity(9)]!.create({ pages: 3 }));
  expect(told.at(-1)).toMatchObject({ data: shown(3), isPending: true });
  const before = told.length;
  void db.transact(db.tx.tags![entity(8)]!.create({ name: 'x' }));
  expect(told).toHaveLength(before);
});

test('[J138] a condition behind a link keeps the value of the server', async () => {
  const aggregate = { count: true };
  const query = { books: { $: { where: { 'author.name': 'Ada' }, aggregate } } };
  const { stage, db, told } = await shelf([5], query);
  cutOff(stage);
  void db.transact(db.tx.people![entity(9)]!.create({ name: 'Ada' }).link({ books: entity(0) }));
  expect(told.at(-1)).toMatchObject({ data: { books: { count: 0 } }, isPending: true });
});

test('[J138] a refused write is taken back', async () => {
  const { stage, db, told } = await shelf([20]);
  stage.server.refuseWrites = { type: 'permission-denied', message: 'no' };
  const written = db.transact(db.tx.books![entity(9)]!.create({ pages: 12 }));
  expect(told.at(-1)!.data).toEqual(of(2, 32));
  await Promise.all([expect(written).rejects.toThrow('no'), stage.settle()]);
  expect(told.at(-1)).toMatchObject({ data: of(1, 20), isPending: false });
});

test('[J137] a form that asks for no totals is refused', () => {
  const db = new Stage().device();
  expect(() => db.subscribeTotals({ books: {} }, () => {})).toThrow('no totals');
});

test.each(seeds(60))('[J138] totals are those of the rows shown (seed %i)', async (seed) => {
  const random = new Random(seed);
  const { stage, db, told } = await shelf([5, 20, 30]);
  let rows: readonly Row[] = [];
  db.subscribeQuery({ books: { $: { where: LONG } } }, ({ data }) => {
    rows = data?.books ?? [];
  });
  let known: readonly string[] = [];
  db.subscribeQuery({ books: {} }, ({ data }) => {
    known = (data?.books ?? []).map(({ id }) => id);
  });
  const writers = [db, stage.device()];
  await stage.settle();
  const agree = () => {
    const sum = rows.reduce((total, { pages }) => total + Number(pages), 0);
    const { data, isPending } = told.at(-1)!;
    // What another deleted, and what the totals may contain already, is not known here.
    if (!isPending) expect(data).toEqual(of(rows.length, sum));
  };
  for (let step = 0; step < 40; step++) {
    const writer = random.pick(writers);
    const pages = random.pick([0, 5, 11, 12, 50, null]);
    const isNew = known.length === 0 || random.chance(0.4);
    const id = isNew ? entity(100 + step) : random.pick(known);
    const book = writer.tx.books![id]!;
    const chunk = isNew
      ? book.create({ pages })
      : random.chance(0.3)
        ? book.delete()
        : book.update({ pages }, { upsert: false });
    writer.transact(chunk).catch(() => {});
    agree();
    await stage.clock.pass(random.below(200));
    agree();
  }
  await stage.settle();
  expect(told.at(-1)!.data).toEqual(stage.server.totals(QUERY));
});
