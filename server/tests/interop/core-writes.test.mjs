// The core client writing: every operation, what is optimistic, what is confirmed, what is refused.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id, lookup } from '@instantdb/core';
import { answer, connectCore, createAdmin, watch } from './support/clients.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection, settle, until, within } from './support/wait.mjs';

let server;
let app;
let admin;
let core;
let other;
let db;
let emails = 0;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  admin = createAdmin(server, app, { schema });
  core = await connectCore(server, app, { schema });
  other = await connectCore(server, app, { schema });
  db = core.db;
});
after(async () => {
  core?.close();
  other?.close();
  await server?.stop();
});

const person = (more = {}) => ({
  name: 'Ada',
  email: `p${(emails += 1)}@example.com`,
  age: 36,
  active: true,
  ...more,
});
const write = (chunks) => within(db.transact(chunks), 'transact');
const read = async (etype, entity, links = {}) =>
  (await admin.query({ [etype]: { $: { where: { id: entity } }, ...links } }))[etype][0];

describe('operations', () => {
  test('update makes an entity, and changes one', async () => {
    const p = id();
    const result = await write(db.tx.people[p].update(person({ age: 1 })));
    assert.equal(result.status, 'synced');
    assert.equal((await read('people', p)).age, 1);
    await write(db.tx.people[p].update({ age: 2 }));
    const row = await read('people', p);
    assert.equal(row.age, 2);
    assert.equal(row.name, 'Ada');
  });

  test('indexed attrs that were never set read as null, unindexed ones are absent', async () => {
    const p = id();
    await write(db.tx.people[p].create(person()));
    const query = { people: { $: { where: { id: p } } } };
    for (const row of [(await db.queryOnce(query)).data.people[0], await read('people', p)]) {
      assert.equal(row.score, null);
      assert.equal(row.born, null);
      assert.ok(!('bio' in row), 'bio is absent');
      assert.ok(!('prefs' in row), 'prefs is absent');
    }
  });

  test('an explicit null is stored and shown, on unindexed attrs too', async () => {
    const p = id();
    await write(db.tx.people[p].create(person({ bio: 'x' })));
    await write(db.tx.people[p].update({ bio: null }));
    assert.equal((await read('people', p)).bio, null);
    assert.ok('bio' in (await read('people', p)));
  });

  test('create refuses an entity that exists', async () => {
    const p = id();
    await write(db.tx.people[p].create(person()));
    const error = await rejection(
      db.transact(db.tx.people[p].create(person())),
      'the second create',
    );
    assert.match(error.message, new RegExp(`Creating entities that exist: ${p}`));
  });

  test('update with upsert: false refuses an entity that does not exist', async () => {
    const p = id();
    const error = await rejection(
      db.transact(db.tx.people[p].update({ age: 3 }, { upsert: false })),
      'the update',
    );
    assert.match(error.message, new RegExp(`Updating entities that don't exist: ${p}`));
  });

  test('every JSON value survives', async () => {
    const values = [
      null,
      true,
      false,
      0,
      -1.5,
      1e21,
      1e-7,
      9007199254740991,
      '',
      'ä😀',
      ' \t\n"\\',
      [],
      {},
      [[[]]],
      { a: { b: [1, { c: null }] } },
      '\u2028',
    ];
    for (const value of values) {
      const p = id();
      await write(db.tx.people[p].create(person({ prefs: value })));
      assert.deepEqual((await read('people', p)).prefs, value, JSON.stringify(value));
      const { data } = await db.queryOnce({ people: { $: { where: { id: p } } } });
      assert.deepEqual(data.people[0].prefs, value, JSON.stringify(value));
    }
  });

  test('merge merges objects, drops keys given as null, replaces arrays', async () => {
    const p = id();
    await write(
      db.tx.people[p].create(person({ prefs: { a: { x: 1, y: 2 }, list: [1, 2], gone: 1 } })),
    );
    await write(db.tx.people[p].merge({ prefs: { a: { y: 3, z: 4 }, list: [9], gone: null } }));
    assert.deepEqual((await read('people', p)).prefs, { a: { x: 1, y: 3, z: 4 }, list: [9] });
  });

  test('link and unlink, from both sides, has-one replaced', async () => {
    const [p, q, t] = [id(), id(), id()];
    await write([
      db.tx.people[p].create(person()),
      db.tx.people[q].create(person()),
      db.tx.todos[t].create({ title: 't', done: false }),
    ]);
    await write(db.tx.todos[t].link({ owner: p }));
    assert.equal((await read('todos', t, { owner: {} })).owner.id, p);
    await write(db.tx.people[q].link({ todos: t }));
    assert.equal((await read('todos', t, { owner: {} })).owner.id, q);
    assert.deepEqual((await read('people', p, { todos: {} })).todos, []);
    await write(db.tx.people[q].unlink({ todos: t }));
    assert.equal((await read('todos', t, { owner: {} })).owner ?? null, null);
  });

  test('many-many links add up, unlink takes one away', async () => {
    const [t, a, b] = [id(), id(), id()];
    await write([
      db.tx.tags[a].create({ name: `a${a}` }),
      db.tx.tags[b].create({ name: `b${b}` }),
      db.tx.todos[t].create({ title: 't', done: false }).link({ tags: [a, b] }),
    ]);
    await write(db.tx.todos[t].link({ tags: a }));
    assert.deepEqual(
      (await read('todos', t, { tags: {} })).tags.map((x) => x.id).sort(),
      [a, b].sort(),
    );
    await write(db.tx.tags[a].unlink({ todos: t }));
    assert.deepEqual(
      (await read('todos', t, { tags: {} })).tags.map((x) => x.id),
      [b],
    );
  });

  test('a one-one link refuses a second source', async () => {
    const [p, x, y] = [id(), id(), id()];
    await write([
      db.tx.people[p].create(person()),
      db.tx.profiles[x].create({ handle: x }).link({ person: p }),
    ]);
    const error = await rejection(
      db.transact(db.tx.profiles[y].create({ handle: y }).link({ person: p })),
      'the second link',
    );
    assert.equal(error.hint?.['record-type'] ?? 'none', 'triple');
    assert.equal((await read('people', p, { profile: {} })).profile.id, x);
    assert.equal(await read('profiles', y), undefined, 'nothing of the refused transaction stays');
  });

  test('a link to an entity that does not exist yet shows once it does', async () => {
    const [t, p] = [id(), id()];
    await write(db.tx.todos[t].create({ title: 't', done: false }).link({ owner: p }));
    assert.equal((await read('todos', t, { owner: {} })).owner ?? null, null);
    await write(db.tx.people[p].create(person()));
    assert.equal((await read('todos', t, { owner: {} })).owner.id, p);
  });

  test('lookups: update, link by lookup, upsert, delete', async () => {
    const p = id();
    const { email } = person();
    await write(db.tx.people[p].create(person({ email })));
    await write(db.tx.people[lookup('email', email)].update({ age: 77 }));
    assert.equal((await read('people', p)).age, 77);
    const t = id();
    await write(
      db.tx.todos[t].create({ title: 't', done: false }).link({ owner: lookup('email', email) }),
    );
    assert.equal((await read('todos', t, { owner: {} })).owner.id, p);
    const fresh = person().email;
    await write(
      db.tx.people[lookup('email', fresh)].update({ name: 'New', age: 1, active: false }),
    );
    const { people } = await admin.query({ people: { $: { where: { email: fresh } } } });
    assert.equal(people.length, 1);
    assert.equal(people[0].name, 'New');
    await write(db.tx.people[lookup('email', fresh)].delete());
    assert.deepEqual(
      (await admin.query({ people: { $: { where: { email: fresh } } } })).people,
      [],
    );
    await write(db.tx.people[lookup('email', 'nobody@example.com')].delete());
  });

  test('a link to a lookup that finds nothing is an error', async () => {
    const t = id();
    const chunk = db.tx.todos[t]
      .create({ title: 't', done: false })
      .link({ owner: lookup('email', 'nobody@example.com') });
    assert.match(
      (await rejection(db.transact(chunk), 'the link')).message,
      /lookup does not exist/,
    );
  });

  test('delete takes links along, cascades where the schema says so, and only there', async () => {
    const [pr, t, c, p] = [id(), id(), id(), id()];
    await write([
      db.tx.people[p].create(person()),
      db.tx.projects[pr].create({ title: 'x', code: pr }),
      db.tx.todos[t].create({ title: 't', done: false }).link({ project: pr, owner: p }),
      db.tx.comments[c].create({ body: 'b', at: 5, rank: 1 }).link({ todo: t, author: p }),
    ]);
    await write(db.tx.projects[pr].delete());
    assert.equal(await read('todos', t), undefined);
    assert.equal(await read('comments', c), undefined);
    assert.deepEqual((await read('people', p, { todos: {}, comments: {} })).todos, []);
  });

  test('several operations are one transaction: all or nothing', async () => {
    const [p, t] = [id(), id()];
    const chunks = [
      db.tx.people[p].create(person()),
      db.tx.todos[t].create({ title: 't', done: false }),
      db.tx.todos[t].create({ title: 'u', done: false }),
    ];
    await write(chunks.slice(0, 2));
    const [q] = [id()];
    await rejection(
      db.transact([
        db.tx.people[q].create(person()),
        db.tx.todos[t].create({ title: 'v', done: true }),
      ]),
      'the transaction',
    );
    assert.equal(await read('people', q), undefined);
    assert.equal((await read('todos', t)).title, 't');
  });

  test('an empty transaction is acknowledged', async () => {
    assert.equal((await write([])).status, 'synced');
  });
});

