// The official platform client: apps, schemas and rules by a personal access token.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { i, id } from '@instantdb/admin';
import { PlatformApi } from '@instantdb/platform';
import { answer, connectCore, createAdmin, watch } from './support/clients.mjs';
import { createAccount, post, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const todos = i.entity({
  title: i.string(),
  minutes: i.number().optional(),
  key: i.string().unique().indexed().optional(),
});
const schema = i.schema({
  entities: { todos, lists: i.entity({ name: i.string().indexed() }) },
  links: {
    todosList: {
      forward: { on: 'todos', label: 'list', has: 'one', onDelete: 'cascade' },
      reverse: { on: 'lists', label: 'todos', has: 'many' },
    },
  },
});
const perms = { todos: { allow: { view: 'true', create: 'false' } } };

let server;
let token;
let api;

before(async () => {
  server = await startServer();
  token = await createAccount(server, 'ann@example.com');
  api = new PlatformApi({ auth: { token }, apiURI: server.url });
});
after(() => server?.stop());

/** The entities and links of a schema without what clients derive, for comparison. */
function plain({ entities, links }) {
  const shown = Object.entries(entities).filter(([name]) => !name.startsWith('$'));
  const own = Object.entries(links).filter(([, link]) => !link.forward.on.startsWith('$'));
  const attrs = ({ attrs: all }) =>
    Object.fromEntries(
      Object.entries(all).map(([label, { valueType, required, config }]) => [
        label,
        { valueType, required, config: { ...config } },
      ]),
    );
  return JSON.parse(
    JSON.stringify({
      entities: Object.fromEntries(shown.map(([name, entity]) => [name, attrs(entity)])),
      links: Object.fromEntries(own),
    }),
  );
}

const app = (made) => ({ id: made.id, adminToken: made.adminToken });

describe('apps', () => {
  test('[AC20] [AC21] made with schema and rules, listed, renamed, deleted, restored', async () => {
    const { app: made } = await api.createApp({ title: 'shop', schema, perms });
    assert.equal(made.title, 'shop');
    assert.deepEqual(made.perms, perms);
    assert.deepEqual(plain(made.schema), plain(schema));
    assert.ok(made.createdAt.getTime() > 0);
    const { apps } = await api.getApps({ includePerms: true, includeSchema: true });
    const listed = apps.find((each) => each.id === made.id);
    assert.deepEqual([listed.title, listed.perms], ['shop', perms]);
    assert.deepEqual(plain(listed.schema), plain(schema));
    const { app: got } = await api.getApp(made.id, { includePerms: true, includeSchema: true });
    assert.deepEqual([got.id, got.perms], [made.id, perms]);

    const admin = createAdmin(server, app(made));
    await admin.transact(admin.tx.todos[id()].create({ title: 'one' }));
    assert.equal((await api.updateApp(made.id, { title: 'store' })).app.title, 'store');
    assert.equal((await api.getApp(made.id)).app.title, 'store');

    assert.equal((await api.deleteApp(made.id)).app.id, made.id);
    assert.equal((await rejection(api.getApp(made.id))).body.type, 'record-not-found');
    assert.equal((await rejection(admin.query({ todos: {} }))).body.type, 'record-not-found');
    assert.deepEqual((await api.getApps()).apps, []);
    const headers = { authorization: `Bearer ${token}` };
    const restored = await post(`${server.url}/dash/apps/${made.id}/restore`, {}, headers);
    assert.equal(restored.body.app.title, 'store');
    const { todos: found } = await admin.query({ todos: {} });
    assert.deepEqual(
      found.map((todo) => todo.title),
      ['one'],
    );
    await api.deleteApp(made.id);
  });

  test('[AC24] nobody else can see or change them', async () => {
    const { app: made } = await api.createApp({ title: 'mine' });
    const other = new PlatformApi({
      auth: { token: await createAccount(server, 'eve@example.com') },
      apiURI: server.url,
    });
    assert.deepEqual((await other.getApps()).apps, []);
    for (const refused of [
      () => other.getApp(made.id),
      () => other.updateApp(made.id, { title: 'hers' }),
      () => other.deleteApp(made.id),
      () => other.getSchema(made.id),
      () => other.pushPerms(made.id, { perms: {} }),
      () => other.schemaPush(made.id, { schema }),
    ]) {
      const failure = await rejection(refused());
      assert.equal(failure.body.hint['data-type'], 'user-role');
    }
    const nobody = new PlatformApi({
      auth: { token: `per_${'a'.repeat(64)}` },
      apiURI: server.url,
    });
    const unknown = await rejection(nobody.getApps());
    assert.equal(unknown.body.hint['record-type'], 'instant-user');
    const byAdmin = new PlatformApi({ auth: { token: made.adminToken }, apiURI: server.url });
    assert.equal((await byAdmin.getApp(made.id)).app.title, 'mine');
    assert.equal((await rejection(byAdmin.deleteApp(made.id))).body.type, 'record-not-found');
  });
});

describe('rules', () => {
  test('[AC28] are pushed, read, and refused with their place', async () => {
    const { app: made } = await api.createApp({ title: 'ruled', schema });
    assert.equal((await api.getPerms(made.id)).perms, null);
    assert.deepEqual((await api.pushPerms(made.id, { perms })).perms, perms);
    assert.deepEqual((await api.getPerms(made.id)).perms, perms);
    const wrong = { todos: { allow: { view: 'nonsense(' } } };
    const failure = await rejection(api.pushPerms(made.id, { perms: wrong }));
    assert.equal(failure.body.hint['data-type'], 'rule');
    assert.deepEqual(failure.body.hint.errors[0].in, ['todos', 'allow', 'view']);
  });
});

describe('schemas', () => {
  test('[AC32] [AC33] are planned, and pushed while clients listen', async () => {
    const { app: made } = await api.createApp({ title: 'growing', schema });
    const next = i.schema({
      entities: {
        todos: i.entity({
          title: i.string().indexed(),
          minutes: i.string().optional(),
          key: i.string().optional(),
          done: i.boolean().optional(),
        }),
        lists: i.entity({ name: i.string().indexed().optional() }),
        tags: i.entity({ label: i.string().unique() }),
      },
      links: {
        todosList: {
          forward: { on: 'todos', label: 'list', has: 'one' },
          reverse: { on: 'lists', label: 'todos', has: 'many' },
        },
        todosTags: {
          forward: { on: 'todos', label: 'tags', has: 'many' },
          reverse: { on: 'tags', label: 'todos', has: 'many' },
        },
      },
    });
    const plan = await api.planSchemaPush(made.id, { schema: next });
    const kinds = plan.steps.map((step) => step.type);
    assert.deepEqual(kinds.toSorted(), [
      ...['add-attr', 'add-attr', 'add-attr', 'add-attr', 'check-data-type', 'index'],
      ...['remove-index', 'remove-required', 'remove-unique', 'update-attr'],
    ]);
    assert.deepEqual(plain(plan.newSchema), plain(next));
    assert.deepEqual(plain(plan.currentSchema), plain(schema));
    assert.deepEqual(plain((await api.getSchema(made.id)).schema), plain(schema));

    const core = await connectCore(server, app(made), { admin: true });
    const pushed = await api.schemaPush(made.id, { schema: next });
    assert.deepEqual(plain(pushed.newSchema), plain(next));
    assert.equal(pushed.summary.errorCount, 0);
    assert.equal(pushed.summary.completedCount, 10);
    await until(
      () => JSON.stringify(core.reactor.attrs ?? {}).includes('"tags"'),
      () => 'a live client that knows the new attrs',
    );
    core.close();
    const again = await api.planSchemaPush(made.id, { schema: next });
    assert.deepEqual(again.steps, []);

    const admin = createAdmin(server, app(made), { schema: next });
    const tag = id();
    await admin.transact([
      admin.tx.tags[tag].create({ label: 'red' }),
      admin.tx.todos[id()].create({ title: 'a', done: true }).link({ tags: tag }),
    ]);
    const { todos: found } = await admin.query({ todos: { tags: {} } });
    assert.equal(found[0].tags[0].label, 'red');
  });

  test('[AC37] [AC38] rows that do not fit end a job with a sample', async () => {
    const loose = i.schema({
      entities: { items: i.entity({ code: i.any().optional(), size: i.any().optional() }) },
    });
    const { app: made } = await api.createApp({ title: 'loose', schema: loose });
    const admin = createAdmin(server, app(made));
    const [first, second] = [id(), id()];
    await admin.transact([
      admin.tx.items[first].create({ code: 'x', size: 'big' }),
      admin.tx.items[second].create({ code: 'x' }),
    ]);
    const strict = i.schema({
      entities: { items: i.entity({ code: i.string().unique(), size: i.number() }) },
    });
    const { steps, summary } = await api.schemaPush(made.id, { schema: strict });
    const jobs = Object.fromEntries(steps.map((step) => [step.type, step.backgroundJob]));
    assert.equal(summary.errorCount, 3);
    assert.equal(jobs.unique.error, 'triple-not-unique-error');
    assert.equal(jobs.unique.invalidUniqueValue, 'x');
    const wrong = steps.find(
      (step) => step.type === 'check-data-type' && step.forwardIdentity[2] === 'size',
    );
    assert.equal(wrong.backgroundJob.error, 'invalid-triple-error');
    assert.deepEqual(wrong.backgroundJob.invalidTriplesSample, [
      { entityId: first, value: 'big', jsonType: 'string' },
    ]);
    const required = steps.find(
      (step) => step.type === 'required' && step.forwardIdentity[2] === 'size',
    );
    assert.equal(required.backgroundJob.error, 'missing-required-error');
    const { items } = await admin.query({ items: {} });
    assert.equal(items.length, 2);
  });

  test('[AC35] [AC36] overwriting renames and deletes what the new schema has not', async () => {
    const { app: made } = await api.createApp({ title: 'overwritten', schema });
    const admin = createAdmin(server, app(made));
    await admin.transact(admin.tx.todos[id()].create({ title: 'kept', minutes: 3 }));
    const next = i.schema({
      entities: { todos: i.entity({ text: i.string(), rank: i.number().indexed().optional() }) },
    });
    const body = { schema: next, overwrite: true, renames: ['todos.title:todos.text'] };
    const plan = await api.planSchemaPush(made.id, body);
    assert.ok(plan.steps.some((step) => step.type === 'delete-attr'));
    const pushed = await api.schemaPush(made.id, body);
    assert.deepEqual(plain(pushed.newSchema), plain(next));
    const { todos: found } = await admin.query({ todos: {} });
    assert.deepEqual(
      found.map(({ text, minutes }) => [text, minutes]),
      [['kept', undefined]],
    );
  });
});

describe('large tables', () => {
  const rows = 6_000;
  const notes = (text) =>
    i.schema({ entities: { notes: i.entity({ text, isNew: i.boolean().optional() }) } });

  test('[SJ1] [SJ5] [SJ6] an index job is followed while others write and listen', async () => {
    const { app: made } = await api.createApp({
      title: 'large',
      schema: notes(i.string()),
      perms: { notes: { allow: { view: 'true' } } },
    });
    const admin = createAdmin(server, app(made));
    for (let at = 0; at < rows; at += 1_000) {
      const some = Array.from({ length: 1_000 }, (_, n) => `note ${at + n}`);
      await admin.transact(some.map((text) => admin.tx.notes[id()].create({ text })));
    }
    const seen = [];
    const listening = admin.subscribeQuery(
      { notes: { $: { where: { isNew: true } } } },
      (answer) => answer.data && seen.push(answer.data.notes.length),
    );
    await until(() => seen.length > 0);
    const pushing = api.schemaPush(made.id, { schema: notes(i.string().indexed()) });
    let isOver = false;
    const ended = pushing.finally(() => (isOver = true));
    let written = 0;
    while (!isOver || written === 0) {
      await admin.transact(admin.tx.notes[id()].create({ text: `new ${written}`, isNew: true }));
      written += 1;
    }
    await ended;
    await until(() => seen.at(-1) === written);
    const path = `/dash/apps/${made.id}/indexing-jobs`;
    const headers = { authorization: `Bearer ${token}` };
    const { jobs } = await (await fetch(server.url + path, { headers })).json();
    assert.deepEqual([jobs[0].job_type, jobs[0].job_status], ['index', 'completed']);
    assert.ok(jobs[0].work_completed >= rows && jobs[0].work_estimate >= rows);
    const where = { isNew: true };
    const answer = await admin.query({
      notes: { $: { where, order: { text: 'asc' }, limit: 1 } },
    });
    assert.equal(answer.notes[0].text, 'new 0');
    listening.close();
  });

  test('[SJ20] [SJ21] a deleted attr is listed, and restored by a step', async () => {
    const { app: made } = await api.createApp({ title: 'restored', schema: notes(i.string()) });
    const admin = createAdmin(server, app(made));
    await admin.transact(admin.tx.notes[id()].create({ text: 'kept' }));
    await api.schemaPush(made.id, {
      schema: i.schema({ entities: { notes: i.entity({}) } }),
      overwrite: true,
    });
    assert.deepEqual(Object.keys((await admin.query({ notes: {} })).notes[0]), ['id']);
    const path = `/dash/apps/${made.id}/soft_deleted_attrs`;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const { attrs } = await (await fetch(server.url + path, { headers })).json();
    const labelOf = (attr) => attr['forward-identity'][2].split('_deleted$')[1];
    assert.deepEqual(attrs.map(labelOf).sort(), ['isNew', 'text']);
    const text = attrs.find((attr) => labelOf(attr) === 'text');
    const restored = await fetch(`${server.url}/dash/apps/${made.id}/schema/steps/apply`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ steps: [['restore-attr', text.id]] }),
    });
    assert.equal(restored.status, 200);
    assert.equal((await admin.query({ notes: {} })).notes[0].text, 'kept');
  });
});

