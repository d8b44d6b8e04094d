import { TriceError } from '../errors.ts';
import { isObject } from '../values/json.ts';
import type { Answer, HttpEnvironment, RequestInit } from './environment.ts';

/** How many characters of an answer that is no JSON stand in the error. */
const QUOTED_CHARACTERS = 200;

/** Statuses of 4xx that say "not now". */
const NOT_NOW = new Set([408, 425, 429]);

export type Headers = Readonly<Record<string, string>>;

/** One request. */
export interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Behind the address of the server, with its variable parts encoded; or a whole address. */
  readonly path: string;
  /** Parameters behind the path; those that are undefined are left out. */
  readonly params?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Headers;
  /** Sent as JSON. */
  readonly json?: object;
  /** Sent as it is; `duplex` says that it is a stream. */
  readonly body?: Pick<RequestInit, 'body' | 'duplex'>;
  /** Options of fetch that the app gave. Ours go first. */
  readonly fetchOpts?: Readonly<Record<string, unknown>> | undefined;
  readonly signal?: object | undefined;
}

/** Asks one server over HTTP. Failures are TriceErrors: `offline` where no answer came. */
export class Requests {
  readonly origin: string;
  readonly #environment: HttpEnvironment;

  constructor(environment: HttpEnvironment, origin: string) {
    this.#environment = environment;
    this.origin = origin;
  }

  /** The JSON of the answer. */
  async json<T>(asked: Asked): Promise<T> {
    const answer = await this.open(asked);
    const json = parsed(await this.#unlessLost(answer.text()));
    if (json !== undefined) return json as T;
    const message = `The server at ${this.origin} did not answer ${asked.path} in JSON.`;
    throw new TriceError({ code: 'answer-malformed', message, status: answer.status });
  }

  /** An answer that is no error, its body unread. */
  async open(asked: Asked): Promise<Answer> {
    const answer = await this.#unlessLost(
      this.#environment.fetch(this.#url(asked), this.#init(asked)),
    );
    if (answer.status < 400) return answer;
    const text = await this.#unlessLost(answer.text());
    throw errorOf(text, answer.status);
  }

  #url({ path, params = {} }: Asked): string {
    const given = Object.entries(params)
      .filter((pair): pair is [string, string] => pair[1] !== undefined)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return (
      (path.startsWith('/') ? this.origin : '') +
      path +
      (given.length > 0 ? `?${given.join('&')}` : '')
    );
  }

  #init({ method, headers = {}, json, body, fetchOpts, signal }: Asked): RequestInit {
    const type: Headers = json === undefined ? {} : { 'content-type': 'application/json' };
    const given = isObject(fetchOpts?.headers) ? (fetchOpts.headers as Headers) : {};
    const all = { ...lowerCase(given), ...type, ...headers };
    for (const [name, value] of Object.entries(all)) checkHeader(name, value);
    return {
      ...fetchOpts,
      ...(signal === undefined ? {} : { signal }),
      ...(json === undefined ? body : { body: JSON.stringify(json) }),
      method,
      headers: all,
    };
  }

  async #unlessLost<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (cause) {
      if (cause instanceof TriceError) throw cause;
      throw Object.assign(lost(this.origin, cause), { cause });
    }
  }
}

function lost(origin: string, cause: unknown): TriceError {
  if (isObject(cause) && cause.name === 'AbortError')
    return new TriceError({ code: 'cancelled', message: 'The request was cancelled.' });
  return new TriceError({
    code: 'offline',
    message: `The server at ${origin} cannot be reached.`,
  });
}

/** The body of an error, also of a proxy before the server that answers with a page. */
function errorOf(text: string, status: number): TriceError {
  const json = parsed(text);
  if (isObject(json)) return TriceError.of(json, status);
  const message = `The server answered ${status}: ${text.slice(0, QUOTED_CHARACTERS)}`;
  return TriceError.of({ message }, status);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function lowerCase(headers: Headers): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

/**
 * A text as a header carries it: its UTF-8 bytes, each as one character. The server reads it so
 * (instant-realtime §20).
 */
export function headerText(text: string): string {
  return encodeURIComponent(text).replace(/%([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
}

/** fetch throws for such a header as it does where there is no network. */
function checkHeader(name: string, value: string): void {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return;
  throw new TriceError({
    code: 'header-malformed',
    message: `\`${name}\` goes into a header: it cannot have line breaks or control characters.`,
    hint: { header: name },
  });
}

/** Whether asking again would be refused again. */
export function isFinal({ status }: TriceError): boolean {
  return status !== undefined && status >= 400 && status < 500 && !NOT_NOW.has(status);
}
