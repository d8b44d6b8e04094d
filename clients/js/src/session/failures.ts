import type { SessionOptions } from '../client/session-options.ts';
import type { Session, Wanted } from '../client/session.ts';
import { TriceError } from '../errors.ts';
import { queryHash } from '../store/hash.ts';
import { isObject } from '../values/json.ts';
import type { Message } from './part.ts';

/** Codes of errors after which the same write may succeed: it waits, and goes out again. */
const RETRY_CODES = new Set([
  'rate-limited',
  'timeout',
  'operation-timed-out',
  'overloaded',
  'unknown',
  'conflict',
  'function-timeout',
  'functions-broken',
]);

/** Those of them that say nothing about the write: it waits for as long as it takes. */
const WAITING_CODES = new Set(['rate-limited', 'overloaded', 'functions-broken']);

/** Tries of a write that the server fails to handle, before it counts as refused. */
const TRIES_MAX = 5;

/** How long a write waits that the server could not take; longer with each try. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;

/** When a session that could not be opened is tried again. */
const INIT_RETRY_MS = 60_000;

/** Writes that are kept back for a while. */
export interface HeldLine {
  /** Those on the way when the server could not take one of them. */
  readonly held: ReadonlySet<string>;
  cancel(): void;
}

export interface FailuresOptions extends Pick<
  SessionOptions,
  'environment' | 'store' | 'queue' | 'token' | 'tokenRefused'
> {
  readonly session: Session;
  /** Queries that are wanted, by hash. */
  readonly queries: ReadonlyMap<string, Wanted>;
  /** The queries of questions under way, by the event id of each. */
  readonly asked: ReadonlyMap<string, string>;
  tellWaiting(eventId: string, hash: string, error: TriceError): void;
  /** The session cannot be opened. */
  errored(): void;
}

/** What errors of the server lead to: of sessions, queries and writes. */
export class Failures {
  readonly #options: FailuresOptions;
  /** How often a write that waits was sent in vain. */
  readonly #tries = new Map<string, number>();

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** original  the message that failed, as far as the server says */
  take(message: Message, original: Message): void {
    const { queue, asked, session, store, tellWaiting } = this.#options;
    const error = TriceError.of(message);
    const id = message['client-event-id'];
    if (original.op === 'init') return this.#initFailed(error);
    if (typeof id === 'string' && queue.get(id)) return this.#refused(id, error);
    if (original.op === 'call') return session.handlers.get('call-failed')?.(message);
    const hash = asked.get(id as string);
    if (hash === undefined) return this.#queryFailed(original, error);
    store.fail(hash, error);
    tellWaiting(id as string, hash, error);
  }

  /** A failed `init` is told to every query; the next attempt may find it mended. */
  #initFailed(error: TriceError): void {
    const { session, queries, store, token, tokenRefused, errored } = this.#options;
    const isOfUser =
      error.code === 'record-not-found' && error.hint?.['record-type'] === 'app-user';
    if (isOfUser && token() !== null) return tokenRefused();
    session.error = error;
    for (const [hash, wanted] of queries) {
      store.fail(hash, error);
      for (const { then } of wanted.waiting.splice(0)) then(error);
    }
    session.connection.pause(INIT_RETRY_MS);
    errored();
  }

  /** A live query fails by itself, when its refresh does (P16): the error names it. */
  #queryFailed(original: Message, error: TriceError): void {
    if (!isObject(original.q)) return;
    const hash = queryHash(original.q);
    if (this.#options.queries.has(hash)) this.#options.store.fail(hash, error);
  }

  #refused(id: string, error: TriceError): void {
    const { session, queue, environment } = this.#options;
    // It may have failed for want of the one before it, and goes out again after that.
    if (session.line?.held.has(id)) return;
    for (const known of [...this.#tries.keys()]) if (!queue.get(known)) this.#tries.delete(known);
    const tries = (this.#tries.get(id) ?? 0) + 1;
    this.#tries.set(id, tries);
    // The mutation was carried out once, long ago; only what it returned is not known any more.
    if (error.code === 'value-expired') {
      queue.tell(id, { status: 'rejected', error });
      return queue.acked(id, queue.liveTx, environment.now());
    }
    if (!mayRetry(error) || (tries >= TRIES_MAX && !WAITING_CODES.has(error.code))) {
      this.#tries.delete(id);
      return queue.rejected(id, error, environment.now());
    }
    this.#holdLine(Math.min(RETRY_MS_MAX, RETRY_MS * tries));
  }

  /** Keeps all writes back for a while; those on the way are sent again, in order. */
  #holdLine(waitMs: number): void {
    const { session, queue, environment } = this.#options;
    const sent = queue.entries.filter(({ state }) => state === 'sent');
    session.line?.cancel();
    session.line = {
      held: new Set(sent.map(({ id }) => id)),
      cancel: environment.timer(waitMs, () => this.#releaseLine()),
    };
  }

  #releaseLine(): void {
    const { session, queue } = this.#options;
    session.line?.cancel();
    session.line = null;
    queue.connectionLost();
    session.push();
  }
}

/**
 * Whether the same operations may succeed later. A name that somebody else gave to an attr at the
 * same moment is in the catalog by then, and the write is compiled by it.
 */
function mayRetry({ code, hint }: TriceError): boolean {
  return (
    RETRY_CODES.has(code) || (code === 'record-not-unique' && hint?.['record-type'] === 'ident')
  );
}
