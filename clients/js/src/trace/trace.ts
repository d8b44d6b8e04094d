import type { Answer, News } from '../store/answer.ts';
import type { DiskChange, DiskFailure } from '../client/disk.ts';
import type { ConnectionStatus } from '../client/session.ts';
import type { Entry } from '../pending/entry.ts';
import type { Transport } from '../session/transports.ts';
import type { Cause } from './events.ts';

/** When something began, by the clock of `Trace.now`; undefined: nobody listened then. */
type Start = number | undefined;

/** What the parts of the client say of what they do, by kind. */
export interface Said {
  /** message  a message, or those of a frame */
  frame: [direction: 'in' | 'out', text: string, message: unknown];
  land: [hash: string, news: News, isTaken: boolean];
  refresh: [answer: Answer, because: Cause, isTold: boolean, start: Start];
  /** All pending writes, as they are now. */
  writes: [entries: readonly Entry[]];
  store: [changes: readonly DiskChange[], start: Start, failure: DiskFailure | null];
  connection: [
    state: 'attempt' | 'lost' | ConnectionStatus,
    transport: Transport,
    code?: number,
    retryMs?: number,
  ];
}

/**
 * Where the parts of the client say what they do. While nobody listens it is empty:
 * `trace.say?.(…)` computes nothing then, not even what stands in the brackets.
 */
export interface Trace {
  say?: (<K extends keyof Said>(kind: K, ...said: Said[K]) => void) | undefined;
  /** Milliseconds to measure with. */
  now?: (() => number) | undefined;
}
