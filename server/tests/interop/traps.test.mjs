// The silent traps of the protocol (instant-realtime §16), looked at message by message.
//
// It is one file because all of it is one numbered list, read beside the protocol's.
import assert from 'node:assert/strict';
import { randomUUID as id } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { RawSession, triplesOf } from './support/raw.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { settle, until } from './support/wait.mjs';

let server;
let app;
let a;
let b;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema(schema) });
  a = await RawSession.connect(server, app.id);
  b = await RawSession.connect(server, app.id);
});
after(async () => {
  a?.close();
  b?.close();
  await server?.stop();
});

const todoSteps = (t, fields = {}) => a.create('todos', t, { title: 'x', done: false, ...fields });
const personSteps = (p, fields = {}) =>
  a.create('people', p, { name: 'n', email: `${p}@example.com`, age: 1, active: true, ...fields });
const byLabel = (label, more = {}) => ({ todos: { $: { where: { label } }, ...more } });
const addQuery = (session, q) => session.ask({ op: 'add-query', q });
const refreshOf = (session, q, start, test = () => true) =>
  session.next(
    (m) =>
      m.op === 'refresh-ok' &&
      m.computations.some((c) => sameJson(c['instaql-query'], q) && test(c)),
    'a refresh of the query',
    { start },
  );
const computation = (message, q) =>
  message.computations.find((c) => sameJson(c['instaql-query'], q));
const sameJson = (x, y) => canonical(x) === canonical(y);

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value && typeof value === 'object') {
    return `{${Object.keys(value)
      .sort()
      .map((k) => `${JSON.stringify(k)}:${canonical(value[k])}`)
      .join()}}`;
  }
  return JSON.stringify(value);
}

async function committed(session, steps) {
  const ok = await session.transact(steps);
  assert.equal(ok.op, 'transact-ok', JSON.stringify(ok));
  return ok['tx-id'];
}

async function refused(session, steps) {
  const error = await session.transact(steps);
  assert.equal(error.op, 'error', JSON.stringify(error).slice(0, 300));
  return error;
}

describe('handshake', () => {
  test('init-ok has a session id, the full catalog and the app status', () => {
    assert.match(a.sessionId, /^[0-9a-f-]{36}$/);
    assert.notEqual(a.sessionId, b.sessionId);
    assert.equal(a.initOk['app-status']?.status ?? 'active', 'active');
    for (const attr of a.attrs) {
      assert.match(attr.id, /^[0-9a-f-]{36}$/);
      assert.equal(attr['forward-identity'].length, 3);
      assert.ok(
        ['blob', 'ref'].includes(attr['value-type']) && ['one', 'many'].includes(attr.cardinality),
      );
      for (const key of ['unique?', 'index?', 'required?'])
        assert.equal(typeof attr[key], 'boolean', `${attr['forward-identity']} ${key}`);
      assert.ok('inferred-types' in attr && ['user', 'system'].includes(attr.catalog));
      if (attr['value-type'] === 'ref') assert.equal(attr['reverse-identity'].length, 3);
    }
    assert.deepEqual(
      a.attrs.map((x) => x.id),
      a.attrs.map((x) => x.id).sort(),
      'sorted by id',
    );
  });

  test('the schema became the catalog it should', () => {
    const facts = (etype, label) => {
      const x = a.findAttr(etype, label);
      return [
        x['value-type'],
        x.cardinality,
        x['unique?'],
        x['index?'],
        x['required?'],
        x['checked-data-type'] ?? null,
      ];
    };
    assert.deepEqual(facts('people', 'email'), ['blob', 'one', true, true, true, 'string']);
    assert.deepEqual(facts('people', 'prefs'), ['blob', 'one', false, false, false, null]);
    assert.deepEqual(facts('people', 'born'), ['blob', 'one', false, true, false, 'date']);
    assert.deepEqual(facts('todos', 'owner').slice(0, 3), ['ref', 'one', false]);
    assert.deepEqual(facts('todos', 'tags').slice(0, 3), ['ref', 'many', false]);
    assert.deepEqual(facts('profiles', 'person').slice(0, 3), ['ref', 'one', true]);
    assert.deepEqual(facts('people', 'sponsored').slice(0, 3), ['ref', 'many', true]);
    assert.equal(a.findAttr('todos', 'project')['on-delete'], 'cascade');
  });

  test('[trap 12] init for an unknown app: record-not-found, record-type app', async () => {
    const session = new RawSession(server, id());
    await session.opened;
    const error = await session.ask({ op: 'init', 'app-id': id(), versions: {} });
    assert.deepEqual(
      [error.op, error.status, error.type, error.hint['record-type']],
      ['error', 400, 'record-not-found', 'app'],
    );
    assert.equal(error['original-event'].op, 'init');
    session.close();
  });

  for (const [what, init, type] of [
    ['without app-id', {}, 'param-missing'],
    ['with an app-id that is no uuid', { 'app-id': 'todo-app' }, 'param-malformed'],
  ]) {
    test(`init ${what}: ${type} in app-id`, async () => {
      const session = new RawSession(server, app.id);
      await session.opened;
      const error = await session.ask({ op: 'init', ...init });
      assert.deepEqual([error.op, error.type, error.hint.in], ['error', type, ['app-id']]);
      session.close();
    });
  }

  test('init with an unknown refresh token: record-type app-user', async () => {
    const session = new RawSession(server, app.id);
    await session.opened;
    const error = await session.ask({ op: 'init', 'app-id': app.id, 'refresh-token': id() });
    assert.deepEqual([error.type, error.hint['record-type']], ['record-not-found', 'app-user']);
    session.close();
  });

  test('init with a wrong admin token: record-type app-admin-token', async () => {
    const session = new RawSession(server, app.id);
    await session.opened;
    const error = await session.ask({ op: 'init', 'app-id': app.id, '__admin-token': id() });
    assert.deepEqual(
      [error.type, error.hint['record-type']],
      ['record-not-found', 'app-admin-token'],
    );
    session.close();
  });

  test('a second init, and any op before init, is validation-failed', async () => {
    const session = new RawSession(server, app.id);
    await session.opened;
    const early = await session.ask({ op: 'add-query', q: { todos: {} } });
    assert.deepEqual([early.op, early.type], ['error', 'validation-failed']);
    await session.ask({ op: 'init', 'app-id': app.id });
    const second = await session.ask({ op: 'init', 'app-id': app.id });
    assert.deepEqual([second.op, second.type], ['error', 'validation-failed']);
    session.close();
  });
});

