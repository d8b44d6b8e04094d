/** What the page of pages.test.tsx does in a browser. */
import { hydrateRoot } from 'react-dom/client';
import { ReactDatabase } from '../../src/react/database.ts';
import { reactEnvironment } from '../../src/react/environment.ts';
import { hydrate } from '../../src/ssr/hydrate.ts';
import { MadePage } from './made-page.tsx';

declare const SCHEMA: import('../../src/schema/shape.ts').SchemaShape;

const { origin } = location;
const db = new ReactDatabase({ appId: 'app', schema: SCHEMA, server: origin }, reactEnvironment());
hydrate(db);
hydrateRoot(document, <MadePage db={db} server={null} />, {
  onRecoverableError: (error) => console.error('recovered', error),
});
Object.assign(globalThis, { db });
