/**
 * One room as this client is in it.
 *
 *     apart ──session──> joining ──join-room-ok──> joined
 *       ^                   └───────join-room-error──┴──> refused ──asked again──> joining
 *       └────── session lost: any
 *
 * What is shown is sent whole, at most every 50 ms, and the last one wins. Messages to topics wait
 * until the room is joined.
 */
import type { Environment } from '../client/environment.ts';
import { TriceError } from '../errors.ts';
import type { Message, PartSession } from '../session/part.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';
import {
  applyEdits,
  type Members,
  type Presence,
  presenceOf,
  type RoomContent,
} from './presence.ts';
import { type TopicListener, Topics } from './topics.ts';

/** What a client shows is sent no more often than this. */
const PRESENCE_MS = 50;

/** How long the others are shown after the connection was lost. */
const STALE_MS = 5_000;

/** When what the server could not take now is sent again, if it does not say. */
const RETRY_MS = 1_000;

const NOT_NOW = new Set(['rate-limited', 'overloaded', 'timeout']);

export class Room implements RoomContent {
  /** How often it was joined and not left. */
  joins = 0;
  own: Presence | undefined;
  readonly members: Members = new Map();
  isStale = false;
  readonly #type: string;
  readonly #id: string;
  readonly #environment: Environment;
  readonly #session: PartSession;
  readonly #observers = new Set<() => void>();
  readonly #topics = new Topics();
  #state: 'apart' | 'joining' | 'joined' | 'refused' = 'apart';
  #joinId: string | null = null;
  /** The server told who is here, since the room was joined. */
  #isTold = false;
  #sent: Presence | undefined;
  #sentAt = -PRESENCE_MS;
  /** What was refused last, by the op: the success of the next such one ends it. */
  #errors = new Map<string, TriceError>();
  #cancelSend: (() => void) | null = null;
  #cancelJoin: () => void = () => {};
  #cancelStale: () => void = () => {};

  constructor(type: string, id: string, environment: Environment, session: PartSession) {
    this.#type = type;
    this.#id = id;
    this.#environment = environment;
    this.#session = session;
  }

  get sessionId(): string | null {
    return this.#session.id;
  }

  get isLoading(): boolean {
    return !this.#isTold && !this.isStale && this.#state !== 'refused';
  }

  get error(): TriceError | undefined {
    const { value } = this.#errors.values().next();
    return value;
  }

  observe(tell: () => void): () => void {
    this.#observers.add(tell);
    return () => this.#observers.delete(tell);
  }

  /** Enters the room, if there is a session and it is not in it. */
  join(): void {
    if (this.#state === 'joining' || this.#state === 'joined') return;
    this.#cancelJoin();
    const { own } = this;
    this.#joinId = this.#session.send('join-room', {
      'room-type': this.#type,
      'room-id': this.#id,
      ...(own ? { data: own } : {}),
    });
    if (this.#joinId === null) return;
    this.#state = 'joining';
    this.#sent = own;
    this.#sentAt = this.#environment.now();
  }

  leave(): void {
    this.#stop();
    this.#cancelStale();
    this.#session.send('leave-room', { 'room-id': this.#id });
  }

  /** The session is gone, and its membership with it. */
  lost(): void {
    this.#stop();
    this.#errors.clear();
    if (this.#isTold) {
      // The next session has another id, and would take this one for a peer.
      if (this.sessionId !== null) this.members.delete(this.sessionId);
      this.isStale = true;
      this.#cancelStale = this.#environment.timer(STALE_MS, () => this.forget());
    }
    this.#isTold = false;
    this.#tell();
  }

  /** Shows none of the others any more, until the server tells of them. */
  forget(): void {
    this.#cancelStale();
    this.isStale = false;
    this.members.clear();
    this.#tell();
  }

  // --- what the app does ------------------------------------------------------------------------

  /** Shows some fields; `undefined` takes one away. */
  publish(fields: Presence): void {
    const all = Object.entries({ ...this.own, ...fields });
    const own = Object.freeze(Object.fromEntries(all.filter(([, value]) => value !== undefined)));
    if (this.own && isEqual(own, this.own)) return;
    this.own = own;
    this.#tell();
    this.#sendSoon(this.#sentAt + PRESENCE_MS - this.#environment.now());
  }

