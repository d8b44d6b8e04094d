/** The tarball in an app of Next: built by Next, made by its server, taken over by Chromium. */
import { existsSync } from 'node:fs';
import { chromium } from '@playwright/test';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyWithDependencies } from '../support/built.ts';
import { CHROMIUM, cookieOfAda, MadeSite } from '../support/made-site.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';

const NEXT = 'node_modules/next/dist/bin/next';

/** An app as the guide has it, in the words of the original. */
const FILES = {
  'lib/db.ts': `
    import { init } from 'tricedb/next';
    export const APP_ID = 'app';
    export const db = init({
      appId: APP_ID,
      server: process.env.NEXT_PUBLIC_SERVER!,
      schema: JSON.parse(process.env.NEXT_PUBLIC_SCHEMA!),
      firstPartyPath: '/api/trice',
    });`,
  'app/provider.tsx': `
    'use client';
    import type { ReactNode } from 'react';
    import { InstantSuspenseProvider, type User } from 'tricedb/next';
    import { db } from '../lib/db';
    export function Provider({ user, children }: { user: User | null; children: ReactNode }) {
      return <InstantSuspenseProvider db={db} user={user}>{children}</InstantSuspenseProvider>;
    }`,
  'app/layout.tsx': `
    import type { ReactNode } from 'react';
    import { getUnverifiedUserFromInstantCookie } from 'tricedb/next';
    import { APP_ID } from '../lib/db';
    import { Provider } from './provider';
    export default async function Layout({ children }: { children: ReactNode }) {
      const user = await getUnverifiedUserFromInstantCookie(APP_ID);
      return <html lang="en"><body><Provider user={user}>{children}</Provider></body></html>;
    }`,
  'app/page.tsx': `
    import { Suspense } from 'react';
    import { People } from './people';
    export default function Page() {
      return <Suspense fallback={<p>waiting</p>}><People /></Suspense>;
    }`,
  'app/people.tsx': `
    'use client';
    import { useEffect } from 'react';
    import { db } from '../lib/db';
    export function People() {
      const { data } = db.useSuspenseQuery({ people: { $: { order: { name: 'asc' } } } });
      const { user } = db.useAuth();
      useEffect(() => void Object.assign(globalThis, { db }), []);
      const names = data.people.map(({ name }: { name: string }) => name).join(' ');
      return <p id="people">{(user?.email ?? 'nobody') + ': ' + names}</p>;
    }`,
  'app/api/trice/route.ts': `
    import { createInstantRouteHandler } from 'tricedb/next';
    import { APP_ID } from '../../../lib/db';
    export const { POST } = createInstantRouteHandler({ appId: APP_ID });`,
  'tsconfig.json': `{"compilerOptions": {"jsx": "react-jsx", "module": "esnext", "strict": true,
    "moduleResolution": "bundler", "lib": ["dom", "es2022"], "skipLibCheck": true}}`,
  'package.json': '{"private": true}',
};

const made = new MadeSite();

beforeAll(
  () =>
    made.open({
      files: FILES,
      build: [NEXT, 'build'],
      start: [NEXT, 'start', '--port', '0', '--hostname', '127.0.0.1'],
      ready: /(http:\/\/127\.0\.0\.1:\d+)[^]*Ready/,
      environment: (server) => ({
        NEXT_TELEMETRY_DISABLED: '1',
        NEXT_PUBLIC_SERVER: server,
        NEXT_PUBLIC_SCHEMA: JSON.stringify(SHELF_SCHEMA),
      }),
      prepare(project) {
        copyWithDependencies(project, ['next', 'react', 'react-dom', 'typescript']);
        copyWithDependencies(project, ['@types/react', '@types/react-dom', '@types/node']);
      },
    }),
  400_000,
);

afterAll(() => made.close(), 60_000);

test('[J191] the page has the rows of the user in the cookie, and not the token', async () => {
  const nobody = await (await fetch(made.origin)).text();
  expect(nobody).toContain('nobody: Ada');
  const cookie = await cookieOfAda(`${made.origin}/api/trice`);
  made.bearers.length = 0;
  const hers = await (await fetch(made.origin, { headers: { cookie } })).text();
  expect(hers).toContain('ada@example.com: Ada');
  expect(made.bearers).toEqual(['Bearer token-ada']);
  expect(hers).toContain('tricedb:app');
  // Nor is it in the props that Next writes into the page for components of the browser.
  expect(hers).not.toContain('token-ada');
});

test.skipIf(!existsSync(CHROMIUM))('[J191] it is taken over as it is, and live', async () => {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const { page, said, sent } = await made.page(browser);
    const asked = made.bearers.length;
    await page.goto(made.origin);
    await page.waitForFunction(() => window.db?.connectionStatus === 'authenticated');
    expect(await page.textContent('#people')).toBe('nobody: Ada');
    await page.evaluate(() =>
      window.db!.transact(
        window.db!.tx.people!['e0000000-0000-4000-8000-000000000079']!.update({ name: 'Zz' }),
      ),
    );
    await page.waitForFunction(() => document.body.textContent!.includes('Ada Zz'));
    const [question] = sent.filter(({ op }) => op === 'add-query');
    expect(question).toHaveProperty('held');
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
