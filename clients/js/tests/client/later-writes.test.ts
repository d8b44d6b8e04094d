/** Uploads, errors and writes before the code that comes later is there. */
import { beforeEach, expect, test, vi } from 'vitest';
import type { QueryState } from '../../src/store/answer.ts';

/** Those who wait for the code that is fetched later. */
const gate = vi.hoisted(() => ({ waiting: [] as ((code: unknown) => void)[] }));

vi.mock('../../src/client/code.ts', () => ({
  fetchLater: () => new Promise((resolve) => gate.waiting.push(resolve)),
}));

/** The code comes. */
async function open(): Promise<void> {
  const code = await import('../../src/client/later.ts');
  for (const resolve of gate.waiting.splice(0)) resolve(code);
}

beforeEach(async () => {
  // What is taken into use once for all clients is so for all tests: each begins anew.
  vi.resetModules();
  gate.waiting = [];
  // Only the clock counts: it does not wait for a module.
  await import('../../src/client/disk-code.ts');
  await (await import('../../src/client/local-code.ts')).fetchLocal();
});

async function photoStage() {
  const { bytesOf, PhotoStage } = await import('../support/photo-stage.ts');
  const { Stored } = await import('../simulation/device.ts');
  const { entity } = await import('../support/stage.ts');
  return { stage: new PhotoStage(), stored: new Stored(), bytesOf, entity };
}

async function plainStage() {
  const { entity, Stage } = await import('../support/stage.ts');
  return { entity, stage: new Stage() };
}

/** How a promise ended: with a value, or with the code of an error. */
function outcome(promise: Promise<unknown>): { value: unknown } {
  const end: { value: unknown } = { value: undefined };
  promise.then(
    (result) => (end.value = result),
    (error: { code: string }) => (end.value = error.code),
  );
  return end;
}

test.each([true, false])(
  '[J310] an early upload has its place, and what names it waits (disk: %s)',
  async (hasDisk) => {
    const { stage, stored, bytesOf, entity } = await photoStage();
    const { db } = stage.page(stored, {}, hasDisk ? {} : { __adminToken: 'admin' });
    const observer = db.observe({ books: { $: { where: { id: entity(1) } }, cover: {} } });
    observer.subscribe(() => {});
    await stage.settle();
    const upload = db.storage.uploadFile('cat.png', bytesOf(700), { contentType: 'image/png' });
    expect(db.storage.getUpload(upload.clientId)).toBe(upload);
    const cover = { cover: upload.fileId };
    const linked = db.transact(db.tx.books![entity(1)]!.update({ title: 'x' }).link(cover));
    const other = outcome(db.transact(db.tx.books![entity(2)]!.update({ title: 'y' })));
    expect(db.pending.list()).toMatchObject([
      { id: upload.clientId, upload: { path: 'cat.png' } },
      { needs: [upload.clientId] },
      { needs: [] },
    ]);
    await stage.settle();
    // It is behind a write that waits for the file.
    expect(other.value).toBeUndefined();
    expect(stage.ops('transact')).toEqual([]);
    await open();
    await stage.settle();
    expect(await upload).toEqual({ data: { id: upload.fileId } });
    expect(await linked).toMatchObject({ status: 'synced' });
    expect(other.value).toMatchObject({ status: 'synced' });
    const file = stage.files.stored.get('cat.png')!;
    expect([...file.bytes]).toEqual([...bytesOf(700)]);
    expect(file).toMatchObject({
      id: upload.fileId,
      metadata: { contentType: 'image/png' },
    });
    expect(observer.get().data!.books![0]!.cover).toMatchObject({ id: upload.fileId, size: 700 });
    expect(await upload.saved).toBe(hasDisk);
    await stage.settle();
    expect(db.pending.list()).toEqual([]);
    expect(db.storage.getUpload(upload.clientId)).toBeUndefined();
  },
);

