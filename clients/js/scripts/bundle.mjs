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
    const { output } = await bundle.generate({ minify: true, format: 'esm' });
    await bundle.close();
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
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
