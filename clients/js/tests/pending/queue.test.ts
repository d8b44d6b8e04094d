/** Bounds of what waits, and writes that take the place of others. */
import { expect, test } from 'vitest';
import { TriceError } from '../../src/errors.ts';
import type { Operation } from '../../src/pending/builder.ts';
import type { Entry, Outcome } from '../../src/pending/entry.ts';
import { ENTRIES_MAX, REJECTED_MAX, STEPS_MAX } from '../../src/pending/limits.ts';
import { Queue } from '../../src/pending/queue.ts';
import { Stored } from '../simulation/device.ts';
import { DAY_MS, DiskStage, offline } from '../support/disk-stage.ts';
import { Random, seeds } from '../support/random.ts';
import { bytesOf, PhotoStage } from '../support/photo-stage.ts';
import { entity, Stage } from '../support/stage.ts';

const MIB = 1024 * 1024;

function added(queue: Queue, id: string, fields: Record<string, unknown> = { title: id }): void {
  const operations: Operation[] = [['update', 'books', id, fields]];
  queue.add(id, operations, { now: 0, saved: () => {}, settle: () => {} });
}

function thrown(work: () => void): TriceError {
  try {
    work();
  } catch (error) {
    return error as TriceError;
  }
  throw new Error('nothing was thrown');
}

test('[J275] what waits is bounded in number', () => {
  const queue = new Queue(() => {});
  for (let number = 0; number < ENTRIES_MAX; number++) added(queue, `${number}`);
  const error = thrown(() => added(queue, 'more'));
  expect(error).toMatchObject({ code: 'pending-full', hint: { count: ENTRIES_MAX } });
  queue.drop('7', 0);
  added(queue, 'more');
  expect(queue.waiting).toHaveLength(ENTRIES_MAX);
});

test('[J275] what waits is bounded in bytes', async () => {
  const stage = new Stage();
  stage.network.isUp = false;
  const db = stage.device();
  const write = (number: number, length: number) =>
    db.transact(db.tx.books![entity(number)]!.update({ title: 'é'.repeat(length / 2) }));
  const large = write(0, MIB);
  await expect(large).rejects.toMatchObject({
    code: 'transaction-too-big',
    message: expect.stringContaining('1048576 bytes') as string,
  });
  for (let number = 0; number < 32; number++) void write(number, MIB - 200);
  await expect(write(40, MIB - 200)).rejects.toMatchObject({
    code: 'pending-full',
    message: expect.stringContaining('33554432') as string,
  });
  expect(db.pending.count).toBe(32);
});

test('[J275] a transaction is bounded in steps: fields, links, deletions, ids', async () => {
  const stage = new Stage();
  stage.network.isUp = false;
  const db = stage.device();
  const tag = (number: number) => db.tx.tags![entity(number)]!;
  const updates = Array.from({ length: STEPS_MAX / 2 }, (_, at) => tag(at).update({ name: 'x' }));
  void db.transact(updates);
  expect(db.pending.count).toBe(1);
  const ids = Array.from({ length: STEPS_MAX }, (_, at) => entity(at));
  void db.transact(tag(0).link({ books: ids }));
  expect(db.pending.count).toBe(2);
  for (const chunks of [
    [...updates, tag(0).delete()],
    [tag(0).link({ books: ids }), tag(0).ruleParams({ a: 1 })],
  ])
    await expect(db.transact(chunks)).rejects.toMatchObject({
      code: 'transaction-too-big',
      hint: { steps: STEPS_MAX + 1, max: STEPS_MAX },
    });
});

test('[J276] 64 writes are on the way at most, or 1 MiB', () => {
  const queue = new Queue(() => {});
  for (let number = 0; number < 100; number++) added(queue, `${number}`);
  expect(queue.sendable()).toHaveLength(64);
  queue.sent(queue.sendable().map(({ id }) => id));
  expect(queue.sendable()).toEqual([]);

  const wide = new Queue(() => {});
  for (let number = 0; number < 10; number++)
    added(wide, `${number}`, { title: 'x'.repeat(0.3 * MIB) });
  expect(wide.sendable()).toHaveLength(3);
  wide.sent(['0', '1', '2']);
  expect(wide.sendable()).toEqual([]);
  wide.acked('0', 1, 0);
  expect(wide.sendable().map(({ id }) => id)).toEqual(['3']);
});

test('[J277] of rejected writes the oldest go, and the app is told', () => {
  const queue = new Queue(() => {});
  const forgotten: string[] = [];
  const stop = queue.onForget(({ id }) => forgotten.push(id));
  const error = new TriceError({ code: 'permission-denied', message: 'no' });
  for (let number = 0; number < REJECTED_MAX + 2; number++) {
    added(queue, `${number}`);
    queue.rejected(`${number}`, error, 0);
  }
  expect(forgotten).toEqual(['0', '1']);
  expect(queue.entries).toHaveLength(REJECTED_MAX);
  stop();
});

test('[J277] a rejected write that is kept no longer after 30 days is told', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'forbidden' })).catch(() => {});
  await stage.settle();
  page.isDead = true;
  stage.clock.now += 31 * DAY_MS;
  const next = stage.page(stored);
  const forgotten: Entry[] = [];
  next.db.pending.onForget((entry) => forgotten.push(entry));
  await stage.settle();
  expect(forgotten).toMatchObject([{ state: 'rejected', error: { code: 'validation-failed' } }]);
});

