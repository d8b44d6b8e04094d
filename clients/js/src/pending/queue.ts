/**
 * The writes of this client that the server has not told yet, in order.
 *
 *     saving ──saved──> queued ──sent──> sent ──ok(tx)──> acked ──told──> gone
 *        ^                 ^               │
 *        │            no disk here    final error
 *        └──retry, edit────┴───────────────┴──> rejected ──drop──> gone
 *     sent ──connection lost──> queued, again first, with the same id
 *     queued ──the server remembers no longer whether it came──> uncertain ──retry, drop
 *
 * Where there is a disk, a write is `saving` until it is on it: it is not sent before that.
 *
 * Uploads stand among the writes, and never are `sent`: the uploader carries them from `queued` to
 * `acked`. What names the file of one waits for it in its place, and all behind that.
 */
import type { LocalCode } from '../client/local.ts';
import type { WireAttr } from '../schema/attr.ts';
import { failure, type TriceError } from '../errors.ts';
import { local } from '../values/here.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';
import type { Operation } from './builder.ts';
import {
  type Entry,
  type EntryCall,
  type EntryUpload,
  newEntry,
  type Outcome,
  type Waiter,
} from './entry.ts';
import { checkRoom, checkTransaction } from './limits.ts';
import type * as Merging from './merge.ts';
import { savable } from './savable.ts';
import { fileOperations, needsOf } from './uploads.ts';
import { tellEach } from '../values/tell.ts';

/** The server remembers the ids of so many transactions (T110). */
export const LOG_TRANSACTIONS = 200_000;

/** What somebody decided on a write. */
export type QueueWish =
  | { readonly op: 'retry' | 'drop' | 'pause' | 'resume'; readonly id: string }
  | {
      readonly op: 'edit';
      readonly id: string;
      readonly newId: string;
      readonly operations: readonly Operation[];
      readonly call: EntryCall | null;
    };

/** Who saves and sends the writes of a queue in its place. */
export interface QueueOwner {
  /** Does what somebody decided on a write; false: it is not the owner's. */
  takes(wish: QueueWish): boolean;
  /** Whether this client carries an entry itself all the same. */
  isOwn(entry: Entry): boolean;
  /** This client is to save and send again; `entries` are on its disk. */
  restore(entries: readonly Entry[]): void;
  /** Somebody else signs in: what nobody keeps is told as dropped. */
  release(): void;
}

/** Null: its code is not here, and each write stays by itself. */
let merging: Pick<typeof Merging, 'replaces' | 'both'> | null = null;

/** From now on a write takes the place of one before it that it makes needless. */
export function mergeBy(code: typeof merging): void {
  merging = code;
}

/** What sends and refuses writes, and decides on what was refused (`decide.ts`). */
function decisions(): LocalCode {
  if (local) return local;
  throw failure('part-missing');
}

export class Queue {
  /** Who saves and sends the writes instead, as in a tab that follows another; null: nobody. */
  owner: QueueOwner | null = null;
  /** Whether writes are saved before they are sent. */
  isDurable = false;
  /** The last transaction known while a session is open; null: none is. */
  liveTx: number | null = null;
  /** The last place that was given. */
  seq = 0;
  /** Who waits for what becomes of an entry, by its id. */
  readonly waiters = new Map<string, Waiter>();
  #entries: readonly Entry[] = [];
  readonly #onChange: () => void;
  readonly #observers = new Set<() => void>();
  /** Who is told of rejected writes that are kept no longer. */
  readonly #onForget = new Set<(entry: Entry) => void>();

  /** onChange  called after each change, before it returns to the caller */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** All entries in order, rejected ones included. A new array after each change. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Entries whose writes are shown. */
  get shown(): readonly Entry[] {
    return this.#entries.filter(({ state }) => state !== 'rejected' && state !== 'uncertain');
  }

  /** Entries that the server has not taken, and may take yet. */
  get waiting(): readonly Entry[] {
    return this.shown.filter(({ state }) => state !== 'acked');
  }

  /** Calls `tell` after each change. Returns what ends it. */
  observe(tell: () => void): () => void {
    this.#observers.add(tell);
    return () => this.#observers.delete(tell);
  }

  get(id: string): Entry | undefined {
    return this.#entries.find((entry) => entry.id === id);
  }

