// @vitest-environment happy-dom
/** Pages that are made on a server, hydrated in a browser, and go on live. */
import { act, cleanup } from '@testing-library/react';
import { type ReactNode, StrictMode, Suspense } from 'react';
import { hydrateRoot, type Root } from 'react-dom/client';
import { renderToPipeableStream } from 'react-dom/server';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ReactDatabase } from '../../src/react/database.ts';
import { PageProvider } from '../../src/react/page.tsx';
import { hydrate } from '../../src/ssr/hydrate.ts';
import type { ServerDb } from '../../src/ssr/server-db.ts';
import type { QueryState } from '../../src/store/answer.ts';
import { Stored } from '../simulation/device.ts';
import { ADA, BOB, PageStage } from '../support/page-stage.ts';
import { entity } from '../support/stage.ts';

const QUERY = { people: { $: { order: { name: 'asc' } } } } as const;
const TAGS = { tags: {} };

/** Only here the server's React and the browser's share a process, and so a context. */
const BOTH = 'Detected multiple renderers concurrently rendering the same context provider';

let root: Root | null = null;
/** What React says of a page that it could not take over, or that was wrong. */
let complaints: unknown[] = [];

beforeEach(() => {
  complaints = [];
  vi.spyOn(console, 'error').mockImplementation((...said: unknown[]) => {
    if (!String(said[0]).startsWith(BOTH)) complaints.push(said);
  });
  for (const name of Object.keys(globalThis))
    if (name.startsWith('tricedb:')) delete (globalThis as Record<string, unknown>)[name];
});

afterEach(async () => {
  await act(async () => root?.unmount());
  root = null;
  cleanup();
  vi.restoreAllMocks();
  document.body.innerHTML = '';
});

/** The whole page, once every part of it is there. */
function rendered(node: ReactNode): Promise<string> {
  return new Promise((resolve, reject) => {
    let html = '';
    const into = new Writable({
      write(part, _, done) {
        html += String(part);
        done();
      },
      final(done) {
        resolve(html);
        done();
      },
    });
    const { pipe } = renderToPipeableStream(node, {
      onAllReady: () => pipe(into),
      onError: reject,
    });
  });
}

/** Puts the page into the document, and lets React take it over. Runs the scripts of `page`. */
async function opened(html: string, node: ReactNode): Promise<HTMLElement> {
  const container = document.createElement('div');
  document.body.append(container);
  container.innerHTML = html;
  await act(async () => {
    root = hydrateRoot(container, node, {
      onRecoverableError: (error) => complaints.push(error),
    });
  });
  return container;
}

/** What a page's script does in the browser. */
function run(code: string): void {
  new Function('self', code)(globalThis);
}

function names({ data, isLoading, error }: QueryState): string {
  if (error) return `failed: ${error.code}`;
  return isLoading ? 'loading' : data!.people!.map(({ name }) => name).join(' ');
}

/** A component that keeps each text that it showed. */
function People({ db, seen, hook }: PeopleProps): ReactNode {
  const state = hook === 'useQuery' ? db.useQuery(QUERY) : db.useSuspenseQuery(QUERY);
  seen.push(names(state));
  return <p>{names(state)}</p>;
}

interface PeopleProps {
  readonly db: ReactDatabase;
  readonly seen: string[];
  readonly hook: 'useQuery' | 'useSuspenseQuery';
}

function App(props: PeopleProps & { readonly server: ServerDb | null }): ReactNode {
  const { server, ...rest } = props;
  return (
    <PageProvider server={server}>
      <Suspense fallback="waiting">
        <People {...rest} />
      </Suspense>
    </PageProvider>
  );
}

/** A stage in which two people are known, and nothing is under way. */
async function staged(): Promise<PageStage> {
  const stage = new PageStage();
  const db = stage.device();
  await stage.settle();
  stage.server.data = { ...stage.server.data, triples: [] };
  for (const [number, name] of ['Ann', 'Bob'].entries())
    void db.transact(db.tx.people![entity(number)]!.create({ name }));
  await stage.settle();
  db.shutdown();
  await stage.settle();
  stage.sent.length = 0;
  return stage;
}

