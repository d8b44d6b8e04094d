/** The package as it is published, made in a folder of its own. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const PACKAGE = join(import.meta.dirname, '../..');
export const MODULES = join(PACKAGE, '../../node_modules');

interface Manifest {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

export const manifest = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as Manifest;

/** Builds, as `npm run build` does, beside the other files of the package. Returns the folder. */
export function build(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tricedb-built-'));
  for (const name of ['package.json', 'README.md', 'bin'])
    cpSync(join(PACKAGE, name), join(folder, name), { recursive: true });
  const config = join(PACKAGE, 'tsconfig.build.json');
  run(PACKAGE, 'tsc', ['--project', config, '--outDir', join(folder, 'dist')]);
  return folder;
}

/**
 * An empty project with what `npm pack` made of `built`, the packages it stands on, and nothing
 * else. Returns its folder.
 */
export function install(built: string): string {
  const project = mkdtempSync(join(tmpdir(), 'tricedb-app-'));
  unpack(built, join(project, 'node_modules/tricedb'));
  const peers = Object.keys(manifest.peerDependencies);
  for (const name of [...peers, ...peers.map(typesOf), 'react-dom', '@types/react-dom', 'csstype'])
    link(project, name);
  return project;
}

/**
 * Copies packages of the tree into a project, with all that they stand on: bundlers read no link
 * that leads out of it.
 */
export function copyWithDependencies(project: string, names: readonly string[]): void {
  for (const name of names) {
    const [from, to] = [join(MODULES, name), join(project, 'node_modules', name)];
    const isThere = existsSync(to) && !lstatSync(to).isSymbolicLink();
    if (isThere || !existsSync(from)) continue;
    rmSync(to, { force: true });
    mkdirSync(dirname(to), { recursive: true });
    cpSync(from, to, { recursive: true });
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(from, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string> | undefined>;
    copyWithDependencies(project, [
      ...Object.keys(dependencies),
      ...Object.keys(optionalDependencies),
    ]);
  }
}

/** Unpacks what `npm pack` made of `built` into a folder. */
export function unpack(built: string, into: string): void {
  mkdirSync(into, { recursive: true });
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', into];
  execFileSync('npm', args, { cwd: built });
  execFileSync('sh', ['-c', 'tar -xzf *.tgz --strip-components=1 && rm *.tgz'], { cwd: into });
}

/** Runs a program of the tree; throws with what it said if it fails. */
export function run(folder: string, program: string, args: readonly string[]): void {
  try {
    execFileSync(join(MODULES, '.bin', program), args, { cwd: folder, stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer };
    throw new Error(`${program}: ${stdout.toString()}${stderr.toString()}`);
  }
}

function typesOf(name: string): string {
  return `@types/${name.replace('@', '').replace('/', '__')}`;
}

/** Links a package of the tree into a project. */
export function link(project: string, name: string): void {
  const [from, to] = [join(MODULES, name), join(project, 'node_modules', name)];
  if (!existsSync(from) || existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(from, to);
}
