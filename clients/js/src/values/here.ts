/**
 * Code that is fetched later and works for all clients of a page: what is done here before the
 * server tells of it (`client/local.ts`), and what reads dates of all forms.
 */
import type { LocalCode } from '../client/local.ts';
import type { freeUs } from './free-dates.ts';

/** Null: it is not here yet. */
export let local: LocalCode | null = null;

/** Takes it into use. Queries that were read before must be read again, writes be shown. */
export function takeLocal(code: LocalCode): void {
  local = code;
}

/** Reads a text that is no plain ISO date; null: its code is not here yet. */
export let readFreeDate: typeof freeUs | null = null;

/** From now on dates of all forms are read. What was computed before did not know them. */
export function readFreeDates(read: typeof freeUs): void {
  readFreeDate = read;
}
