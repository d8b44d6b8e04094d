/**
 * A piece of source.
 *
 *   word      a name, a keyword or a number
 *   string    with its quotes; it ends on the line where it begins
 *   template  whole, with what is in it
 *   mark      one character of punctuation
 */
export interface Token {
  readonly kind: 'word' | 'string' | 'template' | 'mark';
  readonly text: string;
  /** Places in the source, the end exclusive. */
  readonly start: number;
  readonly end: number;
}

const WORD = /[\p{L}\p{N}_$#]+/uy;
const STRING = /'(?:[^'\\\r\n]|\\(?:\r\n|[^]))*'|"(?:[^"\\\r\n]|\\(?:\r\n|[^]))*"/y;
const REGEX = /\/(?![*/])(?:[^/\\[\r\n]|\\[^\r\n]|\[(?:[^\]\\\r\n]|\\[^\r\n])*\])+\/[a-z]*/y;
const LINE = /\/\/[^\r\n]*/y;
const BLOCK = /\/\*[^]*?\*\//y;

/** A word after which a slash begins a pattern, and does not divide. */
const BEFORE_REGEX = /^(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/;

/**
 * Source of JavaScript or TypeScript, with JSX or without, as tokens. Comments are left out.
 *
 * It knows no grammar: a quote in the text of JSX that does not close on its line is a mark, so
 * what it takes wrongly ends with the line. Only templates and comments go on over lines.
 *
 * returns  null where a template or comment does not end: it is not understood
 * cost     O(length)
 */
export function tokensOf(source: string): Token[] | null {
  const tokens: Token[] = [];
  let at = source.startsWith('#!') ? source.search(/[\r\n]|$/) : 0;
  while (at < source.length) {
    const char = source[at]!;
    if (/\s/.test(char)) {
      at += 1;
      continue;
    }
    const comment = matched(LINE, source, at) ?? matched(BLOCK, source, at);
    if (comment !== null) {
      at += comment.length;
      continue;
    }
    if (source.startsWith('/*', at)) return null;
    const token = char === '`' ? template(source, at) : simple(source, at, tokens.at(-1));
    if (token === null) return null;
    tokens.push(token);
    at = token.end;
  }
  return tokens;
}

function simple(source: string, at: number, before: Token | undefined): Token {
  const make = (kind: Token['kind'], text: string) => ({
    kind,
    text,
    start: at,
    end: at + text.length,
  });
  const word = matched(WORD, source, at);
  if (word !== null) return make('word', word);
  const string = matched(STRING, source, at);
  if (string !== null) return make('string', string);
  // A pattern counts as a word: it is a value.
  const regex = mayBeRegex(before) ? matched(REGEX, source, at) : null;
  return regex === null ? make('mark', source[at]!) : make('word', regex);
}

/** Whether a slash begins a pattern. After `<` it ends an element of JSX. */
function mayBeRegex(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === 'word') return BEFORE_REGEX.test(before.text);
  return before.kind === 'mark' && !/[)\]}<]/.test(before.text);
}

function template(source: string, start: number): Token | null {
  let at = start + 1;
  while (at < source.length) {
    if (source[at] === '`')
      return { kind: 'template', text: source.slice(start, at + 1), start, end: at + 1 };
    if (source[at] === '\\') at += 2;
    else if (source.startsWith('${', at)) {
      const end = endOfHole(source, at + 2);
      if (end === null) return null;
      at = end;
    } else at += 1;
  }
  return null;
}

/** The place behind the brace that closes `${`. */
function endOfHole(source: string, start: number): number | null {
  let depth = 1;
  let before: Token | undefined;
  let at = start;
  while (at < source.length) {
    const skipped = /\s/.test(source[at]!) ? source[at]! : matched(BLOCK, source, at);
    if (skipped !== null) {
      at += skipped.length;
      continue;
    }
    const token = source[at] === '`' ? template(source, at) : simple(source, at, before);
    if (token === null) return null;
    if (token.text === '{') depth += 1;
    if (token.text === '}') depth -= 1;
    at = token.end;
    if (depth === 0) return at;
    before = token;
  }
  return null;
}

function matched(pattern: RegExp, source: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0] ?? null;
}

const CLOSED_BY: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}', '<': '>' };

/** The index of the token that closes the bracket at `index`; -1 if none does. */
export function closing(tokens: readonly Token[], index: number): number {
  const open = tokens[index]!.text;
  const close = CLOSED_BY[open]!;
  let depth = 0;
  for (let at = index; at < tokens.length; at += 1) {
    if (tokens[at]!.kind !== 'mark') continue;
    if (tokens[at]!.text === open) depth += 1;
    // The arrow of a function closes nothing.
    else if (tokens[at]!.text === close && tokens[at - 1]!.text !== '=') depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}

/** The index of the token that opens the bracket closed at `index`; -1 if none does. */
export function opening(tokens: readonly Token[], index: number): number {
  const close = tokens[index]!.text;
  const open = Object.keys(CLOSED_BY).find((one) => CLOSED_BY[one] === close);
  let depth = 0;
  for (let at = index; at >= 0; at -= 1) {
    if (tokens[at]!.kind !== 'mark') continue;
    if (tokens[at]!.text === close) depth += 1;
    if (tokens[at]!.text === open) depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}
