import { BATCH_LENGTH, type DiskChange } from '../client/disk.ts';
import { piecesOf } from './answers.ts';
import { type Changed, headRow, type Kept } from './kept.ts';
import { written } from './written.ts';

/** An answer is written after it was quiet for so long, and at the latest after so long. */
const QUIET_MS = 250;
const LATE_MS = 1_000;

/** A large answer is written less often: so many bytes in a second. */
const BYTES_PER_MS = 100;

/** Bounds of what is kept; least recently used answers go first. */
export interface CacheLimits {
  readonly answers: number;
  readonly entities: number;
  readonly bytes: number;
}

export const CACHE_LIMITS: CacheLimits = {
  answers: 500,
  entities: 200_000,
  bytes: 64 * 1024 * 1024,
};

/** Says what is to be written of the answers that changed, and which go for want of room. */
export class Cache {
  readonly #kept: Kept;
  readonly #limits: CacheLimits;

  constructor(kept: Kept, limits: CacheLimits = CACHE_LIMITS) {
    this.#kept = kept;
    this.#limits = limits;
  }

  /** When the next answer is to be written; null: none is. */
  get dueAt(): number | null {
    let dueAt: number | null = null;
    for (const one of this.#kept.changed.values())
      dueAt = Math.min(dueAt ?? Infinity, this.#due(one));
    return dueAt;
  }

  /**
   * The batches that write what is due by `until`, and remove what there is no room for. `first`
   * goes before them.
   */
  take(until: number, now: number, first: readonly DiskChange[]): DiskChange[][] {
    const batches = new Batches(first);
    for (const [hash, one] of [...this.#kept.changed]) {
      if (this.#due(one) > until) continue;
      this.#kept.changed.delete(hash);
      const { head, pieces } = written(one.answer, now) ?? {};
      if (!head || !pieces || head.bytes > this.#bounds.bytes / 2) {
        batches.add(this.#kept.drop(hash));
        continue;
      }
      this.#kept.heads.set(hash, head);
      this.#kept.savedAt.set(hash, now);
      const removed = { table: 'rows', range: piecesOf(hash) } as const;
      if (head.bytes <= BATCH_LENGTH) {
        batches.add([removed, ...pieces, headRow(hash, head)]);
        continue;
      }
      // Several batches: whoever starts in between must not take the parts for the whole.
      batches.add([headRow(hash, { ...head, pieces: -1 }), removed]);
      for (const piece of pieces) batches.add([piece]);
      batches.add([headRow(hash, head)]);
    }
    batches.add(this.#evict(this.#bounds));
    return batches.all;
  }

  /** Makes room: removes those not used for longer, down to half of them and of their bytes. */
  evictHalf(): DiskChange[] {
    const heads = [...this.#kept.heads.values()];
    const bytes = heads.reduce((sum, head) => sum + head.bytes, 0);
    return this.#evict({
      ...this.#bounds,
      answers: Math.floor(heads.length / 2),
      bytes: bytes / 2,
    });
  }

  /** A platform that grants little is not filled by answers alone. */
  get #bounds(): CacheLimits {
    const { quotaBytes } = this.#kept;
    if (quotaBytes === null) return this.#limits;
    return { ...this.#limits, bytes: Math.min(this.#limits.bytes, quotaBytes / 10) };
  }

  #due({ answer: { hash }, firstAt, lastAt }: Changed): number {
    const quietAt = Math.min(lastAt + QUIET_MS, firstAt + LATE_MS);
    const savedAt = this.#kept.savedAt.get(hash);
    if (savedAt === undefined) return quietAt;
    return Math.max(quietAt, savedAt + (this.#kept.heads.get(hash)?.bytes ?? 0) / BYTES_PER_MS);
  }

  #evict(limits: CacheLimits): DiskChange[] {
    const byUse = [...this.#kept.heads].sort(([, one], [, other]) => one.usedAt - other.usedAt);
    let answers = byUse.length;
    let entities = byUse.reduce((sum, [, head]) => sum + head.entities, 0);
    let bytes = byUse.reduce((sum, [, head]) => sum + head.bytes, 0);
    const gone: DiskChange[] = [];
    for (const [hash, head] of byUse) {
      if (answers <= limits.answers && entities <= limits.entities && bytes <= limits.bytes) break;
      answers -= 1;
      entities -= head.entities;
      bytes -= head.bytes;
      gone.push(...this.#kept.drop(hash));
    }
    return gone;
  }
}

/** Changes in batches of a size, in order. What is added at once stays in one. */
class Batches {
  readonly all: DiskChange[][];
  #length = 0;

  constructor(first: readonly DiskChange[]) {
    this.all = first.length > 0 ? [[...first]] : [];
  }

  add(changes: readonly DiskChange[]): void {
    if (changes.length === 0) return;
    const length = changes.reduce((sum, change) => sum + lengthOf(change), 0);
    if (this.all.length === 0 || (this.#length > 0 && this.#length + length > BATCH_LENGTH)) {
      this.all.push([]);
      this.#length = 0;
    }
    this.all.at(-1)!.push(...changes);
    this.#length += length;
  }
}

function lengthOf(change: DiskChange): number {
  return 'value' in change ? (change.value?.length ?? 0) : 0;
}
