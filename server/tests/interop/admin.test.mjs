// The official admin client: queries, transactions, live queries, impersonation, errors.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id, lookup } from '@instantdb/admin';
import { createAdmin } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, post, startServer } from './support/server.mjs';
import { rejection, until, within } from './support/wait.mjs';

let server;
let app;
let db;
let bare;
let emails = 0;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  db = createAdmin(server, app, { schema });
  bare = createAdmin(server, app);
});
after(() => server?.stop());

const person = (more = {}) => ({
  name: 'Ada',
  email: `a${(emails += 1)}@example.com`,
  age: 36,
  active: true,
  ...more,
});
const headers = () => ({ 'app-id': app.id, authorization: `Bearer ${app.adminToken}` });
const adminPost = (path, body, more = {}) =>
  post(`${server.url}${path}`, body, { ...headers(), ...more });
const one = async (etype, entity, links = {}) =>
  (await db.query({ [etype]: { $: { where: { id: entity } }, ...links } }))[etype][0];

describe('queries', () => {
  test('a has-one link is an object or null with a schema, an array without', async () => {
    const [p, t, u] = [id(), id(), id()];
    await db.transact([
      db.tx.people[p].create(person()),
      db.tx.todos[t].create({ title: 't', done: false }).link({ owner: p }),
      db.tx.todos[u].create({ title: 'u', done: false }),
    ]);
    const query = {
      todos: {
        $: { where: { id: { $in: [t, u] } }, order: { title: 'asc' } },
        owner: { profile: {} },
      },
    };
    const [first, second] = (await db.query(query)).todos;
    assert.equal(first.owner.id, p);
    assert.equal(first.owner.profile, null);
    assert.equal(second.owner, null);
    const loose = (await bare.query(query)).todos;
    assert.deepEqual(
      loose.map((x) => x.owner.length),
      [1, 0],
    );
    assert.deepEqual(loose[0].owner[0].profile, []);
  });

  test('an unknown namespace is an empty list', async () => {
    assert.deepEqual(await bare.query({ nothing: {} }), { nothing: [] });
  });

  test('a malformed query is a 400 with type, message and hint', async () => {
    const error = await rejection(bare.query({ todos: { $: { limit: -1 } } }), 'the query');
    assert.equal(error.status, 400);
    assert.equal(error.body.type, 'validation-failed');
    assert.match(error.body.message, /limit/);
    assert.equal(error.body.hint['data-type'], 'query');
    assert.deepEqual(error.body.hint.errors[0].in, ['todos', '$', 'limit']);
  });

  for (const [what, body] of [
    ['a missing query', {}],
    ['a query that is a list', { query: [] }],
    ['a query that is text', { query: 'todos' }],
  ]) {
    test(`${what} is a param error`, async () => {
      const answer = await adminPost('/admin/query', body);
      assert.equal(answer.status, 400);
      assert.match(answer.body.type, /^param-(missing|malformed)$/);
      assert.equal(typeof answer.body.hint, 'object');
    });
  }
});

