// Live queries of the core client: refreshes, two clients, catalogs, errors, connection status.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { answer, connectCore, createAdmin, createCore, watch } from './support/clients.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { nextMillisecond, rejection, settle, until, within } from './support/wait.mjs';

let server;
let app;
let admin;
let a;
let b;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  admin = createAdmin(server, app, { schema });
  a = await connectCore(server, app, { schema });
  b = await connectCore(server, app, { schema });
});
after(async () => {
  a?.close();
  b?.close();
  await server?.stop();
});

const todo = (db, t, fields = {}) => db.tx.todos[t].update({ title: 'x', done: false, ...fields });
const titles = (response) => response.data?.todos.map((t) => t.title);

describe('two clients', () => {
  test('see each other create, change, link, unlink and delete', async () => {
    const [t, tag, label] = [id(), id(), id()];
    const watched = watch(b.db, { todos: { $: { where: { label } }, tags: {} } });
    await answer(watched, (r) => r.data?.todos.length === 0);
    await a.db.transact(todo(a.db, t, { title: 'one', label }));
    await answer(watched, (r) => titles(r)[0] === 'one', 'the creation');
    await a.db.transact(todo(a.db, t, { title: 'two' }));
    await answer(watched, (r) => titles(r)[0] === 'two', 'the change');
    await a.db.transact([
      a.db.tx.tags[tag].update({ name: tag }),
      a.db.tx.todos[t].link({ tags: tag }),
    ]);
    await answer(watched, (r) => r.data.todos[0].tags[0]?.name === tag, 'the link');
    await a.db.transact(a.db.tx.tags[tag].update({ hue: 5 }));
    await answer(
      watched,
      (r) => r.data.todos[0].tags[0]?.hue === 5,
      'a change of the linked entity',
    );
    await a.db.transact(a.db.tx.todos[t].unlink({ tags: tag }));
    await answer(watched, (r) => r.data.todos[0].tags.length === 0, 'the unlink');
    await a.db.transact(a.db.tx.todos[t].delete());
    await answer(watched, (r) => r.data.todos.length === 0, 'the deletion');
    watched.unsubscribe();
  });

  test('an entity enters and leaves a filtered, ordered, limited query', async () => {
    const label = id();
    const ids = Array.from({ length: 6 }, id);
    await a.db.transact(
      ids.map((t, n) => todo(a.db, t, { title: `t${n}`, priority: n * 10, label })),
    );
    const watched = watch(b.db, {
      todos: { $: { where: { label }, order: { priority: 'desc' }, limit: 3 } },
    });
    await answer(watched, (r) => titles(r)?.join() === 't5,t4,t3');
    await a.db.transact(a.db.tx.todos[ids[0]].update({ priority: 45 }));
    await answer(watched, (r) => titles(r).join() === 't5,t0,t4', 'a row that moves in');
    await a.db.transact(a.db.tx.todos[ids[5]].update({ label: 'elsewhere' }));
    await answer(watched, (r) => titles(r).join() === 't0,t4,t3', 'a row that leaves');
    await a.db.transact(a.db.tx.todos[ids[4]].delete());
    await answer(watched, (r) => titles(r).join() === 't0,t3,t2', 'the next row moving up');
    watched.unsubscribe();
  });

  test('a change two links away reaches a query that filters by it', async () => {
    const [t, p, code] = [id(), id(), id()];
    await a.db.transact([
      a.db.tx.projects[p].update({ title: 'p', code }),
      todo(a.db, t).link({ project: p }),
    ]);
    const watched = watch(b.db, { todos: { $: { where: { 'project.code': code } } } });
    await answer(watched, (r) => r.data?.todos.length === 1);
    await a.db.transact(a.db.tx.projects[p].update({ code: `${code}x` }));
    await answer(watched, (r) => r.data.todos.length === 0, 'the leave');
    await a.db.transact(a.db.tx.projects[p].update({ code }));
    await answer(watched, (r) => r.data.todos.length === 1, 'the return');
    watched.unsubscribe();
  });

  test('link conditions with $isNull follow the link', async () => {
    const [t, p, label] = [id(), id(), id()];
    await a.db.transact([
      a.db.tx.projects[p].update({ title: 'p', code: id() }),
      todo(a.db, t, { label }),
    ]);
    const watched = watch(b.db, { todos: { $: { where: { label, project: { $isNull: true } } } } });
    await answer(watched, (r) => r.data?.todos.length === 1);
    await a.db.transact(a.db.tx.todos[t].link({ project: p }));
    await answer(watched, (r) => r.data.todos.length === 0, 'the link');
    await a.db.transact(a.db.tx.todos[t].unlink({ project: p }));
    await answer(watched, (r) => r.data.todos.length === 1, 'the unlink');
    watched.unsubscribe();
  });

  test('an unrelated write sends nothing', async () => {
    const watched = watch(b.db, { tags: { $: { where: { name: 'nobody has this' } } } });
    await answer(watched, (r) => r.data);
    const before = watched.answers.length;
    await a.db.transact(todo(a.db, id()));
    await settle();
    assert.equal(watched.answers.length, before);
    watched.unsubscribe();
  });

  test('[trap 9] updates do not move rows in default order', async () => {
    const label = id();
    const ids = Array.from({ length: 5 }, id);
    for (const t of ids) {
      await a.db.transact(todo(a.db, t, { label }));
      await nextMillisecond();
    }
    await a.db.transact(todo(a.db, ids[1], { title: 'touched' }));
    const { data } = await b.db.queryOnce({ todos: { $: { where: { label } } } });
    assert.deepEqual(
      data.todos.map((t) => t.id),
      ids,
    );
  });

  test('the admin API writes, clients see it', async () => {
    const t = id();
    const watched = watch(b.db, { todos: { $: { where: { id: t } } } });
    await answer(watched, (r) => r.data?.todos.length === 0);
    await admin.transact(admin.tx.todos[t].update({ title: 'from admin', done: true }));
    await answer(watched, (r) => titles(r)[0] === 'from admin', 'the refresh');
    watched.unsubscribe();
  });

  test('writes to one entity from both sides end in the same state everywhere', async () => {
    const t = id();
    await a.db.transact(todo(a.db, t));
    const query = { todos: { $: { where: { id: t } } } };
    const [wa, wb] = [watch(a.db, query), watch(b.db, query)];
    await Promise.all([
      answer(wa, (r) => r.data?.todos.length === 1),
      answer(wb, (r) => r.data?.todos.length === 1),
    ]);
    const writes = [];
    for (let n = 0; n < 20; n += 1) {
      writes.push(a.db.transact(a.db.tx.todos[t].update({ title: `a${n}`, priority: n })));
      writes.push(b.db.transact(b.db.tx.todos[t].update({ title: `b${n}`, note: `n${n}` })));
    }
    await Promise.all(writes.map((w) => within(w, 'ack')));
    const { todos } = await admin.query(query);
    await until(
      () =>
        [wa, wb].every((watched) => {
          const [{ title, priority }] = watched.last().data.todos;
          return title === todos[0].title && priority === todos[0].priority;
        }),
      'both clients at the server state',
    );
    assert.deepEqual(wa.last().data.todos, wb.last().data.todos);
    assert.equal(todos[0].priority, 19);
    assert.equal(todos[0].note, 'n19');
    wa.unsubscribe();
    wb.unsubscribe();
  });
});

