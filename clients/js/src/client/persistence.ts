import type { Kept } from '../persistence/kept.ts';
import type { UserDisk, UserDiskOptions } from '../persistence/user-disk.ts';
import type { Answer } from '../store/answer.ts';
import type { EndedOptions } from '../persistence/ended.ts';
import { fetchDiskCode, OPEN_MS_MAX } from './disk.ts';
import type { DiskGuard, DiskRange, DiskRow, Disks, DiskTable, StorageStatus } from './disk.ts';
import type { DiskCode } from './disk-code.ts';
import type { Environment } from './environment.ts';
import type { Later } from './later.ts';
import { Lazy } from './lazy.ts';

/** The version of what is on the disk. Another format is another database. */
const FORMAT = 1;

/** What `Persistence` needs: of UserDisk all that does not depend on the user. */
export type PersistenceOptions = Omit<UserDiskOptions, 'open' | 'quotaBytes' | 'code'> & {
  /** Null: nothing survives the page. */
  readonly disks: Disks | null;
  /** Names the app at its server; a database is named by it and the user. */
  readonly name: string;
  readonly code: Pick<Lazy<Later>, 'part' | 'need' | 'get'>;
};

/** What a database of one user needs. */
export type OpenOptions = UserDiskOptions;

/** The database of the current user, as a tab has it that writes to it, or one that reads it. */
export type OpenDisk = Pick<
  UserDisk,
  'status' | 'kept' | 'load' | 'look' | 'landed' | 'restore' | 'rows' | 'reset'
> &
  Pick<UserDisk, 'flush' | 'leave'>;

/** Keeps a database for each user of an app, and has that of the current one open. */
export class Persistence {
  readonly #options: PersistenceOptions;
  readonly #environment: Environment;
  readonly #code: Lazy<DiskCode>;
  #current: OpenDisk | null = null;
  /** The database as the tab has it that writes to it. */
  writer: UserDisk | null = null;
  /** Counts databases that were opened or left. */
  #turn = 0;
  /** It is not open in time: nothing survives the page until it is. */
  #isLate = false;
  #user: string | null = null;

  constructor(options: PersistenceOptions) {
    this.#options = options;
    this.#environment = options.environment;
    this.#code = new Lazy(options.environment, fetchDiskCode);
    // It is opened once it is known who is signed in.
    if (options.disks) this.#code.need();
    options.queue.isDurable = options.disks !== null;
  }

  get isOn(): boolean {
    return this.#options.disks !== null;
  }

  get status(): StorageStatus {
    if (this.#options.disks === null) return 'memory';
    return this.#current?.status ?? (this.#isLate ? 'memory' : 'ready');
  }

  /** What the current database holds of answers. */
  get kept(): Kept | undefined {
    return this.#current?.kept;
  }

  /**
   * Opens the database of a user, and takes over what it holds. Where its code does not come in
   * time that is done later, and what is written until then is not kept.
   *
   * make   how it is had; by default as one who writes
   * guard  see UserDisk
   */
  async open(
    user: string | null,
    guard?: DiskGuard,
    make?: (options: OpenOptions) => OpenDisk,
  ): Promise<void> {
    const { disks, queue } = this.#options;
    const turn = ++this.#turn;
    queue.isDurable = disks !== null;
    if (disks === null) return;
    this.#user = user;
    const options: OpenOptions = {
      ...this.#options,
      open: () => disks.open(this.#nameOf(user)),
      quotaBytes: () => disks.quotaBytes?.() ?? Promise.resolve(null),
    };
    await new Promise<void>((resolve) => {
      const late = () => {
        if (turn === this.#turn && this.#current === null) this.#goOn();
        resolve();
      };
      const cancel = this.#environment.timer(OPEN_MS_MAX, late);
      this.#code.call(({ UserDisk }) => {
        cancel();
        if (turn !== this.#turn) return resolve();
        if (make === undefined) this.writer = new UserDisk(options, guard);
        this.#current = make?.(options) ?? this.writer!;
        resolve(this.#load(user, this.#current));
      }, late);
    });
  }

  async #load(user: string | null, disk: OpenDisk): Promise<void> {
    await this.#sweep(user);
    if (this.#current === disk) await disk.load();
    if (this.#isLate) this.#setLate(false);
  }

  /** Writes go on without the disk. */
  #goOn(): void {
    const { queue, saved } = this.#options;
    queue.isDurable = false;
    this.#setLate(true);
    queue.savedNowhere();
    saved();
  }

  #setLate(isLate: boolean): void {
    this.#isLate = isLate;
    this.#options.statusChanged();
  }

  /**
   * Lets go of the current user's database; see UserDisk.leave. With `end`, what waits is kept for
   * so long as the user may come back.
   */
  async leave(how: 'keep' | 'end' | 'wipe'): Promise<void> {
    const disk = this.#current;
    const user = this.#user;
    this.#current = this.writer = null;
    this.#isLate = false;
    this.#turn++;
    const left = disk?.leave(how);
    if (how === 'end' && disk !== null && user !== null)
      await this.#withEnded(({ noteEnded }, options) => noteEnded(options, user));
    await left;
  }

  /** The queue or what the store holds changed. */
  look(): void {
    this.#current?.look();
  }

  landed(answer: Answer): void {
    this.#current?.landed(answer);
  }

  reset(): void {
    this.#current?.reset();
  }

  restore(hash: string): Promise<void> | null {
    return this.#current?.restore(hash) ?? null;
  }

  /** Rows as they are on the disk. Rejects where it cannot be read. */
  rows(table: DiskTable, range: DiskRange): Promise<readonly DiskRow[]> {
    return this.#current?.rows(table, range) ?? Promise.resolve([]);
  }

  /** Writes everything that waits now. */
  flush(): Promise<void> {
    return this.#current?.flush() ?? Promise.resolve();
  }

  #nameOf(user: string | null): string {
    return `${this.#options.name}:${user ?? 'anon'}:${FORMAT}`;
  }

  /** Takes leave of users whose session ended long ago; `user` is here again. */
  async #sweep(user: string | null): Promise<void> {
    const ended = await this.#environment.storage.get(this.#endedKey).catch(() => null);
    if (ended !== null)
      await this.#withEnded(({ sweepEnded }, options) => sweepEnded(options, user));
  }

  get #endedKey(): string {
    return `${this.#options.name}:ended`;
  }

  /** Without the code nobody is noted, and nothing deleted. */
  async #withEnded(then: (code: Later, options: EndedOptions) => Promise<void>): Promise<void> {
    const { disks, environment, code } = this.#options;
    const nameOf = (user: string) => this.#nameOf(user);
    const options = { environment, disks: disks!, key: this.#endedKey, nameOf };
    await code.get().then(
      (later) => then(later, options),
      () => {},
    );
  }
}
