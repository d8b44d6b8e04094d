/** The tarball in an app of React Router: built by its tools, and taken over by Chromium. */
import { existsSync } from 'node:fs';
import { chromium } from '@playwright/test';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { link } from '../support/built.ts';
import { CHROMIUM, cookieOfAda, MadeSite } from '../support/made-site.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';

/** An app in framework mode, with two entries of its own, as the guide has it. */
const FILES = {
  'app/db.ts': `
    import { init } from 'tricedb/react';
    export const config = {
      appId: 'app',
      server: import.meta.env.VITE_SERVER,
      schema: JSON.parse(import.meta.env.VITE_SCHEMA),
    };
    export const db = init({ ...config, firstPartyPath: '/trice' });`,
  'app/entry.server.tsx': `
    import { renderToReadableStream } from 'react-dom/server';
    import { type EntryContext, ServerRouter } from 'react-router';
    import { PageProvider } from 'tricedb/react';
    import { createInjector, createServerDb } from 'tricedb/ssr';
    import { config } from './db';
    export default async function handle(
      request: Request, status: number, headers: Headers, context: EntryContext,
    ) {
      const server = createServerDb({ ...config, request });
      const html = await renderToReadableStream(
        <PageProvider server={server}>
          <ServerRouter context={context} url={request.url} />
        </PageProvider>,
      );
      headers.set('content-type', 'text/html');
      return new Response(html.pipeThrough(createInjector(server)), { status, headers });
    }`,
  'app/entry.client.tsx': `
    import { hydrateRoot } from 'react-dom/client';
    import { HydratedRouter } from 'react-router/dom';
    import { PageProvider } from 'tricedb/react';
    import { hydrate } from 'tricedb/ssr';
    import { db } from './db';
    hydrate(db);
    hydrateRoot(
      document,
      <PageProvider server={null}><HydratedRouter /></PageProvider>,
      { onRecoverableError: (error) => console.error('recovered', error) },
    );
    Object.assign(globalThis, { db });`,
  'app/root.tsx': `
    import type { ReactNode } from 'react';
    import { Links, Meta, Outlet, Scripts } from 'react-router';
    export function Layout({ children }: { children: ReactNode }) {
      const head = <head><Meta /><Links /></head>;
      return <html lang="en">{head}<body>{children}<Scripts /></body></html>;
    }
    export default function App() {
      return <Outlet />;
    }`,
  'app/routes.ts': `
    import { index, route } from '@react-router/dev/routes';
    export default [
      index('./people.tsx'), route('tags', './tags.tsx'), route('trice', './trice.ts'),
    ];`,
  'app/people.tsx': `
    import { Suspense } from 'react';
    import { Link } from 'react-router';
    import { db } from './db';
    function People() {
      const { data } = db.useSuspenseQuery({ people: { $: { order: { name: 'asc' } } } });
      const { user } = db.useAuth();
      const names = data.people.map(({ name }: { name: string }) => name).join(' ');
      return <p id="people">{(user?.email ?? 'nobody') + ': ' + names}</p>;
    }
    export default function Page() {
      return (
        <>
          <Link to="/tags">Tags</Link>
          <Suspense fallback={<p>waiting</p>}><People /></Suspense>
        </>
      );
    }`,
  'app/tags.tsx': `
    import { db } from './db';
    export default function Tags() {
      const { data, isLoading } = db.useQuery({ tags: {} });
      return <p id="tags">{isLoading ? 'loading' : String(data?.tags.length)}</p>;
    }`,
  'app/trice.ts': `
    import { createRouteHandler } from 'tricedb/ssr';
    import { config } from './db';
    const { POST } = createRouteHandler(config);
    export const action = ({ request }: { request: Request }) => POST(request);`,
  'vite.config.ts': `
    import { reactRouter } from '@react-router/dev/vite';
    export default { plugins: [reactRouter()] };`,
  'serve.mjs': `
    import { readFile } from 'node:fs/promises';
    import { createServer } from 'node:http';
    import { createRequestListener } from '@react-router/node';
    import * as build from './build/server/index.js';
    const make = createRequestListener({ build });
    const server = createServer((request, response) => {
      if (!request.url.startsWith('/assets/')) return make(request, response);
      response.setHeader('content-type', 'text/javascript');
      readFile('build/client' + request.url).then((file) => response.end(file));
    });
    server.listen(0, '127.0.0.1', () =>
      console.log('ready at http://127.0.0.1:' + server.address().port + ' now'));`,
  'package.json': '{"private": true, "type": "module"}',
};

const made = new MadeSite();

beforeAll(
  () =>
    made.open({
      files: FILES,
      build: ['node_modules/@react-router/dev/bin.js', 'build'],
      start: ['serve.mjs'],
      ready: /ready at (\S+) now/,
      environment: (server) => ({
        VITE_SERVER: server,
        VITE_SCHEMA: JSON.stringify(SHELF_SCHEMA),
      }),
      prepare(project) {
        for (const name of ['react-router', '@react-router/dev', '@react-router/node', 'vite'])
          link(project, name);
      },
    }),
  400_000,
);

afterAll(() => made.close(), 60_000);

test('[J317] a page of React Router has the rows of the user in the cookie', async () => {
  expect(await (await fetch(made.origin)).text()).toContain('nobody: Ada');
  const cookie = await cookieOfAda(`${made.origin}/trice`);
  made.bearers.length = 0;
  const hers = await (await fetch(made.origin, { headers: { cookie } })).text();
  expect(hers).toContain('ada@example.com: Ada');
  expect(hers).not.toContain('token-ada');
  expect(made.bearers).toEqual(['Bearer token-ada']);
  // The rows stand in front of what is shown by them.
  expect(hers.indexOf('tricedb:app')).toBeLessThan(hers.indexOf('ada@example.com: Ada'));
});

test.skipIf(!existsSync(CHROMIUM))('[J317] it is taken over as it is, and live', async () => {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const { page, said, sent } = await made.page(browser);
    const asked = made.bearers.length;
    const fetched: string[] = [];
    page.on('request', (request) => fetched.push(new URL(request.url()).pathname));
    await page.goto(made.origin);
    await page.waitForFunction(() => window.db?.connectionStatus === 'authenticated');
    expect(await page.textContent('#people')).toBe('nobody: Ada');
    await page.evaluate(() =>
      window.db!.transact(
        window.db!.tx.people!['e0000000-0000-4000-8000-000000000079']!.update({ name: 'Zz' }),
      ),
    );
    await page.waitForFunction(() => document.body.textContent!.includes('Ada Zz'));
    const questions = sent.filter(({ op }) => op === 'add-query');
    expect(questions).toHaveLength(1);
    expect(questions[0]).toHaveProperty('held');
    expect(made.bearers.length).toBe(asked + 1);
    expect(fetched.filter((path) => path.startsWith('/runtime'))).toEqual([]);

    // A page that the router goes to is live too, and what it shows was asked by the browser.
    await page.click('text=Tags');
    await page.waitForFunction(() =>
      /^\d+$/.test(document.getElementById('tags')?.textContent ?? ''),
    );
    expect(sent.filter(({ op }) => op === 'add-query')).toHaveLength(2);
    expect(made.bearers.length).toBe(asked + 1);
    expect(said).toEqual([]);
  } finally {
    await browser.close();
  }
});

declare global {
  interface Window {
    readonly db?: import('../../src/client/database.ts').Database;
  }
}
