import type { Session } from '../client/session.ts';
import type { Queries } from '../client/queries.ts';
import { TriceError } from '../errors.ts';
import type { QueryJson } from '../query/form.ts';
import type { WireAttr } from '../schema/attr.ts';
import type { Message } from '../session/part.ts';
import type { Answer, News } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import type { Store } from '../store/store.ts';

export interface HubSessionOptions {
  readonly store: Store;
  readonly session: Session;
  readonly queries: Queries;
  /** Sends a frame to the follower. */
  send(messages: readonly Message[]): void;
}

/** A query of a follower. */
interface Asked {
  readonly query: QueryJson;
  /** The version that the follower holds; undefined: none. */
  told: string | undefined;
  /** The first question, until it is answered. */
  waiting: { readonly id: unknown; readonly held: string | undefined } | null;
  /** The error that was told last. */
  error: TriceError | undefined;
  stop(): void;
}

/**
 * The server's side of a session, spoken by the leader to a follower. Answers are the leader's: a
 * follower is told what changes in them, from the version that it holds.
 */
export class HubSession {
  readonly #options: HubSessionOptions;
  readonly #asked = new Map<string, Asked>();
  #attrs: readonly WireAttr[] | null = null;
  /** What the next frame says: by the transaction up to which it is so. */
  #news = new Map<number, Message[]>();
  #isOpen = false;

  constructor(options: HubSessionOptions) {
    this.#options = options;
  }

  receive(message: Message): void {
    const id = message['client-event-id'];
    switch (message.op) {
      case 'init':
        return this.#init(message);
      case 'add-query':
        return this.#addQuery(message.q as QueryJson, message.held as string | undefined, id);
      case 'remove-query':
        this.#remove(queryHash(message.q));
        return this.#say({ op: 'remove-query-ok', 'client-event-id': id, q: message.q });
      default:
        return this.#say({
          op: 'error',
          'client-event-id': id,
          type: 'validation-failed',
          message: 'Only queries are asked of another tab.',
          'original-event': message,
        });
    }
  }

  /** The leader was told something of a query. */
  landed(answer: Answer, news: News): void {
    const asked = this.#asked.get(answer.hash);
    if (asked === undefined) return;
    if (asked.waiting) {
      const { id, held } = asked.waiting;
      asked.waiting = null;
      return this.#answer(asked, id, held, answer, news);
    }
    const said = this.#news.get(answer.tx!) ?? [];
    this.#news.set(answer.tx!, said);
    const { version } = answer;
    const named = { 'query-id': answer.queryId ?? answer.hash, version };
    const content = contentOf(answer, asked.told, news);
    said.push({
      ...named,
      ...('result' in content
        ? { 'instaql-query': asked.query, 'instaql-result': content.result }
        : content),
    });
    asked.told = version;
  }

  /** Tells what changed since the last frame. */
  flush(): void {
    if (!this.#isOpen) return;
    const frame: Message[] = [];
    const { store, session } = this.#options;
    if (this.#attrs !== store.wireAttrs) {
      const { catalog, tx } = session.held;
      this.#attrs = store.wireAttrs;
      frame.push({
        ...{ op: 'refresh-ok', attrs: store.wireAttrs, computations: [] },
        'processed-tx-id': tx,
        ...(catalog === undefined ? {} : { catalog }),
      });
    }
    for (const [tx, computations] of this.#news)
      frame.push({ op: 'refresh-ok', 'processed-tx-id': tx, computations });
    this.#news = new Map();
    if (frame.length > 0) this.#options.send(frame);
  }

  stop(): void {
    for (const hash of [...this.#asked.keys()]) this.#remove(hash);
  }

  #init(message: Message): void {
    const { session, store } = this.#options;
    const id = message['client-event-id'];
    if (session.error)
      return this.#say({ ...errorMessage(session.error, message), 'client-event-id': id });
    const { catalog, tx } = session.held;
    const { tx: seen } = (message.trice ?? {}) as { tx?: number };
    this.#isOpen = true;
    this.#attrs = store.wireAttrs;
    this.#say({
      op: 'init-ok',
      'client-event-id': id,
      attrs: store.wireAttrs,
      trice: {
        ...{ version: 1, features: ['delta', 'resume'], tx },
        ...(catalog === undefined ? {} : { catalog }),
        // The data was put back to an older state since.
        ...((seen ?? 0) > tx ? { 'reset?': true } : {}),
      },
    });
  }

  #addQuery(query: QueryJson, held: string | undefined, id: unknown): void {
    const { session, store } = this.#options;
    const hash = queryHash(query);
    const known = this.#asked.get(hash);
    if (known) {
      // It is asked once more: the answer is to be the server's, of now.
      return session.ask(hash, (error) => {
        const answer = store.find(hash);
        if (this.#asked.get(hash) !== known || answer === undefined) return;
        if (error) return this.#fail(known, id, error);
        this.flush();
        this.#answer(known, id, held, answer, null);
      });
    }
    const asked: Asked = {
      query,
      told: undefined,
      waiting: { id, held },
      error: undefined,
      stop: this.#options.queries.observe(query).subscribe(() => this.#look(hash)),
    };
    this.#asked.set(hash, asked);
    const answer = store.find(hash);
    if (!session.isAnswered(hash) || answer === undefined) return this.#look(hash);
    asked.waiting = null;
    this.#answer(asked, id, held, answer, null);
  }

  #answer(
    asked: Asked,
    id: unknown,
    held: string | undefined,
    answer: Answer,
    news: News | null,
  ): void {
    const { version, tx } = answer;
    const content = contentOf(answer, held, news);
    asked.told = version;
    asked.error = undefined;
    this.#say({
      ...{ op: 'add-query-ok', 'client-event-id': id, q: asked.query },
      ...{ 'query-id': answer.queryId ?? answer.hash, version, 'processed-tx-id': tx },
      ...content,
    });
  }

  /** A query that fails says so once. */
  #look(hash: string): void {
    const asked = this.#asked.get(hash);
    const { error } = this.#options.store.state(hash);
    if (asked === undefined || error === undefined || error === asked.error) return;
    const id = asked.waiting?.id;
    asked.waiting = null;
    this.#fail(asked, id, error);
  }

  #fail(asked: Asked, id: unknown, error: TriceError): void {
    asked.error = error;
    this.#say({
      ...errorMessage(error, { op: 'add-query', q: asked.query }),
      ...(id === undefined ? {} : { 'client-event-id': id }),
    });
  }

  #remove(hash: string): void {
    const asked = this.#asked.get(hash);
    this.#asked.delete(hash);
    asked?.stop();
  }

  #say(message: Message): void {
    this.#options.send([message]);
  }
}

/** What leads from a version to an answer: nothing, the server's steps, or the whole. */
function contentOf(answer: Answer, from: string | undefined, news: News | null): Message {
  const { version, data, bag } = answer;
  if (version !== undefined && from === version) return { from };
  if (news?.delta && from !== undefined && news.from === from) return { from, delta: news.delta };
  const rows = [...bag.triples()];
  return {
    result: [{ data: { ...data, 'datalog-result': { 'join-rows': [rows] } }, 'child-nodes': [] }],
  };
}

function errorMessage({ code, message, hint, traceId, status }: TriceError, original: Message) {
  return {
    ...{ op: 'error', type: code, message, status, 'original-event': original },
    ...(hint === undefined ? {} : { hint }),
    ...(traceId === undefined ? {} : { 'trace-id': traceId }),
  };
}