  /** Entries that may be written to the disk now: after the bytes of the files that they name. */
  get savable(): readonly Entry[] {
    return savable(this.#entries);
  }

  /** Calls `tell` with each rejected write that is kept no longer. Returns what ends it. */
  onForget(tell: (entry: Entry) => void): () => void {
    this.#onForget.add(tell);
    return () => this.#onForget.delete(tell);
  }

  /**
   * Adds a write at the end, or in the place of the last one if it does the same and more. Without
   * a waiter it is another tab's.
   */
  add(
    id: string,
    operations: readonly Operation[],
    options: {
      label?: string | undefined;
      /** The mutation to call, which is expected to do the operations. */
      call?: EntryCall | null;
      now: number;
    } & Partial<Waiter>,
  ): void {
    const { call = null } = options;
    const json = JSON.stringify(call ? [operations, call] : operations);
    const bytes = utf8Bytes(json);
    if (!call) checkTransaction(operations, bytes);
    checkRoom(this.waiting, bytes);
    const needs = needsOf(json, this.#entries);
    const last = this.#entries.at(-1);
    // Only of writes that were made here somebody here is told.
    const before = this.waiters.get(last?.id ?? '');
    // Another page may have read from the disk what this one would replace, and send it later.
    const isReplacing =
      !this.isDurable &&
      needs.length === 0 &&
      !call &&
      before !== undefined &&
      isWaiter(options) &&
      merging?.replaces(last, operations, options.label) === true;
    if (isReplacing) this.waiters.delete(last!.id);
    if (isWaiter(options))
      this.waiters.set(id, isReplacing ? merging!.both(before, options) : options);
    const entry = {
      ...this.#made(id, options.now),
      operations,
      call,
      bytes,
      needs,
      label: options.label,
    };
    this.set([...(isReplacing ? this.#entries.slice(0, -1) : this.#entries), entry]);
    if (!this.isDurable) this.waiters.get(id)?.saved(false);
  }

  /**
   * Adds an upload at the end.
   *
   * isKeeping  its bytes are to survive the page: it waits until they are on the disk
   */
  addUpload(
    id: string,
    upload: EntryUpload,
    options: { isKeeping: boolean; now: number } & Partial<Waiter>,
  ): void {
    checkRoom(this.waiting, 0);
    if (isWaiter(options)) this.waiters.set(id, options);
    const isSaving = options.isKeeping && this.isDurable;
    const entry: Entry = {
      ...this.#made(id, options.now),
      operations: fileOperations(upload, null),
      upload,
      state: isSaving ? 'saving' : 'queued',
    };
    this.set([...this.#entries, entry]);
    if (!isSaving) options.saved?.(false);
  }

  /** Waits for an upload of an earlier start. */
  watch(id: string, waiter: Waiter): void {
    this.waiters.set(id, waiter);
  }

  /** Puts writes of an earlier start before those that were made since this one. */
  restore(entries: readonly Entry[]): void {
    const known = new Set(entries.map(({ id }) => id));
    const added = this.#entries.filter(({ id }) => !known.has(id));
    this.seq = entries.reduce((most, { seq }) => Math.max(most, seq), this.seq - added.length);
    const needs = ({ operations, call }: Entry) =>
      needsOf(JSON.stringify(call ? [operations, call] : operations), entries);
    this.set([
      ...entries,
      ...added.map((entry) => ({
        ...entry,
        seq: ++this.seq,
        needs: [...needs(entry), ...entry.needs],
      })),
    ]);
  }

  /**
   * These entries, as they are, are on the disk. They may be sent, and refusals be told: a write
   * that is told as refused must not go out again after a reload. An upload waits for its bytes.
   */
  saved(entries: Iterable<Entry>): void {
    this.#saved(entries, true, ({ upload }) => upload === null || upload.isKept);
  }

  /** No disk takes what waits: it may be sent, and does not survive the page. */
  savedNowhere(entries: readonly Entry[] = this.#entries): void {
    this.#saved(entries, false, () => true);
  }

  #saved(entries: Iterable<Entry>, survive: boolean, mayGo: (entry: Entry) => boolean): void {
    const saved = new Set(entries);
    for (const entry of this.#entries) if (saved.has(entry)) this.tellRefused(entry);
    const isSaving = (entry: Entry) => entry.state === 'saving' && saved.has(entry) && mayGo(entry);
    const ids = this.#entries.filter(isSaving).map(({ id }) => id);
    if (ids.length === 0) return;
    this.#update((entry) => (isSaving(entry) ? { ...entry, state: 'queued' } : entry));
    for (const id of ids) this.waiters.get(id)?.saved(survive);
  }

  /**
   * A session is open, and the writes that wait are about to be sent: that is kept first.
   *
   * tx  the server's last transaction. What was sent longer ago than it remembers is not sent
   *     again: it may have been applied.
   */
  opened(tx: number, now: number): void {
    this.liveTx = tx;
    if (this.owner) return;
    const isOld = ({ sentAfter }: Entry) => sentAfter !== null && tx - sentAfter > LOG_TRANSACTIONS;
    this.#update((entry) => {
      if (entry.state !== 'queued' && entry.state !== 'saving') return entry;
      // An upload is asked for by its place, and stored under its path once more at most.
      if (entry.upload) return entry;
      if (isOld(entry)) return { ...entry, state: 'uncertain', refusedAt: now };
      // A higher one is of data that was put back since.
      if (entry.sentAfter !== null && entry.sentAfter <= tx) return entry;
      return { ...entry, sentAfter: tx, state: this.first };
    });
  }

  /** Keeps the attrs that a compilation invented, without telling: nothing else changed. */
  keepInvented(id: string, invented: readonly WireAttr[]): void {
    const change = (entry: Entry): Entry => {
      if (isSameAttrs(entry.invented, invented)) return entry;
      return { ...entry, invented, state: entry.state === 'queued' ? this.first : entry.state };
    };
    this.#entries = this.#entries.map((entry) => (entry.id === id ? change(entry) : entry));
  }

  /**
   * Entries to send now, in order: as many as may be on the way, and none before those that are
   * being saved, or wait for an upload.
   */
  sendable(): readonly Entry[] {
    return decisions().sendable(this.#entries);
  }

  sent(ids: readonly string[]): void {
    this.#update((entry) =>
      ids.includes(entry.id) ? { ...entry, state: 'sent', wasSent: true } : entry,
    );
  }

  /** The connection is gone: what was sent is sent again first. */
  connectionLost(): void {
    if (!this.#entries.some(({ state }) => state === 'sent')) return;
    this.#update((entry) => (entry.state === 'sent' ? { ...entry, state: 'queued' } : entry));
  }

  /** tx  null: a mutation wrote nothing. value  what it returned */
  acked(id: string, tx: number | null, now: number, value?: unknown): void {
    this.#update((entry) =>
      entry.id === id && entry.state !== 'acked'
        ? { ...entry, state: 'acked', tx, ackedAt: now, value }
        : entry,
    );
    this.#settle(id, { status: 'synced', eventId: id, tx });
  }

  /**
   * The server refuses it for good. It is shown no longer, and kept for the app to decide. What
   * names the file of an upload is refused with it.
   */
  rejected(id: string, error: TriceError, now: number): void {
    decisions().reject(this, id, error, now);
  }

  /** Sends a rejected write again, as it was. See `decide.ts`. */
  retry(id: string): void {
    decisions().retry(this, id);
  }

  /** Sends other operations, or a call, in the place of what was rejected, under a new id. */
  edit(
    id: string,
    newId: string,
    operations: readonly Operation[],
    call: EntryCall | null = null,
  ): void {
    decisions().edit(this, id, newId, operations, call);
  }

  /** Forgets a rejected write, or one that was not sent yet. */
  drop(id: string, now: number): void {
    decisions().drop(this, id, now);
  }

  /** Takes back a write that could not be added whole. Nobody is told. */
  undo(id: string): void {
    this.waiters.delete(id);
    this.keep((one) => one.id !== id);
  }

  /** The data was put back to an older state: ids of transactions mean nothing any more (P74). */
  forgetAcked(): void {
    this.keep(({ state }) => state !== 'acked');
  }

  /** Forgets the other entries. Nobody is told. */
  keep(isKept: (entry: Entry) => boolean): void {
    this.set(this.#entries.filter(isKept));
  }

  // --- for `decide.ts` and `upload-changes.ts` ---------------------------------------------------

  /** Changes entries. first  the state of one that may go out, if nothing has to be done before */
  change(change: (entry: Entry, first: 'saving' | 'queued') => Entry): void {
    this.#update((entry) => change(entry, this.first));
  }

  /** Tells who waits for an entry what became of it. */
  tell(id: string, outcome: Outcome): void {
    this.#settle(id, outcome);
  }

  /** Forgets everything, as when the user signs out. Returns how many were not sent. */
  clear(): number {
    return this.#forget()({ status: 'rejected', error: failure('signed-out/write') });
  }

  /** Forgets everything, which the disk keeps for its user. Returns what tells who waits for it. */
  release(): () => void {
    this.owner?.release();
    const settle = this.#forget();
    this.owner = null;
    return () => void settle({ status: 'kept' });
  }

  #forget(): (outcome: Outcome) => number {
    const ids = this.waiting.map(({ id }) => id);
    const waiters = ids.flatMap((id) => this.waiters.get(id) ?? []);
    for (const entry of this.#entries) this.tellRefused(entry);
    for (const id of ids) this.waiters.delete(id);
    this.seq = 0;
    this.set([]);
    return (outcome) => {
      for (const { settle } of waiters) settle(outcome);
      return ids.length;
    };
  }

  #made(id: string, now: number): Entry {
    return newEntry(id, ++this.seq, now, { state: this.first, sentAfter: this.liveTx });
  }

  /** A rejected write is kept no longer. */
  forgotten(entry: Entry): void {
    for (const tell of [...this.#onForget]) tell(entry);
  }

  /** The state of a write that may go out, if nothing has to be done first. */
  get first(): 'saving' | 'queued' {
    return this.isDurable ? 'saving' : 'queued';
  }

  /** Tells who waits for it that it was refused, if it was. */
  tellRefused({ id, state, error }: Entry): void {
    if (state === 'rejected' && error) this.#settle(id, { status: 'rejected', error });
  }

  #update(change: (entry: Entry) => Entry): void {
    this.set(this.#entries.map(change));
  }

  /** Takes other entries in the place of all. */
  set(entries: readonly Entry[]): void {
    this.#entries = entries;
    this.#onChange();
    tellEach(this.#observers);
  }

  #settle(id: string, outcome: Outcome): void {
    const waiter = this.waiters.get(id);
    this.waiters.delete(id);
    waiter?.settle(outcome);
  }
}

function isWaiter(options: Partial<Waiter>): options is Waiter {
  return options.settle !== undefined;
}

function isSameAttrs(one: readonly WireAttr[], other: readonly WireAttr[]): boolean {
  return one.length === other.length && one.every(({ id }, place) => id === other[place]!.id);
}
