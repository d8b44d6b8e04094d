/** What `db.trace` tells: what happened in the client, one object for each. */
import type { DiskFailure } from '../client/disk.ts';
import type { ConnectionStatus } from '../client/session.ts';
import type { EntryState } from '../pending/entry.ts';
import type { Transport } from '../session/transports.ts';

/** What every event has. */
interface Happened {
  /** Counts the events of a database, from 1 on. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A frame went out or came in. */
export interface FrameEvent extends Happened {
  readonly type: 'frame';
  readonly direction: 'in' | 'out';
  /** What its messages are, such as `refresh-ok`; the ops of the first three, if it has several. */
  readonly op: string;
  /** Characters of the whole frame. */
  readonly length: number;
  /** Its first 4,096 characters, without tokens. */
  readonly text: string;
}

/** The server said something of a query. */
export interface LandEvent extends Happened {
  readonly type: 'land';
  /** Names the query, in all events that are about it. */
  readonly hash: string;
  /**
   * whole      the whole answer
   * delta      the steps from the version held
   * same       what is held still is so
   * mismatch   steps from a version that is not held: the whole answer is asked for
   */
  readonly kind: 'whole' | 'delta' | 'same' | 'mismatch';
  /** The server's transaction up to which the answer contains all. */
  readonly tx: number;
}

/**
 * Why a query was looked at again.
 *
 * opened   somebody began to watch it, or watches it as another user
 * server   news of the server
 * cache    what an earlier start kept was read
 * write    a pending write came, changed or went
 * schema   attrs came, went or were renamed
 * code     code that was fetched later is here, such as that of totals
 * error    the server says that it fails
 * offline  what is known here is shown for want of a connection, or no longer
 * others   it is answered from other answers, which changed
 */
export type Cause =
  'opened' | 'server' | 'cache' | 'write' | 'schema' | 'code' | 'error' | 'offline' | 'others';

/** What a query shows was computed. */
export interface RefreshEvent extends Happened {
  readonly type: 'refresh';
  readonly hash: string;
  readonly because: Cause;
  /** Entities that were looked at: what changed, and what leads there; null: all. */
  readonly candidates: number | null;
  /** Rows that it shows now, those of nested forms not counted. */
  readonly rows: number;
  /** Whether it shows something else, and whoever watches it was told. */
  readonly isTold: boolean;
  readonly ms: number;
}

/** A pending write got into another state. */
export interface WriteEvent extends Happened {
  readonly type: 'write';
  /** Names it in `db.pending`. */
  readonly id: string;
  /** `gone`: the answers contain it, or it was dropped. */
  readonly state: EntryState | 'gone';
  /** How many operations it has. */
  readonly operations: number;
  readonly label: string | undefined;
  /** Why it was refused. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** A batch went to the disk. */
export interface StoreEvent extends Happened {
  readonly type: 'store';
  /** Characters of its rows. */
  readonly bytes: number;
  readonly ms: number;
  /** Why it did not succeed. */
  readonly failure: DiskFailure | null;
}

/** Something happened to the connection. */
export interface ConnectionEvent extends Happened {
  readonly type: 'connection';
  /**
   * attempt   a connection is being made, by `transport`
   * lost      it is gone, or could not be made; the next attempt follows after `retryMs`
   * others    the status of the session, as `db.connectionStatus` says it
   */
  readonly state: 'attempt' | 'lost' | ConnectionStatus;
  readonly transport: Transport;
  /** With which the socket was closed; 0: it was given up. */
  readonly code: number | null;
  readonly retryMs: number | null;
}

/** What `db.trace` tells of. */
export type TraceEvent =
  FrameEvent | LandEvent | RefreshEvent | WriteEvent | StoreEvent | ConnectionEvent;

/** What `db.trace` leaves out. */
export interface TraceOptions {
  /**
   * False hides values too: of frames the structure is left, of errors the code. Tokens are hidden
   * always.
   */
  readonly values?: boolean;
}