describe('queries', () => {
  test('[trap 1] q comes back with the same keys and values', async () => {
    for (const q of [
      {
        todos: {
          $: {
            where: { label: 'z', and: [{ done: true }] },
            order: { serverCreatedAt: 'desc' },
            limit: 3,
          },
        },
      },
      { todos: { $: { where: { priority: { $in: [1, 2.5, -0.25, 1e100] } } } } },
      { todos: { $: { limit: null, offset: 0, fields: ['title'] }, owner: { $: {} } }, tags: {} },
      { people: { $: { where: { name: 'ünïcode' } } } },
    ]) {
      const ok = await addQuery(a, q);
      assert.equal(ok.op, 'add-query-ok', JSON.stringify(ok));
      assert.equal(canonical(ok.q), canonical(q));
    }
  });

  test('[trap 2] a fresh app answers with processed-tx-id of at least 1', async () => {
    const fresh = await createApp(server);
    const session = await RawSession.connect(server, fresh.id);
    const ok = await addQuery(session, { nothing: {} });
    assert.ok(
      Number.isInteger(ok['processed-tx-id']) && ok['processed-tx-id'] >= 1,
      String(ok['processed-tx-id']),
    );
    session.close();
  });

  test('[trap 2] a result holds everything up to its processed-tx-id', async () => {
    const label = id();
    const q = byLabel(label);
    await addQuery(b, q);
    const start = b.received.length;
    const acked = new Map();
    for (let n = 0; n < 30; n += 1) {
      const t = id();
      acked.set(t, await committed(a, todoSteps(t, { label })));
    }
    const last = Math.max(...acked.values());
    await refreshOf(b, q, start, (c) =>
      triplesOf(c['instaql-result']).some(([e]) => acked.get(e) === last),
    );
    for (const message of b.received.slice(start).filter((m) => m.op === 'refresh-ok')) {
      const shown = new Set(triplesOf(computation(message, q)['instaql-result']).map(([e]) => e));
      for (const [t, txId] of acked) {
        if (txId <= message['processed-tx-id'])
          assert.ok(shown.has(t), `a refresh at ${message['processed-tx-id']} lacks ${txId}`);
      }
    }
    const fresh = await addQuery(a, { ...q, tags: {} });
    assert.ok(fresh['processed-tx-id'] >= last);
  });

  test('[trap 2] a query shared by others, asked after an ack, shows the write', async () => {
    const session = await RawSession.connect(server, app.id);
    const q = { todos: { $: { order: { title: 'asc' } } } };
    await addQuery(b, q);
    const others = Array.from({ length: 200 }, (_, n) => ({ todos: { $: { limit: n + 1 } } }));
    for (const other of others) await addQuery(b, other);
    for (let n = 0; n < 10; n += 1) {
      const t = id();
      const txId = await committed(a, todoSteps(t));
      const ok = await addQuery(session, q);
      assert.ok(
        ok['processed-tx-id'] >= txId,
        `answered at ${ok['processed-tx-id']} after the ack of ${txId}`,
      );
      assert.ok(triplesOf(ok.result).some(([e]) => e === t));
      await session.ask({ op: 'remove-query', q });
    }
    for (const other of [q, ...others]) await b.ask({ op: 'remove-query', q: other });
    session.close();
  });

  test('[trap 3] fields leave out neither ids, nor what where and order need', async () => {
    const [t, p, label, name] = [id(), id(), id(), id()];
    await committed(a, [
      ...personSteps(p, { name }),
      ...todoSteps(t, { label, priority: 5 }),
      ['add-triple', t, a.attr('todos', 'owner'), p],
    ]);
    const ok = await addQuery(a, {
      todos: {
        $: { where: { label, 'owner.name': name }, order: { priority: 'asc' }, fields: ['title'] },
      },
    });
    const seen = triplesOf(ok.result).map(([e, attr, v]) => `${e} ${attr} ${JSON.stringify(v)}`);
    for (const [e, etype, attr, v] of [
      [t, 'todos', 'id', t],
      [t, 'todos', 'label', label],
      [t, 'todos', 'priority', 5],
      [t, 'todos', 'owner', p],
      [p, 'people', 'name', name],
    ]) {
      assert.ok(
        seen.includes(`${e} ${a.attr(etype, attr)} ${JSON.stringify(v)}`),
        `${etype}.${attr} is missing`,
      );
    }
    assert.ok(!seen.some((s) => s.includes(a.attr('todos', 'done'))), 'done was not asked for');
  });

  test('[trap 3] $isNull and $not along a path bring the ids of the entities between', async () => {
    const [t, p, label] = [id(), id(), id()];
    await committed(a, [
      ...personSteps(p),
      ...todoSteps(t, { label }),
      ['add-triple', t, a.attr('todos', 'owner'), p],
    ]);
    const ok = await addQuery(a, {
      todos: { $: { where: { label, 'owner.bio': { $isNull: true } } } },
    });
    assert.ok(
      triplesOf(ok.result).some(
        ([e, attr, v]) => e === p && attr === a.attr('people', 'id') && v === p,
      ),
    );
  });

  test('[trap 5] a page brings the entities of the page and no others', async () => {
    const label = id();
    const ids = Array.from({ length: 9 }, id);
    await committed(
      a,
      ids.flatMap((t, n) => todoSteps(t, { label, priority: n })),
    );
    const ok = await addQuery(a, {
      todos: { $: { where: { label }, order: { priority: 'desc' }, limit: 2 } },
    });
    const shown = new Set(
      triplesOf(ok.result)
        .filter(([, attr]) => attr === a.attr('todos', 'id'))
        .map(([e]) => e),
    );
    assert.deepEqual([...shown].sort(), [ids[8], ids[7]].sort());
  });

  test('[trap 6] page-info is there for every paging option, in node 0', async () => {
    for (const $ of [
      { order: { title: 'asc' } },
      { limit: 3 },
      { first: 3 },
      { last: 3 },
      { limit: 3, offset: 1 },
      { order: { serverCreatedAt: 'desc' } },
    ]) {
      const ok = await addQuery(a, { todos: { $ } });
      const info = ok.result[0].data['page-info']?.todos;
      assert.ok(info, JSON.stringify($));
      for (const key of ['start-cursor', 'end-cursor', 'has-next-page?', 'has-previous-page?'])
        assert.ok(key in info, key);
    }
  });

  test('[trap 7] link triples are forward, whichever way the query goes', async () => {
    const [t, p, tag] = [id(), id(), id()];
    await committed(a, [
      ...personSteps(p),
      ...todoSteps(t),
      ...a.create('tags', tag, { name: tag }),
      ['add-triple', t, a.attr('todos', 'owner'), p],
      ['add-triple', t, a.attr('todos', 'tags'), tag],
    ]);
    const people = triplesOf(
      (await addQuery(a, { people: { $: { where: { id: p } }, todos: {} } })).result,
    );
    assert.ok(
      people.some(([e, attr, v]) => e === t && attr === a.attr('todos', 'owner') && v === p),
    );
    const tags = triplesOf(
      (await addQuery(a, { tags: { $: { where: { id: tag } }, todos: {} } })).result,
    );
    assert.ok(
      tags.some(([e, attr, v]) => e === t && attr === a.attr('todos', 'tags') && v === tag),
    );
    assert.ok(!tags.some(([e, attr]) => e === tag && attr === a.attr('todos', 'tags')));
  });

  test('[trap 8] one triple for a cardinality-one attr, after changes too', async () => {
    const [t, p, q] = [id(), id(), id()];
    await committed(a, [
      ...personSteps(p),
      ...personSteps(q),
      ...todoSteps(t),
      ['add-triple', t, a.attr('todos', 'owner'), p],
    ]);
    await committed(a, [
      ['add-triple', t, a.attr('todos', 'title'), '1'],
      ['add-triple', t, a.attr('todos', 'title'), '2'],
      ['add-triple', t, a.attr('todos', 'owner'), q],
    ]);
    const triples = triplesOf(
      (await addQuery(a, { todos: { $: { where: { id: t } }, owner: {} } })).result,
    );
    for (const label of ['title', 'owner']) {
      const values = triples
        .filter(([e, attr]) => e === t && attr === a.attr('todos', label))
        .map(([, , v]) => v);
      assert.deepEqual(values, [label === 'title' ? '2' : q]);
    }
    const keys = triples.map(([e, attr, v]) => JSON.stringify([e, attr, v]));
    assert.equal(new Set(keys).size, keys.length, 'no triple twice');
  });

  test('[trap 9] triples have four elements, and updates keep created_at', async () => {
    const t = id();
    await committed(a, todoSteps(t));
    const q = { todos: { $: { where: { id: t } } } };
    const before = triplesOf((await addQuery(a, q)).result);
    for (const triple of before) {
      assert.equal(triple.length, 4);
      assert.ok(Number.isInteger(triple[3]) && triple[3] > 1.6e12, String(triple[3]));
    }
    const start = a.received.length;
    await committed(a, [['add-triple', t, a.attr('todos', 'title'), 'later']]);
    const after = triplesOf(computation(await refreshOf(a, q, start), q)['instaql-result']);
    const createdAt = (triples, label) =>
      triples.find(([, attr]) => attr === a.attr('todos', label))[3];
    for (const label of ['id', 'title', 'done'])
      assert.equal(createdAt(after, label), createdAt(before, label), label);
  });

  test('[trap 16] a repeated add-query is answered with data', async () => {
    const q = byLabel(id());
    for (let n = 0; n < 3; n += 1) {
      const answer = await addQuery(a, q);
      assert.equal(answer.op, 'add-query-ok');
    }
  });

  test('[trap 17] add, remove, add in one breath: one live subscription, in order', async () => {
    const label = id();
    const q = byLabel(label);
    const start = b.received.length;
    for (const op of ['add-query', 'remove-query', 'add-query', 'remove-query', 'add-query'])
      b.send({ op, q });
    await until(
      () => b.received.slice(start).filter((m) => sameJson(m.q ?? null, q)).length === 5,
      'five answers',
    );
    const ops = b.received
      .slice(start)
      .filter((m) => sameJson(m.q ?? null, q))
      .map((m) => m.op);
    assert.deepEqual(ops, [
      'add-query-ok',
      'remove-query-ok',
      'add-query-ok',
      'remove-query-ok',
      'add-query-ok',
    ]);
    const position = b.received.length;
    await committed(a, todoSteps(id(), { label }));
    const message = await refreshOf(b, q, position);
    assert.equal(message.computations.filter((c) => sameJson(c['instaql-query'], q)).length, 1);
    await b.ask({ op: 'remove-query', q });
    const after = b.received.length;
    await committed(a, todoSteps(id(), { label }));
    await settle();
    assert.ok(
      !b.received.slice(after).some((m) => m.op === 'refresh-ok' && computation(m, q)),
      'no refresh after remove-query',
    );
  });

  test('removing a query nobody added is not an error', async () => {
    assert.equal((await a.ask({ op: 'remove-query', q: { never: {} } })).op, 'remove-query-ok');
  });

  test('[trap 22] [trap 23] the shape: rows of triples, child-nodes on every node', async () => {
    for (const q of [
      { todos: { owner: {} } },
      { nothing: {} },
      { todos: { $: { where: { label: 'none' } } } },
    ]) {
      const { result } = await addQuery(a, q);
      const check = (node) => {
        assert.ok(Array.isArray(node['child-nodes']));
        for (const row of node.data['datalog-result']['join-rows'])
          for (const triple of row) assert.equal(triple.length, 4);
        node['child-nodes'].forEach(check);
      };
      result.forEach(check);
    }
  });

  test('return-type tree answers nested objects', async () => {
    const [t, label] = [id(), id()];
    await committed(a, todoSteps(t, { label }));
    const ok = await a.ask({
      op: 'add-query',
      q: byLabel(label, { owner: {} }),
      'return-type': 'tree',
    });
    assert.equal(ok.op, 'add-query-ok');
    assert.deepEqual(
      ok.result.todos.map((x) => [x.id, x.owner]),
      [[t, []]],
    );
  });

  test('[trap 32] no refresh of a query arrives before its add-query-ok', async () => {
    const label = id();
    const queries = Array.from({ length: 30 }, (_, n) => ({
      todos: { $: { where: { label }, limit: n + 1 } },
    }));
    const start = b.received.length;
    const writes = [];
    for (const q of queries) {
      writes.push(a.transact(todoSteps(id(), { label })));
      b.send({ op: 'add-query', q });
    }
    await Promise.all(writes);
    await until(
      () =>
        b.received.slice(start).filter((m) => m.op === 'add-query-ok').length === queries.length,
      'all answers',
    );
    const answered = new Set();
    for (const message of b.received.slice(start)) {
      if (message.op === 'add-query-ok') answered.add(canonical(message.q));
      for (const c of message.computations ?? []) {
        if (queries.some((q) => sameJson(q, c['instaql-query'])))
          assert.ok(answered.has(canonical(c['instaql-query'])), 'a refresh came first');
      }
    }
    for (const q of queries) await b.ask({ op: 'remove-query', q });
  });
});

