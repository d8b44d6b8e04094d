/** The tarball in empty projects: what an app gets, not what lies in the tree. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build as bundle } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, install, manifest, run } from '../support/built.ts';

/** `tricedb`, `tricedb/react`, and so on. */
const NAMES = Object.keys(manifest.exports)
  .filter((path) => !path.includes('*') && !path.endsWith('.json'))
  .map((path) => path.replace('.', 'tricedb'));

const APP = `
import { id, init, lookup, tx } from 'tricedb';
import { init as initReact } from 'tricedb/react';
const db = init({ appId: id(), server: 'http://127.0.0.1:1' });
const told: unknown[] = [];
const stop: () => void = db.subscribeQuery({ todos: {} }, ({ data }) => told.push(data?.todos));
void [initReact({ appId: id() }).useQuery, lookup('title', 'a'), tx, stop];
// @ts-expect-error an app needs an id
init({ server: 'http://127.0.0.1:1' });
`;

let built: string;
let project: string;

beforeAll(() => {
  built = build();
  project = install(built);
});

afterAll(() => {
  for (const folder of [built, project]) rmSync(folder, { recursive: true, force: true });
});

test('[J153] the tarball has the files of every name, and no source', () => {
  const folder = join(project, 'node_modules/tricedb');
  expect(readdirSync(folder).sort()).toEqual(['README.md', 'bin', 'dist', 'package.json']);
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target as Record<string, string>),
  );
  for (const target of targets) expect(existsSync(join(folder, target)), target).toBe(true);
  expect(readFileSync(join(folder, 'package.json'), 'utf8')).not.toContain('"dependencies"');
});

test('[J153] Node imports every name', () => {
  const imports = NAMES.map((name) => `['${name}', await import('${name}')]`);
  writeFileSync(
    join(project, 'app.mjs'),
    `const found = [${imports.join(', ')}];
     const { init, id } = found[0][1];
     const db = init({ appId: id(), server: 'http://127.0.0.1:1' });
     db.shutdown();
     console.log(JSON.stringify(found.map(([name, all]) => [name, Object.keys(all).length > 0])));`,
  );
  const printed = execFileSync('node', ['app.mjs'], { cwd: project, encoding: 'utf8' });
  expect(JSON.parse(printed)).toEqual(NAMES.map((name) => [name, true]));
});

test.each([
  ['bundler', 'esnext'],
  ['node16', 'node16'],
])('[J153] types are found under moduleResolution %s', (moduleResolution, module) => {
  const all = NAMES.map((name, place) => `import * as all${place} from '${name}';`).join('\n');
  const uses = `void [${NAMES.map((_, place) => `all${place}`).join(', ')}];`;
  writeFileSync(join(project, 'app.mts'), `${all}\n${APP}\n${uses}\nexport {};\n`);
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{ moduleResolution, module, target: 'es2022', lib: ['es2022', 'dom'], types: [] },
        ...{ strict: true, noEmit: true, jsx: 'react-jsx', exactOptionalPropertyTypes: true },
        // Only what this project imports is checked, the declarations of the package too.
        skipLibCheck: false,
      },
      files: ['app.mts'],
    }),
  );
  run(project, 'tsc', ['--project', 'tsconfig.json']);
});

test('[J153] Vite bundles an app, and leaves out what it does not use', async () => {
  writeFileSync(join(project, 'index.html'), '<script type="module" src="/main.js"></script>');
  writeFileSync(join(project, 'main.js'), "import { id } from 'tricedb'; document.title = id();");
  await bundle({ root: project, configFile: false, logLevel: 'silent' });
  const folder = join(project, 'dist/assets');
  const code = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  expect(code.join('')).toContain('document.title');
  expect(code.join('').length).toBeLessThan(8_000);
});
