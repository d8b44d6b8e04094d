/** Writes that are refused, and what is refused with them. */
import { failure, type TriceError } from '../errors.ts';
import type { Entry } from './entry.ts';

/** The entries with one refused, and all that waits and names its file. */
export function refusing(
  entries: readonly Entry[],
  { id, upload }: Entry,
  error: TriceError,
  now: number,
): Entry[] {
  return entries.map((entry) => {
    if (entry.id === id) return { ...entry, state: 'rejected', error, refusedAt: now };
    const isWaiting = entry.state === 'saving' || entry.state === 'queued';
    if (upload === null || !isWaiting || !entry.needs.includes(id)) return entry;
    const caused = failure('upload-failed', { upload: id, path: upload.path });
    return { ...entry, state: 'rejected', error: caused, causedBy: id, refusedAt: now };
  });
}

/** The rejected entries that are more than may be kept. */
export function oldestRejected(entries: readonly Entry[], max: number): ReadonlySet<Entry> {
  const rejected = entries.filter(({ state }) => state === 'rejected');
  return new Set(rejected.slice(0, Math.max(0, rejected.length - max)));
}

export function needsGone({ causedBy }: Entry): TriceError {
  return failure('pending-state/upload', { id: causedBy });
}

export function isNot(id: string, found: Entry | undefined): TriceError {
  return failure('pending-state', { id, state: found?.state ?? 'gone' });
}