test('[J310] an early upload that is refused takes along what names its file', async () => {
  const { stage, stored, bytesOf, entity } = await photoStage();
  const { db } = stage.page(stored);
  await stage.settle();
  stage.isOnline = false;
  await stage.clock.pass(3_000);
  const large = { size: 101 * 1024 * 1024, type: '', slice: () => ({}) };
  const uploads = [
    db.storage.uploadFile('large', large),
    db.storage.uploadFile('none', 7 as never),
    db.storage.uploadFile('aborted', bytesOf(10)),
  ];
  const kept = db.storage.uploadFile('kept', bytesOf(10));
  const ends = uploads.map((upload) => outcome(upload));
  uploads[2]!.abort();
  const named = outcome(db.transact(db.tx.books![entity(1)]!.link({ cover: uploads[0]!.fileId })));
  await open();
  await stage.settle();
  expect(ends.map(({ value }) => value)).toEqual([
    'upload-too-big',
    'file-malformed',
    'upload-aborted',
  ]);
  expect(named.value).toBe('upload-failed');
  expect(db.pending.list()).toMatchObject([
    { id: kept.clientId, upload: { path: 'kept', bytes: 10, isKept: true } },
    { state: 'rejected', causedBy: uploads[0]!.clientId },
  ]);
  stage.isOnline = true;
  await stage.clock.pass(60_000);
  expect([...stage.files.stored.keys()]).toEqual(['kept']);
});

test.each([true, false])(
  '[J310] several early uploads all arrive with their bytes, and are told (disk: %s)',
  async (hasDisk) => {
    const { stage, stored, bytesOf } = await photoStage();
    const { db } = stage.page(stored, {}, hasDisk ? {} : { __adminToken: 'admin' });
    await stage.settle();
    const paths = ['a', 'b', 'c', 'd'];
    const uploads = paths.map((path, place) => db.storage.uploadFile(path, bytesOf(100 + place)));
    const none = outcome(db.storage.uploadFile('none', 7 as never));
    const ends = uploads.map((upload) => outcome(upload));
    const saved = uploads.map((upload) => outcome(upload.saved));
    await stage.settle();
    await open();
    await stage.settle();
    expect(ends).toEqual(uploads.map(({ fileId: id }) => ({ value: { data: { id } } })));
    expect(none.value).toBe('file-malformed');
    expect(saved.map(({ value }) => value)).toEqual(paths.map(() => hasDisk));
    expect([...stage.files.log].sort()).toEqual(paths);
    expect(paths.map((path) => stage.files.stored.get(path)!.bytes.length)).toEqual([
      100, 101, 102, 103,
    ]);
  },
);

test('[J310] an upload that cannot be added whole has no place', async () => {
  const { stage, stored, bytesOf } = await photoStage();
  const { Queue } = await import('../../src/pending/queue.ts');
  const { db } = stage.page(stored);
  await stage.settle();
  const add = Queue.prototype.addUpload;
  const badly = vi.spyOn(Queue.prototype, 'addUpload').mockImplementation(function (
    this: InstanceType<typeof Queue>,
    ...args
  ) {
    add.apply(this, args);
    throw Object.assign(new Error('of the app'), { code: 'thrown' });
  });
  const ends = [outcome(db.storage.uploadFile('a', bytesOf(10)))];
  expect(db.pending.list()).toEqual([]);
  await open();
  await stage.settle();
  ends.push(outcome(db.storage.uploadFile('a', bytesOf(10))));
  expect(db.pending.list()).toEqual([]);
  await stage.settle();
  expect(ends).toEqual([{ value: 'thrown' }, { value: 'thrown' }]);
  expect(stage.files.log).toEqual([]);
  badly.mockRestore();
});

