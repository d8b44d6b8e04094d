// Files with the official clients: upload, URL in queries and live queries, bytes, delete, list.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import './support/browser.mjs';
import { createAdmin, createCore } from './support/clients.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

let server;
let app;
let db;

before(async () => {
  server = await startServer();
  const rule = "data.path != 'no'";
  const allow = { view: rule, create: rule, delete: rule };
  app = await createApp(server, { rules: { code: { $files: { allow } } } });
  db = createAdmin(server, app);
});
after(() => server?.stop());

const bytesOf = async (url) => Buffer.from(await (await fetch(url)).arrayBuffer()).toString();

test('[F40, F60] the admin client uploads, reads by url, overwrites and deletes', async () => {
  const { data } = await db.storage.uploadFile('a/b.txt', Buffer.from('one'), {
    contentType: 'text/plain',
  });
  const [row] = (await db.query({ $files: {} })).$files;
  assert.equal(row.id, data.id);
  assert.equal(row['content-type'], 'text/plain');
  assert.equal(await bytesOf(row.url), 'one');
  const again = await db.storage.uploadFile('a/b.txt', Buffer.from('two'));
  assert.equal(again.data.id, data.id);
  const [named] = (await db.query({ $files: { $: { fields: ['url'] } } })).$files;
  assert.equal(await bytesOf(named.url), 'two');
  assert.equal((await db.storage.list())[0].name, 'a/b.txt');
  assert.deepEqual((await db.storage.delete('a/b.txt')).data, { id: data.id });
  assert.equal((await fetch(named.url)).status, 404);
});

test('[F50, F62] the core client uploads under the rules; a live query shows the url', async () => {
  const { db: core, close } = createCore(server, app);
  let files = [];
  const end = core.subscribeQuery({ $files: {} }, (found) => {
    files = found.data?.$files ?? files;
  });
  const { data } = await core.storage.uploadFile('photo.png', new File(['png'], 'photo.png'));
  await until(() => files.length === 1);
  assert.equal(files[0].id, data.id);
  assert.equal(await bytesOf(files[0].url), 'png');
  const refused = await rejection(core.storage.uploadFile('no', new File(['x'], 'x')));
  assert.equal(refused.body.type, 'permission-denied');
  await core.storage.delete('photo.png');
  await until(() => files.length === 0);
  end();
  close();
});
