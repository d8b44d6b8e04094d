// Resumable uploads with tus-js-client: whole, cut, paused, refused, over a kill of the server.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as tus from 'tus-js-client';

import './support/browser.mjs';
import { createAdmin, createCore } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection, until, within } from './support/wait.mjs';

const MEGABYTE = 1024 * 1024;

let dataDir;
let server;
let app;
let db;

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'trice-tus-'));
  server = await startServer({ dataDir });
  const rule = "data.path != 'no'";
  const allow = { view: rule, create: rule };
  app = await createApp(server, { rules: { code: { $files: { allow } } } });
  db = createAdmin(server, app);
});
after(async () => {
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

const rowOf = async (name) =>
  (await db.query({ $files: { $: { where: { path: name } } } })).$files[0];

const storedAt = async (row) =>
  digest(Buffer.from(await (await fetch(row.url)).arrayBuffer()));

/**
 * An upload as a page would make it.
 *
 * returns  {upload, done, parts: offsets at which parts began,
 *          after(bytes, act): does `act` as soon as the server has so many}
 */
function begin(at, name, bytes, options = {}) {
  const parts = [];
  let mark = Infinity;
  let reached;
  let upload;
  const done = new Promise((resolve, reject) => {
    upload = new tus.Upload(bytes, {
      endpoint: `${at.url}/storage/tus`,
      headers: { 'app-id': app.id },
      metadata: { path: name, filetype: 'image/png' },
      chunkSize: MEGABYTE / 2,
      retryDelays: Array(200).fill(20),
      onBeforeRequest: (request) => {
        if (request.getMethod() === 'PATCH') parts.push(Number(request.getHeader('Upload-Offset')));
      },
      onChunkComplete: (_, count) => {
        if (count < mark) return;
        mark = Infinity;
        reached();
      },
      onSuccess: ({ lastResponse }) => resolve(lastResponse),
      onError: reject,
      ...options,
    });
  });
  done.catch(() => {});
  const after = (bytes, act) => {
    mark = bytes;
    return within(
      new Promise((resolve, reject) => {
        reached = () => Promise.resolve(act()).then(resolve, reject);
      }),
      `${bytes} bytes on the server`,
    );
  };
  return { upload, done, parts, after };
}

test('[F149, F130] an upload becomes a row in live queries; the answer has its ids', async () => {
  const { db: core, close } = createCore(server, app);
  let files = [];
  const end = core.subscribeQuery({ $files: {} }, (found) => (files = found.data?.$files ?? []));
  const bytes = randomBytes(2 * MEGABYTE + 17);
  const { upload, done, parts } = begin(server, 'photos/á.png', bytes);
  upload.start();
  const last = await within(done, 'the upload');
  const row = await until(() => files[0], 'the row');
  assert.equal(row.path, 'photos/á.png');
  assert.equal(row['content-type'], 'image/png');
  assert.equal(last.getHeader('trice-file-id'), row.id);
  assert.equal(await storedAt(row), digest(bytes));
  assert.deepEqual(parts, [0, 1, 2, 3, 4].map((part) => (part * MEGABYTE) / 2));
  end();
  close();
});

test('[F133, F149] the first part may come along, and a file may be empty', async () => {
  const bytes = randomBytes(100);
  const empty = Buffer.alloc(0);
  for (const [name, content] of Object.entries({ small: bytes, empty })) {
    const options = { uploadDataDuringCreation: true };
    const { upload, done, parts } = begin(server, name, content, options);
    upload.start();
    await within(done, name);
    assert.deepEqual(parts, []);
    assert.equal(await storedAt(await rowOf(name)), digest(content));
  }
});

test('[F149, F139] what a rule refuses is not tried again', async () => {
  const { upload, done } = begin(server, 'no', randomBytes(10));
  upload.start();
  const error = await rejection(done);
  assert.equal(JSON.parse(error.originalResponse.getBody()).type, 'permission-denied');
});

test('[F149, F136] an upload over connections that are cut goes on where it was', async () => {
  const proxy = await startProxy(server);
  const bytes = randomBytes(6 * MEGABYTE);
  const { upload, done, parts } = begin(proxy, 'cut', bytes, { chunkSize: Infinity });
  proxy.cutAfter(MEGABYTE);
  upload.start();
  await within(done, 'the upload');
  proxy.close();
  assert.ok(parts.length > 5, `each cut began a part: ${parts}`);
  assert.equal(await storedAt(await rowOf('cut')), digest(bytes));
});

test('[F149] an upload is paused and goes on, and one that is given up is gone', async () => {
  const bytes = randomBytes(4 * MEGABYTE);
  const { upload, done, parts, after } = begin(server, 'paused', bytes);
  upload.start();
  await after(MEGABYTE, () => upload.abort());
  assert.equal(await rowOf('paused'), undefined);
  const before = parts.length;
  upload.start();
  await within(done, 'the upload');
  assert.ok(parts[before] > 0, `it went on: ${parts}`);
  assert.equal(await storedAt(await rowOf('paused')), digest(bytes));

  const other = begin(server, 'given up', bytes);
  other.upload.start();
  await other.after(MEGABYTE, () => other.upload.abort(true));
  const { url } = other.upload;
  const headers = { 'tus-resumable': '1.0.0', 'app-id': app.id };
  assert.equal((await fetch(url, { method: 'HEAD', headers })).status, 404);
});

test('[F149, F137, F148] after a kill of the server another client goes on', async () => {
  const bytes = randomBytes(8 * MEGABYTE);
  const urlStorage = new tus.FileUrlStorage(path.join(dataDir, 'urls.json'));
  const options = { urlStorage, fingerprint: async () => 'the film', retryDelays: null };
  const first = begin(server, 'film', bytes, options);
  first.upload.start();
  const { port } = server;
  await first.after(3 * MEGABYTE, () => server.stop('SIGKILL', { keepData: true }));
  await rejection(first.done);
  server = await startServer({ dataDir, port });
  assert.equal(await rowOf('film'), undefined);

  const second = begin(server, 'film', bytes, options);
  const [previous] = await second.upload.findPreviousUploads();
  second.upload.resumeFromPreviousUpload(previous);
  second.upload.start();
  await within(second.done, 'the upload');
  assert.ok(second.parts[0] >= 2 * MEGABYTE, `it went on: ${second.parts}`);
  assert.equal(second.upload.url, first.upload.url);
  assert.equal(await storedAt(await rowOf('film')), digest(bytes));
});
