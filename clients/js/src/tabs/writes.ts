import type { TriceError } from '../errors.ts';
import type { Entry } from '../pending/entry.ts';
import type { Queue } from '../pending/queue.ts';
import { isUnkept } from '../pending/upload-changes.ts';
import type { FollowedQueue } from './followed-queue.ts';
import type { LinkParts } from './link.ts';
import { entryFrom, type FromFollower, type WireEntry } from './messages.ts';

/**
 * Keeps a follower's queue equal to the leader's, with the writes made here that the leader does
 * not have yet at its end, and gives it those. A new leader is given anew what it does not have:
 * whatever was saved or sent before, the server applies an id once.
 *
 * A file is given once its bytes and its row are on the disk. One that no disk takes this tab sends
 * itself; a write that names it is given once it is stored, and those behind it after it.
 */
export class FollowerWrites {
  readonly #parts: LinkParts;
  readonly #queue: Queue;
  readonly #followed: FollowedQueue;
  readonly #dropped: ReadonlySet<string>;
  readonly #ask: (message: FromFollower) => void;
  readonly #stopObserving: () => void;
  /** Writes that the leader has. */
  #known = new Set<string>();
  /** Writes that were given to this leader. */
  #given = new Set<string>();
  #hasLeader = false;
  #isTaking = false;

  constructor(parts: LinkParts, ask: (message: FromFollower) => void) {
    const { queue, followed, dropped } = parts;
    this.#parts = parts;
    this.#queue = queue;
    this.#followed = followed;
    this.#dropped = dropped;
    this.#ask = ask;
    this.#stopObserving = queue.observe(() => this.#give());
  }

  stop(): void {
    this.#stopObserving();
  }

  /** A leader says which writes it has. */
  start(entries: readonly WireEntry[]): void {
    this.#hasLeader = true;
    this.#known = new Set();
    this.#given = new Set();
    this.take(entries, null);
    for (const id of this.#known) this.#pauseAgain(id);
  }

  /** There is no leader. */
  pause(): void {
    this.#hasLeader = false;
  }

  /** Gives the leader the writes that were made here, in order, each once. */
  #give(): void {
    const queue = this.#queue;
    const { persistence } = this.#parts;
    if (!persistence.isOn && queue.entries.some(isUnkept))
      return queue.savedNowhere(queue.entries.filter(isUnkept));
    if (!this.#hasLeader || this.#isTaking) return;
    for (const entry of queue.entries) {
      const { id, operations, call, label, createdAt, upload } = entry;
      if (this.#known.has(id) || this.#given.has(id) || !queue.waiters.has(id)) continue;
      const isOwn = this.#followed.isOwn(entry);
      if (isOwn && upload) continue;
      if (isOwn) return;
      this.#given.add(id);
      this.#ask({
        ...{ op: 'add', id, label, createdAt, upload },
        operations: upload ? [] : operations,
        call,
      });
      if (upload) this.#pauseAgain(id);
    }
  }

  /**
   * Takes over what the leader says of writes.
   *
   * gone  those that it has no longer; null: all that are not among `changed`
   */
  take(changed: readonly WireEntry[], gone: readonly string[] | null): void {
    const queue = this.#queue;
    const entries = new Map(queue.entries.map((entry) => [entry.id, entry]));
    for (const wire of changed) {
      const entry = entryFrom(wire, entries.get(wire.id));
      // An acknowledged write that all answers here contain was forgotten here.
      if (entry === undefined) continue;
      entries.set(entry.id, entry);
      this.#known.add(entry.id);
    }
    const told = gone && new Set(gone);
    for (const entry of [...entries.values()]) {
      const { id, state } = entry;
      const isGone = told ? told.has(id) : !this.#known.has(id);
      // What the server took stays until the answers here contain it.
      if (isGone && state === 'acked') continue;
      const isStaying = queue.waiters.has(id) || this.#followed.isOwn(entry);
      if (this.#dropped.has(id) || (isGone && (told || !isStaying))) entries.delete(id);
    }
    this.#isTaking = true;
    this.#followed.take(this.#ordered([...entries.values()]), this.#known);
    this.#isTaking = false;
    this.#give();
  }

  /** In the leader's order, and then those that it does not know. */
  #ordered(entries: readonly Entry[]): readonly Entry[] {
    const isKnown = ({ id, state }: Entry) => this.#known.has(id) || state === 'acked';
    const known = entries.filter(isKnown).sort((one, other) => one.seq - other.seq);
    const own = entries.filter((entry) => !isKnown(entry));
    return [...known, ...own.map(asOwn)];
  }

  /** A leader does not know what the app told another one. */
  #pauseAgain(id: string): void {
    if (this.#parts.uploads.find(id)?.state === 'paused')
      this.#ask({ op: 'wish', wish: { op: 'pause', id } });
  }

  refused(id: string, error: TriceError): void {
    const queue = this.#queue;
    const entry = queue.get(id);
    if (entry === undefined) return;
    const refused: Entry = { ...entry, state: 'rejected', error };
    const entries = queue.entries.map((one) => (one === entry ? refused : one));
    this.#followed.take(entries, this.#known);
    this.#followed.take(
      queue.entries.filter((one) => one !== refused),
      this.#known,
    );
  }
}

/** What the leader does not have is not saved yet, but for files that are on the disk. */
function asOwn(entry: Entry): Entry {
  const isDecided = entry.state === 'rejected' || entry.state === 'uncertain';
  return isDecided || entry.upload ? entry : { ...entry, state: 'saving' };
}
