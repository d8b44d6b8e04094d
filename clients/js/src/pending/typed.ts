import type { AnySchema, NamespaceOf } from '../schema/infer.ts';
import type { Operation } from './builder.ts';

/** `db.tx`: the namespaces of a schema, each with its entities by id. */
export type TxOf<S extends AnySchema> = {
  readonly [E in NamespaceOf<S>]: EntitiesOf<S, E>;
};

export type EntitiesOf<S extends AnySchema, E extends NamespaceOf<S>> = {
  readonly [id: string]: ChunkOf<S, E>;
} & {
  /** The entity that has this value in a unique field. */
  lookup<K extends S['unique'][E] & keyof S['rows'][E]>(
    attr: K,
    value: NonNullable<S['rows'][E][K]>,
  ): ChunkOf<S, E>;
};

/** Operations on one entity, to be handed to `transact`. Every call returns a new chunk. */
export interface ChunkOf<S extends AnySchema, E extends NamespaceOf<S>> {
  readonly __ops: readonly Operation[];
  readonly __etype: E;
  /** Refused if the entity is there already. */
  create(args: CreateParams<S, E>): ChunkOf<S, E>;
  /** Makes the entity if it is not there, unless `upsert` is false. */
  update(args: UpdateParams<S, E>, opts?: { upsert?: boolean }): ChunkOf<S, E>;
  /** Objects are merged key by key, deeply; null removes a key. */
  merge(args: MergeParams<S, E>, opts?: { upsert?: boolean }): ChunkOf<S, E>;
  /**
   * Adds numbers to fields; a field without value counts as 0. The server computes the sum, so
   * writers who increment at once never undo each other. trice only: not in Instant.
   */
  increment(args: IncrementParams<S, E>, opts?: { upsert?: boolean }): ChunkOf<S, E>;
  /** Links it to other entities. */
  link(args: LinkParams<S, E>): ChunkOf<S, E>;
  /** Takes links to other entities away. */
  unlink(args: LinkParams<S, E>): ChunkOf<S, E>;
  /** Deletes the entity and its links. */
  delete(): ChunkOf<S, E>;
  /** Parameters that rules may ask for. */
  ruleParams(args: { readonly [name: string]: any }): ChunkOf<S, E>;
}

/** Fields of a new entity: all that are required. */
export type CreateParams<S extends AnySchema, E extends NamespaceOf<S>> = S['writes'][E];

/** Fields to set; null unsets those that are optional. */
export type UpdateParams<S extends AnySchema, E extends NamespaceOf<S>> = Partial<S['writes'][E]>;

/** Fields to merge into: null removes a key of an object. */
export type MergeParams<S extends AnySchema, E extends NamespaceOf<S>> = {
  [K in keyof S['writes'][E]]?: unknown;
};

/** What to add, by field that holds a number; it may be negative. */
export type IncrementParams<S extends AnySchema, E extends NamespaceOf<S>> = {
  [K in keyof S['writes'][E] as NonNullable<S['writes'][E][K]> extends number ? K : never]?: number;
};

/** Ids or lookups of entities, by link: one where it leads to one, else one or many. */
export type LinkParams<S extends AnySchema, E extends NamespaceOf<S>> = {
  -readonly [K in keyof S['by'][E]]?: S['by'][E][K] extends { readonly has: 'one' }
    ? string
    : string | readonly string[];
};
