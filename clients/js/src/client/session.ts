import type { TriceError } from '../errors.ts';
import type { QueryJson } from '../query/form.ts';
import type { WireAttr } from '../schema/attr.ts';
import { Connection } from '../session/connection.ts';
import type { Failures, HeldLine } from '../session/failures.ts';
import type { Message, Part, PartSession } from '../session/part.ts';
import type { Delta } from '../store/bag.ts';
import type { News, WireResult } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import { isObject } from '../values/json.ts';
import type { SessionOptions } from './session-options.ts';

/** As the original's client names them. */
export type ConnectionStatus = 'connecting' | 'opened' | 'authenticated' | 'closed' | 'errored';

/** Versions of the protocol's extension that this client speaks (P70-P86). */
const EXTENSION = { version: 1, features: ['delta', 'resume', 'functions', 'call-delta'] };

/** A query that is wanted, and those who wait for an answer of the server to it. */
export interface Wanted {
  readonly query: QueryJson;
  /** It is asked once its answer of an earlier start is read: the server is told of that. */
  isReading: boolean;
  /** It was answered since the session is open. */
  isAnswered: boolean;
  /** eventId  the question that will answer; null: it is not asked yet */
  waiting: { eventId: string | null; readonly then: (error: TriceError | null) => void }[];
}

/**
 * Speaks the protocol: opens the session, keeps queries subscribed, sends writes in order, and
 * hands what comes to the store and the queue.
 */
export class Session implements PartSession {
  /** The session's id on the server; a new one with each connection. */
  id: string | null = null;
  status: ConnectionStatus = 'closed';
  /** Why the session cannot be opened, if it cannot. */
  error: TriceError | null = null;
  readonly #options: SessionOptions;
  readonly connection: Connection;
  /** Queries that are wanted, by hash. */
  readonly #queries = new Map<string, Wanted>();
  /** The queries of questions under way, by the event id of each. */
  readonly #asked = new Map<string, string>();
  readonly #parts: Part[] = [];
  /** What parts take, by op. */
  readonly handlers = new Map<string, (message: Message) => void>();
  #isLive = false;
  #catalogName: string | undefined;
  /** The greatest transaction id seen. */
  #tx = 0;
  /** Connections that were lost. */
  #losses = 0;
  #failures: Failures | null = null;
  /** For `Failures`: writes go out no more for a while; null: they may. */
  line: HeldLine | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    const handlers = {
      opened: () => this.#open(),
      messages: (messages: readonly unknown[]) => this.#receive(messages),
      lost: () => this.#lost(),
      question: () => (this.#isLive ? this.#message('remove-query', { q: {} }) : null),
      mayRest: () => this.#mayRest,
    };
    const { environment, addresses, trace } = options;
    this.connection = new Connection(environment, addresses, handlers, trace);
  }

  start(): void {
    this.#setStatus('connecting');
    this.connection.start();
  }

  stop(): void {
    this.error = null;
    this.connection.stop();
    this.#lost();
  }

