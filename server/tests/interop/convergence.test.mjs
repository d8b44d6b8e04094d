// A random history: after every burst of writes each live query shows what a fresh one answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import './support/browser.mjs';
import { connectCore, createAdmin, watch } from './support/clients.mjs';
import { Random, SEED } from './support/random.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until, within } from './support/wait.mjs';

const BURSTS = 40;
const WRITES_PER_BURST = 8;
const POOL = 12;

const QUERIES = [
  { todos: {} },
  { todos: { owner: {}, tags: {}, project: { sponsor: {} } } },
  { people: { todos: { comments: {} }, manager: {}, profile: {} } },
  { tags: { todos: { owner: {} } } },
  { todos: { $: { where: { done: true } } } },
  { todos: { $: { where: { priority: { $gte: 3 } } }, owner: {} } },
  { todos: { $: { where: { priority: { $isNull: true } } } } },
  { todos: { $: { where: { label: { $in: ['a', 'b', null] } } } } },
  { todos: { $: { where: { label: { $not: 'a' } } } } },
  { todos: { $: { where: { title: { $like: 't1%' } } } } },
  { todos: { $: { where: { 'owner.active': true } } } },
  { todos: { $: { where: { 'owner.active': { $not: true } } } } },
  { todos: { $: { where: { 'owner.score': { $isNull: true } } } } },
  { todos: { $: { where: { owner: { $isNull: true } } } } },
  { todos: { $: { where: { 'tags.name': 'tag 1' } } } },
  { todos: { $: { where: { tags: { $isNull: true } } } } },
  { todos: { $: { where: { or: [{ label: 'a' }, { 'owner.age': { $gt: 50 } }] } } } },
  { todos: { $: { where: { and: [{ 'tags.hue': { $isNull: false } }, { done: false }] } } } },
  { people: { $: { where: { 'todos.done': true } } } },
  { people: { $: { where: { todos: { $isNull: true } } } } },
  { people: { $: { where: { 'manager.manager.active': true } } } },
  { comments: { $: { where: { 'todo.owner.active': true } }, todo: {} } },
  { projects: { todos: { $: { where: { done: true } } } } },
  { projects: { todos: { $: { order: { title: 'desc' } } } } },
  { todos: { $: { order: { title: 'asc' }, limit: 3 } } },
  { todos: { $: { order: { title: 'desc' }, limit: 3, offset: 2 } } },
  { todos: { $: { order: { priority: 'asc' }, limit: 4 } } },
  { todos: { $: { order: { priority: 'desc' }, last: 3 } } },
  { todos: { $: { order: { due: 'desc' }, limit: 4 } } },
  { todos: { $: { limit: 4 } } },
  { todos: { $: { order: { serverCreatedAt: 'desc' }, limit: 4 }, owner: {} } },
  { todos: { $: { where: { done: false }, order: { title: 'asc' }, limit: 2 }, tags: {} } },
  { todos: { $: { where: { 'owner.active': true }, order: { label: 'asc' }, limit: 3 } } },
  { todos: { $: { fields: ['title'], where: { done: true }, order: { priority: 'asc' } } } },
];

let server;
let app;
let watcher;
let writer;
let fresh;
let admin;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  admin = createAdmin(server, app, { schema });
  [watcher, writer, fresh] = await Promise.all(
    [1, 2, 3].map(() => connectCore(server, app, { schema })),
  );
});
after(async () => {
  for (const client of [watcher, writer, fresh]) client?.close();
  await server?.stop();
});

