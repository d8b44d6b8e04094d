import { failure } from '../errors.ts';
import { isObject } from '../values/json.ts';

/** What a transaction does to one entity. */
export type Action =
  'create' | 'update' | 'merge' | 'increment' | 'link' | 'unlink' | 'delete' | 'ruleParams';

/** One operation by names, as it waits and travels between tabs (instant-semantics §3.1). */
export type Operation = readonly [
  action: Action,
  etype: string,
  /** A UUID, or a lookup as `lookup()` writes it. */
  entity: string,
  args: Readonly<Record<string, unknown>>,
  opts?: { readonly upsert?: boolean },
];

/** What `transact` takes of a chunk: so it need not compare all methods of typed ones. */
export interface AnyChunk {
  readonly __ops: readonly Operation[];
}

/** Operations on one entity, to be handed to `transact`. Every call returns a new chunk. */
export interface TransactionChunk extends AnyChunk {
  readonly __etype: string;
  create(args: object): TransactionChunk;
  update(args: object, opts?: { upsert?: boolean }): TransactionChunk;
  merge(args: object, opts?: { upsert?: boolean }): TransactionChunk;
  increment(args: object, opts?: { upsert?: boolean }): TransactionChunk;
  link(args: object): TransactionChunk;
  unlink(args: object): TransactionChunk;
  delete(): TransactionChunk;
  ruleParams(args: object): TransactionChunk;
}

/** `tx.todos[id]` and `tx.todos.lookup(attr, value)`, untyped. */
export type TxBuilder = Readonly<Record<string, EntityBuilder>>;

type EntityBuilder = Readonly<Record<string, TransactionChunk>> & {
  lookup(attr: string, value: unknown): TransactionChunk;
};

const LOOKUP = 'lookup__';

/** Names an entity by the value of a unique attr, in the place of its id. */
export function lookup(attr: string, value: unknown): string {
  return `${LOOKUP}${attr}__${JSON.stringify(value)}`;
}

export function isLookup(entity: string): boolean {
  return entity.startsWith(LOOKUP);
}

/** The attr and value of a lookup. */
export function parseLookup(entity: string): [attr: string, value: unknown] {
  const [attr, ...json] = entity.slice(LOOKUP.length).split('__');
  return [attr!, JSON.parse(json.join('__'))];
}

/** A builder for any namespace, as no schema restricts it. */
export const tx: TxBuilder = new Proxy({} as TxBuilder, {
  get: (_, etype) => (typeof etype === 'string' ? entitiesOf(etype) : undefined),
});

function entitiesOf(etype: string): EntityBuilder {
  return new Proxy({} as EntityBuilder, {
    get(_, entity) {
      if (typeof entity !== 'string') return undefined;
      if (entity === 'lookup')
        return (attr: string, value: unknown) => new Chunk(etype, lookup(attr, value), []);
      return new Chunk(etype, entity, []);
    },
  });
}

/** The operations of what the app hands to `transact`. Throws if it is anything else. */
export function operationsOf(chunks: AnyChunk | readonly AnyChunk[]): Operation[] {
  const list = Array.isArray(chunks) ? (chunks as readonly AnyChunk[]) : [chunks as AnyChunk];
  return list.flatMap((chunk) => {
    if (Array.isArray(chunk?.__ops)) return chunk.__ops as readonly Operation[];
    throw failure('transaction-malformed');
  });
}

class Chunk implements TransactionChunk {
  readonly __etype: string;
  readonly __ops: readonly Operation[];
  readonly #entity: string;

  constructor(etype: string, entity: string, ops: readonly Operation[]) {
    this.__etype = etype;
    this.#entity = entity;
    this.__ops = ops;
  }

  create(args: object): Chunk {
    return this.#with('create', args);
  }

  update(args: object, opts?: { upsert?: boolean }): Chunk {
    return this.#with('update', args, opts);
  }

  merge(args: object, opts?: { upsert?: boolean }): Chunk {
    return this.#with('merge', args, opts);
  }

  increment(args: object, opts?: { upsert?: boolean }): Chunk {
    return this.#with('increment', args, opts);
  }

  link(args: object): Chunk {
    return this.#with('link', args);
  }

  unlink(args: object): Chunk {
    return this.#with('unlink', args);
  }

  delete(): Chunk {
    return this.#with('delete', {});
  }

  ruleParams(args: object): Chunk {
    return this.#with('ruleParams', args);
  }

  #with(action: Action, args: object, opts?: { upsert?: boolean }): Chunk {
    const plain = plainArgs(args);
    const op: Operation =
      opts === undefined
        ? [action, this.__etype, this.#entity, plain]
        : [action, this.__etype, this.#entity, plain, opts];
    return new Chunk(this.__etype, this.#entity, [...this.__ops, op]);
  }
}

/**
 * Arguments as JSON has them: dates as ISO text, without what is undefined (instant-semantics
 * §3.1).
 * A copy: what the app does to its object later does not change the write.
 */
function plainArgs(args: object): Record<string, unknown> {
  const plain: unknown = JSON.parse(JSON.stringify(args));
  return isObject(plain) ? plain : {};
}
