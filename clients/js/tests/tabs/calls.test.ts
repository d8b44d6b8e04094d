/** Calls of functions in several tabs of one user. */
import { beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/client/database.ts';
import { api, type Book } from '../simulation/functions.ts';
import { entity } from '../support/stage.ts';
import { TabStage } from '../support/tab-stage.ts';

// The code of tabs is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/client/later.ts'));

const NEW = { of: 'new' };

function watch(db: Database): (string[] | undefined)[] {
  const seen: (string[] | undefined)[] = [];
  db.subscribeCall(api.list, NEW, ({ data }) => seen.push(data?.map(({ title }) => title)));
  return seen;
}

function put(db: Database, number: number, title: string, replaces?: string): Promise<string> {
  const optimistic = (_tx: unknown, book: Book, live: any) => [live(api.list, NEW).put(book)];
  const options = replaces === undefined ? { optimistic } : { optimistic, replaces };
  return db.call(api.put, { id: entity(number), title }, options);
}

test('[FN346] a mutation of a tab that follows is predicted there, and has its value', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  const shown = [leader, follower].map(({ db }) => watch(db));
  await stage.settle();
  expect(shown).toEqual([[[]], [[]]]);
  const call = put(follower.db, 1, 'new Dune');
  expect(shown[1]!.at(-1)).toEqual(['new Dune']);
  await stage.settle();
  expect(await call).toBe(`edit.put ${entity(1)}`);
  expect(shown.map((seen) => seen.at(-1))).toEqual([['new Dune'], ['new Dune']]);
  expect(shown[1]!.slice(1).every((titles) => titles?.length === 1)).toBe(true);
  const count = follower.db.call(api.count, {});
  await stage.settle();
  expect(await count).toBeGreaterThan(0);
  expect(stage.server.functions.ran).toHaveLength(1);
  for (const { db } of [leader, follower]) expect(db.pending.list()).toEqual([]);
});

test('[FN346] a refused mutation of any tab is replaced by a call of any other', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  put(leader.db, 1, 'forbidden').catch(() => {});
  await stage.settle();
  const [entry] = follower.db.pending.list();
  expect(entry).toMatchObject({ state: 'rejected', call: { args: { title: 'forbidden' } } });
  const call = put(follower.db, 1, 'new Dune', entry!.id);
  await stage.settle();
  expect(await call).toBe(`edit.put ${entity(1)}`);
  for (const { db } of [leader, follower]) expect(db.pending.list()).toEqual([]);
  expect(stage.server.functions.value('books.list', NEW)).toMatchObject([{ title: 'new Dune' }]);
});

test('[FN346] what waits in a tab that follows leaves when the one that led is gone', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  const call = put(follower.db, 1, 'new Dune');
  void follower.db.transact(follower.db.tx.books![entity(1)]!.update({ title: 'new Dune 2' }));
  await stage.clock.pass(1_000);
  leader.kill();
  stage.network.isUp = true;
  await stage.settle();
  await stage.settle();
  expect(await call).toBe(`edit.put ${entity(1)}`);
  expect(stage.server.functions.value('books.list', NEW)).toMatchObject([{ title: 'new Dune 2' }]);
  expect(stage.server.functions.ran).toHaveLength(1);
});
