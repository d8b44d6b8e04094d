import { failure } from '../errors.ts';
import type { CookieSync } from './cookie-sync.ts';
import type { Engine } from './engine.ts';
import type { User } from './user.ts';

/** Tells the app's own server who is signed in; `isStart`: as it was when this client started. */
export type TellCookie = (user: User | null, isStart: boolean) => Promise<void>;

/**
 * What tells the app's own server who is signed in. Resolves when that was tried, or its code
 * cannot be fetched now: then it is told later. Null where the app does not want that.
 */
export function cookieTeller(engine: Engine): TellCookie | null {
  const path = engine.config.firstPartyPath;
  if (path === undefined) return null;
  // Whoever is told gets the user's token: that is nobody but the server that made the page.
  if (!/^\/(?![/\\])/.test(path)) throw failure('config-malformed/path', { firstPartyPath: path });
  let sync: CookieSync | undefined;
  return (user, isStart) =>
    new Promise((resolve) =>
      engine.later.call(
        (later) => {
          sync ??= new later.CookieSync(engine, path);
          void sync.tell(user, isStart).then(resolve);
        },
        resolve as () => void,
      ),
    );
}
