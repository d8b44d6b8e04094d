// Bad input and bad clients: a clear error or a clean close, and others keep working.
import assert from 'node:assert/strict';
import { randomUUID as id } from 'node:crypto';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { RawSession, triplesOf } from './support/raw.mjs';
import { serialisedSchema } from './support/schema.mjs';
import { createApp, post, startServer } from './support/server.mjs';
import { settle, until } from './support/wait.mjs';

const FRAME_BYTES = 10 * 1024 * 1024;
let server;
let app;
let witness;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema() });
  witness = await RawSession.connect(server, app.id);
});
after(async () => {
  witness?.close();
  assert.equal(await server?.stop(), 0, 'a clean exit');
});
afterEach(async () => {
  assert.ok(server.isAlive(), `the server died:\n${server.output().slice(-2_000)}`);
  const steps = witness.create('tags', id(), { name: id() });
  const ok = await witness.ask({ op: 'transact', 'tx-steps': steps });
  assert.equal(ok.op, 'transact-ok', 'another client keeps working');
});

const connect = () => RawSession.connect(server, app.id);
const todo = (session, fields) =>
  session.create('todos', id(), { title: 'x', done: false, ...fields });
const nested = (depth, open, close, middle = '1') =>
  open.repeat(depth) + middle + close.repeat(depth);

/** An error message or a close; returns what came. */
async function verdict(session, start = session.received.length) {
  return until(
    () => session.received.slice(start).find((m) => m.op === 'error') ?? session.closed,
    () =>
      `an error or a close; got ${JSON.stringify(session.received.slice(start)).slice(0, 300)}`,
  );
}

