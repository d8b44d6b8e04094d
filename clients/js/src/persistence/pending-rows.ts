import { BATCH_LENGTH, type DiskChange } from '../client/disk.ts';
import type { Entry } from '../pending/entry.ts';
import { entryKey, entryText } from './entries.ts';
import { GIVEN, partsRemoval } from './part-keys.ts';

/** A write as it is on the disk. */
interface Row {
  readonly entry: Entry;
  readonly key: string;
  readonly text: string;
}

/** What a row is to become. */
export interface RowChange {
  readonly id: string;
  /** Null: it goes. */
  readonly row: Row | null;
  readonly changes: readonly DiskChange[];
  /** Nothing is sent, and nobody told, before it is done. Else it follows the answers. */
  readonly isUrgent: boolean;
}

/** Changes of one batch; `rows` are those that it does to pending writes. */
export interface Batch {
  readonly changes: readonly DiskChange[];
  readonly rows: readonly RowChange[];
}

/** Knows the rows of pending writes on the disk, and says how they differ from the queue. */
export class PendingRows {
  /** By the id of the entry. */
  readonly rows = new Map<string, Row>();
  /** Ids of entries that the server took, until their rows are gone. */
  readonly #acked = new Set<string>();

  /** Takes a row over that is on the disk. */
  load(entry: Entry, key: string, text: string): void {
    this.rows.set(entry.id, { entry, key, text });
  }

  /** Remembers what the server took: an entry may leave the queue before it is compared again. */
  note(entries: readonly Entry[]): void {
    for (const { id, state } of entries) if (state === 'acked') this.#acked.add(id);
  }

  /** Rows that differ from the queue, in its order, and entries that are on the disk already. */
  compare(entries: readonly Entry[]): { differing: RowChange[]; same: Entry[] } {
    const differing: RowChange[] = [];
    const same: Entry[] = [];
    const present = new Set<string>();
    for (const entry of entries) {
      present.add(entry.id);
      const before = this.rows.get(entry.id);
      if (before?.entry === entry) continue;
      const row = { entry, key: entryKey(entry), text: entryText(entry) };
      if (before?.text === row.text && before.key === row.key) {
        this.rows.set(entry.id, row);
        same.push(entry);
      } else differing.push(putting(row, before));
    }
    for (const [id, row] of this.rows)
      if (!present.has(id)) differing.push(removing(id, row, this.#acked.has(id)));
    return { differing, same };
  }

  /** These changes were written. */
  written(rows: readonly RowChange[]): void {
    for (const { id, row } of rows) {
      if (row) this.rows.set(id, row);
      else {
        this.rows.delete(id);
        this.#acked.delete(id);
      }
    }
  }

  /** Nothing is on the disk any more. */
  clear(): void {
    this.rows.clear();
    this.#acked.clear();
  }
}

/** Changes in batches of a size, in order. */
export function batchesOf(rows: readonly RowChange[]): Batch[] {
  const batches: { changes: DiskChange[]; rows: RowChange[] }[] = [];
  let length = Infinity;
  for (const one of rows) {
    if (length > BATCH_LENGTH) {
      batches.push({ changes: [], rows: [] });
      length = 0;
    }
    batches.at(-1)!.changes.push(...one.changes);
    batches.at(-1)!.rows.push(one);
    length += one.row?.text.length ?? 0;
  }
  return batches;
}

function putting(row: Row, before: Row | undefined): RowChange {
  const { entry, key, text } = row;
  const changes: DiskChange[] = [{ table: 'pending', key, value: text }];
  if (before && before.key !== key)
    changes.unshift({ table: 'pending', key: before.key, value: null });
  // A file that is stored is not to be sent once more.
  const isUrgent = entry.state !== 'acked' || entry.upload !== null;
  return { id: entry.id, row, changes, isUrgent };
}

/**
 * An acknowledged write goes only after the answers that contain it: else an answer of an earlier
 * start would be shown without it.
 */
function removing(id: string, { key, entry }: Row, isAcked: boolean): RowChange {
  const changes: DiskChange[] = [{ table: 'pending', key, value: null }];
  if (entry.upload)
    changes.push({ table: 'pending', key: GIVEN + id, value: null }, partsRemoval(id));
  return { id, row: null, changes, isUrgent: !isAcked };
}
