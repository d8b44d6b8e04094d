// Connections that break: queues, replays, reconnects, the fallback transport, restarts.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { EventSource } from 'eventsource';
import { answer, connectCore, createAdmin, createCore, watch } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { RawSession } from './support/raw.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { settle, until, within } from './support/wait.mjs';

let server;
let app;
let admin;
let proxy;
let client;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  admin = createAdmin(server, app, { schema });
});
after(() => server?.stop());
beforeEach(async () => {
  proxy = await startProxy(server);
  client = await connectCore(proxy, app, { schema });
});
afterEach(() => {
  client?.close();
  proxy?.close();
});

const byLabel = (label) => ({ todos: { $: { where: { label } } } });
const todo = (db, t, fields) => db.tx.todos[t].create({ title: 'x', done: false, ...fields });
const stored = async (label) => (await admin.query(byLabel(label))).todos;
const isAuthenticated = (core) => () => core.reactor.status === 'authenticated';

describe('offline', () => {
  test('writes made offline show at once and are sent in order later', async () => {
    const [label, t] = [id(), id()];
    const watched = watch(client.db, byLabel(label));
    await answer(watched, (r) => r.data?.todos.length === 0);
    client.network.set(false);
    const chunks = [
      todo(client.db, t, { label, title: 't1' }),
      client.db.tx.todos[t].update({ title: 't2', priority: 1 }),
      client.db.tx.todos[t].update({ title: 't3' }),
      todo(client.db, id(), { label, title: 'another' }),
    ];
    const results = [];
    for (const chunk of chunks) results.push(await client.db.transact(chunk));
    assert.deepEqual(
      results.map((r) => r.status),
      Array(4).fill('enqueued'),
    );
    await answer(watched, (r) => r.data.todos.length === 2, 'the optimistic view');
    assert.deepEqual(await stored(label), []);
    client.network.set(true);
    await until(
      async () => (await stored(label)).length === 2,
      'the writes on the server',
    );
    const first = (await stored(label)).find((x) => x.id === t);
    assert.deepEqual([first.title, first.priority], ['t3', 1]);
    watched.unsubscribe();
  });

  test('pending writes survive the page: the next one sends them', async () => {
    const [label, shared] = [id(), new Map()];
    const first = await connectCore(proxy, app, { schema, shared });
    first.network.set(false);
    await first.db.transact(todo(first.db, id(), { label }));
    const kv = shared.get(`${app.id}/kv`);
    await until(
      () => JSON.stringify(kv.get('pendingMutations') ?? '').includes(label),
      'the write in storage',
    );
    first.close();
    const second = await connectCore(proxy, app, { schema, shared });
    await until(async () => (await stored(label)).length === 1, 'the write on the server');
    second.close();
  });

  test('a refused write from the queue is rolled back after the reconnect', async () => {
    const [label, email] = [id(), `${id()}@example.com`];
    const person = { name: 'n', age: 1, active: true, email };
    await admin.transact(admin.tx.people[id()].create(person));
    const watched = watch(client.db, { people: { $: { where: { email } } } });
    await answer(watched, (r) => r.data?.people.length === 1);
    client.network.set(false);
    await client.db.transact(client.db.tx.people[id()].create(person));
    await client.db.transact(todo(client.db, id(), { label }));
    await answer(watched, (r) => r.data.people.length === 2, 'the optimistic view');
    client.network.set(true);
    await answer(watched, (r) => r.data.people.length === 1, 'the rollback');
    await until(async () => (await stored(label)).length === 1, 'the write behind it');
    watched.unsubscribe();
  });
});

describe('a connection that is cut', () => {
  test('is made again; queries show what happened meanwhile', async () => {
    const label = id();
    const watched = watch(client.db, byLabel(label));
    await answer(watched, (r) => r.data?.todos.length === 0);
    proxy.block();
    await until(() => client.reactor.status === 'closed', 'the client to notice');
    await admin.transact(todo(admin, id(), { label }));
    proxy.allow();
    await answer(watched, (r) => r.data.todos.length === 1, 'the missed write');
    await admin.transact(todo(admin, id(), { label }));
    await answer(watched, (r) => r.data.todos.length === 2, 'a later write');
    watched.unsubscribe();
  });

  test('[trap 19] a create whose ack was lost is replayed and applied once', async () => {
    const [label, t] = [id(), id()];
    const errors = [];
    client.reactor.subscribeMutationErrors?.((error) => errors.push(error));
    const sent = [];
    const { reactor } = client;
    const { _trySend: send } = reactor;
    reactor._trySend = (...args) => {
      if (args[1].op === 'transact') sent.push(args[0]);
      return send.apply(reactor, args);
    };
    proxy.holdAnswers();
    const written = client.db.transact(todo(client.db, t, { label }));
    await until(async () => (await stored(label)).length === 1, 'the commit');
    proxy.cut();
    proxy.allow();
    const result = await within(written, 'the ack of the replay');
    assert.equal(result.status, 'synced');
    assert.equal(sent.length, 2, 'sent twice');
    assert.equal(sent[0], sent[1], 'with the same client-event-id');
    assert.equal((await stored(label)).length, 1);
    assert.deepEqual(errors, []);
  });

  test('replays do not undo what others did in between', async () => {
    const [label, t] = [id(), id()];
    await admin.transact(todo(admin, t, { label, title: 'start' }));
    proxy.holdAnswers();
    const written = client.db.transact(client.db.tx.todos[t].update({ title: 'mine' }));
    await until(async () => (await stored(label))[0].title === 'mine', 'the commit');
    await admin.transact(admin.tx.todos[t].update({ title: 'theirs' }));
    proxy.cut();
    proxy.allow();
    await within(written, 'the ack of the replay');
    await settle();
    assert.equal((await stored(label))[0].title, 'theirs');
  });

  test('many cuts in a row: every write arrives exactly once', async () => {
    const label = id();
    const watched = watch(client.db, byLabel(label));
    await answer(watched, (r) => r.data);
    const ids = Array.from({ length: 30 }, id);
    const writes = ids.map((t, n) => {
      const write = client.db.transact(todo(client.db, t, { label, priority: n }));
      if (n % 10 === 5) proxy.cut();
      return write;
    });
    const results = await Promise.allSettled(writes.map((w) => within(w, 'the write')));
    assert.deepEqual(
      results.filter((r) => r.status === 'rejected').map((r) => r.reason.message),
      [],
    );
    await until(
      async () => (await stored(label)).length === ids.length,
      'all writes',
    );
    await answer(
      watched,
      (r) => r.data.todos.length === ids.length,
      'all rows',
    );
    watched.unsubscribe();
  });
});

