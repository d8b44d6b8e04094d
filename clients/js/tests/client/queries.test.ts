import { expect, test } from 'vitest';
import type { QueryState } from '../../src/store/answer.ts';
import { entity, Stage } from '../support/stage.ts';

/** Ends of subscriptions; the client also asks silent links with one that names no query. */
const ended = (stage: Stage) =>
  stage.ops('remove-query').filter(({ q }) => JSON.stringify(q) !== '{}');

const QUERY = { books: { $: { order: { serverCreatedAt: 'asc' } }, author: {} } };

test('[J30] equal queries are asked once, and stay subscribed for 10 s', async () => {
  const stage = new Stage();
  const db = stage.device();
  const stops = [db.subscribeQuery(QUERY, () => {}), db.subscribeQuery(QUERY, () => {})];
  await stage.settle();
  expect(stage.ops('add-query')).toHaveLength(1);
  for (const stop of stops) stop();
  await stage.clock.pass(9_000);
  expect(ended(stage)).toHaveLength(0);
  const again = db.subscribeQuery(
    { books: { author: {}, $: { order: { serverCreatedAt: 'asc' } } } },
    () => {},
  );
  await stage.settle();
  expect(stage.ops('add-query')).toHaveLength(1);
  again();
  await stage.settle();
  expect(ended(stage)).toHaveLength(1);
  db.subscribeQuery(QUERY, () => {});
  expect(stage.ops('add-query')).toHaveLength(1);
  await stage.settle();
  expect(stage.ops('add-query')).toHaveLength(2);
});

test('a known answer is told at once, and only changes after it', async () => {
  const stage = new Stage();
  const db = stage.device();
  db.subscribeQuery(QUERY, () => {});
  await stage.settle();
  const told: QueryState[] = [];
  db.subscribeQuery(QUERY, (state) => told.push(state));
  expect(told).toHaveLength(1);
  await stage.settle();
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ isLoading: false, error: undefined });
});

test('[J10] a link to one is an object with a schema, a list without', async () => {
  const stage = new Stage();
  const [typed, plain] = [stage.device(), stage.device({ schema: undefined as never })];
  const shown: unknown[][] = [[], []];
  [typed, plain].forEach((db, index) => {
    db.subscribeQuery({ books: { author: {} } }, ({ data }) => {
      shown[index] = (data?.books ?? []).map(({ author }) => author);
    });
  });
  await stage.settle();
  void typed.transact([
    typed.tx.people![entity(3)]!.create({ name: 'Ann' }),
    typed.tx.books![entity(1)]!.create({ title: 'a' }).link({ author: entity(3) }),
    typed.tx.books![entity(2)]!.create({ title: 'b' }),
  ]);
  await stage.settle();
  expect(shown[0]!.slice(-2)).toEqual([expect.objectContaining({ name: 'Ann' }), undefined]);
  expect(shown[1]!.slice(-2)).toEqual([[expect.objectContaining({ name: 'Ann' })], []]);
});

test('[J31] queryOnce asks the server each time', async () => {
  const stage = new Stage();
  const db = stage.device();
  const first = db.queryOnce(QUERY);
  await stage.settle();
  expect((await first).data).toEqual(stage.server.rows(QUERY));
  db.subscribeQuery(QUERY, () => {});
  await stage.settle();
  const asked = stage.ops('add-query').length;
  const [second, third] = [db.queryOnce(QUERY), db.queryOnce(QUERY)];
  await stage.settle();
  expect(await third).toBe(await second);
  expect(stage.ops('add-query').length).toBeGreaterThan(asked);
});

test('[J31] queryOnce rejects at once where nothing can be reached', async () => {
  const stage = new Stage();
  stage.network.isUp = false;
  const db = stage.device();
  await stage.settle();
  await expect(db.queryOnce(QUERY)).rejects.toMatchObject({ code: 'offline' });
});

test('[J31] a connection that is lost meanwhile asks again', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  const answer = db.queryOnce(QUERY);
  stage.network.cutAll();
  await stage.settle();
  expect((await answer).data).toEqual(stage.server.rows(QUERY));
});

test('[J32] a failed query says why, and shows data when it succeeds', async () => {
  const stage = new Stage();
  const db = stage.device();
  const told: QueryState[] = [];
  db.subscribeQuery(QUERY, (state) => told.push(state));
  stage.server.refuse = { type: 'permission-evaluation-failed', message: 'the rule fails' };
  await stage.settle();
  expect(told.at(-1)).toMatchObject({
    error: { code: 'permission-evaluation-failed' },
    data: undefined,
  });
  stage.server.refuse = null;
  stage.network.cutAll();
  await stage.settle();
  expect(told.at(-1)).toMatchObject({ error: undefined, isLoading: false });
  expect(told.at(-1)!.data).toEqual(stage.server.rows(QUERY));
});

test('[J4] news that starts from what is not held is not taken', async () => {
  const stage = new Stage();
  const db = stage.device();
  let shown: unknown;
  db.subscribeQuery(QUERY, ({ data }) => {
    shown = data;
  });
  await stage.settle();
  stage.server.misnamesVersions = true;
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.clock.pass(5_000);
  stage.server.misnamesVersions = false;
  await stage.settle();
  expect(stage.ops('add-query').length).toBeGreaterThan(1);
  expect(shown).toEqual(stage.server.rows(QUERY));
});

test('[J5] rows are frozen, and the same objects while their content is', async () => {
  const stage = new Stage();
  const db = stage.device();
  const observer = db.observe(QUERY);
  observer.subscribe(() => {});
  await stage.settle();
  const before = observer.get();
  const books = before.data!.books!;
  expect(Object.isFrozen(before.data)).toBe(true);
  expect(Object.isFrozen(books[0])).toBe(true);
  void db.transact(db.tx.books![books[0]!.id]!.update({ title: 'other' }));
  const after = observer.get();
  expect(after.data!.books![0]).not.toBe(books[0]);
  expect(after.data!.books!.slice(1).every((row, index) => row === books[index + 1])).toBe(true);
  void db.transact(db.tx.books![books[0]!.id]!.update({ title: 'other' }));
  expect(observer.get()).toBe(after);
});

test('[J11] a row written here stands in the first page where it belongs', async () => {
  const stage = new Stage();
  const db = stage.device();
  const first = { people: { $: { order: { name: 'asc' }, first: 2 } } };
  let shown: unknown[] = [];
  const names = ({ data }: QueryState) => (data?.people ?? []).map(({ name }) => name);
  db.subscribeQuery(first, (state) => {
    shown = names(state);
  });
  await stage.settle();
  for (const [number, name] of ['B', 'D', 'F', 'H'].entries())
    void db.transact(db.tx.people![entity(number)]!.create({ name }));
  await stage.settle();
  const before = shown;
  void db.transact(db.tx.people![entity(20)]!.create({ name: 'A' }));
  expect(shown).toEqual(['A', before[0]].sort());
  await stage.settle();
});
