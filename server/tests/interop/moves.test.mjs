// Apps of Convex and PocketBase, moved: their users sign in with the official client and see
// their rows and files.
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
import { addProvider, saveRules, startOutside } from './support/outside.mjs';
import { startServer } from './support/server.mjs';

const TESTS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const COMMAND =
  process.env.TRICE_COMMAND ?? path.resolve(TESTS, '../../.venv/bin/trice');
const PYTHON = path.join(path.dirname(COMMAND), 'python');
const run = async (file, ...args) =>
  (await promisify(execFile)(file, args, { cwd: TESTS })).stdout;

let folder;
let outside;
let server;
const apps = {};
const open = [];

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'trice-moves-'));
  outside = await startOutside();
  const data = path.join(folder, 'data');
  const [shop, chat] = [path.join(folder, 'pb_data'), path.join(folder, 'chat.zip')];
  const write =
    'import sys; from pathlib import Path;' +
    'from support.pocketbase_folders import small_shop;' +
    'from support.convex_exports import small_chat;' +
    'small_shop(Path(sys.argv[1])).close(); small_chat().write(Path(sys.argv[2]))';
  await run(PYTHON, '-c', write, shop, chat);
  for (const [name, from] of Object.entries({ shop, chat })) {
    const app = { id: id(), adminToken: id() };
    const flags = ['--app-id', app.id, '--admin-token', app.adminToken, '--users', 'users'];
    await run(COMMAND, 'import', from, '--data-dir', data, '--yes', ...flags);
    apps[name] = app;
  }
  server = await startServer({ dataDir: data, env: outside.env });
});
after(async () => {
  for (const core of open) core.close();
  await server?.stop();
  outside?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function client(app) {
  const core = await connectCore(server, app);
  open.push(core);
  return core.db;
}

test('[AR147, AR153, AR154, AR155] users of PocketBase find what is theirs', async () => {
  const app = apps.shop;
  const db = await client(app);
  const watched = watch(db, { goods: { photos: {}, owner: {} } });
  await answer(watched, (a) => a.data?.goods.length === 0, 'nothing while the app is closed');
  await saveRules(server, app, {
    goods: { allow: { view: "auth.id in data.ref('owner.id')", delete: 'true' } },
    $files: { allow: { view: 'auth.id != null' } },
  });
  await db.auth.sendMagicCode({ email: 'ada@x.io' });
  const code = await outside.code('ada@x.io');
  const { user, created } = await db.auth.signInWithMagicCode({ email: 'ada@x.io', code });
  assert.equal(created, false);
  const seen = watch(db, { goods: { photos: {}, owner: { avatar: {} } } });
  const { data } = await answer(seen, (a) => a.data?.goods.length === 1);
  const [kettle] = data.goods;
  assert.equal(kettle.title, 'Kettle');
  assert.equal(kettle.owner[0].id, user.id);
  const [photo] = kettle.photos;
  assert.equal(await (await fetch(photo.url)).text(), 'hello');

  await addProvider(server, app, outside);
  const other = await client(app);
  const idToken = await outside.idToken({ email: 'ada@x.io', email_verified: true });
  const again = await other.auth.signInWithIdToken({ clientName: 'oidc', idToken });
  assert.equal(again.user.id, user.id);

  // A cascade that PocketBase had: goods end with their owner.
  const admin = createAdmin(server, app);
  await admin.auth.deleteUser({ id: user.id });
  const { goods } = await admin.query({ goods: {} });
  assert.deepEqual(goods.map((each) => each.title).sort(), ['Cup', 'Mug']);
});

test('[AR140, AR144, AR146] an app of Convex goes on', async () => {
  const app = apps.chat;
  const admin = createAdmin(server, app);
  const { messages } = await admin.query({
    messages: { author: {}, pictures: {}, $: { order: { _creationTime: 'asc' } } },
  });
  assert.deepEqual(messages.map((each) => each.text), ['hello', 'and you?']);
  const bytes = await (await fetch(messages[0].pictures[0].url)).arrayBuffer();
  assert.equal(bytes.byteLength, 3004);
  await saveRules(server, app, { messages: { allow: { $default: 'auth.id != null' } } });
  const db = await client(app);
  await db.auth.sendMagicCode({ email: 'Ada@Example.com' });
  const code = await outside.code('ada@example.com');
  const { user } = await db.auth.signInWithMagicCode({ email: 'ada@example.com', code });
  const [old] = messages[0].author;
  assert.equal(user.id, old.id);
  const seen = watch(db, { messages: { $: { where: { 'author._id': old._id } } } });
  await answer(seen, (a) => a.data?.messages.length === 1);
  const made = id();
  await db.transact(db.tx.messages[made].create({ text: 'new' }).link({ author: user.id }));
  await answer(seen, (a) => a.data?.messages.length === 2);
});
