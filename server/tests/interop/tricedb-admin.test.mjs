// `tricedb/admin` beside the official admin client: the same calls have the same results.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id, init, lookup, TriceError } from 'tricedb/admin';
import { connectCore, createAdmin } from './support/clients.mjs';
import { startOutside } from './support/outside.mjs';
import { startProxy } from './support/proxy.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, post, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const rules = {
  notes: {
    bind: ['isMine', 'auth.id == data.owner'],
    allow: { view: 'isMine || ruleParams.key == data.key', update: 'isMine', create: 'isMine' },
  },
  $files: { allow: { view: 'true', create: "data.path.startsWith('open/')", delete: 'false' } },
};

let outside;
let server;
let app;
let db;
let theirs;
let ruled;
let ruledTheirs;
let ann;

before(async () => {
  outside = await startOutside();
  server = await startServer({ env: outside.env });
  app = await createApp(server, { schema: serialisedSchema() });
  db = ours(app, { schema });
  theirs = createAdmin(server, app, { schema });
  const closed = await createApp(server, { rules: { code: rules } });
  ruled = ours(closed);
  ruledTheirs = createAdmin(server, closed);
  ann = id();
  await ruled.transact([
    ruled.tx.$users[ann].update({ email: 'ann@example.com' }),
    ruled.tx.notes[id()].update({ title: 'hers', owner: ann, key: 'k' }),
  ]);
});
after(async () => {
  await server?.stop();
  outside?.stop();
});

const ours = ({ id: appId, adminToken }, more = {}) =>
  init({ appId, adminToken, server: server.url, ...more });

/** What both clients answer to the same call; fails unless it is the same. */
async function same(call, [one, other] = [db, theirs]) {
  const [mine, official] = [await call(one), await call(other)];
  assert.deepEqual(mine, official);
  return mine;
}

/** The error that both clients end with, in the words of ours. */
async function sameRefusal(call, [one, other] = [db, theirs]) {
  const [mine, official] = [await rejection(call(one)), await rejection(call(other))];
  assert.ok(mine instanceof TriceError, String(mine));
  assert.deepEqual(
    { status: mine.status, type: mine.body.type, message: mine.message, hint: mine.hint },
    {
      status: official.status,
      type: official.body.type,
      message: official.message,
      hint: official.body.hint,
    },
  );
  return mine;
}

const bytesOf = async (url) => (await fetch(url)).text();