const hooks = ['useQuery', 'useSuspenseQuery'] as const;

test.each(hooks)(
  '[J181, J182] %s: rows are in the page, and live without a question',
  async (hook) => {
    const stage = await staged();
    const server = stage.pageDb();
    if (hook === 'useQuery') await server.preload(QUERY);
    const html = await rendered(
      <App db={stage.sharedDb()} server={server} seen={[]} hook={hook} />,
    );
    expect(html).toContain('<p>Ann Bob</p>');
    expect(html).not.toContain('waiting');
    expect(stage.http.sent).toHaveLength(1);

    const db = stage.browserDb();
    run(server.flush());
    expect(hydrate(db)).toBe(true);
    const seen: string[] = [];
    const app = (
      <StrictMode>
        <App db={db} server={null} seen={seen} hook={hook} />
      </StrictMode>
    );
    const container = await opened(html, app);
    const renders = seen.length;
    await act(() => stage.settle());
    expect(container.innerHTML).toContain('<p>Ann Bob</p>');
    expect(new Set(seen)).toEqual(new Set(['Ann Bob']));
    expect(complaints).toEqual([]);
    // It is asked for once, with the version of the page, and nothing comes back: no render either.
    const asked = stage.ops('add-query');
    expect(asked).toHaveLength(1);
    expect(asked[0]!.held).toBe(stage.server.answer(QUERY as never).version);
    expect(stage.ops('init')[0]).toMatchObject({
      trice: { catalog: stage.server.catalogName, tx: stage.server.tx },
    });
    expect(seen.length).toBe(renders);

    await act(async () => void db.transact(db.tx.people![entity(7)]!.create({ name: 'Zoe' })));
    expect(container.textContent).toBe('Ann Bob Zoe');
    await act(() => stage.settle());
    expect(container.textContent).toBe('Ann Bob Zoe');
    expect(db.observe(QUERY).get()).toMatchObject({ source: 'server', isComplete: true });
  },
);

test('[J182] what changed after the page was made is told', async () => {
  const stage = await staged();
  const server = stage.pageDb();
  const html = await rendered(
    <App db={stage.sharedDb()} server={server} seen={[]} hook="useSuspenseQuery" />,
  );
  stage.server.transact('later', [
    ['add-triple', entity(0), attrOf(stage, 'people', 'name'), 'Amy'],
  ]);
  const db = stage.browserDb();
  hydrate(db, server.dehydrate());
  const seen: string[] = [];
  await opened(html, <App db={db} server={null} seen={seen} hook="useSuspenseQuery" />);
  await act(() => stage.settle());
  expect(seen).toEqual(['Ann Bob', 'Amy Bob']);
  expect(complaints).toEqual([]);
});

test('[J183] an older page than what is kept is hydrated; then the newer shows', async () => {
  const stage = await staged();
  const server = stage.pageDb();
  const html = await rendered(
    <App db={stage.sharedDb()} server={server} seen={[]} hook="useQuery" />,
  );
  await server.preload(QUERY);
  const page = server.dehydrate();
  const old = await rendered(
    <App db={stage.sharedDb()} server={server} seen={[]} hook="useQuery" />,
  );
  expect(html).toContain('loading');

  // The device was here since the page was made: its disk knows more, and a write waits on it.
  const stored = new Stored();
  const before = stage.browserDb(stored);
  before.observe(QUERY).subscribe(() => {});
  await stage.settle();
  void before.transact(before.tx.people![entity(0)]!.update({ name: 'Amy' }));
  await stage.settle();
  stage.network.cutAll();
  stage.network.isUp = false;
  void before.transact(before.tx.people![entity(8)]!.create({ name: 'Cid' }));
  await stage.settle();
  before.shutdown();
  await stage.settle();

  const db = stage.browserDb(stored);
  hydrate(db, page);
  // The disk is read before React comes to it.
  await stage.clock.pass(50);
  const seen: string[] = [];
  await opened(old, <App db={db} server={null} seen={seen} hook="useQuery" />);
  await act(() => stage.clock.pass(100));
  expect(seen[0]).toBe('Ann Bob');
  expect(seen.at(-1)).toBe('Amy Bob Cid');
  expect(seen).not.toContain('loading');
  expect(complaints).toEqual([]);
  stage.network.isUp = true;
  await act(() => stage.settle());
  expect(seen.at(-1)).toBe('Amy Bob Cid');
});

