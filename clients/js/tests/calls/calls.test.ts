/** Functions called over the session: once, as queued mutations, and live. */
import { expect, test } from 'vitest';
import type { Database } from '../../src/client/database.ts';
import type { CallState } from '../../src/calls/refs.ts';
import { newEntry } from '../../src/pending/entry.ts';
import { Queue } from '../../src/pending/queue.ts';
import { renamed } from '../../src/pending/uploadable.ts';
import { api, type Book } from '../simulation/functions.ts';
import { entity, Stage } from '../support/stage.ts';

const BOOKS = { books: { $: { where: { id: { $in: [entity(1), entity(2)] } } } } };
const DUNE = { id: entity(1), title: 'new Dune' };
const EMMA = { id: entity(2), title: 'new Emma' };
const FORBIDDEN = { id: entity(1), title: 'forbidden' };

/** The rows of live calls that tests make begin so. */
const NEW = { of: 'new' };

async function online(): Promise<{ stage: Stage; db: Database }> {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  return { stage, db };
}

/** Watches a live call, and keeps what it showed. */
function watch(db: Database, args: { of: string } = NEW): CallState<Book[]>[] {
  const seen: CallState<Book[]>[] = [];
  db.subscribeCall(api.list, args, (state) => seen.push(state));
  return seen;
}

/** Shows a book at once, in a live call and as a row. */
const expecting = {
  optimistic: (tx: Database['tx'], book: Book, live: any) => [
    tx.books![book.id]!.update({ title: book.title }),
    live(api.list, NEW).put(book),
  ],
};

test('[FN330] a call resolves with what the function returned', async () => {
  const { stage, db } = await online();
  const results = Promise.all([
    db.call(api.list, { of: 'none' }),
    db.call(api.put, DUNE),
    db.call(api.mail, { to: 'ada' }),
    db.call(api.nothing, { id: entity(3) }),
  ]);
  await stage.settle();
  expect(await results).toEqual([
    [],
    `edit.put ${entity(1)}`,
    'sent to ada',
    `edit.nothing ${entity(3)}`,
  ]);
  expect(stage.ops('call')[0]).toMatchObject({ name: 'books.list', args: { of: 'none' } });
  expect(db.pending.list()).toEqual([]);
});

test('[FN330] it rejects with the error of the server', async () => {
  const { stage, db } = await online();
  const failed = [db.call(api.missing, {}), db.call(api.put, FORBIDDEN)];
  const all = Promise.allSettled(failed);
  await stage.settle();
  expect(await all).toMatchObject([
    { status: 'rejected', reason: { code: 'function-not-found' } },
    { status: 'rejected', reason: { code: 'function-error', hint: { why: 'title' } } },
  ]);
});

test('[FN331] without a connection queries and actions are refused at once', async () => {
  const { stage, db } = await online();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  for (const failed of [db.call(api.count, {}), db.call(api.mail, { to: 'ada' })])
    await expect(failed).rejects.toMatchObject({ code: 'offline' });
  expect(db.pending.list()).toEqual([]);
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(stage.server.functions.ran).toEqual([]);
});

test('[FN331] a query whose connection is lost is asked again, an action is not', async () => {
  const { stage, db } = await online();
  stage.server.functions.answers.set('books.count', null).set('mail.send', null);
  const query = db.call(api.count, {});
  const action = db.call(api.mail, { to: 'ada' });
  const refused = expect(action).rejects.toMatchObject({ code: 'call-lost' });
  await stage.clock.pass(3_000);
  stage.server.functions.answers.clear();
  stage.network.cutAll();
  await stage.settle();
  await refused;
  expect(await query).toBeGreaterThan(0);
  expect(stage.ops('call').map(({ name }) => name)).toEqual([
    'books.count',
    'mail.send',
    'books.count',
  ]);
});

test('[FN331] an action that could not be sent does not leave later', async () => {
  const stage = new Stage();
  stage.network.isUp = false;
  const db = stage.device();
  const refused = expect(db.call(api.mail, { to: 'ada' })).rejects.toMatchObject({
    code: 'offline',
  });
  await stage.clock.pass(60_000);
  await refused;
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(stage.server.functions.ran).toEqual([]);
});

