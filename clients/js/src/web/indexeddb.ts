import {
  type Disk,
  DISK_TABLES,
  type DiskChange,
  DiskError,
  type DiskFailure,
  type DiskGuard,
  type DiskRange,
  type DiskRow,
  type Disks,
  type DiskTable,
} from '../client/disk.ts';

/** What this file takes of a browser. */
export interface IndexedDbGlobals {
  readonly indexedDB: {
    open(name: string, version: number): OpenRequest;
    deleteDatabase(name: string): Request<unknown>;
  };
  readonly IDBKeyRange: {
    bound(from: string, before: string, isFromOut: boolean, isBeforeOut: boolean): object;
  };
  readonly navigator?: {
    readonly storage?: { estimate?(): Promise<{ quota?: number }> };
  };
}

interface Request<T> {
  readonly result: T;
  readonly error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}

interface OpenRequest extends Request<Database> {
  onupgradeneeded: ((event: { readonly oldVersion: number }) => void) | null;
}

interface Database {
  onclose: (() => void) | null;
  onversionchange: (() => void) | null;
  readonly objectStoreNames: { contains(name: string): boolean };
  createObjectStore(name: string): unknown;
  transaction(
    tables: readonly string[],
    mode: 'readonly' | 'readwrite',
    options?: { durability: 'strict' | 'relaxed' },
  ): Transaction;
  close(): void;
}

interface Transaction {
  readonly error: unknown;
  oncomplete: (() => void) | null;
  onabort: (() => void) | null;
  objectStore(name: string): ObjectStore;
  abort(): void;
  commit?(): void;
}

interface ObjectStore {
  get(key: string): Request<string | undefined>;
  getAll(range?: object): Request<string[]>;
  getAllKeys(range?: object): Request<string[]>;
  put(value: string, key: string): unknown;
  delete(key: string | object): unknown;
}

/** Databases of IndexedDB, one object store for each table. */
export function indexedDbDisks(globals: IndexedDbGlobals): Disks {
  return {
    async open(name) {
      const disk = new IndexedDbDisk(globals, name);
      await disk.connect();
      return disk;
    },
    async quotaBytes() {
      const estimate = await globals.navigator?.storage?.estimate?.();
      return estimate?.quota ?? null;
    },
  };
}

/** Raised when a table is added: those that are missing are made. */
const VERSION = 2;

class IndexedDbDisk implements Disk {
  readonly #globals: IndexedDbGlobals;
  readonly #name: string;
  #database: Database | null = null;
  /** It was closed here, or another page deletes it: it is opened no more. */
  #isEnded = false;

  constructor(globals: IndexedDbGlobals, name: string) {
    this.#globals = globals;
    this.#name = name;
  }

  /** Opens the database. Returns whether it was made by this. */
  async connect(): Promise<boolean> {
    let isNew = false;
    const database = await new Promise<Database>((resolve, reject) => {
      const request = this.#globals.indexedDB.open(this.#name, VERSION);
      request.onupgradeneeded = ({ oldVersion }) => {
        isNew = oldVersion === 0;
        for (const table of DISK_TABLES)
          if (!request.result.objectStoreNames.contains(table))
            request.result.createObjectStore(table);
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(failureOf(request.error));
    });
    // A page that deletes the database waits for the others to let go.
    database.onversionchange = () => this.close();
    database.onclose = () => {
      if (this.#database === database) this.#database = null;
    };
    if (this.#isEnded) database.close();
    else this.#database = database;
    return isNew;
  }

  read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]> {
    return this.#run([table], 'readonly', undefined, (transaction) => {
      const store = transaction.objectStore(table);
      const over = range && this.#rangeOf(range);
      const [keys, values] = [store.getAllKeys(over), store.getAll(over)];
      return () => keys.result.map((key, place) => [key, values.result[place]!] as const);
    });
  }

  write(batch: readonly DiskChange[], isStrict: boolean, guard?: DiskGuard): Promise<void> {
    const tables = new Set(batch.map(({ table }) => table));
    if (guard) tables.add('meta');
    const options = { durability: isStrict ? 'strict' : 'relaxed' } as const;
    return this.#run([...tables], 'readwrite', options, (transaction) => {
      const row = guard && transaction.objectStore('meta').get(guard.key);
      for (const change of batch) {
        const store = transaction.objectStore(change.table);
        if ('range' in change) store.delete(this.#rangeOf(change.range));
        else if (change.value === null) store.delete(change.key);
        else store.put(change.value, change.key);
      }
      // It must not be committed before its guard is read.
      if (row)
        row.onsuccess = () => {
          if (row.result === guard.value) transaction.commit?.();
          else transaction.abort();
        };
      else transaction.commit?.();
      return () => {};
    });
  }

  wipe(): Promise<void> {
    this.close();
    return new Promise((resolve, reject) => {
      const request = this.#globals.indexedDB.deleteDatabase(this.#name);
      request.onsuccess = () => resolve();
      request.onerror = () => reject(failureOf(request.error));
    });
  }

  close(): void {
    this.#isEnded = true;
    this.#database?.close();
    this.#database = null;
  }

  /**
   * Runs one transaction. A handle that is dead is replaced once: browsers lose the connection
   * while a page sleeps.
   */
  async #run<T>(
    tables: readonly DiskTable[],
    mode: 'readonly' | 'readwrite',
    options: { durability: 'strict' | 'relaxed' } | undefined,
    work: (transaction: Transaction) => () => T,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (this.#isEnded) throw new DiskError('lost');
        // A database that is new by now was deleted, with all that was written before.
        if (this.#database === null && (await this.connect())) throw new DiskError('broken');
        return await settled(this.#database!, tables, mode, options, work);
      } catch (error) {
        const failure = failureOf(error);
        if (failure.reason !== 'lost' || attempt > 1 || this.#isEnded) throw failure;
        this.#database?.close();
        this.#database = null;
      }
    }
  }

  #rangeOf({ from, before }: DiskRange): object {
    return this.#globals.IDBKeyRange.bound(from, before, false, true);
  }
}

/** Resolves when the transaction is complete: a request that succeeded may still be undone. */
function settled<T>(
  database: Database,
  tables: readonly DiskTable[],
  mode: 'readonly' | 'readwrite',
  options: { durability: 'strict' | 'relaxed' } | undefined,
  work: (transaction: Transaction) => () => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(tables, mode, options);
    const result = work(transaction);
    transaction.oncomplete = () => resolve(result());
    // Without an error it was undone by its guard.
    transaction.onabort = () =>
      reject(transaction.error === null ? new DiskError('taken') : failureOf(transaction.error));
  });
}

const REASONS: Readonly<Record<string, DiskFailure>> = {
  QuotaExceededError: 'full',
  NotFoundError: 'broken',
  VersionError: 'broken',
  DataError: 'broken',
};

function failureOf(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const name = (error as { name?: unknown } | null)?.name;
  return new DiskError(REASONS[String(name)] ?? 'lost', error);
}
