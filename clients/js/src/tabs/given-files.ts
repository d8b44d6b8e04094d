import { entryOf, isHalf } from '../persistence/entries.ts';
import { GIVEN } from '../persistence/part-keys.ts';
import { isUnfinished } from '../pending/uploads.ts';
import type { FromLeader } from './messages.ts';
import type { TabParts } from './parts.ts';

/** By then every tab that lives has told the leader of its files. */
const FIND_MS = 10_000;

/** Files of all tabs, as the leader has them: it sends them, and tells how far they are. */
export class GivenFiles {
  readonly #parts: TabParts;
  readonly #tell: (message: FromLeader) => void;
  /** What ends the watch of an upload, by its id. */
  readonly #watched = new Map<string, () => void>();
  readonly #cancelFind: () => void;

  /** tell  tells all followers */
  constructor(parts: TabParts, tell: (message: FromLeader) => void) {
    this.#parts = parts;
    this.#tell = tell;
    this.#cancelFind = parts.environment.timer(FIND_MS, () => void this.find());
  }

  stop(): void {
    this.#cancelFind();
    for (const stop of this.#watched.values()) stop();
    this.#watched.clear();
  }

  /** The queue changed: uploads that are new are watched, and those that are over no more. */
  watch(): void {
    const { queue, uploads } = this.#parts;
    for (const [id, stop] of this.#watched) {
      if (queue.get(id)) continue;
      stop();
      this.#watched.delete(id);
    }
    for (const entry of queue.entries) {
      const { id } = entry;
      const upload = isUnfinished(entry) ? uploads.find(id) : undefined;
      if (!upload || this.#watched.has(id)) continue;
      const stop = upload.subscribe(() => {
        const { state, progress } = upload;
        if (state !== 'queued' && state !== 'sending') return;
        this.#tell({ op: 'progress', id, state, sentBytes: progress.sentBytes });
      });
      this.#watched.set(id, stop);
    }
  }

  /** Takes over files of which only the disk knows: the tab that kept one died before it told. */
  async find(): Promise<void> {
    const { dropped, persistence, queue } = this.#parts;
    const { writer } = persistence;
    if (!writer?.isTaking) return;
    const before = new Set(queue.entries.map(({ id }) => id));
    try {
      const rows = await writer.rows('pending', { from: GIVEN, before: `${GIVEN}\uffff` });
      for (const [key, text] of rows) {
        const id = key.slice(GIVEN.length);
        const entry = entryOf(text);
        // What is known, or was when this was asked, is on its way out.
        const isKnown =
          before.has(id) || queue.get(id) !== undefined || writer.pending.rows.has(id);
        if (!entry?.upload || isHalf(entry) || isKnown || dropped.has(id)) continue;
        if (persistence.writer !== writer) return;
        queue.addUpload(id, entry.upload, { isKeeping: true, now: entry.createdAt });
      }
    } catch {
      // The next leader finds them.
    }
  }
}
