/** Files that are uploaded without a connection: shown, saved, sent later, linked. */
import { beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/client/database.ts';
import type { Upload } from '../../src/client/upload.ts';
import { Stored } from '../simulation/device.ts';
import { bytesOf, PhotoStage } from '../support/photo-stage.ts';
import { entity } from '../support/stage.ts';

beforeAll(() => import('../../src/files/uploader.ts'));

const KIB = 1024;
const FILES = { $files: {} };
const COVERS = { books: { $: { where: { id: entity(1) } }, cover: {} } };

function outcome(promise: Promise<unknown>): { value: unknown } {
  const end: { value: unknown } = { value: undefined };
  promise.then(
    (result) => (end.value = result),
    (error: { code: string }) => (end.value = error.code),
  );
  return end;
}

interface Row {
  readonly id: string;
  readonly path: string;
  readonly size: number;
  readonly url: string;
}

function watchFiles(db: Database): () => Row[] {
  const observer = db.observe(FILES);
  observer.subscribe(() => {});
  return () => (observer.get().data?.$files ?? []) as unknown as Row[];
}

/** A device that has been online once and is offline now. */
async function offlineDevice(stage: PhotoStage, stored: Stored) {
  const device = stage.page(stored);
  const rows = watchFiles(device.db);
  await stage.settle();
  stage.isOnline = false;
  await stage.clock.pass(3_000);
  return { ...device, rows };
}

/** Rows of bytes that the device keeps. */
function parts(stored: Stored): Map<string, string> {
  const [tables] = stored.disks.databases.values();
  return tables?.get('parts') ?? new Map<string, string>();
}

test('[J265] a file taken offline is shown at once, and arrives after a reload', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { page, db, rows, addresses } = await offlineDevice(stage, stored);
  const file = bytesOf(700 * KIB);
  const upload = db.storage.uploadFile('cat.png', file, { contentType: 'image/png' });
  expect(rows()).toMatchObject([
    { id: upload.fileId, path: 'cat.png', size: file.length, url: 'blob:0' },
  ]);
  expect(db.pending.list()).toMatchObject([{ id: upload.clientId, state: 'saving' }]);
  const saved = outcome(upload.saved);
  await stage.clock.pass(1_000);
  expect(saved.value).toBe(true);
  expect(addresses).toEqual([{ url: 'blob:0', bytes: file.length, isRevoked: false }]);
  page.isDead = true;

  const next = stage.page(stored);
  const shown = watchFiles(next.db);
  await stage.clock.pass(3_000);
  expect(next.addresses).toMatchObject([{ bytes: file.length }]);
  expect(shown()).toMatchObject([{ id: upload.fileId, url: 'blob:0' }]);
  const again = next.db.storage.getUpload(upload.clientId)!;
  const end = outcome(again);
  stage.isOnline = true;
  await stage.clock.pass(120_000);
  expect(end.value).toEqual({ data: { id: upload.fileId } });
  const kept = stage.files.stored.get('cat.png')!;
  expect(Buffer.compare(kept.bytes, file)).toBe(0);
  expect(kept).toMatchObject({ id: upload.fileId, metadata: { contentType: 'image/png' } });
  expect(stage.files.log).toEqual(['cat.png']);
  expect(shown()).toEqual((stage.server.rows(FILES) as { $files: unknown }).$files);
  expect(next.addresses).toMatchObject([{ isRevoked: true }]);
  await stage.settle();
  expect(next.db.pending.list()).toEqual([]);
  expect(stored.pending.size + parts(stored).size).toBe(0);
});

test('[J265] until the answers contain the row, it is shown without a break', async () => {
  const stage = new PhotoStage();
  const { db } = stage.page(new Stored());
  const seen: number[] = [];
  const observer = db.observe(FILES);
  observer.subscribe(() => seen.push(observer.get().data?.$files?.length ?? 0));
  await stage.settle();
  void db.storage.uploadFile('a', bytesOf(10));
  await stage.settle();
  expect(seen.slice(seen.indexOf(1))).not.toContain(0);
  expect(observer.get().data?.$files).toMatchObject([{ url: 'https://files/a?10' }]);
});