describe('subscriptions', () => {
  test('two subscribers of one query both hear, also after one left', async () => {
    const label = id();
    const query = { todos: { $: { where: { label } } } };
    const [x, y] = [watch(a.db, query), watch(a.db, query)];
    await answer(x, (r) => r.data);
    await answer(y, (r) => r.data);
    x.unsubscribe();
    await b.db.transact(todo(b.db, id(), { label }));
    await answer(y, (r) => r.data.todos.length === 1, 'the refresh');
    y.unsubscribe();
  });

  test('[trap 17] add, remove, add of one query back to back stays live', async () => {
    const label = id();
    const query = { todos: { $: { where: { label } } } };
    for (let n = 0; n < 5; n += 1) watch(a.db, query).unsubscribe();
    const watched = watch(a.db, query);
    await answer(watched, (r) => r.data);
    await b.db.transact(todo(b.db, id(), { label }));
    await answer(watched, (r) => r.data.todos.length === 1, 'the refresh');
    watched.unsubscribe();
  });

  test('[trap 16] queryOnce twice at once, and beside a subscription, has data', async () => {
    const query = { tags: {} };
    const watched = watch(a.db, query);
    const answers = await Promise.all(
      [a.db.queryOnce(query), a.db.queryOnce(query), a.db.queryOnce(query)].map((p) =>
        within(p, 'queryOnce'),
      ),
    );
    for (const { data } of answers) assert.ok(Array.isArray(data.tags));
    watched.unsubscribe();
  });

  test('[trap 1] odd numbers, keys and null options come back as sent', async () => {
    const queries = [
      { todos: { $: { where: { priority: 1.0, title: 'ä\u2028' }, limit: null } } },
      { todos: { $: { where: { and: [{ or: [{ done: true }] }] }, order: {} } } },
      { todos: { $: { where: { priority: { $in: [1e3, -0.5, 12345678901234567890] } } } } },
      { todos: { $: { where: { label: '\\u0007 "quoted" \\\\' } } } },
    ];
    for (const q of queries) {
      const { data } = await within(a.db.queryOnce(q), JSON.stringify(q));
      assert.ok(Array.isArray(data.todos));
    }
  });

  test('unknown namespaces and attrs answer empty, and come alive when they appear', async () => {
    const bare = await connectCore(server, app);
    const [namespace, t] = [`late${Date.now()}`, id()];
    const watched = watch(bare.db, { [namespace]: { $: { where: { colour: 'red' } } } });
    await answer(watched, (r) => r.data?.[namespace].length === 0);
    const writer = await connectCore(server, app);
    await within(
      writer.db.transact(writer.db.tx[namespace][t].update({ colour: 'red' })),
      'the write',
    );
    await answer(watched, (r) => r.data[namespace][0]?.colour === 'red', 'the new namespace');
    bare.close();
    writer.close();
  });

  test('dates come as Date objects with useDateObjects', async () => {
    const [t, label] = [id(), id()];
    const dated = await connectCore(server, app, { schema, useDateObjects: true });
    const due = new Date('2025-03-04T05:06:07.008Z');
    await within(
      dated.db.transact(dated.db.tx.todos[t].update({ title: 'd', done: false, label, due })),
      'the write',
    );
    await a.db.transact(todo(a.db, id(), { label, due: Date.UTC(2025, 0, 1) }));
    await a.db.transact(todo(a.db, id(), { label }));
    const { data } = await within(
      dated.db.queryOnce({ todos: { $: { where: { label }, order: { due: 'desc' } } } }),
      'queryOnce',
    );
    assert.deepEqual(
      data.todos.map((x) => x.due?.getTime() ?? null),
      [due.getTime(), Date.UTC(2025, 0, 1), null],
    );
    const { todos } = await admin.query({ todos: { $: { where: { id: t } } } });
    assert.equal(todos[0].due, due.toISOString(), 'stored as written');
    dated.close();
  });
});

