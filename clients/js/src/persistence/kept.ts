import type { DiskChange, DiskRow } from '../client/disk.ts';
import type { Answer } from '../store/answer.ts';
import { type Head, headOf, piecesOf } from './answers.ts';
import { sealed } from './seal.ts';

/** Answers that were not used for so long go. */
const UNUSED_MS_MAX = 90 * 24 * 3_600_000;

/** An answer that changed and is not written yet. */
export interface Changed {
  readonly answer: Answer;
  readonly firstAt: number;
  readonly lastAt: number;
}

/** Knows which answers a disk holds, and which changed since. It touches no disk itself. */
export class Kept {
  /** What the platform grants, where it says. */
  quotaBytes: number | null = null;
  /** The head of each answer on the disk, by hash. */
  readonly heads = new Map<string, Head>();
  /** When an answer was written last in this start. */
  readonly savedAt = new Map<string, number>();
  readonly changed = new Map<string, Changed>();

  /** Takes over what a disk holds. Returns what cannot be read, or is too old, to be removed. */
  load(rows: readonly DiskRow[], now: number): DiskChange[] {
    const gone: DiskChange[] = [];
    for (const [hash, text] of rows) {
      const head = headOf(text);
      if (head && now - head.usedAt < UNUSED_MS_MAX) this.heads.set(hash, head);
      else gone.push(...removal(hash));
    }
    return gone;
  }

  /** An answer is not what is written of it. */
  note(answer: Answer, now: number): void {
    const firstAt = this.changed.get(answer.hash)?.firstAt ?? now;
    this.changed.set(answer.hash, { answer, firstAt, lastAt: now });
  }

  /** Whether every answer is written as it is now. */
  get isClean(): boolean {
    return this.changed.size === 0;
  }

  /** An answer is used: it is among the last to go. Returns what says so on the disk. */
  use(hash: string, now: number): DiskChange[] {
    const head = this.heads.get(hash);
    if (head === undefined) return [];
    const used = { ...head, usedAt: now };
    this.heads.set(hash, used);
    return [headRow(hash, used)];
  }

  /** Removes an answer: its content is not what its head says, or there is no room for it. */
  drop(hash: string): DiskChange[] {
    this.savedAt.delete(hash);
    return this.heads.delete(hash) ? removal(hash) : [];
  }

  /** Forgets everything, and what waits too. The disk is another. */
  clear(): void {
    this.heads.clear();
    this.savedAt.clear();
    this.changed.clear();
  }
}

function removal(hash: string): DiskChange[] {
  return [
    { table: 'answers', key: hash, value: null },
    { table: 'rows', range: piecesOf(hash) },
  ];
}

export function headRow(hash: string, head: Head): DiskChange {
  return { table: 'answers', key: hash, value: sealed(head) };
}
