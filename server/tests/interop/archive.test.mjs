// An app moves from one server to another by an archive, while a client of it is offline.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { answer, connectCore, createAdmin, watch } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const COMMAND = process.env.TRICE_COMMAND ?? path.join(ROOT, '.venv/bin/trice');
const trice = async (...args) => (await promisify(execFile)(COMMAND, args)).stdout;

let folder;
let first;
let second;
let proxy;
let client;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'trice-archive-'));
});
after(async () => {
  client?.close();
  proxy?.close();
  await first?.stop('SIGKILL');
  await second?.stop('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

test('[AR6, AR41, AR50, AR61] a client goes on with the app that moved', async () => {
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  first = await startServer({ dataDir: from });
  const app = await createApp(first, {
    schema: serialisedSchema(),
    rules: { code: { todos: { allow: { $default: 'auth.id != null' } } } },
  });
  const target = { url: first.url, port: first.port };
  proxy = await startProxy(target);
  client = await connectCore(proxy, app, { schema });
  const { user } = await client.db.auth.signInAsGuest();
  const [one, two] = [id(), id()];
  const watched = watch(client.db, { todos: {} });
  await client.db.transact(client.db.tx.todos[one].create({ title: 'before', done: false }));
  const admin = createAdmin(first, app);
  await admin.storage.uploadFile('a/b.txt', Buffer.from('bytes'));
  // Writes that no query of the client shows stay with it.
  const writer = id();
  for (let n = 0; n < 20; n += 1) {
    await client.db.transact(client.db.tx.tags[writer].update({ name: `mine ${n}` }));
  }
  await answer(watched, (r) => r.data?.todos.length === 1);

  client.network.set(false);
  const queued = await client.db.transact([
    client.db.tx.todos[two].create({ title: 'offline', done: true }),
    client.db.tx.todos[one].update({ title: 'renamed offline' }),
  ]);
  assert.equal(queued.status, 'enqueued');

  await first.stop('SIGTERM', { keepData: true });
  const zip = path.join(folder, 'app.zip');
  await trice('export', zip, '--app', app.id, '--data-dir', from);
  const told = await trice(
    ...['import', zip, '--data-dir', to, '--admin-token', app.adminToken],
  );
  assert.match(told, /clients that keep the app id stay signed in/);
  const same = await trice('doctor', '--app', app.id, '--archive', zip, '--data-dir', to, '--all');
  assert.match(same, /Equal\./);

  second = await startServer({ dataDir: to });
  target.port = second.port;
  client.network.set(true);
  const there = createAdmin(second, app);
  await until(async () => {
    const { todos } = await there.query({ todos: {} });
    return todos.map((each) => each.title).sort().join() === 'offline,renamed offline';
  });
  await answer(watched, (r) => r.data?.todos.length === 2 && !r.error);
  assert.equal((await client.db.getAuth()).id, user.id);
  await client.db.transact(client.db.tx.todos[one].update({ title: 'after' }));
  await answer(watched, (r) => r.data.todos.some((each) => each.title === 'after'));
  // Its own writes of before do not hide what others write here.
  await there.transact(there.tx.tags[writer].update({ name: 'of another' }));
  const names = watch(client.db, { tags: {} });
  await answer(names, (r) => r.data?.tags.some((each) => each.name === 'of another'));
  const [file] = (await there.query({ $files: {} })).$files;
  assert.equal(await (await fetch(file.url)).text(), 'bytes');
});