  /** The catalog held, as the server names it, and the greatest transaction id seen. */
  get held(): { readonly catalog: string | undefined; readonly tx: number } {
    return { catalog: this.#catalogName, tx: this.#tx };
  }

  /** Takes over what an earlier start held, before the connection is made. */
  restore(catalog: string | undefined, tx: number): void {
    this.#catalogName = catalog;
    this.#tx = tx;
  }

  /** Connects anew as who is signed in now; what is held of another user is not said. */
  restart(): void {
    this.#catalogName = undefined;
    this.error = null;
    this.connection.restart();
    if (this.connection.state === 'connecting') this.#setStatus('connecting');
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  /** Gives its parts back: they go on elsewhere. */
  release(): readonly Part[] {
    const parts = this.#parts.splice(0);
    this.handlers.clear();
    if (this.#isLive) for (const part of parts) part.lost();
    return parts;
  }

  /** Whether the server has answered a query since the session is open. */
  isAnswered(hash: string): boolean {
    return this.#queries.get(hash)?.isAnswered ?? false;
  }

  /** The page is hidden and waits for nothing, so it let go of its connection. */
  get isAsleep(): boolean {
    return this.connection.state === 'asleep';
  }

  /** Something waits for the server. */
  rouse(): void {
    this.connection.rouse();
  }

  get #mayRest(): boolean {
    if (this.#options.isShared?.()) return false;
    const isAsked = [...this.#queries.values()].some(({ waiting }) => waiting.length > 0);
    const { waiting } = this.#options.queue;
    return !isAsked && waiting.length === 0 && this.#parts.every(({ isIdle }) => isIdle === true);
  }

  /** From now on a part takes the messages of its ops. */
  add(part: Part): void {
    this.#parts.push(part);
    for (const [op, handler] of Object.entries(part.handlers)) this.handlers.set(op, handler);
    if (this.#isLive) part.live();
    else this.rouse();
  }

  send(op: string, fields: Message): string | null {
    if (!this.#isLive) {
      this.rouse();
      return null;
    }
    const message = this.#message(op, fields);
    this.connection.send([message]);
    return message['client-event-id'] as string;
  }

  /** reading  settles once what an earlier start held of it is read, if anything */
  subscribe(hash: string, query: QueryJson, reading: Promise<void> | null = null): void {
    const wanted: Wanted = {
      query,
      isReading: reading !== null,
      isAnswered: false,
      waiting: [],
    };
    this.#queries.set(hash, wanted);
    this.rouse();
    if (reading === null) return this.#ask(hash, wanted);
    void reading.then(() => {
      wanted.isReading = false;
      if (this.#queries.get(hash) === wanted) this.#ask(hash, wanted);
    });
  }

  unsubscribe(hash: string): void {
    const wanted = this.#queries.get(hash);
    this.#queries.delete(hash);
    if (wanted && this.#isLive)
      this.connection.send([this.#message('remove-query', { q: wanted.query })]);
  }

  /**
   * Asks a subscribed query anew. `then` is called once the answer has landed, or with the error; a
   * connection that is lost meanwhile asks again.
   */
  ask(hash: string, then: (error: TriceError | null) => void): void {
    const wanted = this.#queries.get(hash);
    if (wanted === undefined) return;
    wanted.waiting.push({ eventId: null, then });
    this.rouse();
    this.#ask(hash, wanted);
  }

  /** Sends the writes that may go now. */
  push(): void {
    const { maySend, queue, store } = this.#options;
    if (!this.#isLive || this.line || !store.isWriting) return;
    const entries = queue.sendable();
    if (entries.length === 0 || !maySend()) return;
    // Steps are those of the newest catalog; writes are sent only once it is known.
    const messages = entries.map(({ id, call }) => ({
      'client-event-id': id,
      ...(call
        ? { op: 'call', name: call.name, args: call.args }
        : { op: 'transact', 'tx-steps': store.steps(id) ?? [] }),
    }));
    this.connection.send(messages);
    queue.sent(entries.map(({ id }) => id));
  }

  // --- the session ------------------------------------------------------------------------------

  #open(): void {
    this.#setStatus('opened');
    const token = this.#options.token();
    const { adminToken } = this.#options;
    this.connection.send([
      this.#message('init', {
        'app-id': this.#options.appId,
        ...(token === null ? {} : { 'refresh-token': token }),
        ...(adminToken === undefined ? {} : { '__admin-token': adminToken }),
        versions: { tricedb: 'v0.1.0' },
        trice: {
          ...EXTENSION,
          tx: this.#tx,
          ...(this.#catalogName ? { catalog: this.#catalogName } : {}),
        },
      }),
    ]);
  }

  #initOk(message: Message): void {
    this.connection.succeeded();
    const agreed = isObject(message.trice) ? message.trice : {};
    if (agreed['reset?'] === true) {
      this.#tx = 0;
      this.#options.queue.forgetAcked();
      this.#options.store.forgetTx();
      this.#options.reset();
    }
    if (typeof agreed.catalog === 'string') this.#catalogName = agreed.catalog;
    if (Array.isArray(message.attrs)) this.#options.store.setCatalog(message.attrs as WireAttr[]);
    if (typeof agreed.tx === 'number') this.#tx = Math.max(this.#tx, agreed.tx);
    this.#isLive = true;
    this.#options.queue.opened(this.#tx, this.#options.environment.now());
    this.id = typeof message['session-id'] === 'string' ? message['session-id'] : null;
    this.error = null;
    this.#setStatus('authenticated');
    for (const [hash, wanted] of this.#queries) this.#ask(hash, wanted);
    this.push();
    for (const part of this.#parts) part.live();
  }

  #lost(): void {
    this.#isLive = false;
    this.#losses++;
    this.line?.cancel();
    this.line = null;
    this.#asked.clear();
    for (const wanted of this.#queries.values()) {
      wanted.isAnswered = false;
      for (const one of wanted.waiting) one.eventId = null;
    }
    this.#options.queue.connectionLost();
    this.#options.queue.liveTx = null;
    for (const part of this.#parts) part.lost();
    this.#setStatus('closed');
  }

  #setStatus(status: ConnectionStatus): void {
    if (this.status === status) return;
    this.status = status;
    this.#options.trace.say?.('connection', status, this.connection.transport);
    this.#options.changed();
  }

  // --- messages ---------------------------------------------------------------------------------

  #message(op: string, fields: Message): Message {
    return { op, 'client-event-id': this.#options.environment.id(), ...fields };
  }

  #ask(hash: string, wanted: Wanted): void {
    if (this.#isLive && !wanted.isReading) this.connection.send([this.#question(hash, wanted)]);
  }

  /** A question; it also answers all who wait for one and have none under way. */
  #question(hash: string, { query, waiting }: Wanted): Message {
    const version = this.#options.store.find(hash)?.version;
    const message = this.#message('add-query', { q: query, ...(version ? { held: version } : {}) });
    const eventId = message['client-event-id'] as string;
    this.#asked.set(eventId, hash);
    for (const one of waiting) one.eventId ??= eventId;
    return message;
  }

  #receive(messages: readonly unknown[]): void {
    for (const message of messages) if (isObject(message)) this.#take(message);
    this.#options.changed();
    this.push();
  }

  #take(message: Message): void {
    switch (message.op) {
      case 'init-ok':
        return this.#initOk(message);
      case 'add-query-ok':
        return this.#answered(message);
      case 'refresh-ok':
        return this.#refreshed(message);
      case 'transact-ok':
      case 'call-ok':
        return this.#acknowledged(message);
      case 'error':
        return this.#failed(message);
      default:
        // A newer server may say more than this client understands.
        this.handlers.get(message.op as string)?.(message);
    }
  }

  #answered(message: Message): void {
    const eventId = message['client-event-id'] as string;
    const hash = this.#asked.get(eventId);
    if (hash === undefined) return;
    const wanted = this.#queries.get(hash);
    const hasLanded = this.#land({ hash }, newsOf(message, message.result));
    if (wanted) wanted.isAnswered = hasLanded;
    this.#tellWaiting(eventId, hash, null);
  }

  /** Whoever waited for this question learns of it after what came with it is shown. */
  #tellWaiting(eventId: string, hash: string, error: TriceError | null): void {
    this.#asked.delete(eventId);
    const wanted = this.#queries.get(hash);
    const done = wanted?.waiting.filter((one) => one.eventId === eventId) ?? [];
    if (wanted === undefined || done.length === 0) return;
    wanted.waiting = wanted.waiting.filter((one) => one.eventId !== eventId);
    this.#options.store.flush();
    for (const { then } of done) then(error);
  }

  #refreshed(message: Message): void {
    if (Array.isArray(message.attrs)) {
      this.#options.store.setCatalog(message.attrs as WireAttr[]);
      if (typeof message.catalog === 'string') this.#catalogName = message.catalog;
    }
    if (message.calls) this.handlers.get('calls')?.(message);
    for (const computation of message.computations as readonly Message[]) {
      const news = newsOf(
        { ...computation, 'processed-tx-id': message['processed-tx-id'] },
        computation['instaql-result'],
      );
      const queryId = computation['query-id'];
      // Servers without the extension name a query by itself.
      if (typeof queryId === 'string') this.#land({ queryId }, news);
      else this.#land({ hash: queryHash(computation['instaql-query']) }, news);
    }
  }

  #land(target: { hash: string } | { queryId: string }, news: News): boolean {
    this.#sawTx(news.tx);
    const lost = this.#options.store.land(target, news);
    if (lost === undefined) return true;
    // The news start from a version that is not held: the whole answer is asked for.
    lost.version = undefined;
    const wanted = this.#queries.get(lost.hash);
    if (wanted) this.connection.send([this.#question(lost.hash, wanted)]);
    return false;
  }

  #sawTx(tx: number): void {
    this.#tx = Math.max(this.#tx, tx);
    this.#options.queue.liveTx = this.#tx;
  }

  #acknowledged(message: Message): void {
    const id = message['client-event-id'] as string;
    const tx = message['tx-id'] as number | undefined;
    if (tx) this.#sawTx(tx);
    const { environment, queue } = this.#options;
    if (queue.get(id)) queue.acked(id, tx ?? null, environment.now(), message.value);
    else this.handlers.get('call-ok')?.(message);
  }

  /** What errors lead to is code that comes later: until it is here they wait. */
  #failed(message: Message): void {
    const original = isObject(message['original-event']) ? message['original-event'] : {};
    const handler = this.handlers.get(original.op as string);
    if (handler) return handler(message);
    const losses = this.#losses;
    let isLate = false;
    this.#options.later.call(({ Failures }) => {
      // Over another connection all is asked and sent anew.
      if (losses !== this.#losses) return;
      this.#failures ??= new Failures({
        ...this.#options,
        session: this,
        queries: this.#queries,
        asked: this.#asked,
        tellWaiting: (eventId, hash, error) => this.#tellWaiting(eventId, hash, error),
        errored: () => this.#setStatus('errored'),
      });
      this.#failures.take(message, original);
      if (!isLate) return;
      this.#options.changed();
      this.push();
    });
    isLate = true;
  }
}

function newsOf(message: Message, result: unknown): News {
  return {
    queryId: message['query-id'] as string | undefined,
    version: message.version as string | undefined,
    from: message.from as string | undefined,
    tx: message['processed-tx-id'] as number,
    result: result as WireResult | undefined,
    delta: message.delta as (Delta & { data?: Record<string, unknown> }) | undefined,
  };
}
