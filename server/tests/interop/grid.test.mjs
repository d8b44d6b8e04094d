// Each query of the grid through the core client and /admin/query, against the naive answer.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { connectCore, createAdmin, watch, answer } from './support/clients.mjs';
import { gridOf, plain } from './support/grid.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { within } from './support/wait.mjs';
import { World } from './support/world.mjs';

const PAGE_SIZE = 7;
const world = World.generate();
let server;
let app;
let admin;
let core;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  admin = createAdmin(server, app, { schema });
  await world.write(admin);
  await world.readCreatedAt(server, app);
  core = await connectCore(server, app, { schema });
});
after(async () => {
  core?.close();
  await server?.stop();
});

describe('the grid', () => {
  for (const [name, query] of gridOf(world)) {
    test(name, async () => {
      const expected = world.answer(query);
      const [fromAdmin, fromCore] = await Promise.all([
        within(admin.query(query), '/admin/query'),
        within(core.db.queryOnce(query), 'queryOnce'),
      ]);
      assertSame(plain(fromAdmin, query), expected, '/admin/query');
      assertSame(plain(fromCore.data, query), expected, 'core');
    });
  }

  test('the grid is not vacuous', () => {
    const empty = gridOf(world).filter(([, query]) =>
      Object.values(world.answer(query)).every((rows) => rows.length === 0),
    );
    // "an id nobody has", "$in with nothing", "offset past the end" and the like.
    assert.ok(
      empty.length <= 8,
      `too many queries with empty answers: ${empty.map(([name]) => name).join('; ')}`,
    );
  });
});

describe('without a schema', () => {
  test('links of cardinality one are arrays, from both clients', async () => {
    const query = { todos: { $: { where: { priority: 7 } }, owner: { profile: {} } } };
    const expected = world.answer(query);
    const bare = createAdmin(server, app);
    const client = await connectCore(server, app);
    const [fromAdmin, { data }] = await Promise.all([
      bare.query(query),
      within(client.db.queryOnce(query), 'queryOnce'),
    ]);
    client.close();
    for (const tree of [fromAdmin, data]) {
      assert.equal(tree.todos.length, expected.todos.length);
      for (const [n, todo] of tree.todos.entries()) {
        const owner = expected.todos[n].owner;
        assert.deepEqual(
          todo.owner.map((p) => p.id),
          owner ? [owner.id] : [],
        );
        if (owner)
          assert.deepEqual(
            todo.owner[0].profile.map((p) => p.id),
            owner.profile ? [owner.profile.id] : [],
          );
      }
    }
  });
});

