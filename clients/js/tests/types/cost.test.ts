import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compile, figure, PACKAGE } from './compiler.ts';
import { appSource, interfacesSource, schemaSource } from './generated-app.ts';

const OPTIONS = {
  target: 'es2022',
  module: 'nodenext',
  moduleDetection: 'force',
  lib: ['es2023', 'dom'],
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
  noEmit: true,
  allowImportingTsExtensions: true,
};

let folder: string;

/** The package as apps see it: declarations, not sources. */
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'tricedb-types-'));
  const modules = path.join(folder, 'node_modules');
  const tricedb = path.join(modules, 'tricedb');
  mkdirSync(tricedb, { recursive: true });
  const declarations = ['--emitDeclarationOnly', '--outDir', path.join(tricedb, 'dist')];
  const { errors } = compile(PACKAGE, '--project', 'tsconfig.build.json', ...declarations);
  expect(errors).toBe('');
  const types = {
    '.': { types: './dist/index.d.ts' },
    './admin': { types: './dist/admin/index.d.ts' },
    './react': { types: './dist/react/index.d.ts' },
  };
  const manifest = { name: 'tricedb', version: '0.0.0', type: 'module', exports: types };
  writeFileSync(path.join(tricedb, 'package.json'), JSON.stringify(manifest));
  for (const name of ['@instantdb', '@types', 'react'])
    symlinkSync(path.join(PACKAGE, '../../node_modules', name), path.join(modules, name));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** What the compiler does for an app: type instantiations, types, seconds. */
function cost(library: string, schema: string) {
  const app = mkdtempSync(path.join(folder, 'app-'));
  const files: Record<string, string> = {
    'tsconfig.json': JSON.stringify({ compilerOptions: OPTIONS, include: ['*.ts'] }),
    'package.json': JSON.stringify({ type: 'module' }),
    'schema.ts': schema,
    'app.ts': appSource(library),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(app, name), text);
  const { errors, said } = compile(app, '--extendedDiagnostics');
  expect(errors).toBe('');
  return {
    instantiations: figure(said, 'Instantiations'),
    types: figure(said, 'Types'),
    checkS: figure(said, 'Check time'),
  };
}

/** An app costs no more than it may, and less than with the original. */
function expectCheap(library: string, other: string): void {
  const inferred = cost(library, schemaSource('tricedb'));
  const generated = cost(library, interfacesSource());
  const original = cost(other, schemaSource(other));
  console.log(library, { inferred, generated, original });
  expect(inferred.instantiations).toBeLessThanOrEqual(500_000);
  expect(inferred.instantiations).toBeLessThan(original.instantiations);
  expect(generated.instantiations).toBeLessThanOrEqual(40_000);
}

test('[J66] types of a large app cost the compiler less than those of the original', () =>
  expectCheap('tricedb/react', '@instantdb/react'));

test('[J224] so do types of a large program on a server', () =>
  expectCheap('tricedb/admin', '@instantdb/admin'));
