import { TriceError } from '../errors.ts';
import type { Canceller, HttpEnvironment } from '../http/environment.ts';
import { EventReader } from '../http/events.ts';
import { type Asked, isFinal, type Requests } from '../http/requests.ts';
import { Backoff } from '../session/backoff.ts';
import { isObject } from '../values/json.ts';
import {
  type Found,
  pageInfoOf,
  type Payload,
  PayloadIterator,
  type ReadyState,
  type SessionInfo,
} from './payloads.ts';

/** A connection that is lost for so long is told to the app. */
const OUTAGE_MS = 5_000;

/** A server says something every 15 s unless it is set otherwise. After this it counts as dead. */
const SILENCE_MS = 60_000;

type Message = Readonly<Record<string, unknown>>;

/**
 * A live query over an event stream (instant-realtime §2.4).
 *
 *     connecting ─answer─▶ open ─end, silence─▶ connecting
 *     connecting ─no answer, 429, 5xx─▶ connecting, after a while
 *     connecting ─refused─▶ closed        any ─close()─▶ closed
 */
export class Subscription<Data> implements AsyncIterable<Payload<Data>> {
  readonly #requests: Requests;
  readonly #environment: HttpEnvironment;
  readonly #asked: Asked;
  readonly #tell: ((payload: Payload<Data>) => void) | undefined;
  readonly #iterators = new Set<PayloadIterator<Payload<Data>>>();
  readonly #backoff = new Backoff();
  #readyState: ReadyState = 'connecting';
  #sessionInfo: SessionInfo | null = null;
  #newest: Payload<Data> | null = null;
  #connection: Canceller | null = null;
  #openedAt: number | null = null;
  #cancelRetry: () => void = () => {};
  #cancelSilence: () => void = () => {};
  /** Runs from the loss of a connection until the next is open. */
  #cancelOutage: (() => void) | null = null;
  #lastError: TriceError | null = null;

  constructor(
    requests: Requests,
    environment: HttpEnvironment,
    asked: Asked,
    tell: ((payload: Payload<Data>) => void) | undefined,
  ) {
    this.#requests = requests;
    this.#environment = environment;
    this.#asked = asked;
    this.#tell = tell;
    this.#connect();
  }

  /** Whether it is being connected, is open, or is over. */
  get readyState(): ReadyState {
    return this.#readyState;
  }

  /** Nothing more will come. */
  get isClosed(): boolean {
    return this.#readyState === 'closed';
  }

  /** Null until the server said it. */
  get sessionInfo(): SessionInfo | null {
    return this.#sessionInfo;
  }

