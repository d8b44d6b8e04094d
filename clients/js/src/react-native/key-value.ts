import {
  DISK_TABLES,
  type DiskChange,
  DiskError,
  type DiskFailure,
  type DiskRange,
  type DiskRow,
  type DiskTable,
} from '../client/disk.ts';
import type { DeviceDatabase, DeviceStore } from './disks.ts';
import { escaped, unescaped } from './escape.ts';
import {
  effectOf,
  isIn,
  keysOf,
  pairsOf,
  parsed,
  type Version,
  versionOf,
  type Versions,
} from './versions.ts';

/** Texts by key, of one database. Nothing is done as a whole but the setting of a single text. */
export interface KeyValues {
  keys(): Promise<readonly string[]>;
  get(keys: readonly string[]): Promise<readonly (string | null | undefined)[]>;
  set(pairs: readonly (readonly [key: string, value: string])[]): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
}

/** So many values are read at a time: together they have at most 8 MB. */
const READ_TOGETHER = 32;

/** The key of the commit record: the number of the last batch that is done. */
const COMMIT = 'commit';

export interface KeyValueOptions {
  /** Gives the texts of a database, by its name. */
  open(name: string): KeyValues;
  /** So many bytes a database holds at most; one that would hold more is full. */
  readonly bytesMax: number;
}

/** Databases in stores of texts by key, in which a batch is whole though no store does it so. */
export function keyValueStore({ open, bytesMax }: KeyValueOptions): DeviceStore {
  return {
    database: (name) => new KeyValueDatabase(open(name), bytesMax),
    async delete(name) {
      const values = open(name);
      const keys = await values.keys();
      // Without it all the rest counts as never done.
      await values.remove([COMMIT]);
      await values.remove(keys.filter((key) => key !== COMMIT));
    },
    reasonOf,
    // The client fills a tenth of what it is granted with answers: so a half of what there is.
    quotaBytes: 5 * bytesMax,
  };
}

/**
 * A batch writes its rows under keys of their own, also for each row that it takes away, and then
 * the commit record with its number. What was before goes only then. Whoever opens the database
 * takes of each row the newest version whose batch is done.
 *
 * Invariant: what a batch left that is not done is removed before another is.
 * Invariant: that a row was taken away is forgotten only after all of its older versions are gone.
 */
class KeyValueDatabase implements DeviceDatabase {
  readonly #values: KeyValues;
  readonly #bytesMax: number;
  #rows: Versions | null = null;
  #batch = 0;
  /** Keys of the batch that failed. */
  #undone: string[] = [];
  /** Keys of older versions, and then of rows that were taken away. */
  #older: string[] = [];
  #taken: string[] = [];

  constructor(values: KeyValues, bytesMax: number) {
    this.#values = values;
    this.#bytesMax = bytesMax;
  }

  async read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]> {
    const all = [...(await this.#load()).get(table)!];
    const rows = all.filter(([key]) => !range || isIn(range, key));
    rows.sort(([one], [other]) => (one < other ? -1 : 1));
    const keys = rows.flatMap(([, version]) => keysOf(version));
    const texts: string[] = [];
    for (let first = 0; first < keys.length; first += READ_TOGETHER)
      // Whoever reads a row knows by its sum whether a part is missing.
      for (const text of await this.#values.get(keys.slice(first, first + READ_TOGETHER)))
        texts.push(text ?? '');
    let at = 0;
    return rows.map(([key, { parts }]) => [
      key,
      unescaped(texts.slice(at, (at += parts)).join('')),
    ]);
  }

  async write(batch: readonly DiskChange[]): Promise<void> {
    const rows = await this.#load();
    // Also before a batch that changes nothing: who removes a row again must not find it later.
    await this.#undo();
    const number = this.#batch + 1;
    const written: [DiskTable, string, Version][] = [];
    const pairs: [string, string][] = [];
    for (const [table, changes] of effectOf(batch, rows))
      for (const [key, value] of changes) {
        const text = value === null ? null : escaped(value);
        const version = versionOf(table, key, number, text);
        written.push([table, key, version]);
        pairs.push(...pairsOf(version, text));
      }
    if (written.length === 0) return;
    this.#checkRoom(rows, written);
    this.#undone = pairs.map(([key]) => key);
    await this.#values.set(pairs);
    await this.#values.set([[COMMIT, String(number)]]);
    this.#batch = number;
    this.#undone = [];
    for (const [table, key, version] of written) this.#take(rows.get(table)!, key, version);
    await this.#sweep();
  }

  async close(): Promise<void> {}

  /** Removes what a batch left that failed: its commit record may have got through. */
  async #undo(): Promise<void> {
    if (this.#undone.length === 0) return;
    await this.#values.set([[COMMIT, String(this.#batch)]]);
    await this.#values.remove(this.#undone);
    this.#undone = [];
  }

  /** Reads which rows there are. */
  async #load(): Promise<Versions> {
    if (this.#rows) return this.#rows;
    const rows = new Map(DISK_TABLES.map((table) => [table, new Map<string, Version>()] as const));
    const keys = await this.#values.keys();
    const [commit] = await this.#values.get([COMMIT]);
    this.#batch = Number(commit ?? 0);
    if (!Number.isSafeInteger(this.#batch)) throw new DiskError('broken');
    [this.#undone, this.#older, this.#taken] = [[], [], []];
    for (const physical of keys) {
      if (physical === COMMIT) continue;
      const { table, key, version, isFirst } = parsed(physical);
      const versions = rows.get(table as DiskTable);
      if (!versions || version.batch > this.#batch) this.#undone.push(physical);
      else if (isFirst) this.#take(versions, key, version);
    }
    await this.#values.remove(this.#undone);
    this.#undone = [];
    this.#rows = rows;
    await this.#sweep();
    return rows;
  }

  /** Takes a version for the newest of its row, unless a newer one is known. */
  #take(versions: Map<string, Version>, key: string, version: Version): void {
    const before = versions.get(key);
    const isNewer = before === undefined || before.batch < version.batch;
    const older = isNewer ? before : version;
    if (older) this.#older.push(...keysOf(older));
    if (isNewer) versions.set(key, version);
  }

  /** Removes what no row needs any more. What fails is done the next time. */
  async #sweep(): Promise<void> {
    for (const versions of this.#rows!.values())
      for (const [key, version] of versions) {
        if (version.parts > 0) continue;
        versions.delete(key);
        this.#taken.push(...keysOf(version));
      }
    try {
      await this.#values.remove(this.#older);
      this.#older = [];
      await this.#values.remove(this.#taken);
      this.#taken = [];
    } catch {
      // The batch itself is done.
    }
  }

  #checkRoom(rows: Versions, written: readonly [DiskTable, string, Version][]): void {
    let bytes = 0;
    for (const versions of rows.values()) for (const one of versions.values()) bytes += one.bytes;
    const before = bytes;
    for (const [table, key, version] of written)
      bytes += version.bytes - (rows.get(table)!.get(key)?.bytes ?? 0);
    // What makes room is always let through.
    if (bytes > this.#bytesMax && bytes > before) throw new DiskError('full');
  }
}

/** The packages tell in words of their platform that there is no room. */
function reasonOf(error: unknown): DiskFailure {
  return /\bfull\b|no space|quota/i.test(String(error)) ? 'full' : 'lost';
}
