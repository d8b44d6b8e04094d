import type { AnySchema, NamespaceOf, UnknownSchema, Written } from '../schema/infer.ts';
import type { Cursor } from './form.ts';
import type { PageInfo } from './page.ts';

/** A query over a schema: `{ todos: { $: { where: { done: false } }, owner: {} } }`. */
export type InstaQLParams<S extends AnySchema> = {
  readonly [E in NamespaceOf<S>]?: FormOf<S, E>;
};

/** What is asked of a namespace: `$` says which rows, other keys name links to follow. */
export type FormOf<S extends AnySchema, E extends NamespaceOf<S>> = {
  readonly $?: OptionsOf<S, E>;
} & {
  // Without a schema any key is a link, so `$` must be taken for one too.
  readonly [K in keyof S['by'][E]]?: string extends K ? any : FormOf<S, Target<S, E, K>>;
};

/** The namespace to which a link leads. */
type Target<
  S extends AnySchema,
  E extends NamespaceOf<S>,
  K extends keyof S['by'][E],
> = S['by'][E][K] extends { readonly to: infer To extends NamespaceOf<S> } ? To : never;

export interface OptionsOf<S extends AnySchema, E extends NamespaceOf<S>> {
  readonly where?: WhereOf<S, E>;
  /** One indexed field, or `serverCreatedAt`. */
  readonly order?: { readonly [K in S['indexed'][E] & string]?: Direction } & {
    readonly serverCreatedAt?: Direction;
  };
  readonly limit?: number;
  readonly first?: number;
  readonly last?: number;
  readonly offset?: number;
  readonly after?: Cursor | null;
  readonly afterInclusive?: boolean;
  readonly before?: Cursor | null;
  readonly beforeInclusive?: boolean;
  /** The fields that rows have, `id` always among them. */
  readonly fields?: InstaQLFields<S, E>;
  /** Totals in the place of rows, in `aggregate` of what is answered. */
  readonly aggregate?:
    'count' | TotalsOf<keyof S['rows'][E], keyof S['rows'][E] | keyof S['by'][E]>;
}

/** Names of fields to show. */
export type InstaQLFields<
  S extends AnySchema,
  E extends NamespaceOf<S>,
> = readonly (keyof S['rows'][E])[];

type Direction = 'asc' | 'desc';

interface TotalsOf<Field, Group> {
  readonly count?: true;
  readonly sum?: Field | readonly Field[];
  readonly avg?: Field | readonly Field[];
  readonly min?: Field | readonly Field[];
  readonly max?: Field | readonly Field[];
  readonly groupBy?: Group;
}

/** Conditions on fields, linked ids, and dotted paths; all of them hold. */
export type WhereOf<S extends AnySchema, E extends NamespaceOf<S>> = {
  readonly [K in keyof S['rows'][E]]?: Condition<NonNullable<S['rows'][E][K]>>;
} & {
  readonly [K in keyof S['by'][E]]?: Condition<K extends keyof S['rows'][E] ? any : string>;
} & Combined<S, E>;

interface Combined<S extends AnySchema, E extends NamespaceOf<S>> {
  readonly and?: readonly WhereOf<S, E>[];
  readonly or?: readonly WhereOf<S, E>[];
  readonly $entityIdStartsWith?: string;
  readonly [path: `${string}.${string}`]: Condition<any>;
}

export type Condition<V> = Written<V> | Operators<Written<V>>;

export interface Operators<V> {
  readonly $in?: readonly (V | null)[];
  readonly $not?: V;
  readonly $ne?: V;
  readonly $gt?: V;
  readonly $lt?: V;
  readonly $gte?: V;
  readonly $lte?: V;
  readonly $isNull?: boolean;
  readonly $like?: V extends string ? string : never;
  readonly $ilike?: V extends string ? string : never;
  /** The older word for `$in`. */
  readonly in?: readonly V[];
}

/**
 * `unknown` if a schema has all names of a query, else what the query cannot be. The compiler does
 * not look for unknown keys where it infers a type (TypeScript 26051), so this does.
 */
