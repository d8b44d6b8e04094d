import type { Config } from '../../src/client/config.ts';
import { Database } from '../../src/client/database.ts';
import type { Environment, FetchInit } from '../../src/client/environment.ts';
import { Clock } from '../simulation/clock.ts';
import { environmentOf, Network } from '../simulation/network.ts';
import { Server } from '../simulation/server.ts';
import { Random } from './random.ts';
import { SHELF_ATTRS, SHELF_SCHEMA, SHELF_TRIPLES } from './shelf.ts';

/** One server and its clients, on a clock that the test moves. */
export class Stage {
  readonly clock = new Clock();
  readonly random: Random;
  readonly server: Server;
  /** What clients sent, in order. */
  readonly sent: Record<string, unknown>[] = [];
  readonly network: Network;
  /** Connections that were made so far. */
  connections = 0;
  /** Requests over HTTP, and what they are answered. */
  readonly requests: { path: string; body: Record<string, unknown> }[] = [];
  answer: (path: string) => { status: number; body: unknown } = () => ({ status: 404, body: {} });

  constructor(seed = 7) {
    this.random = new Random(seed);
    this.server = new Server(this.clock, this.random, SHELF_ATTRS, SHELF_TRIPLES);
    this.network = new Network(this.clock, this.random, (line) => {
      this.connections += 1;
      const end = this.server.accept(line);
      return {
        received: (text) => {
          this.sent.push(JSON.parse(text) as Record<string, unknown>);
          end.received(text);
        },
        closed: () => end.closed(),
      };
    });
  }

  /** Answers HTTP in the place of `answer`, where a test wants more than JSON. */
  fetch: Environment['fetch'] | null = null;

  /** A client of a device; `stored` is what the device keeps. */
  device(
    config: Partial<Config> = {},
    stored = new Map<string, string>(),
    disks?: Environment['disks'],
  ): Database {
    const fetch = async (url: string, init: FetchInit) => {
      if (this.fetch) return this.fetch(url, init);
      const { body } = init;
      const { pathname } = new URL(url);
      this.requests.push({
        path: pathname,
        body: JSON.parse(String(body)) as Record<string, unknown>,
      });
      const { status, body: answer } = this.answer(pathname);
      return { status, text: async () => JSON.stringify(answer) };
    };
    const environment = environmentOf(this.clock, this.random, this.network, stored, fetch);
    return new Database(
      { appId: 'app', schema: SHELF_SCHEMA, server: 'http://test', ...config },
      { ...environment, disks },
    );
  }

  /** Lets everything under way arrive. */
  settle(): Promise<void> {
    return this.clock.pass(20_000);
  }

  ops(op: string): Record<string, unknown>[] {
    return this.sent.filter((message) => message.op === op);
  }
}

/** An id for an entity, by number. */
export function entity(number: number): string {
  return `e0000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}
