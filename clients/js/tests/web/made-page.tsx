/** The page of pages.test.tsx: a server makes it, and a browser takes it over. */
import { type ReactNode, Suspense, useEffect, useState } from 'react';
import type { ReactDatabase } from '../../src/react/database.ts';
import { type PageData, PageProvider } from '../../src/react/page.tsx';

export const PEOPLE = { people: { $: { order: { name: 'asc' } } } } as const;
export const TAGS = { tags: {} };

export function MadePage(props: { db: ReactDatabase; server: PageData | null }): ReactNode {
  return (
    <html lang="en">
      <head>
        <title>Made on a server</title>
      </head>
      <body>
        <PageProvider server={props.server}>
          <People db={props.db} />
          <Suspense fallback={<p id="waiting">waiting</p>}>
            <Tags db={props.db} />
          </Suspense>
        </PageProvider>
      </body>
    </html>
  );
}

function People({ db }: { db: ReactDatabase }): ReactNode {
  const { data, isLoading } = db.useSuspenseQuery(PEOPLE);
  const [isLive, setLive] = useState(false);
  useEffect(() => setLive(true), []);
  const names = isLoading ? 'loading' : data!.people!.map(({ name }) => String(name)).join(' ');
  return (
    <p id="people" data-live={isLive}>
      {names}
    </p>
  );
}

function Tags({ db }: { db: ReactDatabase }): ReactNode {
  const { data } = db.useSuspenseQuery(TAGS);
  const [isLive, setLive] = useState(false);
  useEffect(() => setLive(true), []);
  return (
    <p id="tags" data-live={isLive}>
      {data!.tags!.map(({ name }) => String(name)).join(' ')}
    </p>
  );
}
