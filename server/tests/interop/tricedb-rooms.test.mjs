// Our own client and the official one in one room of a live server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { init } from '../../../clients/js/dist/index.js';
import { connectCore } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

let server;
let app;
const open = [];

before(async () => {
  server = await startServer();
  app = await createApp(server, {});
});
after(async () => {
  for (const close of open) close();
  await server?.stop();
});

/** A member of a room: {room, peers(), heard, state()}; its topic is `say`. */
function member(room) {
  let latest;
  const heard = [];
  room.subscribePresence({}, (state) => (latest = state));
  room.subscribeTopic('say', (event, peer) => heard.push([event, peer?.name]));
  const peers = () => Object.values(latest?.peers ?? {}).map(({ peerId: _, ...shown }) => shown);
  return { room, peers, heard, state: () => latest };
}

function ours(room, initialPresence, at = server) {
  const db = init({ appId: app.id, server: at.url });
  open.push(() => db.shutdown());
  return member(db.joinRoom('chat', room, { initialPresence }));
}

async function theirs(room, initialPresence) {
  const core = await connectCore(server, app);
  open.push(core.close);
  return member(core.db.joinRoom('chat', room, { initialPresence }));
}

const shows = (one, ...expected) =>
  until(
    () => JSON.stringify(one.peers()) === JSON.stringify(expected),
    () => `${JSON.stringify(expected)}; it shows ${JSON.stringify(one.peers())}`,
  );

test('[J90] presence goes both ways between the clients', async () => {
  const room = id();
  const ada = ours(room, { name: 'Ada' });
  const bob = await theirs(room, { name: 'Bob', at: { x: 1 } });
  await shows(ada, { name: 'Bob', at: { x: 1 } });
  await shows(bob, { name: 'Ada' });
  bob.room.publishPresence({ at: { x: 2, path: [1, { y: 2 }] } });
  await shows(ada, { name: 'Bob', at: { x: 2, path: [1, { y: 2 }] } });
  bob.room.publishPresence({ at: { path: [{ y: 3 }] } });
  await shows(ada, { name: 'Bob', at: { path: [{ y: 3 }] } });
  bob.room.publishPresence({ name: undefined, at: undefined });
  await shows(ada, {});
  ada.room.publishPresence({ name: undefined, mood: 'well' });
  await shows(bob, { mood: 'well' });
});

test('[J93] messages go both ways, in order, with what their sender shows', async () => {
  const room = id();
  const ada = ours(room, { name: 'Ada' });
  const bob = await theirs(room, { name: 'Bob' });
  await shows(ada, { name: 'Bob' });
  await shows(bob, { name: 'Ada' });
  for (let n = 0; n < 20; n += 1) {
    ada.room.publishTopic('say', { n });
    bob.room.publishTopic('say', { n });
  }
  await until(() => ada.heard.length === 20 && bob.heard.length === 20, 'twenty messages each');
  const expected = (name) => Array.from({ length: 20 }, (_, n) => [{ n }, name]);
  assert.deepEqual(ada.heard, expected('Bob'));
  assert.deepEqual(bob.heard, expected('Ada'));
});

test('[J92] fast presence arrives as it was last', async () => {
  const room = id();
  const ada = ours(room, { name: 'Ada' });
  const bob = await theirs(room, {});
  await shows(bob, { name: 'Ada' });
  for (let x = 0; x < 500; x += 1) ada.room.publishPresence({ x });
  await shows(bob, { name: 'Ada', x: 499 });
});

test('[J94, J95] a cut connection comes back to the room', async () => {
  const room = id();
  const proxy = await startProxy(server);
  const ada = ours(room, { name: 'Ada' }, proxy);
  const bob = await theirs(room, { name: 'Bob' });
  await shows(ada, { name: 'Bob' });
  await shows(bob, { name: 'Ada' });
  proxy.cut();
  await until(() => ada.state().isStale, 'stale peers');
  assert.equal(ada.peers().length, 1);
  ada.room.publishPresence({ mood: 'back' });
  await shows(bob, { name: 'Ada', mood: 'back' });
  await until(() => !ada.state().isStale, 'fresh peers');
  await shows(ada, { name: 'Bob' });
  proxy.close();
});
