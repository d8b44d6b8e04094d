import { Calls } from '../calls/calls.ts';
import type { Store } from '../store/store.ts';
import type { Entry } from './entry.ts';
import type { Queue } from './queue.ts';

/** An acknowledged write that changed no answer leaves after this time: nobody tells of it. */
export const ACKED_MS_MAX = 30_000;

export interface TidyDeps {
  readonly queue: Queue;
  readonly store: Store;
}

/**
 * Forgets acknowledged writes that answers tell of, or that are old. Time counts from `liveAt` on,
 * when the session was opened: only then can anybody tell of them.
 */
export function tidy(engine: TidyDeps, now: number, liveAt: number): void {
  const { queue, store } = engine;
  const calls = Calls.find(engine);
  const isGone = (entry: Entry) =>
    entry.state === 'acked' &&
    (now - Math.max(entry.ackedAt!, liveAt) >= ACKED_MS_MAX ||
      (isTold(store, entry) && calls?.isTold(entry) !== false));
  if (queue.entries.some(isGone)) queue.keep((entry) => !isGone(entry));
}

/** Whether all answers that an acknowledged write may change contain it. */
function isTold(store: Store, { id, tx }: Entry): boolean {
  if (tx === null) return true;
  return [...store.concernedBy(id)].every((answer) => answer.tx === null || answer.tx >= tx);
}
