/** What an app carries, against its bounds. `npm run size` prints it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BOUNDS_KB, measure, type Sizes } from '../../scripts/size.mjs';
import { build } from '../support/built.ts';

let built: string;
let core: Sizes;
let react: Sizes;
let native: Sizes;
let everything: Sizes;

beforeAll(async () => {
  built = build();
  const dist = join(built, 'dist');
  core = await measure('core', dist);
  react = await measure('react', dist);
  native = await measure('react native', dist);
  everything = await measure('everything', dist);
});

afterAll(() => rmSync(built, { recursive: true, force: true }));

test('[J152] what an app loads first stays small', () => {
  expect(core.first).toBeGreaterThan(5);
  expect(core.first).toBeLessThanOrEqual(BOUNDS_KB.first);
});

test('[J152] what shows and sends writes is fetched next, and is small', () => {
  expect(core.beside('local')).toBeGreaterThan(2);
  expect(core.beside('local')).toBeLessThanOrEqual(BOUNDS_KB.local);
});

test('[J152] what opens a database is fetched beside it, and is small', () => {
  expect(core.beside('disk-code')).toBeGreaterThan(2);
  expect(core.beside('disk-code')).toBeLessThanOrEqual(BOUNDS_KB.disk);
});

test('[J152] React adds little', () => {
  expect(react.first - core.first).toBeGreaterThan(0);
  expect(react.first - core.first).toBeLessThanOrEqual(BOUNDS_KB.react);
});

test('[J213] React Native adds little to React', () => {
  expect(native.first - react.first).toBeGreaterThan(0);
  expect(native.first - react.first).toBeLessThanOrEqual(BOUNDS_KB.native);
});

test('[J222] hooks for Vue, Svelte and Solid add little', async () => {
  for (const framework of ['vue', 'svelte', 'solid']) {
    const { first } = await measure(framework, join(built, 'dist'));
    expect(first - core.first, framework).toBeGreaterThan(0);
    expect(first - core.first, framework).toBeLessThanOrEqual(BOUNDS_KB.hooks);
  }
});

test('[J152] everything together stays small', () => {
  expect(everything.all).toBeGreaterThanOrEqual(core.all);
  expect(everything.all).toBeLessThanOrEqual(BOUNDS_KB.everything);
});

test('[J246] an app has nothing of the panel unless it imports it', async () => {
  const devtool = await measure('devtool', join(built, 'dist'));
  const added = devtool.first - core.first;
  expect(added).toBeGreaterThan(2);
  expect(added).toBeLessThanOrEqual(BOUNDS_KB.devtool);
  const marks = ['data-trice-devtool', 'tablist', 'woken by', 'light-dark('];
  for (const mark of marks) {
    expect(devtool.code).toContain(mark);
    for (const { code } of [core, react, everything]) expect(code).not.toContain(mark);
  }
});

test('[J152] an app loads less first than with the original', async () => {
  const original = await measure('original core', join(built, 'dist'));
  expect(core.first).toBeLessThan(0.6 * original.first);
});