describe('errors of queries', () => {
  for (const [what, query, pattern] of [
    ['an unknown option', { todos: { $: { sort: 1 } } }, /sort|supported|where/],
    ['a limit of zero', { todos: { $: { limit: 0 } } }, /limit.*positive integer/],
    ['a negative limit', { todos: { $: { limit: -1 } } }, /limit.*positive integer.*-1/],
    ['limit and first', { todos: { $: { limit: 1, first: 1 } } }, /limit.*first|first.*limit/],
    ['a wrong direction', { todos: { $: { order: { title: 'up' } } } }, /asc.*desc/],
    [
      'an order by two attrs',
      { todos: { $: { order: { title: 'asc', done: 'asc' } } } },
      /single|one/,
    ],
    ['an order by an unindexed attr', { todos: { $: { order: { note: 'asc' } } } }, /index/],
    ['an order by an unknown attr', { todos: { $: { order: { nope: 'asc' } } } }, /nope/],
    [
      'a comparison on an unindexed attr',
      { todos: { $: { where: { note: { $gt: 'a' } } } } },
      /index/,
    ],
    [
      '$like on a number',
      { todos: { $: { where: { priority: { $like: '1%' } } } } },
      /string|like/,
    ],
    ['an unknown operator', { todos: { $: { where: { title: { $near: 1 } } } } }, /near|operator/],
    ['$in that is not a list', { todos: { $: { where: { title: { $in: 'a' } } } } }, /in/],
    [
      '$isNull that is not a boolean',
      { todos: { $: { where: { title: { $isNull: 1 } } } } },
      /null/i,
    ],
    ['a null condition', { todos: { $: { where: { title: null } } } }, /null|title/i],
    [
      'a value of the wrong type',
      { todos: { $: { where: { done: 'yes' } } } },
      /done.*boolean|boolean.*done/,
    ],
    [
      'a link compared with something else than an id',
      { todos: { $: { where: { owner: 'ada' } } } },
      /uuid/i,
    ],
    ['an empty or', { todos: { $: { where: { or: [] } } } }, /empty|or/],
    ['a form that is not an object', { todos: 5 }, /todos|object|map/],
    ['nested offset', { people: { todos: { $: { offset: 5 } } } }, /top-level/],
    ['a nested blob', { todos: { title: {} } }, /title.*link/],
  ]) {
    test(`[trap 11] ${what} reaches the callback, in words`, async () => {
      const bare = await connectCore(server, app);
      bare.reactor.config.disableValidation = true;
      const watched = watch(bare.db, query);
      const { error } = await answer(watched, (r) => r.error, 'the error');
      assert.ok(error.message.length > 10);
      assert.match(`${error.message} ${JSON.stringify(error.hint)}`, pattern);
      const once = await rejection(bare.db.queryOnce(query), 'queryOnce');
      assert.equal(once.message, error.message);
      bare.close();
    });
  }
});

