// Clients in Node that work on an app beside Python ones: a line of JSON in, a line out.
//
// The first line is {appId, adminToken, seed, schema, queries, pool, urls: {core, sdk, admin}}.
// Then {writes}: each client makes so many, and the outcomes are told once all have settled;
// {look}: what each shows now, and what it says of its writes; {end}.
import { createInterface } from 'node:readline';

import '../../../server/tests/interop/support/browser.mjs';
import { i, id, tx as coreTx } from '@instantdb/core';
import { connectCore, createAdmin, watch } from '../../../server/tests/interop/support/clients.mjs';
import { Random } from '../../../server/tests/interop/support/random.mjs';
import { init } from '../../js/dist/index.js';

// Clients wait seconds between attempts to connect, and for answers: here their clock runs fast.
const FASTER = 10;
const wait = globalThis.setTimeout;
globalThis.setTimeout = (work, ms, ...more) => wait(work, ms / FASTER, ...more);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const given = await read();
const app = { id: given.appId, adminToken: given.adminToken };
const schema = schemaOf(given.schema);

/** The schema of an app, as the official clients have it. */
function schemaOf({ entities, links }) {
  const attr = ({ valueType, config = {} }) => {
    let made = i[valueType]().optional();
    if (config.unique) made = made.unique();
    return config.indexed ? made.indexed() : made;
  };
  const entity = ({ attrs }) =>
    i.entity(Object.fromEntries(Object.entries(attrs).map(([name, a]) => [name, attr(a)])));
  const made = Object.entries(entities).map(([name, each]) => [name, entity(each)]);
  return i.schema({ entities: Object.fromEntries(made), links, rooms: {} });
}

/** [kind, chunks] of a random write; `canCount`: the client has `increment`. */
function operation(random, tx, { todos, people, tags, counters, names }, canCount) {
  const [t, p, tag] = [todos, people, tags].map((ids) => random.pick(ids));
  const todo = { title: `t${random.below(20)}`, n: random.below(9), done: random.chance(0.5) };
  const choices = [
    ['write', () => [tx.todos[t].update(todo)]],
    ['write', () => [tx.todos[t].update(todo).link({ owner: p, tags: tag })]],
    ['name', () => [tx.people[p].update({ name: random.pick(names) })]],
    ['link', () => [tx.todos[t].link({ owner: p })]],
    ['unlink', () => [tx.todos[t].unlink({ owner: p })]],
    ['link', () => [tx.tags[tag].update({ name: tag }).link({ todos: t })]],
    ['unlink', () => [tx.todos[t].unlink({ tags: tag })]],
    ['delete', () => [tx.todos[t].delete()]],
    ['delete', () => [tx.people[p].delete()]],
    ['two', () => [tx.todos[t].update(todo), tx.people[p].update({ age: todo.n })]],
  ];
  if (canCount) {
    const counter = random.pick(counters);
    const one = [`count ${counter}`, () => [tx.counters[counter].increment({ n: 1 })]];
    choices.push(one, one);
  }
  const [kind, make] = random.pick(choices);
  return [kind, make()];
}

/** A client with its randomness: {name, write(), look(), settled()}. */
function writer(name, number, tx, transact, look, canCount = false) {
  const random = new Random(given.seed * 10 + number);
  return {
    name,
    look,
    async write() {
      const mark = id();
      const [kind, chunks] = operation(random, tx, given.pool, canCount);
      const marked = [tx.marks[mark].update({ by: name, kind }), ...chunks];
      return { id: mark, by: name, kind, ...(await transact(marked, mark)) };
    },
  };
}

const refusal = (error, isRefused) => ({
  status: isRefused ? 'refused' : 'uncertain',
  told: `${error?.name} ${error?.message}`,
});

/** @instantdb/core: what it enqueued and the server refuses later is told without a name. */
async function core() {
  const at = { url: given.urls.core };
  const { db, reactor, close } = await connectCore(at, app, { schema });
  let told = 0;
  let rejected = 0;
  reactor.__subscribeMutationErrors(() => (told += 1));
  const watched = given.queries.map((query) => watch(db, query));
  const transact = async (chunks) => {
    try {
      const { status } = await db.transact(chunks);
      return { status: status === 'synced' ? 'acked' : 'queued' };
    } catch (error) {
      rejected += 1;
      return refusal(error, error.message !== 'transaction timed out');
    }
  };
  const look = () => ({
    shown: watched.map((each) => each.last()?.data ?? null),
    waiting: [...reactor._pendingMutations().values()].filter((each) => !each['tx-id']).length,
    unnamed: told - rejected,
  });
  return { ...writer('core', 1, coreTx, transact, look), close };
}

/** Our own: what it enqueued and the server refuses later is in `pending`. */
function sdk() {
  const db = init({ appId: app.id, server: given.urls.sdk, schema });
  const shown = given.queries.map(() => null);
  for (const [n, query] of given.queries.entries())
    db.subscribeQuery(query, (answer) => (shown[n] = answer.data ?? answer));
  const marks = new Map();
  const transact = async (chunks, mark) => {
    try {
      const { status, eventId } = await db.transact(chunks, { label: mark });
      marks.set(eventId, mark);
      return { status: status === 'synced' ? 'acked' : 'queued' };
    } catch (error) {
      return refusal(error, true);
    }
  };
  const look = () => ({
    shown,
    waiting: db.pending.count,
    refused: db.pending
      .list()
      .filter((each) => each.state === 'rejected')
      .map((each) => each.label),
  });
  return { ...writer('sdk', 2, db.tx, transact, look, true), close: () => db.shutdown() };
}

/** @instantdb/admin: each write is one request, which it sends once. */
function admin() {
  const db = createAdmin({ url: given.urls.admin }, app, { schema });
  const transact = async (chunks) => {
    try {
      await db.transact(chunks);
      return { status: 'acked' };
    } catch (error) {
      return refusal(error, error.status === 400);
    }
  };
  const look = () => ({ shown: null, waiting: 0 });
  return { ...writer('admin', 3, db.tx, transact, look), close() {} };
}

const clients = [await core(), sdk(), admin()];
say({ ready: true });
for (let asked = await read(); !asked.end; asked = await read()) {
  if (asked.look) {
    say(Object.fromEntries(clients.map((each) => [each.name, each.look()])));
    continue;
  }
  const outcomes = await Promise.all(
    clients.map(async (client) => {
      const found = [];
      for (let n = 0; n < asked.writes; n += 1) found.push(await client.write());
      return found;
    }),
  );
  say({ outcomes: outcomes.flat() });
}
for (const { close } of clients) close();
process.exit(0);