export type Known<S extends AnySchema, Q> = [UnknownName<S, Q>] extends [never]
  ? unknown
  : { readonly 'The schema has no': UnknownName<S, Q> };

/** A query whose names the schema has all; in the words of the original. */
export type ValidQuery<Q, S extends AnySchema> = InstaQLParams<S> & Known<S, Q>;

// Optional parts of a type are no literal's, and may hold themselves: they are not looked into.

type UnknownName<S extends AnySchema, Q> = undefined extends Q
  ? never
  : { [E in keyof Q]-?: E extends NamespaceOf<S> ? UnknownIn<S, E, Q[E]> : E }[keyof Q];

type UnknownIn<S extends AnySchema, E extends NamespaceOf<S>, F> = undefined extends F
  ? never
  : {
      [K in keyof F]-?: K extends '$'
        ? UnknownOption<S, E, F[K]>
        : K extends keyof S['by'][E]
          ? UnknownIn<S, Target<S, E, K>, F[K]>
          : K;
    }[keyof F];

type UnknownOption<S extends AnySchema, E extends NamespaceOf<S>, O> = O extends {
  readonly where: infer W;
}
  ? Exclude<keyof O, OptionName> | UnknownCondition<S, E, W>
  : Exclude<keyof O, OptionName>;

type OptionName = keyof OptionsOf<UnknownSchema, string>;

type UnknownCondition<S extends AnySchema, E extends NamespaceOf<S>, W> = {
  [K in keyof W]-?: UnknownPath<S, E, K, W[K]>;
}[keyof W];

/** Names are followed only where a condition has a path, or conditions in it. */
type UnknownPath<S extends AnySchema, E extends NamespaceOf<S>, K, Value> = K extends
  keyof S['rows'][E] | keyof S['by'][E] | '$entityIdStartsWith'
  ? never
  : K extends 'and' | 'or'
    ? UnknownCondition<S, E, Value[number & keyof Value]>
    : K extends `${infer Label}.${infer Rest}`
      ? Label extends keyof S['by'][E]
        ? UnknownPath<S, Target<S, E, Label>, Rest, Value>
        : K
      : K;

// Mapped types that are the outcome of a condition have no name: editors show what is in them.

/** What a query finds, by namespace. `None` is in the place of a link to one that is not there. */
export type InstaQLResult<S extends AnySchema, Q, None = undefined> = Q extends unknown
  ? { [E in keyof Q & NamespaceOf<S>]: RowOfForm<S, E, Q[E], None>[] }
  : never;

/** A row of a namespace, with what the form `F` follows; `Fields` are the only ones it has. */
export type InstaQLEntity<
  S extends AnySchema,
  E extends NamespaceOf<S>,
  F = {},
  Fields extends InstaQLFields<S, E> | undefined = undefined,
> = RowOfForm<
  S,
  E,
  Fields extends readonly string[] ? F & { $: { fields: Fields } } : F,
  undefined
>;

/** A link to one has its row or none, a link to many a list. */
type RowOfForm<S extends AnySchema, E extends NamespaceOf<S>, F, None> = keyof F extends '$'
  ? Picked<S['rows'][E], F>
  : Picked<S['rows'][E], F> & {
      [K in keyof F & keyof S['by'][E]]: S['by'][E][K] extends { readonly has: 'one' }
        ? RowOfForm<S, Target<S, E, K>, F[K], None> | None
        : RowOfForm<S, Target<S, E, K>, F[K], None>[];
    };

type Picked<Row, F> = F extends { readonly $: { readonly fields: readonly (infer Name)[] } }
  ? Pick<Row, keyof Row & (Name | 'id')>
  : Row;

/** Where the page of each form begins and ends. */
export type PageInfoOf<Q> = { [E in keyof Q]?: PageInfo };

/** The rows that a form of a namespace finds. */
export type Rows<S extends AnySchema, E extends NamespaceOf<S>, F = {}> = InstaQLEntity<S, E, F>[];

/** What a query finds. */
export type Result<S extends AnySchema, Q> = InstaQLResult<S, Q>;