test('[J266] bytes are saved in parts, before what names their file', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { page, db } = await offlineDevice(stage, stored);
  const upload = db.storage.uploadFile('large', bytesOf(5_000 * KIB));
  const linked = outcome(
    db.transact(db.tx.books![entity(1)]!.update({ title: 'x' }).link({ cover: upload.fileId })),
  );
  const other = outcome(db.transact(db.tx.books![entity(2)]!.update({ title: 'y' })));
  while (parts(stored).size < 20) {
    const before = parts(stored).size;
    await stage.clock.pass(1);
    expect(parts(stored).size - before).toBeLessThanOrEqual(4);
  }
  expect(linked.value).toBeUndefined();
  // What names another entity waits for no file.
  expect(other.value).toMatchObject({ status: 'enqueued' });
  expect(stored.pending.size).toBe(2);
  await stage.clock.pass(100);
  expect(linked.value).toMatchObject({ status: 'enqueued' });
  expect(Math.max(...[...parts(stored).values()].map(({ length }) => length))).toBeLessThan(
    KIB * 257,
  );
  page.isDead = true;
  const { db: next } = stage.page(stored);
  await stage.clock.pass(100);
  expect(next.pending.list()).toMatchObject([
    { upload: { path: 'large', isKept: true } },
    { needs: [upload.clientId] },
    { needs: [] },
  ]);
});

test('[J266] what a page died over while it saved is removed an hour later', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { page, db } = await offlineDevice(stage, stored);
  void db.storage.uploadFile('large', bytesOf(5_000 * KIB));
  await stage.clock.pass(3);
  page.isDead = true;
  const second = stage.page(stored);
  await stage.clock.pass(1_000);
  expect(second.db.pending.list()).toEqual([]);
  expect(parts(stored).size).toBeGreaterThan(0);
  second.page.isDead = true;
  stage.clock.now += 3_600_000;
  stage.page(stored);
  await stage.clock.pass(1_000);
  expect(parts(stored).size + stored.pending.size).toBe(0);
});

test('[J267] what names a file leaves after it, in its place, and all behind it', async () => {
  const stage = new PhotoStage();
  const { db } = await offlineDevice(stage, new Stored());
  const order: string[] = [];
  const note = (name: string, promise: Promise<unknown>) =>
    void promise.then(() => order.push(name));
  void db.transact(db.tx.books![entity(1)]!.update({ title: 'before' }));
  const upload = db.storage.uploadFile('slow', bytesOf(3_000 * KIB));
  void db.transact(db.tx.books![entity(1)]!.link({ cover: upload.fileId }));
  void db.transact(db.tx.books![entity(1)]!.update({ title: 'after' }));
  note('file', upload);
  expect(db.pending.list().map(({ needs }) => needs.length)).toEqual([0, 0, 1, 0]);
  await stage.clock.pass(100);
  stage.isOnline = true;
  for (let turn = 0; turn < 2_000 && stage.server.applied.size === 0; turn++)
    await stage.clock.pass(50);
  expect(stage.server.rows(COVERS)).toMatchObject({ books: [{ title: 'before' }] });
  expect(stage.ops('transact')).toHaveLength(1);
  await stage.clock.pass(120_000);
  expect(order).toEqual(['file']);
  expect(stage.server.rows(COVERS)).toMatchObject({
    books: [{ title: 'after', cover: { path: 'slow', id: upload.fileId } }],
  });
});

test('[J267] a file goes up after deletions before it, and after one of its path', async () => {
  const stage = new PhotoStage();
  stage.isOnline = true;
  const { db } = stage.page(new Stored());
  const rows = watchFiles(db);
  await stage.settle();
  const first = db.storage.uploadFile('a', bytesOf(10));
  await stage.settle();
  const { id } = (await first).data;
  stage.isOnline = false;
  await stage.clock.pass(100);
  void db.transact(db.tx.$files![id]!.delete());
  const one = db.storage.uploadFile('a', bytesOf(20));
  const two = db.storage.uploadFile('a', bytesOf(30));
  expect(two.fileId).toBe(one.fileId);
  expect(rows()).toMatchObject([{ size: 30 }]);
  await stage.clock.pass(100);
  stage.isOnline = true;
  await stage.clock.pass(120_000);
  expect(stage.server.rows(FILES)).toMatchObject({ $files: [{ path: 'a', size: 30 }] });
  expect(rows()).toMatchObject([{ size: 30, url: 'https://files/a?30' }]);
  expect(stage.files.log).toEqual(['a', 'a', 'a']);
});

