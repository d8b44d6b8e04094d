// What trice writes as TypeScript, in the hands of the official package, compiler and command line.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { i } from '@instantdb/core';

import { COMMAND, createAccount, startServer } from './support/server.mjs';

const MODULES = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  '../../../node_modules',
);
const SCHEMA = `
from datetime import datetime
from typing import Annotated, Any, Literal
from trice.schema import *

class User(Users): nickname: str | None
class Cursor(Fields): x: float
class List(Namespace): title: Annotated[str, Unique]
class Todo(Namespace):
    title: Annotated[str, Indexed]
    state: Literal["open", "done"]
    due: datetime | None
    first_name: Annotated[str | None, Label("first-name")]
    more: Json
    list: One[List] = link(back="todos", on_delete="cascade")
    owner: One[User] | None = link(back="todos")
class Db(Schema):
    users: Table[User]
    lists: Table[List]
    todos: Table[Todo]
    rooms = {"chat": Room(presence=Cursor, topics={"wave": Cursor})}
`;
const RULES = 'todos:\n  allow: {view: true, create: auth.id != null}\n  bind: [a, "1 == 1"]\n';

let server;
let folder;
let env;

before(async () => {
  server = await startServer();
  const token = await createAccount(server, 'ann@example.com');
  folder = await mkdtemp(path.join(tmpdir(), 'trice-files-'));
  await symlink(MODULES, path.join(folder, 'node_modules'));
  await mkdir(path.join(folder, 'home'));
  const dependencies = { '@instantdb/core': '1.0.67' };
  const files = {
    'package.json': JSON.stringify({ name: 'project', type: 'module', dependencies }),
    'schema.py': SCHEMA,
    'rules.yaml': RULES,
  };
  for (const [name, text] of Object.entries(files))
    await writeFile(path.join(folder, name), text);
  env = {
    PATH: process.env.PATH,
    HOME: path.join(folder, 'home'),
    XDG_CONFIG_HOME: path.join(folder, 'home'),
    NO_COLOR: '1',
    CI: '1',
    TRICE_URL: server.url,
    TRICE_TOKEN: token,
    INSTANT_CLI_AUTH_TOKEN: token,
    INSTANT_CLI_API_URI: server.url,
    INSTANT_CLI_DASH_URI: server.url,
  };
});
after(async () => {
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function run(command, ...args) {
  const running = promisify(execFile)(command, args, { cwd: folder, env });
  const { stdout, stderr } = await running.catch((error) => {
    throw new Error(`${args.join(' ')}: ${error.stdout}\n${error.stderr}`);
  });
  return stdout + stderr;
}
const trice = (...args) => run(COMMAND, ...args);
const instant = (...args) =>
  run(process.execPath, path.join(MODULES, 'instant-cli/bin/index.js'), ...args);
const read = (name) => readFile(path.join(folder, name), 'utf8');

/** What a written file exports, made by the official `i`. */
async function evaluated(name) {
  const text = (await read(name))
    .replace(/^(import|type|interface|export type) .*$/gm, '')
    .replace(/ satisfies InstantRules/, '')
    .replace(/const schema: AppSchema/, 'const schema')
    .replace(/i\.string<.*?>/g, 'i.string')
    .replace('export default', 'return');
  return JSON.parse(JSON.stringify(new Function('i', text)(i)));
}

test('[SF4] the official package, compiler and command line take what is written', async () => {
  await trice('schema', 'convert', 'schema.py', 'instant.schema.ts');
  await trice('schema', 'convert', 'rules.yaml', 'instant.perms.ts');
  const checking = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext'];
  await writeFile(
    path.join(folder, 'use.ts'),
    `import schema from './instant.schema.js';
    import rules from './instant.perms.js';
    import { init } from '@instantdb/core';
    const db = init({ appId: 'x', schema });
    db.subscribeQuery({ todos: { list: {}, owner: {} } }, (found) => {
      const state: 'open' | 'done' | undefined = found.data?.todos[0]?.state;
      const nickname: string | undefined = found.data?.todos[0]?.owner?.nickname;
      // @ts-expect-error what the schema does not have
      found.data?.todos[0]?.lost;
      return [state, nickname, rules.todos.allow.view];
    });`,
  );
  await run(path.join(MODULES, '.bin/tsc'), ...checking, 'use.ts');
  const made = await evaluated('instant.schema.ts');
  assert.deepEqual(made.entities.todos.attrs['first-name'].valueType, 'string');
  assert.equal(made.entities.todos.attrs.due.required, false);
  assert.equal(made.links.todosList.forward.onDelete, 'cascade');
  assert.equal(made.rooms.chat.topics.wave.attrs.x.valueType, 'number');
  await writeFile(path.join(folder, 'official.json'), JSON.stringify(made));
  await trice('schema', 'convert', 'official.json', 'from-official.json');
  await trice('schema', 'convert', 'schema.py', 'from-python.json');
  const ours = JSON.parse(await read('from-python.json'));
  delete ours.entities.todos.attrs.state.values; // a type, which the official package has not
  assert.deepEqual(JSON.parse(await read('from-official.json')), ours);

  const { id } = JSON.parse(await trice('apps', 'create', 'x', '--json'));
  env.INSTANT_APP_ID = env.TRICE_APP = id;
  await trice('push', '--schema', 'schema.py', '--rules', 'rules.yaml');
  assert.match(await instant('push', 'all', '--yes'), /No schema changes/);
  await instant('pull', 'all', '--yes');
  const files = ['--schema', 'instant.schema.ts', '--rules', 'instant.perms.ts'];
  assert.match(await trice('diff', ...files), /as the files say/);
});
