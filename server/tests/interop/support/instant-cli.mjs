// The official command line, as a developer runs it in a project of their own.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const MODULES = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  '../../../../node_modules',
);
export const CLI = path.join(MODULES, 'instant-cli/bin/index.js');

/** A folder with these files ({name: text}), a home beside them, and the official packages. */
export async function makeProject(files) {
  const folder = await mkdtemp(path.join(tmpdir(), 'trice-cli-'));
  await symlink(MODULES, path.join(folder, 'node_modules'));
  const manifest = {
    name: 'project',
    type: 'module',
    dependencies: { '@instantdb/core': '1.0.67' },
  };
  await writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest));
  await mkdir(path.join(folder, 'home'));
  for (const [name, text] of Object.entries(files))
    await writeFile(path.join(folder, name), text);
  return folder;
}

export const removeProject = (folder) => rm(folder, { recursive: true, force: true });

export const read = (folder, name) => readFile(path.join(folder, name), 'utf8');

/** What a command sees: a home of its own, and `url` in the place of Instant's servers. */
export function environment(folder, url, extra) {
  const home = path.join(folder, 'home');
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CONFIG_HOME: home,
    NO_COLOR: '1',
    CI: '1',
    INSTANT_CLI_API_URI: url,
    INSTANT_CLI_DASH_URI: url,
    ...extra,
  };
}

/** Run a command in a project; returns what it printed, or fails with it. */
export async function runCli(args, { folder, url, extra }) {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [CLI, ...args], {
    cwd: folder,
    env: environment(folder, url, extra),
  }).catch((error) => {
    throw new Error(`instant-cli ${args.join(' ')}: ${error.stdout}\n${error.stderr}`);
  });
  return stdout + stderr;
}
