/** Runs of `tricedb codemod` on apps in memory. */
import { command, type Place } from '../../src/codemod/command.ts';
import type { Listed } from '../../src/codemod/run.ts';

const ENTRIES = ['', '/react', '/react-native', '/next', '/admin', '/platform'];

/** What `tricedb` and `tricedb/react` are said to export; of the others nothing is known. */
const DECLARATIONS: Readonly<Record<string, string>> = {
  'dist/index.d.ts': `export declare function init(): void;\nexport * from './names.ts';\n`,
  'dist/names.d.ts': `export { TriceError as InstantAPIError } from './errors.ts';\n`,
  'dist/react/index.d.ts': `export type { InstaQLEntity, InstantRules, User } from '../x.ts';
export * from '../index.ts';
export declare const i: object, id: unknown;
export declare const id: unknown;\n`,
};

/** A run of `tricedb codemod` on an app. */
export async function codemod(app: Readonly<Record<string, string>>, ...args: string[]) {
  const files = new Map(Object.entries(app));
  const printed: string[] = [];
  const written: string[] = [];
  const inside = (folder: string) =>
    [...files.keys()].flatMap((path) => {
      const rest =
        folder === '.'
          ? path
          : path.startsWith(`${folder}/`)
            ? path.slice(folder.length + 1)
            : null;
      return rest === null ? [] : [rest.split('/')];
    });
  const place: Place = {
    files: {
      async list(path): Promise<Listed[] | null> {
        if (files.has(path)) return null;
        const found = new Map(inside(path).map(([name, ...more]) => [name!, more.length > 0]));
        if (found.size === 0) throw new Error(`There is no ${path}.`);
        return [...found].map(([name, isFolder]) => ({ name, isFolder }));
      },
      read: async (path) => files.get(path) ?? null,
      async write(path, text) {
        written.push(path);
        files.set(path, text);
      },
    },
    manifest: {
      version: '9.8.7',
      exports: Object.fromEntries(
        ENTRIES.map((name) => [`.${name}`, { types: `./dist${name}/index.d.ts` }]),
      ),
    },
    own: async (path) => DECLARATIONS[path.replace('./', '')] ?? null,
    print: (line) => printed.push(line),
  };
  const code = await command(['codemod', ...args], place);
  const notes = printed.filter((line) => line.startsWith('  !'));
  return { code, files, printed, written, notes };
}
