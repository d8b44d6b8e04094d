// The official MCP server over stdio, as an agent's host runs it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

import { PlatformApi } from '@instantdb/platform';
import { makeProject, MODULES, read, removeProject, runCli } from './support/instant-cli.mjs';
import { createAccount, startServer } from './support/server.mjs';
import { within } from './support/wait.mjs';

const MCP = path.join(MODULES, '@instantdb/mcp/dist/index.js');
const SCHEMA = `
import { i } from '@instantdb/core';
const schema = i.schema({
  entities: { goals: i.entity({ title: i.string(), rank: i.number().indexed().optional() }) },
  links: {},
  rooms: {},
});
export default schema;
`;
const PERMS = `
export default { goals: { allow: { view: 'auth.id != null' } } };
`;

let server;
let token;
let project;
let appId;
let mcp;

before(async () => {
  server = await startServer();
  token = await createAccount(server, 'ann@example.com');
  const api = new PlatformApi({ auth: { token }, apiURI: server.url });
  appId = (await api.createApp({ title: 'of an agent' })).app.id;
  project = await makeProject({});
  mcp = await startMcp(token);
});
after(async () => {
  mcp?.stop();
  await server?.stop();
  if (project) await removeProject(project);
});

/** Start it with an access token; {ask(method, params), call(tool, arguments), stop}. */
async function startMcp(accessToken) {
  const child = spawn(process.execPath, [MCP, '--token', accessToken], {
    env: { PATH: process.env.PATH, INSTANT_API_URL: server.url },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting = new Map();
  let count = 0;
  createInterface(child.stdout).on('line', (line) => {
    const message = JSON.parse(line);
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  const send = (message) =>
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  async function ask(method, params) {
    const id = (count += 1);
    const answer = new Promise((resolve) => waiting.set(id, resolve));
    send({ id, method, params });
    const { result, error } = await within(answer, method);
    if (error) throw new Error(JSON.stringify(error));
    return result;
  }
  await ask('initialize', {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  });
  send({ method: 'notifications/initialized' });
  const call = async (name, input) => {
    const { content, isError = false } = await ask('tools/call', { name, arguments: input });
    return { text: content.map((part) => part.text).join('\n'), isError };
  };
  return { ask, call, stop: () => child.kill() };
}

/** Ask a tool what to do, and do what it says: the one command in its answer. */
async function follow(tool) {
  const { text } = await mcp.call(tool, { appId });
  const args = /npx instant-cli (.+)/.exec(text)[1].trim().split(' ');
  return runCli(args, {
    folder: project,
    url: server.url,
    extra: { INSTANT_CLI_AUTH_TOKEN: token },
  });
}

test('[AC131] it offers these tools, and each of them works here', async () => {
  const { tools } = await mcp.ask('tools/list', {});
  assert.deepEqual(tools.map((tool) => tool.name).toSorted(), [
    ...['get-perms', 'get-schema', 'learn', 'push-perms', 'push-schema', 'query', 'transact'],
  ]);
  assert.match((await mcp.call('learn', {})).text, /AGENTS\.md/);
});

test('[AC131] the commands it tells push and pull schema and rules', async () => {
  await writeFile(path.join(project, 'instant.schema.ts'), SCHEMA);
  await writeFile(path.join(project, 'instant.perms.ts'), PERMS);
  await follow('push-schema');
  await follow('push-perms');
  for (const name of ['instant.schema.ts', 'instant.perms.ts'])
    await writeFile(path.join(project, name), '');
  await follow('get-schema');
  await follow('get-perms');
  const schema = await read(project, 'instant.schema.ts');
  assert.match(schema, /rank: i\.number\(\)\.indexed\(\)\.optional\(\)/);
  assert.match(await read(project, 'instant.perms.ts'), /auth\.id != null/);
});

test('[AC131] it writes and reads with an access token, and says why it may not', async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  const steps = [
    ['update', 'goals', first, { title: 'Get fit', rank: 2 }],
    ['update', 'goals', second, { title: 'Read', rank: 1 }],
  ];
  const written = await mcp.call('transact', { appId, steps });
  assert.equal(written.isError, false, written.text);
  assert.ok(JSON.parse(written.text)['tx-id'] > 0);
  const query = { goals: { $: { where: { rank: { $gt: 0 } }, order: { rank: 'asc' } } } };
  const found = await mcp.call('query', { appId, query });
  assert.deepEqual(
    JSON.parse(found.text).goals.map((goal) => goal.title),
    ['Read', 'Get fit'],
  );
  await mcp.call('transact', { appId, steps: [['delete', 'goals', first]] });
  const left = await mcp.call('query', { appId, query: { goals: {} } });
  assert.equal(JSON.parse(left.text).goals.length, 1);

  const wrong = await mcp.call('query', { appId, query: { goals: { $: { where: 1 } } } });
  assert.equal(wrong.isError, true);
  assert.match(wrong.text, /validation-failed/);
  const eve = await startMcp(await createAccount(server, 'eve@example.com'));
  for (const refused of [
    await eve.call('query', { appId, query: { goals: {} } }),
    await eve.call('transact', { appId, steps: [['delete', 'goals', second]] }),
  ]) {
    assert.equal(refused.isError, true);
    assert.doesNotMatch(refused.text, /Read/);
  }
  eve.stop();
});
