import type { Peer, Presence, PresenceOptions, PresenceState } from '../rooms/presence.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { fetchLater } from './code.ts';
import type { Environment } from './environment.ts';
import { Lazy } from './lazy.ts';
import type { Tabs } from './tabs.ts';

/** A room that the app is in: what its members show each other, and tell each other. */
export interface RoomHandle<P extends object = Presence, T extends object = Record<string, any>> {
  /** Shows some fields to the others, and keeps the others; `undefined` takes one away. */
  publishPresence(fields: Partial<P>): void;
  /** What is shown now; null: it is not known yet. */
  getPresence(opts?: PresenceOptions<P>): PresenceState<P> | null;
  /** Calls `tell` with what is shown, at first and after each change. Returns what ends it. */
  subscribePresence(opts: PresenceOptions<P>, tell: (state: PresenceState<P>) => void): () => void;
  /** Tells the others something that is not kept. */
  publishTopic<K extends keyof T & string>(topic: K, data: T[K]): void;
  /** Calls `listener` with each message of the others. Returns what ends it. */
  subscribeTopic<K extends keyof T & string>(
    topic: K,
    listener: (event: T[K], peer: Peer<P> | undefined) => void,
  ): () => void;
  /** Leaves, once all who joined or subscribed have left. */
  leaveRoom(): void;
}

/** Rooms, whose code is fetched when the first one is joined. */
export class RoomsDoor {
  readonly timer: Environment['timer'];
  readonly #rooms: Lazy<Rooms>;

  constructor(environment: Environment, tabs: Tabs) {
    this.timer = (delayMs, then) => environment.timer(delayMs, then);
    this.#rooms = new Lazy(environment, async () => {
      const code = await fetchLater();
      const session = code.lineOf(tabs);
      const rooms = new code.Rooms(environment, session);
      session.add(rooms);
      return rooms;
    });
  }

  /** Somebody else is signed in. */
  forget(): void {
    this.#rooms.part?.forget();
  }

  /** A room, without entering it. */
  room<P extends object, T extends object>(
    type: string,
    id: string,
  ): Omit<RoomHandle<P, T>, 'leaveRoom'> {
    return {
      publishPresence: (fields) =>
        this.#rooms.call((rooms) => rooms.publishPresence(id, fields as Presence)),
      getPresence: (opts = {}) =>
        (this.#rooms.part?.presence(id, opts as PresenceOptions) as PresenceState<P>) ?? null,
      subscribePresence: (opts, tell) =>
        this.#rooms.subscribe((rooms) =>
          rooms.subscribePresence(
            type,
            id,
            opts as PresenceOptions,
            tell as (state: PresenceState) => void,
          ),
        ),
      publishTopic: (topic, data) =>
        this.#rooms.call((rooms) => rooms.publishTopic(id, topic, data)),
      subscribeTopic: (topic, listener) =>
        this.#rooms.subscribe((rooms) => rooms.subscribeTopic(type, id, topic, listener)),
    };
  }

  /** Enters a room. */
  join<P extends object, T extends object>(
    type: string,
    id: string,
    initial: Partial<P> | undefined,
  ): RoomHandle<P, T> {
    const leaveRoom = this.#rooms.subscribe((rooms) => rooms.join(type, id, initial as Presence));
    return { ...this.room<P, T>(type, id), leaveRoom };
  }
}