  /** Ends the subscription and its connection. Loops over it end. */
  close(): void {
    if (this.isClosed) return;
    this.#end();
    for (const iterator of [...this.#iterators]) void iterator.return();
  }

  /**
   * Payloads, beginning with the newest that came before. A loop that is left ends the subscription
   * if nobody else watches it.
   */
  [Symbol.asyncIterator](): AsyncIterator<Payload<Data>, undefined> {
    const unread = this.#newest && !this.isClosed ? [this.#newest] : [];
    const iterator = new PayloadIterator<Payload<Data>>(unread, () => {
      this.#iterators.delete(iterator);
      if (this.#tell === undefined && this.#iterators.size === 0) this.close();
    });
    if (this.isClosed) iterator.end();
    else this.#iterators.add(iterator);
    return iterator;
  }

  /** `for … of` without `await` would find nothing and not say why. */
  [Symbol.iterator](): never {
    throw new TriceError({
      code: 'not-iterable',
      message: 'A live query is read by `for await (const payload of …)`.',
    });
  }

  // --- the connection ---------------------------------------------------------------------------

  #connect(): void {
    this.#readyState = 'connecting';
    const connection = this.#environment.canceller();
    this.#connection = connection;
    this.#hear();
    this.#listen(connection).then(
      () => this.#lost(connection, null),
      (error: unknown) => this.#lost(connection, error),
    );
  }

  async #listen(connection: Canceller): Promise<void> {
    const answer = await this.#requests.open({ ...this.#asked, signal: connection.signal });
    if (this.#connection !== connection) return;
    if (answer.contentType !== 'text/event-stream') throw noEvents(connection, answer.status);
    this.#opened();
    const events = new EventReader();
    for await (const text of answer.texts()) {
      this.#hear();
      for (const data of events.push(text)) {
        // What the app does in its function may have closed it.
        if (this.#connection !== connection) return;
        this.#take(JSON.parse(data));
      }
    }
  }

  #opened(): void {
    this.#readyState = 'open';
    this.#openedAt = this.#environment.now();
    this.#cancelOutage?.();
    this.#cancelOutage = null;
  }

  /** A connection that says nothing for long is a dead one. */
  #hear(): void {
    this.#cancelSilence();
    this.#cancelSilence = this.#environment.timer(SILENCE_MS, () => {
      const connection = this.#connection;
      if (connection === null) return;
      this.#lost(connection, null);
      connection.cancel();
    });
  }

  #lost(connection: Canceller, error: unknown): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#cancelSilence();
    if (error instanceof TriceError && isFinal(error)) return this.#refused(error);
    this.#lastError = error instanceof TriceError ? error : null;
    this.#readyState = 'connecting';
    this.#cancelOutage ??= this.#environment.timer(OUTAGE_MS, () => this.#outage());
    const { now, random } = this.#environment;
    const livedMs = this.#openedAt === null ? 0 : now() - this.#openedAt;
    this.#openedAt = null;
    const waitMs = this.#backoff.next(0, livedMs, random());
    this.#cancelRetry = this.#environment.timer(waitMs, () => this.#connect());
  }

  #outage(): void {
    const message = 'The connection of a live query was lost; it is tried again.';
    this.#fail(this.#lastError ?? new TriceError({ code: 'offline', message }));
  }

  #refused(error: TriceError): void {
    this.#end();
    this.#fail(error);
    for (const iterator of this.#iterators) iterator.end();
    this.#iterators.clear();
  }

  #end(): void {
    this.#readyState = 'closed';
    const connection = this.#connection;
    this.#connection = null;
    connection?.cancel();
    this.#cancelRetry();
    this.#cancelSilence();
    this.#cancelOutage?.();
  }

  // --- messages ---------------------------------------------------------------------------------

  #take(message: unknown): void {
    if (!isObject(message)) return;
    switch (message.op) {
      case 'sse-init':
        this.#sessionInfo = {
          machineId: String(message['machine-id']),
          sessionId: String(message['session-id']),
        };
        return;
      case 'add-query-ok':
        return this.#found(message, message.result);
      case 'refresh-ok': {
        const [first] = message.computations as readonly Message[];
        if (first) this.#found(first, first['instaql-result']);
        return;
      }
      case 'error':
        return this.#fail(TriceError.of(message));
      default:
        // A newer server may say more than this client understands.
        return;
    }
  }

  #found(message: Message, result: unknown): void {
    const meta = isObject(message['result-meta']) ? message['result-meta'] : {};
    this.#deliver({
      type: 'ok',
      data: result as Data,
      pageInfo: pageInfoOf(meta['page-info']),
      aggregate: isObject(meta.aggregate) ? meta.aggregate : undefined,
      sessionInfo: this.#sessionInfo,
    } satisfies Found<Data>);
  }

  #fail(error: TriceError): void {
    const { readyState, isClosed, sessionInfo } = this;
    this.#deliver({ type: 'error', error, readyState, isClosed, sessionInfo });
  }

  #deliver(payload: Payload<Data>): void {
    this.#newest = payload;
    for (const iterator of this.#iterators) iterator.push(payload);
    try {
      this.#tell?.(payload);
    } catch (error) {
      // The connection must not break for a fault in the app's function.
      this.#environment.report(error);
    }
  }
}

/** A page of a proxy, which may be gone in a moment. */
function noEvents(connection: Canceller, status: number): TriceError {
  connection.cancel();
  const message = 'Something that is no trice server answered a live query.';
  return new TriceError({ code: 'answer-malformed', message, status });
}
