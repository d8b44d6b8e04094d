import { opening, type Token } from './tokens.ts';

/** A name that a file takes of a module. */
export interface Taken {
  readonly name: string;
  /** What it is called in the file. */
  readonly local: string;
  readonly at: number;
}

/** A module that a file names, and what it takes of it. */
export interface Import {
  readonly module: string;
  /** The text that names it, with quotes. */
  readonly token: Token;
  /** `require` cannot take modules in old versions of Node; `mock` is of a test. */
  readonly kind: 'import' | 'require' | 'mock';
  readonly taken: readonly Taken[];
  /** What the whole module is called in the file. */
  readonly whole: string | null;
}

/** Functions of test runners that take a module by its name. */
const MOCKS =
  /^(?:(?:un|set|do|dont|doUn|require|import)?mock|(?:require|import)Actual|createMockFrom\w+)$/i;

/** What names a module, by index of the token that does; the others are not understood. */
export function importAt(tokens: readonly Token[], index: number): Import | null {
  const token = tokens[index]!;
  const module = token.text.slice(1, -1);
  const before = tokens[index - 1];
  const none = { module, token, taken: [], whole: null };
  if (before?.kind === 'word') {
    if (before.text === 'from') return { ...none, kind: 'import', ...clause(tokens, index - 2) };
    const isPlain = before.text === 'import' || before.text === 'module';
    return isPlain ? { ...none, kind: 'import' } : null;
  }
  if (before?.text !== '(') return null;
  let at = index - 2;
  // `vi.importActual<typeof import('…')>('…')`
  if (tokens[at]?.text === '>') at = opening(tokens, at) - 1;
  const callee = tokens[at];
  if (callee?.kind !== 'word') return null;
  if (MOCKS.test(callee.text)) return { ...none, kind: 'mock' };
  if (callee.text === 'import') return { ...none, kind: 'import', ...bound(tokens, at - 1) };
  if (callee.text === 'require') return { ...none, kind: 'require', ...bound(tokens, at - 1) };
  const isResolve = callee.text === 'resolve' && tokens[at - 2]?.text === 'require';
  return isResolve ? { ...none, kind: 'require' } : null;
}

type Bound = Pick<Import, 'taken' | 'whole'>;

/** What stands between `import` and `from`; `last` is the index of its last token. */
function clause(tokens: readonly Token[], last: number): Bound {
  if (tokens[last]?.text === '}') return { taken: listed(tokens, last, 'as'), whole: null };
  const isAll = tokens[last]?.kind === 'word' && tokens[last - 1]?.text === 'as';
  return { taken: [], whole: isAll ? tokens[last]!.text : null };
}

/** What a call is bound to: `const {id} = await import('…')`, `const instant = require('…')`. */
function bound(tokens: readonly Token[], before: number): Bound {
  let at = before;
  if (tokens[at]?.text === 'await') at -= 1;
  if (tokens[at]?.text !== '=') return { taken: [], whole: null };
  const target = tokens[at - 1];
  if (target?.text === '}') return { taken: listed(tokens, at - 1, ':'), whole: null };
  return { taken: [], whole: target?.kind === 'word' ? target.text : null };
}

/** Names in braces, each with its own name behind `as` or a colon. */
function listed(tokens: readonly Token[], close: number, as: 'as' | ':'): Taken[] {
  const open = opening(tokens, close);
  if (open < 0) return [];
  const taken: Taken[] = [];
  let part: Token[] = [];
  for (const token of tokens.slice(open + 1, close + 1)) {
    if (token.text !== ',' && token !== tokens[close]) {
      part.push(token);
      continue;
    }
    const [first, ...others] = part.filter(
      ({ text }, n) => !(n === 0 && text === 'type' && part[1]),
    );
    const place = others.findIndex(({ text }) => text === as);
    const local = place < 0 ? first : others[place + 1];
    if (first?.kind === 'word' && local)
      taken.push({ name: first.text, local: local.text, at: first.start });
    part = [];
  }
  return taken;
}
