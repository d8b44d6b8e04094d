// Webhooks of the admin client: made, delivered, verified, tried again, disabled, listed.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';

import { id } from '@instantdb/admin';
import { createAdmin } from './support/clients.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

let server;
let receiver;
let url;
let db;
let answers;
let got;

before(async () => {
  server = await startServer({ env: { TRICE_WEBHOOKS_PRIVATE: '1' } });
  // What a developer runs: the handlers of the official package behind node:http.
  receiver = createServer(async (request, response) => {
    const { status, text = '' } = answers.shift() ?? { status: 200 };
    const seen = { headers: request.headers, records: [] };
    try {
      const keep = (record) => seen.records.push(record);
      await db.webhooks.processNodeRequest({ $default: keep }, request);
    } catch (error) {
      seen.error = error;
    }
    got.push(seen);
    response.writeHead(status).end(text);
  });
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${receiver.address().port}/`;
});
after(async () => {
  receiver?.closeAllConnections();
  receiver?.close();
  await server?.stop();
});

beforeEach(async () => {
  db = createAdmin(server, await createApp(server));
  answers = [];
  got = [];
  await db.transact(db.tx.posts[id()].update({ title: 'before' }));
});

const make = (more = {}) =>
  db.webhooks.manager.create({
    url,
    namespaces: ['posts'],
    actions: ['create', 'update', 'delete'],
    ...more,
  });

const deliveries = (count) =>
  until(
    () => got.length >= count && got,
    () => `${count} deliveries; there are ${got.length}`,
  );

const eventsOf = async (webhook, ...statuses) =>
  until(
    async () => {
      const { events } = await db.webhooks.manager.listEvents(webhook.id);
      const shown = events.map((event) => event.status).reverse();
      return JSON.stringify(shown) === JSON.stringify(statuses) && events.reverse();
    },
    () => `events ${statuses}`,
  );

describe('webhooks', () => {
  test('[WH1, WH20, WH30] a delivery is verified, and its records are handled', async () => {
    const webhook = await make();
    assert.equal(webhook.status, 'active');
    assert.ok(webhook.createdAt.getTime() > 0);
    const post = id();
    await db.transact(db.tx.posts[post].update({ title: 'one', tags: ['a'] }));
    await db.transact(db.tx.posts[post].update({ title: 'two' }));
    await db.transact(db.tx.posts[post].delete());
    const all = await deliveries(3);
    for (const each of all) assert.equal(each.error, undefined);
    const records = all.flatMap((each) => each.records);
    assert.deepEqual(
      records.map(({ namespace, action, before, after }) => ({ namespace, action, before, after })),
      [
        {
          namespace: 'posts',
          action: 'create',
          before: null,
          after: { id: post, title: 'one', tags: ['a'] },
        },
        {
          namespace: 'posts',
          action: 'update',
          before: { id: post, title: 'one', tags: ['a'] },
          after: { id: post, title: 'two', tags: ['a'] },
        },
        {
          namespace: 'posts',
          action: 'delete',
          before: { id: post, title: 'two', tags: ['a'] },
          after: null,
        },
      ],
    );
    const events = await eventsOf(webhook, 'success', 'success', 'success');
    const payload = await db.webhooks.manager.getPayload(webhook.id, events[0].isn);
    assert.deepEqual(payload.data, all[0].records);
    assert.equal(payload.idempotencyKey, all[0].headers['idempotency-key']);
    const [listed] = await db.webhooks.manager.list();
    assert.deepEqual(listed, webhook);
  });

  test('[WH20] a body that was changed on its way is refused by the package', async () => {
    await make();
    await db.transact(db.tx.posts[id()].update({ title: 'one' }));
    const [{ headers }] = await deliveries(1);
    const error = await rejection(
      db.webhooks.validate(headers['instant-signature'], '{"payloadUrl":"x","token":"y"}'),
    );
    assert.match(error.message, /did not validate/);
  });

  test('[WH16, WH22] an event that failed is tried again by hand', async () => {
    answers = [{ status: 500, text: 'not now' }];
    const webhook = await make();
    await db.transact(db.tx.posts[id()].update({ title: 'one' }));
    const [event] = await eventsOf(webhook, 'error');
    assert.equal(event.attempts[0].statusCode, 500);
    assert.equal(event.attempts[0].responseText, 'not now');
    assert.equal(event.attempts[0].success, false);
    assert.ok(event.nextAttemptAfter > event.attempts[0].attemptAt);
    const again = await db.webhooks.manager.resendEvent(webhook.id, event.isn);
    assert.equal(again.isn, event.isn);
    await eventsOf(webhook, 'success');
    const { attempts } = await db.webhooks.manager.getEvent(webhook.id, event.isn);
    assert.deepEqual(
      attempts.map((attempt) => attempt.success),
      [false, true],
    );
    await db.webhooks.manager.resendEvent(webhook.id, event.isn);
    await deliveries(3);
    assert.equal(new Set(got.map((each) => each.headers['idempotency-key'])).size, 1);
  });

  test('[WH5] nothing is delivered while it is disabled, nor later', async () => {
    const { manager } = db.webhooks;
    const webhook = await make();
    const off = await manager.disable(webhook.id, { reason: 'maintenance' });
    assert.equal(off.status, 'disabled');
    assert.equal(off.disabledReason, 'maintenance');
    await db.transact(db.tx.posts[id()].update({ title: 'missed' }));
    const on = await manager.enable(webhook.id);
    assert.equal(on.status, 'active');
    assert.equal(on.disabledReason, null);
    await db.transact(db.tx.posts[id()].update({ title: 'heard' }));
    const [{ records }] = await deliveries(1);
    assert.deepEqual(
      records.map((record) => record.after.title),
      ['heard'],
    );
    assert.equal((await manager.update(webhook.id, { actions: ['delete'] })).actions[0], 'delete');
    assert.equal((await manager.delete(webhook.id)).id, webhook.id);
    assert.deepEqual(await manager.list(), []);
  });

  test('[WH2, WH3] what is refused comes as an error of the API', async () => {
    for (const wrong of [
      { url: 'nonsense' },
      { namespaces: ['nothing'] },
      { actions: [] },
      { namespaces: [] },
    ]) {
      const error = await rejection(make(wrong));
      assert.equal(error.body.type, 'validation-failed', JSON.stringify(wrong));
      assert.equal(error.body.hint['data-type'], 'webhook');
    }
  });

  test('[WH12] events outlast a killed server', async () => {
    answers = [{ status: 500 }];
    const webhook = await make();
    await db.transact(db.tx.posts[id()].update({ title: 'one' }));
    const [event] = await eventsOf(webhook, 'error');
    const { port, directory } = server;
    await server.stop('SIGKILL', { keepData: true });
    server = await startServer({
      dataDir: directory,
      port,
      env: { TRICE_WEBHOOKS_PRIVATE: '1' },
    });
    const known = await db.webhooks.manager.getEvent(webhook.id, event.isn);
    assert.deepEqual(known, event);
    await db.transact(db.tx.posts[id()].update({ title: 'two' }));
    await eventsOf(webhook, 'error', 'success');
  });
});
