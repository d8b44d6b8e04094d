import type { Config } from '../../src/client/config.ts';
import { Database } from '../../src/client/database.ts';
import { type Disk, type DiskChange, DiskError, type Disks } from '../../src/client/disk.ts';
import type { Environment, Socket } from '../../src/client/environment.ts';
import type { LockHandlers, TabPlatform } from '../../src/client/tab-platform.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import type { Random } from '../support/random.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';
import type { Clock } from './clock.ts';
import { Stored } from './device.ts';
import { environmentOf, type Network } from './network.ts';

/** Milliseconds until one tab learns what another did. */
const HOP_MS = 1;

interface Holder {
  readonly tab: Tab;
  readonly handlers: LockHandlers;
}

interface Ear {
  readonly tab: Tab;
  readonly hear: (text: string) => void;
}

/** One browser: what its tabs share, and outlives them. */
export class Browser {
  readonly stored = new Stored();
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly tabs = new Set<Tab>();
  readonly #held = new Map<string, Holder>();
  readonly #waiting = new Map<string, Holder[]>();
  readonly #channels = new Map<string, Set<Ear>>();
  readonly #watchers = new Set<{ tab: Tab; key: string; tell: (value: string | null) => void }>();

  constructor(clock: Clock, random: Random, network: Network) {
    this.clock = clock;
    this.random = random;
    this.network = network;
  }

  open(config: Partial<Config> = {}, fetch?: Environment['fetch']): Tab {
    const tab = new Tab(this, config, fetch);
    this.tabs.add(tab);
    return tab;
  }

  /** What tabs say is lost. */
  isDeaf = false;
  /** Nothing more is written. */
  isFull = false;

  /** Whether all its tabs are hidden. */
  isHidden: () => boolean = () => false;

  /** Every message on every channel, for tests that listen. */
  readonly spoken: { name: string; text: string }[] = [];