describe('queries and writes', () => {
  test('[J110] are answered as the official client is', async () => {
    const [p, q, t, u] = [id(), id(), id(), id()];
    const email = `${p}@example.com`;
    await db.transact([
      db.tx.people[p].create({ name: 'Ada', email, age: 36, active: true, prefs: { a: 1 } }),
      db.tx.todos[t].create({ title: 't', done: false }).link({ owner: lookup('email', email) }),
      db.tx.todos[u].create({ title: 'u', done: false }),
    ]);
    await db.transact(db.tx.people.lookup('email', email).merge({ prefs: { b: 2 } }));
    const query = {
      todos: {
        $: { where: { id: { $in: [t, u] } }, order: { title: 'asc' }, limit: 1 },
        owner: { profile: {} },
      },
    };
    const { todos } = await same((client) => client.query(query));
    assert.deepEqual(todos[0].owner.prefs, { a: 1, b: 2 });
    assert.equal(todos[0].owner.profile, null);
    await theirs.transact(theirs.tx.todos[u].unlink({ owner: p }));
    await db.transact([db.tx.todos[t].unlink({ owner: p }), db.tx.people[p].delete()]);
    const gone = { people: { $: { where: { id: { $in: [p, q] } } } } };
    assert.deepEqual(await same((client) => client.query(gone)), { people: [] });
    const loose = await same(
      (client) => client.query({ todos: { $: { where: { id: t } }, owner: {} } }),
      [ours(app), createAdmin(server, app)],
    );
    assert.deepEqual(loose.todos[0].owner, []);
    const written = await db.transact(db.tx.todos[t].update({ title: 'v' }));
    assert.ok(Number.isInteger(written['tx-id']));
  });

  test('[J111] are refused with the same code, status, message and hint', async () => {
    await sameRefusal((client) => client.query({ todos: { $: { limit: -1 } } }));
    const missing = id();
    const write = (client) => client.transact(client.tx.tags[missing].update({ sparkle: 1 }));
    const refused = await sameRefusal(write);
    assert.deepEqual(refused.hint.errors[0].hint.attributes, ['tags.sparkle']);
    const wrong = { ...app, adminToken: id() };
    const unknown = await sameRefusal(
      (client) => client.query({ todos: {} }),
      [ours(wrong), createAdmin(server, wrong)],
    );
    assert.equal(unknown.code, 'record-not-found');
    const rejected = await rejection(ours({ id: app.id }).query({ todos: {} }));
    assert.equal(rejected.code, 'admin-token-missing');
    const nobody = init({ appId: app.id, adminToken: 'x', server: 'http://127.0.0.1:9' });
    assert.equal((await rejection(nobody.query({ todos: {} }))).code, 'offline');
  });

  test('[J112] rule parameters, users by address and token, guests', async () => {
    const clients = [ruled, ruledTheirs];
    const token = await ruled.auth.createToken({ id: ann });
    const notes = { notes: {} };
    for (const whom of [{ email: 'ann@example.com' }, { token }])
      assert.equal((await same((c) => c.asUser(whom).query(notes), clients)).notes.length, 1);
    const guest = (client) => client.asUser({ guest: true });
    assert.deepEqual(await same((client) => guest(client).query(notes), clients), { notes: [] });
    const known = await same(
      (client) => guest(client).query(notes, { ruleParams: { key: 'k' } }),
      clients,
    );
    assert.equal(known.notes[0].title, 'hers');
    const theft = (client) => guest(client).transact(client.tx.notes[id()].create({ owner: ann }));
    assert.equal((await sameRefusal(theft, clients)).code, 'permission-denied');
    await sameRefusal((client) => client.asUser({ token: ann }).query(notes), clients);
    // Without the admin token, users and guests still act.
    const bare = init({ appId: app.id, server: server.url });
    assert.ok(Array.isArray((await bare.asUser({ guest: true }).query({ tags: {} })).tags));
    const byAddress = await rejection(bare.asUser({ email: 'a@example.com' }).query({}));
    assert.equal(byAddress.code, 'admin-token-missing');
  });

  test('[J113] debugQuery and debugTransact tell the same of every rule', async () => {
    const clients = [ruled, ruledTheirs];
    const asAnn = (client) => client.asUser({ email: 'ann@example.com' });
    const asGuest = (client) => client.asUser({ guest: true });
    const { result, checkResults } = await same((c) => asAnn(c).debugQuery({ notes: {} }), clients);
    assert.deepEqual([result.notes.length, checkResults[0].check], [1, true]);
    const open = { notes: { allow: { view: 'request.ip == "1.2.3.4"' } } };
    const other = await same(
      (client) => asGuest(client).debugQuery({ notes: {} }, { rules: open, ip: '1.2.3.4' }),
      clients,
    );
    assert.equal(other.result.notes.length, 1);
    const note = result.notes[0].id;
    const rename = (as) => (client) =>
      as(client).debugTransact(client.tx.notes[note].update({ title: 'renamed' }));
    const denied = await rename(asGuest)(ruled);
    assert.equal(denied['all-checks-ok?'], false);
    assert.deepEqual(
      denied['check-results'],
      (await rename(asGuest)(ruledTheirs))['check-results'],
    );
    assert.equal((await rename(asAnn)(ruled))['all-checks-ok?'], true);
    assert.equal((await ruled.query({ notes: {} })).notes[0].title, 'hers');
    await sameRefusal((client) => client.debugQuery({ notes: {} }), clients);
  });
});

