/**
 * A server of the simulation: sessions, queries with versions and deltas, and transactions, by
 * brute force over triples. An answer holds all triples of the namespaces that its query names.
 */
import { Evaluation } from '../../src/query/evaluate.ts';
import type { QueryJson } from '../../src/query/form.ts';
import type { WireAttr } from '../../src/schema/attr.ts';
import { sumOf } from '../../src/persistence/seal.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { queryHash } from '../../src/store/hash.ts';
import { byCardinality, NO_PAGES } from '../support/pages.ts';
import type { Random } from '../support/random.ts';
import type { Clock } from './clock.ts';
import type { Line, ServerEnd } from './network.ts';
import { pagesOf } from './pages.ts';
import { totalsOf } from './totals.ts';
import { Functions } from './functions.ts';
import { type Member, Rooms } from './rooms.ts';
import { Streams } from './streams.ts';
import { applySteps, type Data, Refused } from './steps.ts';

type Message = Record<string, unknown>;

/** A version of an answer, kept so that a delta can lead from it. */
interface Version {
  readonly triples: readonly Triple[];
  /** What stands beside the rows: pages, by form. */
  readonly data: Readonly<Record<string, unknown>>;
}

export class Server {
  data: Data;
  readonly rooms: Rooms;
  readonly streams: Streams;
  readonly functions: Functions;
  /** Event ids of transactions that were applied, with their transaction ids. */
  readonly applied = new Map<string, number>();
  /** Event ids of transactions that were refused at least once. */
  readonly refused = new Set<string>();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #sessions = new Set<ServerSession>();
  readonly #versions = new Map<string, Version>();
  tx = 1;
  /** What queries, writes or `init` are answered with instead, while a test wants that. */
  refuse: Message | null = null;
  refuseWrites: Message | null = null;
  refuseInit: Message | null = null;
  /** The same for other messages, by op. */
  readonly refusals = new Map<string, Message>();
  /** Deltas start from a version that nobody was told. */
  misnamesVersions = false;

  constructor(
    clock: Clock,
    random: Random,
    attrs: readonly WireAttr[],
    triples: readonly Triple[],
  ) {
    this.#clock = clock;
    this.#random = random;
    this.rooms = new Rooms(random);
    this.streams = new Streams(random);
    this.functions = new Functions(this, random);
    this.data = { attrs: [...attrs], triples: [...triples] };
  }

