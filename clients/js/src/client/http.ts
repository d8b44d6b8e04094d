import { failure, TriceError } from '../errors.ts';
import type { Environment, FetchAnswer, FetchInit } from './environment.ts';

/** Asks the server over HTTP. Failures are TriceErrors: `offline` where no answer came. */
export class Http {
  readonly #environment: Environment;
  readonly origin: string;

  constructor(environment: Environment, origin: string) {
    this.#environment = environment;
    this.origin = origin;
  }

  /** Posts JSON, and returns the JSON of the answer. */
  post<T>(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<T> {
    return this.json<T>(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  /** Returns the JSON of the answer to any request. */
  async json<T>(path: string, init: FetchInit): Promise<T> {
    const { json } = await this.ask(path, init);
    return json as T;
  }

  /** The same, with what else the answer says. */
  async ask(path: string, init: FetchInit): Promise<HttpAnswer> {
    const [{ status, headers }, text] = await this.#fetch(this.origin + path, init);
    const json = parsed(text);
    if (status >= 400) throw TriceError.of(json, status);
    return { status, json, header: (name) => headers?.get(name) ?? null };
  }

  /** Returns the text behind an address, which may be another server's. */
  async text(url: string): Promise<string> {
    const [{ status }, text] = await this.#fetch(url, { method: 'GET', headers: {} });
    if (status >= 400) throw TriceError.of(parsed(text), status);
    return text;
  }

  async #fetch(url: string, init: FetchInit): Promise<[FetchAnswer, string]> {
    try {
      const answer = await this.#environment.fetch(url, init);
      return [answer, await answer.text()];
    } catch (cause) {
      throw Object.assign(failure('offline', { origin: this.origin }), { cause });
    }
  }
}

/** An answer that is no error. */
export interface HttpAnswer {
  readonly status: number;
  /** The JSON of its body, if it has one. */
  readonly json: unknown;
  header(name: string): string | null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
