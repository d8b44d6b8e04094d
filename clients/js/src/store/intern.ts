import { isEqual } from '../values/equal.ts';
import { deepFreeze } from '../values/json.ts';
import { madeIn, newMap } from '../values/made.ts';
import type { Bag } from './bag.ts';
import type { OpenRecord } from './edit.ts';
import type { EntityRecord } from './view.ts';

/** A record with a number that all records of its entity have, and no other. */
export interface InternedRecord extends EntityRecord {
  readonly number: number;
}

/** So many records, and twice those in use, may be kept until those out of use are forgotten. */
const UNUSED_MAX = 10_000;

/**
 * Makes records, and hands out the one there is if its content is the same: a row in ten answers
 * is one object.
 */
export class Intern {
  /** The greatest time of creation seen; 0 if none was. */
  newestCreated = 0;
  /** By namespace and id. */
  readonly #known = new Map<string, Map<string, InternedRecord>>();
  #numbers = 0;
  /** Records that are known, and how many the last sweep left. */
  #size = 0;
  #left = 0;

  record({ etype, id, createdAt, cells }: OpenRecord): InternedRecord {
    const records = this.#records(etype);
    const known = records.get(id);
    if (known?.createdAt === createdAt && isEqual(known.cells, cells)) return known;
    if (createdAt > this.newestCreated) this.newestCreated = createdAt;
    const number = known?.number ?? this.#numbers++;
    const made = deepFreeze({ etype, id: known?.id ?? id, createdAt, cells, number });
    this.#set(made);
    return made;
  }

  /** The record of an entity that was told last. */
  find(etype: string, id: string): InternedRecord | undefined {
    return this.#known.get(etype)?.get(id);
  }

  /** Whether there are many more records than the last sweep left. */
  get isFull(): boolean {
    return this.#size > 2 * this.#left + UNUSED_MAX;
  }

  /** Forgets records that no bag holds. `bags`: all there are. */
  sweep(bags: readonly Bag[]): void {
    this.#known.clear();
    this.#size = 0;
    for (const bag of bags) for (const record of bag.records.all()) this.#set(record);
    this.#left = this.#size;
  }

  #set(record: InternedRecord): void {
    const records = this.#records(record.etype);
    if (!records.has(record.id)) this.#size++;
    records.set(record.id, record);
  }

  #records(etype: string): Map<string, InternedRecord> {
    return madeIn(this.#known, etype, newMap<string, InternedRecord>);
  }
}
