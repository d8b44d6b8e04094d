import {
  type Disk,
  type DiskChange,
  DiskError,
  type DiskFailure,
  type DiskRange,
  type DiskRow,
  type Disks,
  type DiskTable,
} from '../client/disk.ts';

/** One database of a store. Calls come one at a time, and may fail with anything. */
export interface DeviceDatabase {
  read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]>;
  /** Does all of a batch in its order, or nothing. */
  write(batch: readonly DiskChange[]): Promise<void>;
  close(): Promise<void>;
}

/** A store of a device, as it is given to `DeviceDisks`. */
export interface DeviceStore {
  /**
   * Touches nothing yet: a file that cannot be read shows at the first read, of which the client
   * recovers, and not when it is opened.
   */
  database(name: string): DeviceDatabase;
  /** Deletes a database that is not open, or not there. */
  delete(name: string): Promise<void>;
  /** What a failure of this store means. */
  reasonOf(error: unknown): DiskFailure;
  /** How many bytes it grants, where it says. */
  readonly quotaBytes?: number;
}

/**
 * The databases of one store. All who open one share it, and what they ask is done one after the
 * other: on devices nothing else keeps their batches apart, as all asynchronous calls of a package
 * wait in one line, where whoever waited for a lock would keep its owner from letting go.
 */
export class DeviceDisks implements Disks {
  readonly #store: DeviceStore;
  readonly #shared = new Map<string, SharedDatabase>();

  constructor(store: DeviceStore) {
    this.#store = store;
  }

  async open(name: string): Promise<Disk> {
    let shared = this.#shared.get(name);
    if (!shared) this.#shared.set(name, (shared = new SharedDatabase(this.#store, name)));
    return new DeviceDisk(shared);
  }

  async quotaBytes(): Promise<number | null> {
    return this.#store.quotaBytes ?? null;
  }
}

class SharedDatabase {
  /** Whoever has it open. */
  readonly users = new Set<DeviceDisk>();
  readonly #store: DeviceStore;
  readonly #name: string;
  #database: DeviceDatabase | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: DeviceStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  use<T>(work: (database: DeviceDatabase) => Promise<T>): Promise<T> {
    return this.#run(() => work((this.#database ??= this.#store.database(this.#name))));
  }

  /** Lets go of it, unless somebody has it open again by then. */
  close(): void {
    this.#run(async () => {
      if (this.users.size === 0) await this.#close();
    }).catch(() => {});
  }

  wipe(): Promise<void> {
    this.users.clear();
    return this.#run(async () => {
      await this.#close().catch(() => {});
      await this.#store.delete(this.#name);
    });
  }

  async #close(): Promise<void> {
    const database = this.#database;
    this.#database = null;
    await database?.close();
  }

  /** After all that was asked before, however that ended. */
  #run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work).catch((error: unknown) => {
      if (error instanceof DiskError) throw error;
      throw new DiskError(this.#store.reasonOf(error), error);
    });
    this.#last = done.catch(() => {});
    return done;
  }
}

class DeviceDisk implements Disk {
  readonly #shared: SharedDatabase;

  constructor(shared: SharedDatabase) {
    this.#shared = shared;
    shared.users.add(this);
  }

  async read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]> {
    this.#check();
    return this.#shared.use((database) => database.read(table, range));
  }

  async write(batch: readonly DiskChange[]): Promise<void> {
    this.#check();
    return this.#shared.use((database) => database.write(batch));
  }

  wipe(): Promise<void> {
    return this.#shared.wipe();
  }

  close(): void {
    if (this.#shared.users.delete(this)) this.#shared.close();
  }

  /** It was closed, or somebody wiped the database. */
  #check(): void {
    if (!this.#shared.users.has(this)) throw new DiskError('lost');
  }
}
