import { failure, type TriceError } from '../errors.ts';
import type { ObjectUrl } from '../client/environment.ts';
import { Upload } from '../client/upload.ts';
import type { UploadOptions, UploadsDeps } from '../client/uploads.ts';
import type { Entry, EntryUpload, Outcome } from '../pending/entry.ts';
import { mayWait, uploadTooBig } from '../pending/file-limits.ts';
import { addressed, kept } from '../pending/upload-changes.ts';
import { fileOperations, isUnfinished } from '../pending/uploads.ts';
import { isOwn } from '../tabs/followed-queue.ts';
import { tellEach } from '../values/tell.ts';
import { sourceOf, type Source, type Uploadable } from './source.ts';
import { Uploader } from './uploader.ts';

/** What a page has of an upload in the queue. */
export interface HeldUpload {
  readonly upload: Upload;
  /** Null: its bytes are on the disk alone. */
  readonly source: Source | null;
  /** Where they are shown. */
  address: ObjectUrl | null;
}

/** An upload that was made before this code was here. */
export interface EarlyUpload {
  readonly upload: Upload;
  readonly file: Uploadable;
  readonly opts: UploadOptions;
}

/** What the queue is told of a file. isKeeping  it may wait for a connection */
interface Begun {
  readonly isKeeping: boolean;
  readonly fields: Pick<EntryUpload, 'bytes' | 'contentType' | 'contentDisposition'>;
}

/** Uploads as the app holds them, each of an entry in the queue. */
export class HeldUploads {
  readonly uploader: Uploader;
  readonly #deps: UploadsDeps;
  /** By the id of the entry. */
  readonly #held = new Map<string, HeldUpload>();
  #stopped: TriceError | null = null;
  /** Uploads in the queue are not all held yet, or their entries do not say yet what they are. */
  #isTakingOver = false;

