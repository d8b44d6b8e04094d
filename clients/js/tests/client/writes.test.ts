import { expect, test } from 'vitest';
import { TriceError } from '../../src/errors.ts';
import { STEPS_MAX } from '../../src/pending/limits.ts';
import type { QueryState } from '../../src/store/answer.ts';
import { entity, Stage } from '../support/stage.ts';

const BOOKS = { books: { $: { where: { id: { $in: [entity(1), entity(2)] } } } } };
const FORBIDDEN = { title: 'forbidden' };

/** What a query shows at the moment, as titles. */
function titles(state: QueryState): unknown[] {
  return (state.data?.books ?? []).map(({ title }) => title);
}

test('[J1, J22] a write is shown at once, and resolves when the server took it', async () => {
  const stage = new Stage();
  const db = stage.device();
  const seen: unknown[][] = [];
  db.subscribeQuery(BOOKS, (state) => seen.push(titles(state)));
  await stage.settle();

  const outcome = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  expect(seen.at(-1)).toEqual(['Dune']);
  expect(stage.server.applied.size).toBe(0);
  await stage.settle();
  await expect(outcome).resolves.toMatchObject({ status: 'synced' });
  expect(seen).toEqual([[], ['Dune'], ...seen.slice(2)]);
  expect(seen.slice(2).every(([title]) => title === 'Dune')).toBe(true);
  expect(db.pending.list()).toEqual([]);
});

test('[J22] without a connection a write is enqueued, and leaves later', async () => {
  const stage = new Stage();
  stage.network.isUp = false;
  const db = stage.device();
  const outcome = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await expect(outcome).resolves.toMatchObject({ status: 'enqueued' });
  expect(db.pending.count).toBe(1);
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(db.pending.list()).toEqual([]);
  expect(stage.server.rows(BOOKS)).toMatchObject({ books: [{ title: 'Dune' }] });
});

test('[J2, J24] a refused write is taken back, and kept with its error', async () => {
  const stage = new Stage();
  const db = stage.device();
  let shown: unknown[] = [];
  db.subscribeQuery(BOOKS, (state) => {
    shown = titles(state);
  });
  await stage.settle();
  const outcomes = [
    db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' })),
    db.transact(db.tx.books![entity(1)]!.update(FORBIDDEN)),
    db.transact(db.tx.books![entity(2)]!.create({ title: 'Emma' })),
  ];
  const refused = expect(outcomes[1]).rejects.toBeInstanceOf(TriceError);
  expect(shown).toEqual(['forbidden', 'Emma']);
  await stage.settle();
  await refused;
  expect(shown).toEqual(['Dune', 'Emma']);
  const [entry, ...others] = db.pending.list();
  expect(others).toEqual([]);
  expect(entry).toMatchObject({ state: 'rejected', error: { code: 'validation-failed' } });

  // Again as it was: under the same id, and refused again.
  db.pending.retry(entry!.id);
  expect(shown).toEqual(['forbidden', 'Emma']);
  await stage.settle();
  expect(db.pending.get(entry!.id)).toMatchObject({ state: 'rejected' });

  const edited = db.pending.edit(entry!.id, db.tx.books![entity(1)]!.update({ title: 'Dune II' }));
  expect(edited).not.toBe(entry!.id);
  await stage.settle();
  expect(shown).toEqual(['Dune II', 'Emma']);
  expect(db.pending.list()).toEqual([]);
});

test('[J24] a refused write can be dropped, one under way cannot', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  const outcome = db.transact(db.tx.books![entity(1)]!.create(FORBIDDEN));
  const [entry] = db.pending.list();
  expect(entry!.state).toBe('sent');
  expect(() => db.pending.drop(entry!.id)).toThrow(/sent/);
  expect(() => db.pending.retry(entry!.id)).toThrow(/not rejected/);
  await stage.clock.pass(0);
  const refused = expect(outcome).rejects.toThrow('forbidden');
  await stage.settle();
  await refused;
  db.pending.drop(entry!.id);
  expect(db.pending.list()).toEqual([]);
});

test('[J20] writes leave in order, after a lost connection too', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: '1' }));
  void db.transact(db.tx.books![entity(1)]!.update({ title: '2' }));
  stage.network.cutAll();
  void db.transact(db.tx.books![entity(1)]!.update({ title: '3' }));
  await stage.settle();
  const ids = stage.ops('transact').map((message) => message['client-event-id']);
  const order = [...new Set(ids)];
  expect(ids.slice(-3)).toEqual(order.slice(-3));
  expect(order).toHaveLength(3);
  for (const id of order) {
    const steps = stage.ops('transact').filter((message) => message['client-event-id'] === id);
    expect(new Set(steps.map((message) => JSON.stringify(message['tx-steps']))).size).toBe(1);
  }
  expect(stage.server.rows(BOOKS)).toMatchObject({ books: [{ title: '3' }] });
});

