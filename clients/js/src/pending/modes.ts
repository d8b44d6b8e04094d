import type { Operation } from './builder.ts';

/**
 * Says of updates of known entities that they are no upserts: if such an entity is gone when the
 * write arrives, the server must refuse it, not make half a row. Decided once, when the write is
 * made: the server knows a repeated write by its steps (P23).
 */
export function withModes(
  operations: readonly Operation[],
  isKnown: (etype: string, id: string) => boolean,
): Operation[] {
  return operations.map((operation) => {
    const [action, etype, entity, args, opts] = operation;
    const isUpdate = action === 'update' || action === 'merge' || action === 'increment';
    if (!isUpdate || opts?.upsert !== undefined || !isKnown(etype, entity)) return operation;
    return [action, etype, entity, args, { ...opts, upsert: false }];
  });
}
