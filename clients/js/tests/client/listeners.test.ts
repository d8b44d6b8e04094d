/** What an app's listener throws is the app's own: nothing of the client is lost by it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lazy } from '../../src/client/lazy.ts';
import { tellEach } from '../../src/values/tell.ts';
import { entity, Stage } from '../support/stage.ts';

const BOOKS = { books: {} };
let unhandled: unknown[] = [];
const note = (error: unknown) => unhandled.push(error);
let others: NodeJS.UnhandledRejectionListener[] = [];

beforeEach(() => {
  unhandled = [];
  others = process.rawListeners('unhandledRejection') as NodeJS.UnhandledRejectionListener[];
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', note);
});

afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.removeAllListeners('unhandledRejection');
  for (const other of others) process.on('unhandledRejection', other);
});

const rejections = () => new Promise((resolve) => setImmediate(resolve));

test('[J156] a listener that throws keeps nobody else from hearing, and is told of', async () => {
  const heard: string[] = [];
  const bad = new Error('mine');
  tellEach([
    () => heard.push('first'),
    () => {
      throw bad;
    },
    () => heard.push('last'),
  ]);
  expect(heard).toEqual(['first', 'last']);
  await rejections();
  expect(unhandled).toEqual([bad]);
});

test('[J156] a write is not taken back because a listener of the app throws', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  db.subscribeQuery(BOOKS, () => {
    throw new Error('mine');
  });
  db.pending.subscribe(() => {
    throw new Error('mine too');
  });
  await stage.settle();
  const outcome = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  await expect(outcome).resolves.toMatchObject({ status: 'synced' });
  expect(stage.server.applied.size).toBe(1);
  await rejections();
  expect(unhandled.length).toBeGreaterThan(1);
});

test('[J156] calls that wait for code are carried out though one before them throws', async () => {
  const stage = new Stage();
  const done: number[] = [];
  const lazy = new Lazy(
    { timer: stage.clock.timer.bind(stage.clock) } as never,
    async () => 7,
    () => {
      throw new Error('came');
    },
  );
  lazy.call(() => {
    throw new Error('first');
  });
  lazy.call((part) => done.push(part));
  await expect(lazy.get()).resolves.toBe(7);
  expect(done).toEqual([7]);
  await rejections();
  expect(unhandled).toHaveLength(2);
});
