/**
 * Browsers whose tabs come, go, freeze and die in the middle of anything, on lost and silent
 * connections: at rest each browser has one connection, all tabs show what the server has, no
 * write that was told as taken or kept is lost, and none is applied twice or after it was refused.
 */
import { beforeAll, expect, test } from 'vitest';
import type { QueryState } from '../../src/store/answer.ts';
import { Random, seeds } from '../support/random.ts';
import { randomQuery, randomWrite, SHELF_ATTRS, SHELF_TRIPLES } from '../support/shelf.ts';
import { Browser, type Tab } from './browser.ts';
import { Clock } from './clock.ts';
import { Network } from './network.ts';
import { Server } from './server.ts';

// The code of tabs is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/client/later.ts'));

const STEPS = 80;
const TABS_MAX = 4;

test.each(seeds(40))('[J173] tabs converge (seed %i)', async (seed) => {
  const world = new World(new Random(seed));
  for (let step = 0; step < STEPS; step++) {
    world.act();
    await world.clock.pass(world.random.below(world.random.chance(0.1) ? 8_000 : 300));
  }
  await world.rest();
  world.check();
});

interface Shown {
  readonly query: Record<string, unknown>;
  state: QueryState | undefined;
  readonly stop: () => void;
}

/** A write, and what was said of it. */
interface Made {
  readonly id: string;
  readonly by: Window;
  readonly order: number;
  told: 'synced' | 'enqueued' | 'rejected' | null;
}

/** A tab, with what it watches. */
class Window {
  readonly tab: Tab;
  readonly shown: Shown[] = [];

  constructor(tab: Tab) {
    this.tab = tab;
  }

  watch(query: Record<string, unknown>): void {
    const shown: Shown = { query, state: undefined, stop: () => stop() };
    const stop = this.tab.db.subscribeQuery(query, (state) => {
      shown.state = state;
    });
    this.shown.push(shown);
  }

  write(random: Random, made: Map<string, Made>): void {
    const { db } = this.tab;
    const before = new Set(db.pending.list().map(({ id }) => id));
    const done = db.transact(randomWrite(random, db.tx));
    const entry = db.pending.list().find(({ id }) => !before.has(id));
    if (entry === undefined) return void done.catch(() => {});
    const write: Made = { id: entry.id, by: this, order: made.size, told: null };
    made.set(write.id, write);
    done.then(
      ({ status }) => {
        write.told = status;
      },
      () => {
        write.told = 'rejected';
      },
    );
  }
}

class World {
  readonly random: Random;
  readonly clock = new Clock();
  readonly server: Server;
  readonly network: Network;
  readonly browsers: Browser[];
  readonly windows = new Map<Browser, Window[]>();
  readonly made = new Map<string, Made>();
  /** Writes that a tab showed as refused, and the disk had as that. */
  readonly refused = new Set<string>();
  /** Writes that were dropped in some tab. */
  readonly dropped = new Set<string>();
  readonly retried = new Set<string>();
  connections = 0;

  constructor(random: Random) {
    this.random = random;
    this.server = new Server(this.clock, random, SHELF_ATTRS, SHELF_TRIPLES);
    this.network = new Network(this.clock, random, (line) => {
      const end = this.server.accept(line);
      this.connections += 1;
      return {
        received: (text) => end.received(text),
        closed: () => {
          this.connections -= 1;
          end.closed();
        },
      };
    });
    this.browsers = Array.from({ length: 2 }, () => {
      const browser = new Browser(this.clock, random, this.network);
      this.windows.set(browser, []);
      this.#open(browser);
      return browser;
    });
  }

  act(): void {
    const { random, network } = this;
    const browser = random.pick(this.browsers);
    const windows = this.windows.get(browser)!;
    const awake = windows.filter(({ tab }) => !tab.isFrozen);
    const roll = random.next();
    if (roll < 0.08 && windows.length < TABS_MAX) return this.#open(browser);
    if (windows.length > 0 && roll < 0.15) return this.#kill(browser, random.pick(windows));
    if (awake.length > 0 && roll < 0.2) return random.pick(awake).tab.freeze(random.chance(0.4));
    if (roll < 0.24) {
      const frozen = windows.filter(({ tab }) => tab.isFrozen);
      const window = frozen.length > 0 ? random.pick(frozen) : null;
      return window?.tab.thaw(() => {
        if (random.chance(0.5)) window.write(random, this.made);
      });
    }
    if (roll > 0.92) network.isUp = random.chance(0.6);
    else if (roll > 0.9) network.silenceOne();
    else if (roll > 0.86) network.cutAll(random.pick([1006, 1012]));
    else if (awake.length === 0) return;
    else if (roll < 0.42) random.pick(awake).watch(plainQuery(random));
    else if (roll < 0.46)
      random
        .pick(awake)
        .shown.splice(0, 1)
        .forEach(({ stop }) => stop());
    else if (roll < 0.52) this.#decide(random.pick(awake));
    else random.pick(awake).write(random, this.made);
  }

