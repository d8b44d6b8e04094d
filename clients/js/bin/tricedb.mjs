#!/usr/bin/env node
// The program `tricedb`. What it does is in ../dist/codemod; here is what it takes of Node.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { command } from '../dist/codemod/command.js';

const FILE_BYTES_MAX = 1024 * 1024;

const own = (path) => readFile(new URL(`../${path}`, import.meta.url), 'utf8');

const files = {
  async list(path) {
    const about = await stat(path);
    if (!about.isDirectory()) return null;
    const entries = await readdir(path, { withFileTypes: true });
    // Links are not followed: what they lead to is another's, or is met elsewhere.
    return entries
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  },
  async read(path) {
    const bytes = await readFile(path);
    if (bytes.length > FILE_BYTES_MAX) return null;
    const text = bytes.toString('utf8');
    return Buffer.from(text).equals(bytes) ? text : null;
  },
  write: (path, text) => writeFile(path, text),
};

process.exitCode = await command(process.argv.slice(2), {
  files,
  manifest: JSON.parse(await own('package.json')),
  own: (path) => own(path).catch(() => null),
  print: (line) => process.stdout.write(`${line}\n`),
});
