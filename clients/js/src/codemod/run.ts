import { type Change, diffOf, edited, lineOf } from './edit.ts';
import { movedManifest } from './manifest.ts';
import { movedSource, type SourceChange, type Target } from './source.ts';

/** The files of an app; paths have slashes. */
export interface Files {
  /** What a folder holds; null: it is a file. Fails where there is nothing. */
  list(path: string): Promise<readonly Listed[] | null>;
  /** The text of a file; null: it is no text, or over 1 MiB. */
  read(path: string): Promise<string | null>;
  write(path: string, text: string): Promise<void>;
}

export interface Listed {
  readonly name: string;
  readonly isFolder: boolean;
}

export interface RunOptions extends Target {
  readonly paths: readonly string[];
  /** Shows what would change, and changes nothing. */
  readonly isDry: boolean;
  /** The version of this package, as a package.json asks for it. */
  readonly version: string;
}

const SOURCE = /\.(?:[cm]?[jt]sx?|vue|svelte|astro)$/;

/** Folders that hold what was made, or is another's. Those whose names begin with a dot too. */
const SKIPPED = /^(?:\.|node_modules$|dist$|build$|out$|coverage$|vendor$)/;

/**
 * Moves an app from the original's packages to this one: modules, options of `init`, package.json.
 *
 * print    takes each line of what was done, and of what is left to people
 * returns  how many files changed and how many places are left
 */
export async function run(
  files: Files,
  options: RunOptions,
  print: (line: string) => void,
): Promise<{ readonly changed: number; readonly left: number }> {
  const found = (await Promise.all(options.paths.map((path) => walk(files, path)))).flat();
  const paths = [...new Set(found)].sort();
  const manifests = paths.filter((path) => /(?:^|\/)package\.json$/.test(path));
  const sources = paths.filter((path) => SOURCE.test(path));
  const report = new Report(files, options.isDry, print);
  const stay = new Set<string>();
  for (const path of sources) {
    const text = await files.read(path);
    if (text === null) continue;
    const change: SourceChange = await movedSource(text, options);
    for (const module of change.left) stay.add(module);
    await report.file(path, text, change);
  }
  for (const path of manifests) {
    const text = await files.read(path);
    if (text !== null)
      await report.file(path, text, movedManifest(text, options.version, [...stay]));
  }
  report.end(manifests.length > 0);
  return report;
}

async function walk(files: Files, path: string): Promise<string[]> {
  const listed = await files.list(path);
  if (listed === null) return [path];
  const inside = listed
    .filter(({ name, isFolder }) =>
      isFolder ? !SKIPPED.test(name) : SOURCE.test(name) || name === 'package.json',
    )
    .map(({ name }) => walk(files, path === '.' ? name : `${path}/${name}`));
  return (await Promise.all(inside)).flat();
}

/** Writes what changed, and prints it. */
class Report {
  changed = 0;
  left = 0;
  readonly #files: Files;
  readonly #isDry: boolean;
  readonly #print: (line: string) => void;
  #edits = 0;

  constructor(files: Files, isDry: boolean, print: (line: string) => void) {
    this.#files = files;
    this.#isDry = isDry;
    this.#print = print;
  }

  async file(path: string, text: string, { edits, notes }: Change): Promise<void> {
    if (edits.length + notes.length === 0) return;
    this.#print(path);
    const lines = [
      ...edits.map(({ start, what }) => ({ at: start, mark: ' ', text: what })),
      ...notes.map(({ at, why }) => ({ at, mark: '!', text: why })),
    ].sort((a, b) => a.at - b.at);
    for (const line of lines)
      this.#print(`  ${line.mark} ${lineOf(text, solid(text, line.at))}: ${line.text ?? ''}`);
    this.left += notes.length;
    if (edits.length === 0) return;
    this.changed += 1;
    this.#edits += edits.length;
    if (this.#isDry) for (const line of diffOf(text, edits)) this.#print(`    ${line}`);
    else await this.#files.write(path, edited(text, edits));
  }

  end(hasManifest: boolean): void {
    const verb = this.#isDry ? 'would change' : 'changed';
    this.#print(`${counted(this.changed, 'file')} ${verb}, in ${counted(this.#edits, 'place')}.`);
    if (this.left > 0) this.#print(`${counted(this.left, 'place')} to look at, marked with "!".`);
    if (this.changed === 0 || this.#isDry) return;
    const next = hasManifest ? 'Install the packages' : 'Install tricedb';
    this.#print(`${next}, then let the compiler look: what differs is in docs/from-instant.md.`);
  }
}

/** The first place from `at` on with something to see. */
function solid(text: string, at: number): number {
  return at + /^[\s,]*/.exec(text.slice(at))![0].length;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
