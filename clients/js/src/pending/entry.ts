import type { PredictedStep } from '../calls/refs.ts';
import type { TriceError } from '../errors.ts';
import type { WireAttr } from '../schema/attr.ts';
import type { Operation } from './builder.ts';

/**
 * saving     is being written to the disk
 * queued     waits for its turn, or for a connection
 * sent       under way
 * acked      the server applied it; answers that contain it are awaited
 * rejected   the server refused it: the app retries, edits or drops it
 * uncertain  was sent long ago, and the server may have applied it: the app retries or drops it
 */
export type EntryState = 'saving' | 'queued' | 'sent' | 'acked' | 'rejected' | 'uncertain';

/** The file of an upload that waits. */
export interface EntryUpload {
  readonly path: string;
  /** Bytes of the file. */
  readonly bytes: number;
  readonly contentType: string | undefined;
  readonly contentDisposition: string | undefined;
  /** The id of its row in `$files`: chosen here, until the server says another. */
  readonly fileId: string;
  /** Where the server takes its bytes; null: it was not begun. */
  readonly place: string | null;
  /** Whether its bytes survive the page. */
  readonly isKept: boolean;
}

/** The mutation that an entry calls. */
export interface EntryCall {
  /** Of the function. */
  readonly name: string;
  readonly args: object;
  /** What it is expected to change in live calls, beside the entry's operations. */
  readonly steps: readonly PredictedStep[];
}

/** One transaction, call of a mutation, or upload that waits. */
export interface Entry {
  /** The same for every attempt: the server applies it once (P23). */
  readonly id: string;
  /** Its place in the order. */
  readonly seq: number;
  /** Of a call: what it is expected to write, which is shown and not sent. */
  readonly operations: readonly Operation[];
  /** The mutation that it calls; null: it is a transaction or an upload. */
  readonly call: EntryCall | null;
  /** Bytes of its operations and its call, as JSON in UTF-8. */
  readonly bytes: number;
  /** What it uploads; null: it is a transaction. */
  readonly upload: EntryUpload | null;
  /** Ids of the uploads whose files it names: it leaves after them, and fails with them. */
  readonly needs: readonly string[];
  readonly label: string | undefined;
  /** Milliseconds since 1970, for people. */
  readonly createdAt: number;
  readonly state: EntryState;
  /** It left, or may have left in an earlier start: the server may have it. */
  readonly wasSent: boolean;
  /** Attrs it invented, whose ids it keeps. */
  readonly invented: readonly WireAttr[];
  /** Its transaction, once acknowledged. */
  readonly tx: number | null;
  readonly ackedAt: number | null;
  /** What the mutation returned that it calls, once acknowledged. */
  readonly value?: unknown;
  /** Why it was rejected. */
  readonly error: TriceError | null;
  /** The upload with which it was rejected. */
  readonly causedBy: string | null;
  /** When it was rejected, or found to be uncertain. */
  readonly refusedAt: number | null;
  /** The last transaction known when it may have been sent first; null: it never was. */
  readonly sentAfter: number | null;
}

/** What became of a write, for the promise of `transact`. */
export type Outcome =
  /** It is kept for the user who made it, and leaves when they are signed in again. */
  | { readonly status: 'kept' }
  | {
      readonly status: 'synced';
      readonly eventId: string;
      /** Null: a mutation wrote nothing. */
      readonly tx: number | null;
    }
  /** The file of an upload is stored. */
  | { readonly status: 'stored'; readonly fileId: string }
  | { readonly status: 'rejected'; readonly error: TriceError };

/** Who waits for a write. */
export interface Waiter {
  /** Called before it may be sent. survives  it does the page; else no disk took it */
  saved(survives: boolean): void;
  /** Called once, when the server took or refused it. */
  settle(outcome: Outcome): void;
}

/** An entry that is neither sent nor refused; `fields` say what is its own. */
export function newEntry(
  id: string,
  seq: number,
  createdAt: number,
  fields: Pick<Entry, 'state' | 'sentAfter'>,
): Entry {
  return {
    id,
    seq,
    operations: [],
    call: null,
    bytes: 0,
    upload: null,
    needs: [],
    label: undefined,
    createdAt,
    wasSent: false,
    invented: [],
    tx: null,
    ackedAt: null,
    error: null,
    causedBy: null,
    refusedAt: null,
    ...fields,
  };
}
