/**
 * All of it is one file because one batch is under way at a time, whatever it is of.
 */
import {
  type Disk,
  type DiskChange,
  DiskError,
  type DiskGuard,
  OPEN_MS_MAX,
  type DiskRange,
  type DiskRow,
  type DiskTable,
  type StorageStatus,
} from '../client/disk.ts';
import type { Environment } from '../client/environment.ts';
import type { Source } from '../files/source.ts';
import type { Entry } from '../pending/entry.ts';
import type { Queue } from '../pending/queue.ts';
import type { WireAttr } from '../schema/attr.ts';
import type { Answer } from '../store/answer.ts';
import type { CodeDoor } from '../store/later-code.ts';
import type { Store } from '../store/store.ts';
import type { Trace } from '../trace/trace.ts';
import { isObject } from '../values/json.ts';
import { piecesOf, triplesOf } from './answers.ts';
import type { Cache } from './cache.ts';
import { entryOf, isGivenUp, isHalf, isKept } from './entries.ts';
import { Kept } from './kept.ts';
import type { KeptFiles } from './kept-files.ts';
import { GIVEN, partsRemoval } from './part-keys.ts';
import { type Batch, batchesOf, PendingRows } from './pending-rows.ts';
import { sealed, unsealed } from './seal.ts';
import { within } from './within.ts';

/** The same of one read or write. */
export const WORK_MS_MAX = 10_000;

/**
 * For so long after the guard held no other tab writes: the first may do so after 5 s (J164).
 * source  spec/sdk.md J321
 */
const SURE_MS = 3_000;

/** A full disk is tried again after so long. */
const FULL_MS = 5_000;

/**
 * Rows of acknowledged writes follow the answers that contain them, after so long; where answers
 * keep changing, all are written at the latest after so long.
 */
const LAZY_MS = 250;
const LAZY_MS_MAX = 10_000;

export interface UserDiskOptions {
  readonly environment: Environment;
  readonly store: Store;
  readonly queue: Queue;
  readonly trace: Trace;
  /** What the session holds, to be kept beside the answers. */
  held(): { readonly catalog: string | undefined; readonly tx: number };
  /** Gives the session what an earlier start held. */
  restoreHeld(catalog: string | undefined, tx: number): void;
  /** Writes were saved, and may be sent. */
  saved(): void;
  /** Another tab writes now. */
  taken(): void;
  /** Answers were taken over from the disk. */
  restored(): void;
  statusChanged(): void;
  /** The bytes of an upload, if this page has them. */
  sourceOf(id: string): Source | undefined;
  /** Code that writes answers, and bytes of files. `look` is called when it is here. */
  readonly code: CodeDoor<{ readonly Cache: typeof Cache; readonly KeptFiles: typeof KeptFiles }>;
  open(): Promise<Disk>;
  /** Bytes that the platform grants, where it says; a tenth of them is used at most. */
  quotaBytes(): Promise<number | null>;
}

/**
 * One user's database: takes over what it holds, and keeps it equal to the queue and the answers.
 * One batch is under way at a time; what changes meanwhile shares the next.
 *
 * Invariant: a write is told to the queue as saved only after its row is on the disk as it is, or
 * after `status` says that no disk takes it.
 */
export class UserDisk {
  status: StorageStatus = 'ready';
  readonly #options: UserDiskOptions;
  readonly kept = new Kept();
  #cache: Cache | null = null;
  #files: KeptFiles | null = null;
  readonly pending = new PendingRows();
  #disk: Disk | null = null;
  /** Batches of answers that wait for their turn. */
  #backlog: Batch[] = [];
  /** Since when a row waits that is in no hurry. */
  #lazySince: number | null = null;
  keptAttrs: readonly WireAttr[] | null = null;
  keptHeld = '';
  #writing: Promise<void> | null = null;
  #isPaused = false;
  #isRebuilt = false;
  #isLeft = false;
  /** The page may end at any moment. */
  #isEnding = false;
  #cancelTimer: () => void = () => {};
  /** Nothing is written unless it holds: then another tab writes. */
  guard: DiskGuard | undefined;
  /** When it held last. */
  certainAt = 0;