test('[FN331] a query that is not answered says so after 30 s', async () => {
  const { stage, db } = await online();
  stage.server.functions.answers.set('books.count', null);
  const refused = expect(db.call(api.count, {})).rejects.toMatchObject({ code: 'timeout' });
  await stage.clock.pass(29_000);
  await stage.clock.pass(2_000);
  await refused;
});

test('[FN332] mutations and transactions leave in the order in which they were made', async () => {
  const { stage, db } = await online();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  const first = db.call(api.put, DUNE, { label: 'add Dune' });
  const second = db.transact(db.tx.books![entity(1)]!.update({ title: 'new Dune 2' }));
  const third = db.call(api.put, { ...DUNE, title: 'new Dune 3' });
  await expect(second).resolves.toMatchObject({ status: 'enqueued' });
  expect(db.pending.list()).toMatchObject([
    { call: { name: 'edit.put', args: DUNE }, label: 'add Dune', state: 'queued' },
    { call: null },
    { call: { name: 'edit.put' } },
  ]);
  expect(db.pending.count).toBe(3);
  stage.network.isUp = true;
  await stage.clock.pass(120_000);
  expect(await Promise.all([first, third])).toEqual(Array(2).fill(`edit.put ${entity(1)}`));
  expect(db.pending.list()).toEqual([]);
  expect(stage.server.functions.value('books.list', NEW)).toMatchObject([{ title: 'new Dune 3' }]);
  const writes = stage.sent.filter(({ op }) => op === 'call' || op === 'transact');
  expect(writes.map(({ op }) => op)).toEqual(['call', 'transact', 'call']);
});

test('[FN332] a call never takes the place of a transaction, nor that of a call', async () => {
  const { stage, db } = await online();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  const update = (title: string) => db.tx.books![entity(1)]!.update({ title });
  const optimistic = () => [update('x')];
  void db.transact(update('1'));
  void db.call(api.put, { ...DUNE, title: '2' }, { optimistic });
  void db.transact(update('3'));
  expect(db.pending.list().map(({ call }) => call?.name)).toEqual([
    undefined,
    'edit.put',
    undefined,
  ]);
});

test('[FN332] a call names the file of an upload as the server does', () => {
  const fields = { state: 'queued', sentAfter: null } as const;
  const call = { name: 'photos.add', args: { file: 'f1' }, steps: [] };
  const entry = { ...newEntry('e', 1, 0, fields), call };
  expect(renamed(entry, 'f1', 'f2')).toEqual({ ...entry, call: { ...call, args: { file: 'f2' } } });
  expect(renamed(entry, 'f3', 'f2')).toBe(entry);
  const upload = { path: 'a', bytes: 1, contentType: undefined, contentDisposition: undefined };
  const queue = new Queue(() => {});
  const waiter = { now: 0, saved: () => {}, settle: () => {} };
  const own = { ...upload, fileId: 'f1', place: null, isKept: false };
  queue.addUpload('u', own, { ...waiter, isKeeping: false });
  queue.add('c', [], { ...waiter, call });
  expect(queue.get('c')!.needs).toEqual(['u']);
  expect(queue.sendable()).toEqual([]);
});

test('[FN332] a mutation whose answer was lost runs once, and has its value', async () => {
  const { stage, db } = await online();
  const call = db.call(api.put, DUNE);
  // The server has it, and the connection goes before its answer.
  while (stage.server.functions.ran.length === 0) await stage.clock.pass(1);
  stage.network.cutAll();
  await stage.settle();
  expect(await call).toBe(`edit.put ${entity(1)}`);
  expect(stage.ops('call')).toHaveLength(2);
  expect(new Set(stage.ops('call').map((one) => one['client-event-id'])).size).toBe(1);
  expect(stage.server.functions.ran).toHaveLength(1);
});

test('[FN333] what a mutation will do is shown at once, and taken back if refused', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  const rows: unknown[] = [];
  db.subscribeQuery(BOOKS, ({ data }) => rows.push(data?.books?.map(({ title }) => title)));
  await stage.settle();
  const before = seen.at(-1)!;
  const refused = expect(db.call(api.put, FORBIDDEN, expecting)).rejects.toMatchObject({
    code: 'function-error',
  });
  expect(seen.at(-1)!.data).toEqual([FORBIDDEN]);
  expect(rows.at(-1)).toEqual(['forbidden']);
  await stage.settle();
  await refused;
  expect(seen.at(-1)).toEqual(before);
  expect(seen.at(-1)!.data).toBe(before.data);
  expect(rows.at(-1)).toEqual([]);
});

