import type { Later } from './later.ts';
import type { Lazy } from './lazy.ts';
import type { SignIn, SignInDeps } from './sign-in.ts';
import type { User } from './user.ts';

/** What the server adds to the address to which it sends people back from a provider. */
const RETURNED = '_instant_oauth_redirect';

/** Who signed in; `created`: the account is new. */
export interface SignedIn {
  readonly user: User;
  readonly created?: boolean;
}

/** Fields of `$users` that a new account gets. */
export interface ExtraFields {
  readonly extraFields?: Readonly<Record<string, unknown>>;
}

export interface MagicCode extends ExtraFields {
  readonly email: string;
  readonly code: string;
}

export interface IdToken extends ExtraFields {
  readonly idToken: string;
  readonly clientName: string;
  readonly nonce?: string;
}

export interface OAuthCode extends ExtraFields {
  readonly code: string;
  readonly codeVerifier?: string;
}

/** A password and whose it is. */
export interface Password {
  readonly email: string;
  readonly password: string;
}

/** A password to set, by the code of a mail. */
export interface PasswordByCode extends Password {
  /** The one that `sendMagicCode` sent to the address. */
  readonly code: string;
}

/** The password of who is signed in, and the next. */
export interface PasswordChange {
  readonly password: string;
  readonly newPassword: string;
}

/** What is done by code that is fetched later, by the names that `SignIn` has for it. */
const FLOWS = [
  'sendMagicCode',
  'signInWithMagicCode',
  'signInWithToken',
  'signInAsGuest',
  'signInWithIdToken',
  'exchangeOAuthCode',
  'signUpWithPassword',
  'signInWithPassword',
  'changePassword',
  'resetPassword',
  'addPasskey',
  'signInWithPasskey',
  'listPasskeys',
  'deletePasskey',
] as const satisfies readonly (keyof SignIn)[];

type Flow = (typeof FLOWS)[number];

type Run = (...params: never) => Promise<unknown>;

/** The flows of signing in; `SignIn` says what each does. */
export interface Auth extends Pick<SignIn, Flow> {}

/**
 * Signs users in and out. Every method that signs in resolves once the session is theirs, and
 * rejects with `part-missing` while the code for it cannot be fetched.
 */
export class Auth {
  readonly #deps: SignInDeps;
  readonly #later: Lazy<Later>;
  readonly #signOut: () => Promise<{ dropped: number }>;

  /** signOut  ends the session here, and says how many writes were lost */
  constructor(deps: SignInDeps, later: Lazy<Later>, signOut: () => Promise<{ dropped: number }>) {
    this.#deps = deps;
    this.#later = later;
    this.#signOut = signOut;
    const flows = this as Record<Flow, unknown>;
    for (const flow of FLOWS)
      flows[flow] = async (...params: never) => ((await this.#code())[flow] as Run)(...params);
  }

  /**
   * The address to which a link or button of "Sign in with …" leads. Who comes back from there to
   * `redirectURL` is signed in by `init`.
   */
  createAuthorizationURL = (params: { clientName: string; redirectURL: string }): string => {
    const { appId, origin } = this.#deps;
    const [client, redirect] = [params.clientName, params.redirectURL].map(encodeURIComponent);
    const query = `app_id=${appId}&client_name=${client}&redirect_uri=${redirect}`;
    return `${origin}/runtime/oauth/start?${query}`;
  };

  /** For `init`: signs in who comes back to this page from a provider. */
  arrive = async (): Promise<void> => {
    if (this.#deps.environment.address?.get(RETURNED)) await (await this.#code()).arrive(RETURNED);
  };

  /** The issuer of tokens of this app, for providers that ask. */
  issuerURI = (): string => `${this.#deps.origin}/runtime/${this.#deps.appId}`;

  /**
   * Signs out, after writes that wait had up to 3 s to leave.
   *
   * returns  dropped: writes that did not leave in time and are lost
   */
  signOut = async (opts?: { invalidateToken?: boolean }): Promise<{ dropped: number }> => {
    const token = this.#deps.user.token;
    const outcome = await this.#signOut();
    if (token !== null && opts?.invalidateToken !== false)
      await this.#code()
        .then((flows) => flows.signOut(token))
        .catch(() => undefined);
    return outcome;
  };

  async #code(): Promise<SignIn> {
    return new (await this.#later.get()).SignIn(this.#deps);
  }
}
