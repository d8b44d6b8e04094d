// What an app carries of a package: bundled and minified by rolldown, compressed as it travels.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

/**
 * The sizes of an app with this source.
 *
 * source    a module; it imports packages by their absolute paths
 * external  names of packages that are left out
 * returns   {first, all, beside, code}: kB (1,000 bytes) after gzip, of what is loaded at the
 *           start, of this with all that is loaded later, and of what the piece of a name adds to
 *           the start; and all of the code
 */
export async function sizesOf(source, external = []) {
  const output = await bundled(source, external);
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const visit = (name, seen) => {
    if (seen.has(name) || !chunks.has(name)) return;
    seen.add(name);
    for (const next of chunks.get(name).imports) visit(next, seen);
  };
  const first = new Set();
  for (const { isEntry, fileName } of output) if (isEntry) visit(fileName, first);
  const kb = (names) =>
    names.reduce((sum, name) => sum + gzipSync(chunks.get(name).code ?? '').length, 0) / 1000;
  const code = output.map((chunk) => chunk.code ?? '').join('\n');
  const beside = (name) => {
    const more = new Set(first);
    for (const file of chunks.keys()) if (file.startsWith(name)) visit(file, more);
    return kb([...more]) - kb([...first]);
  };
  return { first: kb([...first]), all: kb([...chunks.keys()]), beside, code };
}

/**
 * What the modules of an app cost, piece by piece; see `sizesOf`.
 *
 * returns  [{name, bytes, modules: [{name, bytes}]}]: `bytes` of a piece after gzip, and of a
 *          module what the piece would be smaller without it. Those of one piece add up to less
 *          than the piece: what two modules have in common is counted for neither
 */
export async function modulesOf(source, external = []) {
  const output = await bundled(source, external, true);
  return output
    .filter((chunk) => chunk.map)
    .map(({ fileName, code, map }) => {
      const parts = partsOf(code, map.mappings);
      const zipped = (kept) => gzipSync(kept.map(({ text }) => text).join('')).length;
      const bytes = zipped(parts);
      const modules = map.sources.map((name, place) => ({
        name: name.replace(/^.*\/dist\//, ''),
        bytes: bytes - zipped(parts.filter((part) => part.source !== place)),
      }));
      return { name: fileName, bytes, modules: modules.sort((a, b) => b.bytes - a.bytes) };
    });
}

/** The pieces of an app, minified. */
async function bundled(source, external, sourcemap = false) {
  const folder = mkdtempSync(join(tmpdir(), 'tricedb-size-'));
  try {
    const input = join(folder, 'app.js');
    writeFileSync(input, source);
    const bundle = await rolldown({
      input,
      external: (name) => external.some((one) => name === one || name.startsWith(`${one}/`)),
      platform: 'browser',
      transform: { define: { 'process.env.NODE_ENV': '"production"' } },
      logLevel: 'silent',
    });
    const { output } = await bundle.generate({ minify: true, format: 'esm', sourcemap });
    await bundle.close();
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Minified code, cut where the module changes. `source`: its place in the map; -1: none. */
function partsOf(code, mappings) {
  const lines = code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '').split('\n');
  const parts = [];
  let source = 0;
  mappings.split(';').forEach((segments, row) => {
    const line = `${lines[row] ?? ''}\n`;
    let [column, start, owner] = [0, 0, -1];
    for (const segment of segments.split(',').filter(Boolean)) {
      const [columns, sources] = numbersOf(segment);
      column += columns;
      source += sources ?? 0;
      parts.push({ source: owner, text: line.slice(start, column) });
      [start, owner] = [column, sources === undefined ? -1 : source];
    }
    parts.push({ source: owner, text: line.slice(start) });
  });
  return parts;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The numbers of a segment of a source map: base 64, five bits a digit, the sign in the lowest. */
function numbersOf(segment) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const char of segment) {
    const digit = DIGITS.indexOf(char);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