test('[J184] the browser is another user than the cookie: it is told its own rows', async () => {
  const stage = await staged();
  const server = stage.pageDb({ user: ADA });
  const html = await rendered(
    <App db={stage.sharedDb()} server={server} seen={[]} hook="useSuspenseQuery" />,
  );
  expect(stage.http.last.headers.authorization).toBe('Bearer token-ada');
  // What Bob may see.
  const { triples } = stage.server.data;
  stage.server.data = {
    ...stage.server.data,
    triples: triples.filter(([id]) => id !== entity(0)),
  };
  const stored = stage.signedIn(BOB);
  stage.network.isUp = false;
  const db = stage.browserDb(stored);
  hydrate(db, server.dehydrate());
  const seen: string[] = [];
  const node = <App db={db} server={null} seen={seen} hook="useSuspenseQuery" />;
  const container = await opened(html, node);
  await act(() => stage.settle());
  // Nothing of it comes to Bob's disk before the server told it of him.
  const kept = [...stored.disks.databases].flatMap(([, tables]) => [...tables.get('rows')!]);
  expect(kept).toEqual([]);
  stage.network.isUp = true;
  await act(() => stage.clock.pass(60_000));
  expect(container.textContent).toBe('Bob');
  expect(stage.ops('init').at(-1)).toMatchObject({ 'refresh-token': 'token-bob' });
  expect(stage.ops('add-query').at(-1)).toHaveProperty('held');
  expect(complaints).toEqual([]);
});

test('[J184] who signs in anew sees nothing of what the page brought', async () => {
  const stage = await staged();
  const server = stage.pageDb({ user: ADA });
  await server.preload(QUERY);
  const db = stage.browserDb(stage.signedIn(ADA));
  const page = server.dehydrate();
  hydrate(db, page);
  const observer = db.observe(QUERY);
  expect(observer.get().isLoading).toBe(false);
  await stage.settle();
  stage.network.isUp = false;
  const out = db.auth.signOut({ invalidateToken: false });
  await stage.settle();
  await out;
  expect(observer.get().isLoading).toBe(true);
  expect(observer.getServer().isLoading).toBe(true);
  expect(db.engine.queries.hydrated!.auth.isLoading).toBe(true);
  // Pages that were made for the one before may still come, or be given again.
  expect(hydrate(db, page)).toBe(false);
  expect(hydrate(db, { ...page })).toBe(false);
  expect(observer.get().isLoading).toBe(true);
  expect(hydrate(db, { ...page, user: null })).toBe(true);
  expect(names(observer.get())).toBe('Ann Bob');
});

test('[J185] a page of another app or format is left alone', async () => {
  const stage = await staged();
  const server = stage.pageDb();
  await server.preload(QUERY);
  const page = server.dehydrate();
  const db = stage.browserDb();
  const wrong = [{ ...page, appId: 'other' }, { ...page, format: 2 }, null, 'x', 7, {}, []];
  for (const one of wrong) expect(hydrate(db, one)).toBe(false);
  expect(db.observe(QUERY).get().isLoading).toBe(true);
  run(`(self['tricedb:app']=[]).push('{"format":1,"app')`);
  expect(hydrate(db)).toBe(false);
  expect(hydrate(db, page)).toBe(true);
  expect(names(db.observe(QUERY).get())).toBe('Ann Bob');
});

