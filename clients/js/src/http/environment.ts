import type { Environment, FetchInit } from '../client/environment.ts';

/**
 * What requests from a program on a server need of the place it runs in: Node, Bun, Deno, an edge
 * runtime, or a test.
 */
export interface HttpEnvironment extends Pick<Environment, 'now' | 'random' | 'id' | 'timer'> {
  /** Rejects where no answer came, also after `cancel`. */
  fetch(url: string, init: RequestInit): Promise<Answer>;
  /** What ends requests. `signal` goes into their `init`. */
  canceller(): Canceller;
  /** A stream of the web that is made while it is read; also a body for `fetch`. */
  streamOf(pieces: AsyncIterable<unknown>): object;
  /** A stream of the web that ends in `sink`. */
  writableOf(sink: Sink): object;
  /** The bytes of a text in UTF-8. */
  encode(text: string): Uint8Array;
  /** Whether an Ed25519 signature of a text was made with the key of a JWK. */
  verify(jwk: object, signature: Uint8Array, text: string): Promise<boolean>;
  /** Tells the programmer of an error in a function of theirs that cannot be thrown to anyone. */
  report(error: unknown): void;
}

export interface RequestInit extends FetchInit {
  readonly signal?: object;
  /** Says that the body is a stream, as fetch demands. */
  readonly duplex?: 'half';
  /** What else the app gives to `fetch`, such as `next` or `cache`. */
  readonly [option: string]: unknown;
}

export interface Answer {
  readonly status: number;
  /** In lower case without parameters, `application/json`; empty where there is none. */
  readonly contentType: string;
  header(name: string): string | null;
  text(): Promise<string>;
  /** The body as it comes, decoded: a character never lies in two pieces. */
  texts(): AsyncIterable<string>;
}

/** Where a stream ends. One call at a time; the next waits for its promise. */
export interface Sink {
  write(piece: unknown): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}

export interface Canceller {
  readonly signal: object;
  cancel(): void;
}
