import type { Environment } from '../client/environment.ts';
import { Http } from '../client/http.ts';
import type { Message, Part, PartSession } from '../session/part.ts';
import { Reader, type ReadOptions } from './reader.ts';
import { Writer, type WriteOptions } from './writer.ts';

const OPS = [
  'start-stream',
  'start-stream-ok',
  'append-stream',
  'append-failed',
  'stream-flushed',
  'subscribe-stream',
  'stream-append',
];

/** The streams that are read and written. Each is told what comes, and takes what is its own. */
export class StreamEnds implements Part {
  readonly handlers: Part['handlers'];
  readonly #environment: Environment;
  readonly #session: PartSession;
  readonly #http: Http;
  readonly #ends = new Set<Reader | Writer>();

  constructor(environment: Environment, session: PartSession, origin: string) {
    this.#environment = environment;
    this.#session = session;
    this.#http = new Http(environment, origin);
    const take = (message: Message) => this.#take(message);
    this.handlers = Object.fromEntries(OPS.map((op) => [op, take]));
  }

  /** Whether nothing is read or written. */
  get isIdle(): boolean {
    return this.#ends.size === 0;
  }

  live(): void {
    for (const end of this.#ends) end.live();
  }

  lost(): void {
    for (const end of this.#ends) end.lost();
  }

  read(options: ReadOptions): Reader {
    const reader = new Reader(options, this.#environment, this.#session, this.#http);
    this.#ends.add(reader);
    return reader;
  }

  write(options: WriteOptions): Writer {
    const writer = new Writer(options, this.#environment, this.#session);
    this.#ends.add(writer);
    return writer;
  }

  #take(message: Message): void {
    for (const end of [...this.#ends]) {
      end.receive(message);
      if (end.isOver) this.#ends.delete(end);
    }
  }
}
