import { TriceError } from '../errors.ts';
import type { Entry } from '../pending/entry.ts';
import type { Message } from '../session/part.ts';
import type { Answer, News } from '../store/answer.ts';
import { GivenFiles } from './given-files.ts';
import { HubSession } from './hub-session.ts';
import {
  type Envelope,
  type FromFollower,
  type FromLeader,
  type StoredUpload,
  wireEntry,
  wireError,
} from './messages.ts';
import type { TabParts } from './parts.ts';
import { grant } from './wishes.ts';

/** A follower that has heard none of so many messages is told nothing more: it is frozen. */
const UNHEARD_MAX = 1_000;

interface Follower {
  readonly tab: string;
  readonly sessions: Map<number, HubSession>;
  /** Messages that it has not said to have heard. */
  unheard: number;
  /** Ends the wait for its end. */
  stopWaiting: () => void;
}

/**
 * The leader's end of other tabs: speaks sessions to them, saves and sends their writes, and tells
 * them of all writes. It holds who they are; queue, answers and connection are the client's.
 */
export class Hub {
  readonly #parts: TabParts;
  readonly #epoch: string;
  readonly #followers = new Map<string, Follower>();
  /** Writes as followers know them. */
  readonly #told = new Map<string, Entry>();
  readonly #files: GivenFiles;
  readonly #stopObserving: () => void;
  #isLive = false;

