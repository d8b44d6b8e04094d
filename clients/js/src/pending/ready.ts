/** Which of the writes that wait may leave. */
import type { Entry } from './entry.ts';
import { IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX } from './limits.ts';
import { isUnfinished } from './uploads.ts';

/**
 * As many as may be on the way, and none before those that are saved, or wait for an upload. A call
 * is on the way alone: it may have to go out again, and keeps its place.
 */
export function sendable(entries: readonly Entry[]): readonly Entry[] {
  const sent = entries.filter(({ state }) => state === 'sent');
  const uploading = new Set(entries.filter(isUnfinished).map(({ id }) => id));
  let bytes = sent.reduce((sum, entry) => sum + entry.bytes, 0);
  const found: Entry[] = [];
  for (const entry of entries) {
    if (entry.upload || (entry.state !== 'saving' && entry.state !== 'queued')) continue;
    const isWaiting = entry.state === 'saving' || entry.needs.some((id) => uploading.has(id));
    const count = sent.length + found.length;
    const isFull =
      count >= IN_FLIGHT_MAX || (count > 0 && bytes + entry.bytes > IN_FLIGHT_BYTES_MAX);
    const isHeld = count > 0 && (entry.call || (sent[0] ?? found[0]!).call);
    if (isWaiting || isFull || isHeld) break;
    bytes += entry.bytes;
    found.push(entry);
  }
  return found;
}