  publishTopic(topic: string, data: unknown): void {
    if (this.#state === 'joined') return this.#broadcast(topic, data);
    const error = this.#topics.wait(topic, data);
    if (error) this.#failed('client-broadcast', error);
  }

  listen(topic: string, listener: TopicListener): () => void {
    return this.#topics.listen(topic, listener);
  }

  // --- what the server says ---------------------------------------------------------------------

  receive(message: Message): void {
    const eventId = message['client-event-id'];
    switch (message.op) {
      case 'join-room-ok':
        return eventId === this.#joinId ? this.#joined() : undefined;
      case 'join-room-error':
        // Without an event id: a member lost its right.
        return !eventId || eventId === this.#joinId ? this.#refused(message.error) : undefined;
      case 'refresh-presence':
        return this.#refresh(isObject(message.data) ? message.data : {});
      case 'patch-presence':
        if (!this.#isTold || !Array.isArray(message.edits)) return;
        applyEdits(this.members, message.edits);
        return this.#tell();
      case 'server-broadcast':
        return this.#heard(message);
      case 'set-presence-ok':
      case 'client-broadcast-ok':
        return this.#errors.delete(message.op.slice(0, -3)) ? this.#tell() : undefined;
      case 'error':
        return this.#erred(message);
    }
  }

  #joined(): void {
    this.#state = 'joined';
    this.#errors.delete('join-room');
    if (!isEqual(this.own, this.#sent)) this.#sendSoon(0);
    for (const { topic, data } of this.#topics.take()) this.#broadcast(topic, data);
  }

  #refused(error: unknown): void {
    this.#stop();
    this.#state = 'refused';
    const message = typeof error === 'string' ? error : 'The room cannot be entered.';
    this.#errors.set('join-room', new TriceError({ code: 'permission-denied', message }));
    this.#isTold = false;
    this.forget();
  }

  #refresh(members: Record<string, unknown>): void {
    if (this.#state === 'refused') return;
    this.#cancelStale();
    this.isStale = false;
    this.#isTold = true;
    const before = new Map(this.members);
    this.members.clear();
    for (const [id, member] of Object.entries(members)) {
      const known = before.get(id);
      // Who shows the same is the same object, so that views keep what they made of it.
      this.members.set(id, isEqual(known, member) ? known : member);
    }
    this.#tell();
  }

  #heard({ topic, data }: Message): void {
    if (!isObject(data)) return;
    const id = data['peer-id'] as string;
    const member = this.members.get(id);
    const peer = id === this.sessionId ? this.own : member && presenceOf(member);
    this.#topics.tell(topic as string, data.data, peer);
  }

  #erred(message: Message): void {
    const error = TriceError.of(message);
    const { op } = message['original-event'] as { op: string };
    const after = error.hint?.['retry-after'];
    const waitMs = typeof after === 'number' ? after : RETRY_MS;
    if (op === 'join-room') {
      if (message['client-event-id'] !== this.#joinId) return;
      this.#stop();
      this.#state = 'refused';
      if (NOT_NOW.has(error.code))
        this.#cancelJoin = this.#environment.timer(waitMs, () => this.join());
    } else if (op === 'set-presence' && NOT_NOW.has(error.code)) this.#sendSoon(waitMs);
    this.#failed(op, error);
  }

  // --- sending ----------------------------------------------------------------------------------

  #sendSoon(waitMs: number): void {
    if (this.#state !== 'joined' || this.#cancelSend) return;
    if (waitMs > 0) this.#cancelSend = this.#environment.timer(waitMs, () => this.#send());
    else this.#send();
  }

  #send(): void {
    this.#cancelSend = null;
    this.#sent = this.own;
    this.#sentAt = this.#environment.now();
    this.#session.send('set-presence', { 'room-id': this.#id, data: this.own ?? {} });
  }

  #broadcast(topic: string, data: unknown): void {
    const room = { 'room-id': this.#id, roomType: this.#type };
    this.#session.send('client-broadcast', { ...room, topic, data });
  }

  /** Not in the room any more; nothing of this membership is under way. */
  #stop(): void {
    this.#state = 'apart';
    this.#joinId = null;
    this.#cancelSend?.();
    this.#cancelSend = null;
    this.#cancelJoin();
  }

  #failed(op: string, error: TriceError): void {
    this.#errors.set(op, error);
    this.#tell();
  }

  #tell(): void {
    for (const tell of [...this.#observers]) tell();
  }
}
