// `tricedb/platform` beside the official platform client: the same calls have the same results.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { i } from '@instantdb/core';
import { PlatformApi as Official } from '@instantdb/platform';
import { id, init } from 'tricedb/admin';
import { exchangeCodeForToken, PlatformApi, TriceError } from 'tricedb/platform';
import { createAdmin } from './support/clients.mjs';
import { grown, schema } from './support/growing-schema.mjs';
import { createAccount, post, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const perms = { todos: { allow: { view: 'true', create: 'false' } } };

let server;
let token;
let api;
let official;

before(async () => {
  server = await startServer({ env: { TRICE_WEBHOOKS_PRIVATE: '1' } });
  token = await createAccount(server, 'ann@example.com');
  api = new PlatformApi({ auth: { token }, server: server.url });
  official = new Official({ auth: { token }, apiURI: server.url });
});
after(() => server?.stop());

/** As JSON, with schemas reduced to what `init` reads of them. */
function plain(value) {
  return JSON.parse(JSON.stringify(value), (key, held) => {
    if (key === 'entities')
      return Object.fromEntries(
        Object.entries(held).map(([etype, { attrs }]) => [
          etype,
          Object.fromEntries(
            Object.entries(attrs).map(([label, { valueType, required, config }]) => [
              label,
              { valueType: valueType === 'any' ? 'json' : valueType, required, config },
            ]),
          ),
        ]),
      );
    return key === 'rooms' ? undefined : held;
  });
}

/** The same with numbers for the ids, in the order in which they come. */
function numbered(value) {
  const ids = new Map();
  const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
  const text = JSON.stringify(plain(value)).replace(uuid, (one) => {
    if (!ids.has(one)) ids.set(one, `#${ids.size}`);
    return ids.get(one);
  });
  return JSON.parse(text);
}

async function same(call) {
  const [mine, theirs] = [await call(api), await call(official)];
  assert.deepEqual(plain(mine), plain(theirs));
  return mine;
}

async function sameRefusal(call, [one, other] = [api, official]) {
  const mine = await rejection((async () => call(one))());
  const theirs = await rejection((async () => call(other))());
  assert.ok(mine instanceof TriceError, String(mine));
  assert.deepEqual(
    [mine.status, mine.code, mine.message, mine.hint],
    [theirs.status, theirs.body.type, theirs.message, theirs.body.hint],
  );
  return mine;
}

/** Types, descriptions and contents of steps, whatever their order. */
const steps = (plan) =>
  plan.steps
    .map((step) => {
      // The official client says `undefined.undefined` of an update that names no identity.
      const isNameless = step.type === 'update-attr' && !step.attr['forward-identity'];
      return numbered(isNameless ? { ...step, friendlyDescription: null } : step);
    })
    .map((step) => JSON.stringify(sorted(step)))
    .toSorted();

/** With keys in order, and without those that are null. */
function sorted(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const pairs = Object.entries(value).filter(([, held]) => held !== null);
  return Object.fromEntries(pairs.toSorted().map(([key, held]) => [key, sorted(held)]));
}

describe('apps', () => {
  test('[J123] made with schema and rules, listed, renamed, deleted', async () => {
    const { app: made } = await api.createApp({ title: 'shop', schema, perms });
    assert.equal(typeof made.adminToken, 'string');
    assert.ok(made.createdAt instanceof Date && made.createdAt.getTime() > 0);
    const all = { includePerms: true, includeSchema: true };
    const { app: got } = await same((client) => client.getApp(made.id, all));
    assert.deepEqual([got.title, got.perms, got.orgId], ['shop', perms, null]);
    assert.deepEqual(plain(got.schema), plain(made.schema));
    await same((client) => client.getApps(all));
    await same((client) => client.getApps());
    await same((client) => client.getPerms(made.id));
    await same((client) => client.getSchema(made.id));
    assert.equal((await api.updateApp(made.id, { title: 'store' })).app.title, 'store');
    const db = init({ appId: made.id, adminToken: made.adminToken, server: server.url });
    await db.transact(db.tx.todos[id()].create({ title: 'one' }));
    assert.equal((await db.query({ todos: {} })).todos.length, 1);
    assert.equal((await api.deleteApp(made.id)).app.id, made.id);
    await sameRefusal((client) => client.getApp(made.id));
    // The official client leaves a rejection behind that nobody handles; all of ours are.
    assert.equal((await rejection(api.getApp(made.id, all))).code, 'record-not-found');
    const nobody = new PlatformApi({ server: server.url });
    assert.equal((await rejection(nobody.getApps())).code, 'auth-missing');
    const { app: brief, expiresMs } = await nobody.createTemporaryApp({
      title: 'brief',
      schema,
      rules: { code: perms },
    });
    assert.ok(expiresMs > Date.now() && brief.adminToken);
    const byAdmin = new PlatformApi({ auth: { token: brief.adminToken }, server: server.url });
    assert.deepEqual((await byAdmin.getPerms(brief.id)).perms, perms);
  });

  test('[J123] of organisations, and what others may not', async () => {
    const headers = { authorization: `Bearer ${token}` };
    const { body } = await post(`${server.url}/dash/orgs`, { title: 'Bakery' }, headers);
    await same((client) => client.getOrgs());
    const fields = Object.freeze({ title: 'shared', orgId: body.org.id, schema });
    const { app: made } = await api.createApp(fields);
    assert.equal(made.orgId, body.org.id);
    await same((client) => client.getAppsForOrg(body.org.id, { includeSchema: true }));
    const auth = { token: await createAccount(server, 'eve@example.com') };
    const clients = [
      new PlatformApi({ auth, server: server.url }),
      new Official({ auth, apiURI: server.url }),
    ];
    await sameRefusal((client) => client.updateApp(made.id, { title: 'hers' }), clients);
    await sameRefusal((client) => client.schemaPush(made.id, { schema }), clients);
  });
});

describe('rules and schemas', () => {
  test('[J123] rules are pushed, and refused with their place', async () => {
    const { app: made } = await api.createApp({ title: 'ruled', schema });
    assert.deepEqual(await same((client) => client.getPerms(made.id)), { perms: null });
    assert.deepEqual((await api.pushPerms(made.id, { perms })).perms, perms);
    const wrong = { todos: { allow: { view: 'nonsense(' } } };
    const refused = await sameRefusal((client) => client.pushPerms(made.id, { perms: wrong }));
    assert.deepEqual(refused.hint.errors[0].in, ['todos', 'allow', 'view']);
  });

  test('[J125] a schema is planned in the same steps and words, and pushed', async () => {
    const { app: made } = await api.createApp({ title: 'growing', schema });
    const plans = [];
    for (const client of [api, official])
      plans.push(await client.planSchemaPush(made.id, { schema: grown }));
    assert.deepEqual(steps(plans[0]), steps(plans[1]));
    assert.ok(plans[0].steps.length > 8);
    assert.deepEqual(plain(plans[0].newSchema), plain(plans[1].newSchema));
    assert.deepEqual(plain(plans[0].currentSchema), plain(plans[1].currentSchema));
    const push = api.schemaPush(made.id, { schema: grown });
    const ended = [];
    push.subscribe({ complete: () => ended.push('complete') });
    const { summary, newSchema } = await push.finally(() => ended.push('finally'));
    assert.deepEqual([summary.errorCount, summary.inProgressCount], [0, 0]);
    assert.deepEqual(plain(newSchema), plain((await official.getSchema(made.id)).schema));
    assert.deepEqual(ended.toSorted(), ['complete', 'finally']);
    assert.deepEqual((await api.planSchemaPush(made.id, { schema: grown })).steps, []);
    const broken = i.schema({
      entities: { a: i.entity({}) },
      links: {
        twice: {
          forward: { on: 'a', label: 'x', has: 'many', onDelete: 'cascade' },
          reverse: { on: 'a', label: 'y', has: 'many' },
        },
      },
    });
    await sameRefusal((client) => client.planSchemaPush(made.id, { schema: broken }));
  });

  test('[J125] rows that do not fit end a job with a sample, as in the original', async () => {
    const loose = i.schema({
      entities: { items: i.entity({ code: i.any().optional(), size: i.any().optional() }) },
    });
    const strict = i.schema({
      entities: { items: i.entity({ code: i.string().unique(), size: i.number() }) },
    });
    const results = [];
    for (const client of [api, official]) {
      const { app: made } = await client.createApp({ title: 'loose', schema: loose });
      const admin = createAdmin(server, made);
      await admin.transact([
        admin.tx.items[id()].create({ code: 'x', size: 'big' }),
        admin.tx.items[id()].create({ code: 'x' }),
      ]);
      results.push(await client.schemaPush(made.id, { schema: strict }));
    }
    const shown = (result) =>
      numbered(result.steps).map(({ backgroundJob: job, ...step }) => ({
        ...step,
        job: job && { ...job, createdAt: null, updatedAt: null },
      }));
    assert.deepEqual(shown(results[0]), shown(results[1]));
    assert.equal(results[0].summary.errorCount, 3);
    assert.equal(results[0].summary.friendlyDescription, results[1].summary.friendlyDescription);
  });

  test('[J126] overwriting makes the same steps: renamed, changed, added, deleted', async () => {
    const next = i.schema({
      entities: {
        todos: i.entity({
          text: i.string().indexed(),
          minutes: i.number().indexed(),
          key: i.number().optional(),
          anything: i.string().unique().optional(),
        }),
        lists: i.entity({ name: i.string().optional() }),
        tags: i.entity({ label: i.string().unique() }),
        $users: i.entity({
          email: i.string().unique().indexed().optional(),
          nick: i.string().optional(),
        }),
      },
      links: {
        todosFolder: {
          forward: { on: 'todos', label: 'folder', has: 'one' },
          reverse: { on: 'lists', label: 'todos', has: 'many' },
        },
        tagsOwner: {
          forward: { on: 'tags', label: 'owner', has: 'one', required: true },
          reverse: { on: '$users', label: 'tags', has: 'one', onDelete: 'cascade' },
        },
      },
    });
    const push = {
      schema: next,
      overwrite: true,
      renames: ['todos.title:todos.text', 'todos.list:todos.folder'],
    };
    const { app: made } = await api.createApp({ title: 'overwritten', schema });
    const plans = [];
    for (const client of [api, official]) plans.push(await client.planSchemaPush(made.id, push));
    assert.deepEqual(steps(plans[0]), steps(plans[1]));
    assert.deepEqual(plain(plans[0].currentSchema), plain(plans[1].currentSchema));
    assert.ok(
      plans[0].steps.some((s) => s.friendlyDescription === 'Update attribute todos.list.'),
      'an update says what it updates',
    );
    const kinds = new Set(plans[0].steps.map(({ type }) => type));
    for (const kind of ['add-attr', 'update-attr', 'delete-attr', 'index', 'unique', 'required'])
      assert.ok(kinds.has(kind), kind);

    const db = init({ appId: made.id, adminToken: made.adminToken, server: server.url });
    await db.transact(db.tx.todos[id()].create({ title: 'kept', minutes: 3, key: 'k' }));
    const { newSchema, summary } = await api.schemaPush(made.id, push);
    assert.equal(summary.errorCount, 1); // the key is a text, which becomes a number
    assert.deepEqual(
      Object.keys(newSchema.entities).filter((etype) => !etype.startsWith('$')),
      ['lists', 'tags', 'todos'],
    );
    assert.ok('nick' in newSchema.entities.$users.attrs);
    assert.deepEqual((await db.query({ todos: {} })).todos[0].text, 'kept');
    const again = await api.planSchemaPush(made.id, { schema: next, overwrite: true });
    assert.deepEqual(
      again.steps.map(({ type }) => type),
      ['check-data-type'],
    );
  });

  test('[J126] a link that is renamed keeps its cascade', async () => {
    const linked = (label) =>
      i.schema({
        entities: { a: i.entity({}), b: i.entity({}) },
        links: {
          one: {
            forward: { on: 'a', label, has: 'one', onDelete: 'cascade' },
            reverse: { on: 'b', label: 'as', has: 'many' },
          },
        },
      });
    const { app: made } = await api.createApp({ title: 'cascade', schema: linked('old') });
    await api.schemaPush(made.id, {
      schema: linked('new'),
      overwrite: true,
      renames: ['a.old:a.new'],
    });
    const { schema: read } = await api.getSchema(made.id);
    assert.deepEqual(read.links.aNew.forward, {
      on: 'a',
      label: 'new',
      has: 'one',
      onDelete: 'cascade',
    });
    assert.equal(read.links.aOld, undefined);
  });
});

describe('webhooks', () => {
  test('[J128] are made, listed, changed, and show how deliveries went', async () => {
    const got = [];
    const records = [];
    const receiver = createServer(async (request, response) => {
      got.push(request.url);
      const body = Buffer.concat(await request.toArray());
      const headers = new Headers(request.headers);
      await db.webhooks.processRequest(
        { todos: { create: (record) => records.push(record) } },
        new Request(url, { method: 'POST', headers, body }),
      );
      response.writeHead(got.length === 1 ? 500 : 200).end('noted');
    });
    await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const { app: made } = await api.createApp({ title: 'hooked', schema });
    const db = init({ appId: made.id, adminToken: made.adminToken, server: server.url });
    const theirs = createAdmin(server, made).webhooks.manager;
    const url = `http://127.0.0.1:${receiver.address().port}/`;
    const hook = await db.webhooks.manager.create({
      url,
      namespaces: ['todos'],
      actions: ['create', 'update'],
    });
    await db.transact(db.tx.todos[id()].create({ title: 'one' }));
    const failed = await until(async () => {
      const { events } = await db.webhooks.manager.listEvents(hook.id);
      return events[0]?.status === 'error' && events[0];
    }, 'a delivery that failed');
    for (const manager of [db.webhooks.manager, api.webhooks(made.id).manager]) {
      assert.deepEqual(await manager.list(), await theirs.list());
      assert.deepEqual(await manager.listEvents(hook.id), await theirs.listEvents(hook.id));
      assert.deepEqual(
        await manager.getEvent(hook.id, failed.isn),
        await theirs.getEvent(hook.id, failed.isn),
      );
      assert.deepEqual(
        await manager.getPayload(hook.id, failed.isn),
        await theirs.getPayload(hook.id, failed.isn),
      );
    }
    assert.equal(failed.attempts[0].statusCode, 500);
    assert.equal((await db.webhooks.manager.resendEvent(hook.id, failed.isn)).isn, failed.isn);
    await until(() => records.length === 2, 'the delivery again');
    assert.deepEqual(
      records.map(({ namespace, action, after }) => [namespace, action, after.title]),
      [
        ['todos', 'create', 'one'],
        ['todos', 'create', 'one'],
      ],
    );
    assert.equal(records[0].idempotencyKey, records[1].idempotencyKey);
    const { manager } = api.webhooks(made.id);
    const off = await manager.disable(hook.id, { reason: 'rest' });
    assert.deepEqual([off.status, off.disabledReason], ['disabled', 'rest']);
    assert.equal((await manager.enable(hook.id)).status, 'active');
    assert.deepEqual((await manager.update(hook.id, { actions: ['delete'] })).actions, ['delete']);
    assert.equal((await manager.delete(hook.id)).id, hook.id);
    assert.deepEqual(await manager.list(), []);
    receiver.closeAllConnections();
    receiver.close();
  });
});

describe('backups', () => {
  test('[J129] are listed with their parts and files, as the original lists them', async () => {
    const { app: made } = await api.createApp({ title: 'backed up', schema });
    const db = init({ appId: made.id, adminToken: made.adminToken, server: server.url });
    await db.transact(db.tx.todos[id()].create({ title: 'one' }));
    await db.storage.uploadFile('a.txt', 'bytes');
    const headers = { authorization: `Bearer ${token}` };
    const { status, text } = await post(
      `${server.url}/dash/apps/${made.id}/backups`,
      { description: 'by hand' },
      headers,
    );
    assert.equal(status, 200, text);
    const backups = api.backups(made.id);
    const [backup] = await until(async () => {
      const found = await backups.list();
      return found.length > 0 && found;
    }, 'the backup');
    const theirs = official.backups(made.id);
    assert.deepEqual([backup], await theirs.list());
    assert.deepEqual(await backups.listFiles(backup.id), await theirs.listFiles(backup.id));
    const config = await backups.getFileUrl(backup.id, 'config.json');
    assert.equal((await fetch(config)).status, 200);
    const files = [];
    for await (const file of backups.streamStorageFiles(backup.id)) files.push(file);
    assert.deepEqual(
      files.map(({ path }) => path),
      ['a.txt'],
    );
    assert.equal(await (await fetch(files[0].url)).text(), 'bytes');
  });
});

describe('OAuth', () => {
  test('[J124] a token that is over is refreshed, once for many calls', async () => {
    const headers = { authorization: `Bearer ${token}` };
    const ask = async (path, body, more = {}) => {
      const answer = await post(server.url + path, body, { ...headers, ...more });
      assert.equal(answer.status, 200, answer.text);
      return answer.body;
    };
    const { app: made } = await api.createApp({ title: 'with OAuth' });
    const redirectUri = 'https://shop.example.com/back';
    const { app } = await ask(`/dash/apps/${made.id}/oauth-apps`, { app_name: 'Shop' });
    const { client, secretValue } = await ask(
      `/dash/apps/${made.id}/oauth-apps/${app.id}/clients`,
      { client_name: 'web', authorized_redirect_urls: [redirectUri] },
    );
    const code = await allowedCode(ask, client.clientId, redirectUri);
    const credentials = { clientId: client.clientId, clientSecret: secretValue };
    const given = { ...credentials, code, redirectUri, server: server.url };
    const tokens = await exchangeCodeForToken(given);
    assert.equal(tokens.scopes, 'apps-read');
    const refreshed = [];
    const onRefresh = (next) => refreshed.push(next);
    const auth = { ...tokens, ...credentials, onRefresh };
    const oauth = new PlatformApi({ auth, server: server.url });
    const info = await oauth.tokenInfo();
    assert.deepEqual([info.tokenType, info.scopes], ['Bearer', 'apps-read']);
    assert.ok(info.expiresAt.getTime() > Date.now());
    await ask('/platform/oauth/revoke', { token: tokens.accessToken });
    const answers = await Promise.all([oauth.getApps(), oauth.getOrgs(), oauth.getApps()]);
    assert.ok(answers[0].apps.length > 0);
    assert.equal(refreshed.length, 1);
    assert.ok(refreshed[0].expiresAt.getTime() > Date.now());
    const refused = await rejection(oauth.createApp({ title: 'no' }));
    assert.equal(refused.hint['required-scope'], 'apps-write');
    assert.equal(await api.refreshToken(), null);
    // A code that is used again ends what it gave.
    assert.equal((await rejection(exchangeCodeForToken(given))).status, 400);
    assert.match((await rejection(oauth.getApps())).hint['record-type'], /token/);
  });
});

/** What a browser does, and a person who allows it. */
async function allowedCode(ask, clientId, redirectUri) {
  const query = { client_id: clientId, redirect_uri: redirectUri, response_type: 'code' };
  const url = `${server.url}/platform/oauth/start?`;
  const params = new URLSearchParams({ ...query, scope: 'apps-read', state: 'x' });
  const begun = await fetch(url + params, { redirect: 'manual' });
  const redirect = new URL(begun.headers.get('location'), url).searchParams.get('redirect-id');
  const cookie = begun.headers.get('set-cookie').split(';')[0];
  const { grantToken } = await ask('/platform/oauth/claim', { redirect }, { cookie });
  const granted = await fetch(`${server.url}/platform/oauth/grant`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie },
    body: new URLSearchParams({ redirect_id: redirect, grant_token: grantToken }),
  });
  return new URL(granted.headers.get('location')).searchParams.get('code');
}
