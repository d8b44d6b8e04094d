import type { Entry } from './entry.ts';

/**
 * Entries that may be written to the disk now: all but those that name a file whose bytes are not
 * on it.
 */
export function savable(entries: readonly Entry[]): readonly Entry[] {
  const unkept = entries.filter(
    ({ upload, state }) => upload && !upload.isKept && state !== 'acked',
  );
  if (unkept.length === 0) return entries;
  const ids = new Set(unkept.map(({ id }) => id));
  return entries.filter(({ needs }) => !needs.some((id) => ids.has(id)));
}