describe('pages', () => {
  const orders = [
    ['title', 'asc'],
    ['title', 'desc'],
    ['label', 'asc'],
    ['label', 'desc'],
    ['due', 'asc'],
    ['due', 'desc'],
    ['priority', 'asc'],
    ['priority', 'desc'],
    ['done', 'asc'],
    ['serverCreatedAt', 'asc'],
    ['serverCreatedAt', 'desc'],
  ];
  // A slice of the world small enough to walk, with nulls in every attr that may have them.
  const where = { 'owner.age': { $lt: 2 } };

  for (const [label, direction] of orders) {
    test(`[trap 6] pages by ${label} ${direction} join up to the whole, forwards`, async () => {
      const options = { where, order: { [label]: direction } };
      const whole = world.top('todos', { $: options }).ids;
      assert.ok(whole.length > 3 * PAGE_SIZE, `only ${whole.length} rows to page through`);
      const seen = [];
      let cursor;
      for (let pages = 0; pages < 100; pages += 1) {
        const $ = { ...options, first: PAGE_SIZE, ...(cursor ? { after: cursor } : {}) };
        const { data, pageInfo } = await within(
          core.db.queryOnce({ todos: { $ } }),
          `page ${pages}`,
        );
        seen.push(...data.todos.map((t) => t.id));
        assert.equal(pageInfo.todos.hasPreviousPage, pages > 0, `hasPreviousPage of page ${pages}`);
        assert.equal(
          pageInfo.todos.hasNextPage,
          seen.length < whole.length,
          `hasNextPage of page ${pages}`,
        );
        cursor = pageInfo.todos.endCursor;
        if (!pageInfo.todos.hasNextPage) break;
      }
      assert.deepEqual(seen, whole);
    });
  }

  test('pages join up backwards, with last and before', async () => {
    const options = { where, order: { title: 'asc' } };
    const whole = world.top('todos', { $: options }).ids;
    let seen = [];
    let cursor;
    for (let pages = 0; pages < 100; pages += 1) {
      const $ = { ...options, last: PAGE_SIZE, ...(cursor ? { before: cursor } : {}) };
      const { data, pageInfo } = await within(core.db.queryOnce({ todos: { $ } }), `page ${pages}`);
      seen = [...data.todos.map((t) => t.id), ...seen];
      cursor = pageInfo.todos.startCursor;
      if (!pageInfo.todos.hasPreviousPage) break;
    }
    assert.deepEqual(seen, whole);
  });

  test('inclusive cursors keep the row they name', async () => {
    const options = { where, order: { title: 'asc' } };
    const whole = world.top('todos', { $: options }).ids;
    const { pageInfo } = await core.db.queryOnce({ todos: { $: { ...options, first: 5 } } });
    const cursor = pageInfo.todos.endCursor;
    const page = async ($) =>
      (
        await within(core.db.queryOnce({ todos: { $: { ...options, ...$ } } }), 'page')
      ).data.todos.map((t) => t.id);
    assert.deepEqual(await page({ after: cursor, first: 3 }), whole.slice(5, 8));
    assert.deepEqual(
      await page({ after: cursor, afterInclusive: true, first: 3 }),
      whole.slice(4, 7),
    );
    assert.deepEqual(await page({ before: cursor }), whole.slice(0, 4));
    assert.deepEqual(await page({ before: cursor, beforeInclusive: true }), whole.slice(0, 5));
  });

  test('cursors name the first and last row: [entity, attr, value, created_at]', async () => {
    const query = { todos: { $: { order: { title: 'asc' }, limit: 4, where } } };
    const { data, pageInfo } = await core.db.queryOnce(query);
    const [first, last] = [data.todos[0], data.todos.at(-1)];
    const { startCursor, endCursor } = pageInfo.todos;
    assert.equal(startCursor.length, 4);
    assert.deepEqual([startCursor[0], startCursor[2]], [first.id, first.title]);
    assert.deepEqual([endCursor[0], endCursor[2]], [last.id, last.title]);
    assert.ok(Number.isInteger(startCursor[3]));
  });

  test('an empty page past the end: no cursors, nothing next, something before', async () => {
    const { data, pageInfo } = await core.db.queryOnce({ tags: { $: { limit: 1, offset: 999 } } });
    assert.deepEqual(data.tags, []);
    assert.equal(pageInfo.tags.hasNextPage, false);
    assert.equal(pageInfo.tags.hasPreviousPage, true);
  });

  test('a cursor of another order is an error that names both', async () => {
    const { pageInfo } = await core.db.queryOnce({
      todos: { $: { order: { title: 'asc' }, limit: 4 } },
    });
    const watched = watch(core.db, {
      todos: { $: { order: { priority: 'asc' }, limit: 4, after: pageInfo.todos.endCursor } },
    });
    const { error } = await answer(watched, (a) => a.error, 'the error');
    assert.match(error.message, /priority/);
    assert.match(error.message, /title/);
    watched.unsubscribe();
  });
});

describe('numbers', () => {
  test('aggregate count, admin over SSE', async () => {
    const query = { todos: { $: { aggregate: 'count', where: { done: true } } } };
    const expected = world.answer({ todos: { $: { where: { done: true } } } }).todos.length;
    const client = await connectCore(server, app, { schema, admin: true });
    const { aggregate, data } = (await within(client.db.queryOnce(query), 'count')) ?? {};
    client.close();
    assert.deepEqual(aggregate ?? data, { todos: { count: expected } });
  });

  test('aggregate is refused to sessions that are not admin', async () => {
    await assert.rejects(core.db.queryOnce({ todos: { $: { aggregate: 'count' } } }), (error) => {
      assert.match(error.message, /admin/i);
      return true;
    });
  });
});

function assertSame(actual, expected, who) {
  for (const [etype, rows] of Object.entries(expected)) {
    const ids = actual[etype].map((row) => row.id);
    const due = rows.map((row) => row.id);
    if (JSON.stringify(ids) !== JSON.stringify(due)) {
      const missing = due.filter((id) => !ids.includes(id));
      const extra = ids.filter((id) => !due.includes(id));
      const what =
        missing.length || extra.length
          ? `misses ${missing.length}, has ${extra.length} too many`
          : 'has another order';
      const show = (id) => JSON.stringify(world.row(etype, id));
      const at = ids.findIndex((id, n) => id !== due[n]);
      assert.fail(
        `${who}: ${etype} ${what} (of ${due.length})\n missing ${missing.slice(0, 3).map(show)}` +
          `\n extra ${extra.slice(0, 3).map(show)}` +
          `\n at ${at} got ${show(ids[at])}\n at ${at} due ${show(due[at])}`,
      );
    }
    for (const [n, row] of rows.entries())
      assert.deepEqual(actual[etype][n], row, `${who}: ${etype}[${n}]`);
  }
}
