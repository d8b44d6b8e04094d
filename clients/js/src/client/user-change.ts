import type { Queue } from '../pending/queue.ts';
import type { Store } from '../store/store.ts';
import type { Environment } from './environment.ts';
import type { Later } from './later.ts';
import type { Lazy } from './lazy.ts';
import type { Persistence } from './persistence.ts';
import type { Queries } from './queries.ts';
import type { RoomsDoor } from './rooms.ts';
import type { Session } from './session.ts';
import type { Tabs } from './tabs.ts';
import type { Uploads } from './uploads.ts';
import type { CurrentUser } from './user.ts';

/** How long signing out waits for writes to leave. */
const FLUSH_MS = 3_000;

export interface UserChangeDeps {
  readonly environment: Environment;
  readonly user: CurrentUser;
  readonly store: Store;
  readonly queue: Queue;
  readonly session: Session;
  readonly persistence: Persistence;
  readonly rooms: RoomsDoor;
  readonly tabs: Tabs;
  readonly queries: Queries;
  readonly uploads: Uploads;
  readonly later: Lazy<Later>;
}

/**
 * Goes over from one user to the next: leaves the session and the database of the one before, and
 * connects as the other, with what an earlier start of theirs kept.
 */
export class UserChange {
  /** Nobody is connected yet. */
  isStarting = true;
  readonly #deps: UserChangeDeps;
  /** What becomes of the current user's database when another takes their place. */
  #leaving: 'keep' | 'end' | 'wipe' = 'keep';
  /** Settles once the database of the user before is left. */
  #left: Promise<void> = Promise.resolve();
  #switches = 0;
  #isEnded = false;

  constructor(deps: UserChangeDeps) {
    this.#deps = deps;
  }

  /** Connects as who was signed in at the last start, or as who `arrive` signs in. */
  async start(arrive: () => Promise<unknown>): Promise<void> {
    await this.#deps.user.load(arrive);
    // A user who signed in meanwhile has started it.
    if (this.#switches === 0) this.#connect(0);
  }

  /** Nobody is connected any more. */
  end(): void {
    this.#isEnded = true;
  }

  /**
   * Another user, or nobody, is signed in.
   *
   * isSignedOut  in another tab, which dropped what waited
   */
  changed(isSignedOut: boolean): void {
    const { persistence, queries, queue, rooms, session, store, tabs } = this.#deps;
    queries.hydrated?.forget();
    const how = this.#leaving;
    this.#leaving = 'keep';
    this.#deps.uploads.leave();
    if (isSignedOut) queue.clear();
    if (!persistence.isOn && !tabs.isOn) {
      queue.clear();
      store.clear();
      session.restart();
      return rooms.forget();
    }
    session.stop();
    this.#left = persistence.leave(how);
    tabs.leave(this.#left);
    const tellKept = queue.release();
    store.clear();
    session.restore(undefined, 0);
    rooms.forget();
    const run = ++this.#switches;
    void this.#left.then(() => {
      tellKept();
      if (run === this.#switches) this.#connect(run);
    });
  }

  /** The server ended the user's session: what waits is kept until they are back. */
  tokenRefused(): void {
    this.#leaving = 'end';
    void this.#deps.user.change(null, true);
  }

  /** Signs out here, after writes that wait had a while to leave; `dropped` have not. */
  async signOut(): Promise<{ dropped: number }> {
    const { environment, later, queue, session } = this.#deps;
    if (queue.waiting.length > 0 && session.status === 'authenticated')
      await later.get().then(
        ({ allSent }) => allSent(queue, environment, FLUSH_MS),
        () => undefined,
      );
    const dropped = queue.clear();
    this.#leaving = 'wipe';
    await this.#deps.user.change(null);
    await this.#left;
    return { dropped };
  }

  #connect(run: number): void {
    const { tabs, user } = this.#deps;
    if (!this.#isEnded && run === this.#switches) tabs.join(user.state.user?.id ?? null);
  }
}
