// subscribeInfiniteQuery: pages forwards, new items at the head, changes inside frozen pages.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { connectCore } from './support/clients.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, post, startServer } from './support/server.mjs';
import { nextMillisecond, until, within } from './support/wait.mjs';

const PAGE = 4;
let server;
let app;
let a;
let b;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  a = await connectCore(server, app, { schema });
  b = await connectCore(server, app, { schema });
});
after(async () => {
  a?.close();
  b?.close();
  await server?.stop();
});

/** Write todos with these priorities, a transaction each, so that creation is ordered. */
async function writeTodos(label, priorities) {
  const ids = {};
  for (const priority of priorities) {
    ids[priority] = id();
    const chunk = b.db.tx.todos[ids[priority]].create({
      title: `t${priority}`,
      done: false,
      label,
      priority,
    });
    await within(b.db.transact(chunk), 'a write');
    await nextMillisecond();
  }
  return ids;
}

function subscribe(label, order) {
  const answers = [];
  const query = { todos: { $: { where: { label }, limit: PAGE, order } } };
  const { loadNextPage, unsubscribe } = a.db.subscribeInfiniteQuery(query, (r) => answers.push(r));
  const shown = () => answers.at(-1)?.data?.todos.map((t) => t.priority) ?? [];
  const shows = (expected, what) =>
    until(
      () => JSON.stringify(shown()) === JSON.stringify(expected),
      () =>
        `${what}: due ${expected}, shown ${shown()}, ${JSON.stringify(answers.at(-1)?.error)}`,
    );
  return {
    answers,
    loadNextPage,
    unsubscribe,
    shown,
    shows,
    canLoad: () => answers.at(-1)?.canLoadNextPage,
  };
}

const range = (from, to) =>
  Array.from({ length: Math.abs(to - from) + 1 }, (_, n) => from + Math.sign(to - from) * n);

describe('[trap 6] infinite queries', () => {
  for (const direction of ['asc', 'desc']) {
    test(`by an attr, ${direction}: pages load until the end`, async () => {
      const label = id();
      await writeTodos(label, range(10, 20));
      const whole = direction === 'asc' ? range(10, 20) : range(20, 10);
      const list = subscribe(label, { priority: direction });
      await list.shows(whole.slice(0, PAGE), 'the first page');
      await until(list.canLoad, 'a next page');
      list.loadNextPage();
      await list.shows(whole.slice(0, 2 * PAGE), 'two pages');
      list.loadNextPage();
      await list.shows(whole, 'all');
      await until(() => list.canLoad() === false, 'the end');
      list.unsubscribe();
    });

    test(`by an attr, ${direction}: more than a page of new head items appears`, async () => {
      const label = id();
      const sign = direction === 'asc' ? -1 : 1;
      await writeTodos(label, range(100, 105));
      const whole = direction === 'asc' ? range(100, 105) : range(105, 100);
      const list = subscribe(label, { priority: direction });
      await list.shows(whole.slice(0, PAGE), 'the first page');
      const head = range(1, 2 * PAGE + 1).map((n) => (direction === 'asc' ? 100 : 105) + sign * n);
      const expected = [...whole.slice(0, PAGE)];
      for (const priority of head) {
        await writeTodos(label, [priority]);
        expected.unshift(priority);
        await list.shows(expected, `the head item ${priority}`);
      }
      list.unsubscribe();
    });
  }

  test('[Q160] integers that JavaScript reads as one number are shown once each', async () => {
    const label = id();
    const great = [993, 992, 993, 994, 995, 996, 992].map((n) => `9007199254740${n}`);
    const rows = [...great, '1152921504606846977', '1152921504606846975', '7'].map((priority) => ({
      id: id(),
      priority,
    }));
    // Written as text: JavaScript cannot write these numbers.
    const steps = rows.map(
      (row) =>
        `["create","todos","${row.id}",{"title":"t","done":false,"label":"${label}",` +
        `"priority":${row.priority}}]`,
    );
    const headers = { 'app-id': app.id, authorization: `Bearer ${app.adminToken}` };
    const written = await post(
      `${server.url}/admin/transact`,
      `{"steps":[${steps.join()}]}`,
      headers,
    );
    assert.equal(written.status, 200, written.text);
    for (const direction of ['asc', 'desc']) {
      const whole = rows
        .sort((x, y) => Number(x.priority) - Number(y.priority) || (x.id < y.id ? -1 : 1))
        .map((row) => row.id);
      if (direction === 'desc') whole.reverse();
      const list = subscribe(label, { priority: direction });
      const shown = () => list.answers.at(-1)?.data?.todos.map((todo) => todo.id) ?? [];
      for (let count = PAGE; ; count += PAGE) {
        const expected = whole.slice(0, count);
        await until(
          () => shown().join() === expected.join(),
          () => `${direction}, ${count}: due ${expected}, shown ${shown()}`,
        );
        if (count >= whole.length) break;
        await until(list.canLoad, 'a next page');
        list.loadNextPage();
      }
      list.unsubscribe();
    }
  });

  test('by creation, newest first: what comes next comes on top', async () => {
    const label = id();
    await writeTodos(label, range(1, 6));
    const list = subscribe(label, { serverCreatedAt: 'desc' });
    await list.shows([6, 5, 4, 3], 'the first page');
    await writeTodos(label, [7]);
    await list.shows([7, 6, 5, 4, 3], 'the new item');
    list.loadNextPage();
    await list.shows([7, 6, 5, 4, 3, 2, 1], 'the rest');
    list.unsubscribe();
  });

  test('without order: creation, oldest first', async () => {
    const label = id();
    await writeTodos(label, range(1, 6));
    const list = subscribe(label, undefined);
    await list.shows([1, 2, 3, 4], 'the first page');
    list.loadNextPage();
    await list.shows(range(1, 6), 'the rest');
    list.unsubscribe();
  });

  test('fewer items than a page, then more', async () => {
    const label = id();
    const list = subscribe(label, { priority: 'asc' });
    await until(() => list.answers.length > 0, 'the empty answer');
    await writeTodos(label, [1, 2]);
    await list.shows([1, 2], 'two items');
    await writeTodos(label, [3, 4, 5]);
    await list.shows([1, 2, 3, 4], 'a full page');
    await until(list.canLoad, 'a next page');
    list.unsubscribe();
  });

  test('items inside loaded pages change, move in, and go', async () => {
    const label = id();
    const ids = await writeTodos(label, [10, 20, 30, 40, 50, 60, 70, 80, 90]);
    const list = subscribe(label, { priority: 'asc' });
    await list.shows([10, 20, 30, 40], 'the first page');
    list.loadNextPage();
    await list.shows([10, 20, 30, 40, 50, 60, 70, 80], 'two pages');
    await writeTodos(label, [25]);
    await list.shows([10, 20, 25, 30, 40, 50, 60, 70, 80], 'a row inside the frozen page');
    await within(b.db.transact(b.db.tx.todos[ids[30]].delete()), 'the delete');
    await list.shows([10, 20, 25, 40, 50, 60, 70, 80], 'a row gone from it');
    await within(b.db.transact(b.db.tx.todos[ids[20]].update({ title: 'changed' })), 'the update');
    await until(
      () => list.answers.at(-1).data.todos.some((t) => t.title === 'changed'),
      'the change',
    );
    list.unsubscribe();
  });
});
