/** Functions in Python on a real server: `trice dev` on the chat of the tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import {
  type CallState,
  type Database,
  id,
  init,
  type PagedRef,
  type PagedState,
} from '../../src/index.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const COMMAND = process.env.TRICE_COMMAND ?? join(ROOT, '.venv/bin/trice');
const CHAT = join(ROOT, 'server/tests/functions/projects/chat');

interface Message {
  readonly id: string;
  readonly text: string;
}

const ref = <K extends string, A extends object, R>(kind: K, name: string) =>
  ({ kind, name }) as unknown as { kind: K; name: string; args: A; result: R };
const api = {
  all: ref<'query', object, { title: string; sent: number }[]>('query', 'channels.all_of_them'),
  recent: ref<'query', { channel: string }, Message[]>('query', 'messages.recent'),
  create: ref<'mutation', { title: string }, string>('mutation', 'channels.create'),
  send: ref<'mutation', { channel: string; text: string }, string>('mutation', 'messages.send'),
  rename: ref<'mutation', { channel: string; title: string }, null>('mutation', 'channels.rename'),
  tidy: ref<'action', { channel: string }, string>('action', 'channels.tidy'),
};

/** Messages of the server, in order. */
const heard: string[] = [];

class Heard extends WebSocket {
  constructor(...given: ConstructorParameters<typeof WebSocket>) {
    super(...given);
    this.on('message', (data: Buffer) => heard.push(data.toString()));
  }
}

let folder: string;
let server: ChildProcess;
let url: string;
let appId: string;

async function start(port: string): Promise<void> {
  server = spawn(COMMAND, ['dev', '--port', port, '--yes'], { cwd: folder });
  let said = '';
  // It is read to its end: the server writes on what calls do.
  server.stderr!.on('data', (bytes) => (said += String(bytes)));
  let isOver = false;
  void once(server, 'exit').then(() => (isOver = true));
  await vi.waitUntil(() => isOver || said.includes('In force'), { timeout: 50_000 });
  if (isOver) throw new Error(`the server did not start:\n${said}`);
  url = /ready at (http:\/\/\S+)/.exec(said)![1]!;
  appId = /app (\S+)/.exec(said)![1]!;
}

async function stop(): Promise<void> {
  server.kill('SIGINT');
  await once(server, 'exit');
}

beforeAll(async () => {
  globalThis.WebSocket = Heard as unknown as typeof globalThis.WebSocket;
  // While the server is away an event stream would be tried too, of which nothing is heard here.
  const { fetch } = globalThis;
  globalThis.fetch = (to, how) =>
    to.toString().includes('/runtime/sse')
      ? Promise.reject(new TypeError('There are no event streams here.'))
      : fetch(to, how);
  folder = await mkdtemp(join(tmpdir(), 'tricedb-calls-'));
  await cp(CHAT, folder, { recursive: true });
  await start('0');
}, 60_000);

afterAll(async () => {
  await stop();
  await rm(folder, { recursive: true, force: true });
});

/** Watches the messages of a channel, and keeps what it showed. */
function watch(db: Database, channel: string): (string[] | undefined)[] {
  const seen: (string[] | undefined)[] = [];
  const texts = ({ data }: CallState<Message[]>) => data?.map(({ text }) => text);
  db.subscribeCall(api.recent, { channel }, (state) => seen.push(texts(state)));
  return seen;
}

const history = {
  name: 'messages.history',
  kind: 'query',
  paged: 'page',
} as unknown as PagedRef & {
  list: { channel: string; page?: { size?: number } };
  item: Message;
};

/** Watches the messages of a channel page by page, and keeps what it showed. */
function watchPages(db: Database, channel: string): PagedState<Message>[] {
  const seen: PagedState<Message>[] = [];
  db.subscribePagedCall(history, { channel, page: { size: 2 } }, (state) => seen.push(state));
  return seen;
}

const textsOf = (seen: PagedState<Message>[]) =>
  seen
    .at(-1)
    ?.data?.map(({ text }) => text)
    .join('');

const sending = {
  optimistic: (_tx: unknown, { channel, text }: { channel: string; text: string }, live: any) => [
    live(api.recent, { channel }).put({ id: id(), text }, { at: 'start' }),
  ],
};

test('[FN345] functions of a real server are called, watched and predicted', async () => {
  const db = init({ appId, server: url });
  expect(await db.call(api.all, {})).toEqual([]);
  await expect(db.call(api.create, { title: 'a' })).rejects.toMatchObject({ code: 'signed-out' });
  db.pending.drop(db.pending.list()[0]!.id);
  await expect(db.call(api.rename, { channel: id(), title: 'a' })).rejects.toMatchObject({
    code: 'function-not-found',
  });
  await db.auth.signInAsGuest();
  const channel = await db.call(api.create, { title: 'first' });
  const seen = watch(db, channel);
  await vi.waitUntil(() => seen.length > 0);
  await db.call(api.send, { channel, text: 'one' }, sending);
  await db.call(api.send, { channel, text: 'two' }, sending);
  await vi.waitUntil(() => db.pending.count === 0);
  // Nothing that was shown went away meanwhile.
  const times = seen.map((texts) => texts!.length);
  expect(times).toEqual([...times].sort());
  expect(seen.at(-1)).toEqual(['two', 'one']);
  await expect(db.call(api.send, { channel: id(), text: 'x' })).rejects.toMatchObject({
    code: 'function-error',
    hint: { code: 'not-a-member' },
  });
  expect(await db.call(api.tidy, { channel })).toBe('FIRST');
  db.shutdown();
});

