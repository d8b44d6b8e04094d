import { TriceError } from '../errors.ts';
import type { HttpEnvironment, Sink } from '../http/environment.ts';
import { type Asked, isFinal, type Requests } from '../http/requests.ts';
import { Retry } from '../http/retry.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';

/** So much text may wait to be sent, and leaves at once; whoever writes more waits too. */
const WAITING_CHARACTERS_MAX = 1024 * 1024;

/**
 * Appends texts to a stream (spec/streams.md ST20-ST24). What is written while a request is under
 * way leaves with the next. A request that may have come through is repeated at the same offset, so
 * that nothing is there twice.
 */
export class StreamWriter implements Sink {
  readonly #requests: Requests;
  readonly #retry: Retry;
  readonly #asked: Omit<Asked, 'method'>;
  #waiting = '';
  /** Bytes that are durable. */
  #end = 0;
  #isMade = false;
  #sending: Promise<void> | null = null;
  #failure: unknown = null;
  #tellEnd: () => void = () => {};
  /** Resolves when the stream is done, or nothing more can be written. */
  readonly ended = new Promise<void>((resolve) => {
    this.#tellEnd = resolve;
  });

  /** asked  the address of the stream, and headers that say who writes it */
  constructor(requests: Requests, environment: HttpEnvironment, asked: Omit<Asked, 'method'>) {
    this.#requests = requests;
    this.#retry = new Retry(environment);
    this.#asked = asked;
  }

  /** Resolves when there is room for more. Rejects where what was written before is refused. */
  async write(piece: unknown): Promise<void> {
    if (typeof piece !== 'string')
      throw new TriceError({ code: 'stream-malformed', message: 'A stream takes texts.' });
    if (this.#failure !== null) throw this.#failure;
    this.#waiting += piece;
    const sending = this.#send();
    if (this.#waiting.length >= WAITING_CHARACTERS_MAX) await sending;
    if (this.#failure !== null) throw this.#failure;
  }

  /** Resolves when all that was written is durable, and the stream done. */
  async close(): Promise<void> {
    await this.#sending;
    if (this.#failure !== null) throw this.#failure;
    await this.#trying(async () => {
      await this.#make();
      // A half of a surrogate pair may be left.
      await this.#append(this.#waiting, true);
    });
    this.#tellEnd();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Ends the stream behind what left already. */
  async abort(): Promise<void> {
    this.#waiting = '';
    await this.close();
  }

  /** Sends what waits, unless that is under way. Never rejects: what fails is kept. */
  #send(): Promise<void> {
    this.#sending ??= this.#trying(() => this.#sendAll()).finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #trying(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#failure = error;
      this.#waiting = '';
      this.#tellEnd();
    }
  }

  async #sendAll(): Promise<void> {
    await this.#make();
    for (;;) {
      const length = wholeLength(this.#waiting.slice(0, WAITING_CHARACTERS_MAX));
      if (length === 0) return;
      const text = this.#waiting.slice(0, length);
      this.#waiting = this.#waiting.slice(length);
      await this.#append(text, false);
    }
  }

  async #make(): Promise<void> {
    if (!this.#isMade) await this.#untilAnswered({ ...this.#asked, method: 'PUT' }, 0);
    this.#isMade = true;
  }

  async #append(text: string, isLast: boolean): Promise<void> {
    const end = this.#end + utf8Bytes(text);
    const { headers, params } = this.#asked;
    const asked: Asked = {
      ...this.#asked,
      method: 'POST',
      params: { ...params, offset: String(this.#end) },
      headers: {
        ...headers,
        'content-type': 'text/plain',
        ...(isLast ? { 'stream-closed': 'true' } : {}),
      },
      body: { body: text },
    };
    await this.#untilAnswered(asked, end);
    this.#end = end;
  }

  async #untilAnswered(asked: Asked, end: number): Promise<void> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        const answer = await this.#requests.open(asked);
        await answer.text();
        return this.#retry.reset();
      } catch (error) {
        // The one before came through, and its answer did not.
        if (!isFirst && endIn(error) === end) return this.#retry.reset();
        if (!(error instanceof TriceError) || isFinal(error)) throw error;
        await this.#retry.wait();
      }
    }
  }
}

/** How much of a text can leave: not the first half of a surrogate pair whose second is to come. */
function wholeLength(text: string): number {
  return /[\ud800-\udbff]$/.test(text) ? text.length - 1 : text.length;
}

/** Where the stream ends, in the error of an append that came too late. */
function endIn(error: unknown): unknown {
  return error instanceof TriceError && error.code === 'stream-conflict'
    ? error.hint?.['next-offset']
    : undefined;
}