  lock(tab: Tab, name: string, how: 'now' | 'wait' | 'steal', handlers: LockHandlers): () => void {
    const held = this.#held.get(name);
    const queue = this.#waiting.get(name) ?? [];
    this.#waiting.set(name, queue);
    let isEnded = false;
    const tell = (what: 'granted' | 'refused' | 'stolen') =>
      this.#later(tab, () => {
        if (!isEnded) handlers[what]?.();
      });
    const told: Holder = {
      tab,
      handlers: { granted: () => tell('granted'), stolen: () => tell('stolen') },
    };
    if (how === 'steal') {
      held?.handlers.stolen();
      this.#grant(name, told);
    } else if (how === 'now' && (held || queue.length > 0)) tell('refused');
    else {
      queue.push(told);
      this.#next(name);
    }
    return () => {
      isEnded = true;
      this.#release(name, told);
    };
  }

  channel(tab: Tab, name: string, hear: (text: string) => void) {
    const ears = this.#channels.get(name) ?? new Set();
    this.#channels.set(name, ears);
    const ear = { tab, hear };
    ears.add(ear);
    return {
      send: (text: string) => {
        this.spoken.push({ name, text });
        for (const other of this.isDeaf ? [] : ears)
          if (other !== ear)
            this.#later(other.tab, () => {
              if (ears.has(other)) other.hear(text);
            });
      },
      close: () => void ears.delete(ear),
    };
  }

  watch(tab: Tab, key: string, tell: (value: string | null) => void): () => void {
    const watcher = { tab, key, tell };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  changed(by: Tab, key: string, value: string | null): void {
    for (const { tab, key: watched, tell } of this.#watchers)
      if (tab !== by && watched === key) this.#later(tab, () => tell(value));
  }

  /** A tab is gone: the system lets go of what it held. */
  closed(gone: Tab): void {
    this.tabs.delete(gone);
    for (const ears of this.#channels.values())
      for (const ear of ears) if (ear.tab === gone) ears.delete(ear);
    for (const watcher of this.#watchers) if (watcher.tab === gone) this.#watchers.delete(watcher);
    for (const [name, queue] of this.#waiting)
      for (const holder of [this.#held.get(name), ...queue])
        if (holder?.tab === gone) this.#release(name, holder);
  }

  #later(tab: Tab, then: () => void): void {
    this.clock.timer(HOP_MS, () => tab.run(then));
  }

  #grant(name: string, holder: Holder): void {
    this.#held.set(name, holder);
    holder.handlers.granted();
  }

  #next(name: string): void {
    const next = this.#held.has(name) ? undefined : this.#waiting.get(name)?.shift();
    if (next) this.#grant(name, next);
  }

  #release(name: string, holder: Holder): void {
    const queue = this.#waiting.get(name)?.filter((one) => one !== holder) ?? [];
    this.#waiting.set(name, queue);
    if (this.#held.get(name) !== holder) return;
    this.#held.delete(name);
    this.#next(name);
  }
}

/** One tab. What reaches it while it is frozen waits; once it is dead nothing does. */
export class Tab {
  readonly db: Database;
  isDead = false;
  isFrozen = false;
  /** Called with each message that it sends to the server. */
  onSend: (message: Record<string, unknown>) => void = () => {};
  /** Connections to the server that it has open. */
  readonly sockets = new Set<Socket>();
  readonly environment: Environment;
  readonly #browser: Browser;
  #deferred: (() => void)[] = [];
  readonly #freezing = new Set<() => void>();
  readonly #resuming = new Set<() => void>();

  constructor(browser: Browser, config: Partial<Config>, fetch?: Environment['fetch']) {
    this.#browser = browser;
    const { clock, random, network, stored } = browser;
    const whole = environmentOf(clock, random, network, stored.texts, fetch);
    this.environment = {
      ...whole,
      isHidden: () => browser.isHidden(),
      timer: (ms, then) => {
        let isCancelled = false;
        const cancel = whole.timer(ms, () =>
          this.run(() => {
            if (!isCancelled) then();
          }),
        );
        return () => {
          isCancelled = true;
          cancel();
        };
      },
      socket: (url, handlers) => {
        const socket = whole.socket(url, {
          opened: () => this.run(() => handlers.opened()),
          message: (text) => this.run(() => handlers.message(text)),
          closed: (code) => this.run(() => handlers.closed(code)),
        });
        this.sockets.add(socket);
        return {
          send: (text) => {
            if (this.isDead) return;
            this.onSend(JSON.parse(text) as Record<string, unknown>);
            socket.send(text);
          },
          close: () => {
            this.sockets.delete(socket);
            socket.close();
          },
        };
      },
      storage: {
        get: whole.storage.get,
        set: async (key, value) => {
          stored.texts.set(key, value);
          browser.changed(this, key, value);
        },
        remove: async (key) => {
          stored.texts.delete(key);
          browser.changed(this, key, null);
        },
        watch: (key, tell) => browser.watch(this, key, tell),
      },
      disks: this.#disks(),
      tabs: this.#platform(),
    };
    this.db = new Database(
      { appId: 'app', schema: SHELF_SCHEMA as SchemaShape, server: 'http://test', ...config },
      this.environment,
    );
  }

  run(then: () => void): void {
    if (this.isDead) return;
    if (this.isFrozen) this.#deferred.push(then);
    else then();
  }

  /** isTold  the system says so before; else it happens as to a process that is stopped */
  freeze(isTold: boolean): void {
    if (isTold) for (const then of [...this.#freezing]) then();
    this.isFrozen = true;
  }

  /** first  happens before the tab learns what happened meanwhile */
  thaw(first: () => void = () => {}): void {
    this.isFrozen = false;
    this.run(first);
    for (const then of this.#deferred.splice(0)) this.run(then);
    for (const then of [...this.#resuming]) this.run(then);
  }

  kill(): void {
    this.isDead = true;
    for (const socket of this.sockets) socket.close();
    this.#browser.closed(this);
  }

  #platform(): TabPlatform {
    const listen = (set: Set<() => void>) => (then: () => void) => {
      set.add(then);
      return () => set.delete(then);
    };
    return {
      lock: (name, how, handlers) => this.#browser.lock(this, name, how, handlers),
      signals: () => ({
        channel: (name, heard) => this.#browser.channel(this, name, heard),
        onFreeze: listen(this.#freezing),
        onResume: listen(this.#resuming),
      }),
    };
  }

  #disks(): Disks {
    return {
      open: async (name) => {
        await this.#work();
        const disk = await this.#browser.stored.disks.open(name);
        await this.#awake();
        return this.#diskOf(disk);
      },
    };
  }

  #diskOf(disk: Disk): Disk {
    // Batches and reads of one handle are done in order.
    let last: Promise<unknown> = Promise.resolve();
    const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
      const done = last.then(async () => {
        await this.#work();
        return work();
      });
      last = done.catch(() => {});
      return done.finally(() => this.#awake());
    };
    return {
      read: (table, range) => inTurn(() => (range ? disk.read(table, range) : disk.read(table))),
      write: (batch, isStrict, guard) =>
        inTurn(async () => {
          if (this.#browser.isFull && batch.some(isPut)) throw new DiskError('full');
          return disk.write(batch, isStrict, guard);
        }),
      wipe: () => inTurn(() => disk.wipe()),
      close: () => {},
    };
  }

  /** What a disk was asked for is done while the tab is frozen, too. */
  async #work(): Promise<void> {
    if (this.isDead) await new Promise(() => {});
    const { clock, random } = this.#browser;
    await new Promise<void>((resolve) => clock.timer(random.below(20), resolve));
    if (this.isDead) await new Promise(() => {});
  }

  /** The tab hears of it when it runs. */
  async #awake(): Promise<void> {
    if (this.isDead) await new Promise(() => {});
    if (this.isFrozen) await new Promise<void>((resolve) => this.#deferred.push(resolve));
  }
}

function isPut(change: DiskChange): boolean {
  return 'value' in change && change.value !== null;
}