test.each(['id', 'lookup'])(
  '[J267] a file whose path another one leaves has a row of its own (%s)',
  async (how) => {
    const stage = new PhotoStage();
    const { db } = stage.page(new Stored());
    const rows = watchFiles(db);
    await stage.settle();
    const first = db.storage.uploadFile('a', bytesOf(10));
    await stage.settle();
    const { id } = (await first).data;
    stage.isOnline = false;
    await stage.clock.pass(100);
    const row = how === 'id' ? db.tx.$files![id]! : db.tx.$files!.lookup!('path', 'a');
    void db.transact(row.update({ path: 'b' }));
    const upload = db.storage.uploadFile('a', bytesOf(20));
    const end = outcome(upload);
    expect(upload.fileId).not.toBe(id);
    // What waits for the path is replaced as ever.
    expect(db.storage.uploadFile('a', bytesOf(30)).fileId).toBe(upload.fileId);
    expect(rows().map(({ path }) => path)).toEqual(expect.arrayContaining(['a', 'b']));
    // The server takes the file along with its row.
    stage.files.stored.set('b', stage.files.stored.get('a')!);
    stage.files.stored.delete('a');
    stage.isOnline = true;
    await stage.clock.pass(120_000);
    expect(end.value).toEqual({ data: { id: upload.fileId } });
    // The simulated server looks nothing up.
    if (how === 'lookup') return;
    expect(stage.server.rows(FILES)).toMatchObject({
      $files: expect.arrayContaining([
        expect.objectContaining({ id, path: 'b', size: 10 }),
        expect.objectContaining({ id: upload.fileId, path: 'a', size: 30 }),
      ]),
    });
  },
);

test('[J268] where the row has another id, writes that wait name that', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  stage.files.takesIds = false;
  const { page, db } = await offlineDevice(stage, stored);
  const upload = db.storage.uploadFile('cat', bytesOf(10));
  void db.transact(db.tx.books![entity(1)]!.update({ title: upload.fileId }));
  void db.transact(db.tx.books![entity(1)]!.link({ cover: upload.fileId }));
  await stage.clock.pass(100);
  page.isDead = true;
  stage.page(stored);
  stage.isOnline = true;
  await stage.clock.pass(120_000);
  const { id } = stage.files.stored.get('cat')!;
  expect(id).not.toBe(upload.fileId);
  expect(stage.server.rows(COVERS)).toMatchObject({ books: [{ title: id, cover: { id } }] });
});

test('[J269] a refused file takes along what names it; together they go again', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { db, rows } = await offlineDevice(stage, stored);
  const upload = db.storage.uploadFile('cat', bytesOf(10));
  const link = db.transact(
    db.tx.books![entity(1)]!.update({ title: 'x' }).link({ cover: upload.fileId }),
  );
  const denied = outcome(upload);
  await stage.clock.pass(100);
  await expect(link).resolves.toMatchObject({ status: 'enqueued' });
  const other = outcome(db.transact(db.tx.books![entity(2)]!.create({ title: 'Emma' })));
  stage.files.refusal = { status: 400, body: { type: 'permission-denied', message: 'no' } };
  stage.isOnline = true;
  await stage.clock.pass(120_000);
  expect(denied.value).toBe('permission-denied');
  expect(rows()).toEqual([]);
  expect(other.value).toMatchObject({ status: 'enqueued' });
  expect(stage.server.applied.size).toBe(1);
  const [file, write] = db.pending.list();
  expect(file).toMatchObject({ state: 'rejected', error: { code: 'permission-denied' } });
  expect(write).toMatchObject({
    state: 'rejected',
    causedBy: upload.clientId,
    error: { code: 'upload-failed', hint: { upload: upload.clientId } },
  });
  stage.files.refusal = null;
  db.pending.retry(write!.id);
  expect(rows()).toMatchObject([{ path: 'cat' }]);
  await stage.clock.pass(60_000);
  expect(db.pending.list()).toEqual([]);
  expect(stage.server.rows(COVERS)).toMatchObject({ books: [{ cover: { path: 'cat' } }] });
});

