import type { QueryJson } from '../query/form.ts';
import type { AttrId, WireAttr } from '../schema/attr.ts';
import type { KeptAnswer } from '../store/answer.ts';
import type { Triple } from '../store/bag.ts';
import { isObject } from '../values/json.ts';

/** Another format is not read. */
const FORMAT = 1;

/** A user without the token: pages are read by more than their user. */
export interface PageUser {
  readonly id: string;
  readonly email?: string | null;
  readonly type?: 'user' | 'guest';
  readonly [field: string]: unknown;
}

/**
 * What a server found while it made a page, as JSON: what a browser goes on from.
 *
 * user     as whom it asked, without the token; null: nobody; undefined: it does not say
 * tx       the greatest transaction id among the answers
 * catalog  the name of `attrs`; these are left out where an earlier part of the page has them
 * ids      the attrs that the answers name, by place
 */
export interface Dehydrated {
  readonly format: number;
  readonly appId: string;
  readonly user?: PageUser | null;
  readonly tx: number;
  readonly catalog?: string;
  readonly attrs?: readonly WireAttr[];
  readonly ids: readonly AttrId[];
  readonly answers: readonly DehydratedAnswer[];
}

/** One answer: `rows` have an entity each, then the place of an attr, a value and a time. */
export interface DehydratedAnswer {
  readonly query: QueryJson;
  readonly queryId?: string;
  readonly version?: string;
  readonly tx: number;
  readonly rows: readonly (readonly [entity: string, ...cells: unknown[]])[];
  readonly data: Readonly<Record<string, unknown>>;
}

/** Whether a page brought something for this app that this client can read. */
export function isDehydrated(page: unknown, appId: string): page is Dehydrated {
  return isObject(page) && page.format === FORMAT && page.appId === appId;
}

/** What is said of a page as a whole. */
export type PageHead = Pick<Dehydrated, 'appId' | 'user' | 'tx' | 'catalog' | 'attrs'>;

/** Writes answers out. */
export function dehydrated(
  head: PageHead,
  answers: Iterable<readonly [QueryJson, KeptAnswer]>,
): Dehydrated {
  const places = new Map<AttrId, number>();
  const placeOf = (attr: AttrId) => {
    let place = places.get(attr);
    if (place === undefined) places.set(attr, (place = places.size));
    return place;
  };
  const written = [...answers].map(([query, { queryId, version, tx, triples, data }]) => ({
    query,
    ...(queryId === undefined ? {} : { queryId }),
    ...(version === undefined ? {} : { version }),
    ...{ tx, rows: rowsOf(triples, placeOf), data },
  }));
  return { format: FORMAT, ...head, ids: [...places.keys()], answers: written };
}

/** The answers that a page brought, with their queries. */
export function keptAnswers({ answers, ids }: Dehydrated): [QueryJson, KeptAnswer][] {
  return answers.map(({ query, queryId, version, tx, rows, data }) => [
    query,
    { queryId, version, tx, data, triples: rows.flatMap((row) => triplesOf(row, ids)) },
  ]);
}

function rowsOf(
  triples: readonly Triple[],
  placeOf: (attr: AttrId) => number,
): [string, ...unknown[]][] {
  const rows = new Map<string, [string, ...unknown[]]>();
  for (const [entity, attr, value, time] of triples) {
    let row = rows.get(entity);
    if (row === undefined) rows.set(entity, (row = [entity]));
    row.push(placeOf(attr), value, time);
  }
  return [...rows.values()];
}

function triplesOf(
  [entity, ...cells]: readonly [string, ...unknown[]],
  ids: readonly AttrId[],
): Triple[] {
  const triples: Triple[] = [];
  for (let place = 0; place < cells.length; place += 3)
    triples.push([
      entity,
      ids[cells[place] as number]!,
      cells[place + 1],
      cells[place + 2] as number,
    ]);
  return triples;
}
