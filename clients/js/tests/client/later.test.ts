import { beforeEach, expect, test, vi } from 'vitest';
import type { TriceError } from '../../src/errors.ts';
import type { InfiniteState } from '../../src/client/infinite.ts';
import type { Database } from '../../src/client/database.ts';
import type { QueryState } from '../../src/store/answer.ts';
import type { TotalsState } from '../../src/client/totals.ts';

/** Those who wait for the code that is fetched later. */
const gate = vi.hoisted(() => ({
  waiting: [] as { resolve: (code: unknown) => void; reject: (error: Error) => void }[],
}));

vi.mock('../../src/client/code.ts', () => ({
  fetchLater: () =>
    new Promise((resolve, reject) => {
      gate.waiting.push({ resolve, reject });
    }),
}));

/** The code comes. */
async function open(): Promise<void> {
  const code = await import('../../src/client/later.ts');
  for (const { resolve } of gate.waiting.splice(0)) resolve(code);
}

function refuse(): void {
  for (const { reject } of gate.waiting.splice(0)) reject(new Error('no chunk'));
}

beforeEach(async () => {
  // What is taken into use once for all clients is so for all tests: each begins anew.
  vi.resetModules();
  gate.waiting = [];
  // Only the clock counts: it does not wait for a module.
  await import('../../src/client/disk-code.ts');
  await (await import('../../src/client/local-code.ts')).fetchLocal();
});

async function stages() {
  const { entity, Stage } = await import('../support/stage.ts');
  return { entity, stage: new Stage() };
}

const titles = ({ data }: Pick<QueryState, 'data'>) =>
  (data?.books ?? []).map(({ title }) => title);

test('[J302] queries are answered and writes taken without code that comes later', async () => {
  const { entity, stage } = await stages();
  const db = stage.device();
  const told: QueryState[] = [];
  db.subscribeQuery({ books: { $: { where: { id: entity(77) } } } }, (state) => told.push(state));
  await stage.settle();
  const written = db.transact(db.tx.books![entity(77)]!.create({ title: 'now' }));
  expect(titles(told.at(-1)!)).toEqual(['now']);
  await stage.settle();
  expect(await written).toMatchObject({ status: 'synced' });
  expect(titles(told.at(-1)!)).toEqual(['now']);
  expect(gate.waiting).toHaveLength(1);
});

test('[J302, J305] a write is on the disk without it, answers once it is there', async () => {
  const { BOOKS, DiskStage, watch } = await import('../support/disk-stage.ts');
  const { Stored } = await import('../simulation/device.ts');
  const { entity } = await import('../support/stage.ts');
  const stage = new DiskStage();
  const stored = new Stored();
  const { db } = stage.page(stored);
  watch(db, BOOKS);
  await stage.settle();
  const tables = () => [...stored.disks.databases.values()][0]!;
  expect(tables().get('answers')!.size).toBe(0);
  stage.network.cutAll();
  stage.network.isUp = false;
  const written = db.transact(db.tx.books![entity(1)]!.update({ title: 'kept' }));
  await stage.clock.pass(1_000);
  expect(await written).toMatchObject({ status: 'enqueued' });
  expect(tables().get('pending')!.size).toBe(1);
  stage.network.isUp = true;
  await stage.settle();
  // The server took it, but no answer on the disk contains it: its row stays.
  expect(tables().get('pending')!.size).toBe(1);
  await open();
  await stage.settle();
  expect(tables().get('answers')!.size).toBe(1);
  expect(tables().get('pending')!.size).toBe(0);
});

test('[J303] an infinite list loads until its code is there, then it is as ever', async () => {
  const { entity, stage } = await stages();
  const db = stage.device();
  for (const place of [1, 2])
    void db.transact(db.tx.books![entity(80 + place)]!.create({ title: 'new', pages: place }));
  await stage.settle();
  const told: InfiniteState[] = [];
  const query = { books: { $: { where: { title: 'new' }, order: { pages: 'asc' }, limit: 1 } } };
  const { loadNextPage, unsubscribe } = db.subscribeInfiniteQuery(query, (state) =>
    told.push(state),
  );
  const gone: unknown[] = [];
  const stop = db.observeInfinite(query).subscribe(() => gone.push(1));
  stop();
  loadNextPage();
  await stage.settle();
  expect(told).toEqual([]);
  await open();
  await stage.settle();
  expect(titles(told.at(-1)!)).toHaveLength(1);
  loadNextPage();
  await stage.settle();
  expect(titles(told.at(-1)!)).toHaveLength(2);
  expect(gone).toEqual([]);
  const before = told.length;
  unsubscribe();
  void db.transact(db.tx.books![entity(83)]!.create({ title: 'new', pages: 0 }));
  await stage.settle();
  expect(told).toHaveLength(before);
});

