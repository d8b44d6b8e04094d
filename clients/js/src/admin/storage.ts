import { TriceError } from '../errors.ts';
import type { HttpEnvironment, RequestInit } from '../http/environment.ts';
import { type Asked, headerText, type Requests } from '../http/requests.ts';
import { type Credentials, headersOf } from './credentials.ts';

/** What is uploaded: bytes, text, a Blob or File, a stream of the web or of Node, or chunks. */
export type FileBody = string | object | AsyncIterable<Uint8Array>;

/** What is told with a file that goes out. */
export interface FileOptions {
  /** `application/octet-stream` where it is not given. */
  readonly contentType?: string;
  /** `inline` where it is not given. */
  readonly contentDisposition?: string;
  /** Bytes, if they are known of a stream. */
  readonly fileSize?: number;
}

/** A file as the older listing names it. */
export interface ListedFile {
  readonly key: string;
  readonly name: string;
  readonly size: number;
  readonly etag: string | null;
  readonly last_modified: number | null;
}

/** Files of the app. Rules are asked only for users that `asUser` names. */
export class AdminStorage {
  readonly #requests: Requests;
  readonly #credentials: Credentials;
  readonly #environment: HttpEnvironment;

  constructor(requests: Requests, credentials: Credentials, environment: HttpEnvironment) {
    this.#requests = requests;
    this.#credentials = credentials;
    this.#environment = environment;
  }

  /**
   * Stores a file under a path, in the place of one that is there.
   *
   * file  a stream is sent as it is read, and never held whole
   * returns  data.id: that of its row in `$files`, the same as before for a path that was there
   */
  uploadFile = (
    path: string,
    file: FileBody,
    opts: FileOptions = {},
  ): Promise<{ data: { id: string; 'location-id': string; size: number } }> => {
    const { contentType, contentDisposition, fileSize } = opts;
    return this.#ask({
      method: 'PUT',
      path: '/admin/storage/upload',
      headers: {
        path: headerText(path),
        ...(contentType === undefined ? {} : { 'content-type': contentType }),
        ...(contentDisposition === undefined ? {} : { 'content-disposition': contentDisposition }),
        ...(fileSize === undefined ? {} : { 'content-length': String(fileSize) }),
      },
      body: this.#bodyOf(file),
    });
  };

  /** Deletes a file by its path. `data.id` is null where there was none. */
  delete = (path: string): Promise<{ data: { id: string | null } }> =>
    this.#ask({ method: 'DELETE', path: '/admin/storage/files', params: { filename: path } });

  /** Deletes files by their paths: all of them, or none where a rule refuses one. */
  deleteMany = (paths: readonly string[]): Promise<{ data: { ids: string[] } }> =>
    this.#ask({
      method: 'POST',
      path: '/admin/storage/files/delete',
      json: { filenames: paths },
    });

  /** @deprecated Queries of `$files` tell more: `db.query({ $files: {} })`. */
  list = async (): Promise<ListedFile[]> =>
    (await this.#ask<{ data: ListedFile[] }>({ method: 'GET', path: '/admin/storage/files' })).data;

  /** @deprecated Rows of `$files` have a `url`. Null where there is no such file. */
  getDownloadUrl = async (path: string): Promise<string | null> => {
    const answer = await this.#ask<{ data: string | null }>({
      method: 'GET',
      path: '/admin/storage/signed-download-url',
      params: { filename: path },
    });
    return answer.data;
  };

  async #ask<T>(asked: Asked): Promise<T> {
    const headers = { ...asked.headers, ...headersOf(this.#credentials) };
    return this.#requests.json<T>({ ...asked, headers });
  }

  #bodyOf(file: FileBody): Pick<RequestInit, 'body' | 'duplex'> {
    if (typeof file === 'string') return { body: file };
    if (typeof file !== 'object' || file === null)
      throw new TriceError({
        code: 'file-malformed',
        message: '`uploadFile` takes bytes, text, a Blob or a stream.',
      });
    if ('getReader' in file) return { body: file, duplex: 'half' };
    // Streams of Node too; fetch itself takes these in some places only.
    if (Symbol.asyncIterator in file)
      return {
        body: this.#environment.streamOf(file as AsyncIterable<Uint8Array>),
        duplex: 'half',
      };
    return { body: file };
  }
}