  constructor(parts: TabParts & { readonly epoch: string }) {
    this.#parts = parts;
    this.#epoch = parts.epoch;
    this.#isLive = this.#canOpen;
    this.#files = new GivenFiles(parts, (message) => {
      for (const follower of this.#followers.values()) this.#tell(follower, message);
    });
    this.#stopObserving = parts.queue.observe(() => this.#tellQueue());
    this.#tellQueue();
  }

  receive(message: Message): void {
    const { from, epoch } = message as unknown as Envelope;
    if (message.op === 'hello') return this.#welcome(from, message.life as string);
    const follower = this.#followers.get(from);
    if (epoch !== this.#epoch) return;
    if (follower === undefined) return this.#say(from, { op: 'unknown' });
    this.#take(follower, message as unknown as FromFollower);
  }

  landed(answer: Answer, news: News): void {
    for (const session of this.#sessions()) session.landed(answer, news);
  }

  /** A frame has landed, or the status of the connection is another. */
  changed(): void {
    this.#tellQueue();
    const isLive = this.#canOpen;
    if (isLive !== this.#isLive) {
      this.#isLive = isLive;
      for (const follower of this.#followers.values()) {
        if (!isLive) this.#closeSessions(follower);
        this.#tell(follower, { op: 'live', isLive });
      }
    }
    for (const session of this.#sessions()) session.flush();
  }

  stop(): void {
    this.#stopObserving();
    this.#files.stop();
    for (const follower of [...this.#followers.values()]) this.#forget(follower);
  }

  get hasFollowers(): boolean {
    return this.#followers.size > 0;
  }

  get #canOpen(): boolean {
    const { session } = this.#parts;
    return session.isLive || session.error !== null;
  }

  #welcome(tab: string, life: string): void {
    const before = this.#followers.get(tab);
    if (before) this.#forget(before);
    const follower: Follower = { tab, sessions: new Map(), unheard: 0, stopWaiting: () => {} };
    this.#followers.set(tab, follower);
    this.#parts.session.rouse();
    follower.stopWaiting = this.#parts.environment.tabs!.lock(life, 'wait', {
      granted: () => this.#forget(follower),
      stolen: () => {},
    });
    const entries = [...this.#told.values()].map((entry) => wireEntry(entry, undefined));
    this.#tell(follower, { op: 'welcome', isLive: this.#isLive, entries });
  }

  #take(follower: Follower, message: FromFollower): void {
    switch (message.op) {
      case 'ping':
        return this.#tell(follower, { op: 'pong' });
      case 'heard':
        follower.unheard -= message.count;
        return;
      case 'bye':
        return this.#forget(follower);
      case 'add':
        return this.#add(follower, message);
      case 'wish':
        return grant(this.#parts, message.wish);
      case 'open':
        return this.#open(follower, message.session);
      case 'close':
        follower.sessions.get(message.session)?.stop();
        follower.sessions.delete(message.session);
        return;
      case 'frame':
        follower.sessions.get(message.session)?.receive(JSON.parse(message.text) as Message);
        return;
      case 'hello':
        return;
      default:
        message satisfies never;
    }
  }

  #open(follower: Follower, session: number): void {
    if (!this.#isLive) return this.#tell(follower, { op: 'closed', session });
    const hubSession = new HubSession({
      ...this.#parts,
      send: (frame) => {
        if (follower.sessions.get(session) === hubSession)
          this.#tell(follower, { op: 'frame', session, text: JSON.stringify(frame) });
      },
    });
    follower.sessions.set(session, hubSession);
  }

  #closeSessions(follower: Follower): void {
    for (const [session, hubSession] of follower.sessions) {
      hubSession.stop();
      this.#tell(follower, { op: 'closed', session });
    }
    follower.sessions.clear();
  }

  #forget(follower: Follower): void {
    if (this.#followers.get(follower.tab) === follower) this.#followers.delete(follower.tab);
    follower.stopWaiting();
    for (const session of follower.sessions.values()) session.stop();
    follower.sessions.clear();
    // It may have gone before it could tell of a file.
    void this.#files.find();
  }

  *#sessions(): Iterable<HubSession> {
    for (const { sessions } of [...this.#followers.values()]) yield* sessions.values();
  }

  /** Adds a write of a follower. One that is known was added before: it asks again. */
  #add(follower: Follower, message: FromFollower & { readonly op: 'add' }): void {
    const { queue, session } = this.#parts;
    const { id, operations, call, label, createdAt: now, upload } = message;
    if (queue.get(id)) return;
    try {
      if (upload) queue.addUpload(id, upload, { isKeeping: true, now });
      else queue.add(id, operations, { label, call, now });
    } catch (error) {
      queue.undo(id);
      const failure = error instanceof TriceError ? wireError(error) : { message: String(error) };
      return this.#tell(follower, { op: 'refused', id, error: failure });
    }
    session.push();
  }

  /**
   * Tells what changed of writes. A refusal is told once it is on the disk: who was told of it must
   * not see the write go out again.
   */
  #tellQueue(): void {
    const { queue } = this.#parts;
    this.#files.watch();
    const changed = [];
    const stored: StoredUpload[] = [];
    const present = new Set<string>();
    for (const entry of queue.entries) {
      present.add(entry.id);
      const before = this.#told.get(entry.id);
      const isRefused = entry.state === 'rejected' || entry.state === 'uncertain';
      if (before === entry || (isRefused && !this.#isSaved(entry))) continue;
      changed.push(wireEntry(entry, before));
      this.#told.set(entry.id, entry);
      const { id, state, tx, upload } = entry;
      if (upload && state === 'acked') stored.push({ id, fileId: upload.fileId, tx });
    }
    const gone = [...this.#told.values()].filter(({ id }) => !present.has(id));
    for (const { id } of gone) this.#told.delete(id);
    const dropped = gone.flatMap(({ id, state }) => (state === 'acked' ? [] : id));
    // A tab that is between two leaders must not add it again.
    if (dropped.length > 0)
      this.#parts.say(null, { op: 'dropped', ids: dropped, epoch: this.#epoch });
    // Nor one that led before, and was frozen.
    if (stored.length > 0)
      this.#parts.say(null, { op: 'stored', uploads: stored, epoch: this.#epoch });
    if (changed.length === 0 && gone.length === 0) return;
    const message = { op: 'queue', changed, gone: gone.map(({ id }) => id) } as const;
    for (const follower of this.#followers.values()) this.#tell(follower, message);
  }

  /** Whether a write is on the disk as it is, or no disk takes it. */
  #isSaved(entry: Entry): boolean {
    const { persistence, queue } = this.#parts;
    const { writer } = persistence;
    return (
      !writer?.isTaking ||
      writer.pending.rows.get(entry.id)?.entry === entry ||
      !queue.savable.includes(entry)
    );
  }

  #tell(follower: Follower, message: FromLeader): void {
    if (++follower.unheard > UNHEARD_MAX) {
      this.#say(follower.tab, { op: 'unknown' });
      return this.#forget(follower);
    }
    this.#say(follower.tab, message);
  }

  #say(tab: string, message: FromLeader): void {
    this.#parts.say(tab, { ...message, epoch: this.#epoch });
  }
}