describe('transactions', () => {
  test('answers a rising integer tx-id', async () => {
    const first = await db.transact(db.tx.tags[id()].create({ name: id() }));
    const second = await db.transact(db.tx.tags[id()].create({ name: id() }));
    assert.ok(Number.isInteger(first['tx-id']) && first['tx-id'] >= 1);
    assert.ok(second['tx-id'] > first['tx-id']);
  });

  test('create, update, merge, link, unlink, delete', async () => {
    const [p, t] = [id(), id()];
    await db.transact([
      db.tx.people[p].create(person({ prefs: { a: { b: 1 } } })),
      db.tx.todos[t].create({ title: 't', done: false }),
    ]);
    await db.transact([
      db.tx.people[p].update({ age: 2 }),
      db.tx.people[p].merge({ prefs: { a: { c: 2 } } }),
      db.tx.people[p].link({ todos: [t] }),
    ]);
    const row = await one('people', p, { todos: {} });
    assert.equal(row.age, 2);
    assert.deepEqual(row.prefs, { a: { b: 1, c: 2 } });
    assert.deepEqual(
      row.todos.map((x) => x.id),
      [t],
    );
    await db.transact(db.tx.todos[t].unlink({ owner: p }));
    assert.deepEqual((await one('people', p, { todos: {} })).todos, []);
    await db.transact(db.tx.people[p].delete());
    assert.equal(await one('people', p), undefined);
  });

  test('modes: create refuses what exists, upsert: false what does not', async () => {
    const p = id();
    await db.transact(db.tx.people[p].create(person()));
    const again = await rejection(db.transact(db.tx.people[p].create(person())), 'the create');
    assert.equal(again.body.type, 'validation-failed');
    assert.match(again.body.message, /Creating entities that exist/);
    const absent = await rejection(
      db.transact(db.tx.people[id()].update({ age: 1 }, { upsert: false })),
      'the update',
    );
    assert.match(absent.body.message, /Updating entities that don't exist/);
  });

  test('lookups in each of their forms', async () => {
    const p = id();
    const { email } = person();
    await db.transact(db.tx.people[p].create(person({ email })));
    for (const [n, eid] of [
      ['email', email],
      { email },
      `lookup__email__${JSON.stringify(email)}`,
    ].entries()) {
      const { status, text } = await adminPost('/admin/transact', {
        steps: [['update', 'people', eid, { age: 100 + n }]],
      });
      assert.equal(status, 200, text);
      assert.equal((await one('people', p)).age, 100 + n);
    }
    const t = id();
    await db.transact(
      db.tx.todos[t].create({ title: 't', done: false }).link({ owner: lookup('email', email) }),
    );
    assert.equal((await one('todos', t, { owner: {} })).owner.id, p);
  });

  test('a lookup through a link', async () => {
    const [p, x] = [id(), id()];
    await db.transact([
      db.tx.people[p].create(person()),
      db.tx.profiles[x].create({ handle: x }).link({ person: p }),
    ]);
    const { status, text } = await adminPost('/admin/transact', {
      steps: [['update', 'profiles', ['person.id', p], { avatar: 'z' }]],
    });
    assert.equal(status, 200, text);
    assert.equal((await one('profiles', x)).avatar, 'z');
  });

  test('attrs missing in the schema: an error with a schema, made on the fly without', async () => {
    const t = id();
    const error = await rejection(
      db.transact(db.tx.tags[t].update({ name: id(), sparkle: 1 })),
      'the write',
    );
    assert.match(error.body.message, /Attributes are missing in your schema/);
    assert.deepEqual(error.body.hint.errors[0].hint.attributes, ['tags.sparkle']);
    assert.equal(await one('tags', t), undefined);
    await bare.transact(bare.tx.tags[t].update({ name: id(), sparkle: 1 }));
    assert.equal((await one('tags', t)).sparkle, 1);
    const [x, y] = [id(), id()];
    await bare.transact([
      bare.tx.gems[x].update({ carat: 2 }),
      bare.tx.gems[y].update({ carat: 3 }).link({ gems2: x }),
    ]);
    assert.equal((await bare.query({ gems: {} })).gems.length, 2);
  });

  for (const [what, step, pattern] of [
    [
      'an id that is no uuid',
      ['update', 'people', '12345', { age: 1 }],
      /Invalid entity ID '12345'/,
    ],
    ['an unknown action', ['explode', 'people', 'ID', {}], /explode|action/i],
    [
      'a lookup on an attr that is not unique',
      ['update', 'people', ['name', 'Ada'], { age: 1 }],
      /name.*not a unique attribute|unique/,
    ],
    [
      'a lookup with two keys',
      ['update', 'people', { email: 'a', name: 'b' }, { age: 1 }],
      /lookup/,
    ],
    ['a step that is text', 'update', /./],
    ['a step that is empty', [], /./],
    ['args that are text', ['update', 'people', 'ID', 'text'], /./],
    ['an attr name that is no string', ['update', 5, 'ID', {}], /./],
    ['a link to text', ['link', 'todos', 'ID', { owner: 'ada' }], /uuid|Invalid|lookup/i],
  ]) {
    test(`${what} is refused in words`, async () => {
      const steps = [Array.isArray(step) ? step.map((x) => (x === 'ID' ? id() : x)) : step];
      const { status, body, text } = await adminPost('/admin/transact', { steps });
      assert.equal(status, 400, text);
      assert.match(body.type, /^(validation-failed|param-malformed|record-not-found)$/);
      assert.match(body.message, pattern);
      assert.ok(body.hint && typeof body.hint === 'object', 'a hint');
    });
  }

  test('unique, required and type errors carry their hints', async () => {
    const { email } = person();
    await db.transact(db.tx.people[id()].create(person({ email })));
    const unique = await rejection(
      db.transact(db.tx.people[id()].create(person({ email }))),
      'unique',
    );
    assert.equal(unique.body.type, 'record-not-unique');
    const required = await rejection(db.transact(db.tx.tags[id()].create({ hue: 1 })), 'required');
    assert.match(required.body.message, /Missing required attribute/);
    const typed = await rejection(
      db.transact(db.tx.people[id()].create(person({ age: 'x' }))),
      'type',
    );
    assert.equal(typed.body.hint['checked-data-type'], 'number');
    assert.deepEqual(
      [typed.body.hint.namespace, typed.body.hint.attribute, typed.body.hint.value],
      ['people', 'age', 'x'],
    );
  });
});

describe('live queries', () => {
  test('[trap 25] first result, refreshes, page info', async () => {
    const label = id();
    const query = {
      todos: { $: { where: { label }, order: { title: 'asc' }, limit: 2 }, owner: {} },
    };
    const payloads = [];
    const sub = db.subscribeQuery(query, (payload) => payloads.push(payload));
    await until(() => payloads.length === 1, 'the first result');
    assert.deepEqual([payloads[0].type, payloads[0].data.todos], ['ok', []]);
    assert.ok(payloads[0].sessionInfo.sessionId);
    const p = id();
    await db.transact(
      ['c', 'a', 'b'].map((title) => db.tx.todos[id()].create({ title, done: false, label })),
    );
    await until(
      () =>
        payloads
          .at(-1)
          .data.todos.map((t) => t.title)
          .join() === 'a,b',
      'the refresh',
    );
    assert.equal(payloads.at(-1).pageInfo.todos.hasNextPage, true);
    const [{ id: t }] = payloads.at(-1).data.todos;
    await db.transact([db.tx.people[p].create(person()), db.tx.todos[t].link({ owner: p })]);
    await until(
      () => payloads.at(-1).data.todos[0].owner?.id === p,
      'the linked owner, as an object',
    );
    sub.close();
  });

  test('for await yields results', async () => {
    const sub = db.subscribeQuery({ tags: { $: { where: { name: 'none' } } } });
    for await (const payload of sub) {
      assert.equal(payload.type, 'ok');
      assert.deepEqual(payload.data, { tags: [] });
      break;
    }
    sub.close();
  });

  test('comes back after a cut, with what happened meanwhile', async () => {
    const proxy = await startProxy(server);
    const label = id();
    const payloads = [];
    const through = createAdmin(proxy, app, { schema });
    const sub = through.subscribeQuery({ todos: { $: { where: { label } } } }, (payload) =>
      payloads.push(payload),
    );
    await until(() => payloads.length === 1, 'the first result');
    proxy.cut();
    await db.transact(db.tx.todos[id()].create({ title: 't', done: false, label }));
    await until(() => payloads.at(-1).data?.todos.length === 1, 'the missed write');
    sub.close();
    proxy.close();
  });

  test('a bad query is one error payload', async () => {
    const payloads = [];
    const sub = bare.subscribeQuery({ todos: { $: { limit: 0 } } }, (payload) =>
      payloads.push(payload),
    );
    await until(() => payloads.length > 0, 'the error');
    assert.equal(payloads[0].type, 'error');
    assert.match(payloads[0].error.message, /limit/);
    sub.close();
  });

  test('a wrong token is one error payload', async () => {
    const payloads = [];
    const sub = createAdmin(server, app, { adminToken: id() }).subscribeQuery(
      { todos: {} },
      (payload) => payloads.push(payload),
    );
    await until(() => payloads.length > 0, 'the error');
    assert.equal(payloads[0].error.body.type, 'record-not-found');
    sub.close();
  });

  test('aggregate count comes over SSE', async () => {
    const abort = new AbortController();
    const response = await fetch(`${server.url}/admin/subscribe-query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers() },
      body: JSON.stringify({ query: { tags: { $: { aggregate: 'count' } } } }),
      signal: abort.signal,
    });
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body) {
      text += decoder.decode(bytes);
      if (text.includes('add-query-ok')) break;
    }
    abort.abort();
    const ok = text
      .split('\n')
      .filter((l) => l.startsWith('data:'))
      .map((l) => JSON.parse(l.slice(5)))
      .find((m) => m.op === 'add-query-ok');
    const { tags } = await db.query({ tags: {} });
    assert.equal(ok['result-meta'].aggregate.tags.count, tags.length);
  });
});

describe('who is asking', () => {
  test('a wrong admin token: 400 record-not-found app-admin-token', async () => {
    const error = await rejection(
      createAdmin(server, app, { adminToken: id() }).query({ todos: {} }),
      'the query',
    );
    assert.equal(error.status, 400);
    assert.equal(error.body.type, 'record-not-found');
    assert.equal(error.body.hint['record-type'], 'app-admin-token');
    assert.equal(typeof error.body.hint.message, 'string');
  });

  test('an unknown app: 400 record-not-found', async () => {
    const error = await rejection(
      createAdmin(server, { id: id(), adminToken: app.adminToken }).query({ todos: {} }),
      'the query',
    );
    assert.equal(error.status, 400);
    assert.equal(error.body.type, 'record-not-found');
  });

  test('no token: 400 param-missing headers authorization', async () => {
    const { status, body } = await post(
      `${server.url}/admin/query`,
      { query: { todos: {} } },
      { 'app-id': app.id },
    );
    assert.equal(status, 400);
    assert.equal(body.type, 'param-missing');
    assert.deepEqual(body.hint.in, ['headers', 'authorization']);
  });

  test('no app id: a param error', async () => {
    const { status, body } = await post(
      `${server.url}/admin/query`,
      { query: {} },
      { authorization: `Bearer ${app.adminToken}` },
    );
    assert.equal(status, 400);
    assert.match(body.type, /^param-/);
  });

  test('as-guest needs no token and reads an open app', async () => {
    const guest = createAdmin(server, app, { adminToken: null }).asUser({ guest: true });
    assert.ok(Array.isArray((await guest.query({ tags: {} })).tags));
    const t = id();
    await guest.transact(guest.tx.tags[t].create({ name: t }));
    assert.equal((await one('tags', t)).name, t);
  });

  test('as-token with an unknown token: record-not-found app-user', async () => {
    const error = await rejection(db.asUser({ token: id() }).query({ tags: {} }), 'the query');
    assert.equal(error.body.type, 'record-not-found');
    assert.equal(error.body.hint['record-type'], 'app-user');
  });

  test('as-email with an unknown address: record-not-found app-user', async () => {
    const error = await rejection(
      db.asUser({ email: 'nobody@example.com' }).query({ tags: {} }),
      'the query',
    );
    assert.equal(error.body.hint['record-type'], 'app-user');
  });
});

describe('plumbing', () => {
  test('[trap 24] framework query: "undefined" is nobody, nothing is [[]]', async () => {
    const ask = (query) =>
      post(
        `${server.url}/runtime/framework/query`,
        { query },
        { 'app-id': app.id, authorization: 'undefined' },
      );
    const empty = await ask({ tags: { $: { where: { name: 'none' } } } });
    assert.equal(empty.status, 200, empty.text);
    assert.deepEqual(empty.body.result[0].data['datalog-result']['join-rows'], [[]]);
    assert.deepEqual(empty.body.result[0]['child-nodes'], []);
    assert.ok(empty.body.attrs.length > 10);
    const t = id();
    await db.transact(db.tx.tags[t].create({ name: t }));
    const full = await ask({ tags: { $: { where: { id: t }, limit: 1 } } });
    assert.ok(
      full.body.result[0].data['datalog-result']['join-rows'][0].some(
        (triple) => triple[0] === t && triple[2] === t,
      ),
    );
    assert.equal(full.body.result[0].data['page-info'].tags['has-next-page?'], false);
  });

  test('CORS: any origin, on preflights, answers and errors', async () => {
    const origin = 'https://app.example';
    const preflight = await fetch(`${server.url}/admin/query`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'app-id,app_id,authorization,content-type,as-guest',
      },
    });
    assert.ok(preflight.ok);
    const allowed = preflight.headers.get('access-control-allow-headers').toLowerCase();
    for (const name of ['app-id', 'app_id', 'authorization', 'content-type', 'as-guest'])
      assert.ok(allowed.includes(name), name);
    for (const body of [{ query: { tags: {} } }, {}]) {
      const response = await fetch(`${server.url}/admin/query`, {
        method: 'POST',
        headers: { origin, 'content-type': 'application/json', ...headers() },
        body: JSON.stringify(body),
      });
      assert.ok(
        [origin, '*'].includes(response.headers.get('access-control-allow-origin')),
        `status ${response.status}`,
      );
    }
  });

  test('an unknown route is a JSON 404', async () => {
    const { status, body } = await post(`${server.url}/nowhere`, {});
    assert.equal(status, 404);
    assert.equal(typeof body.message, 'string');
  });

  test('/health answers 200', async () => {
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
  });

  for (const body of [
    '{"query":',
    '[]',
    '5',
    '"text"',
    'null',
    '\u0000',
    '{"query":{"a":NaN}}',
    '[[[[[[',
  ]) {
    test(`the body ${JSON.stringify(body)} is a 400, and JSON or text`, async () => {
      const { status, text } = await adminPost('/admin/query', body);
      assert.equal(status, 400, text);
      assert.ok(text.length > 5);
    });
  }
});
