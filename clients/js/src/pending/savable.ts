import type { Entry } from './entry.ts';

/** All but those that name a file whose bytes are not on the disk. */
export function savable(entries: readonly Entry[]): readonly Entry[] {
  const unkept = entries.filter(
    ({ upload, state }) => upload && !upload.isKept && state !== 'acked',
  );
  if (unkept.length === 0) return entries;
  const ids = new Set(unkept.map(({ id }) => id));
  return entries.filter(({ needs }) => !needs.some((id) => ids.has(id)));
}
