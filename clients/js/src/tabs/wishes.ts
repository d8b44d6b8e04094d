import type { QueueWish } from '../pending/queue.ts';
import type { TabParts } from './parts.ts';

/** Does what a tab wishes for a write, if it still can be done. */
export function grant(
  { environment, queue, session, uploads }: Omit<TabParts, 'say'>,
  wish: QueueWish,
): void {
  try {
    if (wish.op === 'edit') queue.edit(wish.id, wish.newId, wish.operations, wish.call);
    else if (wish.op === 'retry') queue.retry(wish.id);
    else if (wish.op === 'drop') queue.drop(wish.id, environment.now());
    else uploads.find(wish.id)?.[wish.op]();
  } catch {
    // Another tab has decided on it.
  }
  session.push();
}
