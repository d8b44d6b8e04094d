import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { TSC } from './compiler.ts';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly result?: unknown;
}

/** Asks the compiler as editors do: the language server protocol over its standard input. */
export class Editor {
  readonly #server: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #received = Buffer.alloc(0);
  #lastId = 0;

  constructor() {
    this.#server = spawn(process.execPath, [TSC, '--lsp', '--stdio']);
    this.#server.stdout.on('data', (bytes: Buffer) => this.#take(bytes));
  }

  /** What an editor shows of the names that stand above a mark `^?`, in order. */
  async hovers(file: string): Promise<string[]> {
    return (await this.#askAtMarks('textDocument/hover', file)).map(shown);
  }

  /** The names that an editor offers where a mark `^?` points to, in order. */
  async completions(file: string): Promise<string[][]> {
    return (await this.#askAtMarks('textDocument/completion', file)).map(offered);
  }

  async #askAtMarks(method: string, file: string): Promise<unknown[]> {
    const capabilities = { textDocument: { hover: { contentFormat: ['markdown'] } } };
    await this.#ask('initialize', { processId: process.pid, rootUri: null, capabilities });
    this.#send({ method: 'initialized', params: {} });
    const uri = pathToFileURL(file).href;
    const text = readFileSync(file, 'utf8');
    const textDocument = { uri, languageId: 'typescript', version: 1, text };
    this.#send({ method: 'textDocument/didOpen', params: { textDocument } });
    const marks = text.split('\n').flatMap((line, number) => {
      const character = line.indexOf('^?');
      return character < 0 ? [] : [{ line: number - 1, character }];
    });
    const answers = marks.map((position) => this.#ask(method, { textDocument: { uri }, position }));
    return Promise.all(answers);
  }

  close(): void {
    this.#server.kill();
  }

  #ask(method: string, params: object): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#send({ id, method, params });
    return answer;
  }

  #send(message: object): void {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.#server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  /** Messages stand behind a header with their length in bytes. */
  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n');
      const header = /Content-Length: (\d+)/.exec(this.#received.toString('utf8', 0, end));
      if (end < 0 || !header) return;
      const [start, length] = [end + 4, Number(header[1])];
      if (this.#received.length < start + length) return;
      const body = this.#received.toString('utf8', start, start + length);
      this.#received = this.#received.subarray(start + length);
      const { id, method, result } = JSON.parse(body) as Message;
      if (typeof id === 'number' && method === undefined) this.#waiting.get(id)?.(result);
      // What the server asks of an editor: this one has no wishes.
      else if (id !== undefined) this.#send({ id, result: null });
    }
  }
}

/** The code of a hover, without its fence and documentation. */
function shown(hover: unknown): string {
  const { contents } = hover as { contents: { value: string } | string };
  const text = typeof contents === 'string' ? contents : contents.value;
  return /```\w*\n([^]*?)\n```/.exec(text)?.[1] ?? text;
}

interface Offer {
  readonly label: string;
  readonly kind: number;
}

/** Kinds of what is not there by itself: fields, properties, members of a union, constants. */
const NAMES = new Set([5, 10, 12, 20, 21]);

function offered(answer: unknown): string[] {
  const { items } = answer as { items: readonly Offer[] };
  return items
    .filter(({ kind }) => NAMES.has(kind))
    .map(({ label }) => label.replace('?', ''))
    .sort();
}
