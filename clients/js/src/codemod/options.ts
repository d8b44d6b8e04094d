import type { Change, Edit, Note } from './edit.ts';
import type { Import } from './imports.ts';
import { closing, type Token } from './tokens.ts';

/** One entry of an object that is written out. */
interface Entry {
  /** Null for `...others`. */
  readonly name: string | null;
  readonly key: Token;
  /** Null where the name is the value: `{ apiURI }`. */
  readonly value: { readonly start: number; readonly end: number } | null;
  readonly start: number;
  readonly end: number;
  /** Behind the comma that follows, if one does. */
  readonly next: number;
}

/** Functions that open a database or an API, which take the address of a server. */
const OPENERS: ReadonlySet<string> = new Set(['init', 'init_experimental', 'PlatformApi']);

/** Where the original's own servers are. */
const HOSTED = /\bapi\.instantdb\.com\b/;

/** Options that are taken and do nothing here, or that are not taken. */
const IGNORED: ReadonlySet<string> = new Set([
  'devtool',
  'verbose',
  'logger',
  'queryCacheLimit',
  'disableValidation',
]);
const REFUSED: Readonly<Record<string, string>> = {
  useDateObjects: 'dates are text or numbers here, never `Date`',
  Store: 'other places to keep data have another form here: `Environment.disks`',
  WritableStream: 'streams are those of the platform',
  ReadableStream: 'streams are those of the platform',
};

/**
 * Makes the options of `init` and `new PlatformApi` those of this package: `server` in the place of
 * `apiURI` and `websocketURI`.
 *
 * imports  what the file takes, of the original or of this package already
 * server   the address for calls that name none, or one of the original's own
 */
export function movedOptions(
  source: string,
  tokens: readonly Token[],
  imports: readonly Import[],
  server: string | null,
): Change {
  const edits: Edit[] = [];
  const notes: Note[] = [];
  const quote = imports[0]?.token.text[0] ?? "'";
  for (const open of calls(tokens, imports)) {
    const argument = tokens[open + 1];
    if (argument?.text === ')') continue;
    const entries = argument?.text === '{' ? entriesOf(tokens, open + 1) : null;
    if (entries === null) {
      notes.push({
        at: tokens[open]!.start,
        why: 'its options are not written here: see that they have `server`',
      });
      continue;
    }
    const call = new Options(source, entries, quote, argument!.end);
    call.move(server);
    edits.push(...call.edits);
    notes.push(...call.notes);
  }
  return { edits, notes };
}

/** Indexes of the brackets that open the arguments of each call. */
function* calls(tokens: readonly Token[], imports: readonly Import[]): Generator<number> {
  const names = new Set(
    imports.flatMap(({ taken }) =>
      taken.filter(({ name }) => OPENERS.has(name)).map(({ local }) => local),
    ),
  );
  const wholes = new Set(imports.flatMap(({ whole }) => whole ?? []));
  for (const [index, { kind, text }] of tokens.entries()) {
    if (kind !== 'word') continue;
    const [before, earlier] = [tokens[index - 1]?.text, tokens[index - 2]?.text];
    const isNamed = names.has(text) && before !== '.' && before !== 'function';
    const isPart = OPENERS.has(text) && before === '.' && wholes.has(earlier ?? '');
    if (!isNamed && !isPart) continue;
    let open = index + 1;
    // Arguments of types: `init<AppSchema>({…})`.
    if (tokens[open]?.text === '<') open = closing(tokens, open) + 1;
    if (open > 0 && tokens[open]?.text === '(') yield open;
  }
}

