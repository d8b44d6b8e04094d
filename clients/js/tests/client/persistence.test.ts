import { expect, test } from 'vitest';
import { TriceError } from '../../src/errors.ts';
import { LOG_TRANSACTIONS } from '../../src/pending/queue.ts';
import { Stored } from '../simulation/device.ts';
import { BOOKS, DAY_MS, DiskStage, offline, titles, watch } from '../support/disk-stage.ts';
import { entity } from '../support/stage.ts';

test('[J70] a write is saved before it is sent, and before it is told as enqueued', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored, { delayMs: () => 500 });
  await stage.settle();
  const sent: unknown[] = [];
  page.onSend = (message) => {
    if (message.op !== 'transact') return;
    sent.push(message['client-event-id']);
    expect(stored.pending.has(message['client-event-id'] as string)).toBe(true);
  };
  const { seen } = watch(db);
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  expect(db.pending.list()[0]).toMatchObject({ state: 'saving' });
  await stage.clock.pass(499);
  expect(sent).toEqual([]);
  expect(seen.at(-1)?.titles ?? ['Dune']).toEqual(['Dune']);
  await stage.clock.pass(2);
  expect(sent).toHaveLength(1);
  await stage.settle();

  offline(stage);
  await stage.clock.pass(100);
  let outcome: unknown;
  void db
    .transact(db.tx.books![entity(2)]!.create({ title: 'Emma' }))
    .then((result) => (outcome = result));
  await stage.clock.pass(499);
  expect(outcome).toBeUndefined();
  await stage.clock.pass(2);
  expect(outcome).toMatchObject({ status: 'enqueued' });
  expect(stored.pending.size).toBe(1);
});

test('[J71] writes made offline leave in order and once, after reloads', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  offline(stage);
  for (const title of ['1', '2', '3']) {
    const { page, db } = stage.page(stored);
    await stage.clock.pass(200);
    const chunk = db.tx.books![entity(1)]!;
    // Named, so that the last one does not take the place of the one before it.
    const write = title === '1' ? chunk.create({ title }) : chunk.update({ title });
    void db.transact(write, { label: title });
    const { observer } = watch(db);
    await stage.clock.pass(200);
    expect(titles(observer.get())).toEqual([]);
    page.isDead = true;
  }
  const { db } = stage.page(stored);
  await stage.clock.pass(200);
  expect(db.pending.list().map(({ operations }) => operations[0]![3].title)).toEqual([
    '1',
    '2',
    '3',
  ]);
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(stage.server.rows(BOOKS)).toMatchObject({ books: [{ title: '3' }] });
  const ids = stage.ops('transact').map((message) => message['client-event-id']);
  expect(ids).toHaveLength(3);
  expect(db.pending.list()).toEqual([]);
  await stage.settle();
  expect(stored.pending.size).toBe(0);
});

test('[J71] a write under way when the page died goes out again under its id', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  page.onSend = () => {
    page.isDead = true;
  };
  await stage.settle();
  expect(stage.server.applied.size).toBe(1);
  const again = stage.page(stored);
  await stage.settle();
  expect(stage.ops('transact')).toHaveLength(2);
  expect(stage.server.applied.size).toBe(1);
  expect(again.db.pending.list()).toEqual([]);
});

test('[J72] refused writes stay for 30 days; one that is edited is saved first', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  await stage.settle();
  const refused = db.transact(db.tx.books![entity(1)]!.create({ title: 'forbidden' }));
  const told = expect(refused).rejects.toBeInstanceOf(TriceError);
  await stage.settle();
  await told;
  page.isDead = true;

  const next = stage.page(stored);
  await stage.settle();
  const [entry] = next.db.pending.list();
  expect(entry).toMatchObject({ state: 'rejected', error: { code: 'validation-failed' } });
  expect(entry!.error).toBeInstanceOf(TriceError);
  const id = next.db.pending.edit(entry!.id, next.db.tx.books![entity(1)]!.create({ title: 'ok' }));
  expect(next.db.pending.get(id)).toMatchObject({ state: 'saving' });
  await stage.settle();
  expect(stage.server.rows(BOOKS)).toMatchObject({ books: [{ title: 'ok' }] });

  const again = next.db.transact(next.db.tx.books![entity(2)]!.create({ title: 'forbidden' }));
  const toldAgain = expect(again).rejects.toBeInstanceOf(TriceError);
  await stage.settle();
  await toldAgain;
  next.page.isDead = true;
  stage.clock.now += 29 * DAY_MS;
  const late = stage.page(stored);
  await stage.settle();
  expect(late.db.pending.list()).toHaveLength(1);
  late.page.isDead = true;
  stage.clock.now += 2 * DAY_MS;
  const later = stage.page(stored);
  await stage.settle();
  expect(later.db.pending.list()).toEqual([]);
  expect(stored.pending.size).toBe(0);
});

test('[J73] what the server may have forgotten is uncertain, unless never sent', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'sent' }));
  page.onSend = () => {
    page.isDead = true;
  };
  await stage.settle();
  offline(stage);
  const second = stage.page(stored);
  await stage.clock.pass(100);
  void second.db.transact(second.db.tx.books![entity(2)]!.create({ title: 'new' }));
  await stage.clock.pass(100);
  second.page.isDead = true;

  stage.server.tx += LOG_TRANSACTIONS + 1;
  stage.server.applied.clear();
  stage.network.isUp = true;
  const third = stage.page(stored);
  await stage.settle();
  const [entry, ...others] = third.db.pending.list();
  expect(others).toEqual([]);
  expect(entry).toMatchObject({ state: 'uncertain' });
  expect(stage.server.applied.size).toBe(1);
  expect(() => third.db.pending.edit(entry!.id, [])).toThrow(/uncertain/);
  third.db.pending.retry(entry!.id);
  await stage.settle();
  expect(third.db.pending.list()[0]).toMatchObject({ state: 'rejected' });
});

