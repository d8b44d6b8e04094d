/** The pages of the API (`npm run reference`), made from declarations that all say something. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { manifest } from '../support/built.ts';

const REFERENCE = join(import.meta.dirname, '../../../reference');

test('[J225] every entry of the package is in the reference', () => {
  const { entryPoints } = JSON.parse(readFileSync(join(REFERENCE, 'typedoc.json'), 'utf8'));
  const entries = Object.values(manifest.exports).flatMap((target) => {
    const { types } = target as { readonly types?: string };
    return types?.startsWith('./dist/') ? [types] : [];
  });
  expect(entries.length).toBeGreaterThan(5);
  const sources = entries.map((types) => types.replace('./dist/', '../js/src/'));
  expect(sources.map((source) => source.replace('.d.ts', '.ts')).sort()).toEqual(
    [...(entryPoints as string[])].sort(),
  );
});

test('[J225] every public name says what it is', { timeout: 240_000 }, () => {
  const program = join(REFERENCE, 'node_modules/typedoc/bin/typedoc');
  const args = [program, '--emit', 'none', '--treatValidationWarningsAsErrors'];
  try {
    execFileSync(process.execPath, args, { cwd: REFERENCE, stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer };
    throw new Error(`${stdout.toString()}${stderr.toString()}`);
  }
});
