import type { Socket, SocketHandlers } from '../client/environment.ts';

/** What this file takes of the platform. A body comes in pieces, which are bytes on the web. */
export interface EventGlobals<Piece = Uint8Array> {
  readonly fetch: (url: string, init: object) => Promise<EventAnswer<Piece>>;
  readonly AbortController: new () => { readonly signal: object; abort(): void };
  readonly TextDecoder: new () => Decoder<Piece>;
}

export interface EventAnswer<Piece = Uint8Array> {
  readonly status: number;
  readonly body?: { getReader(): PieceReader<Piece> } | null;
  text(): Promise<string>;
}

export interface PieceReader<Piece> {
  read(): Promise<{ readonly done: boolean; readonly value?: Piece }>;
}

interface Decoder<Piece> {
  decode(piece?: Piece, options?: { stream: boolean }): string;
}

/** A push has at most so many characters, or one message that is longer. */
const PUSH_CHARS_MAX = 1 << 20;

/** The code of an end that no close frame told, as WebSockets have it. */
const LOST = 1006;

/**
 * Opens an event stream (`GET url`) with pushes (`POST url`) that behaves as a WebSocket does: open
 * once the server named the session, and over when either direction fails (instant-realtime §2.2).
 */
export function openEvents<Piece>(
  globals: EventGlobals<Piece>,
  url: string,
  handlers: SocketHandlers,
): Socket {
  const socket = new EventSocket(globals, url, handlers);
  void socket.read();
  return socket;
}

class EventSocket<Piece> implements Socket {
  readonly #globals: EventGlobals<Piece>;
  readonly #url: string;
  readonly #handlers: SocketHandlers;
  readonly #abort: { readonly signal: object; abort(): void };
  /** What every push must present; null before the server told it. */
  #ticket: object | null = null;
  /** Messages that wait for the push under way. */
  #waiting: string[] = [];
  #isPushing = false;
  #isClosed = false;

  constructor(globals: EventGlobals<Piece>, url: string, handlers: SocketHandlers) {
    this.#globals = globals;
    this.#url = url;
    this.#handlers = handlers;
    this.#abort = new globals.AbortController();
  }

  send(text: string): void {
    if (this.#isClosed || this.#ticket === null) return;
    this.#waiting.push(text);
    // Messages of one turn leave together.
    if (!this.#isPushing) void this.#push(this.#ticket);
  }

  close(): void {
    this.#end(1000);
  }

  /** Reads events until the stream ends. */
  async read(): Promise<void> {
    try {
      const headers = { accept: 'text/event-stream' };
      const { signal } = this.#abort;
      const answer = await this.#globals.fetch(this.#url, { headers, signal, cache: 'no-store' });
      if (answer.status !== 200 || !answer.body) return this.#end(LOST);
      const reader = answer.body.getReader();
      const decoder = new this.#globals.TextDecoder();
      const parser = new EventParser((data) => this.#take(data));
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#isClosed) break;
        parser.feed(decoder.decode(value, { stream: true }));
      }
    } catch {
      // The network failed, or `close` ended the request.
    }
    this.#end(LOST);
  }

  #take(data: string): void {
    if (this.#isClosed) return;
    if (this.#ticket !== null) return this.#handlers.message(data);
    const first = JSON.parse(data) as Readonly<Record<string, unknown>> | null;
    if (first?.op !== 'sse-init') return;
    this.#ticket = {
      machine_id: first['machine-id'],
      session_id: first['session-id'],
      sse_token: first['sse-token'],
    };
    this.#handlers.opened();
  }

  /** Pushes what waits, one push at a time: so the server gets messages in order. */
  async #push(ticket: object): Promise<void> {
    this.#isPushing = true;
    try {
      await Promise.resolve();
      while (this.#waiting.length > 0 && !this.#isClosed) {
        const messages = this.#nextMessages().join(',');
        const answer = await this.#globals.fetch(this.#url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: `${JSON.stringify(ticket).slice(0, -1)},"messages":[${messages}]}`,
          signal: this.#abort.signal,
        });
        if (answer.status < 200 || answer.status > 299) return this.#end(LOST);
        await answer.text();
      }
    } catch {
      this.#end(LOST);
    } finally {
      this.#isPushing = false;
    }
  }

  #nextMessages(): string[] {
    let chars = 0;
    const end = this.#waiting.findIndex((text) => (chars += text.length) > PUSH_CHARS_MAX);
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end));
  }

  #end(code: number): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting = [];
    this.#abort.abort();
    this.#handlers.closed(code);
  }
}

/** Splits the text of an event stream into the data of its events, however it is cut. */
export class EventParser {
  readonly #tell: (data: string) => void;
  /** The begin of a line whose end has not come. */
  #rest = '';
  #data: string[] = [];

  /** tell  called with the data of each event that has any */
  constructor(tell: (data: string) => void) {
    this.#tell = tell;
  }

  feed(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  #line(line: string): void {
    if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    // Comments keep the stream open; other fields mean nothing here.
    if (line !== '' || this.#data.length === 0) return;
    const data = this.#data.join('\n');
    this.#data = [];
    this.#tell(data);
  }
}
