import { failure, type TriceError } from '../errors.ts';
import type {
  ExtraFields,
  IdToken,
  MagicCode,
  OAuthCode,
  Password,
  PasswordByCode,
  PasswordChange,
  SignedIn,
} from './auth.ts';
import type { Environment } from './environment.ts';
import { Http } from './http.ts';
import { type NewPasskey, type Passkey, type PasskeySignIn, usedDevice } from './passkeys.ts';
import type { CurrentUser } from './user.ts';

/** What signing in needs. */
export interface SignInDeps {
  readonly appId: string;
  readonly environment: Environment;
  /** Of the server, such as `https://data.example.org`. */
  readonly origin: string;
  readonly user: CurrentUser;
}

/** The requests that sign in, by what the user shows. */
export class SignIn {
  readonly #deps: SignInDeps;
  readonly #http: Http;

  constructor(deps: SignInDeps) {
    this.#deps = deps;
    this.#http = new Http(deps.environment, deps.origin);
  }

  /** Sends a code of six digits to an address. */
  sendMagicCode({ email }: { email: string }): Promise<{ sent: boolean }> {
    return this.#ask('send_magic_code', { email });
  }

  /** Signs in with the code that came by e-mail. A guest keeps what is theirs. */
  signInWithMagicCode(params: MagicCode): Promise<SignedIn> {
    return this.#signUp('/runtime/auth/verify_magic_code', params);
  }

  /** Signs in as the user of a refresh token, as a server of one's own made it. */
  signInWithToken(token: string): Promise<SignedIn> {
    return this.#signIn('/runtime/auth/verify_refresh_token', { 'refresh-token': token });
  }

  /** Signs in as a new guest, who can become a user later. */
  signInAsGuest({ extraFields }: ExtraFields = {}): Promise<SignedIn> {
    return this.#signIn('/runtime/auth/sign_in_guest', { 'extra-fields': extraFields });
  }

  /** Signs in with the id token of a provider (Google, Apple, Clerk, Firebase …). */
  signInWithIdToken({ idToken, clientName, nonce, extraFields }: IdToken): Promise<SignedIn> {
    const named = { id_token: idToken, client_name: clientName, nonce };
    return this.#signInByProvider('/runtime/oauth/id_token', named, extraFields);
  }

  /** Signs in with the code that the provider sent back. */
  exchangeOAuthCode({ code, codeVerifier, extraFields }: OAuthCode): Promise<SignedIn> {
    const named = { code, code_verifier: codeVerifier };
    return this.#signInByProvider('/runtime/oauth/token', named, extraFields);
  }

  /**
   * Signs in who comes back from a provider, and takes what says so out of the address.
   *
   * mark  the parameter that says so
   */
  async arrive(mark: string): Promise<void> {
    const { environment, user } = this.#deps;
    const [reason, code] = ['error', 'code'].map((name) => environment.address?.get(name));
    environment.address?.remove([mark, 'error', 'code']);
    if (reason) user.fail(failure('sign-in-refused', { reason }));
    else if (code)
      await this.exchangeOAuthCode({ code }).catch((why: TriceError) => user.fail(why));
  }

  /** Creates an account with a password. A guest keeps what is theirs. */
  signUpWithPassword(params: PasswordByCode & Pick<MagicCode, 'extraFields'>): Promise<SignedIn> {
    return this.#signUp('/runtime/auth/password/sign_up', params);
  }

  /** Signs in with a password. */
  signInWithPassword(params: Password): Promise<SignedIn> {
    return this.#signIn('/runtime/auth/password/sign_in', params);
  }

  /** Changes the password of who is signed in. Their sessions on other devices end. */
  async changePassword({ password, newPassword }: PasswordChange): Promise<SignedIn> {
    const body = { ...this.#account(), password, 'new-password': newPassword };
    return this.#signIn('/runtime/auth/password/change', body);
  }

  /** Sets a password, the first one too, and signs in. All earlier sessions of the user end. */
  resetPassword(params: PasswordByCode): Promise<SignedIn> {
    return this.#signIn('/runtime/auth/password/reset', params);
  }

  /**
   * Adds a passkey of this device to who is signed in. Call it where the user clicked.
   *
   * raises  TriceError `passkey-failed` where the user or the device would not: `hint.reason` is
   *         the platform's word, such as `NotAllowedError`; `passkeys-missing` where there are none
   */
  async addPasskey({ name, rpId }: NewPasskey = {}): Promise<Passkey> {
    const account = this.#account();
    const credential = await usedDevice(
      this.#deps.environment,
      () => this.#ask('passkey/register/begin', { ...account, 'rp-id': rpId }),
      (device, options) => device.create(options),
    );
    const body = { ...account, credential, name };
    return (await this.#ask<{ passkey: Passkey }>('passkey/register/finish', body)).passkey;
  }

  /** Signs in with a passkey, which the user picks. Fails as `addPasskey` does. */
  async signInWithPasskey(how: PasskeySignIn = {}): Promise<SignedIn> {
    const credential = await usedDevice(
      this.#deps.environment,
      () => this.#ask('passkey/sign_in/begin', { 'rp-id': how.rpId }),
      (device, options) => device.get(options, how),
    );
    return this.#signIn('/runtime/auth/passkey/sign_in/finish', { credential });
  }

  /** Passkeys of who is signed in, oldest first. */
  async listPasskeys(): Promise<readonly Passkey[]> {
    const account = this.#account();
    return (await this.#ask<{ passkeys: readonly Passkey[] }>('passkey/list', account)).passkeys;
  }

  /** Deletes a passkey of who is signed in. Sessions that began with it stay. */
  async deletePasskey(id: string): Promise<void> {
    await this.#ask('passkey/delete', { ...this.#account(), id });
  }

  /** Ends the session of a token at the server. */
  signOut(token: string): Promise<unknown> {
    const body = { app_id: this.#deps.appId, refresh_token: token };
    return this.#http.post('/runtime/signout', body);
  }

  /** Signs in, and up if there is no such user. A guest's token goes along, who keeps theirs. */
  #signUp(path: string, { extraFields, ...others }: Pick<MagicCode, 'extraFields'>) {
    const { user } = this.#deps.user.state;
    const token = user?.type === 'guest' ? user.refresh_token : undefined;
    return this.#signIn(path, { ...others, 'refresh-token': token, 'extra-fields': extraFields });
  }

  /** These routes name the app, the token of who is signed in, and new fields in their own way. */
  #signInByProvider(path: string, named: object, extraFields: object | undefined) {
    const refreshToken = this.#deps.user.token ?? undefined;
    const body = { ...named, refresh_token: refreshToken, extra_fields: extraFields };
    return this.#signIn(path, body, 'app_id');
  }

  async #signIn(path: string, body: object, appKey = 'app-id'): Promise<SignedIn> {
    const { appId, user } = this.#deps;
    const answer = await this.#http.post<SignedIn>(path, { [appKey]: appId, ...body });
    await user.change(answer.user);
    return answer;
  }

  /** Who is signed in, as requests name them. */
  #account(): { 'refresh-token': string } {
    const { token } = this.#deps.user;
    if (token !== null) return { 'refresh-token': token };
    throw failure('signed-out/account');
  }

  #ask<T>(path: string, body: object): Promise<T> {
    const asked = { 'app-id': this.#deps.appId, ...body };
    return this.#http.post<T>(`/runtime/auth/${path}`, asked);
  }
}
