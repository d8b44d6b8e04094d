import { isLookup, type Operation } from './builder.ts';
import type { Entry, Waiter } from './entry.ts';

/**
 * Whether a write takes the place of the one before it: that one waits and was never sent, and both
 * set the same fields of the same entities in the same mode, and do nothing else. The server has
 * the same afterwards.
 */
export function replaces(
  before: Entry | undefined,
  operations: readonly Operation[],
  label: string | undefined,
): boolean {
  if (
    before?.state !== 'queued' ||
    before.wasSent ||
    before.upload ||
    before.call ||
    before.needs.length > 0
  )
    return false;
  return (
    before.label === label &&
    before.operations.length === operations.length &&
    operations.every((operation, place) => isSameUpdate(before.operations[place]!, operation))
  );
}

/** Updates name no links, so their fields have one value each. */
function isSameUpdate(one: Operation, other: Operation): boolean {
  const [action, etype, entity, args, opts] = one;
  const [otherAction, otherEtype, otherEntity, otherArgs, otherOpts] = other;
  const labels = Object.keys(args);
  return (
    action === 'update' &&
    otherAction === 'update' &&
    etype === otherEtype &&
    entity === otherEntity &&
    // What a lookup finds may be changed by the write itself.
    !isLookup(entity) &&
    opts?.upsert === otherOpts?.upsert &&
    labels.length === Object.keys(otherArgs).length &&
    labels.every((label) => label in otherArgs)
  );
}

/** Tells two who wait for one write. */
export function both(one: Waiter, other: Waiter): Waiter {
  return {
    saved(survives) {
      one.saved(survives);
      other.saved(survives);
    },
    settle(outcome) {
      one.settle(outcome);
      other.settle(outcome);
    },
  };
}
