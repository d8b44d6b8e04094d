import type { Attr, AttrId } from '../schema/attr.ts';
import type { Named } from '../schema/catalog.ts';
import type { View } from '../store/view.ts';

/** A query as its author writes it (spec/query.md). */
export type QueryJson = { readonly [label: string]: unknown };

/** Where a row stands in the order of a form: `[entity, attr, value, created]` (Q58). */
export type Cursor = readonly [entity: string, attr: AttrId, value: unknown, createdAt?: number];

/** How rows are ordered: by an attr, or by the time of creation (`attr` null). */
export interface Order {
  readonly attr: Attr | null;
  readonly isDescending: boolean;
}

/** Which part of the rows in order a form asks for. */
export interface Page {
  readonly first: number | null;
  readonly last: number | null;
  /** No `offset`, `after` or `before`: it begins with the first row there is. */
  readonly isLeading: boolean;
  readonly hasOffset: boolean;
  readonly after: Bound | null;
  readonly before: Bound | null;
}

/** A cursor given in a query, beyond which no row of the page lies. */
export interface Bound {
  readonly cursor: Cursor;
  /** The row of the cursor belongs to the page. */
  readonly isInclusive: boolean;
}

/** One form of a query, checked against a catalog: `{label: {$: …, child: …}}`. */
export interface Form {
  /** Its key in the query, and in the answer. */
  readonly label: string;
  readonly etype: string;
  /** The link by which it is nested; null for a top form. */
  readonly link: Named | null;
  /** A link that leads to at most one entity: answered as an object. */
  readonly isOne: boolean;
  /** A name in `where` or the namespace is unknown: it finds nothing (Q1, Q2). */
  readonly isEmpty: boolean;
  readonly where: Matches | null;
  /** The names that the conditions read, each path from the entity on: what may change a match. */
  readonly paths: readonly (readonly Named[])[];
  readonly order: Order;
  /** Null: all rows. */
  readonly page: Page | null;
  /** Fields it shows, the id aside; null: all. */
  readonly fields: ReadonlySet<string> | null;
  /** It asks for totals, which the server alone tells. */
  readonly isTotal: boolean;
  readonly children: readonly Form[];
  /** Its namespace stands elsewhere in the query too, in a form or a path. */
  readonly isRepeated: boolean;
}

/** Whether an entity of a view matches. */
export type Matches = (view: View, id: string) => boolean;

/**
 * The conditions of one object of a `where`: all hold, for the same linked entities (Q42).
 *
 * own     on the entity itself
 * linked  behind links, in parts that share no linked entity: each part is solved alone
 * all     elements of `and`, each with linked entities of its own (Q43)
 * some    the lists of `or`: of each list, one element holds
 */
export interface Group {
  readonly own: readonly Test[];
  readonly linked: readonly (readonly Condition[])[];
  readonly all: readonly Group[];
  readonly some: readonly (readonly Group[])[];
}

/** Whether an entity passes. Values are those of a field, or the ids it is linked to. */
export type Test = (at: Place) => boolean;

/** An entity under test. */
export interface Place {
  readonly id: string;
  /** The values of a name: none, one, or the ids at the other end of a link. */
  values(named: Named): readonly unknown[];
}

/** A condition behind links: one of its alternatives holds. */
export interface Condition {
  readonly alternatives: readonly Alternative[];
}

/** Links to walk, and the test at their end. */
export interface Alternative {
  readonly steps: readonly Step[];
  readonly test: Test;
}

/** A link walked. `slot` names the linked entity: equal slots of a group are one entity (Q42). */
export interface Step {
  readonly link: Named;
  readonly etype: string;
  readonly slot: string;
}
