import type { Database } from '../client/database.ts';
import type { Engine } from '../client/engine.ts';
import type { Pending } from '../client/pending.ts';

/** What the panel looks at of a database. It reads, and acts through `pending` alone. */
export interface Parts extends Pick<
  Engine,
  'environment' | 'store' | 'session' | 'persistence' | 'trace'
> {
  readonly pending: Pending;
}

/** The parts of a database. */
export function partsOf(db: Pick<Database, 'pending'>): Parts {
  const { environment, store, session, persistence, trace } = (db as Database).engine;
  return { environment, store, session, persistence, trace, pending: db.pending };
}
