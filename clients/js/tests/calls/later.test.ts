/** Calls made before the code of calls is here. */
import { beforeEach, expect, test, vi } from 'vitest';

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

beforeEach(() => {
  // What is taken into use once for all clients is so for all tests: each begins anew.
  vi.resetModules();
  gate.waiting = [];
});

async function open(): Promise<void> {
  const code = await import('../../src/client/later.ts');
  for (const { resolve } of gate.waiting.splice(0)) resolve(code);
}

async function stages() {
  const { entity, Stage } = await import('../support/stage.ts');
  const { api } = await import('../simulation/functions.ts');
  return { api, entity, stage: new Stage() };
}

test('[FN341] calls wait for their code, and are carried out in order', async () => {
  const { api, entity, stage } = await stages();
  const db = stage.device();
  await stage.settle();
  const seen: unknown[] = [];
  db.subscribeCall(api.count, {}, ({ data }) => seen.push(data));
  const gone: unknown[] = [];
  db.subscribeCall(api.list, { of: '' }, (state) => gone.push(state))();
  const calls = [
    db.call(api.put, { id: entity(1), title: 'one' }),
    db.call(api.put, { id: entity(1), title: 'two' }),
  ];
  expect(db.observeCall(api.count, {}).get()).toMatchObject({ isLoading: true });
  await stage.settle();
  expect(stage.ops('call')).toEqual([]);
  await open();
  await stage.settle();
  await Promise.all(calls);
  expect(stage.ops('call').map(({ args }) => (args as { title: string }).title)).toEqual([
    'one',
    'two',
  ]);
  expect(stage.ops('add-call')).toMatchObject([{ name: 'books.count' }]);
  expect(seen.at(-1)).toBe(2);
  expect(gone).toEqual([]);
});

test('[FN341] a call whose code cannot be fetched rejects', async () => {
  const { api, stage } = await stages();
  const db = stage.device();
  const refused = expect(db.call(api.count, {})).rejects.toMatchObject({ code: 'part-missing' });
  for (const { reject } of gate.waiting.splice(0)) reject(new Error('no chunk'));
  await refused;
});

test('[FN341] calls that were kept leave without it', async () => {
  const { DiskStage, offline } = await import('../support/disk-stage.ts');
  const { Stored } = await import('../simulation/device.ts');
  const { api, entity } = await stages();
  const stage = new DiskStage();
  const stored = new Stored();
  const first = stage.page(stored);
  await stage.settle();
  offline(stage);
  void first.db.call(api.put, { id: entity(1), title: 'one' });
  await open();
  await stage.clock.pass(1_000);
  expect(stored.pending.size).toBe(1);
  first.page.end();
  const { db } = stage.page(stored);
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  expect(gate.waiting.length).toBeGreaterThan(0);
  expect(stage.server.functions.ran).toHaveLength(1);
  expect(db.pending.list()).toMatchObject([{ state: 'acked' }]);
});
