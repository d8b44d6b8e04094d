import { TriceError } from '../errors.ts';
import type { HttpEnvironment } from '../http/environment.ts';
import { type Headers, isFinal, type Requests } from '../http/requests.ts';
import { Retry } from '../http/retry.ts';
import { withoutBytes } from '../values/utf8.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';
import { type Credentials, headersOf } from './credentials.ts';
import { StreamWriter } from './stream-writer.ts';

/** Which stream is read, and from where. */
export interface ReadOptions {
  /** The name of the stream, or the id of its row in `$streams`. */
  readonly clientId?: string | null;
  readonly streamId?: string | null;
  /** Where to begin, in bytes of UTF-8. */
  readonly byteOffset?: number | null;
  readonly ruleParams?: object | null;
}

/** Which stream is written. */
export interface WriteOptions {
  /** The name of the stream, which must be new. */
  readonly clientId: string;
  /** Called with a promise that ends with the stream: what keeps an edge runtime awake. */
  readonly waitUntil?: (promise: Promise<unknown>) => void;
  readonly ruleParams?: object | null;
}

/** A `ReadableStream` of texts. */
export interface TextReadable extends AsyncIterable<string> {
  /** Reads by hand; `done` is true after the last text. */
  getReader(): {
    /** The next text. */
    read(): Promise<{ done: boolean; value?: string | undefined }>;
  };
  /** Nothing more is wanted. */
  cancel(reason?: unknown): Promise<void>;
}

/** A `WritableStream` of texts. */
export interface TextWritable {
  /** Writes texts in order; each call waits while the stream is full. */
  getWriter(): {
    readonly ready: Promise<unknown>;
    readonly closed: Promise<unknown>;
    /** Resolves once the text is on its way, and there is room for another. */
    write(text: string): Promise<void>;
    /** Ends the stream; resolves once all of it is durable. */
    close(): Promise<void>;
    /** Ends the stream as failed. */
    abort(reason?: unknown): Promise<void>;
  };
}

/** Texts that are written once, and read by many meanwhile and afterwards (spec/streams.md). */
export class AdminStreams {
  readonly #requests: Requests;
  readonly #credentials: Credentials;
  readonly #environment: HttpEnvironment;

  constructor(requests: Requests, credentials: Credentials, environment: HttpEnvironment) {
    this.#requests = requests;
    this.#credentials = credentials;
    this.#environment = environment;
  }

  /**
   * Reads a stream from its beginning or a place in it, up to its end. Lost connections are made
   * anew at the byte where they were lost.
   */
  createReadStream = (opts: ReadOptions): TextReadable =>
    this.#environment.streamOf(this.#read(opts)) as TextReadable;

  /**
   * Makes a stream and writes it. `close()` resolves once everything is durable; up to 1 MiB waits
   * before that, and whoever writes more waits too.
   */
  createWriteStream = ({ clientId, waitUntil, ruleParams }: WriteOptions): TextWritable => {
    const token = this.#environment.id();
    const writer = new StreamWriter(this.#requests, this.#environment, {
      path: this.#path(clientId),
      params: paramsOf(ruleParams),
      headers: { ...this.#headers(), 'stream-token': token },
    });
    waitUntil?.(writer.ended);
    return this.#environment.writableOf(writer) as TextWritable;
  };

  async *#read(opts: ReadOptions): AsyncGenerator<string> {
    const headers = this.#headers();
    const path = this.#path(opts.clientId ?? (await this.#nameOf(opts.streamId)));
    const retry = new Retry(this.#environment);
    const canceller = this.#environment.canceller();
    let at = opts.byteOffset ?? 0;
    try {
      for (;;) {
        try {
          const answer = await this.#requests.open({
            method: 'GET',
            path,
            params: { ...paramsOf(opts.ruleParams), offset: String(at), live: 'chunked' },
            headers,
            signal: canceller.signal,
          });
          // A stream that is shorter begins at its end; what was read of it is not told again.
          let place = Number(answer.header('stream-offset') ?? at);
          for await (const text of answer.texts()) {
            const known = at - place;
            place += utf8Bytes(text);
            at = Math.max(at, place);
            const unread = known > 0 ? withoutBytes(text, known) : text;
            if (unread !== '') yield unread;
            retry.reset();
          }
          return;
        } catch (error) {
          // Errors of a body that breaks off are the platform's own.
          if (error instanceof TriceError && isFinal(error)) throw error;
          await retry.wait();
        }
      }
    } finally {
      canceller.cancel();
    }
  }

  async #nameOf(streamId: string | null | undefined): Promise<string> {
    if (!streamId)
      throw new TriceError({
        code: 'stream-malformed',
        message: '`createReadStream` takes a `clientId` or a `streamId`.',
      });
    const query = { $streams: { $: { where: { id: streamId } } } };
    const { $streams } = await this.#requests.json<{ $streams: { clientId: string }[] }>({
      method: 'POST',
      path: '/admin/query',
      headers: headersOf(this.#credentials),
      json: { query },
    });
    if ($streams[0]) return $streams[0].clientId;
    throw new TriceError({ code: 'stream-not-found', message: 'There is no such stream.' });
  }

  #path(clientId: string): string {
    const name = clientId.split('/').map(encodeURIComponent).join('/');
    return `/streams/${encodeURIComponent(this.#credentials.appId)}/${name}`;
  }

  /** Streams know callers by their token alone. */
  #headers(): Headers {
    const { impersonated, adminToken } = this.#credentials;
    headersOf(this.#credentials);
    if (impersonated && 'guest' in impersonated) return {};
    if (impersonated && 'email' in impersonated)
      throw new TriceError({
        code: 'token-missing',
        message: 'Streams are opened as a user by `asUser({ token })`, not by address.',
      });
    return { authorization: `Bearer ${impersonated ? impersonated.token : adminToken}` };
  }
}

function paramsOf(ruleParams: object | null | undefined): Record<string, string> {
  return ruleParams ? { 'rule-params': JSON.stringify(ruleParams) } : {};
}
