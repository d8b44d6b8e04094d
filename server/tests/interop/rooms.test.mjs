// Rooms of the core client over WebSocket and over its fallback, and of the admin client.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { EventSource } from 'eventsource';
import { connectCore, createAdmin } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { createApp, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

let server;
let app;

before(async () => {
  server = await startServer();
  app = await createApp(server, {});
});
after(() => server?.stop());

/** A client in a room: {db, room, peers(), error(), heard, close}. */
async function member(room, data, topics = [], { at = server, ...options } = {}) {
  const core = await connectCore(at, app, options);
  const joined = core.db.joinRoom('chat', room, { initialPresence: data });
  let latest;
  const unsubscribe = joined.subscribePresence({}, (presence) => (latest = presence));
  const heard = [];
  for (const topic of topics)
    joined.subscribeTopic(topic, (event, peer) => heard.push({ event, name: peer?.name }));
  const peers = () => Object.values(latest?.peers ?? {}).map(({ peerId, ...shown }) => shown);
  const ids = () => Object.keys(latest?.peers ?? {});
  return { ...core, room: joined, peers, ids, heard, unsubscribe };
}

const shows = (one, ...expected) =>
  until(
    () => JSON.stringify(one.peers()) === JSON.stringify(expected),
    () => `${JSON.stringify(expected)}; it shows ${JSON.stringify(one.peers())}`,
  );

describe('rooms', () => {
  test('presence: joining, fields that come, change and go, leaving', async () => {
    const room = id();
    const ada = await member(room, { name: 'Ada' });
    const bob = await member(room, { name: 'Bob', at: { x: 1, y: 2 } });
    await shows(ada, { name: 'Bob', at: { x: 1, y: 2 } });
    await shows(bob, { name: 'Ada' });
    bob.room.publishPresence({ at: { x: 1, y: 3 } });
    await shows(ada, { name: 'Bob', at: { x: 1, y: 3 } });
    bob.room.publishPresence({ at: {}, mood: null });
    await shows(ada, { name: 'Bob', at: {}, mood: null });
    bob.room.publishPresence({ name: undefined, at: undefined, mood: undefined });
    await shows(ada, {});
    bob.unsubscribe();
    bob.room.leaveRoom();
    await shows(ada);
    ada.close();
    bob.close();
  });

  test('topics reach the others, with the presence of the sender', async () => {
    const room = id();
    const ada = await member(room, { name: 'Ada' }, ['emoji']);
    const bob = await member(room, { name: 'Bob' }, ['emoji', 'other']);
    await shows(ada, { name: 'Bob' });
    for (let n = 0; n < 5; n += 1) ada.room.publishTopic('emoji', { n });
    await until(() => bob.heard.length === 5, () => `five messages, not ${bob.heard.length}`);
    assert.deepEqual(
      bob.heard,
      [0, 1, 2, 3, 4].map((n) => ({ event: { n }, name: 'Ada' })),
    );
    assert.deepEqual(ada.heard, []);
    ada.close();
    bob.close();
  });

  test('a client that lost its connection is back as another member', async () => {
    const room = id();
    const ada = await member(room, { name: 'Ada' });
    const bob = await member(room, { name: 'Bob' });
    await shows(ada, { name: 'Bob' });
    const before = ada.ids();
    bob.reactor._transport.close();
    await until(
      () => ada.ids().length === 1 && ada.ids()[0] !== before[0],
      () => `another member than ${before}; there are ${ada.ids()}`,
    );
    await shows(ada, { name: 'Bob' });
    ada.close();
    bob.close();
  });

  test('a member whose transport is the fallback', async () => {
    const room = id();
    const proxy = await startProxy(server);
    proxy.refuseWebSockets();
    const ada = await member(room, { name: 'Ada' }, ['emoji'], { at: proxy, EventSource });
    const bob = await member(room, { name: 'Bob' }, ['emoji']);
    await shows(ada, { name: 'Bob' });
    await shows(bob, { name: 'Ada' });
    ada.room.publishTopic('emoji', { n: 1 });
    bob.room.publishTopic('emoji', { n: 2 });
    await until(() => ada.heard.length + bob.heard.length === 2, 'a message each');
    assert.deepEqual([ada.heard[0].event, bob.heard[0].event], [{ n: 2 }, { n: 1 }]);
    ada.close();
    await shows(bob);
    bob.close();
    await proxy.close();
  });

  test('the admin client sees who is there', async () => {
    const room = id();
    assert.deepEqual(await admin().rooms.getPresence('chat', room), {});
    const ada = await member(room, { name: 'Ada' });
    await until(
      async () => Object.keys(await admin().rooms.getPresence('chat', room)).length === 1,
      () => 'one member',
    );
    const [shown] = Object.values(await admin().rooms.getPresence('chat', room));
    assert.deepEqual([shown.data, shown.user], [{ name: 'Ada' }, null]);
    ada.close();
  });
});

function admin() {
  return createAdmin(server, app);
}

describe('rules of rooms', () => {
  test('a refused member is told an error, and one that loses its right sees nobody', async () => {
    const tasks = { open: id(), shut: id() };
    const join = "room.ref('tasks', 'open') == [true]";
    const ruled = await createApp(server, {
      schema: { entities: { tasks: { attrs: {} } } },
      rules: { code: { $rooms: { chat: { join, read: 'true', presence: 'true' } } } },
    });
    const admin = createAdmin(server, ruled);
    await admin.transact([
      admin.tx.tasks[tasks.open].update({ open: true }),
      admin.tx.tasks[tasks.shut].update({ open: false }),
    ]);
    const enter = async (room) => {
      const core = await connectCore(server, ruled);
      const joined = core.db.joinRoom('chat', room, { initialPresence: { name: 'x' } });
      const one = { ...core, latest: undefined };
      joined.subscribePresence({}, (presence) => (one.latest = presence));
      return one;
    };
    const told = (one, peers, error) =>
      until(
        () =>
          one.latest?.isLoading === false &&
          Object.keys(one.latest.peers).length === peers &&
          error.test(String(one.latest.error)),
        () => `${peers} peers; it shows ${JSON.stringify(one.latest)}`,
      );
    const [ada, bob] = [await enter(tasks.open), await enter(tasks.open)];
    const eve = await enter(tasks.shut);
    await told(eve, 0, /does not allow/);
    await told(ada, 1, /undefined/);
    await told(bob, 1, /undefined/);
    await admin.transact(admin.tx.tasks[tasks.open].update({ open: false }));
    await told(ada, 0, /does not allow/);
    await told(bob, 0, /does not allow/);
    for (const one of [ada, bob, eve]) one.close();
  });
});