test('[J310] a client that is shut down fails early uploads at once', async () => {
  const { stage, stored, bytesOf } = await photoStage();
  const { db } = stage.page(stored);
  await stage.settle();
  const ends = [outcome(db.storage.uploadFile('a', bytesOf(10)))];
  db.shutdown();
  ends.push(outcome(db.storage.uploadFile('b', bytesOf(10))));
  await stage.settle();
  expect(ends).toEqual([{ value: 'shut-down' }, { value: 'shut-down' }]);
  await open();
  await stage.settle();
  expect(stage.files.stored.size).toBe(0);
});

test('[J311] errors of the server wait for the code that knows what they lead to', async () => {
  const { stage, entity } = await plainStage();
  const db = stage.device();
  const told: QueryState[] = [];
  db.subscribeQuery({ books: {} }, (state) => told.push(state));
  await stage.settle();
  stage.server.refuseWrites = { type: 'permission-denied', message: 'No.' };
  stage.server.refuse = { type: 'validation-failed', message: 'No.' };
  const written = outcome(db.transact(db.tx.books![entity(1)]!.update({ title: 'refused' })));
  const asked = outcome(db.queryOnce({ people: {} }));
  await stage.clock.pass(5_000);
  expect([written.value, asked.value]).toEqual([undefined, undefined]);
  expect(JSON.stringify(told.at(-1)!.data)).toContain('refused');
  await open();
  await stage.clock.pass(0);
  expect([written.value, asked.value]).toEqual(['permission-denied', 'validation-failed']);
  expect(JSON.stringify(told.at(-1)!.data)).not.toContain('refused');
  expect(db.pending.list()).toMatchObject([{ state: 'rejected' }]);
});

test('[J311] those of a connection that was lost meanwhile are not heeded', async () => {
  const { stage, entity } = await plainStage();
  const db = stage.device();
  await stage.settle();
  stage.server.refuseWrites = { type: 'permission-denied', message: 'No.' };
  const written = outcome(db.transact(db.tx.books![entity(1)]!.update({ title: 'again' })));
  await stage.clock.pass(5_000);
  stage.server.refuseWrites = null;
  stage.network.cutAll();
  await stage.clock.pass(5_000);
  expect(written.value).toMatchObject({ status: 'synced' });
  stage.server.refuseInit = { type: 'record-not-found', message: 'No app.' };
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  stage.server.refuseInit = null;
  stage.network.cutAll();
  await stage.clock.pass(5_000);
  expect(db.connectionStatus).toBe('authenticated');
  await open();
  await stage.clock.pass(0);
  expect(db.connectionStatus).toBe('authenticated');
  expect(db.pending.list().filter(({ state }) => state === 'rejected')).toEqual([]);
});

test('[J312] without it writes stay apart, and are forgotten once it is there', async () => {
  const { stage, entity } = await plainStage();
  const db = stage.device();
  const told: QueryState[] = [];
  db.subscribeQuery({ books: { $: { order: { title: 'asc' } } } }, (state) => told.push(state));
  await stage.settle();
  stage.network.cutAll();
  stage.network.isUp = false;
  await stage.clock.pass(1_000);
  for (const title of ['a', 'b']) void db.transact(db.tx.books![entity(1)]!.update({ title }));
  expect(db.pending.list()).toHaveLength(2);
  expect(told.at(-1)!.data!.books!.map(({ title }) => title)).toContain('b');
  stage.network.isUp = true;
  await stage.settle();
  expect(db.pending.count).toBe(0);
  expect(db.pending.list()).toMatchObject([{ state: 'acked' }, { state: 'acked' }]);
  const shown = told.at(-1)!.data;
  await open();
  await stage.clock.pass(0);
  expect(db.pending.list()).toEqual([]);
  // Rows stay the same objects.
  expect(told.at(-1)!.data).toBe(shown);
  stage.network.cutAll();
  stage.network.isUp = false;
  await stage.clock.pass(1_000);
  for (const title of ['c', 'd']) void db.transact(db.tx.books![entity(1)]!.update({ title }));
  expect(db.pending.list()).toHaveLength(1);
});
