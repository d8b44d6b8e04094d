/** The page of what differs from the original, against the packages themselves. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { namesOf } from '../../src/codemod/packages.ts';
import {
  init,
  init_experimental,
  InstantAPIError,
  InstantError,
  setInstantWarningsEnabled,
  TriceError,
} from '../../src/index.ts';

const ROOT = resolve(import.meta.dirname, '../../../..');
const SOURCES = join(ROOT, 'clients/js/src');
const PAGE = join(ROOT, 'docs/from-instant.md');
let page = readFileSync(PAGE, 'utf8');

/** Names that a module exports, by the path of its source or declarations. */
async function exported(file: string): Promise<string[]> {
  return namesOf(readFileSync(file, 'utf8'), (path) =>
    exported(
      join(dirname(file), file.endsWith('.d.ts') ? path.replace(/\.[jt]s$/, '.d.ts') : path),
    ),
  );
}

/** The words in code type below a heading of the page, up to the next heading. */
function listed(heading: string): string[] {
  const start = page.indexOf(`\n${heading}\n`);
  expect(start, heading).toBeGreaterThan(0);
  const section = page.slice(start + heading.length + 2).split(/\n#/)[0]!;
  return [...section.matchAll(/`(\w+)`/g)].map(([, name]) => name!).sort();
}

/** Takes names off the list that are there by now: `REWRITE=1 npx vitest run tests/moving`. */
function forget(heading: string, here: ReadonlySet<string>): void {
  const [before, after] = page.split(`\n${heading}\n`) as [string, string];
  const [section, ...rest] = after.split(/(?=\n#)/);
  const kept = section!
    .replace(/`(\w+)` ?/g, (text, name: string) => (here.has(name) ? '' : text))
    .replace(/^\|\s*\|.*\n/gm, '');
  page = [`${before}\n${heading}\n${kept}`, ...rest].join('');
  writeFileSync(PAGE, page);
}

test.each([
  ['@instantdb/core', 'index.ts'],
  ['@instantdb/react', 'react/index.ts'],
  ['@instantdb/admin', 'admin/index.ts'],
  ['@instantdb/platform', 'platform/index.ts'],
])('[J257] names of %s that are missing here are those that the page lists', async (name, ours) => {
  const entry = createRequire(import.meta.url).resolve(name);
  const theirs = await exported(join(dirname(entry), 'index.d.ts'));
  expect(theirs.length).toBeGreaterThan(50);
  const here = new Set(await exported(join(SOURCES, ours)));
  const missing = [...new Set(theirs)].filter((one) => !here.has(one)).sort();
  const heading = `### \`${name}\``;
  if (process.env.REWRITE) forget(heading, here);
  expect(missing).toEqual(listed(heading));
});

test('[J258] what the page says is a rule of the SDK, or of the server', () => {
  const cited = [...page.matchAll(/\b(J|Q|T)(\d+)\b/g)].map(([rule]) => rule);
  expect(cited.length).toBeGreaterThan(40);
  const spec = ['sdk', 'query', 'transact'].map((file) =>
    readFileSync(join(ROOT, `spec/${file}.md`), 'utf8'),
  );
  const rules = new Set(spec.join('\n').match(/(?<=^- \*\*)[A-Z]+\d+(?=\*\*)/gm));
  expect(cited.filter((rule) => !rules.has(rule))).toEqual([]);
  // A row of a table of differences says which rule holds it.
  const rows = page.split('\n## What is new')[0]!.match(/^\| (?!---|\|| here).*$/gm)!;
  const bare = rows.filter((row) => !/\b[JQT]\d+\b/.test(row));
  expect(bare).toEqual([]);
});

test('[J259] errors have the names of the original too', async () => {
  const answered = TriceError.of({ type: 'record-not-found', message: 'no code' }, 400);
  const offline = new TriceError({ code: 'offline', message: 'no network' });
  expect(answered).toBeInstanceOf(InstantAPIError);
  expect(offline).not.toBeInstanceOf(InstantAPIError);
  expect(new Error('other')).not.toBeInstanceOf(InstantAPIError);
  expect(offline).toBeInstanceOf(InstantError);
  expect(answered.body).toMatchObject({ type: 'record-not-found', message: 'no code' });
  expect([init_experimental, setInstantWarningsEnabled(false)]).toEqual([init, undefined]);
});
