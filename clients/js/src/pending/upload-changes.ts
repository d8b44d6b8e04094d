/** What becomes of an upload in the queue, and of the writes that name its file. */
import type { Entry, EntryUpload } from './entry.ts';
import type { Queue } from './queue.ts';
import { renamed } from './uploadable.ts';
import { fileOperations } from './uploads.ts';

/** Whether it is an upload whose bytes are to be saved. */
export function isUnkept({ upload, state }: Entry): boolean {
  return upload?.isKept === false && state === 'saving';
}

/** An upload's bytes are on the disk, or none takes them: then it goes on in memory. */
export function kept(queue: Queue, id: string, isKept: boolean): void {
  const found = queue.get(id);
  if (found?.state !== 'saving' || !found.upload) return;
  if (!isKept) return queue.savedNowhere([found]);
  changeUpload(queue, id, { isKept });
}

/** The bytes of an upload are on the disk no longer: they are to be saved again. */
export function unkept(queue: Queue, id: string): void {
  queue.change((entry, first) => {
    if (entry.id !== id || !entry.upload) return entry;
    const state = entry.state === 'queued' ? first : entry.state;
    return { ...entry, state, upload: { ...entry.upload, isKept: false } };
  });
}

export function changeUpload(queue: Queue, id: string, change: Partial<EntryUpload>): void {
  queue.change((entry) =>
    entry.id === id && entry.upload ? { ...entry, upload: { ...entry.upload, ...change } } : entry,
  );
}

/** An upload's bytes are found at an address of this page. */
export function addressed(queue: Queue, id: string, url: string): void {
  queue.change((entry) =>
    entry.id === id && entry.upload
      ? { ...entry, operations: fileOperations(entry.upload, url) }
      : entry,
  );
}

/**
 * The server stored an upload.
 *
 * fileId  the id of its row; what names another one here is changed, and saved before it is sent
 * tx      the transaction that wrote the row, where the server says so
 */
export function stored(
  queue: Queue,
  id: string,
  fileId: string,
  tx: number | null,
  now: number,
): void {
  const found = queue.get(id);
  if (!found?.upload || found.state === 'acked') return;
  const { fileId: from } = found.upload;
  queue.change((entry, first) => {
    const named = fileId === from ? entry : renamed(entry, from, fileId);
    if (entry.id === id) return { ...named, state: 'acked', tx, ackedAt: now };
    return named !== entry && named.state === 'queued' ? { ...named, state: first } : named;
  });
  queue.tell(id, { status: 'stored', fileId });
}