test('[J269] what named a file that was dropped cannot go again as it is', async () => {
  const stage = new PhotoStage();
  const { db, rows, addresses } = await offlineDevice(stage, new Stored());
  const upload = db.storage.uploadFile('cat', bytesOf(10));
  const dropped = outcome(upload);
  const link = outcome(db.transact(db.tx.books![entity(1)]!.link({ cover: upload.fileId })));
  db.pending.drop(upload.clientId);
  expect(rows()).toEqual([]);
  await stage.clock.pass(100);
  expect([dropped.value, link.value]).toEqual(['dropped', 'upload-failed']);
  const [write] = db.pending.list();
  expect(() => db.pending.retry(write!.id)).toThrow(/was dropped/);
  const edited = db.pending.edit(write!.id, db.tx.books![entity(1)]!.create({ title: 'x' }));
  await stage.clock.pass(100);
  expect(db.pending.get(edited)).toMatchObject({ state: 'queued', causedBy: null });
  expect(addresses).toMatchObject([{ isRevoked: true }]);
});

test('[J270] after a reload an upload goes on where the server is', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  await stage.settle();
  const file = bytesOf(3_000 * KIB);
  const upload = db.storage.uploadFile('cat', file);
  for (let turn = 0; turn < 500 && upload.progress.sentBytes < 700 * KIB; turn++)
    await stage.clock.pass(5);
  page.isDead = true;
  page.end();
  await stage.settle();
  const next = stage.page(stored);
  await stage.settle();
  await stage.clock.pass(60_000);
  expect(next.db.pending.list()).toEqual([]);
  expect(Buffer.compare(stage.files.stored.get('cat')!.bytes, file)).toBe(0);
  const names = stage.files.requests.map(({ name }) => name);
  expect(names.filter((name) => name === 'POST tus')).toHaveLength(1);
  expect(names).toContain('HEAD tus');
  expect(stage.files.requests.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(file.length);
});

test('[J271] an upload that waits can be paused, resumed, and aborted', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { db } = await offlineDevice(stage, stored);
  const [one, two] = ['one', 'two'].map((path) => db.storage.uploadFile(path, bytesOf(10))) as [
    Upload,
    Upload,
  ];
  const aborted = outcome(one);
  void db.transact(db.tx.books![entity(1)]!.link({ cover: one.fileId }));
  two.pause();
  await stage.clock.pass(100);
  one.abort();
  await stage.clock.pass(100);
  expect(aborted.value).toBe('upload-aborted');
  expect(db.pending.list().at(-1)).toMatchObject({ error: { code: 'upload-failed' } });
  expect(db.pending.get(one.clientId)).toBeUndefined();
  stage.isOnline = true;
  await stage.clock.pass(120_000);
  expect(stage.files.stored.size).toBe(0);
  expect(db.pending.get(two.clientId)).toMatchObject({ state: 'queued' });
  two.resume();
  await stage.settle();
  expect([...stage.files.stored.keys()]).toEqual(['two']);
  expect(parts(stored).size).toBe(0);
});

test('[J272] offline a file, and all of them, have a bound, which the error says', async () => {
  const stage = new PhotoStage();
  const { db } = await offlineDevice(stage, new Stored());
  const MIB = KIB * KIB;
  // A Blob whose bytes the platform does not give: it waits in memory.
  const blob = (size: number) => ({ size, type: '', slice: () => ({}) });
  const tooBig = outcome(db.storage.uploadFile('large', blob(100 * MIB + 1)));
  for (let number = 0; number < 5; number++)
    db.storage.uploadFile(`${number}`, blob(100 * MIB)).catch(() => {});
  const saved = outcome(db.storage.getUpload(db.pending.list()[0]!.id)!.saved);
  const oneMore = db.storage.uploadFile('more', blob(1));
  const refused = oneMore.then(
    () => null,
    (error: unknown) => error,
  );
  await stage.clock.pass(10);
  expect(tooBig.value).toBe('upload-too-big');
  expect(saved.value).toBe(false);
  expect(db.pending.list()).toHaveLength(5);
  expect(await refused).toMatchObject({
    code: 'upload-too-big',
    hint: { bytes: 1, taken: 500 * MIB, max: 100 * MIB, 'max-all': 500 * MIB },
    message: expect.stringContaining('104857600') as string,
  });
});

