/** Before the code is there that does here what the server has not told yet (`client/local.ts`). */
import { beforeEach, expect, test, vi } from 'vitest';
import type { QueryState } from '../../src/store/answer.ts';

/** Those who wait for that code. */
const gate = vi.hoisted(() => ({
  asked: 0,
  waiting: [] as { resolve: (code: unknown) => void; reject: (error: Error) => void }[],
}));

vi.mock('../../src/client/local-code.ts', () => ({
  fetchLocal: () =>
    new Promise((resolve, reject) => {
      gate.asked++;
      gate.waiting.push({ resolve, reject });
    }),
}));

/** The code comes. */
async function open(): Promise<void> {
  const code = await import('../../src/client/local.ts');
  const { takeLocal } = await import('../../src/values/here.ts');
  takeLocal(code);
  for (const { resolve } of gate.waiting.splice(0)) resolve(code);
}

beforeEach(async () => {
  // What is taken into use once for all clients is so for all tests: each begins anew.
  vi.resetModules();
  Object.assign(gate, { asked: 0, waiting: [] });
  // Only the clock counts: it does not wait for a module.
  await import('../../src/client/disk-code.ts');
  await import('../../src/client/later.ts');
});

async function plainStage() {
  const { entity, Stage } = await import('../support/stage.ts');
  return { entity, stage: new Stage() };
}

/** How a promise ended: with a status, or with the code of an error. */
function outcomeOf(promise: Promise<{ status: string }>): { end: string | undefined } {
  const outcome: { end: string | undefined } = { end: undefined };
  promise.then(
    ({ status }) => (outcome.end = status),
    (error: { code: string }) => (outcome.end = error.code),
  );
  return outcome;
}

const titles = ({ data }: QueryState) => (data?.books ?? []).map(({ title }) => title);

test('[J360] an idle page asks for it, and what comes later does not come without', async () => {
  const { stage } = await plainStage();
  const db = stage.device();
  expect(gate.asked).toBeGreaterThan(0);
  await stage.settle();
  expect(db.engine.later.part).toBeNull();
  await open();
  await stage.settle();
  expect(db.engine.local.part).not.toBeNull();
  expect(db.engine.later.part).not.toBeNull();
});

test('[J360, J301] while it cannot be fetched it is asked for again', async () => {
  const { stage } = await plainStage();
  stage.device();
  const { asked } = gate;
  for (const { reject } of gate.waiting.splice(0)) reject(new Error('no chunk'));
  await stage.clock.pass(4_000);
  expect(gate.asked).toBe(asked);
  await stage.clock.pass(2_000);
  expect(gate.asked).toBeGreaterThan(asked);
});

test('[J361] writes that were made before are kept in order, then shown and sent', async () => {
  const { entity, stage } = await plainStage();
  const db = stage.device();
  const told: QueryState[] = [];
  db.subscribeQuery({ books: {} }, (state) => told.push(state));
  await stage.settle();
  const before = titles(told.at(-1)!);
  const [one, other] = [entity(81), entity(82)];
  const first = outcomeOf(db.transact(db.tx.books![one]!.create({ title: 'first' })));
  const second = outcomeOf(
    db.transact([
      db.tx.books![one]!.update({ title: 'changed' }),
      db.tx.books![other]!.create({ title: 'second' }),
    ]),
  );
  await stage.settle();
  expect(db.pending.list()).toMatchObject([{ state: 'queued' }, { state: 'queued' }]);
  expect(titles(told.at(-1)!)).toEqual(before);
  expect(stage.ops('transact')).toEqual([]);
  expect([first.end, second.end]).toEqual([undefined, undefined]);
  await open();
  await stage.clock.pass(0);
  expect(titles(told.at(-1)!)).toEqual([...before, 'changed', 'second']);
  await stage.settle();
  expect([first.end, second.end]).toEqual(['synced', 'synced']);
  expect(stage.ops('transact')).toHaveLength(2);
  expect(titles(told.at(-1)!)).toEqual([...before, 'changed', 'second']);
});

test('[J361] they survive a page that never had the code', async () => {
  const { BOOKS, DiskStage, watch } = await import('../support/disk-stage.ts');
  const { Stored } = await import('../simulation/device.ts');
  const { entity } = await import('../support/stage.ts');
  const stage = new DiskStage();
  const stored = new Stored();
  const { db } = stage.page(stored);
  await stage.settle();
  const early = outcomeOf(db.transact(db.tx.books![entity(1)]!.update({ title: 'kept' })));
  await stage.settle();
  expect(early.end).toBeUndefined();
  db.shutdown();
  const next = stage.page(stored);
  const { observer } = watch(next.db, BOOKS);
  await stage.settle();
  expect(next.db.pending.list()).toMatchObject([{ state: 'queued' }]);
  await open();
  await stage.settle();
  expect(stage.ops('transact')).toHaveLength(1);
  expect(titles(observer.get())).toContain('kept');
});

