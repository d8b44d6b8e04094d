import type { ByOf, IndexedOf, RowOf, RowsOf, UniqueOf, WritesOf } from './infer.ts';

export type ValueType = 'string' | 'number' | 'boolean' | 'date' | 'json';

/** A field of a namespace. `i.string()` and its like make it; each method returns another one. */
export class FieldDef<
  Value,
  IsRequired extends boolean,
  IsIndexed extends boolean,
  IsUnique extends boolean,
> {
  /** For types only: what the field holds as the wire has it. Never there at run time. */
  declare readonly __value: Value;
  /** For types only. */
  declare readonly __isUnique: IsUnique;
  readonly valueType: ValueType;
  readonly required: IsRequired;
  readonly isIndexed: IsIndexed;
  readonly config: { readonly indexed: boolean; readonly unique: boolean };
  readonly metadata: Readonly<Record<string, unknown>> = {};

  constructor(
    valueType: ValueType,
    required: IsRequired,
    isIndexed: IsIndexed,
    config: { readonly indexed: boolean; readonly unique: boolean },
  ) {
    this.valueType = valueType;
    this.required = required;
    this.isIndexed = isIndexed;
    this.config = config;
  }

  /** Entities may lack it. A write may set it to null. */
  optional(): FieldDef<Value, false, IsIndexed, IsUnique> {
    return new FieldDef(this.valueType, false, this.isIndexed, this.config);
  }

  /** Required by the types here; the server takes entities without it. */
  clientRequired(): FieldDef<Value, true, IsIndexed, IsUnique> {
    // What is pushed says optional, what the types say is required: as in the original.
    const field: unknown = new FieldDef(this.valueType, false, this.isIndexed, this.config);
    return field as FieldDef<Value, true, IsIndexed, IsUnique>;
  }

  /** No two entities share a value; `lookup` finds an entity by it. */
  unique(): FieldDef<Value, IsRequired, IsIndexed, true> {
    const config = { ...this.config, unique: true };
    return new FieldDef(this.valueType, this.required, this.isIndexed, config);
  }

  /** Queries may order by it and compare it. */
  indexed(): FieldDef<Value, IsRequired, true, IsUnique> {
    const config = { ...this.config, indexed: true };
    return new FieldDef(this.valueType, this.required, true, config);
  }
}

export type FieldDefs = Readonly<Record<string, FieldDef<any, boolean, boolean, boolean>>>;

/** A link as a namespace sees it. */
export interface LinkEnd {
  readonly entityName: string;
  readonly cardinality: 'one' | 'many';
}

/** A namespace: its fields, and once it is part of a schema its links. `i.entity` makes it. */
export class EntityDef<Fields extends FieldDefs, Replaced = unknown> {
  /** For types only: fields whose types `asType` replaced. */
  declare readonly __replaced: Replaced;
  readonly attrs: Fields;
  readonly links: Readonly<Record<string, LinkEnd>>;

  constructor(attrs: Fields, links: Readonly<Record<string, LinkEnd>>) {
    this.attrs = attrs;
    this.links = links;
  }

  /** The same for the server; the types take these for the fields it names. */
  asType<T extends Partial<RowOf<Fields>>>(): EntityDef<Fields, T> {
    return new EntityDef(this.attrs, this.links);
  }
}

export type EntityDefs = Readonly<Record<string, EntityDef<any, any>>>;

/** A link between two namespaces, as seen from both of its ends. */
export interface LinkDef<Name extends string> {
  readonly forward: {
    readonly on: Name;
    readonly label: string;
    readonly has: 'one' | 'many';
    readonly required?: boolean;
    readonly onDelete?: 'cascade';
  };
  readonly reverse: {
    readonly on: Name;
    readonly label: string;
    readonly has: 'one' | 'many';
    readonly onDelete?: 'cascade';
  };
}

export interface RoomDef {
  readonly presence: EntityDef<any, any>;
  readonly topics?: Readonly<Record<string, EntityDef<any, any>>>;
}

export type RoomDefs = Readonly<Record<string, RoomDef>>;

/**
 * A schema. `i.schema` makes it; `init` takes it, and `trice push` reads it.
 *
 * `rows`, `writes`, `by`, `unique` and `indexed` are for types only, and never there at run time:
 * all types of queries and writes are looked up in them.
 */
