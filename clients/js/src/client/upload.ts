import { failure, type TriceError } from '../errors.ts';

/** What the server says of a stored file. */
export interface UploadResult {
  readonly data: { readonly id: string };
}

/** How far an upload is. */
export interface UploadProgress {
  /** Bytes that the server has. */
  readonly sentBytes: number;
  readonly totalBytes: number;
}

/**
 * queued    waits for its turn, or for a connection
 * sending   under way
 * done, failed, aborted  the end
 */
export type UploadState = 'queued' | 'sending' | 'paused' | 'done' | 'failed' | 'aborted';

/**
 * One upload. It is a promise of the result: `const { data } = await db.storage.uploadFile(…)`.
 *
 * Holds what the app asked for and how far it is; the uploader acts on it, and may alone call
 * `report`, `finish` and `fail`.
 */
export class Upload implements Promise<UploadResult> {
  readonly [Symbol.toStringTag] = 'Upload';
  state: UploadState = 'queued';
  progress: UploadProgress = { sentBytes: 0, totalBytes: 0 };
  /** Set by the uploader: the app paused, resumed or aborted. */
  onCommand: () => void = () => {};
  /** Names it in `db.pending`. */
  readonly clientId: string;
  /**
   * The id that its row in `$files` has here from the call on, to be linked at once. The row of a
   * path that is not known here may turn out to have another, which `await upload` tells; writes
   * that wait are changed then.
   */
  readonly fileId: string;
  /** Resolves once it waits: whether its bytes survive the page. Never rejects. */
  readonly saved: Promise<boolean>;
  /** Set with `saved`. */
  wasSaved!: (isKept: boolean) => void;
  readonly #promise: Promise<UploadResult>;
  readonly #observers = new Set<() => void>();
  #resolve!: (result: UploadResult) => void;
  #reject!: (error: TriceError) => void;

  constructor(clientId: string, fileId: string) {
    this.clientId = clientId;
    this.fileId = fileId;
    this.saved = new Promise((resolve) => {
      this.wasSaved = resolve;
    });
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It is done, failed or aborted. */
  get isOver(): boolean {
    return this.state === 'done' || this.state === 'failed' || this.state === 'aborted';
  }

  /** Calls `tell` after each change of `state` and `progress`. Returns what ends it. */
  subscribe(tell: () => void): () => void {
    this.#observers.add(tell);
    return () => this.#observers.delete(tell);
  }

  /** Sends nothing more until `resume`; the piece under way still arrives. */
  pause(): void {
    if (!this.isOver) this.#change('paused');
  }

  /** Goes on where it was paused. */
  resume(): void {
    if (this.state === 'paused') this.#change('queued');
  }

  /**
   * Ends it: the promise rejects with `upload-aborted`, and the server forgets what it has of it. A
   * file that is stored already stays.
   */
  abort(): void {
    if (this.isOver) return;
    // Who aborts need not watch the promise.
    this.#promise.catch(() => {});
    this.#reject(failure('upload-aborted'));
    this.wasSaved(false);
    this.#change('aborted');
  }

  // --- for the uploader -------------------------------------------------------------------------

  /** Says how far it is. For the uploader alone. */
  report(state: 'queued' | 'sending', progress: UploadProgress): void {
    this.progress = Object.freeze(progress);
    if (this.state !== 'paused') this.state = state;
    this.#tell();
  }

  /** Ends it with what the server stored. For the uploader alone. */
  finish(result: UploadResult): void {
    this.state = 'done';
    const { totalBytes } = this.progress;
    this.progress = Object.freeze({ sentBytes: totalBytes, totalBytes });
    this.#resolve(result);
    this.#tell();
  }

  /** Ends it with why it failed. For the uploader alone. */
  fail(error: TriceError): void {
    if (this.isOver) return;
    this.state = 'failed';
    this.wasSaved(false);
    this.#reject(error);
    this.#tell();
  }

  // --- the promise ------------------------------------------------------------------------------

  then<A = UploadResult, B = never>(
    onDone?: ((result: UploadResult) => A | PromiseLike<A>) | null,
    onError?: ((error: TriceError) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#promise.then(onDone, onError);
  }

  catch<B = never>(
    onError?: ((error: TriceError) => B | PromiseLike<B>) | null,
  ): Promise<UploadResult | B> {
    return this.#promise.catch(onError);
  }

  finally(then?: (() => void) | null): Promise<UploadResult> {
    return this.#promise.finally(then);
  }

  #change(state: UploadState): void {
    this.state = state;
    this.onCommand();
    this.#tell();
  }

  #tell(): void {
    for (const tell of [...this.#observers]) tell();
  }
}
