import { TriceError } from '../errors.ts';
import { PART_BYTES } from '../persistence/parts.ts';
import { unsealed } from '../persistence/seal.ts';
import { uploadLost } from '../pending/uploadable.ts';
import { bytesOfBase64 } from '../values/base64.ts';
import type { EntryUpload } from '../pending/entry.ts';
import type { Source } from './source.ts';

/** Parts that are read at a time: about 1 MiB. */
const READ_PARTS = 4;

/** Reads rows of parts, from a number on and below another. */
export type PartReader = (from: number, before: number) => Promise<readonly string[]>;

/** The bytes of an upload of an earlier start, read from the disk when they are asked for. */
export function keptSource({ path, bytes, contentType }: EntryUpload, parts: PartReader): Source {
  const read = async (start: number, end: number) => {
    const out = new Uint8Array(end - start);
    const first = Math.floor(start / PART_BYTES);
    const last = Math.ceil(end / PART_BYTES);
    for (let from = first; from < last; from += READ_PARTS) {
      const before = Math.min(last, from + READ_PARTS);
      const rows = await parts(from, before).catch(unreadable);
      if (rows.length < before - from) throw uploadLost(path);
      rows.forEach((row, place) => {
        const at = (from + place) * PART_BYTES;
        const part = bytesOf(row, Math.min(PART_BYTES, bytes - at));
        if (part === undefined) throw uploadLost(path);
        const inside = part.subarray(Math.max(0, start - at), Math.min(part.length, end - at));
        out.set(inside, Math.max(0, at - start));
      });
    }
    return out;
  };
  return { bytes, contentType, whole: {}, piece: read, read };
}

/** The bytes of one part; undefined if they are not those that were written. */
function bytesOf(row: string, length: number): Uint8Array | undefined {
  const text = unsealed(row);
  const bytes = typeof text === 'string' ? bytesOfBase64(text) : undefined;
  return bytes?.length === length ? bytes : undefined;
}

function unreadable(cause: unknown): never {
  const message = 'The bytes of the file cannot be read from this device now.';
  throw Object.assign(new TriceError({ code: 'disk-unreadable', message }), { cause });
}
