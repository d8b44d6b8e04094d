// Totals through the official clients, which were not made for them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { answer, connectCore, createAdmin, watch } from './support/clients.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';

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

const byLabel = { count: true, sum: 'priority', max: ['priority', 'due'], groupBy: 'label' };
const totals = { todos: { $: { where: { done: false }, aggregate: byLabel } } };
const todo = (label, priority, done = false) =>
  a.db.tx.todos[id()].update({ title: 't', done, label, priority });

describe('totals', () => {
  test('[Q125] reach the core client as they are, live, beside other forms', async () => {
    const watched = watch(b.db, { ...totals, people: {} });
    const first = await answer(watched, (r) => r.aggregate);
    assert.deepEqual(first.aggregate, { todos: { groups: [] } });
    assert.deepEqual(first.data, { people: [] });
    await a.db.transact([todo('x', 2), todo('x', 3), todo('y', 0.5), todo('y', 9, true)]);
    const second = await answer(watched, (r) => r.aggregate?.todos.groups.length === 2);
    assert.deepEqual(second.aggregate.todos.groups, [
      { key: 'x', count: 2, sum: { priority: 5 }, max: { priority: 3, due: null } },
      { key: 'y', count: 1, sum: { priority: 0.5 }, max: { priority: 0.5, due: null } },
    ]);
    assert.equal('todos' in second.data, false);
    const person = { name: 'p', email: id(), age: 1, active: true };
    await a.db.transact(a.db.tx.people[id()].update(person));
    await answer(watched, (r) => r.data?.people?.length === 1 && r.aggregate?.todos);
    watched.unsubscribe();
  });

  test('[Q125] can be asked for once, and by the admin client', async () => {
    const query = { todos: { $: { aggregate: { count: true, min: 'priority' } } } };
    const once = await b.db.queryOnce(query);
    assert.deepEqual(once.aggregate, { todos: { count: 4, min: { priority: 0.5 } } });
    assert.deepEqual(await admin.query(query), once.aggregate);
  });

  test('[Q125] are refused by the client or by the server, with the reason', async () => {
    const sibling = { todos: { $: { aggregate: { count: true }, groupBy: 'label' } } };
    assert.throws(() => b.db.subscribeQuery(sibling, () => {}), /groupBy/);
    const watched = watch(b.db, { todos: { $: { aggregate: { sum: 'title' } } } });
    const refused = await answer(watched, (r) => r.error);
    assert.match(refused.error.message, /works on numbers/);
    watched.unsubscribe();
  });
});
