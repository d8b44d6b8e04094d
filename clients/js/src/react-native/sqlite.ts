import type { DiskChange, DiskFailure, DiskRange, DiskRow, DiskTable } from '../client/disk.ts';
import type { DeviceDatabase, DeviceStore } from './disks.ts';
import { escaped, unescaped } from './escape.ts';

/** What is used of the package `expo-sqlite`. */
export interface ExpoSqlite {
  /** Opens a database in the folder of the app, made if it is not there. */
  openDatabaseAsync(name: string): Promise<SqliteConnection>;
  /** Deletes a database that nobody has open. */
  deleteDatabaseAsync(name: string): Promise<void>;
}

interface SqliteConnection {
  execAsync(source: string): Promise<void>;
  prepareAsync(source: string): Promise<SqliteStatement>;
  closeAsync(): Promise<void>;
}

interface SqliteStatement {
  executeAsync(params: string[]): Promise<{ getAllAsync(): Promise<unknown[]> }>;
  finalizeAsync(): Promise<void>;
}

/**
 * Not a write-ahead log: with it COMMIT hung on Android and iOS (rocicorp/mono 4669). Every batch
 * is on the storage itself when it is done.
 */
const SET_UP = `
  PRAGMA journal_mode = TRUNCATE;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS disk (
    store TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (store, key)
  );
`;

const STATEMENTS = {
  all: 'SELECT key, value FROM disk WHERE store = ? ORDER BY key',
  range: 'SELECT key, value FROM disk WHERE store = ? AND key >= ? AND key < ? ORDER BY key',
  put: 'INSERT OR REPLACE INTO disk (store, key, value) VALUES (?, ?, ?)',
  remove: 'DELETE FROM disk WHERE store = ? AND key = ?',
  removeRange: 'DELETE FROM disk WHERE store = ? AND key >= ? AND key < ?',
};

/** Databases of SQLite, a file for each: one table, and a transaction for each batch. */
export function sqliteStore(sqlite: ExpoSqlite): DeviceStore {
  return {
    database: (name) => new SqliteDatabase(sqlite, fileOf(name)),
    async delete(name) {
      try {
        await sqlite.deleteDatabaseAsync(fileOf(name));
      } catch (error) {
        if (!/not found/i.test(String(error))) throw error;
      }
    },
    reasonOf,
  };
}

/** The name of a file: letters, digits, and the codes of all else. */
function fileOf(name: string): string {
  const safe = name.replace(/[^a-z0-9-]/g, (letter) => `_${letter.charCodeAt(0).toString(36)}_`);
  return `${safe}.db`;
}

interface Connected {
  readonly connection: SqliteConnection;
  readonly run: (
    statement: keyof typeof STATEMENTS,
    params: string[],
  ) => Promise<{ getAllAsync(): Promise<unknown[]> }>;
  readonly finalize: () => Promise<void>;
}

class SqliteDatabase implements DeviceDatabase {
  readonly #sqlite: ExpoSqlite;
  readonly #file: string;
  #connected: Connected | null = null;

  constructor(sqlite: ExpoSqlite, file: string) {
    this.#sqlite = sqlite;
    this.#file = file;
  }

  read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]> {
    return this.#work(async ({ run }) => {
      const result = range
        ? await run('range', [table, escaped(range.from), escaped(range.before)])
        : await run('all', [table]);
      const rows = (await result.getAllAsync()) as { key: string; value: string }[];
      return rows.map(({ key, value }) => [unescaped(key), unescaped(value)] as const);
    });
  }

  write(batch: readonly DiskChange[]): Promise<void> {
    return this.#work(async ({ connection, run }) => {
      await connection.execAsync('BEGIN IMMEDIATE');
      try {
        for (const change of batch) {
          const { table } = change;
          if ('range' in change)
            await run('removeRange', [
              table,
              escaped(change.range.from),
              escaped(change.range.before),
            ]);
          else if (change.value === null) await run('remove', [table, escaped(change.key)]);
          else await run('put', [table, escaped(change.key), escaped(change.value)]);
        }
        await connection.execAsync('COMMIT');
      } catch (error) {
        // SQLite has rolled back already after some failures.
        await connection.execAsync('ROLLBACK').catch(() => {});
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    const connected = this.#connected;
    this.#connected = null;
    if (connected === null) return;
    await connected.finalize().catch(() => {});
    await connected.connection.closeAsync();
  }

  /** A connection that is dead is replaced once. Reads and batches may be done twice. */
  async #work<T>(work: (connected: Connected) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#connect());
    } catch (error) {
      if (reasonOf(error) !== 'lost') throw error;
      await this.close().catch(() => {});
      return work(await this.#connect());
    }
  }

  async #connect(): Promise<Connected> {
    if (this.#connected) return this.#connected;
    const connection = await this.#sqlite.openDatabaseAsync(this.#file);
    try {
      await connection.execAsync(SET_UP);
    } catch (error) {
      // Else the file could not be deleted.
      await connection.closeAsync().catch(() => {});
      throw error;
    }
    const prepared = new Map<string, SqliteStatement>();
    this.#connected = {
      connection,
      async run(name, params) {
        let statement = prepared.get(name);
        if (!statement) {
          statement = await connection.prepareAsync(STATEMENTS[name]);
          prepared.set(name, statement);
        }
        return statement.executeAsync(params);
      },
      async finalize() {
        for (const statement of prepared.values()) await statement.finalizeAsync();
      },
    };
    return this.#connected;
  }
}

/** expo-sqlite tells SQLite's code as `Error code 13: database or disk is full`. */
function reasonOf(error: unknown): DiskFailure {
  const text = String(error);
  if (/\bcode 13\b|disk is full/.test(text)) return 'full';
  if (/\bcode (11|26)\b|malformed|not a database|no such (table|column)/.test(text))
    return 'broken';
  return 'lost';
}