test('[J303] totals load until their code is there', async () => {
  const { entity, stage } = await stages();
  const db = stage.device();
  const told: TotalsState[] = [];
  // Another client on the page reads all dates already: nothing is computed anew for that.
  const { readFreeDates } = await import('../../src/values/here.ts');
  readFreeDates(() => null);
  const query = { books: { $: { aggregate: { count: true } } } };
  db.subscribeTotals(query, (state) => told.push(state));
  const states: QueryState[] = [];
  const both = { ...query, people: {} };
  db.subscribeQuery(both, (state) => states.push(state));
  await stage.settle();
  expect(told).toEqual([]);
  expect(states).toEqual([]);
  await open();
  await stage.settle();
  const { count } = told.at(-1)!.data!.books as { count: number };
  expect(count).toBeGreaterThan(0);
  expect(states.at(-1)).toMatchObject({ isLoading: false, source: 'server' });
  void db.transact(db.tx.books![entity(78)]!.create({ title: 'one more' }));
  expect(told.at(-1)!.data).toEqual({ books: { count: count + 1 } });
});

test('[J303] a query that another answer contains is answered once the code is there', async () => {
  const { entity, stage } = await stages();
  const db = stage.device();
  db.subscribeQuery({ books: {} }, () => {});
  await stage.settle();
  stage.network.cutAll();
  stage.network.isUp = false;
  const told: QueryState[] = [];
  db.subscribeQuery({ books: { $: { where: { id: entity(1) } } } }, (state) => told.push(state));
  await stage.settle();
  expect(told).toEqual([]);
  await open();
  await stage.settle();
  expect(told.at(-1)).toMatchObject({ source: 'partial', isComplete: true });
});

/** Books by a date of two forms, watched with the code there or coming. */
async function dated(db: Database, settle: () => Promise<void>, ids: readonly string[]) {
  const told: QueryState[] = [];
  const dates = ['2025-03-01T00:00:00Z', 'Wed, 01 Oct 2025 10:00:00 GMT', '2025-02-01'];
  dates.forEach((at, place) => {
    void db.transact(db.tx.events![ids[place]!]!.create({ at }));
  });
  await settle();
  const query = { events: { $: { order: { at: 'asc' } } } };
  db.subscribeQuery(query, (state) => told.push(state));
  await settle();
  return told;
}

test('[J303] dates of all forms are in order once their code is there', async () => {
  const { entity, stage } = await stages();
  const config = { indexed: true, unique: false };
  const schema = {
    entities: { events: { attrs: { at: { valueType: 'date', config } } } },
    links: {},
  };
  const db = stage.device({ schema });
  const ids = [1, 2, 3].map((place) => entity(90 + place));
  const told = await dated(db, () => stage.settle(), ids);
  const shown = () => told.at(-1)!.data!.events!.map(({ id }) => id);
  const here = await import('../../src/values/here.ts');
  expect(here.readFreeDate).toBe(null);
  expect(gate.waiting).not.toEqual([]);
  // A date of another form is none yet, and comes first.
  expect(shown()).toEqual([ids[1], ids[2], ids[0]]);
  await open();
  await stage.settle();
  expect(here.readFreeDate).not.toBe(null);
  expect(shown()).toEqual([ids[2], ids[0], ids[1]]);
});

test('[J301] signing in rejects while its code cannot be fetched', async () => {
  const { stage } = await stages();
  const db = stage.device();
  stage.answer = () => ({ status: 200, body: { user: { id: 'u', refresh_token: 't' } } });
  const failed = expect(db.auth.signInWithToken('t')).rejects.toMatchObject({
    code: 'part-missing',
  });
  await stage.clock.pass(0);
  refuse();
  await failed;
  expect(stage.requests).toEqual([]);
  const works = db.auth.signInWithToken('t');
  await open();
  await stage.settle();
  expect(await works).toMatchObject({ user: { id: 'u' } });
  // The first call was told that it failed: it is not made after all.
  expect(stage.requests).toHaveLength(1);
});

test('[J301] code is asked for every 5 s; a list says what is missing', async () => {
  const { stage } = await stages();
  const db = stage.device();
  const list = db.observeInfinite({ books: { $: { limit: 1 } } });
  let told = 0;
  list.subscribe(() => told++);
  await stage.clock.pass(100);
  refuse();
  await stage.clock.pass(0);
  expect(told).toBe(1);
  expect(list.get().error).toMatchObject({ code: 'part-missing', hint: undefined });
  await stage.clock.pass(4_900);
  expect(gate.waiting).toEqual([]);
  await stage.clock.pass(200);
  expect(gate.waiting).toHaveLength(1);
  await open();
  await stage.settle();
  expect(list.get()).toMatchObject({ error: undefined, isLoading: false });
});

test('[J304] a failure has its code at once, and its sentence later', async () => {
  const { stage } = await stages();
  const db = stage.device();
  const failure = () => {
    try {
      db.subscribeTotals({ books: {} }, () => {});
    } catch (error) {
      return error as TriceError;
    }
    throw new Error('It did not fail.');
  };
  expect(failure()).toMatchObject({ code: 'query-malformed', hint: { label: 'books' } });
  expect(failure().message).toBe('query-malformed/totals {"label":"books"}');
  await open();
  await stage.clock.pass(0);
  expect(failure()).toMatchObject({ code: 'query-malformed', hint: { label: 'books' } });
  expect(failure().message).toContain('`books` asks for no totals');
});
