import type { Answer, HttpEnvironment, RequestInit } from '../../src/http/environment.ts';
import { fetchEnvironment } from '../../src/web/fetch.ts';
import { Clock } from '../simulation/clock.ts';
import { Random } from './random.ts';

/** An answer whose body the test sends piece by piece. */
export class Wire {
  headers: Record<string, string> = {};
  #pieces: string[] = [];
  #end: 'none' | 'ended' | 'broken' = 'none';
  #wake: () => void = () => {};

  send(text: string): void {
    this.#pieces.push(text);
    this.#wake();
  }

  /** One message as an event. */
  say(message: object): void {
    this.send(`data: ${JSON.stringify(message)}\n\n`);
  }

  end(): void {
    this.#end = 'ended';
    this.#wake();
  }

  break(): void {
    this.#end = 'broken';
    this.#wake();
  }

  async *texts(): AsyncGenerator<string> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) yield piece;
      else if (this.#end === 'ended') return;
      else if (this.#end === 'broken') throw new TypeError('terminated');
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** A request as it left. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** What was sent as JSON. */
  readonly json: any;
  readonly init: RequestInit;
}

/** What a request is answered: an error of the network, JSON, a text, or events. */
export type Scripted =
  | Error
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly text: string; readonly type?: string }
  | Wire;

/** A server that is a script, and a clock that the test moves. */
export class HttpStage {
  readonly clock = new Clock();
  readonly random = new Random(11);
  readonly sent: Sent[] = [];
  readonly reported: unknown[] = [];
  /** Requests that were cancelled. */
  cancelled = 0;
  answer: (sent: Sent) => Scripted = () => ({ json: {} });

  readonly environment: HttpEnvironment = {
    now: () => this.clock.now,
    random: () => this.random.next(),
    id: () => `id-${this.sent.length}`,
    timer: (delayMs, then) => this.clock.timer(delayMs, then),
    fetch: (url, init) => this.#fetch(url, init),
    canceller: () => {
      const signal = { cancel: () => {} };
      return {
        signal,
        cancel: () => {
          this.cancelled += 1;
          signal.cancel();
        },
      };
    },
    streamOf: (pieces) => ({ pieces }),
    writableOf: (sink) => sink,
    encode: (text) => new TextEncoder().encode(text),
    verify: fetchEnvironment().verify,
    report: (error) => this.reported.push(error),
  };

  get last(): Sent {
    return this.sent.at(-1)!;
  }

  /** Lets what is under way arrive. */
  settle(): Promise<void> {
    return this.clock.pass(0);
  }

  async #fetch(url: string, init: RequestInit): Promise<Answer> {
    const { pathname, searchParams } = new URL(url);
    const sent: Sent = {
      method: init.method,
      path: pathname,
      params: Object.fromEntries(searchParams),
      headers: init.headers,
      json: isJson(init) ? JSON.parse(init.body as string) : undefined,
      init,
    };
    this.sent.push(sent);
    const scripted = this.answer(sent);
    if (scripted instanceof Error) throw scripted;
    if (scripted instanceof Wire) {
      if (init.signal) (init.signal as { cancel: () => void }).cancel = () => scripted.break();
      return {
        status: 200,
        contentType: 'text/event-stream',
        header: (name) => scripted.headers[name] ?? null,
        text: async () => '',
        texts: () => scripted.texts(),
      };
    }
    const text = 'json' in scripted ? JSON.stringify(scripted.json) : scripted.text;
    const type = 'json' in scripted ? 'application/json' : (scripted.type ?? 'text/html');
    return {
      status: scripted.status ?? 200,
      contentType: type,
      header: () => null,
      text: async () => text,
      texts: async function* () {
        yield text;
      },
    };
  }
}

function isJson({ headers }: RequestInit): boolean {
  return headers['content-type'] === 'application/json';
}
