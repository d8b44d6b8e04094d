import type { Answer, HttpEnvironment, RequestInit } from '../http/environment.ts';
import { idMaker } from './id.ts';

/** What this file takes of its place: Node, Bun, Deno and edge runtimes all have it. */
interface Globals {
  readonly crypto: { getRandomValues(bytes: Uint8Array): unknown; readonly subtle: SubtleLike };
  readonly fetch: (url: string, init: object) => Promise<ResponseLike>;
  readonly setTimeout: (then: () => void, delayMs: number) => unknown;
  readonly clearTimeout: (timer: never) => void;
  readonly AbortController: new () => { readonly signal: object; abort(): void };
  readonly TextDecoder: new (
    encoding: string,
    options: object,
  ) => {
    decode(bytes?: Uint8Array, options?: { stream: boolean }): string;
  };
  readonly TextEncoder: new () => { encode(text: string): Uint8Array };
  readonly ReadableStream: new (source: object) => object;
  readonly WritableStream: new (sink: object) => object;
  readonly console: { error(...what: unknown[]): void };
}

interface SubtleLike {
  importKey(
    format: string,
    jwk: object,
    algorithm: string,
    mayLeave: boolean,
    uses: string[],
  ): Promise<object>;
  verify(
    algorithm: string,
    key: object,
    signature: Uint8Array,
    bytes: Uint8Array,
  ): Promise<boolean>;
}

interface ResponseLike {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): ReaderLike } | null;
  text(): Promise<string>;
}

interface ReaderLike {
  read(): Promise<{ done: boolean; value?: Uint8Array }>;
  cancel(): Promise<void>;
}

/** The environment of programs on servers. */
export function fetchEnvironment(globals = globalThis as unknown as Globals): HttpEnvironment {
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    id: idMaker(Date.now, (bytes) => globals.crypto.getRandomValues(bytes)),
    timer(delayMs, then) {
      const timer = globals.setTimeout(then, delayMs);
      return () => globals.clearTimeout(timer as never);
    },
    async fetch(url, init) {
      return answerOf(await globals.fetch(url, uncached(init, globals)), globals);
    },
    canceller() {
      const controller = new globals.AbortController();
      return { signal: controller.signal, cancel: () => controller.abort() };
    },
    streamOf: (pieces) => streamOf(pieces, globals),
    writableOf: (sink) => new globals.WritableStream(sink),
    encode: (text) => new globals.TextEncoder().encode(text),
    async verify(jwk, signature, text) {
      const { subtle } = globals.crypto;
      const key = await subtle.importKey('jwk', jwk, 'Ed25519', false, ['verify']);
      return subtle.verify('Ed25519', key, signature, new globals.TextEncoder().encode(text));
    },
    report: (error) => globals.console.error(error),
  };
}

function answerOf(response: ResponseLike, globals: Globals): Answer {
  return {
    status: response.status,
    contentType: (response.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase(),
    header: (name) => response.headers.get(name),
    text: () => response.text(),
    texts: () => textsOf(response, globals),
  };
}

/** One decoder for the whole body: the network cuts it anywhere, also inside of a character. */
async function* textsOf({ body }: ResponseLike, globals: Globals): AsyncGenerator<string> {
  if (body === null) return;
  const reader = body.getReader();
  // A mark that stands at the beginning is text: offsets count it.
  const decoder = new globals.TextDecoder('utf-8', { ignoreBOM: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
      if (text !== '') yield text;
      if (done) return;
    }
  } finally {
    // Whoever stops reading wants no more of it; the connection may be gone already.
    await reader.cancel().catch(() => undefined);
  }
}

function streamOf(pieces: AsyncIterable<unknown>, globals: Globals): object {
  const iterator = pieces[Symbol.asyncIterator]();
  return new globals.ReadableStream({
    async pull(stream: { enqueue(piece: unknown): void; close(): void }) {
      const { done, value } = await iterator.next();
      if (done) stream.close();
      else stream.enqueue(value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

/** Next 13 and 14 keep answers of fetch unless they are told not to; others may not know how. */
function uncached(init: RequestInit, { fetch }: Globals): RequestInit {
  const isPatched = '__nextPatched' in fetch;
  const isNewer = Symbol.for('next-patch') in globalThis;
  return isPatched && !isNewer ? { cache: 'no-store', ...init } : init;
}
