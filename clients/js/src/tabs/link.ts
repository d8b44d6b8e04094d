import type { Socket, SocketHandlers } from '../client/environment.ts';
import type { QueueWish } from '../pending/queue.ts';
import type { Message } from '../session/part.ts';
import type { FollowedQueue } from './followed-queue.ts';
import { type Envelope, errorFrom, type FromFollower, type FromLeader } from './messages.ts';
import type { TabParts } from './parts.ts';
import { FollowerWrites } from './writes.ts';

/** What was said is asked for again after so long. */
const HELLO_MS = 1_000;

/** A leader of which nothing was heard for so long is asked whether it is there. */
const PATIENCE_MS = 3_000;

/** It has so long to answer. */
const ANSWER_MS = 2_000;

/** So many messages are heard before the leader is told. */
const HEARD_EVERY = 100;

export interface LinkParts extends TabParts {
  /** The queue of this tab, as the leader says. */
  readonly followed: FollowedQueue;
  /** Takes the place of a leader that does not answer. */
  steal(): void;
}

/**
 * A follower's end: finds the leader, gives it the writes that were made here, shows the writes of
 * all tabs, and carries sessions. A leader that does not answer is replaced.
 *
 *     seeking ──welcome──> linked ──another leads, unknown──> seeking
 *     both ──asked something, silence of 3 s──> asking ──2 s──> steal
 */