describe('the fallback transport', () => {
  test('[trap 13] a client that cannot have WebSockets works over SSE, and goes back', async () => {
    proxy.refuseWebSockets();
    const label = id();
    const fallback = createCore(proxy, app, { schema, EventSource });
    await until(
      isAuthenticated(fallback),
      () => `authenticated; is ${fallback.reactor.status}`,
    );
    assert.equal(fallback.reactor._transport.type, 'sse');
    const watched = watch(fallback.db, byLabel(label));
    await answer(watched, (r) => r.data?.todos.length === 0);
    const result = await within(
      fallback.db.transact(todo(fallback.db, id(), { label })),
      'a write over SSE',
    );
    assert.equal(result.status, 'synced');
    await admin.transact(todo(admin, id(), { label }));
    await answer(watched, (r) => r.data.todos.length === 2, "somebody else's write over SSE");
    const { _transport: dropped } = fallback.reactor;
    proxy.cut();
    await until(
      () => fallback.reactor._transport !== dropped,
      'the next attempt',
    );
    await admin.transact(todo(admin, id(), { label }));
    await answer(
      watched,
      (r) => r.data.todos.length === 3,
      'the write it missed',
    );
    // After a drop the client stays on SSE; the browser's `online` event lets it try WebSockets.
    proxy.allow();
    fallback.network.set(false);
    fallback.network.set(true);
    await until(
      () => fallback.reactor._transport.type === 'ws' && isAuthenticated(fallback)(),
      'the WebSocket again',
    );
    await admin.transact(todo(admin, id(), { label }));
    await answer(watched, (r) => r.data.todos.length === 4, 'a write over the WebSocket');
    fallback.close();
  });

  test('[trap 26] sse-init comes before the client says anything', async () => {
    const abort = new AbortController();
    const response = await fetch(`${server.url}/runtime/sse?app_id=${app.id}`, {
      signal: abort.signal,
    });
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/event-stream/);
    const { value } = await within(response.body.getReader().read(), 'the first event');
    abort.abort();
    const line = new TextDecoder()
      .decode(value)
      .split('\n')
      .find((l) => l.startsWith('data:'));
    const message = JSON.parse(line.slice(5));
    assert.equal(message.op, 'sse-init');
    for (const key of ['machine-id', 'session-id', 'sse-token'])
      assert.match(message[key], /^[0-9a-f-]{36}$/);
  });

  test('a POST with a wrong sse_token is refused with session-missing', async () => {
    const response = await fetch(`${server.url}/runtime/sse?app_id=${app.id}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ machine_id: id(), session_id: id(), sse_token: id(), messages: [] }),
    });
    assert.equal(response.status, 400);
    assert.match((await response.json()).type, /^(session|member)-missing$/);
  });
});

describe('a server that restarts', () => {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    test(`[trap 30] after ${signal}: data kept, tx ids go on, clients come back`, async () => {
      const dataDir = await mkdtemp(path.join(tmpdir(), 'trice-interop-'));
      const first = await startServer({ dataDir });
      const other = await createApp(first, { schema: serialisedSchema() });
      const core = await connectCore(first, other, { schema });
      const [label, t] = [id(), id()];
      const watched = watch(core.db, byLabel(label));
      await answer(watched, (r) => r.data);
      await within(core.db.transact(todo(core.db, t, { label, title: 'before' })), 'the write');
      const raw = await RawSession.connect(first, other.id);
      const { 'tx-id': txBefore } = await raw.transact(raw.create('tags', id(), { name: 'a' }));
      raw.close();
      await first.stop(signal, { keepData: true });
      await until(() => core.reactor.status === 'closed', 'the client to notice');
      await core.db.transact(core.db.tx.todos[t].update({ title: 'meanwhile' }));

      const second = await startServer({ dataDir, port: first.port });
      await until(isAuthenticated(core), 'the reconnect');
      const reader = createAdmin(second, other, { schema });
      await until(
        async () => (await reader.query(byLabel(label))).todos[0]?.title === 'meanwhile',
        'the queued write',
      );
      const again = await RawSession.connect(second, other.id);
      const { 'tx-id': txAfter } = await again.transact(again.create('tags', id(), { name: 'b' }));
      assert.ok(txAfter > txBefore, `${txAfter} after ${txBefore}`);
      again.close();
      core.close();
      await second.stop();
      await rm(dataDir, { recursive: true, force: true });
    });
  }
});
