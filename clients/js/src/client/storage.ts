import type { Uploadable } from '../files/source.ts';
import type { Upload } from './upload.ts';
import type { UploadOptions, Uploads } from './uploads.ts';

/** Files of the app. Their rows are in `$files`, and are queried and linked as others are. */
export class Storage {
  readonly #uploads: Uploads;
  readonly #token: () => Promise<string | null>;

  /** token  the refresh token of who is signed in, once that is known */
  constructor(uploads: Uploads, token: () => Promise<string | null>) {
    this.#uploads = uploads;
    this.#token = token;
  }

  /**
   * Uploads a file under a path; the file that was there before is replaced. Its row is shown at
   * once, under `fileId`. It waits for a connection, survives the page where there is a disk, and
   * goes on by itself from where it was; writes that name its row leave after it.
   *
   * Without a connection a file has at most 100 MiB, and all that wait 500 MiB: more is refused as
   * `upload-too-big`.
   *
   * returns  a promise of `{data: {id}}`, resolved once the file is stored, that also has progress,
   *          pause, resume and abort
   */
  uploadFile = (path: string, file: Uploadable, opts: UploadOptions = {}): Upload =>
    this.#uploads.add(path, file, opts);

  /** The upload of an entry of `db.pending`, also one of an earlier start. */
  getUpload = (clientId: string): Upload | undefined => this.#uploads.find(clientId);

  /** Deletes the file of a path. `id` is null if there is none. */
  delete = async (path: string): Promise<{ data: { id: string | null } }> =>
    (await this.#uploads.uploader()).delete(path, await this.#token());

  /** An address of a file. Ask for `url` in a query of `$files` instead: it stays up to date. */
  getDownloadUrl = async (path: string): Promise<string | null> =>
    (await this.#uploads.uploader()).downloadUrl(path, await this.#token());
}
