/**
 * Which tab of a user connects, and owns the database and the queue.
 *
 *     none ──lock free──> leading ──database open──> leader
 *       ^  ──lock held──> follower ──leader gone, or silent: stolen──> leading
 *       └── user changed, frozen, lock stolen, another tab writes ── any
 *
 * Without locks or channels every tab is `alone`. Here is what a tab needs that finds the lock
 * free; what it tells others, and all that a follower does, is in tabs/ and comes later. Until then
 * a tab that leads is not heard, and one that finds the lock held waits: it does not connect, and
 * what is written in it is not told as saved.
 */
import type { TabLife } from '../tabs/life.ts';
import type { Engine } from './engine.ts';
import type { Later } from './later.ts';
import type { SessionOptions } from './session-options.ts';

/** Tabs that speak differently, or write other rows, have other locks and channels. */
export const TAB_VERSION = 1;

export class Tabs {
  role: 'none' | 'alone' | 'leading' | 'leader' | 'follower' = 'none';
  readonly isOn: boolean;
  user: string | null = null;
  /** Counts changes of the role: what was begun before the last one has no effect. */
  run = 0;
  /** What it is among other tabs; null: its code is not here. */
  life: TabLife | null = null;
  /** Lets go of the user's lock, or asks for it no longer. */
  letGo: () => void = () => {};
  readonly engine: Engine;
  /** For a connection of the tab itself. */
  readonly own: SessionOptions;
  readonly #name: string;

  /** name  of the app at its server */
  constructor(engine: Engine, name: string, own: SessionOptions) {
    const { config, environment } = engine;
    this.engine = engine;
    this.own = own;
    this.#name = name;
    // The app's own token is for programs on a server.
    this.isOn = !!environment.tabs && config.tabs !== false && config.__adminToken === undefined;
  }

  /** Of the lock, and of the channel of all tabs. */
  get name(): string {
    return `${this.#name}:${this.user ?? 'anon'}:tabs${TAB_VERSION}`;
  }

  /** Opens what a user has, in the role that is free, and starts the session. */
  join(user: string | null): void {
    const run = ++this.run;
    const { environment, later, users } = this.engine;
    this.user = user;
    if (!this.isOn) return void this.open(run);
    this.letGo = environment.tabs!.lock(this.name, 'now', {
      granted: () => void this.open(run),
      refused: () =>
        later.call(
          (code) => {
            if (run === this.run) this.#lifeOf(code).follow(run);
          },
          // Nothing is known here.
          () => (users.isStarting = false),
        ),
      stolen: () => this.rejoin(),
    });
  }

  /** No other tab connects: this one opens the database as the one that writes, and does. */
  async open(run: number): Promise<void> {
    const { later, persistence, queue, session, users } = this.engine;
    this.role = this.isOn ? 'leading' : 'alone';
    const guard = this.life?.guard();
    await persistence.open(this.user, guard);
    if (run !== this.run) return;
    queue.owner?.restore([]);
    users.isStarting = false;
    session.start();
    if (this.isOn) this.role = 'leader';
    if (later.part) this.came(later.part);
  }

  /** The code is here. */
  came(code: Later): void {
    if (this.role === 'leader') this.#lifeOf(code).leads();
  }

  /**
   * Lets go of the user's database and connection for others.
   *
   * left  settles once what this tab had to write is written
   */
  leave(left: Promise<void>): void {
    const { letGo } = this;
    void left.then(() => letGo());
    this.run++;
    this.role = 'none';
    this.life?.forget();
    this.life = null;
  }

  /** Another tab has the lock, or writes: this one was frozen. It follows from now on. */
  rejoin(): void {
    const { later, persistence, session } = this.engine;
    session.stop();
    void persistence.leave('keep');
    later.call((code) => {
      if (this.role !== 'none') this.#lifeOf(code).rejoin();
    });
  }

  #lifeOf(code: Later): TabLife {
    return (this.life ??= new code.TabLife(this, code));
  }
}
