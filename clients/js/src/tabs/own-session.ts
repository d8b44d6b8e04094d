import { Session } from '../client/session.ts';
import type { SessionOptions } from '../client/session-options.ts';
import { Queue } from '../pending/queue.ts';
import { Store } from '../store/store.ts';

/**
 * A connection of this tab beside the leader's, for rooms and streams: the server knows members
 * and writers by it. It asks no query and sends no write.
 */
export function ownSession(options: SessionOptions): Session {
  const { id } = options.environment;
  const store = new Store({
    schema: undefined,
    hasOne: () => false,
    id,
    keepInvented: () => {},
    code: { part: null, need: () => {} },
    local: { need: () => {} },
    trace: {},
  });
  const session = new Session({
    ...options,
    store,
    queue: new Queue(() => {}),
    maySend: () => false,
    reset: () => {},
    changed: () => {},
  });
  session.start();
  return session;
}
