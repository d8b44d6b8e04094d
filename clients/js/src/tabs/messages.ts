/**
 * What tabs tell each other, as JSON text. Each message also names the version of this protocol,
 * the user, and the tab that sent it; all but `hello` the epoch of the leader it is from or for.
 *
 * Channels keep the order of messages from one tab to another. A message that is sent before the
 * other listens is lost, so what must be answered is asked again.
 */
import { TriceError } from '../errors.ts';
import type { Entry, EntryCall, EntryUpload } from '../pending/entry.ts';
import type { QueueWish } from '../pending/queue.ts';
import type { Operation } from '../pending/builder.ts';

/** An entry as it travels. What is not said is as before. */
export type WireEntry = Partial<Omit<Entry, 'error'>> & {
  readonly id: string;
  readonly error?: object | null;
};

/** What a follower says; `hello` goes to all, the rest to the leader. */
export type FromFollower =
  /** Who leads? The tab lives as long as it holds the lock. */
  | { readonly op: 'hello'; readonly life: string }
  /** Still there? */
  | { readonly op: 'ping' }
  /** So many messages were heard since the last time. */
  | { readonly op: 'heard'; readonly count: number }
  | { readonly op: 'bye' }
  /** Saves and sends a write. */
  | {
      readonly op: 'add';
      readonly id: string;
      readonly operations: readonly Operation[];
      /** The mutation that it calls; null: none. */
      readonly call: EntryCall | null;
      readonly label: string | undefined;
      readonly createdAt: number;
      /** The file is on the disk; null: it is a transaction. */
      readonly upload: EntryUpload | null;
    }
  | { readonly op: 'wish'; readonly wish: QueueWish }
  /** Opens a session, by a number that the follower gives it. */
  | { readonly op: 'open' | 'close'; readonly session: number }
  /** A frame of the protocol of sessions. */
  | { readonly op: 'frame'; readonly session: number; readonly text: string };

/** An upload that the server has, and the id and transaction of its row. */
export interface StoredUpload {
  readonly id: string;
  readonly fileId: string;
  readonly tx: number | null;
}

/** What a leader says; `lead`, `dropped` and `stored` go to all, the rest to one follower. */
export type FromLeader =
  | { readonly op: 'lead' }
  | { readonly op: 'dropped'; readonly ids: readonly string[] }
  | { readonly op: 'stored'; readonly uploads: readonly StoredUpload[] }
  /** All writes, and whether sessions can be opened. */
  | { readonly op: 'welcome'; readonly isLive: boolean; readonly entries: readonly WireEntry[] }
  | { readonly op: 'pong' }
  /** The follower is not known (any more): it is to say hello. */
  | { readonly op: 'unknown' }
  | { readonly op: 'live'; readonly isLive: boolean }
  | {
      readonly op: 'queue';
      readonly changed: readonly WireEntry[];
      readonly gone: readonly string[];
    }
  /** How far an upload is. */
  | {
      readonly op: 'progress';
      readonly id: string;
      readonly state: 'queued' | 'sending';
      readonly sentBytes: number;
    }
  /** A write could not be added. */
  | { readonly op: 'refused'; readonly id: string; readonly error: object }
  | { readonly op: 'closed'; readonly session: number }
  | { readonly op: 'frame'; readonly session: number; readonly text: string };

/** Who sent a message, and of which leader. */
export interface Envelope {
  readonly from: string;
  readonly epoch?: string;
}

/** An error as it travels. */
export function wireError({ code, message, hint, traceId, status }: TriceError): object {
  return { code, message, hint, traceId, status };
}

/** An entry, of which the other knows what it was `before`. */
export function wireEntry(entry: Entry, before: Entry | undefined): WireEntry {
  const { operations, invented, error, ...rest } = entry;
  return {
    ...rest,
    ...(before?.operations === operations ? {} : { operations }),
    ...(before?.invented === invented ? {} : { invented }),
    error: error && wireError(error),
  };
}

/** The entry that a message tells of; undefined if too little is known of it. */
export function entryFrom(wire: WireEntry, before: Entry | undefined): Entry | undefined {
  const operations = wire.operations ?? before?.operations;
  const invented = wire.invented ?? before?.invented;
  if (operations === undefined || invented === undefined) return undefined;
  const error = wire.error ? errorFrom(wire.error) : null;
  return { ...(wire as Omit<Entry, 'error'>), label: wire.label, operations, invented, error };
}

export function errorFrom(error: object): TriceError {
  return new TriceError(error as TriceError);
}