test('[J3] an acknowledged write does not cover what came after it', async () => {
  const stage = new Stage();
  const [one, other] = [stage.device(), stage.device()];
  let shown: unknown[] = [];
  one.subscribeQuery(BOOKS, (state) => {
    shown = titles(state);
  });
  // A second query that no commit here changes keeps the write acknowledged, and not told.
  one.subscribeQuery({ books: { $: { where: { id: entity(9) } }, author: {} } }, () => {});
  await stage.settle();
  void one.transact(one.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.clock.pass(5_000);
  void other.transact(other.tx.books![entity(1)]!.update({ title: 'Emma' }));
  await stage.clock.pass(5_000);
  expect(shown).toEqual(['Emma']);
});

test('[J23] an update of an entity that is known here says that it must be there', async () => {
  const stage = new Stage();
  const [one, other] = [stage.device(), stage.device()];
  one.subscribeQuery(BOOKS, () => {});
  other.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  await Promise.all([
    one.transact(one.tx.books![entity(1)]!.create({ title: 'Dune' })),
    stage.settle(),
  ]);
  // One deletes it while the other, who still sees it, is cut off.
  stage.network.cutAll();
  stage.network.isUp = false;
  void other.transact(other.tx.books![entity(1)]!.update({ title: 'Emma' })).catch(() => {});
  void one.transact(one.tx.books![entity(1)]!.delete());
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  const { books } = stage.server.rows(BOOKS) as { books: unknown[] };
  const refused = other.pending.list();
  // Whichever came first: no half of a book is left.
  expect(books).toEqual([]);
  for (const { error } of refused) expect(error?.message).toContain('update of');
});

test('[J26] transactions and queues of a size are refused at the call', async () => {
  const stage = new Stage();
  const db = stage.device();
  const chunk = db.tx.books![entity(1)]!.update({ title: 'x' });
  const many = Array.from({ length: STEPS_MAX + 1 }, () => chunk);
  await expect(db.transact(many)).rejects.toMatchObject({ code: 'transaction-too-big' });
  expect(db.pending.list()).toEqual([]);
});

test('what is no chunk, or not in the schema, is refused', async () => {
  const stage = new Stage();
  const db = stage.device();
  await expect(db.transact([{} as never])).rejects.toMatchObject({ code: 'transaction-malformed' });
  const odd = db.transact(db.tx.books![entity(1)]!.update({ titel: 'x' }));
  await expect(odd).rejects.toMatchObject({
    code: 'unknown-name',
    message: expect.stringContaining('title') as string,
  });
  expect(db.pending.list()).toEqual([]);
  await stage.settle();
  const link = db.transact(db.tx.books![entity(1)]!.link({ writer: entity(2) }));
  await expect(link).rejects.toMatchObject({
    code: 'unknown-name',
    message: expect.stringContaining('author') as string,
  });
});

test('[J27] signing out lets writes leave, and says how many did not', async () => {
  const stage = new Stage();
  stage.answer = () => ({ status: 200, body: {} });
  const db = stage.device();
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  const first = db.auth.signOut();
  await stage.settle();
  await expect(first).resolves.toEqual({ dropped: 0 });

  stage.network.cutAll();
  stage.network.isUp = false;
  await stage.clock.pass(100);
  const lost = db.transact(db.tx.books![entity(2)]!.create({ title: 'Emma' }));
  await expect(lost).resolves.toMatchObject({ status: 'enqueued' });
  const second = db.auth.signOut();
  await stage.settle();
  await expect(second).resolves.toEqual({ dropped: 1 });
});

test('[J9] attrs invented elsewhere meanwhile take the place of those invented here', async () => {
  const stage = new Stage();
  const [one, other] = [
    stage.device({ schema: undefined as never }),
    stage.device({ schema: undefined as never }),
  ];
  const query = { shelves: {} };
  let shown: unknown;
  one.subscribeQuery(query, ({ data }) => {
    shown = data;
  });
  await stage.settle();
  void one.transact(one.tx.shelves![entity(1)]!.update({ width: 1 }));
  void other.transact(other.tx.shelves![entity(2)]!.update({ width: 2 }));
  await stage.settle();
  const named = stage.server.data.attrs.filter(
    ({ 'forward-identity': [, etype] }) => etype === 'shelves',
  );
  expect(named.map(({ 'forward-identity': [, , label] }) => label).sort()).toEqual(['id', 'width']);
  expect(shown).toEqual(stage.server.rows(query));
  expect(stage.server.applied.size).toBe(2);
});

test('[J154] increments of many devices each count once, whoever is offline', async () => {
  const stage = new Stage();
  const query = { books: { $: { where: { id: entity(1) } } } };
  const [one, two] = [stage.device(), stage.device()];
  const shown: unknown[] = [];
  one.subscribeQuery(query, ({ data }) => shown.push(data?.books?.[0]?.pages));
  void one.transact(one.tx.books![entity(1)]!.create({ pages: 10 }));
  await stage.settle();

  stage.network.isUp = false;
  stage.network.cutAll(1006);
  await stage.settle();
  void one.transact([one.tx.books![entity(1)]!.increment({ pages: 2 })]);
  void one.transact(one.tx.books![entity(1)]!.increment({ pages: -0.5 }).increment({ pages: 1 }));
  void two.transact(two.tx.books![entity(1)]!.increment({ pages: 100 }));
  await stage.settle();
  expect(shown.at(-1)).toBe(12.5);
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(shown.at(-1)).toBe(112.5);
  expect(stage.server.rows(query)).toMatchObject({ books: [{ pages: 112.5 }] });
});

test('[J154, J2] an increment of what is no number is refused, and changes nothing', async () => {
  const stage = new Stage();
  const db = stage.device();
  let shown: unknown;
  db.subscribeQuery(BOOKS, (state) => (shown = state.data?.books?.map(({ title }) => title)));
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  const refused = db.transact(db.tx.books![entity(1)]!.increment({ title: 1 }));
  const told = expect(refused).rejects.toMatchObject({ code: 'validation-failed' });
  expect(shown).toEqual(['Dune']);
  await stage.settle();
  await told;
  expect(shown).toEqual(['Dune']);
});
