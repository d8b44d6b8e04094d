import type { EventAnswer, EventGlobals, PieceReader } from '../web/events.ts';

/** What is used of XMLHttpRequest: on React Native `fetch` gives no body before all is there. */
export interface RequestLike {
  readonly readyState: number;
  readonly status: number;
  readonly responseText: string;
  onreadystatechange: (() => void) | null;
  onprogress: (() => void) | null;
  onerror: (() => void) | null;
  ontimeout: (() => void) | null;
  open(method: string, url: string): void;
  setRequestHeader(name: string, value: string): void;
  send(body?: string): void;
  abort(): void;
}

/** What event streams say of a request. */
interface RequestInit {
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: Signal;
}

const HEADERS_RECEIVED = 2;
const DONE = 4;

/**
 * A request keeps all that came, so a stream ends after so many characters: the client opens
 * another and goes on with what it holds.
 */
export const RESPONSE_CHARS_MAX = 8 * 1024 * 1024;

/** What event streams take of a platform, made of requests. */
export function requestGlobals(
  XMLHttpRequest: new () => RequestLike,
  charsMax = RESPONSE_CHARS_MAX,
): EventGlobals<string> {
  return {
    fetch: (url, init) => answerOf(new XMLHttpRequest(), url, init as RequestInit, charsMax),
    AbortController: Aborter,
    TextDecoder: TextsAreDecoded,
  };
}

/** Not that of the platform: what it tells depends on the version. */
class Aborter {
  readonly signal = new Signal();

  abort(): void {
    for (const end of [...this.signal.ends]) end();
  }
}

/** Ends the requests that are under way. */
class Signal {
  readonly ends = new Set<() => void>();
}

class TextsAreDecoded {
  decode(text = ''): string {
    return text;
  }
}

/** Resolves with the head of an answer; its body is read as it comes. */
function answerOf(
  request: RequestLike,
  url: string,
  { method = 'GET', headers, body, signal }: RequestInit,
  charsMax: number,
): Promise<EventAnswer<string>> {
  const reader = new ResponseReader(request, charsMax);
  return new Promise((resolve, reject) => {
    request.onreadystatechange = () => {
      if (request.readyState >= HEADERS_RECEIVED && request.status > 0)
        resolve({
          status: request.status,
          body: { getReader: () => reader },
          text: () => reader.rest(),
        });
      if (request.readyState === DONE) signal.ends.delete(abort);
      reader.look();
    };
    request.onprogress = () => reader.look();
    const failed = () => {
      reject(new Error('The request failed.'));
      reader.end();
    };
    request.onerror = failed;
    request.ontimeout = failed;
    const abort = () => {
      failed();
      request.abort();
    };
    signal.ends.add(abort);
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.send(body);
  });
}

class ResponseReader implements PieceReader<string> {
  readonly #request: RequestLike;
  readonly #charsMax: number;
  #taken = 0;
  #isEnded = false;
  #tell: () => void = () => {};

  constructor(request: RequestLike, charsMax: number) {
    this.#request = request;
    this.#charsMax = charsMax;
  }

  /** Something came, or the state is another. */
  look(): void {
    this.#tell();
  }

  end(): void {
    this.#isEnded = true;
    this.#tell();
  }

  async read(): Promise<{ done: boolean; value?: string }> {
    for (;;) {
      const text = this.#isEnded ? '' : this.#request.responseText;
      if (text.length > this.#taken) {
        const value = text.slice(this.#taken);
        this.#taken = text.length;
        return { done: false, value };
      }
      if (this.#isEnded || this.#request.readyState === DONE) return { done: true };
      if (this.#taken > this.#charsMax) {
        this.#request.abort();
        return { done: true };
      }
      await new Promise<void>((resolve) => {
        this.#tell = resolve;
      });
    }
  }

  /** All that has not been read. */
  async rest(): Promise<string> {
    let all = '';
    for (;;) {
      const { done, value } = await this.read();
      if (done) return all;
      all += value;
    }
  }
}
