import type { User } from '../client/user.ts';
import { fetchEnvironment } from '../web/fetch.ts';

/** How a handle begins: no token of a server does. */
const PREFIX = 'trice-handle:';

/** A page is made within this time. */
const LIFE_MS = 60_000;

/** Beyond it the oldest are forgotten. */
const COUNT_MAX = 10_000;

const KEY = Symbol.for('tricedb:next-handles');

/** What is taken of the platform, and what waits in it. */
interface Globals {
  readonly crypto: { getRandomValues(bytes: Uint8Array): Uint8Array };
  [KEY]?: Map<string, { readonly token: string; readonly untilMs: number }>;
}

/**
 * The user with a random handle in the place of the token. What server components give to
 * components of the browser is written into the page, where any script could read the token. Next
 * loads this file twice, for either kind of component: handles are known to the whole process.
 */
export function withHandle(user: User): User {
  const { crypto } = globalThis as unknown as Globals;
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const handle = PREFIX + hex;
  const [tokens, nowMs] = [tokensByHandle(), fetchEnvironment().now()];
  // The oldest are first.
  for (const [old, { untilMs }] of tokens) {
    if (untilMs > nowMs && tokens.size < COUNT_MAX) break;
    tokens.delete(old);
  }
  tokens.set(handle, { token: user.refresh_token, untilMs: nowMs + LIFE_MS });
  return { ...user, refresh_token: handle };
}

/**
 * The user with the token again: as often as asked, since React may render a page twice.
 *
 * returns  undefined where the handle is of another process, or old: it is not known who asks
 */
export function withToken(user: User | null | undefined): User | null | undefined {
  if (!user?.refresh_token?.startsWith(PREFIX)) return user;
  const found = tokensByHandle().get(user.refresh_token);
  const isKnown = found !== undefined && found.untilMs > fetchEnvironment().now();
  return isKnown ? { ...user, refresh_token: found.token } : undefined;
}

function tokensByHandle() {
  return ((globalThis as unknown as Globals)[KEY] ??= new Map());
}
