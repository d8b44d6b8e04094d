import type { Environment } from '../client/environment.ts';
import type { Persistence } from '../client/persistence.ts';
import type { Queries } from '../client/queries.ts';
import type { Session } from '../client/session.ts';
import type { Uploads } from '../client/uploads.ts';
import type { Queue } from '../pending/queue.ts';
import type { Store } from '../store/store.ts';
import type { FromFollower, FromLeader } from './messages.ts';

/** What both ends need of the client. */
export interface TabParts {
  readonly environment: Environment;
  readonly queue: Queue;
  readonly store: Store;
  readonly session: Session;
  readonly queries: Queries;
  /** This tab. */
  readonly tab: string;
  readonly persistence: Persistence;
  readonly uploads: Uploads;
  /** Ids of writes that were dropped in any tab: whoever made them must not add them again. */
  readonly dropped: ReadonlySet<string>;
  /** Begins the names of locks that a tab holds as long as it lives. */
  readonly lifeName: string;
  /** Sends to a tab, or to all. */
  say(to: string | null, message: (FromLeader | FromFollower) & { readonly epoch?: string }): void;
}
