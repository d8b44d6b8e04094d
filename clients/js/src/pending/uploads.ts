/** Uploads among the writes that wait, and the writes that name their files. */
import type { Operation } from './builder.ts';
import type { Entry, EntryUpload } from './entry.ts';

export const FILES = '$files';

/** What an upload shows until the server tells its row. url  where the bytes are here, if known */
export function fileOperations(upload: EntryUpload, url: string | null): Operation[] {
  const { path, bytes, contentType, contentDisposition, fileId } = upload;
  const fields = {
    path,
    size: bytes,
    'content-type': contentType ?? 'application/octet-stream',
    'content-disposition': contentDisposition ?? 'inline',
    ...(url === null ? {} : { url }),
  };
  return [['update', FILES, fileId, fields]];
}

/** Whether it is an upload that the server has not taken, and may take yet. */
export function isUnfinished({ upload, state }: Entry): boolean {
  return upload !== null && (state === 'saving' || state === 'queued');
}

/** The unfinished uploads whose files a write names. json  of its operations */
export function needsOf(json: string, entries: readonly Entry[]): string[] {
  return entries
    .filter((entry) => isUnfinished(entry) && json.includes(entry.upload!.fileId))
    .map(({ id }) => id);
}