  /** Everything works again: frozen tabs go on, dead ones are gone, and there is enough time. */
  async rest(): Promise<void> {
    this.network.isUp = true;
    for (const windows of this.windows.values())
      for (const { tab } of windows) if (tab.isFrozen) tab.thaw();
    for (const browser of this.browsers)
      if (this.windows.get(browser)!.length === 0) this.#open(browser);
    await this.clock.pass(4 * 60_000);
  }

  check(): void {
    const { applied } = this.server;
    expect(this.connections).toBe(this.browsers.length);
    for (const browser of this.browsers) {
      const lists = this.windows.get(browser)!.map(({ tab, shown }) => {
        const { db } = tab;
        expect(db.connectionStatus).toBe('authenticated');
        expect(db.storageStatus).toBe('ready');
        for (const { query, state } of shown) {
          expect(state?.data, JSON.stringify(query)).toEqual(this.server.rows(query));
          expect(state?.source).toBe('server');
        }
        return db.pending.list().map(({ id, state }) => ({ id, state }));
      });
      for (const list of lists) {
        expect(list).toEqual(lists[0]);
        for (const { id, state } of list) {
          expect(state).toBe('rejected');
          expect(applied.has(id)).toBe(false);
        }
      }
      expect(new Set(browser.stored.pending.keys())).toEqual(
        new Set(lists[0]!.map(({ id }) => id)),
      );
    }
    const reported = new Set(
      [...this.windows.values()].flatMap((windows) =>
        windows.flatMap(({ tab }) => tab.db.pending.list().map(({ id }) => id)),
      ),
    );
    for (const { id, told } of this.made.values()) {
      if (told === 'synced') expect(applied.has(id), id).toBe(true);
      if (told === 'enqueued' && !this.dropped.has(id))
        expect(applied.has(id) || reported.has(id), id).toBe(true);
      if (told === 'rejected' && !this.retried.has(id)) expect(applied.has(id), id).toBe(false);
    }
    this.#checkOrder();
    for (const id of this.refused)
      if (!this.retried.has(id)) expect(applied.has(id), id).toBe(false);
  }

  /** The writes of a tab were applied in its order; one that was refused once is asked again. */
  #checkOrder(): void {
    const { applied, refused } = this.server;
    const taken = [...this.made.values()].filter(({ id }) => applied.has(id) && !refused.has(id));
    for (const window of new Set(taken.map(({ by }) => by))) {
      const own = taken.filter(({ by }) => by === window);
      const byServer = own.toSorted((one, other) => applied.get(one.id)! - applied.get(other.id)!);
      expect(byServer.map(({ order }) => order)).toEqual(own.map(({ order }) => order));
    }
  }

  /** Somebody decides on a write that was refused, in any tab. */
  #decide({ tab: { db } }: Window): void {
    const { random } = this;
    const refused = db.pending.list().filter(({ state }) => state === 'rejected');
    if (refused.length === 0) return;
    const { id } = random.pick(refused);
    const roll = random.below(3);
    if (roll === 0) db.pending.drop(id);
    else if (roll === 1)
      db.pending.edit(id, db.tx.tags![random.uuid()]!.update({ name: 'edited' }));
    else {
      this.retried.add(id);
      db.pending.retry(id);
    }
    if (roll < 2) this.dropped.add(id);
  }

  #open(browser: Browser): void {
    const window = new Window(browser.open());
    const { pending } = window.tab.db;
    this.windows.get(browser)!.push(window);
    pending.subscribe(() => {
      // A leader that was replaced while it was frozen may hear of a refusal that nobody keeps: it
      // is not told (J72).
      for (const { id, state } of pending.list())
        if (state === 'rejected' && browser.stored.pending.get(id)?.includes('"rejected"'))
          this.refused.add(id);
    });
    window.tab.onSend = ({ op, 'client-event-id': id }) => {
      if (op !== 'transact') return;
      expect(browser.stored.pending.has(id as string), 'sent before it was saved').toBe(true);
    };
    if (this.random.chance(0.7)) window.watch(plainQuery(this.random));
  }

  #kill(browser: Browser, window: Window): void {
    window.tab.kill();
    const windows = this.windows.get(browser)!;
    windows.splice(windows.indexOf(window), 1);
  }
}

/** The simulation's server decides no pages. */
function plainQuery(random: Random): Record<string, unknown> {
  for (;;) {
    const query = randomQuery(random);
    if (!/"(limit|last)"/.test(JSON.stringify(query))) return query;
  }
}
