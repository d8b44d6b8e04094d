/**
 * Clients with delays, lost and silent connections, refused and repeated writes: at rest all show
 * what the server has, and each write was applied once, or was refused and told.
 */
import { expect, test } from 'vitest';
import { Database } from '../../src/client/database.ts';
import type { TriceError } from '../../src/errors.ts';
import type { QueryState } from '../../src/store/answer.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import { Random, seeds } from '../support/random.ts';
import {
  randomQuery,
  randomWrite,
  SHELF_ATTRS,
  SHELF_SCHEMA,
  World as Shelf,
} from '../support/shelf.ts';
import { Clock } from './clock.ts';
import { environmentOf, Network } from './network.ts';
import { Server } from './server.ts';

const STEPS = 60;

test.each(seeds(60))('[J21] clients converge (seed %i)', async (seed) => {
  const random = new Random(seed);
  const world = new World(random);
  for (let step = 0; step < STEPS; step++) {
    world.act();
    await world.clock.pass(random.below(300));
  }
  await world.rest();
  world.check();
});

interface Shown {
  readonly query: Record<string, unknown>;
  state: QueryState | undefined;
  readonly stop: () => void;
}

class Device {
  readonly db: Database;
  readonly shown: Shown[] = [];
  /** What `transact` said of each write: its id, or the error. */
  readonly outcomes: Promise<string | TriceError>[] = [];

  constructor(world: World) {
    const environment = environmentOf(world.clock, world.random, world.network);
    this.db = new Database({ appId: 'app', schema: SHELF_SCHEMA as SchemaShape }, environment);
  }

  watch(query: Record<string, unknown>): void {
    const shown: Shown = { query, state: undefined, stop: () => stop() };
    const stop = this.db.subscribeQuery(query, (state) => {
      shown.state = state;
    });
    this.shown.push(shown);
  }

  write(random: Random): void {
    const chunks = randomWrite(random, this.db.tx);
    const outcome = this.db.transact(chunks).then(
      ({ eventId }) => eventId,
      (error: TriceError) => error,
    );
    this.outcomes.push(outcome);
  }
}

class World {
  readonly random: Random;
  readonly clock = new Clock();
  readonly server: Server;
  readonly network: Network;
  readonly devices: Device[];

  constructor(random: Random) {
    this.random = random;
    this.server = new Server(this.clock, random, SHELF_ATTRS, new Shelf(random).triples);
    this.network = new Network(this.clock, random, (line) => this.server.accept(line));
    this.devices = Array.from({ length: 3 }, () => new Device(this));
  }

  act(): void {
    const { random, network } = this;
    const device = random.pick(this.devices);
    const roll = random.next();
    if (roll < 0.25) device.watch(plainQuery(random));
    else if (roll < 0.32) device.shown.splice(0, 1).forEach(({ stop }) => stop());
    else if (roll < 0.8) device.write(random);
    else if (roll < 0.86) network.cutAll(random.pick([1006, 1012]));
    else if (roll < 0.9) network.silenceOne();
    else if (roll < 0.93) network.webSockets = random.pick(['work', 'refused', 'mute']);
    else network.isUp = random.chance(0.6);
  }

  /** Everything is up again, for long enough. */
  async rest(): Promise<void> {
    this.network.isUp = true;
    await this.clock.pass(20 * 60_000);
  }

  check(): void {
    const applied = new Set(this.server.applied.keys());
    for (const { db, shown } of this.devices) {
      expect(db.connectionStatus).toBe('authenticated');
      for (const { query, state } of shown)
        expect(state?.data, JSON.stringify(query)).toEqual(this.server.rows(query));
      const waiting = db.pending.list();
      expect(waiting.map((entry) => entry.state).filter((state) => state !== 'rejected')).toEqual(
        [],
      );
      for (const { id } of waiting) expect(applied).not.toContain(id);
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
