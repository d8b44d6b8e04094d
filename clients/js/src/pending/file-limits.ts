/** How many bytes of files may wait for a connection. */
import { failure, type TriceError } from '../errors.ts';
import type { Entry } from './entry.ts';

/** Bytes of a file that may wait for a connection. */
export const FILE_BYTES_MAX = 100 * 1024 * 1024;

/** Bytes of all files that may. */
export const FILES_BYTES_MAX = 500 * 1024 * 1024;

/** Bytes of all files that wait. */
function takenBy(entries: readonly Entry[]): number {
  return entries.reduce((all, { upload }) => all + (upload?.bytes ?? 0), 0);
}

/** Whether a file is small enough to wait for a connection. bytes  of the file */
export function mayWait(entries: readonly Entry[], bytes: number): boolean {
  return bytes <= FILE_BYTES_MAX && takenBy(entries) + bytes <= FILES_BYTES_MAX;
}

/** Why a file is refused that is not. */
export function uploadTooBig(entries: readonly Entry[], bytes: number): TriceError {
  const taken = takenBy(entries);
  return failure('upload-too-big', {
    bytes,
    taken,
    max: FILE_BYTES_MAX,
    'max-all': FILES_BYTES_MAX,
  });
}
