import { test as base, type Browser, type Page } from '@playwright/test';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { examine } from './examine';
import { enter, expect } from './fixtures';
import { Server } from './server';

const ROOT = resolve(import.meta.dirname, '../../..');
const EMAIL = 'workshop@example.com';
const OPEN = /The workshop is open at (\S+)/;

interface Workshop {
  readonly url: string;
}

const test = base.extend<object, { trice: Server; workshop: Workshop }>({
  trice: [
    async ({}, use) => {
      const server = await Server.start();
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],
  workshop: [
    async ({ trice }, use) => {
      // The command of its README: a token that may not more than it needs.
      await trice.accounts('create', EMAIL);
      const [make, scopes] = [['tokens', 'create', EMAIL, '--name', 'workshop'], ['apps', 'data']];
      const scoped = scopes.flatMap((scope) => ['--scope', `${scope}-write`]);
      const token = await trice.accounts(...make, ...scoped);
      const child = spawn(process.execPath, [resolve(ROOT, 'examples/workshop/server/main.js')], {
        env: { ...process.env, TRICE_URL: trice.url, TRICE_TOKEN: token, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await use({ url: await opened(child) });
      child.kill();
    },
    { scope: 'worker' },
  ],
});

function opened(child: ChildProcess): Promise<string> {
  return new Promise((ready, fail) => {
    createInterface(child.stdout!).on('line', (line) => {
      const url = OPEN.exec(line)?.[1];
      if (url !== undefined) ready(url);
    });
    child.once('exit', (code) => fail(new Error(`the workshop ended (${code}) at its start`)));
  });
}

/** A person who never was here before; any uncaught error fails the test. */
async function arrive(browser: Browser, workshop: Workshop): Promise<Page> {
  const context = await browser.newContext();
  context.on('weberror', (failure) => {
    throw failure.error();
  });
  const page = await context.newPage();
  await page.goto(workshop.url);
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByText('None yet.')).toBeVisible();
  return page;
}

async function make(page: Page, template: string, title: string): Promise<void> {
  await page.getByRole('radio', { name: template }).check();
  await enter(page, 'Title of the new app', title);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(title);
  await expect(page.getByRole('status').and(page.locator('.connection'))).toHaveText('Connected');
}

async function grow(page: Page, field: string, type: string, newKind?: string): Promise<void> {
  if (newKind !== undefined) {
    await page.getByLabel('Add to', { exact: true }).selectOption('a new kind…');
    await page.getByLabel('Kind', { exact: true }).fill(newKind);
  }
  await page.getByLabel('Field', { exact: true }).fill(field);
  await page.getByLabel('Type', { exact: true }).selectOption(type);
  await page.getByRole('button', { name: 'Show what changes' }).click();
  const plan = page.getByRole('list', { name: 'What changes' });
  await expect(plan).toContainText(`.${field}`);
  await page.getByRole('button', { name: 'Change it' }).click();
  await expect(plan).toHaveCount(0);
}

const valuesOf = (page: Page, field: string) =>
  page
    .locator(`.things [aria-label^="${field}: "]`)
    .evaluateAll((fields) => fields.map((input) => (input as HTMLInputElement).value));

interface Key {
  readonly appId: string;
  readonly token: string;
}

/** What a page holds in its hand, once it has: tokens of the workshop's app and of the person's. */
async function keysOf(page: Page): Promise<Key[]> {
  let keys: Key[] = [];
  const look = async () => (keys = await storedKeys(page)).length;
  await expect.poll(look).toBe(2);
  return keys;
}

function storedKeys(page: Page): Promise<Key[]> {
  return page.evaluate(async () => {
    const found: { appId: string; token: string }[] = [];
    for (const { name } of await indexedDB.databases()) {
      if (!name?.startsWith('instant_')) continue;
      const db: IDBDatabase = await new Promise((done, fail) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => done(request.result);
        request.onerror = () => fail(request.error);
      });
      const appId = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(name)![0];
      const values: unknown[] = await new Promise((done) => {
        if (!db.objectStoreNames.contains('kv')) return done([]);
        const request = db.transaction('kv').objectStore('kv').getAll();
        request.onsuccess = () => done(request.result);
      });
      db.close();
      const token = /"refresh_token":"([^"]+)"/.exec(JSON.stringify(values))?.[1];
      if (token !== undefined) found.push({ appId, token });
    }
    return found;
  });
}

async function post(url: string, body: object, headers: Record<string, string>) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

