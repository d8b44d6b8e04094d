// subscribeInfiniteQuery of our own client beside the official one's: at rest both show the same.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { init } from '../../../clients/js/dist/index.js';
import { connectCore } from './support/clients.mjs';
import { Random, SEED } from './support/random.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until, within } from './support/wait.mjs';

const PAGE = 4;
const WORDS = ['apple', 'Apple', 'äpfel', 'zebra', 'Zebra', '10', '2', 'a b', 'ab', ''];
let server;
let app;
let theirs;
let ours;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  theirs = await connectCore(server, app, { schema });
  ours = init({ appId: app.id, server: server.url, schema });
});
after(async () => {
  theirs?.close();
  ours?.shutdown();
  await server?.stop();
});

function list(db, label, order) {
  const answers = [];
  const query = { todos: { $: { where: { label }, limit: PAGE, order } } };
  const { loadNextPage } = db.subscribeInfiniteQuery(query, (answer) => answers.push(answer));
  return {
    answers,
    loadNextPage,
    ids: () => answers.at(-1)?.data?.todos.map((todo) => todo.id) ?? [],
    canLoad: () => answers.at(-1)?.canLoadNextPage ?? false,
  };
}

/** Wait until both lists show the rows that one query has, as many as they loaded. */
async function agree(label, order, pair, what) {
  const query = { todos: { $: { where: { label }, order } } };
  const { data } = await within(ours.queryOnce(query), 'the whole list');
  const whole = data.todos.map((todo) => todo.id);
  const [one, other] = pair;
  await until(
    () => {
      const shown = one.ids();
      return (
        shown.join() === other.ids().join() &&
        shown.join() === whole.slice(0, shown.length).join() &&
        (shown.length > 0 || whole.length === 0) &&
        one.canLoad() === shown.length < whole.length &&
        one.canLoad() === other.canLoad()
      );
    },
    () => `${what}: ours ${one.ids()}, theirs ${other.ids()}, whole ${whole}`,
  );
}

describe('[J133] lists of pages', () => {
  for (const key of ['priority', 'title', 'serverCreatedAt']) {
    for (const direction of ['asc', 'desc']) {
      test(`by ${key}, ${direction} (seed ${SEED})`, async () => {
        const random = new Random(SEED);
        const label = id();
        const order = { [key]: direction };
        const ids = [];
        const write = async () => {
          const known = ids.length > 0 && random.chance(0.4) ? random.pick(ids) : null;
          const fields = { title: random.pick(WORDS), priority: random.below(20), done: false };
          const target = known ?? id();
          if (known === null) ids.push(target);
          const db = random.chance(0.5) ? ours : theirs.db;
          const todo = db.tx.todos[target];
          const isGone = known !== null && random.chance(0.3);
          if (isGone) ids.splice(ids.indexOf(known), 1);
          await within(
            db.transact(isGone ? todo.delete() : todo.update({ ...fields, label })),
            'a write',
          );
        };
        for (let count = 0; count < 14; count += 1) await write();
        const pair = [list(ours, label, order), list(theirs.db, label, order)];
        await agree(label, order, pair, 'the first page');
        for (let round = 0; round < 8; round += 1) {
          for (let count = 0; count < 3; count += 1) await write();
          await agree(label, order, pair, `round ${round}`);
          if (round % 3 !== 2 || !pair[0].canLoad()) continue;
          const before = pair[0].ids().length;
          for (const { loadNextPage } of pair) loadNextPage();
          await until(() => pair[0].ids().length > before, 'the next page');
          await agree(label, order, pair, `page after round ${round}`);
        }
        for (const { data } of pair[0].answers) {
          const shown = data.todos.map((todo) => todo.id);
          assert.equal(new Set(shown).size, shown.length);
        }
      });
    }
  }
});
