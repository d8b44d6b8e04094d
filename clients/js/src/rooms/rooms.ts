import type { Environment } from '../client/environment.ts';
import type { Message, Part, PartSession } from '../session/part.ts';
import { isObject } from '../values/json.ts';
import {
  type Presence,
  type PresenceOptions,
  type PresenceState,
  PresenceView,
} from './presence.ts';
import { Room } from './room.ts';
import type { TopicListener } from './topics.ts';

const OPS = [
  'join-room',
  'join-room-ok',
  'join-room-error',
  'leave-room',
  'set-presence',
  'set-presence-ok',
  'refresh-presence',
  'patch-presence',
  'client-broadcast',
  'client-broadcast-ok',
  'server-broadcast',
];

/**
 * The rooms that the app is in, by id. A room is left when all who joined it have left, a task
 * later: a component that goes and comes back at once (StrictMode) is not seen to leave.
 */
export class Rooms implements Part {
  readonly handlers: Part['handlers'];
  readonly #environment: Environment;
  readonly #session: PartSession;
  readonly #rooms = new Map<string, Room>();

  constructor(environment: Environment, session: PartSession) {
    this.#environment = environment;
    this.#session = session;
    const take = (message: Message) => this.#take(message);
    this.handlers = Object.fromEntries(OPS.map((op) => [op, take]));
  }

  /** Whether the app is in no room: else the others would see it leave. */
  get isIdle(): boolean {
    return this.#rooms.size === 0;
  }

  live(): void {
    for (const room of this.#rooms.values()) room.join();
  }

  lost(): void {
    for (const room of this.#rooms.values()) room.lost();
  }

  /** Somebody else is signed in: what the others showed to the one before is not shown. */
  forget(): void {
    for (const room of this.#rooms.values()) room.forget();
  }

  /** Enters a room. Returns what leaves it. */
  join(type: string, id: string, initial?: Presence): () => void {
    let room = this.#rooms.get(id);
    if (room === undefined) {
      room = new Room(type, id, this.#environment, this.#session);
      this.#rooms.set(id, room);
    }
    room.joins++;
    if (initial && room.own === undefined) room.publish(initial);
    room.join();
    return once(() => this.#leave(id, room));
  }

  /** Calls `tell` with what is shown, now and after each change. Returns what ends it. */
  subscribePresence(
    type: string,
    id: string,
    options: PresenceOptions,
    tell: (state: PresenceState) => void,
  ): () => void {
    const leave = this.join(type, id, options.initialPresence as Presence | undefined);
    const room = this.#rooms.get(id)!;
    const view = new PresenceView(options);
    let shown = view.of(room);
    const stop = room.observe(() => {
      const state = view.of(room);
      if (state === shown) return;
      shown = state;
      tell(state);
    });
    tell(shown);
    return once(() => {
      stop();
      leave();
    });
  }

  /** What is shown now; null: the app is not in the room. */
  presence(id: string, options: PresenceOptions): PresenceState | null {
    const room = this.#rooms.get(id);
    return room ? new PresenceView(options).of(room) : null;
  }

  publishPresence(id: string, fields: Presence): void {
    this.#rooms.get(id)?.publish(fields);
  }

  publishTopic(id: string, topic: string, data: unknown): void {
    this.#rooms.get(id)?.publishTopic(topic, data);
  }

  /** Calls `listener` with each message of the others. Returns what ends it. */
  subscribeTopic(type: string, id: string, topic: string, listener: TopicListener): () => void {
    const leave = this.join(type, id);
    const stop = this.#rooms.get(id)!.listen(topic, listener);
    return once(() => {
      stop();
      leave();
    });
  }

  #leave(id: string, room: Room): void {
    if (--room.joins > 0) return;
    this.#environment.timer(0, () => {
      if (room.joins > 0 || this.#rooms.get(id) !== room) return;
      this.#rooms.delete(id);
      room.leave();
    });
  }

  #take(message: Message): void {
    const about = message.op === 'error' ? message['original-event'] : message;
    if (isObject(about)) this.#rooms.get(about['room-id'] as string)?.receive(message);
  }
}

function once(then: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    then();
  };
}
