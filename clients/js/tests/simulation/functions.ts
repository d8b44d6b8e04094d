/**
 * Functions of the simulation's server, by brute force: after each change every live call is run
 * again. Mutations are carried out once per event id, and what they returned is kept.
 */
import { queryHash } from '../../src/store/hash.ts';
import type { FunctionRef } from '../../src/calls/refs.ts';
import type { WireAttr } from '../../src/schema/attr.ts';
import type { Triple } from '../../src/store/bag.ts';
import type { Random } from '../support/random.ts';
import { type Data, FORBIDDEN, Refused } from './steps.ts';

type Message = Record<string, unknown>;
type Args = Readonly<Record<string, unknown>>;

/** One session, as functions know it. */
interface Caller {
  send(message: Message): void;
}

/** What functions work on. */
interface World {
  readonly data: Data;
  readonly tx: number;
  /** Applies a transaction once; throws Refused. */
  transact(eventId: string, steps: readonly unknown[][]): number;
}

interface Live {
  readonly name: string;
  readonly args: Args;
  told: string;
  /** The version that the client was told last; undefined: none. */
  held: string | undefined;
}

/** A list that a session watches: where its pages end, and what was told of each. */
interface LiveList {
  readonly name: string;
  readonly args: Args;
  ends: string[];
  told: string[];
}

