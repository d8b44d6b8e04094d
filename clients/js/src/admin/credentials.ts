import { TriceError } from '../errors.ts';
import type { Headers } from '../http/requests.ts';

/** As whom the server takes a request: a user by address or refresh token, or nobody at all. */
export type Impersonated =
  { readonly email: string } | { readonly token: string } | { readonly guest: boolean };

/** Who asks. */
export interface Credentials {
  readonly appId: string;
  readonly adminToken: string | undefined;
  readonly impersonated: Impersonated | undefined;
}

/** The headers that say who asks (instant-http §3.1). Throws where nothing gives the right to. */
export function headersOf({ appId, adminToken, impersonated }: Credentials): Headers {
  if (adminToken === undefined && !(impersonated && isFree(impersonated)))
    throw new TriceError({
      code: 'admin-token-missing',
      message:
        'This needs the admin token: give `adminToken` to `init`, or act as a user by ' +
        '`asUser({ token })` or `asUser({ guest: true })`.',
    });
  return {
    'app-id': appId,
    ...(adminToken === undefined ? {} : { authorization: `Bearer ${adminToken}` }),
    ...(impersonated ? impersonation(impersonated) : {}),
  };
}

/** Whether anyone may act as these: they have proved who they are, or are nobody. */
function isFree(impersonated: Impersonated): boolean {
  return 'token' in impersonated || 'guest' in impersonated;
}

function impersonation(impersonated: Impersonated): Headers {
  if ('email' in impersonated) return { 'as-email': impersonated.email };
  if ('token' in impersonated) return { 'as-token': impersonated.token };
  return { 'as-guest': 'true' };
}