describe('tenants', () => {
  test('[AC24] a hundred apps from templates keep to themselves, and grow one by one', async () => {
    const templates = [schema, i.schema({ entities: { notes: i.entity({ text: i.string() }) } })];
    const owner = new PlatformApi({
      auth: { token: await createAccount(server, 'workshop@example.com') },
      apiURI: server.url,
    });
    const makeOne = async (number) => {
      const { app: made } = await owner.createApp({
        title: `tenant ${number}`,
        schema: templates[number % 2],
        perms,
      });
      const admin = createAdmin(server, app(made));
      const row =
        number % 2
          ? admin.tx.notes[id()].create({ text: `of ${number}` })
          : admin.tx.todos[id()].create({ title: `of ${number}` });
      await admin.transact(row);
      return { made, admin, number };
    };
    const tenants = [];
    for (let first = 0; first < 100; first += 10) {
      const numbers = Array.from({ length: 10 }, (_, offset) => first + offset);
      tenants.push(...(await Promise.all(numbers.map(makeOne))));
    }
    assert.equal((await owner.getApps()).apps.length, 100);
    // Every tenth gets a field, an entity and another name of what is there, while it is used.
    const growing = tenants.filter(({ number }) => number % 10 === 3);
    const pages = await Promise.all(
      growing.map(({ made }) => connectCore(server, app(made), { admin: true })),
    );
    const grow = async ({ made, admin, number }, page) => {
      const watched = watch(page.db, { notes: {} });
      await answer(watched, ({ data }) => data?.notes.length === 1);
      const grown = i.schema({
        entities: {
          notes: i.entity({ words: i.string(), [`of${number}`]: i.number().indexed().optional() }),
          extras: i.entity({ name: i.string().unique() }),
        },
      });
      const renames = ['notes.text:notes.words'];
      const { summary } = await owner.schemaPush(made.id, {
        schema: grown,
        overwrite: true,
        renames,
      });
      assert.equal(summary.errorCount, 0);
      const [note] = watched.last().data.notes;
      await admin.transact([
        admin.tx.notes[note.id].update({ [`of${number}`]: number }),
        admin.tx.extras[id()].create({ name: `extra of ${number}` }),
      ]);
      const shown = await answer(watched, ({ data }) => data.notes[0][`of${number}`] === number);
      assert.equal(shown.data.notes[0].words, `of ${number}`);
      page.close();
    };
    await Promise.all(growing.map((tenant, at) => grow(tenant, pages[at])));
    for (const { made, admin, number } of tenants) {
      const found = await admin.query({ todos: {}, notes: {}, extras: {} });
      const rows = Object.values(found).flat();
      const texts = rows.map((row) => row.title ?? row.text ?? row.words ?? row.name);
      const hasGrown = number % 10 === 3;
      const expected = hasGrown ? [`of ${number}`, `extra of ${number}`] : [`of ${number}`];
      assert.deepEqual(texts, expected);
      const { entities } = (await owner.getSchema(made.id)).schema;
      const own = Object.keys(entities).filter((name) => !name.startsWith('$'));
      const template = number % 2 ? ['notes'] : ['lists', 'todos'];
      assert.deepEqual(own.toSorted(), hasGrown ? ['extras', 'notes'] : template);
    }
    const [one, other] = tenants;
    const mixed = createAdmin(server, { id: one.made.id, adminToken: other.made.adminToken });
    assert.equal((await rejection(mixed.query({ todos: {} }))).body.type, 'record-not-found');
  });
});

