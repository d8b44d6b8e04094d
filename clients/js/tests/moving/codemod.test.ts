/** Whole apps, of the shapes that people make. */
import { expect, test } from 'vitest';
import { COMMONJS, EXPO, NEXT, VITE } from './apps.ts';
import { codemod } from './codemod-run.ts';

test('[J252, J253] an app of Vite: imports, mocks, scripts, a server for each init', async () => {
  const { files, notes, code } = await codemod(VITE, '--server', 'https://data.example.org/');
  expect(code).toBe(0);
  // Something still names this package.
  expect(files.get('package.json')).toBe(
    VITE['package.json']!.replace('"@instantdb/admin": "^0.20.4"', '"tricedb": "^9.8.7"'),
  );
  expect(files.get('src/lib/instant.ts')).toBe(
    VITE['src/lib/instant.ts']!.replace('@instantdb/react', 'tricedb/react').replace(
      '  appId: APP_ID,\n',
      "  appId: APP_ID,\n  server: 'https://data.example.org',\n",
    ),
  );
  for (const path of ['instant.schema.ts', 'instant.perms.ts', 'tests/flows.test.tsx'])
    expect(files.get(path)).toBe(VITE[path]!.replaceAll('@instantdb/react', 'tricedb/react'));
  expect(files.get('scripts/seed.js')).toContain(
    "init({ appId: 'a-public-id', server: 'https://data.example.org', adminToken:",
  );
  // A comment is no import.
  expect(files.get('src/flow-card.tsx')).toBe(
    VITE['src/flow-card.tsx']!.replace('@instantdb/react', 'tricedb/react'),
  );
  expect(files.get('vite.config.ts')).toBe(VITE['vite.config.ts']);
  expect(notes).toEqual([
    "  ! 1: '@instantdb/react' stands where no module is taken",
    '  ! 6: `@instantdb/react` stays: it is still used',
  ]);
});

test('[J252, J253, J254] an app of Next: routes, addresses, and what is left', async () => {
  const { files, notes, code } = await codemod(NEXT);
  expect(code).toBe(0);
  expect(files.get('src/lib/db.ts')).toBe(
    NEXT['src/lib/db.ts']!.replace('@instantdb/react/nextjs', 'tricedb/next')
      .replace('apiURI:', 'server:')
      .replace('  websocketURI: "ws://localhost:8888/runtime/session",\n', ''),
  );
  expect(files.get('src/app/provider.tsx')).toBe(
    NEXT['src/app/provider.tsx']!.replace('@instantdb/react/nextjs', 'tricedb/next').replace(
      '@instantdb/react',
      'tricedb/react',
    ),
  );
  expect(files.get('src/app/api/vote/route.ts')).toBe(
    NEXT['src/app/api/vote/route.ts']!.replace('@instantdb/admin', 'tricedb/admin'),
  );
  expect(files.get('scripts/export.mts')).toBe(
    NEXT['scripts/export.mts']!.replace('@instantdb/platform', 'tricedb/platform').replace(
      '@instantdb/admin',
      'tricedb/admin',
    ),
  );
  expect(JSON.parse(files.get('package.json')!)).toMatchObject({
    dependencies: { tricedb: '^9.8.7', next: '16.1.6' },
    devDependencies: { tricedb: '^9.8.7', 'instant-cli': '^0.22.155' },
  });
  expect(files.get('package.json')).not.toContain('@instantdb');
  expect(notes).toEqual([
    '  ! 3: this is a server of Instant: give the address of yours with --server',
    '  ! 5: it names no server: give one with --server, else it is http://localhost:8888',
    expect.stringContaining('  ! 11: `useDateObjects`: dates are text or numbers here'),
    expect.stringContaining('`instant-cli`'),
  ]);
});

test('[J252, J254] an app of Expo: what the package lacks is told', async () => {
  const { files, notes, written } = await codemod(EXPO, '--server=http://10.0.2.2:8888');
  expect(files.get('lib/db.ts')).toBe(
    EXPO['lib/db.ts']!.replace('@instantdb/react-native', 'tricedb/react-native').replace(
      'EXPO_PUBLIC_APP_ID!, ',
      "EXPO_PUBLIC_APP_ID!, server: 'http://10.0.2.2:8888', ",
    ),
  );
  expect(notes).toEqual(['  ! 1: tricedb has no `weakHash`']);
  expect(written).not.toContain('node_modules/@instantdb/core/index.js');
  expect(files.get('package.json')).toBe(
    EXPO['package.json']!.replace(
      '"@instantdb/core": "^0.18.4",\n    "@instantdb/react-native": "^0.18.4"',
      '"tricedb": "^9.8.7"',
    ),
  );
});

test('[J252, J254] a server in CommonJS', async () => {
  const { files, notes } = await codemod(COMMONJS, '--server', 'http://data');
  expect(files.get('server.js')).toBe(
    COMMONJS['server.js']!.replace('@instantdb/admin', 'tricedb/admin').replace(
      'init({ appId: "x",',
      'init({ appId: "x", server: "http://data",',
    ),
  );
  expect(files.get('package.json')).toBe(
    '{"dependencies":{"tricedb": "^9.8.7","express":"^4.0.0"}}',
  );
  expect(notes).toEqual([
    expect.stringContaining('  ! 1: to `require` it takes Node 20.19'),
    expect.stringContaining('  ! 4: its options are not written here'),
  ]);
});

test.each([
  ['Vite', VITE],
  ['Next', NEXT],
  ['Expo', EXPO],
  ['CommonJS', COMMONJS],
])('[J255] run again, it changes nothing; run dry, it writes nothing (%s)', async (_, app) => {
  const dry = await codemod(app, '--dry', '--server', 'http://data');
  expect(dry.written).toEqual([]);
  const first = await codemod(app, '--server', 'http://data');
  expect(first.written.length).toBeGreaterThan(0);
  const added = dry.printed.filter((line) => line.startsWith('    + '));
  const all = [...first.files.values()].join('\n').split('\n');
  for (const line of added) expect(all).toContain(line.slice(6));
  const again = await codemod(Object.fromEntries(first.files), '--server', 'http://data');
  expect(again.written).toEqual([]);
});

test('[J255] a diff has the lines that go and those that come', async () => {
  const { printed } = await codemod(NEXT, '--dry', 'src/lib');
  expect(printed).toEqual([
    'src/lib/db.ts',
    "    1: '@instantdb/react/nextjs' → 'tricedb/next'",
    '    7: apiURI → server',
    '    8: - websocketURI',
    expect.stringContaining('  ! 11: `useDateObjects`'),
    '    @@ line 1',
    "    - import { init } from '@instantdb/react/nextjs';",
    "    + import { init } from 'tricedb/next';",
    '    @@ line 7',
    '    -   apiURI: "http://localhost:8888",',
    '    +   server: "http://localhost:8888",',
    '    @@ line 8',
    '    -   websocketURI: "ws://localhost:8888/runtime/session",',
    '1 file would change, in 3 places.',
    '1 place to look at, marked with "!".',
  ]);
});

test('[J255] a call that is not understood says how to call it', async () => {
  const calls = [
    ['--wet'],
    ['--server'],
    ['--server', 'data.example.org'],
    ['--server', "http://'"],
  ];
  for (const args of calls) {
    const { code, printed, written } = await codemod(VITE, ...args);
    expect([code, written]).toEqual([2, []]);
    expect(printed.join('\n')).toContain('npx tricedb codemod [--dry] [--server URL]');
  }
  expect((await codemod(VITE, 'nowhere')).code).toBe(1);
});
