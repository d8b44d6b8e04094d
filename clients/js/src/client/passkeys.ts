/**
 * Passkeys of users (spec/auth.md A175-A197). Each ceremony is two requests, and between them what
 * the user does with their device.
 */
import { failure } from '../errors.ts';
import type { Environment } from './environment.ts';

/** The device that holds passkeys, in the JSON that WebAuthn has for its options and answers. */
export interface PasskeyDevice {
  /** Makes a passkey: `RegistrationResponseJSON` for `PublicKeyCredentialCreationOptionsJSON`. */
  create(options: object): Promise<object>;
  /** Signs with one: `AuthenticationResponseJSON` for `PublicKeyCredentialRequestOptionsJSON`. */
  get(options: object, how: PasskeySignIn): Promise<object>;
}

/** A passkey, as its user sees it. */
export interface Passkey {
  readonly id: string;
  readonly name: string | null;
  /** The domain it works for. */
  readonly rp_id: string;
  /** ISO text. */
  readonly created_at: string;
  readonly last_used_at: string | null;
}

/** How a passkey is made. */
export interface NewPasskey {
  /** The user's name for it. */
  readonly name?: string;
  /** A parent domain of the page's, for passkeys of all its subdomains. */
  readonly rpId?: string;
}

/** How a passkey is asked for. */
export interface PasskeySignIn {
  /** The parent domain with which it was made. */
  readonly rpId?: string;
  /** Offered among what the browser fills into an input with `autocomplete="webauthn"`. */
  readonly isAutofill?: boolean;
  /** An `AbortSignal`, which ends the wait. */
  readonly signal?: object;
}

/**
 * What the user's device did, told `options` of the server. Its failures are told with the word
 * that the platform has for them.
 */
export async function usedDevice(
  environment: Environment,
  begin: () => Promise<{ options: object }>,
  use: (device: PasskeyDevice, options: object) => Promise<object>,
): Promise<object> {
  const device = await environment.passkeys?.();
  if (!device) throw failure('passkeys-missing');
  const { options } = await begin();
  try {
    return await use(device, options);
  } catch (cause) {
    const { name: reason } = cause as Error;
    throw Object.assign(failure('passkey-failed', { reason }), { cause });
  }
}