  constructor(appId: string, deps: UploadsDeps) {
    this.#deps = deps;
    this.uploader = new Uploader(appId, deps, this.#held);
  }

  /** Adds an upload to the queue, or fails it: then nothing of it is there. */
  add(upload: Upload, path: string, file: Uploadable, opts: UploadOptions): void {
    const { environment, queue } = this.#deps;
    const { clientId: id, fileId } = upload;
    try {
      if (this.#stopped) throw this.#stopped;
      const { isKeeping, fields } = this.#begin(upload, file, opts, queue.entries);
      this.#tellQueued(id);
      queue.addUpload(
        id,
        { path, ...fields, fileId, place: null, isKept: false },
        {
          isKeeping,
          now: environment.now(),
          saved: (survives) => upload.wasSaved(survives),
          settle: (outcome) => settleUpload(upload, outcome),
        },
      );
      this.#address(id);
    } catch (error) {
      this.#release(id);
      if (queue.get(id)) queue.undo(id);
      upload.fail(error as TriceError);
    }
  }

  /**
   * Takes over uploads that have their places in the queue already, from before this code was here.
   * One that fails leaves it, and what names its file is refused. All are held before the queue
   * changes: whoever is told of that finds them all.
   */
  takeOver(early: readonly EarlyUpload[]): void {
    const { environment, queue } = this.#deps;
    const failed = new Map<Upload, TriceError>();
    const taken = new Map<string, Begun>();
    let entries = queue.entries;
    for (const { upload, file, opts } of early) {
      const { clientId: id } = upload;
      if (queue.get(id) === undefined) continue;
      try {
        if (upload.isOver) throw failure('upload-aborted');
        const begun = this.#begin(upload, file, opts, entries);
        taken.set(id, begun);
        entries = entries.map((entry) => (entry.id === id ? this.#told(entry, begun) : entry));
      } catch (error) {
        this.#release(id);
        failed.set(upload, error as TriceError);
      }
    }
    if (taken.size + failed.size === 0) return;
    this.#isTakingOver = true;
    try {
      queue.change((entry) => {
        const begun = taken.get(entry.id);
        return begun ? this.#told(entry, begun) : entry;
      });
      for (const [id, { isKeeping }] of taken) if (!isKeeping) kept(queue, id, false);
      tellEach([...taken.keys()].map((id) => () => this.#tellQueued(id)));
      const ends = [...failed];
      tellEach(ends.map(([upload, error]) => upload.fail.bind(upload, error)));
      for (const { clientId } of failed.keys()) queue.drop(clientId, environment.now());
    } finally {
      this.#isTakingOver = false;
    }
  }

  /** An entry from before this code was here, with what its file is. */
  #told(entry: Entry, { fields }: Begun): Entry {
    const upload = entry.upload && { ...entry.upload, ...fields };
    const url = this.#held.get(entry.id)?.address?.url ?? null;
    return upload ? { ...entry, upload, operations: fileOperations(upload, url) } : entry;
  }

  /** What the queue is told of a file. Throws if it is none, or too big to wait. */
  #begin(upload: Upload, file: Uploadable, opts: UploadOptions, entries: readonly Entry[]): Begun {
    const { environment, session } = this.#deps;
    const { clientId: id } = upload;
    const source = sourceOf(file);
    const { bytes } = source;
    const others = entries.filter((entry) => entry.id !== id);
    const isKeeping = mayWait(others, bytes);
    if (!isKeeping && !session.isLive) throw uploadTooBig(others, bytes);
    const { contentType = source.contentType, contentDisposition } = opts;
    const address = environment.objectUrl?.([source.whole], contentType ?? '') ?? null;
    this.#held.set(id, { upload, source, address });
    this.#command(id, upload);
    return { isKeeping, fields: { bytes, contentType, contentDisposition } };
  }

  #tellQueued(id: string): void {
    const held = this.#held.get(id);
    if (held?.upload.isOver === false)
      held.upload.report('queued', { sentBytes: 0, totalBytes: held.source!.bytes });
  }

  #address(id: string): void {
    const address = this.#held.get(id)?.address;
    if (address) addressed(this.#deps.queue, id, address.url);
  }

  /** The upload of an entry in the queue. */
  find(id: string): Upload | undefined {
    return this.#held.get(id)?.upload;
  }

  sourceOf(id: string): Source | undefined {
    return this.#held.get(id)?.source ?? undefined;
  }

  /** The queue or the connection changed. */
  look(): void {
    if (this.#isTakingOver) return;
    const { queue } = this.#deps;
    const uploads = queue.entries.filter(({ upload }) => upload !== null);
    if (uploads.length === 0 && this.#held.size === 0) return;
    const present = new Set(uploads.map(({ id }) => id));
    for (const id of [...this.#held.keys()]) if (!present.has(id)) this.#release(id);
    for (const entry of uploads)
      if (
        isUnfinished(entry) &&
        isOwn(queue, entry) &&
        this.#held.get(entry.id)?.upload.isOver !== false
      )
        this.#resume(entry.id, entry.upload!);
    if (this.#stopped === null) this.uploader.look();
  }

  /** Somebody else is to be signed in: nothing more is sent. What is kept stays for its user. */
  leave(): void {
    this.uploader.leave();
  }

  /** Ends all for good. */
  stop(error: TriceError): void {
    this.#stopped = error;
    this.leave();
    for (const [id, { upload }] of this.#held) {
      upload.fail(error);
      this.#release(id);
    }
  }

  /** An upload of an earlier start, or one that is tried again after it failed. */
  #resume(id: string, { fileId, bytes, isKept }: EntryUpload): void {
    const before = this.#held.get(id);
    const upload = new Upload(id, fileId);
    // Nobody need watch it.
    upload.catch(() => {});
    upload.report('queued', { sentBytes: 0, totalBytes: bytes });
    upload.wasSaved(isKept);
    const { source = null, address = null } = before ?? {};
    this.#held.set(id, { upload, source, address });
    this.#command(id, upload);
    this.#deps.queue.watch(id, {
      saved: () => {},
      settle: (outcome) => settleUpload(upload, outcome),
    });
  }

  #command(id: string, upload: Upload): void {
    upload.onCommand = () => {
      const { queue, environment } = this.#deps;
      if (upload.state !== 'aborted') {
        const op = upload.state === 'paused' ? 'pause' : 'resume';
        if (queue.get(id)) queue.owner?.takes({ op, id });
        return this.look();
      }
      const entry = queue.get(id);
      if (entry && isUnfinished(entry)) queue.drop(id, environment.now());
    };
  }

  #release(id: string): void {
    this.#held.get(id)?.address?.revoke();
    this.#held.delete(id);
  }
}

/** Tells who holds an upload what became of it. */
export function settleUpload(upload: Upload, outcome: Outcome): void {
  if (outcome.status === 'stored') upload.finish({ data: { id: outcome.fileId } });
  else if (outcome.status === 'rejected') upload.fail(outcome.error);
  else if (outcome.status === 'kept') upload.fail(failure('signed-out/upload'));
}
