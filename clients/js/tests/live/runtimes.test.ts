/** `tricedb/admin` as it is published, where programs on servers run. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build as bundle } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, unpack } from '../support/built.ts';
import { LiveServer } from '../support/live-server.ts';

const TOUR = join(import.meta.dirname, 'admin-tour.mjs');

/** What is told of the tour, wherever it is made. */
const SEEN = {
  live: { pictures: [[], ['Käse 🧀']], asked: ['Käse 🧀'], isClosed: true },
  refused: [true, 'validation-failed'],
  user: ['ada@example.com', ['ada@example.com']],
  stream: { first: 'one é', whole: 'one é two' },
  files: {
    came: { text: 'text é', bytes: 'bytes é', blob: 'bytes é', chunks: 'bytes é' },
    paths: ['tour/blob é.txt', 'tour/bytes é.txt', 'tour/chunks é.txt'],
  },
  room: [[{ name: 'Ada' }], []],
};

/** Commands of each runtime. Those that the machine does not have are skipped. */
const RUNTIMES = {
  node: [process.execPath],
  bun: [process.env.BUN ?? 'bun', 'run'],
  deno: [process.env.DENO ?? 'deno', 'run', '--allow-net', '--no-lock'],
};

/** What an edge runtime has beside the language: no Node, no timers but these, no files. */
const EDGE = [
  ...['AbortController', 'Blob', 'Headers', 'ReadableStream', 'Request', 'Response', 'TextDecoder'],
  ...['TextEncoder', 'URL', 'URLSearchParams', 'WritableStream', 'clearTimeout', 'console'],
  ...['crypto', 'fetch', 'setTimeout'],
];

let server: LiveServer;
let project: string;

beforeAll(async () => {
  const built = build();
  project = mkdtempSync(join(tmpdir(), 'tricedb-runtimes-'));
  unpack(built, join(project, 'node_modules/tricedb'));
  rmSync(built, { recursive: true, force: true });
  cpSync(TOUR, join(project, 'tour.mjs'));
  writeFileSync(join(project, 'package.json'), '{"type": "module"}');
  server = await LiveServer.start();
}, 120_000);

afterAll(async () => {
  await server.stop();
  rmSync(project, { recursive: true, force: true });
});

for (const [name, [program, ...args]] of Object.entries(RUNTIMES))
  test.skipIf(!isInstalled(program!))(`[J318] the tour in ${name}`, async () => {
    writeFileSync(
      join(project, 'main.mjs'),
      `import * as admin from 'tricedb/admin';
       import { tour } from './tour.mjs';
       console.log(JSON.stringify(await tour(admin, ${JSON.stringify(await config())})));`,
    );
    const options = { cwd: project, encoding: 'utf8', timeout: 25_000 } as const;
    const printed = execFileSync(program!, [...args, 'main.mjs'], options);
    expect(JSON.parse(printed)).toEqual(SEEN);
  });

test('[J318] the tour in an edge runtime, from one script', async () => {
  writeFileSync(
    join(project, 'edge.mjs'),
    `import * as admin from 'tricedb/admin';
     import { tour } from './tour.mjs';
     globalThis.main = async (config) => JSON.stringify(await tour(admin, JSON.parse(config)));`,
  );
  await bundle({
    ...{ root: project, configFile: false, logLevel: 'silent' },
    build: {
      ...{ outDir: 'edge', emptyOutDir: false },
      lib: { entry: 'edge.mjs', formats: ['iife'], name: 'unused', fileName: () => 'edge.js' },
    },
  });
  const has = Object.fromEntries(EDGE.map((name) => [name, Reflect.get(globalThis, name)]));
  const context = createContext(has, { codeGeneration: { strings: false, wasm: false } });
  runInContext(readFileSync(join(project, 'edge/edge.js'), 'utf8'), context);
  const main = context.main as (config: string) => Promise<string>;
  expect(JSON.parse(await main(JSON.stringify(await config())))).toEqual(SEEN);
});

/** An app of its own. */
async function config(): Promise<object> {
  const made = await server.post('/dash/apps/ephemeral', { title: 'tour' });
  const { app } = made as { app: { id: string; 'admin-token': string } };
  return { appId: app.id, adminToken: app['admin-token'], server: server.url };
}

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
