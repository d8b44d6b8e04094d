import {
  type Disk,
  type DiskChange,
  DiskError,
  OPEN_MS_MAX,
  type StorageStatus,
} from '../client/disk.ts';
import type { DiskRange, DiskRow, DiskTable } from '../client/disk.ts';
import type { OpenDisk, OpenOptions } from '../client/persistence.ts';
import type { Entry } from '../pending/entry.ts';
import { isUnkept } from '../pending/upload-changes.ts';
import type { WireAttr } from '../schema/attr.ts';
import { isObject } from '../values/json.ts';
import { piecesOf, triplesOf } from './answers.ts';
import { entryText } from './entries.ts';
import { Kept } from './kept.ts';
import { KeptFiles } from './kept-files.ts';
import { GIVEN } from './part-keys.ts';
import { unsealed } from './seal.ts';
import { WORK_MS_MAX } from './user-disk.ts';
import { within } from './within.ts';

/**
 * One user's database as a tab has it that follows another: it reads answers, and writes the bytes
 * of its own files, each with a row that whoever leads next finds. The leader writes the rest.
 */
export class FollowerDisk implements OpenDisk {
  status: StorageStatus = 'ready';
  readonly kept = new Kept();
  readonly #options: OpenOptions;
  readonly #files: KeptFiles;
  #disk: Disk | null = null;
  #isWriting = false;
  #isLeft = false;
  /** Takes away what was kept of files that are gone. */
  #removals: DiskChange[] = [];

  constructor(options: OpenOptions) {
    this.#options = options;
    this.#files = new KeptFiles({
      ...options,
      now: () => options.environment.now(),
      isOn: () => this.#disk !== null && !this.#isLeft,
      isLeft: () => this.#isLeft,
      look: () => this.look(),
      remove: (id, change) => void this.#removals.push(change, rowOf(id, null)),
      rowOf: (entry) => rowOf(entry.id, entry),
    });
  }

  async load(): Promise<void> {
    const opening = this.#options.open();
    try {
      await this.#adopt(await this.#within(OPEN_MS_MAX, opening));
    } catch {
      this.#setStatus('memory');
      opening.then((disk) => this.#adopt(disk)).catch(() => {});
    }
    this.look();
  }

  look(): void {
    if (this.#isLeft) return;
    const { queue } = this.#options;
    if (this.status === 'memory') {
      if (queue.entries.some(isUnkept)) queue.savedNowhere(queue.entries.filter(isUnkept));
      return;
    }
    if (this.#disk === null) return;
    const own = ({ id, upload, state }: Entry) =>
      upload?.isKept === true && state === 'saving' && queue.waiters.has(id);
    if (queue.entries.some(own)) queue.saved(queue.entries.filter(own));
    const removals = this.#removals.splice(0);
    if (removals.length > 0) this.#disk.write(removals, false).catch(() => {});
    if (!this.#isWriting) void this.#write();
    this.#files.keep();
  }

  async rows(table: DiskTable, range: DiskRange): Promise<readonly DiskRow[]> {
    if (this.#disk === null) throw new DiskError('lost');
    return this.#within(WORK_MS_MAX, this.#disk.read(table, range));
  }

  restore(hash: string): Promise<void> | null {
    return this.#disk && this.kept.heads.get(hash) ? this.#restore(hash) : null;
  }

  /** The leader keeps what the server says. */
  landed(): void {}

  reset(): void {}

  async flush(): Promise<void> {
    this.look();
  }

  async leave(how: 'keep' | 'end' | 'wipe'): Promise<void> {
    const disk = this.#disk;
    this.#isLeft = true;
    this.#files.drop();
    if (disk === null) return;
    if (how === 'wipe') await this.#within(OPEN_MS_MAX, disk.wipe()).catch(() => undefined);
    else disk.close();
  }

  async #adopt(disk: Disk): Promise<void> {
    const { environment, held, queue, restoreHeld, store } = this.#options;
    const [meta, heads] = await this.#within(
      WORK_MS_MAX,
      Promise.all([disk.read('meta'), disk.read('answers')]),
    );
    if (this.#isLeft) return disk.close();
    const known = new Map(meta.map(([key, text]) => [key, unsealed(text)]));
    const attrs = known.get('attrs');
    const said = known.get('held');
    const { tx, catalog } = isObject(said) ? said : {};
    // What cannot be read the leader mends.
    this.kept.load(Array.isArray(attrs) ? heads : [], environment.now());
    this.#disk = disk;
    this.#setStatus('ready');
    const keptTx = typeof tx === 'number' ? tx : 0;
    if (Array.isArray(attrs) && queue.liveTx === null && keptTx >= held().tx) {
      const name = typeof catalog === 'string' ? catalog : undefined;
      if (name === undefined || name !== held().catalog) store.setCatalog(attrs as WireAttr[]);
      restoreHeld(name, keptTx);
    }
    const hashes = [...store.answers].map(({ hash }) => hash);
    await Promise.all(hashes.map((hash) => this.restore(hash)));
    this.look();
  }

  async #restore(hash: string): Promise<void> {
    const { environment, restored, store } = this.#options;
    const head = this.kept.heads.get(hash)!;
    try {
      const triples = triplesOf(head, await this.rows('rows', piecesOf(hash)));
      if (this.#isLeft || triples === undefined) return;
      store.restore(hash, { ...head, triples });
      this.kept.use(hash, environment.now());
      restored();
    } catch {
      // The leader will say.
    }
  }

  /** Writes batches of files, one after another. One that fails is not tried again. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    for (let next; this.#disk && !this.#isLeft && (next = this.#files.next());) {
      const { changes, isStrict, done } = next;
      const writing = this.#within(WORK_MS_MAX, this.#disk.write(changes, isStrict === true));
      await writing.then(
        () => done(true),
        () => done(false),
      );
    }
    this.#isWriting = false;
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

/** Puts the row of a file that this tab keeps; null: takes it away. */
function rowOf(id: string, entry: Entry | null): DiskChange {
  return { table: 'pending', key: GIVEN + id, value: entry && entryText(entry) };
}
