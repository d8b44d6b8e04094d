// Sync tables of the core client: a namespace whole, its changes, and what it missed meanwhile.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { EventSource } from 'eventsource';
import { connectCore, createAdmin } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

let server;
let app;
let admin;

before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** A fresh app, so that a namespace holds only what the test put there. */
async function fresh(at = server) {
  app = await createApp(at, { schema: serialisedSchema() });
  admin = createAdmin(at, app, { schema });
}

const todo = (t, fields) => admin.tx.todos[t].update({ title: 'x', done: false, ...fields });

const CREATED = { todos: { $: { order: { serverCreatedAt: 'asc' } } } };
const BY_PRIORITY = { todos: { $: { order: { priority: 'desc' } } } };

/** Subscribe: {events, last(), titles(), types(), stop}. */
function sync(core, query = CREATED) {
  const events = [];
  const stop = core.db._syncTableExperimental(query, (event) => events.push(event));
  const last = () => events.at(-1);
  return {
    events,
    last,
    stop,
    titles: () => (last()?.data.todos ?? []).map(({ title }) => title),
    types: () => events.map(({ type }) => type),
  };
}

const shows = (table, ...expected) =>
  until(
    () =>
      table.types().some((type) => type !== 'InitialSyncBatch') &&
      JSON.stringify(table.titles()) === JSON.stringify(expected),
    () => `${expected}; it shows ${table.titles()} after ${table.types()}`,
  );

const open = (at, options = {}) => connectCore(at, app, { schema, admin: true, ...options });

