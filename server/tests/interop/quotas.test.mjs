// What official clients are told when a quota of their app is used up.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import './support/browser.mjs';
import { id } from '@instantdb/admin';
import { connectCore, createAdmin, createCore } from './support/clients.mjs';
import { COMMAND, createAccount, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

let server;
let token;

before(async () => {
  server = await startServer();
  token = await createAccount(server, 'ann@example.com');
});
after(() => server?.stop());

const run = (...args) => promisify(execFile)(COMMAND, args);
const quota = (app, ...args) =>
  run('apps', 'quota', app.id, ...args, '--data-dir', server.directory);

/** An app of Ann's, that anybody may write to. */
async function createOwned() {
  const response = await fetch(`${server.url}/superadmin/apps`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({
      title: 'shop',
      perms: { $default: { allow: { $default: 'true' } }, attrs: { allow: { create: 'true' } } },
    }),
  });
  const { app } = await response.json();
  return { id: app.id, adminToken: app['admin-token'] };
}

describe('quotas', () => {
  test('[QT5] a write beyond rows is rejected, and taken back on the screen', async () => {
    const app = await createOwned();
    const { db, close } = await connectCore(server, app);
    await db.transact(db.tx.todos[id()].update({ title: 'a' }));
    await quota(app, '--rows', '1');
    let shown;
    db.subscribeQuery({ todos: {} }, (answer) => (shown = answer.data?.todos));
    await until(() => shown?.length === 1);
    const refused = await rejection(db.transact(db.tx.todos[id()].update({ title: 'b' })));
    assert.match(JSON.stringify(refused.body ?? refused.message), /trice apps quota/);
    await until(() => shown.length === 1);
    await quota(app, '--rows', 'none');
    await db.transact(db.tx.todos[id()].update({ title: 'c' }));
    await until(() => shown.length === 2);
    close();
  });

  test('[QT6] requests beyond a quota are told as such', async () => {
    const app = await createOwned();
    const admin = createAdmin(server, app);
    await admin.query({ todos: {} });
    await quota(app, '--requests', '0');
    const refused = await rejection(admin.query({ todos: {} }));
    assert.equal(refused.status, 429);
    assert.equal(refused.body.type, 'rate-limited');
    assert.equal(refused.body.hint.quota, 'requests');
    await quota(app, '--requests', 'unlimited');
    await admin.query({ todos: {} });
  });

  test('[QT7] a client beyond sockets learns why it is not connected', async () => {
    const app = await createOwned();
    await quota(app, '--sockets', '1');
    const first = await connectCore(server, app);
    const second = createCore(server, app);
    await until(() => /quota/.test(JSON.stringify(second.reactor._errorMessage ?? '')));
    assert.match(second.reactor._errorMessage.message, /1 connections, and 1 are the most/);
    second.close();
    first.close();
  });

  test('[QT20] usage tells the same', async () => {
    const app = await createOwned();
    const admin = createAdmin(server, app);
    await admin.transact(admin.tx.todos[id()].update({ title: 'a' }));
    await quota(app, '--rows', '9');
    const { stdout } = await run(
      ...['apps', 'usage', app.id, '--json', '--url', server.url, '--token', token],
    );
    assert.deepEqual(JSON.parse(stdout).rows, { used: 1, allowed: 9, set_by: 'app' });
  });
});
