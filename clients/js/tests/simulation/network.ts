import type { Environment, Socket, SocketHandlers } from '../../src/client/environment.ts';
import { streamMaker } from '../../src/web/streams.ts';
import type { Random } from '../support/random.ts';
import { type Clock, delayMs } from './clock.ts';

/** The server's end of a connection. */
export interface ServerEnd {
  received(text: string): void;
  closed(): void;
}

/** What the server is given to answer on. */
export interface Line {
  send(text: string): void;
  close(code: number): void;
}

/**
 * Connections with delays, in order, that may be cut, or go silent without a word.
 */
export class Network {
  isUp = true;
  /** How WebSockets fare: some networks refuse them, some open them and carry nothing. */
  webSockets: 'work' | 'refused' | 'mute' = 'work';
  /** Who is told that the network changed. */
  readonly wakers = new Set<() => void>();
  /** The transports of all attempts to connect, in order. */
  readonly attempts: ('events' | 'websocket')[] = [];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #accept: (line: Line) => ServerEnd;
  readonly #open = new Set<Cable>();

  constructor(clock: Clock, random: Random, accept: (line: Line) => ServerEnd) {
    this.#clock = clock;
    this.#random = random;
    this.#accept = accept;
  }

  /** url  of an event stream if it begins with `http`: these always work */
  connect(url: string, handlers: SocketHandlers): Socket {
    const isEvents = url.startsWith('http');
    this.attempts.push(isEvents ? 'events' : 'websocket');
    const cable = new Cable(this.#clock, this.#random, handlers, () => this.#open.delete(cable));
    this.#open.add(cable);
    this.#clock.timer(delayMs(this.#random), () => {
      const fate = isEvents ? 'work' : this.webSockets;
      if (!this.isUp || fate === 'refused') return cable.cut(1006);
      cable.plug(this.#accept);
      if (fate === 'mute') cable.silence();
    });
    return cable;
  }

  /** Ends connections, with a code, as a restart of the server does. */
  cutAll(code = 1006): void {
    for (const cable of [...this.#open]) cable.cut(code);
  }

  /** Devices learn that they are on another network. */
  wakeAll(): void {
    for (const wake of [...this.wakers]) wake();
  }

  /** One connection delivers nothing any more, and nobody is told. */
  silenceOne(): void {
    const cables = [...this.#open];
    if (cables.length > 0) this.#random.pick(cables).silence();
  }
}

class Cable implements Socket {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #handlers: SocketHandlers;
  readonly #gone: () => void;
  #server: ServerEnd | null = null;
  #state: 'new' | 'open' | 'silent' | 'cut' = 'new';
  #upAt = 0;
  #downAt = 0;

  constructor(clock: Clock, random: Random, handlers: SocketHandlers, gone: () => void) {
    this.#clock = clock;
    this.#random = random;
    this.#handlers = handlers;
    this.#gone = gone;
  }

  plug(accept: (line: Line) => ServerEnd): void {
    if (this.#state !== 'new') return;
    this.#state = 'open';
    this.#server = accept({
      send: (text) => this.#deliver('down', () => this.#handlers.message(text)),
      close: (code) => this.cut(code),
    });
    this.#handlers.opened();
  }

  send(text: string): void {
    this.#deliver('up', () => this.#server?.received(text));
  }

  close(): void {
    this.cut(1000);
  }

  cut(code: number): void {
    if (this.#state === 'cut') return;
    this.#state = 'cut';
    this.#gone();
    this.#server?.closed();
    this.#clock.timer(1, () => this.#handlers.closed(code));
  }

  silence(): void {
    if (this.#state === 'open') this.#state = 'silent';
  }

  /** Messages of one direction arrive in order, each after its delay. */
  #deliver(direction: 'up' | 'down', arrive: () => void): void {
    const before = direction === 'up' ? this.#upAt : this.#downAt;
    const at = Math.max(before, this.#clock.now + delayMs(this.#random));
    if (direction === 'up') this.#upAt = at;
    else this.#downAt = at;
    this.#clock.timer(at - this.#clock.now, () => {
      if (this.#state === 'open') arrive();
    });
  }
}

/**
 * A device of the simulation.
 *
 * stored   what it kept: give it to another to start the same device again
 * fetch    answers HTTP; without it the network has none
 */
export function environmentOf(
  clock: Clock,
  random: Random,
  network: Network,
  stored = new Map<string, string>(),
  fetch: Environment['fetch'] = () => Promise.reject(new Error('The simulation has no HTTP.')),
): Environment {
  return {
    now: () => clock.now,
    random: () => random.next(),
    id: () => random.uuid(),
    timer: (delay, then) => clock.timer(delay, then),
    socket: (url, handlers) => network.connect(url, handlers),
    fetch,
    streams: streamMaker(globalThis),
    storage: {
      get: async (key) => stored.get(key) ?? null,
      set: async (key, value) => void stored.set(key, value),
      remove: async (key) => void stored.delete(key),
    },
    onIdle: (then) => then(),
    onWake: (wake) => {
      network.wakers.add(wake);
      return () => network.wakers.delete(wake);
    },
  };
}