test('[J278] a write takes the place of one that sets the same and was not sent', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll(1006);
  await stage.clock.pass(100);
  const outcomes: Outcome['status'][] = [];
  const write = async (fields: object) => {
    const done = db.transact(db.tx.books![entity(1)]!.update(fields));
    void done.then(({ status }) => outcomes.push(status as Outcome['status']));
    await stage.clock.pass(100);
  };
  for (const title of ['a', 'ab', 'abc']) await write({ title });
  expect(db.pending.list()).toHaveLength(1);
  await write({ title: 'abc', pages: 3 });
  await write({ pages: 4 });
  expect(db.pending.list().map(({ operations }) => operations[0]![3])).toEqual([
    { title: 'abc' },
    { title: 'abc', pages: 3 },
    { pages: 4 },
  ]);
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(stage.ops('transact')).toHaveLength(3);
  expect(outcomes).toHaveLength(5);
});

test('[J278] what is on a disk is not replaced: another page may have read it', async () => {
  const stage = new DiskStage();
  const { db } = stage.page(new Stored());
  await stage.settle();
  offline(stage);
  await stage.clock.pass(100);
  for (const title of ['a', 'ab']) {
    void db.transact(db.tx.books![entity(1)]!.update({ title }));
    await stage.clock.pass(100);
  }
  expect(db.pending.list()).toHaveLength(2);
});

test('[J278] a write that was sent stays, whether it arrived or not', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.update({ title: 'a' }));
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  expect(db.pending.list()).toMatchObject([{ state: 'queued', wasSent: true }]);
  void db.transact(db.tx.books![entity(1)]!.update({ title: 'b' }));
  expect(db.pending.count).toBe(2);
});

test('[J278] both promises get the outcome of the one that is sent', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  // As many as may be on the way: the others wait, and were never sent.
  for (let number = 0; number < 64; number++)
    void db.transact(db.tx.books![entity(number + 10)]!.update({ title: `${number}` }));
  const write = (title: string) =>
    db.transact(db.tx.books![entity(1)]!.update({ title })).catch(({ code }: TriceError) => code);
  const ends = Promise.all([write('a'), write('forbidden')]);
  expect(db.pending.list()).toHaveLength(65);
  await stage.settle();
  expect(await ends).toEqual(['validation-failed', 'validation-failed']);
});

test('[J278] nothing else is merged', async () => {
  const stage = new PhotoStage();
  const { db } = stage.page(new Stored());
  await stage.settle();
  stage.isOnline = false;
  await stage.clock.pass(100);
  const book = db.tx.books![entity(1)]!;
  const pairs = [
    [book.update({ title: 'a' }), db.tx.books![entity(2)]!.update({ title: 'a' })],
    [book.update({ title: 'a' }, { upsert: false }), book.update({ title: 'a' }, { upsert: true })],
    [book.merge({ extra: { a: 1 } } as never), book.merge({ extra: { b: 1 } } as never)],
    [book.link({ tags: entity(5) }), book.link({ tags: entity(6) })],
    [book.increment({ pages: 1 }), book.increment({ pages: 1 })],
    [book.update({ title: 'a' }).ruleParams({ a: 1 }), book.update({ title: 'a' }).ruleParams({})],
    [
      db.tx.people!.lookup('name', 'a').update({ name: 'b' }),
      db.tx.people!.lookup('name', 'a').update({ name: 'c' }),
    ],
  ];
  for (const pair of pairs) {
    const before = db.pending.count;
    for (const chunk of pair) {
      void db.transact(chunk).catch(() => {});
      await stage.clock.pass(100);
    }
    const isValid = db.pending.count > before;
    if (isValid) expect(db.pending.count - before, JSON.stringify(pair)).toBe(2);
  }
  const count = db.pending.count;
  void db.transact(book.update({ title: 'x' }));
  void db.storage.uploadFile('a', bytesOf(1));
  await stage.clock.pass(100);
  void db.transact(book.update({ title: 'y' }));
  await stage.clock.pass(100);
  expect(db.pending.count - count).toBe(3);
});

test.each(seeds(60))('[J279] merged or not, the server has the same (seed %i)', async (seed) => {
  const ends = await Promise.all([true, false].map((mayMerge) => ended(seed, mayMerge)));
  expect(ends[0]!.rows).toEqual(ends[1]!.rows);
  expect(ends[0]!.sent).toBeLessThanOrEqual(ends[1]!.sent);
  expect(ends[1]!.sent).toBe(ends[1]!.made);
});

/** What a server has after random writes that were made offline. */
async function ended(seed: number, mayMerge: boolean) {
  const stage = new DiskStage(seed);
  const random = new Random(seed + 1_000);
  const { db } = stage.page(new Stored());
  db.subscribeQuery({ books: {} }, () => {});
  await stage.settle();
  offline(stage);
  await stage.clock.pass(100);
  let made = 0;
  for (let step = 0; step < 40; step++) {
    const book = db.tx.books![entity(random.below(2))]!;
    const roll = random.next();
    const chunk =
      roll < 0.75
        ? book.update(
            random.chance(0.8) ? { title: `${random.below(9)}` } : { pages: random.below(9) },
            random.chance(0.1) ? { upsert: false } : undefined,
          )
        : roll < 0.85
          ? book.link({ tags: entity(random.below(3)) })
          : roll < 0.93
            ? book.delete()
            : book.create({ title: `new ${random.below(9)}` });
    const label = mayMerge ? undefined : `${step}`;
    void db.transact(chunk, label === undefined ? {} : { label }).catch(() => {});
    made++;
    await stage.clock.pass(100);
  }
  stage.network.isUp = true;
  await stage.clock.pass(200_000);
  const { books } = stage.server.rows({ books: { tags: {} } }) as { books: { id: string }[] };
  // When each was made depends on the network.
  const rows = books.toSorted((one, other) => (one.id < other.id ? -1 : 1));
  const sent = new Set(stage.ops('transact').map((message) => message['client-event-id']));
  return { rows, sent: sent.size, made };
}
