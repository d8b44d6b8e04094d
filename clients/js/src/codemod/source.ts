import type { Change, Edit, Note } from './edit.ts';
import { type Import, importAt } from './imports.ts';
import { movedOptions } from './options.ts';
import { moved } from './packages.ts';
import { type Token, tokensOf } from './tokens.ts';

/** What the package has, and where the app's server is. */
export interface Target {
  /** Its modules: `tricedb`, `tricedb/react` … */
  readonly entries: ReadonlySet<string>;
  /** Names that a module exports; null where that is not known. */
  readonly namesOf: (entry: string) => Promise<ReadonlySet<string> | null>;
  /** The address for `init` where the app names none. */
  readonly server: string | null;
}

/** What becomes of a file, and the modules of the original that it still names. */
export interface SourceChange extends Change {
  readonly left: readonly string[];
}

const MENTION = /(['"`])(@instantdb\/[\w./-]+)\1/g;
const OURS = /^tricedb(?:\/|$)/;

/** Moves a source file. What is not understood is left, and told. */
export async function movedSource(source: string, target: Target): Promise<SourceChange> {
  const mentions = [...source.matchAll(MENTION)];
  if (mentions.length === 0 && !/['"]tricedb(?:\/[\w-]+)?['"]/.test(source))
    return { edits: [], notes: [], left: [] };
  const tokens = tokensOf(source);
  if (tokens === null) {
    const why = 'this file is not understood, and left as it is';
    const left = mentions.map(([, , module]) => module!);
    return { edits: [], notes: [{ at: mentions[0]?.index ?? 0, why }], left };
  }
  const imports = importsOf(tokens);
  const edits: Edit[] = [];
  const notes: Note[] = [];
  const left: string[] = [];
  for (const one of imports) {
    if (OURS.test(one.module)) continue;
    const { start, end, text } = one.token;
    const where = moved(one.module, target.entries);
    if ('why' in where) {
      left.push(one.module);
      notes.push({ at: start, why: where.why });
      continue;
    }
    const quoted = `${text[0]}${where.to}${text[0]}`;
    edits.push({ start, end, text: quoted, what: `${text} → ${quoted}` });
    notes.push(...(await missing(one, where.to, target)));
    if (one.kind === 'require')
      notes.push({
        at: start,
        why: 'to `require` it takes Node 20.19 or later: it is an ES module',
      });
  }
  const known = new Set(imports.map(({ token }) => token.start));
  for (const token of tokens) {
    if (!isMention(token) || known.has(token.start)) continue;
    left.push(token.text.slice(1, -1));
    notes.push({ at: token.start, why: `${token.text} stands where no module is taken` });
  }
  const options = movedOptions(source, tokens, imports, target.server);
  return { edits: [...edits, ...options.edits], notes: [...notes, ...options.notes], left };
}

/** What the file takes of the original, and of this package already. */
function importsOf(tokens: readonly Token[]): Import[] {
  return tokens.flatMap((token, index) => {
    if (token.kind !== 'string') return [];
    if (!isMention(token) && !OURS.test(token.text.slice(1, -1))) return [];
    return importAt(tokens, index) ?? [];
  });
}

function isMention({ kind, text }: Token): boolean {
  return kind === 'string' && text.slice(1).startsWith('@instantdb/');
}

async function missing(one: Import, to: string, target: Target): Promise<Note[]> {
  const names = await target.namesOf(to);
  if (names === null) return [];
  return one.taken
    .filter(({ name }) => !names.has(name))
    .map(({ name, at }) => ({ at, why: `${to} has no \`${name}\`` }));
}
