import { TriceError } from '../errors.ts';
import type { Requests } from '../http/requests.ts';
import { isObject } from '../values/json.ts';
import type { Tokens } from './tokens.ts';

/** An app as it was at one moment. */
export interface Backup {
  readonly id: string;
  /** The place in the server's log up to which it has everything. */
  readonly isn: string;
  readonly backupAt: Date;
  /** Bytes of its files, of its part of the database, and of its entities unpacked. */
  readonly filesSize: number | null;
  readonly dbSize: number | null;
  readonly uncompressedSize: number | null;
  readonly description: string | null;
  /** When it can no longer be fetched. */
  readonly expiresAt: Date | null;
}

/** A part of a backup: `config.json`, or `entities/<namespace>.jsonl`. */
export interface BackupPart {
  readonly name: string;
  /** Bytes as stored, which is compressed. */
  readonly size: number;
}

/** A stored file in a backup. */
export interface BackupFile {
  /** An archive has it as `files/<locationId>`. */
  readonly locationId: string;
  readonly path: string | null;
  /** Opens the bytes, for 12 hours. */
  readonly url: string;
}

interface ApiBackup {
  readonly id: string;
  readonly isn: string;
  readonly backup_at: string;
  readonly files_size: number | null;
  readonly db_size: number | null;
  readonly uncompressed_size: number | null;
  readonly description: string | null;
  readonly expires_at: string | null;
}

/** Backups of one app. An archive has `config.json` first, then entities, then files. */
export class Backups {
  readonly #tokens: Tokens;
  readonly #requests: Requests;
  readonly #path: string;

  constructor(tokens: Tokens, requests: Requests, appId: string) {
    this.#tokens = tokens;
    this.#requests = requests;
    this.#path = `/dash/apps/${encodeURIComponent(appId)}/backups`;
  }

  /** Those that can be fetched, newest first. */
  list = async (): Promise<Backup[]> => {
    const { backups } = await this.#get<{ backups: ApiBackup[] }>('');
    return backups.map((row) => ({
      id: row.id,
      isn: row.isn,
      backupAt: new Date(row.backup_at),
      filesSize: row.files_size,
      dbSize: row.db_size,
      uncompressedSize: row.uncompressed_size,
      description: row.description,
      expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    }));
  };

  /** Its parts, in the order of an archive, stored files aside. */
  listFiles = async (backupId: string): Promise<BackupPart[]> =>
    (await this.#get<{ files: BackupPart[] }>(`/${encodeURIComponent(backupId)}/files`)).files;

  /** Opens one part for an hour; it comes with `content-encoding: zstd`. */
  getFileUrl = async (backupId: string, name: string): Promise<string> => {
    const path = `/${encodeURIComponent(backupId)}/file-url`;
    return (await this.#get<{ url: string }>(path, { name })).url;
  };

  /** The stored files in it, as the server lists them. Throws if the list ends before its end. */
  async *streamStorageFiles(backupId: string): AsyncGenerator<BackupFile, void> {
    const path = `${this.#path}/${encodeURIComponent(backupId)}/storage-files`;
    const answer = await this.#tokens.withToken((token) =>
      this.#requests.open({ method: 'GET', path, headers: { authorization: `Bearer ${token}` } }),
    );
    for await (const line of linesOf(answer.texts())) {
      const file: unknown = JSON.parse(line);
      if (isObject(file) && file.done === true) return;
      yield fileOf(file);
    }
    throw malformed('The list of files in a backup ended before its end.');
  }

  #get<T>(path: string, params: Record<string, string> = {}): Promise<T> {
    return this.#tokens.ask<T>({ method: 'GET', path: this.#path + path, params });
  }
}

async function* linesOf(texts: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const text of texts) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    yield* lines.filter((line) => line.trim() !== '');
  }
  if (rest.trim() !== '') yield rest;
}

/** The id becomes a path in an archive, so it must not lead out of it. */
function fileOf(file: unknown): BackupFile {
  const { locationId, path, url } = isObject(file) ? file : {};
  const isName = typeof locationId === 'string' && /^(?!\.{1,2}$)[^/\\\p{Cc}]+$/u.test(locationId);
  if (!isName || typeof url !== 'string' || url === '')
    throw malformed('The list of files in a backup has a row that is none.');
  return { locationId, path: typeof path === 'string' ? path : null, url };
}

function malformed(message: string): TriceError {
  return new TriceError({ code: 'answer-malformed', message });
}
