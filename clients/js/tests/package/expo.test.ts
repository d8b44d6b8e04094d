/**
 * The tarball in the Expo example, bundled by Metro under the preset of React Native, and compiled
 * by Hermes.
 *
 * Skipped where Expo is not installed: `make test` does that.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, unpack } from '../support/built.ts';

const EXAMPLE = join(import.meta.dirname, '../../../../examples/expo-todo');
const EXPO = join(EXAMPLE, 'node_modules');

let built: string;
let project: string;

describe.skipIf(!existsSync(join(EXPO, 'expo')))('in an Expo project', () => {
  beforeAll(() => {
    built = build();
    project = mkdtempSync(join(tmpdir(), 'tricedb-expo-'));
    for (const name of ['package.json', 'app.json', 'src'])
      cpSync(join(EXAMPLE, name), join(project, name), { recursive: true });
    for (const name of installed()) link(name);
    unpack(built, join(project, 'node_modules/tricedb'));
    // Metro reads only files below these folders; packages are links to where they are installed.
    writeFileSync(
      join(project, 'metro.config.js'),
      `const config = require('expo/metro-config').getDefaultConfig(__dirname);
       config.watchFolders = [${JSON.stringify(EXPO)}];
       module.exports = config;`,
    );
  });
  afterAll(() => {
    for (const folder of [built, project]) rmSync(folder, { recursive: true, force: true });
  });

  test('[J211] Metro bundles it for Android without what it lacks; Hermes compiles it', () => {
    const said = expo(['export', '--platform', 'android']);
    const bundle = bundleOf(join(project, 'dist'), '.hbc');
    // Packages that are there are in it; for the others there is what throws in their place. The
    // code of rooms, which other bundlers put into a file of its own, lies in the same bundle.
    for (const has of ['openDatabaseAsync', 'RNCNetInfo', 'randomness-missing', 'topics-dropped'])
      expect(bundle.includes(has), `${has} in the bundle: ${said}`).toBe(true);
    for (const hasNot of ['MMKVFactory', 'RNCAsyncStorage'])
      expect(bundle.includes(hasNot), `${hasNot} in the bundle`).toBe(false);
  }, 600_000);
});

/** The packages of the example, but for the SDK, with those of scopes. */
function installed(): string[] {
  return readdirSync(EXPO)
    .filter((name) => !name.startsWith('.') && name !== 'tricedb')
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(EXPO, name)).map((one) => `${name}/${one}`) : [name],
    );
}

function link(name: string): void {
  const to = join(project, 'node_modules', name);
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(join(EXPO, name), to);
}

/** Runs the Expo CLI without asking anything of anybody. Returns what it said. */
function expo(args: readonly string[]): string {
  const env = { ...process.env, CI: '1', EXPO_OFFLINE: '1', EXPO_NO_TELEMETRY: '1' };
  try {
    const program = join(EXPO, 'expo/bin/cli');
    return execFileSync('node', [program, ...args], {
      cwd: project,
      env,
      stdio: 'pipe',
    }).toString();
  } catch (error) {
    const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer };
    throw new Error(`expo: ${stdout.toString()}${stderr.toString()}`);
  }
}

function bundleOf(folder: string, ending: string): Buffer {
  const file = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith(ending),
  );
  return readFileSync(join(folder, file!));
}