describe('what is refused', () => {
  test('a second entity with the same unique value', async () => {
    const { email } = person();
    await write(db.tx.people[id()].create(person({ email })));
    const error = await rejection(
      db.transact(db.tx.people[id()].create(person({ email }))),
      'the create',
    );
    assert.match(error.message, /email/);
    assert.equal(error.hint['record-type'], 'triple');
    assert.deepEqual(
      [error.hint.etype, error.hint.label, error.hint.value],
      ['people', 'email', email],
    );
  });

  test('a missing required attr', async () => {
    const p = id();
    const { name: _, ...nameless } = person();
    const error = await rejection(db.transact(db.tx.people[p].create(nameless)), 'the create');
    assert.match(error.message, /Missing required attribute `?people\/name`?/);
    assert.match(error.message, new RegExp(p));
  });

  test('null in a required attr', async () => {
    const p = id();
    await write(db.tx.people[p].create(person()));
    const error = await rejection(
      db.transact(db.tx.people[p].update({ name: null })),
      'the update',
    );
    assert.match(error.message, /required/i);
    assert.equal((await read('people', p)).name, 'Ada');
  });

  for (const [label, value, type] of [
    ['name', 5, 'string'],
    ['age', 'old', 'number'],
    ['active', 'yes', 'boolean'],
    ['born', 'not a day', 'date'],
    ['born', true, 'date'],
    ['age', [1], 'number'],
  ]) {
    test(`[trap 10] ${JSON.stringify(value)} in a ${type} attr`, async () => {
      const p = id();
      // A client without the schema, so that the server has to say it.
      const bare = await connectCore(server, app);
      const error = await rejection(
        bare.db.transact(bare.db.tx.people[p].update(person({ [label]: value }))),
        'the write',
      );
      bare.close();
      assert.match(error.message, new RegExp(`people.${label}`));
      assert.match(error.message, new RegExp(type));
      assert.equal(await read('people', p), undefined);
    });
  }
});

