/** The sample apps, which are written for the original's client, on this one. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, install, MODULES, run } from '../support/built.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../../../examples');
const NAMES = ['todo', 'chat', 'sign-in', 'gallery'];

let built: string;
let folder: string;
let project: string;

beforeAll(() => {
  built = build();
  folder = mkdtempSync(join(tmpdir(), 'tricedb-examples-'));
  project = install(built);
  for (const name of ['vite', 'tus-js-client'])
    symlinkSync(join(MODULES, name), join(project, 'node_modules', name));
});

afterAll(() => {
  for (const each of [built, folder, project]) rmSync(each, { recursive: true, force: true });
});

test.each(NAMES)(
  '[J250] %s compiles with nothing changed but the package behind its imports',
  (name) => {
    const example = join(EXAMPLES, name);
    const config = join(folder, `${name}.json`);
    const paths = {
      '@instantdb/react': [join(built, 'dist/react/index.d.ts')],
      react: [join(MODULES, '@types/react')],
    };
    writeFileSync(
      config,
      JSON.stringify({
        extends: join(example, 'tsconfig.json'),
        compilerOptions: { paths, typeRoots: [MODULES] },
        include: [join(example, 'src')],
      }),
    );
    run(example, 'tsc', ['--project', config]);
  },
);

test.each(NAMES)('[J256] the program moves %s, which compiles afterwards', (name) => {
  const app = join(project, name);
  const isSource = (path: string) => !/\/(?:dist|node_modules|vite\.config\.ts)$/.test(path);
  cpSync(join(EXAMPLES, name), app, { recursive: true, filter: isSource });
  const program = join(project, 'node_modules/tricedb/bin/tricedb.mjs');
  const codemod = (...args: string[]) =>
    execFileSync('node', [program, 'codemod', ...args], { cwd: app, encoding: 'utf8' });
  expect(codemod('--dry')).toContain("+ import { init } from 'tricedb/react';");
  expect(readFileSync(join(app, 'package.json'), 'utf8')).toContain('@instantdb/react');
  const printed = codemod();
  // The one thing left: the samples turn off a devtool that is not there.
  expect(printed.match(/^ {2}! .*/gm)).toEqual([expect.stringContaining('`devtool` does nothing')]);
  expect(printed).not.toContain('tricedb/react has no');
  for (const file of readdirSync(app, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(?:tsx?|json)$/.test(file)) continue;
    expect(readFileSync(join(app, file), 'utf8'), file).not.toMatch(
      /@instantdb\/|apiURI|websocketURI/,
    );
  }
  run(app, 'tsc', ['--project', '.']);
  expect(codemod()).toContain('0 files changed');
});