test(`live results equal fresh ones, seed ${SEED}`, async () => {
  const random = new Random();
  const pool = Object.fromEntries(
    ['people', 'todos', 'tags', 'projects', 'comments', 'profiles'].map((etype) => [
      etype,
      Array.from({ length: POOL }, () => random.uuid()),
    ]),
  );
  const watched = QUERIES.map((query) => watch(watcher.db, query));
  await until(() => watched.every((w) => w.answers.length > 0), 'the first answers');
  for (let burst = 0; burst < BURSTS; burst += 1) {
    const said = [];
    const writes = Array.from({ length: WRITES_PER_BURST }, () => {
      // Two writers, so that bursts interleave; refusals (uniqueness) are part of the history.
      const db = random.chance(0.5) ? writer.db : admin;
      const [what, chunk] = operation(random, db.tx, pool);
      said.push(what);
      return within(
        Promise.resolve(db.transact(chunk)).catch(() => {}),
        'a write',
      );
    });
    await Promise.all(writes);
    for (const [n, query] of QUERIES.entries()) {
      let due;
      await until(
        async () => {
          due = JSON.stringify((await within(fresh.db.queryOnce(query), 'queryOnce')).data);
          return JSON.stringify(watched[n].last().data) === due;
        },
        () =>
          `burst ${burst}, ${JSON.stringify(query)} after ${said.join('; ')}\n` +
          ` live  ${JSON.stringify(watched[n].last())}\n fresh ${due}`,
        3_000,
      );
    }
  }
  const { todos } = await admin.query({ todos: {} });
  assert.ok(todos.length > 3, 'the history left something to compare');
  for (const w of watched) w.unsubscribe();
});

/** [description, chunk] of one random write. */
function operation(random, tx, pool) {
  const [t, p, tag, project, comment, profile] = [
    'todos',
    'people',
    'tags',
    'projects',
    'comments',
    'profiles',
  ].map((etype) => random.pick(pool[etype]));
  const todo = {
    title: `t${random.below(30)}`,
    done: random.chance(0.5),
    ...(random.chance(0.6) ? { priority: random.chance(0.2) ? null : random.below(6) } : {}),
    ...(random.chance(0.5) ? { label: random.pick(['a', 'b', 'c', null]) } : {}),
    ...(random.chance(0.4)
      ? {
          due: random.pick([
            Date.UTC(2025, random.below(12), 1),
            `2025-0${1 + random.below(9)}-15`,
          ]),
        }
      : {}),
  };
  const person = {
    name: `n${random.below(9)}`,
    email: `${p}@example.com`,
    age: random.below(99),
    active: random.chance(0.5),
    score: random.pick([null, 1, 2]),
  };
  const choices = [
    ['write todo', () => tx.todos[t].update(todo)],
    ['write todo with links', () => tx.todos[t].update(todo).link({ owner: p, tags: [tag] })],
    ['write person', () => tx.people[p].update(person)],
    [
      'write tag',
      () =>
        tx.tags[tag].update({ name: `tag ${pool.tags.indexOf(tag)}`, hue: random.pick([null, 5]) }),
    ],
    [
      'write project',
      () => tx.projects[project].update({ title: 'p', code: project }).link({ todos: t }),
    ],
    [
      'write comment',
      () =>
        tx.comments[comment]
          .update({ body: 'b', at: 5, rank: random.below(9) })
          .link({ todo: t, author: p }),
    ],
    ['write profile', () => tx.profiles[profile].update({ handle: profile }).link({ person: p })],
    ['link owner', () => tx.todos[t].link({ owner: p })],
    ['unlink owner', () => tx.todos[t].unlink({ owner: p })],
    ['link tag', () => tx.tags[tag].link({ todos: t })],
    ['unlink tag', () => tx.todos[t].unlink({ tags: tag })],
    ['manager', () => tx.people[p].link({ manager: random.pick(pool.people) })],
    ['sponsor', () => tx.people[p].link({ sponsored: project })],
    ['delete todo', () => tx.todos[t].delete()],
    ['delete person', () => tx.people[p].delete()],
    ['delete tag', () => tx.tags[tag].delete()],
    ['delete project', () => tx.projects[project].delete()],
    [
      'two at once',
      () => [tx.todos[t].update(todo), tx.people[p].update(person).link({ todos: t })],
    ],
  ];
  const [what, make] = random.pick(choices);
  return [`${what} ${t.slice(0, 4)} ${p.slice(0, 4)}`, make()];
}
