import { expect, test } from 'vitest';
import { entity, Stage } from '../support/stage.ts';

const QUERY = { books: {} };

test('[J33] a silent link is asked after 5 s and given up 4 s later', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  const { connections } = stage;
  stage.network.silenceOne();
  const statuses: string[] = [];
  db.subscribeConnectionStatus((status) => statuses.push(status));
  await stage.clock.pass(9_500);
  expect(statuses).toContain('closed');
  await stage.settle();
  expect(stage.connections).toBe(connections + 1);
  expect(db.connectionStatus).toBe('authenticated');
});

test('[J33] a link that answers is kept', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.clock.pass(10 * 60_000);
  expect(stage.connections).toBe(1);
  expect(db.connectionStatus).toBe('authenticated');
});

test('[J35] a failed `init` is told to every query, and tried again', async () => {
  const stage = new Stage();
  stage.server.refuseInit = {
    type: 'record-not-found',
    message: 'no such app',
    hint: { 'record-type': 'app' },
  };
  const db = stage.device();
  let error: unknown;
  db.subscribeQuery(QUERY, (state) => {
    ({ error } = state);
  });
  const once = expect(db.queryOnce(QUERY)).rejects.toMatchObject({ code: 'record-not-found' });
  await stage.settle();
  await once;
  expect(error).toMatchObject({ code: 'record-not-found' });
  expect(db.connectionStatus).toBe('errored');
  stage.server.refuseInit = null;
  await stage.clock.pass(5 * 60_000);
  expect(db.connectionStatus).toBe('authenticated');
  expect(error).toBeUndefined();
});

test('[J35, J36] a token that the server does not know signs the user out', async () => {
  const stage = new Stage();
  const user = { id: entity(1), refresh_token: entity(2) };
  stage.answer = () => ({ status: 200, body: { user } });
  const stored = new Map<string, string>();
  const db = stage.device({}, stored);
  await stage.settle();
  await db.auth.signInAsGuest();
  await stage.settle();
  expect(stage.ops('init').at(-1)).toMatchObject({ 'refresh-token': entity(2) });
  expect(stored.size).toBe(1);

  // The same device, started again.
  db.shutdown();
  stage.server.refuseInit = {
    type: 'record-not-found',
    message: 'no user',
    hint: { 'record-type': 'app-user' },
  };
  const again = stage.device({}, stored);
  const seen: unknown[] = [];
  again.subscribeAuth(({ user: who }) => seen.push(who?.id ?? null));
  await stage.clock.pass(500);
  expect(seen).toContain(user.id);
  stage.server.refuseInit = null;
  await stage.clock.pass(90_000);
  expect(await again.getAuth()).toBeNull();
  expect(stored.size).toBe(0);
  expect(again.connectionStatus).toBe('authenticated');
});

test('[J36] another user has another connection, and sees nothing held before', async () => {
  const stage = new Stage();
  stage.answer = () => ({
    status: 200,
    body: { user: { id: entity(1), refresh_token: entity(2) } },
  });
  const db = stage.device();
  const observer = db.observe(QUERY);
  observer.subscribe(() => {});
  await stage.settle();
  expect(observer.get().isLoading).toBe(false);
  const { connections } = stage;
  const signedIn = db.auth.signInAsGuest();
  await stage.clock.pass(0);
  await signedIn;
  expect(observer.get().isLoading).toBe(true);
  await stage.settle();
  expect(stage.connections).toBe(connections + 1);
  expect(stage.ops('add-query').at(-1)).not.toHaveProperty('held');
  expect(observer.get().data).toEqual(stage.server.rows(QUERY));
});

test('[J38] a local id is the same at every start', async () => {
  const stage = new Stage();
  const stored = new Map<string, string>();
  const first = await stage.device({}, stored).getLocalId('device');
  expect(await stage.device({}, stored).getLocalId('device')).toBe(first);
  expect(await stage.device({}, stored).getLocalId('other')).not.toBe(first);
});

test('after shutdown nothing is sent and nothing is taken', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  db.shutdown();
  const { length } = stage.sent;
  await expect(db.transact(db.tx.books![entity(1)]!.create({}))).rejects.toMatchObject({
    code: 'shut-down',
  });
  await stage.clock.pass(120_000);
  expect(stage.sent).toHaveLength(length);
});

test('[J25] a write that could not be taken goes out again; what follows waits', async () => {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  stage.server.refuseWrites = { type: 'overloaded', message: 'not now' };
  void db.transact(db.tx.books![entity(1)]!.create({ title: '1' }));
  await stage.clock.pass(2_500);
  expect(db.pending.list().map(({ state }) => state)).not.toContain('rejected');
  stage.server.refuseWrites = null;
  void db.transact(db.tx.books![entity(1)]!.update({ title: '2' }));
  await stage.settle();
  expect(db.pending.list()).toEqual([]);
  expect(stage.server.rows({ books: { $: { where: { id: entity(1) } } } })).toMatchObject({
    books: [{ title: '2' }],
  });
});