test('[J343] a real server tells what changed, and after a cut what was missed', async () => {
  const db = init({ appId, server: url });
  await db.auth.signInAsGuest();
  const channel = await db.call(api.create, { title: 'changing' });
  const texts = Array.from({ length: 8 }, (_, at) => `${at} ${'.'.repeat(200)}`);
  for (const text of texts) await db.call(api.send, { channel, text });
  const states: CallState<Message[]>[] = [];
  db.subscribeCall(api.recent, { channel }, (state) => states.push(state));
  await vi.waitUntil(() => states.length > 0);
  const before = states.at(-1)!.data!;
  const last = async () => {
    await vi.waitUntil(() => states.at(-1)!.data!.length > before.length);
    return heard.findLast((text) => text.includes('"messages.recent"'))!;
  };
  await db.call(api.send, { channel, text: 'new' });
  const said = await last();
  expect(said).toContain('"delta":{"lists":{"":{"put":[');
  expect(said.length).toBeLessThan(700);
  expect(
    states
      .at(-1)!
      .data!.slice(1)
      .every((row, at) => row === before[at]),
  ).toBe(true);

  await stop();
  await vi.waitUntil(() => db.connectionStatus === 'closed');
  const told = states.length;
  await start(new URL(url).port);
  const answer = () => heard.findLast((text) => text.includes('"op":"add-call-ok"'))!;
  await vi.waitUntil(() => db.connectionStatus === 'authenticated' && answer().includes('"from"'), {
    timeout: 30_000,
  });
  expect(answer()).not.toMatch(/"delta"|"value"/);
  expect(states).toHaveLength(told);
  db.shutdown();
}, 60_000);

test('[FN345, J352] what is called while the server is away is carried out once', async () => {
  const db = init({ appId, server: url });
  await db.auth.signInAsGuest();
  const channel = await db.call(api.create, { title: 'second' });
  const seen = watch(db, channel);
  const long = await db.call(api.create, { title: 'third' });
  for (const text of ['a', 'b', 'c']) await db.call(api.send, { channel: long, text });
  const pages = watchPages(db, long);
  await vi.waitUntil(() => seen.length > 0 && textsOf(pages) === 'cb', { timeout: 30_000 });
  await stop();
  await vi.waitUntil(() => db.connectionStatus === 'closed');
  pages.at(-1)!.loadNextPage();
  expect(textsOf(pages)).toBe('cb');
  const sent = ['one', 'two', 'three'].map((text) => db.call(api.send, { channel, text }, sending));
  expect(seen.at(-1)).toEqual(['three', 'two', 'one']);
  await expect(db.call(api.tidy, { channel })).rejects.toMatchObject({ code: 'offline' });
  await start(new URL(url).port);
  expect(new Set(await Promise.all(sent)).size).toBe(3);
  await vi.waitUntil(() => db.pending.list().length === 0, { timeout: 30_000 });
  expect(seen.at(-1)).toEqual(['three', 'two', 'one']);
  expect(seen.slice(3).every((texts) => texts!.length === 3)).toBe(true);
  await vi.waitUntil(() => textsOf(pages) === 'cba', { timeout: 30_000 });
  expect(pages.every(({ data }) => data!.length >= 2)).toBe(true);
  db.shutdown();
}, 60_000);

test('[FN322, FN345] `trice dev` writes client/api.ts', async () => {
  const text = await readFile(join(folder, 'client/api.ts'), 'utf8');
  expect(text).toContain('recent: { name: "messages.recent", kind: "query" }');
});

test('[J350] a list of a real server is loaded page by page, live and split', async () => {
  const db = init({ appId, server: url });
  await db.auth.signInAsGuest();
  const channel = await db.call(api.create, { title: 'pages' });
  const send = (text: string) => db.call(api.send, { channel, text });
  for (const text of ['1', '2', '3', '4']) await send(text);
  const seen = watchPages(db, channel);
  const shows = (texts: string) => vi.waitUntil(() => textsOf(seen) === texts, { timeout: 30_000 });
  await shows('43');
  seen.at(-1)!.loadNextPage();
  await shows('4321');
  expect(seen.at(-1)!.canLoadNextPage).toBe(false);
  // With the third the first page has more than twice its size.
  for (const text of ['5', '6', '7']) await send(text);
  await shows('7654321');
  // Nothing was missing meanwhile.
  const lengths = seen.map(({ data }) => data!.length);
  expect(lengths).toEqual([...lengths].sort());
  db.shutdown();
}, 60_000);
