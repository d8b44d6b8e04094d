import type { Socket, SocketHandlers } from '../client/environment.ts';
import type { TabChannel, TabSignals } from '../client/tab-platform.ts';
import { TAB_VERSION, type Tabs } from '../client/tabs.ts';
import type { QueueWish } from '../pending/queue.ts';
import { stored } from '../pending/upload-changes.ts';
import { isObject } from '../values/json.ts';
import type { FollowedQueue } from './followed-queue.ts';
import { Hub } from './hub.ts';
import type { TabLife } from './life.ts';
import { Link } from './link.ts';
import type { StoredUpload } from './messages.ts';
import { grant } from './wishes.ts';

/** Ids of dropped writes that are remembered. */
const DROPPED_MAX = 1_000;

/** What a tab says to the others of its user, and hears from them, in whichever role. */
export class TabTalk {
  /** As leader. */
  hub: Hub | null = null;
  /** As follower. */
  #link: Link | null = null;
  readonly #tabs: Tabs;
  readonly #life: TabLife;
  readonly #signals: TabSignals;
  /** This tab, among all that ever were. */
  readonly #id: string;
  readonly #name: string;
  /** To all tabs, and to this one. */
  readonly #ears: readonly TabChannel[];
  readonly #channels = new Map<string, TabChannel>();
  readonly #dropped = new Set<string>();
  #wishes: QueueWish[] = [];

  constructor(tabs: Tabs, life: TabLife, signals: TabSignals) {
    const id = tabs.engine.environment.id();
    this.#life = life;
    this.#tabs = tabs;
    this.#signals = signals;
    this.#id = id;
    const { name } = tabs;
    this.#name = name;
    this.#ears = [name, `${name}:${id}`].map((channel) =>
      signals.channel(channel, (text) => this.#heard(text)),
    );
  }

  /** Finds the leader. steal  takes the place of one that does not answer */
  follow(followed: FollowedQueue, steal: () => void): void {
    this.#link = new Link({ ...this.#parts(), followed, steal });
    for (const wish of this.#wishes.splice(0)) this.#link.ask(wish);
  }

  /** This tab leads now. */
  leads(): void {
    // Others that followed the one before, or are frozen, are told.
    this.#say(null, { op: 'lead', epoch: this.#life.epoch });
    // Tabs that are frozen are told of what is dropped, too.
    this.#makeHub();
    for (const wish of this.#wishes.splice(0)) grant(this.#parts(), wish);
  }

  /** Decides on a write, now or once there is a leader. */
  ask(wish: QueueWish): void {
    if (this.#link) this.#link.ask(wish);
    else if (this.hub) grant(this.#parts(), wish);
    else this.#wishes.push(wish);
  }

  socket(handlers: SocketHandlers): Socket | null {
    return this.#link?.socket(handlers) ?? null;
  }

  /** The role ends. */
  stop(): void {
    this.hub?.stop();
    this.hub = null;
    this.#wishes.push(...(this.#link?.stop() ?? []));
    this.#link = null;
  }

  /** The user is another. */
  forget(): void {
    for (const channel of [...this.#ears, ...this.#channels.values()]) channel.close();
  }

  #heard(text: string): void {
    const tabs = this.#tabs;
    const life = this.#life;
    const message: unknown = JSON.parse(text);
    if (!isObject(message) || message.user !== tabs.user || message.v !== TAB_VERSION) return;
    const { from, epoch, op } = message;
    if (typeof from !== 'string') return;
    if (op === 'dropped') this.#noteDropped(message.ids as readonly string[]);
    const isLeading = tabs.role === 'leader' || tabs.role === 'leading';
    const isReplaced = isLeading && typeof epoch === 'string' && epoch > life.epoch;
    if (typeof epoch === 'string' && epoch > life.epoch) {
      life.epoch = epoch;
      // Whoever leads by an older epoch was frozen while this one took its place.
      if (isLeading) tabs.rejoin();
    }
    if (op === 'stored') return this.#takeStored(message.uploads as readonly StoredUpload[]);
    if (isReplaced) return;
    if (this.#link) return this.#link.receive(message);
    if (!isLeading) return;
    if (op === 'lead') return this.#say(null, { op: 'lead', epoch: life.epoch });
    // While its database is being opened it says that it is there.
    if (tabs.role === 'leading') return this.#say(from, { op: 'pong', epoch: life.epoch });
    this.#makeHub();
    this.hub?.receive(message);
  }

  #makeHub(): void {
    this.hub ??= new Hub({ ...this.#parts(), epoch: this.#life.epoch });
  }

  #noteDropped(ids: readonly string[]): void {
    for (const id of ids) this.#dropped.add(id);
    for (const id of this.#dropped) {
      if (this.#dropped.size <= DROPPED_MAX) break;
      this.#dropped.delete(id);
    }
  }

  /** Whoever has them must not send them again. */
  #takeStored(uploads: readonly StoredUpload[]): void {
    const { environment, queue } = this.#tabs.engine;
    for (const { id, fileId, tx } of uploads) stored(queue, id, fileId, tx, environment.now());
  }

  #parts() {
    const { engine } = this.#tabs;
    const { environment, persistence, queries, queue, session, store, uploads } = engine;
    return {
      ...{ environment, persistence, queries, queue, session, store, uploads },
      tab: this.#id,
      dropped: this.#dropped,
      lifeName: `${this.#name}:${this.#id}:life`,
      say: (to: string | null, message: object) => this.#say(to, message),
    };
  }

  #say(to: string | null, message: object): void {
    const text = JSON.stringify({
      ...{ v: TAB_VERSION, user: this.#tabs.user, from: this.#id },
      ...message,
    });
    if (to === null) return this.#ears[0]!.send(text);
    let channel = this.#channels.get(to);
    if (channel === undefined) {
      channel = this.#signals.channel(`${this.#name}:${to}`, () => {});
      this.#channels.set(to, channel);
    }
    channel.send(text);
  }
}
