// Streams over plain HTTP, used by the client of the Durable Streams protocol and by sessions.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { DurableStream, stream } from '@durable-streams/client';
import { id } from '@instantdb/core';
import { connectCore, createAdmin } from './support/clients.mjs';
import { createApp, startServer } from './support/server.mjs';
import { within } from './support/wait.mjs';

let server;
let app;
let admin;
let a;

before(async () => {
  server = await startServer();
  app = await createApp(server, {
    rules: { code: { $streams: { allow: { create: 'true', view: 'true' } } } },
  });
  admin = createAdmin(server, app);
  a = await connectCore(server, app);
});
after(async () => {
  a?.close();
  await server?.stop();
});

const headers = () => ({ authorization: `Bearer ${app.adminToken}` });
const at = (name) => ({ url: `${server.url}/streams/${app.id}/${name}`, headers: headers() });

async function follow(options) {
  const pieces = [];
  const response = await stream(options);
  const ended = new Promise((resolve) => {
    response.subscribeText((chunk) => {
      pieces.push(chunk.text);
      if (chunk.streamClosed) resolve();
    });
    response.closed.then(resolve);
  });
  return { pieces, ended, response };
}

describe('the client of the Durable Streams protocol', () => {
  for (const live of ['long-poll', 'sse']) {
    test(`[ST20] creates, appends and follows by ${live}`, async () => {
      const options = at(`ds/${id()}`);
      const writer = await DurableStream.create({ ...options, contentType: 'text/plain' });
      await writer.append('Hello ');
      const { pieces, ended } = await follow({ ...options, offset: '-1', live });
      await writer.append('wörld');
      await writer.append('!');
      await writer.close();
      await within(ended, 'the end of the stream');
      assert.equal(pieces.join(''), 'Hello wörld!');
      const head = await writer.head();
      assert.equal(head.exists, true);
      assert.equal(Number(head.offset), 13);
    });
  }

  test('[ST26] reads what a session writes, and a session what it writes', async () => {
    const clientId = id();
    const written = a.db.streams.createWriteStream({ clientId });
    await written.streamId();
    const writer = written.getWriter();
    const { pieces, ended } = await follow({ ...at(clientId), offset: '-1', live: 'sse' });
    await writer.write('from a session, ');
    await writer.write('läter');
    await writer.close();
    await within(ended, 'the end of the stream');
    assert.equal(pieces.join(''), 'from a session, läter');

    const name = id();
    const posting = await DurableStream.create({ ...at(name), contentType: 'text/plain' });
    let text = '';
    const reading = (async () => {
      for await (const piece of admin.streams.createReadStream({ clientId: name })) text += piece;
    })();
    for (const word of ['one ', 'two ', 'three']) await posting.append(word);
    await posting.close();
    await within(reading, 'the end of the stream');
    assert.equal(text, 'one two three');
  });

  test('[ST31] deletes, and is told what is missing', async () => {
    const options = at(id());
    const writer = await DurableStream.create({ ...options, contentType: 'text/plain' });
    await writer.append('x');
    await writer.delete();
    await assert.rejects(stream({ ...options, live: false }), { status: 404 });
  });
});