describe('frames', () => {
  for (const [what, frame] of [
    ['not JSON', '{"op":'],
    ['empty', ''],
    ['a bare string', '"init"'],
    ['a number', '5'],
    ['null', 'null'],
    ['a list', '[{"op":"init"}]'],
    ['NaN', '{"op":NaN}'],
    [
      'a huge number',
      `{"op":"add-query","client-event-id":"x","q":{"todos":{"$":{"limit":1${'0'.repeat(400)}}}}}`,
    ],
    ['duplicate keys', '{"op":"add-query","op":"nonsense"}'],
    ['a lone surrogate', '{"op":"add-query","q":{"todos":{"$":{"where":{"title":"\\ud800"}}}}}'],
    ['binary', Buffer.from([0, 1, 2, 255])],
    ['200 levels of lists', `{"op":"add-query","q":${nested(200, '[', ']')}}`],
    ['200 levels of a query', `{"op":"add-query","q":${nested(200, '{"todos":', '}', '{}')}}`],
    ['100,000 levels', nested(100_000, '[', ']')],
    [
      '200 levels of and',
      '{"op":"add-query","q":{"todos":{"$":{"where":' +
        `${nested(200, '{"and":[', ']}', '{"done":true}')}}}}}`,
    ],
  ]) {
    test(`${what}: an error or a close`, async () => {
      const session = await connect();
      const start = session.received.length;
      session.send(frame);
      const result = await verdict(session, start);
      if (result.op === 'error')
        assert.ok(
          result.message.length > 3 && [400, 500].includes(result.status),
          JSON.stringify(result),
        );
      session.close();
    });
  }

  test('10 MB: refused as too big, in words or with code 1009', async () => {
    const session = await connect();
    const start = session.received.length;
    session.send(
      JSON.stringify({
        op: 'add-query',
        q: { todos: { $: { where: { title: 'x'.repeat(FRAME_BYTES) } } } },
      }),
    );
    const result = await verdict(session, start);
    if (result.code) assert.equal(result.code, 1009);
    session.close();
  });

  test('1 MB of valid text passes', async () => {
    const session = await connect();
    const text = 'é'.repeat(500_000);
    const ok = await session.transact(todo(session, { note: text }));
    assert.equal(ok.op, 'transact-ok', JSON.stringify(ok).slice(0, 300));
    session.close();
  });

  test('a garbage handshake and half a request', async () => {
    for (const text of [
      '\x16\x03\x01\x00',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /runtime/session?app_id=${app.id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n`,
      'POST /admin/query HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n',
    ]) {
      const socket = net.connect(server.port, '127.0.0.1');
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.on('error', () => {});
      socket.write(text);
      await settle(50);
      socket.destroy();
    }
  });
});

describe('values', () => {
  test('NUL in a string is refused in words', async () => {
    const session = await connect();
    const error = await session.transact(todo(session, { title: 'a\u0000b' }));
    assert.deepEqual([error.op, error.type], ['error', 'validation-failed']);
    assert.match(error.message, /null byte|NUL|U\+0000/i);
    session.close();
  });

  test('NUL in a where finds nothing or is refused', async () => {
    const session = await connect();
    const answer = await session.ask({
      op: 'add-query',
      q: { todos: { $: { where: { title: 'a\u0000b' } } } },
    });
    if (answer.op === 'add-query-ok') assert.deepEqual(triplesOf(answer.result), []);
    else assert.equal(answer.status, 400);
    session.close();
  });

  test('a lone surrogate in a value is refused, or stored and given back', async () => {
    const session = await connect();
    const start = session.received.length;
    const t = id();
    const steps = JSON.stringify(
      session.create('todos', t, { title: 'SURROGATE', done: false }),
    ).replace('SURROGATE', '\\ud83d');
    session.send(`{"op":"transact","client-event-id":"${id()}","tx-steps":${steps}}`);
    const result = await until(
      () =>
        session.received.slice(start).find((m) => ['error', 'transact-ok'].includes(m.op)) ??
        session.closed,
      'an answer',
    );
    if (result.op === 'error') assert.equal(result.status, 400);
    else assert.equal(result.op, 'transact-ok', 'neither a refusal nor an acknowledgement');
    session.close();
  });

  const hostileNames = [
    `x"; DROP TABLE todos; --`,
    `x'); DELETE FROM tx; --`,
    'a`b',
    'select',
    'a b',
    '"',
    '""',
    "'",
    '[x]',
    'ünï',
    '日本',
    '😀',
    'a.b',
    'rowid',
    '_created_ms',
    'id ',
    '__proto__',
    'constructor',
    '%',
    'x\ny',
    'sqlite_master',
    'X'.repeat(255),
  ];
  for (const name of hostileNames) {
    test(`SQL in names: ${JSON.stringify(name.slice(0, 30))} is a name, or refused`, async () => {
      const own = await createApp(server);
      const session = await RawSession.connect(server, own.id);
      const attr = (label, more = {}) => ({
        id: id(),
        'forward-identity': [id(), name, label],
        'value-type': 'blob',
        cardinality: 'one',
        'unique?': false,
        'index?': false,
        ...more,
      });
      const [idAttr, valueAttr, t] = [
        attr('id', { 'unique?': true }),
        attr(name, { 'index?': true, 'checked-data-type': 'string' }),
        id(),
      ];
      const answer = await session.transact([
        ['add-attr', idAttr],
        ['add-attr', valueAttr],
        ['add-triple', t, idAttr.id, t],
        ['add-triple', t, valueAttr.id, name],
      ]);
      if (answer.op === 'error') {
        assert.equal(answer.status, 400, JSON.stringify(answer).slice(0, 300));
        assert.match(answer.type, /^(validation-failed|param-malformed)$/);
      } else {
        // A dot in a where key is a path; such an attr can be read, not filtered.
        const q = {
          [name]: name.includes('.')
            ? {}
            : { $: { where: { [name]: name }, order: { [name]: 'asc' } } },
        };
        const ok = await session.ask({ op: 'add-query', q: JSON.parse(JSON.stringify(q)) });
        assert.equal(ok.op, 'add-query-ok', JSON.stringify(ok).slice(0, 300));
        const asSent = Object.keys(q).length > 0;
        if (asSent)
          assert.ok(
            triplesOf(ok.result).some(([e, x, v]) => e === t && x === valueAttr.id && v === name),
          );
      }
      session.close();
    });
  }

  test('an empty name and a name of 10,000 characters are refused in words', async () => {
    const session = await connect();
    for (const name of ['', 'y'.repeat(10_000)]) {
      const attr = {
        id: id(),
        'forward-identity': [id(), name, 'id'],
        'value-type': 'blob',
        cardinality: 'one',
        'unique?': true,
        'index?': false,
      };
      const answer = await session.transact([['add-attr', attr]]);
      assert.deepEqual([answer.op, answer.status], ['error', 400], `${name.length} characters`);
    }
    session.close();
  });

  test('malformed attrs are refused in words', async () => {
    const session = await connect();
    const good = {
      id: id(),
      'forward-identity': [id(), 'tags', 'odd'],
      'value-type': 'blob',
      cardinality: 'one',
      'unique?': false,
      'index?': false,
    };
    for (const patch of [
      { id: 'x' },
      { id: undefined },
      { 'forward-identity': ['tags', 'odd'] },
      { 'forward-identity': 5 },
      { 'value-type': 'row' },
      { cardinality: 'few' },
      { 'value-type': 'ref' },
      { 'unique?': 'yes' },
      { 'checked-data-type': 'uuid' },
      { 'forward-identity': [id(), '$secret', 'x'] },
    ]) {
      const answer = await session.transact([['add-attr', { ...good, ...patch }]]);
      assert.deepEqual([answer.op, answer.status], ['error', 400], JSON.stringify(patch));
    }
    session.close();
  });

  test('clients may not change or delete attrs', async () => {
    const session = await connect();
    const attr = session.attr('todos', 'title');
    for (const step of [
      ['update-attr', { id: attr, 'index?': false }],
      ['delete-attr', attr],
      ['restore-attr', attr],
    ]) {
      const answer = await session.transact([step]);
      assert.deepEqual([answer.op, answer.status], ['error', 400], step[0]);
    }
    session.close();
  });

  test('an indexed value over 1,012 bytes is refused in words, 1,012 pass', async () => {
    const session = await connect();
    assert.equal(
      (await session.transact(todo(session, { title: 'x'.repeat(1_012) }))).op,
      'transact-ok',
    );
    const error = await session.transact(todo(session, { title: 'x'.repeat(1_013) }));
    assert.deepEqual([error.op, error.type], ['error', 'validation-failed']);
    assert.match(error.message, /too large/);
    session.close();
  });
});

describe('size', () => {
  test('60,000 steps in 6.5 MB are one transaction', async () => {
    const session = await connect();
    const steps = Array.from({ length: 20_000 }, () => todo(session, {})).flat();
    const ok = await session.ask({ op: 'transact', 'tx-steps': steps });
    assert.ok(
      ok.op === 'transact-ok' || /limit|timed-out/.test(ok.type),
      JSON.stringify(ok).slice(0, 300),
    );
    session.close();
  });

  test('100,000 steps and more: applied, or refused in words, or closed with 1009', async () => {
    const session = await connect();
    const steps = Array.from({ length: 34_000 }, () => todo(session, {})).flat();
    assert.ok(steps.length > 100_000);
    session.send({ op: 'transact', 'tx-steps': steps });
    const result = await until(
      () =>
        session.received.find((m) => m.op === 'transact-ok' || m.op === 'error') ?? session.closed,
      'an answer',
      60_000,
    );
    if (result.op === 'error')
      assert.match(result.type, /parameter-limit-exceeded|message-too-big|operation-timed-out/);
    else if (result.op !== 'transact-ok') assert.equal(result.code, 1009);
    session.close();
  });

  test('an answer of 50 MB arrives or is refused, the socket stays', async () => {
    const session = await connect();
    const label = id();
    const note = 'n'.repeat(100_000);
    for (let n = 0; n < 10; n += 1) {
      const steps = Array.from({ length: 50 }, () => todo(session, { label, note })).flat();
      assert.equal((await session.transact(steps)).op, 'transact-ok');
    }
    const answer = await session.ask(
      { op: 'add-query', q: { todos: { $: { where: { label } } } } },
      60_000,
    );
    if (answer.op === 'error')
      assert.ok(
        answer.message.length > 10 && answer.type === 'parameter-limit-exceeded',
        JSON.stringify(answer).slice(0, 300),
      );
    else
      assert.equal(
        triplesOf(answer.result).filter(([, x]) => x === session.attr('todos', 'note')).length,
        500,
      );
    session.close();
  });

  test('a where of 5,000 conditions: answered or refused in words', async () => {
    const session = await connect();
    const or = Array.from({ length: 5_000 }, (_, n) => ({ title: `t${n}` }));
    const answer = await session.ask(
      { op: 'add-query', q: { todos: { $: { where: { or } } } } },
      20_000,
    );
    assert.ok(
      answer.op === 'add-query-ok' || answer.status === 400,
      JSON.stringify(answer).slice(0, 300),
    );
    session.close();
  });

  test('a query 60 links deep: answered or refused in words', async () => {
    const session = await connect();
    const q = JSON.parse(
      nested(60, '{"people":{"manager":', '}}', '{}').replaceAll(
        '{"people":{"manager":{"people":',
        '{"people":{"manager":{"manager":',
      ),
    );
    const answer = await session.ask({ op: 'add-query', q });
    assert.ok(
      answer.op === 'add-query-ok' || answer.status === 400,
      JSON.stringify(answer).slice(0, 300),
    );
    session.close();
  });

  test('10,000 subscriptions of one session: the bound is said, not felt', async () => {
    const session = await connect();
    const count = 10_000;
    for (let n = 0; n < count; n += 1)
      session.send({ op: 'add-query', q: { todos: { $: { where: { title: `q${n}` } } } } });
    await until(
      () =>
        session.closed ||
        session.received.filter((m) => ['add-query-ok', 'error'].includes(m.op)).length >= count,
      'an answer to each',
      60_000,
    );
    const error = session.received.find((m) => m.op === 'error');
    if (error) assert.match(error.type, /limit|overloaded/);
    session.close();
  });

  test('an HTTP body of 100 MB is refused', async () => {
    const answer = await post(
      `${server.url}/admin/query`,
      `{"query":{"todos":{"$":{"where":{"title":"${'x'.repeat(100 * 1024 * 1024)}"}}}}}`,
      {
        'app-id': app.id,
        authorization: `Bearer ${app.adminToken}`,
      },
    ).catch((error) => ({ status: 'closed', text: String(error) }));
    assert.ok(
      [400, 413, 'closed'].includes(answer.status),
      `${answer.status} ${answer.text?.slice(0, 200)}`,
    );
  });
});

describe('behaviour', () => {
  test('a client that never reads is dropped or bounded; writers do not feel it', async () => {
    const lazy = await connect();
    const label = id();
    await lazy.ask({ op: 'add-query', q: { todos: { $: { where: { label } } } } });
    lazy.socket.pause();
    const note = 'n'.repeat(200_000);
    for (let n = 0; n < 60; n += 1) {
      const steps = todo(witness, { label, note: `${n}${note}` });
      const ok = await witness.ask({ op: 'transact', 'tx-steps': steps });
      assert.equal(ok.op, 'transact-ok');
    }
    lazy.socket.resume();
    const isCaughtUp = () =>
      lazy.received.some(
        (m) =>
          m.op === 'refresh-ok' &&
          m.computations.some(
            (c) =>
              triplesOf(c['instaql-result']).filter(([, x]) => x === witness.attr('todos', 'note'))
                .length === 60,
          ),
      );
    await until(() => lazy.closed || isCaughtUp(), 'the drop, or the newest state');
    lazy.close();
  });

  test('a client that never sends init is dropped or ignored', async () => {
    const silent = new RawSession(server, app.id);
    await silent.opened;
    await settle(100);
    silent.close();
  });

  test('200 sockets that vanish in the middle of writing', async () => {
    const sessions = await Promise.all(Array.from({ length: 200 }, connect));
    for (const session of sessions) {
      session.send({ op: 'add-query', q: { todos: { $: { limit: 5 } } } });
      session.send({ op: 'transact', 'tx-steps': todo(session, {}) });
      session.close();
    }
    await settle(200);
  });

  test('messages after a refusal still work on the same socket', async () => {
    const session = await connect();
    session.send('{');
    await settle(50);
    if (!session.closed)
      assert.equal((await session.transact(todo(session, {}))).op, 'transact-ok');
    session.close();
  });
});