describe('live queries', () => {
  test('[J114] tell the same payloads, with pages and totals', async () => {
    const label = id();
    const query = {
      todos: { $: { where: { label }, order: { title: 'asc' }, limit: 2 }, owner: {} },
    };
    const seen = [[], []];
    const subs = [db, theirs].map((client, place) =>
      client.subscribeQuery(query, (payload) => seen[place].push(payload)),
    );
    await until(() => seen.every((payloads) => payloads.length === 1), 'the first results');
    await db.transact(
      ['c', 'a', 'b'].map((title) => db.tx.todos[id()].create({ title, done: false, label })),
    );
    await until(() => seen.every((payloads) => payloads.at(-1).data.todos.length === 2), 'rows');
    const [mine, official] = seen.map((payloads) =>
      payloads.map(({ type, data, pageInfo }) => ({ type, data, pageInfo })),
    );
    assert.deepEqual(mine, official);
    assert.equal(mine.at(-1).pageInfo.todos.hasNextPage, true);
    assert.deepEqual(Object.keys(seen[0][0].sessionInfo), Object.keys(seen[1][0].sessionInfo));
    assert.equal(subs[0].readyState, 'open');
    for (const sub of subs) sub.close();
    assert.deepEqual([subs[0].readyState, subs[0].isClosed], ['closed', true]);
    for await (const payload of db.subscribeQuery({ todos: { $: { aggregate: 'count' } } })) {
      assert.ok(payload.aggregate.todos.count >= 3);
      break;
    }
  });

  test('[J115] `for await` reads what came before it, and closes what it leaves', async () => {
    const sub = db.subscribeQuery({ tags: { $: { where: { name: 'none' } } } });
    await until(() => sub.sessionInfo, 'the session');
    for await (const payload of sub) {
      assert.deepEqual([payload.type, payload.data], ['ok', { tags: [] }]);
      break;
    }
    assert.equal(sub.isClosed, true);
    assert.throws(() => [...sub], { code: 'not-iterable' });
  });

  test('[J116] come back after a cut, with what happened meanwhile', async () => {
    const proxy = await startProxy(server);
    const label = id();
    const payloads = [];
    const through = init({ appId: app.id, adminToken: app.adminToken, server: proxy.url });
    const sub = through.subscribeQuery({ todos: { $: { where: { label } } } }, (payload) =>
      payloads.push(payload),
    );
    await until(() => payloads.length === 1, 'the first result');
    proxy.cut();
    await db.transact(db.tx.todos[id()].create({ title: 't', done: false, label }));
    await until(() => payloads.at(-1).data?.todos.length === 1, 'the missed write');
    assert.ok(payloads.every(({ type }) => type === 'ok'));
    sub.close();
    proxy.close();
  });

  test('[J117] a refusal is one payload, with the same error, and ends the loop', async () => {
    const wrong = { ...app, adminToken: id() };
    const payloads = [];
    for await (const payload of ours(wrong).subscribeQuery({ todos: {} })) payloads.push(payload);
    const official = [];
    createAdmin(server, wrong).subscribeQuery({ todos: {} }, (payload) => official.push(payload));
    await until(() => official.length > 0, 'the official error');
    assert.equal(payloads.length, 1);
    assert.deepEqual([payloads[0].isClosed, payloads[0].readyState], [true, 'closed']);
    assert.equal(payloads[0].error.message, official[0].error.message);
    assert.equal(payloads[0].error.code, official[0].error.body.type);
    const bad = db.subscribeQuery({ todos: { $: { limit: 0 } } });
    const { value } = await bad[Symbol.asyncIterator]().next();
    assert.match(value.error.message, /limit/);
    bad.close();
  });

  test('[J112] are asked as the user too', async () => {
    const as = ruled.asUser({ guest: true });
    for await (const payload of as.subscribeQuery({ notes: {} }, undefined, {
      ruleParams: { key: 'k' },
    })) {
      assert.equal(payload.data.notes.length, 1);
      break;
    }
  });
});

describe('users', () => {
  test('[J118] tokens and users, found, deleted and signed out', async () => {
    const token = await db.auth.createToken('bob@example.com');
    const bob = await same((client) => client.auth.verifyToken(token));
    assert.deepEqual([bob.email, bob.refresh_token], ['bob@example.com', token]);
    for (const whom of [{ id: bob.id }, { refresh_token: token }, { email: 'bob+x@example.com' }])
      await same((client) => client.auth.getUser(whom));
    assert.equal(await db.auth.getUser({ email: 'bob+x@example.com' }), null);
    const wanted = id();
    const byId = await db.auth.createToken({ id: wanted });
    assert.equal((await db.auth.verifyToken(byId)).id, wanted);
    await db.auth.signOut({ refresh_token: byId });
    await sameRefusal((client) => client.auth.verifyToken(byId));
    await db.auth.signOut('bob@example.com');
    assert.equal((await rejection(db.auth.verifyToken(token))).code, 'record-not-found');
    assert.equal((await db.auth.deleteUser({ id: bob.id })).email, 'bob@example.com');
    assert.equal(await same((client) => client.auth.deleteUser({ id: bob.id })), null);
    await sameRefusal((client) => client.auth.getUser({ id: 'x' }));
    await sameRefusal((client) => client.auth.createToken({}));
  });

  test('[J118] codes, made, sent and used once', async () => {
    const email = 'carl@example.com';
    const { code } = await db.auth.generateMagicCode(email);
    assert.deepEqual(await outside.mails(email), []);
    const { user, created } = await db.auth.checkMagicCode(email, code);
    assert.deepEqual([user.email, created], [email, true]);
    const sent = await db.auth.sendMagicCode(email);
    assert.equal(await outside.code(email), sent.code);
    assert.equal((await db.auth.verifyMagicCode(email, sent.code)).id, user.id);
    await sameRefusal((client) => client.auth.verifyMagicCode(email, sent.code));
  });

  test('[J118] the user of a request, by its cookie', async () => {
    const user = await db.auth.createGuest();
    const value = encodeURIComponent(JSON.stringify(user));
    const cookie = `a=%zz; instant_user_${app.id}=${value}; b=2`;
    const request = (text) => new Request('http://x', { headers: { cookie: text } });
    const found = await same((client) => client.auth.getUserFromRequest(request(cookie)));
    assert.equal(found.id, user.id);
    assert.equal(await same((client) => client.auth.getUserFromRequest(request('c=1'))), null);
    assert.equal(await db.auth.getUserFromRequest(request(`instant_user_${app.id}=x`)), null);
  });

  test('[J118] a password is set and removed', async () => {
    const made = await createApp(server);
    const admin = ours(made);
    await post(
      `${server.url}/dash/apps/${made.id}/sign-in-methods`,
      { passwords: true },
      { authorization: `Bearer ${made.adminToken}` },
    );
    await admin.auth.createToken('pat@example.com');
    const user = await admin.auth.setPassword({ email: 'pat@example.com' }, 'a long password 42');
    assert.equal(user.email, 'pat@example.com');
    assert.equal((await admin.auth.setPassword({ id: user.id }, null)).id, user.id);
  });
});

