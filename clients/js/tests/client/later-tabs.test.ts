/** Tabs, and databases, before their code is there. */
import { beforeEach, expect, test, vi } from 'vitest';

/** Those who wait for code. */
const gate = vi.hoisted(() => ({
  isOpen: false,
  waiting: [] as { load: () => Promise<unknown>; resolve: (code: unknown) => void }[],
}));

const gated = vi.hoisted(
  () => (load: () => Promise<unknown>) =>
    gate.isOpen ? load() : new Promise((resolve) => gate.waiting.push({ load, resolve })),
);

vi.mock('../../src/client/code.ts', () => ({
  fetchLater: () => gated(() => import('../../src/client/later.ts')),
}));

/** The code comes, to those that wait for it now and, with `forAll`, to all from then on. */
async function open(forAll = false): Promise<void> {
  gate.isOpen = forAll;
  for (const { load, resolve } of gate.waiting.splice(0)) resolve(await load());
}

beforeEach(async () => {
  vi.resetModules();
  gate.isOpen = false;
  gate.waiting = [];
  // Only the clock counts: it does not wait for a module.
  await import('../../src/client/disk-code.ts');
  await import('../../src/client/later.ts');
});

async function stageOf() {
  await (await import('../../src/client/local-code.ts')).fetchLocal();
  const { entity } = await import('../support/stage.ts');
  const support = await import('../support/tab-stage.ts');
  return { ...support, entity, stage: new support.TabStage() };
}

test('[J319] a tab that finds the lock free connects before its code is there', async () => {
  const { stage, create, outcomeOf, watch } = await stageOf();
  const { db } = await stage.tab();
  const seen = watch(db);
  await stage.settle();
  expect(seen.at(-1)?.source).toBe('server');
  const outcome = outcomeOf(create(db, 1, 'Dune'));
  await stage.settle();
  expect(outcome).toEqual({ status: 'synced' });
  expect(stage.open).toBe(1);
});

test('[J319] one that finds it held connects to nothing until its code is there', async () => {
  const { stage, create, outcomeOf, states, watch } = await stageOf();
  const leader = await stage.tab();
  await stage.settle();
  // The leader is heard from now on, the follower does not speak yet.
  await open();
  const follower = await stage.tab();
  const seen = watch(follower.db);
  const outcome = outcomeOf(create(follower.db, 1, 'Dune'));
  await stage.settle();
  expect([stage.open, stage.server.applied.size]).toEqual([1, 0]);
  expect([states(follower), outcome]).toEqual([['saving'], {}]);

  await open();
  await stage.settle();
  expect([stage.open, stage.server.applied.size]).toEqual([1, 1]);
  // Its leader had saved it before its own session was open.
  expect(outcome).toEqual({ status: 'enqueued' });
  expect(seen.at(-1)?.source).toBe('server');
  expect(stage.ops('init')).toHaveLength(1);
  expect([leader, follower].map(states)).toEqual([[], []]);
});

test('[J319] a leader whose code does not come is replaced, and sends nothing more', async () => {
  const { stage, create, outcomeOf, states, watch } = await stageOf();
  const leader = await stage.tab();
  watch(leader.db);
  await stage.settle();
  const early = gate.waiting.splice(0);
  const follower = await stage.tab();
  await open(true);
  // It says that it is there to nobody.
  await stage.clock.pass(10_000);
  expect(follower.db.connectionStatus).toBe('authenticated');
  expect(stage.open).toBe(1);
  const outcome = outcomeOf(create(leader.db, 1, 'Dune'));
  await stage.clock.pass(5_000);
  expect([states(leader), outcome]).toEqual([['saving'], {}]);
  expect(stage.server.applied.size).toBe(0);
  gate.waiting = early;
  await open(true);
  await stage.settle();
  expect([stage.open, stage.server.applied.size]).toEqual([1, 1]);
  expect(outcome.status).toBeDefined();
  expect([leader, follower].map(states)).toEqual([[], []]);
  expect([leader, follower].map(({ db }) => db.connectionStatus)).toEqual([
    'authenticated',
    'authenticated',
  ]);
});

test('[J320] without the code that opens it a database is taken over later', async () => {
  vi.doMock('../../src/client/disk-code.ts', () =>
    gated(() => vi.importActual('../../src/client/disk-code.ts')),
  );
  vi.resetModules();
  gate.isOpen = true;
  const { stage, create, outcomeOf, watch } = await stageOf();
  gate.isOpen = false;
  const { db } = stage.browser.open({ tabs: false });
  const seen = watch(db);
  const early = outcomeOf(create(db, 1, 'Dune'));
  await stage.clock.pass(2_500);
  // Nothing is connected before it is known what is held.
  expect([early, db.storageStatus, stage.open]).toEqual([{}, 'ready', 0]);
  await stage.clock.pass(10_000);
  expect([early, db.storageStatus]).toEqual([{ status: 'enqueued' }, 'memory']);
  expect(stage.server.applied.size).toBe(1);
  expect(seen.at(-1)?.source).toBe('server');
  await open(true);
  await stage.settle();
  expect(db.storageStatus).toBe('ready');
  const [tables] = stage.browser.stored.disks.databases.values();
  expect(tables?.get('answers')?.size).toBe(1);
});
