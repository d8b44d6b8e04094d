import { TriceError } from '../errors.ts';
import type { Entry, EntryState } from '../pending/entry.ts';
import { fileOperations } from '../pending/uploads.ts';
import { isObject } from '../values/json.ts';
import { sealed, unsealed } from './seal.ts';

/** So long refused writes are kept, and writes of a user whose session the server ended. */
export const KEPT_MS = 30 * 24 * 3_600_000;

/** Nobody saves the bytes of a file for longer. */
const SAVING_MS_MAX = 3_600_000;

const SEQ_DIGITS = 15;

/** The key of a write: keys sort in the order of the queue. */
export function entryKey({ seq, id }: Entry): string {
  return `${String(seq).padStart(SEQ_DIGITS, '0')}:${id}`;
}

/**
 * A write as a row. What is on its way is kept as if it waited: whether it arrived is asked by
 * sending it again under its id.
 */
export function entryText(entry: Entry): string {
  const { error, upload } = entry;
  return sealed({
    ...entry,
    wasSent: undefined,
    // Those of an upload follow from it, and name an address of this page.
    operations: upload ? [] : entry.operations,
    state: entry.state === 'saving' || entry.state === 'sent' ? 'queued' : entry.state,
    error: error && error.body,
  });
}

const KEPT_STATES: ReadonlySet<unknown> = new Set<EntryState>([
  'queued',
  'acked',
  'rejected',
  'uncertain',
]);

/** The write of a row; undefined if it cannot be read. */
export function entryOf(text: string): Entry | undefined {
  const row = unsealed(text);
  if (!isObject(row) || !KEPT_STATES.has(row.state) || !Array.isArray(row.operations))
    return undefined;
  const entry = row as unknown as Entry;
  const { error, upload, sentAfter } = entry;
  return {
    ...entry,
    label: entry.label,
    call: entry.call ?? null,
    wasSent: sentAfter !== null,
    operations: upload ? fileOperations(upload, null) : entry.operations,
    error: error && new TriceError(error),
  };
}

/**
 * Whether it is an upload whose bytes were not all saved when its page died. Another page may be
 * saving them now: it counts as given up only after some time.
 */
export function isHalf({ upload }: Entry): boolean {
  return upload !== null && !upload.isKept;
}

/** Whether no page saves it any more. */
export function isGivenUp({ createdAt }: Entry, now: number): boolean {
  return now - createdAt >= SAVING_MS_MAX;
}

/** Whether a write that was decided on is still kept at a time. */
export function isKept({ refusedAt }: Entry, now: number): boolean {
  return refusedAt === null || now - refusedAt < KEPT_MS;
}