/** What stands in the braces at `open`; null if they do not close. */
function entriesOf(tokens: readonly Token[], open: number): Entry[] | null {
  const close = closing(tokens, open);
  if (close < 0) return null;
  const entries: Entry[] = [];
  let from = open + 1;
  for (let at = open + 1; at <= close; at += 1) {
    const { kind, text } = tokens[at]!;
    if (at < close && kind === 'mark' && /[([{]/.test(text)) {
      at = closing(tokens, at);
      if (at < 0) return null;
    } else if (at === close || (kind === 'mark' && text === ',')) {
      const next = tokens[at]!;
      if (at > from) entries.push(entryOf(tokens.slice(from, at), at === close ? null : next));
      from = at + 1;
    }
  }
  return entries;
}

function entryOf(tokens: readonly Token[], comma: Token | null): Entry {
  const [key, colon, first] = tokens as [Token, Token?, Token?];
  const { end } = tokens.at(-1)!;
  const isName = key.kind !== 'mark' && (colon === undefined || colon.text === ':');
  return {
    name: isName ? key.text.replace(/^['"]|['"]$/g, '') : null,
    key,
    value: colon?.text === ':' && first ? { start: first.start, end } : null,
    start: key.start,
    end,
    next: comma?.end ?? end,
  };
}

/** The options of one call. */
class Options {
  readonly edits: Edit[] = [];
  readonly notes: Note[] = [];
  readonly #source: string;
  readonly #entries: readonly Entry[];
  readonly #quote: string;
  readonly #begin: number;

  /** begin  behind the brace that opens them */
  constructor(source: string, entries: readonly Entry[], quote: string, begin: number) {
    this.#source = source;
    this.#entries = entries;
    this.#quote = quote;
    this.#begin = begin;
  }

  move(server: string | null): void {
    for (const entry of this.#entries) {
      const why = REFUSED[entry.name ?? ''];
      if (why && this.#valueOf(entry) !== 'false') this.#note(entry, `\`${entry.name}\`: ${why}`);
      if (IGNORED.has(entry.name ?? '')) this.#note(entry, `\`${entry.name}\` does nothing here`);
    }
    if (this.#find('server')) return;
    const [http, socket] = [this.#find('apiURI'), this.#find('websocketURI')];
    if (!http && !socket) return this.#add(server);
    if (http) {
      if (!this.#rename(http, server)) return;
      if (!socket) return;
      if (server !== null || this.#valueOf(socket).includes('/runtime/session'))
        this.#remove(socket);
      else this.#note(socket, '`websocketURI` is kept: it may go if it is of the same server');
      return;
    }
    this.#fromSocket(socket!, server);
  }

  /** `apiURI` becomes `server`. Returns whether it did. */
  #rename(entry: Entry, server: string | null): boolean {
    const isHosted = HOSTED.test(this.#valueOf(entry));
    if (isHosted && server === null) {
      this.#note(entry, 'this is a server of Instant: give the address of yours with --server');
      return false;
    }
    const what = 'apiURI → server';
    if (isHosted) this.#replace(entry, server!, what);
    else if (this.#valueOf(entry) === 'server' && entry.value)
      this.#edit(entry.start, entry.end, 'server', what);
    else if (entry.value) this.#edit(entry.key.start, entry.key.end, 'server', what);
    else this.#edit(entry.start, entry.end, `server: ${this.#valueOf(entry)}`, what);
    return true;
  }

  /** Only `websocketURI` is there: the server is the origin of an address that is written out. */
  #fromSocket(entry: Entry, server: string | null): void {
    const value = this.#valueOf(entry);
    const written = /^['"`]ws(s?:\/\/[^/'"`$]+)\/runtime\/session['"`]$/.exec(value);
    const isHosted = HOSTED.test(value);
    if (server !== null) this.#replace(entry, server, 'websocketURI → server');
    else if (written && !isHosted)
      this.#replace(entry, `http${written[1]}`, 'websocketURI → server');
    else if (isHosted)
      this.#note(entry, 'this is a server of Instant: give the address of yours with --server');
    else this.#note(entry, '`websocketURI` is kept: add `server`, the address for the rest');
  }

  /** Adds `server` behind `appId`, or in front. */
  #add(server: string | null): void {
    const last = this.#entries.find(({ name }) => name === 'appId') ?? this.#entries[0];
    const at = last?.start ?? this.#begin;
    if (this.#entries.some(({ name, key }) => name === null && key.text === '.')) {
      const why = 'some of its options are not written here: see that they have `server`';
      return void this.notes.push({ at, why });
    }
    if (server === null) {
      const why = 'it names no server: give one with --server, else it is http://localhost:8888';
      return void this.notes.push({ at, why });
    }
    const option = `server: ${this.#quote}${server}${this.#quote}`;
    if (!last) return this.#edit(this.#begin, this.#begin, ` ${option} `, `+ ${option}`);
    const line = this.#source.slice(this.#source.lastIndexOf('\n', last.start - 1) + 1, last.start);
    const newline = this.#source.includes('\r\n') ? '\r\n' : '\n';
    // On a line of its own where the others are.
    const gap = /^\s*$/.test(line) ? `${newline}${line}` : ' ';
    const isLast = last.next === last.end;
    const text = isLast ? `,${gap}${option}` : `${gap}${option},`;
    this.#edit(last.next, last.next, text, `+ ${option}`);
  }

  #replace(entry: Entry, server: string, what: string): void {
    const text = `server: ${this.#quote}${server}${this.#quote}`;
    this.#edit(entry.start, entry.end, text, what);
  }

  /** Takes an entry out, its lines too if nothing else is on them. */
  #remove(entry: Entry): void {
    const from = this.#source.lastIndexOf('\n', entry.start - 1) + 1;
    const newline = this.#source.indexOf('\n', entry.next);
    const to = newline < 0 ? this.#source.length : newline + 1;
    const around = this.#source.slice(from, entry.start) + this.#source.slice(entry.next, to);
    const what = '- websocketURI';
    if (/^\s*$/.test(around)) return this.#edit(from, to, '', what);
    const before = this.#entries[this.#entries.indexOf(entry) - 1];
    if (entry.next > entry.end) {
      const gap = /^[ \t]*/.exec(this.#source.slice(entry.next))![0].length;
      this.#edit(entry.start, entry.next + gap, '', what);
    } else this.#edit(before?.end ?? entry.start, entry.end, '', what);
  }

  #find(name: string): Entry | undefined {
    return this.#entries.find((entry) => entry.name === name);
  }

  #valueOf({ value, start, end }: Entry): string {
    return value ? this.#source.slice(value.start, value.end) : this.#source.slice(start, end);
  }

  #edit(start: number, end: number, text: string, what: string): void {
    this.edits.push({ start, end, text, what });
  }

  #note(entry: Entry, why: string): void {
    this.notes.push({ at: entry.start, why });
  }
}