const ENDS = ['comes', 'cannot be fetched'];

test.each(ENDS)(
  '[J364] nothing is shown first without the writes that wait, until it %s',
  async (how) => {
    const { BOOKS, DiskStage, watch } = await import('../support/disk-stage.ts');
    const { Stored } = await import('../simulation/device.ts');
    const { entity } = await import('../support/stage.ts');
    const stage = new DiskStage();
    const stored = new Stored();
    const { db } = stage.page(stored);
    const before = watch(db, BOOKS).observer;
    await stage.settle();
    expect(before.get().isLoading).toBe(false);
    void db.transact(db.tx.books![entity(1)]!.update({ title: 'kept' }));
    await stage.settle();
    expect(before.get().isLoading).toBe(false);
    db.shutdown();
    const { observer } = watch(stage.page(stored).db, BOOKS);
    await stage.settle();
    expect(observer.get()).toMatchObject({ isLoading: true, data: undefined });
    if (how === 'comes') await open();
    else for (const { reject } of gate.waiting.splice(0)) reject(new Error('no chunk'));
    await stage.clock.pass(0);
    expect(observer.get().isLoading).toBe(false);
    expect(titles(observer.get()).includes('kept')).toBe(how === 'comes');
  },
);

test('[J361] one that the schema does not know is refused then, the others go on', async () => {
  const { entity, stage } = await plainStage();
  const db = stage.device();
  await stage.settle();
  const write = (number: number, fields: object) =>
    outcomeOf(db.transact(db.tx.books![entity(number)]!.create(fields)));
  const outcomes = [
    write(81, { title: 'good' }),
    write(82, { colour: 'red' }),
    write(83, { colour: 'blue' }),
    write(84, { title: 'as good' }),
  ];
  await stage.settle();
  await open();
  await stage.settle();
  expect(outcomes.map(({ end }) => end)).toEqual([
    'synced',
    'unknown-name',
    'unknown-name',
    'synced',
  ]);
  const refused = db.pending.list().filter(({ state }) => state === 'rejected');
  expect(refused).toMatchObject([
    { error: { code: 'unknown-name' } },
    { error: { code: 'unknown-name' } },
  ]);
  expect(stage.ops('transact')).toHaveLength(2);
});

test('[J361] nothing is decided on what was refused without it', async () => {
  const { entity, stage } = await plainStage();
  const db = stage.device();
  void db.transact(db.tx.books![entity(81)]!.create({ title: 'waits' }));
  const [{ id } = { id: '' }] = db.pending.list();
  for (const decide of [() => db.pending.retry(id), () => db.pending.drop(id)])
    expect(decide).toThrow(expect.objectContaining({ code: 'part-missing' }));
  expect(db.pending.count).toBe(1);
  await open();
  await stage.clock.pass(0);
  expect(() => db.pending.retry(id)).toThrow(expect.objectContaining({ code: 'pending-state' }));
});

const NEEDING = [
  // Books stand in the answer for the path, and for the people below, as well.
  { books: { $: { where: { 'author.books.title': 'Dune' } }, author: {} } },
  { books: { $: { where: { title: 'Dune' } }, author: { books: {} } } },
  { books: { $: { order: { born: 'asc' } } } },
];

test.each(NEEDING)(
  '[J362] rows that an answer does not tell apart wait for it: %j',
  async (query) => {
    const { stage } = await plainStage();
    const db = stage.device();
    const observer = db.observe(query);
    observer.subscribe(() => {});
    await stage.settle();
    expect(observer.get()).toMatchObject({ isLoading: true, data: undefined });
    await open();
    await stage.clock.pass(0);
    expect(observer.get()).toMatchObject({ isLoading: false, data: stage.server.rows(query) });
  },
);

test('[J362] other queries are answered without, and show the same rows later', async () => {
  const { stage } = await plainStage();
  const db = stage.device();
  const observer = db.observe({ books: { $: { order: { title: 'desc' }, limit: 1 }, author: {} } });
  observer.subscribe(() => {});
  await stage.settle();
  const { data } = observer.get();
  expect(data?.books).toHaveLength(1);
  await open();
  await stage.settle();
  expect(observer.get().data).toBe(data);
});

test('[J363] a page that was made on a server is shown without fetching it', async () => {
  const { hydrate } = await import('../../src/ssr/hydrate.ts');
  const { local } = await import('../../src/values/here.ts');
  expect(local).toBeNull();
  const { stage } = await plainStage();
  hydrate(stage.device(), {});
  const here = await import('../../src/values/here.ts');
  expect(here.local).not.toBeNull();
});