export class Functions {
  readonly #world: World;
  readonly #random: Random;
  /** What calls returned, by version. */
  readonly #values = new Map<string, unknown>();
  /** What changed starts from a version that nobody was told. */
  misnamesVersions = false;
  /** How often what changed was told in the place of a value. */
  changes = 0;
  readonly #live = new Map<Caller, Map<string, Live>>();
  readonly #lists = new Map<Caller, Map<string, LiveList>>();
  /** What mutations returned, by event id. */
  readonly results = new Map<
    string,
    { readonly value: unknown; readonly tx: number | undefined }
  >();
  /** Event ids whose result is kept no longer. */
  readonly expired = new Set<string>();
  /** Calls of mutations and actions that were run, in order. */
  readonly ran: string[] = [];
  /** What calls are answered with instead, by name; `null`: nothing. */
  readonly answers = new Map<string, Message | null>();

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** Carries out a message about calls; false: it is about something else. */
  receive(caller: Caller, message: Message): boolean {
    const { op, name, args } = message as { op: string; name: string; args: Args };
    if (op === 'more-call' || message.paged === true) return this.#list(caller, message);
    if (op !== 'call' && op !== 'add-call' && op !== 'remove-call') return false;
    const key = queryHash([name, args]);
    const live = this.#live.get(caller) ?? new Map<string, Live>();
    this.#live.set(caller, live);
    const id = { 'client-event-id': message['client-event-id'] as string };
    if (op === 'remove-call') {
      live.delete(key);
      caller.send({ op: 'remove-call-ok', ...id, name, args });
      return true;
    }
    const answer = this.answers.get(name);
    if (answer === null) return true;
    try {
      if (answer) throw new Refused(String(answer.message), String(answer.type));
      if (op === 'call') this.#call(caller, id, name, args);
      else {
        const value = this.value(name, args);
        const held = message.held as string | undefined;
        const one: Live = { name, args, told: JSON.stringify(value), held };
        live.set(key, one);
        const upTo = { 'processed-tx-id': this.#world.tx };
        caller.send({ op: 'add-call-ok', ...id, name, args, ...this.#tell(one, value), ...upTo });
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { message: text, code: type, hint } = error;
      caller.send({ op: 'error', ...id, type, message: text, hint, 'original-event': message });
    }
    return true;
  }

  /** What a refresh says of the live calls of a session. */
  news(caller: Caller): Message[] {
    return [...(this.#live.get(caller)?.values() ?? [])].flatMap((live): Message[] => {
      const { name, args } = live;
      const said = this.#said(name, args);
      const text = JSON.stringify(said);
      if (live.told === text || live.told === JSON.stringify(said.value)) return [];
      live.told = text;
      return [{ name, args, ...('value' in said ? this.#tell(live, said.value) : said) }];
    });
  }

  /** A value as a client is told it: whole, or what changed in what it holds. */
  #tell(live: Live, value: unknown): Message {
    const version = queryHash([value]);
    const from = live.held;
    live.held = version;
    this.#values.set(version, value);
    if (from === undefined) return { value, version };
    if (this.misnamesVersions) return { from: 'nowhere', version, delta: {} };
    if (from === version) return { from, version };
    const delta = deltaOf(this.#values.get(from), value);
    if (delta === null || this.#random.chance(0.3)) return { value, version };
    this.changes += 1;
    return { from, version, delta };
  }

  /** What a refresh says of the lists of a session. */
  listNews(caller: Caller): Message[] {
    return [...(this.#lists.get(caller)?.values() ?? [])].flatMap((list): Message[] => {
      const { name, args, ends } = list;
      const pages = ends.flatMap((_, at) => this.#page(list, at));
      return pages.length > 0 ? [{ name, args, pages, count: ends.length }] : [];
    });
  }

  #list(caller: Caller, message: Message): true {
    const { op, name, args } = message as { op: string; name: string; args: Args };
    const key = queryHash([name, args]);
    const lists = this.#lists.get(caller) ?? new Map<string, LiveList>();
    this.#lists.set(caller, lists);
    const id = { 'client-event-id': message['client-event-id'] as string };
    const upTo = { 'processed-tx-id': this.#world.tx };
    const answer = this.answers.get(name);
    if (op === 'remove-call') lists.delete(key);
    else if (answer) caller.send({ op: 'error', ...id, ...answer, 'original-event': message });
    else if (op === 'add-call') {
      const list: LiveList = { name, args, ends: [], told: [] };
      lists.set(key, list);
      for (const end of (message.pages as (string | null)[] | undefined) ?? [null])
        list.ends.push(end ?? this.#end(list));
      const pages = list.ends.flatMap((_, at) => this.#page(list, at));
      caller.send({ op: 'add-call-ok', ...id, name, args, pages, ...upTo });
    } else {
      const list = lists.get(key)!;
      list.ends.push(this.#end(list));
      caller.send({ op: 'refresh-ok', ...upTo, computations: [], calls: this.listNews(caller) });
    }
    return true;
  }

  #listed({ of }: Args): Book[] {
    return booksOf(this.#world.data).filter(({ title }) => title.startsWith(textOf(of)));
  }

  /** Where the page behind the last one ends. */
  #end({ args, ends }: LiveList): string {
    const { size = 2 } = args.page as { size?: number };
    const after = ends.at(-1) ?? '';
    const rest = this.#listed(args).filter(({ id }) => id > after);
    return rest.length > size ? rest[size - 1]!.id : '';
  }

  /** What is told of a page; nothing if it is as it was. */
  #page({ args, ends, told }: LiveList, at: number): Message[] {
    const [after, until] = [ends[at - 1] ?? '', ends[at]!];
    const books = this.#listed(args);
    const items = books.filter(({ id }) => id > after && (until === '' || id <= until));
    const text = JSON.stringify(items);
    const isNew = at >= told.length ? { new: true } : {};
    if (told[at] === text) return [];
    told[at] = text;
    return [{ at, until, ...isNew, value: { items, next: until || null } }];
  }

  left(caller: Caller): void {
    this.#lists.delete(caller);
    this.#live.delete(caller);
  }

  /** What a query function returns now. */
  value(name: string, args: Args): unknown {
    const books = booksOf(this.#world.data);
    if (name === 'books.list')
      return books.filter(({ title }) => title.startsWith(textOf(args.of)));
    if (name === 'books.shelf') return { label: 'all', items: books };
    if (name === 'books.count') return books.length;
    if (name === 'books.strict') {
      if (books.some(({ title }) => title === 'bad')) throw new Refused('bad', 'function-failed');
      return books.length;
    }
    throw new Refused(`there is no ${name}`, 'function-not-found');
  }

  #said(name: string, args: Args): Message {
    try {
      return { value: this.value(name, args) };
    } catch (error) {
      const { message, code } = error as Refused;
      return { error: { type: code, message } };
    }
  }

  #call(caller: Caller, id: { 'client-event-id': string }, name: string, args: Args): void {
    const eventId = id['client-event-id'];
    if (name === 'mail.send') {
      this.ran.push(eventId);
      return caller.send({ op: 'call-ok', ...id, value: `sent to ${textOf(args.to)}` });
    }
    if (!name.startsWith('edit.'))
      return caller.send({ op: 'call-ok', ...id, value: this.value(name, args) });
    if (this.expired.has(eventId)) throw new Refused('long ago', 'value-expired');
    const known = this.results.get(eventId) ?? this.#mutate(eventId, name, args);
    const tx = known.tx === undefined ? {} : { 'tx-id': known.tx };
    caller.send({ op: 'call-ok', ...id, value: known.value, ...tx });
  }

  #mutate(eventId: string, name: string, args: Args) {
    const { data } = this.#world;
    const entity = textOf(args.id);
    const result = { value: `${name} ${entity}`, tx: undefined as number | undefined };
    if (args.title === FORBIDDEN) throw new Refused('not that', 'function-error', { why: 'title' });
    this.ran.push(eventId);
    if (name !== 'edit.nothing') {
      // What is shown of it is another than the client expects.
      const title = name === 'edit.shout' ? textOf(args.title).toUpperCase() : args.title;
      const steps =
        name === 'edit.delete'
          ? [['delete-entity', entity, 'books']]
          : [
              ['add-triple', entity, attrOf(data, 'id').id, entity],
              ['add-triple', entity, attrOf(data, 'title').id, title],
            ];
      result.tx = this.#world.transact(eventId, steps);
    }
    this.results.set(eventId, result);
    return result;
  }
}

/** What leads from one value to another; null: there is no list. */
function deltaOf(before: unknown, now: unknown): Message | null {
  if (Array.isArray(now)) return { lists: { '': changesOf(before as Book[], now as Book[]) } };
  if (typeof now !== 'object') return null;
  const { items, ...rest } = now as { items: Book[] };
  const changes = changesOf((before as { items: Book[] }).items, items);
  return { rest: { ...rest, items: [] }, lists: { items: changes } };
}

function changesOf(before: readonly Book[], now: readonly Book[]): Message {
  const gone = before.map(({ id }) => id).filter((id) => !now.some((row) => row.id === id));
  const put = now.filter(
    (row) => !before.some((old) => JSON.stringify(old) === JSON.stringify(row)),
  );
  const isNew = (row: Book) => !before.some(({ id }) => id === row.id);
  // Rows are in the order of their ids: only new ones are placed.
  const order = now.flatMap((row, at) => (isNew(row) ? [[at, row.id] as const] : []));
  return { gone, put, ...(order.length > 0 ? { order } : {}) };
}

const ref = <K extends FunctionRef['kind'], A extends object, R>(kind: K, name: string) =>
  ({ kind, name }) as unknown as { kind: K; name: string; args: A; result: R };

/** A row of what query functions return. */
export interface Book {
  readonly id: string;
  readonly title: string;
}

/** The functions, as `client/api.ts` has them. */
export const api = {
  list: ref<'query', { of: string }, Book[]>('query', 'books.list'),
  pages: Object.assign(
    ref<'query', { page: { size?: number; after?: string } }, { items: Book[] }>(
      'query',
      'books.pages',
    ),
    { paged: 'page' } as unknown as {
      paged: string;
      list: { of?: string; page?: { size?: number } };
      item: Book;
    },
  ),
  shelf: ref<'query', object, { label: string; items: Book[] }>('query', 'books.shelf'),
  count: ref<'query', object, number>('query', 'books.count'),
  strict: ref<'query', object, number>('query', 'books.strict'),
  missing: ref<'query', object, number>('query', 'books.missing'),
  put: ref<'mutation', { id: string; title: string }, string>('mutation', 'edit.put'),
  shout: ref<'mutation', { id: string; title: string }, string>('mutation', 'edit.shout'),
  delete: ref<'mutation', { id: string }, string>('mutation', 'edit.delete'),
  nothing: ref<'mutation', { id: string }, string>('mutation', 'edit.nothing'),
  mail: ref<'action', { to: string }, string>('action', 'mail.send'),
};

/** The books that have a title, by id. */
export function booksOf({ attrs, triples }: Data): Book[] {
  const id = attrOf({ attrs, triples }, 'id').id;
  const title = attrOf({ attrs, triples }, 'title').id;
  const named = new Map(
    triples.flatMap(([entity, attr, value]: Triple) =>
      attr === title && typeof value === 'string' ? [[entity, value] as const] : [],
    ),
  );
  return triples
    .flatMap(([entity, attr]) => (attr === id && named.has(entity) ? [entity] : []))
    .sort()
    .map((entity) => ({ id: entity, title: named.get(entity)! }));
}

function attrOf({ attrs }: Data, label: string): WireAttr {
  return attrs.find(({ 'forward-identity': [, on, name] }) => on === 'books' && name === label)!;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
