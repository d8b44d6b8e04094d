import { failure } from '../errors.ts';

/** What can be uploaded: a File or Blob of the platform, or bytes. */
export type Uploadable = BlobLike | ArrayBuffer | Uint8Array;

/** A Blob, as far as it is needed. */
export interface BlobLike {
  /** Bytes. */
  readonly size: number;
  /** The content type; empty: not known. */
  readonly type: string;
  /** Where its pieces have no `arrayBuffer`, they are sent, and not kept. */
  slice(start: number, end: number): object;
}

/** Bytes that are sent in pieces. */
export interface Source {
  readonly bytes: number;
  readonly contentType: string | undefined;
  /** What the platform makes an address of. */
  readonly whole: object;
  /** What `fetch` takes as a body. */
  piece(start: number, end: number): object | Promise<object>;
  /** The bytes themselves; null: the platform does not give them. */
  readonly read: ((start: number, end: number) => Promise<Uint8Array>) | null;
}

/** Throws if it is nothing that can be uploaded. */
export function sourceOf(file: Uploadable): Source {
  if (file instanceof Uint8Array) {
    const piece = (start: number, end: number) => file.subarray(start, end);
    const read = async (start: number, end: number) => piece(start, end);
    return { bytes: file.length, contentType: undefined, whole: file, piece, read };
  }
  if (file instanceof ArrayBuffer) return sourceOf(new Uint8Array(file));
  if (typeof file?.size === 'number' && typeof file.slice === 'function') {
    const piece = (start: number, end: number) => file.slice(start, end) as Partial<Readable>;
    const read = async (start: number, end: number) =>
      new Uint8Array(await piece(start, end).arrayBuffer!());
    return {
      bytes: file.size,
      contentType: file.type || undefined,
      whole: file,
      piece,
      read: piece(0, 0).arrayBuffer ? read : null,
    };
  }
  throw failure('file-malformed');
}

interface Readable {
  arrayBuffer(): Promise<ArrayBuffer>;
}
