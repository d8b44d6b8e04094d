// What create-instant-app 1.0.67 asks of the server when it makes a project.
//
// The package itself does not run here, as it clones its templates from GitHub and tests need no
// network. These are its requests and the headers they have, as its published source makes them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { createAdmin } from './support/clients.mjs';
import { createAccount, post, startServer } from './support/server.mjs';

let server;
let token;
before(async () => {
  server = await startServer();
  token = await createAccount(server, 'ann@example.com');
});
after(() => server?.stop());

const RULES = {
  $users: { view: 'true' },
  $files: { allow: { view: 'true', create: 'true', delete: 'true' } },
};

/** `metadata` travels in a header, with the whole schema and rules of a template. */
async function ask(path, { method = 'GET', body, bearer, metadata } = {}) {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      'Content-Type': 'application/json',
      'X-Instant-Source': 'create-instant-app',
      'X-Instant-Version': '1.0.67',
      'X-Instant-Command': 'create',
      ...(bearer && { Authorization: `Bearer ${bearer}` }),
      ...(metadata && { 'X-Instant-Metadata': JSON.stringify(metadata) }),
    },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

const METADATA = {
  template: 'next-js-app-dir',
  aiTool: 'claude',
  usedAiPrompt: false,
  rules: { code: RULES },
  schema: { blobs: Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`e${n}`, RULES])) },
};

test('[AC132] without an account: a throw-away app whose bare rules do not count', async () => {
  const size = JSON.stringify(METADATA).length;
  assert.ok(size > 40_000, `${size}`);
  const made = await ask('/dash/apps/ephemeral', {
    method: 'POST',
    body: { title: 'my-cool-app', rules: RULES },
    metadata: METADATA,
  });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  const app = { id: made.body.app.id, adminToken: made.body.app['admin-token'] };
  const admin = createAdmin(server, app);
  assert.deepEqual(await admin.query({ todos: {} }), { todos: [] });
  // --app ID --token TOKEN: the pair is checked by a pull, and a wrong one refused.
  const pull = (bearer) => ask(`/dash/apps/${app.id}/schema/pull`, { bearer });
  assert.equal((await pull(app.adminToken)).status, 200);
  const wrong = await pull(randomUUID());
  assert.notEqual(wrong.status, 200);
  assert.equal(typeof wrong.body.message, 'string');
});

test('[AC132] with an account: lists apps and organisations, makes one, or links one', async () => {
  const { body: dashboard } = await ask('/dash', { bearer: token });
  assert.deepEqual([dashboard.apps, dashboard.orgs], [[], []]);
  const id = randomUUID();
  const adminToken = randomUUID();
  const body = { id, title: 'mine', admin_token: adminToken, org_id: null };
  const made = await ask('/dash/apps', { method: 'POST', bearer: token, body, metadata: METADATA });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  await createAdmin(server, { id, adminToken }).query({ todos: {} });
  const headers = { authorization: `Bearer ${token}` };
  const { body: org } = await post(`${server.url}/dash/orgs`, { title: 'Bakery' }, headers);
  const inOrg = { id: randomUUID(), title: 'ours', admin_token: randomUUID(), org_id: org.org.id };
  await ask('/dash/apps', { method: 'POST', bearer: token, body: inOrg });

  const { body: listed } = await ask('/dash', { bearer: token });
  assert.deepEqual(
    listed.apps.map((app) => [app.id, app.title, app.admin_token]),
    [[id, 'mine', adminToken]],
  );
  assert.deepEqual(
    listed.orgs.map((each) => [each.id, each.title, each.role]),
    [[org.org.id, 'Bakery', 'owner']],
  );
  const { body: shared } = await ask(`/dash/orgs/${org.org.id}`, { bearer: token });
  assert.deepEqual(
    shared.apps.map((app) => [app.id, app.admin_token]),
    [[inOrg.id, inOrg.admin_token]],
  );
  const track = { method: 'POST', bearer: token, metadata: METADATA };
  assert.deepEqual((await ask(`/dash/apps/${id}/track-import`, track)).body, { ok: true });
});

test('[AC132] signing in: it polls until the person allows it, and gets a token once', async () => {
  const { body: login } = await ask('/dash/cli/auth/register', { method: 'POST' });
  const check = () => post(`${server.url}/dash/cli/auth/check`, { secret: login.secret });
  const pending = await check();
  assert.equal(pending.status, 400);
  assert.equal(pending.body.hint.errors[0].issue, 'waiting-for-user');
  const headers = { authorization: `Bearer ${token}` };
  await post(`${server.url}/dash/cli/auth/claim`, { ticket: login.ticket }, headers);
  const done = await check();
  assert.equal(done.body.email, 'ann@example.com');
  const { body: dashboard } = await ask('/dash', { bearer: done.body.token });
  assert.equal(dashboard.user.email, 'ann@example.com');
  assert.notEqual((await check()).status, 200);
});