test('[FN333] a prediction leaves each answer that contains its call, and not before', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  const rows: unknown[] = [];
  db.subscribeQuery(BOOKS, ({ data }) => rows.push(data?.books?.map(({ title }) => title)));
  await stage.settle();
  void db.call(api.put, DUNE, expecting);
  void db.call(api.put, EMMA, expecting);
  await stage.settle();
  const shown = seen.map(({ data }) => data?.map(({ title }) => title));
  // Nothing that was shown went away meanwhile.
  expect(shown).toEqual([[], ['new Dune'], ...shown.slice(2).map(() => ['new Dune', 'new Emma'])]);
  expect(rows.slice(1)).toEqual([
    ['new Dune'],
    ...rows.slice(2).map(() => ['new Dune', 'new Emma']),
  ]);
  expect(db.pending.list()).toEqual([]);
});

test('[FN333] the answer stands where the prediction was wrong', async () => {
  const { stage, db } = await online();
  const seen = watch(db, { of: '' });
  await stage.settle();
  const all = seen.at(-1)!.data!;
  void db.call(api.shout, DUNE, {
    optimistic: (_tx, book, live) => [live(api.list, { of: '' }).put(book, { at: 'start' })],
  });
  expect(seen.at(-1)!.data).toEqual([DUNE, ...all]);
  // Rows that did not change are the same objects.
  expect(seen.at(-1)!.data![1]).toBe(all[0]);
  await stage.settle();
  expect(seen.at(-1)!.data).toContainEqual({ id: entity(1), title: 'NEW DUNE' });
  expect(seen.at(-1)!.data).toHaveLength(all.length + 1);
});

test('[FN333] predictions put, remove and replace, in lists and under labels', async () => {
  const { stage, db } = await online();
  void db.call(api.put, EMMA);
  const states: unknown[] = [];
  db.subscribeCall(api.shelf, {}, ({ data }) => states.push(data));
  const counts: unknown[] = [];
  db.subscribeCall(api.count, {}, ({ data }) => counts.push(data));
  await stage.settle();
  const shelf = states.at(-1) as { items: Book[] };
  const [first, ...others] = shelf.items;
  stage.server.functions.answers.set('edit.put', null);
  void db.call(
    api.put,
    { id: first!.id, title: 'other' },
    {
      optimistic: (_tx, { id, title }, live) => [
        live(api.shelf, {}).put({ id, title }, { in: 'items' }),
        live(api.shelf, {}).remove(others[0]!.id, { in: 'items' }),
        live(api.count, {}).set(99),
        // What does not fit the answer changes nothing.
        live(api.count, {}).put({ id }),
        live(api.shelf, {}).put({ id }, { in: 'label' }),
      ],
    },
  );
  expect(states.at(-1)).toEqual({
    label: 'all',
    items: [{ id: first!.id, title: 'other' }, ...others.slice(1)],
  });
  expect(counts.at(-1)).toBe(99);
  db.shutdown();
});

test('[FN333] what the schema lacks is not shown, and sent nowhere', async () => {
  const { stage, db } = await online();
  const rows: unknown[] = [];
  db.subscribeQuery(BOOKS, ({ data }) => rows.push(data?.books));
  await stage.settle();
  const call = db.call(api.put, DUNE, {
    optimistic: (tx, { id, title }) => [
      tx.books![id]!.update({ title, colour: 'red' }),
      tx.shelves![id]!.create({ title }),
    ],
  });
  expect(rows.at(-1)).toMatchObject([{ title: 'new Dune' }]);
  expect(rows.at(-1)).not.toMatchObject([{ colour: 'red' }]);
  await stage.settle();
  expect(await call).toBe(`edit.put ${entity(1)}`);
  expect(stage.ops('transact')).toEqual([]);
});

