// Prints how much of the package an app carries, beside the original's client:
//
//     npm run build && npm run size
//     node scripts/size.mjs --modules [app]     what each module costs, of `everything` by default
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modulesOf, sizesOf } from './bundle.mjs';

/** What apps bring themselves is left out. */
const FRAMEWORKS = ['react', 'react-dom', 'vue', 'svelte', 'solid-js'];

/**
 * Bounds that a test holds, in kB (1,000 bytes) after minification and gzip.
 *
 * first       `init`, with queries, sign-in, writes up to the disk, and what fetches the rest
 * local       what is fetched next: it shows and sends writes, and picks rows here
 * disk        what is fetched beside it, at once, where there are disks
 * react       what `tricedb/react` adds to it
 * native      what `tricedb/react-native` adds to that, with its disks
 * hooks       what `tricedb/vue`, `tricedb/svelte` or `tricedb/solid` adds to it
 * devtool     what `tricedb/devtool` adds to an app that imports it
 * everything  every public name of core and React, with what is loaded later: totals and infinite
 *             lists, rooms, streams, sign-in with passwords and passkeys, files that wait offline,
 *             tabs, writing answers to the disk, events of a trace, calls of functions, and
 *             pages made on a server
 */
export const BOUNDS_KB = {
  first: 23.3,
  local: 7.5,
  disk: 5.5,
  react: 3,
  native: 4,
  hooks: 3,
  devtool: 9,
  everything: 71.2,
};

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const INSTANT = fileURLToPath(new URL('../../../node_modules/@instantdb', import.meta.url));

/** Sources of the apps that are measured. Each keeps alive what it imports: else it is left out. */
function appsOf(dist) {
  const entry = (folder) => text(join(dist, folder, 'index.js'));
  const [core, react] = [entry(''), entry('react')];
  const original = (name) => text(join(INSTANT, name, 'dist/esm/index.js'));
  const init = (from) => `import { init } from ${from}; globalThis.init = init;`;
  return {
    core: init(core),
    react: init(react),
    'react native': init(entry('react-native')),
    vue: init(entry('vue')),
    svelte: init(entry('svelte')),
    solid: init(entry('solid')),
    devtool:
      `${init(core)} import { mountDevtool } from ${entry('devtool')};` +
      'globalThis.mount = mountDevtool;',
    everything:
      `import * as core from ${core}; import * as react from ${react};` +
      'globalThis.all = [core, react];',
    'original core': init(original('core')),
    'original core, everything': `import * as all from ${original('core')}; globalThis.all = all;`,
    'original react': init(original('react')),
  };
}

/** A path as it stands in an import. */
function text(path) {
  return JSON.stringify(path);
}

/** The sizes of an app by its name, its framework left out. `dist`: where the package is built. */
export function measure(name, dist = DIST) {
  return sizesOf(appsOf(dist)[name], FRAMEWORKS);
}

async function printSizes() {
  const kb = (size) => `${size.toFixed(1)} kB`.padStart(9);
  process.stdout.write(`${'min + gzip'.padEnd(26)} ${'first'.padStart(9)} ${'all'.padStart(9)}\n`);
  for (const name of Object.keys(appsOf(DIST))) {
    const { first, all } = await measure(name);
    process.stdout.write(`${name.padEnd(26)} ${kb(first)} ${kb(all)}\n`);
  }
}

async function printModules(name) {
  for (const piece of await modulesOf(appsOf(DIST)[name], FRAMEWORKS)) {
    process.stdout.write(`\n${String(piece.bytes).padStart(7)}  ${piece.name}\n`);
    for (const { name: module, bytes } of piece.modules)
      process.stdout.write(`${String(bytes).padStart(7)}      ${module}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , option, name = 'everything'] = process.argv;
  await (option === '--modules' ? printModules(name) : printSizes());
}
