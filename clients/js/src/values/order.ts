import { local } from './here.ts';

/**
 * What a value is ordered by: null first, then by its own kind (Q51, Q61).
 *
 * Texts are ordered by a collation, as pages of the server are; numbers, booleans and dates (in
 * milliseconds) by value.
 */
export type SortKey = null | number | string;

/** What the values of an attr are sorted as. */
export type SortType = 'string' | 'number' | 'boolean' | 'date' | null;

// The server orders by the same collation (Q61). `localeCompare` makes a collator a call on Hermes.
const collator = new Intl.Collator('en-US');

/** The server orders texts by so many characters. */
const ORDERED_CHARS = 4096;

/** The key by which a value of an attr of this type is sorted. */
export function sortKey(type: SortType, value: unknown): SortKey {
  if (value === undefined || value === null) return null;
  if (type === 'date') return local?.instantMs(value) ?? null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return value.slice(0, ORDERED_CHARS);
  return null;
}

/**
 * Orders keys: null first, then numbers, then texts, for a pending write may hold what the server
 * will refuse. Texts that the collation takes for equal are equal.
 */
export function compareKeys(one: SortKey, other: SortKey): number {
  if (one === other) return 0;
  if (one === null) return -1;
  if (other === null) return 1;
  if (typeof one === 'string' && typeof other === 'string') return collator.compare(one, other);
  if (typeof one !== typeof other) return typeof one === 'number' ? -1 : 1;
  return one < other ? -1 : 1;
}

/**
 * Orders texts by code point, as `$gt` and its like do (Q37). UTF-16 order differs above U+FFFF.
 */
export function compareCodePoints(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  for (let place = 0; place < end; place++) {
    const left = one.charCodeAt(place);
    const right = other.charCodeAt(place);
    if (left !== right) return rank(left) - rank(right);
  }
  return one.length - other.length;
}

/** Surrogates stand for characters above all others of 16 bits. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
