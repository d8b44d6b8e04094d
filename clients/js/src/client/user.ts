import type { TriceError } from '../errors.ts';
import type { TellCookie } from './cookie.ts';
import type { Environment } from './environment.ts';

/** Who is signed in. Other keys are fields that the app gave `$users`. */
export interface User {
  readonly id: string;
  readonly email?: string | null;
  readonly refresh_token: string;
  readonly type?: 'user' | 'guest';
  readonly [field: string]: unknown;
}

/** Who is signed in: null is nobody; unknown while it is loading. */
export type AuthState =
  | { readonly isLoading: true; readonly user: undefined; readonly error: undefined }
  | { readonly isLoading: false; readonly user: User | null; readonly error: undefined }
  | {
      readonly isLoading: false;
      readonly user: undefined;
      readonly error: { readonly message: string };
    };

/** Who is signed in is not known yet. */
export const AUTH_LOADING: AuthState = Object.freeze({
  isLoading: true,
  user: undefined,
  error: undefined,
});

/** Holds who is signed in, and keeps it in storage. Tells observers of each change. */
export class CurrentUser {
  state: AuthState = AUTH_LOADING;
  readonly #environment: Environment;
  /** Of the storage. */
  readonly key: string;
  /** What the storage has, as far as this client knows. */
  text: string | null = null;
  readonly #observers = new Set<(state: AuthState) => void>();
  readonly #onChange: (isSignedOutElsewhere: boolean) => void;
  readonly #tellCookie: TellCookie | null;
  /** Who was signed in, from when that is read. */
  #before: User | null = null;

  /**
   * key       of the storage
   * tellCookie  tells the app's own server of each change; null: it is told nothing
   * onChange  called when another user, or none, is signed in
   */
  constructor(
    environment: Environment,
    key: string,
    tellCookie: TellCookie | null,
    onChange: (isSignedOutElsewhere: boolean) => void,
  ) {
    this.#tellCookie = tellCookie;
    this.#environment = environment;
    this.key = key;
    this.#onChange = onChange;
  }

  get token(): string | null {
    return (this.state.isLoading ? this.#before : this.state.user)?.refresh_token ?? null;
  }

  /**
   * Reads who was signed in. Storage that cannot be read has nobody.
   *
   * arrive  signs in who comes back from a provider instead, or fails here
   */
  async load(arrive: () => Promise<unknown>): Promise<void> {
    this.#before = await this.#stored();
    // Where the code for it cannot be fetched, the address still has it for the next start.
    await arrive().catch(() => undefined);
    if (this.state.isLoading) this.#set(this.#before);
    void this.#tellCookie?.(this.state.user ?? null, true);
  }

  /** Nobody could be signed in, at the start. Who was before stays where the code is an old one. */
  fail(error: TriceError): void {
    // A page that was gone back to shows a code that was used already.
    const isOld = this.#before && error.code === 'record-not-found';
    if (!isOld && this.state.isLoading) this.#show({ isLoading: false, user: undefined, error });
  }

  /**
   * Another user, or nobody, is signed in from now on.
   *
   * isEnded  the server ended the session: other tabs keep what waits, as this one does
   */
  async change(user: User | null, isEnded = false): Promise<void> {
    this.become(user, false);
    const { storage } = this.#environment;
    const text = isEnded ? null : JSON.stringify(user);
    try {
      if (text === null) await storage.remove(this.key);
      else await storage.set(this.key, text);
      this.text = text;
    } catch {
      // Without storage the user is signed in until the page goes.
    }
    await this.#tellCookie?.(user, false);
  }

  /** Another user, or nobody, is signed in, here or in another tab. */
  become(user: User | null, isSignedOutElsewhere: boolean): void {
    const before = this.token;
    this.#set(user);
    if ((user?.refresh_token ?? null) !== before) this.#onChange(isSignedOutElsewhere);
  }

  observe(tell: (state: AuthState) => void): () => void {
    this.#observers.add(tell);
    return () => this.#observers.delete(tell);
  }

  #set(user: User | null): void {
    this.#show({ isLoading: false, user, error: undefined });
  }

  #show(state: AuthState): void {
    this.state = Object.freeze(state);
    for (const tell of [...this.#observers]) tell(this.state);
  }

  async #stored(): Promise<User | null> {
    try {
      this.text = await this.#environment.storage.get(this.key);
      return this.text === null ? null : (JSON.parse(this.text) as User | null);
    } catch {
      return null;
    }
  }
}
