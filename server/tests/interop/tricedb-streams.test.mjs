// Streams between our own client and the official one, on a live server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { init } from '../../../clients/js/dist/index.js';
import { connectCore } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

const OPEN = { code: { $streams: { allow: { view: 'true', create: 'true' } } } };

let server;
let app;
const open = [];

before(async () => {
  server = await startServer();
  app = await createApp(server, { rules: OPEN });
});
after(async () => {
  for (const close of open) close();
  await server?.stop();
});

function ours(at = server) {
  const db = init({ appId: app.id, server: at.url });
  open.push(() => db.shutdown());
  return db;
}

async function theirs() {
  const core = await connectCore(server, app);
  open.push(core.close);
  return core.db;
}

async function textOf(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

const LINES = Array.from({ length: 300 }, (_, n) => `line ${n}: wörld 😀 ${'x'.repeat(9_000)}\n`);

async function write(stream, texts) {
  const writer = stream.getWriter();
  for (const text of texts) await writer.write(text);
  await writer.close();
}

test('[J105] what we write the official client reads, and the other way round', async () => {
  for (const [from, to] of [
    [ours(), await theirs()],
    [await theirs(), ours()],
  ]) {
    const clientId = id();
    const output = from.streams.createWriteStream({ clientId });
    await output.streamId();
    const read = textOf(to.streams.createReadStream({ clientId }));
    await write(output, LINES);
    assert.equal(await read, LINES.join(''));
  }
});

test('[J105] a stream that is done is read again, from any byte', async () => {
  const db = ours();
  const clientId = id();
  const output = db.streams.createWriteStream({ clientId });
  await write(output, LINES);
  const { length } = Buffer.from(LINES[0]);
  const stream = ours().streams.createReadStream({ clientId, byteOffset: length });
  assert.equal(await textOf(stream), LINES.slice(1).join(''));
  assert.equal(await stream.streamId(), await output.streamId());
  const byId = db.streams.createReadStream({ streamId: await output.streamId() });
  assert.equal(await textOf(byId), LINES.join(''));
});

test('[J108] cut connections of writer and reader lose and double nothing', async () => {
  const [near, far] = [await startProxy(server), await startProxy(server)];
  const clientId = id();
  const output = ours(near).streams.createWriteStream({ clientId });
  await output.streamId();
  let text = '';
  const read = (async () => {
    const stream = ours(far).streams.createReadStream({ clientId });
    for await (const chunk of stream) text += chunk;
  })();
  const writer = output.getWriter();
  for (const [n, line] of LINES.entries()) {
    await writer.write(line);
    if (n % 80 === 40) {
      await until(() => text.length > n * 1_000, 'text');
      (n % 160 === 40 ? near : far).cut();
    }
  }
  await writer.close();
  await read;
  assert.equal(text, LINES.join(''));
  near.close();
  far.close();
});

test('[J106] what the rules deny says so', async () => {
  const closed = await createApp(server, {});
  const db = init({ appId: closed.id, server: server.url });
  open.push(() => db.shutdown());
  const writer = db.streams.createWriteStream({ clientId: 'x' }).getWriter();
  await assert.rejects(writer.closed, { code: 'permission-denied' });
  await assert.rejects(textOf(db.streams.createReadStream({ clientId: 'x' })));
});
