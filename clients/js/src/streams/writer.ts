/**
 * The writing end of a stream.
 *
 *     starting ──start-stream-ok──> open ──append-failed, error──> starting
 *        ^                           └──stream-flushed, done──> over
 *        └── session lost: any but over
 *
 * What was written is kept whole until the server says that it is durable, and sent again from
 * there after a lost connection. Offsets are bytes of UTF-8.
 */
import type { Environment } from '../client/environment.ts';
import { TriceError } from '../errors.ts';
import type { Message, PartSession } from '../session/part.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';

/**
 * Bytes that may wait to be durable; then a write waits. The server stores once 1 MiB waits: a
 * writer goes on while it does.
 */
const WAITING_BYTES_MAX = 2 * 1024 * 1024;

/** Characters of one chunk, and bytes of one message. */
const CHUNK_CHARS_MAX = 64 * 1024;
const MESSAGE_BYTES_MAX = 256 * 1024;

const RETRY_MS = 500;
const RETRY_MS_MAX = 15_000;

/** Restarts in a row, after none of which something became durable. */
const TRIES_MAX = 10;

/** Codes of errors that say nothing about what is written. */
const NOT_NOW = new Set(['rate-limited', 'overloaded', 'timeout']);

/** Which stream is written. */
export interface WriteOptions {
  /** The name of the stream, one of the app's. */
  readonly clientId: string;
  readonly ruleParams?: object | null | undefined;
}

export class Writer {
  /** Resolves once the server knows the stream. */
  readonly streamId: Promise<string>;
  /** Resolves once all is durable, rejects if it cannot be. */
  readonly over: Promise<void>;
  readonly #options: WriteOptions;
  readonly #environment: Environment;
  readonly #session: PartSession;
  readonly #token: string;
  /** Chunks that are not durable, and where the first of them begins. */
  #chunks: { readonly text: string; readonly bytes: number }[] = [];
  #begin = 0;
  #end = 0;
  #id: string | null = null;
  /** The `start-stream` under way. */
  #startId: string | null = null;
  #isOpen = false;
  #last: { readonly 'abort-reason'?: string } | null = null;
  #tries = 0;
  #error: TriceError | null = null;
  #isOver = false;
  #waiting: (() => void)[] = [];
  #cancelTimer: () => void = () => {};
  #knownAs!: (id: string) => void;
  #unknown!: (error: TriceError) => void;
  #finished!: () => void;
  #failed!: (error: TriceError) => void;