describe('transactions', () => {
  test('[trap 30] tx ids are integers that rise across sessions', async () => {
    const ids = [];
    for (let n = 0; n < 10; n += 1)
      ids.push(await committed(n % 2 ? a : b, a.create('tags', id(), { name: id() })));
    for (const txId of ids) assert.ok(Number.isSafeInteger(txId) && txId >= 1);
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((x, y) => x - y),
    );
  });

  test('transactions of one session are applied in the order they were sent', async () => {
    const t = id();
    await committed(a, todoSteps(t));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        a.transact([['add-triple', t, a.attr('todos', 'priority'), n]]),
      ),
    );
    const txIds = answers.map((x) => x['tx-id']);
    assert.deepEqual(
      txIds,
      [...txIds].sort((x, y) => x - y),
    );
    const triples = triplesOf((await addQuery(b, { todos: { $: { where: { id: t } } } })).result);
    assert.equal(triples.find(([, attr]) => attr === a.attr('todos', 'priority'))[2], 49);
  });

  test('[trap 10] a date attr takes dates only', async () => {
    for (const value of ['soon', '2025-01-0', true, {}, []]) {
      const error = await refused(a, todoSteps(id(), { due: value }));
      assert.equal(error.type, 'validation-failed');
      assert.match(error.message, /todos\.due/);
    }
    for (const value of [
      0,
      -1,
      1.5,
      '2025-01-02',
      '2025-12-31 21:11',
      '8/4/2025, 11:02:31 PM',
      'Wed Jul 09 2025',
      null,
    ]) {
      await committed(a, todoSteps(id(), { due: value }));
    }
  });

  test('[trap 11] errors carry the whole message they answer', async () => {
    const steps = todoSteps(id(), { priority: 'high' });
    const error = await refused(a, steps);
    assert.deepEqual(error['original-event']['tx-steps'], steps);
    assert.equal(error['original-event'].op, 'transact');
    assert.equal(error['original-event']['client-event-id'], error['client-event-id']);
    assert.equal(error.status, 400);
    const q = { todos: { $: { limit: 0 } } };
    const broken = await addQuery(a, q);
    assert.deepEqual(
      [broken.op, broken['original-event'].op, broken['original-event'].q],
      ['error', 'add-query', q],
    );
  });

  test('[trap 18] an identical add-attr is accepted again, a different one is not', async () => {
    const namespace = `n${Date.now()}`;
    const attr = {
      id: id(),
      'forward-identity': [id(), namespace, 'size'],
      'value-type': 'blob',
      cardinality: 'one',
      'unique?': false,
      'index?': false,
      isUnsynced: true,
    };
    const idAttr = {
      ...attr,
      id: id(),
      'forward-identity': [id(), namespace, 'id'],
      'unique?': true,
    };
    const t = id();
    const steps = [
      ['add-attr', idAttr],
      ['add-attr', attr],
      ['add-triple', t, idAttr.id, t],
      ['add-triple', t, attr.id, 5],
    ];
    await committed(a, steps);
    await committed(a, steps);
    await committed(b, steps);
    const error = await refused(a, [['add-attr', { ...attr, cardinality: 'many' }]]);
    assert.ok(error.message.length > 10);
  });

  test('[trap 4] [trap 21] a new attr reaches every session, with computations: []', async () => {
    const idle = await RawSession.connect(server, app.id);
    const start = idle.received.length;
    const attr = {
      id: id(),
      'forward-identity': [id(), 'tags', `extra${Date.now()}`],
      'value-type': 'blob',
      cardinality: 'one',
      'unique?': false,
      'index?': false,
    };
    await committed(a, [['add-attr', attr]]);
    const message = await idle.next((m) => m.op === 'refresh-ok' && m.attrs, 'the catalog', {
      start,
    });
    assert.ok(message.attrs.some((x) => x.id === attr.id));
    assert.ok(message.attrs.length > idle.attrs.length, 'the full catalog');
    assert.deepEqual(message.computations, []);
    idle.close();
  });

  test('[trap 4] no triple arrives before its attr', async () => {
    const namespace = `m${Date.now()}`;
    const reader = await RawSession.connect(server, app.id);
    const q = { [namespace]: {} };
    await addQuery(reader, q);
    const idAttr = {
      id: id(),
      'forward-identity': [id(), namespace, 'id'],
      'value-type': 'blob',
      cardinality: 'one',
      'unique?': true,
      'index?': false,
    };
    const t = id();
    await committed(a, [
      ['add-attr', idAttr],
      ['add-triple', t, idAttr.id, t],
    ]);
    await refreshOf(reader, q, 0, (c) => triplesOf(c['instaql-result']).length > 0);
    const known = new Set();
    for (const message of reader.received) {
      for (const attr of message.attrs ?? []) known.add(attr.id);
      for (const c of message.computations ?? [])
        for (const [, attr] of triplesOf(c['instaql-result'])) assert.ok(known.has(attr), attr);
    }
    reader.close();
  });

  test('[trap 19] a replayed client-event-id has the outcome of the first', async () => {
    const t = id();
    const eventId = id();
    const message = {
      'client-event-id': eventId,
      op: 'transact',
      'tx-steps': a.create('todos', t, { title: 'x', done: false }, { mode: 'create' }),
    };
    const first = await a.ask(message);
    assert.equal(first.op, 'transact-ok');
    for (const session of [a, b]) {
      const again = await session.ask(message);
      assert.equal(again.op, 'transact-ok', JSON.stringify(again));
      assert.equal(again['tx-id'], first['tx-id']);
    }
    const merge = {
      'client-event-id': id(),
      op: 'transact',
      'tx-steps': [['deep-merge-triple', t, a.attr('todos', 'meta'), { a: 1 }]],
    };
    const merged = await a.ask(merge);
    await committed(b, [['add-triple', t, a.attr('todos', 'meta'), { b: 2 }]]);
    assert.equal((await b.ask(merge))['tx-id'], merged['tx-id']);
    const triples = triplesOf((await addQuery(a, { todos: { $: { where: { id: t } } } })).result);
    assert.deepEqual(triples.find(([, attr]) => attr === a.attr('todos', 'meta'))[2], { b: 2 });
  });

  test('[trap 19] replays that race on two sessions are applied once', async () => {
    const message = {
      'client-event-id': id(),
      op: 'transact',
      'tx-steps': a.create('todos', id(), { title: 'x', done: false }, { mode: 'create' }),
    };
    const answers = await Promise.all([a, b, a, b].map((session) => session.ask(message)));
    assert.deepEqual(
      answers.map((x) => x.op),
      Array(4).fill('transact-ok'),
      JSON.stringify(answers.find((x) => x.op === 'error')),
    );
    assert.equal(new Set(answers.map((x) => x['tx-id'])).size, 1);
  });

  test('[trap 20] a refusal is followed by current results of the session', async () => {
    const [t, label] = [id(), id()];
    await committed(a, todoSteps(t, { label }));
    const session = await RawSession.connect(server, app.id);
    const q = byLabel(label);
    await addQuery(session, q);
    const start = session.received.length;
    session.send({
      op: 'transact',
      'tx-steps': [
        ...todoSteps(id(), { label }),
        ['add-triple', t, session.attr('todos', 'priority'), 'bad'],
      ],
    });
    await session.next((m) => m.op === 'error', 'the refusal', { start });
    await refreshOf(session, q, start);
    session.close();
  });

  test('steps run grouped by type, in order of first appearance', async () => {
    const [x, y] = [id(), id()];
    await committed(a, [...todoSteps(x), ['delete-entity', x, 'todos'], ...todoSteps(y)]);
    const seen = triplesOf(
      (await addQuery(a, { todos: { $: { where: { id: { $in: [x, y] } } } } })).result,
    ).map(([e]) => e);
    assert.ok(!seen.includes(x) && seen.includes(y));
    const z = id();
    await committed(a, todoSteps(z, { note: 'old' }));
    await committed(a, [['delete-entity', z, 'todos'], ...todoSteps(z)]);
    const triples = triplesOf((await addQuery(a, { todos: { $: { where: { id: z } } } })).result);
    assert.ok(triples.length > 0 && !triples.some(([, attr]) => attr === a.attr('todos', 'note')));
  });

  test('writing the value that is there already refreshes nobody', async () => {
    const [t, label] = [id(), id()];
    await committed(a, todoSteps(t, { label }));
    const q = byLabel(label);
    await addQuery(b, q);
    const start = b.received.length;
    await committed(a, [['add-triple', t, a.attr('todos', 'title'), 'x']]);
    await settle();
    assert.ok(
      !b.received.slice(start).some((m) => computation({ computations: m.computations ?? [] }, q)),
    );
  });

  test('[trap 33] every error has a message and a type', async () => {
    const bad = [
      { op: 'transact', 'tx-steps': 'x' },
      { op: 'transact' },
      { op: 'transact', 'tx-steps': [['fly', 1]] },
      { op: 'add-query' },
      { op: 'add-query', q: null },
      { op: 'nonsense' },
      { op: 5 },
      {},
      { op: 'transact', 'tx-steps': [['add-triple', 'x', 'y', 'z']] },
    ];
    for (const message of bad) {
      const error = await a.ask(message);
      assert.equal(error.op, 'error', JSON.stringify(message));
      assert.ok(error.message.length > 5 && error.type, JSON.stringify(error));
      assert.ok([400, 500].includes(error.status));
    }
    const unknown = await a.ask({ op: 'nonsense' });
    assert.deepEqual(
      [unknown.type, unknown.message, unknown.hint.op],
      [
        'param-malformed',
        'Invalid op: "nonsense". It must be one of "add-call", "add-query", "append-stream",' +
          ' "call", "client-broadcast", "init", "join-room", "leave-room", "more-call",' +
          ' "remove-call", "remove-query", "remove-sync", "resync-table", "set-presence",' +
          ' "start-stream", "start-sync", "subscribe-stream", "transact", "unsubscribe-stream".',
        'nonsense',
      ],
    );
  });

  test('unknown keys are ignored', async () => {
    const ok = await a.ask({
      op: 'transact',
      'tx-steps': a.create('tags', id(), { name: id() }),
      created: 5,
      order: 7,
      colour: 'red',
    });
    assert.equal(ok.op, 'transact-ok');
  });
});
