import type { User } from '../client/user.ts';
import { userInCookie } from '../http/cookie.ts';
import type { Asked, Requests } from '../http/requests.ts';
import { type Credentials, headersOf } from './credentials.ts';

/** Names a user. The first that is given counts: address, refresh token, id. */
export type Whom =
  { readonly email: string } | { readonly id: string } | { readonly refresh_token: string };

/** Fields of `$users` that a new user gets. */
export interface NewUser {
  readonly extraFields?: Readonly<Record<string, unknown>>;
}

/** Users of the app, for its own server. All but `verifyToken` need the admin token. */
export class AdminAuth {
  readonly #requests: Requests;
  readonly #credentials: Credentials;

  constructor(requests: Requests, credentials: Credentials) {
    this.#requests = requests;
    this.#credentials = { ...credentials, impersonated: undefined };
  }

  /** Makes a code of six digits and sends nothing: for mail of one's own. */
  generateMagicCode = (email: string): Promise<{ code: string }> =>
    this.#post('/admin/magic_code', { email });

  /** Makes a code and sends it by the app's mail. */
  sendMagicCode = (email: string): Promise<{ code: string }> =>
    this.#post('/admin/send_magic_code', { email });

  /** Uses up a code. Rejects with `record-not-found` if it is wrong or old. */
  verifyMagicCode = async (email: string, code: string, opts?: NewUser): Promise<User> =>
    (await this.checkMagicCode(email, code, opts)).user;

  /** The same; says too whether the user is new. */
  checkMagicCode = (
    email: string,
    code: string,
    opts?: NewUser,
  ): Promise<{ user: User; created: boolean }> =>
    this.#post('/admin/verify_magic_code', { email, code, ...fieldsOf(opts) });

  /**
   * A new refresh token, for a sign-in of one's own. Makes the user if there is none.
   *
   * whom  an address may stand for `{ email }`
   */
  createToken = async (
    whom: string | { readonly email: string } | { readonly id: string },
    opts?: NewUser,
  ): Promise<string> => {
    const body = { ...named(whom), ...fieldsOf(opts) };
    const { user } = await this.#post<{ user: User }>('/admin/refresh_tokens', body);
    return user.refresh_token;
  };

  /** A new user without an address, with a refresh token. */
  createGuest = async (opts?: NewUser): Promise<User> =>
    (await this.#post<{ user: User }>('/admin/sign_in_guest', fieldsOf(opts))).user;

  /** Whose refresh token it is. Rejects with `record-not-found` if it is nobody's. */
  verifyToken = async (token: string): Promise<User> => {
    const answer = await this.#requests.json<{ user: User }>({
      method: 'POST',
      path: '/runtime/auth/verify_refresh_token',
      json: { 'app-id': this.#credentials.appId, 'refresh-token': token },
    });
    return answer.user;
  };

  /** Null where there is no such user. */
  getUser = async (whom: Whom): Promise<Omit<User, 'refresh_token'> | null> =>
    (await this.#user<{ user: User | null }>('GET', whom)).user;

  /**
   * Deletes a user and ends their tokens; what else the app keeps of them stays.
   *
   * returns  who it was; null where there was no such user
   */
  deleteUser = async (whom: Whom): Promise<Omit<User, 'refresh_token'> | null> =>
    (await this.#user<{ deleted: User | null }>('DELETE', whom)).deleted;

  /** Ends one refresh token, or all of a user. An address may stand for `{ email }`. */
  signOut = async (whom: string | Whom): Promise<void> => {
    await this.#post('/admin/sign_out', named(whom));
  };

  /** Sets the password of a user; null removes it. Their tokens stay. */
  setPassword = async (
    whom: { readonly email: string } | { readonly id: string },
    password: string | null,
  ): Promise<Omit<User, 'refresh_token'>> =>
    (await this.#post<{ user: User }>('/admin/users/password', { ...whom, password })).user;

  /**
   * Who sent a request, by the cookie that holds the user for this app.
   *
   * opts  disableValidation: the cookie is believed, the server not asked
   * returns  null where there is no cookie, or none that holds a user
   */
  getUserFromRequest = async (
    request: { readonly headers: { get(name: string): string | null } },
    opts?: { disableValidation?: boolean },
  ): Promise<User | null> => {
    const user = userInCookie(request.headers.get('cookie'), this.#credentials.appId);
    if (user === null || opts?.disableValidation) return user;
    return this.verifyToken(user.refresh_token);
  };

  async #post<T>(path: string, json: object): Promise<T> {
    return this.#ask({ method: 'POST', path, json });
  }

  async #user<T>(method: 'GET' | 'DELETE', whom: Whom): Promise<T> {
    return this.#ask({ method, path: '/admin/users', params: { ...whom } });
  }

  async #ask<T>(asked: Asked): Promise<T> {
    return this.#requests.json<T>({ ...asked, headers: headersOf(this.#credentials) });
  }
}

function named<T extends object>(whom: string | T): T | { email: string } {
  return typeof whom === 'string' ? { email: whom } : whom;
}

function fieldsOf(opts: NewUser | undefined): object {
  return opts?.extraFields ? { 'extra-fields': opts.extraFields } : {};
}