  constructor(options: WriteOptions, environment: Environment, session: PartSession) {
    this.#options = options;
    this.#environment = environment;
    this.#session = session;
    this.#token = environment.id();
    this.streamId = new Promise((resolve, reject) => {
      this.#knownAs = resolve;
      this.#unknown = reject;
    });
    this.over = new Promise((resolve, reject) => {
      this.#finished = resolve;
      this.#failed = reject;
    });
    // Who does not ask is told by the stream itself.
    this.streamId.catch(() => {});
    this.over.catch(() => {});
    this.live();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Writes a text. Resolves once there is room for another. */
  async write(text: string): Promise<void> {
    if (this.#error) throw this.#error;
    const from = this.#chunks.length;
    for (const piece of piecesOf(text)) {
      const bytes = utf8Bytes(piece);
      this.#chunks.push({ text: piece, bytes });
      this.#end += bytes;
    }
    if (this.#isOpen) this.#append(from);
    while (!this.#error && this.#end - this.#begin >= WAITING_BYTES_MAX)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#error) throw this.#error;
  }

  /** Ends the stream. Resolves once all of it is durable. */
  close(reason?: string): Promise<void> {
    this.#last ??= reason === undefined ? {} : { 'abort-reason': reason };
    if (this.#isOpen) this.#append(this.#chunks.length);
    return this.over;
  }

  // --- what the session says --------------------------------------------------------------------

  live(): void {
    this.#cancelTimer();
    if (this.#isOver || this.#startId !== null) return;
    const { clientId, ruleParams } = this.#options;
    this.#startId = this.#session.send('start-stream', {
      'client-id': clientId,
      'reconnect-token': this.#token,
      ...(ruleParams ? { 'rule-params': ruleParams } : {}),
    });
  }

  lost(): void {
    this.#cancelTimer();
    this.#isOpen = false;
    this.#startId = null;
  }

  receive(message: Message): void {
    if (this.#isOver) return;
    const isMine = message['stream-id'] === this.#id && this.#id !== null;
    switch (message.op) {
      case 'start-stream-ok':
        if (message['client-event-id'] === this.#startId) this.#started(message);
        return;
      case 'stream-flushed':
        if (isMine) this.#flushed(message.offset as number, message.done === true);
        return;
      case 'append-failed':
        if (isMine && this.#isOpen) this.#startAgain(null);
        return;
      case 'error':
        return this.#refused(message);
    }
  }

  #started(message: Message): void {
    this.#startId = null;
    const offset = message.offset as number;
    if (offset < this.#begin || offset > this.#end) {
      const text = 'The stream on the server is not the one that was written.';
      return this.#fail(new TriceError({ code: 'stream-corrupted', message: text }));
    }
    this.#id = message['stream-id'] as string;
    this.#knownAs(this.#id);
    this.#forget(offset);
    this.#isOpen = true;
    if (this.#chunks.length > 0 || this.#last) this.#append(0);
  }

  #flushed(offset: number, isDone: boolean): void {
    this.#tries = 0;
    this.#forget(offset);
    if (!isDone || !this.#last) return;
    this.#isOver = true;
    this.#finished();
  }

  /** Chunks that are durable go. */
  #forget(offset: number): void {
    while (this.#chunks.length > 0 && this.#begin + this.#chunks[0]!.bytes <= offset)
      this.#begin += this.#chunks.shift()!.bytes;
    for (const goOn of this.#waiting.splice(0)) goOn();
  }

  #refused(message: Message): void {
    const { op, ...about } = message['original-event'] as Message;
    const isStart = op === 'start-stream' && message['client-event-id'] === this.#startId;
    const isAppend = op === 'append-stream' && about['stream-id'] === this.#id;
    if (!isStart && !(isAppend && this.#isOpen)) return;
    const error = TriceError.of(message);
    if (isStart && !NOT_NOW.has(error.code)) return this.#fail(error);
    this.#startAgain(error);
  }

  /** The server says where it is, and what is missing is sent again. */
  #startAgain(error: TriceError | null): void {
    this.lost();
    const isCounted = error === null || !NOT_NOW.has(error.code);
    if (++this.#tries > TRIES_MAX && isCounted) {
      const message = 'The server could not store the stream.';
      return this.#fail(error ?? new TriceError({ code: 'stream-failed', message }));
    }
    const after = error?.hint?.['retry-after'];
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS * (this.#tries - 1));
    this.#cancelTimer = this.#environment.timer(typeof after === 'number' ? after : waitMs, () =>
      this.live(),
    );
  }

  /** Sends chunks from one on, in messages of bounded size; the last one says whether it is all. */
  #append(from: number): void {
    let offset = this.#begin;
    for (const { bytes } of this.#chunks.slice(0, from)) offset += bytes;
    let [texts, size]: [string[], number] = [[], 0];
    const send = (isLast: boolean) => {
      this.#session.send('append-stream', {
        'stream-id': this.#id,
        chunks: texts,
        offset,
        done: isLast && this.#last !== null,
        ...(isLast ? this.#last : {}),
      });
      offset += size;
      [texts, size] = [[], 0];
    };
    for (const { text, bytes } of this.#chunks.slice(from)) {
      if (size > 0 && size + bytes > MESSAGE_BYTES_MAX) send(false);
      texts.push(text);
      size += bytes;
    }
    send(true);
  }

  #fail(error: TriceError): void {
    this.lost();
    this.#error = error;
    this.#isOver = true;
    for (const goOn of this.#waiting.splice(0)) goOn();
    this.#unknown(error);
    this.#failed(error);
  }
}

/** Pieces of bounded length that cut no character; halves of characters become U+FFFD. */
function* piecesOf(text: string): Generator<string> {
  const whole = text.replace(/[\ud800-\udfff]/gu, '\ufffd');
  for (let at = 0; at < whole.length;) {
    let end = Math.min(whole.length, at + CHUNK_CHARS_MAX);
    if (end < whole.length && whole.codePointAt(end - 1)! > 0xffff) end--;
    yield whole.slice(at, end);
    at = end;
  }
}
