import type { DiskGuard } from '../client/disk.ts';
import type { Socket, SocketHandlers } from '../client/environment.ts';
import type { Later } from '../client/later.ts';
import type { Session } from '../client/session.ts';
import type { LockHandlers, TabSignals } from '../client/tab-platform.ts';
import type { Tabs } from '../client/tabs.ts';
import { FollowerDisk } from '../persistence/follower-disk.ts';
import { FollowedQueue } from './followed-queue.ts';
import type { Hub } from './hub.ts';
import { ownSession } from './own-session.ts';
import { speakOn } from './part-line.ts';
import { TabTalk } from './talk.ts';

const EPOCH_DIGITS = 15;

/** The row of `meta` that names the tab that writes. Tabs of other versions have another. */
const WRITER_KEY = 'writer:1';

/**
 * After so long a tab that writes cannot tell any more whether it still does: it may have been
 * frozen meanwhile. Another tab takes its place after 5 s at the earliest.
 */
const CERTAIN_MS = 1_000;

/** What a tab is among the others of its user: goes from one role to the next. */
export class TabLife {
  /** Of the newest leader that was heard of: they sort by time. */
  epoch = '';
  readonly #tabs: Tabs;
  readonly #signals: TabSignals;
  readonly #talk: TabTalk;
  readonly #stopListening: (() => void)[];
  #own: Session | null = null;

  constructor(tabs: Tabs, code: Later) {
    const { environment } = tabs.engine;
    this.#tabs = tabs;
    this.#signals = environment.tabs!.signals(code);
    this.#talk = new TabTalk(tabs, this, this.#signals);
    this.#stopListening = [
      this.#signals.onFreeze(() => this.#suspend()),
      this.#signals.onResume(() => {
        if (tabs.role === 'none') tabs.join(tabs.user);
      }),
    ];
  }

  /** As leader. */
  get hub(): Hub | null {
    return this.#talk.hub;
  }

  /**
   * Whether writes may be sent now. While that is not certain it is found out, and the session is
   * asked again: a tab that was frozen must not send what another has been told was refused.
   */
  get maySend(): boolean {
    const { environment, persistence } = this.#tabs.engine;
    const { writer } = persistence;
    if (!writer?.isTaking || environment.now() - writer.certainAt < CERTAIN_MS) return true;
    writer.ask();
    return false;
  }

  /** Names this tab as the one that writes, until another does. */
  guard(): DiskGuard {
    const { environment } = this.#tabs.engine;
    const number = Math.max(environment.now(), Number(this.epoch.slice(0, EPOCH_DIGITS)) + 1);
    this.epoch = `${String(number).padStart(EPOCH_DIGITS, '0')}:${environment.id()}`;
    return { key: WRITER_KEY, value: this.epoch };
  }

  /** This tab leads now. */
  leads(): void {
    const { persistence, session } = this.#tabs.engine;
    const { writer } = persistence;
    // It began before this code was here.
    if (writer && !writer.guard) writer.guardBy(this.guard());
    else if (!writer) this.guard();
    // Rooms that began beside a leader stay there.
    if (!this.#own) speakOn(this.#tabs, session);
    this.#talk.leads();
  }

  /** Another tab leads: this one goes by it, and waits to take its place. */
  follow(run: number): void {
    const tabs = this.#tabs;
    const { persistence, queue, session, users } = tabs.engine;
    tabs.role = 'follower';
    const followed = this.#disown();
    const granted = () => void this.#promote(run);
    this.#lock('wait', { granted });
    this.#talk.follow(followed, () => this.#lock('steal', { granted }));
    speakOn(tabs, () => (this.#own ??= ownSession(tabs.own)));
    void persistence
      .open(tabs.user, undefined, (options) => new FollowerDisk(options))
      .then(() => {
        if (run !== tabs.run) return;
        users.isStarting = false;
        session.start();
      });
    // Only the leader says what is saved.
    queue.isDurable = true;
  }

  /** Opens a session with the leader; null: this tab connects itself. */
  socket(handlers: SocketHandlers): Socket | null {
    return this.#talk.socket(handlers);
  }

  /** Another tab has the lock, or writes. */
  rejoin(): void {
    const tabs = this.#tabs;
    if (tabs.role === 'none') return;
    this.#suspend();
    tabs.join(tabs.user);
  }

  /** The user is another. */
  forget(): void {
    this.#talk.stop();
    this.#talk.forget();
    speakOn(this.#tabs, null);
    this.#own?.stop();
    for (const stop of this.#stopListening) stop();
  }

  /** Leaves everything to others until it joins again. What waits here is given to them. */
  #suspend(): void {
    const tabs = this.#tabs;
    const { persistence, session, uploads } = tabs.engine;
    if (tabs.role === 'none') return;
    const { letGo } = tabs;
    tabs.run++;
    tabs.role = 'none';
    this.#talk.stop();
    uploads.suspend();
    this.#disown();
    if (!this.#own) speakOn(tabs, null);
    session.stop();
    void persistence.leave('keep');
    letGo();
  }

  /** Asks for the user's lock, instead of what was asked for or is held before. */
  #lock(how: 'wait' | 'steal', handlers: Pick<LockHandlers, 'granted'>): void {
    const tabs = this.#tabs;
    tabs.letGo();
    const stolen = () => tabs.rejoin();
    tabs.letGo = tabs.engine.environment.tabs!.lock(tabs.name, how, { ...handlers, stolen });
  }

  /** Writes are another's from now on. */
  #disown(): FollowedQueue {
    const { queue } = this.#tabs.engine;
    if (queue.owner instanceof FollowedQueue) return queue.owner;
    const followed = new FollowedQueue(queue, (wish) => this.#talk.ask(wish));
    queue.owner = followed;
    return followed;
  }

  /** The leader is gone, or was robbed of its lock. */
  async #promote(before: number): Promise<void> {
    const tabs = this.#tabs;
    if (before !== tabs.run) return;
    const run = ++tabs.run;
    this.#talk.stop();
    tabs.role = 'leading';
    const { persistence, session } = tabs.engine;
    session.stop();
    await persistence.leave('keep');
    if (run === tabs.run) await tabs.open(run);
  }
}