test('[FN334] a refused mutation stays, and is sent again as another call', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  await stage.settle();
  db.call(api.put, FORBIDDEN, expecting).catch(() => {});
  await stage.settle();
  const [entry] = db.pending.list();
  expect(entry).toMatchObject({
    state: 'rejected',
    call: { name: 'edit.put', args: FORBIDDEN },
    error: { code: 'function-error' },
  });
  db.pending.retry(entry!.id);
  expect(seen.at(-1)!.data).toEqual([FORBIDDEN]);
  await stage.settle();
  expect(db.pending.get(entry!.id)).toMatchObject({ state: 'rejected' });
  const again = db.call(api.put, DUNE, { ...expecting, replaces: entry!.id });
  expect(db.pending.list()).toHaveLength(1);
  expect(seen.at(-1)!.data).toEqual([DUNE]);
  await stage.settle();
  expect(await again).toBe(`edit.put ${entity(1)}`);
  expect(db.pending.list()).toEqual([]);
});

test('[FN334] it is dropped, or another transaction takes its place', async () => {
  const { stage, db } = await online();
  for (const id of [1, 2]) db.call(api.put, { id: entity(id), title: 'forbidden' }).catch(() => {});
  await stage.settle();
  const [one, other] = db.pending.list();
  db.pending.drop(one!.id);
  db.pending.edit(other!.id, db.tx.books![entity(2)]!.update({ title: 'new Emma' }));
  await stage.settle();
  expect(db.pending.list()).toEqual([]);
  expect(stage.server.functions.value('books.list', NEW)).toEqual([EMMA]);
  await expect(db.call(api.put, DUNE, { replaces: one!.id })).rejects.toMatchObject({
    code: 'pending-state',
  });
});

test('[FN335] a result that is kept no longer is told, and takes nothing back', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  await stage.settle();
  const call = db.call(api.put, DUNE, expecting);
  const refused = expect(call).rejects.toMatchObject({ code: 'value-expired' });
  while (stage.server.functions.ran.length === 0) await stage.clock.pass(1);
  stage.network.cutAll();
  for (const id of stage.server.applied.keys()) stage.server.functions.expired.add(id);
  await stage.settle();
  await refused;
  expect(db.pending.list()).toEqual([]);
  expect(seen.at(-1)!.data).toEqual([DUNE]);
  expect(seen.slice(1).every(({ data }) => data?.length === 1)).toBe(true);
});

test.each(['conflict', 'rate-limited', 'overloaded', 'function-timeout', 'functions-broken'])(
  '[FN336] what is refused as %s goes out again, and keeps its place',
  async (type) => {
    const { stage, db } = await online();
    const { answers } = stage.server.functions;
    answers.set('edit.put', { type, message: 'not now' });
    const call = db.call(api.put, DUNE);
    const after = db.transact(db.tx.books![entity(1)]!.update({ title: 'new Dune 2' }));
    await stage.clock.pass(2_000);
    expect(db.pending.list().map(({ state }) => state)).not.toContain('rejected');
    answers.clear();
    await stage.settle();
    expect(await call).toBe(`edit.put ${entity(1)}`);
    await expect(after).resolves.toMatchObject({ status: 'synced' });
    expect(stage.server.functions.value('books.list', NEW)).toMatchObject([
      { title: 'new Dune 2' },
    ]);
  },
);

test('[FN336] a conflict that stays is told after five tries', async () => {
  const { stage, db } = await online();
  stage.server.functions.answers.set('edit.put', { type: 'conflict', message: 'again' });
  const refused = expect(db.call(api.put, DUNE)).rejects.toMatchObject({ code: 'conflict' });
  await stage.clock.pass(120_000);
  await refused;
  expect(stage.ops('call')).toHaveLength(5);
});

test('[FN337] equal live calls are asked once, and end 10 s after the last watcher', async () => {
  const { stage, db } = await online();
  const shared = { of: 'new', also: [1, { a: 1, b: undefined }] };
  const other = { also: [1, { a: 1 }], of: 'new' };
  const stops = [shared, other].map((args) => db.subscribeCall(api.list, args, () => {}));
  await stage.settle();
  expect(stage.ops('add-call')).toHaveLength(1);
  stops[0]!();
  stops[0]!();
  await stage.clock.pass(20_000);
  expect(stage.ops('remove-call')).toHaveLength(0);
  stops[1]!();
  await stage.clock.pass(9_000);
  db.subscribeCall(api.list, other, () => {})();
  await stage.clock.pass(9_000);
  expect(stage.ops('remove-call')).toHaveLength(0);
  await stage.clock.pass(2_000);
  expect(stage.ops('remove-call')).toMatchObject([{ name: 'books.list', args: other }]);
  expect(stage.ops('add-call')).toHaveLength(1);
});

