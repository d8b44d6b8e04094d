/** Where the bytes of files lie in the table `parts`. */
import type { DiskChange, DiskRange } from '../client/disk.ts';

/**
 * Begins the keys of rows, in the table `pending`, of uploads that a tab kept which does not send:
 * they sort behind the others.
 */
export const GIVEN = 'given:';

const NUMBER_DIGITS = 6;

/** The key of a part: keys sort in the order of the bytes. */
export function partKey(id: string, number: number): string {
  return `${id}:${String(number).padStart(NUMBER_DIGITS, '0')}`;
}

/** All parts of an upload, or those from one number on and below another. */
export function partsRange(id: string, from = 0, before = Infinity): DiskRange {
  return {
    from: partKey(id, from),
    // The next character after the one behind the id.
    before: before === Infinity ? `${id};` : partKey(id, before),
  };
}

/** Takes away all parts of an upload. */
export function partsRemoval(id: string): DiskChange {
  return { table: 'parts', range: partsRange(id) };
}