test('[AC130] apps from templates: each page sees the schema of its own grow', async ({
  browser,
  workshop,
}) => {
  const ann = await arrive(browser, workshop);
  await make(ann, 'Todos', 'Errands');
  await enter(ann, 'New todos: text', 'Buy milk');
  await expect.poll(() => valuesOf(ann, 'text')).toEqual(['Buy milk']);

  // A second page of hers is open while the first one changes the schema.
  const other = await ann.context().newPage();
  await other.goto(ann.url());
  await expect.poll(() => valuesOf(other, 'text')).toEqual(['Buy milk']);
  await grow(ann, 'minutes', 'Number');
  await other.getByLabel('minutes: Buy milk').fill('12.5');
  await other.getByLabel('minutes: Buy milk').press('Enter');
  await expect.poll(() => valuesOf(ann, 'minutes')).toEqual(['12.5']);
  await grow(ann, 'name', 'Text', 'shops');
  await enter(other, 'New shops: name', 'Corner shop');
  await expect.poll(() => valuesOf(ann, 'name')).toEqual(['Corner shop']);

  const bob = await arrive(browser, workshop);
  await make(bob, 'Chat', 'Talk');
  await enter(bob, 'New messages: text', 'hello');
  await expect.poll(() => valuesOf(bob, 'text')).toEqual(['hello']);
  await expect(bob.getByText('minutes')).toHaveCount(0);
  await bob.getByRole('link', { name: 'All apps' }).click();
  await expect(bob.getByRole('list', { name: 'Your apps' })).toHaveText('TalkChat · messages');

  await ann.reload();
  await expect.poll(() => valuesOf(ann, 'minutes')).toEqual(['12.5']);
  await ann.getByRole('button', { name: 'Delete this app…' }).click();
  await ann.getByRole('button', { name: 'Delete it' }).click();
  await expect(ann.getByText('None yet.')).toBeVisible();
  for (const page of [ann, bob]) await page.context().close();
});

test('[AC130] one person’s token opens nothing of another’s', async ({
  browser,
  workshop,
  trice,
}) => {
  const pages = [await arrive(browser, workshop), await arrive(browser, workshop)] as const;
  const [ann, bob] = pages;
  await make(ann, 'Todos', 'Secrets');
  await enter(ann, 'New todos: text', 'the safe opens with 1234');
  await expect.poll(() => valuesOf(ann, 'text')).toHaveLength(1);
  await make(bob, 'Empty', 'Nothing');
  const projectOfAnn = new URL(ann.url()).hash.slice(1);
  const keys = [await keysOf(ann), await keysOf(bob)] as const;
  const about = await (await fetch(`${workshop.url}/api/about`)).json();
  const isRegistry = ({ appId }: Key) => appId === about.appId;
  const appOfAnn = keys[0].find((key) => !isRegistry(key))!;
  const query = { todos: {}, projects: {}, $users: {} };
  const read = (appId: string, headers: Record<string, string>) =>
    post(`${trice.url}/admin/query`, { query }, { 'app-id': appId, ...headers });

  const own = await read(appOfAnn.appId, { 'as-token': appOfAnn.token });
  expect(own.body.todos).toHaveLength(1);
  for (const { appId, token } of keys[1]) {
    const crossed = await read(appOfAnn.appId, { 'as-token': token });
    expect(crossed.status, appId).toBe(400);
    expect(JSON.stringify(crossed.body)).not.toContain('1234');
    const asAdmin = await read(appOfAnn.appId, { authorization: `Bearer ${token}` });
    expect(asAdmin.status, appId).toBe(400);
  }
  // A stranger who learned the id of her app finds nothing, writes nothing, and cannot sign up.
  const guest = await read(appOfAnn.appId, { 'as-guest': 'true' });
  expect([guest.body.todos, guest.body.$users]).toEqual([[], []]);
  const steps = [['create', 'todos', randomUUID(), { text: 'of a stranger' }]];
  const stranger = { 'app-id': appOfAnn.appId, 'as-guest': 'true' };
  const written = await post(`${trice.url}/admin/transact`, { steps }, stranger);
  expect(written.body.type).toBe('permission-denied');
  const signUp = { 'app-id': appOfAnn.appId };
  const signedUp = await post(`${trice.url}/runtime/auth/sign_in_guest`, signUp, {});
  expect(signedUp.body.type).toBe('permission-denied');

  const registryOfBob = keys[1].find(isRegistry)!;
  const listed = await read(about.appId, { 'as-token': registryOfBob.token });
  expect(listed.body.projects.map(({ title }: { title: string }) => title)).toEqual(['Nothing']);
  const addition = { kind: 'todos', field: 'spy', type: 'string' };
  for (const projectId of [projectOfAnn, randomUUID(), appOfAnn.appId, '1', '..']) {
    for (const [verb, body] of [['token', {}], ['plan', addition], ['push', addition]] as const) {
      const url = `${workshop.url}/api/projects/${projectId}/${verb}`;
      const bearer = { authorization: `Bearer ${registryOfBob.token}` };
      expect((await post(url, body, bearer)).status, `${verb} ${projectId}`).toBe(404);
    }
  }
  expect((await post(`${workshop.url}/api/projects`, {}, {})).status).toBe(401);

  // What the workshop goes by is not for people to write: whose an app is, and which one.
  const asBob = { 'app-id': about.appId, 'as-token': registryOfBob.token };
  const { projects, $users: people } = listed.body;
  const [projectOfBob, idOfBob] = [projects[0].id, people[0].id];
  expect([projects.length, people.length]).toEqual([1, 1]);
  for (const step of [
    ['update', 'projects', projectOfBob, { appId: appOfAnn.appId }],
    ['delete', 'projects', projectOfBob],
    ['link', 'projects', projectOfAnn, { owner: idOfBob }],
    ['link', '$users', idOfBob, { projects: projectOfAnn }],
    ['create', 'projects', randomUUID(), { appId: randomUUID(), title: 'x', template: 'empty' }],
  ]) {
    const changed = await post(`${trice.url}/admin/transact`, { steps: [step] }, asBob);
    expect(changed.status, JSON.stringify(step)).toBe(400);
  }
  const after = await read(about.appId, { 'as-token': registryOfBob.token });
  expect(after.body.projects).toEqual(projects);
  await bob.goto(`${workshop.url}/#${projectOfAnn}`);
  await expect(bob.getByRole('alert')).toHaveText('You have no such app.');
  for (const page of pages) await page.context().close();
});

