import {
  type Disk,
  type DiskChange,
  type DiskGuard,
  DiskError,
  type DiskFailure,
  type DiskRange,
  type Disks,
  type DiskTable,
} from '../../src/client/disk.ts';
import type { Environment, Socket } from '../../src/client/environment.ts';
import { MemoryDisks } from '../../src/persistence/memory.ts';
import type { Random } from '../support/random.ts';
import type { Clock } from './clock.ts';
import { environmentOf, type Network } from './network.ts';

/** What stays of a device when its page dies: what was written to its disk. */
export class Stored {
  readonly texts = new Map<string, string>();
  readonly disks = new MemoryDisks();

  /** Ids of writes that are kept, with the text of each. */
  get pending(): Map<string, string> {
    const found = new Map<string, string>();
    for (const tables of this.disks.databases.values())
      for (const [key, text] of tables.get('pending') ?? [])
        found.set(key.slice(key.indexOf(':') + 1), text);
    return found;
  }
}

/** How a disk behaves. */
export interface Faults {
  /** What a write or read fails with, if anything. */
  fail?(op: 'open' | 'read' | 'write'): DiskFailure | null;
  /** Milliseconds that an operation takes. */
  delayMs?(): number;
  /** The page dies at this write: before, or after it was done and before anybody learns of it. */
  crashAt?(): 'before' | 'after' | null;
}

/** One page of a device: once it is dead nothing it does has an effect, and nothing reaches it. */
export class Page {
  isDead = false;
  /** Called with each message that it sends. */
  onSend: (message: Record<string, unknown>) => void = () => {};
  readonly stored: Stored;
  readonly environment: Environment;
  readonly #clock: Clock;
  readonly #faults: Faults;
  #hide: () => void = () => {};
  readonly #sockets: Socket[] = [];

  constructor(
    clock: Clock,
    random: Random,
    network: Network,
    stored: Stored,
    faults: Faults = {},
    fetch?: Environment['fetch'],
  ) {
    this.stored = stored;
    this.#clock = clock;
    this.#faults = faults;
    const whole = environmentOf(clock, random, network, stored.texts, fetch);
    const alive = (then: () => void) => {
      if (!this.isDead) then();
    };
    this.environment = {
      ...whole,
      timer: (ms, then) => whole.timer(ms, () => alive(then)),
      socket: (url, handlers) => {
        const socket = whole.socket(url, {
          opened: () => alive(() => handlers.opened()),
          message: (text) => alive(() => handlers.message(text)),
          closed: (code) => alive(() => handlers.closed(code)),
        });
        this.#sockets.push(socket);
        const send = (text: string) => {
          this.onSend(JSON.parse(text) as Record<string, unknown>);
          socket.send(text);
        };
        return {
          send: (text) => alive(() => send(text)),
          close: () => alive(() => socket.close()),
        };
      },
      onHide: (then) => {
        this.#hide = then;
        return () => {};
      },
      disks: this.#disks(),
    };
  }

  /** The system closes the connections of a dead page; what did not arrive is lost. */
  end(): void {
    this.isDead = true;
    for (const socket of this.#sockets) socket.close();
  }

  /** The page is hidden. */
  hide(): void {
    this.#hide();
  }

  #disks(): Disks {
    return {
      open: async (name) => {
        await this.#work('open');
        return this.#diskOf(await this.stored.disks.open(name));
      },
    };
  }

  #diskOf(disk: Disk): Disk {
    return {
      read: async (table: DiskTable, range?: DiskRange) => {
        await this.#work('read');
        return range ? disk.read(table, range) : disk.read(table);
      },
      write: async (batch: readonly DiskChange[], isStrict: boolean, guard?: DiskGuard) => {
        await this.#work('write');
        const crash = this.#faults.crashAt?.() ?? null;
        if (crash !== 'before') await disk.write(batch, isStrict, guard);
        if (crash !== null) await this.#die();
      },
      wipe: async () => {
        await this.#work('write');
        await disk.wipe();
      },
      close: () => {},
    };
  }

  async #work(op: 'open' | 'read' | 'write'): Promise<void> {
    const ms = this.#faults.delayMs?.() ?? 1;
    await new Promise<void>((resolve) => this.#clock.timer(ms, resolve));
    if (this.isDead) await new Promise(() => {});
    const failure = this.#faults.fail?.(op);
    if (failure) throw new DiskError(failure);
  }

  #die(): Promise<never> {
    this.isDead = true;
    return new Promise(() => {});
  }
}