describe('files', () => {
  test('[J119] are uploaded, listed, and deleted', async () => {
    const upload = (path, body, opts) => db.storage.uploadFile(path, body, opts);
    const first = await upload('a/b.txt', Buffer.from('one'), { contentType: 'text/plain' });
    const official = await theirs.storage.uploadFile('a/b.txt', Buffer.from('two'));
    assert.equal(official.data.id, first.data.id);
    assert.deepEqual(Object.keys(official.data), Object.keys(first.data));
    const listed = await same((client) => client.storage.list());
    assert.equal(listed[0].name, 'a/b.txt');
    assert.equal(await bytesOf(await db.storage.getDownloadUrl('a/b.txt')), 'two');
    assert.equal(await same((client) => client.storage.getDownloadUrl('none')), null);
    assert.deepEqual((await db.storage.delete('a/b.txt')).data, { id: first.data.id });
    assert.deepEqual(await same((client) => client.storage.delete('a/b.txt')), {
      data: { id: null },
    });
    const { data } = await upload('c', 'text');
    assert.deepEqual((await db.storage.deleteMany(['c', 'd'])).data.ids, [data.id]);
  });

  test('[J119] streams go out as they are read; paths have any letters', async () => {
    const bytes = (text) => new TextEncoder().encode(text);
    const web = new ReadableStream({
      start(stream) {
        stream.enqueue(bytes('from the '));
        stream.enqueue(bytes('web'));
        stream.close();
      },
    });
    const path = 'фото/ä 写.txt';
    await db.storage.uploadFile(path, web);
    const node = Readable.from([Buffer.from('from '), Buffer.from('Node')]);
    await db.storage.uploadFile('node.txt', node, { fileSize: 9 });
    await db.storage.uploadFile('blob.txt', new Blob(['a blob'], { type: 'text/plain' }));
    const { $files } = await db.query({ $files: { $: { order: { path: 'asc' } } } });
    const read = Object.fromEntries(
      await Promise.all($files.map(async (file) => [file.path, await bytesOf(file.url)])),
    );
    assert.deepEqual(read, {
      'blob.txt': 'a blob',
      'node.txt': 'from Node',
      [path]: 'from the web',
    });
    assert.equal((await rejection(db.storage.uploadFile('a\nb', 'x'))).code, 'header-malformed');
  });

  test('[J119] a user stores under the rules', async () => {
    const guests = [ruled, ruledTheirs].map((client) => client.asUser({ guest: true }));
    const { data } = await guests[0].storage.uploadFile('open/a', Buffer.from('x'));
    assert.ok(data.id);
    const upload = (client) => client.storage.uploadFile('shut/a', Buffer.from('x'));
    assert.equal((await sameRefusal(upload, guests)).code, 'permission-denied');
    await sameRefusal((client) => client.storage.delete('open/a'), guests);
    await sameRefusal((client) => client.storage.deleteMany(['open/a']), guests);
  });
});

