'use client';

import { useServerInsertedHTML } from 'next/navigation.js';
import { createElement, type ReactNode, useState } from 'react';
import type { Database } from '../client/database.ts';
import type { User } from '../client/user.ts';
import { isServer } from '../react/environment.ts';
import { PageProvider } from '../react/page.tsx';
import { hydrate } from '../ssr/hydrate.ts';
import { ServerDb } from '../ssr/server-db.ts';
import { fetchEnvironment } from '../web/fetch.ts';
import { withToken } from './handles.ts';

/** What is taken of the database that `init` made. */
type Db = Pick<Database, 'engine'>;

/** What `TriceProvider` takes. */
export interface TriceProviderProps {
  /** What `init` of `tricedb/next` made. */
  readonly db: Db;
  /** For whom the page is made: what `getUser` gave. Without it pages do not say who is there. */
  readonly user?: User | null;
  /** What a server component found: `dehydrate()` of `createServerDb`. */
  readonly page?: object;
  /** That of the page's Content-Security-Policy. */
  readonly nonce?: string;
  readonly children?: ReactNode;
}

/**
 * Lets `useSuspenseQuery` find its rows while Next makes the page, and go on live in the browser,
 * without asking again. Put it around the app, in a file that begins with `'use client'`.
 */
export function TriceProvider({ db, user, page, nonce, children }: TriceProviderProps): ReactNode {
  const [server] = useState(() => serverOf(db, user, page));
  const [counter] = useState({ count: 0 });
  useServerInsertedHTML(() => {
    const __html = server?.flush() ?? '';
    if (__html === '') return null;
    const key = `tricedb-${counter.count++}`;
    return createElement('script', { key, nonce, dangerouslySetInnerHTML: { __html } });
  });
  if (server === null) {
    // Children are hydrated after this: they find what the page brought.
    hydrate(db);
    if (page) hydrate(db, page);
  }
  return createElement(PageProvider, { server }, children);
}

/** One for each page that is made; null in browsers. */
function serverOf(db: Db, user: User | null | undefined, page: object | undefined) {
  if (!isServer()) return null;
  const server = new ServerDb({ ...db.engine.config, user: withToken(user) }, fetchEnvironment());
  if (page) server.add(page);
  return server;
}