export class SchemaDef<Entities, Links, Rooms> {
  /** For types only: a row of each namespace. */
  declare readonly rows: RowsOf<Entities>;
  /** For types only: what a write of each namespace takes. */
  declare readonly writes: WritesOf<Entities>;
  /** For types only: the links of each namespace, by label. */
  declare readonly by: ByOf<Entities, Links>;
  /** For types only: the names of the unique fields of each namespace. */
  declare readonly unique: UniqueOf<Entities>;
  /** For types only: the names of the indexed fields of each namespace. */
  declare readonly indexed: IndexedOf<Entities>;
  readonly entities: Entities;
  readonly links: Links;
  readonly rooms: Rooms;

  constructor(entities: Entities, links: Links, rooms: Rooms) {
    this.entities = entities;
    this.links = links;
    this.rooms = rooms;
  }
}

function schema<
  Entities extends EntityDefs,
  const Links extends Readonly<Record<string, LinkDef<keyof Entities & string>>> = {},
  Rooms extends RoomDefs = {},
>(parts: {
  readonly entities: Entities;
  readonly links?: Links;
  readonly rooms?: Rooms;
}): SchemaDef<Entities, Links, Rooms> {
  const links = parts.links ?? ({} as Links);
  const entities = withLinks(parts.entities, Object.values(links)) as Entities;
  return new SchemaDef(entities, links, parts.rooms ?? ({} as Rooms));
}

/** Namespaces that know their links, forward ones first. */
function withLinks(entities: EntityDefs, links: readonly LinkDef<string>[]): EntityDefs {
  const linked = Object.entries(entities).map(([name, { attrs }]) => {
    const ends: Record<string, LinkEnd> = {};
    for (const { forward, reverse } of links)
      if (forward.on === name)
        ends[forward.label] = { entityName: reverse.on, cardinality: forward.has };
    for (const { forward, reverse } of links)
      if (reverse.on === name)
        ends[reverse.label] = { entityName: forward.on, cardinality: reverse.has };
    return [name, new EntityDef(attrs, ends)];
  });
  return Object.fromEntries(linked) as EntityDefs;
}

function field(valueType: ValueType): FieldDef<any, true, false, false> {
  return new FieldDef(valueType, true, false, { indexed: false, unique: false });
}

/** A new field. */
type Field<Value> = FieldDef<Value, true, false, false>;

// Two signatures: of one with a default, the compiler infers `any` where a schema surrounds it.

interface MakeString {
  (): Field<string>;
  <Value extends string>(): Field<Value>;
}

interface MakeJson {
  (): Field<any>;
  <Value>(): Field<Value>;
}

/**
 * Says what an app's data looks like. Fields are required unless `.optional()`.
 *
 *     const schema = i.schema({
 *       entities: {
 *         todos: i.entity({ title: i.string(), dueAt: i.date().optional().indexed() }),
 *         people: i.entity({ name: i.string().unique() }),
 *       },
 *       links: {
 *         todoOwner: {
 *           forward: { on: 'todos', has: 'one', label: 'owner' },
 *           reverse: { on: 'people', has: 'many', label: 'todos' },
 *         },
 *       },
 *       rooms: { list: { presence: i.entity({ cursor: i.number() }) } },
 *     });
 */
export const i = {
  /** All of it: namespaces, links between them, rooms. */
  schema,
  /** A namespace, by its fields. */
  entity: <Fields extends FieldDefs>(attrs: Fields): EntityDef<Fields> => new EntityDef(attrs, {}),
  /** Text; `i.string<'low' | 'high'>()` is one of these, for the types. */
  string: (() => field('string')) as MakeString,
  /** A number, with the precision of JavaScript's. */
  number: (): Field<number> => field('number'),
  /** True or false. */
  boolean: (): Field<boolean> => field('boolean'),
  /** A point in time. Writes take a Date, ISO text or milliseconds; rows have what was written. */
  date: (): Field<string | number> => field('date'),
  /** Any JSON; `i.json<{ x: number }>()` has this type. */
  json: (() => field('json')) as MakeJson,
  /** Any JSON, whose type is not looked at. */
  any: (): Field<any> => field('json'),
};
