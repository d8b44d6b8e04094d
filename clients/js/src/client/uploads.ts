import type { TriceError } from '../errors.ts';
import type { EarlyUpload, HeldUploads } from '../files/held.ts';
import type { Source, Uploadable } from '../files/source.ts';
import type { Uploader } from '../files/uploader.ts';
import { isLookup, type Operation } from '../pending/builder.ts';
import type { Entry, EntryUpload } from '../pending/entry.ts';
import type { Queue } from '../pending/queue.ts';
import { FILES } from '../pending/uploads.ts';
import type { Store } from '../store/store.ts';
import type { Environment } from './environment.ts';
import type { Later } from './later.ts';
import type { Lazy } from './lazy.ts';
import type { Persistence } from './persistence.ts';
import type { Tabs } from './tabs.ts';
import { Upload } from './upload.ts';

/** What is told with a file that goes up. */
export interface UploadOptions {
  /** Else that of the file. */
  readonly contentType?: string;
  readonly contentDisposition?: string;
}

export interface UploadsDeps {
  readonly environment: Environment;
  /** Of the server, such as `https://data.example.org`. */
  readonly origin: string;
  readonly queue: Queue;
  readonly user: { readonly token: string | null };
  readonly session: { readonly isLive: boolean };
  readonly store: Store;
  readonly persistence: Persistence;
  readonly tabs: Tabs;
}

/**
 * Uploads, whose code is fetched when there is one. Until it is here an upload has its place in the
 * queue, and waits: what names its file comes after it.
 */
export class Uploads {
  readonly #appId: string;
  readonly #deps: UploadsDeps;
  readonly #later: Lazy<Later>;
  /** Null: the code is not here. */
  #held: HeldUploads | null = null;
  /** Uploads that were made before it was here. */
  readonly #early: EarlyUpload[] = [];
  /** What is to be done with it. */
  #waiting: ((later: Later, held: HeldUploads) => void)[] = [];
  #stopped: TriceError | null = null;

  constructor(appId: string, deps: UploadsDeps, later: Lazy<Later>) {
    this.#appId = appId;
    this.#deps = deps;
    this.#later = later;
  }

  /** The code is here. */
  came(later: Later): void {
    const held = (this.#held = new later.HeldUploads(this.#appId, this.#deps));
    if (this.#stopped) held.stop(this.#stopped);
    held.takeOver(this.#early);
    for (const then of this.#waiting.splice(0)) then(later, held);
    this.#early.length = 0;
    held.look();
  }

  /** What asks the server about files. Rejects with `part-missing` where it cannot be fetched. */
  async uploader(): Promise<Uploader> {
    await this.#later.get();
    return this.#held!.uploader;
  }

  add(path: string, file: Uploadable, opts: UploadOptions): Upload {
    const { environment, queue, store } = this.#deps;
    const { entries } = queue;
    const last = entries.findLastIndex((entry) => entry.upload?.path === path);
    const known = entries[last]?.upload?.fileId ?? store.fileAt(path);
    const isThere = known !== undefined && !isLeaving(known, entries.slice(last + 1));
    const upload = new Upload(environment.id(), isThere ? known : environment.id());
    if (this.#held) this.#held.add(upload, path, file, opts);
    else this.#addEarly(upload, path, file, opts);
    return upload;
  }

  #addEarly(upload: Upload, path: string, file: Uploadable, opts: UploadOptions): void {
    const { environment, queue } = this.#deps;
    const { clientId: id, fileId } = upload;
    const entry = { ...opts, path, bytes: 0, fileId, place: null, isKept: false };
    try {
      if (this.#stopped) throw this.#stopped;
      queue.addUpload(id, entry as EntryUpload, {
        isKeeping: true,
        now: environment.now(),
        saved: (survives) => upload.wasSaved(survives),
        settle: (outcome) => this.#call(({ settleUpload }) => settleUpload(upload, outcome)),
      });
      this.#early.push({ upload, file, opts });
    } catch (error) {
      if (queue.get(id)) queue.undo(id);
      upload.fail(error as TriceError);
    }
  }

  /** The upload of an entry in the queue. One of an earlier start is there with its code. */
  find(id: string): Upload | undefined {
    return this.#held?.find(id) ?? this.#early.find(({ upload }) => upload.clientId === id)?.upload;
  }

  sourceOf(id: string): Source | undefined {
    return this.#held?.sourceOf(id);
  }

  /** The queue or the connection changed. */
  look(): void {
    if (this.#held) this.#held.look();
    else if (this.#deps.queue.entries.some(({ upload }) => upload)) this.#later.need();
  }

  /** Another tab may lead: what is on the disk is its own then. */
  suspend(): void {
    this.#held?.uploader.suspend();
  }

  /** Somebody else is to be signed in: nothing more is sent. What is kept stays for its user. */
  leave(): void {
    this.#held?.leave();
  }

  /** Ends all for good. */
  stop(error: TriceError): void {
    this.#stopped = error;
    this.#held?.stop(error);
    for (const { upload } of this.#early) upload.fail(error);
  }

  #call(then: (later: Later, held: HeldUploads) => void): void {
    if (this.#held) then(this.#later.part!, this.#held);
    else this.#waiting.push(then);
  }
}

/** Whether one of these writes may take the path of a row away, or the row. */
function isLeaving(fileId: string, entries: readonly Entry[]): boolean {
  const isOfPath = ([action, etype, id, args]: Operation) =>
    etype === FILES && (id === fileId || isLookup(id)) && (action === 'delete' || 'path' in args);
  return entries.some(
    ({ upload, state, operations }) =>
      upload === null && state !== 'rejected' && operations.some(isOfPath),
  );
}
