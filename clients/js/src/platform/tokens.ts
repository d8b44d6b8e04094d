import { TriceError } from '../errors.ts';
import type { HttpEnvironment } from '../http/environment.ts';
import type { Asked, Requests } from '../http/requests.ts';

/** A token is taken for expired this long before it is. */
const MARGIN_S = 30;

/** A personal access token, an app's admin token, or the tokens of an OAuth grant. */
export type PlatformAuth =
  | { readonly token: string }
  | {
      readonly accessToken: string;
      readonly refreshToken: string;
      readonly clientId: string;
      readonly clientSecret: string;
      /** Called with each new access token, so that it can be kept. */
      readonly onRefresh?: (token: AccessToken) => Promise<void> | void;
    };

/** A token of an account, until it is over. */
export interface AccessToken {
  readonly accessToken: string;
  readonly expiresAt: Date;
  readonly scopes: string;
  readonly tokenType: 'Bearer';
}

interface TokenAnswer {
  readonly access_token: string;
  readonly refresh_token?: string;
  readonly expires_in: number;
  readonly scopes: string;
  readonly token_type: 'Bearer';
}

/** Asks with a token, and with a new one where it has expired and can be refreshed. */
export class Tokens {
  readonly #environment: HttpEnvironment;
  readonly #requests: Requests;
  readonly #auth: PlatformAuth | undefined;
  #accessToken: string | undefined;
  /** Calls that fail together refresh once. */
  #refreshing: Promise<AccessToken> | null = null;

  constructor(environment: HttpEnvironment, requests: Requests, auth: PlatformAuth | undefined) {
    this.#environment = environment;
    this.#requests = requests;
    this.#auth = auth;
    if (auth) this.#accessToken = 'token' in auth ? auth.token : auth.accessToken;
  }

  /** Throws where `PlatformApi` was given no `auth`. */
  get token(): string {
    if (this.#accessToken !== undefined) return this.#accessToken;
    const message = 'This needs an account: give `auth: { token }` to `PlatformApi`.';
    throw new TriceError({ code: 'auth-missing', message });
  }

  /** Calls `ask` with a token, once more with another where the server says that it has expired. */
  async withToken<T>(ask: (token: string) => Promise<T>): Promise<T> {
    const before = this.token;
    try {
      return await ask(before);
    } catch (error) {
      if (!isExpired(error) || !this.#canRefresh) throw error;
    }
    if (this.#accessToken === before) await this.refresh();
    return ask(this.token);
  }

  /** The JSON of an answer. */
  async ask<T>(asked: Asked): Promise<T> {
    return this.withToken((token) =>
      this.#requests.json<T>({ ...asked, headers: { authorization: `Bearer ${token}` } }),
    );
  }

  /** A new access token; null where there is no refresh token. */
  async refresh(): Promise<AccessToken | null> {
    if (!this.#canRefresh) return null;
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  get #canRefresh(): boolean {
    return this.#auth !== undefined && 'refreshToken' in this.#auth;
  }

  async #refresh(): Promise<AccessToken> {
    const auth = this.#auth as Extract<PlatformAuth, { refreshToken: string }>;
    const { now } = this.#environment;
    const token = await exchangeRefreshToken(this.#requests, now, auth);
    this.#accessToken = token.accessToken;
    await auth.onRefresh?.(token);
    return token;
  }
}

/** What a code of OAuth is exchanged with. */
export interface CodeExchange {
  readonly code: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
}

/** Tokens for the code that a grant sent back. */
export async function exchangeCode(
  requests: Requests,
  now: () => number,
  { code, clientId, clientSecret, redirectUri }: CodeExchange,
): Promise<AccessToken & { readonly refreshToken: string }> {
  const answer = await askToken(requests, {
    ...{ grant_type: 'authorization_code', code, redirect_uri: redirectUri },
    ...{ client_id: clientId, client_secret: clientSecret },
  });
  return { ...tokenOf(answer, now()), refreshToken: answer.refresh_token ?? '' };
}

async function exchangeRefreshToken(
  requests: Requests,
  now: () => number,
  given: { refreshToken: string; clientId: string; clientSecret: string },
): Promise<AccessToken> {
  const { refreshToken, clientId, clientSecret } = given;
  const answer = await askToken(requests, {
    ...{ grant_type: 'refresh_token', refresh_token: refreshToken },
    ...{ client_id: clientId, client_secret: clientSecret },
  });
  return tokenOf(answer, now());
}

function askToken(requests: Requests, json: object): Promise<TokenAnswer> {
  return requests.json({ method: 'POST', path: '/platform/oauth/token', json });
}

function tokenOf(answer: TokenAnswer, nowMs: number): AccessToken {
  return {
    accessToken: answer.access_token,
    expiresAt: new Date(nowMs + (answer.expires_in - MARGIN_S) * 1_000),
    scopes: answer.scopes,
    tokenType: answer.token_type,
  };
}

/** Whether another access token may be taken (instant-http §0.9). */
function isExpired(error: unknown): boolean {
  if (!(error instanceof TriceError)) return false;
  const { status, code, hint } = error;
  const isToken = /token/i.test(String(hint?.['record-type'] ?? ''));
  return status === 401 || code === 'record-expired' || (code === 'record-not-found' && isToken);
}