describe('sync tables', () => {
  for (const [name, options] of [
    ['WebSocket', {}],
    ['the fallback', { EventSource }],
  ])
    test(`all rows in order, then each transaction, over ${name}`, async () => {
      await fresh();
      const proxy = await startProxy(server);
      if (options.EventSource) proxy.refuseWebSockets();
      const ids = Array.from({ length: 230 }, () => id());
      await admin.transact(ids.map((t, n) => todo(t, { title: `t${n}`, priority: n })));
      const core = await open(proxy, options);
      const table = sync(core, BY_PRIORITY);
      const down = ids.map((_, n) => `t${n}`).reverse();
      await shows(table, ...down);
      assert.equal(table.last().type, 'InitialSyncComplete');
      assert.deepEqual(
        table.events.slice(0, -1).map(({ type, batch }) => [type, batch.length]),
        [100, 100, 30].map((rows) => ['InitialSyncBatch', rows]),
      );

      const made = id();
      await admin.transact(todo(made, { title: 'top', priority: 1_000 }));
      await shows(table, 'top', ...down);
      assert.deepEqual(table.last().added.map(({ title }) => title), ['top']);
      await admin.transact([
        todo(made, { title: 'bottom', priority: -1 }),
        admin.tx.todos[ids[229]].delete(),
      ]);
      await shows(table, ...down.slice(1), 'bottom');
      const { updated, removed } = table.last();
      assert.deepEqual(removed.map(({ title }) => title), ['t229']);
      assert.deepEqual(updated[0].changedFields, {
        title: { oldValue: 'top', newValue: 'bottom' },
        priority: { oldValue: 1_000, newValue: -1 },
      });
      table.stop();
      core.close();
      proxy.close();
    });

  test('what was missed offline comes with the connection', async () => {
    await fresh();
    const [one, two, three] = [id(), id(), id()];
    await admin.transact(todo(one, { title: 'one' }));
    const proxy = await startProxy(server);
    const core = await open(proxy);
    const table = sync(core);
    await shows(table, 'one');
    const before = table.events.length;
    core.network.set(false);
    await admin.transact(todo(two, { title: 'two' }));
    await admin.transact([todo(two, { title: 'second' }), todo(three, { title: 'three' })]);
    await admin.transact(admin.tx.todos[one].delete());
    core.network.set(true);
    await until(() => table.titles().length === 2 && !table.titles().includes('one'), table.types);
    assert.deepEqual(table.titles().sort(), ['second', 'three']);
    // Each transaction once, and no second load.
    assert.deepEqual(table.types().slice(before), Array(3).fill('SyncTransaction'));
    proxy.cut();
    await admin.transact(admin.tx.todos[two].delete());
    await shows(table, 'three');
    core.close();
    proxy.close();
  });

  test('rows that move, come and go during the load end as they are', async () => {
    await fresh();
    const ids = Array.from({ length: 3_000 }, () => id());
    const at = (n) => ((n * 7_919) % 3_001) - 1_500;
    for (let n = 0; n < ids.length; n += 500)
      await admin.transact(
        ids.slice(n, n + 500).map((t, k) => todo(t, { title: `t${n + k}`, priority: at(n + k) })),
      );
    const core = await open(server);
    const table = sync(core, BY_PRIORITY);
    const writes = [];
    for (let n = 0; n < 60; n += 1)
      writes.push(
        admin.transact([
          todo(ids[n * 50], { priority: at(n + 1_000) }),
          admin.tx.todos[ids[n * 50 + 1]].delete(),
          todo(id(), { title: `new ${n}`, priority: at(n * 31) }),
        ]),
      );
    await Promise.all(writes);
    await admin.transact(todo(ids[0], { title: 'last' }));
    await until(() => table.last()?.data.todos.some(({ title }) => title === 'last'), table.types);
    const { todos } = await admin.query(BY_PRIORITY);
    const shown = ({ id, title, priority, done }) => ({ id, title, priority, done });
    assert.deepEqual(table.last().data.todos.map(shown), todos.map(shown));
    core.close();
  });

  test('a page that comes back starts from its store, over a restart of the server', async () => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'trice-sync-'));
    let own = await startServer({ dataDir });
    await fresh(own);
    await admin.transact(todo(id(), { title: 'one' }));
    const shared = new Map();
    const first = await open(own, { shared });
    const kept = sync(first);
    await shows(kept, 'one');
    first.reactor._syncTable.beforeUnload(); // as the browser does when a page is left
    const store = () => [...shared].find(([key]) => key.endsWith('/syncSubs'))?.[1];
    await until(
      () => [...(store()?.values() ?? [])].some((sub) => sub.state?.txId),
      () => `the table in the store, which has ${JSON.stringify([...shared.keys()])}`,
    );
    first.close();
    await admin.transact(todo(id(), { title: 'two' }));
    const { port } = own;
    await own.stop();
    own = await startServer({ dataDir, port });
    const second = await open(own, { shared });
    const table = sync(second);
    await shows(table, 'one', 'two');
    assert.deepEqual(table.types(), ['LoadFromStorage', 'SyncTransaction']);
    second.close();
    await own.stop();
    await rm(dataDir, { recursive: true });
  });

  test('a client with a token that does not hold starts again by itself', async () => {
    await fresh();
    await admin.transact(todo(id(), { title: 'one' }));
    const core = await open(server);
    const table = sync(core);
    await shows(table, 'one');
    for (const sub of Object.values(core.reactor._syncTable.subs.currentValue))
      sub.state.token = 'stale';
    core.network.set(false);
    await admin.transact(todo(id(), { title: 'two' }));
    core.network.set(true);
    await shows(table, 'one', 'two');
    assert.equal(table.last().type, 'InitialSyncComplete');
    core.close();
  });

  test('an attr that comes later is shown: the client starts again', async () => {
    await fresh();
    const one = id();
    await admin.transact(todo(one, { title: 'one' }));
    const core = await open(server);
    const table = sync(core);
    await shows(table, 'one');
    const loose = createAdmin(server, app);
    await loose.transact(loose.tx.todos[one].update({ colour: 'red' }));
    await until(() => table.last().data.todos[0]?.colour === 'red', table.types);
    core.close();
  });

  test('no change comes after the end of a table', async () => {
    await fresh();
    await admin.transact(todo(id(), { title: 'one' }));
    const core = await open(server);
    const table = sync(core);
    await shows(table, 'one');
    table.stop();
    const before = table.events.length;
    await admin.transact(todo(id(), { title: 'two' }));
    const again = sync(core, BY_PRIORITY);
    await until(() => again.titles().length === 2, again.types);
    assert.equal(table.events.length, before);
    core.close();
  });

  test('others than admins, and other queries, get an error', async () => {
    await fresh();
    const guest = await connectCore(server, app, { schema });
    const refused = sync(guest);
    await until(() => refused.last()?.type === 'Error', refused.types);
    assert.match(refused.last().error.message, /admins only|Validation failed/);
    guest.close();
    const core = await open(server);
    const wrong = sync(core, { todos: { $: { where: { done: true } } } });
    await until(() => wrong.last()?.type === 'Error', wrong.types);
    assert.equal(wrong.last().error.status, 400);
    core.close();
  });
});
