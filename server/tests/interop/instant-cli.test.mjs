// The official command line, as a developer runs it in a project.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { createAdmin } from './support/clients.mjs';
import { COMMAND, createAccount, createApp, post, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

const MODULES = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  '../../../node_modules',
);
const CLI = path.join(MODULES, 'instant-cli/bin/index.js');

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
  if (project) await rm(project, { recursive: true, force: true });
});

async function makeProject(files) {
  const folder = await mkdtemp(path.join(tmpdir(), 'trice-cli-'));
  await symlink(MODULES, path.join(folder, 'node_modules'));
  const manifest = {
    name: 'project',
    type: 'module',
    dependencies: { '@instantdb/core': '1.0.67' },
  };
  await writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest));
  await mkdir(path.join(folder, 'home'));
  for (const [name, text] of Object.entries(files))
    await writeFile(path.join(folder, name), text);
  return folder;
}

function environment(folder, extra) {
  const home = path.join(folder, 'home');
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CONFIG_HOME: home,
    NO_COLOR: '1',
    CI: '1',
    INSTANT_CLI_API_URI: server.url,
    INSTANT_CLI_DASH_URI: server.url,
    ...extra,
  };
}

/** Run a command in a project; returns what it printed, or fails with it. */
async function run(args, { folder = project, extra = env } = {}) {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [CLI, ...args], {
    cwd: folder,
    env: environment(folder, extra),
  }).catch((error) => {
    throw new Error(`instant-cli ${args.join(' ')}: ${error.stdout}\n${error.stderr}`);
  });
  return stdout + stderr;
}

const read = (folder, name) => readFile(path.join(folder, name), 'utf8');

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
  await rm(copy, { recursive: true, force: true });

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
    env: environment(folder, {}),
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
  await rm(folder, { recursive: true, force: true });
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
  for (const made of [folder, copy]) await rm(made, { recursive: true, force: true });
});
