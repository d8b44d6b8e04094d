/** A page made of a real server's data, and its browser: what did not change is not told again. */
import WebSocket from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../../src/client/database.ts';
import { createServerDb, hydrate } from '../../src/ssr/index.ts';
import { webEnvironment } from '../../src/web/environment.ts';
import { LiveServer } from '../support/live-server.ts';
import { entity } from '../support/stage.ts';

type Message = Record<string, unknown>;

const QUERIES = [
  { todos: { $: { order: { serverCreatedAt: 'desc' }, limit: 2 }, tags: {} } },
  { tags: { todos: { $: { fields: ['title'] } } } },
  { todos: { $: { where: { 'tags.name': 'tag a1' } } } },
  { todos: { $: { aggregate: { count: true } } } },
  { missing: {} },
] as const;
const OPTS = { ruleParams: { key: 'é' } };

let server: LiveServer;

beforeAll(async () => {
  server = await LiveServer.start();
});

afterAll(() => server.stop());

test('[J182] a real server answers that the page still holds', async () => {
  const code = Object.fromEntries(
    ['todos', 'tags', '$default'].map((name) => [name, { allow: { $default: 'true' } }]),
  );
  const made = await server.post('/dash/apps/ephemeral', { title: 'pages', rules: { code } });
  const { app } = made as { app: { id: string; 'admin-token': string } };
  const headers = { 'app-id': app.id, authorization: `Bearer ${app['admin-token']}` };
  const steps = [1, 2, 3].flatMap((number) => [
    ['update', 'tags', entity(number), { name: `tag a${number}` }],
    ['update', 'todos', entity(10 + number), { title: `todo ${number}`, done: number === 3 }],
    ['link', 'todos', entity(10 + number), { tags: [entity(1), entity(number)] }],
  ]);
  await server.post('/admin/transact', { steps }, headers);
  const config = { appId: app.id, server: server.url };
  const page = createServerDb(config);
  for (const query of QUERIES) await page.preload(query, OPTS);

  const told: Message[] = [];
  let look: () => void = () => {};
  class Heard extends WebSocket {
    constructor(url: string) {
      super(url);
      this.addEventListener('message', ({ data }) => {
        told.push(JSON.parse(String(data)) as Message);
        look();
      });
    }
  }
  const globals = { ...globalThis, setTimeout, clearTimeout, crypto, fetch, WebSocket: Heard };
  const db = new Database(config, webEnvironment(globals as never));
  hydrate(db, JSON.parse(JSON.stringify(page.dehydrate())));
  const observers = QUERIES.map((query) => db.observe(query, OPTS));
  const shown = observers.map((observer) => observer.get());
  expect(shown.map(({ isLoading }) => isLoading)).toEqual(QUERIES.map(() => false));
  expect(shown[0]!.data!.todos).toHaveLength(2);
  expect(shown[2]!.data!.todos).toHaveLength(3);
  for (const observer of observers) observer.subscribe(() => {});

  const answers = () => told.filter(({ op }) => op === 'add-query-ok');
  await new Promise<void>((resolve) => {
    look = () => answers().length === QUERIES.length && resolve();
  });
  for (const answer of answers()) {
    expect(answer.from).toBe(answer.version);
    expect(answer).not.toHaveProperty('result');
  }
  expect(told.find(({ op }) => op === 'init-ok')).not.toHaveProperty('attrs');
  observers.forEach((observer, place) => expect(observer.get().data).toBe(shown[place]!.data));
  db.shutdown();
});
