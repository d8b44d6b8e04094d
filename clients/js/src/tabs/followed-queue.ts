import { failure } from '../errors.ts';
import type { Entry } from '../pending/entry.ts';
import type { Queue, QueueOwner, QueueWish } from '../pending/queue.ts';
import { needsOf } from '../pending/uploads.ts';

/**
 * The queue of a tab that does not send: entries are what the leader says, with those made here
 * that it does not know yet.
 *
 * A file that no disk takes is this tab's own: it goes up from its memory, and what names it is
 * given to the leader once that is stored.
 */
export class FollowedQueue implements QueueOwner {
  readonly #queue: Queue;
  readonly #ask: (wish: QueueWish) => void;
  /** Ids of the writes that the leader has. */
  #theirs: ReadonlySet<string> = new Set();

  /** ask  asks the leader to do something to a write */
  constructor(queue: Queue, ask: (wish: QueueWish) => void) {
    this.#queue = queue;
    this.#ask = ask;
  }

  takes(wish: QueueWish): boolean {
    const queue = this.#queue;
    const { op, id } = wish;
    const entry = queue.get(id);
    const isTaken = entry === undefined || !this.isOwn(entry);
    if (isTaken) this.#ask(wish);
    else if (op === 'edit') this.#await(wish.newId);
    else if (op === 'retry')
      for (const one of queue.entries)
        if (one.state === 'rejected' && one.causedBy === (entry.causedBy ?? id))
          this.#await(one.id);
    return isTaken;
  }

  isOwn(entry: Entry): boolean {
    const { id, upload, needs, causedBy } = entry;
    if (this.#theirs.has(id)) return false;
    if (upload) return !upload.isKept;
    if (needs.length === 0) return false;
    const found = this.#queue.entries.filter((one) => one.upload && needs.includes(one.id));
    const isRootGone = causedBy !== null && found.every((one) => one.id !== causedBy);
    return (
      isRootGone ||
      found.some((one) => one.state !== 'acked' && !this.#theirs.has(one.id) && !one.upload!.isKept)
    );
  }

  /**
   * Takes over what the leader says, and tells who waits here. What is gone was dropped.
   *
   * theirs  ids of those that the leader has
   */
  take(entries: readonly Entry[], theirs: ReadonlySet<string>): void {
    const queue = this.#queue;
    const before = queue.entries;
    const isSaving = new Set(before.flatMap(({ id, state }) => (state === 'saving' ? id : [])));
    queue.seq = entries.reduce((most, { seq }) => Math.max(most, seq), queue.seq);
    this.#theirs = theirs;
    queue.set(entries);
    for (const entry of entries) {
      const { id, state, upload } = entry;
      if (isSaving.has(id) && state !== 'saving')
        queue.waiters.get(id)?.saved(upload?.isKept ?? true);
      this.#tellOutcome(entry);
    }
    const present = new Set(entries.map(({ id }) => id));
    for (const { id } of before)
      if (!present.has(id)) queue.tell(id, { status: 'rejected', error: failure('dropped') });
  }

  /**
   * This tab leads now. What the one before had that is not on its disk any more has been told;
   * what was given to it goes out from here.
   */
  restore(entries: readonly Entry[]): void {
    const queue = this.#queue;
    const known = new Set(entries.map(({ id }) => id));
    const added = queue.entries.filter(
      (entry) =>
        !known.has(entry.id) &&
        (entry.state === 'acked' || queue.waiters.has(entry.id) || this.isOwn(entry)),
    );
    const needs = ({ operations, call }: Entry) =>
      needsOf(JSON.stringify(call ? [operations, call] : operations), entries);
    let seq = entries.reduce((most, entry) => Math.max(most, entry.seq), queue.seq - added.length);
    const first = queue.isDurable ? 'saving' : 'queued';
    queue.owner = null;
    const rest = added.map((entry): Entry => ({
      ...entry,
      seq: ++seq,
      state: entry.state === 'queued' || entry.state === 'sent' ? first : entry.state,
      // What the one before had on the disk is there no longer.
      upload: entry.upload && { ...entry.upload, isKept: false },
      needs: [...needs(entry), ...entry.needs],
    }));
    queue.seq = seq;
    queue.set([...entries, ...rest]);
    // Another tab may have carried on what is awaited here.
    for (const entry of entries) this.#tellOutcome(entry);
    if (!queue.isDurable) queue.savedNowhere();
  }

  release(): void {
    const queue = this.#queue;
    const error = failure('signed-out/write');
    for (const entry of queue.waiting)
      if (this.isOwn(entry)) queue.tell(entry.id, { status: 'rejected', error });
  }

  /** What the leader is to be given again counts as awaited: nobody else has it. */
  #await(id: string): void {
    this.#queue.watch(id, { saved: () => {}, settle: () => {} });
  }

  #tellOutcome({ id, state, tx, upload, error }: Entry): void {
    const queue = this.#queue;
    if (state === 'rejected' && error) queue.tell(id, { status: 'rejected', error });
    if (state !== 'acked') return;
    if (upload) queue.tell(id, { status: 'stored', fileId: upload.fileId });
    else queue.tell(id, { status: 'synced', eventId: id, tx: tx! });
  }
}

/** Whether a client carries an entry itself: all do but those that an owner takes. */
export function isOwn(queue: Queue, entry: Entry): boolean {
  return queue.owner === null || queue.owner.isOwn(entry);
}
