// Streams of the core and the admin client: writing, late readers, rules, a killed server.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { connectCore, createAdmin } from './support/clients.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until, within } from './support/wait.mjs';

let server;
let app;
let admin;
let a;
let b;

const rules = { $streams: { allow: { create: 'true', view: "data.clientId != 'hidden'" } } };

before(async () => {
  server = await startServer();
  app = await createApp(server, { rules: { code: rules } });
  admin = createAdmin(server, app);
  a = await connectCore(server, app);
  b = await connectCore(server, app);
});
after(async () => {
  a?.close();
  b?.close();
  await server?.stop();
});

async function write(db, clientId, pieces) {
  const writer = db.streams.createWriteStream({ clientId }).getWriter();
  for (const piece of pieces) await writer.write(piece);
  await writer.close();
}

function read(db, options, got = { text: '' }) {
  const all = async () => {
    for await (const piece of db.streams.createReadStream(options)) got.text += piece;
    return got.text;
  };
  return within(all(), 'the end of the stream');
}

describe('streams', () => {
  test('[ST6] a reader follows a writer over a WebSocket', async () => {
    const clientId = id();
    const stream = a.db.streams.createWriteStream({ clientId });
    await stream.streamId();
    const writer = stream.getWriter();
    await writer.write('Hello ');
    await writer.write('wörld');
    const reading = read(b.db, { clientId });
    await writer.write('!');
    await writer.close();
    assert.equal(await reading, 'Hello wörld!');
  });

  test('[ST4] a stream of many parts is read late, whole and from the middle', async () => {
    const clientId = id();
    const pieces = Array.from({ length: 50 }, (_, n) => String(n % 10).repeat(60_000));
    await write(a.db, clientId, pieces);
    const text = pieces.join('');
    assert.equal(await read(b.db, { clientId }), text);
    assert.equal(await read(b.db, { clientId, byteOffset: 1_234_567 }), text.slice(1_234_567));
    const query = { $streams: { $: { where: { clientId } }, $files: {} } };
    const { $streams } = await admin.query(query);
    assert.equal($streams[0].size, text.length);
    assert.equal($streams[0].done, true);
    assert.ok($streams[0].$files.length > 1);
  });

  test('[ST1] the admin client writes and reads over event streams', async () => {
    const clientId = id();
    await write(admin, clientId, ['one ', 'two ', 'three']);
    assert.equal(await read(admin, { clientId }), 'one two three');
    assert.equal(await read(b.db, { clientId }), 'one two three');
  });

  test('[ST9] the view rule hides a stream from those who are no admins', async () => {
    await write(a.db, 'hidden', ['secret']);
    await assert.rejects(read(b.db, { clientId: 'hidden' }), /permission/i);
    assert.equal(await read(admin, { clientId: 'hidden' }), 'secret');
  });

  test('[ST5] a killed server loses nothing that the writer goes on to send', async () => {
    const first = await startServer();
    const own = await createApp(first, { rules: { code: rules } });
    const [c, d] = [await connectCore(first, own), await connectCore(first, own)];
    const clientId = id();
    const pieces = Array.from({ length: 40 }, (_, n) => `${n};`.repeat(20_000));
    const stream = c.db.streams.createWriteStream({ clientId });
    await stream.streamId();
    const got = { text: '' };
    const reading = read(d.db, { clientId }, got);
    const writer = stream.getWriter();
    for (const piece of pieces.slice(0, 25)) await writer.write(piece);
    await first.stop('SIGKILL', { keepData: true });
    const second = await startServer({ dataDir: first.directory, port: first.port });
    for (const piece of pieces.slice(25, 35)) await writer.write(piece);
    await until(() => c.reactor.status === 'authenticated', 'the writer to be back');
    // The client forgets a `close` of the time in which it was not connected.
    await until(() => got.text.length > pieces.slice(0, 25).join('').length, 'the text to go on');
    for (const piece of pieces.slice(35)) await writer.write(piece);
    await within(writer.close(), 'the end of the writer');
    assert.equal(await reading, pieces.join(''));
    c.close();
    d.close();
    await second.stop('SIGTERM', { keepData: false });
  });
});
