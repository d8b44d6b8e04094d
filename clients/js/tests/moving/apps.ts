/**
 * Apps of the shapes that people make: which files name the original's packages, how, and how their
 * databases are opened. The shapes are those of public apps, the words are ours.
 */

type App = Readonly<Record<string, string>>;

/** Vite and React, a schema beside `src`, a script that fills the app, mocks in a test. */
export const VITE: App = {
  'package.json': `{
  "name": "yoga-flows",
  "type": "module",
  "dependencies": {
    "@instantdb/admin": "^0.20.4",
    "@instantdb/react": "^0.20.1",
    "react": "^18.2.0"
  },
  "devDependencies": {
    "vite": "^5.2.0"
  }
}
`,
  'instant.schema.ts': `// Docs: https://www.instantdb.com/docs/modeling-data
import { i } from '@instantdb/react';

const _schema = i.schema({ entities: { flows: i.entity({ title: i.string() }) } });

type _AppSchema = typeof _schema;
interface AppSchema extends _AppSchema {}
const schema: AppSchema = _schema;
export type { AppSchema };
export default schema;
`,
  'instant.perms.ts': `import type { InstantRules } from '@instantdb/react';

const rules = { flows: { allow: { view: 'true' } } } satisfies InstantRules;
export default rules;
`,
  'src/lib/instant.ts': `import { init, id } from '@instantdb/react';
import schema from '../../instant.schema';

export const APP_ID = import.meta.env.VITE_APP_ID || missing();

export const db = init({
  appId: APP_ID,
  schema,
});

export { id };
`,
  'src/flow-card.tsx': `import type { InstaQLEntity } from '@instantdb/react';
import type { AppSchema } from '../instant.schema';

type Flow = InstaQLEntity<AppSchema, 'flows'>;

export function FlowCard({ flow }: { flow: Flow }) {
  // Was: import { tx } from '@instantdb/react';
  return <p title="it's">Don't miss {flow.title} / it isn't long</p>;
}
`,
  'scripts/seed.js': `#!/usr/bin/env node
import { init } from '@instantdb/admin';

const db = init({ appId: 'a-public-id', adminToken: process.env.ADMIN_TOKEN });
await db.transact(db.tx.flows['1'].update({ title: \`Seed \${'\`'}\` }));
`,
  'tests/flows.test.tsx': `import { vi } from 'vitest';
vi.mock('@instantdb/react', async () => ({
  ...(await vi.importActual<typeof import('@instantdb/react')>('@instantdb/react')),
  id: () => '1',
}));
`,
  'vite.config.ts': `export default { optimizeDeps: { include: ['@instantdb/react'] } };
`,
};

/** Next with an admin client in routes, cookies, dates as \`Date\`, and a program beside it. */
export const NEXT: App = {
  'package.json': `{
  "name": "sketches",
  "private": true,
  "scripts": {
    "push": "instant-cli push --env .env"
  },
  "dependencies": {
    "@instantdb/admin": "latest",
    "@instantdb/react": "latest",
    "next": "16.1.6"
  },
  "devDependencies": {
    "@instantdb/platform": "latest",
    "instant-cli": "^0.22.155"
  }
}
`,
  'src/lib/db.ts': `import { init } from '@instantdb/react/nextjs';
import schema from '../instant.schema';

export const db = init({
  appId: process.env.NEXT_PUBLIC_APP_ID!,
  // The server next door:
  apiURI: "http://localhost:8888",
  websocketURI: "ws://localhost:8888/runtime/session",
  firstPartyPath: '/api/instant',
  schema,
  useDateObjects: true,
});
`,
  'src/app/provider.tsx': `'use client';

import { db } from '@/lib/db';
import { type User } from '@instantdb/react';
import { InstantSuspenseProvider } from '@instantdb/react/nextjs';

export const Provider = ({ user, children }: { user?: User; children: React.ReactNode }) => (
  <InstantSuspenseProvider user={user} db={db}>{children}</InstantSuspenseProvider>
);
`,
  'src/app/api/vote/route.ts': `import { init, id, InstantAPIError } from "@instantdb/admin";
import schema from "@/instant.schema";

const adminDb = init<typeof schema>({
    appId: process.env.NEXT_PUBLIC_APP_ID!,
    adminToken: process.env.APP_ADMIN_TOKEN!,
    schema,
});

export async function POST(req: Request) {
    const user = await adminDb.auth.getUserFromRequest(req);
    if (!user) return Response.json({ error: /["'\`]/.test("x") }, { status: 401 });
    return Response.json({ id: id() });
}
`,
  'scripts/export.mts': `const { PlatformApi } = await import('@instantdb/platform');
const auth = { token: process.argv[2]! };
const platform = new PlatformApi({ auth, apiURI: 'https://api.instantdb.com' });
type Init = typeof import('@instantdb/admin')['init'];
`,
};

/** Expo: the database in \`lib\`, its schema in the same file. */
export const EXPO: App = {
  'package.json': `{
  "name": "notes",
  "main": "expo-router/entry",
  "dependencies": {
    "@instantdb/core": "^0.18.4",
    "@instantdb/react-native": "^0.18.4",
    "react-native-get-random-values": "~1.11.0"
  }
}
`,
  'lib/db.ts': `import 'react-native-get-random-values';
import { init, i, InstaQLEntity } from '@instantdb/react-native';

const schema = i.schema({ entities: { notes: i.entity({ text: i.string() }) } });
export type Note = InstaQLEntity<typeof schema, 'notes'>;

const db = init({ appId: process.env.EXPO_PUBLIC_APP_ID!, schema });
export default db;
`,
  'app/sign-in.tsx': `import { InstantAPIError, weakHash } from '@instantdb/core';
import db from '../lib/db';

export const send = (email: string) =>
  db.auth.sendMagicCode({ email }).catch((error: InstantAPIError) => weakHash(error));
`,
  'node_modules/@instantdb/core/index.js': `module.exports = require('@instantdb/core/inside');
`,
};

/** A server in CommonJS, opened through the module itself. */
export const COMMONJS: App = {
  'package.json': '{"dependencies":{"@instantdb/admin":"^0.20.0","express":"^4.0.0"}}',
  'server.js': `const instant = require("@instantdb/admin");
const settings = { appId: "x" };
const db = instant.init({ appId: "x", adminToken: process.env.TOKEN });
const other = instant.init(settings);
module.exports = { db, other };
`,
};
