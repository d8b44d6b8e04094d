// What clients that offer compression get: Node's `ws`, and the official client on top of it.
import assert from 'node:assert/strict';
import { randomUUID as id } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';

import './support/browser.mjs';
import { answer, connectCore, watch } from './support/clients.mjs';
import { RawSession } from './support/raw.mjs';
import { schema, serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';

const ROWS = 60;
let server;
let app;

before(async () => {
  server = await startServer();
  app = await createApp(server, { schema: serialisedSchema(schema) });
});
after(async () => {
  await server?.stop();
});

/** Bytes that this connection has read, the handshake included. */
const bytesRead = (session) => session.socket._socket.bytesRead;

describe('compression', () => {
  test('[P90, P92, P95] both read each other, in a fraction of the bytes', async () => {
    const deflated = await RawSession.connect(server, app.id, { perMessageDeflate: true });
    const plain = await RawSession.connect(server, app.id);
    assert.match(deflated.socket.extensions, /permessage-deflate/);
    assert.equal(plain.socket.extensions, '');
    const steps = Array.from({ length: ROWS }, (_, n) =>
      deflated.create('todos', id(), { title: `Buy milk ${n}`, done: false }),
    ).flat();
    const sent = deflated.socket._socket.bytesWritten;
    await deflated.transact(steps);
    const size = JSON.stringify(steps).length;
    assert.ok(deflated.socket._socket.bytesWritten - sent < size / 2, 'the client deflates too');

    const before = [deflated, plain].map(bytesRead);
    const q = { todos: {} };
    const answers = [];
    for (const session of [deflated, plain]) {
      const ok = await session.ask({ op: 'add-query', 'client-event-id': 'same', q });
      answers.push(ok);
    }
    assert.deepEqual(answers[0], answers[1]);
    const [few, many] = [deflated, plain].map((session, n) => bytesRead(session) - before[n]);
    assert.ok(few < many / 3, `${few} bytes instead of ${many}`);
    deflated.close();
    plain.close();
  });

  test('[P90, P92] the official client agrees on it without knowing', async () => {
    const before = globalThis.WebSocket;
    const agreed = [];
    globalThis.WebSocket = class extends WebSocket {
      constructor(...options) {
        super(...options);
        this.once('open', () => agreed.push(this.extensions));
      }
    };
    try {
      const core = await connectCore(server, app, { schema });
      const watched = watch(core.db, { todos: {} });
      const { data } = await answer(watched, ({ data }) => data?.todos.length >= ROWS);
      await core.db.transact(core.db.tx.todos[data.todos[0].id].update({ title: 'another' }));
      await answer(watched, (a) => a.data.todos.some((todo) => todo.title === 'another'));
      assert.match(agreed[0], /permessage-deflate/);
      core.close();
    } finally {
      globalThis.WebSocket = before;
    }
  });
});
