/** How much may wait for the server: beyond it the call is refused, and says so. */
import { failure } from '../errors.ts';
import { isLookup, type Operation } from './builder.ts';
import type { Entry } from './entry.ts';

/** Writes that may wait; more are refused at the call. */
export const ENTRIES_MAX = 10_000;

/** Bytes of all that wait, as JSON in UTF-8. */
export const BYTES_MAX = 32 * 1024 * 1024;

/** Steps of one transaction: one for each field, link and deletion, and one for each id. */
export const STEPS_MAX = 2_000;

/** Bytes of one transaction. */
export const TRANSACTION_BYTES_MAX = 1024 * 1024;

/** Writes on the way at a time. */
export const IN_FLIGHT_MAX = 64;

/** Bytes on the way at a time; one write may always go. */
export const IN_FLIGHT_BYTES_MAX = 1024 * 1024;

/** Rejected writes that are kept for the app to decide. The oldest go. */
export const REJECTED_MAX = 200;

/** Refuses a transaction that is too big. bytes  of its operations */
export function checkTransaction(operations: readonly Operation[], bytes: number): void {
  const steps = operations.reduce((sum, operation) => sum + stepsOf(operation), 0);
  if (steps > STEPS_MAX) throw failure('transaction-too-big', { steps, max: STEPS_MAX });
  if (bytes > TRANSACTION_BYTES_MAX)
    throw failure('transaction-too-big/bytes', { bytes, max: TRANSACTION_BYTES_MAX });
}

/** Refuses another write where too much waits. bytes  of the write */
export function checkRoom(waiting: readonly Entry[], bytes: number): void {
  const taken = waiting.reduce((all, entry) => all + entry.bytes, 0);
  const count = waiting.length;
  if (count >= ENTRIES_MAX) throw failure('pending-full', { count, max: ENTRIES_MAX });
  if (taken + bytes > BYTES_MAX)
    throw failure('pending-full/bytes', { bytes, taken, max: BYTES_MAX });
}

function stepsOf([action, , entity, args]: Operation): number {
  if (action === 'delete' || action === 'ruleParams') return 1;
  if (action !== 'link' && action !== 'unlink')
    return 1 + Object.keys(args).filter((label) => label !== 'id').length;
  const ends = Object.values(args).reduce<number>((sum, end) => sum + [end].flat().length, 0);
  return ends + (isLookup(entity) ? 1 : 0);
}
