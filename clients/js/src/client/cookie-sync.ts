import { isObject } from '../values/json.ts';
import type { Engine } from './engine.ts';
import type { User } from './user.ts';

/** A cookie that lives for seven days is made anew each day. */
const DAY_MS = 24 * 3_600_000;

/** How long a sign-in waits for the cookie, so that the next page is made for its user. */
const WAIT_MS = 3_000;

/** When a request that failed is made again; later with each failure. */
const RETRY_MS = 5_000;
const RETRY_MS_MAX = 300_000;

/**
 * Tells the app's own server who is signed in: it keeps that in a cookie, for pages that it makes.
 * One request is under way at a time; what changes meanwhile is told after it, the last one wins.
 */
export class CookieSync {
  readonly #engine: Engine;
  readonly #path: string;
  /** Of the storage, for when it was told last. */
  readonly #key: string;
  /** Whom the server is to know; undefined: nothing is to be told. */
  #wanted: User | null | undefined;
  #running: Promise<void> | null = null;
  #failures = 0;
  #cancelRetry: () => void = () => {};

  /** path  of the app's own server */
  constructor(engine: Engine, path: string) {
    this.#engine = engine;
    this.#path = path;
    this.#key = `tricedb:${engine.origin}/${engine.config.appId}:cookie`;
  }

  /**
   * Tells who is signed in now. Resolves when that was tried, or after 3 s; never rejects.
   *
   * isStart  not where it was told within a day
   */
  async tell(user: User | null, isStart: boolean): Promise<void> {
    if (isStart && ((await this.#isTold(user)) || this.#wanted !== undefined)) return;
    this.#wanted = user;
    this.#failures = 0;
    this.#cancelRetry();
    const running = (this.#running ??= this.#run());
    await new Promise<void>((resolve) => {
      const cancel = this.#engine.environment.timer(WAIT_MS, resolve);
      void running.then(() => {
        cancel();
        resolve();
      });
    });
  }

  async #isTold(user: User | null): Promise<boolean> {
    const { storage, now } = this.#engine.environment;
    const text = await storage.get(this.#key).catch(() => null);
    const told: unknown = text === null ? null : parsed(text);
    if (!isObject(told) || typeof told.at !== 'number') return false;
    return told.token === tokenOf(user) && now() - told.at < DAY_MS;
  }

  async #run(): Promise<void> {
    while (!this.#engine.isShutDown) {
      const user = this.#wanted ?? null;
      const isTaken = await this.#post(user);
      if (user !== (this.#wanted ?? null)) continue;
      if (isTaken) await this.#remember(user);
      else this.#retryLater();
      if (user === (this.#wanted ?? null)) break;
    }
    this.#running = null;
  }

  async #post(user: User | null): Promise<boolean> {
    try {
      const { status } = await this.#engine.environment.fetch(this.#path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ type: 'sync-user', appId: this.#engine.config.appId, user }),
      });
      return status < 400;
    } catch {
      return false;
    }
  }

  async #remember(user: User | null): Promise<void> {
    const { storage, now } = this.#engine.environment;
    const text = JSON.stringify({ at: now(), token: tokenOf(user) });
    // Without storage it is told again at the next start.
    await storage.set(this.#key, text).catch(() => undefined);
  }

  #retryLater(): void {
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** this.#failures++);
    const { timer } = this.#engine.environment;
    this.#cancelRetry = timer(waitMs, () => void (this.#running ??= this.#run()));
  }
}

/** The end of a token tells tokens apart, and is of no use to who reads it. */
function tokenOf(user: User | null): string | null {
  return user?.refresh_token.slice(-6) ?? null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
