/**
 * The reading end of a stream.
 *
 *     apart ──session, room──> reading ──done, error──> over
 *       ^                          │
 *       └── session lost, buffer full, to be asked again
 *
 * It knows up to which byte it has the stream, and drops what it is told twice.
 */
import type { Environment } from '../client/environment.ts';
import type { Http } from '../client/http.ts';
import { TriceError } from '../errors.ts';
import type { Message, PartSession } from '../session/part.ts';
import { isObject } from '../values/json.ts';
import { withoutBytes } from '../values/utf8.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';

/** Bytes that wait for somebody to read them; then the server is told to stop. */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024;

const RETRY_MS = 500;
const RETRY_MS_MAX = 15_000;

/** Failures in a row, between which nothing came. */
const FAILURES_MAX = 10;

/** Codes of errors after which the same question may succeed. */
const NOT_NOW = new Set(['rate-limited', 'overloaded', 'timeout']);

const BOM = '\ufeff';
const BOM_BYTES = 3;

/** Which stream is read, and from where. */
export interface ReadOptions {
  /** The name of the stream, or its id. */
  readonly clientId?: string | null | undefined;
  readonly streamId?: string | null | undefined;
  /** Where to begin; 0. */
  readonly byteOffset?: number | null | undefined;
  readonly ruleParams?: object | null | undefined;
}

export class Reader {
  /** Resolves once the server named the stream. */
  readonly streamId: Promise<string>;
  readonly #options: ReadOptions;
  readonly #environment: Environment;
  readonly #session: PartSession;
  readonly #http: Pick<Http, 'text'>;
  /** Texts that nobody read yet. */
  #texts: string[] = [];
  #bufferBytes = 0;
  /** Too much waits: nothing is asked for before it is read. */
  #isFull = false;
  /** Up to here the stream is known. */
  #offset: number;
  /** The subscription; messages of others are old. */
  #eventId: string | null = null;
  /** Messages are worked off one after the other: their files have to be fetched. */
  #work: Promise<void> = Promise.resolve();
  #failures = 0;
  #isOver = false;
  #error: TriceError | null = null;
  #wanting: (() => void)[] = [];
  #cancelTimer: () => void = () => {};
  #knownAs!: (id: string) => void;
  #unknown!: (error: TriceError) => void;

  constructor(
    options: ReadOptions,
    environment: Environment,
    session: PartSession,
    http: Pick<Http, 'text'>,
  ) {
    this.#options = options;
    this.#offset = options.byteOffset ?? 0;
    this.#environment = environment;
    this.#session = session;
    this.#http = http;
    this.streamId = new Promise((resolve, reject) => {
      this.#knownAs = resolve;
      this.#unknown = reject;
    });
    this.streamId.catch(() => {});
    this.live();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The next text; null: that was all. */
  async next(): Promise<string | null> {
    for (;;) {
      const text = this.#texts.shift();
      if (text !== undefined) {
        this.#bufferBytes -= utf8Bytes(text);
        return text;
      }
      if (this.#error) throw this.#error;
      if (this.#isOver) return null;
      if (this.#isFull) {
        this.#isFull = false;
        this.live();
      }
      await new Promise<void>((resolve) => this.#wanting.push(resolve));
    }
  }

  /** Nobody reads any more. */
  cancel(): void {
    this.#unsubscribe();
    this.#end(null);
  }

  // --- what the session says --------------------------------------------------------------------

  live(): void {
    if (this.#isOver || this.#eventId !== null || this.#isFull) return;
    this.#cancelTimer();
    const { clientId, streamId, ruleParams } = this.#options;
    this.#eventId = this.#session.send('subscribe-stream', {
      ...(streamId ? { 'stream-id': streamId } : { 'client-id': clientId }),
      offset: this.#offset,
      ...(ruleParams ? { 'rule-params': ruleParams } : {}),
    });
  }

  lost(): void {
    this.#cancelTimer();
    this.#eventId = null;
  }

  receive(message: Message): void {
    const eventId = message['client-event-id'];
    if (this.#isOver || this.#eventId === null || eventId !== this.#eventId) return;
    this.#work = this.#work.then(() =>
      eventId === this.#eventId ? this.#take(message) : undefined,
    );
  }

  async #take(message: Message): Promise<void> {
    if (message.op === 'error') {
      const error = TriceError.of(message);
      return NOT_NOW.has(error.code) ? this.#again(error) : this.#end(error);
    }
    if (message.error) {
      const text = typeof message.error === 'string' ? message.error : 'The stream broke off.';
      const code = String(message['error-type'] ?? 'stream-failed');
      const error = new TriceError({ code, message: text });
      return message.retry === true ? this.#again(error) : this.#end(error);
    }
    this.#knownAs(message['stream-id'] as string);
    try {
      await this.#append(message);
    } catch (error) {
      return this.#again(error as TriceError);
    }
    if (message.done === true && this.#eventId !== null) this.#end(null);
  }

  /** Takes what is new of the files and the text of a message. */
  async #append({ offset, files, content, ...message }: Message): Promise<void> {
    if (typeof offset !== 'number') return;
    if (offset > this.#offset) {
      const text = 'The server left out a part of the stream.';
      return this.#end(new TriceError({ code: 'stream-corrupted', message: text }));
    }
    let at = offset;
    for (const file of Array.isArray(files) ? files : []) {
      if (!isObject(file)) continue;
      const size = file.size as number;
      if (at + size > this.#offset) {
        const text = await this.#fetched(file.url as string, size);
        // Another subscription, or the end, came while the file was fetched.
        if (message['client-event-id'] !== this.#eventId) return;
        this.#push(text, at, size);
      }
      at += size;
    }
    if (typeof content === 'string') this.#push(content, at, utf8Bytes(content));
  }

  async #fetched(url: string, size: number): Promise<string> {
    const text = await this.#http.text(url);
    const bytes = utf8Bytes(text);
    if (bytes === size) return text;
    // `text()` takes a mark of byte order away, which is a character of the stream here.
    if (bytes === size - BOM_BYTES) return BOM + text;
    throw new TriceError({ code: 'stream-corrupted', message: 'A part has the wrong size.' });
  }

  /** Takes a text that begins at a byte, without what is known. */
  #push(text: string, at: number, bytes: number): void {
    if (at + bytes <= this.#offset) return;
    const fresh = withoutBytes(text, this.#offset - at);
    this.#offset = at + bytes;
    this.#failures = 0;
    if (fresh === '') return;
    this.#texts.push(fresh);
    this.#bufferBytes += utf8Bytes(fresh);
    this.#wake();
    this.#isFull = this.#bufferBytes >= BUFFER_BYTES_MAX;
    if (this.#isFull) this.#unsubscribe();
  }

  #unsubscribe(): void {
    if (this.#eventId === null) return;
    this.#session.send('unsubscribe-stream', { 'subscribe-event-id': this.#eventId });
    this.#eventId = null;
  }

  /** Asks again, from where it is. */
  #again(error: TriceError): void {
    this.#unsubscribe();
    if (++this.#failures > FAILURES_MAX) return this.#end(error);
    const after = error.hint?.['retry-after'];
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS * (this.#failures - 1));
    this.#cancelTimer = this.#environment.timer(typeof after === 'number' ? after : waitMs, () =>
      this.live(),
    );
  }

  #end(error: TriceError | null): void {
    this.lost();
    this.#isOver = true;
    this.#error = error;
    if (error) this.#unknown(error);
    this.#wake();
  }

  #wake(): void {
    for (const look of this.#wanting.splice(0)) look();
  }
}
