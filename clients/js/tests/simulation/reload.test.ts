/**
 * Devices whose pages die between any two writes to their disk, whose disks are full, slow, or
 * give back other than what was written: at rest all show what the server has, every write that
 * was on a disk was applied or is reported, and each write was applied once, in order.
 */
import { expect, test } from 'vitest';
import { Database } from '../../src/client/database.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import type { QueryState } from '../../src/store/answer.ts';
import { Random, seeds } from '../support/random.ts';
import { SHELF_ATTRS, SHELF_SCHEMA, SHELF_TRIPLES } from '../support/shelf.ts';
import { randomQuery, randomWrite } from '../support/shelf.ts';
import { Clock } from './clock.ts';
import { Page, Stored } from './device.ts';
import { Network } from './network.ts';
import { Server } from './server.ts';

const STEPS = 80;

test.each(seeds(60))(
  '[J83] no write is lost or applied twice over reloads (seed %i)',
  async (seed) => {
    const world = new World(new Random(seed));
    for (let step = 0; step < STEPS; step++) {
      world.act();
      await world.clock.pass(world.random.below(300));
      for (const device of world.devices) device.reviveIfDead();
    }
    await world.rest();
    world.check();
  },
);

/** What is known of a write, by the page that made it. */
interface Made {
  readonly id: string;
  readonly order: number;
  told: 'synced' | 'enqueued' | 'rejected' | null;
  /** The write that took its place before it was sent. */
  mergedInto: string | null;
}

interface Shown {
  readonly query: Record<string, unknown>;
  state: QueryState | undefined;
}

/** A device: its disk stays, its pages come and go. */
class Device {
  readonly stored = new Stored();
  readonly made = new Map<string, Made>();
  /** Writes that were on the disk when a page died, or that were told as enqueued. */
  readonly promised = new Set<string>();
  /** A page could not read what was kept: its own writes went ahead of that. */
  wasInMemory = false;
  db!: Database;
  shown: Shown[] = [];
  queries: Record<string, unknown>[] = [];
  #page!: Page;
  #crashIn = Infinity;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.start();
  }

  start(): void {
    const { clock, random, network } = this.#world;
    const mayFail = () => !this.#world.isCalm;
    this.#page = new Page(clock, random, network, this.stored, {
      delayMs: () => (random.chance(0.02) && mayFail() ? random.below(5_000) : random.below(30)),
      fail: (op) => {
        if (!mayFail()) return null;
        if (op === 'write' && random.chance(0.02)) return 'full';
        return random.chance(0.004) ? 'lost' : null;
      },
      crashAt: () => {
        if (!mayFail() || --this.#crashIn > 0) return null;
        this.#noteStored();
        const when = random.pick(['before', 'after'] as const);
        if (when === 'after') queueMicrotask(() => this.#noteStored());
        return when;
      },
    });
    this.#crashIn = random.chance(0.5) ? 1 + random.below(12) : Infinity;
    const page = this.#page;
    this.db = new Database(
      { appId: 'app', schema: SHELF_SCHEMA as SchemaShape },
      this.#page.environment,
    );
    this.db.onStorageStatusChange(() => {
      if (this.db.storageStatus === 'memory') this.wasInMemory = true;
    });
    page.onSend = ({ op, 'client-event-id': id }) => {
      if (op !== 'transact' || this.db.storageStatus === 'memory') return;
      if (this.db.storageStatus !== 'full')
        expect(this.stored.pending.has(id as string)).toBe(true);
    };
    this.shown = [];
    for (const query of this.queries) this.#watch(query);
  }

  get isDead(): boolean {
    return this.#page.isDead;
  }

  /** The page ends in the middle of whatever it does. */
  kill(): void {
    this.#noteStored();
    this.#page.isDead = true;
  }

  reviveIfDead(): void {
    if (!this.#page.isDead) return;
    this.#noteStored();
    this.#page.end();
    this.start();
  }

  watch(query: Record<string, unknown>): void {
    this.queries.push(query);
    this.#watch(query);
  }

  forgetQueries(): void {
    this.queries = this.queries.slice(-2);
  }

  write(random: Random): void {
    const { db } = this;
    const before = new Set(db.pending.list().map(({ id }) => id));
    const done = db.transact(randomWrite(random, db.tx));
    const entry = db.pending.list().find(({ id }) => !before.has(id));
    if (entry === undefined) return void done.catch(() => {});
    const made: Made = { id: entry.id, order: this.#world.order++, told: null, mergedInto: null };
    for (const id of before) if (!db.pending.get(id)) this.made.get(id)!.mergedInto = made.id;
    this.made.set(made.id, made);
    const isKeeping = () => db.storageStatus === 'ready' || db.storageStatus === 'reset';
    done.then(
      ({ status }) => {
        made.told = status;
        const isKept = isKeeping();
        if (status === 'enqueued' && isKept) this.promised.add(made.id);
        // It is told as enqueued only once it is on the disk.
        if (status === 'enqueued' && isKept) expect(this.stored.pending.has(made.id)).toBe(true);
      },
      () => {
        // Without a disk the refusal is forgotten with the page, and an older row may be there.
        if (isKeeping()) made.told = 'rejected';
      },
    );
  }

  /** Something else is read than was written. */
  corrupt(random: Random): void {
    const tables = random.pick([...this.stored.disks.databases.values(), null]);
    const rows = tables?.get(random.pick(['meta', 'answers', 'rows'] as const));
    const key = rows && rows.size > 0 ? random.pick([...rows.keys()]) : null;
    if (rows === undefined || key === null) return;
    const text = rows.get(key)!;
    const place = random.below(text.length);
    if (random.chance(0.2)) rows.delete(key);
    else
      rows.set(
        key,
        text.slice(0, place) + (text[place] === '7' ? '8' : '7') + text.slice(place + 1),
      );
  }

  #watch(query: Record<string, unknown>): void {
    const shown: Shown = { query, state: undefined };
    this.db.subscribeQuery(query, (state) => {
      shown.state = state;
    });
    this.shown.push(shown);
  }

  #noteStored(): void {
    for (const id of this.stored.pending.keys()) this.promised.add(id);
  }
}

