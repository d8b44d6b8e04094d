/** Single files, and package.json files, of every form that is met. */
import { expect, test } from 'vitest';
import { codemod } from './codemod-run.ts';

/** What becomes of one file of source. */
async function source(text: string, ...args: string[]) {
  const { files, notes } = await codemod({ 'a.tsx': text }, ...args);
  return { text: files.get('a.tsx'), notes: notes.map((note) => note.slice(4)) };
}

const IMPORT = "import { init } from '@instantdb/react';\n";
const MOVED = "import { init } from 'tricedb/react';\n";
const HOSTED = '{ appId, apiURI: "https://api.instantdb.com" }';

test.each([
  ['{ apiURI: server, websocketURI: `${ws}/runtime/session` }', '{ server }'],
  ['{ apiURI, websocketURI: a + "/runtime/session", appId }', '{ server: apiURI, appId }'],
  ['{ websocketURI: "wss://d.org:1/runtime/session" }', "{ server: 'https://d.org:1' }"],
  ['{ "apiURI": f({ a: [1, (2)] }), ...more }', '{ server: f({ a: [1, (2)] }), ...more }'],
  ['{ apiURI: () => a, b: (c) => c > d }', '{ server: () => a, b: (c) => c > d }'],
  ['{ server, apiURI: old }', '{ server, apiURI: old }'],
  ['{ apiURI: a, websocketURI: other }', '{ server: a, websocketURI: other }'],
  [HOSTED, HOSTED],
  ['{ appId, ...rest }', '{ appId, ...rest }'],
  ['options', 'options'],
])('[J253] options %s', async (before, after) => {
  const call = `export const db = init(${before});\n`;
  expect((await source(IMPORT + call)).text).toBe(`${MOVED}export const db = init(${after});\n`);
});

const LINES = '{\r\n  appId,\r\n  schema,\r\n}';

test.each([
  ['{}', "{ server: 'http://d' }"],
  ['{ appId }', "{ appId, server: 'http://d' }"],
  ['{ schema, appId: f(1, 2), }', "{ schema, appId: f(1, 2), server: 'http://d', }"],
  [LINES, LINES.replace('  schema', "  server: 'http://d',\r\n  schema")],
  ['{ apiURI: "https://api.instantdb.com" }', "{ server: 'http://d' }"],
  ['{ apiURI: mine }', '{ server: mine }'],
  ['{ ...rest }', '{ ...rest }'],
])('[J253] with a server given, %s', async (before, after) => {
  const call = `export const db = init(${before});\n`;
  const { text } = await source(IMPORT + call, '--server', 'http://d');
  expect(text).toBe(`${MOVED}export const db = init(${after});\n`);
});

test('[J253] only calls of what the packages export are touched', async () => {
  const rest = `
other.init({ apiURI: 'a' });
function init2({ apiURI: string }) {}
const text = 'init({ apiURI })';
// init({ apiURI });
open({ appId, apiURI });
`;
  const { text } = await source(`import { init as open } from '@instantdb/core';${rest}`);
  const expected = rest.replace('open({ appId, apiURI })', 'open({ appId, server: apiURI })');
  expect(text).toBe(`import { init as open } from 'tricedb';${expected}`);
});

test.each([
  ["import x from '@instantdb/react/dist/Reactor';", 'is the inside of a package'],
  ["import x from '@instantdb/version';", 'tricedb has nothing for'],
  ["import x from '@instantdb/vue';", 'this version of tricedb has no `tricedb/vue`'],
  ['const shown = "@instantdb/react";', 'stands where no module is taken'],
  ["import { id } from '@instantdb/react'; /* never closed", 'not understood'],
  ["import { id } from '@instantdb/react'; const a = `never closed", 'not understood'],
])('[J254] left as it is, and told: %s', async (before, why) => {
  const { text, notes } = await source(`${before}\n`);
  expect(text).toBe(`${before}\n`);
  expect(notes).toEqual([expect.stringContaining(why)]);
});

test.each([
  "import '@instantdb/react';",
  "import db, { type id as a, init } from '@instantdb/react';",
  "import type { User } from '@instantdb/react';",
  "import * as instant from '@instantdb/react';",
  "export * from '@instantdb/react';",
  "export { id } from '@instantdb/react';",
  "type A = import('@instantdb/react').User;",
  "const b = await import('@instantdb/react');",
  "const { c } = require('@instantdb/react');",
  "require.resolve('@instantdb/react');",
  "jest.mock('@instantdb/react');",
  "declare module '@instantdb/react' {}",
  'const d = <p>a / b don\'t {e} {"//"} http://x</p>\n; import "@instantdb/react";',
  "const r = /[/'\"`]/.test(s) ? a / b : c; import '@instantdb/react';",
  "const t = `${`${'}'}`}`; import '@instantdb/react';",
])('[J252] a module is named by %s', async (way) => {
  expect((await source(way)).text).toBe(way.replace('@instantdb/react', 'tricedb/react'));
});

test.each([
  "// import { id } from '@instantdb/react';\n",
  "/* from '@instantdb/react' */ import 'react';\n",
  "const text = `import { id } from '@instantdb/react';`;\n",
])('[J252] no module is named by %s', async (text) => {
  expect((await source(text)).text).toBe(text);
});

/** A package.json with these in its `dependencies`, each on its line. */
const manifest = (...entries: readonly string[]) =>
  `{\n  "dependencies": {${entries.map((entry) => `\n    ${entry}`).join(',')}\n  }\n}\n`;
const [A, B, TRICE] = ['"@instantdb/admin": "1"', '"@instantdb/react": "1"', '"tricedb": "^9.8.7"'];

test.each([
  [[A], [TRICE]],
  [[A, B], [TRICE]],
  [
    [A, B, '"c": "1"'],
    [TRICE, '"c": "1"'],
  ],
  [
    ['"@a/b": "1"', A, B],
    ['"@a/b": "1"', TRICE],
  ],
  [
    [A, '"c": "1"', B],
    [TRICE, '"c": "1"'],
  ],
  [[A, B, '"tricedb": "1"'], ['"tricedb": "1"']],
  [['"tricedb": "1"', A, B], ['"tricedb": "1"']],
  [
    [A, '"tricedb": "1"', B, '"z": "1"'],
    ['"tricedb": "1"', '"z": "1"'],
  ],
])('[J252] dependencies %s', async (before, after) => {
  const { files } = await codemod({ 'package.json': manifest(...before) });
  expect(files.get('package.json')).toBe(manifest(...after));
});

test('[J254] a package.json that is not understood is left, and told', async () => {
  const twice = `{"x": {"dependencies": {${A}}}, "dependencies": {${A}, "a": "1"}}`;
  for (const text of ['{"dependencies": ', twice]) {
    const { files, notes } = await codemod({ 'package.json': text });
    expect(files.get('package.json')).toBe(text);
    expect(notes).toHaveLength(1);
  }
});
