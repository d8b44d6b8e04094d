import type { DiskRange, DiskRow } from '../client/disk.ts';
import type { Triple } from '../store/bag.ts';
import { isObject } from '../values/json.ts';
import { sealOf, sumOf, unsealed } from './seal.ts';

/** The head of a kept answer. */
export interface Head {
  readonly queryId: string | undefined;
  readonly version: string;
  /** The transaction up to which it contains all. */
  readonly tx: number;
  /** Page info and totals, as on the wire. */
  readonly data: Readonly<Record<string, unknown>>;
  /** Pieces of its content; -1: they are being written. */
  readonly pieces: number;
  /** Triples of the content, and the sum over the sums of its pieces. */
  readonly count: number;
  readonly sum: string;
  readonly entities: number;
  readonly bytes: number;
  readonly usedAt: number;
}

/** The keys of an answer's pieces. Hashes are JSON, and have no line ends. */
export function piecesOf(hash: string): DiskRange {
  return { from: `${hash}\n`, before: `${hash}\v` };
}

/** The head of a row; undefined if it cannot be read, or its pieces were not all written. */
export function headOf(text: string): Head | undefined {
  const row = unsealed(text);
  if (!isObject(row) || typeof row.version !== 'string' || typeof row.pieces !== 'number')
    return undefined;
  return row.pieces < 0 ? undefined : (row as unknown as Head);
}

/** The triples of an answer; undefined if a piece is missing or is not what was written. */
export function triplesOf(
  { pieces, count, sum }: Head,
  rows: readonly DiskRow[],
): Triple[] | undefined {
  if (rows.length !== pieces) return undefined;
  if (sumOf(rows.map(([, text]) => sealOf(text)).join()) !== sum) return undefined;
  const triples: Triple[] = [];
  for (const [, text] of rows) {
    const groups = unsealed(text) as readonly Group[] | undefined;
    if (groups === undefined) return undefined;
    for (const [entity, ...cells] of groups)
      for (let place = 0; place < cells.length; place += 3)
        triples.push([
          entity,
          cells[place] as string,
          cells[place + 1],
          cells[place + 2] as number,
        ]);
  }
  return triples.length === count ? triples : undefined;
}

/** The triples of one entity: its id, then attr, value and time of each. */
export type Group = [entity: string, ...cells: unknown[]];
