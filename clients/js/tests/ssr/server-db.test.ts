/** What a server finds while it makes a page. */
import { expect, test } from 'vitest';
import type { RequestInit } from '../../src/http/environment.ts';
import { hydrate } from '../../src/ssr/hydrate.ts';
import { ServerDb } from '../../src/ssr/server-db.ts';
import { ADA, PageStage } from '../support/page-stage.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';
import { entity } from '../support/stage.ts';

const BOOKS = { books: { author: {}, tags: {} } };

test('[J180] equal queries are asked once, as the user, and found as on the server', async () => {
  const stage = new PageStage();
  const server = stage.pageDb({ user: ADA });
  const both = [server.preload(BOOKS), server.preload({ books: { tags: {}, author: {} } })];
  const [first, second] = await Promise.all(both);
  expect(first).toBe(second);
  expect(first!.data).toEqual(stage.server.rows(BOOKS as never));
  expect(first).toMatchObject({ isLoading: false, source: 'server', isComplete: true });
  expect(stage.http.sent).toHaveLength(1);
  expect(stage.http.last).toMatchObject({
    method: 'POST',
    path: '/runtime/framework/query',
    headers: { 'app-id': 'app', authorization: 'Bearer token-ada' },
    json: { query: BOOKS },
  });
  await server.preload(BOOKS, { ruleParams: { key: 'k' } });
  expect(stage.http.last.json.query.$$ruleParams).toEqual({ key: 'k' });
});

test('[J180] nobody asks without a token', async () => {
  const stage = new PageStage();
  for (const config of [{}, { user: null }]) {
    await stage.pageDb(config).preload(BOOKS);
    expect(stage.http.last.headers).not.toHaveProperty('authorization');
  }
});

test('[J180] what fails is told, not kept, and ends after a while', async () => {
  const stage = new PageStage();
  const server = stage.pageDb();
  stage.http.answer = () => ({ status: 400, json: { type: 'validation-failed', message: 'no' } });
  const refused = await server.preload(BOOKS);
  expect(refused).toMatchObject({ isLoading: false, error: { code: 'validation-failed' } });
  expect(server.observe(BOOKS).get()).toBe(refused);
  // A server that does not answer until the request is ended.
  const fetch = (_: string, { signal }: RequestInit) =>
    new Promise<never>((_, reject) => {
      (signal as { cancel: () => void }).cancel = () => reject(new TypeError('aborted'));
    });
  const config = { appId: 'app', schema: SHELF_SCHEMA, timeoutMs: 500 };
  const late = new ServerDb(config, { ...stage.http.environment, fetch }).preload(BOOKS);
  await stage.http.clock.pass(600);
  expect(await late).toMatchObject({ error: { code: 'timeout' } });
  expect(server.dehydrate().answers).toEqual([]);
  expect(server.flush()).toBe('');
});

test('[J180] everything that the shelf can hold passes through a page', async () => {
  const stage = new PageStage(23);
  const server = stage.pageDb();
  const queries = [
    BOOKS,
    { people: { $: { order: { name: 'desc' }, limit: 2 }, books: {}, reports: {} } },
    { books: { $: { aggregate: { count: true } } } },
    { nothing: {} },
  ];
  for (const query of queries) await server.preload(query);
  const page: unknown = JSON.parse(JSON.stringify(server.dehydrate()));
  const db = stage.browserDb();
  expect(hydrate(db, page)).toBe(true);
  for (const query of queries) {
    const shown = db.observe(query).get();
    expect(shown).toEqual(server.observe(query).get());
    expect(shown.isLoading).toBe(false);
  }
  for (const query of queries) db.observe(query).subscribe(() => {});
  const before = queries.map((query) => db.observe(query).get());
  await stage.settle();
  const after = queries.map((query) => db.observe(query).get());
  after.forEach((state, place) => expect(state).toBe(before[place]));
  expect(stage.ops('add-query').map(({ held }) => held)).toEqual(
    queries.map((query) => stage.server.answer(query as never).version),
  );
});

test('[J180] without versions of the server a page is shown, and asked for whole', async () => {
  const stage = new PageStage();
  stage.http.answer = ({ json }) => {
    const { result, attrs } = stage.server.page(json.query);
    return { json: { result, attrs } };
  };
  const server = stage.pageDb();
  await server.preload(BOOKS);
  const db = stage.browserDb();
  hydrate(db, server.dehydrate());
  const observer = db.observe(BOOKS);
  expect(observer.get().data).toEqual(stage.server.rows(BOOKS as never));
  observer.subscribe(() => {});
  await stage.settle();
  expect(stage.ops('add-query')[0]).not.toHaveProperty('held');
  expect(observer.get().data).toEqual(stage.server.rows(BOOKS as never));
});

test.each([...Array(12).keys()])(
  '[J182] a page of data that was put back since, %i',
  async (seed) => {
    const stage = new PageStage(seed);
    const server = stage.pageDb();
    stage.server.tx = 900;
    await server.preload({ people: {} });
    stage.server.tx = 5;
    const db = stage.browserDb();
    hydrate(db, server.dehydrate());
    await stage.settle();
    const people = db.observe({ people: {} });
    const seen: boolean[] = [];
    // Its acknowledgement comes before the answer that contains it.
    void db.transact(db.tx.people![entity(3)]!.create({ name: 'Zoe' }));
    const look = () => seen.push(JSON.stringify(people.get().data).includes('Zoe'));
    while (stage.server.applied.size === 0) await stage.clock.pass(1);
    people.subscribe(look);
    look();
    await stage.settle();
    // The ids of the page's answer mean nothing: what is written now is not in it.
    expect(new Set(seen)).toEqual(new Set([true]));
    expect(people.get().data).toEqual(stage.server.rows({ people: {} } as never));
  },
);

test('[J186] what a loader found is shown by the page, and told no second time', async () => {
  const stage = new PageStage();
  const loader = stage.pageDb();
  await loader.preload(BOOKS);
  const server = stage.pageDb({ schema: SHELF_SCHEMA });
  server.add(JSON.parse(JSON.stringify(loader.dehydrate())));
  server.add({ format: 9 });
  expect(server.observe(BOOKS).get().data).toEqual(stage.server.rows(BOOKS as never));
  expect(server.flush()).toBe('');
  await server.preload(BOOKS);
  expect(stage.http.sent).toHaveLength(1);
});

test('[J186] what was found before a loader is added is still told', async () => {
  const stage = new PageStage();
  const loader = stage.pageDb();
  await loader.preload(BOOKS);
  const { attrs, catalog, ...bare } = JSON.parse(JSON.stringify(loader.dehydrate()));
  const older = { ...bare, attrs, catalog: 'older', tx: -1 };
  for (const page of [bare, older, { ...bare, attrs, catalog }]) {
    const server = stage.pageDb();
    await server.preload({ people: {} });
    server.add(page);
    const told = server.flush();
    expect(told).toContain('people');
    expect(told).not.toContain('{"books":{"author"');
    // The browser has the attrs only where the loader's page has the same, or newer ones.
    expect(told.includes('"attrs"')).toBe(page.catalog !== catalog);
    expect(server.flush()).toBe('');
  }
});