test('[J273] bytes that are not what was kept are not sent, and that is said', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  const { page, db } = await offlineDevice(stage, stored);
  for (const path of ['changed', 'missing']) void db.storage.uploadFile(path, bytesOf(300 * KIB));
  await stage.clock.pass(1_000);
  page.isDead = true;
  const [changed, , missing] = [...parts(stored).keys()];
  const text = parts(stored).get(changed!)!;
  parts(stored).set(
    changed!,
    `${text.slice(0, -9)}${text.at(-9) === 'A' ? 'B' : 'A'}${text.slice(-8)}`,
  );
  parts(stored).delete(missing!);
  const next = stage.page(stored);
  stage.isOnline = true;
  await stage.clock.pass(60_000);
  expect(next.db.pending.list()).toMatchObject([
    { state: 'rejected', error: { code: 'upload-lost' } },
    { state: 'rejected', error: { code: 'upload-lost' } },
  ]);
  expect(stage.files.stored.size).toBe(0);
});

test('[J273] a disk without room keeps nothing of a file, which goes up from memory', async () => {
  const stage = new PhotoStage();
  const stored = new Stored();
  let isFull = false;
  const { db } = stage.page(stored, { fail: (op) => (isFull && op === 'write' ? 'full' : null) });
  await stage.settle();
  stage.isOnline = false;
  await stage.clock.pass(100);
  const upload = db.storage.uploadFile('cat', bytesOf(5_000 * KIB));
  const saved = outcome(upload.saved);
  await stage.clock.pass(3);
  isFull = true;
  const link = outcome(db.transact(db.tx.books![entity(1)]!.link({ cover: upload.fileId })));
  await stage.clock.pass(100);
  expect(db.storageStatus).toBe('full');
  expect([saved.value, link.value]).toMatchObject([false, { status: 'enqueued' }]);
  isFull = false;
  stage.isOnline = true;
  await stage.clock.pass(120_000);
  expect(stage.files.stored.get('cat')?.id).toBe(upload.fileId);
  expect(db.pending.list()).toEqual([]);
  expect(parts(stored).size + stored.pending.size).toBe(0);
});

test.each(['before', 'after'] as const)(
  '[J266] a page that dies %s any write to its disk loses nothing that it told as saved',
  async (moment) => {
    for (let crash = 1; crash <= 16; crash++) {
      const stage = new PhotoStage(crash);
      const stored = new Stored();
      let isCounting = false;
      let writes = 0;
      const faults = {
        crashAt: () => (isCounting && ++writes === crash ? moment : null),
      };
      const { db, page } = stage.page(stored, faults);
      watchFiles(db);
      await stage.settle();
      stage.isOnline = false;
      await stage.clock.pass(3_000);
      isCounting = true;
      const file = bytesOf(1_700 * KIB, crash);
      const upload = db.storage.uploadFile('cat', file);
      const saved = outcome(upload.saved);
      const book = db.tx.books![entity(1)]!.update({ title: 'x' });
      const link = outcome(db.transact(book.link({ cover: upload.fileId })));
      await stage.clock.pass(500);
      stage.isOnline = true;
      await stage.clock.pass(120_000);
      page.isDead = true;
      page.end();
      for (const waitMs of [0, 3_600_000]) {
        stage.clock.now += waitMs;
        const next = stage.page(stored);
        await stage.clock.pass(120_000);
        expect(next.db.pending.list()).toEqual([]);
        next.page.isDead = true;
        next.page.end();
      }
      const { books } = stage.server.rows(COVERS) as { books: object[] };
      if (saved.value === true) {
        expect(Buffer.compare(stage.files.stored.get('cat')!.bytes, file)).toBe(0);
        expect(stage.files.log).toEqual(['cat']);
      }
      if (link.value !== undefined) expect(books).toMatchObject([{ cover: { path: 'cat' } }]);
      expect(parts(stored).size + stored.pending.size).toBe(0);
    }
  },
);
