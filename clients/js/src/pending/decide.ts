/**
 * Which writes leave next, what is refused, and what the app decides on what was: the methods of
 * the same names of `Queue`, whose code is fetched later. No I/O.
 */
import { failure, type TriceError } from '../errors.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';
import type { Operation } from './builder.ts';
import type { Entry, EntryCall } from './entry.ts';
import { checkTransaction, REJECTED_MAX } from './limits.ts';
import type { Queue } from './queue.ts';
import { isNot, needsGone, oldestRejected, refusing } from './refused.ts';
import { needsOf } from './uploads.ts';

export { sendable } from './ready.ts';

export function reject(queue: Queue, id: string, error: TriceError, now: number): void {
  const found = queue.get(id);
  if (found === undefined) return;
  setBounded(queue, refusing(queue.entries, found, error, now));
  tellRefused(queue);
}

/**
 * Work that failed left no id at the server. One that is uncertain is sent again too, if the app
 * knows that it was not applied. An upload and what failed with it go together.
 */
export function retry(queue: Queue, id: string): void {
  if (queue.owner?.takes({ op: 'retry', id })) return;
  const found = queue.get(id);
  const root = found?.causedBy ?? id;
  if (found && !queue.get(root)) throw needsGone(found);
  changeRefused(queue, root, (entry) => ({ ...entry, ...afresh(queue) }));
  queue.change((entry) =>
    entry.state === 'rejected' && entry.causedBy === root
      ? { ...entry, ...afresh(queue), causedBy: null }
      : entry,
  );
}

export function edit(
  queue: Queue,
  id: string,
  newId: string,
  operations: readonly Operation[],
  call: EntryCall | null,
): void {
  const json = JSON.stringify(call ? [operations, call] : operations);
  const bytes = utf8Bytes(json);
  if (!call) checkTransaction(operations, bytes);
  const found = queue.get(id);
  if (found?.state === 'uncertain' || found?.upload) throw isNot(id, found);
  if (queue.owner?.takes({ op: 'edit', id, newId, operations, call })) return;
  const before = queue.entries.slice(0, queue.entries.indexOf(found!));
  changeRefused(queue, id, (entry) => ({
    ...entry,
    ...afresh(queue),
    id: newId,
    operations,
    call,
    bytes,
    needs: needsOf(json, before),
    causedBy: null,
    invented: [],
    wasSent: false,
  }));
}

/** What names the file of an upload that is dropped is refused. */
export function drop(queue: Queue, id: string, now: number): void {
  const entry = queue.get(id);
  if (entry === undefined) return;
  if (entry.state === 'sent' || entry.state === 'acked')
    throw failure('pending-sent', { state: entry.state });
  if (queue.owner?.takes({ op: 'drop', id })) return;
  const error = failure('dropped');
  const refused = refusing(queue.entries, entry, error, now);
  setBounded(
    queue,
    refused.filter((one) => one.id !== id),
  );
  queue.tell(id, { status: 'rejected', error });
  tellRefused(queue);
}

/** Keeps as many rejected entries as may be. Observers are told of the others. */
function setBounded(queue: Queue, entries: readonly Entry[]): void {
  const gone = oldestRejected(entries, REJECTED_MAX);
  for (const entry of gone) {
    queue.tellRefused(entry);
    queue.forgotten(entry);
  }
  queue.set(gone.size > 0 ? entries.filter((entry) => !gone.has(entry)) : entries);
}

/** Where refusals are saved first, they are told once they are. */
function tellRefused(queue: Queue): void {
  if (!queue.isDurable || queue.owner) for (const entry of queue.entries) queue.tellRefused(entry);
}

/** What a write that goes out again has of a new one. */
function afresh(queue: Queue): Pick<Entry, 'state' | 'error' | 'refusedAt' | 'sentAfter'> {
  return { state: queue.first, error: null, refusedAt: null, sentAfter: queue.liveTx };
}

function changeRefused(queue: Queue, id: string, change: (entry: Entry) => Entry): void {
  const found = queue.get(id);
  if (found?.state !== 'rejected' && found?.state !== 'uncertain') throw isNot(id, found);
  queue.change((entry) => (entry.id === id ? change(entry) : entry));
}
