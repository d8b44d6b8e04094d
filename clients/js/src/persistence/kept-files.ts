import type { DiskChange } from '../client/disk.ts';
import type { TriceError } from '../errors.ts';
import type { Source } from '../files/source.ts';
import type { Entry } from '../pending/entry.ts';
import { FILE_BYTES_MAX } from '../pending/file-limits.ts';
import type { Queue } from '../pending/queue.ts';
import { kept, unkept } from '../pending/upload-changes.ts';
import { uploadLost } from '../pending/uploadable.ts';
import { partsRemoval } from './part-keys.ts';
import { partBatches } from './parts.ts';
import type { Batch } from './pending-rows.ts';

export interface KeptFilesOptions {
  readonly queue: Queue;
  /** The bytes of an upload, if this page has them. */
  sourceOf(id: string): Source | undefined;
  now(): number;
  /** Whether there is a disk to write to. */
  isOn(): boolean;
  /** A batch waits, or an upload changed. */
  look(): void;
  /** Whether somebody else keeps what waits from now on. */
  isLeft(): boolean;
  /** Takes away what is kept of an upload, when there is time. */
  remove(id: string, change: DiskChange): void;
  /** The row that tells of the bytes of an upload, where nobody else puts one. */
  rowOf?(entry: Entry): DiskChange;
}

/** Bytes that wait to be written, and who is told whether they were. */
interface Waiting extends Batch {
  readonly id: string;
  /** It is to survive a loss of power before anybody is told. */
  readonly isStrict?: boolean;
  readonly done: (isWritten: boolean) => void;
}

/** Brings the bytes of uploads to the disk, a batch of each file at a time. */
export class KeptFiles {
  readonly #options: KeptFilesOptions;
  /** Uploads whose bytes are being written. */
  readonly #writing = new Set<string>();
  #waiting: Waiting[] = [];

  constructor(options: KeptFilesOptions) {
    this.#options = options;
  }

  /** What is to be written next, if its upload is still there. */
  next(): Waiting | undefined {
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined || this.#options.queue.get(next.id)) return next;
      next.done(false);
    }
  }

  /** Begins with the uploads whose bytes are to survive the page. */
  keep(): void {
    for (const { id, upload, state } of this.#options.queue.entries)
      if (upload && !upload.isKept && state === 'saving' && !this.#writing.has(id))
        void this.#keep(id);
  }

  /** What names a file whose bytes no disk took is not saved either. */
  release(): void {
    const { queue } = this.#options;
    const isUnkept = ({ upload, state }: Entry) => upload?.isKept === false && state !== 'saving';
    const ids = new Set(queue.entries.filter(isUnkept).map(({ id }) => id));
    if (ids.size === 0) return;
    queue.savedNowhere(queue.entries.filter(({ needs }) => needs.some((id) => ids.has(id))));
  }

  /** What waits is not written. */
  drop(): void {
    for (const { done } of this.#waiting.splice(0)) done(false);
  }

  /** The bytes are gone with the database: they are saved again where this page has them. */
  lose(): void {
    const { queue, sourceOf, now } = this.#options;
    for (const { id, upload, state } of queue.entries) {
      if (!upload?.isKept || state === 'acked') continue;
      unkept(queue, id);
      if (sourceOf(id) === undefined) queue.rejected(id, uploadLost(upload.path), now());
    }
  }

  async #keep(id: string): Promise<void> {
    const { queue, sourceOf, isLeft, isOn, now, remove, look } = this.#options;
    this.#writing.add(id);
    try {
      // The code of this comes with that of uploads, which holds the bytes before this turn ends.
      await null;
      const isKept = await this.#write(id, sourceOf(id));
      if (isLeft()) return;
      if (!isKept) remove(id, partsRemoval(id));
      kept(queue, id, isKept);
    } catch (error) {
      queue.rejected(id, error as TriceError, now());
    }
    this.#writing.delete(id);
    if (isOn()) look();
  }

  /** Whether all bytes are on the disk. Rejects with what hinders to read them. */
  async #write(id: string, source: Source | undefined): Promise<boolean> {
    const { rowOf } = this.#options;
    // Larger ones go up from the page's memory alone.
    if (!source?.read || source.bytes > FILE_BYTES_MAX) return false;
    const row = (isKept: boolean) => {
      const entry = this.#options.queue.get(id);
      const upload = entry?.upload && { ...entry.upload, isKept };
      return rowOf && upload ? [rowOf({ ...entry!, upload })] : [];
    };
    // What a page leaves that dies meanwhile is found by it, and removed one day.
    if (rowOf && !(await this.#batch(id, row(false), false))) return false;
    for await (const changes of partBatches(id, source))
      if (!(await this.#batch(id, changes, false))) return false;
    return !rowOf || this.#batch(id, row(true), true);
  }

  /** Whether it was written. */
  async #batch(id: string, changes: readonly DiskChange[], isStrict: boolean): Promise<boolean> {
    const { queue, isOn, look } = this.#options;
    // It may have been dropped meanwhile.
    if (!isOn() || queue.get(id) === undefined) return false;
    return new Promise((done) => {
      this.#waiting.push({ id, changes, rows: [], isStrict, done });
      look();
    });
  }
}
