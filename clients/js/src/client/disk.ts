import type { DiskCode } from './disk-code.ts';

/** Fetches what opens databases; the second time, it is there. */
export function fetchDiskCode(): Promise<DiskCode> {
  return import('./disk-code.ts');
}

/**
 * A place that survives the page: rows of text by key, in five tables.
 *
 * `meta` holds the catalog and what is known of the server; `answers` a head for each answer, by
 * the hash of its query; `rows` their content in pieces; `pending` one write a row; `parts` the
 * bytes of files that wait.
 */
export type DiskTable = 'meta' | 'answers' | 'rows' | 'pending' | 'parts';

export const DISK_TABLES: readonly DiskTable[] = ['meta', 'answers', 'rows', 'pending', 'parts'];

/** A database that is not open by then is waited for no longer: the client goes on without. */
export const OPEN_MS_MAX = 3_000;

/** A batch is handed to the disk at this size. */
export const BATCH_LENGTH = 1024 * 1024;

/** Keys from `from` on and below `before`, compared by code units. */
export interface DiskRange {
  readonly from: string;
  readonly before: string;
}

/** One row of a disk, as it is read. */
export type DiskRow = readonly [key: string, value: string];

/** What a batch does: puts a row, takes one away (null), or takes a range away. */
export type DiskChange =
  | { readonly table: DiskTable; readonly key: string; readonly value: string | null }
  | { readonly table: DiskTable; readonly range: DiskRange };

/** What a batch depends on: a row of `meta` as it is when the batch is done. */
export interface DiskGuard {
  readonly key: string;
  readonly value: string;
}

/** One database. Every failure is a DiskError. */
export interface Disk {
  /** The rows of a table, or of a range of it, by key. */
  read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]>;
  /**
   * Does all of a batch in its order, or nothing. A batch has at most about 1 MiB, or one row.
   *
   * isStrict  resolves only once the batch survives a loss of power, where the platform can say so
   * guard     another row stands there: nothing is done, and it fails as `taken`. Only disks that
   *           several tabs may open at once know it
   */
  write(batch: readonly DiskChange[], isStrict: boolean, guard?: DiskGuard): Promise<void>;
  /** Deletes the database. Nothing can be read or written any more. */
  wipe(): Promise<void>;
  /** Lets go of it; what is under way ends first. */
  close(): void;
}

/** Opens databases by name. */
export interface Disks {
  /** Opens a database, or makes it. */
  open(name: string): Promise<Disk>;
  /** How many bytes the platform grants, where it says. */
  quotaBytes?(): Promise<number | null>;
}

/**
 * Why a disk failed.
 *
 * full    there is no room; another attempt may succeed after something was deleted
 * lost    it cannot be reached now, and what it holds may be whole
 * broken  what it holds cannot be read, or lacks a table
 * taken   the guard of a batch does not hold: another tab writes now
 */
export type DiskFailure = 'full' | 'lost' | 'broken' | 'taken';

/** Why a disk did not do what it was asked. */
export class DiskError extends Error {
  readonly reason: DiskFailure;

  constructor(reason: DiskFailure, cause?: unknown) {
    super(`The disk is ${reason}.`, { cause });
    this.name = 'DiskError';
    this.reason = reason;
  }

  /** The error itself if it is one, else what it says, as `lost`. */
  static of(error: unknown): DiskError {
    return error instanceof DiskError ? error : new DiskError('lost', error);
  }
}

/**
 * Whether what the client keeps survives the page.
 *
 * ready   it does
 * memory  it does not: there is no disk here, or it cannot be reached
 * full    there is no room: writes made now do not survive until there is
 * reset   it does again; what an unreadable disk held before is gone
 */
export type StorageStatus = 'ready' | 'memory' | 'full' | 'reset';
