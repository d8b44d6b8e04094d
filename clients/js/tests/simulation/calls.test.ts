/**
 * Clients that call functions and write, with delays, lost and silent connections, and pages that
 * die: at rest live calls show what the server has, each mutation ran once or is reported, and the
 * writes of a device were taken in the order in which they were made.
 */
import { expect, test } from 'vitest';
import { Database } from '../../src/client/database.ts';
import type { CallState } from '../../src/calls/refs.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import { Random, seeds } from '../support/random.ts';
import { SHELF_ATTRS, SHELF_SCHEMA, SHELF_TRIPLES } from '../support/shelf.ts';
import { entity } from '../support/stage.ts';
import { Clock } from './clock.ts';
import { Page, Stored } from './device.ts';
import { api, type Book } from './functions.ts';
import { Network } from './network.ts';
import { Server } from './server.ts';

const STEPS = 60;

test.each(seeds(60))('[FN344] callers converge (seed %i)', async (seed) => {
  const world = new World(new Random(seed));
  for (let step = 0; step < STEPS; step++) {
    world.act();
    await world.clock.pass(world.random.below(400));
  }
  await world.rest();
  world.check();
});

interface Shown {
  readonly of: string;
  state: CallState<Book[]> | undefined;
}

class Device {
  readonly stored = new Stored();
  db!: Database;
  shown: Shown[] = [];
  /** The number of each write, by what it writes. */
  made = 0;
  /** What calls of the page that lives now were told. */
  readonly told: { title: string; value: unknown }[] = [];
  #page: Page | null = null;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.start();
  }

  start(): void {
    const { clock, random, network } = this.#world;
    this.#page?.end();
    this.#page = new Page(clock, random, network, this.stored);
    const config = { appId: 'app', schema: SHELF_SCHEMA as SchemaShape };
    this.db = new Database(config, this.#page.environment);
    this.shown = this.shown.map(({ of }) => this.watch(of));
  }

  watch(of: string): Shown {
    const shown: Shown = { of, state: undefined };
    this.db.subscribeCall(api.list, { of }, (state) => {
      shown.state = state;
    });
    return shown;
  }

  write(): void {
    const { random, devices } = this.#world;
    const title = `${devices.indexOf(this)} ${++this.made}`;
    const id = entity(1 + random.below(4));
    const { tx } = this.db;
    const roll = random.next();
    if (roll < 0.3)
      return void this.db.transact(tx.books![id]!.update({ title }), { label: title });
    const fn = roll < 0.7 ? api.put : api.shout;
    const given = roll < 0.9 ? title : 'forbidden';
    const call = this.db.call(
      fn,
      { id, title: given },
      {
        label: title,
        optimistic: (tx, book, live) => [
          tx.books![book.id]!.update({ title: book.title }),
          live(api.list, { of: '' }).put(book),
        ],
      },
    );
    call.then(
      (value) => this.told.push({ title: given, value }),
      () => {},
    );
  }
}

class World {
  readonly random: Random;
  readonly clock = new Clock();
  readonly server: Server;
  readonly network: Network;
  readonly devices: Device[] = [];
  /** Titles in the order in which the server took them. */
  readonly taken: string[] = [];

  constructor(random: Random) {
    this.random = random;
    this.server = new Server(this.clock, random, SHELF_ATTRS, SHELF_TRIPLES);
    const { transact } = this.server;
    this.server.transact = (eventId, steps) => {
      const isNew = !this.server.applied.has(eventId);
      const tx = transact.call(this.server, eventId, steps);
      const titles = steps.map((step) => step[3]).filter((value) => /^\d \d+$/.test(String(value)));
      if (isNew) this.taken.push(...titles.map(String));
      return tx;
    };
    this.network = new Network(this.clock, random, (line) => this.server.accept(line));
    for (let count = 0; count < 3; count++) this.devices.push(new Device(this));
  }

  act(): void {
    const { random, network } = this;
    const device = random.pick(this.devices);
    const roll = random.next();
    if (roll < 0.1) device.shown.push(device.watch(random.pick(['', '0', '1'])));
    else if (roll < 0.7) device.write();
    else if (roll < 0.75) device.start();
    else if (roll < 0.85) network.cutAll(random.pick([1006, 1012]));
    else if (roll < 0.9) network.silenceOne();
    else network.isUp = random.chance(0.6);
  }

  /** Everything is up again, for long enough. */
  async rest(): Promise<void> {
    this.network.isUp = true;
    await this.clock.pass(20 * 60_000);
  }

  check(): void {
    const { functions } = this.server;
    expect(new Set(functions.ran).size).toBe(functions.ran.length);
    for (const [index, { db, shown, told }] of this.devices.entries()) {
      for (const { of, state } of shown)
        expect(state?.data, of).toEqual(functions.value('books.list', { of }));
      const states = db.pending.list().map(({ state }) => state);
      expect(states.filter((state) => state !== 'rejected')).toEqual([]);
      for (const { value } of told) expect(value).toMatch(/^edit\./);
      const own = this.taken.filter((title) => title.startsWith(`${index} `));
      const numbers = own.map((title) => Number(title.split(' ')[1]));
      expect(numbers).toEqual([...numbers].sort((one, other) => one - other));
    }
  }
}
