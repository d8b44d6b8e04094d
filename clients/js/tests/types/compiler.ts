import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

/** The folder of the package. */
export const PACKAGE = path.resolve(import.meta.dirname, '../..');

/** The program of the compiler. */
export const TSC = path.join(
  path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
  'bin/tsc',
);

/** Runs the compiler in a folder; returns what it says. */
export function compile(folder: string, ...options: string[]): { errors: string; said: string } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [TSC, ...options], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { errors: status === 0 ? '' : stdout + stderr, said: stdout };
}

/** One figure of `--extendedDiagnostics`. */
export function figure(said: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+([\\d.]+)`, 'm').exec(said);
  if (!found) throw new Error(`The compiler does not say ${name}:\n${said}`);
  return Number(found[1]);
}
