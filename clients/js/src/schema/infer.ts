import type { EntityDef, FieldDefs } from './define.ts';

/**
 * Where the types of queries and writes are looked up: what `i.schema` makes has these, and so has
 * the interface that is generated from a schema, which costs the compiler far less.
 *
 * rows     a row of each namespace: `{ todos: { id: string; title: string; done?: boolean } }`
 * writes   what a write of it takes: no id, dates also as Date, null where a field is optional:
 *          `{ todos: { title: string; done?: boolean | null } }`
 * by       its links by label: `{ todos: { owner: { to: 'people'; has: 'one' } } }`
 * unique   names of its unique fields: `{ todos: never; people: 'name' }`
 * indexed  names of its indexed fields
 * rooms    presence and topics of each type of room
 */
export interface AnySchema {
  readonly rows: object;
  readonly writes: object;
  readonly by: object;
  readonly unique: object;
  readonly indexed: object;
  readonly rooms: object;
}

/** What an app without a schema has: any namespace, any field, any link. */
export interface UnknownSchema extends AnySchema {
  readonly rows: { readonly [namespace: string]: { id: string; [field: string]: any } };
  readonly writes: { readonly [namespace: string]: { [field: string]: any } };
  readonly by: {
    readonly [namespace: string]: { readonly [label: string]: { to: string; has: 'many' } };
  };
  readonly unique: { readonly [namespace: string]: string };
  readonly indexed: { readonly [namespace: string]: string };
  readonly rooms: { readonly [type: string]: { presence: any; topics: any } };
}

/** The namespaces of a schema. */
export type NamespaceOf<S extends AnySchema> = keyof S['rows'] &
  keyof S['writes'] &
  keyof S['by'] &
  keyof S['unique'] &
  keyof S['indexed'] &
  string;

/** One object type for an intersection. As the outcome of a condition, editors show it whole. */
type Flat<T> = T extends unknown ? { [K in keyof T]: T[K] } : never;

/** The values of fields, optional ones as optional keys. */
export type ValuesOf<Fields extends FieldDefs> = {
  [K in keyof Fields as Fields[K]['required'] extends true ? K : never]: Fields[K]['__value'];
} & {
  [K in keyof Fields as Fields[K]['required'] extends true ? never : K]?: Fields[K]['__value'];
};

/** A row of a namespace with these fields. */
export type RowOf<Fields extends FieldDefs> = Flat<{ id: string } & ValuesOf<Fields>>;

/** What a field takes: a date also as a Date, which is sent as ISO text. */
export type Written<Value> = string | number extends Value ? Value | Date : Value;

/** What a write of a namespace takes. */
type WriteOf<Fields extends FieldDefs> = Flat<
  {
    [K in keyof Fields as Fields[K]['required'] extends true ? K : never]: Written<
      Fields[K]['__value']
    >;
  } & {
    [K in keyof Fields as Fields[K]['required'] extends true ? never : K]?: Written<
      Fields[K]['__value']
    > | null;
  }
>;

/** What an entity's definition holds: its fields, those of `asType` replaced. */
type Replaced<Row, By> = unknown extends By ? Row : Flat<Omit<Row, keyof By> & By>;

export type RowsOf<Entities> = {
  readonly [E in keyof Entities]: Entities[E] extends EntityDef<infer Fields, infer By>
    ? Replaced<RowOf<Fields>, By>
    : never;
};

export type WritesOf<Entities> = {
  readonly [E in keyof Entities]: Entities[E] extends EntityDef<infer Fields, infer By>
    ? Replaced<WriteOf<Fields>, By>
    : never;
};

/** The names of fields that have a mark. */
type Marked<Fields, Mark> = {
  [K in keyof Fields]: Fields[K] extends Mark ? K : never;
}[keyof Fields];

export type UniqueOf<Entities> = {
  readonly [E in keyof Entities]: Entities[E] extends EntityDef<infer Fields, any>
    ? Marked<Fields, { readonly __isUnique: true }>
    : never;
};

export type IndexedOf<Entities> = {
  readonly [E in keyof Entities]: Entities[E] extends EntityDef<infer Fields, any>
    ? Marked<Fields, { readonly isIndexed: true }>
    : never;
};

interface Ends {
  readonly forward: { readonly on: string; readonly label: string; readonly has: string };
  readonly reverse: { readonly on: string; readonly label: string; readonly has: string };
}

/**
 * The links of each namespace. Keys of a mapped type that fall together become a union: so links
 * are sorted by namespace in one pass over them, not one for each namespace.
 */
export type ByOf<Entities, Links> =
  Links extends Readonly<Record<string, Ends>>
    ? LinksBy<
        Entities,
        Links,
        { [L in keyof Links as Links[L]['forward']['on']]: L },
        { [L in keyof Links as Links[L]['reverse']['on']]: L }
      >
    : never;

type LinksBy<Entities, Links extends Readonly<Record<string, Ends>>, From, To> = {
  readonly [E in keyof Entities]: Flat<
    {
      readonly [L in At<From, E> & string as Links[L]['forward']['label']]: {
        readonly to: Links[L]['reverse']['on'];
        readonly has: Links[L]['forward']['has'];
      };
    } & {
      readonly [L in At<To, E> & string as Links[L]['reverse']['label']]: {
        readonly to: Links[L]['forward']['on'];
        readonly has: Links[L]['reverse']['has'];
      };
    }
  >;
};

/** `Table[Key]`, or never. `keyof Table` would be computed anew for each key. */
type At<Table, Key extends PropertyKey> = Table extends { readonly [K in Key]: infer Names }
  ? Names
  : never;

/** What a room's part holds: of a definition its fields, else what it says itself. */
type Content<Part> =
  Part extends EntityDef<infer Fields, infer By> ? Replaced<Flat<ValuesOf<Fields>>, By> : Part;

/** Types of rooms, each with its presence and topics. */
export type RoomsOf<S extends AnySchema> = {
  [R in keyof S['rooms']]: {
    presence: S['rooms'][R] extends { readonly presence: infer P } ? Content<P> : {};
    topics: S['rooms'][R] extends { readonly topics: infer T }
      ? { [K in keyof T]: Content<T[K]> }
      : {};
  };
};

/** The same, where the compiler has to see that it is an object. */
type AsObject<T> = T extends object ? T : {};

/** What a member of a room tells of itself. */
export type PresenceOf<S extends AnySchema, R extends keyof RoomsOf<S>> = AsObject<
  RoomsOf<S>[R]['presence']
>;

/** What is sent in a room, by topic. */
export type TopicsOf<S extends AnySchema, R extends keyof RoomsOf<S>> = AsObject<
  RoomsOf<S>[R]['topics']
>;

/** What a message to a topic holds. */
export type TopicOf<
  S extends AnySchema,
  R extends keyof RoomsOf<S>,
  Topic extends keyof TopicsOf<S, R>,
> = TopicsOf<S, R>[Topic];