export class Link {
  readonly #parts: LinkParts;
  /** Who leads, and by which epoch; null: nobody is known. */
  #leader: { readonly tab: string; readonly epoch: string } | null = null;
  #epoch = '';
  #isLive = false;
  readonly #sessions = new Map<number, SocketHandlers>();
  #lastSession = 0;
  #wishes: QueueWish[] = [];
  #heard = 0;
  #cancelHello: () => void = () => {};
  #cancelPatience: (() => void) | null = null;
  readonly #writes: FollowerWrites;
  readonly #life: string;
  readonly #letGoOfLife: () => void;
  #isStopped = false;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#writes = new FollowerWrites(parts, (message) => this.#ask(message));
    // Another name each time: a frozen leader may hold the last one.
    this.#life = `${parts.lifeName}:${parts.environment.id()}`;
    this.#letGoOfLife = parts.environment.tabs!.lock(this.#life, 'wait', {
      granted: () => this.#hello(),
      stolen: () => {},
    });
  }

  /** Ends it. Returns wishes that no leader was told. */
  stop(): readonly QueueWish[] {
    this.#say({ op: 'bye' });
    this.#isStopped = true;
    this.#stopProgress();
    this.#writes.stop();
    this.#letGoOfLife();
    this.#cancelHello();
    this.#cancelPatience?.();
    return this.#wishes;
  }

  /** Opens a session with the leader, as with a server. */
  socket(handlers: SocketHandlers): Socket {
    const session = ++this.#lastSession;
    this.#sessions.set(session, handlers);
    if (this.#leader) void Promise.resolve().then(() => this.#open(session, handlers));
    return {
      send: (text) => {
        if (this.#sessions.has(session)) this.#ask({ op: 'frame', session, text });
      },
      close: () => {
        if (this.#sessions.delete(session)) this.#say({ op: 'close', session });
      },
    };
  }

  /** Asks the leader to retry, edit or drop a write, now or once there is one. */
  ask(wish: QueueWish): void {
    if (this.#leader) this.#ask({ op: 'wish', wish });
    else this.#wishes.push(wish);
  }

  receive(message: Message): void {
    const { from, epoch } = message as unknown as Envelope;
    if (this.#isStopped || epoch === undefined || epoch < this.#epoch) return;
    const said = message as unknown as Exclude<FromLeader, { op: 'stored' }>;
    if (said.op === 'dropped') return this.#writes.take([], []);
    this.#beAtEase();
    if (said.op === 'welcome') return this.#welcomed(from, epoch, said);
    if (said.op === 'lead' || said.op === 'unknown') {
      if (said.op === 'unknown' || this.#leader?.epoch !== epoch) this.#seek();
      return;
    }
    if (this.#leader?.epoch !== epoch) return;
    if (++this.#heard % HEARD_EVERY === 0) this.#say({ op: 'heard', count: HEARD_EVERY });
    this.#take(said);
  }

  #take(
    said: Exclude<FromLeader, { op: 'welcome' | 'lead' | 'unknown' | 'dropped' | 'stored' }>,
  ): void {
    switch (said.op) {
      case 'pong':
        return;
      case 'live':
        return this.#setLive(said.isLive);
      case 'queue':
        return this.#writes.take(said.changed, said.gone);
      case 'progress':
        return this.#progressed(said);
      case 'refused':
        return this.#writes.refused(said.id, errorFrom(said.error));
      case 'closed':
        return this.#close(said.session);
      case 'frame':
        this.#sessions.get(said.session)?.message(said.text);
        return;
      default:
        said satisfies never;
    }
  }

  #progressed({ id, state, sentBytes }: FromLeader & { readonly op: 'progress' }): void {
    const upload = this.#parts.uploads.find(id);
    if (!upload || upload.isOver) return;
    upload.report(state, { sentBytes, totalBytes: upload.progress.totalBytes });
  }

  /** Nobody sends what the leader sent. */
  #stopProgress(): void {
    const { followed, queue, uploads } = this.#parts;
    for (const entry of queue.entries) {
      const upload = entry.upload && !followed.isOwn(entry) ? uploads.find(entry.id) : undefined;
      if (upload?.state === 'sending') upload.report('queued', upload.progress);
    }
  }

  // --- the leader -------------------------------------------------------------------------------

  /** Asks who leads until somebody says so. */
  #hello(): void {
    if (this.#isStopped) return;
    this.#cancelHello();
    this.#parts.say(null, { op: 'hello', life: this.#life });
    this.#beImpatient();
    this.#cancelHello = this.#parts.environment.timer(HELLO_MS, () => this.#hello());
  }

  #seek(): void {
    this.#leader = null;
    this.#stopProgress();
    this.#writes.pause();
    this.#isLive = false;
    for (const session of [...this.#sessions.keys()]) this.#close(session);
    this.#hello();
  }

  #welcomed(
    tab: string,
    epoch: string,
    { isLive, entries }: FromLeader & { readonly op: 'welcome' },
  ): void {
    if (this.#leader) for (const session of [...this.#sessions.keys()]) this.#close(session);
    this.#cancelHello();
    this.#leader = { tab, epoch };
    this.#epoch = epoch;
    this.#heard = 0;
    this.#writes.start(entries);
    for (const wish of this.#wishes.splice(0)) this.#ask({ op: 'wish', wish });
    this.#setLive(isLive);
  }

  #setLive(isLive: boolean): void {
    this.#isLive = isLive;
    for (const [session, handlers] of [...this.#sessions]) {
      if (isLive) this.#open(session, handlers);
      else this.#close(session);
    }
    const { session } = this.#parts;
    if (isLive && !session.isAsleep) session.connection.wake();
  }

  #open(session: number, handlers: SocketHandlers): void {
    if (this.#sessions.get(session) !== handlers || !this.#leader) return;
    if (!this.#isLive) return this.#close(session);
    this.#ask({ op: 'open', session });
    handlers.opened();
  }

  #close(session: number): void {
    const handlers = this.#sessions.get(session);
    this.#sessions.delete(session);
    handlers?.closed(1006);
  }

  // --- patience ---------------------------------------------------------------------------------

  /** Something was said that the leader answers. */
  #beImpatient(): void {
    if (this.#cancelPatience === null) this.#wait(PATIENCE_MS, () => this.#ping());
  }

  #beAtEase(): void {
    this.#cancelPatience?.();
    this.#cancelPatience = null;
  }

  #ping(): void {
    if (this.#leader) this.#say({ op: 'ping' });
    else this.#parts.say(null, { op: 'hello', life: this.#life });
    this.#wait(ANSWER_MS, () => this.#parts.steal());
  }

  /** A timer that is late says that this tab slept: the leader may have, too. */
  #wait(delayMs: number, then: () => void): void {
    const { environment } = this.#parts;
    const dueAt = environment.now() + delayMs;
    this.#cancelPatience = environment.timer(delayMs, () => {
      if (environment.now() > dueAt + delayMs) this.#wait(delayMs, then);
      else then();
    });
  }

  // --- messages ---------------------------------------------------------------------------------

  /** Says what the leader answers. */
  #ask(message: FromFollower): void {
    this.#beImpatient();
    this.#say(message);
  }

  #say(message: FromFollower): void {
    if (this.#leader) this.#parts.say(this.#leader.tab, { ...message, epoch: this.#leader.epoch });
  }
}