test('[AC130] the workshop refuses what is not a name, a type or a template', async ({
  browser,
  workshop,
}) => {
  const page = await arrive(browser, workshop);
  await make(page, 'Empty', 'Mine');
  const projectId = new URL(page.url()).hash.slice(1);
  const about = await (await fetch(`${workshop.url}/api/about`)).json();
  const key = (await keysOf(page)).find(({ appId }) => appId === about.appId)!;
  const bearer = { authorization: `Bearer ${key.token}` };
  const projects = `${workshop.url}/api/projects`;
  for (const [kind, field, type, status] of [
    ['$users', 'name', 'string', 400],
    ['constructor', 'name', 'string', 400],
    ['things', '__proto__', 'string', 400],
    ['things', 'id', 'string', 400],
    ['things', 'a.b', 'string', 400],
    ['things', "x' || true || '", 'string', 400],
    ['things', 'x'.repeat(31), 'string', 400],
    ['things', 'name', 'toString', 400],
    ['things', 'name', 'string', 200],
    ['things', 'name', 'number', 409],
  ] as const) {
    const asked = await post(`${projects}/${projectId}/push`, { kind, field, type }, bearer);
    expect(asked.status, `${kind}.${field}: ${type}`).toBe(status);
  }
  for (const body of [
    { title: 'x', template: 'toString' },
    { title: ' ', template: 'todo' },
    { title: 'x'.repeat(61), template: 'todo' },
    { title: { length: 1 }, template: 'todo' },
  ])
    expect((await post(projects, body, bearer)).status, JSON.stringify(body)).toBe(400);
  const long = { title: 'x'.repeat(10_000), template: 'todo' };
  expect((await post(projects, long, bearer)).status).toBe(413);
  // One person's wishes wait for each other, up to a bound.
  const made = Array.from({ length: 8 }, () =>
    post(projects, { title: 'one of many', template: 'todo' }, bearer),
  );
  expect((await Promise.all(made)).map(({ status }) => status)).toEqual(Array(8).fill(200));
  expect((await post(projects, { title: 'tenth', template: 'todo' }, bearer)).status).toBe(200);
  expect((await post(projects, { title: 'eleventh', template: 'todo' }, bearer)).status).toBe(409);
  // At the turn of a minute it may take twice as many.
  const plan = { kind: 'things', field: 'name', type: 'string' };
  const plans = Array.from({ length: 121 }, () =>
    post(`${projects}/${projectId}/plan`, plan, bearer),
  );
  const statuses = new Set((await Promise.all(plans)).map(({ status }) => status));
  expect([...statuses].toSorted()).toEqual([409, 429]);
  await page.context().close();
});

test('[AC130] its pages, on phones and a desktop, in the light and in the dark', async ({
  browser,
  workshop,
}) => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(workshop.url);
  await expect(page.getByRole('button', { name: 'Start' })).toBeVisible();
  await examine(page);
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByText('None yet.')).toBeVisible();
  await examine(page);
  await make(page, 'Chat', 'x'.repeat(60));
  await enter(page, 'New messages: text', 'مرحبا بالعالم '.repeat(20));
  await enter(page, 'New messages: text', 'hello');
  await grow(page, 'mood', 'Text');
  await grow(page, 'isLoud', 'Yes or no');
  await page.getByLabel('Field', { exact: true }).fill('rating');
  await page.getByRole('button', { name: 'Show what changes' }).click();
  await expect(page.getByRole('button', { name: 'Change it' })).toBeVisible();
  await examine(page);
  await page.getByRole('link', { name: 'All apps' }).click();
  await expect(page.getByRole('list', { name: 'Your apps' })).toContainText('messages');
  await examine(page);
  await context.close();
});
