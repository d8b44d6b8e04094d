/** Who asks for a page of Next: known to its server, and no token among the props of the page. */
import { Writable } from 'node:stream';
import { createElement, type ReactNode } from 'react';
import { renderToPipeableStream } from 'react-dom/server';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { User } from '../../src/client/user.ts';
import { withHandle, withToken } from '../../src/next/handles.ts';
import { createServerDb, getUser, init, TriceProvider } from '../../src/next/index.ts';
import { ADA, BOB, PageStage } from '../support/page-stage.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';

const next = vi.hoisted(() => ({ cookie: '', inserts: [] as (() => unknown)[] }));
vi.mock('next/headers.js', () => ({
  cookies: async () => ({ get: () => ({ value: next.cookie }) }),
}));
vi.mock('next/navigation.js', () => ({
  useServerInsertedHTML: (insert: () => unknown) => next.inserts.push(insert),
}));

const APP = { appId: 'app', server: 'http://test', schema: SHELF_SCHEMA };
const QUERY = { people: {} };
let bearers: (string | undefined)[];

beforeEach(() => {
  next.cookie = encodeURIComponent(JSON.stringify(ADA));
  next.inserts = [];
  bearers = [];
  const stage = new PageStage();
  vi.stubGlobal('fetch', async (_: string, init: { headers: any; body: string }) => {
    bearers.push(new Headers(init.headers).get('authorization') ?? undefined);
    return new Response(JSON.stringify(stage.server.page(JSON.parse(init.body).query)));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** The page that Next would make for what the layout gives. */
function made(user: User | null): Promise<string> {
  const db = init(APP);
  function Page(): ReactNode {
    const { isLoading, user: shown } = db.useAuth();
    const { data } = db.useSuspenseQuery(QUERY);
    const who = isLoading ? 'loading' : `${shown?.email} (${shown?.refresh_token})`;
    return `${who}: ${data.people.length > 0}`;
  }
  return new Promise((resolve, reject) => {
    let html = '';
    const into = new Writable({
      write: (part, _, done) => done(void (html += String(part))),
      final: (done) => done(void resolve(html)),
    });
    const props = { db, user, children: createElement(Page) };
    const page = renderToPipeableStream(createElement(TriceProvider, props), {
      onAllReady: () => page.pipe(into),
      onError: reject,
    });
  });
}

test('[J187] in Next the user has a handle for the token, of which the page is made', async () => {
  const user = await getUser('app');
  expect(user).toMatchObject({ id: ADA.id, email: ADA.email });
  expect(JSON.stringify(user)).not.toContain('token-ada');
  const props = JSON.parse(JSON.stringify(user)) as User;
  // React may make it twice.
  for (let times = 0; times < 2; times++) {
    const html = await made(props);
    expect(html).toContain('ada@example.com (): true');
  }
  await createServerDb({ ...APP, user: props }).preload(QUERY);
  expect(bearers).toEqual(Array(3).fill('Bearer token-ada'));
  const scripts = JSON.stringify(next.inserts.map((insert) => insert()));
  expect(scripts).toContain('ada@example.com');
  // What `useAuth` shows in the browser comes from there.
  expect(scripts).not.toMatch(/token-ada|refresh_token|trice-handle/);
  next.cookie = '';
  expect(await getUser('app')).toBe(null);
});

test('[J187] where a handle is not known the page is made as nobody known', async () => {
  const user = (await getUser('app'))!;
  const other = { ...user, refresh_token: `${user.refresh_token}0` };
  expect(await made(other)).toContain('loading: true');
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 59_000 });
  expect(withToken(user)).toEqual(ADA);
  vi.setSystemTime(Date.now() + 1_001);
  expect(withToken(user)).toBe(undefined);
  expect(await made(user)).toContain('loading: true');
  expect(bearers).toEqual([undefined, undefined]);
});

test('[J187] handles are random, and at most 10,000 are kept', () => {
  const users = Array.from({ length: 10_001 }, () => withHandle(BOB));
  expect(new Set(users.map((user) => user.refresh_token)).size).toBe(users.length);
  expect(withToken(users[0])).toBe(undefined);
  expect(withToken(users[1])).toEqual(BOB);
  expect(withToken(users.at(-1))).toEqual(BOB);
  // Who gives a token, or nobody, is taken as they are.
  for (const user of [ADA, null, undefined]) expect(withToken(user)).toBe(user);
});
