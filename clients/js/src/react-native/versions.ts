import { DISK_TABLES, type DiskChange, type DiskRange, type DiskTable } from '../client/disk.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';
import { escaped, UNIT_BYTES_MAX, unescaped } from './escape.ts';

/** A value has at most so many bytes: AsyncStorage on Android reads none beyond 2 MB. */
export const VALUE_BYTES_MAX = 256 * 1000;

const PART_LENGTH = Math.floor(VALUE_BYTES_MAX / UNIT_BYTES_MAX);

/** A row as one batch left it. */
export interface Version {
  readonly batch: number;
  /** Its parts; 0: the batch took the row away. */
  readonly parts: number;
  readonly bytes: number;
  /** All but the number of the part. */
  readonly name: string;
}

/** The newest versions of all rows, by table and key. */
export type Versions = Map<DiskTable, Map<string, Version>>;

/** What a batch does to rows in the end: by table and key the value, null where the row goes. */
export function effectOf(
  batch: readonly DiskChange[],
  rows: Versions,
): Map<DiskTable, Map<string, string | null>> {
  const effect = new Map(
    DISK_TABLES.map((table) => [table, new Map<string, string | null>()] as const),
  );
  for (const change of batch) {
    const known = rows.get(change.table)!;
    const changes = effect.get(change.table)!;
    if ('value' in change) {
      if (change.value !== null || known.has(change.key)) changes.set(change.key, change.value);
      else changes.delete(change.key);
      continue;
    }
    for (const key of [...changes.keys()])
      if (isIn(change.range, key) && !known.has(key)) changes.delete(key);
    for (const key of known.keys()) if (isIn(change.range, key)) changes.set(key, null);
  }
  return effect;
}

export function isIn({ from, before }: DiskRange, key: string): boolean {
  return key >= from && key < before;
}

/** Table, key, batch, parts and bytes, each with a line end: what comes before the part. */
export function versionOf(
  table: DiskTable,
  key: string,
  batch: number,
  text: string | null,
): Version {
  const parts = text === null ? 0 : Math.max(1, Math.ceil(text.length / PART_LENGTH));
  const row = escaped(key);
  const bytes = utf8Bytes(row) + (text === null ? 0 : utf8Bytes(text));
  return { batch, parts, bytes, name: `${table}\n${row}\n${batch}\n${parts}\n${bytes}\n` };
}

/** The keys of its parts; one where the row is taken away. */
export function keysOf({ name, parts }: Version): string[] {
  return Array.from({ length: parts || 1 }, (_, part) => name + part);
}

/** The texts of a version with their keys; null takes the row away. */
export function pairsOf(version: Version, text: string | null): [key: string, text: string][] {
  return keysOf(version).map((key, part) => [
    key,
    (text ?? '-').slice(part * PART_LENGTH, (part + 1) * PART_LENGTH),
  ]);
}

/** Reads the key of a part. */
export function parsed(physical: string) {
  const fields = physical.split('\n');
  const table = fields.shift()!;
  const [batch, parts, bytes, part] = fields.splice(-4).map(Number);
  const name = physical.slice(0, physical.lastIndexOf('\n') + 1);
  return {
    table,
    // A key may have line ends itself.
    key: unescaped(fields.join('\n')),
    version: { batch: batch!, parts: parts!, bytes: bytes!, name },
    isFirst: part === 0,
  };
}
