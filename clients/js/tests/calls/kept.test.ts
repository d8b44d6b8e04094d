/** Calls of mutations over reloads, and before the code of calls is here. */
import { expect, test } from 'vitest';
import { Stored } from '../simulation/device.ts';
import { api } from '../simulation/functions.ts';
import { DiskStage, offline } from '../support/disk-stage.ts';
import { entity } from '../support/stage.ts';

const NEW = { of: 'new' };

test('[FN332] mutations made offline survive reloads, with what they predict', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const first = stage.page(stored);
  await stage.settle();
  offline(stage);
  await stage.clock.pass(100);
  const book = { id: entity(1), title: 'new Dune' };
  void first.db.call(api.put, book, {
    optimistic: (_tx, given, live) => [live(api.list, NEW).put(given)],
  });
  void first.db.transact(first.db.tx.books![entity(1)]!.update({ title: 'new Dune 2' }));
  await stage.clock.pass(1_000);
  expect(stored.pending.size).toBe(2);
  first.page.end();

  const { db } = stage.page(stored);
  await stage.clock.pass(1_000);
  expect(db.pending.list()).toMatchObject([
    { call: { name: 'edit.put', args: book, steps: [['put', expect.any(String), book]] } },
    { call: null },
  ]);
  const seen: unknown[] = [];
  stage.server.functions.answers.set('edit.put', null);
  db.subscribeCall(api.list, NEW, ({ data }) => seen.push(data));
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  // The server has not answered the call: its prediction is shown, and nothing goes ahead of it.
  expect(seen).toEqual([[book]]);
  expect(stage.ops('transact')).toEqual([]);
  stage.server.functions.answers.clear();
  stage.network.cutAll();
  await stage.settle();
  expect(db.pending.list()).toEqual([]);
  expect(seen.at(-1)).toEqual([{ ...book, title: 'new Dune 2' }]);
  expect(stage.server.functions.ran).toHaveLength(1);
});

test('[FN332] a mutation is on the disk before it is sent', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored, { delayMs: () => 500 });
  await stage.settle();
  page.onSend = ({ op, 'client-event-id': id }) => {
    if (op === 'call') expect(stored.pending.has(id as string)).toBe(true);
  };
  void db.call(api.put, { id: entity(1), title: 'new Dune' });
  await stage.clock.pass(499);
  expect(stage.ops('call')).toEqual([]);
  await stage.settle();
  expect(stage.ops('call')).toHaveLength(1);
});

test('[FN332] a refused mutation that was made before a reload stays to be looked at', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const first = stage.page(stored);
  await stage.settle();
  const call = first.db.call(api.put, { id: entity(1), title: 'forbidden' });
  await Promise.all([
    stage.settle(),
    expect(call).rejects.toMatchObject({ code: 'function-error' }),
  ]);
  first.page.end();
  const { db } = stage.page(stored);
  await stage.settle();
  expect(db.pending.list()).toMatchObject([
    { state: 'rejected', call: { name: 'edit.put' }, error: { code: 'function-error' } },
  ]);
});

test('[FN332] a mutation of a user who leaves waits for them, and says so', async () => {
  const stage = new DiskStage();
  stage.answer = () => ({ status: 200, body: { user: { id: 'u1', refresh_token: 't1' } } });
  const stored = new Stored();
  const { db } = stage.page(stored);
  await stage.settle();
  offline(stage);
  await stage.clock.pass(100);
  const kept = expect(db.call(api.put, { id: entity(1), title: 'new' })).rejects.toMatchObject({
    code: 'call-kept',
  });
  await stage.clock.pass(1_000);
  await db.auth.signInWithToken('t1');
  await stage.clock.pass(1_000);
  await kept;
  expect(stored.pending.size).toBe(1);
  expect(db.pending.list()).toEqual([]);
});