  accept(line: Line): ServerEnd {
    const session = new ServerSession(this, line, this.#random);
    this.#sessions.add(session);
    return {
      received: (text) => session.receive(JSON.parse(text) as Message),
      closed: () => {
        this.#sessions.delete(session);
        this.rooms.left(session);
        this.streams.left(session);
        this.functions.left(session);
      },
    };
  }

  /** What a client that knows everything would see. */
  rows(query: QueryJson): unknown {
    const catalog = Catalog.of(this.data.attrs);
    const bag = new Bag(catalog, new Intern());
    bag.replace(this.data.triples);
    return new Evaluation(query, catalog, byCardinality).run(bag, NO_PAGES);
  }

  /** The totals that a query asks for. */
  totals(query: QueryJson): unknown {
    return totalsOf(query, Catalog.of(this.data.attrs), this.data.triples);
  }

  /** Names the attrs by their content. */
  get catalogName(): string {
    return sumOf(JSON.stringify(this.data.attrs));
  }

  /** What a server that makes a page is told of a query. */
  page(query: QueryJson): Message {
    const { version, content } = this.answer(query);
    const named = { 'query-id': queryHash(query), version, 'processed-tx-id': this.tx };
    const attrs = { attrs: this.data.attrs, catalog: this.catalogName };
    return { result: resultOf(content), ...attrs, ...named };
  }

  /** Applies a transaction once; throws Refused. */
  transact(eventId: string, steps: readonly unknown[][]): number {
    const known = this.applied.get(eventId);
    if (known !== undefined) return known;
    const before = this.data;
    this.data = applySteps(before, steps, this.#clock.now);
    this.tx += 1;
    this.applied.set(eventId, this.tx);
    const hasAttrs = this.data.attrs.length > before.attrs.length;
    for (const session of this.#sessions) session.refresh(hasAttrs);
    return this.tx;
  }

  answer(query: QueryJson): { version: string; content: Version } {
    const catalog = Catalog.of(this.data.attrs);
    const names = new Evaluation(query, catalog, byCardinality).namespaces;
    const concerns = new Map(
      this.data.attrs
        .filter(
          (attr) =>
            names.has(attr['forward-identity'][1]) ||
            names.has(attr['reverse-identity']?.[1] ?? ''),
        )
        .map((attr) => [attr.id, attr['forward-identity'][1]]),
    );
    const pages = pagesOf(query, catalog, this.data.triples);
    const cut = [...pages.values()];
    const triples = this.data.triples.filter(([entity, attr]) => {
      const etype = concerns.get(attr);
      return (
        etype !== undefined && cut.every((page) => page.etype !== etype || page.ids.has(entity))
      );
    });
    const infos = Object.fromEntries([...pages].map(([label, { info }]) => [label, info]));
    const totals = totalsOf(query, catalog, this.data.triples);
    const data = {
      ...(pages.size > 0 ? { 'page-info': infos } : {}),
      ...(totals ? { aggregate: totals } : {}),
    };
    const content = { triples, data };
    const version = JSON.stringify(content);
    this.#versions.set(version, content);
    return { version, content };
  }

  version(name: string): Version | undefined {
    return this.#versions.get(name);
  }
}

class ServerSession implements Member {
  readonly id: string;
  readonly #server: Server;
  readonly #line: Line;
  readonly #random: Random;
  readonly #queries = new Map<string, { query: QueryJson; told: string }>();
  #isOpen = false;

  constructor(server: Server, line: Line, random: Random) {
    this.id = random.uuid();
    this.#server = server;
    this.#line = line;
    this.#random = random;
  }

  send(message: Message): void {
    this.#send(message);
  }

  receive(message: Message): void {
    const id = { 'client-event-id': message['client-event-id'] };
    const refusal = this.#refusalOf(message.op);
    if (refusal) return this.#send({ op: 'error', ...id, ...refusal, 'original-event': message });
    switch (message.op) {
      case 'init': {
        this.#isOpen = true;
        const { tx, catalog } = (message.trice ?? {}) as { tx?: number; catalog?: string };
        const isReset = (tx ?? 0) > this.#server.tx;
        const name = this.#server.catalogName;
        return this.#send({
          op: 'init-ok',
          ...id,
          'session-id': this.id,
          ...(catalog === name ? {} : { attrs: this.#server.data.attrs }),
          trice: {
            ...{ version: 1, features: ['delta', 'resume'], tx: this.#server.tx, catalog: name },
            ...(isReset ? { 'reset?': true } : {}),
          },
        });
      }
      case 'add-query':
        return this.#addQuery(message.q as QueryJson, message.held as string | undefined, id);
      case 'remove-query':
        this.#queries.delete(queryHash(message.q));
        return this.#send({ op: 'remove-query-ok', ...id, q: message.q });
      case 'transact':
        return this.#transact(message, id);
      default:
        if (this.#server.rooms.receive(this, message)) return;
        if (this.#server.streams.receive(this, message)) return;
        if (this.#server.functions.receive(this, message)) return;
        throw new Error(`the client sent ${String(message.op)}`);
    }
  }

  #refusalOf(op: unknown): Message | null {
    if (op === 'init') return this.#server.refuseInit;
    if (op === 'transact') return this.#server.refuseWrites;
    if (op === 'add-query') return this.#server.refuse;
    return this.#server.refusals.get(op as string) ?? null;
  }

  /** Tells what changed: of each query in full, or as a delta; nothing of those that did not. */
  refresh(hasAttrs: boolean, isForced = false): void {
    if (!this.#isOpen) return;
    const computations = [...this.#queries].flatMap(([hash, asked]): Message[] => {
      const { version, content } = this.#server.answer(asked.query);
      if (version === asked.told && !isForced) return [];
      const from = asked.told;
      asked.told = version;
      const named = { 'query-id': hash, version };
      if (this.#server.misnamesVersions) return [{ ...named, from: 'nowhere', delta: {} }];
      if (from === version) return [{ ...named, from }];
      if (this.#random.chance(0.6))
        return [{ ...named, from, delta: deltaOf(this.#server.version(from)!, content) }];
      return [{ ...named, 'instaql-query': asked.query, 'instaql-result': resultOf(content) }];
    });
    const { functions } = this.#server;
    const calls = [...functions.news(this), ...functions.listNews(this)];
    if (computations.length === 0 && calls.length === 0 && !hasAttrs) return;
    const { data, catalogName } = this.#server;
    const attrs = hasAttrs ? { attrs: data.attrs, catalog: catalogName } : {};
    const changed = { ...attrs, computations, ...(calls.length > 0 ? { calls } : {}) };
    this.#send({ op: 'refresh-ok', 'processed-tx-id': this.#server.tx, ...changed });
  }

  #addQuery(query: QueryJson, held: string | undefined, id: Message): void {
    const { version, content } = this.#server.answer(query);
    const hash = queryHash(query);
    this.#queries.set(hash, { query, told: version });
    const named = {
      op: 'add-query-ok',
      ...id,
      'query-id': hash,
      version,
      'processed-tx-id': this.#server.tx,
    };
    const before = held === undefined ? undefined : this.#server.version(held);
    if (held === version) this.#send({ ...named, from: version });
    else if (before && this.#random.chance(0.7))
      this.#send({ ...named, from: held, delta: deltaOf(before, content) });
    else this.#send({ ...named, q: query, result: resultOf(content) });
  }

  #transact(message: Message, id: Message): void {
    try {
      const tx = this.#server.transact(
        message['client-event-id'] as string,
        message['tx-steps'] as unknown[][],
      );
      this.#send({ op: 'transact-ok', ...id, 'tx-id': tx });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#server.refused.add(message['client-event-id'] as string);
      const { message: text, code: type, hint } = error;
      this.#send({ op: 'error', ...id, type, message: text, hint, 'original-event': message });
      this.refresh(false, true);
    }
  }

  #send(message: Message): void {
    this.#line.send(JSON.stringify(message));
  }
}

function resultOf({ triples, data }: Version): unknown {
  return [{ data: { 'datalog-result': { 'join-rows': [triples] }, ...data }, 'child-nodes': [] }];
}

function deltaOf(before: Version, after: Version): unknown {
  const key = (triple: Triple) => JSON.stringify(triple);
  const [old, now] = [new Set(before.triples.map(key)), new Set(after.triples.map(key))];
  return {
    removed: before.triples
      .filter((triple) => !now.has(key(triple)))
      .map(([entity, attr, value]) => [entity, attr, value]),
    added: after.triples.filter((triple) => !old.has(key(triple))),
    data: after.data,
  };
}
