import {
  type Disk,
  DISK_TABLES,
  type DiskChange,
  DiskError,
  type DiskGuard,
  type DiskRange,
  type DiskRow,
  type Disks,
  type DiskTable,
} from '../client/disk.ts';

/** The tables of one database in memory. */
export type Tables = Map<DiskTable, Map<string, string>>;

/** Databases in memory: for tests, and as the model of what a disk does. */
export class MemoryDisks implements Disks {
  readonly databases = new Map<string, Tables>();

  async open(name: string): Promise<Disk> {
    let tables = this.databases.get(name);
    if (tables === undefined) this.databases.set(name, (tables = emptyTables()));
    return new MemoryDisk(tables, () => this.databases.delete(name));
  }
}

function emptyTables(): Tables {
  return new Map(DISK_TABLES.map((table) => [table, new Map<string, string>()]));
}

class MemoryDisk implements Disk {
  readonly #tables: Tables;
  readonly #remove: () => void;
  #isOpen = true;

  constructor(tables: Tables, remove: () => void) {
    this.#tables = tables;
    this.#remove = remove;
  }

  async read(table: DiskTable, range?: DiskRange): Promise<readonly DiskRow[]> {
    const rows = [...this.#rows(table)].filter(([key]) => !range || isIn(range, key));
    return rows.sort(([one], [other]) => (one < other ? -1 : 1));
  }

  async write(batch: readonly DiskChange[], _isStrict: boolean, guard?: DiskGuard): Promise<void> {
    if (guard && this.#rows('meta').get(guard.key) !== guard.value) throw new DiskError('taken');
    for (const change of batch) this.#apply(change);
  }

  async wipe(): Promise<void> {
    this.#remove();
    this.#isOpen = false;
  }

  close(): void {
    this.#isOpen = false;
  }

  #apply(change: DiskChange): void {
    const rows = this.#rows(change.table);
    if ('range' in change) {
      for (const key of [...rows.keys()]) if (isIn(change.range, key)) rows.delete(key);
    } else if (change.value === null) rows.delete(change.key);
    else rows.set(change.key, change.value);
  }

  #rows(table: DiskTable): Map<string, string> {
    const rows = this.#tables.get(table);
    if (!this.#isOpen) throw new DiskError('lost');
    if (rows === undefined) throw new DiskError('broken');
    return rows;
  }
}

function isIn({ from, before }: DiskRange, key: string): boolean {
  return key >= from && key < before;
}
