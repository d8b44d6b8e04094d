import { failure } from '../errors.ts';
import type { ReadOptions } from '../streams/reader.ts';
import type { StreamEnds } from '../streams/streams.ts';
import type { WriteOptions } from '../streams/writer.ts';
import { fetchLater } from './code.ts';
import type { Environment, StreamMaker } from './environment.ts';
import { Lazy } from './lazy.ts';
import type { Tabs } from './tabs.ts';

/** The platform's class of a name, for programs that have its type. */
type Platform<Name extends string, Else> = typeof globalThis extends {
  [name in Name]: { prototype: infer Stream };
}
  ? Stream
  : Else;

/** A ReadableStream of texts. */
export type ReadStream = Platform<'ReadableStream', object> &
  AsyncIterable<string> & {
    /** The id of the stream, once the server named it. */
    streamId(): Promise<string>;
  };

/** A WritableStream of texts. Closing it resolves once all of it is durable. */
export type WriteStream = Platform<'WritableStream', object> & {
  /** The id of the stream, once the server named it. */
  streamId(): Promise<string>;
};

/** Texts that one client writes and many read while they grow; they stay when they are done. */
export class Streams {
  readonly #environment: Environment;
  readonly #ends: Lazy<StreamEnds>;

  /** origin  of the server */
  constructor(environment: Environment, tabs: Tabs, origin: string) {
    this.#environment = environment;
    this.#ends = new Lazy(environment, async () => {
      const code = await fetchLater();
      const session = code.lineOf(tabs);
      const ends = new code.StreamEnds(environment, session, origin);
      session.add(ends);
      return ends;
    });
  }

  /**
   * Reads a stream, by its name or its id, from a byte on. It goes on by itself after lost
   * connections; a reader that is 4 MiB behind is told more when it has caught up.
   */
  createReadStream = (opts: ReadOptions): ReadStream => {
    const maker = this.#maker();
    if (!opts.clientId && !opts.streamId) throw failure('param-missing/stream');
    const reader = this.#with((ends) => ends.read(opts));
    const stream = maker.readable({
      next: async () => (await reader).next(),
      cancel: async () => (await reader).cancel(),
    });
    const streamId = async () => (await reader).streamId;
    return Object.assign(stream, { streamId }) as unknown as ReadStream;
  };

  /**
   * Writes a new stream under a name that no other has. What is written is kept until it is
   * durable, and sent again after a lost connection; while 2 MiB of it wait, writing waits too.
   *
   * waitUntil  is given a promise that settles once all is durable: keeps a program alive so long
   */
  createWriteStream = (
    opts: WriteOptions & { waitUntil?: (promise: Promise<unknown>) => unknown },
  ): WriteStream => {
    const maker = this.#maker();
    const writer = this.#with((ends) => ends.write(opts));
    const over = writer.then((one) => one.over);
    over.catch(() => {});
    opts.waitUntil?.(over.catch(() => {}));
    const stream = maker.writable({
      write: async (text) => (await writer).write(text),
      close: async () => (await writer).close(),
      abort: async (reason) =>
        (await writer).close(reason === undefined ? 'aborted' : String(reason)),
      failed: over,
    });
    const streamId = async () => (await writer).streamId;
    return Object.assign(stream, { streamId }) as unknown as WriteStream;
  };

  #with<T>(make: (ends: StreamEnds) => T): Promise<T> {
    return new Promise((resolve) => this.#ends.call((ends) => resolve(make(ends))));
  }

  #maker(): StreamMaker {
    const { streams } = this.#environment;
    if (streams) return streams;
    throw failure('streams-missing');
  }
}