test('[J72] a refusal is told once it is saved', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { db } = stage.page(stored, { delayMs: () => 500 });
  await stage.settle();
  let error: unknown;
  void db
    .transact(db.tx.books![entity(1)]!.create({ title: 'forbidden' }))
    .catch((refusal: unknown) => (error = refusal));
  while (db.pending.list()[0]?.state !== 'rejected') await stage.clock.pass(1);
  await stage.clock.pass(400);
  expect(error).toBeUndefined();
  // A batch of answers may be on its way to the disk before it.
  await stage.clock.pass(800);
  expect(error).toMatchObject({ code: 'validation-failed' });
});

test('[J77] a write that cannot be read is told as `reset`; the others leave', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  offline(stage);
  const { page, db } = stage.page(stored);
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  void db.transact(db.tx.books![entity(2)]!.create({ title: 'Emma' }));
  await stage.clock.pass(200);
  page.isDead = true;
  const rows = [...stored.disks.databases.values()][0]!.get('pending')!;
  const [key, text] = [...rows][0]!;
  rows.set(key, text.replace('Dune', 'Tune'));
  stage.network.isUp = true;
  const second = stage.page(stored);
  await stage.settle();
  expect(second.db.storageStatus).toBe('reset');
  expect(stage.server.rows(BOOKS)).toMatchObject({ books: [{ title: 'Emma' }] });
  expect(stored.pending.size).toBe(0);
});

test('[J77] a database without a table is made anew, and takes what is in memory', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { db } = stage.page(stored);
  watch(db);
  await stage.settle();
  offline(stage);
  await stage.clock.pass(100);
  for (const tables of stored.disks.databases.values()) tables.clear();
  const outcome = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.clock.pass(1_000);
  await expect(outcome).resolves.toMatchObject({ status: 'enqueued' });
  expect(db.storageStatus).toBe('reset');
  expect(stored.pending.size).toBe(1);
});

test('[J78] without room half of the answers go, then writes go on in memory', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  let room = Infinity;
  const fail = (op: string) => (op === 'write' && room-- <= 0 ? ('full' as const) : null);
  const { page, db } = stage.page(stored, { fail });
  const statuses: string[] = [];
  db.onStorageStatusChange(() => statuses.push(db.storageStatus));
  for (const etype of ['books', 'people', 'tags']) watch(db, { [etype]: {} });
  await stage.settle();
  const [tables] = stored.disks.databases.values();
  expect(tables!.get('answers')!.size).toBe(3);
  offline(stage);
  await stage.clock.pass(100);

  // One failure: the retry, with fewer answers, succeeds.
  let failures = 1;
  const partly = (op: string) => (op === 'write' && failures-- > 0 ? ('full' as const) : null);
  page.isDead = true;
  const second = stage.page(stored, { fail: partly });
  await stage.clock.pass(50);
  failures = 1;
  void second.db.transact(second.db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.clock.pass(200);
  expect(tables!.get('answers')!.size).toBe(1);
  expect(stored.pending.size).toBe(1);
  expect(second.db.storageStatus).toBe('ready');

  failures = Infinity;
  const outcome = second.db.transact(second.db.tx.books![entity(2)]!.create({ title: 'Emma' }));
  await stage.clock.pass(200);
  await expect(outcome).resolves.toMatchObject({ status: 'enqueued' });
  expect(second.db.storageStatus).toBe('full');
  failures = 0;
  await stage.clock.pass(10_000);
  expect(second.db.storageStatus).toBe('ready');
  expect(stored.pending.size).toBe(2);
  expect(room).toBeGreaterThan(0);
});

test.each(['open', 'read'] as const)(
  '[J79] where the disk cannot be reached (%s) everything works in memory, and says so',
  async (broken) => {
    const stage = new DiskStage();
    const stored = new Stored();
    const { db } = stage.page(stored, { fail: (op) => (op === broken ? 'lost' : null) });
    const { observer } = watch(db);
    const outcome = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
    await stage.settle();
    await outcome;
    expect(db.storageStatus).toBe('memory');
    expect(titles(observer.get())).toEqual(['Dune']);
    expect(stored.pending.size).toBe(0);
  },
);

test('[J79] a disk that opens late is taken over, with what was written meanwhile', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  offline(stage);
  const first = stage.page(stored);
  void first.db.transact(first.db.tx.books![entity(1)]!.create({ title: '1' }));
  await stage.clock.pass(200);
  first.page.isDead = true;

  let isSlow = true;
  const second = stage.page(stored, { delayMs: () => (isSlow ? 8_000 : 1) });
  void second.db.transact(second.db.tx.books![entity(1)]!.update({ title: '2' }));
  await stage.clock.pass(4_000);
  expect(second.db.storageStatus).toBe('memory');
  isSlow = false;
  await stage.clock.pass(5_000);
  expect(second.db.storageStatus).toBe('ready');
  expect(stored.pending.size).toBe(2);
  const order = second.db.pending.list().map(({ operations }) => operations[0]![3].title);
  expect(order).toEqual(['1', '2']);
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  expect(stage.server.rows(BOOKS)).toMatchObject({ books: [{ title: '2' }] });
});
