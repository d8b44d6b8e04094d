/** Rooms of the simulation's server, by brute force: after each change all members are told it. */
import { isEqual } from '../../src/values/equal.ts';
import { isObject } from '../../src/values/json.ts';
import type { Random } from '../support/random.ts';

type Message = Record<string, unknown>;

/** One session, as rooms know it. */
export interface Member {
  readonly id: string;
  send(message: Message): void;
}

type Shown = Record<string, { 'peer-id': string; user: null; data: Record<string, unknown> }>;

interface Room {
  readonly members: Map<Member, Record<string, unknown>>;
}

export class Rooms {
  readonly #random: Random;
  readonly #rooms = new Map<string, Room>();
  /** Each message to a topic, in the order in which the server had them. */
  readonly heard: unknown[] = [];
  /** What joins are answered with instead, while a test wants that. */
  refuseJoins: string | null = null;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What the members of a room show, by session id. */
  shown(id: string): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this.#state(id)).map(([session, { data }]) => [session, data]),
    );
  }

  /** Carries out a message about rooms; false: it is about something else. */
  receive(member: Member, message: Message): boolean {
    const id = message['room-id'] as string;
    const about = { 'room-id': id, 'client-event-id': message['client-event-id'] };
    switch (message.op) {
      case 'join-room':
        this.#join(member, message, about);
        return true;
      case 'leave-room':
        this.#change(id, () => this.#rooms.get(id)?.members.delete(member));
        member.send({ op: 'leave-room-ok', ...about });
        return true;
      case 'set-presence':
        if (this.#isIn(member, message)) {
          const data = message.data as Record<string, unknown>;
          this.#change(id, () => this.#rooms.get(id)!.members.set(member, data));
          member.send({ op: 'set-presence-ok', ...about });
        }
        return true;
      case 'client-broadcast':
        if (this.#isIn(member, message)) this.#broadcast(member, message, about);
        return true;
      default:
        return false;
    }
  }

  /** A session ended. */
  left(member: Member): void {
    for (const id of this.#rooms.keys())
      this.#change(id, () => this.#rooms.get(id)!.members.delete(member));
  }

  /** A member loses its right to be in a room. */
  expel(id: string, session: string): void {
    const member = [...this.#rooms.get(id)!.members.keys()].find((one) => one.id === session)!;
    this.#change(id, () => this.#rooms.get(id)!.members.delete(member));
    this.#refuse(member, { 'room-id': id, 'client-event-id': null }, 'You may not stay.');
  }

  #join(member: Member, message: Message, about: Message): void {
    const id = message['room-id'] as string;
    if (this.refuseJoins !== null) return this.#refuse(member, about, this.refuseJoins);
    const room = this.#rooms.get(id) ?? { members: new Map() };
    this.#rooms.set(id, room);
    member.send({ op: 'join-room-ok', ...about });
    if (room.members.has(member)) return;
    const data = (message.data ?? {}) as Record<string, unknown>;
    this.#change(id, () => room.members.set(member, data), member);
    member.send({ op: 'refresh-presence', 'room-id': id, data: this.#state(id) });
  }

  #refuse(member: Member, about: Message, error: string): void {
    member.send({ op: 'join-room-error', ...about, error });
    member.send({ op: 'refresh-presence', 'room-id': about['room-id'], data: {} });
  }

  #isIn(member: Member, message: Message): boolean {
    if (this.#rooms.get(message['room-id'] as string)?.members.has(member)) return true;
    const text = 'You have not entered this room yet.';
    const id = message['client-event-id'];
    const error = { op: 'error', type: 'validation-failed', message: text };
    member.send({ ...error, 'client-event-id': id, 'original-event': message });
    return false;
  }

  #broadcast(member: Member, { topic, data, ...message }: Message, about: Message): void {
    const id = message['room-id'] as string;
    this.heard.push(data);
    const told = { 'room-id': id, topic, data: { 'peer-id': member.id, user: null, data } };
    for (const other of this.#rooms.get(id)!.members.keys())
      if (other !== member) other.send({ op: 'server-broadcast', ...told });
    member.send({ op: 'client-broadcast-ok', ...about, topic, data: told.data });
  }

  /** Changes a room, and tells all members but one: by edits, or now and then in full. */
  #change(id: string, change: () => unknown, newcomer?: Member): void {
    const before = this.#state(id);
    change();
    const after = this.#state(id);
    if (isEqual(before, after)) return;
    const isFull = this.#random.chance(0.2);
    const message = isFull
      ? { op: 'refresh-presence', 'room-id': id, data: after }
      : { op: 'patch-presence', 'room-id': id, edits: [...editsOf(before, after, [])] };
    for (const member of this.#rooms.get(id)?.members.keys() ?? [])
      if (member !== newcomer) member.send(message);
  }

  #state(id: string): Shown {
    const members = this.#rooms.get(id)?.members ?? new Map<Member, Record<string, unknown>>();
    const entries = [...members].map(([{ id: session }, data]) => [
      session,
      { 'peer-id': session, user: null, data },
    ]);
    return Object.fromEntries(entries) as Shown;
  }
}

type Edit = [path: (string | number)[], op: string, value?: unknown];

/** Edits that lead from one value to another, objects and arrays key by key. */
function* editsOf(before: unknown, after: unknown, path: (string | number)[]): Generator<Edit> {
  if (Array.isArray(before) && Array.isArray(after)) {
    const shared = Math.min(before.length, after.length);
    for (let n = 0; n < shared; n++) yield* editsOf(before[n], after[n], [...path, n]);
    for (let n = before.length - 1; n >= shared; n--) yield [[...path, n], '-'];
    for (let n = shared; n < after.length; n++) yield [[...path, n], '+', after[n]];
  } else if (isObject(before) && isObject(after)) {
    for (const key of Object.keys(before)) if (!(key in after)) yield [[...path, key], '-'];
    for (const [key, value] of Object.entries(after)) {
      if (key in before) yield* editsOf(before[key], value, [...path, key]);
      else yield [[...path, key], '+', value];
    }
  } else if (!isEqual(before, after)) yield [path, 'r', after];
}
