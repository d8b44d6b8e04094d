/**
 * Bytes of files that wait, on a disk: rows of text in the table `parts`, under the id of their
 * upload and a number. Text is what every disk holds.
 */
import type { DiskChange } from '../client/disk.ts';
import { TriceError } from '../errors.ts';
import type { Source } from '../files/source.ts';
import { base64Of } from '../values/base64.ts';
import { partKey } from './part-keys.ts';
import { sealed } from './seal.ts';

/** Bytes of one part: 256 KiB of text, which every disk takes as one value. */
export const PART_BYTES = 192 * 1024;

/** Parts that are written together: about 1 MiB. */
const BATCH_PARTS = 4;

/** What writes a file in batches, each read when it is asked for. source  one that has `read` */
export async function* partBatches(
  id: string,
  source: Source,
): AsyncGenerator<readonly DiskChange[], void, void> {
  const step = PART_BYTES * BATCH_PARTS;
  for (let start = 0; start < source.bytes; start += step) {
    const bytes = await bytesOf(source.read!, start, Math.min(source.bytes, start + step));
    const changes: DiskChange[] = [];
    for (let at = 0; at < bytes.length; at += PART_BYTES) {
      const value = sealed(base64Of(bytes.subarray(at, at + PART_BYTES)));
      changes.push({ table: 'parts', key: partKey(id, (start + at) / PART_BYTES), value });
    }
    yield changes;
  }
}

/** Reads bytes of a file; one that was changed or moved since it was chosen cannot be read. */
async function bytesOf(
  read: NonNullable<Source['read']>,
  start: number,
  end: number,
): Promise<Uint8Array> {
  try {
    return await read(start, end);
  } catch (cause) {
    const message = 'The file cannot be read. Was it moved or changed after it was chosen?';
    throw Object.assign(new TriceError({ code: 'file-unreadable', message }), { cause });
  }
}