describe('rooms', () => {
  test('[J120] show who is there, under any name', async () => {
    const room = 'a & b=c/ä';
    const core = await connectCore(server, app);
    const { leaveRoom } = core.db.joinRoom('chat', room, { initialPresence: { name: 'Ann' } });
    const sessions = await until(async () => {
      const found = await db.rooms.getPresence('chat', room);
      return Object.keys(found).length > 0 && found;
    }, 'the member');
    const [member] = Object.values(sessions);
    assert.deepEqual([member.data, member.user], [{ name: 'Ann' }, null]);
    assert.deepEqual(await same((client) => client.rooms.getPresence('chat', 'empty')), {});
    await db.rooms.setPresence('chat', room, { peerId: 'robot', data: { busy: true }, ttlS: 60 });
    assert.deepEqual((await db.rooms.getPresence('chat', room)).robot.data, { busy: true });
    const heard = [];
    const topic = core.db.joinRoom('chat', room);
    topic.subscribeTopic('news', (data) => heard.push(data));
    await db.rooms.publishTopic('chat', room, { topic: 'news', data: { n: 1 }, peerId: 'robot' });
    await until(() => heard.length > 0, 'the message');
    assert.deepEqual(heard, [{ n: 1 }]);
    await db.rooms.removePresence('chat', room, 'robot');
    assert.equal('robot' in (await db.rooms.getPresence('chat', room)), false);
    leaveRoom();
    core.close();
  });
});

describe('streams', () => {
  const readAll = async (stream) => {
    let text = '';
    for await (const piece of stream) text += piece;
    return text;
  };

  test('[J127] ours are read by the official client, and theirs by ours', async () => {
    for (const [writing, reading] of [
      [db, theirs],
      [theirs, db],
      [db, db],
    ]) {
      const clientId = `talk/${id()} ü`;
      const stream = writing.streams.createWriteStream({ clientId });
      const writer = stream.getWriter();
      await writer.write('Hello ');
      await until(
        async () => (await db.query({ $streams: { $: { where: { clientId } } } })).$streams[0],
        'the stream',
      );
      const read = readAll(reading.streams.createReadStream({ clientId }));
      // The official writer has to be given whole characters.
      const smile = writing === theirs ? ['😀'] : ['\ud83d', '\ude00'];
      for (const text of ['wörld', ...smile, '!']) await writer.write(text);
      await writer.close();
      const whole = 'Hello wörld😀!';
      assert.equal(await read, whole);
      const part = db.streams.createReadStream({ clientId, byteOffset: 6 });
      assert.equal(await readAll(part), whole.slice(6));
      const [row] = (await db.query({ $streams: { $: { where: { clientId } } } })).$streams;
      assert.equal(await readAll(db.streams.createReadStream({ streamId: row.id })), whole);
      if (writing === db) assert.equal(row.done, true);
    }
  });

  test('[J127] survive cuts on both sides: every byte once', async () => {
    const proxy = await startProxy(server);
    const through = init({ appId: app.id, adminToken: app.adminToken, server: proxy.url });
    const clientId = id();
    const writer = through.streams.createWriteStream({ clientId }).getWriter();
    await writer.write('begin ');
    await until(
      async () => (await db.query({ $streams: { $: { where: { clientId } } } })).$streams[0],
      'the stream',
    );
    const read = readAll(through.streams.createReadStream({ clientId }));
    let written = 'begin ';
    for (let number = 0; number < 60; number += 1) {
      const text = `${number} äöü😀 `;
      await writer.write(text);
      written += text;
      if (number % 12 === 5) proxy.cut();
    }
    await writer.close();
    assert.equal(await read, written);
    proxy.close();
  });

  test('[J127] a name that is taken is refused, and so is who may not write', async () => {
    const clientId = id();
    const first = db.streams.createWriteStream({ clientId }).getWriter();
    await first.write('x');
    await first.close();
    const second = db.streams.createWriteStream({ clientId }).getWriter();
    await second.write('y').catch(() => undefined);
    assert.equal((await rejection(second.close())).code, 'stream-conflict');
    const guest = ruled.asUser({ guest: true }).streams;
    const refused = guest.createWriteStream({ clientId }).getWriter();
    await refused.write('z').catch(() => undefined);
    assert.equal((await rejection(refused.close())).code, 'permission-denied');
    const missing = await rejection(readAll(guest.createReadStream({ clientId })));
    assert.equal(missing.code, 'stream-not-found');
    const noRow = await rejection(readAll(db.streams.createReadStream({ streamId: id() })));
    assert.equal(noRow.code, 'stream-not-found');
  });
});
