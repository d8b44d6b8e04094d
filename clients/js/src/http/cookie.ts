import type { User } from '../client/user.ts';
import { isObject } from '../values/json.ts';

/** As long as that of the original. */
const MAX_AGE_S = 7 * 24 * 3_600;

/** Browsers take at most 4,096 bytes of name, value and attributes. */
const VALUE_LENGTH_MAX = 3_800;

/** The cookie that holds who is signed in to an app: that of the original's server part. */
export function cookieName(appId: string): string {
  return `instant_user_${appId}`;
}

/**
 * The user in the `cookie` header of a request, as the browser says: nobody asked the server yet.
 *
 * returns  null where there is no cookie, or none that holds a user; other cookies hold anything
 */
export function userInCookie(header: string | null | undefined, appId: string): User | null {
  const found = (header ?? '')
    .split(';')
    .map((cookie) => cookie.trim())
    .find((cookie) => cookie.startsWith(`${cookieName(appId)}=`));
  return userOf(found?.slice(cookieName(appId).length + 1) ?? '');
}

/** The user in the value of the cookie, encoded or not. */
export function userOf(value: string): User | null {
  try {
    const user: unknown = JSON.parse(decodeURIComponent(value.replace(/^"(.*)"$/, '$1')));
    return isObject(user) && typeof user.refresh_token === 'string' ? (user as User) : null;
  } catch {
    return null;
  }
}

/**
 * The `set-cookie` header that keeps a user; null removes it. Scripts cannot read it, and requests
 * of other sites carry it only where they lead to the page itself.
 */
export function setCookie(appId: string, user: User | null): string {
  const age = user === null ? 0 : MAX_AGE_S;
  const value = user === null ? '' : valueOf(user);
  return `${cookieName(appId)}=${value}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=${age}`;
}

/** Fields of a user that do not fit are left out. */
function valueOf(user: User): string {
  const whole = encodeURIComponent(JSON.stringify(user));
  if (whole.length <= VALUE_LENGTH_MAX) return whole;
  const { id, email, type, refresh_token } = user;
  return encodeURIComponent(JSON.stringify({ id, email, type, refresh_token }));
}