test('[FN337] live calls go on after a lost connection, and stay shown', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  const other = stage.device();
  await stage.settle();
  void other.call(api.put, DUNE);
  await stage.settle();
  expect(seen.at(-1)!.data).toEqual([DUNE]);
  const told = seen.length;
  stage.network.cutAll();
  await stage.settle();
  expect(stage.ops('add-call')).toHaveLength(2);
  expect(seen).toHaveLength(told);
  void other.call(api.put, EMMA);
  await stage.settle();
  expect(seen).toHaveLength(told + 1);
  expect(seen.at(-1)!.data).toEqual([DUNE, EMMA]);
  expect(seen.at(-1)!.data![0]).toBe(seen.at(-2)!.data![0]);
  expect(Object.isFrozen(seen.at(-1)!.data![1])).toBe(true);
});

test('[FN338] a live call that fails says why, and shows data again', async () => {
  const { stage, db } = await online();
  const seen: CallState<number>[] = [];
  db.subscribeCall(api.strict, {}, (state) => seen.push(state));
  const failed: CallState<number>[] = [];
  db.subscribeCall(api.missing, {}, (state) => failed.push(state));
  await stage.settle();
  expect(failed).toMatchObject([
    { isLoading: false, data: undefined, error: { code: 'function-not-found' } },
  ]);
  void db.call(api.put, { id: entity(1), title: 'bad' });
  await stage.settle();
  expect(seen.at(-1)).toMatchObject({ error: { code: 'function-failed' }, data: seen[0]!.data });
  void db.call(api.put, DUNE);
  await stage.settle();
  expect(seen.at(-1)).toMatchObject({ error: undefined, data: seen[0]!.data! + 1 });
});

test('[FN339] another user sees nothing of it, and calls under way are given up', async () => {
  const { stage, db } = await online();
  stage.answer = () => ({ status: 200, body: { user: { id: 'u1', refresh_token: 't1' } } });
  const seen = watch(db, { of: '' });
  await stage.settle();
  stage.server.functions.answers.set('books.count', null).set('books.list', null);
  const given = expect(db.call(api.count, {})).rejects.toMatchObject({ code: 'signed-out' });
  await db.auth.signInWithToken('t1');
  await given;
  expect(seen.at(-1)).toMatchObject({ isLoading: true, data: undefined });
  stage.server.functions.answers.clear();
  stage.network.cutAll();
  await stage.settle();
  expect(seen.at(-1)).toMatchObject({ isLoading: false });
});

test('[FN339] after data were put back to an older state predictions stay shown', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  for (let turn = 0; turn < 5; turn++) void db.call(api.put, DUNE);
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  const told = seen.length;
  void db.call(api.put, EMMA, expecting);
  stage.server.tx = 1;
  stage.network.isUp = true;
  await stage.settle();
  const shown = seen.slice(told).map(({ data }) => data?.map(({ title }) => title));
  expect(shown).toEqual([['new Dune', 'new Emma']]);
});

test('[FN340] arguments may have 4 MiB', async () => {
  const { stage, db } = await online();
  const title = 'x'.repeat(4 * 1024 * 1024);
  for (const fn of [api.put, api.list])
    await expect(db.call(fn as typeof api.put, { id: entity(1), title })).rejects.toMatchObject({
      code: 'call-too-big',
      hint: { max: 4 * 1024 * 1024 },
    });
  const fits = db.call(api.put, { id: entity(1), title: title.slice(100) });
  await stage.settle();
  expect(await fits).toBe(`edit.put ${entity(1)}`);
});

test('[FN340] a shut down database calls nothing', async () => {
  const { db } = await online();
  db.shutdown();
  await expect(db.call(api.count, {})).rejects.toMatchObject({ code: 'shut-down' });
});