describe('optimism', () => {
  test('a write shows at once, and stays when confirmed', async () => {
    const t = id();
    const watched = watch(db, { todos: { $: { where: { id: t } } } });
    await answer(watched, (a) => a.data?.todos.length === 0);
    const start = watched.answers.length;
    const written = db.transact(db.tx.todos[t].create({ title: 'now', done: false }));
    await until(() => watched.last().data.todos.length === 1, 'the optimistic view');
    assert.equal((await within(written, 'ack')).status, 'synced');
    await settle();
    assert.deepEqual(
      new Set(watched.answers.slice(start).map((a) => a.data.todos[0]?.title)),
      new Set(['now']),
    );
    watched.unsubscribe();
  });

  test('[trap 2] an own write never flickers away', async () => {
    const t = id();
    await write(db.tx.todos[t].create({ title: '0', done: false }));
    const watched = watch(db, { todos: { $: { where: { id: t } } } });
    await answer(watched, (a) => a.data?.todos[0]?.title === '0');
    const start = watched.answers.length;
    const writes = Array.from({ length: 40 }, (_, n) =>
      db.transact(db.tx.todos[t].update({ title: String(n + 1) })),
    );
    await Promise.all(writes.map((w) => within(w, 'ack')));
    await settle();
    const titles = watched.answers.slice(start).map((a) => Number(a.data.todos[0].title));
    assert.deepEqual(
      titles,
      [...titles].sort((a, b) => a - b),
      'titles only rise',
    );
    assert.equal(titles.at(-1), 40);
    watched.unsubscribe();
  });

  test('a refused write is rolled back', async () => {
    const t = id();
    await write(db.tx.todos[t].create({ title: 'kept', done: false }));
    const watched = watch(db, { todos: { $: { where: { id: t } } } });
    await answer(watched, (a) => a.data?.todos[0]?.title === 'kept');
    const refused = rejection(
      db.transact([
        db.tx.todos[t].update({ title: 'lost' }),
        db.tx.people[id()].update({ age: 1 }),
      ]),
      'the write',
    );
    await until(
      () => watched.answers.some((a) => a.data?.todos[0]?.title === 'lost'),
      'the optimistic view',
      1_000,
    );
    await refused;
    await answer(watched, (a) => a.data.todos[0].title === 'kept', 'the rollback');
    watched.unsubscribe();
  });

  test('[trap 20] a refused write is rolled back after an interleaved refresh too', async () => {
    const [t, marker] = [id(), id()];
    const { email } = person();
    await write([
      db.tx.todos[t].create({ title: 'kept', done: false, label: marker }),
      db.tx.people[id()].create(person({ email })),
    ]);
    const watched = watch(db, { todos: { $: { where: { label: marker } } } });
    await answer(watched, (a) => a.data?.todos[0]?.title === 'kept');
    // The refused write is held back; meanwhile somebody else changes the same query. The client
    // then bakes the optimistic value into the refreshed result.
    const { reactor } = core;
    const { _trySend: send } = reactor;
    const heldBack = [];
    reactor._trySend = (...args) =>
      args[1].op === 'transact' ? heldBack.push(args) : send.apply(reactor, args);
    const refused = rejection(
      db.transact([
        db.tx.todos[t].update({ title: 'lost' }),
        db.tx.people[id()].create(person({ email })),
      ]),
      'the write',
    );
    const sibling = id();
    await within(
      other.db.transact(
        other.db.tx.todos[sibling].create({ title: 'sibling', done: false, label: marker }),
      ),
      'the other write',
    );
    await answer(watched, (a) => a.data.todos.length === 2, 'the refresh');
    reactor._trySend = send;
    for (const args of heldBack) send.apply(reactor, args);
    assert.match((await refused).message, /email/);
    await answer(
      watched,
      (a) => a.data.todos.find((x) => x.id === t).title === 'kept',
      'the rollback',
    );
    watched.unsubscribe();
  });

  test('one of several pending writes is refused, the others stay', async () => {
    const [a, b] = [id(), id()];
    const { email } = person();
    await write(db.tx.people[id()].create(person({ email })));
    const results = await Promise.allSettled([
      db.transact(db.tx.todos[a].create({ title: 'a', done: false })),
      db.transact(db.tx.people[id()].create(person({ email }))),
      db.transact(db.tx.todos[b].create({ title: 'b', done: false })),
    ]);
    assert.deepEqual(
      results.map((r) => r.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal((await read('todos', b)).title, 'b');
  });
});

describe('what no decoder takes, and what is too much', () => {
  const refused = [
    ['half of a surrogate pair', { bio: '\ud83d' }, /tx-steps/],
    ['a text of 9 MiB', { bio: 'x'.repeat(9 * 1024 * 1024) }, /8,388,608 bytes/],
    ['half of a pair in 1 MiB', { bio: 'x'.repeat(1024 * 1024) + '\udc00' }, /tx-steps/],
    ['a million lists', { prefs: Array.from({ length: 1_000_000 }, () => []) }, /many values/],
  ];
  for (const [what, fields, message] of refused) {
    test(`[P115] ${what}: the write is rejected and taken back, the connection stays`, async () => {
      const [kept, lost] = [id(), id()];
      const name = id();
      const watched = watch(db, { people: { $: { where: { name } } } });
      await write(db.tx.people[kept].create(person({ name })));
      const socket = core.reactor._transport;
      const error = await rejection(
        db.transact(db.tx.people[lost].create(person({ name, ...fields }))),
        'the write',
      );
      assert.match(error.message, message);
      await answer(watched, (a) => a.data?.people.length === 1, 'the rollback');
      await write(db.tx.people[id()].create(person({ name })));
      await answer(watched, (a) => a.data?.people.length === 2, 'the next write');
      assert.equal(core.reactor._transport, socket, 'the same connection');
      watched.unsubscribe();
    });
  }

  test('[P115] half of a surrogate pair in a query: it fails, and no other does', async () => {
    const q = { people: { $: { where: { name: '\ud83d' } } } };
    const error = await rejection(db.queryOnce(q), 'the query');
    assert.match(error.message, /Validation failed for query/);
    const watched = watch(db, q);
    await answer(watched, (a) => a.error, 'the error of the live query');
    watched.unsubscribe();
    assert.ok((await within(db.queryOnce({ people: {} }), 'another query')).data.people);
  });

  test('[P110] a write of 4 MiB arrives whole, and those after it behind it', async () => {
    const p = id();
    const bio = 'é'.repeat(2 * 1024 * 1024);
    await Promise.all([
      write(db.tx.people[p].create(person({ bio }))),
      write(db.tx.people[p].update({ name: 'after' })),
    ]);
    const row = await read('people', p);
    assert.equal(row.bio, bio);
    assert.equal(row.name, 'after');
  });
});