test('[J185] texts that end scripts or lines pass through the script of a page', async () => {
  const stage = await staged();
  const name = `</script><!--'\\"\u2028\u2029&\n$&`;
  stage.server.transact('later', [
    ['add-triple', entity(0), attrOf(stage, 'people', 'name'), name],
  ]);
  const server = stage.pageDb();
  await server.preload(QUERY);
  const script = server.script({ nonce: 'ab+/=" onload="x' });
  expect(script.slice(0, 60)).toMatch(/^<script nonce="ab\+\/=onload=x">\(self/);
  const code = script.replace(/^<script[^>]*>/, '').replace(/<\/script>$/, '');
  expect(code).not.toMatch(/[<>&\u2028\u2029]/);
  run(code);
  const db = stage.browserDb();
  expect(hydrate(db)).toBe(true);
  expect(
    db
      .observe(QUERY)
      .get()
      .data!.people!.map((row) => row.name),
  ).toContain(name);
});

test('[J186] parts that come while the page is shown reach the client', async () => {
  const stage = await staged();
  const server = stage.pageDb();
  await server.preload(QUERY);
  const first = server.flush();
  expect(server.flush()).toBe('');
  await server.preload(TAGS);
  const second = server.flush();
  expect(second).not.toContain('forward-identity');
  const db = stage.browserDb();
  run(first);
  hydrate(db);
  expect(hydrate(db)).toBe(false);
  expect(names(db.observe(QUERY).get())).toBe('Ann Bob');
  // Somebody waits for it already: they are told.
  let told = 0;
  db.observe(TAGS).subscribe(() => told++);
  expect(db.observe(TAGS).get().isLoading).toBe(true);
  run(second);
  expect(db.observe(TAGS).get()).toMatchObject({ isLoading: false, data: { tags: [] } });
  expect(told).toBe(1);
});

test('[J186] a part that comes late for a watched query is not shown again later', async () => {
  const stage = await staged();
  const server = stage.pageDb();
  await server.preload(QUERY);
  const db = stage.browserDb();
  const stop = db.observe(QUERY).subscribe(() => {});
  run(server.flush());
  hydrate(db);
  expect(names(db.observe(QUERY).get())).toBe('Ann Bob');
  await stage.settle();
  stop();
  await stage.clock.pass(3_600_000);
  // Nobody watches it any more: an hour later the page is not what the server says now.
  expect(db.observe(QUERY).get().isLoading).toBe(true);
});

test('[J187] who is signed in is in the page without the token, and stays shown', async () => {
  const stage = await staged();
  const cookie = `a=1; instant_user_app=${encodeURIComponent(JSON.stringify(ADA))}`;
  const headers = { get: (name: string) => (name === 'cookie' ? cookie : null) };
  const server = stage.pageDb({ request: { headers } });
  const seen: string[] = [];
  function Who({ db }: { db: ReactDatabase }): ReactNode {
    const { isLoading, user } = db.useAuth();
    seen.push(isLoading ? 'loading' : String(user?.email));
    return (
      <>
        <db.SignedIn>in</db.SignedIn>
        <db.SignedOut>out</db.SignedOut>
      </>
    );
  }
  const page = (db: ReactDatabase, source: ServerDb | null) => (
    <PageProvider server={source}>
      <Who db={db} />
    </PageProvider>
  );
  const html = await rendered(page(stage.sharedDb(), server));
  expect(html).toContain('in');
  const script = server.flush();
  expect(script).toContain('ada@example.com');
  expect(script).not.toContain('token-ada');
  seen.length = 0;
  const db = stage.browserDb(stage.signedIn(ADA));
  run(script);
  hydrate(db);
  const container = await opened(html, page(db, null));
  await act(() => stage.settle());
  expect(new Set(seen)).toEqual(new Set(['ada@example.com']));
  expect(db.authState.user!.refresh_token).toBe('token-ada');
  expect(container.textContent).toBe('in');
  expect(complaints).toEqual([]);
});

test('[J190] the client of a server connects to nothing, and asks nothing for others', async () => {
  const stage = await staged();
  const db = stage.sharedDb();
  const html = await rendered(<App db={db} server={null} seen={[]} hook="useQuery" />);
  expect(html).toContain('loading');
  expect(hydrate(db, stage.pageDb().dehydrate())).toBe(false);
  await expect(db.queryOnce(QUERY)).rejects.toMatchObject({ code: 'offline' });
  await stage.settle();
  expect(stage.network.attempts).toHaveLength(1);
  expect(stage.sent).toEqual([]);
});

function attrOf(stage: PageStage, etype: string, label: string): string {
  return stage.server.data.attrs.find(
    ({ 'forward-identity': [, of, name] }) => of === etype && name === label,
  )!.id;
}
