import type { readWhere } from './where.ts';
import type { pageWithin } from './within.ts';

/**
 * Code that picks rows here: those that match a `where`, and those of pages that begin behind
 * others. Of an answer of the server nearly all queries show what it holds, and need none.
 */
export interface PickingCode {
  readonly readWhere: typeof readWhere;
  readonly pageWithin: typeof pageWithin;
}

/** Null: it is not here yet. */
export let picking: PickingCode | null = null;

/** From now on rows are picked here. Queries that were read before must be read again. */
export function pickBy(code: PickingCode): void {
  picking = code;
}
