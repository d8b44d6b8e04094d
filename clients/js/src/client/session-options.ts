import type { Queue } from '../pending/queue.ts';
import type { Addresses } from '../session/connection.ts';
import type { Failures } from '../session/failures.ts';
import type { Store } from '../store/store.ts';
import type { Trace } from '../trace/trace.ts';
import type { Environment } from './environment.ts';
import type { Lazy } from './lazy.ts';

/** What a session needs of the client. */
export interface SessionOptions {
  readonly appId: string;
  /** The app's own token: the session is an admin's. Never in a browser. */
  readonly adminToken: string | undefined;
  readonly addresses: Addresses;
  readonly environment: Environment;
  readonly store: Store;
  readonly queue: Queue;
  /** Whether writes may be sent now; `push` is called when they may again. */
  maySend(): boolean;
  readonly trace: Trace;
  /** Code that knows what errors lead to. */
  readonly later: Pick<Lazy<{ readonly Failures: typeof Failures }>, 'call'>;
  /** The refresh token of who is signed in. */
  token(): string | null;
  /** The server does not know the token any more. */
  tokenRefused(): void;
  /** The server's data was put back to an older state (P74). */
  reset(): void;
  /** Called after each frame, and after each change of the status. */
  changed(): void;
  /** Whether other tabs live by it: then it does not let go while the page is hidden. */
  isShared?(): boolean;
}
