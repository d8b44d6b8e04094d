import type { TriceError } from '../errors.ts';
import { isObject } from '../values/json.ts';

/** Whether a live query is being connected, is open, or is over. */
export type ReadyState = 'connecting' | 'open' | 'closed';

/** Names the session in the server's log. */
export interface SessionInfo {
  readonly machineId: string;
  readonly sessionId: string;
}

/** Where the page of a form begins and ends, for `after` and `before`. */
export interface PageInfo {
  readonly startCursor: unknown;
  readonly endCursor: unknown;
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
}

/** What a live query finds: the whole of it, each time. */
export interface Found<Data> {
  readonly type: 'ok';
  readonly data: Data;
  readonly pageInfo: Readonly<Record<string, PageInfo>> | undefined;
  /** Totals, by form that asks for them. */
  readonly aggregate: Readonly<Record<string, unknown>> | undefined;
  readonly sessionInfo: SessionInfo | null;
}

/** Why a live query finds nothing now. */
export interface Failed {
  readonly type: 'error';
  readonly error: TriceError;
  readonly readyState: ReadyState;
  /** Nothing more will come. */
  readonly isClosed: boolean;
  readonly sessionInfo: SessionInfo | null;
}

/** What a live query tells: what it finds, or why it finds nothing now. */
export type Payload<Data> = Found<Data> | Failed;

/** Pages as they travel. */
export function pageInfoOf(given: unknown): Readonly<Record<string, PageInfo>> | undefined {
  if (!isObject(given)) return undefined;
  const pages = Object.entries(given as Record<string, Record<string, unknown>>).map(
    ([form, page]) => [
      form,
      {
        startCursor: page['start-cursor'],
        endCursor: page['end-cursor'],
        hasNextPage: page['has-next-page?'],
        hasPreviousPage: page['has-previous-page?'],
      },
    ],
  );
  return Object.fromEntries(pages) as Readonly<Record<string, PageInfo>>;
}

type Result<T> = IteratorResult<T, undefined>;

/**
 * One `for await` over payloads. Who reads slowly skips answers that were overtaken: at most one
 * answer and one error wait.
 */
export class PayloadIterator<T extends { readonly type: string }> implements AsyncIterator<
  T,
  undefined
> {
  #unread: T[];
  #readers: ((result: Result<T>) => void)[] = [];
  #isOver = false;
  readonly #left: () => void;

  /** unread  what is there already; left  called when the loop ends before the payloads do */
  constructor(unread: readonly T[], left: () => void) {
    this.#unread = [...unread];
    this.#left = left;
  }

  push(payload: T): void {
    const reader = this.#readers.shift();
    if (reader) return reader({ done: false, value: payload });
    this.#unread = [...this.#unread.filter(({ type }) => type !== payload.type), payload];
  }

  /** No more will be pushed. What waits is still read. */
  end(): void {
    this.#isOver = true;
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  }

  next(): Promise<Result<T>> {
    const value = this.#unread.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<Result<T>> {
    this.#unread = [];
    if (!this.#isOver) {
      this.end();
      this.#left();
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}