  constructor(options: UserDiskOptions, guard?: DiskGuard) {
    this.#options = options;
    this.guard = guard;
  }

  /** From now on nothing that others have under way is written. */
  guardBy(guard: DiskGuard): void {
    this.guard = guard;
    if (this.#disk) void this.#claim(this.#disk).catch(() => {});
  }

  /** Finds out whether the guard holds: `saved` is called then. */
  ask(): void {
    // A batch of nothing is done only if it does.
    if (!this.#writing) this.#write({ changes: [], rows: [] });
  }

  /** Whether what is new is written now. */
  get isTaking(): boolean {
    return this.#disk !== null && !this.#isPaused;
  }

  /** Opens the database and takes it over; resolves also if that fails, which `status` says. */
  async load(): Promise<void> {
    const { queue } = this.#options;
    queue.isDurable = true;
    const opening = this.#options.open();
    try {
      await this.#adopt(await this.#within(OPEN_MS_MAX, opening));
    } catch {
      this.#goOn('memory');
      // It may come late: it is taken over then, with what was written meanwhile on top.
      opening.then((disk) => this.#adopt(disk)).catch(() => {});
    }
  }

  /** Writes what is new: at once what is urgent, the rest when it is due. */
  look(): void {
    const { code, queue } = this.#options;
    if (code.part) this.#cache ??= new code.part.Cache(this.kept);
    if (code.part) this.#files ??= this.#filesOf(code.part);
    this.pending.note(queue.entries);
    if (this.#isLeft || this.#writing) return;
    const { differing, same } = this.pending.compare(queue.savable);
    if (same.length > 0) queue.saved(same);
    this.#files?.release();
    if (this.#disk === null) return;
    if (this.#isPaused) return queue.savedNowhere();
    const [urgent] = batchesOf(differing.filter(({ isUrgent }) => isUrgent));
    const parts = urgent ? undefined : this.#files?.next();
    const batch = urgent ?? parts ?? this.#backlog.shift();
    if (batch) this.#write(batch, parts?.done);
    else this.#schedule(differing.length > 0);
    this.#files?.keep();
  }

  /** Rows as they are on the disk. Rejects where it cannot be read. */
  async rows(table: DiskTable, range: DiskRange): Promise<readonly DiskRow[]> {
    if (this.#disk === null) throw new DiskError('lost');
    return this.#within(WORK_MS_MAX, this.#disk.read(table, range));
  }

  /** Reads what is kept of a query into the store; null: nothing is. */
  restore(hash: string): Promise<void> | null {
    return this.#disk && this.kept.heads.get(hash) ? this.#restore(this.#disk, hash) : null;
  }

  landed(answer: Answer): void {
    // What a page brought may be another user's: it is kept once the session has told it.
    if (this.#disk === null || answer.isHydrated) return;
    this.kept.note(answer, this.#options.environment.now());
    this.#options.code.need();
  }

  /**
   * The server's data was put back: transaction ids of before mean nothing, so what is kept goes.
   * Answers that are watched are asked for, and kept again.
   */
  reset(): void {
    if (this.#disk === null) return;
    this.kept.clear();
    this.#backlog = [{ changes: NO_CACHES, rows: [] }];
    [this.keptAttrs, this.keptHeld] = [null, ''];
  }

  /** Writes everything that waits now, as the page may end. */
  async flush(): Promise<void> {
    this.#takeAnswers(Infinity);
    this.#isEnding = true;
    do {
      this.look();
      await this.#writing;
    } while (
      !this.#isLeft &&
      this.#disk &&
      !this.#isPaused &&
      (this.#writing || this.#backlog.length > 0)
    );
    this.#isEnding = false;
  }

  /** A page that ends does not hear what the guard is: then what is sure must do. */
  get #guardNow(): DiskGuard | undefined {
    const isSure = this.#options.environment.now() - this.certainAt < SURE_MS;
    return this.#isEnding && isSure ? undefined : this.guard;
  }

  /**
   * Ends it. What waits is taken from the queue before this returns, and written before it
   * resolves.
   *
   * how  keep: all of it stays; end: pending writes stay; wipe: nothing does
   */
  async leave(how: 'keep' | 'end' | 'wipe'): Promise<void> {
    const { queue } = this.#options;
    const disk = this.#disk;
    this.#isLeft = true;
    this.#cancelTimer();
    this.#files?.drop();
    if (disk === null) return;
    if (how !== 'wipe') this.#takeAnswers(Infinity);
    const rows = this.pending.compare(queue.savable).differing;
    const last = batchesOf(rows.filter(({ isUrgent }) => isUrgent));
    if (how === 'keep') last.push(...this.#backlog);
    if (how === 'end') last.push(...batchesOf(rows), { changes: NO_CACHES, rows: [] });
    try {
      await this.#writing;
      if (how === 'wipe') return await this.#within(OPEN_MS_MAX, disk.wipe());
      for (const { changes } of last)
        await this.#within(WORK_MS_MAX, disk.write(changes, true, this.guard));
      disk.close();
    } catch {
      // Whoever opens it next finds what was written before.
    }
  }

  // --- taking over ------------------------------------------------------------------------------

  async #adopt(disk: Disk): Promise<void> {
    if (this.#isLeft) return disk.close();
    try {
      await this.#read(disk);
    } catch (error) {
      if (DiskError.of(error).reason !== 'broken') throw error;
      await this.#rebuild(disk);
    }
    if (this.#isLeft) return;
    const { queue, store } = this.#options;
    queue.isDurable = true;
    this.#options.quotaBytes().then(
      (bytes) => {
        this.kept.quotaBytes = bytes;
      },
      () => {},
    );
    for (const answer of store.answers) if (answer.tx !== null) this.landed(answer);
    const hashes = [...store.answers].map(({ hash }) => hash);
    await Promise.all(hashes.map((hash) => this.restore(hash)));
    this.look();
  }

  async #read(disk: Disk): Promise<void> {
    const { environment, queue, store } = this.#options;
    const now = environment.now();
    const [, meta, heads, pending] = await this.#within(
      WORK_MS_MAX,
      Promise.all([
        this.#claim(disk),
        ...[disk.read('meta'), disk.read('answers'), disk.read('pending')],
      ] as const),
    );
    if (this.#isLeft) return disk.close();
    const known = new Map(meta.map(([key, text]) => [key, unsealed(text)]));
    const held = known.get('held');
    const attrs = known.get('attrs');
    const { tx, catalog } = isObject(held) ? held : {};
    // Without the catalog nothing tells what the triples of answers mean.
    const gone = this.kept.load(Array.isArray(attrs) ? heads : [], now);
    if (!Array.isArray(attrs) && heads.length > 0) gone.push(...NO_CACHES);
    if (gone.length > 0) this.#backlog.push({ changes: gone, rows: [] });
    if (this.status === 'memory') this.#setStatus('ready');
    const entries: Entry[] = [];
    const rows = pending.map(([key, text]) => ({ key, text, entry: entryOf(text) }));
    const isWhole = (entry?: Entry) => entry && isKept(entry, now) && !isHalf(entry);
    const whole = new Set(rows.map(({ entry }) => isWhole(entry) && entry!.id));
    for (const { key, text, entry } of rows) {
      const isGiven = key.startsWith(GIVEN);
      if (entry === undefined) this.#setStatus('reset');
      if (entry && isHalf(entry) && !isGivenUp(entry, now)) continue;
      // Whoever wrote before may have had it from the tab whose file it is.
      const isTwice = isGiven && entries.some(({ id }) => id === entry?.id);
      if (isWhole(entry) && !isTwice) {
        const seq = (entries.at(-1)?.seq ?? 0) + 1;
        this.pending.load(entry!, key, text);
        entries.push(isGiven ? { ...entry!, seq } : entry!);
        continue;
      }
      const changes: DiskChange[] = [{ table: 'pending', key, value: null }];
      if (entry?.upload && !whole.has(entry.id)) changes.push(partsRemoval(entry.id));
      if (entry?.state === 'rejected') queue.forgotten(entry);
      this.#backlog.push({ changes, rows: [] });
    }
    this.#disk = disk;
    const keptTx = typeof tx === 'number' ? tx : 0;
    // While a session is open the server was faster than the disk, and to a tab that followed its
    // leader; so may the page have been.
    const isNewer = queue.liveTx === null && !queue.owner && keptTx >= this.#options.held().tx;
    if (Array.isArray(attrs) && isNewer) {
      const name = typeof catalog === 'string' ? catalog : undefined;
      const isSame = name !== undefined && name === this.#options.held().catalog;
      if (!isSame) store.setCatalog(attrs as WireAttr[]);
      this.keptAttrs = store.wireAttrs;
      this.#options.restoreHeld(name, keptTx);
    }
    if (queue.owner) queue.owner.restore(entries);
    else if (entries.length > 0) queue.restore(entries);
  }

  /** From now on nothing that the writer of before has under way is written. */
  async #claim(disk: Disk): Promise<void> {
    if (this.guard) await disk.write([{ table: 'meta', ...this.guard }], false);
    this.certainAt = this.#options.environment.now();
  }

  async #restore(disk: Disk, hash: string): Promise<void> {
    const { environment, store } = this.#options;
    const head = this.kept.heads.get(hash)!;
    try {
      const rows = await this.#within(WORK_MS_MAX, disk.read('rows', piecesOf(hash)));
      if (this.#isLeft || this.kept.heads.get(hash) !== head) return;
      const triples = triplesOf(head, rows);
      // What is not whole is asked anew; a batch that is under way may just be replacing it.
      if (triples === undefined && this.#backlog.length === 0 && !this.#writing)
        this.#backlog.push({ changes: this.kept.drop(hash), rows: [] });
      if (triples) {
        store.restore(hash, { ...head, triples });
        const changes = this.kept.use(hash, environment.now());
        this.#backlog.push({ changes, rows: [] });
        this.#options.restored();
      }
      this.look();
    } catch {
      // The server will say.
    }
  }

  // --- writing ----------------------------------------------------------------------------------

  /** done  is told whether it was written */
  #write(batch: Batch, done: (isWritten: boolean) => void = () => {}): void {
    const { trace } = this.#options;
    const start = trace.now?.();
    this.#writing = this.#try(batch).then(
      () => {
        this.#writing = null;
        done(true);
        trace.say?.('store', batch.changes, start, null);
        if (this.#isLeft) return;
        if (!this.#isEnding) this.certainAt = this.#options.environment.now();
        if (this.status === 'full' && batch.changes.length > 0) this.#setStatus('ready');
        this.pending.written(batch.rows);
        this.#options.queue.saved(batch.rows.flatMap(({ row }) => row?.entry ?? []));
        this.#options.saved();
        this.look();
      },
      (error: unknown) => {
        this.#writing = null;
        done(false);
        const failure = DiskError.of(error);
        trace.say?.('store', batch.changes, start, failure.reason);
        if (!this.#isLeft) this.#failed(failure);
      },
    );
  }

  /** A full disk gets room once; a broken one is made anew once. */
  async #try({ changes, rows }: Batch): Promise<void> {
    const disk = this.#disk!;
    const write = (batch: readonly DiskChange[]) =>
      this.#within(WORK_MS_MAX, disk.write(batch, rows.length > 0, this.#guardNow));
    try {
      await write(changes);
    } catch (error) {
      const { reason } = DiskError.of(error);
      if (reason === 'full') {
        // By itself: some disks keep what a batch takes away until all of the batch is done.
        const gone = this.#cache?.evictHalf() ?? [];
        if (gone.length > 0) await write(gone);
        return await write(changes);
      }
      if (reason === 'lost' || reason === 'taken' || this.#isLeft) throw error;
      if (this.#isRebuilt) throw new DiskError('lost', error);
      await this.#rebuild(disk);
      throw error;
    }
  }

  #failed({ reason }: DiskError): void {
    this.#files?.drop();
    if (reason === 'taken') {
      this.#isLeft = true;
      return this.#options.taken();
    }
    this.#backlog = [];
    [this.keptAttrs, this.keptHeld] = [null, ''];
    // It was made anew, and every write is put again, as no row is known.
    if (reason === 'broken') return this.look();
    if (reason === 'lost') return this.#goOn('memory');
    this.#isPaused = true;
    this.#goOn('full');
    this.#cancelTimer();
    this.#cancelTimer = this.#options.environment.timer(FULL_MS, () => {
      this.#isPaused = false;
      this.look();
    });
  }

  /** What the database held is gone; a new one takes what is in memory. */
  async #rebuild(broken: Disk): Promise<void> {
    await this.#within(OPEN_MS_MAX, broken.wipe()).catch(() => {});
    const disk = await this.#within(OPEN_MS_MAX, this.#options.open());
    if (this.#isLeft) return disk.close();
    await this.#claim(disk);
    this.#isRebuilt = true;
    this.kept.clear();
    this.pending.clear();
    this.#backlog = [];
    this.#disk = disk;
    for (const answer of this.#options.store.answers) this.landed(answer);
    this.#setStatus('reset');
    this.#files?.lose();
  }

  #filesOf(code: { readonly KeptFiles: typeof KeptFiles }): KeptFiles {
    const { environment } = this.#options;
    return new code.KeptFiles({
      ...this.#options,
      now: () => environment.now(),
      isOn: () => this.#disk !== null && !this.#isLeft,
      isLeft: () => this.#isLeft,
      look: () => this.look(),
      remove: (_id, change) => void this.#backlog.push({ changes: [change], rows: [] }),
    });
  }

  /** Writes go on without the disk. */
  #goOn(status: 'memory' | 'full'): void {
    const { queue } = this.#options;
    if (status === 'memory') {
      this.#disk?.close();
      this.#disk = null;
      queue.isDurable = false;
    }
    this.#setStatus(status);
    queue.savedNowhere();
    this.#options.saved();
  }

  #schedule(hasLazyRows: boolean): void {
    this.#cancelTimer();
    const { environment } = this.#options;
    const now = environment.now();
    this.#lazySince = hasLazyRows ? (this.#lazySince ?? now) : null;
    const lazyMs = this.kept.isClean ? LAZY_MS : LAZY_MS_MAX;
    const isWaiting = this.#lazySince !== null && (this.#cache !== null || this.kept.isClean);
    const lazyAt = isWaiting ? this.#lazySince! + lazyMs : Infinity;
    const at = Math.min(this.#cache?.dueAt ?? Infinity, lazyAt);
    if (at === Infinity) return;
    this.#cancelTimer = environment.timer(Math.max(0, at - now), () => {
      this.#takeAnswers(lazyAt <= environment.now() ? Infinity : environment.now());
      this.look();
    });
  }

  /** Puts answers that are due into the backlog, and behind them rows that are in no hurry. */
  #takeAnswers(until: number): void {
    if (this.#disk === null || this.#isPaused) return;
    const { environment, queue } = this.#options;
    const batches = this.#cache?.take(until, environment.now(), this.#metaChanges()) ?? [];
    this.#backlog.push(...batches.map((changes) => ({ changes, rows: [] })));
    if (!this.kept.isClean) return;
    const { differing } = this.pending.compare(queue.savable);
    this.#backlog.push(...batchesOf(differing.filter(({ isUrgent }) => !isUrgent)));
    this.#lazySince = null;
  }

  #metaChanges(): DiskChange[] {
    const { wireAttrs, hasCatalog } = this.#options.store;
    const changes: DiskChange[] = [];
    if (hasCatalog && wireAttrs !== this.keptAttrs)
      changes.push({ table: 'meta', key: 'attrs', value: sealed(wireAttrs) });
    const held = sealed(this.#options.held());
    if (held !== this.keptHeld) changes.push({ table: 'meta', key: 'held', value: held });
    [this.keptAttrs, this.keptHeld] = [wireAttrs, held];
    return changes;
  }

  #setStatus(status: StorageStatus): void {
    if (this.status === status) return;
    this.status = status;
    this.#options.statusChanged();
  }

  #within<T>(ms: number, work: Promise<T>): Promise<T> {
    return within(this.#options.environment, ms, work);
  }
}

const ALL = { from: '', before: '\uffff' };

/** Removes all answers, and the catalog by which they are read. */
const NO_CACHES: readonly DiskChange[] = [
  { table: 'meta', key: 'attrs', value: null },
  { table: 'meta', key: 'held', value: null },
  { table: 'answers', range: ALL },
  { table: 'rows', range: ALL },
];