describe('connection', () => {
  test('status goes connecting, opened, authenticated', async () => {
    const client = createCore(server, app);
    const seen = [];
    client.db.subscribeConnectionStatus((status) => seen.push(status));
    await until(
      () => seen.includes('authenticated'),
      () => `authenticated, saw ${seen}`,
    );
    assert.deepEqual(
      seen.filter((s) => s !== 'connecting'),
      ['opened', 'authenticated'],
    );
    client.close();
    await until(() => seen.at(-1) === 'closed', 'closed');
  });

  test('[trap 12] an unknown app is an error the status shows', async () => {
    const client = createCore(server, { id: id() });
    const status = await until(
      () => ['errored', 'authenticated'].includes(client.reactor.status) && client.reactor.status,
      'a verdict',
    );
    assert.equal(status, 'errored');
    assert.match(client.reactor._errorMessage.message, /app/);
    assert.equal(client.reactor._errorMessage.hint['record-type'], 'app');
    client.close();
  });

  test('a wrong refresh token signs the client out and connects it as nobody', async () => {
    const shared = new Map();
    shared.set(`${app.id}/kv`, new Map([['currentUser', { id: id(), refresh_token: id() }]]));
    const client = createCore(server, app, { shared });
    await until(
      () => client.reactor.status === 'authenticated',
      () => `authenticated; is ${client.reactor.status}`,
    );
    assert.equal((await client.reactor.getCurrentUser()).user, null);
    client.close();
  });
});

describe('catalogs', () => {
  test('[trap 18] a client without a schema invents attrs, and may send them twice', async () => {
    const bare = await connectCore(server, app);
    const [namespace, t, u] = [`made${Date.now()}`, id(), id()];
    const first = bare.db.transact(bare.db.tx[namespace][t].update({ size: 1, tint: 'red' }));
    const second = bare.db.transact(bare.db.tx[namespace][u].update({ size: 2, tint: 'blue' }));
    assert.deepEqual(
      (await Promise.all([first, second].map((p) => within(p, 'ack')))).map((r) => r.status),
      ['synced', 'synced'],
    );
    await within(
      bare.db.transact(bare.db.tx[namespace][t].link({ [`${namespace}friends`]: u })),
      'the link',
    );
    const { data } = await bare.db.queryOnce({ [namespace]: { $: { where: { size: 2 } } } });
    assert.deepEqual(data[namespace], [{ id: u, size: 2, tint: 'blue' }]);
    bare.close();
  });

  test('[trap 4] attrs made by one client reach sessions without queries', async () => {
    const [writer, reader] = [await connectCore(server, app), await connectCore(server, app)];
    const label = `field${Date.now()}`;
    await within(
      writer.db.transact(writer.db.tx.tags[id()].update({ name: id(), [label]: 5 })),
      'the write',
    );
    await until(
      () =>
        Object.values(reader.reactor.attrs.attrs).some((x) => x['forward-identity'][2] === label),
      'the attr in the idle client',
    );
    writer.close();
    reader.close();
  });

  test('two clients invent the same attr at once: both writes succeed', async () => {
    const [x, y] = [await connectCore(server, app), await connectCore(server, app)];
    const namespace = `race${Date.now()}`;
    const results = await Promise.allSettled([
      within(x.db.transact(x.db.tx[namespace][id()].update({ who: 'x' })), 'x'),
      within(y.db.transact(y.db.tx[namespace][id()].update({ who: 'y' })), 'y'),
    ]);
    assert.deepEqual(
      results.map((r) => r.reason?.message ?? r.status),
      ['fulfilled', 'fulfilled'],
    );
    for (const client of [x, y]) {
      const watched = watch(client.db, { [namespace]: {} });
      await answer(
        watched,
        (r) =>
          r.data?.[namespace]
            .map((e) => e.who)
            .sort()
            .join() === 'x,y',
        'both rows',
      );
      client.close();
    }
  });

  test('[trap 31] the catalog has the system namespaces', async () => {
    const named = new Set(
      Object.values(a.reactor.attrs.attrs).map((x) => x['forward-identity'].slice(1).join('.')),
    );
    for (const name of [
      '$users.id',
      '$users.email',
      '$files.id',
      '$files.path',
      '$streams.id',
      '$streams.clientId',
    ]) {
      assert.ok(named.has(name), `${name} is missing`);
    }
  });
});