class World {
  readonly random: Random;
  readonly clock = new Clock();
  readonly server: Server;
  readonly network: Network;
  readonly devices: Device[];
  isCalm = false;
  order = 0;

  constructor(random: Random) {
    this.random = random;
    this.server = new Server(this.clock, random, SHELF_ATTRS, SHELF_TRIPLES);
    this.network = new Network(this.clock, random, (line) => this.server.accept(line));
    this.devices = Array.from({ length: 2 }, () => new Device(this));
  }

  act(): void {
    const { random, network } = this;
    const device = random.pick(this.devices);
    const roll = random.next();
    if (roll < 0.2) device.watch(plainQuery(random));
    else if (roll < 0.23) device.forgetQueries();
    else if (roll < 0.7) device.write(random);
    else if (roll < 0.78) device.kill();
    else if (roll < 0.82) device.corrupt(random);
    else if (roll < 0.88) network.cutAll(random.pick([1006, 1012]));
    else if (roll < 0.9) network.silenceOne();
    else network.isUp = random.chance(0.6);
  }

  /** Everything works again; each page starts once more, and has enough time. */
  async rest(): Promise<void> {
    this.isCalm = true;
    this.network.isUp = true;
    await this.clock.pass(90_000);
    for (const device of this.devices) {
      device.kill();
      device.reviveIfDead();
    }
    await this.clock.pass(90_000);
  }

  check(): void {
    const { applied } = this.server;
    for (const device of this.devices) {
      const { db, shown, made, promised, stored } = device;
      expect(db.connectionStatus).toBe('authenticated');
      expect(db.storageStatus).toBe('ready');
      for (const { query, state } of shown) {
        expect(state?.data, JSON.stringify(query)).toEqual(this.server.rows(query));
        expect(state?.source).toBe('server');
      }
      const entries = db.pending.list();
      for (const { state } of entries) expect(state).toBe('rejected');
      const reported = new Set(entries.map(({ id }) => id));
      expect(new Set(stored.pending.keys())).toEqual(reported);
      for (const { id: own, told } of made.values()) {
        // A page that died before its successor was saved goes on with the write itself.
        let id = own;
        for (let next: string | null = own; next !== null; next = made.get(next)!.mergedInto)
          if (applied.has(next) || reported.has(next)) id = next;
        if (told === 'synced') expect(applied.has(id)).toBe(true);
        if (told === 'rejected' || reported.has(id))
          expect(applied.has(id), told ?? '').toBe(false);
        if (promised.has(own)) expect(applied.has(id) || reported.has(id), id).toBe(true);
      }
      if (device.wasInMemory) continue;
      // What was refused while the page could not hear of it is asked again later.
      const { refused } = this.server;
      const taken = [...made.values()].filter(({ id }) => applied.has(id) && !refused.has(id));
      const byServer = taken.toSorted(
        (one, other) => applied.get(one.id)! - applied.get(other.id)!,
      );
      expect(byServer.map(({ order }) => order)).toEqual(taken.map(({ order }) => order));
    }
  }
}

/** The simulation's server decides no pages. */
function plainQuery(random: Random): Record<string, unknown> {
  for (;;) {
    const query = randomQuery(random);
    if (!/"(limit|last)"/.test(JSON.stringify(query))) return query;
  }
}
