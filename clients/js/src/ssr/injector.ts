import type { HttpEnvironment } from '../http/environment.ts';

/** The end of the head of a page, in bytes. */
const HEAD_END = [...'</head>'].map((character) => character.charCodeAt(0));

/** Behind it a script may stand, and not within a tag or a text. */
const TAG_END = '>'.charCodeAt(0);

/** So many bytes of a page wait for their reader, at most; then whoever writes waits. */
const WAITING_BYTES_MAX = 1024 * 1024;

/**
 * A pair of streams of the web: what is written into one comes out of the other. The types of
 * browsers and of Node differ for them, and `pipeThrough` of either takes the pair.
 */
export interface Injector {
  readonly writable: any;
  readonly readable: any;
}

/**
 * Puts scripts into a page while it streams: in front of what is shown by them, and in the first
 * piece at the end of the head, or behind the piece if that has none.
 *
 * A renderer writes a piece in many parts, at once and cut anywhere; so what comes in one turn is
 * one piece, and scripts go between pieces.
 *
 * script  what the page lacks by now, as an element; empty: nothing
 */
export function injectorOf(environment: HttpEnvironment, script: () => string): Injector {
  const page = new Page(environment, script);
  return {
    writable: environment.writableOf({
      write: (part) => page.write(part as Uint8Array | string),
      close: async () => page.close(),
      abort: async (reason) => page.fail(reason),
    }),
    readable: environment.streamOf(page.pieces()),
  };
}

class Page {
  readonly #environment: HttpEnvironment;
  readonly #script: () => string;
  #parts: Uint8Array[] = [];
  readonly #pieces: Uint8Array[] = [];
  #waitingBytes = 0;
  #isFirst = true;
  /** The last byte that was put is the end of a tag. */
  #isBetween = false;
  /** Scripts that found no place yet. */
  #held = '';
  #isEnded = false;
  #failure: { readonly reason: unknown } | null = null;
  #isDue = false;
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};

  constructor(environment: HttpEnvironment, script: () => string) {
    this.#environment = environment;
    this.#script = script;
  }

  async write(part: Uint8Array | string): Promise<void> {
    while (this.#waitingBytes > WAITING_BYTES_MAX && !this.#isDue && !this.#isEnded)
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
    const bytes = typeof part === 'string' ? this.#environment.encode(part) : part;
    // A renderer uses its memory again.
    this.#parts.push(bytes.slice());
    this.#waitingBytes += bytes.length;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#environment.timer(0, () => this.#end());
  }

  close(): void {
    this.#end();
    this.#held += this.#script();
    this.#isBetween = true;
    this.#putScript();
    this.#isEnded = true;
    this.#wakeReader();
  }

  fail(reason: unknown): void {
    this.#failure = { reason };
    this.#isEnded = true;
    this.#wakeReader();
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece) {
          this.#waitingBytes -= piece.length;
          this.#wakeWriter();
          yield piece;
        } else if (this.#failure) throw this.#failure.reason;
        else if (this.#isEnded) return;
        else await new Promise<void>((resolve) => (this.#wakeReader = resolve));
      }
    } finally {
      // Nobody reads any more: whoever writes need not wait.
      this.#isEnded = true;
      this.#wakeWriter();
    }
  }

  /** What was written in this turn is a piece. */
  #end(): void {
    this.#isDue = false;
    if (this.#parts.length === 0) return;
    const piece = joined(this.#parts);
    this.#parts = [];
    this.#held += this.#script();
    if (this.#isFirst) this.#putFirst(piece);
    else {
      this.#putScript();
      this.#put(piece);
    }
    this.#isFirst = false;
    this.#wakeReader();
  }

  #putFirst(piece: Uint8Array): void {
    const end = headEnd(piece);
    if (end > 0) this.#put(piece.slice(0, end));
    this.#putScript();
    this.#put(end > 0 ? piece.slice(end) : piece);
    this.#putScript();
  }

  #put(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#isBetween = bytes.at(-1) === TAG_END;
  }

  /** Puts what the page lacks, unless the renderer stopped within a tag or a text. */
  #putScript(): void {
    if (!this.#isBetween || this.#held === '') return;
    const bytes = this.#environment.encode(this.#held);
    this.#held = '';
    this.#waitingBytes += bytes.length;
    this.#pieces.push(bytes);
  }
}

/** Where the head ends; -1: it does not. */
function headEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(HEAD_END[0]!); at >= 0; at = bytes.indexOf(HEAD_END[0]!, at + 1))
    if (HEAD_END.every((byte, place) => bytes[at + place] === byte)) return at;
  return -1;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
