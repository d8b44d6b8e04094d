import { type Files, run } from './run.ts';
import { namesOf } from './packages.ts';

/** What the command needs of where it runs. */
export interface Place {
  readonly files: Files;
  /** The package.json of this package, and the text of a file of it; null if it is not there. */
  readonly manifest: {
    readonly version: string;
    readonly exports: Readonly<Record<string, unknown>>;
  };
  readonly own: (path: string) => Promise<string | null>;
  readonly print: (line: string) => void;
}

const USAGE = `Moves an app from Instant's packages to tricedb: imports, init, package.json.

  npx tricedb codemod [--dry] [--server URL] [PATH ...]

  PATH          folders or files; else the folder in which it is called
  --dry         show what would change, and change nothing
  --server URL  the address of the app's server, for each init that names none`;

/** Runs the program `tricedb`. Returns its exit code: 2 where it does not understand the call. */
export async function command(args: readonly string[], place: Place): Promise<number> {
  const [name, ...others] = args;
  if (name === '--help' || name === '-h' || others.includes('--help')) {
    place.print(USAGE);
    return 0;
  }
  const given = name === 'codemod' ? parsed(others) : `There is no command ${name ?? ''}`.trim();
  if (typeof given === 'string') {
    place.print(`${given}.\n\n${USAGE}`);
    return 2;
  }
  try {
    const { version, exports } = place.manifest;
    await run(
      place.files,
      {
        ...given,
        version: `^${version}`,
        entries: new Set(Object.keys(exports).map((path) => path.replace('.', 'tricedb'))),
        namesOf: (entry) => exported(place, entry),
      },
      place.print,
    );
    return 0;
  } catch (error) {
    place.print(`It ended before it was done: ${(error as Error).message}`);
    return 1;
  }
}

interface Given {
  readonly paths: readonly string[];
  readonly isDry: boolean;
  readonly server: string | null;
}

/** The options of a call, or what is wrong with them. */
function parsed(args: readonly string[]): Given | string {
  const paths: string[] = [];
  let [isDry, server] = [false, null as string | null];
  for (let at = 0; at < args.length; at += 1) {
    const [option, inline] = args[at]!.split(/=(.*)/s) as [string, string?];
    if (option === '--dry') isDry = true;
    else if (option === '--server') {
      server = (inline ?? args[(at += 1)] ?? '').replace(/\/+$/, '');
      if (!/^https?:\/\/[^\s'"`\\]+$/.test(server))
        return '--server takes an address of http or https';
    } else if (option.startsWith('-')) return `There is no option ${option}`;
    else paths.push(args[at]!.replace(/(?<=.)\/+$/, ''));
  }
  return { paths: paths.length > 0 ? paths : ['.'], isDry, server };
}

/** The names that a module of this package exports, as its declarations say. */
async function exported(place: Place, entry: string): Promise<ReadonlySet<string> | null> {
  const target = place.manifest.exports[entry.replace('tricedb', '.')];
  const types = (target as { readonly types?: unknown } | undefined)?.types;
  if (typeof types !== 'string') return null;
  const read = async (path: string): Promise<string[] | null> => {
    const text = await place.own(path);
    if (text === null) return null;
    return namesOf(text, async (other) => (await read(beside(path, other))) ?? []);
  };
  const names = await read(types);
  return names && new Set(names);
}

/** The declarations of a module that another names by a path of its own. */
function beside(path: string, other: string): string {
  const parts = path.split('/').slice(0, -1);
  for (const step of other.split('/')) {
    if (step === '..') parts.pop();
    else if (step !== '.') parts.push(step);
  }
  return parts.join('/').replace(/\.[jt]s$/, '.d.ts');
}
