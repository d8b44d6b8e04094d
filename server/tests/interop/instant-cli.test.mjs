// The official command line, as a developer runs it in a project.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { createAdmin } from './support/clients.mjs';
import {
  CLI,
  environment,
  makeProject,
  read,
  removeProject,
  runCli,
} from './support/instant-cli.mjs';
import { COMMAND, createAccount, createApp, post, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const SCHEMA = `
import { i } from '@instantdb/core';
const schema = i.schema({
  entities: {
    posts: i.entity({
      title: i.string().indexed(),
      slug: i.string().unique(),
      views: i.number().optional(),
    }),
    comments: i.entity({ text: i.string() }),
  },
  links: {
    commentsPost: {
      forward: { on: 'comments', label: 'post', has: 'one', required: true, onDelete: 'cascade' },
      reverse: { on: 'posts', label: 'comments', has: 'many' },
    },
  },
  rooms: {},
});
export default schema;
`;
const PERMS = `
export default { posts: { allow: { view: 'true', create: 'auth.id != null' } } };
`;

let server;
let token;
let project;
let env;

before(async () => {
  server = await startServer();
  token = await createAccount(server, 'ann@example.com');
  project = await makeProject({ 'instant.schema.ts': SCHEMA, 'instant.perms.ts': PERMS });
  env = { INSTANT_CLI_AUTH_TOKEN: token };
});
after(async () => {
  await server?.stop();
  if (project) await removeProject(project);
});

const run = (args, { folder = project, extra = env } = {}) =>
  runCli(args, { folder, url: server.url, extra });

test('[AC39] init, push and pull give back what was pushed', async () => {
  await run(['init', '--yes', '--title', 'blog', '--package', 'core', '--env', '.env']);
  const id = /INSTANT_APP_ID=([0-9a-f-]{36})/.exec(await read(project, '.env'))[1];
  const appEnv = { ...env, INSTANT_APP_ID: id };
  await run(['push', 'all', '--yes'], { extra: appEnv });
  assert.match(await run(['push', 'schema', '--yes'], { extra: appEnv }), /No schema changes/);

  const copy = await makeProject({});
  await run(['pull', 'all', '--yes'], { folder: copy, extra: appEnv });
  const pulled = await read(copy, 'instant.schema.ts');
  for (const line of [
    'slug: i.string().unique()',
    'title: i.string().indexed()',
    'views: i.number().optional()',
  ])
    assert.ok(pulled.includes(line), pulled);
  assert.match(pulled, /onDelete["']?: ["']cascade/);
  assert.match(await read(copy, 'instant.perms.ts'), /auth\.id != null/);
  assert.match(
    await run(['push', 'schema', '--yes'], { folder: copy, extra: appEnv }),
    /No schema changes/,
  );
  await removeProject(copy);

  const adminToken = (await (await fetch(`${server.url}/dash`, {
    headers: { authorization: `Bearer ${token}` },
  })).json()).apps.find((app) => app.id === id).admin_token;
  const admin = createAdmin(server, { id, adminToken });
  await admin.transact(
    admin.tx.posts['00000000-0000-4000-8000-000000000001'].create({ title: 'a', slug: 'a' }),
  );
  const answer = await run(['query', '--admin', '{ posts: {} }'], { extra: appEnv });
  assert.match(answer, /"slug": "a"/);

  assert.match(await run(['app', 'list']), new RegExp(`blog +${id}`));
  await run(['app', 'delete', '--app', id, '--yes']);
  assert.doesNotMatch(await run(['app', 'list']), /blog/);
});

test('[AC51] login waits until the person allows it on the page', async () => {
  const folder = await makeProject({});
  const child = spawn(process.execPath, [CLI, 'login', '--print', '--yes'], {
    cwd: folder,
    env: environment(folder, server.url, {}),
  });
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  child.stderr.on('data', (bytes) => (output += bytes));
  const done = new Promise((resolve) => child.once('exit', resolve));
  const ticket = await until(
    () => /ticket=([0-9a-f-]{36})/.exec(output)?.[1],
    () => `the URL of the page; it said: ${output}`,
  );
  const headers = { authorization: `Bearer ${token}` };
  const page = await fetch(`${server.url}/dash?ticket=${ticket}`, {
    headers: { accept: 'text/html' },
  });
  assert.match(await page.text(), /A command line asks to sign in/);
  const claimed = await post(`${server.url}/dash/cli/auth/claim`, { ticket }, headers);
  assert.deepEqual(claimed.body, { ticket });
  assert.equal(await done, 0, output);
  const session = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(output.replaceAll(ticket, ''))[0];
  const me = await fetch(`${server.url}/dash/me`, {
    headers: { authorization: `Bearer ${session}` },
  });
  assert.equal((await me.json()).user.email, 'ann@example.com');
  await removeProject(folder);
});

test('[AC27] claim makes a throw-away app one of the account', async () => {
  const made = await createApp(server, { title: 'thrown' });
  const extra = {
    ...env,
    INSTANT_APP_ID: made.id,
    INSTANT_APP_ADMIN_TOKEN: made.adminToken,
  };
  await run(['claim'], { extra });
  assert.match(await run(['app', 'list']), /thrown/);
  const admin = createAdmin(server, made);
  assert.deepEqual(await admin.query({ todos: {} }), { todos: [] });
});

test('[CLI217] what one command line pushes the other one pulls', async () => {
  const folder = await makeProject({});
  const trice = async (args, app = '') => {
    const { stdout } = await promisify(execFile)(COMMAND, args, {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        XDG_CONFIG_HOME: folder,
        TRICE_URL: server.url,
        TRICE_TOKEN: token,
        TRICE_APP: app,
      },
    });
    return stdout;
  };
  const make = async () => JSON.parse(await trice(['apps', 'create', 'x', '--json'])).id;
  const [first, second] = [await make(), await make()];
  await run(['push', 'all', '--yes'], { extra: { ...env, INSTANT_APP_ID: first } });
  await trice(['pull'], first);
  assert.equal(await trice(['diff'], first), '');
  await trice(['push'], second);
  assert.equal(await trice(['schema'], second), await trice(['schema'], first));
  const again = await run(['push', 'all', '--yes'], { extra: { ...env, INSTANT_APP_ID: second } });
  assert.match(again, /No schema changes/);
  const copy = await makeProject({});
  await run(['pull', 'all', '--yes'], { folder: copy, extra: { ...env, INSTANT_APP_ID: second } });
  assert.match(await read(copy, 'instant.schema.ts'), /slug: i\.string\(\)\.unique\(\)/);
  assert.match(await read(copy, 'instant.perms.ts'), /auth\.id != null/);
  for (const made of [folder, copy]) await removeProject(made);
});

/** Make an app with these files pushed to it; returns a project and what its commands need. */
async function pushed(title, files) {
  const folder = await makeProject(files);
  const told = await run(['init-without-files', '--title', title], { folder });
  const { appId, adminToken } = JSON.parse(/\{[^]*\n\}/.exec(told)[0]).app;
  const at = { folder, extra: { ...env, INSTANT_APP_ID: appId } };
  await run(['push', 'schema', '--yes'], at);
  return { at, app: { id: appId, adminToken }, folder };
}

const HERO = (entities) => `
import { i } from '@instantdb/core';
const schema = i.schema({ entities: ${entities}, links: {}, rooms: {} });
export default schema;
`;

test('[AC133] push renames, indexes what is there, and names rows that do not fit', async () => {
  const before = HERO('{ heroes: i.entity({ name: i.string(), power: i.any().optional() }) }');
  const { at, app, folder } = await pushed('heroes', { 'instant.schema.ts': before });
  const admin = createAdmin(server, app);
  const ids = Array.from({ length: 40 }, (_, n) => `00000000-0000-4000-8000-0000000000${10 + n}`);
  await admin.transact(
    ids.map((id, n) => admin.tx.heroes[id].create({ name: `hero ${n % 20}`, power: n })),
  );
  const after = HERO(
    '{ heroes: i.entity({ title: i.string().indexed(), power: i.number().indexed().optional() }) }',
  );
  await writeFile(path.join(folder, 'instant.schema.ts'), after);
  const rename = ['push', 'schema', '--yes', '--rename', 'heroes.name:heroes.title'];
  assert.match(await run(rename, at), /heroes\.(name|title)/);
  // Only an indexed and typed attr can be compared and ordered (Q40).
  const $ = { where: { power: { $gte: 38 } }, order: { title: 'desc' } };
  const { heroes } = await admin.query({ heroes: { $ } });
  assert.deepEqual(
    heroes.map(({ title, power }) => [title, power]),
    [
      ['hero 19', 39],
      ['hero 18', 38],
    ],
  );

  for (const [wrong, told] of [
    ['i.string().unique().indexed()', /adding uniqueness constraint to heroes\.title/],
    ['i.number().indexed()', /INVALID DATA[^]*heroes +\| [0-9a-f-]{36} +\| "hero \d+" +\| string/],
  ]) {
    const schema = after.replace('i.string().indexed()', wrong);
    await writeFile(path.join(folder, 'instant.schema.ts'), schema);
    const refused = await rejection(run(['push', 'schema', '--yes'], at));
    assert.match(refused.message, told);
  }
  const copy = await makeProject({});
  await run(['pull', 'schema', '--yes'], { folder: copy, extra: at.extra });
  const pulled = await read(copy, 'instant.schema.ts');
  assert.match(pulled, /title: i\.string\(\)\.indexed\(\)/);
  assert.match(pulled, /power: i\.number\(\)\.indexed\(\)\.optional\(\)/);
  const again = await run(['push', 'schema', '--yes'], { ...at, folder: copy });
  assert.match(again, /No schema changes/);
  for (const made of [folder, copy]) await removeProject(made);
});

test('[AC133] auth client: added, listed without secrets, changed, deleted', async () => {
  const { at, app, folder } = await pushed('clients', { 'instant.schema.ts': SCHEMA });
  const add = (...options) => run(['auth', 'client', 'add', '--yes', ...options], at);
  const secret = 'shhh-it-is-a-secret';
  const credentials = ['--client-id', 'id.of.client', '--client-secret', secret];
  const web = ['--type', 'google', '--app-type', 'web'];
  assert.match(await add(...web, '--name', 'google-web', ...credentials), /google-web/);
  await add('--type', 'github', '--name', 'hub', ...credentials);
  await add('--type', 'linkedin', '--name', 'linked', ...credentials);
  await add('--type', 'apple', '--name', 'apple', '--services-id', 'com.example');
  await add('--type', 'firebase', '--name', 'fire', '--project-id', 'my-project');
  const key = `pk_test_${Buffer.from('example.clerk.accounts.dev$').toString('base64')}`;
  await add('--type', 'clerk', '--name', 'clerk', '--publishable-key', key);

  const list = async () => {
    const text = await run(['auth', 'client', 'list', '--json'], at);
    assert.doesNotMatch(text, new RegExp(secret));
    return JSON.parse(text);
  };
  const names = (clients) => clients.map((client) => client.client_name).toSorted();
  const clients = await list();
  assert.deepEqual(names(clients), ['apple', 'clerk', 'fire', 'google-web', 'hub', 'linked']);
  assert.match(await run(['auth', 'client', 'list'], at), /hub[^]*Provider: github/);
  await run(['auth', 'origin', 'add', '--yes', '--type', 'website', '--url', 'localhost:3000'], at);
  const start = `${server.url}/runtime/oauth/start?app_id=${app.id}&client_name=hub`;
  const redirected = await fetch(`${start}&redirect_uri=http://localhost:3000/`, {
    redirect: 'manual',
  });
  assert.equal(new URL(redirected.headers.get('location')).host, 'github.com');

  const update = ['auth', 'client', 'update', '--yes', '--name', 'hub', '--client-id', 'another'];
  await run([...update, '--client-secret', 'other'], at);
  assert.equal((await list()).find(({ client_name: name }) => name === 'hub').client_id, 'another');
  await run(['auth', 'client', 'delete', '--yes', '--name', 'hub'], at);
  const { id } = clients.find((client) => client.client_name === 'apple');
  await run(['auth', 'client', 'delete', '--yes', '--id', id], at);
  assert.equal((await list()).length, 4);
  assert.match(await add(...web, '--name', 'google-web', ...credentials), /already in use/);
  await removeProject(folder);
});

test('[AC133] auth origin: added, listed and deleted; explorer and info find the app', async () => {
  const { at, app, folder } = await pushed('origins', { 'instant.schema.ts': SCHEMA });
  const add = (...options) => run(['auth', 'origin', 'add', '--yes', ...options], at);
  assert.match(await add('--type', 'website', '--url', 'https://example.com'), /example\.com/);
  await add('--type', 'vercel', '--project', 'shop');
  await add('--type', 'netlify', '--site', 'shop');
  await add('--type', 'custom-scheme', '--scheme', 'shop://');
  const list = async () => JSON.parse(await run(['auth', 'origin', 'list', '--json'], at));
  const origins = await list();
  assert.deepEqual(origins.map(({ service, params }) => [service, ...params]).toSorted(), [
    ['custom-scheme', 'shop'],
    ['generic', 'example.com'],
    ['netlify', 'shop'],
    ['vercel', 'vercel.app', 'shop'],
  ]);
  const { id } = origins.find(({ service }) => service === 'generic');
  await run(['auth', 'origin', 'delete', '--yes', '--id', id], at);
  assert.equal((await list()).length, 3);

  assert.match(await run(['info'], at), new RegExp(`ann@example\\.com[^]*origins \\(${app.id}`));
  // `explorer` opens this address in a browser.
  const page = await fetch(`${server.url}/dash?s=main&app=${app.id}&t=explorer`, {
    headers: { accept: 'text/html' },
  });
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  await run(['app', 'delete', '--app', app.id, '--yes'], at);
  await assert.rejects(run(['pull', 'schema', '--yes'], at));
  await removeProject(folder);
});
