/** Uploads that may begin, and what becomes of the writes that name their files. */
import { failure, type TriceError } from '../errors.ts';
import type { Operation } from './builder.ts';
import type { Entry, EntryCall } from './entry.ts';
import { FILES } from './uploads.ts';

/** Uploads that may begin: those behind a deletion, or of a path that another one has, wait. */
export function uploadable(entries: readonly Entry[]): Entry[] {
  const found: Entry[] = [];
  const paths = new Set<string>();
  for (const entry of entries) {
    const isWaiting =
      entry.state === 'saving' || entry.state === 'queued' || entry.state === 'sent';
    if (!isWaiting) continue;
    if (entry.upload === null) {
      if (entry.operations.some(changesFiles)) return found;
      continue;
    }
    if (entry.state === 'queued' && !paths.has(entry.upload.path)) found.push(entry);
    paths.add(entry.upload.path);
  }
  return found;
}

/** Whether it may take away the row of a file, or its path: deletions take others along. */
function changesFiles([action, etype, , args]: Operation): boolean {
  return action === 'delete' || (etype === FILES && 'path' in args);
}

/** A write that names the file as the server does. */
export function renamed(entry: Entry, from: string, to: string): Entry {
  const json = JSON.stringify([entry.operations, entry.call]);
  const isNamed = json.includes(from);
  if (!isNamed && entry.upload?.fileId !== from) return entry;
  const [operations, call] = JSON.parse(json.replaceAll(from, to)) as [
    Operation[],
    EntryCall | null,
  ];
  return {
    ...entry,
    operations,
    call,
    upload: entry.upload && { ...entry.upload, fileId: to },
  };
}

/** Why an upload is refused whose bytes are gone. */
export function uploadLost(path: string): TriceError {
  return failure('upload-lost', { path });
}
