// The server under test: one process over loopback, with a data directory of its own.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { until, within } from './wait.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../..');
export const COMMAND = process.env.TRICE_COMMAND ?? path.join(ROOT, '.venv/bin/trice');
const READY = /trice is ready at (http:\/\/\S+)/;

/**
 * Start `trice serve` and wait for its ready line.
 *
 * dataDir  an existing directory to keep; default: a new one, removed by stop()
 * port     default: a free one
 */
export async function startServer({ dataDir, port = 0, env = {} } = {}) {
  const directory = dataDir ?? (await mkdtemp(path.join(tmpdir(), 'trice-interop-')));
  const args = ['serve', '--host', '127.0.0.1', '--port', String(port), '--data-dir', directory];
  args.push('--no-ephemeral-quotas'); // the apps of these tests stand for apps that last
  const child = spawn(COMMAND, args, { env: { ...process.env, ...env } });
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  child.stderr.on('data', (bytes) => (output += bytes));
  const exited = new Promise((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  );
  // node --test ends a file with process.exit; never leave a server behind.
  const onExit = () => child.kill('SIGKILL');
  process.once('exit', onExit);

  const url = await until(
    () => {
      if (child.exitCode !== null) throw new Error(`the server stopped at start:\n${output}`);
      return READY.exec(output)?.[1];
    },
    () => `the ready line of the server; it said:\n${output}`,
  );
  return {
    url,
    port: Number(new URL(url).port),
    directory,
    output: () => output,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async stop(signal = 'SIGTERM', { keepData = dataDir !== undefined } = {}) {
      process.removeListener('exit', onExit);
      child.kill(signal);
      const code = await within(exited, 'stop of the server').catch((error) => {
        child.kill('SIGKILL');
        throw error;
      });
      if (!keepData) await rm(directory, { recursive: true, force: true });
      return code;
    },
  };
}

/** POST JSON; returns {status, body, text}, body undefined when it is not JSON. */
export async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  return { status: response.status, body: parsed, text };
}

/** Make a throw-away app, open to everyone (instant-http §5.6). */
export async function createApp(server, { schema, rules, title = 'interop' } = {}) {
  const { status, body, text } = await post(`${server.url}/dash/apps/ephemeral`, {
    title,
    schema,
    rules,
  });
  if (status !== 200) throw new Error(`POST /dash/apps/ephemeral answered ${status}: ${text}`);
  return { id: body.app.id, adminToken: body.app['admin-token'] };
}

/** Make an account on a running server; returns a personal access token of it. */
export async function createAccount(server, email) {
  const args = ['accounts', 'create', email, '--print-token', '--data-dir', server.directory];
  const { stdout } = await promisify(execFile)(COMMAND, args);
  return stdout.trimEnd().split('\n').at(-1);
}