describe('organisations', () => {
  test('[AC70] [AC71] members share apps by their roles', async () => {
    const headers = { authorization: `Bearer ${token}` };
    const { body } = await post(`${server.url}/dash/orgs`, { title: 'Bakery' }, headers);
    const orgId = body.org.id;
    assert.deepEqual(
      (await api.getOrgs()).orgs.map((org) => [org.id, org.title]),
      [[orgId, 'Bakery']],
    );
    const { app: made } = await api.createApp({ title: 'shared', orgId, schema });
    assert.equal(made.orgId, orgId);
    const email = 'bob@example.com';
    const bobToken = await createAccount(server, email);
    const bob = new PlatformApi({ auth: { token: bobToken }, apiURI: server.url });
    assert.equal((await rejection(bob.getApp(made.id))).body.hint['data-type'], 'user-role');
    const invited = await post(
      `${server.url}/dash/orgs/${orgId}/invite/send`,
      { 'invitee-email': email, role: 'viewer' },
      headers,
    );
    await post(
      `${server.url}/dash/invites/accept`,
      { 'invite-id': invited.body.id },
      { authorization: `Bearer ${bobToken}` },
    );
    const { apps } = await bob.getAppsForOrg(orgId, { includeSchema: true });
    assert.deepEqual(plain(apps[0].schema), plain(schema));
    assert.equal((await rejection(bob.deleteApp(made.id))).body.type, 'permission-denied');
    const refused = await rejection(bob.schemaPush(made.id, { schema }));
    assert.equal(refused.body.type, 'permission-denied');
    assert.equal((await api.deleteApp(made.id)).app.id, made.id);
  });
});

describe('tokens', () => {
  test('[AC10] [AC11] restricted tokens do what they are for, revoked ones nothing', async () => {
    const headers = { authorization: `Bearer ${token}` };
    const url = `${server.url}/dash/personal_access_tokens`;
    const made = await post(url, { name: 'reader', scopes: ['apps-read'] }, headers);
    const reader = new PlatformApi({
      auth: { token: made.body.data.token },
      apiURI: server.url,
    });
    const { apps } = await reader.getApps();
    assert.ok(apps.length > 0);
    for (const refused of [
      () => reader.createApp({ title: 'no' }),
      () => reader.updateApp(apps[0].id, { title: 'no' }),
    ]) {
      const failure = await rejection(refused());
      assert.equal(failure.body.hint['required-scope'], 'apps-write');
    }
    await fetch(`${url}/${made.body.data.id}`, { method: 'DELETE', headers });
    assert.equal((await rejection(reader.getApps())).body.hint['record-type'], 'instant-user');
  });
});
