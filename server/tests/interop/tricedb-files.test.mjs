// Files that our own client uploads to a live server, read by the official client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import './support/browser.mjs';
import { init } from '../../../clients/js/dist/index.js';
import { answer, connectCore, watch } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { createApp, startServer } from './support/server.mjs';

const OPEN = { code: { $files: { allow: { view: 'true', create: 'true', delete: 'true' } } } };

let server;
let app;
let core;
const open = [];

before(async () => {
  server = await startServer();
  app = await createApp(server, { rules: OPEN });
  core = await connectCore(server, app);
  open.push(core.close);
});
after(async () => {
  for (const close of open) close();
  await server?.stop();
});

function connect(at = server) {
  const db = init({ appId: app.id, server: at.url });
  open.push(() => db.shutdown());
  return db;
}

const bytesOf = (length) => Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);

/** The row of a file as the official client sees it, and its bytes. */
async function stored(path) {
  const watched = watch(core.db, { $files: { $: { where: { path } } } });
  const { data } = await answer(watched, (one) => one.data?.$files.length === 1);
  watched.unsubscribe();
  const response = await fetch(data.$files[0].url);
  return {
    row: data.$files[0],
    type: response.headers.get('content-type'),
    bytes: Buffer.from(await response.arrayBuffer()),
  };
}

test('[J101] a file in pieces, and a small one, arrive whole with name and type', async () => {
  const db = connect();
  const large = bytesOf(3_000_000);
  const path = 'fotos/höhe 😀.png';
  const { data } = await db.storage.uploadFile(path, new Blob([large], { type: 'image/png' }));
  const { row, type, bytes } = await stored(path);
  assert.equal(data.id, row.id);
  assert.equal(type, 'image/png');
  assert.equal(Buffer.compare(bytes, large), 0);

  // Another file under the same path takes its place.
  const { data: again } = await db.storage.uploadFile(path, bytesOf(10));
  assert.equal(again.id, row.id);
  assert.equal((await stored(path)).bytes.length, 10);
  await db.storage.uploadFile('empty', new Uint8Array());
  assert.equal((await stored('empty')).bytes.length, 0);
});

test('[J102] an upload whose connections are cut goes on where the server is', async () => {
  const proxy = await startProxy(server);
  const db = connect(proxy);
  const file = bytesOf(5_000_000);
  const upload = db.storage.uploadFile('cut', file);
  let cuts = 0;
  let shownBytes = 0;
  upload.subscribe(() => {
    const { sentBytes } = upload.progress;
    if (sentBytes > shownBytes && cuts < 3) {
      cuts += 1;
      setImmediate(proxy.cut);
    }
    shownBytes = sentBytes;
  });
  await upload;
  assert.equal(cuts, 3);
  assert.equal(Buffer.compare((await stored('cut')).bytes, file), 0);
  proxy.close();
});

test('[J103] an aborted upload leaves nothing; [J104] `delete` removes a file', async () => {
  const db = connect();
  const upload = db.storage.uploadFile('aborted', bytesOf(20_000_000));
  upload.subscribe(() => {
    if (upload.progress.sentBytes > 0) upload.abort();
  });
  await assert.rejects(upload, { code: 'upload-aborted' });
  assert.equal((await db.storage.delete('aborted')).data.id, null);

  const { data } = await db.storage.uploadFile('gone', bytesOf(10));
  assert.equal(typeof (await db.storage.getDownloadUrl('gone')), 'string');
  assert.deepEqual(await db.storage.delete('gone'), { data: { id: data.id } });
  assert.deepEqual(await db.storage.delete('gone'), { data: { id: null } });
});

test('[J101] what the rules deny says so', async () => {
  const rules = { code: { $files: { allow: { create: 'false' } } } };
  const closed = await createApp(server, { rules });
  const db = init({ appId: closed.id, server: server.url });
  open.push(() => db.shutdown());
  await assert.rejects(db.storage.uploadFile('x', bytesOf(10)), { code: 'permission-denied' });
});
